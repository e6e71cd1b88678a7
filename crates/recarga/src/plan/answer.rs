//! The answer to a problem file.

use std::fmt;

use recarga_planning::{Itinerary, Obstacle, Place, Stop};
use recarga_wire::instant;
use serde::Serialize;

/// What the file calls its stations and their connectors.
pub struct Names(Vec<(String, Vec<String>)>);

/// A plan, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Answer {
    Feasible {
        feasible: bool,
        arrival: String,
        driving_minutes: f64,
        charging_minutes: f64,
        waiting_minutes: f64,
        price: f64,
        stops: Vec<StopAnswer>,
    },
    Infeasible {
        feasible: bool,
        reason: String,
    },
}

#[derive(Serialize)]
pub struct StopAnswer {
    station: String,
    connector: String,
    arrive: String,
    start: String,
    end: String,
    arrive_kwh: f64,
    leave_kwh: f64,
}

impl Names {
    pub fn new(stations: &[(String, Vec<String>)]) -> Self {
        Self(stations.to_vec())
    }

    fn place(&self, place: Place) -> String {
        match place {
            Place::Waypoint(0) => "the origin".to_owned(),
            Place::Waypoint(number) => format!("via[{}]", number - 1),
            Place::Station(station) => self.0[station].0.clone(),
        }
    }
}

impl Answer {
    pub fn feasible(names: &Names, plan: &Itinerary) -> Self {
        let stop = |stop: &Stop| StopAnswer {
            station: names.0[stop.station].0.clone(),
            connector: names.0[stop.station].1[stop.evse].clone(),
            arrive: instant::format(stop.arrive),
            start: instant::format(stop.start),
            end: instant::format(stop.end),
            arrive_kwh: rounded(stop.arrive_kwh),
            leave_kwh: rounded(stop.leave_kwh),
        };
        Self::Feasible {
            feasible: true,
            arrival: instant::format(plan.arrival),
            driving_minutes: rounded(plan.driving_minutes),
            charging_minutes: rounded(plan.charging_minutes),
            waiting_minutes: rounded(plan.waiting_minutes),
            price: rounded(plan.price),
            stops: plan.stops.iter().map(stop).collect(),
        }
    }

    pub fn infeasible(names: &Names, obstacle: &Obstacle) -> Self {
        let reason = match obstacle {
            Obstacle::OutOfReach { after, next, next_km, range_km, .. } => format!(
                "no charger within reach after {}: to {} it is {next_km:.0} km, the charge lasts for {range_km:.0} km",
                names.place(*after),
                names.place(*next)
            ),
            Obstacle::NoFreeWindow { after } => {
                format!("no free window is long enough after {}", names.place(*after))
            }
            other => other.to_string(),
        };
        Self::Infeasible { feasible: false, reason }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Infeasible { reason, .. } => writeln!(f, "no plan: {reason}"),
            Self::Feasible {
                arrival,
                driving_minutes,
                charging_minutes,
                waiting_minutes,
                price,
                stops,
                ..
            } => {
                for stop in stops {
                    let StopAnswer { station, connector, arrive, start, end, arrive_kwh, leave_kwh } = stop;
                    writeln!(
                        f,
                        "{station} {connector}: arrive {arrive}, charge from {start} to {end}, {arrive_kwh:.1} to {leave_kwh:.1} kWh"
                    )?;
                }
                writeln!(
                    f,
                    "arrive {arrival}: {driving_minutes:.0} min at the wheel, {charging_minutes:.0} charging, \
                     {waiting_minutes:.0} waiting, BRL {price:.2}"
                )
            }
        }
    }
}

// To a millionth, which leaves out what binary fractions add.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}
