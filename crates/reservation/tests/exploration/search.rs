//! Breadth first through all worlds, so that the first violation found has the shortest trace.

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use crate::invariants::{self, Outline};
use crate::node::What;
use crate::scenario::{COMPANIES, Scenario};
use crate::world::{Happening, Message, Mixer, Universe, World};

type Worlds = HashSet<World, BuildHasherDefault<Mixer>>;

/// How large a space was.
#[derive(Clone, Debug)]
pub struct Report {
    pub name: &'static str,
    pub worlds: usize,
    pub transitions: u64,
    pub depth: usize,
    /// Different states of single companies: how often the shipped rules really ran.
    pub company_states: usize,
    pub healed: usize,
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, worlds, transitions, depth, company_states, healed, took } = self;
        let seconds = took.as_secs_f64();
        write!(
            f,
            "{name}: {worlds} states, {transitions} transitions, depth {depth}, {company_states} company states, \
             {healed} healings, {seconds:.1} s"
        )
    }
}

/// A broken rule and the shortest way there.
#[derive(Clone, Debug)]
pub struct Violation {
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (number, line) in self.trace.iter().enumerate() {
            writeln!(f, "  {:2}. {line}", number + 1)?;
        }
        Ok(())
    }
}

/// Visits every reachable world.
pub fn explore(scenario: Scenario) -> Result<Report, Violation> {
    #[expect(clippy::disallowed_methods, reason = "only the report says how long it took")]
    let began = std::time::Instant::now();
    let mut search = Search::new(scenario);
    let (depth, transitions) = search.run()?;
    Ok(Report {
        name: search.universe.scenario.name,
        worlds: search.seen.len(),
        transitions,
        depth,
        company_states: search.universe.node_count(),
        healed: search.healed.len(),
        took: began.elapsed(),
    })
}

/// What companies hold and know in all reachable worlds, leaving aside which messages are on their way and which votes
/// were counted.
pub fn reachable(scenario: Scenario) -> HashSet<[Outline; COMPANIES]> {
    let mut search = Search::new(scenario);
    search.run().unwrap();
    let outline = |world: &World| [0, 1, 2].map(|company| search.universe.info(world, company).outline());
    search.seen.iter().map(outline).collect()
}

struct Search {
    universe: Universe,
    seen: Worlds,
    levels: Vec<Vec<World>>,
    healed: HashSet<[u32; COMPANIES], BuildHasherDefault<Mixer>>,
}

impl Search {
    fn new(scenario: Scenario) -> Self {
        let mut universe = Universe::new(scenario);
        let mut start = universe.start();
        for trip in 0..universe.scenario.settled {
            start = settle(&mut universe, &start, trip);
        }
        let seen = Worlds::from_iter([start]);
        Self { universe, seen, levels: vec![vec![start]], healed: HashSet::default() }
    }

    fn run(&mut self) -> Result<(usize, u64), Violation> {
        let mut transitions = 0;
        let mut events = Vec::new();
        while let Some(level) = self.levels.last().filter(|level| !level.is_empty()) {
            let level = level.clone();
            let mut next = Vec::new();
            for world in &level {
                if let Some(what) = self.unhealed(world) {
                    return Err(self.explain(*world, what, None));
                }
                let mut broken = None;
                self.universe.successors(world, &mut events, |universe, after, happening, step| {
                    transitions += 1;
                    let is_new = self.seen.insert(after);
                    if broken.is_none() {
                        let what = step.map(|what| what.to_string());
                        let what = what
                            .or_else(|| is_new.then(|| invariants::violation(universe, &after)).flatten());
                        broken = what.map(|what| (what, after, happening));
                    }
                    if is_new {
                        next.push(after);
                    }
                });
                if let Some((what, after, happening)) = broken {
                    return Err(self.explain(*world, what, Some((after, happening))));
                }
            }
            self.levels.push(next);
        }
        Ok((self.levels.len() - 2, transitions))
    }

    // Even if every message sent so far is lost, what is repeated by itself must settle everything.
    fn unhealed(&mut self, world: &World) -> Option<String> {
        if !self.universe.scenario.heals || !self.healed.insert(world.nodes) {
            return None;
        }
        let healed = heal(&mut self.universe, &World { sent: 0, ..*world });
        invariants::violation(&self.universe, &healed)
            .or_else(|| invariants::unhealed(&self.universe, &healed))
    }

    fn explain(&mut self, last: World, what: String, end: Option<(World, Happening)>) -> Violation {
        let mut trace: Vec<String> = Vec::new();
        if let Some((after, happening)) = end {
            trace.push(describe(&self.universe, &last, &after, happening));
        }
        let level = self.levels.iter().position(|level| level.contains(&last)).unwrap();
        let mut target = last;
        let mut events = Vec::new();
        for depth in (0..level).rev() {
            let mut found = None;
            for before in self.levels[depth].clone() {
                self.universe.successors(&before, &mut events, |_, after, happening, _| {
                    if after == target && found.is_none() {
                        found = Some((before, happening));
                    }
                });
                if found.is_some() {
                    break;
                }
            }
            let (before, happening) = found.unwrap();
            trace.push(describe(&self.universe, &before, &target, happening));
            target = before;
        }
        trace.reverse();
        Violation { what, trace }
    }
}

/// Begins a trip and takes it to its end without faults.
fn settle(universe: &mut Universe, world: &World, trip: usize) -> World {
    let coordinator = universe.scenario.trips[trip].coordinator;
    let begin = universe.event(world, trip, What::Begin);
    let mut world = universe.after_flushed(world, coordinator, begin);
    let hold = universe.event(&world, trip, What::Hold(recarga_reservation::Firmness::Prepared));
    for company in universe.scenario.participants(trip) {
        world = universe.after_flushed(&world, company, hold);
        if company != coordinator {
            let vote = What::Vote { from: u8::try_from(company).unwrap(), yes: true };
            let vote = universe.event(&world, trip, vote);
            world = universe.after_flushed(&world, coordinator, vote);
        }
    }
    let decide = universe.event(&world, trip, What::Decide { in_time: true, yes: 0 });
    world = universe.after_flushed(&world, coordinator, decide);
    let settled = heal(universe, &world);
    let info = universe.info(&settled, coordinator);
    assert!(info.has_trip & !info.owing & (1 << trip) != 0, "trip {} did not settle", trip + 1);
    settled
}

/// Lets every timer run and every repeated message arrive until nothing changes any more.
fn heal(universe: &mut Universe, world: &World) -> World {
    let mut world = *world;
    for company in 0..COMPANIES {
        let flush = universe.event(&world, 0, What::Flush);
        world = universe.after_flushed(&world, company, flush);
    }
    loop {
        let before = world;
        for trip in 0..universe.scenario.trips.len() {
            world = heal_trip(universe, world, trip);
        }
        if world == before {
            return world;
        }
    }
}

fn heal_trip(universe: &mut Universe, mut world: World, trip: usize) -> World {
    let coordinator = universe.scenario.trips[trip].coordinator;
    if universe.info(&world, coordinator).history.begun[trip].is_none() {
        return world;
    }
    let at = |universe: &mut Universe, world: &mut World, company: usize, what: What| {
        let event = universe.event(world, trip, what);
        *world = universe.after_flushed(world, company, event);
    };
    at(universe, &mut world, coordinator, What::Decide { in_time: false, yes: 0 });
    at(universe, &mut world, coordinator, What::Sweep);
    at(universe, &mut world, coordinator, What::Expire);
    let remotes: Vec<usize> = universe.scenario.remotes(trip).collect();
    for remote in remotes {
        let by = u8::try_from(remote).unwrap();
        at(universe, &mut world, remote, What::Expire);
        if universe.info(&world, remote).prepared & (1 << trip) != 0 {
            at(universe, &mut world, coordinator, What::Inquiry { by });
        }
        let deliveries = [
            (Message::Abort, remote, What::Abort),
            (Message::Commit, remote, What::Commit),
            (Message::Release, remote, What::Release),
            (Message::Confirmed, coordinator, What::Confirmed { from: by }),
            (Message::Released, coordinator, What::Released { from: by }),
            (Message::Lost, coordinator, What::Lost { from: by }),
        ];
        for (message, company, what) in deliveries {
            if world.sent & universe.bit(trip, remote, message) != 0 {
                at(universe, &mut world, company, what);
            }
        }
    }
    world
}

fn describe(universe: &Universe, before: &World, after: &World, happening: Happening) -> String {
    let Happening { company, event, flushed } = happening;
    let name = Scenario::operator;
    let trip = event.trip + 1;
    let from = |who: u8| name(usize::from(who));
    let what = match event.what {
        What::Begin => format!("trip {trip} begins"),
        What::Hold(firmness) => format!("a request to hold for trip {trip} arrives ({firmness:?})"),
        What::Vote { from: who, yes } => {
            format!("the {} of {} for trip {trip} arrives", if yes { "yes" } else { "no" }, from(who))
        }
        What::Decide { in_time: true, .. } => format!("trip {trip} is decided"),
        What::Decide { in_time: false, .. } => format!("trip {trip} is decided after its time limit"),
        What::Withdraw => format!("the driver withdraws trip {trip}"),
        What::Cancel => format!("the driver cancels trip {trip}"),
        What::Commit => format!("hears that trip {trip} is committed"),
        What::Abort => format!("hears that trip {trip} is aborted"),
        What::Release => format!("hears that trip {trip} is cancelled"),
        What::Confirmed { from: who } => format!("{} acknowledges that trip {trip} is committed", from(who)),
        What::Released { from: who } => format!("{} acknowledges that trip {trip} is cancelled", from(who)),
        What::Lost { from: who } => {
            format!("{} answers that trip {trip} was released heuristically", from(who))
        }
        What::Inquiry { by } => format!("{} asks what became of trip {trip}", from(by)),
        What::Sweep => format!("repeats what it owes for trip {trip}"),
        What::Expire => format!("the time limit of the hold for trip {trip} passes"),
        What::ForceAbort => format!("an operator forces the release of trip {trip}"),
        What::GraceOver => "the windows start and the grace passes".to_owned(),
        What::ForgetTombstone => format!("forgets the tombstone of trip {trip}"),
        What::ForgetTrips => "forgets trips that owe nothing".to_owned(),
        What::Flush => "flushes".to_owned(),
        What::Crash => "loses power and restarts".to_owned(),
        What::Kill => "is killed and restarts with what was not yet flushed".to_owned(),
        What::Wipe => "loses its disk and restarts with an empty one".to_owned(),
        What::Copy => "copies its disk".to_owned(),
        What::PutBack => "loses its disk and restarts with the copy".to_owned(),
    };
    let said = said(universe, before, after);
    let then = if said.is_empty() { String::new() } else { format!(" -> {}", said.join(", ")) };
    let flush = if flushed { "" } else { " [nothing more is durable]" };
    format!("{}: {what}{then}{flush}", name(company))
}

fn said(universe: &Universe, before: &World, after: &World) -> Vec<String> {
    let new = after.sent & !before.sent;
    let mut said = Vec::new();
    for trip in 0..universe.scenario.trips.len() {
        let coordinator = universe.scenario.trips[trip].coordinator;
        for remote in universe.scenario.remotes(trip) {
            for message in Message::ALL {
                if new & universe.bit(trip, remote, message) != 0 {
                    let to_remote = matches!(message, Message::Abort | Message::Commit | Message::Release);
                    let to = Scenario::operator(if to_remote { remote } else { coordinator });
                    said.push(format!("{message:?} of trip {} to {to}", trip + 1));
                }
            }
        }
        let told = |world| universe.info(world, coordinator).history.clone();
        let (was, is) = (told(before), told(after));
        if is.told_commit & !was.told_commit & (1 << trip) != 0 {
            said.push(format!("the driver hears that trip {} is confirmed", trip + 1));
        }
        if is.told_abort & !was.told_abort & (1 << trip) != 0 {
            said.push(format!("the driver hears that trip {} is refused", trip + 1));
        }
    }
    said
}
