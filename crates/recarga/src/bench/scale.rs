//! `recarga bench scale`: what one company's node costs as its reservations grow.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store};
use recarga_node::tidying;
use recarga_reservation::{
    Branch, EvseId, Fact, Firmness, Hold, HoldLimits, Now, OperatorId, Participant, RequestId, RequestKey,
    Stop, StoreId, TimeWindow, Timestamp, TransactionId, VehicleId,
};
use recarga_wire::hold::HoldRequest;
use recarga_wire::session::ConfirmRequest;
use serde::Serialize;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::connection::Connection;
use super::report::percentile;
use crate::company::{self, Company};

const COMPANY: &str = "empresa-a";
/// The company that asks; nobody runs it.
const ASKER: &str = "empresa-x";
const TOKEN: &str = "bench-x-to-a";
const WINDOW: Duration = Duration::from_secs(30 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const EVSES_PER_LOCATION: usize = 20;
const STATES: [&str; 8] = ["BA", "PE", "SE", "AL", "PB", "RN", "CE", "MG"];
/// Written to the disk at a time while a database is filled.
const BATCH: u64 = 10_000;
const READY_MAX: Duration = Duration::from_secs(600);
const WRITERS: usize = 16;
const READERS: usize = 2;

/// Fill one company's database, start its node, and ask and reserve while it is measured.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga bench scale
  recarga bench scale --reservations 1000,1000000 --evses 50000 --json

For each size: how long the node takes to start, its memory, and for so many seconds the times of 16 clients that hold and
confirm fresh windows while 2 read pages of GET /disponibilidade by state, by distance and one after the other. Then, in memory,
how long a slice of tidying keeps others from the ledger if every reservation is past.")]
pub struct Arguments {
    /// Reservations in the database, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    reservations: Vec<u64>,

    /// EVSEs of the company.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    evses: u32,

    /// How long each measurement takes.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// A folder on the disk to measure; by default ./target, or the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

/// What one size costs.
#[derive(Debug, Serialize)]
struct Size {
    reservations: u64,
    evses: u32,
    database_mb: f64,
    start_seconds: f64,
    memory_mb: f64,
    holds: usize,
    holds_per_second: f64,
    hold_p50_ms: f64,
    hold_p99_ms: f64,
    pages: usize,
    page_p50_ms: f64,
    page_p99_ms: f64,
    tidying_p50_ms: f64,
    tidying_p999_ms: f64,
}

/// Measures every size.
///
/// # Errors
/// The node cannot be started, or answers something else than it should.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let sizes = runtime.context("cannot start the runtime")?.block_on(async {
        let mut sizes = Vec::new();
        for reservations in &arguments.reservations {
            eprintln!("filling a database with {reservations} reservations over {} EVSEs", arguments.evses);
            let size = LocalSet::new().run_until(measure(arguments, *reservations)).await?;
            if !arguments.json {
                print(&size, sizes.is_empty());
            }
            sizes.push(size);
        }
        anyhow::Ok(sizes)
    })?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&sizes)?);
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(arguments: &Arguments, reservations: u64) -> Result<Size> {
    let folder = super::folder(arguments.data.as_deref())?;
    let world = World { evses: arguments.evses.into(), first: SystemClock::new().now().utc + DAY };
    let data_dir = folder.path().join(COMPANY);
    fill(&data_dir, &world, reservations)?;
    let port = company::free_ports(1)?[0];
    let config = folder.path().join("company.toml");
    std::fs::write(&config, configuration(arguments.evses as usize, port, &data_dir))
        .context("cannot write")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let begun = Instant::now();
    let mut node = Company::start(&program, &config, folder.path(), 1, &[])?;
    node.wait_ready(READY_MAX).await?;
    let start = begun.elapsed();
    let (holds, pages) = load(node.url(), world, Duration::from_secs(arguments.seconds.into())).await?;
    let memory_mb = memory_mb(node.pid())?;
    let database = std::fs::metadata(data_dir.join("recarga.redb")).context("no database")?.len();
    let status = node.stop().await?;
    if !status.success() {
        bail!("the node ended badly ({status})");
    }
    let slices = tidy(&data_dir)?;
    Ok(Size {
        reservations,
        evses: arguments.evses,
        database_mb: database as f64 / 1e6,
        start_seconds: start.as_secs_f64(),
        memory_mb,
        holds: holds.len(),
        holds_per_second: holds.len() as f64 / f64::from(arguments.seconds),
        hold_p50_ms: percentile(&holds, 0.50),
        hold_p99_ms: percentile(&holds, 0.99),
        pages: pages.len(),
        page_p50_ms: percentile(&pages, 0.50),
        page_p99_ms: percentile(&pages, 0.99),
        tidying_p50_ms: percentile(&slices, 0.50),
        tidying_p999_ms: percentile(&slices, 0.999),
    })
}

/// Which reservation has which window.
#[derive(Clone)]
struct World {
    evses: u64,
    first: Timestamp,
}

impl World {
    /// No two of them ever want the same window of an EVSE.
    fn hold(&self, number: u64, after: Duration) -> Result<Hold> {
        let asker = OperatorId::new(ASKER)?;
        let transaction = TransactionId {
            coordinator: asker.clone(),
            store: StoreId(7),
            epoch: 1,
            counter: number,
            nonce: u128::from(number) << 64 | after.as_millis(),
        };
        let start = self.first + after + WINDOW * u32::try_from(number / self.evses)?;
        let evse = EvseId::new(&evse_name(usize::try_from(number % self.evses)?))?;
        let vehicle = VehicleId::new(&format!("car-{number}-{}", after.as_secs()))?;
        Ok(Hold {
            transaction,
            key: RequestKey { vehicle, request: RequestId::new("1")? },
            plug: None,
            participants: vec![asker, OperatorId::new(COMPANY)?],
            stores: [].into(),
            priority: self.first,
            stops: vec![Stop { number: 0, evse, window: TimeWindow::new(start, start + WINDOW)? }],
            replaces: None,
        })
    }
}

fn fill(data_dir: &Path, world: &World, reservations: u64) -> Result<()> {
    let mut store = RedbStore::open(data_dir, &OperatorId::new(COMPANY)?)?;
    store.boot(StoreId(1))?;
    let mut number = 0;
    while number < reservations {
        let end = reservations.min(number + BATCH);
        let records: Result<Vec<Record>> = (number..end)
            .map(|number| {
                let hold = Arc::new(world.hold(number, Duration::ZERO)?);
                Ok(Record::Fact(Fact::Branch(hold.transaction.clone(), Branch::Confirmed { hold })))
            })
            .collect();
        store.append(&records?)?;
        number = end;
    }
    Ok(())
}

type Times = Vec<Duration>;

// Sorted times of holds and of pages.
async fn load(url: &str, world: World, time: Duration) -> Result<(Times, Times)> {
    let authority: Rc<str> = url.strip_prefix("http://").context("a URL begins with http://")?.into();
    let end = Instant::now() + time;
    let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
    for place in 0..WRITERS {
        writers.spawn_local(write(authority.clone(), world.clone(), place as u64, end));
    }
    for place in 0..READERS {
        readers.spawn_local(read(authority.clone(), place, end));
    }
    let mut times = [Vec::new(), Vec::new()];
    for (all, running) in times.iter_mut().zip([&mut writers, &mut readers]) {
        while let Some(ended) = running.join_next().await {
            all.extend(ended.context("a client ended badly")??);
        }
        all.sort_unstable();
    }
    let [holds, pages] = times;
    Ok((holds, pages))
}

// Holds fresh windows a year ahead, and confirms each; the time is that of the hold.
async fn write(authority: Rc<str>, world: World, place: u64, end: Instant) -> Result<Times> {
    let mut connection = Connection::open(&authority).await?;
    let head = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {TOKEN}\r\n"
        )
    };
    let (hold_head, confirm_head) = (head("/reserva-temporaria"), head("/confirmar-reserva"));
    let (mut took, mut number) = (Vec::new(), place);
    while Instant::now() < end {
        let hold = world.hold(number, DAY * 366)?;
        number += WRITERS as u64;
        let body =
            recarga_wire::encode(&HoldRequest::new(&hold, Firmness::Prepared, Duration::from_secs(30)));
        let begun = Instant::now();
        expect(201, connection.exchange(&hold_head, &body).await?)?;
        took.push(begun.elapsed());
        let confirm = recarga_wire::encode(&ConfirmRequest::new(&hold.transaction));
        expect(200, connection.exchange(&confirm_head, &confirm).await?)?;
    }
    Ok(took)
}

// Pages by state and plug, around a place, and one after the other through the whole offer.
async fn read(authority: Rc<str>, place: usize, end: Instant) -> Result<Times> {
    let mut connection = Connection::open(&authority).await?;
    let (mut took, mut number, mut cursor) = (Vec::new(), place, String::new());
    while Instant::now() < end {
        number += 1;
        let query = match number % 3 {
            0 => {
                format!("uf={}&plugue=IEC_62196_T2_COMBO&potencia_min_kw=100", STATES[number % STATES.len()])
            }
            1 => "lat=-12.9&lon=-38.5&raio_km=60".to_owned(),
            _ => format!("cursor={cursor}"),
        };
        let head = format!("GET /disponibilidade?limite=100&{query} HTTP/1.1\r\nHost: {authority}\r\n");
        let begun = Instant::now();
        let body = expect(200, connection.exchange(&head, &[]).await?)?;
        took.push(begun.elapsed());
        if number % 3 == 2 {
            let page: serde_json::Value = serde_json::from_slice(body).context("a page is no JSON")?;
            cursor = page["proximo"].as_str().unwrap_or_default().to_owned();
        }
    }
    Ok(took)
}

fn expect(status: u16, (found, body): (u16, &[u8])) -> Result<&[u8]> {
    if found != status {
        bail!("status {found} instead of {status}: {}", String::from_utf8_lossy(body));
    }
    Ok(body)
}

fn evse_name(number: usize) -> String {
    format!("L{:05}-{:02}", number / EVSES_PER_LOCATION, number % EVSES_PER_LOCATION)
}

fn configuration(evses: usize, port: u16, data_dir: &Path) -> String {
    let data_dir = toml::Value::String(data_dir.display().to_string());
    let mut text = format!(
        "[operator]\nid = \"{COMPANY}\"\nname = \"{COMPANY}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {data_dir}\n\
         [limits]\nclient_requests_per_second_max = 0\npeer_requests_per_second_max = 0\nahead_days_max = 3650\n\
         [[peers]]\nid = \"{ASKER}\"\nurl = \"http://127.0.0.1:1\"\ntoken = \"bench-a-to-x\"\naccepts = \"{TOKEN}\"\n"
    );
    for location in 0..evses.div_ceil(EVSES_PER_LOCATION) {
        // Over a country of 20 by 20 degrees.
        let (north, east) =
            ((location * 7919 % 2000) as f64 / 100.0, (location * 104_729 % 2000) as f64 / 100.0);
        let _ = write!(
            text,
            "\n[[locations]]\nid = \"L{location:05}\"\nname = \"Bench {location}\"\ncity = \"Salvador\"\nstate = \"{}\"\n\
             latitude = {}\nlongitude = {}\ntime_zone = \"America/Bahia\"\ntariff = {{ price_kwh = 2.0 }}\nevses = [\n",
            STATES[location % STATES.len()],
            -20.0 + north,
            -50.0 + east,
        );
        let first = location * EVSES_PER_LOCATION;
        for evse in first..evses.min(first + EVSES_PER_LOCATION) {
            let power = [60, 120, 150][evse % 3];
            let _ = writeln!(
                text,
                "  {{ id = \"{}\", connectors = [{{ id = \"1\", plug = \"IEC_62196_T2_COMBO\", power_kw = {power} }}] }},",
                evse_name(evse)
            );
        }
        text.push_str("]\n");
    }
    text
}

// Everything is forgotten, as the node would if all of it had ended. Sorted times of looking and of forgetting.
fn tidy(data_dir: &Path) -> Result<Times> {
    let operator = OperatorId::new(COMPANY)?;
    let mut participant = Participant::new(operator.clone(), StoreId(1), [], HoldLimits::default());
    let now = SystemClock::new().now();
    RedbStore::open(data_dir, &operator)?.each(&mut |record| {
        if let Record::Fact(Fact::Branch(transaction, branch)) = record {
            participant.restore(transaction, branch, now);
        }
    })?;
    let long_after = Now { utc: now.utc + DAY * 36_600, ..now };
    let (mut took, mut after) = (Vec::new(), None);
    loop {
        let begun = Instant::now();
        let old = participant.old(long_after, after.as_ref(), tidying::SLICE);
        took.push(begun.elapsed());
        let begun = Instant::now();
        let _ = participant.forget(&old.past, long_after);
        took.push(begun.elapsed());
        after = old.next;
        if after.is_none() {
            break;
        }
    }
    took.sort_unstable();
    Ok(took)
}

fn memory_mb(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("{path} has no VmRSS"))? * 1024.0 / 1e6)
}

fn print(size: &Size, is_first: bool) {
    if is_first {
        say!(
            "{:>12} {:>7} {:>9} {:>8} {:>9} {:>8} {:>11} {:>11} {:>11} {:>11} {:>12}",
            "reservations",
            "EVSEs",
            "file MB",
            "start s",
            "memory MB",
            "holds/s",
            "hold p50 ms",
            "hold p99 ms",
            "page p50 ms",
            "page p99 ms",
            "tidying p999"
        );
    }
    say!(
        "{:>12} {:>7} {:>9.0} {:>8.2} {:>9.0} {:>8.0} {:>11.2} {:>11.2} {:>11.2} {:>11.2} {:>12.3}",
        size.reservations,
        size.evses,
        size.database_mb,
        size.start_seconds,
        size.memory_mb,
        size.holds_per_second,
        size.hold_p50_ms,
        size.hold_p99_ms,
        size.page_p50_ms,
        size.page_p99_ms,
        size.tidying_p999_ms,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_offers_what_the_reservations_are_of() {
        let text = configuration(50, 1, Path::new("/somewhere"));
        let config = recarga_node::config::Config::parse(&text, "bench", Path::new("."), &|_| None).unwrap();
        let evses: Vec<_> =
            config.stations.iter().flat_map(|one| &one.evses).map(|evse| evse.id.clone()).collect();
        assert_eq!(evses.len(), 50);
        let world = World { evses: 50, first: Timestamp::from_millis(0) };
        for number in 0..200 {
            assert!(evses.contains(&world.hold(number, Duration::ZERO).unwrap().stops[0].evse));
        }
    }
}
