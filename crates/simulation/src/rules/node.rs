//! One simulated company: its process with the shipped rules and what the glue keeps in memory, its clocks, its disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{
    Branch, Company, Connector, ConnectorId, Decision, Evse, EvseId, Fact, Firmness, Now, OperatorId, Owed,
    Plug, StoreId, Timestamp, TransactionId, Trip, TripId, TripRequest, Vote,
};

use super::message::{Answer, Reply};
use super::queue::{MILLI, Micros};
use super::settings::{BEGINNING_MILLIS, Settings};

/// A company with everything that belongs to it.
#[derive(Debug)]
pub struct Node {
    pub company: Company,
    pub is_up: bool,
    /// Counts the starts of its process; what was planned in an earlier run is void.
    pub run: u32,
    /// Nothing happens in its process before.
    pub frozen_until: Micros,
    pub clock: Clock,
    /// How long it waits for a reply.
    pub answer_max: Micros,
    pub disk: Disk,
    pub ledger: Ledger,
    pub flights: Vec<Flight>,
    pub patient: Vec<Patient>,
    pub questions: Vec<Question>,
    pub delivery: AtPresent,
    pub is_ticking: bool,
    pub tick_pause: Micros,
    pub ticks: u64,
}

/// The clocks of one company. Both run too fast or too slow; the wall clock may also be set.
#[derive(Clone, Debug)]
pub struct Clock {
    pub offset_millis: i64,
    pub drift: i64,
    pub started: Micros,
}

/// What is written.
#[derive(Debug, Default)]
pub struct Disk {
    pub branches: BTreeMap<usize, (TransactionId, Branch)>,
    pub trips: BTreeMap<usize, Trip>,
    pub epoch: u64,
    pub store: u128,
}

/// Group commit: facts wait for the flush under way; answers wait for the facts that they rest on.
#[derive(Debug, Default)]
pub struct Ledger {
    pub queue: Vec<Fact>,
    pub queued: u64,
    pub awaited: u64,
    pub durable: u64,
    pub flushing: Option<Vec<Fact>>,
    pub is_lazy_flush_planned: bool,
    pub waiting: VecDeque<(u64, Action)>,
}

/// What follows once an answer of the rules may be told.
#[derive(Debug)]
pub enum Action {
    Nothing,
    Reply {
        call: usize,
        reply: Reply,
    },
    Voted {
        asker: Asker,
        vote: Vote,
    },
    Aborted {
        call: usize,
    },
    Decided {
        transaction: usize,
        decision: Decision,
    },
    /// What an earlier request with the same key was answered; none: it is a new one.
    Known {
        request: usize,
        trip: Option<Box<Trip>>,
    },
    Owed(Vec<Owed>),
    Cancelled {
        driver: usize,
        number: u32,
        trip: Box<Trip>,
    },
    Answer {
        driver: usize,
        number: u32,
        answer: Answer,
    },
    GivenBack,
}

/// Who asks for a hold; its own coordinator without a call.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub from: usize,
    pub call: Option<usize>,
    pub transaction: usize,
    pub firmness: Firmness,
    pub valid_for: Duration,
}

/// An older trip that waits behind a younger one's hold.
#[derive(Clone, Copy, Debug)]
pub struct Patient {
    pub asker: Asker,
    pub until: Micros,
}

/// A request that is being decided.
#[derive(Debug)]
pub struct Flight {
    pub request: usize,
    pub body: Arc<TripRequest>,
    pub changes: Option<TripId>,
    /// Drivers, each with the number of the question.
    pub listeners: Vec<(usize, u32)>,
    pub attempt: u32,
    pub asked: Now,
    pub transaction: Option<usize>,
    /// Soft holds that are not answered; the votes are asked for when all are.
    pub soft_left: usize,
}

/// A hold in doubt, and the companies that are still to be asked about it in this round.
#[derive(Debug)]
pub struct Question {
    pub transaction: usize,
    pub left: Vec<usize>,
}

/// What delivery keeps in memory.
#[derive(Debug, Default)]
pub struct AtPresent {
    pub under_way: Vec<(usize, usize)>,
    pub refused: Vec<(usize, usize, Micros)>,
    pub resting: [Option<Rest>; 8],
}

/// A company that did not answer is left alone for a while.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    pub failures: u32,
    pub until: Micros,
}

impl Clock {
    pub fn now(&self, at: Micros) -> Now {
        let drifted = |micros: Micros| {
            let micros = i64::try_from(micros).unwrap_or(i64::MAX);
            micros + micros / 1_000_000 * self.drift + micros % 1_000_000 * self.drift / 1_000_000
        };
        let elapsed = u64::try_from(drifted(at - self.started)).unwrap_or(0);
        let utc = BEGINNING_MILLIS + self.offset_millis + drifted(at) / 1_000;
        Now { utc: Timestamp::from_millis(utc), elapsed: Duration::from_micros(elapsed) }
    }
}

impl Disk {
    pub fn record(&mut self, fact: Fact) {
        match fact {
            Fact::Branch(id, branch) => {
                self.branches.insert(number(&id), (id, branch));
            }
            Fact::BranchForgotten(id) => {
                self.branches.remove(&number(&id));
            }
            Fact::Trip(trip) => {
                self.trips.insert(number(&trip.transaction), trip);
            }
            Fact::TripForgotten(id) => {
                self.trips.remove(&number(&id));
            }
        }
    }

    /// The company as it is after a start from this disk.
    pub fn read_back(&self, me: usize, settings: &Settings, now: Now) -> Company {
        let mut company = Company::new(
            operator(me),
            StoreId(self.store),
            self.epoch,
            &evses(settings.evses),
            settings.limits.clone(),
            settings.decide_limit,
        );
        for (id, branch) in self.branches.values() {
            company.restore(Fact::Branch(id.clone(), branch.clone()), now);
        }
        for trip in self.trips.values() {
            company.restore(Fact::Trip(trip.clone()), now);
        }
        company
    }
}

impl Node {
    pub fn new(me: usize, settings: &Settings, clock: Clock, answer_max: Micros) -> Self {
        let disk = Disk { epoch: 1, store: me as u128 + 1, ..Disk::default() };
        let company = disk.read_back(me, settings, clock.now(0));
        Self {
            company,
            is_up: true,
            run: 0,
            frozen_until: 0,
            clock,
            answer_max,
            disk,
            ledger: Ledger::default(),
            flights: Vec::new(),
            patient: Vec::new(),
            questions: Vec::new(),
            delivery: AtPresent::default(),
            is_ticking: false,
            tick_pause: 100 * MILLI,
            ticks: 0,
        }
    }

    /// Forgets all that lived in the process. Whatever was being flushed has reached the disk, or has not.
    pub fn stop(&mut self, does_flush_survive: bool) -> Option<Vec<Fact>> {
        self.is_up = false;
        self.run += 1;
        self.frozen_until = 0;
        self.flights.clear();
        self.patient.clear();
        self.questions.clear();
        self.delivery = AtPresent::default();
        self.is_ticking = false;
        let Ledger { flushing, .. } = std::mem::take(&mut self.ledger);
        flushing.filter(|_| does_flush_survive)
    }
}

/// In the simulation the nonce of a transaction is its number in the world, by which everything is found.
pub fn number(id: &TransactionId) -> usize {
    usize::try_from(id.nonce).unwrap_or(usize::MAX)
}

/// The name of a company.
pub fn operator(at: usize) -> OperatorId {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    #[expect(clippy::expect_used, reason = "a letter is an identifier")]
    OperatorId::new(NAMES[at]).expect("a letter is an identifier")
}

/// The company of a name.
pub fn company_of(operator: &OperatorId) -> usize {
    usize::from(operator.as_str().as_bytes()[0] - b'a')
}

/// The name of an EVSE; the same at every company.
pub fn evse_id(evse: usize) -> EvseId {
    #[expect(clippy::expect_used, reason = "a letter and a number are an identifier")]
    EvseId::new(&format!("e{evse}")).expect("a letter and a number are an identifier")
}

/// The EVSE of a name.
pub fn evse_of(id: &EvseId) -> usize {
    usize::from(id.as_str().as_bytes()[1] - b'0')
}

fn evses(count: usize) -> Vec<Evse> {
    #[expect(clippy::expect_used, reason = "a number is an identifier")]
    let id = ConnectorId::new("1").expect("a number is an identifier");
    let connector = Connector { id, plug: Plug::CCS2, power_kw: 50.0 };
    (0..count).map(|evse| Evse { id: evse_id(evse), connectors: vec![connector.clone()] }).collect()
}
