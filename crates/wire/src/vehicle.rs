//! What cars say and are told, over MQTT and over REST.

use recarga_reservation::{OperatorId, RequestId, Stage, Timestamp, Trip, TripId, TripRequest, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::decode::decode;
use crate::hold::Vehicle;
use crate::journey::{Itinerary, JourneyRequest, JourneyTripBody};
use crate::problem::{Problem, ProblemKind};
use crate::trip::{TripAnswer, TripBody, TripStopAnswer, TripStopBody};
use crate::{fields, schema};

/// The status of a car, on `veiculo/{id}/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleStatus {
    /// The car: the same as in the topic.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// Degrees, WGS 84.
    #[serde(deserialize_with = "fields::number::latitude")]
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
    /// Degrees, WGS 84.
    #[serde(deserialize_with = "fields::number::longitude")]
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// Charge of the battery in per cent, 0 to 100.
    #[serde(deserialize_with = "fields::number::percent")]
    #[schema(minimum = 0, maximum = 100)]
    pub bateria_pct: f64,
    /// In km/h, 0 to 400.
    #[serde(deserialize_with = "fields::number::speed")]
    #[schema(minimum = 0, maximum = 400)]
    pub velocidade_kmh: f64,
    /// How far the charge reaches in km, 0 to 5000.
    #[serde(deserialize_with = "fields::number::range")]
    #[schema(minimum = 0, maximum = 5000)]
    pub autonomia_km: f64,
    /// When it was measured.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// What the car does, for people; `offline` is the last will.
    #[serde(default, with = "fields::optional_word", skip_serializing_if = "Option::is_none")]
    pub estado: Option<VehicleState>,
}

/// What a car does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VehicleState {
    /// Parked, without a trip.
    Parado,
    /// Waits for the answer to a request.
    Pedindo,
    /// On its way.
    Dirigindo,
    /// At the station, before its window.
    Aguardando,
    /// Charges.
    Carregando,
    /// Arrived at the end of its trip.
    Chegou,
    /// Out of charge on its way.
    SemBateria,
    /// The connection is lost; that never cancels a trip.
    Offline,
}

/// The last known status of a car.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehicleView {
    /// What the car said.
    #[serde(flatten)]
    pub status: VehicleStatus,
    /// When it arrived at this node.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub recebido_em: Timestamp,
}

/// The known cars.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehiclesAnswer {
    /// The cars, in the order of `veiculo_id`.
    #[serde(with = "fields::objects")]
    pub veiculos: Vec<VehicleView>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// A car's request, on `veiculo/{id}/requisicao`: a trip (`veiculo` and `paradas`) or a cancellation
/// (`cancelar`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleRequestBody {
    /// What the car calls its request; a repeat with the same gets the same answer.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// The car: the same as in the topic. Required where a trip is asked for.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub veiculo: Option<Vehicle>,
    /// 1 to 16 stops. They are numbered as they stand, in whatever order in time.
    #[serde(default, with = "fields::optional_objects", skip_serializing_if = "Option::is_none")]
    pub paradas: Option<Vec<TripStopBody>>,
    /// The trip to cancel as a whole.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub cancelar: Option<TripId>,
    /// The company that shall coordinate; without it, that of the first stop.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub servidor: Option<OperatorId>,
    /// After this the request is refused, not run.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub expira_em: Option<Timestamp>,
}

/// What a car asks; checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VehicleRequest {
    /// Which car, as in the topic.
    pub vehicle: VehicleId,
    /// What the car calls its request.
    pub request: RequestId,
    /// Who shall coordinate, if the car says so.
    pub operator: Option<OperatorId>,
    /// After this the request is refused, not run.
    pub expires: Option<Timestamp>,
    /// What it wants.
    pub wish: Wish,
}

/// What a car wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A trip.
    Book(TripRequest),
    /// A trip whose stops are to be found.
    Plan(Box<JourneyRequest>),
    /// The end of a whole trip.
    Cancel(TripId),
}

/// The answer to a car, on `veiculo/{id}/resposta` and `servidor/{id}/resposta`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehicleAnswer {
    /// The request; absent if it could not be read.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// The car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// The company that answers.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub servidor: OperatorId,
    /// The answer.
    pub estado: AnswerState,
    /// The trip; absent from a refusal, but for that of an id that an earlier request has booked with.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub viagem_id: Option<TripId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motivo: Option<Problem>,
    /// The stops of the trip; empty without one.
    #[serde(default, with = "fields::objects")]
    pub paradas: Vec<TripStopAnswer>,
    /// The plan, where the stops were found and not asked for.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub roteiro: Option<Itinerary>,
}

/// The answer to a car's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// All stops are guaranteed.
    Confirmada,
    /// This message has reserved nothing, or cancelled nothing: `motivo` says why.
    Recusada,
    /// The whole trip is cancelled.
    Cancelada,
}

/// What can be read of a malformed request, so that its car is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What the car calls its request.
    pub request: Option<RequestId>,
    /// Which car.
    pub vehicle: Option<VehicleId>,
}

/// Reads a car's request, on the topic of `vehicle`: a trip, a journey or a cancellation.
///
/// # Errors
/// Names the field and the cure.
pub fn decode_request(payload: &[u8], vehicle: &VehicleId) -> Result<VehicleRequest, Problem> {
    let stops = decode::<VehicleRequestBody>(payload).and_then(|body| body.into_request(vehicle));
    match stops {
        Err(_) if JourneyTripBody::is_one(payload) => {
            let body: JourneyTripBody = decode(payload)?;
            check_vehicle(&body.veiculo.veiculo_id, vehicle, "veiculo.veiculo_id")?;
            let (operator, expires) = (body.servidor.clone(), body.expira_em);
            let journey = body.into_request(None)?;
            Ok(VehicleRequest {
                vehicle: vehicle.clone(),
                request: journey.key.request.clone(),
                operator,
                expires,
                wish: Wish::Plan(Box::new(journey)),
            })
        }
        stops => stops,
    }
}

impl VehicleStatus {
    /// Checks that the car speaks of itself.
    ///
    /// # Errors
    /// The payload names another car than the topic.
    pub fn check_topic(&self, vehicle: &VehicleId) -> Result<(), Problem> {
        check_vehicle(&self.veiculo_id, vehicle, "veiculo_id")
    }
}

impl VehicleRequestBody {
    /// What a car sends to ask for a trip.
    pub fn book(request: &TripRequest, servidor: Option<OperatorId>, expira_em: Option<Timestamp>) -> Self {
        let body = TripBody::new(request);
        Self {
            requisicao_id: request.key().request.clone(),
            veiculo: Some(body.veiculo),
            paradas: Some(body.paradas),
            cancelar: None,
            servidor,
            expira_em,
        }
    }

    /// What a car sends to cancel a trip.
    pub fn cancel(request: RequestId, trip: TripId, servidor: Option<OperatorId>) -> Self {
        Self {
            requisicao_id: request,
            veiculo: None,
            paradas: None,
            cancelar: Some(trip),
            servidor,
            expira_em: None,
        }
    }

    /// The request of the car that the topic names.
    ///
    /// # Errors
    /// Another car than the topic's, both a trip and a cancellation or neither, and all that is wrong with a trip.
    pub fn into_request(self, vehicle: &VehicleId) -> Result<VehicleRequest, Problem> {
        if let Some(named) = &self.veiculo {
            check_vehicle(&named.veiculo_id, vehicle, "veiculo.veiculo_id")?;
        }
        let wish = match (self.cancelar, self.veiculo, self.paradas) {
            (Some(trip), _, None) => Wish::Cancel(trip),
            (Some(_), _, Some(_)) => {
                let detail = "um pedido de cancelamento não tem paradas; envie dois pedidos";
                return Err(Problem::new(ProblemKind::InvalidField, detail).at("paradas"));
            }
            (None, Some(veiculo), Some(paradas)) => {
                let requisicao_id = Some(self.requisicao_id.clone());
                Wish::Book(TripBody { requisicao_id, veiculo, paradas }.into_request(None)?)
            }
            (None, None, _) => return Err(missing("veiculo")),
            (None, _, None) => return Err(missing("paradas")),
        };
        Ok(VehicleRequest {
            vehicle: vehicle.clone(),
            request: self.requisicao_id,
            operator: self.servidor,
            expires: self.expira_em,
            wish,
        })
    }
}

impl VehicleRequest {
    /// Which company answers: the one that the car names, or else that of the first stop. None for a cancellation
    /// or a journey that names none.
    pub fn coordinator(&self) -> Option<&OperatorId> {
        let first = || match &self.wish {
            Wish::Book(request) => request.stops().first().map(|stop| &stop.operator),
            Wish::Plan(_) | Wish::Cancel(_) => None,
        };
        self.operator.as_ref().or_else(first)
    }
}

impl Wish {
    /// Whether both want the same, in whatever words.
    pub fn is_same(&self, other: &Wish) -> bool {
        match (self, other) {
            (Wish::Plan(one), Wish::Plan(other)) => one.is_same(other),
            _ => self == other,
        }
    }
}

impl VehicleAnswer {
    /// The trip that was booked as `request`, as it is now: it may have been cancelled or changed since.
    pub fn booked(trip: &Trip, request: RequestId) -> Self {
        let estado = match trip.stage {
            Stage::Cancelled { .. } => AnswerState::Cancelada,
            Stage::Committed { .. } | Stage::Settled | Stage::Replaced => AnswerState::Confirmada,
        };
        Self::decided(trip, request, estado)
    }

    /// The trip is cancelled, as `request` asked.
    pub fn cancelled(trip: &Trip, request: RequestId) -> Self {
        Self::decided(trip, request, AnswerState::Cancelada)
    }

    /// `operator` refuses.
    pub fn refused(
        vehicle: VehicleId,
        request: Option<RequestId>,
        operator: OperatorId,
        problem: Problem,
    ) -> Self {
        Self {
            requisicao_id: request,
            veiculo_id: vehicle,
            servidor: operator,
            estado: AnswerState::Recusada,
            viagem_id: None,
            motivo: Some(problem),
            paradas: vec![],
            roteiro: None,
        }
    }

    /// The same refusal, which shows the trip that an earlier request with this id has booked: it stays as it is.
    #[must_use]
    pub fn beside(self, trip: &Trip) -> Self {
        let answer = TripAnswer::new(trip);
        Self { viagem_id: Some(answer.viagem_id), paradas: answer.paradas, ..self }
    }

    fn decided(trip: &Trip, request: RequestId, estado: AnswerState) -> Self {
        let answer = TripAnswer::new(trip);
        Self {
            requisicao_id: Some(request),
            veiculo_id: answer.veiculo_id,
            servidor: answer.servidor,
            estado,
            viagem_id: Some(answer.viagem_id),
            motivo: None,
            paradas: answer.paradas,
            roteiro: answer.roteiro,
        }
    }
}

/// Reads the two ids out of a payload that is not a request, or not even JSON.
pub fn salvage(payload: &[u8]) -> Salvaged {
    Salvaged {
        request: salvage_text(payload, b"\"requisicao_id\"").and_then(|id| RequestId::new(id).ok()),
        vehicle: salvage_text(payload, b"\"veiculo_id\"").and_then(|id| VehicleId::new(id).ok()),
    }
}

// The text value of the first member with this name. An identifier holds no escapes, so the next quote ends it.
fn salvage_text<'a>(payload: &'a [u8], quoted_name: &[u8]) -> Option<&'a str> {
    let place = payload.windows(quoted_name.len()).position(|window| window == quoted_name)?;
    let rest = payload[place + quoted_name.len()..].trim_ascii_start();
    let rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn check_vehicle(named: &VehicleId, topic: &VehicleId, field: &str) -> Result<(), Problem> {
    if named == topic {
        return Ok(());
    }
    let detail =
        format!("o tópico é do veículo `{topic}`; um carro só fala por si: use o mesmo identificador");
    Err(Problem::new(ProblemKind::InvalidField, detail).at(field))
}

fn missing(field: &'static str) -> Problem {
    let detail = format!("falta `{field}`: um pedido tem `veiculo` e `paradas`, ou então `cancelar`");
    Problem::new(ProblemKind::MissingField, detail).at(field)
}
