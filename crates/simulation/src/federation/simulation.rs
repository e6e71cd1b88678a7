//! One simulation from its beginning to its verdict.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use turmoil::{Builder, Sim};

use crate::federation::canary::Canary;
use crate::federation::clock::BEGINNING;
use crate::federation::company::Company;
use crate::federation::driver::Driver;
use crate::federation::faults::Faults;
use crate::federation::history::{History, Told};
use crate::federation::monitor::{Monitor, Rest};
use crate::federation::notary::Notary;
use crate::federation::settings::Settings;
use crate::federation::tally::Tally;
use crate::federation::verdict::Books;

/// One step of virtual time.
const TICK: Duration = Duration::from_millis(5);
/// How long anything may be in doubt after the last fault.
const DOUBT_MAX: Duration = Duration::from_secs(10);
/// How long it may take until every driver is answered and nothing is owed.
const REST_MAX: Duration = Duration::from_secs(30);

/// What became of a simulation.
#[derive(Clone, Debug)]
pub struct Report {
    /// What must never happen and did.
    pub violation: Option<String>,
    /// Stands for all that happened; the same in every run of the same seed.
    pub fingerprint: (u64, u64),
    /// What happened, counted.
    pub tally: Tally,
}

/// Runs the simulation of a seed. `is_printed` prints every event on the standard output.
pub fn simulate(settings: Settings, canary: Option<Canary>, is_printed: bool) -> Report {
    let history = if is_printed { History::printed() } else { History::default() };
    let settings = Arc::new(settings);
    let notary = Notary::new(history.clone());
    let companies: Vec<Company> = (0..settings.companies)
        .map(|number| Company::new(number, &settings, canary, notary.clone()))
        .collect();
    let mut sim = Builder::new()
        .rng_seed(settings.seed)
        .enable_random_order()
        .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(BEGINNING.as_millis().unsigned_abs()))
        .tick_duration(TICK)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(10))
        .simulation_duration(Duration::from_secs(3600))
        .tcp_capacity(1024)
        .build();
    for company in companies.clone() {
        let name = company.name.clone();
        sim.host(name, move || company.clone().run());
    }
    let crowd = Crowd::populate(&mut sim, &settings, &history);
    let faults = Faults::new(&settings, companies.clone(), history.clone());
    let mut tally = run(&mut sim, &settings, faults, &crowd, &history);
    // Processes end before their disks are read.
    drop(sim);
    if history.violation().is_none() {
        judge(&companies, &history);
    }
    tally.rest_max = crowd.rest.lock().map(|rest| *rest).unwrap_or_default();
    if tally.rest_max.doubtless > DOUBT_MAX {
        history.violated(format!("in doubt for {:?} after the last fault", tally.rest_max.doubtless));
    }
    count_answers(&mut tally, &history);
    Report { violation: history.violation(), fingerprint: history.fingerprint(), tally }
}

// Everybody who is no company.
struct Crowd {
    closing: Arc<AtomicBool>,
    healed: Arc<AtomicBool>,
    driving: Arc<AtomicUsize>,
    rest: Arc<Mutex<Rest>>,
}

impl Crowd {
    fn populate(sim: &mut Sim<'_>, settings: &Arc<Settings>, history: &History) -> Self {
        let crowd = Self {
            closing: Arc::default(),
            healed: Arc::default(),
            driving: Arc::new(AtomicUsize::new(settings.drivers)),
            rest: Arc::default(),
        };
        for number in 0..settings.drivers {
            let driver = Driver::new(number, settings.clone(), history.clone(), crowd.closing.clone());
            let driving = crowd.driving.clone();
            sim.client(format!("motorista-{number}"), async move {
                driver.drive().await;
                driving.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            });
        }
        let monitor = Monitor {
            companies: settings.companies,
            healed: crowd.healed.clone(),
            driving: crowd.driving.clone(),
            history: history.clone(),
        };
        let rest = crowd.rest.clone();
        sim.client("monitor", async move {
            let took = monitor.watch().await;
            if let Ok(mut rest) = rest.lock() {
                *rest = took;
            }
            Ok(())
        });
        crowd
    }
}

fn run(
    sim: &mut Sim<'_>,
    settings: &Settings,
    mut faults: Faults,
    crowd: &Crowd,
    history: &History,
) -> Tally {
    while history.violation().is_none() {
        match sim.step() {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => {
                history.violated(format!("a process ended by itself: {error}"));
                break;
            }
        }
        let elapsed = sim.elapsed();
        history.is_now(elapsed);
        if elapsed < settings.unrest {
            faults.act(sim);
            continue;
        }
        crowd.closing.store(true, Ordering::Relaxed);
        faults.heal(sim);
        crowd.healed.store(true, Ordering::Relaxed);
        let driving = crowd.driving.load(Ordering::Relaxed);
        let most = settings.unrest + REST_MAX;
        if elapsed > most {
            history.violated(format!(
                "not at rest {} s after the last fault; {driving} drivers have no answer",
                (elapsed - settings.unrest).as_secs()
            ));
        }
    }
    faults.tally
}

fn judge(companies: &[Company], history: &History) {
    let mut books = Books::default();
    for company in companies {
        match (company.durable_records(), company.name.parse()) {
            (Ok(records), Ok(name)) => books.add(&name, records),
            (Err(error), _) => return history.violated(format!("{}: {error}", company.name)),
            (_, Err(error)) => return history.violated(format!("{}: {error}", company.name)),
        }
    }
    history.note(format_args!("{books:?}"));
    if let Some(complaint) = books.complaint(&history.requests()) {
        history.violated(complaint);
    }
}

fn count_answers(tally: &mut Tally, history: &History) {
    tally.seeds = 1;
    for request in history.requests().values() {
        tally.requests += 1;
        let confirmed = request.told.iter().any(|told| matches!(told, Told::Confirmed(_)));
        tally.confirmed += u64::from(confirmed);
        tally.refused += u64::from(!confirmed && !request.told.is_empty());
        tally.cancelled += u64::from(request.cancelled);
        tally.changed += u64::from(request.changed_by.is_some());
    }
}
