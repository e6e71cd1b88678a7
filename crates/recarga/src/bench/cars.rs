//! `recarga bench cars`: whether trips take longer while many cars tell where they are.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use serde::Serialize;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::broker::{Broker, Kind, PASSWORD};
use self::crowd::{Crowd, Size, Told};
use self::sums::{Side, Sums};
use super::federation::{Federation, ONE_CITY, Target};
use super::figures;
use super::load::{Load, Seen, Trips};
use crate::client::Client;
use crate::company;

mod broker;
mod crowd;
mod sums;

const DAY: Duration = Duration::from_secs(24 * 3600);
const WARM_UP: Duration = Duration::from_secs(1);
/// What is on its way arrives before the next measurement begins.
const SETTLE: Duration = Duration::from_millis(500);
const BROKER_MAX: Duration = Duration::from_secs(20);
/// The niceness of who yields to everybody else.
const BEHIND: i32 = 19;

/// Let many cars tell one node where they are while trips are booked.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga bench cars
  recarga bench cars --broker mosquitto --rate 20000 --rounds 5
  recarga bench cars --together 25 --json
  recarga bench cars --behind

It starts three companies for each broker, and books trips with one stop at each as `recarga bench trips` does, at a
steady pace. Each round measures trips alone, trips while cars speak, and cars alone (for the processor time of a message),
through one broker and then through the other. Cars speak at QoS 0. A process may open some 20,000 files here and there, so
connections carry several cars each, under a company's login, which may speak for any car.

Exit status: 0 measured and the audit holds, 1 not, 2 wrong arguments.")]
pub struct Arguments {
    /// Cars, each with a topic of its own.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cars: u32,

    /// Connections that carry them.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=9_000))]
    connections: u32,

    /// Statuses a second, of all cars together.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,

    /// Statuses of a connection's cars that leave in one write.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    together: u32,

    /// Trips a second that are booked meanwhile.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trips: u32,

    /// How many clients book them.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,

    /// How long each measurement takes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// How often each is made.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Let broker and cars yield to the nodes and to who books, as if they had processors of their own.
    #[arg(long)]
    behind: bool,

    /// Through which broker; by default one after the other.
    #[arg(long, value_enum)]
    broker: Option<Kind>,

    /// The program of Mosquitto.
    #[arg(long, value_name = "FILE", default_value = "mosquitto")]
    mosquitto: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// A folder on the disk to use; by default ./target, or the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// Everything that one run measured.
#[derive(Serialize)]
struct Report {
    cars: u32,
    connections: u32,
    rate: u32,
    statuses_in_one_write: u32,
    broker_and_cars_yield: bool,
    sides: Vec<Side>,
    audit_holds: bool,
}

/// Measures and audits.
///
/// # Errors
/// Something cannot be started, or ends.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if arguments.cars < arguments.connections {
        bail!("--connections: more than there are cars");
    }
    crate::serve::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.context("cannot start the runtime")?.block_on(measure(arguments))?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!(
            "{} cars on {} connections, {} statuses a second wanted, {} in one write; {} trips a second wanted{}\n",
            report.cars,
            report.connections,
            report.rate,
            report.statuses_in_one_write,
            arguments.trips,
            if report.broker_and_cars_yield { "; broker and cars yield" } else { "" }
        );
        report.sides.iter().for_each(Side::print);
        say!("{}", if report.audit_holds { "the audit holds" } else { "the audit does not hold" });
    }
    let booked = report.sides.iter().all(|side| side.trips_alone.trips > 0 && side.trips_failed == 0);
    Ok(if report.audit_holds && booked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let kinds = arguments.broker.map_or(vec![Kind::Mosquitto, Kind::Embedded], |one| vec![one]);
    let mut networks = Vec::new();
    for kind in kinds {
        networks.push(Network::start(arguments, kind).await?);
    }
    for round in 0..arguments.rounds {
        for network in &mut networks {
            network.round(arguments).await?;
            eprintln!("{:?}: round {} of {}", network.broker.kind, round + 1, arguments.rounds);
        }
    }
    let (mut sides, mut audit_holds) = (Vec::new(), true);
    for network in networks {
        let (side, holds) = network.finish().await?;
        sides.push(side);
        audit_holds &= holds;
    }
    let Arguments { cars, connections, rate, together: statuses_in_one_write, .. } = *arguments;
    let broker_and_cars_yield = arguments.behind;
    Ok(Report { cars, connections, rate, statuses_in_one_write, broker_and_cars_yield, sides, audit_holds })
}

/// Three companies, of which the first hears cars through a broker.
struct Network {
    federation: Federation,
    broker: Broker,
    crowd: Crowd,
    node: Client,
    trips: Arc<Trips>,
    sums: Sums,
    // Last, so that everything that writes into it has ended before.
    _folder: TempDir,
}

/// What everybody has done until a moment.
#[derive(Clone, Copy)]
pub struct Moment {
    at: Instant,
    told: Told,
    node: Heard,
    broker_dropped: Option<u64>,
    broker_cpu: Duration,
    node_cpu: Duration,
}

/// What the node has heard.
#[derive(Clone, Copy, Default)]
pub struct Heard {
    read: u64,
    superseded: u64,
    dropped: u64,
}

impl Network {
    async fn start(arguments: &Arguments, kind: Kind) -> Result<Network> {
        let folder = super::folder(arguments.data.as_deref())?;
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let port = company::free_ports(1)?[0];
        let mqtt = format!(
            "\n[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nusername = \"empresa-a\"\npassword = \"{PASSWORD}\"\n"
        );
        let federation = Federation::start_with(&program, folder.path(), ONE_CITY, "", &mqtt).await?;
        let first = federation.companies.first().context("no company")?;
        let (id, address) = (first.id().to_string(), ([127, 0, 0, 1], port).into());
        let config = folder.path().join(format!("{id}.toml"));
        let Arguments { mosquitto, behind, .. } = arguments;
        let broker = Broker::start(kind, address, mosquitto, *behind, folder.path(), &id, &config).await?;
        let node = Client::new(first.url(), None)?;
        wait_connected(&node).await?;
        let size = Size {
            connections: usize::try_from(arguments.connections)?,
            cars: usize::try_from(arguments.cars)?,
            rate: f64::from(arguments.rate),
            together: usize::try_from(arguments.together)?,
            behind: *behind,
        };
        let crowd = Crowd::connect(address, &id, PASSWORD, size)?;
        let mut targets = Vec::new();
        for company in &federation.companies {
            targets.push(Target::find(company.url()).await?);
        }
        let clock = SystemClock::new();
        let run = format!("{:08x}", clock.nonce() >> 96);
        let trips = Arc::new(Trips::new(targets, None, clock.now().utc + DAY, run)?);
        Ok(Network { federation, broker, crowd, node, trips, sums: Sums::default(), _folder: folder })
    }

    async fn round(&mut self, arguments: &Arguments) -> Result<()> {
        let (_, seen) = self.part(arguments, true, false).await?;
        self.sums.alone.add(seen);
        let (moments, seen) = self.part(arguments, true, true).await?;
        self.sums.together.add(seen);
        self.sums.with_trips.add(moments);
        let (moments, _) = self.part(arguments, false, true).await?;
        self.sums.without_trips.add(moments);
        let memory = (figures::memory(self.first_pid())?, figures::memory(self.broker.pid)?);
        self.sums.memory = memory;
        Ok(())
    }

    async fn part(&self, arguments: &Arguments, trips: bool, cars: bool) -> Result<([Moment; 2], Seen)> {
        let every = Duration::from_secs_f64(f64::from(arguments.clients) / f64::from(arguments.trips));
        let clients = if trips { usize::try_from(arguments.clients)? } else { 0 };
        let load = Load::start_paced(&self.trips, clients, every);
        self.crowd.let_speak(cars);
        sleep(WARM_UP).await;
        let before = self.moment().await?;
        load.measure();
        sleep(Duration::from_secs(arguments.seconds.into())).await;
        load.end_measuring();
        let after = self.moment().await?;
        self.crowd.let_speak(false);
        let seen = load.finish().await?;
        sleep(SETTLE).await;
        Ok(([before, after], seen))
    }

    async fn moment(&self) -> Result<Moment> {
        let node = heard(&self.node).await?;
        Ok(Moment {
            at: Instant::now(),
            told: self.crowd.told()?,
            node,
            broker_dropped: self.broker.dropped(),
            broker_cpu: figures::cpu(&self.broker.pid.to_string())?,
            node_cpu: figures::cpu(&self.first_pid().to_string())?,
        })
    }

    fn first_pid(&self) -> u32 {
        self.federation.companies[0].pid()
    }

    async fn finish(mut self) -> Result<(Side, bool)> {
        drop(self.crowd);
        self.federation.stop().await?;
        let kind = self.broker.kind;
        self.broker.stop().await?;
        let verdict = crate::audit::folders(&self.federation.folders())?;
        Ok((self.sums.side(format!("{kind:?}").to_lowercase()), verdict.holds()))
    }
}

async fn wait_connected(node: &Client) -> Result<()> {
    let deadline = Instant::now() + BROKER_MAX;
    while figures::figure(&metrics(node).await?, "recarga_broker_connected") != Some(1) {
        if Instant::now() > deadline {
            bail!("the node does not connect to the broker");
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn heard(node: &Client) -> Result<Heard> {
    let text = metrics(node).await?;
    let count = |message: &str| {
        let name = format!("recarga_mqtt_messages_total{{message=\"{message}\"}}");
        figures::figure(&text, &name).unwrap_or_default()
    };
    Ok(Heard {
        read: count("status"),
        superseded: count("superseded_status"),
        dropped: count("dropped_status"),
    })
}

async fn metrics(node: &Client) -> Result<String> {
    let answer = node.send(Method::GET, "/metrics", Vec::new()).await?;
    if answer.status != 200 {
        bail!("{} does not tell its figures: status {}", node.url(), answer.status);
    }
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}
