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
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;
use tracing::{debug, info, warn};

/// A connection from somewhere.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// Where connections come from: TCP, or a simulated network.
pub trait Listener: Send + 'static {
    /// What carries the bytes.
    type Connection: Connection;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Connection, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    type Connection = TcpStream;

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
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept_within(&places, &mut listener) => accepted,
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
        let router = router.clone();
        let service = tower::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(address));
            router.clone().oneshot(request.map(axum::body::Body::new))
        });
        let mut patient = TimeoutStream::new(connection);
        patient.set_write_timeout(Some(limits.write_max));
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_max)
            .max_buf_size(64 * 1024)
            .serve_connection(TokioIo::new(Box::pin(patient)), TowerToHyperService::new(service));
        let serving = graceful.watch(serving);
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                debug!(%address, %error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(limits.shutdown_max, graceful.shutdown()).await.is_err() {
        info!("closing connections that did not finish in time");
    }
}

async fn accept_within<L: Listener>(
    places: &Arc<Semaphore>,
    listener: &mut L,
) -> io::Result<(L::Connection, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (connection, address) = listener.accept().await?;
    Ok((connection, address, place))
}
