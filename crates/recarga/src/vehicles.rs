//! `recarga vehicles`: simulated cars against any broker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::Config;
use recarga_reservation::{OperatorId, Station};
use recarga_vehicle::fleet::{Credentials, Fleet, FleetHandle, FleetOptions};
use recarga_vehicle::network::Network;
use recarga_vehicle::{Event, WallClock};
use tokio::sync::mpsc;
use tokio::time::interval;

use crate::client::{self, Client};
use crate::picture::Picture;
use crate::serve::{raise_file_limit, stop_signal};

/// How many happenings may wait to be shown.
const EVENTS: usize = 16 * 1024;
/// How often the summary is renewed.
const SUMMARY_EVERY: Duration = Duration::from_millis(250);

/// Drive simulated cars that book their trips by MQTT.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga vehicles --broker mqtt://127.0.0.1:1883 --company http://127.0.0.1:8001 --company http://127.0.0.1:8002
  recarga vehicles --broker mqtt://broker:1883 --network empresa-a.toml --network empresa-b.toml --cars 1000
  recarga vehicles --company http://127.0.0.1:8001 --cars 5 --trips 20 --speed 60 --plain
  recarga vehicles --broker mqtts://broker:8883 --ca certs/authority.pem --certificates certs --network empresa-a.toml

A car logs in with its id (carro-0001 ...) as client id and, where a password is given, as user name; where certificates
are, with carro-0001.pem and carro-0001.key (`recarga certs car` makes them). With mqtts://, --ca names who signs the
broker's.")]
pub struct Arguments {
    /// The broker.
    #[arg(long, default_value = "mqtt://127.0.0.1:1883", value_name = "URL")]
    broker: String,

    /// Configurations of the companies whose stations the cars know.
    #[arg(long, value_name = "FILE")]
    network: Vec<PathBuf>,

    /// Nodes that are asked for their stations.
    #[arg(long, value_name = "URL")]
    company: Vec<String>,

    /// The password of all cars.
    #[arg(long, env = "RECARGA_MQTT_PASSWORD", hide_env_values = true)]
    password: Option<String>,

    /// The folder with every car's certificate and key, for a broker at mqtts:// that asks for them.
    #[arg(long, value_name = "FOLDER", conflicts_with = "password")]
    certificates: Option<PathBuf>,

    #[command(flatten)]
    drive: Drive,
}

/// How many cars, how they drive, and for how long.
#[derive(clap::Args, Clone, Debug)]
pub struct Drive {
    /// How many cars, 1 to 5000.
    #[arg(long, visible_alias = "count", default_value_t = 20, allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub cars: u32,

    /// How many times faster than the real time the cars live, 1 to 100000.
    #[arg(long, default_value_t = 600.0, allow_negative_numbers = true, value_parser = speed)]
    pub speed: f64,

    /// Repeats the same choices with the same number.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// Stop after so many booked trips.
    #[arg(long)]
    pub trips: Option<u64>,

    /// Stop after this time, as in 60s, 5m or 1h.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub period: Option<Duration>,

    /// No colours and no running summary, as for a file.
    #[arg(long)]
    pub plain: bool,
}

/// Runs until a signal, the time or the trips are over.
///
/// # Errors
/// No stations, or options that make no sense.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    raise_file_limit();
    crate::runtime()?.block_on(async move {
        let mut stations = Vec::new();
        for file in &arguments.network {
            let config = Config::read(file)?;
            stations.extend(config.stations.into_iter().map(|station| (config.operator.clone(), station)));
        }
        for url in &arguments.company {
            stations.extend(ask_for_stations(url).await?);
        }
        if stations.is_empty() {
            bail!("the cars know no stations; give --network FILE or --company URL");
        }
        let credentials = match (arguments.password, arguments.certificates) {
            (_, Some(folder)) => Credentials::Certificates(folder),
            (Some(password), None) => Credentials::SharedPassword(password),
            (None, None) => Credentials::None,
        };
        let mut cars = Cars::start(&arguments.broker, credentials, stations, &arguments.drive)?;
        let stop = stop_signal()?;
        tokio::pin!(stop);
        while !cars.are_done() {
            tokio::select! {
                () = &mut stop => break,
                () = cars.watch() => {}
            }
        }
        let picture = cars.stop().await;
        say!("{}", picture.summary());
        Ok(ExitCode::SUCCESS)
    })
}

/// Cars on the road, and the picture of them.
pub struct Cars {
    fleet: FleetHandle,
    events: mpsc::Receiver<Event>,
    summary: tokio::time::Interval,
    started: tokio::time::Instant,
    drive: Drive,
    /// What was seen so far.
    pub picture: Picture,
}

impl Cars {
    /// Starts them. Must be called within a runtime.
    ///
    /// # Errors
    /// Options that make no sense.
    pub fn start(
        broker: &str,
        credentials: Credentials,
        stations: Vec<(OperatorId, Station)>,
        drive: &Drive,
    ) -> Result<Cars> {
        let network = Arc::new(Network::new(stations).context("the stations make no network")?);
        let clock = SystemClock::new();
        let wall: WallClock = Arc::new(move || clock.now().utc);
        let (sender, events) = mpsc::channel(EVENTS);
        let mut options = FleetOptions::new(broker);
        let is_secure = broker.starts_with("mqtts://");
        if matches!(credentials, Credentials::Certificates(_)) && !is_secure {
            bail!("certificates are for a broker at mqtts://, not at {broker}");
        }
        if is_secure {
            let authorities =
                client::authorities().context("mqtts:// needs --ca FILE, who signs the broker's")?;
            options.authorities = Some(authorities.to_owned());
        }
        options.credentials = credentials;
        options.count = drive.cars;
        options.seed = drive.seed;
        options.settings.speed = drive.speed;
        let fleet = Fleet::start(options, network, wall, sender)?;
        Ok(Cars {
            fleet,
            events,
            summary: interval(SUMMARY_EVERY),
            started: tokio::time::Instant::now(),
            drive: drive.clone(),
            picture: Picture::new(drive.plain),
        })
    }

    /// Whether the trips or the time that were asked for are over.
    pub fn are_done(&self) -> bool {
        self.drive.trips.is_some_and(|trips| self.picture.confirmed >= trips)
            || self.drive.period.is_some_and(|period| self.started.elapsed() >= period)
    }

    /// Shows what happens next.
    pub async fn watch(&mut self) {
        tokio::select! {
            biased;
            event = self.events.recv() => {
                if let Some(event) = event {
                    self.picture.show(&event);
                }
            }
            _ = self.summary.tick() => self.picture.show_summary(),
        }
    }

    /// Lets the cars hear what they have asked and say goodbye, and shows the last of it.
    pub async fn stop(mut self) -> Picture {
        self.fleet.stop().await;
        while let Ok(event) = self.events.try_recv() {
            self.picture.show(&event);
        }
        self.picture.note("");
        self.picture
    }
}

async fn ask_for_stations(url: &str) -> Result<Vec<(OperatorId, Station)>> {
    use hyper::Method;
    use recarga_wire::availability::{AvailabilityQuery, PointsAnswer, into_stations};
    let client = Client::new(url, None)?;
    let mut query = AvailabilityQuery::default();
    let mut points = Vec::new();
    loop {
        let page: PointsAnswer =
            client.call(Method::GET, &format!("/pontos?{}", query.encode()), Vec::new()).await?;
        points.extend(page.pontos);
        match page.proximo {
            Some(next) => query.cursor = Some(next),
            None => {
                let stations = into_stations(points);
                return Ok(stations.into_iter().map(|station| (page.empresa.clone(), station)).collect());
            }
        }
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed| (1.0..=100_000.0).contains(speed));
    speed.ok_or_else(|| "write a number from 1 to 100000".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|symbol: char| !symbol.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 =
        number.parse().map_err(|_| format!("\"{text}\": write a number and s, m or h, as in 60s"))?;
    let seconds = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("\"{text}\": the unit is s, m or h, as in 60s")),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(|| format!("\"{text}\" is too long"))
}
