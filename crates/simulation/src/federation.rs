//! Whole nodes in virtual time: their real routes, HTTP client, tasks and database.
//!
//! What is simulated is what a node is given: time and chance ([`clock`]), the network ([`network`]) and the disk
//! ([`disk`]). One seed says everything that happens, so a failure can be walked through again and again.

pub mod canary;
pub mod clock;
pub mod company;
pub mod disk;
pub mod driver;
pub mod faults;
pub mod history;
pub mod monitor;
pub mod network;
pub mod notary;
pub mod settings;
pub mod simulation;
pub mod tally;
pub mod verdict;

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use self::canary::Canary;
use self::settings::Settings;
use self::simulation::{Report, simulate};
use self::tally::Tally;

/// Whole nodes on simulated disks, clocks and networks, with faults, one simulation per seed.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga-simulation federation --seeds 1000                  the first thousand seeds, five companies
  recarga-simulation federation --companies 10 --seeds 100
  recarga-simulation federation --seeds 40 --twice            each twice: both runs must be the same
  recarga-simulation federation --seed 17 --trace             one seed, every event printed
  recarga-simulation federation --canaries                    records broken on purpose: each must be noticed

Exit status: 0 if no seed broke an invariant, 1 otherwise, 2 wrong arguments.")]
pub struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,

    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,

    /// Run only this one.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,

    /// How many companies take part.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=32))]
    companies: u8,

    /// Print every event.
    #[arg(long, requires = "seed")]
    trace: bool,

    /// Run each seed twice and compare everything that happened.
    #[arg(long)]
    twice: bool,

    /// Break the record on purpose, and look for the first seed that notices.
    #[arg(long, value_name = "WHICH")]
    canary: Option<Canary>,

    /// Break the record in every way, one after the other, each for up to `--seeds` seeds; all must be noticed.
    #[arg(long, conflicts_with_all = ["canary", "seed", "twice"])]
    canaries: bool,

    /// Simulations at the same time; as many as there are processors if absent.
    #[arg(long)]
    threads: Option<usize>,
}

/// Runs the seeds; false if any broke an invariant.
pub fn run(arguments: &Arguments) -> bool {
    if arguments.trace {
        log();
    }
    if arguments.canaries { canaries(arguments) } else { seeds(arguments) }
}

// What the nodes log, with virtual time, among the events.
fn log() {
    let filter = EnvFilter::builder().parse_lossy("recarga_node=debug");
    tracing_subscriber::fmt().with_env_filter(filter).with_timer(VirtualTime).with_ansi(false).init();
}

struct VirtualTime;

impl FormatTime for VirtualTime {
    fn format_time(&self, into: &mut Writer<'_>) -> fmt::Result {
        write!(into, "{:9.3} s", turmoil::sim_elapsed().unwrap_or_default().as_secs_f64())
    }
}

fn seeds(arguments: &Arguments) -> bool {
    let (from, count) = arguments.seed.map_or((arguments.from, arguments.seeds), |seed| (seed, 1));
    let (tally, failure) = run_many(arguments, arguments.canary, from, count);
    println!("{} seeds from {from}, {} companies\n{tally}", tally.seeds, arguments.companies);
    let Some((seed, what)) = failure else {
        println!("Nothing was split, lost, booked twice or left open.");
        return true;
    };
    let canary = arguments.canary.and_then(|canary| clap::ValueEnum::to_possible_value(&canary));
    let canary = canary.map_or(String::new(), |canary| format!(" --canary {}", canary.get_name()));
    let companies = arguments.companies;
    println!("SEED {seed}: {what}");
    println!(
        "to repeat: cargo run --release -p recarga-simulation -- federation --companies {companies} --seed {seed}{canary} \
         --trace"
    );
    false
}

fn canaries(arguments: &Arguments) -> bool {
    let mut all_noticed = true;
    for canary in Canary::ALL {
        let (tally, failure) = run_many(arguments, Some(canary), arguments.from, arguments.seeds);
        match failure {
            Some((seed, what)) => {
                let what: String = what.chars().take(120).collect();
                println!("{canary:?}: noticed by seed {seed}: {what}");
            }
            None => {
                all_noticed = false;
                println!("{canary:?}: NOT NOTICED by {} seeds", tally.seeds);
            }
        }
    }
    all_noticed
}

// Runs seeds on all processors, until the first that fails; of several at the same time, the smallest.
fn run_many(
    arguments: &Arguments,
    canary: Option<Canary>,
    from: u64,
    count: u64,
) -> (Tally, Option<(u64, String)>) {
    let next = AtomicU64::new(from);
    let found: Mutex<(Tally, Option<(u64, String)>)> = Mutex::default();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let progress = Progress::new(count, canary.is_some());
    thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(processors).max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let report = run_one(arguments, canary, seed);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.0 += report.tally;
                    progress.show(&found.0);
                    if let Some(what) = report.violation {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        if found.1.as_ref().is_none_or(|(known, _)| seed < *known) {
                            found.1 = Some((seed, what));
                        }
                    }
                }
            });
        }
    });
    progress.end();
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_one(arguments: &Arguments, canary: Option<Canary>, seed: u64) -> Report {
    let settings = Settings::of(seed, usize::from(arguments.companies));
    let mut report = simulate(settings.clone(), canary, arguments.trace);
    if arguments.twice && report.violation.is_none() {
        let again = simulate(settings, canary, false);
        if again.fingerprint != report.fingerprint {
            let (first, second) = (report.fingerprint, again.fingerprint);
            report.violation = Some(format!("two runs differ: {first:x?} and {second:x?}"));
        }
    }
    report
}

/// One line on the standard error that says how far it is, if a person looks.
struct Progress {
    count: u64,
    is_shown: bool,
    begun: std::time::Instant,
}

impl Progress {
    #[expect(clippy::disallowed_methods, reason = "how long people have to wait is no part of a simulation")]
    fn new(count: u64, is_quiet: bool) -> Self {
        let is_shown = !is_quiet && io::IsTerminal::is_terminal(&io::stderr());
        Self { count, is_shown, begun: std::time::Instant::now() }
    }

    fn show(&self, tally: &Tally) {
        if !self.is_shown {
            return;
        }
        let took = self.begun.elapsed().as_secs_f64();
        let left = took / tally.seeds as f64 * (self.count - tally.seeds) as f64;
        // Nobody need read it.
        let _ = write!(
            io::stderr(),
            "\r{} of {} seeds, {} trips confirmed, about {left:.0} s left   ",
            tally.seeds,
            self.count,
            tally.confirmed
        );
    }

    fn end(&self) {
        if self.is_shown {
            let _ = writeln!(io::stderr());
        }
    }
}
