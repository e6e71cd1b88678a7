//! What happened to sessions at this company.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::{OwedMessage, Step, TransactionId};
use recarga_wire::audit::{AuditBranch, AuditTrip};
use recarga_wire::panel::{
    SessionEvent, SessionStory, SessionSummary, SessionsAnswer, SessionsParams, StoryEvent,
};
use recarga_wire::{Problem, ProblemKind};

use super::read_query;
use crate::api::access::Reader;
use crate::api::events::hide;
use crate::api::{Fault, Segment, json};
use crate::app::Node;
use crate::chronicle::{Entry, Happening, Recent};

/// The sessions of which this company has lately seen something, the latest first; from memory.
#[utoipa::path(get, path = "/painel/sessoes", tag = "panel", params(SessionsParams),
    responses((status = 200, body = SessionsAnswer)), security(("operador" = [])))]
pub async fn list(
    State(node): State<Arc<Node>>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = read_query::<SessionsParams>(query, 50, 200)?;
    let recent = node.events.chronicle().recent(query.limit);
    let sessoes = node.ledger.look(|state| {
        let summary = |Recent { transaction, first, last }: &Recent| {
            let company = &state.company;
            let branch = company.participant.branch(transaction);
            let trip = company.coordinator.find(transaction);
            let is_waiting = company.coordinator.is_waiting(transaction);
            let mut summary = SessionSummary::new(transaction, *first, *last, is_waiting, branch, trip);
            hide(&mut summary.veiculo_id, &transaction.coordinator, &node.operator);
            summary
        };
        recent.iter().map(summary).collect()
    });
    Ok(json(StatusCode::OK, &SessionsAnswer { empresa: node.operator.clone(), sessoes }))
}

/// What this company saw of a session, with the times, and what its record holds of it.
#[utoipa::path(get, path = "/painel/sessoes/{sessao}", tag = "panel",
    params(("sessao" = String, Path, description = "The session")),
    responses((status = 200, body = SessionStory), (status = 404, body = Problem)), security(("operador" = [])))]
pub async fn show(State(node): State<Arc<Node>>, _: Reader, Segment(id): Segment) -> Result<Response, Fault> {
    let id: TransactionId = recarga_wire::parse(&id, "sessao")?;
    // Through the record: what is shown as held is held.
    let known = node.ledger.apply(|state| {
        let branch = state.company.participant.branch(&id).map(|branch| AuditBranch::new(&id, branch));
        let trip = state.company.coordinator.find(&id).map(AuditTrip::new);
        Step::durable((branch, trip), vec![])
    });
    let (mut branch, trip) = known.await?;
    if let Some(branch) = &mut branch {
        hide(&mut branch.veiculo_id, &id.coordinator, &node.operator);
        hide(&mut branch.requisicao_id, &id.coordinator, &node.operator);
    }
    let story = node.events.chronicle().story(&id);
    if story.is_empty() && branch.is_none() && trip.is_none() {
        let detail =
            "esta empresa não sabe nada desta sessão; confira o identificador ou pergunte a outra empresa";
        return Err(Problem::new(ProblemKind::NotFound, detail).into());
    }
    let began = story.first().map(|entry| entry.at.elapsed).unwrap_or_default();
    let event = |entry: &Entry| {
        let since = entry.at.elapsed.saturating_sub(began);
        told(entry, u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    };
    let answer = SessionStory {
        empresa: node.operator.clone(),
        coordenador: id.coordinator.clone(),
        sessao: id,
        historia: story.iter().map(event).collect(),
        ramo: branch,
        viagem: trip,
    };
    Ok(json(StatusCode::OK, &answer))
}

fn told(entry: &Entry, micros: u64) -> SessionEvent {
    use Happening as H;
    use StoryEvent as E;
    let event = |event, operator| SessionEvent::new(entry.at.utc, micros, event, operator);
    match &entry.what {
        H::Begun => event(E::Iniciada, None),
        H::Asked(operator) => event(E::PedidoEnviado, Some(operator)),
        H::Voted(operator, no) => event(E::VotoRecebido, Some(operator)).with_vote(no.as_deref()),
        H::Silent(operator) => event(E::SemVoto, Some(operator)),
        H::Decided(committed) => event(E::Decidida, None).with_decision(*committed),
        H::Sent(operator, OwedMessage::Confirm) => event(E::ConfirmacaoEnviada, Some(operator)),
        H::Sent(operator, OwedMessage::Release) => event(E::LiberacaoEnviada, Some(operator)),
        H::Acknowledged(operator, OwedMessage::Confirm) => event(E::ConfirmacaoReconhecida, Some(operator)),
        H::Acknowledged(operator, OwedMessage::Release) => event(E::LiberacaoReconhecida, Some(operator)),
        H::NotDelivered(operator) => event(E::EntregaFalhou, Some(operator)),
        H::AbortSent(operator) => event(E::AbortoEnviado, Some(operator)),
        H::Cancelled => event(E::Cancelada, None),
        H::Held(operator, no) => event(E::Retida, Some(operator)).with_vote(no.as_deref()),
        H::Confirmed => event(E::Confirmada, None),
        H::Aborted => event(E::Abortada, None),
        H::Released => event(E::Liberada, None),
        H::Expired => event(E::Vencida, None),
        H::Heuristic => event(E::Heuristica, None),
        H::Inquiring(operator) => event(E::ConsultaEnviada, Some(operator)),
        H::Learnt(operator, outcome) => event(E::ConsultaRespondida, Some(operator)).with_outcome(*outcome),
        H::NoWord(operator) => event(E::ConsultaSemResposta, Some(operator)),
        H::Inquired(operator, outcome) => event(E::Consultada, Some(operator)).with_outcome(*outcome),
    }
}
