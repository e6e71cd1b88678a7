//! What a car stores, and how fast it takes it.

use recarga_reservation::Plug;

use crate::problem::Invalid;

/// The grid of charge on which is searched: 0 to 100 per cent of what is usable.
pub const LEVELS: usize = 101;

/// A battery and what charges it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vehicle {
    usable_kwh: f64,
    reserve_kwh: f64,
    plugs: Vec<Plug>,
    curve: Vec<(f64, f64)>,
}

/// How long charging from empty to each level takes at one connector, in minutes; in between it is linear.
#[derive(Clone, Debug, PartialEq)]
pub struct ChargeTable {
    minutes: [f64; LEVELS],
    step_kwh: f64,
}

impl Vehicle {
    /// A car that stores `usable_kwh`, does not want to fall below `reserve_kwh` at any stop or at the end, fits
    /// `plugs`, and takes at most the power of `curve`: points of (charge in kWh, kW), linear in between, level before
    /// the first and after the last.
    ///
    /// # Errors
    /// Names what makes no sense.
    pub fn new(
        usable_kwh: f64,
        reserve_kwh: f64,
        plugs: Vec<Plug>,
        curve: Vec<(f64, f64)>,
    ) -> Result<Self, Invalid> {
        Invalid::unless((1.0..=2000.0).contains(&usable_kwh), "vehicle.usable_kwh", "use 1 to 2000 kWh")?;
        Invalid::unless(
            reserve_kwh >= 0.0 && reserve_kwh <= usable_kwh * 0.9,
            "vehicle.reserve_kwh",
            "use 0 to nine tenths of usable_kwh",
        )?;
        Invalid::unless(!plugs.is_empty(), "vehicle.plugs", "name at least one plug")?;
        Invalid::unless(!curve.is_empty(), "vehicle.charge_curve", "give at least one point")?;
        Invalid::unless(
            curve.iter().all(|(kwh, kw)| kwh.is_finite() && (0.1..=5000.0).contains(kw)),
            "vehicle.charge_curve",
            "give charges in kWh and powers of 0.1 to 5000 kW",
        )?;
        Invalid::unless(
            curve.windows(2).all(|two| two[0].0 < two[1].0),
            "vehicle.charge_curve",
            "let the charges grow from point to point",
        )?;
        Ok(Self { usable_kwh, reserve_kwh, plugs, curve })
    }

    /// What it stores, in kWh.
    pub fn usable_kwh(&self) -> f64 {
        self.usable_kwh
    }

    /// What shall be left at every stop and at the end, in kWh.
    pub fn reserve_kwh(&self) -> f64 {
        self.reserve_kwh
    }

    /// What it can be plugged into.
    pub fn plugs(&self) -> &[Plug] {
        &self.plugs
    }

    /// Charging at a connector with `kw`.
    pub fn charge_table(&self, kw: f64) -> ChargeTable {
        let step_kwh = self.step_kwh();
        let mut minutes = [0.0; LEVELS];
        for level in 1..LEVELS {
            let (from, to) = ((level - 1) as f64 * step_kwh, level as f64 * step_kwh);
            minutes[level] = minutes[level - 1] + self.minutes_between(from, to, kw);
        }
        ChargeTable { minutes, step_kwh }
    }

    pub(crate) fn step_kwh(&self) -> f64 {
        self.usable_kwh / (LEVELS - 1) as f64
    }

    // Between the corners of the curve power is linear or the connector's, and so the time has a closed form.
    fn minutes_between(&self, from: f64, to: f64, kw: f64) -> f64 {
        let mut corners = vec![from, to];
        corners.extend(self.curve.iter().map(|(kwh, _)| *kwh));
        corners.extend(self.curve.windows(2).filter_map(|two| {
            let ((a, p), (b, q)) = (two[0], two[1]);
            let crosses = (p < kw) != (q < kw);
            crosses.then(|| a + (b - a) * (kw - p) / (q - p))
        }));
        corners.retain(|kwh| (from..=to).contains(kwh));
        corners.sort_by(f64::total_cmp);
        let hours: f64 = corners
            .windows(2)
            .map(|two| {
                let (a, b) = (two[0], two[1]);
                let (p, q) = (self.power(a).min(kw), self.power(b).min(kw));
                if (p - q).abs() < 1e-9 { (b - a) / p } else { (b - a) / (q - p) * (q / p).ln() }
            })
            .sum();
        hours * 60.0
    }

    fn power(&self, kwh: f64) -> f64 {
        let after = self.curve.partition_point(|(corner, _)| *corner <= kwh);
        match (after.checked_sub(1).map(|before| self.curve[before]), self.curve.get(after)) {
            (Some((a, p)), Some(&(b, q))) => p + (q - p) * (kwh - a) / (b - a),
            (Some((_, p)), None) => p,
            (None, Some(&(_, q))) => q,
            (None, None) => f64::INFINITY,
        }
    }
}

impl ChargeTable {
    /// From measured points of (charge in kWh, minutes from empty), linear in between.
    ///
    /// # Errors
    /// They do not grow, or do not reach from empty to `usable_kwh`.
    pub fn from_points(points: &[(f64, f64)], usable_kwh: f64) -> Result<Self, Invalid> {
        const FIELD: &str = "charge_minutes";
        let finite = points.iter().all(|(kwh, minutes)| kwh.is_finite() && minutes.is_finite());
        Invalid::unless(finite && points.len() >= 2, FIELD, "give at least two points of [kWh, minutes]")?;
        let grows = points.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
        Invalid::unless(grows, FIELD, "let charge and minutes grow from point to point")?;
        let (first, last) = (points[0].0, points[points.len() - 1].0);
        let covers = first <= 1e-9 && last >= usable_kwh - 1e-6;
        Invalid::unless(covers, FIELD, "let the points reach from 0 to usable_kwh")?;
        let step_kwh = usable_kwh / (LEVELS - 1) as f64;
        let mut minutes = [0.0; LEVELS];
        for (level, minutes) in minutes.iter_mut().enumerate() {
            let kwh = level as f64 * step_kwh;
            let after = points.partition_point(|(corner, _)| *corner <= kwh).clamp(1, points.len() - 1);
            let ((a, from), (b, to)) = (points[after - 1], points[after]);
            *minutes = from + (to - from) * ((kwh - a) / (b - a)).min(1.0);
        }
        Ok(Self { minutes, step_kwh })
    }

    /// Minutes from empty to a level.
    pub fn at_level(&self, level: usize) -> f64 {
        self.minutes[level.min(LEVELS - 1)]
    }

    /// Minutes from one charge to another that is no smaller, both in kWh.
    pub fn between(&self, from_kwh: f64, to_kwh: f64) -> f64 {
        (self.at(to_kwh) - self.at(from_kwh)).max(0.0)
    }

    /// The charge in kWh after charging for some minutes from another.
    pub fn after(&self, from_kwh: f64, minutes: f64) -> f64 {
        let until = self.at(from_kwh) + minutes.max(0.0);
        let above = self.minutes.partition_point(|at| *at <= until);
        let Some(&at_above) = self.minutes.get(above) else {
            return from_kwh.max((LEVELS - 1) as f64 * self.step_kwh);
        };
        // The first level takes no time, so there is one below.
        let at_below = self.minutes[above - 1];
        let level = (above - 1) as f64 + (until - at_below) / (at_above - at_below);
        from_kwh.max(level * self.step_kwh)
    }

    fn at(&self, kwh: f64) -> f64 {
        let place = (kwh / self.step_kwh).clamp(0.0, (LEVELS - 1) as f64);
        let below = (place.floor() as usize).min(LEVELS - 2);
        let share = place - below as f64;
        self.minutes[below] + (self.minutes[below + 1] - self.minutes[below]) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vehicle(curve: Vec<(f64, f64)>) -> Vehicle {
        Vehicle::new(60.0, 6.0, vec![Plug::CCS2], curve).unwrap()
    }

    #[test]
    fn charging_takes_energy_over_power_whichever_is_smaller() {
        let flat = vehicle(vec![(0.0, 60.0)]);
        assert!((flat.charge_table(200.0).between(0.0, 60.0) - 60.0).abs() < 1e-9);
        assert!((flat.charge_table(30.0).between(15.0, 30.0) - 30.0).abs() < 1e-9);
        // Falling from 120 kW to 20 kW: against a sum of thin slices.
        let falling = vehicle(vec![(0.0, 120.0), (36.0, 120.0), (48.0, 60.0), (60.0, 20.0)]);
        for kw in [150.0, 100.0, 50.0, 11.0] {
            let slices = 600_000;
            let width = 60.0 / f64::from(slices);
            let sum: f64 =
                (0..slices).map(|one| width / falling.power((f64::from(one) + 0.5) * width).min(kw)).sum();
            let table = falling.charge_table(kw);
            assert!((table.between(0.0, 60.0) - sum * 60.0).abs() < 1e-4, "{kw} kW");
        }
    }

    #[test]
    fn measured_points_are_followed() {
        let table = ChargeTable::from_points(&[(0.0, 0.0), (36.0, 54.0), (60.0, 101.0)], 60.0).unwrap();
        assert!((table.between(0.0, 36.0) - 54.0).abs() < 1e-9);
        assert!((table.between(36.0, 60.0) - 47.0).abs() < 1e-9);
        assert!((table.between(18.0, 36.0) - 27.0).abs() < 1e-9);
    }

    #[test]
    fn time_and_charge_are_inverse() {
        let table = vehicle(vec![(0.0, 120.0), (36.0, 120.0), (60.0, 20.0)]).charge_table(100.0);
        for (from, to) in [(0.0, 0.0), (0.0, 60.0), (6.1, 48.3), (59.9, 60.0), (33.0, 33.001)] {
            let after = table.after(from, table.between(from, to));
            assert!((after - to).abs() < 1e-9, "{from} to {to}: {after}");
        }
        assert_eq!(table.after(10.0, 1e9), 60.0);
        assert_eq!(table.after(10.0, -5.0), 10.0);
        assert_eq!(table.after(61.0, 5.0), 61.0, "what is full stays as it is");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let field = |made: Result<Vehicle, Invalid>| made.unwrap_err().field;
        let good = vec![(0.0, 50.0)];
        let plugs = || vec![Plug::CCS2];
        for usable in [f64::NAN, 0.0, -1.0, f64::INFINITY, 1e9] {
            assert_eq!(field(Vehicle::new(usable, 0.0, plugs(), good.clone())), "vehicle.usable_kwh");
        }
        for reserve in [f64::NAN, -1.0, 60.0] {
            assert_eq!(field(Vehicle::new(60.0, reserve, plugs(), good.clone())), "vehicle.reserve_kwh");
        }
        assert_eq!(field(Vehicle::new(60.0, 6.0, vec![], good)), "vehicle.plugs");
        for curve in [vec![], vec![(0.0, 0.0)], vec![(0.0, f64::NAN)], vec![(5.0, 9.0), (5.0, 8.0)]] {
            assert_eq!(field(Vehicle::new(60.0, 6.0, plugs(), curve)), "vehicle.charge_curve");
        }
        for points in [vec![], vec![(0.0, 0.0)], vec![(0.0, 9.0), (60.0, 1.0)], vec![(0.0, 0.0), (30.0, 9.0)]]
        {
            assert_eq!(ChargeTable::from_points(&points, 60.0).unwrap_err().field, "charge_minutes");
        }
    }
}
