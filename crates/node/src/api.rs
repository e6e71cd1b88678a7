//! Every route, in one table. A handler decodes, calls one service, and encodes; whatever is refused leaves as a
//! problem document.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Path, Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use opentelemetry::Context;
use recarga_wire::version::{self, Version};
use recarga_wire::{Message, PROBLEM_MEDIA_TYPE, Problem, ProblemKind};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::{debug, warn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Node;
use crate::ledger::Stopped;
use crate::refusal::stopped;
use crate::server::Certified;
use crate::traces::TRACEPARENT;

pub mod access;
mod availability;
mod copies;
mod documents;
mod doubts;
mod events;
mod federation;
mod holds;
mod network;
mod operation;
mod panel;
mod trips;
mod vehicles;

/// Every answer says which messages this program reads.
const VERSION: HeaderName = HeaderName::from_static(version::HEADER);
/// Longest wait for a body, once its head is there.
const BODY_WAIT: Duration = Duration::from_secs(10);

/// All routes of a node.
pub fn router(node: Arc<Node>) -> Router {
    let (routes, mut document) = OpenApiRouter::with_openapi(documents::openapi())
        // Between companies: the four operations of the protocol, the inquiry, and many of them in one request.
        .routes(routes!(availability::available))
        .routes(routes!(availability::points))
        .routes(routes!(network::show))
        .routes(routes!(federation::show))
        .routes(routes!(federation::roll))
        .routes(routes!(holds::hold))
        .routes(routes!(holds::confirm))
        .routes(routes!(holds::cancel))
        .routes(routes!(holds::inquire))
        .routes(routes!(holds::batch))
        // For drivers and apps.
        .routes(routes!(trips::book, trips::list))
        .routes(routes!(trips::plan))
        .routes(routes!(trips::models))
        .routes(routes!(trips::show, trips::change, trips::cancel))
        .routes(routes!(vehicles::list))
        .routes(routes!(vehicles::show))
        .routes(routes!(events::watch))
        // For the page in the browser.
        .routes(routes!(panel::config))
        .routes(routes!(panel::calendar::show))
        .routes(routes!(panel::numbers::show))
        .routes(routes!(panel::trips))
        .routes(routes!(panel::sessions::list))
        .routes(routes!(panel::sessions::show))
        .routes(routes!(panel::stations::list))
        .routes(routes!(panel::stations::show))
        .routes(routes!(panel::health::show))
        .routes(routes!(panel::calendar::set_state))
        // For operators.
        .routes(routes!(operation::health))
        .routes(routes!(operation::metrics))
        .routes(routes!(operation::audit))
        .routes(routes!(copies::make))
        .routes(routes!(doubts::list))
        .routes(routes!(doubts::force))
        .routes(routes!(documents::problem))
        .split_for_parts();
    documents::finish(&mut document, &node);
    routes
        .merge(documents::pages(document))
        .route("/", get(page))
        .fallback(page)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(node.clone(), guard))
        .with_state(node)
}

/// A refusal on its way out.
#[derive(Debug)]
pub struct Fault(Box<Problem>);

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault(Box::new(problem))
    }
}

impl From<Stopped> for Fault {
    fn from(_: Stopped) -> Self {
        stopped().into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let Fault(problem) = self;
        debug!(%problem, "refused");
        let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, recarga_wire::encode(&*problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        match problem.kind {
            ProblemKind::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ProblemKind::TooManyRequests
            | ProblemKind::QuotaReached
            | ProblemKind::Held
            | ProblemKind::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // What is left of the body is not read, so nothing else can follow on this connection.
            ProblemKind::BodyTooLarge | ProblemKind::RequestTimeout | ProblemKind::MediaType => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

/// The variable segment of the path, as text, or several of them.
struct Segment<T = String>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let rejection = match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(text)) => return Ok(Segment(text)),
            Err(rejection) => rejection,
        };
        let problem = match rejection {
            PathRejection::FailedToDeserializePathParams(error) => match error.into_kind() {
                ErrorKind::InvalidUtf8InPathParam { key } => Problem::new(
                    ProblemKind::InvalidField,
                    "não é texto em UTF-8; confira os `%` do endereço",
                )
                .at(key),
                _ => Problem::of(ProblemKind::NotFound),
            },
            _ => Problem::of(ProblemKind::NotFound),
        };
        Err(problem.into())
    }
}

/// A message as the body of a response.
fn json<M: Message>(status: StatusCode, message: &M) -> Response {
    json_bytes(status, recarga_wire::encode(message))
}

/// As [`json`], for a message that is encoded already.
fn json_bytes(status: StatusCode, message: Vec<u8>) -> Response {
    let mut response = (status, message).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

// The trace context that a request came with.
fn came_with(node: &Node, headers: &HeaderMap) -> Context {
    node.events.traces().come_with(|| headers.get(TRACEPARENT)?.to_str().ok())
}

// The whole body, which must say that it is JSON: what says nothing may come from a page of somebody else, which a browser
// lets send whatever is of no type without asking.
async fn read_body(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Fault> {
    let is_json = |value: &HeaderValue| {
        let essence =
            value.to_str().unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter().peekable();
    let is_untyped = types.peek().is_none() && !body.is_end_stream();
    if is_untyped || !types.all(is_json) {
        return Err(Problem::of(ProblemKind::MediaType).at("Content-Type").into());
    }
    read_all(body, most).await
}

/// A whole body, within its limits of length and time.
pub(crate) async fn read_all(body: Body, most: usize) -> Result<Vec<u8>, Fault> {
    let too_large = || {
        let detail = format!("o corpo passa de {most} bytes; envie menos de cada vez");
        Fault::from(Problem::new(ProblemKind::BodyTooLarge, detail))
    };
    if HttpBody::size_hint(&body).lower() > most as u64 {
        return Err(too_large()); // as announced, so there is no need to wait for it
    }
    match timeout(BODY_WAIT, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error);
            match cause.is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) {
                true => Err(too_large()),
                false => Err(Problem::of(ProblemKind::MalformedBody).into()),
            }
        }
        Err(_) => Err(Problem::of(ProblemKind::RequestTimeout).into()),
    }
}

// Runs before every handler: who calls, how often, and for how long at most. Every answer says what this program reads.
async fn guard(
    State(node): State<Arc<Node>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    // The pattern, never the path, so that the figures stay few.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("none", |route| route.as_str());
    let method = request.method().clone();
    let certified = request.extensions().get::<Certified>().cloned().unwrap_or_default();
    let mut response = match node.access.identify(request.headers(), address, &certified) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            match timeout(node.request_max, next.run(request)).await {
                Ok(response) => response,
                Err(_) => Fault::from(too_slow()).into_response(),
            }
        }
        Err(problem) => Fault::from(problem).into_response(),
    };
    response.headers_mut().insert(VERSION, Version::OWN.number().into());
    let status = response.status();
    node.metrics.http(route, status.as_u16());
    if status.is_server_error() {
        warn!(%method, route, %address, %status, "request failed");
    }
    response
}

// The work may go on; what is told must be true whether it does or not.
fn too_slow() -> Problem {
    let detail =
        "o servidor não respondeu a tempo e não sabe se o pedido foi executado; repita-o igual em instantes";
    Problem::new(ProblemKind::Unavailable, detail)
}

// The page in the browser and its files; none of their names is a route.
async fn page(State(node): State<Arc<Node>>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let file = is_read.then(|| node.page.answer(request.uri().path(), request.headers())).flatten();
    file.unwrap_or_else(|| {
        let path = shown(request.uri().path());
        let detail = format!("não há nada em `{path}`; as operações estão em /docs e /openapi.json");
        Fault::from(Problem::new(ProblemKind::NotFound, detail)).into_response()
    })
}

async fn method_not_allowed(method: Method, request: Request) -> Response {
    let (method, path) = (shown(method.as_str()), shown(request.uri().path()));
    let detail = format!("`{method}` não existe em `{path}`; veja o cabeçalho Allow ou /docs");
    let response = Fault::from(Problem::new(ProblemKind::MethodNotAllowed, detail)).into_response();
    debug_assert!(!response.headers().contains_key(ALLOW), "the router adds it");
    response
}

// Of what was sent, no more is repeated than it takes to recognise it.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
