//! The coordinator: one company's part in the trips that it was asked to book.
//!
//! | state | event -> action |
//! |---|---|
//! | waiting (memory only) | every vote yes, in time -> durable commit record -> committed; a no, the limit or the driver -> aborted |
//! | committed | confirm is owed until every company has acknowledged; then settled |
//! | aborted, forgotten, unknown | inquiry -> "abort" |
//! | cancelled (durable) | release is owed until every company has acknowledged |

mod past;
mod record;
mod vehicle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use past::OldTrips;
pub use record::{
    Beginning, Decision, Fresh, NotChangeable, Owed, OwedMessage, Planned, Stage, TRIP_STOPS_MAX, Tally,
    Trip, TripError, TripRequest, TripStop,
};

use crate::decision::{Fact, Outcome, Reason, Refusal, Step, Vote};
use crate::filed::Filed;
use crate::hold::Hold;
use crate::ids::{OperatorId, RequestKey, StoreId, TransactionId, TripId, VehicleId};
use crate::time_window::{Now, Timestamp};
use crate::vehicle::VehicleLimits;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiting {
    request: Arc<TripRequest>,
    participants: BTreeSet<OperatorId>,
    yes: BTreeSet<OperatorId>,
    no: Option<Refusal>,
    started: Duration,
    trip: TripId,
    replaces: Option<TransactionId>,
}

/// One company's part as coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    operator: OperatorId,
    store: StoreId,
    epoch: u64,
    started_count: u64,
    decide_limit: Duration,
    vehicle_limits: VehicleLimits,
    waiting: BTreeMap<TransactionId, Waiting>,
    trips: BTreeMap<TransactionId, Trip>,
    // From which database each other company spoke last. Only in memory: a restart hears of them again.
    stores: BTreeMap<OperatorId, StoreId>,
    // Derived from the waiting and the trips.
    by_key: Filed<RequestKey, TransactionId>,
    by_id: Filed<TripId, TransactionId>,
    owing: BTreeSet<TransactionId>,
}

impl Coordinator {
    /// A coordinator in a boot epoch of its store that no earlier run has used: the epoch is durable before this.
    pub fn new(operator: OperatorId, store: StoreId, epoch: u64, decide_limit: Duration) -> Self {
        Self {
            operator,
            store,
            epoch,
            started_count: 0,
            decide_limit,
            vehicle_limits: VehicleLimits::default(),
            waiting: BTreeMap::new(),
            trips: BTreeMap::new(),
            stores: BTreeMap::new(),
            by_key: Filed::default(),
            by_id: Filed::default(),
            owing: BTreeSet::new(),
        }
    }

    /// Takes back a commit record after a restart. What it still owes is owed again.
    pub fn restore(&mut self, trip: Trip) {
        self.index(&trip);
        self.trips.insert(trip.transaction.clone(), trip);
    }

    /// The database from which this coordinator speaks.
    pub fn store(&self) -> StoreId {
        self.store
    }

    /// Registers a transaction for the request, unless it is a repeat. `priority` is when the driver first asked,
    /// also on a second attempt.
    pub fn begin(
        &mut self,
        request: &Arc<TripRequest>,
        priority: Timestamp,
        fresh: Fresh,
        now: Now,
    ) -> Beginning {
        if let Some(beginning) = self.repeated(request) {
            return beginning;
        }
        self.register(request, priority, fresh, None, now)
    }

    /// Registers a transaction that moves a trip to other stops; until it commits the old ones stay valid.
    pub fn begin_change(
        &mut self,
        id: &TripId,
        request: &Arc<TripRequest>,
        priority: Timestamp,
        fresh: Fresh,
        now: Now,
    ) -> Result<Beginning, NotChangeable> {
        if let Some(beginning) = self.repeated(request) {
            return Ok(beginning);
        }
        let trip = self.changeable(id, now)?;
        // Of another car's trip a driver is not even told that it exists.
        if trip.request.key().vehicle != request.key().vehicle {
            return Err(NotChangeable::Unknown);
        }
        if trip.stage != Stage::Settled {
            return Err(NotChangeable::Busy);
        }
        let fresh = Fresh { trip: trip.id.clone(), ..fresh };
        let replaces = trip.transaction.clone();
        Ok(self.register(request, priority, fresh, Some(replaces), now))
    }

    /// Another company has just spoken from its database `store`. Transactions that begin from now on say so, in
    /// [`Hold::stores`].
    pub fn heard_from(&mut self, operator: &OperatorId, store: StoreId) {
        if *operator != self.operator {
            self.stores.insert(operator.clone(), store);
        }
    }

    /// Counts a vote. Only yes to a prepared hold is a vote; yes to a soft one is not.
    pub fn vote(&mut self, transaction: &TransactionId, operator: &OperatorId, vote: Vote) -> Tally {
        match &vote {
            Vote::Yes { store, .. } => self.heard_from(operator, *store),
            // Whichever it has now is not known until it has said yes to something.
            Vote::No(Refusal { reason: Reason::AnotherStore, .. }) => {
                self.stores.remove(operator);
            }
            Vote::No(_) => {}
        }
        let Some(waiting) = self.waiting.get_mut(transaction) else {
            // A repeated yes may arrive after the commit: whoever answered it with abort would split the trip.
            return match self.status(transaction).map(|step| step.answer) {
                Some(Outcome::Commit) => Tally::AllYes,
                Some(_) => Tally::Late,
                None => Tally::Unknown,
            };
        };
        if !waiting.participants.contains(operator) {
            return Tally::Late;
        }
        match vote {
            Vote::Yes { .. } => {
                waiting.yes.insert(operator.clone());
            }
            Vote::No(refusal) => {
                waiting.no.get_or_insert(refusal);
            }
        }
        match waiting {
            Waiting { no: Some(_), .. } => Tally::No,
            Waiting { yes, participants, .. } if yes == participants => Tally::AllYes,
            _ => Tally::Open,
        }
    }

    /// Decides once and for all: commit if everyone said yes in time, abort otherwise. `None` if it was decided
    /// before. The answer to a commit is told once durable.
    pub(crate) fn decide(&mut self, transaction: &TransactionId, now: Now) -> Option<Step<Decision>> {
        let waiting = self.waiting.get(transaction)?;
        let in_time = now.elapsed < waiting.started + self.decide_limit;
        let refusal = match &waiting.no {
            Some(refusal) => refusal.clone(),
            None => match waiting.participants.difference(&waiting.yes).next() {
                Some(silent) => {
                    let number = waiting.request.stops().iter().find(|stop| stop.operator == *silent);
                    let reason = Reason::Unreachable { operator: silent.clone() };
                    Refusal { stop: number.map(|stop| stop.stop.number), reason }
                }
                None if !in_time => Refusal::whole(Reason::TooSlow),
                None => return self.commit(transaction, now),
            },
        };
        self.give_up(transaction, refusal)
    }

    /// Aborts a transaction that waits for votes: the driver withdrew. `None` if it was decided before.
    pub(crate) fn withdraw(&mut self, transaction: &TransactionId) -> Option<Step<Decision>> {
        self.give_up(transaction, Refusal::whole(Reason::Withdrawn))
    }

    /// What to answer a company that asks about a transaction of this coordinator. `None`: it is none of this
    /// coordinator's, or nothing may be presumed, as another database made it, or as it was never begun.
    pub fn status(&self, transaction: &TransactionId) -> Option<Step<Outcome>> {
        // Also of a database that was lost and of which a copy was put back: what it knows to be committed is.
        if self.trips.contains_key(transaction) {
            return Some(Step::durable(Outcome::Commit, vec![]));
        }
        let is_of_this_store = transaction.coordinator == self.operator && transaction.store == self.store;
        // An id that was never handed out is forged, or was handed out by a later state of this store than the one
        // at hand: someone put back an old copy, and what it committed since is not known.
        let is_handed_out = (transaction.epoch, transaction.counter) <= (self.epoch, self.started_count);
        if !is_of_this_store || !is_handed_out {
            return None;
        }
        if self.waiting.contains_key(transaction) {
            return Some(Step::lazy(Outcome::Pending, vec![]));
        }
        // Never known, or aborted, or settled long ago: those who have not heard of a commit by then never voted.
        Some(Step::durable(Outcome::Abort, vec![]))
    }

    /// Whether `operator` takes part in a transaction that this coordinator remembers.
    pub fn is_participant(&self, transaction: &TransactionId, operator: &OperatorId) -> Option<bool> {
        let waiting = self.waiting.get(transaction).map(|waiting| &waiting.participants);
        let participants = waiting.or_else(|| self.trips.get(transaction).map(|trip| &trip.participants));
        participants.map(|participants| participants.contains(operator))
    }

    /// A company has acknowledged what was owed.
    pub fn acknowledged(
        &mut self,
        transaction: &TransactionId,
        operator: &OperatorId,
        message: OwedMessage,
    ) -> Step<()> {
        let Some(trip) = self.trips.get_mut(transaction) else { return Step::lazy((), vec![]) };
        let owed = match (&mut trip.stage, message) {
            (Stage::Committed { unacknowledged }, OwedMessage::Confirm) => unacknowledged,
            (Stage::Cancelled { unreleased }, OwedMessage::Release) => unreleased,
            _ => return Step::lazy((), vec![]),
        };
        if !owed.remove(operator) || !owed.is_empty() {
            // Only the last acknowledgement is recorded: after a crash all are asked for again, which harms nobody.
            return Step::lazy((), vec![]);
        }
        if message == OwedMessage::Confirm {
            trip.stage = Stage::Settled;
        }
        self.owing.remove(transaction);
        Step::lazy((), vec![Fact::Trip(trip.clone())])
    }

    /// A company answered a confirm with "released heuristically": the trip has a mixed outcome. Says whether that
    /// is news.
    pub fn lost(&mut self, transaction: &TransactionId, operator: &OperatorId) -> Step<bool> {
        let Some(trip) = self.trips.get_mut(transaction) else { return Step::lazy(false, vec![]) };
        let news = trip.lost.insert(operator.clone());
        let fact = Fact::Trip(trip.clone());
        let settled = self.acknowledged(transaction, operator, OwedMessage::Confirm);
        let facts = if news { [vec![fact], settled.facts].concat() } else { settled.facts };
        Step::durable(news, facts)
    }

    /// Cancels a committed trip: a durable record of its own, and release is owed to every company.
    pub(crate) fn cancel(&mut self, id: &TripId, now: Now) -> Result<Step<Trip>, NotChangeable> {
        let transaction = match self.changeable(id, now) {
            Ok(trip) => trip.transaction.clone(),
            Err(NotChangeable::Cancelled) => {
                let trip = self.trip(id).ok_or(NotChangeable::Unknown)?.clone();
                return Ok(Step::durable(trip, vec![]));
            }
            Err(error) => return Err(error),
        };
        let operator = self.operator.clone();
        let trip = self.trips.get_mut(&transaction).ok_or(NotChangeable::Unknown)?;
        let others = trip.participants.iter().filter(|&one| *one != operator);
        let unreleased: BTreeSet<OperatorId> = others.cloned().collect();
        trip.stage = Stage::Cancelled { unreleased };
        let trip = trip.clone();
        self.index(&trip);
        let facts = vec![Fact::Trip(trip.clone())];
        Ok(Step::durable(trip, facts))
    }

    /// Everything that is still owed to other companies. It is read from memory: to be sent only once all that was
    /// recorded so far is durable.
    pub fn owed(&self) -> Vec<Owed> {
        self.owing.iter().flat_map(|transaction| self.owed_of(transaction)).collect()
    }

    /// What one transaction still owes; to be sent as [`Coordinator::owed`] says.
    pub fn owed_of(&self, transaction: &TransactionId) -> Vec<Owed> {
        let (operators, message) = match self.trips.get(transaction).map(|trip| &trip.stage) {
            Some(Stage::Committed { unacknowledged }) => (unacknowledged, OwedMessage::Confirm),
            Some(Stage::Cancelled { unreleased }) => (unreleased, OwedMessage::Release),
            _ => return Vec::new(),
        };
        let owed = |operator: &OperatorId| Owed {
            transaction: transaction.clone(),
            operator: operator.clone(),
            message,
        };
        operators.iter().map(owed).collect()
    }

    /// A trip by its transaction.
    pub fn find(&self, transaction: &TransactionId) -> Option<&Trip> {
        self.trips.get(transaction)
    }

    /// A trip by its driver's name for it.
    pub fn trip(&self, id: &TripId) -> Option<&Trip> {
        self.trips.get(self.by_id.get(id)?)
    }

    /// A trip by the request that asked for it.
    pub fn trip_of(&self, key: &RequestKey) -> Option<&Trip> {
        self.trips.get(self.by_key.get(key)?)
    }

    /// The transaction that waits for votes for this request.
    pub fn waiting_for(&self, key: &RequestKey) -> Option<&TransactionId> {
        let transaction = self.by_key.get(key)?;
        self.waiting.contains_key(transaction).then_some(transaction)
    }

    /// Every remembered trip.
    pub fn trips(&self) -> impl Iterator<Item = &Trip> {
        self.trips.values()
    }

    /// The remembered trips of a car, in no particular order.
    pub fn trips_of(&self, vehicle: &VehicleId) -> impl Iterator<Item = &Trip> {
        self.transactions_of(vehicle).filter_map(|transaction| self.trips.get(transaction))
    }

    /// Every remembered trip from a transaction on, in the order of transactions.
    pub fn trips_from(&self, from: std::ops::Bound<TransactionId>) -> impl Iterator<Item = &Trip> {
        self.trips.range((from, std::ops::Bound::Unbounded)).map(|(_, trip)| trip)
    }

    /// Every remembered trip before a transaction, or before none: the last transaction first.
    pub fn trips_back_from(&self, before: std::ops::Bound<TransactionId>) -> impl Iterator<Item = &Trip> {
        self.trips.range((std::ops::Bound::Unbounded, before)).rev().map(|(_, trip)| trip)
    }

    pub(crate) fn has_yes_of(&self, transaction: &TransactionId, operator: &OperatorId) -> bool {
        self.waiting.get(transaction).is_some_and(|waiting| waiting.yes.contains(operator))
    }

    /// Whether a transaction waits for votes.
    pub fn is_waiting(&self, transaction: &TransactionId) -> bool {
        self.waiting.contains_key(transaction)
    }

    /// Transactions that wait for votes.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Trips that still owe something.
    pub fn owing_count(&self) -> usize {
        self.owing.len()
    }

    fn repeated(&self, request: &Arc<TripRequest>) -> Option<Beginning> {
        let known = self.by_key.get(request.key())?;
        let (earlier, beginning) = match (self.waiting.get(known), self.trips.get(known)) {
            (Some(waiting), _) => (&waiting.request, Beginning::InFlight(known.clone())),
            (None, Some(trip)) => (&trip.request, Beginning::Done(Box::new(trip.clone()))),
            (None, None) => return None,
        };
        Some(if earlier == request { beginning } else { Beginning::Different })
    }

    fn register(
        &mut self,
        request: &Arc<TripRequest>,
        priority: Timestamp,
        fresh: Fresh,
        replaces: Option<TransactionId>,
        now: Now,
    ) -> Beginning {
        if let Err(refusal) = self.check_vehicle(request, replaces.as_ref(), now) {
            return Beginning::Refused(refusal);
        }
        self.started_count += 1;
        let transaction = TransactionId {
            coordinator: self.operator.clone(),
            store: self.store,
            epoch: self.epoch,
            counter: self.started_count,
            nonce: fresh.nonce,
        };
        let mut participants = request.operators();
        let replaced = replaces.as_ref().and_then(|old| self.trips.get(old));
        // Where the old trip has no stop, or lost it, there is nothing to give back.
        let givers: BTreeSet<OperatorId> =
            replaced.map(|trip| &trip.request.operators() - &trip.lost).unwrap_or_default();
        participants.extend(givers.iter().cloned());
        let known = self.stores.iter().filter(|(operator, _)| participants.contains(operator));
        let stores: BTreeMap<OperatorId, StoreId> =
            known.map(|(operator, store)| (operator.clone(), *store)).collect();
        let hold = |operator: &OperatorId| Hold {
            transaction: transaction.clone(),
            key: request.key().clone(),
            plug: request.plug(),
            participants: participants.iter().cloned().collect(),
            stores: stores.clone(),
            priority,
            stops: request
                .stops()
                .iter()
                .filter(|one| one.operator == *operator)
                .map(|one| one.stop.clone())
                .collect(),
            replaces: replaced.filter(|_| givers.contains(operator)).map(|trip| trip.transaction.clone()),
        };
        let holds = participants.iter().map(|operator| (operator.clone(), hold(operator))).collect();
        self.by_key.insert(request.key().clone(), transaction.clone());
        let waiting = Waiting {
            request: request.clone(),
            participants,
            yes: BTreeSet::new(),
            no: None,
            started: now.elapsed,
            trip: fresh.trip,
            replaces,
        };
        self.waiting.insert(transaction.clone(), waiting);
        Beginning::New { transaction, holds }
    }

    fn commit(&mut self, transaction: &TransactionId, now: Now) -> Option<Step<Decision>> {
        let waiting = self.waiting.remove(transaction)?;
        let mut facts = Vec::new();
        if let Some(replaced) = waiting.replaces.as_ref().and_then(|old| self.trips.get_mut(old)) {
            replaced.stage = Stage::Replaced;
            facts.push(Fact::Trip(replaced.clone()));
        }
        let others = waiting.participants.iter().filter(|&one| *one != self.operator);
        let unacknowledged: BTreeSet<OperatorId> = others.cloned().collect();
        let stage =
            if unacknowledged.is_empty() { Stage::Settled } else { Stage::Committed { unacknowledged } };
        let trip = Trip {
            id: waiting.trip,
            transaction: transaction.clone(),
            request: waiting.request,
            decided: now.utc,
            stage,
            lost: BTreeSet::new(),
            replaces: waiting.replaces,
            participants: waiting.participants,
        };
        self.index(&trip);
        self.trips.insert(transaction.clone(), trip.clone());
        facts.push(Fact::Trip(trip.clone()));
        Some(Step::durable(Decision::Commit(Box::new(trip)), facts))
    }

    fn give_up(&mut self, transaction: &TransactionId, refusal: Refusal) -> Option<Step<Decision>> {
        let waiting = self.waiting.remove(transaction)?;
        self.by_key.remove_if(waiting.request.key(), |known| known == transaction);
        let asked = waiting.participants.into_iter().filter(|one| *one != self.operator).collect();
        Some(Step::lazy(Decision::Abort { asked, refusal }, vec![]))
    }

    fn changeable(&self, id: &TripId, now: Now) -> Result<&Trip, NotChangeable> {
        let trip = self.trip(id).ok_or(NotChangeable::Unknown)?;
        if matches!(trip.stage, Stage::Cancelled { .. }) {
            return Err(NotChangeable::Cancelled);
        }
        if trip.request.last_end().is_some_and(|end| end <= now.utc) {
            return Err(NotChangeable::Over);
        }
        let changing = |waiting: &Waiting| waiting.replaces.is_some() && waiting.trip == *id;
        if self.waiting.values().any(changing) {
            return Err(NotChangeable::Busy);
        }
        Ok(trip)
    }

    fn index(&mut self, trip: &Trip) {
        let transaction = &trip.transaction;
        if trip.stage != Stage::Replaced {
            self.by_id.insert(trip.id.clone(), transaction.clone());
        }
        self.by_key.insert(trip.request.key().clone(), transaction.clone());
        let owes = match &trip.stage {
            Stage::Committed { unacknowledged: left } | Stage::Cancelled { unreleased: left } => {
                !left.is_empty()
            }
            Stage::Settled | Stage::Replaced => false,
        };
        if owes {
            self.owing.insert(transaction.clone());
        } else {
            self.owing.remove(transaction);
        }
    }
}
