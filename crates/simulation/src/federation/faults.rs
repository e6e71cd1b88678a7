//! What goes wrong, when the seed says so; and the end of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use turmoil::Sim;

use crate::federation::clock::between;
use crate::federation::company::Company;
use crate::federation::history::History;
use crate::federation::settings::Settings;
use crate::federation::tally::Tally;

const TWO_HOURS_MILLIS: i64 = 2 * 3600 * 1000;
const SLOW: Duration = Duration::from_millis(250);
const USUAL: Duration = Duration::from_millis(10);

/// Whoever makes things go wrong.
pub struct Faults {
    settings: Settings,
    companies: Vec<Company>,
    history: History,
    rng: Rng,
    due: BTreeMap<(Duration, u64), Due>,
    planned: u64,
    down: BTreeMap<usize, Death>,
    links: BTreeMap<(usize, usize), Broken>,
    /// What was done.
    pub tally: Tally,
}

#[derive(Clone, Copy)]
enum Due {
    Strike,
    Start(usize),
    Mend(usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    Killed,
    PowerCut,
    CannotSync,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Both,
    OneWay,
    Held,
    Slow,
}

#[derive(Clone, Copy)]
enum Kind {
    Kill,
    PowerCut,
    RefuseSync,
    Partition,
    Hold,
    Slow,
    Jump,
}

impl Faults {
    /// Plans the first fault.
    pub fn new(settings: &Settings, companies: Vec<Company>, history: History) -> Self {
        let rng = Rng::with_seed(settings.seed.rotate_left(17));
        let mut faults = Self {
            settings: settings.clone(),
            companies,
            history,
            rng,
            due: BTreeMap::new(),
            planned: 0,
            down: BTreeMap::new(),
            links: BTreeMap::new(),
            tally: Tally::default(),
        };
        faults.plan(Duration::from_millis(100), Due::Strike);
        faults
    }

    /// Does what is due by now. To be called after every step.
    pub fn act(&mut self, sim: &mut Sim<'_>) {
        self.bury_those_who_gave_up(sim);
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= sim.elapsed()) {
            match entry.remove() {
                Due::Strike => {
                    self.strike(sim);
                    let pause = self.settings.pause.mul_f64(self.rng.f64() * 2.0);
                    self.plan(sim.elapsed() + pause, Due::Strike);
                }
                Due::Start(company) => self.start(sim, company),
                Due::Mend(a, b) => self.mend(sim, a, b),
            }
        }
    }

    /// Ends all faults: every link works, every company runs, no disk is about to fail. To be called after every step from
    /// the end of the unrest on.
    pub fn heal(&mut self, sim: &mut Sim<'_>) {
        self.due.clear();
        let links: Vec<(usize, usize)> = self.links.keys().copied().collect();
        links.into_iter().for_each(|(a, b)| self.mend(sim, a, b));
        self.bury_those_who_gave_up(sim);
        let down: BTreeSet<usize> = self.down.keys().copied().collect();
        down.into_iter().for_each(|company| self.start(sim, company));
        self.companies.iter().for_each(|company| company.disk.never_mind());
    }

    fn plan(&mut self, at: Duration, what: Due) {
        self.planned += 1;
        self.due.insert((at, self.planned), what);
    }

    fn strike(&mut self, sim: &mut Sim<'_>) {
        let settings = &self.settings;
        let kinds = [
            (settings.kills, Kind::Kill),
            (settings.power_cuts, Kind::PowerCut),
            (settings.refused_syncs, Kind::RefuseSync),
            (settings.partitions, Kind::Partition),
            (settings.held_links, Kind::Hold),
            (settings.slow_links, Kind::Slow),
            (settings.clock_jumps, Kind::Jump),
        ];
        let kinds: Vec<Kind> = kinds.into_iter().filter_map(|(is_on, kind)| is_on.then_some(kind)).collect();
        let Some(kind) = self.rng.choice(kinds) else { return };
        let company = self.rng.usize(0..self.companies.len());
        match kind {
            Kind::Kill => self.end(sim, company, Death::Killed),
            Kind::PowerCut => self.end(sim, company, Death::PowerCut),
            // A start that fails is tried again by whoever supervises it, and has promised nothing.
            Kind::RefuseSync if self.down.contains_key(&company) => {}
            Kind::RefuseSync => {
                let more = self.rng.u32(0..3);
                self.history.note(format_args!("{}: a sync will be refused", self.companies[company].name));
                self.companies[company].disk.refuse_sync(more);
            }
            Kind::Partition => {
                let how = if self.rng.bool() { Broken::Both } else { Broken::OneWay };
                self.break_link(sim, company, how);
            }
            Kind::Hold => self.break_link(sim, company, Broken::Held),
            Kind::Slow => self.break_link(sim, company, Broken::Slow),
            Kind::Jump => {
                let skew = self.rng.i64(-TWO_HOURS_MILLIS..=TWO_HOURS_MILLIS);
                self.companies[company].skew.store(skew, Ordering::Relaxed);
                self.tally.clock_jumps += 1;
                self.history
                    .note(format_args!("{}: its clock is wrong by {skew} ms", self.companies[company].name));
            }
        }
    }

    // The process ends. Its destructors run all the same; the disk does not listen to them, nor do the connections say
    // goodbye, as after a power cut: whoever talked to it waits until its own patience ends.
    fn end(&mut self, sim: &mut Sim<'_>, company: usize, death: Death) {
        if self.down.contains_key(&company) {
            return;
        }
        let name = self.companies[company].name.clone();
        self.history.note(format_args!("{name}: {death:?}"));
        match death {
            Death::Killed => self.tally.kills += 1,
            Death::PowerCut => self.tally.power_cuts += 1,
            Death::CannotSync => self.tally.refused_syncs += 1,
        }
        match death {
            Death::PowerCut => self.companies[company].disk.cut_power(&mut self.rng),
            Death::Killed | Death::CannotSync => self.companies[company].disk.unmount(),
        }
        self.companies[company].disk.never_mind();
        sim.crash(name.as_str());
        self.down.insert(company, death);
        let pause = between(&mut self.rng, 20, 1500);
        self.plan(sim.elapsed() + pause, Due::Start(company));
    }

    fn start(&mut self, sim: &mut Sim<'_>, company: usize) {
        let Some(death) = self.down.remove(&company) else { return };
        let stopped = &self.companies[company];
        if death == Death::CannotSync {
            stopped.disk.replace();
        }
        self.history.note(format_args!("{}: starts again", stopped.name));
        sim.bounce(stopped.name.as_str());
    }

    fn bury_those_who_gave_up(&mut self, sim: &mut Sim<'_>) {
        for company in 0..self.companies.len() {
            if self.companies[company].gave_up.swap(false, Ordering::Relaxed) {
                self.end(sim, company, Death::CannotSync);
            }
        }
    }

    fn break_link(&mut self, sim: &mut Sim<'_>, a: usize, how: Broken) {
        let b = (a + self.rng.usize(1..self.companies.len())) % self.companies.len();
        let pair = (a.min(b), a.max(b));
        if self.links.contains_key(&pair) {
            return;
        }
        let (from, to) = (self.companies[a].name.clone(), self.companies[b].name.clone());
        self.history.note(format_args!("{from} to {to}: {how:?}"));
        match how {
            Broken::Both => sim.partition(from.as_str(), to.as_str()),
            Broken::OneWay => sim.partition_oneway(from.as_str(), to.as_str()),
            Broken::Held => sim.hold(from.as_str(), to.as_str()),
            Broken::Slow => sim.set_link_max_message_latency(from.as_str(), to.as_str(), SLOW),
        }
        match how {
            Broken::Both | Broken::OneWay => self.tally.partitions += 1,
            Broken::Held => self.tally.held_links += 1,
            Broken::Slow => self.tally.slow_links += 1,
        }
        self.links.insert(pair, how);
        let pause = between(&mut self.rng, 50, 2500);
        self.plan(sim.elapsed() + pause, Due::Mend(pair.0, pair.1));
    }

    fn mend(&mut self, sim: &mut Sim<'_>, a: usize, b: usize) {
        let Some(how) = self.links.remove(&(a, b)) else { return };
        let (from, to) = (self.companies[a].name.as_str(), self.companies[b].name.as_str());
        self.history.note(format_args!("{from} and {to}: mended"));
        match how {
            Broken::Both => sim.repair(from, to),
            Broken::OneWay => {
                sim.repair_oneway(from, to);
                sim.repair_oneway(to, from);
            }
            Broken::Held => sim.release(from, to),
            Broken::Slow => sim.set_link_max_message_latency(from, to, USUAL),
        }
    }
}
