//! What cars are made of: battery, consumption, charging power.

use std::time::Duration;

use recarga_reservation::{Evse, Plug};

/// How a driver drives on a highway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrivingStyle {
    /// 70 km/h: the farthest.
    Slow,
    /// 90 km/h.
    Normal,
    /// 115 km/h: about half as much energy again per kilometre as at 90.
    Fast,
}

impl DrivingStyle {
    /// Average speed in km/h.
    pub fn speed_kmh(self) -> f64 {
        match self {
            DrivingStyle::Slow => 70.0,
            DrivingStyle::Normal => 90.0,
            DrivingStyle::Fast => 115.0,
        }
    }

    /// How long `km` take.
    pub fn driving_time(self, km: f64) -> Duration {
        Duration::from_secs_f64(km / self.speed_kmh() * 3600.0)
    }
}

/// A kind of car. None is a make: capacity, mass and drag are typical of their class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CarModel {
    /// For people.
    pub name: &'static str,
    /// Energy between empty and full, in kWh.
    pub usable_kwh: f64,
    /// What it plugs into.
    pub plug: Plug,
    /// The most it takes from that plug, in kW.
    pub charge_kw_max: f64,
    /// With driver and luggage, in kg.
    pub mass_kg: f64,
    /// Drag coefficient times frontal area, in m².
    pub drag_area_m2: f64,
    // How many of all cars are of this kind, in relation to the others.
    share: u8,
}

/// The kinds of cars on the road.
pub static CATALOGUE: [CarModel; 6] = [
    CarModel {
        name: "hatch 44 kWh",
        usable_kwh: 44.0,
        plug: Plug::CCS2,
        charge_kw_max: 85.0,
        mass_kg: 1500.0,
        drag_area_m2: 0.62,
        share: 4,
    },
    CarModel {
        name: "sedan 60 kWh",
        usable_kwh: 60.0,
        plug: Plug::CCS2,
        charge_kw_max: 120.0,
        mass_kg: 1800.0,
        drag_area_m2: 0.54,
        share: 5,
    },
    CarModel {
        name: "suv 74 kWh",
        usable_kwh: 74.0,
        plug: Plug::CCS2,
        charge_kw_max: 150.0,
        mass_kg: 2100.0,
        drag_area_m2: 0.72,
        share: 4,
    },
    CarModel {
        name: "long range 93 kWh",
        usable_kwh: 93.0,
        plug: Plug::CCS2,
        charge_kw_max: 200.0,
        mass_kg: 2250.0,
        drag_area_m2: 0.60,
        share: 3,
    },
    CarModel {
        name: "crossover 58 kWh, CHAdeMO",
        usable_kwh: 58.0,
        plug: Plug::CHADEMO,
        charge_kw_max: 100.0,
        mass_kg: 1750.0,
        drag_area_m2: 0.68,
        share: 2,
    },
    CarModel {
        name: "compact 48 kWh, alternating current only",
        usable_kwh: 48.0,
        plug: Plug::TYPE2,
        charge_kw_max: 22.0,
        mass_kg: 1480.0,
        drag_area_m2: 0.60,
        share: 2,
    },
];

// The battery in a hundred slices, over each of which the charging power is taken as constant.
const SLICES: u32 = 100;

impl CarModel {
    /// One of the [`CATALOGUE`], the common ones more often.
    pub fn draw(chance: &mut fastrand::Rng) -> &'static CarModel {
        let all: u32 = CATALOGUE.iter().map(|model| u32::from(model.share)).sum();
        let mut ticket = chance.u32(0..all);
        for model in &CATALOGUE {
            match ticket.checked_sub(u32::from(model.share)) {
                Some(left) => ticket = left,
                None => return model,
            }
        }
        &CATALOGUE[0]
    }

    /// Consumption in kWh per km on a flat road: rolling resistance and air drag through the losses of the
    /// drivetrain, and what heating, cooling and electronics take all the time.
    pub fn consumption_kwh_per_km(&self, style: DrivingStyle) -> f64 {
        const ROLLING_RESISTANCE: f64 = 0.010;
        const GRAVITY_M_S2: f64 = 9.81;
        const AIR_KG_M3: f64 = 1.2;
        const EFFICIENCY: f64 = 0.88;
        const AUXILIARY_KW: f64 = 0.6;
        const NEWTONS_PER_KWH_PER_KM: f64 = 3600.0;
        let speed_m_s = style.speed_kmh() / 3.6;
        let rolling_n = ROLLING_RESISTANCE * self.mass_kg * GRAVITY_M_S2;
        let drag_n = 0.5 * AIR_KG_M3 * self.drag_area_m2 * speed_m_s.powi(2);
        (rolling_n + drag_n) / EFFICIENCY / NEWTONS_PER_KWH_PER_KM + AUXILIARY_KW / style.speed_kmh()
    }

    /// The most this car draws from an EVSE, in kW; none if it has no connector for it.
    pub fn power_at(&self, evse: &Evse) -> Option<f64> {
        let fitting = evse.connectors.iter().filter(|connector| connector.plug == self.plug);
        let power_kw = fitting.map(|connector| connector.power_kw).fold(0.0, f64::max);
        (power_kw > 0.0).then(|| power_kw.min(self.charge_kw_max))
    }

    /// Power in kW at a state of charge of 0 to 1: full up to a half, falling to half of it at four fifths and to a
    /// tenth when full. A slow connector feels only the end of this.
    pub fn charging_kw(&self, state_of_charge: f64, connector_kw: f64) -> f64 {
        const CURVE: [(f64, f64); 4] = [(0.0, 1.0), (0.5, 1.0), (0.8, 0.5), (1.0, 0.1)];
        let state_of_charge = state_of_charge.clamp(0.0, 1.0);
        let mut share = 1.0;
        for pair in CURVE.windows(2) {
            let [(from, from_share), (to, to_share)] = [pair[0], pair[1]];
            if (from..=to).contains(&state_of_charge) {
                share = from_share + (to_share - from_share) * (state_of_charge - from) / (to - from);
            }
        }
        connector_kw.min(self.charge_kw_max * share)
    }

    /// How long it takes to charge from one energy to another, in kWh; zero if there is nothing to charge.
    pub fn charging_time(&self, from_kwh: f64, to_kwh: f64, connector_kw: f64) -> Duration {
        let hours = self.slices(from_kwh, connector_kw).map(|slice| slice.hours_to(to_kwh)).sum::<f64>();
        Duration::from_secs_f64(hours * 3600.0)
    }

    /// The energy in kWh after charging for a while.
    pub fn charged(&self, from_kwh: f64, connector_kw: f64, lasts: Duration) -> f64 {
        let mut left_hours = lasts.as_secs_f64() / 3600.0;
        for slice in self.slices(from_kwh, connector_kw) {
            let hours = slice.hours_to(slice.to_kwh);
            if hours >= left_hours {
                return slice.from_kwh + left_hours * slice.power_kw;
            }
            left_hours -= hours;
        }
        self.usable_kwh.max(from_kwh)
    }

    fn slices(&self, from_kwh: f64, connector_kw: f64) -> impl Iterator<Item = Slice> + '_ {
        let step_kwh = self.usable_kwh / f64::from(SLICES);
        (0..SLICES).filter_map(move |number| {
            let bottom_kwh = f64::from(number) * step_kwh;
            let middle = (f64::from(number) + 0.5) / f64::from(SLICES);
            let slice = Slice {
                from_kwh: bottom_kwh.max(from_kwh),
                to_kwh: bottom_kwh + step_kwh,
                power_kw: self.charging_kw(middle, connector_kw),
            };
            (slice.from_kwh < slice.to_kwh).then_some(slice)
        })
    }
}

struct Slice {
    from_kwh: f64,
    to_kwh: f64,
    power_kw: f64,
}

impl Slice {
    fn hours_to(&self, to_kwh: f64) -> f64 {
        (to_kwh.min(self.to_kwh) - self.from_kwh).max(0.0) / self.power_kw
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumption_is_that_of_real_cars() {
        for model in &CATALOGUE {
            let [slow, normal, fast] = [DrivingStyle::Slow, DrivingStyle::Normal, DrivingStyle::Fast]
                .map(|style| model.consumption_kwh_per_km(style));
            assert!(0.085 < slow && slow < normal && normal < fast && fast < 0.26, "{}", model.name);
            assert!((1.25..1.6).contains(&(fast / normal)), "{}: {}", model.name, fast / normal);
            assert!(model.usable_kwh / normal > 300.0, "{}: a range of at least 300 km", model.name);
        }
    }

    #[test]
    fn charging_time_and_energy_are_inverse() {
        for model in &CATALOGUE {
            for connector_kw in [7.4, 22.0, 60.0, 150.0] {
                for (from, to) in [(0.1, 0.8), (0.333, 0.334), (0.5, 0.95), (0.0, 1.0)] {
                    let (from_kwh, to_kwh) = (from * model.usable_kwh, to * model.usable_kwh);
                    let lasts = model.charging_time(from_kwh, to_kwh, connector_kw);
                    let reached = model.charged(from_kwh, connector_kw, lasts);
                    assert!((reached - to_kwh).abs() < 1e-3, "{}: {reached} {to_kwh}", model.name);
                    assert!(lasts.as_secs_f64() / 3600.0 * connector_kw >= to_kwh - from_kwh - 1e-6);
                }
            }
        }
        let sedan = &CATALOGUE[1];
        let minutes = |kw| sedan.charging_time(6.0, 48.0, kw).as_secs() / 60;
        assert!((22..27).contains(&minutes(150.0)), "{}", minutes(150.0));
        assert!((41..45).contains(&minutes(60.0)), "{}", minutes(60.0));
    }
}
