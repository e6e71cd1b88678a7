//! Accepts connections and serves them within limits: how many at a time, how long a request's head may take, how
//! long the whole request. `axum::serve` alone would let a client that sends half a head stay for ever.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

use self::unsecured::Unsecured;

mod unsecured;

/// So long nobody connects before the door of a server that stops is closed: what a system has accepted and its server
/// has not is lost.
const QUIET: Duration = Duration::from_millis(10);
/// And so long it stays open at most.
const LAST_CALL_MAX: Duration = Duration::from_millis(500);

/// A connection from somewhere.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// Where connections come from: TCP, or a simulated network.
pub trait Listener: Send + 'static {
    /// A connection on which nothing was said yet.
    type Arrival: Send + 'static;
    /// What carries the bytes.
    type Connection: Connection;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Arrival, SocketAddr)>> + Send;

    /// Whatever has to be said before the first request, beside the others.
    fn open(arrival: Self::Arrival)
    -> impl Future<Output = io::Result<(Self::Connection, Certified)>> + Send;
}

/// The certificate with which whoever calls has shown who he is, verified: X.509, DER.
#[derive(Clone, Debug, Default)]
pub struct Certified(pub Option<Arc<[u8]>>);

impl Listener for TcpListener {
    type Arrival = TcpStream;
    type Connection = TcpStream;

    async fn open(stream: TcpStream) -> io::Result<(TcpStream, Certified)> {
        Ok((stream, Certified::default()))
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Small answers must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        Ok((stream, address))
    }
}

/// How much a client may ask of the server's patience.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Open connections; more wait to be accepted.
    pub connections_max: usize,
    /// From the first byte awaited to the end of the head; also how long an idle connection is kept.
    pub head_max: Duration,
    /// How long a client may take nothing of an answer.
    pub write_max: Duration,
    /// How long a shutdown waits for requests under way.
    pub shutdown_max: Duration,
}

/// Serves until `stop` is done, then finishes what is under way.
pub async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    limits: ServerLimits,
    stop: impl Future<Output = ()> + Send,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let unsecured = Arc::new(Unsecured::default());
    tokio::pin!(stop);
    // Whoever has connected by then, as far as the system knows, is answered, too.
    let mut last_call = None;
    loop {
        let accepted = match last_call {
            None => tokio::select! {
                biased;
                () = &mut stop => {
                    last_call = Some(Instant::now() + LAST_CALL_MAX);
                    continue;
                }
                accepted = accept_within(&places, &mut listener) => accepted,
            },
            Some(end) => {
                let quiet = end.min(Instant::now() + QUIET);
                match timeout_at(quiet, accept_within(&places, &mut listener)).await {
                    Ok(accepted) => accepted,
                    Err(_) => break,
                }
            }
        };
        let (connection, address, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: a pause lets some be closed.
                warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (router, watcher, unsecured) = (router.clone(), graceful.watcher(), unsecured.clone());
        tokio::spawn(async move {
            match timeout(limits.head_max, L::open(connection)).await {
                Ok(Ok((connection, certified))) => {
                    serve_one(connection, address, certified, router, limits, watcher).await;
                }
                Ok(Err(error)) => {
                    if let Some(times) = unsecured.count(&error.to_string(), Instant::now()) {
                        info!(%address, %error, times, "a connection that was not secured");
                    }
                }
                Err(_) => debug!(%address, "a connection that said nothing in time"),
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(limits.shutdown_max, graceful.shutdown()).await.is_err() {
        info!("closing connections that did not finish in time");
    }
}

async fn serve_one<C: Connection>(
    connection: C,
    address: SocketAddr,
    certified: Certified,
    router: Router,
    limits: ServerLimits,
    watcher: Watcher,
) {
    let service = tower::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(address));
        request.extensions_mut().insert(certified.clone());
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut patient = TimeoutStream::new(connection);
    patient.set_write_timeout(Some(limits.write_max));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_max)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(Box::pin(patient)), TowerToHyperService::new(service));
    if let Err(error) = watcher.watch(serving).await {
        debug!(%address, %error, "connection ended");
    }
}

async fn accept_within<L: Listener>(
    places: &Arc<Semaphore>,
    listener: &mut L,
) -> io::Result<(L::Arrival, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (connection, address) = listener.accept().await?;
    Ok((connection, address, place))
}
