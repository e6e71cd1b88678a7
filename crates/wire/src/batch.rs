//! `POST /lote`: many operations to one company in one message, answered one by one in the same order.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::decode::decode;
use crate::hold::{HoldAnswer, HoldRequest};
use crate::peer::Answer;
use crate::problem::{Problem, ProblemKind};
use crate::session::{CancelRequest, ConfirmRequest, InquiryAnswer, InquiryRequest, SessionAnswer};
use crate::text::shown;
use crate::version::Version;
use crate::{express, fields};

/// Most operations in one batch.
pub const BATCH_OPERATIONS_MAX: usize = 256;

/// Longest batch in bytes: it comes from another company, never from a driver.
pub const BATCH_LENGTH_MAX: usize = 1024 * 1024;

/// Many operations in one message.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BatchRequest {
    /// 1 to 256 operations.
    #[schema(min_items = 1, max_items = 256)]
    pub operacoes: Vec<Operation>,
    /// The trace context (W3C `traceparent`) of each operation, in the same order, where somebody collects traces.
    /// Since version 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 256)]
    pub rastros: Option<Vec<Option<String>>>,
}

impl BatchRequest {
    /// Operations, each with its trace context, as `reader` can read them; if none has a context, nothing is said of it.
    pub fn new(operations: impl IntoIterator<Item = (Operation, Option<String>)>, reader: Version) -> Self {
        let (operacoes, traces): (Vec<_>, Vec<_>) = operations.into_iter().unzip();
        let is_told = reader >= Version::WITH_TRACES && traces.iter().any(Option::is_some);
        let rastros = is_told.then_some(traces);
        Self { operacoes, rastros }
    }
}

/// A batch that was read.
#[derive(Debug)]
pub struct Batch {
    /// Each read by itself.
    pub operations: Vec<Result<Operation, Problem>>,
    /// The trace context of each. One that makes no sense is for those who collect traces to leave out.
    pub traces: Vec<Option<String>>,
}

/// One operation of a batch: its name, and the body that it would have alone.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "operacao", content = "corpo", rename_all = "kebab-case")]
pub enum Operation {
    /// `POST /reserva-temporaria`.
    ReservaTemporaria(HoldRequest),
    /// `POST /confirmar-reserva`.
    ConfirmarReserva(ConfirmRequest),
    /// `DELETE /cancelar-reserva`.
    CancelarReserva(CancelRequest),
    /// `GET /transacoes/{sessao}`.
    ConsultarTransacao(InquiryRequest),
}

/// The answers to a batch, in the order of its operations.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One answer for each operation.
    pub resultados: Vec<OperationAnswer>,
}

/// The answer that the operation would have alone.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OperationAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub corpo: AnswerBody,
}

/// The body of the answer to an operation.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnswerBody {
    /// The vote yes.
    Hold(HoldAnswer),
    /// Confirmed or cancelled.
    Session(SessionAnswer),
    /// What became of it.
    Inquiry(InquiryAnswer),
    /// The problem, which may be the vote no.
    Problem(Problem),
}

impl OperationAnswer {
    /// An answer with this HTTP status.
    pub fn new(status: u16, corpo: impl Into<AnswerBody>) -> Self {
        Self { status, corpo: corpo.into() }
    }
}

impl From<Problem> for OperationAnswer {
    fn from(problem: Problem) -> Self {
        Self::new(problem.status(), problem)
    }
}

macro_rules! answer_body {
    ($($variant:ident($body:ty))*) => {$(
        impl From<$body> for AnswerBody {
            fn from(body: $body) -> Self {
                AnswerBody::$variant(body)
            }
        }
    )*};
}

answer_body! { Hold(HoldAnswer) Session(SessionAnswer) Inquiry(InquiryAnswer) Problem(Problem) }

/// Reads a batch. Each operation is read by itself, so that one bad operation is one problem in its place.
///
/// # Errors
/// The batch itself is malformed, empty or too long: none of its operations may be run.
pub fn decode_batch(bytes: &[u8]) -> Result<Batch, Problem> {
    if let Some(batch) = express::batch(bytes) {
        return check_length(batch.operations.len()).map(|()| batch);
    }
    let batch: RawBatch<'_> = decode(bytes)?;
    check_length(batch.operacoes.len())?;
    let mut traces: Vec<_> =
        batch.rastros.unwrap_or_default().into_iter().map(|trace| trace.map(Cow::into_owned)).collect();
    traces.resize(batch.operacoes.len(), None);
    Ok(Batch { operations: batch.operacoes.iter().map(decode_operation).collect(), traces })
}

fn check_length(operations: usize) -> Result<(), Problem> {
    if (1..=BATCH_OPERATIONS_MAX).contains(&operations) {
        return Ok(());
    }
    let detail = format!("`operacoes` deve ter de 1 a {BATCH_OPERATIONS_MAX} elementos; divida o lote");
    Err(Problem::new(ProblemKind::InvalidField, detail).at("operacoes"))
}

/// One answer in a batch: what it means is read by who knows what was asked, with [`crate::peer`].
#[derive(Clone, Debug)]
pub struct RawAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Answer<'a>,
}

/// Takes the answer to a batch of `asked` operations apart.
///
/// # Errors
/// It is malformed, or has another number of answers: then nothing is known of any operation.
pub fn decode_batch_answer<'a>(bytes: &'a [u8], asked: usize) -> Result<Vec<RawAnswer<'a>>, Problem> {
    let answers: Vec<RawAnswer<'a>> = match express::batch_answer(bytes) {
        Some(answers) => answers,
        None => {
            let batch: RawBatchAnswer<'a> = decode(bytes)?;
            let raw = |answer: RawOperationAnswer<'a>| RawAnswer {
                status: answer.status,
                body: Answer::Raw(answer.corpo.get().as_bytes()),
            };
            batch.resultados.into_iter().map(raw).collect()
        }
    };
    if answers.len() != asked {
        let detail = format!("vieram {} resultados para {asked} operações", answers.len());
        return Err(Problem::new(ProblemKind::InvalidField, detail).at("resultados"));
    }
    Ok(answers)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBatch<'a> {
    #[serde(borrow, deserialize_with = "fields::objects::deserialize")]
    operacoes: Vec<RawOperation<'a>>,
    #[serde(default, borrow)]
    rastros: Option<Vec<Option<Cow<'a, str>>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperation<'a> {
    #[serde(borrow)]
    operacao: Cow<'a, str>,
    #[serde(borrow)]
    corpo: &'a RawValue,
}

#[derive(Deserialize)]
struct RawBatchAnswer<'a> {
    #[serde(borrow)]
    resultados: Vec<RawOperationAnswer<'a>>,
}

#[derive(Deserialize)]
struct RawOperationAnswer<'a> {
    status: u16,
    #[serde(borrow)]
    corpo: &'a RawValue,
}

fn decode_operation(raw: &RawOperation<'_>) -> Result<Operation, Problem> {
    let body = raw.corpo.get().as_bytes();
    match raw.operacao.as_ref() {
        "reserva-temporaria" => decode(body).map(Operation::ReservaTemporaria),
        "confirmar-reserva" => decode(body).map(Operation::ConfirmarReserva),
        "cancelar-reserva" => decode(body).map(Operation::CancelarReserva),
        "consultar-transacao" => decode(body).map(Operation::ConsultarTransacao),
        other => {
            let detail = format!(
                "a operação `{}` não existe; use uma de: reserva-temporaria, confirmar-reserva, cancelar-reserva, \
                 consultar-transacao",
                shown(other)
            );
            Err(Problem::new(ProblemKind::InvalidField, detail).at("operacao"))
        }
    }
}
