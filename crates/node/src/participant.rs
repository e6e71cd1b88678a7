//! What this company does for transactions, whoever coordinates them: the service around the rules of
//! [`recarga_reservation::Participant`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use opentelemetry::Context;
use recarga_reservation::{
    Company, Confirmation, EvseId, HoldAnswer, Learnt, Now, OperatorId, Outcome, Patience, Step, StoreId,
    Told, TransactionId, Unacceptable, Vote,
};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::chronicle::Happening;
use crate::clock::Clock;
use crate::events::{Event, Events};
use crate::ledger::{Haste, Ledger, State, Stopped};
use crate::metrics::Metrics;
use crate::peer::{Message, Peer, PeerError, Reply};
use crate::store::{Forced, Record};
use crate::traces::Span;
use crate::watched::Watched;

/// Messages that are done in one go: whoever wants the ledger waits for that long.
const DONE_AT_ONCE: usize = 32;

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
        let replies = self.receive_all(by, &[message], &[Context::current()]).await;
        replies.into_iter().next().unwrap_or(Err(Failure::Stopped(Stopped)))
    }

    /// As [`Participant::receive`] for what came together, each with the trace that it belongs to: it is done in one go,
    /// in this order, and shares a flush. Only what has to wait for a window is done again, by itself.
    pub async fn receive_all(
        &self,
        by: &OperatorId,
        messages: &[Message],
        traces: &[Context],
    ) -> Vec<Result<Reply, Failure>> {
        let span = |(message, trace): (&Message, &Context)| {
            self.events.traces().received(message.name(), by, message.transaction(), trace)
        };
        let spans: Vec<Span> = messages.iter().zip(traces).map(span).collect();
        let turn = self.turn();
        let parts = join_all(messages.chunks(DONE_AT_ONCE).map(|some| self.run(by, some, &turn))).await;
        // What is done waits for nothing that has to wait.
        let mut replies = Vec::with_capacity(messages.len());
        for ((message, answer), span) in messages.iter().zip(parts.into_iter().flatten()).zip(&spans) {
            replies.push(match answer {
                Ok(Answered::Hold(HoldAnswer::Wait)) => None,
                answer => Some(self.conclude(by, message, answer, span).await),
            });
        }
        let waiting = (0..replies.len()).filter(|place| replies[*place].is_none());
        let waiting = waiting.map(async |place| {
            let answer = self.wait_for_window(by, &messages[place], &turn).await;
            (place, self.conclude(by, &messages[place], answer, &spans[place]).await)
        });
        for (place, reply) in join_all(waiting).await {
            replies[place] = Some(reply);
        }
        replies.into_iter().flatten().collect()
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

    fn turn(&self) -> Turn {
        let patience = if self.patience.is_zero() { Patience::MustVote } else { Patience::CanWait };
        Turn { given_back: self.given_back.get(), patience, deadline: Instant::now() + self.patience }
    }

    // One answer for each message.
    async fn run(
        &self,
        by: &OperatorId,
        messages: &[Message],
        turn: &Turn,
    ) -> Vec<Result<Answered, Failure>> {
        // For a confirm or a release nobody waits: the driver has the answer, and the coordinator only wants to know that
        // it may forget.
        let is_patient = |message: &Message| matches!(message, Message::Confirm(_) | Message::Release(_));
        let haste = if messages.iter().all(is_patient) { Haste::Patient } else { Haste::Now };
        let now = self.clock.now();
        let change = |state: &mut State| {
            let (mut records, mut told) = (Vec::with_capacity(messages.len()), Told::AtOnce);
            let mut step = |message| match transition(&mut state.company, by, message, turn.patience, now) {
                Ok(Step { answer, facts, told: when }) => {
                    records.extend(facts.into_iter().map(Record::Fact));
                    if when == Told::OnceDurable {
                        told = when;
                    }
                    Ok(answer)
                }
                // It records nothing, but rests on what was recorded before.
                Err(refused) => {
                    told = Told::OnceDurable;
                    Err(Failure::Refused(refused))
                }
            };
            let answers: Vec<_> = messages.iter().map(&mut step).collect();
            if answers.iter().any(gives_back) {
                self.windows_given_back();
            }
            (answers, records, told)
        };
        let stopped = |stopped: Stopped| messages.iter().map(|_| Err(Failure::Stopped(stopped))).collect();
        self.ledger.record_with(haste, change).await.unwrap_or_else(stopped)
    }

    // Until it can be had, or its time is up.
    async fn wait_for_window(
        &self,
        by: &OperatorId,
        message: &Message,
        first: &Turn,
    ) -> Result<Answered, Failure> {
        let (mut before, mut patience) = (first.given_back, first.patience);
        loop {
            let given_back = self.given_back.wait_for(|count| (*count != before).then_some(()));
            if tokio::time::timeout_at(first.deadline, given_back).await.is_err() {
                patience = Patience::MustVote;
            }
            before = self.given_back.get();
            let turn = Turn { given_back: before, patience, ..*first };
            let answers = self.run(by, std::slice::from_ref(message), &turn).await;
            let answer = answers.into_iter().next().unwrap_or(Err(Failure::Stopped(Stopped)));
            if !matches!(answer, Ok(Answered::Hold(HoldAnswer::Wait))) {
                return answer;
            }
        }
    }

    // What has been done is durable now: whoever has to know is told.
    async fn conclude(
        &self,
        by: &OperatorId,
        message: &Message,
        answer: Result<Answered, Failure>,
        span: &Span,
    ) -> Result<Reply, Failure> {
        let (name, transaction) = (message.name(), message.transaction());
        let reply = match answer {
            Ok(answer) => self.follow(by, transaction, message, answer).await,
            Err(failure) => Err(failure),
        };
        match &reply {
            Ok(Reply::Vote(Vote::No(refusal))) => {
                span.say("recarga.refusal", || format!("{:?}", refusal.reason));
                debug!(%transaction, %by, stop = refusal.stop, reason = ?refusal.reason, "vote: no");
            }
            Ok(_) => debug!(%transaction, %by, message = name, "done"),
            Err(failure) => {
                span.fail(|| failure.to_string());
                self.report(transaction, by, name, failure);
            }
        }
        self.metrics.message(name, reply.is_ok());
        reply
    }

    async fn follow(
        &self,
        by: &OperatorId,
        transaction: &TransactionId,
        message: &Message,
        answer: Answered,
    ) -> Result<Reply, Failure> {
        match answer {
            Answered::Hold(HoldAnswer::Vote(vote)) => {
                if let Vote::No(refusal) = &vote {
                    self.metrics.refused(&refusal.reason);
                    self.events.chronicle().refused(refusal);
                }
                self.tell(transaction, Happening::held(by, &vote));
                Ok(Reply::Vote(vote))
            }
            // Nobody comes here who still waits.
            Answered::Hold(HoldAnswer::Wait) => Err(Failure::Stopped(Stopped)),
            Answered::Confirmed(Confirmation::ReleasedHeuristically) => {
                self.heard_of_forced(transaction, true).await?;
                Err(Unacceptable::ReleasedHeuristically.into())
            }
            Answered::Confirmed(Confirmation::Reserved) => {
                self.tell(transaction, Happening::Confirmed);
                Ok(Reply::Done)
            }
            Answered::GivenBack => {
                let committed = matches!(message, Message::Release(_));
                self.heard_of_forced(transaction, committed).await?;
                self.tell(transaction, if committed { Happening::Released } else { Happening::Aborted });
                Ok(Reply::Done)
            }
            Answered::Outcome(outcome) => {
                info!(%transaction, %by, ?outcome, "was asked what became of it");
                self.events.chronicle().note(transaction, Happening::Inquired(by.clone(), outcome));
                Ok(Reply::Outcome(outcome, self.store))
            }
        }
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

// When messages came, and how long those may wait that need a window.
struct Turn {
    given_back: u64,
    patience: Patience,
    deadline: Instant,
}

// What the rules say to a message.
enum Answered {
    Hold(HoldAnswer),
    Confirmed(Confirmation),
    GivenBack,
    Outcome(Outcome),
}

// A confirm that came too late may have been that of a change: what it replaces was given back nevertheless.
fn gives_back(answer: &Result<Answered, Failure>) -> bool {
    let late = Confirmation::ReleasedHeuristically;
    matches!(answer, Ok(Answered::GivenBack))
        || matches!(answer, Ok(Answered::Confirmed(one)) if *one == late)
}

fn transition(
    company: &mut Company,
    by: &OperatorId,
    message: &Message,
    patience: Patience,
    now: Now,
) -> Result<Step<Answered>, Unacceptable> {
    let participant = &mut company.participant;
    Ok(match message {
        Message::Hold { hold, firmness, valid_for } => {
            company.hold(by, hold, *firmness, *valid_for, patience, now)?.map(Answered::Hold)
        }
        Message::Confirm(transaction) => participant.confirm(by, transaction)?.map(Answered::Confirmed),
        Message::Abort(transaction) => participant.abort(by, transaction, now)?.map(|()| Answered::GivenBack),
        Message::Release(transaction) => participant.release(by, transaction)?.map(|()| Answered::GivenBack),
        Message::Inquire(transaction) => company.inquiry(by, transaction, now)?.map(Answered::Outcome),
    })
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
