//! All companies and the network between them, packed into a few words.
//!
//! What makes the space small, and why nothing is lost by it:
//! - The network is the set of all messages ever sent. A message in the set may be delivered never, once or often,
//!   in any order and however late: loss, duplication, reordering and delay need no events of their own. What a
//!   coordinator sends and what it answers to an inquiry is the same message, because it has the same effect.
//! - An inquiry is deliverable once its sender was ever in doubt; a request to hold, once the trip was begun.
//! - The rules are functions. Each state of a company is stored once and each event is run once on it, by the
//!   shipped code; a world is three numbers of such states and a set of messages, and is stored exactly.
//! - A flush follows directly upon a step of its company or not at all. Any later flush of the same step commutes
//!   with what other companies do in between: it changes no memory, and the answers that it releases are only
//!   deliverable earlier, which the set of messages allows to be any time later.
//! - A flush writes all that was recorded. Writing a part of it is the same as an earlier flush.
//! - A company that is down does nothing, like one that is slow: crash and restart are one event. Nothing counts
//!   crashes: an epoch in which nothing was begun may come again.
//! - With two trips at three companies the messages themselves are too many. There, whatever the durable states
//!   entitle a company to say may arrive ([`Network::Entitled`]): all that is ever said is durable first (which
//!   [`Node::send`] checks) and stays true, so nothing that was sent is missing. What it adds, an abort that nobody
//!   sent yet, could be sent at that moment. A test compares both ways where both can be walked.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::sync::Arc;

use recarga_reservation::Firmness;

use crate::invariants::Info;
use crate::node::{Event, Node, Say, What};
use crate::plants::Plant;
use crate::scenario::{Attempt, COMPANIES, Network, Scenario};

/// A state of everything: for each company the number of its state, and the messages ever sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub nodes: [u32; COMPANIES],
    pub sent: u64,
}

/// Something that happens at a company.
#[derive(Clone, Copy, Debug)]
pub struct Happening {
    pub company: usize,
    pub event: Event,
    /// Whether everything recorded became durable directly afterwards.
    pub flushed: bool,
}

#[derive(Clone)]
struct Next {
    node: u32,
    sends: u64,
    flushed: bool,
    violation: Option<Arc<str>>,
}

/// Everything that the rules were ever asked in one exploration.
pub struct Universe {
    pub scenario: Scenario,
    pub attempts: Vec<Attempt>,
    pub infos: Vec<Info>,
    nodes: Vec<Arc<Node>>,
    numbers: HashMap<Arc<Node>, u32>,
    nexts: Vec<Next>,
    memo: HashMap<(u32, Event), Range<usize>, BuildHasherDefault<Mixer>>,
}

impl Universe {
    pub fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            attempts: Vec::new(),
            infos: Vec::new(),
            nodes: Vec::new(),
            numbers: HashMap::new(),
            nexts: Vec::new(),
            memo: HashMap::default(),
        }
    }

    /// Before anything happened.
    pub fn start(&mut self) -> World {
        let nodes = [0, 1, 2].map(|company| self.number(Node::new(company)));
        World { nodes, sent: 0 }
    }

    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub fn info(&self, world: &World, company: usize) -> &Info {
        &self.infos[world.nodes[company] as usize]
    }

    /// Calls `visit` with every world that one event leads to, and with what the step itself broke.
    pub fn successors(
        &mut self,
        world: &World,
        events: &mut Vec<(usize, Event)>,
        mut visit: impl FnMut(&Universe, World, Happening, Option<&Arc<str>>),
    ) {
        events.clear();
        self.enabled(world, events);
        let remembered = if self.scenario.network == Network::Sent { u64::MAX } else { 0 };
        for &(company, event) in events.iter() {
            for index in self.nexts_of(world.nodes[company], event) {
                let next = &self.nexts[index];
                let mut after = *world;
                after.nodes[company] = next.node;
                after.sent |= next.sends & remembered;
                let happening = Happening { company, event, flushed: next.flushed };
                visit(self, after, happening, next.violation.as_ref());
            }
        }
    }

    /// The world after one event and, if there is anything to flush, a flush.
    pub fn after_flushed(&mut self, world: &World, company: usize, event: Event) -> World {
        let range = self.nexts_of(world.nodes[company], event);
        let Some(next) = self.nexts[range].last() else { return *world };
        let mut after = *world;
        after.nodes[company] = next.node;
        after.sent |= next.sends;
        after
    }

    pub fn event(&self, world: &World, trip: usize, what: What) -> Event {
        let coordinator = self.scenario.trips[trip].coordinator;
        let attempt = self.info(world, coordinator).history.begun[trip].unwrap_or(0);
        Event { trip: u8::try_from(trip).unwrap(), attempt, what }
    }

    fn nexts_of(&mut self, number: u32, event: Event) -> Range<usize> {
        if let Some(range) = self.memo.get(&(number, event)) {
            return range.clone();
        }
        let mut node = Node::clone(&self.nodes[number as usize]);
        let known = self.attempts.len();
        let mut sent = node.step(event, &self.scenario, &mut self.attempts);
        if self.attempts.len() > known {
            // A transaction id may be used twice only where that is the planted fault; then old states mean more.
            let info = |node: &Arc<Node>| Info::new(node, &self.attempts);
            self.infos = self.nodes.iter().map(info).collect();
        }
        let flush = Event { trip: event.trip, attempt: event.attempt, what: What::Flush };
        let mut found = Vec::new();
        if !node.is_flushed() {
            found.push((node.clone(), sent.clone(), false));
            let more = node.step(flush, &self.scenario, &mut self.attempts);
            sent.says.extend(more.says);
            sent.violation = sent.violation.or(more.violation);
        }
        found.push((node, sent, true));
        let start = self.nexts.len();
        for (node, sent, flushed) in found {
            let me = usize::from(node.me);
            let sends =
                sent.says.iter().map(|&(attempt, say)| self.message(me, attempt, say)).fold(0, |a, b| a | b);
            let node = self.number(node);
            let local = self.infos[node as usize].violation.clone();
            let violation = sent.violation.or(local).map(Arc::from);
            // What changes nothing need not be looked at again.
            if (node, sends) != (number, 0) || violation.is_some() {
                self.nexts.push(Next { node, sends, flushed, violation });
            }
        }
        let range = start..self.nexts.len();
        self.memo.insert((number, event), range.clone());
        range
    }

    fn number(&mut self, node: Node) -> u32 {
        if let Some(number) = self.numbers.get(&node) {
            return *number;
        }
        let number = u32::try_from(self.nodes.len()).unwrap();
        self.infos.push(Info::new(&node, &self.attempts));
        let node = Arc::new(node);
        self.nodes.push(node.clone());
        self.numbers.insert(node, number);
        number
    }

    fn message(&self, me: usize, attempt: u8, say: Say) -> u64 {
        let trip = self.attempts[usize::from(attempt)].trip;
        match say {
            Say::Yes => self.bit(trip, me, Message::Yes),
            Say::No => self.bit(trip, me, Message::No),
            Say::Abort { to } => self.bit(trip, usize::from(to), Message::Abort),
            Say::Commit { to } => self.bit(trip, usize::from(to), Message::Commit),
            Say::Release { to } => self.bit(trip, usize::from(to), Message::Release),
            Say::Confirmed => self.bit(trip, me, Message::Confirmed),
            Say::Released => self.bit(trip, me, Message::Released),
            Say::Lost => self.bit(trip, me, Message::Lost),
            Say::DriverCommit | Say::DriverAbort => 0,
        }
    }

    /// Where a message between the coordinator of a trip and another company stands in the set.
    pub fn bit(&self, trip: usize, remote: usize, message: Message) -> u64 {
        let coordinator = self.scenario.trips[trip].coordinator;
        let place = (remote + COMPANIES - coordinator) % COMPANIES - 1;
        1 << (trip * 16 + place * 8 + message as usize)
    }

    fn enabled(&self, world: &World, events: &mut Vec<(usize, Event)>) {
        for trip in 0..self.scenario.trips.len() {
            let coordinator = self.scenario.trips[trip].coordinator;
            if self.info(world, coordinator).history.begun[trip].is_some() {
                self.enabled_at_coordinator(world, trip, events);
                for remote in self.scenario.remotes(trip) {
                    self.enabled_by_messages(world, trip, remote, events);
                    self.enabled_at_participant(world, trip, remote, events);
                }
            } else if self.may_begin(world, trip) {
                events.push((coordinator, self.event(world, trip, What::Begin)));
            }
        }
        let faults = self.scenario.faults;
        for company in 0..COMPANIES {
            let info = self.info(world, company);
            let mut may = |what| events.push((company, Event { trip: 0, attempt: 0, what }));
            if faults.crashes[company] {
                may(What::Crash);
                if self.scenario.plant == Some(Plant::RestartTrustsUnflushed) {
                    may(What::Kill);
                }
            }
            if faults.wipe[company] && !info.history.wiped {
                may(What::Wipe);
            }
            if faults.put_back[company] && !info.history.wiped {
                may(if info.has_copy { What::PutBack } else { What::Copy });
            }
            if faults.heuristic && info.prepared != 0 {
                may(What::GraceOver);
            }
            if faults.forget && info.has_trip & !info.owing != 0 && info.is_flushed {
                may(What::ForgetTrips);
            }
        }
    }

    fn may_begin(&self, world: &World, trip: usize) -> bool {
        let plan = &self.scenario.trips[trip];
        let info = self.info(world, plan.coordinator);
        let first = (0..trip).find(|&earlier| self.scenario.trips[earlier].key == plan.key);
        first.is_none_or(|earlier| info.history.begun[earlier].is_some())
            && plan.replaces.is_none_or(|old| info.has_trip & (1 << old) != 0)
    }

    fn enabled_at_coordinator(&self, world: &World, trip: usize, events: &mut Vec<(usize, Event)>) {
        let coordinator = self.scenario.trips[trip].coordinator;
        let info = self.info(world, coordinator);
        let bit = 1 << trip;
        let mut may = |what| events.push((coordinator, self.event(world, trip, what)));
        if info.waiting & bit != 0 {
            may(What::Decide { in_time: true, yes: self.entitled_yes(world, trip) });
            may(What::Decide { in_time: false, yes: 0 });
            may(What::Withdraw);
        }
        // The company's own part is asked for within the process, so it dies with it.
        if info.history.fresh & bit != 0 && self.scenario.participants(trip).contains(&coordinator) {
            self.firmnesses(trip).for_each(|firmness| may(What::Hold(firmness)));
        }
        if self.scenario.trips[trip].cancel && info.has_trip & bit != 0 {
            may(What::Cancel);
        }
        if self.scenario.faults.heuristic && info.prepared & bit != 0 {
            may(What::ForceAbort);
        }
        if info.held & bit != 0 {
            may(What::Expire);
        }
        if self.scenario.plant == Some(Plant::SweepSpeaksEarly) {
            may(What::Sweep);
        }
    }

    fn enabled_by_messages(
        &self,
        world: &World,
        trip: usize,
        remote: usize,
        events: &mut Vec<(usize, Event)>,
    ) {
        let coordinator = self.scenario.trips[trip].coordinator;
        let from = u8::try_from(remote).unwrap();
        let deliveries = [
            (Message::Yes, coordinator, What::Vote { from, yes: true }),
            (Message::No, coordinator, What::Vote { from, yes: false }),
            (Message::Confirmed, coordinator, What::Confirmed { from }),
            (Message::Released, coordinator, What::Released { from }),
            (Message::Lost, coordinator, What::Lost { from }),
            (Message::Abort, remote, What::Abort),
            (Message::Commit, remote, What::Commit),
            (Message::Release, remote, What::Release),
        ];
        for (message, company, what) in deliveries {
            if self.may_arrive(world, trip, remote, message) {
                events.push((company, self.event(world, trip, what)));
            }
        }
        self.firmnesses(trip)
            .for_each(|firmness| events.push((remote, self.event(world, trip, What::Hold(firmness)))));
    }

    fn may_arrive(&self, world: &World, trip: usize, remote: usize, message: Message) -> bool {
        if self.scenario.network == Network::Sent {
            return world.sent & self.bit(trip, remote, message) != 0;
        }
        let is = |mask: u8| mask & (1 << trip) != 0;
        let coordinator = self.info(world, self.scenario.trips[trip].coordinator);
        let here = self.info(world, remote);
        let mut peers =
            self.scenario.remotes(trip).filter(|&one| one != remote).map(|one| self.info(world, one));
        match message {
            // A yes lasts until the outcome, so it may as well arrive just before the decision; and whatever a no leads
            // to, the time limit leads to as well.
            Message::Yes | Message::No => false,
            Message::Abort => is(coordinator.says_abort) || peers.any(|peer| is(peer.durable_tombstone)),
            Message::Commit => is(coordinator.history.committed),
            Message::Release => is(coordinator.durably_cancelled),
            Message::Confirmed => is(here.durably_reserved),
            Message::Released => is(here.durably_released),
            Message::Lost => is(here.durably_heuristic),
        }
    }

    fn entitled_yes(&self, world: &World, trip: usize) -> u8 {
        if self.scenario.network == Network::Sent {
            return 0;
        }
        let said = |&remote: &usize| self.info(world, remote).durably_yes & (1 << trip) != 0;
        self.scenario.remotes(trip).filter(said).fold(0, |mask, remote| mask | 1 << remote)
    }

    fn enabled_at_participant(
        &self,
        world: &World,
        trip: usize,
        remote: usize,
        events: &mut Vec<(usize, Event)>,
    ) {
        let coordinator = self.scenario.trips[trip].coordinator;
        let info = self.info(world, remote);
        let bit = 1 << trip;
        let plant = self.scenario.plant;
        let inquiry = self.event(world, trip, What::Inquiry { by: u8::try_from(remote).unwrap() });
        let peers = || self.scenario.remotes(trip).filter(|&one| one != remote);
        if self.scenario.network == Network::Entitled {
            // Only what an inquiry leaves behind matters: a tombstone where there was nothing.
            let open = |&peer: &usize| self.info(world, peer).remembers & bit == 0;
            events.extend(peers().filter(open).map(|asked| (asked, inquiry)));
        } else if info.history.asked & bit != 0 {
            events.extend(peers().chain([coordinator]).map(|asked| (asked, inquiry)));
        }
        let mut may = |what| events.push((remote, self.event(world, trip, what)));
        if info.held & bit != 0 || (plant == Some(Plant::PreparedExpires) && info.prepared & bit != 0) {
            may(What::Expire);
        }
        if self.scenario.faults.heuristic && info.prepared & bit != 0 {
            may(What::ForceAbort);
        }
        let is_over = self.info(world, coordinator).says_abort & bit != 0
            || plant == Some(Plant::TombstoneForgottenUnasked);
        // It is a day old by then: nothing of that time still waits to be durable.
        let is_old = info.tombstone & bit != 0 && info.is_flushed;
        if self.scenario.faults.forget && is_old && is_over {
            may(What::ForgetTombstone);
        }
    }

    fn firmnesses(&self, trip: usize) -> impl Iterator<Item = Firmness> {
        let soft = self.scenario.trips[trip].soft.then_some(Firmness::Soft);
        soft.into_iter().chain([Firmness::Prepared])
    }
}

/// Messages between a coordinator and another company, by their place in the set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    Yes,
    No,
    Abort,
    Commit,
    Release,
    Confirmed,
    Released,
    Lost,
}

impl Message {
    pub const ALL: [Message; 8] = [
        Self::Yes,
        Self::No,
        Self::Abort,
        Self::Commit,
        Self::Release,
        Self::Confirmed,
        Self::Released,
        Self::Lost,
    ];
}

/// A quick hash for small keys; the tables compare the keys themselves.
#[derive(Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0.rotate_left(23) ^ value) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
