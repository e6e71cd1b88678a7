//! The rules by which companies that share no database, clock or trust reserve all stops of a trip, or none.
//!
//! Everything here is pure: no I/O, no clock, no chance. Each transition takes what the clocks say, changes the
//! state in memory and returns a [`Step`]: the answer, the facts to record, and whether the answer may leave before
//! the facts are durable. The caller records, then speaks; if recording fails, it stops.
//!
//! `docs/protocol.md` says why each rule is needed; `tests/exploration` walks through every interleaving of
//! these very types.

pub mod calendar;
pub mod company;
pub mod decision;
pub mod hold;
pub mod ids;
pub mod station;
pub mod time_window;
pub mod trip;
pub mod vehicle;

mod filed;

pub use calendar::Calendar;
pub use company::Company;
pub use decision::{Fact, Outcome, Reason, Refusal, Step, Told, Unacceptable, Vote};
pub use hold::{
    AbortCause, Branch, Confirmation, Doubt, Expired, Firmness, Hold, HoldAnswer, HoldLimits, Learnt,
    OldBranches, PROMISE_BELIEVED_MAX, Participant, Patience, Stop,
};
pub use ids::{
    ConnectorId, EvseId, IdError, OperatorId, RequestId, RequestKey, StationId, StoreId, TransactionId,
    TripId, VehicleId,
};
pub use station::{Connector, DayTime, Evse, NoDayTime, Plug, PriceBand, Station, Tariff, UnknownPlug};
pub use time_window::{EmptyWindow, Now, TimeWindow, Timestamp};
pub use trip::{
    Beginning, Coordinator, Decision, Fresh, NotChangeable, OldTrips, Owed, OwedMessage, Planned, Stage,
    TRIP_STOPS_MAX, Tally, Trip, TripError, TripRequest, TripStop,
};
pub use vehicle::VehicleLimits;
