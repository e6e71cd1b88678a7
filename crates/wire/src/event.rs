//! `GET /eventos`: what happens, as server-sent events.

use recarga_reservation::{
    Branch, EvseId, OperatorId, RequestId, Timestamp, TransactionId, TripId, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::audit::BranchState;
use crate::availability::PointState;
use crate::problem::{Problem, ProblemKind};
use crate::trip::TripAnswer;
use crate::vehicle::VehicleStatus;
use crate::{fields, schema};

/// The parameters of `GET /eventos`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct EventsParams {
    /// Only events of these names, separated by commas; all if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tipos: Option<String>,
}

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
    /// An EVSE was taken out of service, or back into it.
    Ponto(PointEvent),
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

/// An EVSE was taken out of service, or back into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointEvent {
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// `inoperante`, or `disponivel` if cars may be sent there.
    pub estado: PointState,
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

impl EventsParams {
    /// The names that are wanted; none for all.
    ///
    /// # Errors
    /// A name that no event has.
    pub fn names(&self) -> Result<Option<Vec<&'static str>>, Problem> {
        let Some(text) = &self.tipos else { return Ok(None) };
        let known = |name: &str| EventBody::NAMES.into_iter().find(|known| *known == name);
        let names: Option<Vec<_>> = text.split(',').map(|name| known(name.trim())).collect();
        let unknown = || {
            let detail =
                format!("use um ou mais destes, separados por vírgulas: {}", EventBody::NAMES.join(", "));
            Problem::new(ProblemKind::InvalidField, detail).at("tipos")
        };
        names.map(Some).ok_or_else(unknown)
    }
}

impl EventBody {
    /// The name of [`EventBody::Viagem`].
    pub const TRIP: &str = "viagem";
    /// The name of [`EventBody::ViagemRecusada`].
    pub const REFUSED: &str = "viagem-recusada";
    /// The name of [`EventBody::Reserva`].
    pub const HOLD: &str = "reserva";
    /// The name of [`EventBody::Veiculo`].
    pub const VEHICLE: &str = "veiculo";
    /// The name of [`EventBody::Ponto`].
    pub const POINT: &str = "ponto";
    /// The name of [`EventBody::EmpresaParceira`].
    pub const PEER: &str = "empresa-parceira";
    /// The name of [`EventBody::Alarme`].
    pub const ALARM: &str = "alarme";
    /// All of them.
    pub const NAMES: [&str; 7] =
        [Self::TRIP, Self::REFUSED, Self::HOLD, Self::VEHICLE, Self::POINT, Self::PEER, Self::ALARM];

    /// The name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            EventBody::Viagem(_) => Self::TRIP,
            EventBody::ViagemRecusada(_) => Self::REFUSED,
            EventBody::Reserva(_) => Self::HOLD,
            EventBody::Veiculo(_) => Self::VEHICLE,
            EventBody::Ponto(_) => Self::POINT,
            EventBody::EmpresaParceira(_) => Self::PEER,
            EventBody::Alarme(_) => Self::ALARM,
        }
    }
}

impl PointEvent {
    /// The EVSE is out of service, or in service.
    pub fn new(evse: EvseId, out_of_service: bool) -> Self {
        let estado = if out_of_service { PointState::Inoperante } else { PointState::Disponivel };
        Self { ponto_id: evse, estado }
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
