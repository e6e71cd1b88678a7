//! One company with its disk, and what can happen to it.
//!
//! The disk has two layers: what is durable, and what will be once all that was recorded so far is flushed. A crash
//! loses the memory, the unflushed layer and every answer that waits for it.

use std::collections::{BTreeMap, BTreeSet};

use recarga_reservation::{Branch, Company, Fact, Firmness, TransactionId, Trip};

use crate::glue::Hand;
use crate::history::{History, Sent};
use crate::scenario::{Attempt, NOW, Scenario};

/// Something that happens at one company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub trip: u8,
    /// Which transaction the trip was begun as.
    pub attempt: u8,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The driver asks.
    Begin,
    /// A request to hold arrives.
    Hold(Firmness),
    /// A vote arrives.
    Vote { from: u8, yes: bool },
    /// The votes are counted, before the limit or after it. These companies' yes arrives just before.
    Decide { in_time: bool, yes: u8 },
    /// The driver withdraws.
    Withdraw,
    /// The driver cancels the committed trip.
    Cancel,
    /// "Committed" arrives, from the coordinator or as the answer to an inquiry.
    Commit,
    /// "Aborted" arrives, from the coordinator or as the answer to an inquiry.
    Abort,
    /// "Cancelled" arrives.
    Release,
    /// An acknowledgement of "committed" arrives.
    Confirmed { from: u8 },
    /// An acknowledgement of "cancelled" arrives.
    Released { from: u8 },
    /// "Released heuristically" arrives.
    Lost { from: u8 },
    /// A company in doubt asks.
    Inquiry { by: u8 },
    /// What is owed is sent again.
    Sweep,
    /// Soft holds run out of time.
    Expire,
    /// An operator forces a prepared hold to be released.
    ForceAbort,
    /// The window's start plus grace passes.
    GraceOver,
    /// The coordinator has confirmed the abort: the tombstone goes.
    ForgetTombstone,
    /// Trips that owe nothing go.
    ForgetTrips,
    /// Everything recorded becomes durable.
    Flush,
    /// The power fails, and the company starts again.
    Crash,
    /// The process dies, and the company starts again with what the operating system had not yet written.
    Kill,
    /// The disk is lost; the company starts again with an empty one.
    Wipe,
    /// Its operator makes a copy of what is durable.
    Copy,
    /// The disk is lost; the company starts again with the copy, as another store.
    PutBack,
}

/// What companies and drivers are told. `to` is a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Say {
    Yes,
    No,
    Abort { to: u8 },
    Commit { to: u8 },
    Release { to: u8 },
    Confirmed,
    Released,
    Lost,
    DriverCommit,
    DriverAbort,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    pub branches: BTreeMap<TransactionId, Branch>,
    pub trips: BTreeMap<TransactionId, Trip>,
    pub epoch: u64,
    pub store: u64,
}

impl Disk {
    pub fn empty(store: u64) -> Self {
        Self { branches: BTreeMap::new(), trips: BTreeMap::new(), epoch: 1, store }
    }

    pub fn record(&mut self, fact: Fact) {
        match fact {
            Fact::Branch(transaction, branch) => drop(self.branches.insert(transaction, branch)),
            Fact::BranchForgotten(transaction) => drop(self.branches.remove(&transaction)),
            Fact::Trip(trip) => drop(self.trips.insert(trip.transaction.clone(), trip)),
            Fact::TripForgotten(transaction) => drop(self.trips.remove(&transaction)),
        }
    }

    pub fn restore(&self, me: usize) -> Company {
        let mut company = Scenario::company(me, self.store, self.epoch);
        for (transaction, branch) in &self.branches {
            company.restore(Fact::Branch(transaction.clone(), branch.clone()), NOW);
        }
        for trip in self.trips.values() {
            company.restore(Fact::Trip(trip.clone()), NOW);
        }
        company
    }

    pub fn holds_yes(&self, transaction: &TransactionId) -> bool {
        matches!(self.branches.get(transaction), Some(Branch::Prepared { .. }))
            || self.holds_reserved(transaction)
    }

    pub fn holds_reserved(&self, transaction: &TransactionId) -> bool {
        matches!(self.branches.get(transaction), Some(Branch::Confirmed { .. } | Branch::Released { .. }))
    }
}

/// One company, its disk, and the answers that wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub me: u8,
    pub company: Company,
    pub durable: Disk,
    pub recorded: Disk,
    /// Of the disk, until it is put back.
    pub copy: Option<Box<Disk>>,
    /// By attempt.
    pub waiting: BTreeSet<(u8, Say)>,
    pub history: History,
}

impl Node {
    pub fn new(me: u8) -> Self {
        let durable = Disk::empty(1);
        let company = durable.restore(usize::from(me));
        let (recorded, waiting) = (durable.clone(), BTreeSet::new());
        Self { me, company, durable, recorded, copy: None, waiting, history: History::default() }
    }

    /// Whether something is recorded that a crash would lose, or waits to be said.
    pub fn is_flushed(&self) -> bool {
        self.durable == self.recorded && self.waiting.is_empty()
    }

    /// Lets one thing happen. What it says at once leaves; the rest waits for [`What::Flush`].
    pub fn step(&mut self, event: Event, scenario: &Scenario, attempts: &mut Vec<Attempt>) -> Sent {
        let before = self.clone();
        let mut sent = Hand::act(self, event, scenario, attempts);
        self.note_what_happened(event, &before, scenario, attempts);
        if !scenario.only_consequences
            && let Some(rule) = self.broken_step(event, &before, attempts)
        {
            sent.violate(rule);
        }
        sent
    }
}
