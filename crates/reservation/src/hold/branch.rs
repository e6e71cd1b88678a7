//! What a transaction asks of one company, what the company remembers of it, and what it allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::decision::{Outcome, Vote};
use crate::ids::{EvseId, OperatorId, RequestKey, StoreId, TransactionId};
use crate::station::Plug;
use crate::time_window::{TimeWindow, Timestamp};
use crate::vehicle::VehicleLimits;

/// How long after a driver's request another participant's "abort" is worth something. Nobody forgets within a day what
/// a trip's windows were kept for, and clocks may differ by the rest of it.
pub const PROMISE_BELIEVED_MAX: Duration = Duration::from_secs(12 * 3600);

/// One stop of a trip at one company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stop {
    /// Its place in the whole trip, from 0.
    pub number: u16,
    /// Where.
    pub evse: EvseId,
    /// When.
    pub window: TimeWindow,
}

/// What a transaction asks of one company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Whose it is.
    pub transaction: TransactionId,
    /// Which client's request it serves.
    pub key: RequestKey,
    /// What the car can plug into; unknown if the coordinator does not say.
    pub plug: Option<Plug>,
    /// Every company of the transaction: whom to ask if the coordinator is silent.
    pub participants: Vec<OperatorId>,
    /// From which database each of the other participants spoke when the coordinator last heard of it, before it
    /// asked; absent where it had not heard. A company that has lost its disk speaks from another one.
    pub stores: BTreeMap<OperatorId, StoreId>,
    /// When the driver first asked: the older goes first where two compete.
    pub priority: Timestamp,
    /// At this company; all or none. Empty only for a change that moves every stop elsewhere.
    pub stops: Vec<Stop>,
    /// The confirmed transaction whose windows at this company end when this one is confirmed.
    pub replaces: Option<TransactionId>,
}

impl Hold {
    /// Whether what `from` says of this transaction, from its database `store`, may be believed.
    ///
    /// "Commit" is knowledge, whoever has it, also from a database that was put back from a copy. "Abort" may be a
    /// presumption: the coordinator presumes it of what its database does not know, another participant promises it of
    /// what it has not voted on. Both are worth something only from a database in which the opposite would stand: the
    /// one that made the transaction, or the one that would have voted; of that one only for a while, since it forgets
    /// what it has long been through with, and then would promise again.
    pub fn believes(&self, from: &OperatorId, store: StoreId, outcome: Outcome, now: Timestamp) -> bool {
        let is_coordinator = *from == self.transaction.coordinator;
        match outcome {
            Outcome::Commit => true,
            Outcome::Abort if is_coordinator => store == self.transaction.store,
            Outcome::Abort => {
                self.stores.get(from) == Some(&store) && now < self.priority + PROMISE_BELIEVED_MAX
            }
            Outcome::Pending => is_coordinator && store == self.transaction.store,
            Outcome::InDoubt => false,
        }
    }

    /// Whether it was meant for another database of `operator` than `store`. Others are told to believe that one that
    /// it never votes yes, so no other one may.
    pub fn is_for_another_store(&self, operator: &OperatorId, store: StoreId) -> bool {
        self.stores.get(operator).is_some_and(|meant| *meant != store)
    }

    pub(super) fn first_start(&self) -> Option<Timestamp> {
        self.stops.iter().map(|stop| stop.window.start()).min()
    }

    /// When the last of its windows ends; none if it has no stops.
    pub fn last_end(&self) -> Option<Timestamp> {
        self.stops.iter().map(|stop| stop.window.end()).max()
    }

    pub(super) fn reserved(&self) -> Duration {
        self.stops.iter().map(|stop| stop.window.duration()).sum()
    }
}

/// How firmly to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Firmness {
    /// For a person's think-time: the company may release it alone when the time is up. Not a vote.
    Soft,
    /// A vote: never released without an outcome.
    Prepared,
}

/// Whether the one who asks can wait a little for a window that a younger trip has prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Answer [`HoldAnswer::Wait`] rather than no.
    CanWait,
    /// Vote now.
    MustVote,
}

/// The answer to [`super::Participant::hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldAnswer {
    /// The vote.
    Vote(Vote),
    /// Nothing changed: ask again when something is given back, or at the end of one's patience.
    Wait,
}

/// What a confirm came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// All is reserved, or was.
    Reserved,
    /// It came too late: to be refused with [`crate::Unacceptable::ReleasedHeuristically`].
    ReleasedHeuristically,
}

/// A prepared hold whose outcome should be asked for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which transaction; its coordinator is the first to ask.
    pub transaction: TransactionId,
    /// Whom to ask next.
    pub participants: Vec<OperatorId>,
    /// How long it has been in doubt in this run of the process.
    pub age: Duration,
}

/// What another company's answer to this company's question was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// It says what became of the transaction: the doubt is over.
    Ended,
    /// The coordinator lives and will decide: nobody else need be asked now.
    Waiting,
    /// Nothing: the next one is to be asked.
    Nothing,
}

/// What [`super::Participant::expire`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Soft holds released.
    pub soft: Vec<TransactionId>,
    /// Prepared holds released without an outcome: to be shown to a person.
    pub heuristic: Vec<TransactionId>,
}

/// What one company remembers of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Branch {
    /// Held softly.
    Held {
        /// What.
        hold: Arc<Hold>,
        /// When it may be released.
        expires: Timestamp,
    },
    /// Voted yes; waits for the outcome.
    Prepared {
        /// What.
        hold: Arc<Hold>,
    },
    /// Reserved.
    Confirmed {
        /// What.
        hold: Arc<Hold>,
    },
    /// Was committed, and later cancelled or replaced by its coordinator.
    Released {
        /// What it was.
        hold: Arc<Hold>,
    },
    /// A tombstone: never yes again.
    Aborted {
        /// Why.
        cause: AbortCause,
        /// Since when.
        at: Timestamp,
        /// What was held, where that must be shown: after a heuristic release.
        hold: Option<Arc<Hold>>,
    },
}

/// Why a transaction is over for a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortCause {
    /// The coordinator said so.
    Coordinator,
    /// This company voted no.
    VotedNo,
    /// The soft hold's time was up.
    Expired,
    /// Another company asked before this one had voted.
    Inquired,
    /// Released alone at the window's start plus grace, against the rules' wish, for the car in front of the charger.
    Heuristic,
}

/// What a company allows. Every duration is relative and measured on its own clocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldLimits {
    /// Longest window.
    pub window_max: Duration,
    /// How far ahead a window may start.
    pub ahead_max: Duration,
    /// How long ago a window may have started: messages take time and clocks differ.
    pub late_max: Duration,
    /// Most stops in one hold.
    pub stops_max: usize,
    /// Longest soft hold.
    pub soft_max: Duration,
    /// Undecided holds that one other coordinator may have here.
    pub undecided_holds_max: u32,
    /// Undecided EVSE time that one other coordinator may have here.
    pub undecided_time_max: Duration,
    /// What one car may have here, whoever coordinates its trips; and of the trips that this company coordinates.
    pub vehicle: VehicleLimits,
    /// From the vote to the first question about the outcome; doubles up to `inquire_every_max`.
    pub inquire_after: Duration,
    /// Longest pause between two questions.
    pub inquire_every_max: Duration,
    /// From the window's start to its heuristic release.
    pub grace: Duration,
    /// How long a tombstone stays.
    pub tombstone_keep: Duration,
    /// How long a past reservation stays after its end.
    pub reservation_keep: Duration,
    /// How far in the past a coordinator may date a trip's priority.
    pub priority_age_max: Duration,
}

impl Default for HoldLimits {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            window_max: 12 * HOUR,
            ahead_max: 90 * 24 * HOUR,
            late_max: Duration::from_secs(60),
            stops_max: 16,
            soft_max: Duration::from_secs(15 * 60),
            undecided_holds_max: 2_000,
            undecided_time_max: 10_000 * HOUR,
            vehicle: VehicleLimits::default(),
            inquire_after: Duration::from_secs(2),
            inquire_every_max: Duration::from_secs(5),
            grace: Duration::from_secs(15 * 60),
            tombstone_keep: 24 * HOUR,
            reservation_keep: 30 * 24 * HOUR,
            priority_age_max: Duration::from_secs(60),
        }
    }
}
