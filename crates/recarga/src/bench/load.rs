//! Clients that book fresh trips, one after the other, each trip with one stop at each company.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use recarga_reservation::{
    OperatorId, RequestId, RequestKey, Stop, TimeWindow, Timestamp, TripRequest, TripStop, VehicleId,
};
use recarga_wire::trip::TripBody;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::Connection;
use super::federation::Target;

const WINDOW: Duration = Duration::from_secs(20 * 60);
/// A client whose request failed does not hurry to fail again.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// The trips: no two of them ever want the same window of an EVSE.
pub struct Trips {
    targets: Vec<Target>,
    heads: Vec<String>,
    authorities: Vec<String>,
    first: Timestamp,
    run: String,
    next: AtomicU64,
}

/// What clients share while they run.
struct Shared {
    trips: Arc<Trips>,
    // From the beginning of a client's trip to that of its next one, at least.
    every: Duration,
    measuring: AtomicBool,
    stopping: AtomicBool,
    booked: AtomicU64,
}

/// What the clients saw while it was measured.
#[derive(Debug, Default)]
pub struct Seen {
    /// How long each booked trip took, sorted.
    pub took: Vec<Duration>,
    /// Trips that were refused.
    pub refused: u64,
    /// Requests without an answer that could be understood, or with an error for an answer.
    pub failed: u64,
    /// The first thing that went wrong.
    pub first_error: Option<String>,
}

impl Trips {
    /// Fresh trips over the targets from `first` on. `run` tells them from those of other runs.
    ///
    /// # Errors
    /// A target's URL is not understood.
    pub fn new(targets: Vec<Target>, token: Option<&str>, first: Timestamp, run: String) -> Result<Self> {
        let mut heads = Vec::new();
        let mut authorities = Vec::new();
        for target in &targets {
            let authority = target.url.strip_prefix("http://").context("a URL begins with http://")?;
            let authorization = token.map_or(String::new(), |one| format!("Authorization: Bearer {one}\r\n"));
            heads.push(format!(
                "POST /viagens HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n{authorization}"
            ));
            authorities.push(authority.to_owned());
        }
        Ok(Self { targets, heads, authorities, first, run, next: AtomicU64::new(0) })
    }

    fn next(&self) -> Result<(usize, Vec<u8>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let request = self.trip(number)?;
        let target = usize::try_from(number % self.targets.len() as u64)?;
        Ok((target, recarga_wire::encode(&TripBody::new(&request))))
    }

    // The whole trip has its span of time: each EVSE gets one stop of each span, of whichever trip.
    fn trip(&self, number: u64) -> Result<TripRequest> {
        let evses = self.targets.iter().map(|one| one.points.len()).min().unwrap_or(1) as u64;
        let span = WINDOW * u32::try_from(self.targets.len())?;
        let begin = self.first + span * u32::try_from(number / evses)?;
        let evse = usize::try_from(number % evses)?;
        let mut stops = Vec::with_capacity(self.targets.len());
        for (place, target) in (0u16..).zip(&self.targets) {
            let start = begin + WINDOW * u32::from(place);
            let window = TimeWindow::new(start, start + WINDOW)?;
            let stop = Stop { number: place, evse: target.points[evse].clone(), window };
            stops.push(TripStop { operator: OperatorId::clone(&target.operator), stop });
        }
        let vehicle = VehicleId::new(&format!("bench-{}-{number}", self.run))?;
        let key = RequestKey { vehicle, request: RequestId::new(&number.to_string())? };
        Ok(TripRequest::new(key, None, stops)?)
    }
}

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<Seen>,
}

impl Load {
    /// Starts `clients` clients; nothing of what they do counts yet.
    pub fn start(trips: &Arc<Trips>, clients: usize) -> Self {
        Self::start_paced(trips, clients, Duration::ZERO)
    }

    /// The same with clients that take their time: each begins a trip every so often, if it can.
    pub fn start_paced(trips: &Arc<Trips>, clients: usize, every: Duration) -> Self {
        let shared = Arc::new(Shared {
            trips: trips.clone(),
            every,
            measuring: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            booked: AtomicU64::new(0),
        });
        let mut running = JoinSet::new();
        for number in 0..clients as u32 {
            // Not all at the same moment.
            let first = every / clients.max(1) as u32 * number;
            running.spawn(client(shared.clone(), first));
        }
        Self { shared, clients: running }
    }

    /// From now on it counts.
    pub fn measure(&self) {
        self.shared.measuring.store(true, Ordering::Relaxed);
    }

    /// How many trips were booked while it counted.
    pub fn booked(&self) -> u64 {
        self.shared.booked.load(Ordering::Relaxed)
    }

    /// From now on it counts no longer.
    pub fn end_measuring(&self) {
        self.shared.measuring.store(false, Ordering::Relaxed);
    }

    /// Waits until every client has its last answer.
    pub async fn finish(mut self) -> Result<Seen> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut all = Seen::default();
        while let Some(seen) = self.clients.join_next().await {
            let seen = seen.context("a client ended badly")?;
            all.took.extend(seen.took);
            all.refused += seen.refused;
            all.failed += seen.failed;
            all.first_error = all.first_error.or(seen.first_error);
        }
        all.took.sort_unstable();
        Ok(all)
    }
}

async fn client(shared: Arc<Shared>, first: Duration) -> Seen {
    let mut seen = Seen::default();
    sleep(first).await;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    connections.resize_with(shared.trips.targets.len(), || None);
    while !shared.stopping.load(Ordering::Relaxed) {
        let counted = shared.measuring.load(Ordering::Relaxed);
        let begun = Instant::now();
        let outcome = book(&shared.trips, &mut connections).await;
        let took = begun.elapsed();
        // What does not lie wholly within the measurement does not count.
        let counted = counted && shared.measuring.load(Ordering::Relaxed);
        match outcome {
            Ok(Outcome::Booked) if counted => {
                shared.booked.fetch_add(1, Ordering::Relaxed);
                seen.took.push(took);
            }
            Ok(Outcome::Booked) => {}
            Ok(Outcome::Refused(why)) => {
                seen.refused += 1;
                seen.first_error.get_or_insert(why);
                sleep(ERROR_PAUSE).await;
            }
            Err(error) => {
                seen.failed += 1;
                seen.first_error.get_or_insert_with(|| format!("{error:#}"));
                sleep(ERROR_PAUSE).await;
            }
        }
        if !shared.every.is_zero() {
            sleep_until(begun + shared.every).await;
        }
    }
    seen
}

enum Outcome {
    Booked,
    Refused(String),
}

async fn book(trips: &Trips, connections: &mut [Option<Connection>]) -> Result<Outcome> {
    let (target, body) = trips.next()?;
    // Taken out, so that a connection on which something went wrong is not used again.
    let mut connection = match connections[target].take() {
        Some(connection) => connection,
        None => Connection::open(&trips.authorities[target]).await?,
    };
    let (status, answer) = connection.exchange(&trips.heads[target], &body).await?;
    let outcome = match status {
        200 | 201 => Outcome::Booked,
        409 => Outcome::Refused(text(answer)),
        other => anyhow::bail!("status {other}: {}", text(answer)),
    };
    connections[target] = Some(connection);
    Ok(outcome)
}

fn text(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer).chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use recarga_reservation::EvseId;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_trips_want_the_same_window_and_all_stops_of_one_differ_in_time() {
        let target = |name: &str, points: usize| Target {
            url: "http://127.0.0.1:1".into(),
            operator: OperatorId::new(name).unwrap(),
            points: (0..points).map(|one| EvseId::new(&one.to_string()).unwrap()).collect(),
        };
        let targets = vec![target("a", 3), target("b", 2), target("c", 5)];
        let trips = Trips::new(targets, None, Timestamp::from_millis(0), "x".into()).unwrap();
        let mut taken: Vec<(OperatorId, EvseId, TimeWindow)> = Vec::new();
        let mut keys = BTreeSet::new();
        for number in 0..40 {
            let trip = trips.trip(number).unwrap();
            assert!(keys.insert(trip.key().clone()));
            for stop in trip.stops() {
                let clash = |(operator, evse, window): &&(OperatorId, EvseId, TimeWindow)| {
                    *operator == stop.operator && *evse == stop.stop.evse && window.overlaps(stop.stop.window)
                };
                assert_eq!(taken.iter().find(clash), None);
                taken.push((stop.operator.clone(), stop.stop.evse.clone(), stop.stop.window));
            }
        }
    }
}
