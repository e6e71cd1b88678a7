//! What this company offers and when it is free.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use recarga_wire::availability::{AvailabilityAnswer, AvailabilityParams, AvailabilityQuery, PointsAnswer};
use recarga_wire::vehicle::VehicleState;
use recarga_wire::{Message, Problem, ProblemKind};

use super::{Fault, json_bytes};
use crate::app::Node;
use crate::offer::Offer;

/// This company's EVSEs and their free windows; without parameters the next 24 hours of everything, in pages.
#[utoipa::path(get, path = "/disponibilidade", tag = "open", params(AvailabilityParams),
    responses(
        (status = 200, body = AvailabilityAnswer, description = "One page."),
        (status = 304, description = "Nothing has changed since the `ETag` sent in `If-None-Match`."),
        (status = 422, body = Problem, description = "A parameter is not valid."),
    ))]
pub async fn available(
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let query = AvailabilityQuery::decode(query.as_deref().unwrap_or(""))?;
    let now = node.clock.now().utc;
    let period = Offer::period(&query, now).ok_or_else(|| {
        let detail = "o período já terminou: use um `ate` posterior a agora, ou informe também `de`";
        Problem::new(ProblemKind::ReversedWindow, detail).at("ate")
    })?;
    let charging = |vehicle: &_| {
        let seen = node.vehicles.get(vehicle);
        seen.is_some_and(|seen| seen.status.estado == Some(VehicleState::Carregando))
    };
    let answer = node.offer.answer(&node.operator, &query, period, now, &node.ledger, charging);
    Ok(cached(&headers, &answer))
}

/// This company's EVSEs without their times: what rarely changes.
#[utoipa::path(get, path = "/pontos", tag = "open", params(AvailabilityParams),
    responses(
        (status = 200, body = PointsAnswer, description = "One page."),
        (status = 304, description = "Nothing has changed since the `ETag` sent in `If-None-Match`."),
        (status = 422, body = Problem, description = "A parameter is not valid."),
    ))]
pub async fn points(
    State(node): State<Arc<Node>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let query = AvailabilityQuery::decode(query.as_deref().unwrap_or(""))?;
    if query.changed_after.is_some() {
        let detail = "use `alterados_desde` com GET /disponibilidade; aqui nada diz quando está livre";
        return Err(Problem::new(ProblemKind::UnknownField, detail).at("alterados_desde").into());
    }
    let page = node.offer.points(&query);
    let answer =
        PointsAnswer { empresa: node.operator.clone(), revisao: 1, pontos: page.points, proximo: page.next };
    Ok(cached(&headers, &answer))
}

// An answer that equals the one that the client has moves no body.
pub(super) fn cached<M: Message>(headers: &HeaderMap, answer: &M) -> Response {
    let body = recarga_wire::encode(answer);
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let matches = |known: &HeaderValue| {
        let known = known.to_str().unwrap_or("");
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*")
    };
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(matches);
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json_bytes(StatusCode::OK, body),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
