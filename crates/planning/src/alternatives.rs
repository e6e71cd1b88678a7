//! What else there is: other plans, and other stations for a stop.

use crate::itinerary::{Backup, Itinerary};
use crate::legs::Legs;
use crate::obstacle::Obstacle;
use crate::outlook::Outlook;
use crate::problem::Problem;

/// Other stations for each stop.
const BACKUPS: usize = 2;
/// Longest wait at a station that takes the place of a stop, in minutes.
const WAIT_MINUTES_MAX: f64 = 30.0;

impl Outlook {
    /// Up to `count` other plans, the best first, each of which differs from `best` and from each other in a stop at
    /// least. Fewer where there are no more.
    ///
    /// # Errors
    /// [`Obstacle::Withdrawn`].
    pub fn alternatives(
        &self,
        problem: &Problem,
        legs: &dyn Legs,
        best: &Itinerary,
        count: usize,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Itinerary>, Obstacle> {
        let mut found: Vec<Itinerary> = Vec::new();
        if count == 0 {
            return Ok(found);
        }
        // Whatever differs in a stop does without one of them.
        for without in &best.stops {
            let mut other = problem.clone();
            other.stations[without.station].evses.iter_mut().for_each(|evse| evse.free.clear());
            match self.plan(&other, legs, stop) {
                Ok(plan) if found.iter().all(|known| stations(known) != stations(&plan)) => found.push(plan),
                Err(Obstacle::Withdrawn) => return Err(Obstacle::Withdrawn),
                Ok(_) | Err(_) => {}
            }
        }
        found.sort_by(|a, b| cost(problem, a).total_cmp(&cost(problem, b)));
        found.truncate(count);
        Ok(found)
    }
}

fn stations(plan: &Itinerary) -> Vec<usize> {
    plan.stops.iter().map(|stop| stop.station).collect()
}

fn cost(problem: &Problem, plan: &Itinerary) -> f64 {
    let objective = &problem.settings.objective;
    let penalties: f64 = plan.stops.iter().map(|stop| problem.stations[stop.station].penalty_minutes).sum();
    plan.minutes()
        + objective.price_weight * plan.price
        + objective.stop_minutes * plan.stops.len() as f64
        + penalties
}

/// Stations that can be reached as the stop can, and that lead to the next place in a window that is free.
pub fn add_backups(outlook: &Outlook, problem: &Problem, legs: &dyn Legs, plan: &mut Itinerary) {
    let points: Vec<usize> = plan.stops.iter().map(|stop| problem.waypoints() + stop.station).collect();
    for at in 0..plan.stops.len() {
        let vias_before = at.checked_sub(1).map_or(0, |before| plan.stops[before].vias);
        let vias_after = plan.stops.get(at + 1).map_or(problem.vias, |next| next.vias);
        let own = &plan.stops[at];
        let from = match own.vias > vias_before {
            true => own.vias,
            false => at.checked_sub(1).map_or(0, |before| points[before]),
        };
        let to = match vias_after > own.vias {
            true => own.vias + 1,
            false => points.get(at + 1).copied().unwrap_or(problem.waypoints() - 1),
        };
        let Some(way) = Way::of(problem, legs, plan, at, from, to) else { continue };
        let others = (0..problem.stations.len()).filter(|one| !points.contains(&(problem.waypoints() + one)));
        let mut backups: Vec<(f64, Backup)> =
            others.filter_map(|station| way.backup(outlook, problem, legs, station)).collect();
        backups.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        plan.stops[at].backups = backups.into_iter().take(BACKUPS).map(|(_, backup)| backup).collect();
    }
}

// From the place before a stop to the one after it.
struct Way {
    from: usize,
    to: usize,
    // On leaving `from`.
    minutes: f64,
    kwh: f64,
    // On arriving at `to`.
    needed_kwh: f64,
    drive_minutes: f64,
}

impl Way {
    fn of(
        problem: &Problem,
        legs: &dyn Legs,
        plan: &Itinerary,
        at: usize,
        from: usize,
        to: usize,
    ) -> Option<Self> {
        let stop = &plan.stops[at];
        let point = problem.waypoints() + stop.station;
        let (there, on) = (legs.leg(from, point)?, legs.leg(point, to)?);
        Some(Self {
            from,
            to,
            minutes: problem.minutes(stop.arrive) - there.minutes,
            kwh: stop.arrive_kwh + there.kwh,
            needed_kwh: stop.leave_kwh - on.kwh,
            drive_minutes: there.minutes + on.minutes,
        })
    }

    // The EVSE of a station with which the car is soonest at the next place, and when that is.
    fn backup(
        &self,
        outlook: &Outlook,
        problem: &Problem,
        legs: &dyn Legs,
        station: usize,
    ) -> Option<(f64, Backup)> {
        let point = problem.waypoints() + station;
        let there = legs.leg(self.from, point)?;
        let arrive_kwh = self.kwh - there.kwh;
        if arrive_kwh < problem.vehicle.reserve_kwh() {
            return None;
        }
        let on = legs.leg(point, self.to)?;
        let leave_kwh = (self.needed_kwh + on.kwh).max(arrive_kwh);
        if leave_kwh > problem.vehicle.usable_kwh() {
            return None;
        }
        let arrive = self.minutes + there.minutes;
        let settings = &problem.settings;
        let done = |evse: usize| {
            let tables = outlook.tables[station][evse].iter().flatten();
            let charging = tables.map(|table| table.between(arrive_kwh, leave_kwh)).min_by(f64::total_cmp)?;
            let stay = settings.setup_minutes + charging;
            let windows = problem.stations[station].evses[evse].free.iter();
            // Soon enough to be of use: nobody waits hours at a charger that was not wanted.
            let begins = windows.filter_map(|window| {
                let opens = problem.minutes(window.start()).max(arrive);
                let fits = opens + stay + settings.buffer_minutes <= problem.minutes(window.end());
                (fits && opens <= arrive + WAIT_MINUTES_MAX).then_some(opens)
            });
            Some((begins.min_by(f64::total_cmp)? + stay, evse))
        };
        let evses = (0..problem.stations[station].evses.len()).filter_map(done);
        let (leaves, evse) = evses.min_by(|(one, _), (other, _)| one.total_cmp(other))?;
        let detour_minutes = there.minutes + on.minutes - self.drive_minutes;
        Some((leaves + on.minutes, Backup { station, evse, detour_minutes }))
    }
}
