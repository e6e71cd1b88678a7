//! The calendars of a company's EVSEs, and EVSEs out of service.

use recarga_reservation::{EvseId, OperatorId, StationId, Timestamp, TransactionId, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::availability::PointState;
use crate::{fields, schema};

/// `GET /painel/reservas`: a page of EVSEs with what is held and reserved there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelReservations {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// First instant of the period.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub de: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub ate: Timestamp,
    /// The EVSEs, in the order of `ponto_id`.
    #[serde(with = "fields::objects")]
    pub pontos: Vec<PanelPoint>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// An EVSE and its windows in the period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelPoint {
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// Its station.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub estacao_id: StationId,
    /// The name of the station.
    pub nome: String,
    /// Its city.
    pub cidade: String,
    /// Federative unit, two letters.
    pub uf: String,
    /// Its state at this moment.
    pub estado: PointState,
    /// What is held and reserved, in order.
    #[serde(with = "fields::objects")]
    pub janelas: Vec<PanelWindow>,
    /// There are more windows than are shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cortadas: bool,
}

/// A window that is held or reserved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelWindow {
    /// First instant.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub inicio: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub fim: Timestamp,
    /// How firm it is.
    pub estado: ReservedState,
    /// For which session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Who coordinates it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// Which stop of the trip.
    pub parada: u16,
    /// The car, where this company coordinates: others' drivers are others' business.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
}

/// How firm a window is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservedState {
    /// Held until its time is up.
    Provisoria,
    /// Promised; the decision is not here yet.
    Preparada,
    /// Reserved.
    Confirmada,
    /// Reserved for now, and its car says that it charges.
    EmUso,
}

/// The body of `PUT /pontos/{id}/estado`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceBody {
    /// What it shall be.
    #[serde(with = "fields::word")]
    pub estado: ServiceState,
}

/// Whether an EVSE serves cars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It does.
    Disponivel,
    /// It is out of service: nothing new is reserved there.
    Inoperante,
}

/// What an EVSE has become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceAnswer {
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// Its state from now on.
    pub estado: ServiceState,
    /// What is held and reserved there from now on: it stays, and somebody may have to be told. At most 1000.
    #[serde(with = "fields::objects")]
    pub afetadas: Vec<PanelWindow>,
}
