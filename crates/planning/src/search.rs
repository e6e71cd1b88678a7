//! The search itself: A* over (place, charge) in the order of what a plan will come to at least.
//!
//! A label is a way to be at a place with a charge at a time: on arriving, or ready to leave. What comes first from
//! the heap at the destination is the best plan on the grid of charge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::battery::{ChargeTable, LEVELS};
use crate::obstacle::Obstacle;
use crate::outlook::Outlook;
use crate::potential::NEVER;
use crate::problem::{Connector, Problem, Station};

/// Labels between two questions whether anybody still wants the plan.
const ASK_EVERY: usize = 2048;
/// Levels that the roundings of the potential can add up to.
const ROUNDINGS: usize = 5;
/// Labels after which the search looks less closely: some ten milliseconds. Where chargers have time to spare, it
/// needs a tenth of them.
const FINE_LABELS: usize = 10_000;
/// The same for the second look.
const COARSE_LABELS: usize = 30_000;
/// Instants have milliseconds: what fills a window to its end must not end after it for that.
const ROUNDING_MINUTES: f64 = 0.001;
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
    /// The best plan.
    Path(Vec<Choice>),
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
        Err(Obstacle::TooLarge { .. }) if all > FINE_LABELS => {}
        found => return found,
    }
    let coarse = [(1.03, 1.0, COARSE_LABELS), (1.2, 4.0, all)];
    for (foresight, minutes, labels) in coarse {
        let care = Care { labels_max: labels.min(all), ..Care::coarse(problem, foresight, minutes) };
        match attempt(outlook, problem, care, stop) {
            // What was left out may be what was needed.
            Err(Obstacle::TooLarge { .. }) | Ok(Found::Nothing(_)) => {}
            found => return found,
        }
    }
    attempt(outlook, problem, fine(all), stop)
}

fn attempt(
    outlook: &Outlook,
    problem: &Problem,
    care: Care,
    stop: &dyn Fn() -> bool,
) -> Result<Found, Obstacle> {
    let mut search = Search::new(outlook, problem, care);
    search.begin();
    let mut steps = 0;
    while let Some(Reverse((_, index))) = search.heap.pop() {
        steps += 1;
        if steps % ASK_EVERY == 0 && stop() {
            return Err(Obstacle::Withdrawn);
        }
        if search.labels.len() > search.care.labels_max {
            return Err(Obstacle::TooLarge { labels_max: search.care.labels_max });
        }
        let label = search.labels[index as usize];
        if !search.is_current(index, &label) {
            continue; // a better one came after it was put here
        }
        if label.node as usize == outlook.layout().destination() {
            return Ok(Found::Path(search.path(index)));
        }
        if label.is_leaving {
            search.drive(index, &label);
        } else {
            search.charge(index, &label);
        }
    }
    Ok(Found::Nothing(search.leaving.iter().map(|labels| !labels.is_empty()).collect()))
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

// How closely the search looks.
struct Care {
    // Charged to is every so many levels, and as much as a window allows.
    levels: usize,
    // By how much more than what is still ahead at least it is taken for: full calendars delay.
    foresight: f64,
    unnoticed: Unnoticed,
    labels_max: usize,
}

// By so much a label may be worse than another and still count as good. Without it, labels that differ by seconds and
// cents are all kept where money counts, and there are millions of them.
struct Unnoticed {
    kwh: f64,
    minutes: f64,
    extra: f64,
}

impl Unnoticed {
    const NOTHING: Unnoticed = Unnoticed { kwh: 0.0, minutes: 0.0, extra: 0.0 };
}

impl Care {
    fn fine(problem: &Problem) -> Self {
        let price_weight = problem.settings.objective.price_weight;
        let minutes = if price_weight > 0.0 { 0.5 } else { 0.02 };
        let kwh = problem.vehicle.step_kwh() * 0.2;
        let unnoticed = Unnoticed { kwh, minutes, extra: 0.05 * price_weight };
        Self { levels: 1, foresight: 1.0, unnoticed, labels_max: 0 }
    }

    fn coarse(problem: &Problem, foresight: f64, minutes: f64) -> Self {
        let extra = 0.1 * minutes * problem.settings.objective.price_weight;
        let unnoticed = Unnoticed { kwh: problem.vehicle.step_kwh(), minutes, extra };
        Self { levels: 5, foresight, unnoticed, labels_max: 0 }
    }
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
        let stops_left = self.problem.settings.stops_max - usize::from(label.stops);
        let (node, level) = (label.node as usize, self.outlook.estimate_level(label.kwh, label.is_leaving));
        let potential = &self.outlook.potential;
        let ahead = |level: usize| match label.is_leaving {
            true => potential.leaving(node, level, stops_left),
            false => potential.arriving(node, level, stops_left),
        };
        // Roundings add up along the way: what just does not suffice on the grid may suffice on the road.
        let near = level..LEVELS.min(level + ROUNDINGS);
        let Some(ahead) = near.map(ahead).find(|minutes| *minutes < NEVER) else { return };
        let front = if label.is_leaving { &mut self.leaving[node] } else { &mut self.arriving[node] };
        let (labels, unnoticed) = (&self.labels, &self.care.unnoticed);
        if front.iter().any(|other| labels[*other as usize].outdoes(&label, unnoticed)) {
            return;
        }
        front.retain(|other| !label.outdoes(&labels[*other as usize], &Unnoticed::NOTHING));
        let index = labels.len() as u32;
        front.push(index);
        let estimate = label.minutes + label.extra + f64::from(ahead) * self.care.foresight;
        self.heap.push(Reverse((estimate.max(0.0).to_bits(), index)));
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
        let mut reached = outlook.level(label.kwh) + 1;
        let latest = label.minutes + settings.wait_minutes_max;
        for at in first..self.free[station][evse].len().min(first + WINDOWS_MAX) {
            let (opens, closes) = self.free[station][evse][at];
            let starts = starts(problem, one, cable, label.minutes.max(opens), closes);
            for start in starts.into_iter().filter(|start| *start <= latest) {
                reached = self.charge_from(&stay, start, closes, reached);
            }
            if reached == LEVELS && settings.objective.price_weight == 0.0 {
                break;
            }
        }
    }

    // Charges to every level from the first that was not reached by now; says which is next.
    fn charge_from(&mut self, stay: &Stay, start: f64, closes: f64, mut reached: usize) -> usize {
        let Stay { station, cable, table, to } = stay;
        let settings = &self.problem.settings;
        let counts_money = settings.objective.price_weight > 0.0;
        let (step_kwh, charging) = (self.problem.vehicle.step_kwh(), start + settings.setup_minutes);
        let latest_end = closes - settings.buffer_minutes - ROUNDING_MINUTES;
        let (mut kwh, mut price) = (to.kwh, cable.tariff.activation);
        for level in self.outlook.level(to.kwh) + 1..LEVELS {
            let level_kwh = level as f64 * step_kwh;
            let level_end = charging + table.between(to.kwh, level_kwh);
            // Of the level that does not fit into the window any more, a part does.
            let is_cut = level_end > latest_end;
            let (to_kwh, end) = match is_cut {
                true => (table.after(to.kwh, latest_end - charging), latest_end),
                false => (level_kwh, level_end),
            };
            if is_cut && to_kwh <= kwh + 1e-6 {
                break;
            }
            if counts_money {
                let begins = charging + table.between(to.kwh, kwh);
                price += self.per_kwh(station, cable, begins) * (to_kwh - kwh);
            }
            kwh = to_kwh;
            let is_wanted = is_cut || level + 1 == LEVELS || level.is_multiple_of(self.care.levels);
            if is_wanted && (level >= reached || counts_money) {
                reached = reached.max(if is_cut { level } else { level + 1 });
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
