//! What a fleet tells while it runs, for a live picture and for measurements.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{EvseId, OperatorId, RequestId, TimeWindow, Timestamp, TripId, VehicleId};
use recarga_wire::ProblemKind;
use recarga_wire::vehicle::VehicleStatus;

/// Something that happened to a car.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The car is connected to the broker and hears its answers.
    Online {
        /// Which car.
        car: VehicleId,
    },
    /// The car has lost the broker and tries again.
    Offline {
        /// Which car.
        car: VehicleId,
        /// Why, for people.
        reason: String,
    },
    /// The car has published a request.
    TripAsked(TripAsked),
    /// A request has found its end: an answer, or none within its time.
    TripAnswered(Box<TripAnswered>),
    /// The car published its status.
    Status(Box<VehicleStatus>),
    /// The car has left with all of its stops reserved.
    Departed {
        /// Which car.
        car: VehicleId,
        /// On which trip.
        trip: TripId,
        /// When, in simulated time.
        at: Timestamp,
    },
    /// The car has finished charging at a stop.
    Charged {
        /// Which car.
        car: VehicleId,
        /// On which trip.
        trip: TripId,
        /// Which stop, counted from 0.
        stop: usize,
        /// What it took, in kWh.
        kwh: f64,
        /// How long it waited for its window, in simulated time.
        waited: Duration,
    },
    /// Traffic makes the car miss a window: it cancels and books the rest again.
    Late {
        /// Which car.
        car: VehicleId,
        /// On which trip.
        trip: TripId,
        /// Which stop it cannot use, counted from 0.
        stop: usize,
    },
    /// The car is at its destination.
    Arrived {
        /// Which car.
        car: VehicleId,
        /// By which trip.
        trip: TripId,
        /// When, in simulated time.
        at: Timestamp,
        /// What it has driven since it left, in km.
        km: f64,
        /// Energy left, in per cent of the usable energy.
        battery_pct: f64,
    },
    /// The car found nowhere to go for which everything could be reserved, and tries again later.
    GaveUp {
        /// Which car.
        car: VehicleId,
    },
    /// The car stands on the road with an empty battery, or without a station within reach. It is towed and charged.
    OutOfBattery {
        /// Which car.
        car: VehicleId,
        /// Degrees.
        latitude: f64,
        /// Degrees.
        longitude: f64,
    },
    /// The car has made all of its trips.
    Finished {
        /// Which car.
        car: VehicleId,
    },
}

/// A request for a trip, or for the end of one.
#[derive(Clone, Debug, PartialEq)]
pub struct TripAsked {
    /// Which car.
    pub car: VehicleId,
    /// What it calls the request.
    pub request: RequestId,
    /// The trip that shall end; none if this asks for a trip.
    pub cancels: Option<TripId>,
    /// The company asked to coordinate; none: the companies settle it.
    pub coordinator: Option<OperatorId>,
    /// Which request for one and the same journey this is, from 1.
    pub attempt: u32,
    /// How often this very request has been published, this time included.
    pub sent: u32,
    /// From where to where.
    pub way: Arc<Way>,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TripAnswered {
    /// Which car.
    pub car: VehicleId,
    /// What it calls the request.
    pub request: RequestId,
    /// The trip that was confirmed or cancelled.
    pub trip: Option<TripId>,
    /// The company that answered.
    pub server: Option<OperatorId>,
    /// From where to where.
    pub way: Arc<Way>,
    /// The stops, in order; none where nothing was found.
    pub stops: Arc<[StopView]>,
    /// What the answer was.
    pub outcome: Outcome,
    /// From the first publication to the answer, in real time.
    pub took: Duration,
    /// Which request for one and the same journey this was, from 1.
    pub attempt: u32,
    /// How often the request was published.
    pub sent: u32,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Every stop is reserved.
    Confirmed,
    /// Nothing is reserved.
    Refused(Refused),
    /// The whole trip is cancelled.
    Cancelled,
    /// The trip could not be cancelled, for instance because it is over.
    CancelRefused(Refused),
    /// No answer in time. Should it be confirmed later, the car cancels it.
    Unanswered,
}

/// Why something was refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// What kind of problem.
    pub kind: ProblemKind,
    /// Which stop, counted from 0.
    pub stop: Option<u16>,
    /// For people, in Portuguese.
    pub detail: String,
}

/// From where to where, as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// A city, or degrees.
    pub from: Arc<str>,
    /// A city.
    pub to: Arc<str>,
}

/// A stop as it is shown to people.
#[derive(Clone, Debug, PartialEq)]
pub struct StopView {
    /// The company.
    pub operator: OperatorId,
    /// The EVSE.
    pub evse: EvseId,
    /// Where.
    pub city: Arc<str>,
    /// Federative unit.
    pub state: Arc<str>,
    /// What is reserved.
    pub window: TimeWindow,
}
