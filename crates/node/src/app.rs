//! The only wiring: from a configuration, a clock, a store and a way to connect, to a running node.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::Connect;
use recarga_panel::Page;
use recarga_reservation::{Company, OperatorId, StoreId};
use recarga_wire::federation::Standing;
use recarga_wire::vehicle::VehicleStatus;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::access::Access;
use crate::archive::Archive;
use crate::clock::Clock;
use crate::config::limits::FINISH_MAX;
use crate::config::{Config, Map, PeerConfig, RoadsConfig, Secret};
use crate::coordinator::Coordinator;
use crate::delivery::Delivery;
use crate::events::Events;
use crate::greeting::greet;
use crate::journeys::Journeys;
use crate::ledger::{Ledger, OnFailure, State, Stopped, Writer};
use crate::membership::Membership;
use crate::metrics::Metrics;
use crate::mqtt;
use crate::network::{Network, OwnCatalogue};
use crate::offer::Offer;
use crate::participant::Participant;
use crate::peer::http::{HttpPeer, HttpPeerOptions};
use crate::peers::{Member, Peers};
use crate::replicas::{Desk, Front, PassedOn};
use crate::roads::{Estimated, RoadDistance, RoadService};
use crate::server::{self, Listener};
use crate::store::{Boot, Record, Store, StoreError};
use crate::termination::Termination;
use crate::tidying::{Forgotten, Tidying};
use crate::tls::Identity;
use crate::tokens::Tokens;
use crate::traces::Traces;
use crate::vehicles::Vehicles;

/// How often time limits are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Requests of cars from other replicas that wait to be recorded.
const LETTERS_WAITING: usize = 64;
/// How often what is owed to companies is repeated, in ticks.
const SWEEP_TICKS: u64 = 5;
/// How often what is old is forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked whether files with tokens have changed.
const REREAD_EVERY: Duration = Duration::from_secs(1);

/// Makes what connects to a company, or to somebody who is none.
pub type Connectors<C> = Arc<dyn Fn(Option<&OperatorId>) -> C + Send + Sync>;

/// What a node is made from; a simulation puts its own in place of any of it.
pub struct Setup<C> {
    /// Who the company is and what it offers.
    pub config: Config,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Where the record is kept.
    pub store: Box<dyn Store>,
    /// Where the record is written.
    pub writer: Writer,
    /// What to do when it cannot be written: the process must not go on.
    pub on_failure: OnFailure,
    /// Where the past is kept for people; if nowhere, it is forgotten at once.
    pub archive: Option<Archive>,
    /// How to connect to a company, or to somebody who is none.
    pub connector: Connectors<C>,
    /// Where traces of trips are collected.
    pub traces: Traces,
    /// By which others know this company, with TLS.
    pub identity: Option<Arc<Identity>>,
}

/// One company's node.
#[derive(Debug)]
pub struct Node {
    pub(crate) operator: OperatorId,
    pub(crate) name: String,
    pub(crate) boot: Boot,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) participant: Arc<Participant>,
    pub(crate) coordinator: Arc<Coordinator>,
    pub(crate) offer: Arc<Offer>,
    pub(crate) network: Arc<Network>,
    pub(crate) membership: Arc<Membership>,
    pub(crate) journeys: Arc<Journeys>,
    pub(crate) vehicles: Vehicles<VehicleStatus>,
    pub(crate) access: Access,
    pub(crate) page: Page,
    pub(crate) events: Events,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Longest body, bytes.
    pub(crate) body_max: usize,
    /// Longest time for a whole request.
    pub(crate) request_max: Duration,
    /// Longest wait for a trip's answer before the client is told to ask later: twice that for a decision, as the last
    /// attempt may begin just before the first one's limit.
    pub(crate) answer_max: Duration,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) termination: Arc<Termination>,
    tidying: Tidying,
    peers: Peers,
    config: Config,
    identity: Option<Arc<Identity>>,
    stopping: CancellationToken,
    broker_connected: watch::Sender<bool>,
    /// Places for those who watch events, which have no end: most connections are kept for others.
    pub(crate) watchers: Arc<Semaphore>,
    /// The place for one who copies the record: to read all of it is work enough.
    pub(crate) copying: Arc<Semaphore>,
}

impl Node {
    /// Reads back what is remembered and starts a new boot epoch. Must be called within a runtime.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn start<C>(setup: Setup<C>) -> Result<Arc<Node>, StoreError>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let Setup { config, clock, mut store, writer, on_failure, archive, connector, traces, identity } =
            setup;
        let offer = Arc::new(Offer::new(config.stations.clone()));
        let (boot, state) = read_back(&mut *store, &config, &offer, &*clock)?;
        let ledger = Arc::new(Ledger::start(state, store, writer, on_failure));
        let events = Events::new(clock.clone(), boot.epoch, config.limits.story_entries_max, traces);
        let metrics = Arc::new(Metrics::default());
        let (operator, decide) = (config.operator.clone(), config.limits.decide());
        let shared = || (ledger.clone(), clock.clone(), events.clone(), metrics.clone());
        let (peers, membership) = fellows(&config, &connector, &ledger, &clock);
        let (network, journeys) =
            plan_with(&config, &peers, &offer, &ledger, &clock, roads(&config, &connector));
        let participant = {
            let (ledger, clock, events, metrics) = shared();
            let (operator, patience) = (operator.clone(), config.limits.window_wait());
            Arc::new(Participant::new(operator, boot.store, ledger, clock, events, metrics, patience))
        };
        let delivery = {
            let (ledger, clock, events, metrics) = shared();
            Arc::new(Delivery::new(peers.clone(), ledger, clock, events, metrics))
        };
        let coordinator = {
            let (ledger, clock, events, metrics) = shared();
            let (own, others, delivery) = (participant.clone(), peers.clone(), delivery.clone());
            let (operator, patience) = (operator.clone(), config.limits.patience());
            Coordinator::new(operator, own, others, delivery, ledger, clock, events, metrics, patience)
        };
        let termination = {
            let (ledger, clock, events, metrics) = shared();
            Arc::new(Termination::new(participant.clone(), peers.clone(), ledger, clock, events, metrics))
        };
        let (record, time, limits) = (ledger.clone(), clock.clone(), config.limits.clone());
        let tidying = Tidying::new(record, termination.clone(), time, metrics.clone(), archive, limits);
        Ok(Arc::new(Node {
            name: config.name.clone(),
            boot,
            access: Access::new(&config, peers.clone()),
            page: Page::new(config.map.as_ref().map(|map| map.origin.as_str())),
            vehicles: Vehicles::new(config.limits.vehicles_max),
            body_max: config.limits.body_bytes_max,
            request_max: Duration::from_secs(config.limits.request_seconds_max),
            answer_max: 2 * decide,
            stopping: CancellationToken::new(),
            broker_connected: watch::Sender::new(false),
            watchers: Arc::new(Semaphore::new(config.limits.watchers())),
            copying: Arc::new(Semaphore::new(1)),
            coordinator: Arc::new(coordinator),
            operator,
            ledger,
            participant,
            delivery,
            offer,
            network,
            membership,
            journeys,
            events,
            metrics,
            clock,
            termination,
            tidying,
            peers,
            identity,
            config,
        }))
    }

    /// Serves until `stop` is done; then takes nothing new, finishes what is under way, and closes the record.
    pub async fn run<L: Listener>(
        self: Arc<Self>,
        listener: L,
        stop: impl Future<Output = ()> + Send + 'static,
    ) {
        let limits = self.config.limits.server();
        self.work(None, stop, |router, stop| server::serve(listener, router, limits, stop)).await;
    }

    /// As [`Node::run`], for requests that come to the replicas of a company. `secret` is how others are known.
    pub async fn lead<C>(
        self: Arc<Self>,
        front: &Front<C>,
        secret: Secret,
        stop: impl Future<Output = ()> + Send + 'static,
    ) where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let (letters, passed_on) = mpsc::channel(LETTERS_WAITING);
        let serve = |router, stop| front.lead(Desk { router, letters, secret }, stop);
        self.work(Some(passed_on), stop, serve).await;
    }

    // `passed_on` are cars' requests that came to other replicas.
    async fn work<S: Future<Output = ()>>(
        self: Arc<Self>,
        passed_on: Option<mpsc::Receiver<PassedOn>>,
        stop: impl Future<Output = ()> + Send + 'static,
        serve: impl FnOnce(Router, BoxFuture<'static, ()>) -> S,
    ) {
        let ticking = tokio::spawn(self.clone().tick());
        let tidying = tokio::spawn(self.clone().tidy());
        let node = self.clone();
        let greeting = tokio::spawn(async move {
            greet(&node.peers, &node.ledger, &*node.clock).await;
        });
        let rereading = tokio::spawn(self.clone().reread_tokens());
        let network = self.network.clone();
        let following = tokio::spawn(async move { network.follow().await });
        let membership = self.membership.clone();
        let enrolling = tokio::spawn(async move { membership.follow().await });
        let cars = self.config.mqtt.clone().map(|broker| {
            let (node, connected) = (self.clone(), self.broker_connected.clone());
            let replica = self.config.replica.as_ref().map(|replica| replica.name.clone());
            tokio::spawn(mqtt::serve(node, broker, replica, connected, passed_on, self.stopping.clone()))
        });
        let stopping = self.stopping.clone();
        let stop = async move {
            stop.await;
            stopping.cancel();
        };
        serve(crate::api::router(self.clone()), Box::pin(stop)).await;
        info!(operator = %self.operator, "finishing what is under way");
        if let Some(cars) = cars {
            let _ = timeout(FINISH_MAX, cars).await;
        }
        let finished = async {
            // Trips first: each that is booked begins deliveries.
            self.coordinator.finish().await;
            self.delivery.finish().await;
        };
        if timeout(FINISH_MAX, finished).await.is_err() {
            warn!("something did not end in time; what is owed will be repeated at the next start");
        }
        ticking.abort();
        tidying.abort();
        greeting.abort();
        following.abort();
        enrolling.abort();
        rereading.abort();
        self.ledger.close().await;
        let traces = self.events.traces().clone();
        let _ = tokio::task::spawn_blocking(move || traces.flush()).await;
        info!(operator = %self.operator, "stopped");
    }

    /// Every company that takes new trips, as far as this one knows; itself first.
    pub(crate) fn companies(&self) -> Vec<OperatorId> {
        let own = (self.membership.standing() == Standing::Ativa).then(|| self.operator.clone());
        let others = self.peers.all();
        let staying = others.iter().filter(|(_, member)| !member.is_leaving);
        own.into_iter().chain(staying.map(|(operator, _)| operator.clone())).collect()
    }

    /// Pictures of maps for the page in the browser.
    pub(crate) fn map(&self) -> Option<&Map> {
        self.config.map.as_ref()
    }

    /// How many may watch events, and how many do.
    pub(crate) fn watching(&self) -> (usize, usize) {
        let most = self.config.limits.watchers_max.min(self.config.limits.connections_max / 4);
        (most, most.saturating_sub(self.watchers.available_permits()))
    }

    /// Done when the node begins to stop.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        self.stopping.clone().cancelled_owned()
    }

    /// Whether it finishes and takes nothing new.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Whether the broker is connected; none if there is no broker.
    pub(crate) fn broker_connected(&self) -> Option<bool> {
        self.config.mqtt.as_ref().map(|_| *self.broker_connected.borrow())
    }

    /// Sets the figures that say what is the case now.
    pub(crate) fn measure(&self) {
        let now = &self.metrics.now;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let ((soft, prepared), waiting, owing, answers) = self.ledger.look(|state| {
            let company = &state.company;
            let coordinator = &company.coordinator;
            (
                company.participant.undecided(),
                coordinator.waiting_count(),
                coordinator.owing_count(),
                state.mailbox.owed_count(),
            )
        });
        now.soft_holds.set(count(soft));
        now.in_doubt.set(count(prepared));
        now.waiting.set(count(waiting));
        now.owing.set(count(owing));
        now.answers_owed.set(count(answers));
        now.vehicles.set(count(self.vehicles.count()));
        now.broker_connected.set(i64::from(self.broker_connected() == Some(true)));
        now.peers_unreachable.set(count(self.network.silent(self.delivery.unreachable()).len()));
        if let Some(identity) = &self.identity {
            let until = identity.not_after().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            now.certificate_not_after.set(i64::try_from(until.as_secs()).unwrap_or(i64::MAX));
        }
        let (flushes, records, _) = self.ledger.figures();
        now.flushes.set(i64::try_from(flushes).unwrap_or(i64::MAX));
        now.records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    async fn tick(self: Arc<Self>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for tick in 0u64.. {
            ticks.tick().await;
            if self.participant.expire().await.is_err() {
                return;
            }
            self.termination.sweep();
            if tick % SWEEP_TICKS == 0 && self.delivery.sweep().await.is_err() {
                return;
            }
        }
    }

    /// Reads the tokens in the configuration again, and those of cars, whether the files have changed or not.
    pub async fn reread(self: Arc<Self>) {
        let _ = tokio::task::spawn_blocking(move || self.access.reread()).await;
    }

    // Looks whether the configuration or the file of cars' tokens has changed, if there are such files.
    async fn reread_tokens(self: Arc<Self>) {
        if !self.access.has_files() {
            return;
        }
        let mut looks = interval(REREAD_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let node = self.clone();
            let _ = tokio::task::spawn_blocking(move || node.access.look()).await;
        }
    }

    // Forgets what is old enough; what it frees is small, so it may be late.
    async fn tidy(self: Arc<Self>) {
        let mut rounds = interval(TIDY_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one is at once, when there is enough to do.
        rounds.tick().await;
        loop {
            rounds.tick().await;
            self.access.tidy();
            match self.tidying.round().await {
                Ok(nothing) if nothing == Forgotten::default() => {}
                Ok(Forgotten { reservations, trips, letters }) => {
                    info!(reservations, trips, letters, "forgot what is older than limits.history_days");
                }
                Err(Stopped) => return,
            }
        }
    }
}

// What all companies offer, this one among them, and who plans with it.
fn roads<C>(config: &Config, connector: &Connectors<C>) -> Arc<dyn RoadDistance>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    match &config.roads {
        Some(RoadsConfig { service, url }) => {
            Arc::new(RoadService::new(*service, url, connector(None), config.limits.roads()))
        }
        None => Arc::new(Estimated),
    }
}

fn plan_with(
    config: &Config,
    peers: &Peers,
    offer: &Arc<Offer>,
    ledger: &Arc<Ledger>,
    clock: &Arc<dyn Clock>,
    roads: Arc<dyn RoadDistance>,
) -> (Arc<Network>, Arc<Journeys>) {
    let operator = config.operator.clone();
    let own = OwnCatalogue {
        operator: operator.clone(),
        offer: offer.clone(),
        ledger: ledger.clone(),
        clock: clock.clone(),
    };
    let network = Network::new(Some(own), peers.clone(), clock.clone(), config.limits.network());
    let network = Arc::new(network);
    let journeys = Journeys::new(operator, network.clone(), clock.clone(), roads, config.limits.journeys());
    (network, Arc::new(journeys))
}

// Starts a new boot epoch and reads back what is remembered.
fn read_back(
    store: &mut dyn Store,
    config: &Config,
    offer: &Offer,
    clock: &dyn Clock,
) -> Result<(Boot, State), StoreError> {
    let boot = store.boot(StoreId(clock.nonce()))?;
    let (limits, decide) = (config.limits.hold_limits(), config.limits.decide());
    let operator = config.operator.clone();
    let company = Company::new(operator.clone(), boot.store, boot.epoch, offer.evses(), limits, decide);
    let mut state = State::new(company, boot.epoch);
    let (now, mut records) = (clock.now(), 0);
    store.each(&mut |record| {
        records += 1;
        match record {
            Record::Fact(fact) => state.company.restore(fact, now),
            Record::Letter(letter) => state.mailbox.restore(letter),
            Record::OutOfService(evse) => state.company.participant.restore_out_of_service(evse),
            Record::Forced(forced) => state.decisions.restore(forced),
            Record::LetterForgotten(_) | Record::InService(_) => {}
        }
    })?;
    info!(%operator, store = %boot.store, epoch = boot.epoch, records, "record read");
    // Whoever keeps a copy knows nothing of this run yet.
    state.company.participant.take_touched();
    Ok((boot, state))
}

// The other companies: those that are configured, and those on the roll.
fn fellows<C>(
    config: &Config,
    connector: &Connectors<C>,
    ledger: &Arc<Ledger>,
    clock: &Arc<dyn Clock>,
) -> (Peers, Arc<Membership>)
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let (connector, limits) = (connector.clone(), &config.limits);
    let answer_max = Duration::from_secs(limits.peer_answer_seconds_max);
    let reach = move |peer: &PeerConfig| connect(peer, answer_max, &connector);
    let peers = Peers::new(config.peers.iter().map(|peer| (peer.id.clone(), reach(peer))).collect());
    let membership = Membership::new(
        config.operator.clone(),
        config.federation.clone(),
        Duration::from_secs(limits.members_refresh_seconds),
        peers.clone(),
        Box::new(reach),
        ledger.clone(),
        clock.clone(),
    );
    (peers, Arc::new(membership))
}

fn connect<C>(peer: &PeerConfig, answer_max: Duration, connector: &Connectors<C>) -> Member
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let presents = Tokens::new(vec![peer.token.clone()]);
    let (operator, url, token) = (peer.id.clone(), peer.url.clone(), presents.clone());
    let options = HttpPeerOptions { operator, url, token, answer_max };
    let http = Arc::new(HttpPeer::new(options, connector(Some(&peer.id))));
    let (accepts, url) = (Tokens::new(peer.accepts.clone()), peer.url.clone());
    Member { peer: http.clone(), catalogue: http, presents, accepts, url, is_leaving: false }
}
