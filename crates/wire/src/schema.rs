//! What the OpenAPI document says about values that travel as texts. Only their schemas are used.
#![allow(dead_code, reason = "only the schemas are used")]

use utoipa::{OpenApi, ToSchema};

use crate::{
    audit, availability, batch, event, federation, health, hold, journey, network, problem, session, trip,
    vehicle,
};

/// The schemas of every message, to be merged into the document of who serves them.
#[derive(OpenApi)]
#[openapi(components(schemas(
    audit::AuditPage,
    availability::AvailabilityAnswer,
    availability::PointsAnswer,
    batch::BatchAnswer,
    batch::BatchRequest,
    event::Event,
    federation::FederationAnswer,
    federation::Roll,
    federation::SignedRoll,
    health::HealthAnswer,
    hold::HoldAnswer,
    hold::HoldRequest,
    journey::JourneyBody,
    journey::ModelsAnswer,
    journey::PlansAnswer,
    network::NetworkAnswer,
    problem::Problem,
    session::CancelRequest,
    session::ConfirmRequest,
    session::InquiryAnswer,
    session::InquiryRequest,
    session::SessionAnswer,
    trip::TripAnswer,
    trip::TripBody,
    trip::TripsAnswer,
    vehicle::VehicleAnswer,
    vehicle::VehicleRequestBody,
    vehicle::VehicleStatus,
    vehicle::VehicleView,
    vehicle::VehiclesAnswer,
)))]
pub struct Messages;

/// An identifier.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", example = "empresa-a")]
pub struct Id(String);

/// A session: `coordinator.store.epoch.counter.nonce`.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    example = "empresa-a.0123456789abcdef0123456789abcdef.3.17.fedcba9876543210fedcba9876543210"
)]
pub struct Sessao(String);

/// The database that a company speaks from: another one after it was wiped or restored.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^[0-9a-f]{32}$")]
pub struct Deposito(String);

/// An instant, RFC 3339. Written always in UTC (`Z`), with milliseconds only where they are not zero.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-12-01T14:00:00Z")]
pub struct Instante(String);

/// A minute of the day, as clocks on the wall show it.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$", example = "18:00")]
pub struct Hora(String);

/// OCPI's name of a connector type.
#[derive(ToSchema)]
#[schema(value_type = String, example = "IEC_62196_T2_COMBO")]
pub struct Plugue(String);

/// A free window, `[inicio, fim)`.
#[derive(ToSchema)]
pub struct Livre {
    /// First free instant.
    #[schema(value_type = Instante)]
    inicio: Instante,
    /// First instant after it.
    #[schema(value_type = Instante)]
    fim: Instante,
}
