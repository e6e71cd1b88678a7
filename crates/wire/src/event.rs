//! `GET /eventos`: what happens, as server-sent events.

use recarga_reservation::{
    Branch, EvseId, OperatorId, RequestId, Timestamp, TransactionId, TripId, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::BranchState;
use crate::problem::Problem;
use crate::trip::TripAnswer;
use crate::vehicle::VehicleStatus;
use crate::{fields, schema};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows with each event; the `id` of the server-sent event, for `Last-Event-ID`.
    pub id: u64,
    /// When.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// What.
    #[serde(flatten)]
    pub fato: EventBody,
}

/// What happened. `evento` is the name of the server-sent event, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "evento", content = "dados", rename_all = "kebab-case")]
pub enum EventBody {
    /// A trip was committed, cancelled, changed, or lost a stop.
    Viagem(TripAnswer),
    /// A request for a trip was refused.
    ViagemRecusada(RefusedTrip),
    /// What the company holds for a session has changed.
    Reserva(HoldEvent),
    /// A car said where it is.
    Veiculo(VehicleStatus),
    /// A peer can be reached again, or no longer.
    EmpresaParceira(PeerEvent),
    /// Something that a person should see: a heuristic, an alarm of the protocol.
    Alarme(Alarm),
}

/// A request for a trip that was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedTrip {
    /// The request.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// The car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// Why.
    pub motivo: Problem,
}

/// What the company holds for a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldEvent {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Its state.
    pub estado: BranchState,
    /// The company that coordinates.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// The car, if that is still known.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
    /// The EVSEs.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub pontos: Vec<EvseId>,
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerEvent {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Whether it answers.
    pub acessivel: bool,
    /// What was seen, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detalhe: Option<String>,
}

/// Something that a person should see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// What happened.
    pub problema: Problem,
    /// The session.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub sessao: Option<TransactionId>,
    /// The trip.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub viagem_id: Option<TripId>,
}

impl EventBody {
    /// The name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            EventBody::Viagem(_) => "viagem",
            EventBody::ViagemRecusada(_) => "viagem-recusada",
            EventBody::Reserva(_) => "reserva",
            EventBody::Veiculo(_) => "veiculo",
            EventBody::EmpresaParceira(_) => "empresa-parceira",
            EventBody::Alarme(_) => "alarme",
        }
    }
}

impl HoldEvent {
    /// What is held for a transaction now.
    pub fn new(transaction: &TransactionId, branch: &Branch) -> Self {
        let hold = match branch {
            Branch::Held { hold, .. }
            | Branch::Prepared { hold }
            | Branch::Confirmed { hold }
            | Branch::Released { hold } => Some(hold),
            Branch::Aborted { hold, .. } => hold.as_ref(),
        };
        Self {
            sessao: transaction.clone(),
            estado: BranchState::of(branch),
            coordenador: transaction.coordinator.clone(),
            veiculo_id: hold.map(|hold| hold.key.vehicle.clone()),
            pontos: hold
                .map(|hold| hold.stops.iter().map(|stop| stop.evse.clone()).collect())
                .unwrap_or_default(),
        }
    }
}
