//! What is asked: a car at one place that shall come to another, and where it could charge on the way.

use recarga_reservation::{Plug, TimeWindow, Timestamp};
use thiserror::Error;

use crate::battery::{ChargeTable, Vehicle};
use crate::legs::Legs;
use crate::tariff::Tariff;

/// Most stops of a plan.
pub const STOPS_MAX: usize = 12;

/// Something that makes no sense: which field, and what to write there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {cure}")]
pub struct Invalid {
    /// As the problem file calls it.
    pub field: &'static str,
    /// What to do about it.
    pub cure: &'static str,
}

impl Invalid {
    pub(crate) fn unless(fine: bool, field: &'static str, cure: &'static str) -> Result<(), Invalid> {
        if fine { Ok(()) } else { Err(Invalid { field, cure }) }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The car.
    pub vehicle: Vehicle,
    /// When it can leave.
    pub departure: Timestamp,
    /// What its battery holds then, in kWh.
    pub charge_kwh: f64,
    /// What shall be left at the destination, in kWh; the car's reserve if that is more.
    pub arrive_kwh: f64,
    /// Places to pass in this order, between origin and destination.
    pub vias: usize,
    /// Where it can charge.
    pub stations: Vec<Station>,
    /// What counts, and limits.
    pub settings: Settings,
}

/// A place with chargers.
#[derive(Clone, Debug)]
pub struct Station {
    /// What its local time is ahead of UTC, in minutes: tariffs follow it.
    pub utc_offset_minutes: i32,
    /// What a stop here counts more than elsewhere, in minutes: zero at a company that is preferred.
    pub penalty_minutes: f64,
    /// Each serves one car at a time.
    pub evses: Vec<Evse>,
}

/// A charger that serves one car at a time.
#[derive(Clone, Debug)]
pub struct Evse {
    /// Only one of them can be in use.
    pub connectors: Vec<Connector>,
    /// When nobody has it, in order and apart.
    pub free: Vec<TimeWindow>,
}

/// A cable.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Its shape.
    pub plug: Plug,
    /// The most it delivers, in kW.
    pub kw: f64,
    /// What it costs.
    pub tariff: Tariff,
    /// How long charging takes here, where that was measured; otherwise it follows from the powers.
    pub measured: Option<ChargeTable>,
}

/// What counts, and limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most stops, at most 12.
    pub stops_max: usize,
    /// From arriving, or from the window's start, until the car charges.
    pub setup_minutes: f64,
    /// Reserved after charging, in case the car is late.
    pub buffer_minutes: f64,
    /// Longest wait at a station until its window opens or a price changes; without limit by default. Nobody loiters
    /// elsewhere to keep it.
    pub wait_minutes_max: f64,
    /// What counts beside time.
    pub objective: Objective,
    /// Steps of the search before it is given up; bounds time and memory (about 64 bytes each).
    pub labels_max: usize,
}

/// What counts beside the time of arrival.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// Minutes that one BRL counts as much as.
    pub price_weight: f64,
    /// Minutes that one more stop counts as much as.
    pub stop_minutes: f64,
}

impl Objective {
    /// Only the time of arrival counts.
    pub const FASTEST: Objective = Objective { price_weight: 0.0, stop_minutes: 0.0 };
    /// Money counts, and time only between plans that cost the same.
    pub const CHEAPEST: Objective = Objective { price_weight: 60.0, stop_minutes: 0.0 };
    /// A stop less is worth ten hours.
    pub const FEWEST_STOPS: Objective = Objective { price_weight: 0.0, stop_minutes: 600.0 };
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stops_max: STOPS_MAX,
            setup_minutes: 5.0,
            buffer_minutes: 0.0,
            wait_minutes_max: f64::INFINITY,
            objective: Objective::FASTEST,
            labels_max: 2_000_000,
        }
    }
}

impl Problem {
    /// Checks all numbers. `legs` must be those of this problem.
    ///
    /// # Errors
    /// Names the first field that makes no sense, and the cure.
    pub fn check(&self, legs: &dyn Legs) -> Result<(), Invalid> {
        let usable = self.vehicle.usable_kwh();
        let charge = (0.0..=usable).contains(&self.charge_kwh);
        Invalid::unless(charge, "vehicle.soc_kwh", "use 0 to usable_kwh")?;
        let arrive = (0.0..=usable).contains(&self.arrive_kwh);
        Invalid::unless(arrive, "vehicle.arrive_kwh", "use 0 to usable_kwh")?;
        let points = self.vias + 2 + self.stations.len();
        Invalid::unless(
            legs.points() == points,
            "legs_km",
            "give a row for origin, stations and destination",
        )?;
        let Settings { stops_max, setup_minutes, buffer_minutes, wait_minutes_max, objective, .. } =
            &self.settings;
        let wait = *wait_minutes_max >= 0.0;
        Invalid::unless(wait, "wait_minutes_max", "use 0 minutes or more")?;
        Invalid::unless(*stops_max <= STOPS_MAX, "stops_max", "use 0 to 12 stops")?;
        let day = 0.0..=1440.0;
        Invalid::unless(day.contains(setup_minutes), "setup_minutes", "use 0 to 1440 minutes")?;
        Invalid::unless(day.contains(buffer_minutes), "buffer_minutes", "use 0 to 1440 minutes")?;
        let weight = 0.0..=100_000.0;
        let price = weight.contains(&objective.price_weight);
        Invalid::unless(price, "objective.price_weight", "use 0 to 100000 minutes for one BRL")?;
        let stop = weight.contains(&objective.stop_minutes);
        Invalid::unless(stop, "objective.stop_minutes", "use 0 to 100000 minutes")?;
        self.stations.iter().try_for_each(Station::check)
    }

    pub(crate) fn waypoints(&self) -> usize {
        self.vias + 2
    }

    pub(crate) fn minutes(&self, at: Timestamp) -> f64 {
        at.as_millis().saturating_sub(self.departure.as_millis()) as f64 / 60_000.0
    }
}

impl Station {
    /// The station without a window of an EVSE: somebody has it.
    pub fn take(&mut self, evse: usize, window: TimeWindow) {
        let Some(evse) = self.evses.get_mut(evse) else { return };
        let parts = |free: &TimeWindow| {
            let before = TimeWindow::new(free.start(), free.end().min(window.start()));
            let after = TimeWindow::new(free.start().max(window.end()), free.end());
            before.into_iter().chain(after)
        };
        evse.free = evse.free.iter().flat_map(parts).collect();
    }

    fn check(&self) -> Result<(), Invalid> {
        let penalty = (0.0..=100_000.0).contains(&self.penalty_minutes);
        Invalid::unless(penalty, "stations.penalty_minutes", "use 0 to 100000 minutes")?;
        let offset = (-1440..=1440).contains(&self.utc_offset_minutes);
        Invalid::unless(offset, "stations.utc_offset_minutes", "use -1440 to 1440 minutes")?;
        for evse in &self.evses {
            let apart = evse.free.windows(2).all(|two| two[0].end() <= two[1].start());
            Invalid::unless(apart, "stations.connectors.free", "give windows in order that do not overlap")?;
            for Connector { kw, tariff, .. } in &evse.connectors {
                Invalid::unless((0.1..=5000.0).contains(kw), "stations.connectors.kw", "use 0.1 to 5000 kW")?;
                let bands = tariff.bands.iter().map(|band| band.per_kwh);
                let prices = [tariff.per_kwh, tariff.activation];
                let fine = prices.into_iter().chain(bands).all(|price| (0.0..=100_000.0).contains(&price));
                Invalid::unless(fine, "stations.connectors.price_kwh", "use prices of 0 to 100000 BRL")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_window_leaves_what_is_before_and_after() {
        let at = Timestamp::from_millis;
        let window = |from, to| TimeWindow::new(at(from), at(to)).unwrap();
        let station = |free| Station {
            utc_offset_minutes: 0,
            penalty_minutes: 0.0,
            evses: vec![Evse { connectors: vec![], free }],
        };
        for (taken, left) in [
            (window(20, 30), vec![window(0, 20), window(30, 50), window(60, 70)]),
            (window(0, 50), vec![window(60, 70)]),
            (window(40, 65), vec![window(0, 40), window(65, 70)]),
            (window(50, 60), vec![window(0, 50), window(60, 70)]),
            (window(-5, 90), vec![]),
        ] {
            let mut one = station(vec![window(0, 50), window(60, 70)]);
            one.take(0, taken);
            assert_eq!(one.evses[0].free, left, "{taken:?}");
        }
    }
}
