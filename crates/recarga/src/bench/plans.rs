//! `recarga bench plans`: trips that are booked while many others only ask for plans.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use recarga_reservation::Timestamp;
use recarga_wire::journey::JourneyBody;
use recarga_wire::network::{NetworkAnswer, OfferState};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::connection::Connection;
use super::federation::{COMPANIES, Federation, Layout, OPERATOR_TOKEN, Target};
use super::load::{Load, Seen, Trips};
use super::report::percentile;
use crate::client::Client;

const DAY: Duration = Duration::from_secs(24 * 3600);
const WARM_UP: Duration = Duration::from_secs(1);
const SETTLE_MAX: Duration = Duration::from_secs(10);
const READY_MAX: Duration = Duration::from_secs(30);
/// Questions under way at a time; more than the node would keep waiting.
const ASKING_MAX: usize = 512;

/// Book trips, with and without others that ask for plans.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga bench plans
  recarga bench plans --rate 50 --rounds 5 --seconds 10

Three nodes of this program with 501 stations along 700 km, of which one is asked where to charge between Recife and
Salvador, by cars of the whole catalogue, with any charge, at any hour of a day. In each round trips are booked twice by
the same clients: with these questions and without. They take the first of two chargers of each station for a third of
every hour.

Exit status: 0 measured and the audit holds, 1 not, 2 wrong arguments, 3 something is still unsettled.")]
pub struct Arguments {
    /// Questions for plans a second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,

    /// How many clients book at the same time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,

    /// Rounds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// How long each half of a round takes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// A folder on the disk to measure; by default ./target, or the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

// On both sides of the straight line from Recife to Salvador, the companies in turn.
const ALONG_THE_COAST: Layout = Layout {
    locations: 167,
    evses: 2,
    place: |own, location| {
        let number = (location * COMPANIES + own) as f64;
        let share = number / 501.0;
        let aside = (number * 0.618_034).fract() - 0.5;
        (-8.05 - 4.92 * share - aside * 0.4, -34.88 - 3.62 * share + aside * 0.8)
    },
};

// What questions came to.
#[derive(Default)]
struct Asked {
    took: Vec<Duration>,
    refused: u64,
    first_refusal: Option<String>,
}

/// Measures and audits.
///
/// # Errors
/// The nodes cannot be started or reached.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    crate::serve::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(measure(arguments))
}

async fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let folder = super::folder(arguments.data.as_deref())?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let limits = "planning_queue_max = 1024";
    let mut federation = Federation::start(&program, folder.path(), ALONG_THE_COAST, limits).await?;
    let mut targets = Vec::new();
    for company in &federation.companies {
        let mut target = Target::find(company.url()).await?;
        // Trips take the first EVSE of each station for a third of every hour, so that there is always something left.
        target.points.retain(|point| point.as_str().ends_with("-0"));
        targets.push(target);
    }
    let asked = federation.companies[0].url().to_owned();
    until_offers_are_known(&asked).await?;
    let clock = SystemClock::new();
    let (run, tomorrow) = (format!("{:08x}", clock.nonce() >> 96), clock.now().utc + DAY);
    let trips = Arc::new(Trips::new(targets, None, tomorrow, run)?);
    say!(
        "{:>5}  {:12}  {:>8}  {:>7}  {:>7}  {:>8}  {:>7}  {:>7}",
        "round",
        "",
        "trips/s",
        "p50 ms",
        "p99 ms",
        "plans/s",
        "p50 ms",
        "p99 ms"
    );
    let (mut slower, mut tails) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let alone = half(arguments, &trips, None).await?;
        let beside = half(arguments, &trips, Some((&asked, tomorrow))).await?;
        show(round, "trips alone", arguments, &alone);
        show(round, "with plans", arguments, &beside);
        let (alone, beside) = (&alone.0.took, &beside.0.took);
        slower.push(alone.len() as f64 / beside.len().max(1) as f64);
        tails.push(percentile(beside, 0.99) / percentile(alone, 0.99));
    }
    slower.sort_by(f64::total_cmp);
    tails.sort_by(f64::total_cmp);
    let median = |ratios: &[f64]| ratios[ratios.len() / 2];
    say!(
        "with {} plans a second, booking is {:.2} times as slow in the median round ({:.2} to {:.2}), its p99 {:.2} times as long",
        arguments.rate,
        median(&slower),
        slower[0],
        slower[slower.len() - 1],
        median(&tails),
    );
    // Whoever stops first is owed nothing then.
    let nodes: Result<Vec<Client>> = federation
        .companies
        .iter()
        .map(|one| Client::new(one.url(), Some(OPERATOR_TOKEN.to_owned())))
        .collect();
    crate::audit::nodes(&nodes?, SETTLE_MAX).await?;
    federation.stop().await?;
    let verdict = crate::audit::folders(&federation.folders())?;
    crate::audit::print(&verdict);
    Ok(verdict.exit_code())
}

async fn until_offers_are_known(url: &str) -> Result<()> {
    let client = Client::new(url, None)?;
    let begun = Instant::now();
    loop {
        let known: NetworkAnswer = client.call(Method::GET, "/rede", Vec::new()).await?;
        let current = known.empresas.iter().filter(|one| one.estado == OfferState::Atual).count();
        if current == COMPANIES {
            return Ok(());
        }
        if begun.elapsed() > READY_MAX {
            bail!("{url} knows the offers of {current} companies of {COMPANIES} after {READY_MAX:?}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn half(
    arguments: &Arguments,
    trips: &Arc<Trips>,
    asking: Option<(&str, Timestamp)>,
) -> Result<(Seen, Asked)> {
    let time = Duration::from_secs(arguments.seconds.into());
    let load = Load::start(trips, arguments.clients.into());
    let questions = asking.map(|(url, tomorrow)| Questions::start(url, tomorrow, arguments.rate));
    sleep(WARM_UP).await;
    load.measure();
    sleep(time).await;
    load.end_measuring();
    let asked = match questions {
        Some(questions) => questions.finish().await?,
        None => Asked::default(),
    };
    Ok((load.finish().await?, asked))
}

fn show(round: u32, what: &str, arguments: &Arguments, (seen, asked): &(Seen, Asked)) {
    let rate = |count: usize| count as f64 / f64::from(arguments.seconds);
    let mut line = format!(
        "{round:>5}  {what:12}  {:8.0}  {:7.1}  {:7.1}",
        rate(seen.took.len()),
        percentile(&seen.took, 0.50),
        percentile(&seen.took, 0.99)
    );
    if !asked.took.is_empty() {
        let (half, most) = (percentile(&asked.took, 0.50), percentile(&asked.took, 0.99));
        // Questions were asked while the trips warmed up, too.
        let time = Duration::from_secs(arguments.seconds.into()) + WARM_UP;
        let plans = asked.took.len() as f64 / time.as_secs_f64();
        line += &format!("  {plans:8.0}  {half:7.1}  {most:7.1}");
    }
    say!("{line}");
    for (count, why) in
        [(seen.refused + seen.failed, &seen.first_error), (asked.refused, &asked.first_refusal)]
    {
        if count > 0 {
            say!("       {count} refused, the first: {}", why.as_deref().unwrap_or_default());
        }
    }
}

// Asks at a steady rate, whatever the answers take.
struct Questions {
    asking: JoinSet<Result<Asked>>,
    stop: mpsc::Sender<()>,
}

impl Questions {
    fn start(url: &str, tomorrow: Timestamp, rate: u32) -> Self {
        let authority = url.trim_start_matches("http://").to_owned();
        let (stop, mut stopped) = mpsc::channel::<()>(1);
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            let mut tick = interval(Duration::from_secs(1) / rate);
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let (mut under_way, mut idle) = (JoinSet::new(), Vec::new());
            let (mut asked, mut number) = (Asked::default(), 0);
            loop {
                tokio::select! {
                    _ = stopped.recv() => break,
                    _ = tick.tick() => {}
                    Some(done) = under_way.join_next() => {
                        idle.extend(asked.count(done.context("a client ended badly")?)?);
                        continue;
                    }
                }
                if under_way.len() >= ASKING_MAX {
                    asked.refuse("the node is behind by hundreds of questions".to_owned());
                    continue;
                }
                let connection = idle.pop();
                under_way.spawn(ask(authority.clone(), connection, question(number, tomorrow)));
                number += 1;
            }
            while let Some(done) = under_way.join_next().await {
                asked.count(done.context("a client ended badly")?)?;
            }
            asked.took.sort_unstable();
            Ok(asked)
        });
        Self { asking, stop }
    }

    async fn finish(mut self) -> Result<Asked> {
        // Whoever asks is gone only if it failed, which is told next.
        let _ = self.stop.send(()).await;
        self.asking.join_next().await.context("nobody asks")?.context("a client ended badly")?
    }
}

type Answered = Result<(Connection, Duration, u16, String)>;

impl Asked {
    fn count(&mut self, done: Answered) -> Result<Option<Connection>> {
        let (connection, took, status, text) = done?;
        match status {
            200 => self.took.push(took),
            // A small car does not come through every gap.
            409 => self.took.push(took),
            _ => self.refuse(text),
        }
        Ok(Some(connection))
    }

    fn refuse(&mut self, why: String) {
        self.refused += 1;
        self.first_refusal.get_or_insert(why);
    }
}

async fn ask(authority: String, idle: Option<Connection>, body: Vec<u8>) -> Answered {
    let begun = Instant::now();
    if let Some(connection) = idle {
        // The node may have closed it meanwhile, as nobody used it.
        if let Ok((connection, status, text)) = exchange(connection, &authority, &body).await {
            return Ok((connection, begun.elapsed(), status, text));
        }
    }
    let fresh = Connection::open(&authority).await?;
    let (connection, status, text) = exchange(fresh, &authority, &body).await?;
    Ok((connection, begun.elapsed(), status, text))
}

async fn exchange(
    mut connection: Connection,
    authority: &str,
    body: &[u8],
) -> Result<(Connection, u16, String)> {
    let head =
        format!("POST /viagens/planejar HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n");
    let (status, answer) = connection.exchange(&head, body).await?;
    let text = match status {
        200 => String::new(),
        _ => String::from_utf8_lossy(answer).chars().take(300).collect(),
    };
    Ok((connection, status, text))
}

// Each with another car, charge and hour, so that hardly two are alike.
fn question(number: u64, tomorrow: Timestamp) -> Vec<u8> {
    let cars = recarga_atlas::cars::all();
    let spread = |step: f64| (number as f64 * step).fract();
    let (from, to) = if number.is_multiple_of(2) { ("Recife", "Salvador") } else { ("Salvador", "Recife") };
    let charge = (30.0 + 70.0 * spread(0.618_034)).round();
    let journey = JourneyBody {
        modelo: Some(cars[number as usize % cars.len()].id.clone()),
        saida: Some(tomorrow + DAY.mul_f64(spread(0.381_966))),
        ..JourneyBody::new(from.to_owned(), to.to_owned(), charge)
    };
    recarga_wire::encode(&journey)
}
