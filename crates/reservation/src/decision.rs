//! Votes, outcomes, refusals: the words in which companies answer each other; and what a transition leaves to do.

use std::time::Duration;

use crate::hold::Branch;
use crate::ids::{OperatorId, StoreId, TransactionId};
use crate::time_window::{TimeWindow, Timestamp};
use crate::trip::Trip;

/// What a transition of the rules answers, and what must be written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Step<A> {
    /// To be told to whoever asked.
    pub answer: A,
    /// To be recorded, in this order. Facts of one step are recorded together or not at all.
    pub facts: Vec<Fact>,
    /// When the answer may leave.
    pub told: Told,
}

impl<A> Step<A> {
    /// The answer leaves once everything that it rests on is durable.
    pub fn durable(answer: A, facts: Vec<Fact>) -> Self {
        Self { answer, facts, told: Told::OnceDurable }
    }

    /// The answer stays true if the facts are lost.
    pub fn lazy(answer: A, facts: Vec<Fact>) -> Self {
        Self { answer, facts, told: Told::AtOnce }
    }

    /// The same step with another answer.
    pub fn map<B>(self, with: impl FnOnce(A) -> B) -> Step<B> {
        Step { answer: with(self.answer), facts: self.facts, told: self.told }
    }
}

/// When an answer may leave the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Once all that was recorded so far, by this step or by earlier ones, is durable.
    OnceDurable,
    /// At once.
    AtOnce,
}

/// One thing to remember. The latest fact about a key replaces the earlier ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// What this company holds for a transaction.
    Branch(TransactionId, Branch),
    /// Nothing need be remembered of the transaction.
    BranchForgotten(TransactionId),
    /// A trip that this company coordinates and has decided to commit.
    Trip(Trip),
    /// Nothing need be remembered of the trip.
    TripForgotten(TransactionId),
}

/// A participant's answer to a request to hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// All stops are held.
    Yes {
        /// When a soft hold may be released; for a prepared one, when the coordinator meant to have decided. By the
        /// clock of the company that votes: for people, not for decisions.
        expires: Timestamp,
        /// In which database the promise stands.
        store: StoreId,
    },
    /// Nothing is held, and nothing ever will be for this transaction.
    No(Refusal),
}

/// What became of a transaction, as far as the one asked knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The coordinator has not decided yet.
    Pending,
    /// Committed.
    Commit,
    /// Aborted. Only this word releases a prepared hold; silence and errors never do.
    Abort,
    /// The one asked voted yes and waits for the outcome itself.
    InDoubt,
}

/// Why a hold was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Which stop of the trip, counted as in the request; none if it concerns the whole.
    pub stop: Option<u16>,
    /// Why.
    pub reason: Reason,
}

impl Refusal {
    /// A refusal of the whole request.
    pub fn whole(reason: Reason) -> Self {
        Self { stop: None, reason }
    }

    /// A refusal because of one stop.
    pub fn at(stop: u16, reason: Reason) -> Self {
        Self { stop: Some(stop), reason }
    }
}

/// The kinds of refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The company has no such EVSE.
    UnknownEvse,
    /// The EVSE has no connector for the car.
    WrongPlug,
    /// The EVSE is out of service.
    OutOfService,
    /// The window has begun already.
    InThePast,
    /// The window is longer than the company allows.
    TooLong {
        /// The longest allowed.
        max: Duration,
    },
    /// The window lies further ahead than the company plans.
    TooFarAhead {
        /// The furthest allowed.
        max: Duration,
    },
    /// More stops in one hold than the company allows, or none.
    StopCount {
        /// The most allowed.
        max: usize,
    },
    /// Two stops of the same hold overlap in time.
    StopsOverlap,
    /// Someone's hold is in the way; it may be gone in a moment.
    Held,
    /// A reservation is in the way.
    Booked {
        /// The nearest windows of the same length that are free on the same EVSE.
        free: Vec<TimeWindow>,
    },
    /// The transaction is over for this company.
    Closed,
    /// The hold was meant for the database that the company had before: its disk was lost, or an old copy put back.
    AnotherStore,
    /// The same transaction asked for something else before.
    Different,
    /// Another company already coordinates the same request of the same car.
    RequestedElsewhere {
        /// Its coordinator is the one to ask.
        transaction: TransactionId,
    },
    /// The coordinator holds as much here as it may without deciding.
    QuotaReached,
    /// The car has as many trips as a company allows.
    TooManyTrips {
        /// Which company says so.
        operator: OperatorId,
        /// The most allowed.
        max: u32,
        /// What the car has.
        used: u32,
    },
    /// The car would have its windows for longer, all together, than a company allows.
    TooMuchTime {
        /// Which company says so.
        operator: OperatorId,
        /// The longest allowed.
        max: Duration,
        /// What the car has.
        used: Duration,
    },
    /// What the change would replace is no longer the current reservation.
    Stale,
    /// A company did not answer, or not in time; its hold, if any, is being taken back.
    Unreachable {
        /// Which company.
        operator: OperatorId,
    },
    /// Every company said yes, but the last one after the time limit for the decision.
    TooSlow,
    /// The driver withdrew before the decision.
    Withdrawn,
}

impl Reason {
    /// Whether the same request may well succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Reason::Held | Reason::AnotherStore)
    }
}

/// A company was told something about a transaction that cannot be true, or by someone who has no say in it.
///
/// It is an answer like any other: what it rests on may not be durable yet, so it leaves once all that was recorded
/// so far is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unacceptable {
    /// Only the coordinator of a transaction may speak for it.
    #[error("not the coordinator of this transaction")]
    NotCoordinator,
    /// Told to confirm what was never prepared here: an alarm, and never answered with success.
    #[error("never prepared here")]
    NeverPrepared,
    /// Released at the window's start plus grace while the outcome could not be learnt.
    #[error("released heuristically while the coordinator could not be reached")]
    ReleasedHeuristically,
    /// Told to abort what is confirmed: ignored.
    #[error("confirmed already")]
    AlreadyConfirmed,
}
