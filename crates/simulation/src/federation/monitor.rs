//! Watches the companies come to rest once everything works again, through their public figures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use tokio::time::{sleep, timeout};

use crate::federation::history::History;
use crate::federation::network::{Connector, PORT, client};
use crate::federation::settings::Settings;

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Longer than records that nobody waits for stay in memory.
const FLUSHED: Duration = Duration::from_millis(300);
/// What must be zero at rest, apart from what is in doubt.
const OPEN: [&str; 3] = ["recarga_soft_holds", "recarga_trips_waiting", "recarga_trips_owing"];
const DOUBT: [&str; 1] = ["recarga_in_doubt"];

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
    /// Done when nothing is in doubt, owed or unanswered any more.
    pub async fn watch(self) -> Rest {
        while !self.healed.load(Ordering::Relaxed) {
            sleep(PAUSE).await;
        }
        let healed = turmoil::sim_elapsed().unwrap_or_default();
        let client = client();
        let since = || turmoil::sim_elapsed().unwrap_or_default().saturating_sub(healed);
        let mut doubtful: BTreeSet<usize> = (0..self.companies).collect();
        let mut rest = Rest::default();
        loop {
            let mut is_quiet = self.driving.load(Ordering::Relaxed) == 0;
            for company in 0..self.companies {
                let figures = figures(&client, company).await;
                // Drivers go on for a while, and what they ask for is in doubt for a moment. What counts is how long the
                // doubts last that the faults have left.
                if are_zero(&figures, &DOUBT) && doubtful.remove(&company) {
                    rest.doubtless = since();
                }
                is_quiet &= are_zero(&figures, &DOUBT) && are_zero(&figures, &OPEN);
            }
            if is_quiet {
                break;
            }
            sleep(PAUSE).await;
        }
        rest.complete = since();
        self.history.note(format_args!("{rest:?}"));
        sleep(FLUSHED).await;
        rest
    }
}

/// How long after the last fault the companies came to rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Until nothing was in doubt anywhere.
    pub doubtless: Duration,
    /// Until nothing was owed or unanswered, either.
    pub complete: Duration,
}

// Empty where a company does not answer: then nothing is zero.
async fn figures(client: &Client<Connector, Full<Bytes>>, company: usize) -> String {
    let uri = format!("http://{}:{PORT}/metrics", Settings::name(company)).parse::<Uri>();
    let answered = timeout(Duration::from_secs(1), async {
        let body = client.get(uri.ok()?).await.ok()?.into_body().collect().await.ok()?.to_bytes();
        String::from_utf8(body.to_vec()).ok()
    });
    answered.await.ok().flatten().unwrap_or_default()
}

fn are_zero(figures: &str, names: &[&str]) -> bool {
    names.iter().all(|name| figures.lines().any(|line| line.strip_prefix(name) == Some(" 0")))
}
