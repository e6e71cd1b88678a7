//! The glue around the participant's rules, as the node's: holds with the patience of wait-die, and the orders of
//! coordinators.

use recarga_reservation::{
    AbortCause, Branch, Confirmation, Fact, Firmness, HoldAnswer, Outcome, Patience, Reason, Refusal, Step,
    StoreId, Told, Unacceptable, Vote,
};

use super::canary::Canary;
use super::message::{Message, Purpose, Reply};
use super::node::{Action, Asker, Patient, number, operator};
use super::queue::{MILLI, Micros, SECOND};
use super::trace::trace;
use super::world::{InProcess, World};

/// How long an older trip waits behind a window that a younger one has prepared, as in the node.
const PATIENCE: Micros = 20 * MILLI;

impl World {
    /// A message has reached a company's process.
    pub fn receive(&mut self, at: usize, from: usize, call: usize, message: Message) {
        trace!(self, "{}   hears {message:?} from {} (call {call})", operator(at), operator(from));
        match message {
            Message::Hold { transaction, firmness, valid_for } => {
                let asker = Asker { from, call: Some(call), transaction, firmness, valid_for };
                self.hold(at, asker, Patience::CanWait, None);
            }
            Message::Confirm(transaction) => self.confirm(at, from, call, transaction),
            Message::Abort(transaction) => self.abort(at, from, call, transaction),
            Message::Release(transaction) => self.release(at, from, call, transaction),
            Message::Inquire(transaction) => self.inquiry(at, from, call, transaction),
            Message::Store => {
                let store = StoreId(self.nodes[at].disk.store);
                self.reply(call, Reply::Store(store));
            }
        }
    }

    /// Asks for a hold. `until` is when an earlier round began to wait, and would give up.
    pub fn hold(&mut self, at: usize, asker: Asker, patience: Patience, until: Option<Micros>) {
        let now = self.clock(at);
        let transaction = &self.transactions[asker.transaction];
        let Some((_, hold)) = transaction.holds.iter().find(|(to, _)| *to == at) else { return };
        let mut changed = None;
        if self.canary == Some(Canary::AnotherStoresHoldGranted) {
            let mut hold = hold.clone();
            hold.stores.remove(&self.operators[at]);
            changed = Some(hold);
        }
        let company = &mut self.nodes[at].company;
        if self.canary == Some(Canary::TombstoneIgnored) {
            let _ = company.participant.forget_tombstone(&transaction.id);
        }
        let by = &self.operators[asker.from];
        let hold = changed.as_ref().unwrap_or(hold);
        match company.hold(by, hold, asker.firmness, asker.valid_for, patience, now) {
            Ok(Step { answer: HoldAnswer::Wait, .. }) => {
                let until = until.unwrap_or(self.now + PATIENCE);
                self.counts.waited += u64::from(patience == Patience::CanWait);
                self.nodes[at].patient.push(Patient { asker, until });
                self.plan(
                    at,
                    until.saturating_sub(self.now),
                    InProcess::Patience { transaction: asker.transaction },
                );
            }
            Ok(Step { answer: HoldAnswer::Vote(vote), facts, mut told }) => {
                if self.is_planted(Canary::YesToldEarly) {
                    told = Told::AtOnce;
                }
                self.record(at, facts, told, Action::Voted { asker, vote });
            }
            Err(refused) => self.refuse(at, asker.call, refused),
        }
    }

    /// A company has judged a hold, and may say so.
    pub fn voted(&mut self, at: usize, asker: Asker, vote: Vote) {
        let yes = matches!(vote, Vote::Yes { .. });
        self.counts.yes += u64::from(yes);
        self.counts.no += u64::from(!yes);
        match asker.call {
            Some(call) => {
                self.reply(call, Reply::Vote(vote));
                if yes {
                    self.aim_at_parties(asker.transaction);
                }
            }
            None => self.count_vote(at, asker.transaction, at, asker.firmness, vote),
        }
    }

    /// The time of those who wait behind a younger trip is up.
    pub fn lose_patience(&mut self, at: usize, transaction: usize) {
        let now = self.now;
        let waits = |one: &Patient| one.asker.transaction == transaction && one.until <= now;
        let Some(place) = self.nodes[at].patient.iter().position(waits) else { return };
        let patient = self.nodes[at].patient.swap_remove(place);
        self.hold(at, patient.asker, Patience::MustVote, Some(patient.until));
    }

    /// Those who wait for a window look again.
    pub fn windows_given_back(&mut self, at: usize) {
        for Patient { asker, until } in std::mem::take(&mut self.nodes[at].patient) {
            self.hold(at, asker, Patience::CanWait, Some(until));
        }
    }

    /// Lets time pass in the rules.
    pub fn expire(&mut self, at: usize) {
        let now = self.clock(at);
        if self.is_planted(Canary::PreparedExpires) {
            self.release_overdue(at);
        }
        let step = self.nodes[at].company.participant.expire(now);
        for id in &step.answer.heuristic {
            trace!(self, "{}   releases t{} heuristically", operator(at), number(id));
            self.counts.heuristic += 1;
            let (grace, utc) = (self.settings.limits.grace, now.utc);
            self.model.gives_up(at, number(id), grace, utc);
        }
        self.counts.expired += step.answer.soft.len() as u64;
        let given_back = !step.answer.soft.is_empty() || !step.answer.heuristic.is_empty();
        self.apply(at, step, |_| if given_back { Action::GivenBack } else { Action::Nothing });
    }

    /// An operator gives a prepared hold up by command.
    pub fn force_abort(&mut self, at: usize) {
        let prepared = self.nodes[at].company.participant.branches();
        let own = &self.operators[at];
        let found = prepared
            .filter(|(id, branch)| matches!(branch, Branch::Prepared { .. }) && id.coordinator != *own)
            .map(|(id, _)| id.clone())
            .next();
        let Some(id) = found else { return };
        let now = self.clock(at);
        trace!(self, "{}   is forced to give t{} up", operator(at), number(&id));
        let step = self.nodes[at].company.participant.force_abort(&id, now);
        self.counts.forced += 1;
        self.apply(at, step, |_| Action::GivenBack);
    }

    fn confirm(&mut self, at: usize, from: usize, call: usize, transaction: usize) {
        let (id, by) = (&self.transactions[transaction].id, &self.operators[from]);
        match self.nodes[at].company.participant.confirm(by, id) {
            Ok(Step { answer, facts, mut told }) => {
                if self.is_planted(Canary::AcknowledgedEarly) {
                    told = Told::AtOnce;
                }
                let reply = match answer {
                    Confirmation::Reserved => Reply::Done,
                    Confirmation::ReleasedHeuristically => {
                        Reply::Refused(Unacceptable::ReleasedHeuristically)
                    }
                };
                self.record(at, facts, told, Action::Reply { call, reply });
            }
            Err(Unacceptable::NeverPrepared) if self.is_planted(Canary::UnknownConfirmed) => {
                self.record(at, vec![], Told::OnceDurable, Action::Reply { call, reply: Reply::Done });
            }
            Err(refused) => self.refuse(at, Some(call), refused),
        }
    }

    fn abort(&mut self, at: usize, from: usize, call: usize, transaction: usize) {
        let now = self.clock(at);
        let (id, by) = (&self.transactions[transaction].id, &self.operators[from]);
        match self.nodes[at].company.participant.abort(by, id, now) {
            Ok(step) => self.apply(at, step, |()| Action::Aborted { call }),
            Err(_) if self.is_planted(Canary::AbortAfterConfirm) => {
                let tombstone = Branch::Aborted { cause: AbortCause::Coordinator, at: now.utc, hold: None };
                let id = id.clone();
                self.nodes[at].company.participant.restore(id.clone(), tombstone.clone(), now);
                let facts = vec![Fact::Branch(id, tombstone)];
                self.record(at, facts, Told::AtOnce, Action::Aborted { call });
            }
            Err(refused) => self.refuse(at, Some(call), refused),
        }
    }

    fn release(&mut self, at: usize, from: usize, call: usize, transaction: usize) {
        let (id, by) = (&self.transactions[transaction].id, &self.operators[from]);
        match self.nodes[at].company.participant.release(by, id) {
            Ok(step) => {
                self.apply(at, step, |()| Action::Reply { call, reply: Reply::Done });
                self.windows_given_back(at);
            }
            Err(refused) => self.refuse(at, Some(call), refused),
        }
    }

    fn inquiry(&mut self, at: usize, from: usize, call: usize, transaction: usize) {
        let now = self.clock(at);
        let store = StoreId(self.nodes[at].disk.store);
        let (id, by) = (&self.transactions[transaction].id, &self.operators[from]);
        let before = self.is_planted(Canary::NoTombstone).then(|| self.nodes[at].company.clone());
        let gave_up = matches!(
            self.nodes[at].company.participant.branch(id),
            Some(Branch::Aborted { cause: AbortCause::Heuristic, .. })
        );
        let step = match self.nodes[at].company.inquiry(by, id, now) {
            Ok(step) => step,
            Err(_) if self.is_planted(Canary::MissingStoreMeansAbort) => {
                Step::durable(Outcome::Abort, vec![])
            }
            Err(refused) => return self.refuse(at, Some(call), refused),
        };
        let Step { answer, mut facts, mut told } = step;
        if let Some(before) = before {
            self.nodes[at].company = before;
            facts.clear();
        }
        if self.is_planted(Canary::TombstoneToldEarly) {
            told = Told::AtOnce;
        }
        let outcome = match answer {
            Outcome::Pending if self.is_planted(Canary::PendingMeansAbort) => Outcome::Abort,
            Outcome::InDoubt if gave_up && self.is_planted(Canary::HeuristicTold) => Outcome::Abort,
            outcome => outcome,
        };
        let given_back = !facts.is_empty();
        self.record(at, facts, told, Action::Reply { call, reply: Reply::Outcome(outcome, store) });
        if given_back {
            self.windows_given_back(at);
        }
    }

    // A refusal rests on what was recorded before. A company refuses itself without a call.
    fn refuse(&mut self, at: usize, call: Option<usize>, refused: Unacceptable) {
        if let Some(call) = call {
            if refused == Unacceptable::NeverPrepared {
                self.counts.alarms += 1;
            }
            self.record(
                at,
                vec![],
                Told::OnceDurable,
                Action::Reply { call, reply: Reply::Refused(refused) },
            );
        }
    }

    // What the obvious design would do: a prepared hold runs out.
    fn release_overdue(&mut self, at: usize) {
        if self.now < SECOND {
            return;
        }
        let own = &self.operators[at];
        let branches = self.nodes[at].company.participant.branches();
        let prepared: Vec<_> = branches
            .filter(|(id, branch)| matches!(branch, Branch::Prepared { .. }) && id.coordinator != *own)
            .map(|(id, _)| id.clone())
            .collect();
        for id in prepared {
            let now = self.clock(at);
            if let Ok(step) = self.nodes[at].company.participant.abort(&id.coordinator, &id, now) {
                self.apply(at, step, |()| Action::GivenBack);
            }
        }
    }

    /// A company that cannot be asked counts as a no of this attempt.
    pub fn unreachable(&self, transaction: usize, at: usize) -> Vote {
        let holds = &self.transactions[transaction].holds;
        let stop = holds.iter().find(|(to, _)| *to == at).and_then(|(_, hold)| hold.stops.first());
        let reason = Reason::Unreachable { operator: self.operators[at].clone() };
        Vote::No(Refusal { stop: stop.map(|stop| stop.number), reason })
    }

    /// What became of a message.
    pub fn take_reply(
        &mut self,
        at: usize,
        from: usize,
        purpose: Purpose,
        reply: Option<Reply>,
        is_first: bool,
    ) {
        match purpose {
            Purpose::Hold { transaction, firmness } => {
                self.take_vote(at, from, transaction, firmness, reply, is_first)
            }
            Purpose::Deliver { transaction, message } => {
                self.delivered(at, from, transaction, message, reply, is_first);
            }
            Purpose::Question { question, .. } => self.told_outcome(at, from, question, reply, is_first),
            Purpose::Tombstone { transaction } => self.may_forget(at, transaction, reply),
            Purpose::Greet => self.greeted(at, from, reply),
            Purpose::Abort => {}
        }
    }

    fn take_vote(
        &mut self,
        at: usize,
        from: usize,
        transaction: usize,
        firmness: Firmness,
        reply: Option<Reply>,
        is_first: bool,
    ) {
        match reply {
            Some(Reply::Vote(vote)) => {
                self.reached(at, from);
                // The second of two replies is no news, except a vote.
                if is_first || firmness == Firmness::Prepared {
                    self.count_vote(at, transaction, from, firmness, vote);
                }
            }
            _ if !is_first => {}
            reply => {
                if reply.is_none() {
                    self.not_reached(at, from);
                }
                let vote = self.unreachable(transaction, from);
                self.count_vote(at, transaction, from, firmness, vote);
            }
        }
    }
}
