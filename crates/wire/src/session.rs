//! What becomes of a transaction: `POST /confirmar-reserva`, `DELETE /cancelar-reserva`, `GET /transacoes/{sessao}`.

use recarga_reservation::{OperatorId, Outcome, StoreId, TransactionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema};

/// Confirma a reserva temporária de uma sessão.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// A empresa que coordena: se presente, a mesma que a sessão nomeia.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub coordenador: Option<OperatorId>,
}

/// Cancela a reserva de uma sessão. No corpo ou como parâmetros da URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CancelRequest {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    #[param(value_type = String)]
    pub sessao: TransactionId,
    /// A empresa que coordena: se presente, a mesma que a sessão nomeia.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    #[param(value_type = Option<String>)]
    pub coordenador: Option<OperatorId>,
    /// Por quê; `aborto` se ausente.
    #[serde(default, with = "fields::word")]
    #[param(inline)]
    pub motivo: CancelReason,
}

/// Por que se cancela.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// A sessão ainda não estava decidida e foi abortada. Nunca desfaz uma confirmação.
    #[default]
    Aborto,
    /// A viagem foi confirmada, e depois o motorista a cancelou inteira.
    ViagemCancelada,
}

/// Pergunta pelo destino de uma sessão.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InquiryRequest {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
}

/// O pedido foi cumprido.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionAnswer {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// O que ela é agora nesta empresa.
    pub estado: SessionState,
    /// Quem responde.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
}

/// O estado de uma sessão depois de um pedido cumprido.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Reservada.
    Confirmada,
    /// Nada está retido.
    Cancelada,
}

/// O destino de uma sessão, até onde quem responde sabe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InquiryAnswer {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// O destino.
    pub estado: OutcomeState,
    /// Quem responde.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// De qual banco de dados: só um "abortada" do mesmo depósito que criou a sessão vale como esquecimento.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
}

/// O destino de uma sessão.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// A coordenadora ainda não decidiu.
    Pendente,
    /// Confirmada.
    Confirmada,
    /// Abortada.
    Abortada,
    /// Quem responde votou sim e também espera a decisão.
    EmDuvida,
}

impl ConfirmRequest {
    /// What a coordinator sends.
    pub fn new(transaction: &TransactionId) -> Self {
        Self { sessao: transaction.clone(), coordenador: Some(transaction.coordinator.clone()) }
    }

    /// The transaction to confirm.
    ///
    /// # Errors
    /// A coordinator that is not the transaction's.
    pub fn into_transaction(self) -> Result<TransactionId, Problem> {
        check_coordinator(&self.sessao, self.coordenador.as_ref())?;
        Ok(self.sessao)
    }
}

impl CancelRequest {
    /// What a coordinator sends.
    pub fn new(transaction: &TransactionId, motivo: CancelReason) -> Self {
        Self { sessao: transaction.clone(), coordenador: Some(transaction.coordinator.clone()), motivo }
    }

    /// The transaction to abort or to release, and which of the two.
    ///
    /// # Errors
    /// A coordinator that is not the transaction's.
    pub fn into_transaction(self) -> Result<(TransactionId, CancelReason), Problem> {
        check_coordinator(&self.sessao, self.coordenador.as_ref())?;
        Ok((self.sessao, self.motivo))
    }
}

impl InquiryRequest {
    /// What a company in doubt sends.
    pub fn new(transaction: &TransactionId) -> Self {
        Self { sessao: transaction.clone() }
    }
}

impl SessionAnswer {
    /// `operator` has done what was asked.
    pub fn new(transaction: &TransactionId, estado: SessionState, operator: &OperatorId) -> Self {
        Self { sessao: transaction.clone(), estado, empresa: operator.clone() }
    }
}

impl InquiryAnswer {
    /// What `operator` knows, from its database `store`.
    pub fn new(transaction: &TransactionId, outcome: Outcome, operator: &OperatorId, store: StoreId) -> Self {
        let estado = match outcome {
            Outcome::Pending => OutcomeState::Pendente,
            Outcome::Commit => OutcomeState::Confirmada,
            Outcome::Abort => OutcomeState::Abortada,
            Outcome::InDoubt => OutcomeState::EmDuvida,
        };
        Self { sessao: transaction.clone(), estado, empresa: operator.clone(), deposito: store }
    }

    /// The outcome as the rules call it.
    pub fn outcome(&self) -> Outcome {
        match self.estado {
            OutcomeState::Pendente => Outcome::Pending,
            OutcomeState::Confirmada => Outcome::Commit,
            OutcomeState::Abortada => Outcome::Abort,
            OutcomeState::EmDuvida => Outcome::InDoubt,
        }
    }
}

pub(crate) fn check_coordinator(
    transaction: &TransactionId,
    coordinator: Option<&OperatorId>,
) -> Result<(), Problem> {
    if coordinator.is_none_or(|coordinator| *coordinator == transaction.coordinator) {
        return Ok(());
    }
    let detail = format!("a sessão é coordenada por `{}`; use este nome", transaction.coordinator);
    Err(Problem::new(ProblemKind::InvalidField, detail).at("coordenador"))
}
