//! One of several processes of a company, over one database in PostgreSQL.

use std::sync::Arc;

use anyhow::{Context, Result};
use hyper_util::client::legacy::connect::Connect;
use recarga_node::app::{Node, Setup};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::{Config, ReplicaConfig, Secret};
use recarga_node::ledger::Writer;
use recarga_node::mqtt;
use recarga_node::replicas::Front;
use recarga_node::server::{self, Listener};
use recarga_node::store::postgres::{self, Address, Leader, OnLeader, PostgresStore};
use recarga_node::traces::Traces;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::serve::{Reach, hangups, logged, reread_at_hangup, store_lost};

/// Passes everything on while another replica leads, leads when none does, and passes on again until it has stopped.
///
/// # Errors
/// The database cannot be used.
pub async fn serve<L: Listener>(
    config: Config,
    replica: ReplicaConfig,
    store: Address,
    traces: Traces,
    reach: Reach,
    listener: L,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let front = Front::new((reach.connectors)(Some(&config.operator)), config.limits.front());
    let (stopping, closing) = (CancellationToken::new(), CancellationToken::new());
    let stopped = stopping.clone();
    tokio::spawn(async move {
        stop.await;
        stopped.cancel();
    });
    let until = closing.clone().cancelled_owned();
    let serving = tokio::spawn(server::serve(listener, front.router(), config.limits.server(), until));
    info!(replica = replica.name, "standing by");
    let url = replica.url.trim_end_matches('/').to_owned();
    // For this process only.
    let leader = Leader { url, secret: format!("{:032x}", SystemClock::new().nonce()) };
    let secret = Secret::from(leader.secret.as_str());
    if let Some(record) = stand_by(&config, replica.name, leader, &store, &front, &stopping).await? {
        let setup = Setup {
            archive: reach.archive,
            clock: Arc::new(SystemClock::new()),
            store: logged(&config, Box::new(record))?,
            writer: Writer::Thread,
            on_failure: Box::new(store_lost),
            connector: reach.connectors,
            traces,
            identity: reach.identity,
            config,
        };
        let node =
            tokio::task::spawn_blocking(move || Node::start(setup)).await.context("starting ended")??;
        let rereading = tokio::spawn(reread_at_hangup(node.clone(), hangups()?));
        node.lead(&front, secret, stopping.cancelled_owned()).await;
        rereading.abort();
    }
    // Somebody else leads by now, or soon: what has come here meanwhile is passed on.
    let (follow, leaderless) = (following(&front), CancellationToken::new());
    let until = leaderless.clone();
    let watch = move || postgres::watch(store, follow, Box::new(move || until.is_cancelled()));
    let watching = tokio::task::spawn_blocking(watch);
    closing.cancel();
    serving.await.context("serving ended")?;
    leaderless.cancel();
    if let Err(error) = watching.await.context("watching ended")? {
        warn!(%error, "cannot see who leads now; requests that came last may have been refused");
    }
    Ok(())
}

// Passes on what cars ask, too, until this replica leads; none if it is to stop before.
async fn stand_by<C: Connect + Clone + Send + Sync + 'static>(
    config: &Config,
    name: String,
    leader: Leader,
    store: &Address,
    front: &Arc<Front<C>>,
    stopping: &CancellationToken,
) -> Result<Option<PostgresStore>> {
    let leading = CancellationToken::new();
    let cars = config.mqtt.clone().map(|broker| {
        tokio::spawn(mqtt::pass_on(front.clone(), config.operator.clone(), broker, name, leading.clone()))
    });
    let (store, operator, follow) = (store.clone(), config.operator.clone(), following(front));
    let stopping = stopping.clone();
    let waiting = tokio::task::spawn_blocking(move || {
        let is_stopping = Box::new(move || stopping.is_cancelled());
        PostgresStore::stand_by(&store, &operator, leader, follow, is_stopping, Box::new(store_lost))
    });
    let record = waiting.await.context("standing by ended")??;
    // The broker knows this replica by one name, whether it leads or not.
    leading.cancel();
    if let Some(cars) = cars {
        cars.await.context("passing on cars' requests ended")?;
    }
    Ok(record)
}

fn following<C: Connect + Clone + Send + Sync + 'static>(front: &Arc<Front<C>>) -> OnLeader {
    let front = front.clone();
    Box::new(move |leader| front.follow(leader))
}
