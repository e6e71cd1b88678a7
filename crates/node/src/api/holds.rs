//! What companies ask of each other.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::join_all;
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
use super::{Fault, json, read_body};
use crate::app::Node;
use crate::participant::Failure;
use crate::peer::{Message, Reply};

/// Reserva temporária: retém todas as paradas nesta empresa, ou nenhuma.
#[utoipa::path(post, path = "/reserva-temporaria", tag = "empresas", request_body = HoldRequest,
    responses(
        (status = 201, body = HoldAnswer, description = "O voto: sim. Repetir o pedido dá a mesma resposta."),
        (status = 409, body = Problem, description = "O voto: não (`voto` diz `nao`), e por quê."),
        (status = 422, body = Problem, description = "Um campo não vale, ou o voto: não."),
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
    respond(perform(&node, company, operation).await)
}

/// Confirma a reserva temporária de uma sessão: a partir daí ela é definitiva.
#[utoipa::path(post, path = "/confirmar-reserva", tag = "empresas", request_body = ConfirmRequest,
    responses(
        (status = 200, body = SessionAnswer, description = "Confirmada; pode ser repetido."),
        (status = 409, body = Problem, description = "A sessão não foi preparada aqui, ou foi liberada."),
    ), security(("empresa" = [])))]
pub async fn confirm(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    respond(perform(&node, company, Operation::ConfirmarReserva(decode(&bytes)?)).await)
}

/// Cancela a reserva de uma sessão. No corpo ou em parâmetros; vale também para uma sessão nunca vista.
#[utoipa::path(delete, path = "/cancelar-reserva", tag = "empresas", params(CancelRequest),
    request_body = Option<CancelRequest>,
    responses(
        (status = 200, body = SessionAnswer, description = "Cancelada; pode ser repetido."),
        (status = 409, body = Problem, description = "A sessão já está confirmada."),
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
        _ => decode(&bytes)?,
    };
    respond(perform(&node, company, Operation::CancelarReserva(cancel)).await)
}

/// Pergunta pelo destino de uma sessão. Só uma empresa que participa dela recebe resposta.
#[utoipa::path(get, path = "/transacoes/{sessao}", tag = "empresas",
    params(("sessao" = String, Path, description = "A sessão")),
    responses(
        (status = 200, body = InquiryAnswer, description = "O que esta empresa sabe. Nenhum outro status diz algo."),
        (status = 404, body = Problem, description = "Nada a dizer a quem pergunta."),
    ), security(("empresa" = [])))]
pub async fn inquire(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Path(session): Path<String>,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let session: TransactionId = recarga_wire::parse(&session, "sessao")?;
    let message = Message::Inquire(session);
    respond(perform_message(&node, company, message, None).await)
}

/// Várias operações em uma só mensagem, cada uma com sua resposta, na mesma ordem.
#[utoipa::path(post, path = "/lote", tag = "empresas", request_body = BatchRequest,
    responses((status = 200, body = BatchAnswer, description = "Uma resposta por operação, com o status que teria.")),
    security(("empresa" = [])))]
pub async fn batch(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let company = caller.company()?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, BATCH_LENGTH_MAX).await?;
    let operations = decode_batch(&bytes)?;
    // All at once: they share a flush, and one that waits behind a held window does not hold up the rest for long.
    let answers = operations.into_iter().map(|operation| async {
        match operation {
            Ok(operation) => perform(&node, company, operation).await,
            Err(problem) => problem.into(),
        }
    });
    let resultados = join_all(answers).await;
    Ok(json(StatusCode::OK, &BatchAnswer { resultados }))
}

async fn perform(node: &Node, company: &OperatorId, operation: Operation) -> OperationAnswer {
    let decoded = match operation {
        Operation::ReservaTemporaria(request) => request.into_hold().map(|(hold, firmness, valid_for)| {
            let kept = Some((hold.clone(), firmness));
            (Message::Hold { hold, firmness, valid_for }, kept)
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
            (Vote::Yes { expires_in }, Some((hold, firmness))) => {
                let expires = node.clock.now().utc + expires_in;
                OperationAnswer::new(
                    201,
                    HoldAnswer::new(&hold, firmness, &node.operator, node.store, expires),
                )
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
            Problem::of(ProblemKind::Unavailable).into()
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
