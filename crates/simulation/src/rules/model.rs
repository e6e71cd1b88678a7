//! The reference: what may be the case, decided from a handful of plain facts and without the rules.
//!
//! It sees what becomes durable, and what leaves a company; of each transaction it remembers who has done what, as
//! bits by company, and of each company a plain list of windows and owners. The invariants are those of
//! `docs/protocol.md`, by their numbers there.

use std::time::Duration;

use recarga_reservation::{AbortCause, Branch, Fact, Outcome, Stage, Timestamp, Trip, Unacceptable};

use super::message::{Message, Purpose, Reply};
use super::node::{company_of, evse_of, number, operator};
use super::world::{Transaction, World};

/// Companies as bits.
pub type Companies = u8;

/// A window of one company that is somebody's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owned {
    pub evse: usize,
    pub start: i64,
    pub end: i64,
    pub owner: usize,
}

/// What is known of one transaction. Whatever says "ever" stays true.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub coordinator: usize,
    pub store: u128,
    pub request: usize,
    pub participants: Companies,
    pub replaces: Option<usize>,
    /// The database of each company for which a hold is meant, where it says so.
    pub meant_for: Vec<(usize, u128)>,
    /// Windows by company, as the driver asked for them.
    pub stops: Vec<(usize, Owned)>,
    /// Ever durably prepared or more.
    pub yes: Companies,
    /// Ever durably confirmed.
    pub confirmed: Companies,
    /// Durably released after a commit.
    pub released: Companies,
    /// Ever durably aborted, by an outcome.
    pub aborted: Companies,
    /// Ever durably given up without an outcome.
    pub gave_up: Companies,
    /// Has told an inquiring company that it never voted and never will.
    pub said_abort: Companies,
    /// Has forgotten its branch.
    pub forgotten: Companies,
    /// Has lost its disk since the transaction began.
    pub disk_lost: Companies,
    /// Ever durably committed.
    pub committed: bool,
    pub cancelled: bool,
    pub replaced: bool,
    pub trip_forgotten: bool,
    /// Its coordinator, or a crash, has ended it without a commit.
    pub is_dead: bool,
}

/// Everything that must be true.
#[derive(Debug)]
pub struct Model {
    pub transactions: Vec<Facts>,
    /// By company: what is durably held or reserved.
    pub owned: Vec<Vec<Owned>>,
    pub violation: Option<String>,
    // By company: store, epoch and counter of the last transaction that it began.
    last_ids: Vec<(u128, u64, u64)>,
    // By company: its database.
    stores: Vec<u128>,
}

impl Facts {
    pub fn is_current(&self) -> bool {
        self.committed && !self.cancelled && !self.replaced
    }

    /// Whether a company has told that it never will. Once its coordinator will never count a yes, it may forget that.
    fn must_not_vote(&self, at: usize) -> bool {
        let is_forgotten = self.is_dead && self.forgotten & bit(at) != 0;
        self.said_abort & !self.disk_lost & bit(at) != 0 && !is_forgotten
    }

    /// Whether the coordinator's disk was lost since.
    pub fn is_coordinator_lost(&self) -> bool {
        self.disk_lost & bit(self.coordinator) != 0
    }
}

pub fn bit(company: usize) -> Companies {
    1 << company
}

impl Model {
    pub fn new(companies: usize) -> Self {
        Self {
            transactions: Vec::new(),
            owned: vec![Vec::new(); companies],
            violation: None,
            last_ids: vec![(0, 0, 0); companies],
            stores: (1..=companies as u128).collect(),
        }
    }

    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// A transaction has begun; nothing has been asked yet.
    pub fn begun(&mut self, at: usize, transaction: &Transaction) {
        let id = &transaction.id;
        let (store, epoch, counter) = (id.store.0, id.epoch, id.counter);
        let (last_store, last_epoch, last_counter) = self.last_ids[at];
        if last_store == store && (last_epoch, last_counter) >= (epoch, counter) {
            self.violate(format!("identity: {id} is handed out twice"));
        }
        self.last_ids[at] = (store, epoch, counter);
        let mut facts = Facts { coordinator: at, store, request: transaction.request, ..Facts::default() };
        for (company, hold) in &transaction.holds {
            facts.participants |= bit(*company);
            let meant_for = hold.stores.get(&operator(*company)).map(|store| (*company, store.0));
            facts.meant_for.extend(meant_for);
            facts.replaces = facts.replaces.or(hold.replaces.as_ref().map(number));
            for stop in &hold.stops {
                let (start, end) = (stop.window.start().as_millis(), stop.window.end().as_millis());
                let owner = self.transactions.len();
                facts.stops.push((*company, Owned { evse: evse_of(&stop.evse), start, end, owner }));
            }
        }
        self.transactions.push(facts);
    }

    /// Something has become durable.
    pub fn durable(&mut self, at: usize, fact: &Fact, utc: Timestamp) {
        match fact {
            Fact::Branch(id, branch) => self.branch_durable(at, number(id), branch),
            Fact::BranchForgotten(id) => self.branch_forgotten(at, number(id), utc),
            Fact::Trip(trip) => self.trip_durable(at, trip),
            Fact::TripForgotten(id) => {
                let facts = &mut self.transactions[number(id)];
                facts.trip_forgotten = true;
                self.check_settled(number(id));
            }
        }
    }

    /// A company gives a prepared hold up because its window's start plus grace has passed, by its own clock.
    pub fn gives_up(&mut self, at: usize, transaction: usize, grace: Duration, utc: Timestamp) {
        let facts = &self.transactions[transaction];
        let own = facts.stops.iter().filter(|(company, _)| *company == at);
        let start = own.map(|(_, window)| window.start).min();
        if start.is_some_and(|start| Timestamp::from_millis(start) + grace > utc) {
            self.violate(format!("{} gives t{transaction} up before its window and grace", operator(at)));
        }
    }

    /// The process has ended: what it had begun and not durably committed can never be.
    pub fn crashed(&mut self, at: usize) {
        for facts in self.transactions.iter_mut().filter(|facts| facts.coordinator == at && !facts.committed)
        {
            facts.is_dead = true;
        }
    }

    pub fn lost_disk(&mut self, at: usize, store: u128) {
        self.stores[at] = store;
        self.owned[at].clear();
        for facts in &mut self.transactions {
            facts.disk_lost |= bit(at);
        }
    }

    pub fn says_booked(&mut self, (at, store): (usize, u128), request: usize, transaction: usize) {
        let facts = &self.transactions[transaction];
        let is_its = (facts.coordinator, facts.store, facts.request) == (at, store, request);
        if !facts.committed || facts.is_dead || !is_its {
            self.violate(format!("2: a driver is told that t{transaction} is booked, and it is not durable"));
        }
    }

    pub fn says_refused(&mut self, (at, store): (usize, u128), request: usize) {
        let of_it =
            |facts: &&mut Facts| (facts.coordinator, facts.store, facts.request) == (at, store, request);
        let mut booked = false;
        for facts in self.transactions.iter_mut().filter(of_it) {
            facts.is_dead |= !facts.committed;
            booked |= facts.is_current();
        }
        if booked {
            self.violate(format!(
                "driver: request {request} is refused although it is booked at {}",
                operator(at)
            ));
        }
    }

    pub fn says_cancelled(&mut self, transaction: usize) {
        if !self.transactions[transaction].cancelled {
            self.violate(format!("7: t{transaction} is told to be cancelled before that is durable"));
        }
    }

    fn branch_durable(&mut self, at: usize, transaction: usize, branch: &Branch) {
        let me = bit(at);
        let facts = &mut self.transactions[transaction];
        let lost = facts.disk_lost & me != 0;
        let (is_own, name) = (facts.coordinator == at, operator(at));
        match branch {
            Branch::Held { .. } => self.own(at, transaction),
            Branch::Prepared { .. } => {
                facts.yes |= me;
                if facts.must_not_vote(at) {
                    self.violate(format!("5: {name} prepares t{transaction} after it told abort"));
                }
                self.own(at, transaction);
            }
            Branch::Confirmed { .. } => {
                facts.confirmed |= me;
                facts.yes |= me;
                if !facts.committed {
                    self.violate(format!("1: {name} reserves for t{transaction}, which is not committed"));
                }
                self.own(at, transaction);
            }
            Branch::Released { .. } => {
                facts.released |= me;
                if !facts.cancelled && !facts.replaced {
                    self.violate(format!("1: {name} releases t{transaction}, which stands"));
                }
                self.disown(at, transaction);
            }
            Branch::Aborted { cause: AbortCause::Heuristic, .. } => {
                facts.gave_up |= me;
                if is_own {
                    self.violate(format!("{name} gives up its own t{transaction}, which it decides itself"));
                }
                self.disown(at, transaction);
            }
            Branch::Aborted { .. } => {
                facts.aborted |= me;
                if facts.committed && !lost && facts.forgotten & me == 0 {
                    self.violate(format!("1: {name} aborts t{transaction}, which is committed"));
                }
                self.disown(at, transaction);
            }
        }
    }

    fn branch_forgotten(&mut self, at: usize, transaction: usize, utc: Timestamp) {
        let facts = &mut self.transactions[transaction];
        let stands = facts.is_current() && facts.confirmed & bit(at) != 0 && facts.gave_up & bit(at) == 0;
        let is_past = facts.stops.iter().all(|(_, window)| window.end <= utc.as_millis());
        facts.forgotten |= bit(at);
        if stands && !is_past {
            self.violate(format!("1: {} forgets t{transaction}, which stands", operator(at)));
        }
        self.disown(at, transaction);
    }

    fn trip_durable(&mut self, at: usize, trip: &Trip) {
        let transaction = number(&trip.transaction);
        let facts = &mut self.transactions[transaction];
        let lost = trip.lost.iter().map(company_of).fold(0, |all, one| all | bit(one));
        if lost & !facts.gave_up & !facts.disk_lost != 0 {
            self.violate(format!("t{transaction} reports a loss at a company that gave nothing up"));
            return;
        }
        let is_news = !facts.committed;
        facts.committed = true;
        match &trip.stage {
            Stage::Committed { .. } => {}
            Stage::Settled => {
                if facts.participants != bit(at) {
                    self.check_settled(transaction);
                }
            }
            Stage::Cancelled { .. } => facts.cancelled = true,
            Stage::Replaced => facts.replaced = true,
        }
        if is_news {
            self.check_commit(at, transaction);
        }
    }

    fn check_commit(&mut self, at: usize, transaction: usize) {
        let facts = &self.transactions[transaction];
        let excused = facts.gave_up | facts.disk_lost | bit(at);
        let complaint = if facts.is_dead {
            Some("1: committed after its coordinator had ended it".to_owned())
        } else if facts.participants & !facts.yes & !excused != 0 {
            Some("3: committed, but a participant is not durably prepared".to_owned())
        } else if facts.aborted & facts.participants & !facts.disk_lost != 0 {
            Some("1: committed, but a participant has aborted".to_owned())
        } else if facts.said_abort & !facts.disk_lost != 0 {
            Some("5: committed although a participant told abort".to_owned())
        } else {
            let same = |one: &&Facts| one.request == facts.request && one.is_current();
            let stands = |one: &&Facts| one.gave_up == 0 && one.disk_lost == 0;
            let count = self.transactions.iter().filter(same).filter(stands).count();
            (count > 1).then(|| format!("driver: request {} is booked twice", facts.request))
        };
        if let Some(complaint) = complaint {
            self.violate(format!("{complaint} (t{transaction} of {})", operator(at)));
        }
    }

    // 4: only what every participant has durably confirmed may be settled or forgotten.
    fn check_settled(&mut self, transaction: usize) {
        let facts = &self.transactions[transaction];
        let own = bit(facts.coordinator);
        let done = facts.confirmed | facts.gave_up | facts.disk_lost | own;
        if facts.committed && !facts.cancelled && facts.participants & !done != 0 {
            self.violate(format!(
                "4: t{transaction} is settled, but a participant has not durably confirmed"
            ));
        }
    }

    // 6: a window has one owner; only a change may overlap what it replaces.
    fn own(&mut self, at: usize, transaction: usize) {
        if self.owned[at].iter().any(|one| one.owner == transaction) {
            return;
        }
        let facts = &self.transactions[transaction];
        for (_, wanted) in facts.stops.iter().filter(|(company, _)| *company == at) {
            let overlap =
                |one: &&Owned| one.evse == wanted.evse && one.start < wanted.end && wanted.start < one.end;
            let is_change = |owner: usize| {
                facts.replaces == Some(owner) || self.transactions[owner].replaces == Some(transaction)
            };
            if let Some(other) = self.owned[at].iter().filter(overlap).find(|one| !is_change(one.owner)) {
                let what =
                    format!("6: t{} and t{transaction} own the same window of {}", other.owner, operator(at));
                self.violation.get_or_insert(what);
            }
        }
        let stops = self.transactions[transaction].stops.iter();
        self.owned[at].extend(stops.filter(|(company, _)| *company == at).map(|(_, window)| *window));
    }

    fn disown(&mut self, at: usize, transaction: usize) {
        self.owned[at].retain(|one| one.owner != transaction);
    }

    fn coordinator_says_abort(&mut self, at: usize, transaction: usize) {
        let facts = &mut self.transactions[transaction];
        facts.is_dead |= !facts.committed;
        if facts.committed && !facts.trip_forgotten {
            self.violate(format!("1: {} tells abort of t{transaction}, which is committed", operator(at)));
        }
    }

    fn says_outcome(&mut self, at: usize, transaction: usize, outcome: Outcome) {
        let me = bit(at);
        let facts = &mut self.transactions[transaction];
        let lost = facts.disk_lost & me != 0;
        match outcome {
            Outcome::Pending | Outcome::InDoubt => {}
            Outcome::Commit => {
                let known = if facts.coordinator == at {
                    facts.committed
                } else {
                    (facts.confirmed | facts.released) & me != 0
                };
                if !known {
                    self.violate(format!(
                        "2: {} tells commit of t{transaction} before it is durable",
                        operator(at)
                    ));
                }
            }
            // What an empty disk says is nobody's knowledge, and nobody may believe it.
            Outcome::Abort if lost => {}
            Outcome::Abort if facts.coordinator == at => self.coordinator_says_abort(at, transaction),
            Outcome::Abort => {
                facts.said_abort |= me;
                if facts.aborted & me == 0 {
                    self.violate(format!(
                        "7: {} tells abort of t{transaction} before it is durable",
                        operator(at)
                    ));
                } else if facts.committed && facts.forgotten & me == 0 {
                    self.violate(format!(
                        "5: {} tells abort of t{transaction}, which is committed",
                        operator(at)
                    ));
                }
            }
        }
    }

    fn says_done(&mut self, at: usize, transaction: usize, is_release: bool) {
        let me = bit(at);
        let facts = &self.transactions[transaction];
        let owns = self.owned[at].iter().any(|one| one.owner == transaction);
        if is_release && owns {
            self.violate(format!(
                "7: {} acknowledges the release of t{transaction}, which it holds",
                operator(at)
            ));
        } else if !is_release && (facts.confirmed | facts.released) & me == 0 {
            self.violate(format!(
                "7: {} acknowledges t{transaction}, which it has not durably reserved",
                operator(at)
            ));
        }
    }
}

impl World {
    /// A message leaves a company.
    pub fn model_says(&mut self, from: usize, message: &Message) {
        match *message {
            Message::Hold { .. } | Message::Inquire(_) | Message::Store => {}
            Message::Confirm(one) => {
                if !self.model.transactions[one].committed {
                    self.model.violate(format!("2: confirm of t{one} leaves before the commit is durable"));
                }
            }
            Message::Abort(one) => self.model.coordinator_says_abort(from, one),
            Message::Release(one) => {
                if !self.model.transactions[one].cancelled {
                    self.model
                        .violate(format!("7: release of t{one} leaves before the cancellation is durable"));
                }
            }
        }
    }

    /// A reply leaves a company.
    pub fn model_replies(&mut self, at: usize, purpose: Purpose, reply: &Reply) {
        use recarga_reservation::{Firmness, OwedMessage, Vote};
        match (purpose, reply) {
            (Purpose::Hold { transaction, firmness: Firmness::Prepared }, Reply::Vote(Vote::Yes { .. })) => {
                let facts = &self.model.transactions[transaction];
                let name = operator(at);
                let meant_for = facts.meant_for.iter().find(|(company, _)| *company == at);
                if meant_for.is_some_and(|(_, store)| *store != self.model.stores[at]) {
                    self.model
                        .violate(format!("5: {name} says yes to t{transaction}, meant for its lost disk"));
                } else if facts.yes & bit(at) == 0 {
                    self.model.violate(format!("7: {name} says yes to t{transaction} before it is durable"));
                } else if facts.must_not_vote(at) {
                    self.model.violate(format!("5: {name} says yes to t{transaction} after it told abort"));
                }
            }
            (Purpose::Deliver { transaction, message }, Reply::Done) => {
                self.model.says_done(at, transaction, message == OwedMessage::Release);
            }
            (Purpose::Deliver { transaction, .. }, Reply::Refused(Unacceptable::ReleasedHeuristically))
                if self.model.transactions[transaction].gave_up & bit(at) == 0 =>
            {
                self.model
                    .violate(format!("7: t{transaction} is told to be given up before that is durable"));
            }
            (
                Purpose::Question { transaction, .. } | Purpose::Tombstone { transaction },
                Reply::Outcome(outcome, _),
            ) => self.model.says_outcome(at, transaction, *outcome),
            _ => {}
        }
    }
}
