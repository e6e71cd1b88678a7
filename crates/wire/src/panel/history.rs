//! What happened to a session at one company.

use recarga_reservation::{
    Branch, OperatorId, Outcome, Reason, Refusal, Timestamp, TransactionId, Trip, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::{AuditBranch, AuditTrip};
use crate::problem::{Problem, Stops};
use crate::trip::TripState;
use crate::{fields, schema};

/// `GET /painel/sessoes`: the sessions of which something was lately seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionsAnswer {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The latest first.
    #[serde(with = "fields::objects")]
    pub sessoes: Vec<SessionSummary>,
}

/// A session in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionSummary {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Who coordinates it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// The first that was seen of it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub inicio: Timestamp,
    /// The last.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub ultimo: Timestamp,
    /// The car, where this company coordinates and still knows it.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
    /// How it stands here: `em_andamento` while it is being decided here, the state of a branch of the audit, or
    /// `encerrada` where nothing is remembered but that it was.
    pub estado: String,
}

/// `GET /painel/sessoes/{sessao}`: what one company saw of a session, and what its record holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionStory {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Who coordinates it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// In order; from memory, so none after a restart.
    #[serde(with = "fields::objects")]
    pub historia: Vec<SessionEvent>,
    /// What the record holds of it.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub ramo: Option<AuditBranch>,
    /// The trip, where this company coordinates and has committed.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub viagem: Option<AuditTrip>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionEvent {
    /// When, by the wall clock.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// Microseconds since the first step of this list, by a clock that only goes forward.
    pub us: u64,
    /// What.
    pub evento: StoryEvent,
    /// With which company.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub empresa: Option<OperatorId>,
    /// `sim` or `nao`, where there was a vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voto: Option<String>,
    /// Why not, as the `tipo` of a problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tipo: Option<String>,
    /// What was decided or answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resultado: Option<String>,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoryEvent {
    /// An attempt begins.
    Iniciada,
    /// A hold was asked.
    PedidoEnviado,
    /// The vote came.
    VotoRecebido,
    /// No vote came.
    SemVoto,
    /// The decision is durable.
    Decidida,
    /// Told of the commit.
    ConfirmacaoEnviada,
    /// And acknowledged.
    ConfirmacaoReconhecida,
    /// Told of the cancellation or the change.
    LiberacaoEnviada,
    /// And acknowledged.
    LiberacaoReconhecida,
    /// It could not be told.
    EntregaFalhou,
    /// Told to abort.
    AbortoEnviado,
    /// The driver has cancelled.
    Cancelada,
    /// A hold was answered here.
    Retida,
    /// Confirmed here.
    Confirmada,
    /// Aborted here.
    Abortada,
    /// Given back here.
    Liberada,
    /// A soft hold's time was up.
    Vencida,
    /// Released here without an outcome.
    Heuristica,
    /// Asked what became of it.
    ConsultaEnviada,
    /// What was answered.
    ConsultaRespondida,
    /// No answer.
    ConsultaSemResposta,
    /// Somebody asked here.
    Consultada,
}

impl SessionEvent {
    /// A step at a moment.
    pub fn new(instante: Timestamp, us: u64, evento: StoryEvent, empresa: Option<&OperatorId>) -> Self {
        let empresa = empresa.cloned();
        Self { instante, us, evento, empresa, voto: None, tipo: None, resultado: None }
    }

    /// With a vote: yes, or no for a reason.
    pub fn with_vote(mut self, no: Option<&Reason>) -> Self {
        self.voto = Some(if no.is_some() { "nao" } else { "sim" }.to_owned());
        self.tipo = no.map(code);
        self
    }

    /// With a decision.
    pub fn with_decision(mut self, committed: bool) -> Self {
        self.resultado = Some(if committed { "confirmada" } else { "abortada" }.to_owned());
        self
    }

    /// With what somebody said of it.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        let word = match outcome {
            Outcome::Pending => "pendente",
            Outcome::Commit => "confirmada",
            Outcome::Abort => "abortada",
            Outcome::InDoubt => "em_duvida",
        };
        self.resultado = Some(word.to_owned());
        self
    }
}

/// The `tipo` of a refusal.
pub(super) fn code(reason: &Reason) -> String {
    Problem::from_refusal(&Refusal::whole(reason.clone()), Stops::OfTrip).kind.code().to_owned()
}

impl SessionSummary {
    /// A session of which something was seen between two instants, with what is remembered of it.
    pub fn new(
        transaction: &TransactionId,
        inicio: Timestamp,
        ultimo: Timestamp,
        is_waiting: bool,
        branch: Option<&Branch>,
        trip: Option<&Trip>,
    ) -> Self {
        let known = branch.map(|branch| AuditBranch::new(transaction, branch));
        let vehicle = known.as_ref().and_then(|known| known.veiculo_id.clone());
        let estado = match (is_waiting, known, trip.map(TripState::of)) {
            (true, ..) => "em_andamento",
            (_, Some(known), _) => known.estado.word(),
            (_, None, Some(TripState::Confirmada | TripState::Mista)) => "confirmada",
            (_, None, Some(TripState::Cancelada | TripState::Alterada)) => "liberada",
            (_, None, None) => "encerrada",
        };
        Self {
            sessao: transaction.clone(),
            coordenador: transaction.coordinator.clone(),
            inicio,
            ultimo,
            veiculo_id: vehicle.or_else(|| trip.map(|trip| trip.request.key().vehicle.clone())),
            estado: estado.to_owned(),
        }
    }
}

impl super::RefusalCount {
    /// So many refusals for a reason.
    pub fn new(reason: &Reason, quantas: u64) -> Self {
        Self { tipo: code(reason), quantas }
    }
}
