//! Another company's node, spoken to over HTTP.
//!
//! Messages that wait at the same moment travel in one request: a single one under the name that the wire contract
//! gives it, several as one batch. One request is under way at a time, more only while it takes long, so that batches
//! form by themselves under load, and an idle pair of companies pays for no waiting.
//!
//! What an older program would refuse is sent only to who is known to read it, by the latest answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::http::response::Parts;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::connect::Connect;
use recarga_reservation::{OperatorId, Outcome, StoreId, Unacceptable};
use recarga_wire::availability::AvailabilityQuery;
use recarga_wire::batch::{self, BatchRequest, Operation};
use recarga_wire::federation::SignedRoll;
use recarga_wire::hold::HoldRequest;
use recarga_wire::peer::{self as answers, Answer, Asked, Unclear};
use recarga_wire::session::{CancelReason, CancelRequest, ConfirmRequest, InquiryRequest};
use recarga_wire::version::{self, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::debug;

use super::{Catalogue, CatalogueAnswer, Message, Peer, PeerError, Reply};
use crate::config::Secret;
use crate::outgoing::{Outgoing, OutgoingLimits};
use crate::tokens::Tokens;
use crate::traces::{self, TRACEPARENT};

const VERSION: HeaderName = HeaderName::from_static(version::HEADER);
/// Requests under way to one company.
const REQUESTS_MAX: usize = 4;
/// How long a message waits for the request under way before it gets another one: that one may wait for a window.
const REQUEST_PATIENCE: Duration = Duration::from_millis(2);
/// Messages that wait for one company; more are refused at once.
const QUEUE_MAX: usize = 4096;
/// Messages in one request.
const BATCH_MAX: usize = 128;
const _: () = assert!(BATCH_MAX <= batch::BATCH_OPERATIONS_MAX);
/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How to reach a company.
#[derive(Clone, Debug)]
pub struct HttpPeerOptions {
    /// Who it is.
    pub operator: OperatorId,
    /// `http://host:port`.
    pub url: String,
    /// What it knows this company by: the first of these.
    pub token: Tokens,
    /// From a message's sending to its reply.
    pub answer_max: Duration,
}

/// A company behind HTTP. Dropping it ends its task once what is under way has ended.
pub struct HttpPeer<C> {
    operator: OperatorId,
    queue: mpsc::Sender<Job>,
    place: Arc<Semaphore>,
    answer_max: Duration,
    line: Arc<Line<C>>,
}

struct Job {
    message: Message,
    trace: Option<String>,
    reply: oneshot::Sender<Result<Reply, PeerError>>,
}

struct Line<C> {
    outgoing: Outgoing<C>,
    options: HttpPeerOptions,
    // The number of the version of messages that its latest answer has named.
    version: AtomicU32,
}

impl<C: Connect + Clone + Send + Sync + 'static> HttpPeer<C> {
    /// A company reached through `connector`, which a simulation replaces. Must be called within a runtime.
    pub fn new(options: HttpPeerOptions, connector: C) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let (operator, answer_max) = (options.operator.clone(), options.answer_max);
        let (idle_max, bytes_max) = (REQUESTS_MAX, ANSWER_BYTES_MAX);
        let outgoing = Outgoing::new(connector, OutgoingLimits { answer_max, bytes_max, idle_max });
        let version = AtomicU32::new(Version::FIRST.number());
        let line = Arc::new(Line { outgoing, options, version });
        let place = Arc::new(Semaphore::new(1));
        tokio::spawn(line.clone().run(queue, place.clone()));
        Self { operator, queue: sender, place, answer_max, line }
    }
}

impl<C> fmt::Debug for HttpPeer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPeer").field("operator", &self.operator).finish_non_exhaustive()
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> Peer for HttpPeer<C> {
    async fn send(&self, message: Message) -> Result<Reply, PeerError> {
        let unreachable = |reason: &str| Err(PeerError::Unreachable(reason.to_owned()));
        let (reply, replied) = oneshot::channel();
        let job = Job { message, trace: traces::current(), reply };
        match self.place.clone().try_acquire_owned() {
            // Nobody waits: the semaphore is fair, and whoever takes from the queue waits for a place.
            Ok(place) if self.queue.capacity() == QUEUE_MAX => self.line.begin(vec![job], place),
            _ if self.queue.try_send(job).is_err() => return unreachable("too many messages wait for it"),
            _ => {}
        }
        match timeout(self.answer_max, replied).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => unreachable("the request was given up"),
            Err(_) => unreachable("no answer in time"),
        }
    }

    async fn store(&self) -> Result<StoreId, PeerError> {
        // Apart from the queue, in which messages about transactions wait.
        let call = Call { method: Method::GET, path: "/saude".into(), body: Vec::new(), trace: None };
        let (status, body) = self.line.exchange(call).await.map_err(PeerError::Unreachable)?;
        let store = answers::read_store(&self.operator, status, &body);
        store.map_err(|unclear| PeerError::Unreachable(unclear.to_string()))
    }

    async fn roll(&self) -> Result<Option<SignedRoll>, PeerError> {
        let call =
            Call { method: Method::GET, path: "/federacao/lista".into(), body: Vec::new(), trace: None };
        let (status, body) = self.line.exchange(call).await.map_err(PeerError::Unreachable)?;
        match status {
            200 => recarga_wire::decode(&body)
                .map(Some)
                .map_err(|problem| PeerError::Unreachable(problem.to_string())),
            404 => Ok(None),
            _ => Err(PeerError::Unreachable(format!("status {status} to a question for its roll"))),
        }
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> Catalogue for HttpPeer<C> {
    async fn page(&self, query: &AvailabilityQuery, tag: Option<&str>) -> Result<CatalogueAnswer, PeerError> {
        let path = format!("/disponibilidade?{}", query.encode());
        let mut request =
            self.line.request(Call { method: Method::GET, path, body: Vec::new(), trace: None });
        // A tag that is no header value was none that we were given.
        if let (Ok(request), Some(Ok(tag))) = (&mut request, tag.map(HeaderValue::from_str)) {
            request.headers_mut().insert(IF_NONE_MATCH, tag);
        }
        let (head, body) = self.line.carry(request).await.map_err(PeerError::Unreachable)?;
        if head.status == StatusCode::NOT_MODIFIED && tag.is_some() {
            return Ok(CatalogueAnswer::Unchanged);
        }
        let page = answers::read_offer(&self.operator, head.status.as_u16(), &body);
        let page = page.map_err(|unclear| PeerError::Unreachable(unclear.to_string()))?;
        let tag = head.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        Ok(CatalogueAnswer::Page { page: Box::new(page), tag })
    }
}

impl<C: Connect + Clone + Send + Sync + 'static> Line<C> {
    async fn run(self: Arc<Self>, mut queue: mpsc::Receiver<Job>, place: Arc<Semaphore>) {
        let others = Arc::new(Semaphore::new(REQUESTS_MAX - 1));
        while let Some(first) = queue.recv().await {
            let place = match timeout(REQUEST_PATIENCE, place.clone().acquire_owned()).await {
                Ok(place) => place,
                Err(_) => others.clone().acquire_owned().await,
            };
            let Ok(place) = place else { return };
            // Whatever is ready to run goes first: it may have messages for the same request.
            tokio::task::yield_now().await;
            let mut jobs = vec![first];
            while jobs.len() < BATCH_MAX
                && let Ok(job) = queue.try_recv()
            {
                jobs.push(job);
            }
            // Nobody waits for these any longer: a coordinator that has decided without the vote.
            jobs.retain(|job| !job.reply.is_closed());
            if !jobs.is_empty() {
                self.begin(jobs, place);
            }
        }
    }

    // In a task of its own, as whoever asked may stop waiting for the answer.
    fn begin(self: &Arc<Self>, jobs: Vec<Job>, place: OwnedSemaphorePermit) {
        let line = self.clone();
        tokio::spawn(async move {
            line.send(jobs).await;
            drop(place);
        });
    }

    async fn send(&self, mut jobs: Vec<Job>) {
        let only = if jobs.len() == 1 { jobs.pop() } else { None };
        match only {
            Some(job) => {
                let call = Call { trace: job.trace, ..single(&job.message) };
                let reply = match self.exchange(call).await {
                    Ok((status, body)) => self.read(&job.message, status, Answer::from(&body)),
                    Err(reason) => Err(PeerError::Unreachable(reason)),
                };
                // Whoever asked may have stopped waiting.
                let _ = job.reply.send(reply);
            }
            None => self.send_batch(jobs).await,
        }
    }

    async fn send_batch(&self, jobs: Vec<Job>) {
        let reader = self.version();
        let mut exchanged = self.exchange(batch(&jobs, reader)).await;
        // It has gone back to an older program, which refused what it cannot read, and has run nothing of it.
        if matches!(exchanged, Ok((422, _))) && self.version() < reader {
            exchanged = self.exchange(batch(&jobs, self.version())).await;
        }
        let answers = match &exchanged {
            Ok((200, body)) => {
                batch::decode_batch_answer(body, jobs.len()).map_err(|error| error.to_string())
            }
            Ok((status, _)) => Err(format!("status {status} to a batch")),
            Err(reason) => Err(reason.clone()),
        };
        match answers {
            Ok(answers) => {
                for (job, answer) in jobs.into_iter().zip(answers) {
                    let _ = job.reply.send(self.read(&job.message, answer.status, answer.body));
                }
            }
            Err(reason) => {
                for job in jobs {
                    let _ = job.reply.send(Err(PeerError::Unreachable(reason.clone())));
                }
            }
        }
    }

    async fn exchange(&self, call: Call) -> Result<(u16, Bytes), String> {
        let (head, body) = self.carry(self.request(call)).await?;
        Ok((head.status.as_u16(), body))
    }

    fn request(&self, call: Call) -> Result<Request<Full<Bytes>>, String> {
        let request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.options.url, call.path))
            .header(AUTHORIZATION, self.authorization())
            .header(VERSION, Version::OWN.number())
            .header(CONTENT_TYPE, "application/json");
        let request = match call.trace {
            Some(trace) => request.header(TRACEPARENT, trace),
            None => request,
        };
        request.body(Full::new(Bytes::from(call.body))).map_err(|error| error.to_string())
    }

    // With each request anew, as the token may have been renewed.
    fn authorization(&self) -> HeaderValue {
        let tokens = self.options.token.all();
        let token = tokens.first().map_or("", Secret::expose);
        // The configuration lets only printable ASCII through.
        let authorization = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut authorization = authorization.unwrap_or(HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        authorization
    }

    async fn carry(&self, request: Result<Request<Full<Bytes>>, String>) -> Result<(Parts, Bytes), String> {
        let (head, body) = self.outgoing.carry(request?).await?;
        let said = Version::said(head.headers.get(VERSION).and_then(|said| said.to_str().ok()));
        let before = self.version.swap(said.number(), Ordering::Relaxed);
        if before != said.number() {
            debug!(operator = %self.options.operator, before, now = %said, "reads another version of the messages");
        }
        Ok((head, body))
    }

    fn version(&self) -> Version {
        Version::new(self.version.load(Ordering::Relaxed))
    }

    fn read(&self, message: &Message, status: u16, body: Answer<'_>) -> Result<Reply, PeerError> {
        let asked = Asked { operator: &self.options.operator, transaction: message.transaction() };
        let unclear = |unclear: Unclear| PeerError::Unreachable(unclear.to_string());
        let refused = |refused: Unacceptable| PeerError::Refused(refused);
        match message {
            Message::Hold { .. } => answers::read_vote(asked, status, body).map(Reply::Vote).map_err(unclear),
            Message::Confirm(_) => {
                let done = answers::read_confirmed(asked, status, body).map_err(unclear)?;
                done.map(|()| Reply::Done).map_err(refused)
            }
            Message::Abort(_) | Message::Release(_) => {
                let done = answers::read_cancelled(asked, status, body).map_err(unclear)?;
                done.map(|()| Reply::Done).map_err(refused)
            }
            Message::Inquire(_) => {
                let known: Result<(Outcome, StoreId), Unacceptable> =
                    answers::read_outcome(asked, status, body).map_err(unclear)?;
                known.map(|(outcome, store)| Reply::Outcome(outcome, store)).map_err(refused)
            }
        }
    }
}

struct Call {
    method: Method,
    path: String,
    body: Vec<u8>,
    trace: Option<String>,
}

// Several messages, as their reader can read them.
fn batch(jobs: &[Job], reader: Version) -> Call {
    let operations = jobs.iter().map(|job| (operation(&job.message), job.trace.clone()));
    let body = recarga_wire::encode(&BatchRequest::new(operations, reader));
    Call { method: Method::POST, path: "/lote".into(), body, trace: None }
}

// One message under its own name.
fn single(message: &Message) -> Call {
    let (method, path, body) = match operation(message) {
        Operation::ReservaTemporaria(body) => {
            (Method::POST, "/reserva-temporaria".into(), recarga_wire::encode(&body))
        }
        Operation::ConfirmarReserva(body) => {
            (Method::POST, "/confirmar-reserva".into(), recarga_wire::encode(&body))
        }
        Operation::CancelarReserva(body) => {
            (Method::DELETE, "/cancelar-reserva".into(), recarga_wire::encode(&body))
        }
        Operation::ConsultarTransacao(body) => {
            (Method::GET, format!("/transacoes/{}", body.sessao), Vec::new())
        }
    };
    Call { method, path, body, trace: None }
}

fn operation(message: &Message) -> Operation {
    match message {
        Message::Hold { hold, firmness, valid_for } => {
            Operation::ReservaTemporaria(HoldRequest::new(hold, *firmness, *valid_for))
        }
        Message::Confirm(transaction) => Operation::ConfirmarReserva(ConfirmRequest::new(transaction)),
        Message::Abort(transaction) => {
            Operation::CancelarReserva(CancelRequest::new(transaction, CancelReason::Aborto))
        }
        Message::Release(transaction) => {
            Operation::CancelarReserva(CancelRequest::new(transaction, CancelReason::ViagemCancelada))
        }
        Message::Inquire(transaction) => Operation::ConsultarTransacao(InquiryRequest::new(transaction)),
    }
}
