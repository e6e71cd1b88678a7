//! Tells companies what a coordinator owes them, until they acknowledge, as the node's delivery does.

use recarga_reservation::{Owed, OwedMessage, Step, Told, Unacceptable};

use super::canary::Canary;
use super::message::{Message, Purpose, Reply};
use super::node::{Action, Rest, company_of, number};
use super::queue::{MILLI, Micros, SECOND};
use super::world::World;

/// Pauses as in the node.
const PAUSE: Micros = 250 * MILLI;
const PAUSE_MAX: Micros = 10 * SECOND;
const REFUSED_PAUSE: Micros = 30 * SECOND;

impl World {
    /// Repeats what is owed.
    pub fn sweep(&mut self, at: usize) {
        if self.is_planted(Canary::NothingRepeated) {
            return;
        }
        let owed = self.nodes[at].company.coordinator.owed();
        let told = if self.is_planted(Canary::SweepSpeaksEarly) { Told::AtOnce } else { Told::OnceDurable };
        if !owed.is_empty() {
            self.record(at, vec![], told, Action::Owed(owed));
        }
    }

    /// Sends one message that is owed, unless it is under way or its company is left alone.
    pub fn deliver(&mut self, at: usize, owed: &Owed) {
        let (transaction, to) = (number(&owed.transaction), company_of(&owed.operator));
        let now = self.now;
        let present = &mut self.nodes[at].delivery;
        if present.resting[to].is_some_and(|rest| now < rest.until) {
            return;
        }
        if present.refused.iter().any(|&(one, by, until)| (one, by) == (transaction, to) && now < until) {
            return;
        }
        if present.under_way.contains(&(transaction, to)) {
            return;
        }
        present.under_way.push((transaction, to));
        let message = match owed.message {
            OwedMessage::Confirm => Message::Confirm(transaction),
            OwedMessage::Release if self.is_planted(Canary::CancelledByAbort) => Message::Abort(transaction),
            OwedMessage::Release => Message::Release(transaction),
        };
        self.send(at, to, message, Purpose::Deliver { transaction, message: owed.message });
    }

    /// What became of it.
    pub fn delivered(
        &mut self,
        at: usize,
        from: usize,
        transaction: usize,
        message: OwedMessage,
        reply: Option<Reply>,
        is_first: bool,
    ) {
        if is_first {
            self.nodes[at].delivery.under_way.retain(|one| *one != (transaction, from));
        }
        match reply {
            Some(Reply::Done) => {
                self.reached(at, from);
                self.acknowledged(at, from, transaction, message);
            }
            Some(Reply::Refused(Unacceptable::ReleasedHeuristically)) => {
                self.reached(at, from);
                if self.is_planted(Canary::LossTakenForSuccess) {
                    return self.acknowledged(at, from, transaction, message);
                }
                let id = &self.transactions[transaction].id;
                let step = self.nodes[at].company.coordinator.lost(id, &self.operators[from]);
                self.counts.mixed += u64::from(step.answer);
                self.apply(at, step, |_| Action::Nothing);
            }
            Some(_) => {
                let until = self.now + REFUSED_PAUSE;
                self.nodes[at].delivery.refused.push((transaction, from, until));
            }
            None => self.not_reached(at, from),
        }
    }

    /// A company has answered.
    pub fn reached(&mut self, at: usize, company: usize) {
        self.nodes[at].delivery.resting[company] = None;
    }

    /// A company has not answered.
    pub fn not_reached(&mut self, at: usize, company: usize) {
        let now = self.now;
        let rest = self.nodes[at].delivery.resting[company].get_or_insert(Rest { failures: 0, until: now });
        if rest.until > now {
            return;
        }
        rest.failures += 1;
        let pause = (PAUSE << rest.failures.min(6)).min(PAUSE_MAX);
        rest.until = now + pause / 2 + self.random.u64(0..=pause / 2);
    }

    fn acknowledged(&mut self, at: usize, from: usize, transaction: usize, message: OwedMessage) {
        let id = self.transactions[transaction].id.clone();
        let mut from = vec![self.operators[from].clone()];
        if self.is_planted(Canary::FirstAcknowledgementSettles) {
            let owed = self.nodes[at].company.coordinator.owed_of(&id);
            from.extend(owed.into_iter().map(|owed| owed.operator));
        }
        for operator in from {
            let step: Step<()> = self.nodes[at].company.coordinator.acknowledged(&id, &operator, message);
            self.apply(at, step, |()| Action::Nothing);
        }
    }
}
