//! A whole node without a network, in time that stands still unless it waits: what reaches it are the bytes of a test.

use std::future::{Ready, ready};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::http::Uri;
use hyper_util::rt::TokioIo;
use recarga_node::api;
use recarga_node::app::{Node, Setup};
use recarga_node::clock::Clock;
use recarga_node::config::Config;
use recarga_node::ledger::Writer;
use recarga_node::store::{Store, StoreError};
use recarga_node::traces::Traces;
use recarga_reservation::{Now, Timestamp};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::Service;

/// When every input arrives: 2026-11-23T18:00:00Z.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_795_456_800_000);
/// What the company `empresa-b` presents.
pub const COMPANY_TOKEN: &str = "from-empresa-b";
/// What the operator presents.
pub const OPERATOR_TOKEN: &str = "from-the-operator";

/// Starts `operator` on a store, lets `work` talk to it, and ends it.
///
/// # Errors
/// The store cannot be read; or what `work` says.
pub fn with_node<T>(
    operator: &str,
    store: Box<dyn Store>,
    work: impl AsyncFnOnce(Router) -> Result<T, String>,
) -> Result<Result<T, StoreError>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| format!("the harness has no runtime: {error}"))?;
    runtime.block_on(async {
        let setup = Setup {
            archive: None,
            config: config(operator)?,
            clock: Arc::new(StillClock { started: Instant::now(), nonces: AtomicU64::new(1) }),
            store,
            writer: Writer::Task,
            on_failure: Box::new(|_| {}),
            connector: Arc::new(|_| NoNetwork),
            traces: Traces::off(),
            identity: None,
        };
        match Node::start(setup) {
            Ok(node) => work(api::router(node)).await.map(Ok),
            Err(error) => Ok(Err(error)),
        }
    })
}

fn config(operator: &str) -> Result<Config, String> {
    let other = if operator == "empresa-b" { "empresa-a" } else { "empresa-b" };
    let text = format!(
        r#"
[operator]
id = "{operator}"
name = "Empresa"
listen = "127.0.0.1:0"
data_dir = "unused"
operator_token = "{OPERATOR_TOKEN}"
[[peers]]
id = "{other}"
url = "http://127.0.0.1:1"
token = "to-{other}"
accepts = "{COMPANY_TOKEN}"
[limits]
offer_refresh_millis = 0
client_requests_per_second_max = 0
peer_requests_per_second_max = 0
[[locations]]
id = "A-SSA-01"
name = "Porto da Barra"
city = "Salvador"
state = "BA"
latitude = -12.97
longitude = -38.50
time_zone = "America/Bahia"
tariff = {{ price_kwh = 2.10, activation_fee = 2.00 }}
evses = [
  {{ id = "A-SSA-01-1", connectors = [{{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 60 }}] }},
  {{ id = "B-1", connectors = [{{ id = "1", plug = "IEC_62196_T2", power_kw = 22 }}] }},
]
"#
    );
    Config::parse(&text, "fuzz.toml", Path::new("."), &|_| None).map_err(|error| error.to_string())
}

#[derive(Debug)]
struct StillClock {
    started: Instant,
    nonces: AtomicU64,
}

impl Clock for StillClock {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed();
        Now { utc: BEGINNING + elapsed, elapsed }
    }

    fn nonce(&self) -> u128 {
        self.nonces.fetch_add(1, Ordering::Relaxed).into()
    }
}

// Nobody can be reached.
#[derive(Clone, Debug)]
struct NoNetwork;

impl Service<Uri> for NoNetwork {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused)))
    }
}
