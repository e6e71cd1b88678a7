//! Leaves the grid of charge: moves charge between the stops of a path, as long as the car arrives sooner.
//!
//! The search charges to parts of a hundredth of the battery, once more at each stop than is needed, and misses windows
//! into which it fits exactly. What is best off the grid lies where something changes: what the next drive needs, a
//! corner of a charging curve, a window that is filled, a wait that is used. These are tried stop by stop.

use crate::battery::ChargeTable;
use crate::legs::Legs;
use crate::outlook::Outlook;
use crate::problem::Problem;
use crate::search::{Choice, ROUNDING_MINUTES};

/// Rounds over all stops.
const ROUNDS_MAX: usize = 20;
/// What is worth another round, in minutes.
const WORTH_MINUTES: f64 = 1e-3;
/// Differences of minutes and kWh that come from adding up.
const NOTHING: f64 = 1e-9;
/// Corners of the charging tables that are tried to either side.
const CORNERS: i8 = 6;
/// Steps beside the corners, in hundredths of the battery.
const STEPS: [f64; 4] = [0.02, 0.05, 0.1, 0.25];

/// The same stops with charges that bring the car to the destination soonest, and what that comes to, in minutes.
/// Where money counts the path stays as it is: the search has chosen its times by their prices.
pub fn refine(
    outlook: &Outlook,
    problem: &Problem,
    legs: &dyn Legs,
    path: Vec<Choice>,
) -> (Vec<Choice>, f64) {
    let objective = &problem.settings.objective;
    if objective.price_weight != 0.0 {
        return (path, f64::INFINITY);
    }
    let found = Route::along(outlook, problem, legs, &path).and_then(|route| route.best(&path));
    let Some((targets, drive)) = found else {
        return (path, f64::INFINITY);
    };
    let penalty = |choice: &Choice| problem.stations[choice.station].penalty_minutes + objective.stop_minutes;
    let cost = drive.arrival + path.iter().map(penalty).sum::<f64>();
    let changed = path.iter().zip(targets).zip(&drive.stays);
    let refined = changed.map(|((choice, to_kwh), stay)| Choice { to_kwh, start: stay.start, ..*choice });
    (refined.collect(), cost)
}

// A path, and what limits the charges along it.
struct Route<'a> {
    problem: &'a Problem,
    // Before, between and after the stops.
    sections: Vec<Section>,
    places: Vec<Place<'a>>,
}

#[derive(Default)]
struct Section {
    minutes: f64,
    kwh: f64,
    // To leave with at least.
    needs_kwh: f64,
}

struct Place<'a> {
    table: &'a ChargeTable,
    // In minutes from the departure.
    free: Vec<(f64, f64)>,
}

struct Drive {
    stays: Vec<Stay>,
    arrival: f64,
}

struct Stay {
    arrive: f64,
    arrive_kwh: f64,
    start: f64,
}

impl<'a> Route<'a> {
    fn along(outlook: &'a Outlook, problem: &'a Problem, legs: &dyn Legs, path: &[Choice]) -> Option<Self> {
        let reserve_kwh = problem.vehicle.reserve_kwh();
        let (mut point, mut passed) = (0, 0);
        let mut section = |vias: usize, end: usize, end_kwh: f64| {
            let mut section = Section::default();
            let by = (passed + 1..=vias).map(|via| (via, reserve_kwh));
            for (to, least_kwh) in by.chain([(end, end_kwh)]) {
                let leg = legs.leg(point, to)?;
                section.minutes += leg.minutes;
                section.kwh += leg.kwh;
                section.needs_kwh = section.needs_kwh.max(section.kwh + least_kwh);
                point = to;
            }
            passed = vias;
            Some(section)
        };
        let (mut sections, mut places) = (Vec::new(), Vec::new());
        for choice in path {
            sections.push(section(choice.vias, problem.waypoints() + choice.station, reserve_kwh)?);
            let table = outlook.tables[choice.station][choice.evse][choice.connector].as_deref()?;
            let windows = problem.stations[choice.station].evses[choice.evse].free.iter();
            let free = windows.map(|free| (problem.minutes(free.start()), problem.minutes(free.end())));
            places.push(Place { table, free: free.collect() });
        }
        let arrive_kwh = problem.arrive_kwh.max(reserve_kwh);
        sections.push(section(problem.vias, problem.waypoints() - 1, arrive_kwh)?);
        Some(Self { problem, sections, places })
    }

    // From the charges of the path to better ones, until none is.
    fn best(&self, path: &[Choice]) -> Option<(Vec<f64>, Drive)> {
        let mut targets: Vec<f64> = path.iter().map(|choice| choice.to_kwh).collect();
        let mut best = self.drive(&targets)?;
        for _ in 0..ROUNDS_MAX {
            let before = best.arrival;
            for at in 0..targets.len() {
                for target in self.candidates(&best, targets[at], at) {
                    let known = std::mem::replace(&mut targets[at], target);
                    match self.drive(&targets) {
                        Some(drive) if drive.arrival < best.arrival - NOTHING => best = drive,
                        _ => targets[at] = known,
                    }
                }
            }
            if best.arrival > before - WORTH_MINUTES {
                break;
            }
        }
        Some((targets, best))
    }

    // With these charges, each stop in the first window into which it fits; none if one fits into none, or a drive is
    // too long.
    fn drive(&self, targets: &[f64]) -> Option<Drive> {
        let settings = &self.problem.settings;
        let (mut minutes, mut kwh) = (0.0, self.problem.charge_kwh);
        let mut stays = Vec::with_capacity(targets.len());
        for (at, section) in self.sections.iter().enumerate() {
            if kwh < section.needs_kwh - NOTHING {
                return None;
            }
            kwh -= section.kwh;
            minutes += section.minutes;
            let (Some(place), Some(target)) = (self.places.get(at), targets.get(at)) else { break };
            let to_kwh = target.max(kwh);
            let stay = settings.setup_minutes + place.table.between(kwh, to_kwh);
            let needs = stay + settings.buffer_minutes + ROUNDING_MINUTES - NOTHING;
            let starts = place.free.iter().map(|(opens, closes)| (minutes.max(*opens), closes));
            let start =
                starts.filter(|(start, closes)| start + needs <= **closes).map(|(start, _)| start).next()?;
            if start > minutes + settings.wait_minutes_max {
                return None;
            }
            stays.push(Stay { arrive: minutes, arrive_kwh: kwh, start });
            (minutes, kwh) = (start + stay, to_kwh);
        }
        Some(Drive { stays, arrival: minutes })
    }

    // Charges at which something changes.
    fn candidates(&self, drive: &Drive, target: f64, at: usize) -> Vec<f64> {
        let (settings, step_kwh) = (&self.problem.settings, self.problem.vehicle.step_kwh());
        let (place, stay, next) = (&self.places[at], &drive.stays[at], &self.sections[at + 1]);
        let mut charges = vec![next.needs_kwh];
        // As much as each window takes.
        let aside = settings.setup_minutes + settings.buffer_minutes + ROUNDING_MINUTES;
        let filled = place.free.iter().map(|(opens, closes)| closes - aside - stay.arrive.max(*opens));
        charges.extend(
            filled
                .filter(|minutes| *minutes > 0.0)
                .map(|minutes| place.table.after(stay.arrive_kwh, minutes)),
        );
        // As long as the next charger is taken.
        if let Some(then) = drive.stays.get(at + 1) {
            charges.push(place.table.after(target, then.start - then.arrive));
        }
        // The corners of this table, and of the next.
        for from_kwh in [0.0, next.kwh] {
            let level = ((target - from_kwh) / step_kwh).floor();
            charges
                .extend((-CORNERS..=CORNERS + 1).map(|more| from_kwh + (level + f64::from(more)) * step_kwh));
        }
        charges.extend(STEPS.iter().flat_map(|step| [target - step * step_kwh, target + step * step_kwh]));
        let possible = next.needs_kwh.max(stay.arrive_kwh)..=self.problem.vehicle.usable_kwh();
        charges.retain(|kwh| possible.contains(kwh));
        charges
    }
}
