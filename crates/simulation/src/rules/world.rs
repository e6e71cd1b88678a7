//! One run: companies, drivers and the network between them, stepped event by event in virtual time.

use std::sync::Arc;

use fastrand::Rng;
use recarga_reservation::{Fact, Hold, OperatorId, RequestKey, Step, Told, TransactionId, TripRequest};

use super::canary::Canary;
use super::driver::Driver;
use super::faults::Fault;
use super::message::{Answer, Ask, Call, Message, Reply};
use super::model::Model;
use super::network::Network;
use super::node::{Action, Clock, Node, number, operator};
use super::queue::{MILLI, Micros, Queue, SECOND};
use super::report::Counts;
use super::settings::{ANSWER_MAX, Settings};
use super::trace::{Trace, trace};

/// How long facts that nobody waits for may stay in memory, as in the node's ledger.
const LAZY_DELAY: Micros = 50 * MILLI;
/// A run with more events than this runs in a circle; most have a few thousand.
const EVENTS_MAX: u64 = 1_000_000;

/// Everything that exists in one run.
#[derive(Debug)]
pub struct World {
    pub settings: Settings,
    pub random: Rng,
    pub now: Micros,
    pub queue: Queue<Event>,
    pub operators: Vec<OperatorId>,
    pub nodes: Vec<Node>,
    pub requests: Vec<Request>,
    pub transactions: Vec<Transaction>,
    pub calls: Vec<Call>,
    pub drivers: Vec<Driver>,
    pub network: Network,
    pub model: Model,
    pub counts: Counts,
    pub trace: Trace,
    pub canary: Option<Canary>,
    pub is_healed: bool,
    /// The last check is done.
    pub is_over: bool,
    /// A company with nothing to do looks at its time limits ever more seldom, up to this pause.
    pub idle_tick_max: Micros,
}

/// A driver's request, whoever is asked.
#[derive(Debug)]
pub struct Request {
    pub key: RequestKey,
    pub body: Arc<TripRequest>,
    pub is_soft_first: bool,
}

/// A transaction and what it asks of each company.
#[derive(Debug)]
pub struct Transaction {
    pub id: TransactionId,
    pub request: usize,
    pub holds: Vec<(usize, Hold)>,
}

/// Something that happens. What happens in a company's process carries the run in which it was planned.
#[derive(Debug)]
pub enum Event {
    Arrive {
        call: usize,
        message: Message,
    },
    Return {
        call: usize,
        reply: Reply,
    },
    /// The caller learns that there will be no reply.
    Silence {
        call: usize,
    },
    Ask {
        driver: usize,
        number: u32,
        to: usize,
        ask: Ask,
    },
    Hear {
        driver: usize,
        number: u32,
        answer: Answer,
    },
    Impatient {
        driver: usize,
        number: u32,
    },
    Drive {
        driver: usize,
    },
    InProcess {
        at: usize,
        run: u32,
        what: InProcess,
    },
    Fault(Fault),
}

/// A timer of a company's process, or the end of its flush.
#[derive(Clone, Copy, Debug)]
pub enum InProcess {
    LazyFlush,
    Flushed,
    Tick,
    Tidy,
    Greet { to: usize, failures: u32 },
    Patience { transaction: usize },
    Deadline { transaction: usize },
    Prepare { transaction: usize },
    Attempt { request: usize },
}

impl World {
    pub fn new(seed: u64, canary: Option<Canary>, trace: Trace) -> Self {
        let mut random = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let settings = Settings::draw(&mut random);
        let nodes = (0..settings.companies).map(|me| {
            let skew = settings.skew_max_millis;
            let offset_millis = random.i64(-skew..=skew);
            let drift = random.i64(-settings.drift_max..=settings.drift_max);
            let answer_max = random.u64(settings.answer_min..=ANSWER_MAX);
            Node::new(me, &settings, Clock { offset_millis, drift, started: 0 }, answer_max)
        });
        let nodes = nodes.collect();
        let mut world = Self {
            random,
            now: 0,
            queue: Queue::new(),
            operators: (0..settings.companies).map(operator).collect(),
            nodes,
            requests: Vec::new(),
            transactions: Vec::new(),
            calls: Vec::new(),
            drivers: Vec::new(),
            network: Network::default(),
            model: Model::new(settings.companies),
            counts: Counts::default(),
            trace,
            canary,
            is_healed: false,
            is_over: false,
            idle_tick_max: 2 * SECOND,
            settings,
        };
        trace!(world, "seed {seed}: {:?}", world.settings);
        world.introduce_companies();
        world.plan_drivers();
        world.plan_faults();
        world
    }

    /// Runs to the end, or to the first violation.
    pub fn run(&mut self) -> Option<String> {
        while self.model.violation.is_none() && !self.is_over {
            let Some((at, event)) = self.queue.pop() else { break };
            self.now = at;
            self.counts.events += 1;
            if self.counts.events > EVENTS_MAX {
                return Some("the run does not end".to_owned());
            }
            self.step(event);
        }
        self.model.violation.take()
    }

    pub fn is_planted(&self, canary: Canary) -> bool {
        self.canary == Some(canary)
    }

    /// Plans something for a company's process, unless that ends before.
    pub fn plan(&mut self, at: usize, after: Micros, what: InProcess) {
        let run = self.nodes[at].run;
        self.queue.push(self.now + after, Event::InProcess { at, run, what });
    }

    pub fn clock(&self, at: usize) -> recarga_reservation::Now {
        self.nodes[at].clock.now(self.now)
    }

    /// Records what a step of the rules leaves, and goes on with its answer when that may be told.
    pub fn apply<A>(&mut self, at: usize, step: Step<A>, then: impl FnOnce(A) -> Action) {
        let Step { answer, facts, told } = step;
        self.record(at, facts, told, then(answer));
    }

    pub fn record(&mut self, at: usize, facts: Vec<Fact>, told: Told, action: Action) {
        if self.trace.is_on() {
            for fact in &facts {
                trace!(self, "{}   records {}", operator(at), describe(fact));
            }
        }
        self.rouse(at);
        let ledger = &mut self.nodes[at].ledger;
        ledger.queued += facts.len() as u64;
        ledger.queue.extend(facts);
        if told == Told::OnceDurable && ledger.durable < ledger.queued {
            ledger.awaited = ledger.queued;
            ledger.waiting.push_back((ledger.queued, action));
            self.flush_if_needed(at);
            return;
        }
        self.flush_if_needed(at);
        self.act(at, action);
    }

    fn flush_if_needed(&mut self, at: usize) {
        let ledger = &mut self.nodes[at].ledger;
        if ledger.flushing.is_some() || ledger.queue.is_empty() {
            return;
        }
        if ledger.awaited <= ledger.durable {
            if !std::mem::replace(&mut ledger.is_lazy_flush_planned, true) {
                self.plan(at, LAZY_DELAY, InProcess::LazyFlush);
            }
            return;
        }
        self.flush(at);
    }

    fn flush(&mut self, at: usize) {
        let ledger = &mut self.nodes[at].ledger;
        if ledger.flushing.is_some() || ledger.queue.is_empty() {
            return;
        }
        ledger.flushing = Some(std::mem::take(&mut ledger.queue));
        let slow = !self.is_healed && Settings::happens(&mut self.random, self.settings.slow_flushes);
        let factor = if slow { 100 } else { 1 };
        let took = self.random.u64(50..=self.settings.flush_max * factor);
        self.plan(at, took, InProcess::Flushed);
    }

    fn flushed(&mut self, at: usize) {
        let Some(facts) = self.nodes[at].ledger.flushing.take() else { return };
        self.counts.flushes += 1;
        self.nodes[at].ledger.durable += facts.len() as u64;
        if self.is_planted(Canary::FailedFlushIgnored) && self.random.u32(..8) == 0 {
            trace!(self, "{}   a flush fails, and nobody cares", operator(at));
        } else {
            self.make_durable(at, facts);
        }
        let durable = self.nodes[at].ledger.durable;
        while let Some((_, action)) =
            self.nodes[at].ledger.waiting.pop_front_if(|(ticket, _)| *ticket <= durable)
        {
            self.act(at, action);
        }
        self.flush_if_needed(at);
    }

    pub fn make_durable(&mut self, at: usize, facts: Vec<Fact>) {
        trace!(self, "{}   {} facts are durable", operator(at), facts.len());
        let utc = self.clock(at).utc;
        for fact in facts {
            self.model.durable(at, &fact, utc);
            self.nodes[at].disk.record(fact);
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Arrive { call, message } => self.arrive(call, message),
            Event::Return { call, reply } => self.returned(call, Some(reply)),
            Event::Silence { call } => self.returned(call, None),
            Event::Ask { driver, number, to, ask } => self.asked(driver, number, to, ask),
            Event::Hear { driver, number, answer } => self.hear(driver, number, answer),
            Event::Impatient { driver, number } => self.impatient(driver, number),
            Event::Drive { driver } => self.drive(driver),
            Event::InProcess { at, run, what } => self.in_process(at, run, what),
            Event::Fault(fault) => self.suffer(fault),
        }
    }

    fn in_process(&mut self, at: usize, run: u32, what: InProcess) {
        if self.nodes[at].run != run || !self.nodes[at].is_up {
            return;
        }
        let frozen_until = self.nodes[at].frozen_until;
        if self.now < frozen_until {
            self.queue.push(frozen_until, Event::InProcess { at, run, what });
            return;
        }
        match what {
            InProcess::LazyFlush => {
                self.nodes[at].ledger.is_lazy_flush_planned = false;
                self.flush(at);
            }
            InProcess::Flushed => self.flushed(at),
            InProcess::Tick => self.tick(at),
            InProcess::Tidy => self.tidy(at),
            InProcess::Greet { to, failures } => self.greet(at, to, failures),
            InProcess::Patience { transaction } => self.lose_patience(at, transaction),
            InProcess::Deadline { transaction } => self.decide(at, transaction),
            InProcess::Prepare { transaction } => self.ask_for_votes(at, transaction),
            InProcess::Attempt { request } => self.attempt(at, request),
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Nothing => {}
            Action::Reply { call, reply } => self.reply(call, reply),
            Action::Voted { asker, vote } => self.voted(at, asker, vote),
            Action::Aborted { call } => {
                self.reply(call, Reply::Done);
                self.windows_given_back(at);
            }
            Action::Decided { transaction, decision } => self.decided(at, transaction, decision),
            Action::Known { request, trip } => self.known(at, request, trip),
            Action::Owed(owed) => owed.into_iter().for_each(|owed| self.deliver(at, &owed)),
            Action::Cancelled { driver, number, trip } => self.cancelled(at, driver, number, &trip),
            Action::Answer { driver, number, answer } => self.answer(at, driver, number, answer),
            Action::GivenBack => self.windows_given_back(at),
        }
    }
}

fn describe(fact: &Fact) -> String {
    use recarga_reservation::Branch;
    match fact {
        Fact::Branch(id, branch) => {
            let state = match branch {
                Branch::Held { .. } => "held softly".to_owned(),
                Branch::Prepared { .. } => "prepared".to_owned(),
                Branch::Confirmed { .. } => "confirmed".to_owned(),
                Branch::Released { .. } => "released".to_owned(),
                Branch::Aborted { cause, .. } => format!("aborted ({cause:?})"),
            };
            format!("t{} {state}", number(id))
        }
        Fact::BranchForgotten(id) => format!("t{} forgotten", number(id)),
        Fact::Trip(trip) => {
            format!("trip of t{}: {:?}, lost {:?}", number(&trip.transaction), trip.stage, trip.lost)
        }
        Fact::TripForgotten(id) => format!("trip of t{} forgotten", number(id)),
    }
}
