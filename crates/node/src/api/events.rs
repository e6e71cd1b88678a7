//! What happens here, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use recarga_reservation::{OperatorId, TransactionId};
use recarga_wire::audit::BranchState;
use recarga_wire::event::{
    Alarm, Event as WireEvent, EventBody, EventsParams, HoldEvent, PeerEvent, PointEvent, RefusedTrip,
};
use recarga_wire::problem::Stops;
use recarga_wire::trip::TripAnswer;
use recarga_wire::{Problem, ProblemKind, decode_query};

use super::Fault;
use super::access::Caller;
use crate::app::Node;
use crate::events::{Event, Seen, Told};

/// What happens at this company from now on: trips, holds, cars and other companies. With `Last-Event-ID`, from after
/// that event on, as far as it is still known.
#[utoipa::path(get, path = "/eventos", tag = "drivers",
    params(EventsParams, ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event seen.")),
    responses((status = 200, content_type = "text/event-stream", body = WireEvent,
        description = "A stream without end. Who reads too slowly, or was away for too long, misses events and is told \
            how many by `perdidos`: `null` where that cannot be said.")))]
pub async fn watch(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, Fault> {
    caller.check_driver(&node.access)?;
    let sight = Sight::of(&caller, &node);
    let wanted = sight.limit(decode_query::<EventsParams>(query.as_deref().unwrap_or(""))?.names()?)?;
    let Ok(place) = node.watchers.clone().try_acquire_owned() else {
        let detail = "há observadores demais; tente mais tarde, ou consulte /viagens";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail).into());
    };
    // What is no number was not given by this company, any more than one of another run.
    let after = headers.get("last-event-id").map(|last| {
        let number = last.to_str().ok().and_then(|text| text.trim().parse().ok());
        number.unwrap_or(u64::MAX)
    });
    let stopping = node.stopping();
    let watcher = node.events.watch(after);
    let batches = stream::unfold(watcher, |mut watcher| async move { Some((watcher.next().await, watcher)) });
    let told = batches.flat_map(stream::iter).take_until(stopping).filter_map(move |seen| {
        let _keeps_its_place = &place;
        let told = match seen {
            Seen::Event(told) => tell(&node, &told, wanted.as_deref(), sight),
            Seen::Missed(count) => {
                node.metrics.events_missed.inc_by(count.unwrap_or(1));
                let count = count.map_or("null".to_owned(), |count| count.to_string());
                Some(SseEvent::default().event("perdidos").data(count))
            }
        };
        std::future::ready(told.map(Ok))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// What is told of single cars: whoever knows a trip's id may cancel it, where nothing else is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// All that may be asked for anyway.
    Whole,
    /// Cars have tokens of their own: where they are, and no trip of theirs.
    WithoutTrips,
}

impl Sight {
    const TRIPS: [&str; 2] = [EventBody::TRIP, EventBody::REFUSED];

    fn of(caller: &Caller, node: &Node) -> Self {
        match caller.check_some_car(&node.access) {
            Ok(()) => Sight::Whole,
            Err(_) => Sight::WithoutTrips,
        }
    }

    // Which events are told of those that are wanted.
    fn limit(self, wanted: Option<Vec<&'static str>>) -> Result<Option<Vec<&'static str>>, Problem> {
        match (self, wanted) {
            (Sight::Whole, wanted) => Ok(wanted),
            (Sight::WithoutTrips, None) => {
                let others = EventBody::NAMES.into_iter().filter(|name| !Self::TRIPS.contains(name));
                Ok(Some(others.collect()))
            }
            (Sight::WithoutTrips, Some(wanted)) if wanted.iter().any(|name| Self::TRIPS.contains(name)) => {
                let detail = "nesta empresa os carros têm tokens próprios: `viagem` e `viagem-recusada` são contados só a \
                    quem tem o token do operador; peça os outros tipos, ou consulte /viagens com o token do carro";
                Err(Problem::new(ProblemKind::Forbidden, detail).at("tipos"))
            }
            (Sight::WithoutTrips, wanted) => Ok(wanted),
        }
    }
}

fn tell(node: &Node, told: &Told, wanted: Option<&[&str]>, sight: Sight) -> Option<SseEvent> {
    let name = name(&told.event);
    if wanted.is_some_and(|wanted| !wanted.contains(&name)) {
        return None;
    }
    let whole =
        |told: &Told| Some(WireEvent { id: told.number, instante: told.at, fato: body(node, &told.event)? });
    let text = match sight {
        Sight::Whole => told.text(|told| write(&whole(told)?)),
        Sight::WithoutTrips => {
            let mut event = whole(told)?;
            match &mut event.fato {
                EventBody::Reserva(hold) => hold.veiculo_id = None,
                EventBody::Alarme(alarm) => alarm.viagem_id = None,
                _ => {}
            }
            write(&event).map(Arc::from)
        }
    };
    Some(SseEvent::default().id(told.number.to_string()).event(name).data(text?))
}

fn write(event: &WireEvent) -> Option<String> {
    String::from_utf8(recarga_wire::encode(event)).ok()
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Trip { .. } => EventBody::TRIP,
        Event::Refused { .. } => EventBody::REFUSED,
        Event::Hold { .. } => EventBody::HOLD,
        Event::Vehicle { .. } => EventBody::VEHICLE,
        Event::Evse { .. } => EventBody::POINT,
        Event::Peer { .. } => EventBody::PEER,
        Event::Alarm { .. } => EventBody::ALARM,
    }
}

fn body(node: &Node, event: &Event) -> Option<EventBody> {
    Some(match event {
        Event::Trip { trip, .. } => EventBody::Viagem(TripAnswer::new(trip)),
        Event::Refused { key, refusal } => EventBody::ViagemRecusada(RefusedTrip {
            requisicao_id: key.request.clone(),
            veiculo_id: key.vehicle.clone(),
            motivo: Problem::from_refusal(refusal, Stops::OfTrip),
        }),
        Event::Hold { transaction } => EventBody::Reserva(hold(node, transaction)),
        Event::Vehicle { vehicle } => EventBody::Veiculo(node.vehicles.get(vehicle)?.status),
        Event::Evse { evse } => {
            let out = node.ledger.look(|state| state.company.participant.is_out_of_service(evse));
            EventBody::Ponto(PointEvent::new(evse.clone(), out))
        }
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
    })
}

// What is held at the moment of telling, which may be later than the event.
fn hold(node: &Node, transaction: &TransactionId) -> HoldEvent {
    let known = node.ledger.look(|state| {
        state.company.participant.branch(transaction).map(|branch| HoldEvent::new(transaction, branch))
    });
    let mut hold = known.unwrap_or_else(|| HoldEvent {
        sessao: transaction.clone(),
        estado: BranchState::Abortada,
        coordenador: transaction.coordinator.clone(),
        veiculo_id: None,
        pontos: vec![],
    });
    hide(&mut hold.veiculo_id, &transaction.coordinator, &node.operator);
    hold
}

/// Whose car it is, is the business of the company that its driver has asked.
pub fn hide<T>(secret: &mut Option<T>, coordinator: &OperatorId, own: &OperatorId) {
    if coordinator != own {
        *secret = None;
    }
}
