//! One company in the simulation: the real node on a simulated disk, clock and network.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fastrand::Rng;
use recarga_node::app::{Node, Setup};
use recarga_node::config::Config;
use recarga_node::ledger::Writer;
use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store, StoreError};
use recarga_node::traces::Traces;
use recarga_reservation::OperatorId;

use crate::federation::canary::Canary;
use crate::federation::clock::{SimulatedClock, Skew};
use crate::federation::disk::{Disk, Mounted};
use crate::federation::network::{Connector, PORT, Port};
use crate::federation::notary::Notary;
use crate::federation::settings::Settings;

/// Small, so that both halves of the journal are used and taken into the tables all the time.
const JOURNAL_HALF_BYTES: u64 = 16 << 10;

/// Opens every company's audit to whoever checks.
pub const OPERATOR_TOKEN: &str = "operator-token";

/// A company: what survives its processes.
#[derive(Clone)]
pub struct Company {
    /// Its name, and that of its host.
    pub name: String,
    /// Its disk.
    pub disk: Disk,
    /// How wrong its wall clock is.
    pub skew: Skew,
    /// Its process has found that it cannot write, and must be ended at once.
    pub gave_up: Arc<AtomicBool>,
    config: Arc<str>,
    drift: u32,
    seed: u64,
    starts: Arc<AtomicU64>,
    canary: Option<Canary>,
    notary: Notary,
}

impl Company {
    /// A company that has never been started.
    pub fn new(number: usize, settings: &Settings, canary: Option<Canary>, notary: Notary) -> Self {
        Self {
            name: Settings::name(number),
            disk: Disk::default(),
            skew: Skew::default(),
            gave_up: Arc::default(),
            config: configuration(number, settings).into(),
            drift: settings.drifts[number],
            seed: settings.seed ^ ((number as u64 + 1) << 40),
            starts: Arc::default(),
            canary,
            notary,
        }
    }

    /// Runs the company's process until it is killed.
    ///
    /// # Errors
    /// It cannot start: its database is damaged.
    pub async fn run(self) -> turmoil::Result {
        let (disk, gave_up) = (self.disk.clone(), self.gave_up.clone());
        match self.serve().await {
            Err(_) if disk.has_refused() => {
                // Nothing was promised yet, and whoever supervises it tries again.
                gave_up.store(true, Ordering::Relaxed);
                std::future::pending().await
            }
            ended => ended,
        }
    }

    async fn serve(self) -> turmoil::Result {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        self.gave_up.store(false, Ordering::Relaxed);
        let config = Config::parse(&self.config, "simulated.toml", Path::new("."), &|_| None)?;
        let mounted = self.disk.mount();
        let life = mounted.life();
        let store = open(mounted, &self.name, &config.operator)?;
        // The notary sees what is really written, whatever a broken record makes of it.
        let store = self.notary.watch(config.operator.clone(), Box::new(store));
        let store = match self.canary {
            Some(canary) => canary.corrupt(store),
            None => store,
        };
        let (disk, gave_up) = (self.disk.clone(), self.gave_up.clone());
        let chance = Rng::with_seed(self.seed.wrapping_add(start));
        let node = Node::start(Setup {
            archive: None,
            config,
            clock: Arc::new(SimulatedClock::new(self.skew.clone(), self.drift, chance)),
            store,
            writer: Writer::Task,
            on_failure: Box::new(move |_| {
                // The process ends here; whoever runs the simulation takes the rest of it away.
                disk.unmount();
                gave_up.store(true, Ordering::Relaxed);
            }),
            connector: {
                let life = life.clone();
                Arc::new(move |_| Connector { life: Some(life.clone()) })
            },
            traces: Traces::off(),
            identity: None,
        })?;
        node.run(Port::listen(life).await?, std::future::pending()).await;
        Ok(())
    }

    /// What is durable, as a company that starts after a power cut would read it.
    ///
    /// # Errors
    /// The database is damaged.
    pub fn durable_records(&self) -> Result<Vec<Record>, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable { path: self.name.clone(), reason };
        let operator: OperatorId = self.name.parse().map_err(|error| unreadable(format!("{error}")))?;
        open(self.disk.copy_of_durable().mount(), &self.name, &operator)?.load()
    }
}

fn open(mounted: Mounted, name: &str, operator: &OperatorId) -> Result<RedbStore, StoreError> {
    let journal = mounted.journal();
    RedbStore::open_on(mounted, journal, JOURNAL_HALF_BYTES, name, operator)
}

fn configuration(number: usize, settings: &Settings) -> String {
    let name = Settings::name(number);
    let mut text = format!(
        "[operator]\nid = \"{name}\"\nname = \"{name}\"\nlisten = \"127.0.0.1:{PORT}\"\ndata_dir = \"nowhere\"\n\
         operator_token = \"{OPERATOR_TOKEN}\"\n"
    );
    // Writing to a String cannot fail.
    for other in (0..settings.companies).filter(|&other| other != number).map(Settings::name) {
        let _ = write!(
            text,
            "[[peers]]\nid = \"{other}\"\nurl = \"http://{other}:{PORT}\"\ntoken = \"from-{name}-to-{other}\"\n\
             accepts = \"from-{other}-to-{name}\"\n"
        );
    }
    // Rates are measured on the machine's own clock, which would make two runs of one seed differ.
    text += "[limits]\noffer_refresh_millis = 0\ninquire_after_millis = 300\ndecide_seconds_max = 2\npeer_answer_seconds_max = 1\n\
             client_requests_per_second_max = 0\npeer_requests_per_second_max = 0\n";
    let _ = write!(
        text,
        "[[locations]]\nid = \"L-{number}\"\nname = \"Posto\"\ncity = \"Salvador\"\nstate = \"BA\"\n\
         latitude = -12.98\nlongitude = -38.46\ntime_zone = \"America/Bahia\"\n\
         tariff = {{ price_kwh = 2.1, activation_fee = 2.0 }}\nevses = [\n"
    );
    for evse in 0..settings.evses {
        let id = Settings::evse(number, evse);
        let connector = "{ id = \"1\", plug = \"IEC_62196_T2_COMBO\", power_kw = 60 }";
        let _ = writeln!(text, "  {{ id = \"{id}\", connectors = [{connector}] }},");
    }
    text + "]\n"
}
