//! Watches the companies come to rest once everything works again, through their public figures.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};

use crate::federation::history::History;
use crate::federation::network::{Connector, PORT};
use crate::federation::settings::Settings;

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than records that nobody waits for stay in memory.
const FLUSHED: Duration = Duration::from_millis(300);
/// What must be zero at rest.
const OPEN: [&str; 4] =
    ["recarga_in_doubt", "recarga_soft_holds", "recarga_trips_waiting", "recarga_trips_owing"];

/// What the monitor needs to know.
pub struct Monitor {
    /// How many companies there are.
    pub companies: usize,
    /// All faults have ended.
    pub healed: Arc<AtomicBool>,
    /// Drivers that still wait for an answer.
    pub driving: Arc<AtomicUsize>,
    /// Where it notes what it sees.
    pub history: History,
}

impl Monitor {
    /// Done when nothing is in doubt, owed or unanswered any more; says how long that took.
    pub async fn watch(self) -> Duration {
        while !self.healed.load(Ordering::Relaxed) {
            sleep(PAUSE).await;
        }
        let healed = turmoil::sim_elapsed().unwrap_or_default();
        let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(Connector);
        loop {
            let mut is_quiet = self.driving.load(Ordering::Relaxed) == 0;
            for company in 0..self.companies {
                is_quiet &= is_at_rest(&client, company).await;
            }
            if is_quiet {
                break;
            }
            sleep(PAUSE).await;
        }
        let took = turmoil::sim_elapsed().unwrap_or_default().saturating_sub(healed);
        self.history.note(format_args!("at rest after {} ms", took.as_millis()));
        sleep(FLUSHED).await;
        took
    }
}

async fn is_at_rest(client: &Client<Connector, Empty<Bytes>>, company: usize) -> bool {
    let uri = format!("http://{}:{PORT}/metrics", Settings::name(company)).parse::<Uri>();
    let Ok(uri) = uri else { return false };
    let figures = timeout(Duration::from_secs(1), async {
        let body = client.get(uri).await.ok()?.into_body().collect().await.ok()?.to_bytes();
        String::from_utf8(body.to_vec()).ok()
    });
    let Ok(Some(text)) = figures.await else { return false };
    OPEN.iter().all(|name| text.lines().any(|line| line.strip_prefix(name) == Some(" 0")))
}
