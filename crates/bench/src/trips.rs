//! Clients that book fresh trips, one after the other, each trip with one stop at each company.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, NoTls, Statement};

use crate::figures::{Level, look};

const WARM_UP: Duration = Duration::from_secs(1);
/// As many as the companies of `recarga bench trips` have.
const EVSES: u64 = 400;
const WINDOW_SECONDS: u64 = 20 * 60;

const COMPANY_TABLES: &str = "
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    CREATE TABLE IF NOT EXISTS reservation (
        trip text NOT NULL, evse text NOT NULL, during tstzrange NOT NULL,
        EXCLUDE USING gist (evse WITH =, during WITH &&)
    );";
const COORDINATOR_TABLES: &str = "CREATE TABLE IF NOT EXISTS decision (trip text PRIMARY KEY, decided timestamptz NOT NULL DEFAULT now());";

/// Where everything stands.
pub struct Databases<'a> {
    pub companies: &'a [String],
    pub coordinator: &'a str,
}

impl Databases<'_> {
    pub async fn make_tables(&self) -> Result<()> {
        for company in self.companies {
            connect(company).await?.batch_execute(COMPANY_TABLES).await?;
        }
        Ok(connect(self.coordinator).await?.batch_execute(COORDINATOR_TABLES).await?)
    }

    /// Windows reserved at all companies, and three times the decisions: they must be the same.
    pub async fn count(&self) -> Result<String> {
        let mut reserved = 0;
        for company in self.companies {
            let row = connect(company).await?.query_one("SELECT count(*) FROM reservation", &[]).await?;
            reserved += row.get::<_, i64>(0);
        }
        let decided =
            connect(self.coordinator).await?.query_one("SELECT count(*) FROM decision", &[]).await?;
        Ok(format!("{reserved} {}", decided.get::<_, i64>(0) * i64::try_from(self.companies.len())?))
    }
}

struct Shared {
    next: AtomicU64,
    run: u64,
    measuring: AtomicBool,
    stopping: AtomicBool,
}

/// Books for `seconds`, after a second that does not count.
pub async fn measure(
    databases: &Databases<'_>,
    clients: usize,
    seconds: u32,
    postmasters: &[u32],
) -> Result<Level> {
    #[expect(clippy::disallowed_methods, reason = "only a name that no earlier run has had")]
    let run = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_millis();
    let shared = Rc::new(Shared {
        next: AtomicU64::new(0),
        run: u64::try_from(run)?,
        measuring: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
    });
    let mut watching = Vec::new();
    for database in databases.companies.iter().map(String::as_str).chain([databases.coordinator]) {
        watching.push(connect(database).await?);
    }
    let mut ready = Vec::new();
    for _ in 0..clients {
        ready.push(Booker::connect(databases, shared.clone()).await?);
    }
    LocalSet::new()
        .run_until(async {
            let mut running: JoinSet<Result<Vec<Duration>>> = JoinSet::new();
            for client in ready {
                running.spawn_local(client.book_on());
            }
            sleep(WARM_UP).await;
            let before = look(postmasters, &watching).await?;
            shared.measuring.store(true, Ordering::Relaxed);
            let begun = Instant::now();
            sleep(Duration::from_secs(seconds.into())).await;
            shared.measuring.store(false, Ordering::Relaxed);
            let time = begun.elapsed();
            let after = look(postmasters, &watching).await?;
            shared.stopping.store(true, Ordering::Relaxed);
            let (mut took, mut errors) = (Vec::new(), Vec::new());
            while let Some(client) = running.join_next().await {
                match client.context("a client ended badly")? {
                    Ok(times) => took.extend(times),
                    Err(error) => errors.push(format!("{error:#}")),
                }
            }
            took.sort_unstable();
            let mut level = Level::new(clients, time, &took, [before, after]);
            level.failed = errors.len() as u64;
            level.first_error = errors.into_iter().next();
            Ok(level)
        })
        .await
}

/// A client with its connections.
struct Booker {
    companies: Vec<Rc<Client>>,
    coordinator: Client,
    decide: Statement,
    shared: Rc<Shared>,
}

impl Booker {
    async fn connect(databases: &Databases<'_>, shared: Rc<Shared>) -> Result<Booker> {
        let mut companies = Vec::new();
        for company in databases.companies {
            companies.push(Rc::new(connect(company).await?));
        }
        let coordinator = connect(databases.coordinator).await?;
        let decide = coordinator.prepare("INSERT INTO decision (trip) VALUES ($1)").await?;
        Ok(Booker { companies, coordinator, decide, shared })
    }

    async fn book_on(self) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        let mut committing: JoinSet<Result<()>> = JoinSet::new();
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let counted = self.shared.measuring.load(Ordering::Relaxed);
            let begun = Instant::now();
            let trip = self.book().await?;
            let time = begun.elapsed();
            // What does not lie wholly within the measurement does not count.
            if counted && self.shared.measuring.load(Ordering::Relaxed) {
                took.push(time);
            }
            // The driver has the answer; the next trip queues behind this on the same connections.
            for company in &self.companies {
                let (company, trip) = (company.clone(), trip.clone());
                committing.spawn_local(async move {
                    Ok(company.batch_execute(&format!("COMMIT PREPARED '{trip}'")).await?)
                });
            }
            while let Some(ended) = committing.try_join_next() {
                ended.context("a commit ended badly")??;
            }
        }
        while let Some(ended) = committing.join_next().await {
            ended.context("a commit ended badly")??;
        }
        Ok(took)
    }

    // Until the decision is durable.
    async fn book(&self) -> Result<String> {
        let number = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let trip = format!("{}-{number}", self.shared.run);
        let mut votes = JoinSet::new();
        for (place, company) in (0u64..).zip(&self.companies) {
            let hold = self.hold(&trip, number, place);
            let company = company.clone();
            votes.spawn_local(async move { company.batch_execute(&hold).await });
        }
        while let Some(vote) = votes.join_next().await {
            vote.context("a vote ended badly")?.context("refused")?;
        }
        self.coordinator.execute(&self.decide, &[&trip]).await?;
        Ok(trip)
    }

    // One round trip. No two trips ever want the same window of an EVSE, and every run has EVSEs of its own.
    fn hold(&self, trip: &str, number: u64, place: u64) -> String {
        let span = WINDOW_SECONDS * self.companies.len() as u64;
        let start = self.shared.run / 1000 + span * (number / EVSES) + WINDOW_SECONDS * place;
        let evse = number % EVSES;
        let end = start + WINDOW_SECONDS;
        format!(
            "BEGIN; INSERT INTO reservation VALUES ('{trip}', 'L{}-{}-{}', tstzrange(to_timestamp({start}), to_timestamp({end}))); \
             PREPARE TRANSACTION '{trip}'",
            evse / 10,
            evse % 10,
            self.shared.run
        )
    }
}

async fn connect(database: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(database, NoTls)
        .await
        .with_context(|| format!("cannot connect to {database}"))?;
    // It ends with the client; what goes wrong there is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(client)
}
