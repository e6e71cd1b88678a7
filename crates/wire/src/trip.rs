//! Trips, for drivers and apps: `/viagens`.

use recarga_reservation::{
    EvseId, OperatorId, RequestId, RequestKey, Stage, Stop, TRIP_STOPS_MAX, Timestamp, TransactionId, Trip,
    TripId, TripRequest, TripStop, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::hold::Vehicle;
use crate::journey::Itinerary;
use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema, stops, text};

/// A request for a trip: all stops are reserved, or none. The same body asks for a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripBody {
    /// What the client calls its request; a repeat with the same never reserves twice. May stand in the header
    /// `Idempotency-Key` instead.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// The car.
    #[serde(with = "fields::object")]
    pub veiculo: Vehicle,
    /// 1 to 16 stops. They are numbered as they stand, in whatever order in time.
    #[serde(with = "fields::objects")]
    #[schema(min_items = 1, max_items = 16)]
    pub paradas: Vec<TripStopBody>,
}

/// One stop of a request for a trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripStopBody {
    /// Whose EVSE it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// First instant of the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// First instant after the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
}

/// The parameters of `GET /viagens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TripsParams {
    /// Of which car.
    #[serde(with = "fields::text")]
    #[param(value_type = String)]
    pub veiculo_id: VehicleId,
    /// Of which request; of all if absent.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub requisicao_id: Option<RequestId>,
}

/// A reserved trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripAnswer {
    /// The id of the trip; only who knows it can look at the trip or cancel it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub viagem_id: TripId,
    /// Its state.
    pub estado: TripState,
    /// The request.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// The car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// The company that coordinated.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub servidor: OperatorId,
    /// The session under which it was reserved.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// When it was decided.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub decidida_em: Timestamp,
    /// The stops, in the order of the request.
    #[serde(with = "fields::objects")]
    pub paradas: Vec<TripStopAnswer>,
    /// The plan, where the stops were found and not asked for.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub roteiro: Option<Itinerary>,
}

/// One stop of a reserved trip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripStopAnswer {
    /// Its place in the request, from 0.
    pub parada: u16,
    /// Whose EVSE it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// First instant of the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// First instant after the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
    /// Its state.
    pub estado: StopState,
}

/// The state of a trip that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TripState {
    /// All stops are guaranteed.
    Confirmada,
    /// The driver cancelled it.
    Cancelada,
    /// A change took its place.
    Alterada,
    /// A company released its part alone: the lost stops must be reserved again.
    Mista,
}

/// The state of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopState {
    /// Reserved, and the company knows.
    Confirmada,
    /// Guaranteed; the company has not acknowledged the confirmation yet.
    AConfirmar,
    /// The company released it alone before it heard the decision.
    Perdida,
    /// The trip was cancelled or changed.
    Liberada,
}

/// A list of trips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripsAnswer {
    /// The trips that this company coordinated.
    #[serde(with = "fields::objects")]
    pub viagens: Vec<TripAnswer>,
}

impl TripBody {
    /// What a client sends.
    pub fn new(request: &TripRequest) -> Self {
        let stop = |one: &TripStop| TripStopBody {
            empresa: one.operator.clone(),
            ponto_id: one.stop.evse.clone(),
            janela_inicio: one.stop.window.start(),
            janela_fim: one.stop.window.end(),
        };
        Self {
            requisicao_id: Some(request.key().request.clone()),
            veiculo: Vehicle { veiculo_id: request.key().vehicle.clone(), plugue: request.plug() },
            paradas: request.stops().iter().map(stop).collect(),
        }
    }

    /// The request. `idempotency_key` is the header of that name, if there is one, with or without its quotes.
    ///
    /// # Errors
    /// No request id or two different ones, no stop or too many, a reversed window, two stops at the same time.
    pub fn into_request(self, idempotency_key: Option<&str>) -> Result<TripRequest, Problem> {
        let request = request_id(self.requisicao_id, idempotency_key)?;
        if self.paradas.is_empty() || self.paradas.len() > TRIP_STOPS_MAX {
            return Err(Problem::stop_count("paradas", TRIP_STOPS_MAX));
        }
        let mut stops = Vec::with_capacity(self.paradas.len());
        for (number, stop) in (0u16..).zip(self.paradas) {
            let window = stops::window(stop.janela_inicio, stop.janela_fim, || format!("paradas[{number}]"));
            let window = window.map_err(|problem| problem.at_stop(number))?;
            stops.push(TripStop {
                operator: stop.empresa,
                stop: Stop { number, evse: stop.ponto_id, window },
            });
        }
        let key = RequestKey { vehicle: self.veiculo.veiculo_id, request };
        Ok(TripRequest::new(key, self.veiculo.plugue, stops)?)
    }
}

impl TripAnswer {
    /// A trip as its driver is told.
    pub fn new(trip: &Trip) -> Self {
        Self {
            viagem_id: trip.id.clone(),
            estado: TripState::of(trip),
            requisicao_id: trip.request.key().request.clone(),
            veiculo_id: trip.request.key().vehicle.clone(),
            servidor: trip.transaction.coordinator.clone(),
            sessao: trip.transaction.clone(),
            decidida_em: trip.decided,
            paradas: trip.request.stops().iter().map(|stop| TripStopAnswer::new(trip, stop)).collect(),
            roteiro: trip.request.planned().and_then(|planned| Itinerary::read(&planned.itinerary)),
        }
    }
}

impl TripState {
    /// The state of a trip.
    pub fn of(trip: &Trip) -> Self {
        match trip.stage {
            Stage::Cancelled { .. } => TripState::Cancelada,
            Stage::Replaced => TripState::Alterada,
            Stage::Committed { .. } | Stage::Settled if trip.lost.is_empty() => TripState::Confirmada,
            Stage::Committed { .. } | Stage::Settled => TripState::Mista,
        }
    }
}

impl TripStopAnswer {
    fn new(trip: &Trip, stop: &TripStop) -> Self {
        let estado = match &trip.stage {
            Stage::Cancelled { .. } | Stage::Replaced => StopState::Liberada,
            _ if trip.lost.contains(&stop.operator) => StopState::Perdida,
            Stage::Committed { unacknowledged } if unacknowledged.contains(&stop.operator) => {
                StopState::AConfirmar
            }
            Stage::Committed { .. } | Stage::Settled => StopState::Confirmada,
        };
        Self {
            parada: stop.stop.number,
            empresa: stop.operator.clone(),
            ponto_id: stop.stop.evse.clone(),
            janela_inicio: stop.stop.window.start(),
            janela_fim: stop.stop.window.end(),
            estado,
        }
    }
}

pub(crate) fn request_id(body: Option<RequestId>, header: Option<&str>) -> Result<RequestId, Problem> {
    const HEADER: &str = "Idempotency-Key";
    let unquoted = |text: &str| -> Result<RequestId, Problem> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        text::parse(bare.unwrap_or(text), HEADER)
    };
    match (body, header.map(unquoted).transpose()?) {
        (Some(body), Some(header)) if body != header => {
            let detail =
                format!("`requisicao_id` e o cabeçalho `{HEADER}` diferem; envie um só, ou o mesmo nos dois");
            Err(Problem::new(ProblemKind::InvalidField, detail).at("requisicao_id"))
        }
        (Some(id), _) | (None, Some(id)) => Ok(id),
        (None, None) => {
            let detail = format!(
                "falta `requisicao_id` (ou o cabeçalho `{HEADER}`): crie um identificador novo, como um UUID, e \
                 repita-o em cada nova tentativa do mesmo pedido"
            );
            Err(Problem::new(ProblemKind::MissingField, detail).at("requisicao_id"))
        }
    }
}
