//! One company: participant and coordinator together, where a step of one must stand or fall with a step of the
//! other. The company's own branch of a trip becomes durable inside the trip's commit record, in one write.

use std::time::Duration;

use crate::decision::{Fact, Outcome, Reason, Refusal, Step, Unacceptable, Vote};
use crate::hold::{Branch, Firmness, Hold, HoldAnswer, HoldLimits, Participant, Patience};
use crate::ids::{OperatorId, StoreId, TransactionId, TripId};
use crate::station::Evse;
use crate::time_window::Now;
use crate::trip::{Coordinator, Decision, NotChangeable, Trip};

/// All rules of one company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Company {
    operator: OperatorId,
    /// What it holds, for its own trips and for others'.
    pub participant: Participant,
    /// The trips that it coordinates.
    pub coordinator: Coordinator,
}

impl Company {
    /// A company that remembers nothing yet. `epoch` must be durable and new in this store.
    pub fn new<'a>(
        operator: OperatorId,
        store: StoreId,
        epoch: u64,
        evses: impl IntoIterator<Item = &'a Evse>,
        limits: HoldLimits,
        decide_limit: Duration,
    ) -> Self {
        let mut coordinator = Coordinator::new(operator.clone(), store, epoch, decide_limit);
        coordinator.limit_vehicles(limits.vehicle);
        let participant = Participant::new(operator.clone(), store, evses, limits);
        Self { participant, coordinator, operator }
    }

    /// Takes back what was durable before a restart.
    pub fn restore(&mut self, fact: Fact, now: Now) {
        match fact {
            Fact::Branch(transaction, branch) => self.participant.restore(transaction, branch, now),
            Fact::Trip(trip) => self.coordinator.restore(trip),
            Fact::BranchForgotten(_) | Fact::TripForgotten(_) => {}
        }
    }

    /// Who it is.
    pub fn operator(&self) -> &OperatorId {
        &self.operator
    }

    /// Asks this company's participant for all stops of `hold`. For a trip of its own only while that trip waits for
    /// votes: later nobody would come to confirm or take back what is held.
    pub fn hold(
        &mut self,
        by: &OperatorId,
        hold: &Hold,
        firmness: Firmness,
        valid_for: Duration,
        patience: Patience,
        now: Now,
    ) -> Result<Step<HoldAnswer>, Unacceptable> {
        // Anybody else who asks for it is not its coordinator, which the participant says.
        let is_own = hold.transaction.coordinator == self.operator && *by == self.operator;
        if is_own && !self.coordinator.is_waiting(&hold.transaction) {
            let no = Vote::No(Refusal::whole(Reason::Closed));
            return Ok(Step::lazy(HoldAnswer::Vote(no), vec![]));
        }
        self.participant.hold(by, hold, firmness, valid_for, patience, now)
    }

    /// Decides a transaction that waits for votes; `None` if it was decided before.
    pub fn decide(&mut self, transaction: &TransactionId, now: Now) -> Option<Step<Decision>> {
        let holds = matches!(self.participant.branch(transaction), Some(Branch::Prepared { .. }));
        if !holds && self.coordinator.has_yes_of(transaction, &self.operator) {
            // Whatever took the own hold back, nobody was told of the yes yet: it still can be a no.
            let no = Vote::No(Refusal::whole(Reason::Closed));
            let _ = self.coordinator.vote(transaction, &self.operator, no);
        }
        let step = self.coordinator.decide(transaction, now)?;
        Some(self.follow_decision(transaction, step, now))
    }

    /// Aborts a transaction that waits for votes; `None` if it was decided before.
    pub fn withdraw(&mut self, transaction: &TransactionId, now: Now) -> Option<Step<Decision>> {
        let step = self.coordinator.withdraw(transaction)?;
        Some(self.follow_decision(transaction, step, now))
    }

    /// Cancels a whole committed trip, this company's part in the same write.
    pub fn cancel(&mut self, id: &TripId, now: Now) -> Result<Step<Trip>, NotChangeable> {
        let mut step = self.coordinator.cancel(id, now)?;
        let own = self.participant.release(&self.operator, &step.answer.transaction);
        step.facts.extend(own.map(|own| own.facts).unwrap_or_default());
        Ok(step)
    }

    /// Another company asks what became of a transaction.
    ///
    /// # Errors
    /// [`Unacceptable::NotCoordinator`] where the asker has no part in it, or where nothing may be presumed because
    /// the transaction belongs to another database than the one at hand.
    pub fn inquiry(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
        now: Now,
    ) -> Result<Step<Outcome>, Unacceptable> {
        if transaction.coordinator != self.operator {
            return self.participant.inquiry(by, transaction, now);
        }
        if self.coordinator.is_participant(transaction, by) == Some(false) {
            return Err(Unacceptable::NotCoordinator);
        }
        self.coordinator.status(transaction).ok_or(Unacceptable::NotCoordinator)
    }

    fn follow_decision(
        &mut self,
        transaction: &TransactionId,
        mut step: Step<Decision>,
        now: Now,
    ) -> Step<Decision> {
        let own = match step.answer {
            Decision::Commit(_) => self.participant.confirm(&self.operator, transaction).map(|own| own.facts),
            Decision::Abort { .. } => {
                self.participant.abort(&self.operator, transaction, now).map(|own| own.facts)
            }
        };
        // A company without a stop of its own in the trip has no branch to follow.
        step.facts.extend(own.unwrap_or_default());
        step
    }
}
