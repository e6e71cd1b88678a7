//! The search itself: A* over (place, charge) in the order of what a plan will come to at least.
//!
//! A label is a way to be at a place with a charge at a time: on arriving, or ready to leave. What comes first from
//! the heap at the destination is the best plan on the grid of charge.

mod care;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::battery::{ChargeTable, LEVELS};
use crate::obstacle::Obstacle;
use crate::outlook::Outlook;
use crate::potential::NEVER;
use crate::problem::{Connector, Problem, Station};
use care::{Care, Unnoticed};

/// Labels between two questions whether anybody still wants the plan.
const ASK_EVERY: usize = 2048;
/// Levels that the roundings of the potential can add up to.
const ROUNDINGS: usize = 5;
/// Labels after which the search looks less closely: some ten milliseconds. Where chargers have time to spare, it
/// needs a tenth of them.
const FINE_LABELS: usize = 10_000;
/// The same for the second look.
const COARSE_LABELS: usize = 30_000;
/// Paths besides the best one that are worth a look off the grid: how many, how much worse on it, and after how many more
/// labels there are enough.
const PATHS_MAX: usize = 24;
const NEARLY: f64 = 1.03;
const LABELS_AFTER: usize = 1_500;
/// Labels for which it looks once more, more closely: a millisecond.
const CLOSER_LABELS: usize = 2_000;
/// Parts of a level at the closest.
const PARTS_MAX: usize = 16;
/// Instants have milliseconds: what fills a window to its end must not end after it for that.
pub(crate) const ROUNDING_MINUTES: f64 = 0.001;
/// Windows of one EVSE that are looked at for one arrival.
const WINDOWS_MAX: usize = 64;

/// One stop of the plan that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub station: usize,
    pub evse: usize,
    pub connector: usize,
    /// When the stay begins, in minutes from the departure.
    pub start: f64,
    /// To which is charged.
    pub to_kwh: f64,
    /// Via points behind.
    pub vias: usize,
}

#[derive(Clone, Copy, Debug)]
struct Label {
    node: u32,
    parent: u32,
    minutes: f64,
    // What counts beside time, in minutes.
    extra: f64,
    kwh: f64,
    stops: u8,
    is_leaving: bool,
    evse: u32,
    connector: u32,
    start: f64,
}

const NOBODY: u32 = u32::MAX;

// A car at a cable.
struct Stay<'p> {
    station: &'p Station,
    cable: &'p Connector,
    table: &'p ChargeTable,
    // As it came, but for what follows from staying.
    to: Label,
}

/// What a search comes to.
#[derive(Debug)]
pub enum Found {
    /// The best plan, and others that are hardly worse on the grid.
    Paths(Vec<Vec<Choice>>),
    /// There is none; these nodes could be left in time.
    Nothing(Vec<bool>),
}

/// Finds the best plan; where calendars are so full that looking at everything takes long, a good one.
///
/// # Errors
/// It was given up: too large, or not wanted any longer.
pub fn run(outlook: &Outlook, problem: &Problem, stop: &dyn Fn() -> bool) -> Result<Found, Obstacle> {
    let all = problem.settings.labels_max;
    let fine = |labels: usize| Care { labels_max: labels.min(all), ..Care::fine(problem) };
    match attempt(outlook, problem, fine(FINE_LABELS), stop) {
        Ok((found, labels)) => return closer(outlook, problem, (found, labels), stop),
        Err(Obstacle::TooLarge { .. }) if all > FINE_LABELS => {}
        Err(obstacle) => return Err(obstacle),
    }
    let coarse = [(1.03, 1.0, COARSE_LABELS), (1.2, 4.0, all)];
    for (foresight, minutes, labels) in coarse {
        let care = Care { labels_max: labels.min(all), ..Care::coarse(problem, foresight, minutes) };
        match attempt(outlook, problem, care, stop) {
            // What was left out may be what was needed.
            Err(Obstacle::TooLarge { .. }) | Ok((Found::Nothing(_), _)) => {}
            found => return found.map(|(found, _)| found),
        }
    }
    attempt(outlook, problem, fine(all), stop).map(|(found, _)| found)
}

// Whoever charges to whole levels only may just miss a window. Where the search was short it can look closer.
fn closer(
    outlook: &Outlook,
    problem: &Problem,
    (found, labels): (Found, usize),
    stop: &dyn Fn() -> bool,
) -> Result<Found, Obstacle> {
    let parts = (CLOSER_LABELS / labels.max(1)).min(PARTS_MAX);
    if parts < 2 || problem.settings.objective.price_weight > 0.0 {
        return Ok(found);
    }
    let labels_max = (4 * CLOSER_LABELS).min(problem.settings.labels_max);
    match attempt(outlook, problem, Care { labels_max, ..Care::closer(problem, parts) }, stop) {
        Err(Obstacle::TooLarge { .. }) => Ok(found),
        Err(obstacle) => Err(obstacle),
        Ok((nearer, _)) => Ok(found.and(nearer)),
    }
}

impl Found {
    // What was found twice.
    fn and(self, other: Found) -> Found {
        match (self, other) {
            (Found::Paths(mut paths), Found::Paths(more)) => {
                paths.extend(more);
                Found::Paths(paths)
            }
            (paths @ Found::Paths(_), Found::Nothing(_)) => paths,
            (Found::Nothing(_), found) => found,
        }
    }
}

// What is found, and how many labels it took.
fn attempt(
    outlook: &Outlook,
    problem: &Problem,
    care: Care,
    stop: &dyn Fn() -> bool,
) -> Result<(Found, usize), Obstacle> {
    let mut search = Search::new(outlook, problem, care);
    let mut paths = Paths::wanted(problem);
    search.begin();
    let mut steps = 0;
    while let Some(Reverse((estimate, index))) = search.heap.pop() {
        steps += 1;
        if steps % ASK_EVERY == 0 && stop() {
            return Err(Obstacle::Withdrawn);
        }
        let labels = search.labels.len();
        if paths.are_enough(f64::from_bits(estimate), labels) {
            break;
        }
        if labels > search.care.labels_max {
            return Err(Obstacle::TooLarge { labels_max: search.care.labels_max });
        }
        let label = search.labels[index as usize];
        if label.node as usize == outlook.layout().destination() {
            paths.add(search.path(index), f64::from_bits(estimate), labels);
        } else if !search.is_current(index, &label) {
            // A better one came after it was put here.
        } else if label.is_leaving {
            search.drive(index, &label);
        } else {
            search.charge(index, &label);
        }
    }
    let found = match paths.found.is_empty() {
        true => Found::Nothing(search.leaving.iter().map(|labels| !labels.is_empty()).collect()),
        false => Found::Paths(paths.found),
    };
    Ok((found, search.labels.len()))
}

// Paths to the destination that differ in a stop, the best on the grid first.
struct Paths {
    found: Vec<Vec<Choice>>,
    paths_max: usize,
    // Until when more are looked for, once there is one.
    cost_max: f64,
    labels_max: usize,
}

impl Paths {
    fn wanted(problem: &Problem) -> Self {
        // Where money counts they are not looked at off the grid.
        let paths_max = if problem.settings.objective.price_weight > 0.0 { 1 } else { PATHS_MAX };
        Self { found: Vec::new(), paths_max, cost_max: f64::INFINITY, labels_max: usize::MAX }
    }

    fn are_enough(&self, cost: f64, labels: usize) -> bool {
        self.found.len() >= self.paths_max || cost > self.cost_max || labels > self.labels_max
    }

    fn add(&mut self, path: Vec<Choice>, cost: f64, labels: usize) {
        if self.found.is_empty() {
            (self.cost_max, self.labels_max) = (cost * NEARLY, labels + LABELS_AFTER);
        }
        if !self.found.iter().any(|known| has_the_same_stops(known, &path)) {
            self.found.push(path);
        }
    }
}

fn has_the_same_stops(one: &[Choice], other: &[Choice]) -> bool {
    let place = |choice: &Choice| (choice.station, choice.evse, choice.connector);
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| place(a) == place(b))
}

struct Search<'a> {
    outlook: &'a Outlook,
    problem: &'a Problem,
    // Free windows in minutes from the departure, by station and EVSE.
    free: Vec<Vec<Vec<(f64, f64)>>>,
    labels: Vec<Label>,
    // By estimate, as bits: they sort like the numbers, as none is negative.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    // The labels of each node that no other one of it outdoes.
    arriving: Vec<Vec<u32>>,
    leaving: Vec<Vec<u32>>,
    care: Care,
}

impl<'a> Search<'a> {
    fn new(outlook: &'a Outlook, problem: &'a Problem, care: Care) -> Self {
        let window = |window: &recarga_reservation::TimeWindow| {
            (problem.minutes(window.start()), problem.minutes(window.end()))
        };
        let free = |station: &Station| {
            station.evses.iter().map(|evse| evse.free.iter().map(window).collect()).collect()
        };
        let nodes = outlook.layout().nodes();
        Self {
            outlook,
            problem,
            free: problem.stations.iter().map(free).collect(),
            labels: Vec::new(),
            heap: BinaryHeap::new(),
            arriving: vec![Vec::new(); nodes],
            leaving: vec![Vec::new(); nodes],
            care,
        }
    }

    fn begin(&mut self) {
        self.push(Label {
            node: 0,
            parent: NOBODY,
            minutes: 0.0,
            extra: 0.0,
            kwh: self.problem.charge_kwh,
            stops: 0,
            is_leaving: true,
            evse: 0,
            connector: 0,
            start: 0.0,
        });
    }

    fn push(&mut self, label: Label) {
        let node = label.node as usize;
        if node == self.outlook.layout().destination() {
            // None of them is outdone: off the grid the worse may be the better.
            self.queue(label, 0.0);
            return;
        }
        let stops_left = self.problem.settings.stops_max - usize::from(label.stops);
        let level = self.outlook.estimate_level(label.kwh, label.is_leaving) + self.care.leniency;
        let potential = &self.outlook.potential;
        let ahead = |level: usize| match label.is_leaving {
            true => potential.leaving(node, level, stops_left),
            false => potential.arriving(node, level, stops_left),
        };
        // Roundings add up along the way: what just does not suffice on the grid may suffice on the road.
        let near = level.min(LEVELS - 1)..LEVELS.min(level + ROUNDINGS);
        let Some(ahead) = near.map(ahead).find(|minutes| *minutes < NEVER) else { return };
        let front = if label.is_leaving { &mut self.leaving[node] } else { &mut self.arriving[node] };
        let (labels, unnoticed) = (&self.labels, &self.care.unnoticed);
        if front.iter().any(|other| labels[*other as usize].outdoes(&label, unnoticed)) {
            return;
        }
        front.retain(|other| !label.outdoes(&labels[*other as usize], &Unnoticed::NOTHING));
        front.push(labels.len() as u32);
        self.queue(label, f64::from(ahead) * self.care.foresight);
    }

    fn queue(&mut self, label: Label, ahead: f64) {
        let estimate = label.minutes + label.extra + ahead;
        self.heap.push(Reverse((estimate.max(0.0).to_bits(), self.labels.len() as u32)));
        self.labels.push(label);
    }

    fn is_current(&self, index: u32, label: &Label) -> bool {
        let fronts = if label.is_leaving { &self.leaving } else { &self.arriving };
        fronts[label.node as usize].contains(&index)
    }

    fn drive(&mut self, index: u32, label: &Label) {
        let outlook = self.outlook;
        let layout = outlook.layout();
        let node = label.node as usize;
        let layer = layout.layer(node);
        for edge in &outlook.out[layout.point(node)] {
            let Some(next) = layout.arrival(layer, edge.to as usize) else { continue };
            let needed = if next == layout.destination() { outlook.arrive_kwh } else { outlook.reserve_kwh };
            let kwh = label.kwh - f64::from(edge.kwh);
            if kwh < needed {
                continue;
            }
            // A way point is passed: who arrives leaves.
            let passes = layout.station_of(next).is_none() && next != layout.destination();
            self.push(Label {
                node: next as u32,
                parent: index,
                minutes: label.minutes + f64::from(edge.minutes),
                kwh,
                is_leaving: passes,
                ..*label
            });
        }
    }

    fn charge(&mut self, index: u32, label: &Label) {
        let Some(station) = self.outlook.layout().station_of(label.node as usize) else { return };
        if usize::from(label.stops) >= self.problem.settings.stops_max {
            return;
        }
        let problem = self.problem;
        for (evse, one) in problem.stations[station].evses.iter().enumerate() {
            for (connector, cable) in one.connectors.iter().enumerate() {
                self.charge_at(index, label, (station, evse, connector), cable);
            }
        }
    }

    fn charge_at(
        &mut self,
        index: u32,
        label: &Label,
        (station, evse, connector): (usize, usize, usize),
        cable: &Connector,
    ) {
        let (problem, outlook) = (self.problem, self.outlook);
        let Some(table) = &outlook.tables[station][evse][connector] else { return };
        let (settings, one) = (&problem.settings, &problem.stations[station]);
        let to = Label { parent: index, evse: evse as u32, connector: connector as u32, ..*label };
        let stay = Stay { station: one, cable, table, to };
        let first = self.free[station][evse].partition_point(|(_, end)| *end <= label.minutes);
        // What an earlier window allows is no better in a later one, unless money counts.
        let mut reached = self.part(label.kwh) + 1;
        let latest = label.minutes + settings.wait_minutes_max;
        for at in first..self.free[station][evse].len().min(first + WINDOWS_MAX) {
            let (opens, closes) = self.free[station][evse][at];
            let starts = starts(problem, one, cable, label.minutes.max(opens), closes);
            for start in starts.into_iter().filter(|start| *start <= latest) {
                reached = self.charge_from(&stay, start, closes, reached);
            }
            if reached == self.parts_end() && settings.objective.price_weight == 0.0 {
                break;
            }
        }
    }

    // Of a battery, one more than full.
    fn parts_end(&self) -> usize {
        (LEVELS - 1) * self.care.parts + 1
    }

    // A charge in parts, rounded down.
    fn part(&self, kwh: f64) -> usize {
        let parts = kwh / self.problem.vehicle.step_kwh() * self.care.parts as f64;
        ((parts + 1e-9).floor().max(0.0) as usize).min(self.parts_end() - 1)
    }

    // Charges to every part from the first that was not reached by now; says which is next.
    fn charge_from(&mut self, stay: &Stay, start: f64, closes: f64, mut reached: usize) -> usize {
        let Stay { station, cable, table, to } = stay;
        let settings = &self.problem.settings;
        let counts_money = settings.objective.price_weight > 0.0;
        let (part_kwh, charging) =
            (self.problem.vehicle.step_kwh() / self.care.parts as f64, start + settings.setup_minutes);
        let latest_end = closes - settings.buffer_minutes - ROUNDING_MINUTES;
        let (mut kwh, mut price) = (to.kwh, cable.tariff.activation);
        for part in self.part(to.kwh) + 1..self.parts_end() {
            let full_kwh = part as f64 * part_kwh;
            let full_end = charging + table.between(to.kwh, full_kwh);
            // Of the part that does not fit into the window any more, some does.
            let is_cut = full_end > latest_end;
            let (to_kwh, end) = match is_cut {
                true => (table.after(to.kwh, latest_end - charging), latest_end),
                false => (full_kwh, full_end),
            };
            if is_cut && to_kwh <= kwh + 1e-6 {
                break;
            }
            if counts_money {
                let begins = charging + table.between(to.kwh, kwh);
                price += self.per_kwh(station, cable, begins) * (to_kwh - kwh);
            }
            kwh = to_kwh;
            let is_wanted = is_cut || part + 1 == self.parts_end() || part.is_multiple_of(self.care.every);
            if is_wanted && (part >= reached || counts_money) {
                reached = reached.max(if is_cut { part } else { part + 1 });
                let extra = settings.objective.stop_minutes
                    + station.penalty_minutes
                    + settings.objective.price_weight * price;
                self.push(Label {
                    minutes: end,
                    extra: to.extra + extra,
                    kwh,
                    stops: to.stops + 1,
                    is_leaving: true,
                    start,
                    ..*to
                });
            }
            if is_cut {
                break;
            }
        }
        reached
    }

    fn per_kwh(&self, station: &Station, cable: &Connector, minutes: f64) -> f64 {
        cable.tariff.per_kwh_at(local_minute(self.problem, station, minutes))
    }

    fn path(&self, last: u32) -> Vec<Choice> {
        let layout = self.outlook.layout();
        let mut path = Vec::new();
        let mut at = last;
        while at != NOBODY {
            let label = &self.labels[at as usize];
            let node = label.node as usize;
            if let (true, Some(station)) = (label.is_leaving, layout.station_of(node)) {
                path.push(Choice {
                    station,
                    evse: label.evse as usize,
                    connector: label.connector as usize,
                    start: label.start,
                    to_kwh: label.kwh,
                    vias: layout.layer(node),
                });
            }
            at = label.parent;
        }
        path.reverse();
        path
    }
}

impl Label {
    // Whatever can follow on the other can follow on this, and is no worse but for what nobody notices.
    fn outdoes(&self, other: &Label, unnoticed: &Unnoticed) -> bool {
        self.stops <= other.stops
            && self.kwh >= other.kwh - unnoticed.kwh
            && self.minutes <= other.minutes + unnoticed.minutes
            && self.extra <= other.extra + unnoticed.extra
    }
}

/// The minute of the day at a station, so many minutes after the departure.
pub fn local_minute(problem: &Problem, station: &Station, minutes: f64) -> f64 {
    let departure = problem.departure.as_millis().rem_euclid(86_400_000) as f64 / 60_000.0;
    departure + minutes + f64::from(station.utc_offset_minutes)
}

// When a stay may begin: at once, or where money counts so that it charges from the moment at which a price changes.
fn starts(problem: &Problem, station: &Station, cable: &Connector, from: f64, closes: f64) -> Vec<f64> {
    let mut starts = vec![from];
    if problem.settings.objective.price_weight > 0.0 {
        let charging = local_minute(problem, station, from + problem.settings.setup_minutes);
        let changes = cable.tariff.bands.iter().flat_map(|band| [band.from_minute, band.to_minute]);
        let later = changes.map(|change| from + (f64::from(change) - charging).rem_euclid(1440.0));
        starts.extend(later.filter(|start| *start < closes));
    }
    starts
}
