//! Requests to others over HTTP: kept connections, and a limit of time and of length for every answer.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::http::response::Parts;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

/// How long a connection is kept that nobody uses: less than a node keeps it, which is five seconds unless configured, as a
/// request that meets its end is lost.
pub const IDLE_MAX: Duration = Duration::from_secs(4);

/// Whoever answers at one address.
pub struct Outgoing<C> {
    client: Client<C, Full<Bytes>>,
    limits: OutgoingLimits,
}

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingLimits {
    /// From the request to the end of its answer.
    pub answer_max: Duration,
    /// Longest body.
    pub bytes_max: usize,
    /// Connections that are kept.
    pub idle_max: usize,
}

impl<C: Connect + Clone + Send + Sync + 'static> Outgoing<C> {
    /// Reaches it through `connector`, which a simulation replaces.
    pub fn new(connector: C, limits: OutgoingLimits) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(limits.idle_max)
            .build(connector);
        Self { client, limits }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Why there is none, for the log.
    pub async fn carry(&self, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes), String> {
        let answered = timeout(self.limits.answer_max, async {
            let response = self.client.request(request).await.map_err(|error| chain(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, self.limits.bytes_max).collect().await;
            Ok((head, body.map_err(|error| error.to_string())?.to_bytes()))
        });
        answered.await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }
}

// The library's own message ("client error") says nothing without its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
