//! What the page has to know before anything else, and how a company is.

use std::time::Duration;

use recarga_reservation::{OperatorId, StoreId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::health::HealthState;
use crate::{fields, schema};

/// `GET /painel/config`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigAnswer {
    /// Whether the page is one company's or the demo's.
    pub modo: Mode,
    /// The version of the program.
    pub versao: String,
    /// The company; absent in the demo.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub empresa: Option<OperatorId>,
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nome: Option<String>,
    /// What whoever asks may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acesso: Option<Access>,
    /// Pictures of maps, where the operator has configured some.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub mapa: Option<MapView>,
}

/// Whose page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One company's.
    Empresa,
    /// The demo's, of all companies.
    Demo,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everything that the operator may.
    Operador,
    /// Read what the operator may read.
    Leitura,
    /// Nothing of it, without the operator's token.
    Nenhum,
}

/// Pictures of maps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MapView {
    /// With `{z}`, `{x}` and `{y}`.
    pub tiles: String,
    /// Whom to thank for them.
    pub atribuicao: String,
}

/// `GET /painel/saude`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelHealth {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The version of the program.
    pub versao: String,
    /// The database it speaks from.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// When this run of the process began.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub iniciada_em: Timestamp,
    /// As `GET /saude`.
    pub estado: HealthState,
    /// The other companies.
    #[serde(with = "fields::objects")]
    pub parceiras: Vec<PeerView>,
    /// What waits here for an outcome.
    pub em_duvida: DoubtsView,
    /// From the requests of the last trips that were decided here to their answers.
    pub viagens: QuantilesView,
    /// The durable record.
    pub gravacoes: FlushView,
    /// The link to the broker.
    pub mqtt: LinkView,
    /// Who watches.
    pub eventos: EventsView,
}

/// Another company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Which.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Whether it answered when it was last needed.
    pub acessivel: bool,
    /// Since when that is so.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub desde: Timestamp,
    /// Confirmations and releases that it has not acknowledged.
    pub pendentes: usize,
}

/// What is in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoubtsView {
    /// How many sessions.
    pub quantas: usize,
    /// For how long the oldest one, in seconds.
    #[serde(default)]
    pub mais_antiga_s: Option<f64>,
    /// The oldest ones, at most 20.
    #[serde(with = "fields::objects")]
    pub sessoes: Vec<DoubtView>,
}

/// A session in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoubtView {
    /// Which.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Who would know.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// For how long, in seconds; since the restart at the earliest.
    pub idade_s: f64,
}

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QuantilesView {
    /// How many durations are looked at: the last ones.
    pub amostras: usize,
    /// Half of them took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Of a hundred, 99 took no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
}

/// The durable record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlushView {
    /// Flushes since the start.
    pub total: u64,
    /// Records since the start.
    pub registros: u64,
    /// Records that wait for a flush.
    pub na_fila: u64,
    /// How long the last flushes took.
    #[serde(flatten)]
    pub tempos: QuantilesView,
}

/// The link to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkView {
    /// Whether there is a broker.
    pub configurado: bool,
    /// Whether it is connected.
    pub conectado: bool,
    /// Answers to cars that the broker does not have yet.
    pub respostas_devidas: usize,
}

/// Who watches events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventsView {
    /// How many.
    pub observadores: usize,
    /// At most.
    pub observadores_max: usize,
    /// Events that they have missed since the start.
    pub perdidos: u64,
}

impl QuantilesView {
    /// Durations, of which half and nearly all took no longer.
    pub fn new(amostras: usize, half: Option<Duration>, nearly_all: Option<Duration>) -> Self {
        let millis = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        Self { amostras, p50_ms: half.map(millis), p99_ms: nearly_all.map(millis) }
    }
}
