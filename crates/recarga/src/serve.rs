//! `recarga serve`: one company's node.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use recarga_node::app::{Connectors, Node, Setup};
use recarga_node::archive::Archive;
use recarga_node::audit_log::Audited;
use recarga_node::clock::SystemClock;
use recarga_node::config::Config;
use recarga_node::ledger::{OnFailure, Writer};
use recarga_node::server::Listener;
use recarga_node::store::postgres::PostgresStore;
use recarga_node::store::redb::{self, RedbStore};
use recarga_node::store::{Store, StoreError};
use recarga_node::tls::{self, Identity};
use recarga_node::traces::Traces;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// Exit status when the disk refused a write (`EX_IOERR` of sysexits.h): a person has to look first.
const EXIT_CANNOT_WRITE: i32 = 74;
/// A certificate that is good for fewer days is warned about.
const EXPIRY_WARNING_DAYS: i64 = 30;
/// Exit status when PostgreSQL was lost (`EX_TEMPFAIL`): it knows what was written, so starting again is safe.
const EXIT_STORE_LOST: i32 = 75;

/// Run one company's node.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga serve --config empresa-a.toml
  RECARGA_LOG_FORMAT=json recarga serve --config empresa-a.toml 2>> empresa-a.log

SIGINT or SIGTERM: takes nothing new, finishes what is under way, and stops.
SIGHUP: reads the configuration and the file of cars' tokens again, for the tokens in them; so does a change of either.
Exit status: 0 stopped, 1 could not start, 2 wrong arguments, 74 the disk refused a write, 75 PostgreSQL was lost or
refused a write; start it again.")]
pub struct Arguments {
    /// The company's configuration.
    #[arg(long, short, value_name = "FILE", env = "RECARGA_CONFIG")]
    config: PathBuf,

    /// Stop as at SIGTERM when the process that started this one ends, however it ends.
    #[arg(long, hide = true)]
    stop_with_parent: bool,
}

/// Runs until a signal.
///
/// # Errors
/// The configuration, the address or the database cannot be used.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    if arguments.stop_with_parent {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
    let config = Config::read(&arguments.config)?;
    for warning in config.warnings() {
        warn!("{warning}");
    }
    raise_file_limit();
    let traces = crate::traces::start(&config)?;
    crate::runtime()?.block_on(serve(config, traces))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, traces: Traces) -> Result<()> {
    // From now on it ends nobody, also one who waits to lead.
    drop(hangups()?);
    let listen = config.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!(
            "cannot listen on {listen}; is another program using the port? change operator.listen or stop it"
        )
    })?;
    let archive = config.limits.archive().map(|_| Archive::new(&config.data_dir));
    let identity = config.tls.as_ref().map(|tls| Identity::read(tls, &config.operator)).transpose()?;
    if let Some(identity) = &identity {
        warn_of_expiry(identity);
    }
    let reach = Reach { connectors: connectors(identity.clone())?, identity: identity.clone(), archive };
    match identity {
        Some(identity) => {
            let listener = identity.listener(listener)?;
            let following = tokio::spawn(async move { identity.follow().await });
            serve_at(config, traces, reach, listener).await?;
            following.abort();
            Ok(())
        }
        None => serve_at(config, traces, reach, listener).await,
    }
}

/// How a company reaches others and is known to them, and where its past is kept.
pub struct Reach {
    /// How others are reached.
    pub connectors: Connectors<HttpsConnector<HttpConnector>>,
    /// By which it is known, with TLS.
    pub identity: Option<Arc<Identity>>,
    /// Where its past is kept.
    pub archive: Option<Archive>,
}

async fn serve_at<L: Listener>(config: Config, traces: Traces, reach: Reach, listener: L) -> Result<()> {
    let listen = config.listen;
    if let (Some(replica), Some(store)) = (config.replica.clone(), config.store.clone()) {
        return crate::replicas::serve(config, replica, store, traces, reach, listener, stop_signal()?).await;
    }
    let (store, on_failure) = open_store(&config)?;
    let (name, peers) = (config.name.clone(), config.peers.len());
    let evses = config.stations.iter().map(|one| one.evses.len()).sum::<usize>();
    let tls = reach.identity.is_some();
    let node = Node::start(Setup {
        archive: reach.archive,
        clock: Arc::new(SystemClock::new()),
        store: logged(&config, store)?,
        writer: Writer::Thread,
        on_failure,
        connector: reach.connectors,
        traces,
        identity: reach.identity,
        config,
    })?;
    info!(address = %listen, company = name, evses, peers, tls, "ready");
    let rereading = tokio::spawn(reread_at_hangup(node.clone(), hangups()?));
    node.run(listener, stop_signal()?).await;
    rereading.abort();
    Ok(())
}

/// SIGHUPs from now on.
///
/// # Errors
/// Signals cannot be caught.
pub fn hangups() -> Result<Signal> {
    signal(SignalKind::hangup()).context("cannot catch SIGHUP")
}

/// Has a node read again what can change while it runs, for ever.
pub async fn reread_at_hangup(node: Arc<Node>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        node.clone().reread().await;
    }
}

fn warn_of_expiry(identity: &Identity) {
    if let Some(days) = identity.days_left(&SystemClock::new())
        && days < EXPIRY_WARNING_DAYS
    {
        warn!(
            days,
            "the certificate is about to expire, or has; make a fresh one: it is taken over while the node runs"
        );
    }
}

/// Logs what a store records, where that is wanted.
///
/// # Errors
/// The log cannot be used.
pub fn logged(config: &Config, store: Box<dyn Store>) -> Result<Box<dyn Store>> {
    let Some(folder) = &config.audit_log else { return Ok(store) };
    Ok(Box::new(Audited::new(store, folder, Arc::new(SystemClock::new()))?))
}

// And what to do when it cannot be written: the process ends, as nobody knows what became of the last write.
fn open_store(config: &Config) -> Result<(Box<dyn Store>, OnFailure)> {
    if let Some(address) = &config.store {
        let store = PostgresStore::open(address, &config.operator, Box::new(store_lost))?;
        return Ok((Box::new(store), Box::new(store_lost)));
    }
    let folder = config.data_dir.clone();
    let on_failure: OnFailure = Box::new(move |failure| {
        error!(%failure, "the record cannot be written; stopping at once, nothing more is promised");
        if let Err(error) = redb::poison(&folder, &failure.to_string()) {
            // A full disk has room for a name, and none for what is to stand there: that is a marker, too.
            match folder.join("recarga.poisoned").exists() {
                true => {
                    error!(%error, "the marker recarga.poisoned is left without the reason; this line has it")
                }
                false => error!(%error, "cannot leave a marker; check the disk before starting again"),
            }
        }
        std::process::exit(EXIT_CANNOT_WRITE);
    });
    Ok((Box::new(RedbStore::open(&config.data_dir, &config.operator)?), on_failure))
}

/// Ends the process, as nobody knows what became of the last write.
pub fn store_lost(failure: &StoreError) {
    error!(%failure, "the record cannot be written; stopping at once, nothing more is promised");
    std::process::exit(EXIT_STORE_LOST);
}

// With certificates a company is only spoken with under its own name.
fn connectors(identity: Option<Arc<Identity>>) -> Result<Connectors<HttpsConnector<HttpConnector>>> {
    let Some(identity) = identity else {
        let plain = tls::anonymous_connector(connector(), None)?;
        return Ok(Arc::new(move |_| plain.clone()));
    };
    // Nobody has a certificate in this name.
    let nobody = identity.connector(connector(), Some(&"nobody.invalid".parse()?))?;
    Ok(Arc::new(move |company| match identity.connector(connector(), company) {
        Ok(connector) => connector,
        Err(error) => {
            error!(%error, "a company that cannot have a certificate, and is not reached over TLS");
            nobody.clone()
        }
    }))
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    // A message between companies is smaller than a packet and must not wait for one to fill.
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(std::time::Duration::from_secs(2)));
    connector
}

/// Done at the first SIGINT or SIGTERM.
///
/// # Errors
/// Signals cannot be caught.
pub fn stop_signal() -> Result<impl Future<Output = ()> + Send> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Allows as many open files as the system lets this process have: each connection is one.
pub fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        warn!(%error, "cannot raise the limit of open files");
    }
}
