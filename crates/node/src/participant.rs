//! What this company does for transactions, whoever coordinates them: the service around the rules of
//! [`recarga_reservation::Participant`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use recarga_reservation::{
    Confirmation, EvseId, Firmness, Hold, HoldAnswer, Learnt, OperatorId, Outcome, Patience, StoreId, Told,
    TransactionId, Unacceptable, Vote,
};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::chronicle::Happening;
use crate::clock::Clock;
use crate::events::{Event, Events};
use crate::ledger::{Ledger, State, Stopped};
use crate::metrics::Metrics;
use crate::peer::{Message, Peer, PeerError, Reply};
use crate::store::{Forced, Record};
use crate::watched::Watched;

/// Why a message to this company has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The rules forbid it.
    #[error(transparent)]
    Refused(#[from] Unacceptable),
    /// Nothing can be promised any longer.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// This company as a participant.
#[derive(Debug)]
pub struct Participant {
    operator: OperatorId,
    store: StoreId,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Arc<Metrics>,
    // How long an older trip waits behind a window that a younger one has prepared.
    patience: Duration,
    // Counts how often windows were given back: those who wait for one look again.
    given_back: Watched<u64>,
}

impl Participant {
    /// The service over a ledger. `patience` is how long an older trip waits for a window.
    pub fn new(
        operator: OperatorId,
        store: StoreId,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        events: Events,
        metrics: Arc<Metrics>,
        patience: Duration,
    ) -> Self {
        let given_back = Watched::default();
        Self { operator, store, ledger, clock, events, metrics, patience, given_back }
    }

    /// Who this company is.
    pub fn operator(&self) -> &OperatorId {
        &self.operator
    }

    /// Does what `by` asks. The reply may be told: all that it rests on is durable.
    ///
    /// # Errors
    /// [`Failure`]; nothing has changed that `by` may rely on.
    pub async fn receive(&self, by: &OperatorId, message: Message) -> Result<Reply, Failure> {
        let name = message.name();
        let transaction = message.transaction().clone();
        let trace = self.events.traces().received(name, by, &transaction);
        let reply = match message {
            Message::Hold { hold, firmness, valid_for } => {
                self.hold(by, &hold, firmness, valid_for).await.map(Reply::Vote)
            }
            Message::Confirm(transaction) => self.confirm(by, &transaction).await.map(|()| Reply::Done),
            Message::Abort(transaction) => self.abort(by, &transaction).await.map(|()| Reply::Done),
            Message::Release(transaction) => self.release(by, &transaction).await.map(|()| Reply::Done),
            Message::Inquire(transaction) => self.inquiry(by, &transaction).await,
        };
        match &reply {
            Ok(Reply::Vote(Vote::No(refusal))) => {
                trace.say("recarga.refusal", || format!("{:?}", refusal.reason));
                debug!(%transaction, %by, stop = refusal.stop, reason = ?refusal.reason, "vote: no");
            }
            Ok(_) => debug!(%transaction, %by, message = name, "done"),
            Err(failure) => {
                trace.fail(|| failure.to_string());
                self.report(&transaction, by, name, failure);
            }
        }
        self.metrics.message(name, reply.is_ok());
        reply
    }

    /// Lets time pass: soft holds whose time is up go, and what stayed in doubt past its window's start plus grace.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn expire(&self) -> Result<(), Stopped> {
        let now = self.clock.now();
        let expired = self.ledger.apply(|state| state.company.participant.expire(now)).await?;
        if !expired.soft.is_empty() || !expired.heuristic.is_empty() {
            self.windows_given_back();
        }
        for transaction in &expired.soft {
            info!(%transaction, "soft hold released: its time is up");
            self.tell(transaction, Happening::Expired);
        }
        for transaction in &expired.heuristic {
            error!(
                %transaction,
                "prepared hold released without an outcome: its window has begun, the grace is over, and neither the \
                 coordinator nor any other company could say what became of it"
            );
            self.metrics.heuristic_releases.inc();
            self.events.chronicle().note(transaction, Happening::Heuristic);
            self.events.send(|| Event::Alarm { transaction: transaction.clone(), trip: None });
        }
        Ok(())
    }

    /// What another company said of a transaction in doubt here, from its database `store`.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn learn(
        &self,
        transaction: &TransactionId,
        from: &OperatorId,
        store: StoreId,
        outcome: Outcome,
    ) -> Result<Learnt, Stopped> {
        let now = self.clock.now();
        let learn = |state: &mut State| {
            state.company.coordinator.heard_from(from, store);
            state.company.participant.learn(transaction, from, store, outcome, now)
        };
        let learnt = self.ledger.apply(learn).await?;
        match learnt {
            Learnt::Ended => {
                self.windows_given_back();
                info!(%transaction, %from, ?outcome, "learnt what became of it");
                self.events.send(|| Event::Hold { transaction: transaction.clone() });
            }
            Learnt::Nothing if matches!(outcome, Outcome::Commit | Outcome::Abort | Outcome::Pending) => {
                warn!(%transaction, %from, %store, ?outcome,
                    "answers from another database than the one that would know; it is not believed");
            }
            Learnt::Waiting | Learnt::Nothing => {}
        }
        Ok(learnt)
    }

    /// Gives a prepared hold up on an operator's word, durably, together with who said so and why. False, and nothing is
    /// changed, if it is not in doubt here, or this company coordinates it.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn force_abort(
        &self,
        transaction: &TransactionId,
        by: String,
        reason: String,
    ) -> Result<Option<Forced>, Stopped> {
        let now = self.clock.now();
        let forced = Forced { transaction: transaction.clone(), at: now.utc, by, reason, turned_out: None };
        let force = |state: &mut State| {
            let step = state.company.participant.force_abort(transaction, now);
            if !step.answer {
                return (None, vec![], Told::OnceDurable);
            }
            let mut records: Vec<Record> = step.facts.into_iter().map(Record::Fact).collect();
            records.push(state.decisions.add(forced.clone()));
            (Some(forced), records, Told::OnceDurable)
        };
        let done = self.ledger.record(force).await?;
        if let Some(Forced { by, reason, .. }) = &done {
            error!(%transaction, by, reason, "prepared hold given up by an operator's command, without an outcome");
            self.windows_given_back();
            self.metrics.heuristic_releases.inc();
            self.events.chronicle().note(transaction, Happening::Heuristic);
            self.events.send(|| Event::Alarm { transaction: transaction.clone(), trip: None });
        }
        Ok(done)
    }

    /// Its coordinator has said what became of a transaction that may have been forced here.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn heard_of_forced(&self, transaction: &TransactionId, committed: bool) -> Result<(), Stopped> {
        let is_news = self.ledger.look(|state| {
            state.decisions.find(transaction).is_some_and(|forced| forced.turned_out.is_none())
        });
        if !is_news {
            return Ok(());
        }
        let now = self.clock.now().utc;
        // Lost in a crash, it is heard again by whoever asks.
        let heard = |state: &mut State| {
            let record = state.decisions.heard(transaction, committed, now);
            (record.is_some(), record.into_iter().collect(), Told::AtOnce)
        };
        if self.ledger.record(heard).await? {
            match committed {
                true => error!(%transaction, "MIXED OUTCOME: an operator gave this up, and it was committed"),
                false => info!(%transaction, "what an operator gave up was aborted, as it should be"),
            }
        }
        Ok(())
    }

    /// Takes an EVSE out of service, or back into it, durably. False if this company has no such EVSE.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn set_in_service(&self, evse: &EvseId, in_service: bool) -> Result<bool, Stopped> {
        let change = |state: &mut State| {
            let is_known = state.company.participant.set_in_service(evse, in_service);
            let record = if in_service { Record::InService } else { Record::OutOfService };
            let records = is_known.then(|| record(evse.clone())).into_iter().collect();
            (is_known, records, Told::OnceDurable)
        };
        let is_known = self.ledger.record(change).await?;
        if is_known {
            info!(%evse, in_service, "EVSE taken out of service, or back into it");
            self.events.send(|| Event::Evse { evse: evse.clone() });
        }
        Ok(is_known)
    }

    /// Wakes those who wait for a window: one may have been given back.
    pub fn windows_given_back(&self) {
        self.given_back.update(|count| *count += 1);
    }

    async fn hold(
        &self,
        by: &OperatorId,
        hold: &Hold,
        firmness: Firmness,
        valid_for: Duration,
    ) -> Result<Vote, Failure> {
        let deadline = Instant::now() + self.patience;
        let mut patience = if self.patience.is_zero() { Patience::MustVote } else { Patience::CanWait };
        loop {
            let before = self.given_back.get();
            let now = self.clock.now();
            let answer = self
                .ledger
                .try_apply(|state| state.company.hold(by, hold, firmness, valid_for, patience, now))
                .await??;
            let HoldAnswer::Vote(vote) = answer else {
                let given_back = self.given_back.wait_for(|count| (*count != before).then_some(()));
                if tokio::time::timeout_at(deadline, given_back).await.is_err() {
                    patience = Patience::MustVote;
                }
                continue;
            };
            if let Vote::No(refusal) = &vote {
                self.metrics.refused(&refusal.reason);
                self.events.chronicle().refused(refusal);
            }
            self.tell(&hold.transaction, Happening::held(by, &vote));
            return Ok(vote);
        }
    }

    async fn confirm(&self, by: &OperatorId, transaction: &TransactionId) -> Result<(), Failure> {
        let confirm = |state: &mut State| state.company.participant.confirm(by, transaction);
        // The driver has the answer; the coordinator only wants to know that it may forget.
        if self.ledger.try_apply_patiently(confirm).await?? == Confirmation::ReleasedHeuristically {
            // It may have been a change: what it replaces was given back nevertheless.
            self.windows_given_back();
            self.heard_of_forced(transaction, true).await?;
            return Err(Unacceptable::ReleasedHeuristically.into());
        }
        self.tell(transaction, Happening::Confirmed);
        Ok(())
    }

    async fn abort(&self, by: &OperatorId, transaction: &TransactionId) -> Result<(), Failure> {
        let now = self.clock.now();
        self.ledger.try_apply(|state| state.company.participant.abort(by, transaction, now)).await??;
        self.heard_of_forced(transaction, false).await?;
        self.windows_given_back();
        self.tell(transaction, Happening::Aborted);
        Ok(())
    }

    async fn release(&self, by: &OperatorId, transaction: &TransactionId) -> Result<(), Failure> {
        let release = |state: &mut State| state.company.participant.release(by, transaction);
        self.ledger.try_apply_patiently(release).await??;
        self.heard_of_forced(transaction, true).await?;
        self.windows_given_back();
        self.tell(transaction, Happening::Released);
        Ok(())
    }

    async fn inquiry(&self, by: &OperatorId, transaction: &TransactionId) -> Result<Reply, Failure> {
        let now = self.clock.now();
        let outcome = self.ledger.try_apply(|state| state.company.inquiry(by, transaction, now)).await??;
        info!(%transaction, %by, ?outcome, "was asked what became of it");
        self.events.chronicle().note(transaction, Happening::Inquired(by.clone(), outcome));
        Ok(Reply::Outcome(outcome, self.store))
    }

    // Whoever watches, and whoever asks later.
    fn tell(&self, transaction: &TransactionId, what: Happening) {
        self.events.chronicle().note(transaction, what);
        self.events.send(|| Event::Hold { transaction: transaction.clone() });
    }

    fn report(&self, transaction: &TransactionId, by: &OperatorId, message: &str, failure: &Failure) {
        match failure {
            Failure::Refused(Unacceptable::NeverPrepared) => {
                self.metrics.alarms.inc();
                error!(%transaction, %by, message, "ALARM: told of a commit that was never prepared here");
            }
            failure => warn!(%transaction, %by, message, error = %failure, "refused"),
        }
    }
}

/// A company is a peer of itself: its own stops take the same path.
#[async_trait]
impl Peer for Participant {
    async fn send(&self, message: Message) -> Result<Reply, PeerError> {
        self.receive(&self.operator, message).await.map_err(|failure| match failure {
            Failure::Refused(refused) => PeerError::Refused(refused),
            Failure::Stopped(stopped) => PeerError::Unreachable(stopped.to_string()),
        })
    }

    async fn store(&self) -> Result<StoreId, PeerError> {
        Ok(self.store)
    }
}
