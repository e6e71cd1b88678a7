//! Ticks, questions about what is in doubt, greetings and forgetting, as in the node.

use std::time::Duration;

use recarga_reservation::{Learnt, Now, Outcome, StoreId};

use super::canary::Canary;
use super::message::{Message, Purpose, Reply};
use super::node::{Action, Question, company_of, number, operator};
use super::queue::{HOUR, MILLI, Micros, SECOND};
use super::trace::trace;
use super::world::{InProcess, World};

/// Ticks from one repetition of what is owed to the next.
const SWEEP_TICKS: u64 = 5;
const GREET_PAUSE: Micros = 250 * MILLI;
const GREET_PAUSE_MAX: Micros = 10 * SECOND;
/// How long trips are remembered after their end: as reservations.
const HISTORY: Duration = Duration::from_secs(30 * 24 * 3600);
/// What is looked at while nothing else happens.
const SLICE: usize = 5;

impl World {
    /// Time passes for a company's rules. Ticks end when there is nothing to wait for.
    pub fn tick(&mut self, at: usize) {
        self.nodes[at].ticks += 1;
        let before = self.nodes[at].ledger.queued;
        self.expire(at);
        let is_busy = self.ask_about_doubts(at) || self.nodes[at].ledger.queued != before;
        if self.nodes[at].ticks.is_multiple_of(SWEEP_TICKS) {
            self.sweep(at);
        }
        // In the end there is nothing left but what waits for its window, or for people.
        let is_busy = is_busy && self.idle_tick_max < HOUR;
        let tick = self.settings.tick;
        let node = &mut self.nodes[at];
        let longest = self.idle_tick_max.max(tick);
        node.tick_pause = if is_busy { tick } else { (node.tick_pause * 5 / 4).clamp(tick, longest) };
        node.is_ticking = false;
        self.keep_ticking(at);
    }

    /// Something has changed that time limits may hang on.
    pub fn rouse(&mut self, at: usize) {
        if !self.nodes[at].is_ticking {
            self.nodes[at].tick_pause = self.settings.tick;
            self.keep_ticking(at);
        }
    }

    /// Asks every other company from which database it speaks.
    pub fn greet_everyone(&mut self, at: usize) {
        for to in (0..self.nodes.len()).filter(|&to| to != at) {
            self.greet(at, to, 0);
        }
    }

    /// Asks once more. Whoever has spoken meanwhile is not asked again.
    pub fn greet(&mut self, at: usize, to: usize, failures: u32) {
        self.send(at, to, Message::Store, Purpose::Greet);
        let pause = (GREET_PAUSE << failures.min(6)).min(GREET_PAUSE_MAX);
        let pause = pause / 2 + self.random.u64(0..=pause / 2);
        if !self.is_healed && failures < 6 {
            self.plan(
                at,
                super::settings::ANSWER_MAX + pause,
                InProcess::Greet { to, failures: failures + 1 },
            );
        }
    }

    pub fn greeted(&mut self, at: usize, from: usize, reply: Option<Reply>) {
        if let Some(Reply::Store(store)) = reply {
            self.nodes[at].company.coordinator.heard_from(&self.operators[from], store);
        }
    }

    /// Companies that have run for long know each other's databases.
    pub fn introduce_companies(&mut self) {
        for at in 0..self.nodes.len() {
            if self.settings.strangers {
                self.greet_everyone(at);
                continue;
            }
            for other in 0..self.nodes.len() {
                let store = StoreId(self.nodes[other].disk.store);
                self.nodes[at].company.coordinator.heard_from(&self.operators[other], store);
            }
        }
    }

    /// Forgets what is old enough.
    pub fn tidy(&mut self, at: usize) {
        let now = self.clock(at);
        self.tidy_branches(at, now);
        self.tidy_trips(at, now);
        if let Some(pause) = self.settings.tidy_every
            && !self.is_healed
        {
            // Ever more seldom: most is to be forgotten while the trips are booked.
            self.plan(at, pause + self.now / 16, InProcess::Tidy);
        }
    }

    fn tidy_branches(&mut self, at: usize, now: Now) {
        let mut after = None;
        loop {
            let old = self.nodes[at].company.participant.old(now, after.as_ref(), SLICE);
            for id in old.tombstones {
                let transaction = number(&id);
                if self.is_planted(Canary::TombstoneForgottenUnasked) {
                    let step = self.nodes[at].company.participant.forget_tombstone(&id);
                    self.apply(at, step, |()| Action::Nothing);
                } else {
                    let to = company_of(&id.coordinator);
                    self.send(at, to, Message::Inquire(transaction), Purpose::Tombstone { transaction });
                }
            }
            let step = self.nodes[at].company.participant.forget(&old.past, now);
            self.counts.forgotten += step.answer as u64;
            self.apply(at, step, |_| Action::Nothing);
            let Some(next) = old.next else { return };
            after = Some(next);
        }
    }

    fn tidy_trips(&mut self, at: usize, now: Now) {
        let mut after = None;
        loop {
            let old = self.nodes[at].company.coordinator.old(HISTORY, now, after.as_ref(), SLICE);
            let step = self.nodes[at].company.coordinator.forget(&old.past);
            self.counts.forgotten += step.answer as u64;
            self.apply(at, step, |_| Action::Nothing);
            let Some(next) = old.next else { return };
            after = Some(next);
        }
    }

    /// The coordinator was asked whether a tombstone may go.
    pub fn may_forget(&mut self, at: usize, transaction: usize, reply: Option<Reply>) {
        let id = &self.transactions[transaction].id;
        if let Some(Reply::Outcome(Outcome::Abort, store)) = reply
            && store == id.store
        {
            let step = self.nodes[at].company.participant.forget_tombstone(id);
            self.counts.forgotten += 1;
            self.apply(at, step, |()| Action::Nothing);
        }
    }

    /// What a company was told about its doubt.
    pub fn told_outcome(
        &mut self,
        at: usize,
        from: usize,
        question: usize,
        reply: Option<Reply>,
        is_first: bool,
    ) {
        let transaction = self.nodes[at].questions[question].transaction;
        let learnt = match reply {
            Some(Reply::Outcome(outcome, store)) => self.learn(at, from, transaction, outcome, store),
            _ => Learnt::Nothing,
        };
        if is_first && learnt == Learnt::Nothing {
            self.ask_next(at, question);
        }
    }

    fn learn(
        &mut self,
        at: usize,
        from: usize,
        transaction: usize,
        outcome: Outcome,
        store: StoreId,
    ) -> Learnt {
        let now = self.clock(at);
        let mut store = store;
        let id = &self.transactions[transaction].id;
        let company = &mut self.nodes[at].company;
        company.coordinator.heard_from(&self.operators[from], store);
        let is_coordinator = company_of(&id.coordinator) == from;
        if is_coordinator && self.canary == Some(Canary::MissingStoreMeansAbort) {
            store = id.store;
        } else if !is_coordinator && self.canary == Some(Canary::AnotherStoresAbortBelieved) {
            let held = self.transactions[transaction].holds.iter().find(|(to, _)| *to == at);
            store =
                held.and_then(|(_, hold)| hold.stores.get(&self.operators[from]).copied()).unwrap_or(store);
        }
        let step = company.participant.learn(id, &self.operators[from], store, outcome, now);
        let learnt = step.answer;
        trace!(self, "{}   learns of t{transaction} from {}: {learnt:?}", operator(at), operator(from));
        self.counts.learnt += u64::from(learnt == Learnt::Ended);
        self.apply(
            at,
            step,
            |learnt| if learnt == Learnt::Ended { Action::GivenBack } else { Action::Nothing },
        );
        learnt
    }

    fn keep_ticking(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let has_work =
            node.company.participant.undecided() != (0, 0) || node.company.coordinator.owing_count() > 0;
        if has_work && !node.is_ticking {
            node.is_ticking = true;
            let pause = node.tick_pause;
            self.plan(at, pause, InProcess::Tick);
        }
    }

    fn ask_about_doubts(&mut self, at: usize) -> bool {
        if self.is_planted(Canary::NobodyAsked) {
            return false;
        }
        let now = self.clock(at);
        let doubts = self.nodes[at].company.participant.doubts(now);
        let any = !doubts.is_empty();
        for doubt in doubts {
            let coordinator = company_of(&doubt.transaction.coordinator);
            let others = doubt.participants.iter().map(company_of).filter(|&one| one != coordinator);
            // The next to ask is taken from the end.
            let left: Vec<usize> = others.rev().chain([coordinator]).collect();
            let questions = &mut self.nodes[at].questions;
            questions.push(Question { transaction: number(&doubt.transaction), left });
            let question = questions.len() - 1;
            self.ask_next(at, question);
        }
        any
    }

    fn ask_next(&mut self, at: usize, question: usize) {
        let one = &mut self.nodes[at].questions[question];
        let transaction = one.transaction;
        if let Some(to) = one.left.pop() {
            self.counts.inquiries += 1;
            return self.send(
                at,
                to,
                Message::Inquire(transaction),
                Purpose::Question { question, transaction },
            );
        }
        let id = &self.transactions[transaction].id;
        self.nodes[at].company.participant.asked_in_vain(id);
    }
}
