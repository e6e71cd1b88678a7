//! What cars say and are told, over MQTT and over REST.

use recarga_reservation::{OperatorId, RequestId, Timestamp, Trip, TripId, TripRequest, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hold::Vehicle;
use crate::problem::{Problem, ProblemKind};
use crate::trip::{TripAnswer, TripBody, TripStopAnswer, TripStopBody};
use crate::{fields, schema};

/// O estado de um carro, em `veiculo/{id}/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleStatus {
    /// O carro: o mesmo do tópico.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// Graus, WGS 84.
    #[serde(deserialize_with = "fields::number::latitude")]
    #[schema(minimum = -90, maximum = 90)]
    pub latitude: f64,
    /// Graus, WGS 84.
    #[serde(deserialize_with = "fields::number::longitude")]
    #[schema(minimum = -180, maximum = 180)]
    pub longitude: f64,
    /// Carga da bateria, 0 a 100.
    #[serde(deserialize_with = "fields::number::percent")]
    #[schema(minimum = 0, maximum = 100)]
    pub bateria_pct: f64,
    /// 0 a 400.
    #[serde(deserialize_with = "fields::number::speed")]
    #[schema(minimum = 0, maximum = 400)]
    pub velocidade_kmh: f64,
    /// Até onde a carga leva, 0 a 5000.
    #[serde(deserialize_with = "fields::number::range")]
    #[schema(minimum = 0, maximum = 5000)]
    pub autonomia_km: f64,
    /// Quando foi medido.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// O que o carro faz, para pessoas; `offline` é a última vontade MQTT.
    #[serde(default, with = "fields::optional_word", skip_serializing_if = "Option::is_none")]
    pub estado: Option<VehicleState>,
}

/// O que um carro faz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VehicleState {
    /// Parado, sem viagem.
    Parado,
    /// Espera a resposta a um pedido.
    Pedindo,
    /// A caminho.
    Dirigindo,
    /// Na estação, antes de sua janela.
    Aguardando,
    /// Recarrega.
    Carregando,
    /// Chegou ao fim da viagem.
    Chegou,
    /// Sem carga no meio do caminho.
    SemBateria,
    /// A conexão caiu; isto nunca cancela uma viagem.
    Offline,
}

/// O último estado conhecido de um carro.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehicleView {
    /// O que o carro disse.
    #[serde(flatten)]
    pub status: VehicleStatus,
    /// Quando chegou a este servidor.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub recebido_em: Timestamp,
}

/// Os carros conhecidos.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehiclesAnswer {
    /// Os carros, em ordem de `veiculo_id`.
    #[serde(with = "fields::objects")]
    pub veiculos: Vec<VehicleView>,
    /// O `cursor` da próxima página; ausente na última.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// O pedido de um carro, em `veiculo/{id}/requisicao`: uma viagem (`veiculo` e `paradas`) ou um cancelamento
/// (`cancelar`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VehicleRequestBody {
    /// Como o carro chama o pedido; uma repetição com o mesmo recebe a mesma resposta.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// O carro: o mesmo do tópico. Obrigatório em um pedido de viagem.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub veiculo: Option<Vehicle>,
    /// 1 a 16 paradas, na ordem da viagem.
    #[serde(default, with = "fields::optional_objects", skip_serializing_if = "Option::is_none")]
    pub paradas: Option<Vec<TripStopBody>>,
    /// A viagem a cancelar inteira.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub cancelar: Option<TripId>,
    /// A empresa que deve coordenar; sem ela, a da primeira parada.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub servidor: Option<OperatorId>,
    /// Depois deste instante o pedido é recusado, não executado.
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
    /// The end of a whole trip.
    Cancel(TripId),
}

/// A resposta a um carro, em `veiculo/{id}/resposta` e `servidor/{id}/resposta`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VehicleAnswer {
    /// O pedido; ausente se não pôde ser lido.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// O carro.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// A empresa que responde.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub servidor: OperatorId,
    /// A resposta.
    pub estado: AnswerState,
    /// A viagem; ausente em uma recusa.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub viagem_id: Option<TripId>,
    /// Por que foi recusado.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub motivo: Option<Problem>,
    /// As paradas da viagem; vazia em uma recusa.
    #[serde(default, with = "fields::objects")]
    pub paradas: Vec<TripStopAnswer>,
}

/// A resposta a um pedido de um carro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// Todas as paradas estão garantidas.
    Confirmada,
    /// Nada foi reservado, ou nada foi cancelado: `motivo` diz por quê.
    Recusada,
    /// A viagem inteira está cancelada.
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
    /// that names none: every company looks whether the trip is its own.
    pub fn coordinator(&self) -> Option<&OperatorId> {
        let first = || match &self.wish {
            Wish::Book(request) => request.stops().first().map(|stop| &stop.operator),
            Wish::Cancel(_) => None,
        };
        self.operator.as_ref().or_else(first)
    }
}

impl VehicleAnswer {
    /// The trip is reserved.
    pub fn confirmed(trip: &Trip) -> Self {
        let request = trip.request.key().request.clone();
        Self::decided(trip, request, AnswerState::Confirmada)
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
        }
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
