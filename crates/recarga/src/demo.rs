//! `recarga demo`: a broker, three companies and cars on this machine; at the end, an audit of all three databases.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use recarga_mqtt::broker::{BrokerOptions, EmbeddedBroker};
use recarga_vehicle::fleet::Credentials;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use self::federation::Federation;
use crate::audit;
use crate::broker::accounts;
use crate::serve::{raise_file_limit, stop_signal};
use crate::vehicles::{Cars, Drive};

mod federation;
mod panel;
mod relay;
mod watch;

/// Where the page is, unless somebody says otherwise or somebody else is there.
const PANEL_PORT: u16 = 8000;

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

The page that shows all of it is at http://127.0.0.1:8000, the companies answer at http://127.0.0.1:8001, 8002 and 8003
(try /docs), the broker at mqtt://127.0.0.1:1883. Each company is a process of its own: kill, freeze or cut off one, on the
page or from a terminal, and watch it recover.
Exit status: 0 only if every trip is all or nothing and no EVSE is booked twice.")]
pub struct Arguments {
    /// Where the databases and logs go; without it, to a temporary folder that is removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// The broker's port.
    #[arg(long, default_value_t = 1883, value_name = "PORT")]
    mqtt_port: u16,

    /// The first company's port; the others follow.
    #[arg(long, default_value_t = 8001, value_name = "PORT")]
    company_port: u16,

    /// The page's port: 8000 if that is free; 0 for any.
    #[arg(long, value_name = "PORT")]
    panel_port: Option<u16>,

    /// Open the page in a browser.
    #[arg(long)]
    open: bool,

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
    let panel = listen(arguments.panel_port).await?;
    let (broker, federation) = start(folder, arguments.mqtt_port, arguments.company_port).await?;
    let stations: Vec<_> = federation
        .configs()
        .flat_map(|config| config.stations.iter().map(|station| (config.operator.clone(), station.clone())))
        .collect();
    let federation = Arc::new(Mutex::new(federation));
    let side = Side::start(panel, &federation, arguments.open)?;
    let mut cars = Cars::start(&broker.url(), Credentials::None, stations, &arguments.drive)?;
    let mut check = interval(CHECK_EVERY);
    while !cars.are_done() {
        tokio::select! {
            biased;
            () = &mut stop => break,
            _ = check.tick() => {
                let mut federation = federation.lock().await;
                let tended = federation.tend().await;
                federation.take_notes().iter().for_each(|note| cars.picture.note(note));
                tended?;
            }
            () = cars.watch() => {}
        }
    }
    // From here on nobody kills anything.
    side.stop().await;
    let mut federation = federation.lock().await;
    federation.mend().await?;
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

async fn start(folder: &Path, mqtt_port: u16, first_port: u16) -> Result<(EmbeddedBroker, Federation)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, mqtt_port));
    let options = BrokerOptions::new(address, accounts(&federation::configs()?)?);
    let broker = EmbeddedBroker::start(options).await?;
    say!("broker     {}", broker.url());
    let federation = Federation::start(folder, &broker.url(), first_port).await?;
    let companies = federation.follow();
    for (company, config) in companies.borrow().empresas.iter().zip(federation.configs()) {
        let evses: usize = config.stations.iter().map(|station| station.evses.len()).sum();
        say!(
            "{}  {}/docs  {} ({} locations, {evses} EVSEs, process {})",
            company.id,
            company.url,
            company.nome,
            config.stations.len(),
            company.processo.unwrap_or_default(),
        );
    }
    say!("data and logs in {}", folder.display());
    Ok((broker, federation))
}

// None if nobody asked for the page and somebody else has its port.
async fn listen(port: Option<u16>) -> Result<Option<TcpListener>> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(PANEL_PORT)));
    match (TcpListener::bind(wanted).await, port) {
        (Ok(listener), _) => Ok(Some(listener)),
        (Err(error), Some(_)) => {
            Err(error).with_context(|| format!("cannot listen on {wanted} (--panel-port)"))
        }
        (Err(_), None) => {
            say!("panel      none: {wanted} is in use; choose another port with --panel-port");
            Ok(None)
        }
    }
}

// What runs beside the companies and the cars: the page, and the audit that it shows.
struct Side {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Side {
    fn start(panel: Option<TcpListener>, federation: &Arc<Mutex<Federation>>, open: bool) -> Result<Side> {
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        let Some(listener) = panel else { return Ok(Side { tasks, stop }) };
        let url = format!("http://{}/", listener.local_addr().context("the panel has no address")?);
        say!("panel: {url}\n");
        let (to, audit) = tokio::sync::watch::channel(watch::nothing_yet());
        let (watching, ended) = (federation.clone(), stop.clone());
        tasks.spawn(async move {
            ended.run_until_cancelled(watch::audit(watching, to)).await;
        });
        let (serving, ended) = (federation.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = panel::serve(listener, serving, audit, ended).await {
                tracing::warn!(%error, "the page cannot be served");
            }
        });
        if open {
            show(&url);
        }
        Ok(Side { tasks, stop })
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

// Whatever opens pages here; where nothing does, the link has been printed.
fn show(url: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        say!("no browser can be opened ({opener}: {error})");
    }
}
