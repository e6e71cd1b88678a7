//! Several processes of one company over one database: one leads, the others pass on to it whatever reaches them.
//!
//! Every request of the protocol can be repeated, so one that met a leader's end is sent again to the next leader: to
//! whoever asks, a change of leaders is a pause. Replicas know each other by a secret that each leader makes and leaves
//! in the database.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use recarga_wire::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use crate::api::{Fault, read_all};
use crate::config::Secret;
use crate::outgoing::IDLE_MAX;
use crate::server::Certified;
use crate::store::postgres::Leader;
use crate::tokens::same;

/// The leader's secret, with a request that another replica passes on.
const SECRET: HeaderName = HeaderName::from_static("recarga-replica");
/// Who sent it to that replica.
const ADDRESS: HeaderName = HeaderName::from_static("recarga-replica-address");
/// With which certificate, in hexadecimal digits.
const CERTIFICATE: HeaderName = HeaderName::from_static("recarga-replica-certificate");
/// Where a car's request that came by MQTT is passed on to.
const LETTERS: &str = "/replica/pedido";
/// Longest of those: each byte of the payload becomes up to four.
const LETTER_MAX: usize = 5 * recarga_mqtt::link::MAX_PACKET_BYTES as usize;
/// A pause before the same leader is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// Connections to the leader that are kept.
const IDLE_CONNECTIONS: usize = 64;

/// A car's request as it came by MQTT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Where else the car wants the answer.
    pub response_topic: Option<String>,
    /// What to send along with it.
    pub correlation: Option<Vec<u8>>,
    /// The trace that it belongs to.
    pub trace: Option<String>,
}

/// A letter that another replica passed on, and whom to tell that it is safe.
pub type PassedOn = (Letter, oneshot::Sender<()>);

/// What all connections of a replica come to.
pub struct Front<C> {
    client: Client<C, Full<Bytes>>,
    limits: FrontLimits,
    seat: watch::Sender<Seat>,
    // Requests that the node of this process is answering.
    answering: Mutex<TaskTracker>,
}

/// How much is borne.
#[derive(Clone, Copy, Debug)]
pub struct FrontLimits {
    /// Longest body, bytes.
    pub body_max: usize,
    /// How long a request may wait for a leader and its answer.
    pub answer_max: Duration,
    /// How long a leader that stops waits for what it is answering.
    pub finish_max: Duration,
}

#[derive(Clone)]
enum Seat {
    // Nobody is known to lead.
    Empty,
    Others(Leader),
    Own(Desk),
}

/// Where the process that leads answers.
#[derive(Clone)]
pub struct Desk {
    /// Everything of the node.
    pub router: Router,
    /// Takes cars' requests that came by MQTT to others.
    pub letters: mpsc::Sender<PassedOn>,
    /// By which others are known.
    pub secret: Secret,
}

impl<C> std::fmt::Debug for Front<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Front").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Front<C> {
    /// With nobody leading yet. `connector` reaches the other replicas.
    pub fn new(connector: C, limits: FrontLimits) -> Arc<Self> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        let (seat, answering) = (watch::Sender::new(Seat::Empty), Mutex::default());
        Arc::new(Self { client, limits, seat, answering })
    }

    /// Answers everything, here or elsewhere.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(answer::<C>).with_state(self.clone())
    }

    /// Another replica leads.
    pub fn follow(&self, leader: Leader) {
        info!(leader = leader.url, "another replica leads");
        self.seat.send_replace(Seat::Others(leader));
    }

    /// Answers at `desk` until `stop`, and returns when what came until then is answered. What comes later waits for
    /// the next leader.
    pub async fn lead(&self, desk: Desk, stop: impl Future<Output = ()>) {
        *self.answering() = TaskTracker::new();
        self.seat.send_replace(Seat::Own(desk));
        info!("this replica leads");
        stop.await;
        self.seat.send_replace(Seat::Empty);
        let answering = self.answering().clone();
        answering.close();
        if timeout(self.limits.finish_max, answering.wait()).await.is_err() {
            warn!("requests that are not answered in time are left to the next leader");
        }
    }

    /// Passes a car's request on to the leader. True once it is safe there.
    pub async fn hand_over(&self, letter: &Letter) -> bool {
        let Ok(body) = serde_json::to_vec(letter) else { return false };
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static(LETTERS);
        let (head, ()) = request.into_parts();
        let from = Sender { address: SocketAddr::from(([0, 0, 0, 0], 0)), certified: Certified::default() };
        self.pass_on(&head, &body.into(), &from).await.is_ok_and(|response| response.status().is_success())
    }

    // Here if this process leads; the place is kept until the request is answered.
    fn desk(&self) -> Option<(Desk, TaskTrackerToken)> {
        // Under the lock of the tracker, so that nobody comes in after it was closed.
        let answering = self.answering();
        match &*self.seat.borrow() {
            Seat::Own(desk) => Some((desk.clone(), answering.token())),
            Seat::Empty | Seat::Others(_) => None,
        }
    }

    fn answering(&self) -> MutexGuard<'_, TaskTracker> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // To whoever leads, and again to the next one if that one ends before it has answered.
    async fn pass_on(&self, head: &Parts, body: &Bytes, from: &Sender) -> Result<Response, Problem> {
        let answered = async {
            let mut seat = self.seat.subscribe();
            loop {
                let now = seat.borrow_and_update().clone();
                let answered = match now {
                    Seat::Own(_) => self.answer_here(head, body, from).await,
                    Seat::Empty => None,
                    // One that stands still never answers, but is followed by another leader.
                    Seat::Others(leader) => tokio::select! {
                        answered = self.ask(&leader, head, body, from) => answered,
                        _ = seat.changed() => continue,
                    },
                };
                match answered {
                    Some(response) => return response,
                    None => drop(timeout(TRY_AGAIN, seat.changed()).await),
                }
            }
        };
        timeout(self.limits.answer_max, answered).await.map_err(|_| nobody_leads())
    }

    async fn answer_here(&self, head: &Parts, body: &Bytes, from: &Sender) -> Option<Response> {
        let (desk, _place) = self.desk()?;
        if head.uri.path() == LETTERS {
            return take_letter(&desk, body).await;
        }
        let mut request = Request::from_parts(head.clone(), Body::from(body.clone()));
        from.sign(&mut request);
        desk.router.oneshot(request).await.ok()
    }

    // None if it does not lead, or is not there any longer.
    async fn ask(&self, leader: &Leader, head: &Parts, body: &Bytes, from: &Sender) -> Option<Response> {
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = format!("{}{path}", leader.url).parse().ok()?;
        *request.headers_mut() = end_to_end(&head.headers);
        let headers = request.headers_mut();
        headers.insert(SECRET, HeaderValue::from_str(&leader.secret).ok()?);
        headers.insert(ADDRESS, HeaderValue::from_str(&from.address.to_string()).ok()?);
        if let Some(certificate) = &from.certified.0 {
            headers.insert(CERTIFICATE, HeaderValue::from_str(&hex::encode(certificate)).ok()?);
        }
        match self.client.request(request).await {
            Ok(response) if response.status() == StatusCode::MISDIRECTED_REQUEST => None,
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                head.headers = end_to_end(&head.headers);
                Some(Response::from_parts(head, Body::new(body)))
            }
            Err(error) => {
                debug!(leader = leader.url, %error, "the leader does not answer");
                None
            }
        }
    }
}

// Who sent a request, to this process or to the replica that passed it on.
struct Sender {
    address: SocketAddr,
    certified: Certified,
}

impl Sender {
    fn sign(&self, request: &mut Request) {
        request.extensions_mut().insert(ConnectInfo(self.address));
        request.extensions_mut().insert(self.certified.clone());
    }

    // As another replica says.
    fn named(address: Option<HeaderValue>, certificate: Option<HeaderValue>) -> Option<Self> {
        let address = address?.to_str().ok()?.parse().ok()?;
        let certificate = certificate.map(|digits| hex::decode(digits.as_bytes())).transpose().ok()?;
        Some(Self { address, certified: Certified(certificate.map(Arc::from)) })
    }
}

async fn answer<C: Connect + Clone + Send + Sync + 'static>(
    State(front): State<Arc<Front<C>>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    let headers = request.headers_mut();
    let secret = headers.remove(SECRET);
    let (named, certificate) = (headers.remove(ADDRESS), headers.remove(CERTIFICATE));
    if let Some(secret) = secret {
        return match front.desk() {
            Some((desk, _place)) if secret.to_str().is_ok_and(|secret| same(secret, &desk.secret)) => {
                match Sender::named(named, certificate) {
                    Some(from) => answer_at(&desk, request, &from).await,
                    None => StatusCode::BAD_REQUEST.into_response(),
                }
            }
            // Not passed on once more: whoever asks finds the next leader itself.
            _ => StatusCode::MISDIRECTED_REQUEST.into_response(),
        };
    }
    if request.uri().path() == LETTERS {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Some((desk, _place)) = front.desk() {
        // It carries its sender already.
        return desk.router.oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    let certified = request.extensions().get::<Certified>().cloned().unwrap_or_default();
    let (head, body) = request.into_parts();
    let body = match read_all(body, front.limits.body_max).await {
        Ok(body) => Bytes::from(body),
        Err(fault) => return fault.into_response(),
    };
    match front.pass_on(&head, &body, &Sender { address, certified }).await {
        Ok(response) => response,
        Err(problem) => Fault::from(problem).into_response(),
    }
}

async fn answer_at(desk: &Desk, mut request: Request, from: &Sender) -> Response {
    if request.uri().path() != LETTERS {
        from.sign(&mut request);
        return desk.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
    }
    match read_all(request.into_body(), LETTER_MAX).await {
        Ok(body) => {
            take_letter(desk, &body).await.unwrap_or_else(|| StatusCode::MISDIRECTED_REQUEST.into_response())
        }
        Err(fault) => fault.into_response(),
    }
}

// None if this process stops before the letter is safe.
async fn take_letter(desk: &Desk, body: &[u8]) -> Option<Response> {
    let Ok(letter) = serde_json::from_slice(body) else {
        return Some(StatusCode::BAD_REQUEST.into_response());
    };
    let (taken, is_taken) = oneshot::channel();
    desk.letters.send((letter, taken)).await.ok()?;
    is_taken.await.ok()?;
    Some(StatusCode::NO_CONTENT.into_response())
}

// Without what belongs to one connection only.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    headers
}

fn nobody_leads() -> Problem {
    let detail = "nenhuma réplica desta empresa responde no momento; repita o pedido igual em instantes";
    Problem::new(ProblemKind::Unavailable, detail)
}
