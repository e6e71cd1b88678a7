//! The earliest arrival, enclosed between two bounds.
//!
//! For each number of stops, place and charge on a grid fifty times finer than the planner's: the earliest instant
//! with at least that charge. Charging and driving are one pass over the grid. Rounded against the driver it is a plan
//! that exists, rounded for the driver it is one that no true plan can beat; the truth lies between.

use recarga_planning::{ChargeTable, Legs, Problem, Station};

const FINE: usize = 5_000;

/// No plan arrives before the first, some plan arrives by the second; in minutes from the departure, none where there
/// is none. For the fastest objective without via points.
pub fn earliest(problem: &Problem, legs: &dyn Legs) -> (Option<f64>, Option<f64>) {
    (solve(problem, legs, Rounding::ForTheDriver), solve(problem, legs, Rounding::Against))
}

#[derive(Clone, Copy, PartialEq)]
enum Rounding {
    Against,
    ForTheDriver,
}

// The earliest instant with at least each charge.
type Front = Vec<f64>;

struct Grid<'a> {
    problem: &'a Problem,
    legs: &'a dyn Legs,
    rounding: Rounding,
    step: f64,
}

fn solve(problem: &Problem, legs: &dyn Legs, rounding: Rounding) -> Option<f64> {
    let step = problem.vehicle.usable_kwh() / FINE as f64;
    let grid = Grid { problem, legs, rounding, step };
    let mut start = vec![f64::INFINITY; FINE + 1];
    start[..=grid.down(problem.charge_kwh)].fill(0.0);
    let mut best = grid.arrive(&start, 0);
    let stations = problem.stations.len();
    let mut fronts: Vec<Front> = (0..stations).map(|to| grid.drive(&start, 0, 2 + to)).collect();
    for _ in 0..problem.settings.stops_max {
        let left: Vec<Front> = fronts
            .iter()
            .zip(&problem.stations)
            .map(|(front, station)| grid.charge(front, station))
            .collect();
        for (from, front) in left.iter().enumerate() {
            best = best.min(grid.arrive(front, 2 + from));
        }
        let mut next = vec![vec![f64::INFINITY; FINE + 1]; stations];
        for (from, front) in left.iter().enumerate() {
            for (to, known) in next.iter_mut().enumerate().filter(|(to, _)| *to != from) {
                for (known, new) in known.iter_mut().zip(grid.drive(front, 2 + from, 2 + to)) {
                    *known = known.min(new);
                }
            }
        }
        fronts = next;
    }
    best.is_finite().then_some(best)
}

impl Grid<'_> {
    // A charge as the driver has it: never more, or never less.
    fn down(&self, kwh: f64) -> usize {
        let place = kwh / self.step;
        match self.rounding {
            Rounding::Against => (place + 1e-9).floor() as usize,
            Rounding::ForTheDriver => (place - 1e-9).ceil().max(0.0) as usize,
        }
        .min(FINE)
    }

    // A charge that is taken from the driver or asked of him.
    fn up(&self, kwh: f64) -> usize {
        let place = kwh / self.step;
        match self.rounding {
            Rounding::Against => (place - 1e-9).ceil().max(0.0) as usize,
            Rounding::ForTheDriver => (place + 1e-9).floor() as usize,
        }
    }

    fn drive(&self, front: &Front, from: usize, to: usize) -> Front {
        let mut arrives = vec![f64::INFINITY; FINE + 1];
        let Some(leg) = self.legs.leg(from, to) else { return arrives };
        let (takes, least) = (self.up(leg.kwh), self.up(self.problem.vehicle.reserve_kwh()));
        let mut earliest = f64::INFINITY;
        for level in (0..=FINE).rev() {
            if let Some(minutes) = front.get(level + takes) {
                earliest = earliest.min(minutes + leg.minutes);
            }
            if level >= least {
                arrives[level] = earliest;
            }
        }
        // With at least less than the least is with at least the least.
        let at_least = arrives[least.min(FINE)];
        arrives[..least.min(FINE)].fill(at_least);
        arrives
    }

    fn arrive(&self, front: &Front, from: usize) -> f64 {
        let Some(leg) = self.legs.leg(from, 1) else { return f64::INFINITY };
        let least = self.problem.arrive_kwh.max(self.problem.vehicle.reserve_kwh());
        front.get(self.up(leg.kwh + least)).map_or(f64::INFINITY, |minutes| minutes + leg.minutes)
    }

    fn charge(&self, front: &Front, station: &Station) -> Front {
        let mut leaves = vec![f64::INFINITY; FINE + 1];
        let vehicle = &self.problem.vehicle;
        for evse in &station.evses {
            for cable in evse.connectors.iter().filter(|cable| vehicle.plugs().contains(&cable.plug)) {
                let table = cable.measured.clone().unwrap_or_else(|| vehicle.charge_table(cable.kw));
                for free in &evse.free {
                    let minutes = |at: recarga_reservation::Timestamp| {
                        (at.as_millis() - self.problem.departure.as_millis()) as f64 / 60_000.0
                    };
                    self.charge_within(
                        front,
                        &table,
                        minutes(free.start()),
                        minutes(free.end()),
                        &mut leaves,
                    );
                }
            }
        }
        let mut earliest = f64::INFINITY;
        for minutes in leaves.iter_mut().rev() {
            earliest = earliest.min(*minutes);
            *minutes = earliest;
        }
        leaves
    }

    fn charge_within(&self, front: &Front, table: &ChargeTable, opens: f64, closes: f64, leaves: &mut Front) {
        let from_empty = |level: usize| table.between(0.0, level as f64 * self.step);
        let settings = &self.problem.settings;
        let mut best = f64::INFINITY;
        for level in 0..=FINE {
            if front[level] < closes {
                best = best.min(front[level].max(opens) - from_empty(level));
            }
            let reached = match self.rounding {
                Rounding::Against => level,
                Rounding::ForTheDriver => level.saturating_sub(1),
            };
            let end = best + settings.setup_minutes + from_empty(reached);
            if end + settings.buffer_minutes <= closes {
                leaves[level] = leaves[level].min(end);
            }
        }
    }
}
