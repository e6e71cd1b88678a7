//! `recarga demo`: a broker, three companies and cars on this machine; at the end, an audit of all three databases.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use recarga_mqtt::broker::{BrokerOptions, EmbeddedBroker};
use recarga_node::config::Config;
use recarga_vehicle::fleet::Credentials;
use tokio::time::interval;

use crate::audit;
use crate::broker::accounts;
use crate::client::Client;
use crate::company::Company;
use crate::serve::{raise_file_limit, stop_signal};
use crate::vehicles::{Cars, Drive};

/// The companies of the demo network, as an operator would configure them.
const COMPANIES: [(&str, &str); 3] = [
    ("empresa-a", include_str!("../../../networks/demo/empresa-a.toml")),
    ("empresa-b", include_str!("../../../networks/demo/empresa-b.toml")),
    ("empresa-c", include_str!("../../../networks/demo/empresa-c.toml")),
];
/// How long a company may take to start.
const READY_MAX: Duration = Duration::from_secs(20);
/// How long the companies may take to tell each other what they still owe.
const SETTLE_MAX: Duration = Duration::from_secs(15);
/// How often it is checked that the companies are alive.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// Start three companies, a broker and cars, and watch trips being booked.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga demo                      until Ctrl-C, then an audit of all three databases
  recarga demo --trips 100          until 100 trips are booked
  recarga demo --for 60s --cars 500 --speed 3000
  recarga demo --data ./demo-data   keeps the databases, and continues with them the next time

The companies answer at http://127.0.0.1:8001, 8002 and 8003 (try /docs), the broker at mqtt://127.0.0.1:1883.
Each company is a process of its own: kill one and watch it recover.
Exit status: 0 only if every trip is all or nothing and no EVSE is booked twice.")]
pub struct Arguments {
    /// Where the databases and logs go; without it, to a temporary folder that is removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// The broker's port.
    #[arg(long, default_value_t = 1883, value_name = "PORT")]
    mqtt_port: u16,

    #[command(flatten)]
    drive: Drive,
}

/// Runs the demo until a signal, the time or the trips are over, and audits.
///
/// # Errors
/// A port is in use, or a company cannot be started.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    raise_file_limit();
    crate::runtime()?.block_on(demo(arguments))
}

async fn demo(arguments: Arguments) -> Result<ExitCode> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let temporary =
        tempfile::Builder::new().prefix("recarga-demo-").tempdir().context("cannot make a folder")?;
    let folder = arguments.data.as_deref().unwrap_or(temporary.path());
    let (broker, mut federation) = start(folder, arguments.mqtt_port).await?;
    let stations = federation
        .configs
        .iter()
        .flat_map(|config| config.stations.iter().map(|station| (config.operator.clone(), station.clone())));
    let mut cars = Cars::start(&broker.url(), Credentials::None, stations.collect(), &arguments.drive)?;
    let mut check = interval(CHECK_EVERY);
    while !cars.are_done() {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = check.tick() => federation.revive(&mut cars).await?,
            () = cars.watch() => {}
        }
    }
    let picture = cars.stop().await;
    say!("{}", picture.summary());
    // What the companies still owe each other is a matter of milliseconds, but let nobody be caught in the middle.
    if let Err(error) = audit::nodes(&federation.clients()?, SETTLE_MAX).await {
        say!("a company could not be asked whether all is settled: {error:#}");
    }
    federation.stop().await?;
    broker.shutdown().await;
    say!("\nAudit of all three databases:");
    let verdict = audit::folders(&federation.folders())?;
    audit::print(&verdict);
    if picture.confirmed == 0 && arguments.drive.trips.is_some() {
        say!("No trip was booked: there is nothing that this audit could prove.");
        return Ok(ExitCode::FAILURE);
    }
    Ok(verdict.exit_code())
}

async fn start(folder: &Path, mqtt_port: u16) -> Result<(EmbeddedBroker, Federation)> {
    let mut configs = Vec::new();
    for (name, text) in COMPANIES {
        // Without the environment: variables meant for one company must not change three.
        configs.push(Config::parse(text, &format!("{name}.toml"), Path::new("."), &|_| None)?);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mqtt_port));
    let broker = EmbeddedBroker::start(BrokerOptions::new(address, accounts(&configs)?)).await?;
    say!("broker     {}", broker.url());
    let mut federation =
        Federation { companies: Vec::new(), configs, broker_url: broker.url(), folder: folder.into() };
    for place in 0..COMPANIES.len() {
        let company = federation.start_company(place)?;
        federation.companies.push(company);
    }
    for (company, config) in federation.companies.iter_mut().zip(&federation.configs) {
        company.wait_ready(READY_MAX).await?;
        let evses: usize = config.stations.iter().map(|station| station.evses.len()).sum();
        say!(
            "{}  {}/docs  {} ({} locations, {evses} EVSEs, process {})",
            config.operator,
            company.url(),
            config.name,
            config.stations.len(),
            company.pid(),
        );
    }
    say!("data and logs in {}\n", folder.display());
    Ok((broker, federation))
}

// The three companies, each a process.
struct Federation {
    companies: Vec<Company>,
    configs: Vec<Config>,
    broker_url: String,
    folder: PathBuf,
}

impl Federation {
    fn start_company(&self, place: usize) -> Result<Company> {
        let (name, text) = COMPANIES[place];
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join(format!("{name}.toml"));
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let (listen, data) = (self.configs[place].listen.to_string(), folder.display().to_string());
        let environment = [
            ("RECARGA_LISTEN", listen.as_str()),
            ("RECARGA_DATA", &data),
            ("RECARGA_MQTT_URL", &self.broker_url),
        ];
        Company::start(&program, &config, &folder, &environment)
    }

    // A company that died, or was killed by whoever watches, is started again.
    async fn revive(&mut self, cars: &mut Cars) -> Result<()> {
        for (place, (name, _)) in COMPANIES.iter().enumerate() {
            if let Some(status) = self.companies[place].try_wait()? {
                cars.picture.note(&format!("{name} has died ({status}); starting it again"));
                let mut company = self.start_company(place)?;
                company.wait_ready(READY_MAX).await?;
                cars.picture.note(&format!("{name} is back (process {})", company.pid()));
                self.companies[place] = company;
            }
        }
        Ok(())
    }

    fn clients(&self) -> Result<Vec<Client>> {
        let client = |(company, config): (&Company, &Config)| {
            let token = config.operator_token.as_ref().map(|token| token.expose().to_owned());
            Client::new(company.url(), token)
        };
        self.companies.iter().zip(&self.configs).map(client).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        self.companies.iter().map(|company| company.data_dir().to_owned()).collect()
    }

    async fn stop(&mut self) -> Result<()> {
        for company in &mut self.companies {
            company.stop().await?;
        }
        Ok(())
    }
}
