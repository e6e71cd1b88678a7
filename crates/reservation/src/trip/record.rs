//! What a driver asks for, what is recorded of it, and the answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;

use crate::decision::Refusal;
use crate::hold::{Hold, Stop};
use crate::ids::{OperatorId, RequestKey, TransactionId, TripId};
use crate::station::Plug;
use crate::time_window::Timestamp;

/// Most stops in one trip.
pub const TRIP_STOPS_MAX: usize = 16;

/// One stop of a trip, at whatever company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TripStop {
    /// Whose EVSE it is.
    pub operator: OperatorId,
    /// Where and when.
    pub stop: Stop,
}

/// What a driver asks for; checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TripRequest {
    key: RequestKey,
    plug: Option<Plug>,
    stops: Vec<TripStop>,
    planned: Option<Planned>,
}

/// What the stops of a trip were found for, in the words of whoever found them. No rule reads it: it is kept so that a
/// repeated wish is recognised, and answered as it was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Planned {
    /// What the driver asked for instead of stops.
    pub wish: Arc<str>,
    /// What the driver is told about them.
    pub itinerary: Arc<str>,
}

/// Why stops make no trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TripError {
    /// No stop, or more than [`TRIP_STOPS_MAX`].
    #[error("a trip has 1 to {TRIP_STOPS_MAX} stops")]
    StopCount,
    /// One car cannot charge at two places at once.
    #[error("stops {earlier} and {later} overlap in time")]
    StopsOverlap {
        /// Index of the first of the two.
        earlier: usize,
        /// Index of the second.
        later: usize,
    },
}

impl TripRequest {
    /// Numbers the stops as they stand and checks that one car can make them.
    pub fn new(
        key: RequestKey,
        plug: Option<Plug>,
        mut stops: Vec<TripStop>,
    ) -> Result<TripRequest, TripError> {
        if stops.is_empty() || stops.len() > TRIP_STOPS_MAX {
            return Err(TripError::StopCount);
        }
        for later in 1..stops.len() {
            for earlier in 0..later {
                if stops[earlier].stop.window.overlaps(stops[later].stop.window) {
                    return Err(TripError::StopsOverlap { earlier, later });
                }
            }
        }
        for (number, stop) in (0..).zip(&mut stops) {
            stop.stop.number = number;
        }
        Ok(TripRequest { key, plug, stops, planned: None })
    }

    /// The same request, with what its stops were found for.
    pub fn planned_for(self, planned: Planned) -> TripRequest {
        TripRequest { planned: Some(planned), ..self }
    }

    /// What its stops were found for, if they were not the driver's own.
    pub fn planned(&self) -> Option<&Planned> {
        self.planned.as_ref()
    }

    /// Under which repeats are recognised.
    pub fn key(&self) -> &RequestKey {
        &self.key
    }

    /// What the car can plug into, if it says so.
    pub fn plug(&self) -> Option<Plug> {
        self.plug
    }

    /// In the order asked for.
    pub fn stops(&self) -> &[TripStop] {
        &self.stops
    }

    pub(super) fn operators(&self) -> BTreeSet<OperatorId> {
        self.stops.iter().map(|stop| stop.operator.clone()).collect()
    }

    /// When the last of its windows ends; none only if it has no stops, which is no trip.
    pub fn last_end(&self) -> Option<Timestamp> {
        self.stops.iter().map(|stop| stop.stop.window.end()).max()
    }
}

/// A trip that was committed: a durable record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trip {
    /// As its driver knows it.
    pub id: TripId,
    /// Under which it was reserved.
    pub transaction: TransactionId,
    /// What was asked for, and is now reserved.
    pub request: Arc<TripRequest>,
    /// When it was decided.
    pub decided: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// Companies that released their part heuristically before they could hear the decision: a mixed outcome.
    pub lost: BTreeSet<OperatorId>,
    /// The transaction that this one replaced, if it changed a trip.
    pub replaces: Option<TransactionId>,
    /// Every company that was asked to prepare.
    pub participants: BTreeSet<OperatorId>,
}

/// How far a committed trip has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// These companies have not acknowledged yet.
    Committed {
        /// Confirm is owed to them.
        unacknowledged: BTreeSet<OperatorId>,
    },
    /// Every company has acknowledged.
    Settled,
    /// The driver cancelled the whole trip.
    Cancelled {
        /// Release is owed to them.
        unreleased: BTreeSet<OperatorId>,
    },
    /// A change took its place.
    Replaced,
}

/// What a coordinator owes to another company until it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Of which transaction.
    pub transaction: TransactionId,
    /// To whom.
    pub operator: OperatorId,
    /// What.
    pub message: OwedMessage,
}

/// The two messages that are repeated until acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OwedMessage {
    /// Committed.
    Confirm,
    /// Committed and later cancelled.
    Release,
}

/// What names a new transaction and, should it be committed, its trip. Both are random, and neither tells the other:
/// every company of a transaction knows its id, but only the driver may know the trip's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// 128 random bits.
    pub nonce: u128,
    /// As random.
    pub trip: TripId,
}

/// The answer to [`super::Coordinator::begin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Registered: now ask every company to hold its part.
    New {
        /// The new transaction.
        transaction: TransactionId,
        /// What to ask of whom, this company included.
        holds: Vec<(OperatorId, Hold)>,
    },
    /// The same request is being decided at this moment.
    InFlight(TransactionId),
    /// The same request was committed before.
    Done(Box<Trip>),
    /// The same request id asked for something else before.
    Different,
    /// The car has as much as it may have: nobody is asked.
    Refused(Refusal),
}

/// Why a trip cannot be cancelled or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotChangeable {
    /// No such trip.
    #[error("no such trip")]
    Unknown,
    /// Its last window has ended.
    #[error("the trip is over")]
    Over,
    /// A change or its confirmation is in flight.
    #[error("the trip is being changed or confirmed at this moment")]
    Busy,
    /// Cancelled already.
    #[error("the trip is cancelled")]
    Cancelled,
}

/// What the votes so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Some have not voted.
    Open,
    /// Everyone said yes; it may have been committed since.
    AllYes,
    /// Someone said no.
    No,
    /// The transaction is over without a commit, or not the voter's; a yes must be answered with abort.
    Late,
    /// Of another store, or never begun: nothing is known of it, and nothing may be answered.
    Unknown,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Tell the driver once durable; confirm is owed to the other companies.
    Commit(Box<Trip>),
    /// Tell the driver, and send abort to every company asked: a silence may hide a yes.
    Abort {
        /// Whom to tell, this company excluded.
        asked: Vec<OperatorId>,
        /// Why.
        refusal: Refusal,
    },
}
