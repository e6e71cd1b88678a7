//! What companies ask of each other.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use opentelemetry::Context;
use recarga_reservation::{OperatorId, TransactionId, Vote};
use recarga_wire::batch::{
    BATCH_LENGTH_MAX, BatchAnswer, BatchRequest, Operation, OperationAnswer, decode_batch,
};
use recarga_wire::hold::{HoldAnswer, HoldRequest};
use recarga_wire::problem::Stops;
use recarga_wire::session::{
    CancelReason, CancelRequest, ConfirmRequest, InquiryAnswer, InquiryRequest, SessionAnswer, SessionState,
};
use recarga_wire::{Problem, ProblemKind, decode, decode_query};

use super::access::Caller;
use super::{Fault, Segment, came_with, json, read_body};
use crate::app::Node;
use crate::participant::Failure;
use crate::peer::{Message, Reply};
use crate::refusal::stopped;

/// Hold: all of these stops at this company, or none.
#[utoipa::path(post, path = "/reserva-temporaria", tag = "companies", request_body = HoldRequest,
    responses(
        (status = 201, body = HoldAnswer, description = "The vote: yes. A repeat gets the same answer."),
        (status = 409, body = Problem, description = "The vote: no (`voto` says `nao`), and why."),
        (status = 422, body = Problem, description = "A field is not valid, or the vote: no."),
    ), security(("empresa" = [])))]
pub async fn hold(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let operation = Operation::ReservaTemporaria(decode(&bytes)?);
    perform_one(&node, company, operation, &parts.headers).await
}

/// Confirm the hold of a transaction: from then on it is a reservation.
#[utoipa::path(post, path = "/confirmar-reserva", tag = "companies", request_body = ConfirmRequest,
    responses(
        (status = 200, body = SessionAnswer, description = "Confirmed; can be repeated."),
        (status = 409, body = Problem, description = "The transaction was not prepared here, or was released."),
    ), security(("empresa" = [])))]
pub async fn confirm(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let operation = Operation::ConfirmarReserva(decode(&bytes)?);
    perform_one(&node, company, operation, &parts.headers).await
}

/// Cancel the hold of a transaction, in the body or by parameters; also of one never seen.
#[utoipa::path(delete, path = "/cancelar-reserva", tag = "companies", params(CancelRequest),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, body = SessionAnswer, description = "Cancelled; can be repeated."),
        (status = 409, body = Problem, description = "The transaction is confirmed already."),
    ), security(("empresa" = [])))]
pub async fn cancel(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let cancel: CancelRequest = match query.filter(|query| !query.is_empty()) {
        Some(query) if bytes.is_empty() => decode_query(&query)?,
        Some(_) => {
            let detail = "a sessão veio no corpo e também em parâmetros; envie só um dos dois";
            return Err(Problem::new(ProblemKind::InvalidField, detail).at("sessao").into());
        }
        None => decode(&bytes)?,
    };
    let operation = Operation::CancelarReserva(cancel);
    perform_one(&node, company, operation, &parts.headers).await
}

/// Ask what became of a transaction. Only a company that takes part in it is answered.
#[utoipa::path(get, path = "/transacoes/{sessao}", tag = "companies",
    params(("sessao" = String, Path, description = "The transaction")),
    responses(
        (status = 200, body = InquiryAnswer, description = "What this company knows. No other status says anything."),
        (status = 403, body = Problem, description = "The trip is none of whoever asks, or this is no company."),
        (status = 404, body = Problem, description = "Nothing to say to whoever asks."),
    ), security(("empresa" = [])))]
pub async fn inquire(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(session): Segment,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let session: TransactionId = recarga_wire::parse(&session, "sessao")?;
    let operation = Operation::ConsultarTransacao(InquiryRequest::new(&session));
    perform_one(&node, company, operation, &headers).await
}

/// Several operations in one message, each with its answer, in the same order.
#[utoipa::path(post, path = "/lote", tag = "companies", request_body = BatchRequest,
    responses((status = 200, body = BatchAnswer, description = "One answer for each operation, with the status that it would have alone.")),
    security(("empresa" = [])))]
pub async fn batch(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, BATCH_LENGTH_MAX).await?;
    let batch = decode_batch(&bytes)?;
    let traces = batch.traces.iter();
    let traces = traces.map(|trace| node.events.traces().come_with(|| trace.as_deref())).collect();
    let resultados = perform(&node, company, batch.operations, traces).await;
    Ok(json(StatusCode::OK, &BatchAnswer { resultados }))
}

async fn perform_one(
    node: &Node,
    company: &OperatorId,
    operation: Operation,
    headers: &HeaderMap,
) -> Result<Response, Fault> {
    let answers = perform(node, company, vec![Ok(operation)], vec![came_with(node, headers)]).await;
    let answer = answers.into_iter().next();
    respond(answer.unwrap_or_else(|| Problem::of(ProblemKind::Internal).into()))
}

// One answer for each operation: what is wrong with it, or what became of it.
async fn perform(
    node: &Node,
    company: &OperatorId,
    operations: Vec<Result<Operation, Problem>>,
    traces: Vec<Context>,
) -> Vec<OperationAnswer> {
    let mut messages = Vec::with_capacity(operations.len());
    let mut with = Vec::with_capacity(operations.len());
    let mut problems = Vec::with_capacity(operations.len());
    for (operation, trace) in operations.into_iter().zip(traces) {
        problems.push(match operation.and_then(into_message) {
            Ok(message) => {
                messages.push(message);
                with.push(trace);
                None
            }
            Err(problem) => Some(problem),
        });
    }
    let replies = node.participant.receive_all(company, &messages, &with).await;
    let mut answers = messages.iter().zip(replies).map(|(message, reply)| answer(node, message, reply));
    let in_its_place = |problem: Option<Problem>| match problem {
        Some(problem) => Some(problem.into()),
        None => answers.next(),
    };
    problems.into_iter().filter_map(in_its_place).collect()
}

fn into_message(operation: Operation) -> Result<Message, Problem> {
    Ok(match operation {
        Operation::ReservaTemporaria(request) => {
            let (hold, firmness, valid_for) = request.into_hold()?;
            Message::Hold { hold: hold.into(), firmness, valid_for }
        }
        Operation::ConfirmarReserva(request) => Message::Confirm(request.into_transaction()?),
        Operation::CancelarReserva(request) => match request.into_transaction()? {
            (transaction, CancelReason::Aborto) => Message::Abort(transaction),
            (transaction, CancelReason::ViagemCancelada) => Message::Release(transaction),
        },
        Operation::ConsultarTransacao(request) => Message::Inquire(request.sessao),
    })
}

fn answer(node: &Node, message: &Message, reply: Result<Reply, Failure>) -> OperationAnswer {
    let session = message.transaction();
    match (reply, message) {
        (Ok(Reply::Vote(Vote::Yes { expires, store })), Message::Hold { hold, firmness, .. }) => {
            OperationAnswer::new(201, HoldAnswer::new(hold, *firmness, &node.operator, store, expires))
        }
        (Ok(Reply::Vote(Vote::No(refusal))), Message::Hold { hold, .. }) => {
            Problem::from_refusal(&refusal, Stops::OfHold(&hold.stops)).as_vote().into()
        }
        // Only a hold is voted on.
        (Ok(Reply::Vote(_)), _) => Problem::of(ProblemKind::Internal).into(),
        (Ok(Reply::Done), _) => {
            let confirms = matches!(message, Message::Confirm(_));
            let state = if confirms { SessionState::Confirmada } else { SessionState::Cancelada };
            OperationAnswer::new(200, SessionAnswer::new(session, state, &node.operator))
        }
        (Ok(Reply::Outcome(outcome, store)), _) => {
            OperationAnswer::new(200, InquiryAnswer::new(session, outcome, &node.operator, store))
        }
        (Err(Failure::Refused(refused)), _) => Problem::from(refused).of_session(session).into(),
        (Err(Failure::Stopped(_)), _) => {
            tracing::error!(transaction = %session, message = message.name(), "cannot record; nothing is answered");
            stopped().into()
        }
    }
}

fn respond(answer: OperationAnswer) -> Result<Response, Fault> {
    use recarga_wire::batch::AnswerBody;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer.corpo {
        AnswerBody::Problem(problem) => Err(problem.into()),
        AnswerBody::Hold(body) => Ok(json(status, &body)),
        AnswerBody::Session(body) => Ok(json(status, &body)),
        AnswerBody::Inquiry(body) => Ok(json(status, &body)),
    }
}
