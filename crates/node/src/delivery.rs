//! Tells other companies what this one, as a coordinator, still owes them: that a trip is committed, or cancelled.
//!
//! What is owed is derived from the durable record and repeated until acknowledged: at once by whoever caused it, and
//! by the sweep ever after, also after a restart. A company that does not answer is left alone for a while.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::FutureExt as _;
use recarga_reservation::{
    OperatorId, Owed, OwedMessage, Stage, Step, Timestamp, TransactionId, Unacceptable,
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::chronicle::Happening;
use crate::clock::Clock;
use crate::events::{Event, Events};
use crate::ledger::{Ledger, Stopped};
use crate::metrics::Metrics;
use crate::peer::{Message, Peer, PeerError};
use crate::peers::Peers;

/// Messages that one sweep sends to one company.
const SWEEP_MAX: usize = 1024;
/// First pause after a company did not answer; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a message that was refused waits: only people can resolve that.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// How long a company that was not tried again counts as unreachable.
const UNREACHABLE_FOR: Duration = Duration::from_secs(30);

/// The service that delivers.
#[derive(Debug)]
pub struct Delivery {
    peers: Peers,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Arc<Metrics>,
    at_present: Mutex<AtPresent>,
    tasks: TaskTracker,
}

type Parcel = (TransactionId, OperatorId);

#[derive(Debug, Default)]
struct AtPresent {
    under_way: HashSet<Parcel>,
    // Not to be tried again before: messages that were refused, and companies that do not answer.
    refused: HashMap<Parcel, Instant>,
    resting: HashMap<OperatorId, Rest>,
    // When that began or ended last.
    turned: HashMap<OperatorId, Timestamp>,
}

#[derive(Debug)]
struct Rest {
    failures: u32,
    until: Instant,
}

impl Delivery {
    /// The service over a ledger. `peers` are the other companies.
    pub fn new(
        peers: Peers,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        events: Events,
        metrics: Arc<Metrics>,
    ) -> Self {
        let (at_present, tasks) = (Mutex::default(), TaskTracker::new());
        Self { peers, ledger, clock, events, metrics, at_present, tasks }
    }

    /// Delivers a message at once that the caller knows to rest on a durable record. By now something else may be
    /// owed, too, of which that is not known: it is its own caller's matter, or the sweep's.
    pub fn begin(self: &Arc<Self>, transaction: &TransactionId, message: OwedMessage) {
        let owed = self.ledger.look(|state| state.company.coordinator.owed_of(transaction));
        for owed in owed.into_iter().filter(|owed| owed.message == message) {
            self.deliver(owed);
        }
    }

    /// Repeats what is owed to companies that have not acknowledged. To be called at every tick.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn sweep(self: &Arc<Self>) -> Result<(), Stopped> {
        // Through the record: a commit that is not durable yet is in memory already, and nobody may hear of it.
        let owed = self.ledger.apply(|state| Step::durable(state.company.coordinator.owed(), vec![])).await?;
        let mut to_each: BTreeMap<OperatorId, usize> = BTreeMap::new();
        for owed in owed {
            // A company that was away for long is not flooded when it comes back; the rest follows at the next sweep.
            let count = to_each.entry(owed.operator.clone()).or_default();
            *count += 1;
            if *count <= SWEEP_MAX {
                self.deliver(owed);
            }
        }
        Ok(())
    }

    /// Waits until every delivery under way has ended.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Companies that lately did not answer when they were needed.
    pub fn unreachable(&self) -> Vec<OperatorId> {
        let now = Instant::now();
        let at_present = self.lock();
        let resting = at_present.resting.iter().filter(|(_, rest)| now < rest.until + UNREACHABLE_FOR);
        resting.map(|(operator, _)| operator.clone()).collect()
    }

    /// Every other company, whether it answered when it was last needed, and when that last changed.
    pub fn reachability(&self) -> Vec<(OperatorId, bool, Option<Timestamp>)> {
        let at_present = self.lock();
        let peers = self.peers.all();
        let look = |operator: &OperatorId| {
            let is_reachable = !at_present.resting.contains_key(operator);
            (operator.clone(), is_reachable, at_present.turned.get(operator).copied())
        };
        peers.keys().map(look).collect()
    }

    /// A company has answered.
    pub fn reached(&self, operator: &OperatorId) {
        let mut at_present = self.lock();
        if at_present.resting.remove(operator).is_some() {
            at_present.turned.insert(operator.clone(), self.clock.now().utc);
            drop(at_present);
            self.events.send(|| Event::Peer { operator: operator.clone(), reachable: true });
        }
    }

    /// A company has not answered.
    pub fn not_reached(&self, operator: &OperatorId) {
        let mut at_present = self.lock();
        let now = Instant::now();
        let rest = at_present.resting.entry(operator.clone()).or_insert(Rest { failures: 0, until: now });
        if rest.until > now {
            return; // several messages failed at the same time
        }
        let is_first = rest.failures == 0;
        rest.failures += 1;
        let pause = (PAUSE * 2u32.pow(rest.failures.min(6))).min(PAUSE_MAX);
        rest.until = now + pause / 2 + self.clock.jitter(pause / 2);
        if is_first {
            at_present.turned.insert(operator.clone(), self.clock.now().utc);
            self.events.send(|| Event::Peer { operator: operator.clone(), reachable: false });
        }
    }

    fn deliver(self: &Arc<Self>, owed: Owed) {
        let Some(peer) = self.peers.get(&owed.operator) else {
            warn!(transaction = %owed.transaction, operator = %owed.operator,
                "something is owed to a company that is not configured any more; add it again");
            return;
        };
        let parcel = (owed.transaction.clone(), owed.operator.clone());
        if !self.lock().take(&parcel) {
            return;
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            this.deliver_now(&*peer, &owed).await;
            this.lock().under_way.remove(&parcel);
        });
    }

    async fn deliver_now(&self, peer: &dyn Peer, owed: &Owed) {
        let Owed { transaction, operator, message } = owed;
        let note = |what| self.events.chronicle().note(transaction, what);
        note(Happening::Sent(operator.clone(), *message));
        let message_sent = match message {
            OwedMessage::Confirm => Message::Confirm(transaction.clone()),
            OwedMessage::Release => Message::Release(transaction.clone()),
        };
        let trace = self.events.traces().message(message_sent.name(), operator, transaction);
        let sent = peer.send(message_sent).with_context(trace.context()).await;
        if let Err(error) = &sent {
            trace.fail(|| error.to_string());
        }
        // If the record stops, whatever was acknowledged is asked for again after the restart.
        let _ = match sent {
            Ok(_) => self.acknowledged(owed).await,
            Err(PeerError::Refused(Unacceptable::ReleasedHeuristically)) => self.lost(owed).await,
            Err(PeerError::Refused(error)) => {
                error!(%transaction, %operator, ?message, %error, "ALARM: the company refuses what it must accept");
                self.metrics.alarms.inc();
                let parcel = (transaction.clone(), operator.clone());
                self.lock().refused.insert(parcel, Instant::now() + REFUSED_PAUSE);
                return;
            }
            Err(error) => {
                warn!(%transaction, %operator, ?message, %error, "not delivered; will be repeated");
                note(Happening::NotDelivered(operator.clone()));
                return self.not_reached(operator);
            }
        };
        self.reached(operator);
    }

    async fn acknowledged(&self, owed: &Owed) -> Result<(), Stopped> {
        let Owed { transaction, operator, message } = owed;
        let apply = self.ledger.apply(|state| {
            let coordinator = &mut state.company.coordinator;
            let step = coordinator.acknowledged(transaction, operator, *message);
            let trip = coordinator.find(transaction).filter(|trip| trip.stage == Stage::Settled).cloned();
            step.map(|()| trip)
        });
        let settled = apply.await?;
        let acknowledged = Happening::Acknowledged(operator.clone(), *message);
        self.events.chronicle().note(transaction, acknowledged);
        if let Some(trip) = settled {
            debug!(%transaction, trip = %trip.id, "every company has confirmed");
            self.events.send(|| Event::trip(&trip, "settled"));
        }
        Ok(())
    }

    async fn lost(&self, owed: &Owed) -> Result<(), Stopped> {
        let Owed { transaction, operator, .. } = owed;
        let apply = self.ledger.apply(|state| {
            let coordinator = &mut state.company.coordinator;
            let step = coordinator.lost(transaction, operator);
            let trip = coordinator.find(transaction).cloned();
            step.map(|news| trip.filter(|_| news))
        });
        if let Some(trip) = apply.await? {
            error!(%transaction, trip = %trip.id, %operator,
                "MIXED OUTCOME: the company released its part heuristically before it heard of the commit");
            self.metrics.mixed_outcomes.inc();
            let alarm = || Event::Alarm { transaction: transaction.clone(), trip: Some(trip.id.clone()) };
            self.events.send(alarm);
        }
        Ok(())
    }

    // What it guards is never left half-changed.
    fn lock(&self) -> MutexGuard<'_, AtPresent> {
        self.at_present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AtPresent {
    // Takes a message under way, unless it is already, or is not to be tried yet.
    fn take(&mut self, parcel: &Parcel) -> bool {
        let now = Instant::now();
        if self.resting.get(&parcel.1).is_some_and(|rest| now < rest.until) {
            return false;
        }
        if let Some(until) = self.refused.get(parcel) {
            if now < *until {
                return false;
            }
            self.refused.remove(parcel);
        }
        self.under_way.insert(parcel.clone())
    }
}
