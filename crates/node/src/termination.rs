//! Finds out what became of the transactions that are in doubt here: asks the coordinator first, then the other
//! companies of the transaction. Whether an answer may be believed is the rules' to say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use opentelemetry::trace::FutureExt as _;
use recarga_reservation::{Doubt, Hold, Learnt, OperatorId, Outcome, StoreId, TransactionId};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::chronicle::Happening;
use crate::clock::Clock;
use crate::events::Events;
use crate::ledger::{Ledger, Stopped};
use crate::metrics::Metrics;
use crate::participant::Participant;
use crate::peer::{Message, Peer, PeerError, Reply};
use crate::peers::Peers;

/// Tombstones asked about at the same time: questions to one company that wait together leave as one request.
const TOMBSTONES_AT_ONCE: usize = 256;

/// The service that asks.
#[derive(Debug)]
pub struct Termination {
    participant: Arc<Participant>,
    peers: Peers,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
}

impl Termination {
    /// The service over a ledger. `peers` are the other companies.
    pub fn new(
        participant: Arc<Participant>,
        peers: Peers,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        events: Events,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { participant, peers, ledger, clock, events, metrics, tasks: TaskTracker::new() }
    }

    /// Asks about every hold whose time to ask has come. To be called at every tick.
    pub fn sweep(self: &Arc<Self>) {
        let now = self.clock.now();
        let doubts = self.ledger.adjust(|state| state.company.participant.doubts(now));
        for doubt in doubts {
            let this = self.clone();
            self.tasks.spawn(async move {
                let _ = this.resolve(&doubt).await;
            });
        }
    }

    /// Asks about one transaction now, whatever its time, and says what that was worth.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn ask_now(&self, transaction: &TransactionId, hold: &Hold) -> Result<Learnt, Stopped> {
        let participants = hold.participants.clone();
        let doubt = Doubt { transaction: transaction.clone(), participants, age: Duration::ZERO };
        self.resolve(&doubt).await
    }

    /// What every other company of a transaction says of it at this moment; nothing is concluded from it.
    pub async fn survey(&self, hold: &Hold) -> Vec<(OperatorId, Option<(Outcome, StoreId)>)> {
        let known = hold.participants.iter().chain([&hold.transaction.coordinator]);
        let all: BTreeSet<&OperatorId> = known.collect();
        let asking =
            all.into_iter().filter(|&one| one != self.participant.operator()).map(|operator| async move {
                let word = match self.peers.get(operator) {
                    Some(peer) => self.ask(&*peer, operator, &hold.transaction).await.ok().flatten(),
                    None => None,
                };
                (operator.clone(), word)
            });
        join_all(asking).await
    }

    /// Asks the coordinators of old tombstones whether they may go: but for those that are `silent`, to whom they are
    /// added that do not answer.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn forget_tombstones(
        &self,
        old: &[TransactionId],
        silent: &mut BTreeSet<OperatorId>,
    ) -> Result<(), Stopped> {
        for together in old.chunks(TOMBSTONES_AT_ONCE) {
            let asked = together.iter().filter(|transaction| !silent.contains(&transaction.coordinator));
            let forgetting = asked.map(|transaction| self.forget_tombstone(transaction));
            for answered in join_all(forgetting).await {
                silent.extend(answered?);
            }
        }
        Ok(())
    }

    // Who did not answer.
    async fn forget_tombstone(&self, transaction: &TransactionId) -> Result<Option<OperatorId>, Stopped> {
        let coordinator = &transaction.coordinator;
        let Some(peer) = self.peers.get(coordinator) else { return Ok(None) };
        match self.ask(&*peer, coordinator, transaction).await {
            Err(Silent) => return Ok(Some(coordinator.clone())),
            // Only the database that made the transaction knows that it will never count a yes from here.
            Ok(Some((Outcome::Abort, store))) if store == transaction.store => {
                self.ledger.apply(|state| state.company.participant.forget_tombstone(transaction)).await?;
            }
            Ok(_) => {}
        }
        Ok(None)
    }

    async fn resolve(&self, doubt: &Doubt) -> Result<Learnt, Stopped> {
        let Doubt { transaction, participants, age } = doubt;
        self.metrics.inquiries.inc();
        debug!(%transaction, ?age, "in doubt: asking what became of it");
        let coordinator = &transaction.coordinator;
        let others = participants.iter().filter(|&one| one != coordinator);
        for operator in std::iter::once(coordinator).chain(others) {
            let Some(peer) = self.peers.get(operator) else { continue };
            let note = |what| self.events.chronicle().note(transaction, what);
            note(Happening::Inquiring(operator.clone()));
            let Ok(Some((outcome, store))) = self.ask(&*peer, operator, transaction).await else {
                note(Happening::NoWord(operator.clone()));
                continue;
            };
            note(Happening::Learnt(operator.clone(), outcome));
            match self.participant.learn(transaction, operator, store, outcome).await? {
                Learnt::Nothing => {}
                ended_or_waiting => return Ok(ended_or_waiting),
            }
        }
        self.ledger.adjust(|state| state.company.participant.asked_in_vain(transaction));
        if age.as_secs() >= 10 {
            warn!(%transaction, ?age, "still in doubt: the coordinator is silent and no company knows the outcome");
        }
        Ok(Learnt::Nothing)
    }

    // Nothing from who answers, and does not say it.
    async fn ask(
        &self,
        peer: &dyn Peer,
        operator: &OperatorId,
        about: &TransactionId,
    ) -> Result<Option<(Outcome, StoreId)>, Silent> {
        let trace = self.events.traces().message("inquire", operator, about);
        match peer.send(Message::Inquire(about.clone())).with_context(trace.context()).await {
            Ok(Reply::Outcome(outcome, store)) => {
                trace.say("recarga.outcome", || format!("{outcome:?}"));
                Ok(Some((outcome, store)))
            }
            Ok(other) => {
                warn!(transaction = %about, %operator, reply = ?other, "a reply that is no outcome");
                Ok(None)
            }
            Err(PeerError::Refused(refused)) => {
                warn!(transaction = %about, %operator, %refused, "will not say what became of it");
                Ok(None)
            }
            Err(error) => {
                trace.fail(|| error.to_string());
                debug!(transaction = %about, %operator, %error, "cannot say what became of it");
                Err(Silent)
            }
        }
    }
}

// Somebody does not answer.
struct Silent;
