//! `recarga bench contention`: many cars that want few chargers at the same moment.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use recarga_reservation::{
    OperatorId, RequestId, RequestKey, Stop, TimeWindow, Timestamp, TripRequest, TripStop, VehicleId,
};
use recarga_wire::trip::TripBody;
use recarga_wire::{Problem, ProblemKind, decode};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::federation::{COMPANIES, Federation, ONE_CITY, Target};
use super::report::percentile;
use crate::client::Client;

const WINDOW: Duration = Duration::from_secs(20 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Requests after which a car has had enough.
const ASKS_MAX: u32 = 500;
/// A car that was told "held" asks again after this, and up to as much again.
const PAUSE: Duration = Duration::from_millis(10);

/// Let many cars want few chargers at the same moment, with and without waiting for one another.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga bench contention
  recarga bench contention --cars 1000 --evses 20 --windows 12 --rounds 3

Every car wants one stop at each of three companies, one window after the other, and asks for chargers and a time at random.
Told that a window is booked it takes another that it has not been told about; told that it is held it asks again in a moment;
it gives up when it has been told of too many. All of it is done by a federation as it ships (an older trip waits for a
younger one's hold; eight attempts), and by one that fails at once (window_wait_millis = 0, attempts_max = 1).

Exit status: 0 measured, the audit holds and no car gave up or starved while chargers were free, 1 not, 2 wrong arguments.")]
pub struct Arguments {
    /// How many cars ask at the same moment.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1500))]
    cars: u16,

    /// Chargers of each company.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=400))]
    evses: u16,

    /// Windows of each charger.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=200))]
    windows: u16,

    /// How often, each on a day of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// A folder on the disk to use; by default ./target, or the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// What came of one way of dealing with each other.
#[derive(Debug, Serialize)]
struct Outcome {
    name: &'static str,
    booked: usize,
    gave_up: usize,
    // Had enough before anything was clear.
    starved: usize,
    // Have no trip although one would have fitted.
    stranded: usize,
    // Of the windows that could be filled.
    filled_percent: f64,
    requests_per_trip: f64,
    attempts_per_trip: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    audit_holds: bool,
}

/// Measures both.
///
/// # Errors
/// The nodes cannot be started or reached.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    crate::serve::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcomes = runtime.context("cannot start the runtime")?.block_on(async {
        let waits = measure(arguments, "waits for one another", "").await?;
        let limits = "window_wait_millis = 0\nattempts_max = 1";
        anyhow::Ok([waits, measure(arguments, "fails at once", limits).await?])
    })?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&outcomes)?);
    } else {
        print(arguments, &outcomes);
    }
    let is_good = |one: &Outcome| one.audit_holds && one.starved == 0 && one.stranded == 0;
    Ok(if outcomes.iter().all(is_good) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(arguments: &Arguments, outcomes: &[Outcome]) {
    say!(
        "{} cars, {} chargers at each of {COMPANIES} companies, {} windows each; {} rounds\n",
        arguments.cars,
        arguments.evses,
        arguments.windows,
        arguments.rounds
    );
    say!(
        "{:<22} {:>7} {:>8} {:>8} {:>9} {:>8} {:>9} {:>10} {:>8} {:>8} {:>8}",
        "",
        "booked",
        "gave up",
        "starved",
        "stranded",
        "filled",
        "asks/trip",
        "tries/trip",
        "p50 ms",
        "p99 ms",
        "max ms"
    );
    for one in outcomes {
        say!(
            "{:<22} {:>7} {:>8} {:>8} {:>9} {:>7.1}% {:>9.2} {:>10.2} {:>8.1} {:>8.1} {:>8.1}",
            one.name,
            one.booked,
            one.gave_up,
            one.starved,
            one.stranded,
            one.filled_percent,
            one.requests_per_trip,
            one.attempts_per_trip,
            one.p50_ms,
            one.p99_ms,
            one.max_ms
        );
        if !one.audit_holds {
            say!("the audit does not hold");
        }
    }
}

async fn measure(arguments: &Arguments, name: &'static str, limits: &str) -> Result<Outcome> {
    let folder = super::folder(arguments.data.as_deref())?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut federation = Federation::start(&program, folder.path(), ONE_CITY, limits).await?;
    let mut targets = Vec::new();
    for company in &federation.companies {
        targets.push(Target::find(company.url()).await?);
    }
    let first = SystemClock::new().now().utc + DAY;
    let mut seen = Seen::default();
    for round in 0..arguments.rounds {
        let place = Arc::new(Place {
            targets: targets.clone(),
            evses: arguments.evses.into(),
            windows: arguments.windows.into(),
            first: first + DAY * 4 * u32::from(round),
            round,
        });
        seen.add(&place, play(&place, arguments.cars).await?);
        eprintln!("{name}: round {} of {}", round + 1, arguments.rounds);
    }
    let attempts = attempts(&targets).await?;
    federation.stop().await?;
    let verdict = crate::audit::folders(&federation.folders())?;
    Ok(seen.outcome(name, arguments, attempts, verdict.holds()))
}

/// The chargers and times that a round is about.
struct Place {
    targets: Vec<Target>,
    evses: usize,
    windows: usize,
    first: Timestamp,
    round: u16,
}

/// One car's wish: a time, and a charger at each company.
type Wish = (usize, [usize; COMPANIES]);

/// What became of a car.
struct Ended {
    trip: Option<Wish>,
    asks: u32,
    took: Duration,
}

async fn play(place: &Arc<Place>, cars: u16) -> Result<Vec<Ended>> {
    let mut running = JoinSet::new();
    for car in 0..cars {
        running.spawn(drive(place.clone(), car));
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.push(ended.context("a car ended badly")??);
    }
    Ok(all)
}

async fn drive(place: Arc<Place>, car: u16) -> Result<Ended> {
    let target = &place.targets[usize::from(car) % COMPANIES];
    let authority = target.url.strip_prefix("http://").context("a URL begins with http://")?;
    let head = format!("POST /viagens HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n");
    let mut connection = Connection::open(authority).await?;
    let mut taken = BTreeSet::new();
    let (begun, mut asks) = (Instant::now(), 0);
    let mut wish = place.choose(&taken);
    while let Some((slot, evses)) = wish
        && asks < ASKS_MAX
    {
        asks += 1;
        let body = recarga_wire::encode(&TripBody::new(&place.trip(car, asks, slot, evses)?));
        let (status, answer) = connection.exchange(&head, &body).await?;
        if status == 201 {
            return Ok(Ended { trip: wish, asks, took: begun.elapsed() });
        }
        let problem: Problem = decode(answer).map_err(|_| anyhow::anyhow!("an answer that is none"))?;
        match (problem.kind, problem.stop) {
            (ProblemKind::Booked, Some(stop)) => {
                let stop = usize::from(stop);
                taken.insert((stop, evses[stop], slot));
                wish = place.choose(&taken);
            }
            (ProblemKind::Held | ProblemKind::Unavailable, _) => {
                sleep(PAUSE + PAUSE.mul_f64(fastrand::f64())).await;
            }
            (kind, _) => anyhow::bail!("status {status}: {kind:?}: {}", problem.detail),
        }
    }
    Ok(Ended { trip: None, asks, took: begun.elapsed() })
}

impl Place {
    // At random among those of which the car has not been told that they are taken.
    fn choose(&self, taken: &BTreeSet<(usize, usize, usize)>) -> Option<Wish> {
        let free = |company: usize, slot: usize| -> Vec<usize> {
            (0..self.evses).filter(|evse| !taken.contains(&(company, *evse, slot))).collect()
        };
        let is_open = |slot: &usize| (0..COMPANIES).all(|company| !free(company, *slot).is_empty());
        let open: Vec<usize> = (0..self.windows).filter(is_open).collect();
        let slot = *fastrand::choice(&open)?;
        let mut evses = [0; COMPANIES];
        for (company, evse) in evses.iter_mut().enumerate() {
            *evse = *fastrand::choice(&free(company, slot))?;
        }
        Some((slot, evses))
    }

    fn trip(&self, car: u16, ask: u32, slot: usize, evses: [usize; COMPANIES]) -> Result<TripRequest> {
        let mut stops = Vec::with_capacity(COMPANIES);
        for (number, target) in (0u16..).zip(&self.targets) {
            let start = self.first + WINDOW * (u32::try_from(slot)? + u32::from(number));
            let window = TimeWindow::new(start, start + WINDOW)?;
            let evse = target.points[evses[usize::from(number)]].clone();
            let stop = Stop { number, evse, window };
            stops.push(TripStop { operator: OperatorId::clone(&target.operator), stop });
        }
        let vehicle = VehicleId::new(&format!("bench-{}-{car}", self.round))?;
        let key = RequestKey { vehicle, request: RequestId::new(&ask.to_string())? };
        Ok(TripRequest::new(key, None, stops)?)
    }
}

#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    requests: u64,
    gave_up: usize,
    starved: usize,
    stranded: usize,
}

impl Seen {
    fn add(&mut self, place: &Place, cars: Vec<Ended>) {
        let mut taken = BTreeSet::new();
        for (slot, evses) in cars.iter().filter_map(|car| car.trip) {
            taken.extend(evses.iter().enumerate().map(|(company, evse)| (company, *evse, slot)));
        }
        let would_fit = place.choose(&taken).is_some();
        for car in cars {
            self.requests += u64::from(car.asks);
            match car.trip {
                Some(_) => self.took.push(car.took),
                None if car.asks == ASKS_MAX => self.starved += 1,
                None => self.gave_up += 1,
            }
            if car.trip.is_none() && would_fit {
                self.stranded += 1;
            }
        }
    }

    fn outcome(
        mut self,
        name: &'static str,
        arguments: &Arguments,
        attempts: u64,
        audit_holds: bool,
    ) -> Outcome {
        self.took.sort_unstable();
        let booked = self.took.len();
        let trips = booked.max(1) as f64;
        let fitting = usize::from(arguments.evses) * usize::from(arguments.windows);
        let fitting = fitting.min(arguments.cars.into()) * usize::from(arguments.rounds);
        let millis = |share: f64| percentile(&self.took, share);
        Outcome {
            name,
            booked,
            gave_up: self.gave_up,
            starved: self.starved,
            stranded: self.stranded,
            filled_percent: booked as f64 * 100.0 / fitting as f64,
            requests_per_trip: self.requests as f64 / trips,
            attempts_per_trip: attempts as f64 / trips,
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            max_ms: millis(1.0),
            audit_holds,
        }
    }
}

// Attempts of the coordinators, of which a request may take several.
async fn attempts(targets: &[Target]) -> Result<u64> {
    let mut sum = 0;
    for target in targets {
        let answer = Client::new(&target.url, None)?.send(Method::GET, "/metrics", Vec::new()).await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let line = text.lines().find_map(|line| line.strip_prefix("recarga_trip_attempts_total "));
        sum += line.and_then(|figure| figure.trim().parse::<u64>().ok()).context("no count of attempts")?;
    }
    Ok(sum)
}
