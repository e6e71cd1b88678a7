//! `GET /auditoria`: everything that a company remembers, so that someone else can prove that every trip is all or
//! nothing and that no EVSE is booked twice. For operators only: the ids of trips are in it.

use recarga_reservation::{
    AbortCause, Branch, Hold, OperatorId, RequestId, Stage, StoreId, Timestamp, TransactionId, Trip, TripId,
    VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::doubt::ForcedView;
use crate::hold::HoldStop;
use crate::trip::{TripAnswer, TripState, TripStopAnswer};
use crate::{fields, schema};

/// Most entries on one page, branches and trips together.
pub const AUDIT_PAGE_MAX: usize = 1000;

/// The parameters of `GET /auditoria`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// The `proximo` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of what a company remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The database it speaks from.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// What it holds or held for sessions, in their order.
    #[serde(with = "fields::objects")]
    pub ramos: Vec<AuditBranch>,
    /// The trips that it coordinated.
    #[serde(with = "fields::objects")]
    pub viagens: Vec<AuditTrip>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// What a company remembers of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditBranch {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Its state.
    pub estado: BranchState,
    /// Why it was aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causa: Option<BranchCause>,
    /// Until when a soft hold is valid, or since when a session is aborted.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub instante: Option<Timestamp>,
    /// The company that coordinates.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// The car; of an aborted session it is remembered only after a heuristic.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
    /// The request.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// Every company of the session.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub participantes: Vec<OperatorId>,
    /// The stops at this company.
    #[serde(default, with = "fields::objects")]
    pub reservas: Vec<HoldStop>,
    /// The session that this one replaced.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub substitui: Option<TransactionId>,
    /// Who forced the release, and why, where it was no time limit.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub forcada: Option<ForcedView>,
}

/// The state of a session at a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// Held until its time is up.
    Provisoria,
    /// The company voted yes and waits for the decision.
    Preparada,
    /// Reserved.
    Confirmada,
    /// Was reserved; then the trip was cancelled or changed.
    Liberada,
    /// Nothing is held, and nothing ever will be.
    Abortada,
}

/// Why a session was aborted at a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchCause {
    /// The coordinator said so.
    Coordenador,
    /// The company voted no.
    VotoNao,
    /// The soft hold's time was up.
    Vencida,
    /// Another company asked before this one had voted.
    Consultada,
    /// Released without a decision at the window's start plus grace, or by an operator's command.
    Heuristica,
}

/// A trip as its coordinator remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditTrip {
    /// The trip.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub viagem_id: TripId,
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Its state.
    pub estado: TripState,
    /// The car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// The request.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// When it was decided.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub decidida_em: Timestamp,
    /// Every company that was asked.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub participantes: Vec<OperatorId>,
    /// The companies that have not acknowledged the confirmation or the cancellation yet.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub pendentes: Vec<OperatorId>,
    /// The companies that released their part alone.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub perdidas: Vec<OperatorId>,
    /// The session that this one replaced.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub substitui: Option<TransactionId>,
    /// The stops, in the order of the trip.
    #[serde(with = "fields::objects")]
    pub paradas: Vec<TripStopAnswer>,
}

impl AuditBranch {
    /// What is remembered of a transaction.
    pub fn new(transaction: &TransactionId, branch: &Branch) -> Self {
        let (causa, instante, hold) = match branch {
            Branch::Held { hold, expires } => (None, Some(*expires), Some(hold)),
            Branch::Prepared { hold } | Branch::Confirmed { hold } | Branch::Released { hold } => {
                (None, None, Some(hold))
            }
            Branch::Aborted { cause, at, hold } => (Some(BranchCause::of(*cause)), Some(*at), hold.as_ref()),
        };
        let hold: Option<&Hold> = hold.map(AsRef::as_ref);
        Self {
            sessao: transaction.clone(),
            estado: BranchState::of(branch),
            causa,
            instante,
            coordenador: transaction.coordinator.clone(),
            veiculo_id: hold.map(|hold| hold.key.vehicle.clone()),
            requisicao_id: hold.map(|hold| hold.key.request.clone()),
            participantes: hold.map(|hold| hold.participants.clone()).unwrap_or_default(),
            reservas: hold.map(|hold| hold.stops.iter().map(HoldStop::new).collect()).unwrap_or_default(),
            substitui: hold.and_then(|hold| hold.replaces.clone()),
            forcada: None,
        }
    }
}

impl BranchState {
    /// The state of a branch.
    pub fn of(branch: &Branch) -> Self {
        match branch {
            Branch::Held { .. } => BranchState::Provisoria,
            Branch::Prepared { .. } => BranchState::Preparada,
            Branch::Confirmed { .. } => BranchState::Confirmada,
            Branch::Released { .. } => BranchState::Liberada,
            Branch::Aborted { .. } => BranchState::Abortada,
        }
    }

    /// Its word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            BranchState::Provisoria => "provisoria",
            BranchState::Preparada => "preparada",
            BranchState::Confirmada => "confirmada",
            BranchState::Liberada => "liberada",
            BranchState::Abortada => "abortada",
        }
    }
}

impl BranchCause {
    /// The cause of an abort.
    pub fn of(cause: AbortCause) -> Self {
        match cause {
            AbortCause::Coordinator => BranchCause::Coordenador,
            AbortCause::VotedNo => BranchCause::VotoNao,
            AbortCause::Expired => BranchCause::Vencida,
            AbortCause::Inquired => BranchCause::Consultada,
            AbortCause::Heuristic => BranchCause::Heuristica,
        }
    }
}

impl AuditTrip {
    /// A trip as its coordinator remembers it.
    pub fn new(trip: &Trip) -> Self {
        let answer = TripAnswer::new(trip);
        let pending = match &trip.stage {
            Stage::Committed { unacknowledged: left } | Stage::Cancelled { unreleased: left } => {
                left.iter().cloned().collect()
            }
            Stage::Settled | Stage::Replaced => vec![],
        };
        Self {
            viagem_id: answer.viagem_id,
            sessao: answer.sessao,
            estado: answer.estado,
            veiculo_id: answer.veiculo_id,
            requisicao_id: answer.requisicao_id,
            decidida_em: answer.decidida_em,
            participantes: trip.participants.iter().cloned().collect(),
            pendentes: pending,
            perdidas: trip.lost.iter().cloned().collect(),
            substitui: trip.replaces.clone(),
            paradas: answer.paradas,
        }
    }
}
