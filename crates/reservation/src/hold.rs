//! The participant: what one company holds for transactions, each coordinated by itself or by another company.
//!
//! | message | none | held | prepared | confirmed | aborted |
//! |---|---|---|---|---|---|
//! | hold | free: durable, yes; busy or out of service: no + tombstone | durable, yes | yes again | yes again | no |
//! | confirm | alarm | alarm | durable, then acknowledge | acknowledge | alarm |
//! | abort | tombstone | release | release | ignore | ok |
//! | release | ok | alarm | durable, then acknowledge | durable, then acknowledge | alarm |
//! | time limit | - | release + tombstone | inquire; never release | - | - |
//! | inquiry | durable tombstone, "abort" | same | "in doubt" | "commit" | "abort" |
//!
//! A prepared hold leaves that state only by an outcome, or by the heuristic at its window's start plus grace.

mod branch;
mod past;
mod service;
mod vehicle;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use branch::{
    AbortCause, Branch, Confirmation, Doubt, Expired, Firmness, Hold, HoldAnswer, HoldLimits, Learnt,
    PROMISE_BELIEVED_MAX, Patience, Stop,
};
pub use past::OldBranches;

use self::windows::{Aside, Obstacle};
use crate::calendar::Calendar;
use crate::decision::{Outcome, Reason, Refusal, Step, Unacceptable, Vote};
use crate::filed::Filed;
use crate::ids::{EvseId, OperatorId, RequestKey, StoreId, TransactionId};
use crate::station::{Evse, Plug};
use crate::time_window::{Now, TimeWindow, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Timer {
    // What was told when the hold was made: a repeat is told the same.
    expires: Timestamp,
    since: Duration,
    due: Duration,
    pause: Duration,
    // Whether everyone has been asked for the outcome in this run of the process, and nobody could say.
    asked_in_vain: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Usage {
    holds: u32,
    time: Duration,
}

/// One company's part in all transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    operator: OperatorId,
    store: StoreId,
    limits: Arc<HoldLimits>,
    plugs: Arc<BTreeMap<EvseId, Vec<Plug>>>,
    branches: BTreeMap<TransactionId, Branch>,
    out_of_service: BTreeSet<EvseId>,
    is_closed: bool,
    // All below is derived from the branches.
    calendars: BTreeMap<EvseId, Calendar>,
    live: Filed<RequestKey, Vec<TransactionId>>,
    changing: BTreeMap<TransactionId, TransactionId>,
    timers: BTreeMap<TransactionId, Timer>,
    usage: BTreeMap<OperatorId, Usage>,
    // The EVSEs whose calendars changed since somebody last asked.
    touched: Aside<BTreeSet<EvseId>>,
    // Who has ever held something here.
    coordinators: Aside<BTreeSet<OperatorId>>,
}

impl Participant {
    /// A company that offers `evses` and remembers nothing yet; `store` is the database in which its promises stand.
    pub fn new<'a>(
        operator: OperatorId,
        store: StoreId,
        evses: impl IntoIterator<Item = &'a Evse>,
        limits: HoldLimits,
    ) -> Self {
        let plugs = evses
            .into_iter()
            .map(|evse| (evse.id.clone(), evse.connectors.iter().map(|connector| connector.plug).collect()));
        Self {
            operator,
            store,
            limits: Arc::new(limits),
            plugs: Arc::new(plugs.collect()),
            branches: BTreeMap::new(),
            out_of_service: BTreeSet::new(),
            is_closed: false,
            calendars: BTreeMap::new(),
            live: Filed::default(),
            changing: BTreeMap::new(),
            timers: BTreeMap::new(),
            usage: BTreeMap::new(),
            touched: Aside::default(),
            coordinators: Aside::default(),
        }
    }

    /// Takes back what was durable before a restart. What is prepared is asked about at once.
    pub fn restore(&mut self, mut transaction: TransactionId, mut branch: Branch, now: Now) {
        if let Branch::Held { hold, .. } | Branch::Prepared { hold } | Branch::Confirmed { hold } =
            &mut branch
        {
            self.share_texts(Arc::make_mut(hold));
            let hold = hold.clone();
            transaction = hold.transaction.clone();
            self.occupy(&hold);
            match &branch {
                Branch::Held { expires, .. } => {
                    // The wall clock may have been set back meanwhile.
                    let left = expires.since(now.utc).min(self.limits.soft_max);
                    self.start_timer(&transaction, *expires, left, now);
                }
                Branch::Prepared { .. } => self.start_timer(&transaction, now.utc, Duration::ZERO, now),
                _ => self.decided(&hold),
            }
        }
        self.branches.insert(transaction, branch);
    }

    /// Asks for all stops of `hold`, all or none. `by` is who really asks. `valid_for` bounds a soft hold.
    ///
    /// # Errors
    /// Somebody else coordinates the transaction, or the one that it would replace.
    pub fn hold(
        &mut self,
        by: &OperatorId,
        hold: &Hold,
        firmness: Firmness,
        valid_for: Duration,
        patience: Patience,
        now: Now,
    ) -> Result<Step<HoldAnswer>, Unacceptable> {
        authorise(by, &hold.transaction)?;
        // A change gives windows back, so it replaces nothing but what its own coordinator has reserved.
        if let Some(replaced) = &hold.replaces {
            authorise(by, replaced)?;
        }
        let valid_for = match firmness {
            Firmness::Soft => valid_for.min(self.limits.soft_max),
            Firmness::Prepared => valid_for,
        };
        let expires = now.utc + valid_for;
        let store = self.store;
        let yes = |expires, facts| Step::durable(HoldAnswer::Vote(Vote::Yes { expires, store }), facts);
        let no = |reason| Ok(Step::lazy(HoldAnswer::Vote(Vote::No(Refusal::whole(reason))), vec![]));
        match self.branches.get(&hold.transaction) {
            // This will not change, so no tombstone is needed to remember it.
            None | Some(Branch::Held { .. }) if hold.is_for_another_store(&self.operator, self.store) => {
                no(Reason::AnotherStore)
            }
            None => Ok(self.hold_anew(hold, firmness, expires, patience, now)),
            Some(Branch::Released { .. } | Branch::Aborted { .. }) => no(Reason::Closed),
            Some(
                Branch::Held { hold: known, .. }
                | Branch::Prepared { hold: known }
                | Branch::Confirmed { hold: known },
            ) if **known != *hold => no(Reason::Different),
            Some(Branch::Held { hold, .. }) if firmness == Firmness::Prepared => {
                let hold = hold.clone();
                Ok(yes(expires, self.prepare(hold, expires, now)))
            }
            Some(_) => {
                let told = self.timers.get(&hold.transaction).map_or(expires, |timer| timer.expires);
                Ok(yes(told, vec![]))
            }
        }
    }

    fn hold_anew(
        &mut self,
        hold: &Hold,
        firmness: Firmness,
        expires: Timestamp,
        patience: Patience,
        now: Now,
    ) -> Step<HoldAnswer> {
        let refusal = match self.check(hold, now) {
            Ok(()) => match self.find_obstacle(hold, now) {
                None => {
                    let own = hold.transaction.coordinator == self.operator;
                    let mut hold = hold.clone();
                    self.share_texts(&mut hold);
                    let hold = Arc::new(hold);
                    self.occupy(&hold);
                    let facts = match firmness {
                        Firmness::Prepared => self.prepare(hold, expires, now),
                        Firmness::Soft => self.hold_softly(hold, expires, now),
                    };
                    let answer = HoldAnswer::Vote(Vote::Yes { expires, store: self.store });
                    // A soft hold is no vote; a company's vote for its own trip is told to nobody else, and counts
                    // only once the commit record, which follows everything that it rests on, is durable.
                    return match firmness {
                        Firmness::Prepared if !own => Step::durable(answer, facts),
                        Firmness::Prepared | Firmness::Soft => Step::lazy(answer, facts),
                    };
                }
                Some(Obstacle::Younger(_)) if patience == Patience::CanWait => {
                    return Step::lazy(HoldAnswer::Wait, vec![]);
                }
                Some(Obstacle::Younger(refusal) | Obstacle::Firm(refusal)) => refusal,
            },
            Err(refusal) => refusal,
        };
        let facts = self.bury(hold.transaction.clone(), AbortCause::VotedNo, None, now);
        Step::lazy(HoldAnswer::Vote(Vote::No(refusal)), facts)
    }

    /// The coordinator has committed. Whatever a change replaces is given back, also where the change itself was lost.
    pub fn confirm(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
    ) -> Result<Step<Confirmation>, Unacceptable> {
        authorise(by, transaction)?;
        match self.branches.get(transaction) {
            Some(Branch::Prepared { hold }) => {
                let hold = hold.clone();
                let mut facts = self.give_back_replaced(&hold);
                self.decided(&hold);
                facts.push(self.set(transaction, Branch::Confirmed { hold }));
                Ok(Step::durable(Confirmation::Reserved, facts))
            }
            Some(Branch::Confirmed { .. } | Branch::Released { .. }) => {
                Ok(Step::durable(Confirmation::Reserved, vec![]))
            }
            Some(Branch::Aborted { cause: AbortCause::Heuristic, hold, .. }) => {
                let facts = hold.clone().map(|hold| self.give_back_replaced(&hold));
                Ok(Step::durable(Confirmation::ReleasedHeuristically, facts.unwrap_or_default()))
            }
            None | Some(Branch::Held { .. } | Branch::Aborted { .. }) => Err(Unacceptable::NeverPrepared),
        }
    }

    /// The coordinator has aborted, or never knew the transaction.
    pub fn abort(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
        now: Now,
    ) -> Result<Step<()>, Unacceptable> {
        authorise(by, transaction)?;
        match self.branches.get(transaction) {
            Some(Branch::Confirmed { .. } | Branch::Released { .. }) => Err(Unacceptable::AlreadyConfirmed),
            Some(Branch::Aborted { cause: AbortCause::Coordinator | AbortCause::Heuristic, .. }) => {
                Ok(Step::lazy((), vec![]))
            }
            None | Some(Branch::Held { .. } | Branch::Prepared { .. } | Branch::Aborted { .. }) => {
                let facts = self.bury(transaction.clone(), AbortCause::Coordinator, None, now);
                Ok(Step::lazy((), facts))
            }
        }
    }

    /// The coordinator has committed and then cancelled the whole trip: a message of its own, never an abort.
    pub fn release(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
    ) -> Result<Step<()>, Unacceptable> {
        authorise(by, transaction)?;
        match self.branches.get(transaction) {
            // A trip is cancelled only after its commit, so what was once prepared here may be forgotten, not new.
            None | Some(Branch::Released { .. }) => Ok(Step::durable((), vec![])),
            Some(Branch::Prepared { hold } | Branch::Confirmed { hold }) => {
                // A change that is cancelled before its confirm arrived here has still replaced the old branch.
                let hold = hold.clone();
                let mut facts = self.give_back_replaced(&hold);
                facts.extend(self.let_go(transaction));
                Ok(Step::durable((), facts))
            }
            Some(Branch::Aborted { cause: AbortCause::Heuristic, hold, .. }) => {
                let facts = hold.clone().map(|hold| self.give_back_replaced(&hold));
                Ok(Step::durable((), facts.unwrap_or_default()))
            }
            Some(Branch::Held { .. } | Branch::Aborted { .. }) => Err(Unacceptable::NeverPrepared),
        }
    }

    /// Another company of the transaction asks what became of it. Whoever has not voted yes by now never will.
    pub fn inquiry(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
        now: Now,
    ) -> Result<Step<Outcome>, Unacceptable> {
        if let Some(
            Branch::Held { hold, .. }
            | Branch::Prepared { hold }
            | Branch::Confirmed { hold }
            | Branch::Released { hold },
        ) = self.branches.get(transaction)
            && *by != transaction.coordinator
            && !hold.participants.contains(by)
        {
            return Err(Unacceptable::NotCoordinator);
        }
        Ok(match self.branches.get(transaction) {
            None | Some(Branch::Held { .. }) => {
                let facts = self.bury(transaction.clone(), AbortCause::Inquired, None, now);
                Step::durable(Outcome::Abort, facts)
            }
            Some(Branch::Prepared { .. }) => Step::lazy(Outcome::InDoubt, vec![]),
            Some(Branch::Confirmed { .. } | Branch::Released { .. }) => {
                Step::durable(Outcome::Commit, vec![])
            }
            // A guess is no outcome: whoever believed it could release what is committed.
            Some(Branch::Aborted { cause: AbortCause::Heuristic, .. }) => {
                Step::durable(Outcome::InDoubt, vec![])
            }
            Some(Branch::Aborted { .. }) => Step::durable(Outcome::Abort, vec![]),
        })
    }

    /// What `from` answered to this company's own question, from its database `store`. Only what
    /// [`Hold::believes`] changes anything, and only while the doubt lasts: an abort presumed by a coordinator that has
    /// forgotten a settled trip may arrive when the branch is confirmed.
    pub fn learn(
        &mut self,
        transaction: &TransactionId,
        from: &OperatorId,
        store: StoreId,
        outcome: Outcome,
        now: Now,
    ) -> Step<Learnt> {
        let coordinator = transaction.coordinator.clone();
        let Some(Branch::Prepared { hold }) = self.branches.get(transaction) else {
            // Somebody else's word has ended the doubt meanwhile.
            return Step::lazy(Learnt::Ended, vec![]);
        };
        if !hold.believes(from, store, outcome, now.utc) {
            return Step::lazy(Learnt::Nothing, vec![]);
        }
        let ended = match outcome {
            Outcome::Commit => self.confirm(&coordinator, transaction).map(|step| step.map(|_| ())),
            Outcome::Abort => self.abort(&coordinator, transaction, now),
            Outcome::Pending => return Step::lazy(Learnt::Waiting, vec![]),
            Outcome::InDoubt => return Step::lazy(Learnt::Nothing, vec![]),
        };
        match ended {
            Ok(step) => step.map(|()| Learnt::Ended),
            // Neither refuses what is prepared.
            Err(_) => Step::lazy(Learnt::Nothing, vec![]),
        }
    }

    /// Lets time pass: releases soft holds whose time is up, and prepared ones that stayed in doubt until their
    /// window's start plus grace.
    pub fn expire(&mut self, now: Now) -> Step<Expired> {
        let mut expired = Expired::default();
        let mut facts = Vec::new();
        let due: Vec<TransactionId> = self.due(now).cloned().collect();
        for transaction in due {
            match self.branches.get(&transaction) {
                Some(Branch::Held { .. }) => {
                    facts.extend(self.bury(transaction.clone(), AbortCause::Expired, None, now));
                    expired.soft.push(transaction);
                }
                Some(Branch::Prepared { hold }) if self.is_blocked_for_good(hold, now) => {
                    let hold = Some(hold.clone());
                    facts.extend(self.bury(transaction.clone(), AbortCause::Heuristic, hold, now));
                    expired.heuristic.push(transaction);
                }
                _ => {}
            }
        }
        // Only a release without an outcome is shown to people, and must not be taken back by a crash.
        if expired.heuristic.is_empty() { Step::lazy(expired, facts) } else { Step::durable(expired, facts) }
    }

    /// The prepared holds to ask about now; each is due again later, with growing pauses.
    pub fn doubts(&mut self, now: Now) -> Vec<Doubt> {
        let due: Vec<TransactionId> = self.due(now).cloned().collect();
        let mut doubts = Vec::new();
        for transaction in due {
            let Some(Branch::Prepared { hold }) = self.branches.get(&transaction) else { continue };
            let participants =
                hold.participants.iter().filter(|&one| *one != self.operator).cloned().collect();
            let Some(timer) = self.timers.get_mut(&transaction) else { continue };
            timer.pause = (timer.pause * 2).min(self.limits.inquire_every_max);
            timer.due = now.elapsed + timer.pause;
            let age = now.elapsed.saturating_sub(timer.since);
            doubts.push(Doubt { transaction, participants, age });
        }
        doubts
    }

    /// Everyone was asked what became of a transaction in doubt, and nobody could say. Only then may the grace end it:
    /// a company that was itself away for long asks first when it comes back.
    pub fn asked_in_vain(&mut self, transaction: &TransactionId) {
        if let Some(timer) = self.timers.get_mut(transaction) {
            timer.asked_in_vain = true;
        }
    }

    /// Gives up a prepared hold by an operator's command, without an outcome: a heuristic that must be answered for.
    /// Not for what this company coordinates: there its coordinator decides at once, and counts on the hold.
    pub fn force_abort(&mut self, transaction: &TransactionId, now: Now) -> Step<bool> {
        match self.branches.get(transaction) {
            Some(Branch::Prepared { hold }) if transaction.coordinator != self.operator => {
                let hold = Some(hold.clone());
                let facts = self.bury(transaction.clone(), AbortCause::Heuristic, hold, now);
                Step::durable(true, facts)
            }
            _ => Step::lazy(false, vec![]),
        }
    }

    /// What is remembered of a transaction.
    pub fn branch(&self, transaction: &TransactionId) -> Option<&Branch> {
        self.branches.get(transaction)
    }

    /// Everything that is remembered, in the order of transactions.
    pub fn branches(&self) -> impl Iterator<Item = (&TransactionId, &Branch)> {
        self.branches.iter()
    }

    /// What is remembered from a transaction on, in the order of transactions.
    pub fn branches_from(
        &self,
        from: std::ops::Bound<TransactionId>,
    ) -> impl Iterator<Item = (&TransactionId, &Branch)> {
        self.branches.range((from, std::ops::Bound::Unbounded))
    }

    /// Holds that are not decided yet: (soft, prepared).
    pub fn undecided(&self) -> (usize, usize) {
        let is_soft = |transaction: &&TransactionId| {
            matches!(self.branches.get(transaction), Some(Branch::Held { .. }))
        };
        let soft = self.timers.keys().filter(is_soft).count();
        (soft, self.timers.len() - soft)
    }

    /// What is prepared here and waits for its outcome, with how long it has: since the restart at the earliest.
    pub fn waiting(&self, now: Now) -> impl Iterator<Item = (&TransactionId, Duration)> {
        let is_prepared = |transaction: &TransactionId| {
            matches!(self.branches.get(transaction), Some(Branch::Prepared { .. }))
        };
        let waiting = self.timers.iter().filter(move |(transaction, _)| is_prepared(transaction));
        waiting.map(move |(transaction, timer)| (transaction, now.elapsed.saturating_sub(timer.since)))
    }

    /// The EVSEs whose calendars changed since this was last asked: for whoever keeps a copy of what is free.
    pub fn take_touched(&mut self) -> BTreeSet<EvseId> {
        std::mem::take(&mut self.touched.0)
    }

    /// The calendar of an EVSE; none if nothing is held there.
    pub fn calendar(&self, evse: &EvseId) -> Option<&Calendar> {
        self.calendars.get(evse)
    }

    /// Whether a window of the EVSE is held but not yet reserved at `at`, and whether it is reserved.
    pub fn taken_at(&self, evse: &EvseId, window: TimeWindow) -> Option<&Branch> {
        let (_, owner) = self.calendars.get(evse)?.overlapping(window).next()?;
        self.branches.get(owner)
    }
}

fn authorise(by: &OperatorId, transaction: &TransactionId) -> Result<(), Unacceptable> {
    if *by == transaction.coordinator { Ok(()) } else { Err(Unacceptable::NotCoordinator) }
}
