//! What goes wrong, and when it ends.

use super::canary::Canary;
use super::check::Stage;
use super::node::{Disk, company_of, operator};
use super::queue::{DAY, HOUR, MINUTE, Micros, SECOND};
use super::settings::{ALL_OVER, LATE_MAX, Settings};
use super::trace::trace;
use super::world::{Event, InProcess, World};

/// After healing nothing may be in doubt.
pub const DOUBTS_END: Micros = 10 * SECOND;
/// After healing nothing may be owed: a message sent just before waits 3 s for its reply, then its company is left
/// alone for up to 10 s, then comes the next sweep.
pub const DEBTS_END: Micros = 16 * SECOND;

/// Something that happens to a company or to the network.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The process dies; in a power loss as well, and the disk with it if it is lost.
    Stop {
        at: usize,
        why: Why,
    },
    Start {
        at: usize,
        run: u32,
    },
    /// The process stands still: its timers are late.
    Freeze {
        at: usize,
        micros: Micros,
    },
    /// Ways are cut, for a while. Bit `to` of `ways[from]`.
    Cut {
        ways: [u8; 8],
    },
    Mend {
        ways: [u8; 8],
    },
    /// The wall clock is set; the monotonic clock goes on.
    SetClock {
        at: usize,
        millis: i64,
    },
    ForceAbort {
        at: usize,
    },
    /// All faults end.
    Heal,
    Check(Stage),
    /// Copies of old messages arrive.
    Haunt,
}

/// Why a process stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Killed,
    PowerLost,
    DiskLost,
}

impl World {
    /// Draws all faults of the run.
    pub fn plan_faults(&mut self) {
        let faults = self.settings.faults.clone();
        let stops = [
            (faults.kills, Why::Killed),
            (faults.power_losses, Why::PowerLost),
            (faults.lost_disks, Why::DiskLost),
        ];
        for (count, why) in stops {
            for _ in 0..count {
                let at = self.random.usize(..self.settings.companies);
                self.plan_fault(Fault::Stop { at, why });
            }
        }
        for _ in 0..faults.freezes {
            let at = self.random.usize(..self.settings.companies);
            let micros = self.random.u64(1_000..faults.outage_max);
            self.plan_fault(Fault::Freeze { at, micros });
        }
        for is_one_way in [false, true] {
            let count = if is_one_way { faults.one_way_partitions } else { faults.partitions };
            for _ in 0..count {
                let ways = self.draw_partition(is_one_way);
                self.plan_fault(Fault::Cut { ways });
            }
        }
        for _ in 0..faults.clock_jumps {
            let at = self.random.usize(..self.settings.companies);
            let millis = self.random.i64(-3 * 3_600_000..3 * 3_600_000);
            self.plan_fault(Fault::SetClock { at, millis });
        }
        for _ in 0..faults.forced_aborts {
            let at = self.random.usize(..self.settings.companies);
            self.plan_fault(Fault::ForceAbort { at });
        }
        if let Some(pause) = self.settings.tidy_every {
            for at in 0..self.nodes.len() {
                self.plan(at, pause, InProcess::Tidy);
            }
        }
        self.queue.push(self.settings.healed, Event::Fault(Fault::Heal));
    }

    pub fn suffer(&mut self, fault: Fault) {
        trace!(self, "**      {fault:?}");
        if self.is_healed && !matches!(fault, Fault::Check(_) | Fault::Haunt) {
            return;
        }
        match fault {
            Fault::Stop { at, why } => self.stop(at, why),
            Fault::Start { at, run } => {
                if !self.nodes[at].is_up && self.nodes[at].run == run {
                    self.start(at);
                }
            }
            Fault::Freeze { at, micros } => {
                self.counts.freezes += 1;
                self.nodes[at].frozen_until = (self.now + micros).min(self.settings.healed);
            }
            Fault::Cut { ways } => {
                self.counts.partitions += 1;
                (0..8).for_each(|from| self.network.cut[from] |= ways[from]);
                let after = self.random.u64(1_000..self.settings.faults.outage_max);
                self.queue.push(self.now + after, Event::Fault(Fault::Mend { ways }));
            }
            Fault::Mend { ways } => (0..8).for_each(|from| self.network.cut[from] &= !ways[from]),
            Fault::SetClock { at, millis } => {
                self.counts.clock_jumps += 1;
                self.nodes[at].clock.offset_millis += millis;
            }
            Fault::ForceAbort { at } => {
                if self.nodes[at].is_up && self.nodes[at].frozen_until <= self.now {
                    self.force_abort(at);
                }
            }
            Fault::Heal => self.heal(),
            Fault::Check(stage) => self.check(stage),
            Fault::Haunt => self.haunt(),
        }
    }

    /// A vote or a decision has just been told: the moment at which it matters most who is there to hear it.
    pub fn aim_at_parties(&mut self, transaction: usize) {
        while !self.is_healed && Settings::happens(&mut self.random, self.settings.faults.aimed) {
            let holds = &self.transactions[transaction].holds;
            let party = self.random.usize(..=holds.len());
            let coordinator = company_of(&self.transactions[transaction].id.coordinator);
            let at = holds.get(party).map_or(coordinator, |(at, _)| *at);
            let disks_are_lost = self.settings.faults.lost_disks > 0;
            let why = match self.random.u32(..4) {
                0 if disks_are_lost => Why::DiskLost,
                1 => Why::PowerLost,
                _ => Why::Killed,
            };
            let after = self.random.u64(..=2 * self.settings.messages.travel_max);
            self.queue.push(self.now + after, Event::Fault(Fault::Stop { at, why }));
            // Now and then a second one goes with it.
            if self.random.bool() {
                break;
            }
        }
    }

    fn stop(&mut self, at: usize, why: Why) {
        if !self.nodes[at].is_up {
            return;
        }
        match why {
            Why::Killed => self.counts.kills += 1,
            Why::PowerLost => self.counts.power_losses += 1,
            Why::DiskLost => self.counts.lost_disks += 1,
        }
        // A flush is all or nothing. What was under way has reached the disk or has not; nobody was told.
        let survives = self.random.u32(..4) < if why == Why::Killed { 3 } else { 1 };
        if let Some(mut facts) = self.nodes[at].stop(survives) {
            if self.is_planted(Canary::FlushTorn) {
                facts.truncate(facts.len() / 2);
            }
            self.make_durable(at, facts);
        }
        self.model.crashed(at);
        if why == Why::DiskLost {
            let store = u128::from(self.random.u64(1_000..));
            self.nodes[at].disk = Disk { store, ..Disk::default() };
            self.model.lost_disk(at, store);
        }
        let after = self.random.u64(1_000..self.settings.faults.outage_max);
        let run = self.nodes[at].run;
        self.queue.push(self.now + after, Event::Fault(Fault::Start { at, run }));
    }

    fn start(&mut self, at: usize) {
        trace!(self, "{}   starts", operator(at));
        self.counts.starts += 1;
        let (is_epoch_kept, now) = (self.is_planted(Canary::EpochReused), self.now);
        let node = &mut self.nodes[at];
        node.is_up = true;
        node.clock.started = now;
        if !is_epoch_kept {
            node.disk.epoch += 1;
        }
        let clock = node.clock.now(now);
        node.company = node.disk.read_back(at, &self.settings, clock);
        self.check_calendars(at);
        self.rouse(at);
        self.greet_everyone(at);
        if let Some(pause) = self.settings.tidy_every {
            self.plan(at, pause, InProcess::Tidy);
        }
    }

    fn heal(&mut self) {
        self.network.cut = [0; 8];
        for at in 0..self.nodes.len() {
            self.nodes[at].frozen_until = 0;
            self.nodes[at].tick_pause = self.settings.tick;
            if !self.nodes[at].is_up {
                self.start(at);
            }
        }
        self.is_healed = true;
        self.idle_tick_max = 0;
        self.ask_at_last();
        let late = super::network::HEALING + LATE_MAX;
        let month = late + ALL_OVER + 32 * DAY;
        self.plan_check(DOUBTS_END, Stage::Doubts);
        self.plan_check(DEBTS_END, Stage::Debts);
        self.plan_check(late + DEBTS_END, Stage::Late);
        self.plan_check(late + ALL_OVER, Stage::AllOver);
        if self.settings.month_passes {
            for at in 0..self.nodes.len() {
                // Some forget before the others. A change that moved every stop elsewhere goes with what it replaced,
                // one round later.
                let late = self.random.u64(..2) * HOUR;
                (0..4).for_each(|round| self.plan(at, month + late + round * MINUTE, InProcess::Tidy));
            }
            self.queue.push(self.now + month + HOUR / 2, Event::Fault(Fault::Haunt));
            self.queue.push(self.now + month + 2 * HOUR, Event::Fault(Fault::Haunt));
            self.plan_check(month + 2 * HOUR + DEBTS_END, Stage::MonthOver);
        }
    }

    fn haunt(&mut self) {
        for (call, message) in self.network.kept.clone() {
            self.counts.haunted += 1;
            self.queue.push(self.now, Event::Arrive { call, message });
        }
        for (call, reply) in self.network.kept_replies.clone() {
            self.counts.haunted += 1;
            self.queue.push(self.now, Event::Return { call, reply });
        }
    }

    fn plan_check(&mut self, after: Micros, stage: Stage) {
        self.queue.push(self.now + after, Event::Fault(Fault::Check(stage)));
    }

    fn plan_fault(&mut self, fault: Fault) {
        // Most while the trips are booked, since a fault that nobody notices finds nothing.
        let end = if self.random.u32(..3) > 0 { self.settings.spread } else { self.settings.healed };
        let at = self.random.u64(..end);
        self.queue.push(at, Event::Fault(fault));
    }

    // Companies fall into two groups; one-way, only one of them does not hear the other.
    fn draw_partition(&mut self, is_one_way: bool) -> [u8; 8] {
        let group = self.random.u8(..);
        let mut ways = [0; 8];
        for (from, cut) in ways.iter_mut().enumerate() {
            let inside = group & (1 << from) != 0;
            *cut = if inside {
                !group
            } else if is_one_way {
                0
            } else {
                group
            };
        }
        ways
    }
}
