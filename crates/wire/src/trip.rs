//! Trips, for drivers and apps: `/viagens`.

use recarga_reservation::{
    EvseId, OperatorId, RequestId, RequestKey, Stage, Stop, TRIP_STOPS_MAX, Timestamp, TransactionId, Trip,
    TripId, TripRequest, TripStop, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::hold::Vehicle;
use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema, stops, text};

/// Pedido de viagem: todas as paradas são reservadas, ou nenhuma. O mesmo corpo pede uma mudança.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripBody {
    /// Como quem pede chama o pedido; uma repetição com o mesmo nunca reserva duas vezes. Pode vir no cabeçalho
    /// `Idempotency-Key` em seu lugar.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// O carro.
    #[serde(with = "fields::object")]
    pub veiculo: Vehicle,
    /// 1 a 16 paradas, na ordem da viagem.
    #[serde(with = "fields::objects")]
    #[schema(min_items = 1, max_items = 16)]
    pub paradas: Vec<TripStopBody>,
}

/// Uma parada de um pedido de viagem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TripStopBody {
    /// A empresa do ponto.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// O ponto.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// Primeiro instante da janela.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// Primeiro instante depois da janela.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
}

/// Os parâmetros de `GET /viagens`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TripsParams {
    /// De qual veículo.
    #[serde(with = "fields::text")]
    #[param(value_type = String)]
    pub veiculo_id: VehicleId,
    /// De qual pedido; todos se ausente.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub requisicao_id: Option<RequestId>,
}

/// Uma viagem reservada.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripAnswer {
    /// O identificador da viagem; só quem o conhece pode consultá-la ou cancelá-la.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub viagem_id: TripId,
    /// O estado.
    pub estado: TripState,
    /// O pedido.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// O carro.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// A empresa que coordenou.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub servidor: OperatorId,
    /// A sessão sob a qual foi reservada.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Quando foi decidida.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub decidida_em: Timestamp,
    /// As paradas, na ordem da viagem.
    #[serde(with = "fields::objects")]
    pub paradas: Vec<TripStopAnswer>,
}

/// Uma parada de uma viagem reservada.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripStopAnswer {
    /// Sua posição na viagem, a partir de 0.
    pub parada: u16,
    /// A empresa do ponto.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// O ponto.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// Primeiro instante da janela.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// Primeiro instante depois da janela.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
    /// O estado.
    pub estado: StopState,
}

/// O estado de uma viagem que foi decidida.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TripState {
    /// Todas as paradas estão garantidas.
    Confirmada,
    /// O motorista a cancelou.
    Cancelada,
    /// Uma mudança tomou seu lugar.
    Alterada,
    /// Uma empresa liberou sua parte sozinha: reserve outra vez as paradas perdidas.
    Mista,
}

/// O estado de uma parada.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StopState {
    /// Reservada, e a empresa sabe.
    Confirmada,
    /// Garantida; a empresa ainda não acusou a confirmação.
    AConfirmar,
    /// A empresa a liberou sozinha antes de ouvir a decisão.
    Perdida,
    /// A viagem foi cancelada ou alterada.
    Liberada,
}

/// Uma lista de viagens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TripsAnswer {
    /// As viagens que esta empresa coordenou.
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

fn request_id(body: Option<RequestId>, header: Option<&str>) -> Result<RequestId, Problem> {
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
