//! `recarga bench trips`: durable three-company trips a second.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::clock::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::disk::{self, FileSystem, SyncRate};
use super::federation::{COMPANIES, Federation, ONE_CITY, Target};
use super::figures;
use super::load::{Load, Trips};
use super::report::{Level, Report};
use crate::client::Client;

const WARM_UP: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SYNC_TIME: Duration = Duration::from_secs(1);

/// Book trips with one stop at each of three companies, as fast as they can.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga bench trips
  recarga bench trips --clients 1,64 --seconds 30 --data /var/tmp
  recarga bench trips --quick --json
  recarga bench trips --target http://a:8001,http://b:8001,http://c:8001 --operator-token A,B,C

Without --target it starts three nodes of this program, each a process with a database of its own, and stops, audits
and removes them at the end. Every trip is durable at all three companies when its client has the answer.

With --target the nodes must let one address send as many requests as it likes (limits.client_requests_per_second_max
= 0), and have nothing reserved from --first-day on.

Exit status: 0 measured and the audit holds, 1 not, 2 wrong arguments, 3 something is still unsettled.")]
pub struct Arguments {
    /// How many clients book at the same time, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,16,64", value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: Vec<u16>,

    /// How long each measurement takes.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,

    /// Measure for 2 seconds each.
    #[arg(long, conflicts_with = "seconds")]
    quick: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// A folder on the disk to measure; by default ./target, or the folder for temporary files.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// The program to start three times; by default this one.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,

    /// Keep the databases and logs.
    #[arg(long)]
    keep: bool,

    /// Nodes that run already: three URLs.
    #[arg(long, value_name = "URL,URL,URL", value_delimiter = ',', num_args = 1, conflicts_with_all = ["data", "program", "keep"])]
    target: Vec<String>,

    /// With --target: the day on which the first trip starts, from now; what earlier runs have reserved is refused.
    #[arg(long, default_value_t = 1, requires = "target", value_parser = clap::value_parser!(u16).range(1..=3600))]
    first_day: u16,

    /// With --target: the nodes' processes, if they run on this machine, for their processor time.
    #[arg(long, value_name = "PID,PID,PID", value_delimiter = ',', num_args = 1, requires = "target")]
    process: Vec<u32>,

    /// With --target: what opens the nodes to drivers, if they ask for it.
    #[arg(long, requires = "target", env = "RECARGA_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// With --target: the operators' tokens, in the same order, for the audit at the end.
    #[arg(long, value_name = "TOKEN,TOKEN,TOKEN", value_delimiter = ',', num_args = 1, requires = "target")]
    operator_token: Vec<String>,
}

/// Measures and audits.
///
/// # Errors
/// The nodes cannot be started or reached.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    if !arguments.target.is_empty() && arguments.target.len() != COMPANIES {
        bail!("--target needs {COMPANIES} URLs with commas between them");
    }
    crate::serve::raise_file_limit();
    // One thread: the clients are to leave the nodes as much of the machine as they can.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(async {
        match arguments.target.is_empty() {
            true => measure_own(&arguments).await,
            false => measure_others(&arguments).await,
        }
    })
}

async fn measure_own(arguments: &Arguments) -> Result<ExitCode> {
    let folder = folder(arguments)?;
    let file_system = FileSystem::of(folder.path())?;
    if file_system.is_memory() {
        eprintln!(
            "warning: {} is on {}, which is memory: nothing is durable there and the figures mean nothing; \
             choose another folder with --data",
            folder.path().display(),
            file_system.kind
        );
    }
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().context("cannot find this program's own file")?,
    };
    let mut federation = Federation::start(&program, folder.path(), ONE_CITY, "").await?;
    let urls: Vec<String> = federation.companies.iter().map(|one| one.url().to_owned()).collect();
    let pids: Vec<u32> = federation.companies.iter().map(|one| one.pid()).collect();
    let bench = Bench::new(arguments, &urls, Some(pids), Some(folder.path())).await?;
    let mut report = bench.measure().await?;
    report.file_system = Some(file_system);
    federation.stop().await?;
    let verdict = crate::audit::folders(&federation.folders())?;
    finish(arguments, report, Some(&verdict))
}

async fn measure_others(arguments: &Arguments) -> Result<ExitCode> {
    let pids = (!arguments.process.is_empty()).then(|| arguments.process.clone());
    let bench = Bench::new(arguments, &arguments.target, pids, None).await?;
    let report = bench.measure().await?;
    let pairs = arguments.target.iter().zip(&arguments.operator_token);
    let nodes: Result<Vec<Client>> =
        pairs.map(|(url, token)| Client::new(url, Some(token.clone()))).collect();
    let nodes = nodes?;
    if nodes.is_empty() {
        eprintln!("not audited: that takes the operators' tokens (--operator-token)");
        return finish(arguments, report, None);
    }
    let verdict = crate::audit::nodes(&nodes, Duration::from_secs(10)).await?;
    finish(arguments, report, Some(&verdict))
}

fn finish(
    arguments: &Arguments,
    mut report: Report,
    verdict: Option<&crate::audit::Verdict>,
) -> Result<ExitCode> {
    report.audit_holds = verdict.map(crate::audit::Verdict::holds);
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
        if let Some(verdict) = verdict {
            say!();
            crate::audit::print(verdict);
        }
    }
    let measured = report.levels.iter().all(|level| level.trips > 0 && level.failed == 0);
    Ok(match verdict {
        Some(verdict) if measured => verdict.exit_code(),
        None if measured => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn folder(arguments: &Arguments) -> Result<TempDir> {
    let mut folder = super::folder(arguments.data.as_deref())?;
    if arguments.keep {
        folder.disable_cleanup(true);
        eprintln!("databases and logs are kept in {}", folder.path().display());
    }
    Ok(folder)
}

// One line that is written over, and nothing where nobody looks.
fn show_progress(clients: usize, booked: u64, time: Duration) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let rate = booked as f64 / time.as_secs_f64();
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(out, "\r{clients:>4} clients {:>4.0} s {rate:>7.0} trips/s \r", time.as_secs_f64());
        let _ = out.flush();
    }
}

struct Bench {
    trips: Arc<Trips>,
    nodes: Vec<Client>,
    pids: Option<Vec<u32>>,
    folder: Option<PathBuf>,
    clients: Vec<usize>,
    time: Duration,
}

impl Bench {
    async fn new(
        arguments: &Arguments,
        urls: &[String],
        pids: Option<Vec<u32>>,
        folder: Option<&Path>,
    ) -> Result<Bench> {
        let mut targets = Vec::new();
        let mut nodes = Vec::new();
        for url in urls {
            targets.push(Target::find(url).await?);
            nodes.push(Client::new(url, None)?);
        }
        let clock = SystemClock::new();
        let run = format!("{:08x}", clock.nonce() >> 96);
        let first = clock.now().utc + DAY * u32::from(arguments.first_day);
        let trips = Trips::new(targets, arguments.token.as_deref(), first, run)?;
        let seconds = if arguments.quick { 2 } else { arguments.seconds };
        Ok(Bench {
            trips: Arc::new(trips),
            nodes,
            pids,
            folder: folder.map(Path::to_owned),
            clients: arguments.clients.iter().map(|one| usize::from(*one)).collect(),
            time: Duration::from_secs(seconds.into()),
        })
    }

    // The disk alone is measured between the levels too, as it may change its mind during the run.
    async fn measure(&self) -> Result<Report> {
        let mut syncs: Vec<SyncRate> = self.sync()?.into_iter().collect();
        let mut levels = Vec::new();
        for clients in &self.clients {
            let before = syncs.last().copied();
            let (seen, snapshots, time) = self.level(*clients).await?;
            let after = self.sync()?;
            let around: Vec<SyncRate> = before.into_iter().chain(after).collect();
            let disk = (!around.is_empty()).then(|| SyncRate::mean(&around));
            levels.push(Level::new(*clients, time, seen, snapshots, disk));
            syncs.extend(after);
        }
        Ok(Report {
            file_system: None,
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            levels,
            disk: (!syncs.is_empty()).then(|| SyncRate::mean(&syncs)),
            audit_holds: None,
        })
    }

    async fn level(&self, clients: usize) -> Result<(super::load::Seen, [figures::Snapshot; 2], Duration)> {
        let load = Load::start(&self.trips, clients);
        sleep(WARM_UP.min(self.time / 2)).await;
        let before = figures::look(self.pids.as_deref(), &self.nodes).await?;
        load.measure();
        let begun = Instant::now();
        while begun.elapsed() < self.time {
            let left = self.time.saturating_sub(begun.elapsed());
            sleep(left.min(Duration::from_secs(1))).await;
            show_progress(clients, load.booked(), begun.elapsed());
        }
        load.end_measuring();
        let time = begun.elapsed();
        let after = figures::look(self.pids.as_deref(), &self.nodes).await?;
        let seen = load.finish().await?;
        Ok((seen, [before, after], time))
    }

    fn sync(&self) -> Result<Option<SyncRate>> {
        self.folder
            .as_deref()
            .map(|folder| disk::measure_sync(folder, SYNC_TIME.min(self.time / 2)))
            .transpose()
    }
}
