//! What companies ask of each other.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use futures_util::future::join_all;
use opentelemetry::trace::FutureExt as _;
use recarga_reservation::{Firmness, Hold, OperatorId, TransactionId, Vote};
use recarga_wire::batch::{
    BATCH_LENGTH_MAX, BatchAnswer, BatchRequest, Operation, OperationAnswer, decode_batch,
};
use recarga_wire::hold::{HoldAnswer, HoldRequest};
use recarga_wire::problem::Stops;
use recarga_wire::session::{
    CancelReason, CancelRequest, ConfirmRequest, InquiryAnswer, SessionAnswer, SessionState,
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
    respond(perform(&node, company, operation).with_context(came_with(&node, &parts.headers)).await)
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
    respond(perform(&node, company, operation).with_context(came_with(&node, &parts.headers)).await)
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
    respond(perform(&node, company, operation).with_context(came_with(&node, &parts.headers)).await)
}

/// Ask what became of a transaction. Only a company that takes part in it is answered.
#[utoipa::path(get, path = "/transacoes/{sessao}", tag = "companies",
    params(("sessao" = String, Path, description = "The transaction")),
    responses(
        (status = 200, body = InquiryAnswer, description = "What this company knows. No other status says anything."),
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
    let inquiry = perform_message(&node, company, Message::Inquire(session), None);
    respond(inquiry.with_context(came_with(&node, &headers)).await)
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
    let traced = batch.operations.into_iter().zip(batch.traces);
    // All at once: they share a flush, and one that waits behind a held window does not hold up the rest for long.
    let answers = traced.map(|(operation, trace)| {
        let context = node.events.traces().come_with(|| trace.as_deref());
        let answer = async {
            match operation {
                Ok(operation) => perform(&node, company, operation).await,
                Err(problem) => problem.into(),
            }
        };
        answer.with_context(context)
    });
    let resultados = join_all(answers).await;
    Ok(json(StatusCode::OK, &BatchAnswer { resultados }))
}

async fn perform(node: &Node, company: &OperatorId, operation: Operation) -> OperationAnswer {
    let decoded = match operation {
        Operation::ReservaTemporaria(request) => request.into_hold().map(|(hold, firmness, valid_for)| {
            let kept = Some((hold.clone(), firmness));
            (Message::Hold { hold: hold.into(), firmness, valid_for }, kept)
        }),
        Operation::ConfirmarReserva(request) => {
            request.into_transaction().map(|transaction| (Message::Confirm(transaction), None))
        }
        Operation::CancelarReserva(request) => {
            request.into_transaction().map(|(transaction, reason)| match reason {
                CancelReason::Aborto => (Message::Abort(transaction), None),
                CancelReason::ViagemCancelada => (Message::Release(transaction), None),
            })
        }
        Operation::ConsultarTransacao(request) => Ok((Message::Inquire(request.sessao), None)),
    };
    match decoded {
        Ok((message, hold)) => perform_message(node, company, message, hold).await,
        Err(problem) => problem.into(),
    }
}

async fn perform_message(
    node: &Node,
    company: &OperatorId,
    message: Message,
    hold: Option<(Hold, Firmness)>,
) -> OperationAnswer {
    let name = message.name();
    let session = message.transaction().clone();
    let confirms = matches!(message, Message::Confirm(_));
    match node.participant.receive(company, message).await {
        Ok(Reply::Vote(vote)) => match (vote, hold) {
            (Vote::Yes { expires, store }, Some((hold, firmness))) => {
                OperationAnswer::new(201, HoldAnswer::new(&hold, firmness, &node.operator, store, expires))
            }
            (Vote::No(refusal), hold) => {
                let stops = hold.as_ref().map_or(Stops::OfTrip, |(hold, _)| Stops::OfHold(&hold.stops));
                Problem::from_refusal(&refusal, stops).as_vote().into()
            }
            (Vote::Yes { .. }, None) => Problem::of(ProblemKind::Internal).into(),
        },
        Ok(Reply::Done) => {
            let state = if confirms { SessionState::Confirmada } else { SessionState::Cancelada };
            OperationAnswer::new(200, SessionAnswer::new(&session, state, &node.operator))
        }
        Ok(Reply::Outcome(outcome, store)) => {
            OperationAnswer::new(200, InquiryAnswer::new(&session, outcome, &node.operator, store))
        }
        Err(Failure::Refused(refused)) => Problem::from(refused).of_session(&session).into(),
        Err(Failure::Stopped(_)) => {
            tracing::error!(transaction = %session, message = name, "cannot record; nothing is answered");
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
