//! The thinnest glue that obeys "record, then speak" around the shipped rules; and where a plant makes it break
//! one of them.

use std::time::Duration;

use recarga_reservation::{
    AbortCause, Beginning, Branch, Confirmation, Decision, Fact, Firmness, Fresh, HoldAnswer, OperatorId,
    Outcome, OwedMessage, Patience, Reason, Refusal, Step, StoreId, Tally, Told, TransactionId, TripId, Vote,
};

use crate::history::Sent;
use crate::node::{Disk, Event, Node, Say, What};
use crate::plants::Plant;
use crate::scenario::{AFTER_LIMITS, Attempt, DECIDE_LIMIT, FIRST_STORE, LONG_AFTER, NOW, Scenario};

const YES: Vote = Vote::Yes { expires: NOW.utc, store: FIRST_STORE };

/// One event in the hand of a company's glue.
pub struct Hand<'a> {
    node: &'a mut Node,
    event: Event,
    scenario: &'a Scenario,
    attempts: &'a mut Vec<Attempt>,
    sent: Sent,
}

impl<'a> Hand<'a> {
    pub fn act(
        node: &'a mut Node,
        event: Event,
        scenario: &'a Scenario,
        attempts: &'a mut Vec<Attempt>,
    ) -> Sent {
        let mut hand = Hand { node, event, scenario, attempts, sent: Sent::default() };
        hand.dispatch();
        hand.sent
    }

    fn dispatch(&mut self) {
        match self.event.what {
            What::Begin => self.begin(),
            What::Hold(firmness) => self.hold(firmness),
            What::Vote { from, yes } => self.count(from, yes),
            What::Decide { .. } | What::Withdraw => self.decide(),
            What::Cancel => self.cancel(),
            What::Commit => self.confirm(),
            What::Abort => self.abort(),
            What::Release => self.release(),
            What::Confirmed { from } => self.acknowledged(from, OwedMessage::Confirm),
            What::Released { from } => self.acknowledged(from, OwedMessage::Release),
            What::Lost { from } => self.lost(from),
            What::Inquiry { by } => self.inquiry(by),
            What::Sweep => self.sweep(),
            What::Expire => self.expire(),
            What::ForceAbort => self.force_abort(),
            What::GraceOver => self.grace_over(),
            What::ForgetTombstone => {
                let step = self.node.company.participant.forget_tombstone(&self.transaction());
                self.record(step.facts);
            }
            What::ForgetTrips => {
                let coordinator = &mut self.node.company.coordinator;
                let past = coordinator.old(Duration::ZERO, LONG_AFTER, None, usize::MAX).past;
                let step = coordinator.forget(&past);
                self.record(step.facts);
            }
            What::Flush => self.flush(),
            What::Copy => self.node.copy = Some(Box::new(self.node.durable.clone())),
            What::Crash | What::Kill | What::Wipe | What::PutBack => self.restart(),
        }
    }

    fn transaction(&self) -> TransactionId {
        self.attempts[usize::from(self.event.attempt)].transaction.clone()
    }

    fn is_planted(&self, plant: Plant) -> bool {
        self.scenario.plant == Some(plant)
    }

    fn bit(&self) -> u8 {
        1 << self.event.trip
    }

    fn begin(&mut self) {
        let trip = usize::from(self.event.trip);
        let plan = &self.scenario.trips[trip];
        let request = self.scenario.request(trip);
        let nonce = if self.is_planted(Plant::EpochReused) { 0 } else { u128::from(self.event.trip) };
        let coordinator = &mut self.node.company.coordinator;
        let beginning = match plan.replaces {
            None => coordinator.begin(&request, NOW.utc, fresh(nonce), NOW),
            Some(old) => {
                let Some(attempt) = self.node.history.begun[old] else { return };
                let old = &self.attempts[usize::from(attempt)].transaction;
                let Some(id) =
                    coordinator.trips().find(|one| one.transaction == *old).map(|one| one.id.clone())
                else {
                    return;
                };
                let Ok(beginning) = coordinator.begin_change(&id, &request, NOW.utc, fresh(nonce), NOW)
                else {
                    return;
                };
                beginning
            }
        };
        let Beginning::New { transaction, holds } = beginning else { return };
        let earlier = (0..trip).filter(|&one| self.scenario.trips[one].key == plan.key);
        if earlier.into_iter().any(|one| self.node.history.committed & (1 << one) != 0) {
            self.sent.violate("driver: a repeat of a request that was confirmed begins anew");
        }
        let attempt = Attempt { trip, transaction, holds };
        let index = self.attempts.iter().position(|known| *known == attempt).unwrap_or_else(|| {
            self.attempts.push(attempt);
            self.attempts.len() - 1
        });
        self.node.history.begun[trip] = Some(u8::try_from(index).unwrap());
        self.node.history.fresh |= self.bit();
    }

    fn hold(&mut self, firmness: Firmness) {
        let me = self.node.company.operator().clone();
        let transaction = self.transaction();
        let mut hold = self.attempts[usize::from(self.event.attempt)].hold(usize::from(self.node.me)).clone();
        if self.is_planted(Plant::AnotherStoresHoldGranted) {
            hold.stores.remove(&me);
        }
        if self.is_planted(Plant::TombstoneIgnored) {
            let _ = self.node.company.participant.forget_tombstone(&transaction);
        }
        // How long a vote is meant to wait is for people to see; a restart forgets it, and that is no difference.
        let valid_for = if firmness == Firmness::Soft { DECIDE_LIMIT } else { Duration::ZERO };
        let step = self.node.company.hold(
            &transaction.coordinator,
            &hold,
            firmness,
            valid_for,
            Patience::MustVote,
            NOW,
        );
        let Step { answer: HoldAnswer::Vote(vote), facts, told } = step.unwrap() else { unreachable!() };
        let nothing_new = facts.is_empty();
        self.record(facts);
        let counts = firmness == Firmness::Prepared
            || matches!(vote, Vote::No(_))
            || self.is_planted(Plant::SoftHoldCounted);
        if transaction.coordinator == me {
            if counts {
                let _ = self.node.company.coordinator.vote(&transaction, &me, vote);
            }
        } else if counts {
            let yes = matches!(vote, Vote::Yes { .. });
            let early = self.is_planted(Plant::YesToldEarly)
                || (nothing_new
                    && self.node.waiting.is_empty()
                    && self.is_planted(Plant::RestartTrustsUnflushed));
            self.say(if yes { Say::Yes } else { Say::No }, if early { Told::AtOnce } else { told });
        }
    }

    fn count(&mut self, from: u8, yes: bool) {
        let transaction = self.transaction();
        let operator = Scenario::operator(usize::from(from));
        let vote = if yes { YES } else { Vote::No(Refusal::whole(Reason::Held)) };
        let tally = self.node.company.coordinator.vote(&transaction, &operator, vote);
        let is_decided = self.node.company.coordinator.trips().any(|trip| trip.transaction == transaction);
        let is_late = tally == Tally::Late || (is_decided && self.is_planted(Plant::RepeatedYesAborted));
        if is_late && yes {
            self.say(Say::Abort { to: from }, Told::OnceDurable);
        }
    }

    fn decide(&mut self) {
        let transaction = self.transaction();
        let (now, yes) = match self.event.what {
            What::Decide { in_time, yes } => (if in_time { NOW } else { AFTER_LIMITS }, yes),
            _ => (NOW, 0),
        };
        (0..8).filter(|from| yes & (1 << from) != 0).for_each(|from| self.count(from, true));
        if self.is_planted(Plant::SilenceCounted) && now == AFTER_LIMITS {
            for (operator, _) in &self.attempts[usize::from(self.event.attempt)].holds {
                let _ = self.node.company.coordinator.vote(&transaction, operator, YES);
            }
        }
        let now = if self.is_planted(Plant::SilenceCounted) { NOW } else { now };
        let step = match self.event.what {
            What::Withdraw => self.node.company.withdraw(&transaction, now),
            _ => self.node.company.decide(&transaction, now),
        };
        let Some(Step { answer, mut facts, mut told }) = step else { return };
        if self.is_planted(Plant::OwnBranchNotRecorded) {
            facts.retain(|fact| !matches!(fact, Fact::Branch(..)));
        }
        if self.is_planted(Plant::CommitToldEarly) {
            told = Told::AtOnce;
        }
        self.record(facts);
        match answer {
            Decision::Commit(_) => {
                self.say(Say::DriverCommit, told);
                self.say_owed(told);
            }
            Decision::Abort { asked, .. } => {
                self.say(Say::DriverAbort, told);
                for operator in &asked {
                    self.say(Say::Abort { to: index(operator) }, told);
                }
            }
        }
    }

    fn cancel(&mut self) {
        let transaction = self.transaction();
        let Some(id) = self.node.company.coordinator.trips().find(|trip| trip.transaction == transaction)
        else {
            return;
        };
        let id = id.id.clone();
        let Ok(step) = self.node.company.cancel(&id, NOW) else { return };
        self.record(step.facts);
        self.say_owed(step.told);
    }

    fn confirm(&mut self) {
        let transaction = self.transaction();
        match self.node.company.participant.confirm(&transaction.coordinator, &transaction) {
            Ok(Step { answer, facts, told }) => {
                self.record(facts);
                let early = self.is_planted(Plant::AcknowledgedEarly);
                let say = match answer {
                    Confirmation::Reserved => Say::Confirmed,
                    Confirmation::ReleasedHeuristically => Say::Lost,
                };
                self.say(say, if early { Told::AtOnce } else { told });
            }
            Err(_) if self.is_planted(Plant::UnknownConfirmed) => self.say(Say::Confirmed, Told::OnceDurable),
            Err(_) => {}
        }
    }

    fn abort(&mut self) {
        let transaction = self.transaction();
        match self.node.company.participant.abort(&transaction.coordinator, &transaction, NOW) {
            Ok(step) => self.record(step.facts),
            Err(_) if self.is_planted(Plant::AbortAfterConfirm) => {
                self.overwrite_with_tombstone(&transaction)
            }
            Err(_) => {}
        }
    }

    fn release(&mut self) {
        let transaction = self.transaction();
        let coordinator = &transaction.coordinator;
        let by_abort = self.is_planted(Plant::CancelledByAbort);
        let participant = &mut self.node.company.participant;
        let step = if by_abort {
            participant.abort(coordinator, &transaction, NOW)
        } else {
            participant.release(coordinator, &transaction)
        };
        if let Ok(step) = step {
            self.record(step.facts);
            self.say(Say::Released, Told::OnceDurable);
        }
    }

    fn acknowledged(&mut self, from: u8, message: OwedMessage) {
        let transaction = self.transaction();
        let mut from = vec![Scenario::operator(usize::from(from))];
        if self.is_planted(Plant::FirstAcknowledgementSettles) {
            let owed = self.node.company.coordinator.owed_of(&transaction);
            from.extend(owed.into_iter().map(|owed| owed.operator));
        }
        for operator in &from {
            let step = self.node.company.coordinator.acknowledged(&transaction, operator, message);
            self.record(step.facts);
        }
    }

    fn lost(&mut self, from: u8) {
        if self.is_planted(Plant::LossTakenForSuccess) {
            return self.acknowledged(from, OwedMessage::Confirm);
        }
        let from = Scenario::operator(usize::from(from));
        let step = self.node.company.coordinator.lost(&self.transaction(), &from);
        self.record(step.facts);
    }

    fn inquiry(&mut self, by: u8) {
        let transaction = self.transaction();
        let before = self.node.company.clone();
        let answer = self.node.company.inquiry(&Scenario::operator(usize::from(by)), &transaction, NOW);
        let Step { answer, facts, mut told } = match answer {
            Ok(step) => step,
            Err(_) if self.is_planted(Plant::MissingStoreMeansAbort) => Step::durable(Outcome::Abort, vec![]),
            Err(_) => return,
        };
        let gave_up = matches!(
            before.participant.branch(&transaction),
            Some(Branch::Aborted { cause: AbortCause::Heuristic, .. })
        );
        let outcome = match answer {
            Outcome::Pending if self.is_planted(Plant::PendingMeansAbort) => Outcome::Abort,
            Outcome::InDoubt if gave_up && self.is_planted(Plant::HeuristicTold) => Outcome::Abort,
            outcome => outcome,
        };
        if self.is_planted(Plant::NoTombstone) {
            self.node.company = before;
        } else {
            self.record(facts);
        }
        if self.is_planted(Plant::TombstoneToldEarly) {
            told = Told::AtOnce;
        }
        if !self.is_believed(by, outcome) {
            return;
        }
        match outcome {
            Outcome::Commit => self.say(Say::Commit { to: by }, told),
            Outcome::Abort => self.say(Say::Abort { to: by }, told),
            Outcome::Pending | Outcome::InDoubt => {}
        }
    }

    // The answer says from which database it comes; one that would not be believed need not be sent.
    fn is_believed(&self, by: u8, outcome: Outcome) -> bool {
        let me = self.node.company.operator();
        let hold = self.attempts[usize::from(self.event.attempt)].hold(usize::from(by));
        hold.believes(me, self.store(), outcome, hold.priority)
            || (hold.transaction.coordinator == *me && self.is_planted(Plant::MissingStoreMeansAbort))
            || (hold.transaction.coordinator != *me && self.is_planted(Plant::AnotherStoresAbortBelieved))
    }

    fn store(&self) -> StoreId {
        self.node.company.coordinator.store()
    }

    fn sweep(&mut self) {
        let early = self.is_planted(Plant::SweepSpeaksEarly);
        self.say_owed(if early { Told::AtOnce } else { Told::OnceDurable });
    }

    // `owed` looks at the memory, so it may be sent only once all that was recorded so far is durable.
    fn say_owed(&mut self, told: Told) {
        for owed in self.node.company.coordinator.owed_of(&self.transaction()) {
            let to = index(&owed.operator);
            let say = match owed.message {
                OwedMessage::Confirm => Say::Commit { to },
                OwedMessage::Release => Say::Release { to },
            };
            self.say(say, told);
        }
    }

    fn expire(&mut self) {
        let step = self.node.company.participant.expire(AFTER_LIMITS);
        self.record(step.facts);
        if self.is_planted(Plant::PreparedExpires) {
            let transaction = self.transaction();
            let step = self.node.company.participant.abort(&transaction.coordinator, &transaction, NOW);
            self.record(step.map(|step| step.facts).unwrap_or_default());
        }
    }

    fn grace_over(&mut self) {
        let participant = &mut self.node.company.participant;
        let all: Vec<TransactionId> =
            participant.branches().map(|(transaction, _)| transaction.clone()).collect();
        all.iter().for_each(|transaction| participant.asked_in_vain(transaction));
        let step = participant.expire(LONG_AFTER);
        self.record(step.facts);
    }

    fn force_abort(&mut self) {
        let transaction = self.transaction();
        let step = self.node.company.participant.force_abort(&transaction, NOW);
        self.record(step.facts);
    }

    fn overwrite_with_tombstone(&mut self, transaction: &TransactionId) {
        let tombstone = Branch::Aborted { cause: AbortCause::Coordinator, at: NOW.utc, hold: None };
        self.record(vec![Fact::Branch(transaction.clone(), tombstone)]);
        self.node.company = self.node.recorded.restore(usize::from(self.node.me));
    }

    fn restart(&mut self) {
        let node = &mut *self.node;
        if self.event.what == What::Wipe {
            node.durable = Disk::empty(2);
            node.history.wiped = true;
        }
        if self.event.what == What::PutBack
            && let Some(copy) = node.copy.take()
        {
            node.durable = *copy;
            // Its epochs were used up by the lost one, or not: with another identity that does not matter.
            node.durable.store = if self.scenario.plant == Some(Plant::CopyKeepsItsStore) { 1 } else { 2 };
            node.durable.epoch += 1;
            node.history.wiped = true;
        }
        if self.event.what != What::Kill {
            node.recorded = node.durable.clone();
        }
        // An epoch in which nothing was begun may as well come again: then crashes need not be counted, and there may
        // be any number of them.
        if node.history.fresh != 0 && self.scenario.plant != Some(Plant::EpochReused) {
            node.durable.epoch += 1;
            node.recorded.epoch += 1;
        }
        node.company = node.recorded.restore(usize::from(node.me));
        node.waiting.clear();
        node.history.fresh = 0;
    }

    fn record(&mut self, facts: Vec<Fact>) {
        facts.into_iter().for_each(|fact| self.node.recorded.record(fact));
    }

    fn say(&mut self, say: Say, told: Told) {
        match told {
            Told::AtOnce => {
                self.node.send(self.event.attempt, say, self.scenario, self.attempts, &mut self.sent)
            }
            Told::OnceDurable => drop(self.node.waiting.insert((self.event.attempt, say))),
        }
    }

    fn flush(&mut self) {
        self.node.durable = self.node.recorded.clone();
        for (attempt, say) in std::mem::take(&mut self.node.waiting) {
            self.node.send(attempt, say, self.scenario, self.attempts, &mut self.sent);
        }
    }
}

fn index(operator: &OperatorId) -> u8 {
    u8::try_from(Scenario::company_of(operator)).unwrap()
}

fn fresh(nonce: u128) -> Fresh {
    Fresh { nonce, trip: TripId::new(&format!("trip-{nonce}")).unwrap() }
}
