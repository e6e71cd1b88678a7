//! When to be where: the windows of a route, from departure, driving time, charge on arrival and energy needed.

use std::time::Duration;

use recarga_reservation::{TimeWindow, Timestamp};
use thiserror::Error;

use crate::clock::whole_minute;
use crate::geo::Position;
use crate::model::{CarModel, DrivingStyle};
use crate::network::{EvseIndex, Network, StationIndex};
use crate::route::{CHARGE_MAX, RESERVE};

/// From plugging in to the first energy: parking, cable, authorisation.
pub const SETUP: Duration = Duration::from_secs(5 * 60);

/// What a window has beyond setup and charging, for a late arrival or a slower charge.
pub const BUFFER: Duration = Duration::from_secs(10 * 60);

/// No company lets an EVSE be booked for longer by default.
pub const WINDOW_MAX: Duration = Duration::from_secs(12 * 3600);

// Charged beyond what the next leg needs, as a share of the usable energy: wind, heat, a detour.
const MARGIN: f64 = 0.05;

/// A route that cannot be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Infeasible {
    /// The battery does not last for this leg, counted from 0.
    #[error("the battery does not last for leg {0}")]
    TooFar(usize),
    /// This stop, counted from 0, would take longer than [`WINDOW_MAX`].
    #[error("charging at stop {0} takes too long")]
    TooLong(usize),
    /// This stop, counted from 0, has no connector for the car.
    #[error("stop {0} has no connector for the car")]
    WrongPlug(usize),
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Trip<'a> {
    /// The kind of car.
    pub model: &'a CarModel,
    /// How it is driven.
    pub style: DrivingStyle,
    /// Where it starts.
    pub origin: Position,
    /// Energy at the start, in kWh.
    pub charge_kwh: f64,
    /// Charge below which it does not arrive at the first stop, as a share of the usable energy; see [`crate::route`].
    pub reserve: f64,
    /// When it starts.
    pub departs: Timestamp,
    /// At least this share of the usable energy is charged at each stop, if there is less on arrival; 0 to 1.
    pub top_up: f64,
    /// Where it charges, in order.
    pub stops: &'a [EvseIndex],
    /// Windows of these stops do not start earlier; a stop without an entry is not restricted.
    pub not_before: &'a [Option<Timestamp>],
    /// Where it ends.
    pub destination: StationIndex,
}

/// A route with its windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// When the car starts.
    pub departs: Timestamp,
    /// Where the car starts.
    pub origin: Position,
    /// How it is driven.
    pub style: DrivingStyle,
    /// The stops in order.
    pub stops: Vec<PlannedStop>,
    /// Where it ends.
    pub destination: StationIndex,
    /// The last leg, in km by road.
    pub last_leg_km: f64,
    /// When it arrives at the destination.
    pub arrives: Timestamp,
    /// Energy on arrival at the destination, in kWh.
    pub arrive_kwh: f64,
}

/// A stop of a plan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedStop {
    /// Where.
    pub evse: EvseIndex,
    /// The leg that leads here, in km by road.
    pub leg_km: f64,
    /// When the car arrives.
    pub arrives: Timestamp,
    /// Energy on arrival, in kWh.
    pub arrive_kwh: f64,
    /// What is reserved.
    pub window: TimeWindow,
    /// Energy on leaving, in kWh.
    pub leave_kwh: f64,
    /// Energy without which the next leg would eat into the reserve, in kWh.
    pub least_kwh: f64,
    /// What the car draws from this EVSE at most, in kW.
    pub power_kw: f64,
}

/// Plans a trip. Windows begin on arrival, or when the stop is free, and last for setup, charging and [`BUFFER`]; they
/// are in order and do not overlap.
///
/// # Errors
/// The first leg or stop that is impossible.
pub fn make(network: &Network, trip: Trip<'_>) -> Result<Plan, Infeasible> {
    let Trip { model, style, .. } = trip;
    let consumption = model.consumption_kwh_per_km(style);
    let reserve_kwh = RESERVE * model.usable_kwh;
    let mut stops = Vec::with_capacity(trip.stops.len());
    let (mut position, mut charge_kwh, mut leaves) = (trip.origin, trip.charge_kwh, trip.departs);
    for (number, &evse) in trip.stops.iter().enumerate() {
        let site = network.site(evse.station);
        let leg_km = position.road_km(site.position);
        charge_kwh -= leg_km * consumption;
        // A car that stands at its first stop may already have less than the reserve.
        let least_kwh = if number == 0 { trip.reserve * model.usable_kwh } else { reserve_kwh };
        if charge_kwh < least_kwh && leg_km > 0.0 {
            return Err(Infeasible::TooFar(number));
        }
        let next = trip.stops.get(number + 1).map_or(trip.destination, |next| next.station);
        let next_kwh = site.position.road_km(network.site(next).position) * consumption;
        let least_kwh = next_kwh + reserve_kwh;
        if least_kwh > CHARGE_MAX * model.usable_kwh {
            return Err(Infeasible::TooFar(number + 1));
        }
        let power_kw = model.power_at(network.evse(evse)).ok_or(Infeasible::WrongPlug(number))?;
        let wanted_kwh = (least_kwh + MARGIN * model.usable_kwh).max(trip.top_up * model.usable_kwh);
        let leave_kwh = wanted_kwh.min(CHARGE_MAX * model.usable_kwh).max(charge_kwh);
        let arrives = leaves + style.driving_time(leg_km);
        let not_before = trip.not_before.get(number).copied().flatten().unwrap_or(arrives);
        let start = whole_minute(arrives.max(not_before));
        leaves = whole_minute(start + SETUP + model.charging_time(charge_kwh, leave_kwh, power_kw));
        let window = TimeWindow::new(start, leaves + BUFFER).map_err(|_| Infeasible::TooLong(number))?;
        if window.duration() > WINDOW_MAX {
            return Err(Infeasible::TooLong(number));
        }
        let arrive_kwh = charge_kwh;
        stops.push(PlannedStop { evse, leg_km, arrives, arrive_kwh, window, leave_kwh, least_kwh, power_kw });
        (position, charge_kwh) = (site.position, leave_kwh);
    }
    separate(&mut stops);
    let last_leg_km = position.road_km(network.site(trip.destination).position);
    charge_kwh -= last_leg_km * consumption;
    if charge_kwh < reserve_kwh {
        return Err(Infeasible::TooFar(stops.len()));
    }
    Ok(Plan {
        departs: trip.departs,
        origin: trip.origin,
        style,
        destination: trip.destination,
        last_leg_km,
        arrives: leaves + style.driving_time(last_leg_km),
        arrive_kwh: charge_kwh,
        stops,
    })
}

// Two stops in one city: the buffer of the first must not reach into the second.
fn separate(stops: &mut [PlannedStop]) {
    for number in 1..stops.len() {
        let next = stops[number].window.start();
        let window = stops[number - 1].window;
        if window.end() > next
            && let Ok(shorter) = TimeWindow::new(window.start(), next)
        {
            stops[number - 1].window = shorter;
        }
    }
}

impl PlannedStop {
    /// Whether a car that arrives then, with that energy, can still charge what it needs before its window ends.
    pub fn is_worth_it(&self, model: &CarModel, arrives: Timestamp, arrive_kwh: f64) -> bool {
        let least = model.charging_time(arrive_kwh, self.least_kwh, self.power_kw);
        arrives.max(self.window.start()) + SETUP + least <= self.window.end()
    }
}

impl Plan {
    /// The leg with this number, counted from 0; the last one leads to the destination. In km by road.
    pub fn leg_km(&self, leg: usize) -> f64 {
        self.stops.get(leg).map_or(self.last_leg_km, |stop| stop.leg_km)
    }

    /// Where a leg begins.
    pub fn leg_origin(&self, network: &Network, leg: usize) -> Position {
        match leg.checked_sub(1).and_then(|before| self.stops.get(before)) {
            Some(stop) => network.site(stop.evse.station).position,
            None => self.origin,
        }
    }

    /// The station to which a leg leads.
    pub fn leg_end(&self, leg: usize) -> StationIndex {
        self.stops.get(leg).map_or(self.destination, |stop| stop.evse.station)
    }
}
