//! What happens here, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use futures_util::{Stream, StreamExt};
use recarga_reservation::TransactionId;
use recarga_wire::audit::BranchState;
use recarga_wire::event::{Alarm, Event as WireEvent, EventBody, HoldEvent, PeerEvent, RefusedTrip};
use recarga_wire::problem::Stops;
use recarga_wire::trip::TripAnswer;
use recarga_wire::{Problem, ProblemKind};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::Fault;
use super::access::Caller;
use crate::app::Node;
use crate::events::Event;

/// What happens at this company from now on: trips, holds, cars and other companies.
#[utoipa::path(get, path = "/eventos", tag = "drivers",
    responses((status = 200, content_type = "text/event-stream", body = WireEvent,
        description = "A stream without end; whoever reads too slowly misses events and is told how many by `perdidos`.")))]
pub async fn watch(
    State(node): State<Arc<Node>>,
    caller: Caller,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Fault> {
    caller.check_driver(&node.access)?;
    let Ok(place) = node.watchers.clone().try_acquire_owned() else {
        let detail = "há observadores demais; tente mais tarde, ou consulte /viagens";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail).into());
    };
    let stopping = node.stopping();
    let events = BroadcastStream::new(node.events.watch()).take_until(stopping);
    let told = events.filter_map(move |event| {
        let _keeps_its_place = &place;
        let told = match event {
            Ok((number, event)) => tell(&node, number, &event),
            Err(BroadcastStreamRecvError::Lagged(count)) => {
                Some(SseEvent::default().event("perdidos").data(count.to_string()))
            }
        };
        std::future::ready(told.map(Ok))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn tell(node: &Node, number: u64, event: &Event) -> Option<SseEvent> {
    let fato = match event {
        Event::Trip { trip, .. } => EventBody::Viagem(TripAnswer::new(trip)),
        Event::Refused { key, refusal } => EventBody::ViagemRecusada(RefusedTrip {
            requisicao_id: key.request.clone(),
            veiculo_id: key.vehicle.clone(),
            motivo: Problem::from_refusal(refusal, Stops::OfTrip),
        }),
        Event::Hold { transaction, .. } => EventBody::Reserva(hold(node, transaction)),
        Event::Vehicle { vehicle } => EventBody::Veiculo(node.vehicles.get(vehicle)?.status),
        Event::Peer { operator, reachable } => EventBody::EmpresaParceira(PeerEvent {
            empresa: operator.clone(),
            acessivel: *reachable,
            detalhe: None,
        }),
        Event::Alarm { transaction, trip } => EventBody::Alarme(Alarm {
            problema: Problem::of(ProblemKind::ReleasedHeuristically),
            sessao: Some(transaction.clone()),
            viagem_id: trip.clone(),
        }),
    };
    let name = fato.name();
    let event = WireEvent { id: number, instante: node.clock.now().utc, fato };
    let data = String::from_utf8(recarga_wire::encode(&event)).ok()?;
    Some(SseEvent::default().id(number.to_string()).event(name).data(data))
}

// What is held at the moment of telling, which may be later than the event.
fn hold(node: &Node, transaction: &TransactionId) -> HoldEvent {
    let known = node.ledger.look(|state| {
        state.company.participant.branch(transaction).map(|branch| HoldEvent::new(transaction, branch))
    });
    known.unwrap_or_else(|| HoldEvent {
        sessao: transaction.clone(),
        estado: BranchState::Abortada,
        coordenador: transaction.coordinator.clone(),
        veiculo_id: None,
        pontos: vec![],
    })
}
