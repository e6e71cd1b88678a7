//! How it is told that a trip was not booked, whether it was asked for by REST or by MQTT.

use recarga_reservation::{OperatorId, RequestKey, TripRequest};
use recarga_wire::federation::Standing;
use recarga_wire::problem::Stops;
use recarga_wire::{Problem, ProblemKind};

use crate::app::Node;
use crate::coordinator::Answer;

/// Refuses a new trip where this company is leaving; a repeat of what was booked before is none.
///
/// # Errors
/// Says who takes it.
pub fn check_open(node: &Node, key: &RequestKey) -> Result<(), Problem> {
    let is_booked = || node.ledger.look(|state| state.company.coordinator.trip_of(key).is_some());
    if node.membership.standing() == Standing::Ativa || is_booked() {
        return Ok(());
    }
    let others = names(&node.companies());
    let detail =
        format!("esta empresa está saindo da rede e não aceita viagens novas; peça a uma de: {others}");
    Err(Problem::new(ProblemKind::NotNow, detail).of_operator(&node.operator))
}

/// Refuses stops at companies that this one does not know.
///
/// # Errors
/// Names the first of them.
pub fn check_companies(node: &Node, request: &TripRequest) -> Result<(), Problem> {
    match request.stops().iter().find(|stop| !node.coordinator.knows(&stop.operator)) {
        None => Ok(()),
        Some(stop) => {
            let number = stop.stop.number;
            let known = names(&node.companies());
            let detail =
                format!("a empresa `{}` não faz parte desta rede; use uma de: {known}", stop.operator);
            let problem = Problem::new(ProblemKind::UnknownOperator, detail);
            Err(problem.at(format!("paradas[{number}].empresa")).at_stop(number).of_operator(&stop.operator))
        }
    }
}

/// Companies in a sentence.
pub fn names(companies: &[OperatorId]) -> String {
    companies.iter().map(OperatorId::as_str).collect::<Vec<_>>().join(", ")
}

/// What is told of a trip that was not booked.
pub fn why(key: &RequestKey, answer: &Answer) -> Problem {
    match answer {
        Answer::Refused(refusal) => Problem::from_refusal(refusal, Stops::OfTrip),
        Answer::Outrun(refusal) => outrun(Problem::from_refusal(refusal, Stops::OfTrip).kind),
        Answer::Different => Problem::of(ProblemKind::RequestDiffers).at("requisicao_id"),
        Answer::NotChangeable(error) => Problem::from(*error),
        Answer::NoStops(reason) => no_stops(reason),
        Answer::Stopped => stopped(),
        // Not asked of a trip that was booked; the truth about it is where trips are asked for.
        Answer::Booked(_) => in_progress(key),
    }
}

// Nobody has chosen the stop that was refused last, so nothing is said of its place in the trip.
fn outrun(last: ProblemKind) -> Problem {
    let detail = format!(
        "muitos pediram ao mesmo tempo as paradas que servem a esta viagem, e outros foram mais rápidos a cada tentativa; um \
         pedido novo pode dar certo. A última recusa: {}",
        last.title()
    );
    Problem::new(last, detail)
}

// The planner has written it.
fn no_stops(problem: &str) -> Problem {
    recarga_wire::decode(problem.as_bytes()).unwrap_or_else(|_| Problem::of(ProblemKind::NoPlan))
}

/// Another request of this car has this id; `earlier` says what became of it, as in "que foi recusado".
pub fn differs(key: &RequestKey, earlier: &str) -> Problem {
    let detail = format!(
        "este `requisicao_id` já é de outro pedido deste carro, {earlier}; o pedido de agora não foi executado. {}",
        ProblemKind::RequestDiffers.cure()
    );
    Problem::new(ProblemKind::RequestDiffers, detail).at("requisicao_id").ask_at(inquiry(key))
}

/// The answer takes longer than a client should wait; where to ask for it.
pub fn in_progress(key: &RequestKey) -> Problem {
    Problem::of(ProblemKind::InProgress).ask_at(inquiry(key))
}

fn inquiry(key: &RequestKey) -> String {
    format!("/viagens?veiculo_id={}&requisicao_id={}", key.vehicle, key.request)
}

/// The node is stopping. A write that failed may have reached the disk all the same, so nothing is said about what
/// became of the request.
pub fn stopped() -> Problem {
    let detail = "o servidor está parando e não sabe se o pedido foi executado; repita-o igual em instantes, o que \
                  nunca reserva duas vezes";
    Problem::new(ProblemKind::Unavailable, detail)
}
