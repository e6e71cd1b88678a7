//! Why there is no plan.

use std::collections::VecDeque;

use recarga_reservation::Plug;
use thiserror::Error;

use crate::legs::Legs;
use crate::outlook::Outlook;
use crate::problem::Problem;

/// A point of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Origin (0), via points, destination.
    Waypoint(usize),
    /// By its index.
    Station(usize),
}

/// What is in the way of a plan.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Obstacle {
    /// The battery is below the reserve at the start.
    #[error("the battery holds less than the reserve")]
    BelowReserve,
    /// No station has a plug for the car.
    #[error("no station has one of the plugs {}", names(.plugs))]
    NoPlug {
        /// The car's.
        plugs: Vec<Plug>,
    },
    /// Beyond a place nothing is within reach, whether it is free or not.
    #[error("nothing is within reach after {after:?}")]
    OutOfReach {
        /// The farthest place on the way that can be reached.
        after: Place,
        /// What is next from there: a station that would help, or where the journey goes if none is nearer.
        next: Place,
        /// How far that is, in road km.
        next_km: f64,
        /// How far the charge lasts from there towards it, in road km.
        range_km: f64,
        /// And how far it would if the battery were full there. At a station it is.
        full_km: f64,
    },
    /// It takes more stops than allowed.
    #[error("it takes {needed} stops, and {allowed} are allowed")]
    TooManyStops {
        /// At least so many.
        needed: usize,
        /// The limit.
        allowed: usize,
    },
    /// Chargers are within reach, but none that leads on is free for long enough.
    #[error("no free window is long enough after {after:?}")]
    NoFreeWindow {
        /// The farthest place on the way from which the journey could go on in time.
        after: Place,
    },
    /// The search took more steps than allowed.
    #[error("the search was given up after {labels_max} steps")]
    TooLarge {
        /// The limit.
        labels_max: usize,
    },
    /// Nobody wants the plan any longer.
    #[error("withdrawn")]
    Withdrawn,
}

fn names(plugs: &[Plug]) -> String {
    plugs.iter().map(|plug| plug.name()).collect::<Vec<_>>().join(", ")
}

impl Obstacle {
    // The search found nothing: what would have had to be otherwise?
    pub(crate) fn find(outlook: &Outlook, problem: &Problem, legs: &dyn Legs, left: &[bool]) -> Obstacle {
        if problem.charge_kwh < outlook.reserve_kwh {
            return Obstacle::BelowReserve;
        }
        let reached = reach(outlook, problem);
        match reached[outlook.layout().destination()].map(|(needed, _)| needed) {
            Some(needed) if needed <= problem.settings.stops_max => {
                return Obstacle::NoFreeWindow { after: place(outlook, farthest(outlook, legs, left)) };
            }
            Some(needed) => {
                return Obstacle::TooManyStops { needed, allowed: problem.settings.stops_max };
            }
            None => {}
        }
        if !problem.stations.is_empty() && !(0..problem.stations.len()).any(|one| is_usable(outlook, one)) {
            return Obstacle::NoPlug { plugs: problem.vehicle.plugs().to_vec() };
        }
        let left: Vec<bool> = reached.iter().map(Option::is_some).collect();
        let last = farthest(outlook, legs, &left);
        gap(outlook, problem, legs, last, reached[last].map_or(problem.charge_kwh, |(_, kwh)| kwh))
    }
}

fn is_usable(outlook: &Outlook, station: usize) -> bool {
    outlook.tables[station].iter().flatten().any(Option::is_some)
}

// The fewest stops with which each node can be left, however many that are, and the most charge; calendars aside.
fn reach(outlook: &Outlook, problem: &Problem) -> Vec<Option<(usize, f64)>> {
    let layout = outlook.layout();
    let mut reached: Vec<Option<(usize, f64)>> = vec![None; layout.nodes()];
    reached[0] = Some((0, problem.charge_kwh));
    let mut queue = VecDeque::from([0]);
    while let Some(node) = queue.pop_front() {
        let Some((stops, kwh)) = reached[node] else { continue };
        for edge in &outlook.out[layout.point(node)] {
            let Some(next) = layout.arrival(layout.layer(node), edge.to as usize) else { continue };
            let left = kwh - f64::from(edge.kwh);
            let needed = if next == layout.destination() { outlook.arrive_kwh } else { outlook.reserve_kwh };
            let station = layout.station_of(next);
            if left < needed || station.is_some_and(|station| !is_usable(outlook, station)) {
                continue;
            }
            let now = match station {
                Some(_) => (stops + 1, problem.vehicle.usable_kwh()),
                None => (stops, left),
            };
            // Breadth first: a later visit has as many stops at least, so only more charge is news.
            if reached[next].is_none_or(|(_, known)| now.1 > known) {
                reached[next] = Some((reached[next].map_or(now.0, |(known, _)| known), now.1));
                queue.push_back(next);
            }
        }
    }
    reached
}

// Of the places that can be left, the one that is nearest to where the journey goes.
fn farthest(outlook: &Outlook, legs: &dyn Legs, left: &[bool]) -> usize {
    let layout = outlook.layout();
    let nodes = (0..layout.nodes()).filter(|node| *node != layout.destination() && left[*node]);
    let to_go = |node: usize| {
        let next = (layout.layer(node) + 1).min(layout.destination());
        legs.leg(layout.point(node), next).map_or(f64::INFINITY, |leg| leg.km)
    };
    let last = nodes
        .min_by(|a, b| layout.layer(*b).cmp(&layout.layer(*a)).then_with(|| to_go(*a).total_cmp(&to_go(*b))));
    last.unwrap_or(0)
}

fn place(outlook: &Outlook, node: usize) -> Place {
    outlook.layout().station_of(node).map_or(Place::Waypoint(node), Place::Station)
}

// From a node that can be left with so much, to the nearest place that is nearer to where the journey goes and too far.
fn gap(outlook: &Outlook, problem: &Problem, legs: &dyn Legs, node: usize, kwh: f64) -> Obstacle {
    let layout = outlook.layout();
    let (after, from) = (place(outlook, node), layout.point(node));
    let target = (layout.layer(node) + 1).min(layout.destination());
    let to_go = |point: usize| legs.leg(point, target).map_or(f64::INFINITY, |leg| leg.km);
    let own = to_go(from);
    let needed = |point: usize| match point == layout.destination() {
        true => outlook.arrive_kwh,
        false => outlook.reserve_kwh,
    };
    let stations = (0..layout.stations).filter(|station| is_usable(outlook, *station));
    let next = stations
        .map(|station| layout.waypoints + station)
        .filter(|point| *point != from && to_go(*point) < own)
        .chain([target])
        .filter_map(|point| Some((point, legs.leg(from, point)?)))
        .filter(|(point, leg)| leg.kwh + needed(*point) > kwh)
        .min_by(|(_, a), (_, b)| a.km.total_cmp(&b.km));
    let Some((point, leg)) = next else {
        let next = Place::Waypoint(target);
        return Obstacle::OutOfReach { after, next, next_km: own, range_km: 0.0, full_km: 0.0 };
    };
    let range = |kwh: f64| {
        let spare_kwh = (kwh - needed(point)).max(0.0);
        if leg.kwh > 0.0 { leg.km * spare_kwh / leg.kwh } else { 0.0 }
    };
    Obstacle::OutOfReach {
        after,
        next: place(outlook, point),
        next_km: leg.km,
        range_km: range(kwh),
        full_km: range(problem.vehicle.usable_kwh()),
    }
}
