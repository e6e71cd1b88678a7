//! The messages between companies, cars and apps: JSON in Portuguese, checked into the types of the rules.
//!
//! This is the only place with Portuguese identifiers. It has no business rules, no I/O and no clock: it reads bytes
//! into messages ([`decode`]), checks messages into rule types (`into_...`), and builds messages from rule types
//! (`new`, `from_...`). Whatever is wrong with a message is a [`Problem`] that names the field and the cure; what
//! only a company can decide, such as whether a window lies too far ahead, is left to the rules.
//!
//! Times are RFC 3339 in UTC, windows half-open, energy in kWh, power in kW, distance in km, money in BRL. Requests
//! refuse unknown fields, since a typo must not be ignored; answers let them pass, since a newer server may add some.

pub mod audit;
pub mod availability;
pub mod batch;
pub mod demo;
pub mod doubt;
pub mod event;
pub mod federation;
pub mod health;
pub mod hold;
pub mod instant;
pub mod journey;
pub mod network;
pub mod panel;
pub mod peer;
pub mod problem;
pub mod schema;
pub mod session;
pub mod topic;
pub mod trip;
pub mod vehicle;
pub mod version;

mod decode;
mod express;
mod fields;
mod stops;
mod text;
mod windows;

use recarga_json::Draft;
use serde::Serialize;

pub use decode::{decode, decode_query};
pub use problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemKind};
pub use text::{Text, parse};

/// Longest body that a driver, a car or a company may send, in bytes.
pub const BODY_LENGTH_MAX: usize = 64 * 1024;

/// Writes a message of this crate as JSON.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    // Long enough for a hold, so that the frequent messages are written without moving.
    let mut draft = Draft::with_capacity(640);
    message.put(&mut draft);
    draft.into_bytes()
}

/// What can be written with [`encode`].
pub trait Message: Serialize + sealed::Sealed {
    /// Puts the message down, as the library writes it.
    fn put(&self, draft: &mut Draft) {
        draft.any(self);
    }
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! messages {
    ($($message:ty)*) => {$(
        impl sealed::Sealed for $message {}
        impl Message for $message {}
    )*};
}

macro_rules! express_messages {
    ($($message:ty: $put:path)*) => {$(
        impl sealed::Sealed for $message {}
        impl Message for $message {
            fn put(&self, draft: &mut Draft) {
                $put(draft, self);
            }
        }
    )*};
}

express_messages! {
    batch::BatchAnswer: express::put_batch_answer
    batch::BatchRequest: express::put_batch
    hold::HoldAnswer: express::put_hold_answer
    hold::HoldRequest: express::put_hold
    session::ConfirmRequest: express::put_confirm
    session::SessionAnswer: express::put_session_answer
    trip::TripAnswer: express::put_trip_answer
}

messages! {
    Problem
    audit::AuditPage
    availability::AvailabilityAnswer
    availability::PointsAnswer
    demo::DemoAudit
    demo::DemoCompanies
    demo::DemoCompany
    doubt::DoubtsAnswer
    doubt::ForceBody
    doubt::ForcedView
    event::Event
    federation::FederationAnswer
    federation::Roll
    federation::SignedRoll
    health::HealthAnswer
    journey::JourneyBody
    journey::JourneyTripBody
    journey::ModelsAnswer
    journey::PlansAnswer
    journey::Itinerary
    network::NetworkAnswer
    panel::ConfigAnswer
    panel::NumbersAnswer
    panel::PanelHealth
    panel::PanelReservations
    panel::PanelStations
    panel::PanelTrips
    panel::ServiceAnswer
    panel::ServiceBody
    panel::SessionStory
    panel::SessionsAnswer
    panel::StationView
    session::CancelRequest
    session::InquiryAnswer
    session::InquiryRequest
    trip::TripBody
    trip::TripsAnswer
    vehicle::VehicleAnswer
    vehicle::VehicleRequestBody
    vehicle::VehicleStatus
    vehicle::VehicleView
    vehicle::VehiclesAnswer
}
