//! Many cars at once: a task, a radio and the time for each.

mod tally;
mod task;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::VehicleId;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;

use crate::car::Car;
use crate::clock::WallClock;
use crate::events::Event;
use crate::network::Network;
use crate::radio::{Airwaves, Mqtt, RadioError};
use crate::settings::{BadSetting, Settings};

use tally::Tally;
use task::Shared;

/// How cars show who they are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    None,
    /// The car's id as user name, and the same password for all.
    SharedPassword(String),
    /// By a certificate: `ID.pem` and `ID.key` in this folder.
    Certificates(PathBuf),
}

/// Which cars, and how they reach the companies.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetOptions {
    /// The broker: `mqtt://host:port` or `mqtts://host:port`.
    pub broker_url: String,
    /// Whose certificates are believed; with `mqtts://`.
    pub authorities: Option<PathBuf>,
    /// How cars show who they are.
    pub credentials: Credentials,
    /// How many cars, 1 to 5,000.
    pub count: u32,
    /// What their ids begin with: `carro-` makes `carro-0001`.
    pub id_prefix: String,
    /// The number of the first car.
    pub first_number: u32,
    /// Cars with the same seed and number are of the same kind, begin at the same place and choose alike.
    pub seed: u64,
    /// Cars that connect per second, so that they do not all come at once; greater than 0.
    pub connects_per_second: f64,
    /// Status messages per second of all cars together, at most; real time, greater than 0.
    pub statuses_per_second: f64,
    /// How they behave.
    pub settings: Settings,
}

/// Why a fleet cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FleetError {
    /// A setting makes no sense.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// The prefix does not make identifiers.
    #[error("'{0}' is no vehicle id: 1 to 64 characters A-Z a-z 0-9 . _ -, the first a letter or digit")]
    Id(String),
    /// No radio could be opened.
    #[error(transparent)]
    Radio(#[from] RadioError),
}

/// What all cars of a fleet have done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cars connected at this moment.
    pub online: u64,
    /// Connections lost.
    pub disconnections: u64,
    /// Requests for trips, without repeats.
    pub asked: u64,
    /// Repeats of requests.
    pub repeats: u64,
    /// Trips confirmed.
    pub confirmed: u64,
    /// Requests refused.
    pub refused: u64,
    /// Trips cancelled.
    pub cancelled: u64,
    /// Requests without an answer in time.
    pub unanswered: u64,
    /// Answers that no car was waiting for: repeats.
    pub ignored: u64,
    /// Messages that are no answer.
    pub malformed: u64,
    /// Answers that confirmed something else than was asked.
    pub wrong: u64,
    /// Trips that have come to their destination.
    pub arrived: u64,
    /// Windows missed because of traffic.
    pub late: u64,
    /// Times that a driver gave up for a while.
    pub gave_up: u64,
    /// Cars that ran out of energy.
    pub out_of_battery: u64,
    /// Status messages.
    pub statuses: u64,
    /// Cars that have made all of their trips.
    pub finished: u64,
    /// Events that the receiver was too slow for.
    pub events_dropped: u64,
}

/// Starts cars.
#[derive(Debug)]
pub struct Fleet;

/// A running fleet. When it is dropped the cars stop as by [`FleetHandle::stop`], in the background.
#[derive(Debug)]
pub struct FleetHandle {
    stop: watch::Sender<bool>,
    done: watch::Receiver<bool>,
    tally: Arc<Tally>,
}

impl FleetOptions {
    /// One car, `carro-0001`, without a password; 200 connections and 500 status messages per second.
    pub fn new(broker_url: impl Into<String>) -> Self {
        Self {
            broker_url: broker_url.into(),
            authorities: None,
            credentials: Credentials::None,
            count: 1,
            id_prefix: "carro-".to_owned(),
            first_number: 1,
            seed: 0,
            connects_per_second: 200.0,
            statuses_per_second: 500.0,
            settings: Settings::default(),
        }
    }

    fn ids(&self) -> Result<Vec<VehicleId>, FleetError> {
        let numbers = self.first_number..self.first_number.saturating_add(self.count);
        let id = |number| format!("{}{number:04}", self.id_prefix);
        numbers.map(|number| VehicleId::new(&id(number)).map_err(|_| FleetError::Id(id(number)))).collect()
    }

    // One car's pause grows with the number of cars.
    fn settings(&self) -> Settings {
        let share = Duration::from_secs_f64(f64::from(self.count) / self.statuses_per_second);
        let mut settings = self.settings.clone();
        settings.status_pause_min = settings.status_pause_min.max(share);
        settings
    }

    fn check(&self) -> Result<(), FleetError> {
        self.settings.check()?;
        let rules = [
            ("count", (1..=5_000).contains(&self.count), "must be 1 to 5000"),
            (
                "connects_per_second",
                (0.1..=1e6).contains(&self.connects_per_second),
                "must be 0.1 to 1000000",
            ),
            (
                "statuses_per_second",
                (0.1..=1e6).contains(&self.statuses_per_second),
                "must be 0.1 to 1000000",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, cure)) => Err(BadSetting { setting, cure }.into()),
            None => Ok(()),
        }
    }
}

impl Fleet {
    /// Starts cars on MQTT, in tasks of the current runtime. A broker that cannot be reached is tried again until it
    /// can. `events` gets what happens; what it has no room for is counted and dropped.
    ///
    /// # Errors
    /// Options that make no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        options: FleetOptions,
        network: Arc<Network>,
        wall_clock: WallClock,
        events: mpsc::Sender<Event>,
    ) -> Result<FleetHandle, FleetError> {
        let mqtt = Mqtt {
            url: options.broker_url.clone(),
            authorities: options.authorities.clone(),
            credentials: options.credentials.clone(),
        };
        Self::start_on(mqtt, options, network, wall_clock, events)
    }

    /// Starts cars on other airwaves; the broker and the credentials of the options are not used.
    ///
    /// # Errors
    /// Options that make no sense.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start_on<A: Airwaves>(
        airwaves: A,
        options: FleetOptions,
        network: Arc<Network>,
        wall_clock: WallClock,
        events: mpsc::Sender<Event>,
    ) -> Result<FleetHandle, FleetError> {
        options.check()?;
        let ids = options.ids()?;
        let (stop, stop_seen) = watch::channel(false);
        let (done_tx, done) = watch::channel(false);
        let tally = Arc::new(Tally::default());
        let shared = Arc::new(Shared {
            airwaves,
            wall_clock,
            started: Instant::now(),
            events,
            tally: Arc::clone(&tally),
        });
        let settings = Arc::new(options.settings());
        let mut tasks = JoinSet::new();
        for (place, id) in (0u32..).zip(ids) {
            // Cars with neighbouring numbers have nothing in common.
            let number = u64::from(options.first_number) + u64::from(place);
            let seed =
                fastrand::Rng::with_seed(options.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).u64(..);
            let now = shared.now();
            let car = Car::new(id, Arc::clone(&network), Arc::clone(&settings), seed, now);
            // Whatever is wrong with the options is wrong for the first car too, and is told at once.
            let radio =
                if place == 0 { Some(shared.airwaves.open(car.id(), car.last_will(now))?) } else { None };
            let connects =
                shared.started + Duration::from_secs_f64(f64::from(place) / options.connects_per_second);
            tasks.spawn(task::live(car, radio, connects, Arc::clone(&shared), stop_seen.clone()));
        }
        tokio::spawn(async move {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    error!("a car has crashed: {error}");
                }
            }
            done_tx.send_replace(true);
        });
        Ok(FleetHandle { stop, done, tally })
    }
}

impl FleetHandle {
    /// Lets no car ask for another trip, waits up to 10 s for the answers to what was asked, says goodbye to the broker
    /// and waits until all cars are gone. Reserved trips stay reserved.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.join().await;
    }

    /// Waits until all cars are gone: they have made all of their trips, or were stopped.
    pub async fn join(&self) {
        // An error means that the task that waits for the cars is gone, and with it the cars.
        let _ = self.done.clone().wait_for(|done| *done).await;
    }

    /// What the cars have done so far.
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::SharedPassword(_) => "SharedPassword(..)",
            Credentials::Certificates(_) => "Certificates(..)",
        })
    }
}
