//! Trips, for drivers and apps.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use opentelemetry::trace::FutureExt as _;
use recarga_reservation::{NotChangeable, RequestKey, Stage, Step, Trip, TripId, TripRequest};
use recarga_wire::journey::{JourneyBody, JourneyRequest, JourneyTripBody, ModelsAnswer, PlansAnswer};
use recarga_wire::trip::{TripAnswer, TripBody, TripsAnswer, TripsParams};
use recarga_wire::{Problem, ProblemKind, decode, decode_query};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::access::Caller;
use super::{Fault, Segment, came_with, json, read_body};
use crate::app::Node;
use crate::coordinator::Answer;
use crate::refusal::{check_companies, check_open, in_progress, why};

/// Most trips in one list.
const LIST_MAX: usize = 500;
/// Where a request for a trip names its car.
const CAR_FIELD: &str = "veiculo.veiculo_id";

/// Book a trip: all stops, at all companies, or none. With `origem` and `destino` in place of `paradas` the stops are
/// found, and others if some are refused.
#[utoipa::path(post, path = "/viagens", tag = "drivers", request_body = inline(WishBody),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `requisicao_id`.")),
    responses(
        (status = 201, body = TripAnswer, description = "Booked. A repeat gets the same answer."),
        (status = 200, body = TripAnswer, description = "A repeat, and the trip is over: `estado` says how."),
        (status = 409, body = Problem, description = "Nothing is reserved: which stop failed, why, and what is free instead."),
        (status = 422, body = Problem, description = "A field is not valid."),
        (status = 504, body = Problem, description = "Still under way; `consulta` says where to ask."),
    ))]
pub async fn book(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let context = came_with(&node, request.headers());
    let answered = match read_wish(&node, &caller, request).await? {
        Wish::Stops(request) => {
            let key = request.key().clone();
            (key, timeout(node.answer_max, node.coordinator.book(request).with_context(context)).await)
        }
        Wish::Journey(request) => {
            let (key, wish) = (request.key.clone(), request.journey.canonical());
            let planner = node.journeys.planner(*request);
            let booking = node.coordinator.book_journey(key.clone(), wish.into(), planner);
            (key, timeout(node.answer_max, booking.with_context(context)).await)
        }
    };
    answer(&answered.0, answered.1.ok(), StatusCode::CREATED)
}

/// Find the stops of a journey, from the battery, the car and what is free at all companies. Nothing is reserved.
#[utoipa::path(post, path = "/viagens/planejar", tag = "drivers", request_body = JourneyBody,
    responses(
        (status = 200, body = PlansAnswer, description = "The best plan, then others."),
        (status = 409, body = Problem, description = "There is no plan: what is in the way, and what would help."),
        (status = 422, body = Problem, description = "A field is not valid."),
        (status = 503, body = Problem, description = "Too many plans are being made; try again."),
    ))]
pub async fn plan(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    caller.check_driver_or_car(&node.access)?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let journey: JourneyBody = decode(&bytes)?;
    Ok(json(StatusCode::OK, &node.journeys.plan(journey).await?))
}

/// The cars of the catalogue: what to write in `modelo`.
#[utoipa::path(get, path = "/modelos", tag = "open", responses((status = 200, body = ModelsAnswer)))]
pub async fn models() -> Response {
    json(StatusCode::OK, &crate::journeys::models())
}

/// The trips of a car that this company coordinates.
#[utoipa::path(get, path = "/viagens", tag = "drivers", params(TripsParams),
    responses((status = 200, body = TripsAnswer)))]
pub async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    caller.check_some_car(&node.access)?;
    let params: TripsParams = decode_query(query.as_deref().unwrap_or(""))?;
    caller.check_car(&node.access, &params.veiculo_id, "veiculo_id")?;
    let wanted =
        |trip: &&Trip| params.requisicao_id.as_ref().is_none_or(|id| trip.request.key().request == *id);
    // Through the record, so that nothing is told that a crash could take back.
    let trips = node.ledger.apply(|state| {
        let own = state.company.coordinator.trips_of(&params.veiculo_id);
        let mut trips: Vec<Trip> = own.filter(wanted).cloned().collect();
        trips.sort_by_cached_key(|trip| Reverse((trip.decided, trip.transaction.clone())));
        trips.truncate(LIST_MAX);
        Step::durable(trips, vec![])
    });
    let viagens = trips.await?.iter().map(TripAnswer::new).collect();
    Ok(json(StatusCode::OK, &TripsAnswer { viagens }))
}

/// One trip.
#[utoipa::path(get, path = "/viagens/{id}", tag = "drivers", params(("id" = String, Path, description = "The trip")),
    responses((status = 200, body = TripAnswer), (status = 404, body = Problem)))]
pub async fn show(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    caller.check_some_car(&node.access)?;
    let id: TripId = recarga_wire::parse(&id, "id")?;
    let trip = node
        .ledger
        .apply(|state| Step::durable(state.company.coordinator.trip(&id).cloned(), vec![]))
        .await?;
    match trip {
        Some(trip) if !caller.is_another_car(&trip.request.key().vehicle) => {
            Ok(json(StatusCode::OK, &TripAnswer::new(&trip)))
        }
        // Of another car's trip a car is not even told that it exists.
        _ => Err(Problem::new(
            ProblemKind::NotFound,
            format!("não há viagem `{id}` nesta empresa; pergunte à que a coordena (`servidor`)"),
        )
        .into()),
    }
}

/// Move a trip to other stops; until all are confirmed, and if they are refused, the old ones stay.
#[utoipa::path(put, path = "/viagens/{id}", tag = "drivers", request_body = TripBody,
    params(("id" = String, Path, description = "The trip")),
    responses((status = 200, body = TripAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
    request: Request,
) -> Result<Response, Fault> {
    let id: TripId = recarga_wire::parse(&id, "id")?;
    let context = came_with(&node, request.headers());
    let request = read_trip(&node, &caller, request).await?;
    let key = request.key().clone();
    let change = node.coordinator.change(id, request).with_context(context);
    let answered = timeout(node.answer_max, change).await;
    answer(&key, answered.ok(), StatusCode::OK)
}

/// Cancel the whole trip; can be repeated.
#[utoipa::path(delete, path = "/viagens/{id}", tag = "drivers", params(("id" = String, Path, description = "The trip")),
    responses((status = 200, body = TripAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn cancel(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    caller.check_some_car(&node.access)?;
    let id: TripId = recarga_wire::parse(&id, "id")?;
    let is_anothers = node.ledger.look(|state| {
        let trip = state.company.coordinator.trip(&id);
        trip.is_some_and(|trip| caller.is_another_car(&trip.request.key().vehicle))
    });
    if is_anothers {
        return Err(Problem::from(NotChangeable::Unknown).into());
    }
    let trip = node.coordinator.cancel(&id).await?.map_err(Problem::from)?;
    Ok(json(StatusCode::OK, &TripAnswer::new(&trip)))
}

/// What is sent to book: a trip, or a journey.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is only described; each is read by itself, to say what is wrong with it")]
enum WishBody {
    Stops(TripBody),
    Journey(JourneyTripBody),
}

enum Wish {
    Stops(TripRequest),
    Journey(Box<JourneyRequest>),
}

async fn read_wish(node: &Node, caller: &Caller, request: Request) -> Result<Wish, Fault> {
    caller.check_some_car(&node.access)?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let key = idempotency_key(&parts.headers)?;
    match decode::<TripBody>(&bytes) {
        Ok(body) => {
            let request = body.into_request(key)?;
            caller.check_car(&node.access, &request.key().vehicle, CAR_FIELD)?;
            check_open(node, request.key())?;
            check_companies(node, &request)?;
            Ok(Wish::Stops(request))
        }
        Err(_) if JourneyTripBody::is_one(&bytes) => {
            let body: JourneyTripBody = decode(&bytes)?;
            for (field, is_there) in
                [("servidor", body.servidor.is_some()), ("expira_em", body.expira_em.is_some())]
            {
                if is_there {
                    let detail = format!("`{field}` só existe em pedidos por MQTT; retire o campo");
                    return Err(Problem::new(ProblemKind::UnknownField, detail).at(field).into());
                }
            }
            let request = body.into_request(key)?;
            caller.check_car(&node.access, &request.key.vehicle, CAR_FIELD)?;
            check_open(node, &request.key)?;
            Ok(Wish::Journey(Box::new(request)))
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn read_trip(node: &Node, caller: &Caller, request: Request) -> Result<TripRequest, Fault> {
    match read_wish(node, caller, request).await? {
        Wish::Stops(request) => Ok(request),
        Wish::Journey(_) => {
            let detail = "uma alteração tem `paradas`; peça-as antes em POST /viagens/planejar";
            Err(Problem::new(ProblemKind::MissingField, detail).at("paradas").into())
        }
    }
}

fn answer(key: &RequestKey, answer: Option<Answer>, booked: StatusCode) -> Result<Response, Fault> {
    match answer {
        Some(Answer::Booked(trip)) => {
            // A repeat may come after the trip is over.
            let stands = matches!(trip.stage, Stage::Committed { .. } | Stage::Settled);
            let status = if stands { booked } else { StatusCode::OK };
            let mut response = json(status, &TripAnswer::new(&trip));
            if let Ok(location) = HeaderValue::from_str(&format!("/viagens/{}", trip.id)) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        Some(refused) => Err(why(key, &refused).into()),
        None => Err(in_progress(key).into()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    const NAME: &str = "Idempotency-Key";
    headers
        .get(NAME)
        .map(HeaderValue::to_str)
        .transpose()
        .map_err(|_| Problem::new(ProblemKind::InvalidField, "use só caracteres ASCII visíveis").at(NAME))
}
