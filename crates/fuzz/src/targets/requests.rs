//! Whole requests by REST, through every route: methods, paths, queries, headers and bodies.
//!
//! An input is up to four requests to one node, one after the other, parted by a line `====`. Each has a line with
//! method and address, lines of headers, an empty line, and a body.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::header::{ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_wire::audit::{AuditPage, BranchState};
use recarga_wire::availability::{AvailabilityAnswer, PointsAnswer};
use recarga_wire::batch::{BATCH_OPERATIONS_MAX, decode_batch_answer};
use recarga_wire::health::HealthAnswer;
use recarga_wire::hold::HoldAnswer;
use recarga_wire::session::{InquiryAnswer, SessionAnswer};
use recarga_wire::trip::{TripAnswer, TripsAnswer};
use recarga_wire::vehicle::VehiclesAnswer;
use recarga_wire::{PROBLEM_MEDIA_TYPE, Problem, ProblemKind, decode};
use tower::ServiceExt;

use super::properties::{message, names_its_field};
use crate::node::{OPERATOR_TOKEN, with_node};
use crate::{Form, Target, Verdict};

/// Whole requests.
pub const TARGETS: &[Target] = &[Target { name: "http-requests", form: Form::Requests, read: requests }];

/// What stands between two requests.
pub const SEPARATOR: &[u8] = b"\n====\n";
const REQUESTS_MAX: usize = 4;
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body; none of a stream without end.
    pub body: Vec<u8>,
}

fn requests(bytes: &[u8]) -> Result<Verdict, String> {
    let store = Box::new(MemoryStore::open(&MemoryDisk::default()));
    let asked = with_node("empresa-a", store, async |router| {
        let mut verdict = Verdict::Refused;
        for request in split(bytes).into_iter().take(REQUESTS_MAX) {
            if ask_and_check(&router, request).await? == Verdict::Accepted {
                verdict = Verdict::Accepted;
            }
        }
        Ok(verdict)
    });
    asked?.map_err(|error| error.to_string())
}

/// The requests of an input.
pub fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(end) = bytes.windows(SEPARATOR.len()).position(|part| part == SEPARATOR) {
        parts.push(&bytes[..end]);
        bytes = &bytes[end + SEPARATOR.len()..];
    }
    parts.push(bytes);
    parts
}

/// Sends one request and checks everything that is true of every answer.
///
/// # Errors
/// What is wrong with it.
pub async fn ask_and_check(router: &Router, bytes: &[u8]) -> Result<Verdict, String> {
    let before = remembered(router).await?;
    let Some(request) = request(bytes) else { return Ok(Verdict::Refused) };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = send(router, request).await?;
    let shown = format!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    let wrong = |what: String| format!("{what}, after {}", shown.chars().take(600).collect::<String>());
    let verdict = check(&answer, method == Method::HEAD).map_err(wrong)?;
    if verdict == Verdict::Accepted && method != Method::HEAD && answer.status < 300 {
        typed(&method, &path, &answer.body).map_err(wrong)?;
    }
    if (400..500).contains(&answer.status) && remembered(router).await? != before {
        return Err(wrong("a refused request has left something".to_owned()));
    }
    Ok(verdict)
}

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((bytes, &bytes[..0]), |end| (&bytes[..end], &bytes[end + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::new(Body::from(body.to_vec()));
    *request.method_mut() = Method::from_bytes(&first[..space]).ok()?;
    *request.uri_mut() = Uri::try_from(&first[space + 1..]).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(request)
}

async fn send(router: &Router, mut request: Request<Body>) -> Result<Answer, String> {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 7))));
    let Ok(response) = router.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let is_endless = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let body = if is_endless { Body::empty() } else { body };
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|error| format!("half an answer: {error}"))?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.into() })
}

// All that the node holds and has committed. What is aborted holds nothing.
async fn remembered(router: &Router) -> Result<AuditPage, String> {
    let request = format!("GET /auditoria\nAuthorization: Bearer {OPERATOR_TOKEN}");
    let Some(request) = request_of(&request) else { return Err("the harness cannot ask".to_owned()) };
    let answer = send(router, request).await?;
    let mut page: AuditPage =
        decode(&answer.body).map_err(|problem| format!("the audit does not answer: {problem}"))?;
    page.ramos.retain(|branch| branch.estado != BranchState::Abortada);
    Ok(page)
}

fn request_of(text: &str) -> Option<Request<Body>> {
    request(text.as_bytes())
}

/// What is true of every answer, whatever was asked: `is_bodiless` of one to HEAD.
///
/// # Errors
/// What is wrong with it.
pub fn check(answer: &Answer, is_bodiless: bool) -> Result<Verdict, String> {
    let has = |name: HeaderName| answer.headers.contains_key(name);
    match answer.status {
        200..=299 | 304 => return Ok(Verdict::Accepted),
        303 | 307 if has(LOCATION) => return Ok(Verdict::Accepted),
        401 if !has(WWW_AUTHENTICATE) => return Err("401 without a challenge".to_owned()),
        405 if !has(ALLOW) => return Err("405 without what is allowed".to_owned()),
        429 | 503 if !has(RETRY_AFTER) => return Err("try again, but when?".to_owned()),
        400..=499 | 503 | 504 => {}
        other => return Err(format!("status {other}")),
    }
    if answer.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != PROBLEM_MEDIA_TYPE) {
        return Err(format!("a refusal of type {:?}", answer.headers.get(CONTENT_TYPE)));
    }
    if is_bodiless {
        return Ok(Verdict::Refused);
    }
    let problem: Problem = decode(&answer.body).map_err(|error| format!("no problem document: {error}"))?;
    if problem.kind == ProblemKind::Unrecognised || problem.status() != answer.status {
        return Err(format!("status {} with a problem of {}", answer.status, problem.status()));
    }
    if answer.body.len() > 2_000 {
        return Err(format!("a refusal of {} bytes", answer.body.len()));
    }
    names_its_field(&problem)?;
    Ok(Verdict::Refused)
}

// Every success is a message of the wire contract.
fn typed(method: &Method, path: &str, body: &[u8]) -> Result<(), String> {
    let is_read = match (method.as_str(), path.trim_start_matches('/').split('/').next().unwrap_or("")) {
        ("GET", "viagens") if path == "/viagens" => message::<TripsAnswer>(body)?.is_some(),
        (_, "viagens") => message::<TripAnswer>(body)?.is_some(),
        (_, "disponibilidade") => message::<AvailabilityAnswer>(body)?.is_some(),
        (_, "pontos") => message::<PointsAnswer>(body)?.is_some(),
        (_, "reserva-temporaria") => message::<HoldAnswer>(body)?.is_some(),
        (_, "confirmar-reserva" | "cancelar-reserva") => message::<SessionAnswer>(body)?.is_some(),
        (_, "transacoes") => message::<InquiryAnswer>(body)?.is_some(),
        (_, "lote") => (1..=BATCH_OPERATIONS_MAX).any(|asked| decode_batch_answer(body, asked).is_ok()),
        (_, "auditoria") => message::<AuditPage>(body)?.is_some(),
        (_, "saude") => message::<HealthAnswer>(body)?.is_some(),
        (_, "veiculos") if path == "/veiculos" => message::<VehiclesAnswer>(body)?.is_some(),
        _ => true,
    };
    if is_read { Ok(()) } else { Err("a success that nobody can read".to_owned()) }
}
