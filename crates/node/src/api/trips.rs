//! Trips, for drivers and apps.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use recarga_reservation::{RequestKey, Step, Trip, TripId, TripRequest};
use recarga_wire::trip::{TripAnswer, TripBody, TripsAnswer, TripsParams};
use recarga_wire::{Problem, ProblemKind, decode, decode_query};
use tokio::time::timeout;

use super::access::Caller;
use super::{Fault, Segment, json, read_body};
use crate::app::Node;
use crate::coordinator::Answer;
use crate::refusal::{check_companies, in_progress, why};

/// Most trips in one list.
const LIST_MAX: usize = 500;

/// Book a trip: all stops, at all companies, or none.
#[utoipa::path(post, path = "/viagens", tag = "drivers", request_body = TripBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same as `requisicao_id`.")),
    responses(
        (status = 201, body = TripAnswer, description = "Booked. A repeat gets the same answer."),
        (status = 409, body = Problem, description = "Nothing is reserved: which stop failed, why, and what is free instead."),
        (status = 422, body = Problem, description = "A field is not valid."),
        (status = 504, body = Problem, description = "Still under way; `consulta` says where to ask."),
    ))]
pub async fn book(
    State(node): State<Arc<Node>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Fault> {
    let request = read_trip(&node, &caller, request).await?;
    let key = request.key().clone();
    let answered = timeout(node.answer_max, node.coordinator.book(request)).await;
    answer(&key, answered.ok(), StatusCode::CREATED)
}

/// The trips of a car that this company coordinates.
#[utoipa::path(get, path = "/viagens", tag = "drivers", params(TripsParams),
    responses((status = 200, body = TripsAnswer)))]
pub async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    caller.check_driver(&node.access)?;
    let params: TripsParams = decode_query(query.as_deref().unwrap_or(""))?;
    let wanted =
        |trip: &&Trip| params.requisicao_id.as_ref().is_none_or(|id| trip.request.key().request == *id);
    // Through the record, so that nothing is told that a crash could take back.
    let trips = node.ledger.apply(|state| {
        let own = state.company.coordinator.trips_of(&params.veiculo_id);
        let mut trips: Vec<Trip> = own.filter(wanted).cloned().collect();
        trips.sort_by_key(|trip| std::cmp::Reverse(trip.decided));
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
    caller.check_driver(&node.access)?;
    let id: TripId = recarga_wire::parse(&id, "id")?;
    let trip = node
        .ledger
        .apply(|state| Step::durable(state.company.coordinator.trip(&id).cloned(), vec![]))
        .await?;
    match trip {
        Some(trip) => Ok(json(StatusCode::OK, &TripAnswer::new(&trip))),
        None => Err(Problem::new(
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
    let request = read_trip(&node, &caller, request).await?;
    let key = request.key().clone();
    let answered = timeout(node.answer_max, node.coordinator.change(id, request)).await;
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
    caller.check_driver(&node.access)?;
    let id: TripId = recarga_wire::parse(&id, "id")?;
    let trip = node.coordinator.cancel(&id).await?.map_err(Problem::from)?;
    Ok(json(StatusCode::OK, &TripAnswer::new(&trip)))
}

async fn read_trip(node: &Node, caller: &Caller, request: Request) -> Result<TripRequest, Fault> {
    caller.check_driver(&node.access)?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let body: TripBody = decode(&bytes)?;
    let request = body.into_request(idempotency_key(&parts.headers)?)?;
    check_companies(node, &request)?;
    Ok(request)
}

fn answer(key: &RequestKey, answer: Option<Answer>, booked: StatusCode) -> Result<Response, Fault> {
    match answer {
        Some(Answer::Booked(trip)) => {
            let mut response = json(booked, &TripAnswer::new(&trip));
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
