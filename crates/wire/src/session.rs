//! What becomes of a transaction: `POST /confirmar-reserva`, `DELETE /cancelar-reserva`, `GET /transacoes/{sessao}`.

use recarga_reservation::{OperatorId, Outcome, StoreId, TransactionId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema};

/// Confirms the hold of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmRequest {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// The company that coordinates: if present, the one that the session names.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub coordenador: Option<OperatorId>,
}

/// Cancels the hold of a session. In the body or as parameters of the URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CancelRequest {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    #[param(value_type = String)]
    pub sessao: TransactionId,
    /// The company that coordinates: if present, the one that the session names.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    #[param(value_type = Option<String>)]
    pub coordenador: Option<OperatorId>,
    /// Why; `aborto` if absent.
    #[serde(default, with = "fields::word")]
    #[param(inline)]
    pub motivo: CancelReason,
}

/// Why something is cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CancelReason {
    /// The session was not decided yet and is aborted. Never undoes a confirmation.
    #[default]
    Aborto,
    /// The trip was confirmed, and then its driver cancelled the whole of it.
    ViagemCancelada,
}

/// Asks what became of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InquiryRequest {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
}

/// The request was carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionAnswer {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// What it is now at this company.
    pub estado: SessionState,
    /// Who answers.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
}

/// The state of a session after a request was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Reserved.
    Confirmada,
    /// Nothing is held.
    Cancelada,
}

/// What became of a session, as far as the one who answers knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InquiryAnswer {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// What became of it.
    pub estado: OutcomeState,
    /// Who answers.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// From which database: only the one that made the session may presume that it was aborted.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// The coordinator has not decided yet.
    Pendente,
    /// Committed.
    Confirmada,
    /// Aborted.
    Abortada,
    /// The one who answers voted yes and waits for the decision, too.
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
