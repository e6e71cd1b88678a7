//! What is in doubt here, what the others say of it, and an operator's decision where nobody can say.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::future::join_all;
use recarga_reservation::{Branch, Hold, Learnt, OperatorId, Outcome, StoreId, Timestamp, TransactionId};
use recarga_wire::doubt::{DoubtWord, Doubtful, DoubtsAnswer, ForceBody, ForcedView, Word};
use recarga_wire::hold::HoldStop;
use recarga_wire::{Problem, ProblemKind, decode};

use super::access::Caller;
use super::{Fault, Segment, json, read_body};
use crate::app::Node;
use crate::store::Forced;

/// Sessions that are named, and about which the others are asked.
const NAMED_MAX: usize = 100;

/// What is in doubt here, since when, and what every other company of it says now; and all that was forced. Only with
/// the operator's token.
#[utoipa::path(get, path = "/em-duvida", tag = "operation",
    responses((status = 200, body = DoubtsAnswer), (status = 401, body = Problem)), security(("operador" = [])))]
pub async fn list(State(node): State<Arc<Node>>, caller: Caller) -> Result<Response, Fault> {
    caller.check_operator()?;
    hear_of_forced(&node).await?;
    let now = node.clock.now();
    let (mut waiting, forced) = node.ledger.look(|state| {
        let participant = &state.company.participant;
        let waiting = participant.waiting(now).filter(|(id, _)| id.coordinator != node.operator);
        let held = |(id, age): (&TransactionId, Duration)| match participant.branch(id) {
            Some(Branch::Prepared { hold }) => Some((hold.clone(), age)),
            _ => None,
        };
        let forced: Vec<ForcedView> = state.decisions.all().map(forced).collect();
        (waiting.filter_map(held).collect::<Vec<_>>(), forced)
    });
    waiting.sort_by_key(|(_, age)| std::cmp::Reverse(*age));
    let asking = waiting.iter().take(NAMED_MAX).map(|(hold, age)| async {
        let words = node.termination.survey(hold).await;
        let respostas =
            words.into_iter().map(|(operator, word)| heard(hold, operator, word, now.utc)).collect();
        doubtful(hold, *age, respostas)
    });
    let answer = DoubtsAnswer {
        empresa: node.operator.clone(),
        quantas: waiting.len(),
        sessoes: join_all(asking).await,
        forcadas: forced,
    };
    Ok(json(StatusCode::OK, &answer))
}

/// Gives what is held for a session up, without an outcome. First everybody is asked once more: whoever knows is
/// believed, and then nothing is forced. Only with the operator's token.
#[utoipa::path(post, path = "/em-duvida/{sessao}/forcar", tag = "operation", request_body = ForceBody,
    params(("sessao" = String, Path, description = "The session")),
    responses((status = 200, body = ForcedView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is not in doubt, or somebody knows what became of it.")),
    security(("operador" = [])))]
pub async fn force(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
    request: Request,
) -> Result<Response, Fault> {
    caller.check_operator()?;
    let id: TransactionId = recarga_wire::parse(&id, "sessao")?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let (by, reason) = decode::<ForceBody>(&bytes)?.into_trail()?;
    let hold = in_doubt(&node, &id)?;
    match node.termination.ask_now(&id, &hold).await? {
        Learnt::Nothing => {}
        Learnt::Ended => return Err(settled(&node, &id).into()),
        Learnt::Waiting => {
            let detail = "a coordenadora respondeu que ainda vai decidir; espere a decisão dela";
            return Err(Problem::new(ProblemKind::NotNow, detail).of_session(&id).into());
        }
    }
    match node.participant.force_abort(&id, by, reason).await? {
        Some(done) => Ok(json(StatusCode::OK, &forced(&done))),
        None => Err(settled(&node, &id).into()),
    }
}

/// What was forced, as it is told.
pub fn forced(forced: &Forced) -> ForcedView {
    ForcedView::new(&forced.transaction, &forced.by, &forced.reason, forced.at, forced.turned_out)
}

fn in_doubt(node: &Node, id: &TransactionId) -> Result<Arc<Hold>, Problem> {
    if id.coordinator == node.operator {
        let detail = "esta empresa coordena a sessão e a decide sozinha: não há dúvida a resolver";
        return Err(Problem::new(ProblemKind::NotNow, detail).of_session(id));
    }
    let held = node.ledger.look(|state| match state.company.participant.branch(id) {
        Some(Branch::Prepared { hold }) => Ok(hold.clone()),
        Some(_) => Err(true),
        None => Err(false),
    });
    held.map_err(|is_known| match is_known {
        true => settled(node, id),
        false => {
            let detail = "esta empresa não sabe nada desta sessão; confira o identificador em GET /em-duvida";
            Problem::new(ProblemKind::NotFound, detail).of_session(id)
        }
    })
}

fn settled(node: &Node, id: &TransactionId) -> Problem {
    let state = node.ledger.look(|state| {
        let branch = state.company.participant.branch(id);
        branch.map_or("esquecida", |branch| recarga_wire::audit::BranchState::of(branch).word())
    });
    let detail = format!("a sessão não está em dúvida: aqui ela está {state}, e nada foi forçado");
    Problem::new(ProblemKind::NotNow, detail).of_session(id)
}

// Whether what was forced turned out to be right, as far as its coordinator says so now.
async fn hear_of_forced(node: &Node) -> Result<(), Fault> {
    let open: Vec<Arc<Hold>> = node.ledger.look(|state| {
        let open = state.decisions.all().filter(|forced| forced.turned_out.is_none());
        let hold = |forced: &Forced| match state.company.participant.branch(&forced.transaction) {
            Some(Branch::Aborted { hold, .. }) => hold.clone(),
            _ => None,
        };
        open.filter_map(hold).take(NAMED_MAX).collect()
    });
    let asking = open.iter().map(|hold| async move { (hold, node.termination.survey(hold).await) });
    let asked = join_all(asking).await;
    let now = node.clock.now().utc;
    for (hold, words) in asked {
        for (operator, word) in words {
            let Some((outcome, store)) = word else { continue };
            if !hold.believes(&operator, store, outcome, now) {
                continue;
            }
            match outcome {
                Outcome::Commit => node.participant.heard_of_forced(&hold.transaction, true).await?,
                Outcome::Abort => node.participant.heard_of_forced(&hold.transaction, false).await?,
                Outcome::Pending | Outcome::InDoubt => {}
            }
        }
    }
    Ok(())
}

fn heard(hold: &Hold, operator: OperatorId, word: Option<(Outcome, StoreId)>, now: Timestamp) -> DoubtWord {
    let is_outcome = |outcome| matches!(outcome, Outcome::Commit | Outcome::Abort | Outcome::Pending);
    DoubtWord {
        resposta: word.map_or(Word::SemResposta, |(outcome, _)| Word::of(outcome)),
        deposito: word.map(|(_, store)| store),
        vale: word.is_some_and(|(outcome, store)| {
            is_outcome(outcome) && hold.believes(&operator, store, outcome, now)
        }),
        empresa: operator,
    }
}

fn doubtful(hold: &Hold, age: Duration, respostas: Vec<DoubtWord>) -> Doubtful {
    Doubtful {
        sessao: hold.transaction.clone(),
        coordenador: hold.transaction.coordinator.clone(),
        idade_s: age.as_secs_f64(),
        pedida_em: hold.priority,
        veiculo_id: hold.key.vehicle.clone(),
        reservas: hold.stops.iter().map(HoldStop::new).collect(),
        respostas,
    }
}
