//! `GET /auditoria`: everything that a company remembers, so that someone else can prove that every trip is all or
//! nothing and that no EVSE is booked twice. For operators only: the ids of trips are in it.

use recarga_reservation::{
    AbortCause, Branch, Hold, OperatorId, RequestId, Stage, StoreId, Timestamp, TransactionId, Trip, TripId,
    VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::hold::HoldStop;
use crate::trip::{TripAnswer, TripState, TripStopAnswer};
use crate::{fields, schema};

/// Most entries on one page, branches and trips together.
pub const AUDIT_PAGE_MAX: usize = 1000;

/// Os parâmetros de `GET /auditoria`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// O `proximo` da página anterior.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Uma página do que uma empresa lembra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditPage {
    /// A empresa.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// O banco de dados de onde fala.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// O que retém ou reteve para sessões, em ordem de sessão.
    #[serde(with = "fields::objects")]
    pub ramos: Vec<AuditBranch>,
    /// As viagens que coordenou.
    #[serde(with = "fields::objects")]
    pub viagens: Vec<AuditTrip>,
    /// O `cursor` da próxima página; ausente na última.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// O que uma empresa lembra de uma sessão.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditBranch {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// O estado.
    pub estado: BranchState,
    /// Por que foi abortada.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causa: Option<BranchCause>,
    /// Até quando uma reserva provisória vale, ou desde quando uma sessão está abortada.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub instante: Option<Timestamp>,
    /// A empresa que coordena.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// O carro; de uma sessão abortada só se lembra depois de uma heurística.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
    /// O pedido.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub requisicao_id: Option<RequestId>,
    /// Todas as empresas da sessão.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub participantes: Vec<OperatorId>,
    /// As paradas nesta empresa.
    #[serde(default, with = "fields::objects")]
    pub reservas: Vec<HoldStop>,
    /// A sessão que esta substituiu.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub substitui: Option<TransactionId>,
}

/// O estado de uma sessão em uma empresa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// Retida até vencer.
    Provisoria,
    /// A empresa votou sim e espera a decisão.
    Preparada,
    /// Reservada.
    Confirmada,
    /// Foi reservada, e depois a viagem foi cancelada ou alterada.
    Liberada,
    /// Nada está retido, e nunca mais estará.
    Abortada,
}

/// Por que uma sessão foi abortada em uma empresa.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BranchCause {
    /// A coordenadora disse.
    Coordenador,
    /// A empresa votou não.
    VotoNao,
    /// A reserva provisória venceu.
    Vencida,
    /// Outra empresa perguntou antes de esta ter votado.
    Consultada,
    /// Liberada sem decisão no início da janela mais a tolerância, ou por ordem do operador.
    Heuristica,
}

/// Uma viagem como quem a coordenou a lembra.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AuditTrip {
    /// A viagem.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub viagem_id: TripId,
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// O estado.
    pub estado: TripState,
    /// O carro.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// O pedido.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// Quando foi decidida.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub decidida_em: Timestamp,
    /// Todas as empresas a quem se pediu.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub participantes: Vec<OperatorId>,
    /// As empresas que ainda não acusaram a confirmação ou o cancelamento.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub pendentes: Vec<OperatorId>,
    /// As empresas que liberaram sua parte sozinhas.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub perdidas: Vec<OperatorId>,
    /// A sessão que esta substituiu.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub substitui: Option<TransactionId>,
    /// As paradas, na ordem da viagem.
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
