//! The participant: what one company holds for transactions, each coordinated by itself or by another company.
//!
//! | message | none | held | prepared | confirmed | aborted |
//! |---|---|---|---|---|---|
//! | hold | free: durable, yes; busy: no + tombstone | durable, yes | yes again | yes again | no |
//! | confirm | alarm | alarm | durable, then acknowledge | acknowledge | alarm |
//! | abort | tombstone | release | release | ignore | ok |
//! | release | ok | alarm | durable, then acknowledge | durable, then acknowledge | alarm |
//! | time limit | - | release + tombstone | inquire; never release | - | - |
//! | inquiry | durable tombstone, "abort" | same | "in doubt" | "commit" | "abort" |
//!
//! A prepared hold leaves that state only by an outcome, or by the heuristic at its window's start plus grace.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Calendar;
use crate::decision::{Fact, Outcome, Reason, Refusal, Step, Unacceptable, Vote};
use crate::ids::{EvseId, OperatorId, RequestKey, TransactionId};
use crate::station::{Evse, Plug};
use crate::time_window::{Now, TimeWindow, Timestamp};

/// One stop of a trip at one company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stop {
    /// Its place in the whole trip, from 0.
    pub number: u16,
    /// Where.
    pub evse: EvseId,
    /// When.
    pub window: TimeWindow,
}

/// What a transaction asks of one company.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Whose it is.
    pub transaction: TransactionId,
    /// Which client's request it serves.
    pub key: RequestKey,
    /// What the car can plug into; unknown if the coordinator does not say.
    pub plug: Option<Plug>,
    /// Every company of the transaction: whom to ask if the coordinator is silent.
    pub participants: Vec<OperatorId>,
    /// When the driver first asked: the older goes first where two compete.
    pub priority: Timestamp,
    /// At this company; all or none. Empty only for a change that moves every stop elsewhere.
    pub stops: Vec<Stop>,
    /// The confirmed transaction whose windows at this company end when this one is confirmed.
    pub replaces: Option<TransactionId>,
}

impl Hold {
    fn first_start(&self) -> Option<Timestamp> {
        self.stops.iter().map(|stop| stop.window.start()).min()
    }

    fn last_end(&self) -> Option<Timestamp> {
        self.stops.iter().map(|stop| stop.window.end()).max()
    }

    fn reserved(&self) -> Duration {
        self.stops.iter().map(|stop| stop.window.duration()).sum()
    }
}

/// How firmly to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Firmness {
    /// For a person's think-time: the company may release it alone when the time is up. Not a vote.
    Soft,
    /// A vote: never released without an outcome.
    Prepared,
}

/// Whether the one who asks can wait a little for a window that a younger trip has prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Answer [`HoldAnswer::Wait`] rather than no.
    CanWait,
    /// Vote now.
    MustVote,
}

/// The answer to [`Participant::hold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldAnswer {
    /// The vote.
    Vote(Vote),
    /// Nothing changed: ask again when something is given back, or at the end of one's patience.
    Wait,
}

/// What one company remembers of one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Branch {
    /// Held softly.
    Held {
        /// What.
        hold: Arc<Hold>,
        /// When it may be released.
        expires: Timestamp,
    },
    /// Voted yes; waits for the outcome.
    Prepared {
        /// What.
        hold: Arc<Hold>,
    },
    /// Reserved.
    Confirmed {
        /// What.
        hold: Arc<Hold>,
    },
    /// Was committed, and later cancelled or replaced by its coordinator.
    Released {
        /// What it was.
        hold: Arc<Hold>,
    },
    /// A tombstone: never yes again.
    Aborted {
        /// Why.
        cause: AbortCause,
        /// Since when.
        at: Timestamp,
        /// What was held, where that must be shown: after a heuristic release.
        hold: Option<Arc<Hold>>,
    },
}

/// Why a transaction is over for a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AbortCause {
    /// The coordinator said so.
    Coordinator,
    /// This company voted no.
    VotedNo,
    /// The soft hold's time was up.
    Expired,
    /// Another company asked before this one had voted.
    Inquired,
    /// Released alone at the window's start plus grace, against the rules' wish, for the car in front of the charger.
    Heuristic,
}

/// What a company allows. Every duration is relative and measured on its own clocks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldLimits {
    /// Longest window.
    pub window_max: Duration,
    /// How far ahead a window may start.
    pub ahead_max: Duration,
    /// How long ago a window may have started: messages take time and clocks differ.
    pub late_max: Duration,
    /// Most stops in one hold.
    pub stops_max: usize,
    /// Longest soft hold.
    pub soft_max: Duration,
    /// Undecided holds that one other coordinator may have here.
    pub undecided_holds_max: u32,
    /// Undecided EVSE time that one other coordinator may have here.
    pub undecided_time_max: Duration,
    /// From the vote to the first question about the outcome; doubles up to `inquire_every_max`.
    pub inquire_after: Duration,
    /// Longest pause between two questions.
    pub inquire_every_max: Duration,
    /// From the window's start to its heuristic release.
    pub grace: Duration,
    /// How long a tombstone stays.
    pub tombstone_keep: Duration,
    /// How long a past reservation stays after its end.
    pub reservation_keep: Duration,
    /// How far in the past a coordinator may date a trip's priority.
    pub priority_age_max: Duration,
}

impl Default for HoldLimits {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            window_max: 12 * HOUR,
            ahead_max: 90 * 24 * HOUR,
            late_max: Duration::from_secs(60),
            stops_max: 16,
            soft_max: Duration::from_secs(15 * 60),
            undecided_holds_max: 2_000,
            undecided_time_max: 10_000 * HOUR,
            inquire_after: Duration::from_secs(2),
            inquire_every_max: Duration::from_secs(30),
            grace: Duration::from_secs(15 * 60),
            tombstone_keep: 24 * HOUR,
            reservation_keep: 30 * 24 * HOUR,
            priority_age_max: Duration::from_secs(60),
        }
    }
}

/// A prepared hold whose outcome should be asked for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which transaction; its coordinator is the first to ask.
    pub transaction: TransactionId,
    /// Whom to ask next.
    pub participants: Vec<OperatorId>,
    /// How long it has been in doubt in this run of the process.
    pub age: Duration,
}

/// What [`Participant::expire`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Soft holds released.
    pub soft: Vec<TransactionId>,
    /// Prepared holds released without an outcome: to be shown to a person.
    pub heuristic: Vec<TransactionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Timer {
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
    limits: Arc<HoldLimits>,
    plugs: Arc<BTreeMap<EvseId, Vec<Plug>>>,
    branches: BTreeMap<TransactionId, Branch>,
    // All below is derived from the branches.
    calendars: BTreeMap<EvseId, Calendar>,
    live: BTreeMap<RequestKey, BTreeSet<TransactionId>>,
    changing: BTreeMap<TransactionId, TransactionId>,
    timers: BTreeMap<TransactionId, Timer>,
    usage: BTreeMap<OperatorId, Usage>,
}

impl Participant {
    /// A company that offers `evses` and remembers nothing yet.
    pub fn new<'a>(
        operator: OperatorId,
        evses: impl IntoIterator<Item = &'a Evse>,
        limits: HoldLimits,
    ) -> Self {
        let plugs = evses
            .into_iter()
            .map(|evse| (evse.id.clone(), evse.connectors.iter().map(|connector| connector.plug).collect()));
        Self {
            operator,
            limits: Arc::new(limits),
            plugs: Arc::new(plugs.collect()),
            branches: BTreeMap::new(),
            calendars: BTreeMap::new(),
            live: BTreeMap::new(),
            changing: BTreeMap::new(),
            timers: BTreeMap::new(),
            usage: BTreeMap::new(),
        }
    }

    /// Takes back what was durable before a restart. What is prepared is asked about at once.
    pub fn restore(&mut self, transaction: TransactionId, branch: Branch, now: Now) {
        if let Branch::Held { hold, .. } | Branch::Prepared { hold } | Branch::Confirmed { hold } = &branch {
            let hold = hold.clone();
            self.occupy(&hold);
            match &branch {
                Branch::Held { expires, .. } => {
                    self.start_timer(&transaction, expires.since(now.utc), now);
                }
                Branch::Prepared { .. } => self.start_timer(&transaction, Duration::ZERO, now),
                _ => self.decided(&hold),
            }
        }
        self.branches.insert(transaction, branch);
    }

    /// Asks for all stops of `hold`, all or none. `by` is who really asks. `valid_for` bounds a soft hold.
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
        let expires_in = match firmness {
            Firmness::Soft => valid_for.min(self.limits.soft_max),
            Firmness::Prepared => valid_for,
        };
        let yes = |facts| Step::durable(HoldAnswer::Vote(Vote::Yes { expires_in }), facts);
        let no = |reason| Ok(Step::lazy(HoldAnswer::Vote(Vote::No(Refusal::whole(reason))), vec![]));
        match self.branches.get(&hold.transaction) {
            None => Ok(self.hold_anew(hold, firmness, expires_in, patience, now)),
            Some(Branch::Released { .. } | Branch::Aborted { .. }) => no(Reason::Closed),
            Some(
                Branch::Held { hold: known, .. }
                | Branch::Prepared { hold: known }
                | Branch::Confirmed { hold: known },
            ) if **known != *hold => no(Reason::Different),
            Some(Branch::Held { hold, .. }) if firmness == Firmness::Prepared => {
                let hold = hold.clone();
                Ok(yes(self.prepare(hold, now)))
            }
            Some(_) => Ok(yes(vec![])),
        }
    }

    fn hold_anew(
        &mut self,
        hold: &Hold,
        firmness: Firmness,
        expires_in: Duration,
        patience: Patience,
        now: Now,
    ) -> Step<HoldAnswer> {
        let refusal = match self.check(hold, now) {
            Ok(()) => match self.find_obstacle(hold, now) {
                None => {
                    let own = hold.transaction.coordinator == self.operator;
                    let hold = Arc::new(hold.clone());
                    self.occupy(&hold);
                    let facts = match firmness {
                        Firmness::Prepared => self.prepare(hold, now),
                        Firmness::Soft => self.hold_softly(hold, expires_in, now),
                    };
                    let answer = HoldAnswer::Vote(Vote::Yes { expires_in });
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

    /// The coordinator has committed.
    pub fn confirm(
        &mut self,
        by: &OperatorId,
        transaction: &TransactionId,
    ) -> Result<Step<()>, Unacceptable> {
        authorise(by, transaction)?;
        match self.branches.get(transaction) {
            Some(Branch::Prepared { hold }) => {
                let hold = hold.clone();
                let mut facts = Vec::new();
                if let Some(old) = &hold.replaces {
                    facts.extend(self.let_go(old));
                }
                self.decided(&hold);
                facts.push(self.set(transaction, Branch::Confirmed { hold }));
                Ok(Step::durable((), facts))
            }
            Some(Branch::Confirmed { .. } | Branch::Released { .. }) => Ok(Step::durable((), vec![])),
            Some(Branch::Aborted { cause: AbortCause::Heuristic, .. }) => {
                Err(Unacceptable::ReleasedHeuristically)
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
                let replaced = hold.replaces.clone();
                let replaced = replaced.and_then(|old| self.let_go(&old));
                let facts = replaced.into_iter().chain(self.let_go(transaction));
                Ok(Step::durable((), facts.collect()))
            }
            Some(Branch::Aborted { cause: AbortCause::Heuristic, .. }) => Ok(Step::durable((), vec![])),
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

    /// What the coordinator, or a participant that knows, answered to this company's own question.
    ///
    /// # Errors
    /// What [`Participant::confirm`] and [`Participant::abort`] refuse. An abort presumed by a coordinator that has
    /// forgotten a settled trip may reach a branch that is confirmed by then: nothing changes.
    pub fn learn(
        &mut self,
        transaction: &TransactionId,
        outcome: Outcome,
        now: Now,
    ) -> Result<Step<()>, Unacceptable> {
        let coordinator = transaction.coordinator.clone();
        match outcome {
            Outcome::Commit => self.confirm(&coordinator, transaction),
            Outcome::Abort => self.abort(&coordinator, transaction, now),
            Outcome::Pending | Outcome::InDoubt => Ok(Step::lazy((), vec![])),
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

    /// Tombstones that are old enough to go, once their coordinator has confirmed the abort.
    pub fn old_tombstones(&self, now: Now) -> Vec<TransactionId> {
        let old = |at: Timestamp| at + self.limits.tombstone_keep <= now.utc;
        let tombstones = self.branches.iter().filter(|(_, branch)| {
            matches!(branch, Branch::Aborted { cause, at, .. } if *cause != AbortCause::Heuristic && old(*at))
        });
        tombstones.map(|(transaction, _)| transaction.clone()).collect()
    }

    /// Drops one of [`Participant::old_tombstones`]. A very late prepare would find nothing, so the caller must have
    /// heard "abort" from the coordinator: it will never count a yes from here.
    pub fn forget_tombstone(&mut self, transaction: &TransactionId) -> Step<()> {
        if matches!(self.branches.get(transaction), Some(Branch::Aborted { .. })) {
            self.branches.remove(transaction);
            return Step::lazy((), vec![Fact::BranchForgotten(transaction.clone())]);
        }
        Step::lazy((), vec![])
    }

    /// Drops the reservations that ended long ago. A late prepare for one of them finds its window in the past.
    pub fn forget_past(&mut self, now: Now) -> Step<usize> {
        let keep = self.limits.reservation_keep;
        let past: Vec<TransactionId> = self
            .branches
            .iter()
            .filter(|(_, branch)| match branch {
                Branch::Confirmed { hold }
                | Branch::Released { hold }
                | Branch::Aborted { cause: AbortCause::Heuristic, hold: Some(hold), .. } => {
                    hold.last_end().is_some_and(|end| end + keep <= now.utc)
                }
                _ => false,
            })
            .map(|(transaction, _)| transaction.clone())
            .collect();
        let mut facts = Vec::with_capacity(past.len());
        for transaction in &past {
            if let Some(Branch::Confirmed { hold }) = self.branches.remove(transaction) {
                self.vacate(&hold);
            }
            facts.push(Fact::BranchForgotten(transaction.clone()));
        }
        Step::lazy(past.len(), facts)
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

    /// The calendar of an EVSE; none if nothing is held there.
    pub fn calendar(&self, evse: &EvseId) -> Option<&Calendar> {
        self.calendars.get(evse)
    }

    /// Whether a window of the EVSE is held but not yet reserved at `at`, and whether it is reserved.
    pub fn taken_at(&self, evse: &EvseId, window: TimeWindow) -> Option<&Branch> {
        let (_, owner) = self.calendars.get(evse)?.overlapping(window).next()?;
        self.branches.get(owner)
    }

    fn check(&self, hold: &Hold, now: Now) -> Result<(), Refusal> {
        let limits = &self.limits;
        let too_many = hold.stops.len() > limits.stops_max;
        if too_many || (hold.stops.is_empty() && hold.replaces.is_none()) {
            return Err(Refusal::whole(Reason::StopCount { max: limits.stops_max }));
        }
        for (index, stop) in hold.stops.iter().enumerate() {
            let refuse = |reason| Err(Refusal::at(stop.number, reason));
            let Some(plugs) = self.plugs.get(&stop.evse) else { return refuse(Reason::UnknownEvse) };
            if hold.plug.is_some_and(|plug| !plugs.contains(&plug)) {
                return refuse(Reason::WrongPlug);
            }
            if stop.window.start() + limits.late_max < now.utc {
                return refuse(Reason::InThePast);
            }
            if stop.window.duration() > limits.window_max {
                return refuse(Reason::TooLong { max: limits.window_max });
            }
            if stop.window.start() > now.utc + limits.ahead_max {
                return refuse(Reason::TooFarAhead { max: limits.ahead_max });
            }
            if hold.stops[..index].iter().any(|earlier| earlier.window.overlaps(stop.window)) {
                return refuse(Reason::StopsOverlap);
            }
        }
        self.check_quota(hold)
    }

    fn check_quota(&self, hold: &Hold) -> Result<(), Refusal> {
        let coordinator = &hold.transaction.coordinator;
        let Some(usage) = self.usage.get(coordinator) else { return Ok(()) };
        let over = usage.holds >= self.limits.undecided_holds_max
            || usage.time + hold.reserved() > self.limits.undecided_time_max;
        if over && *coordinator != self.operator {
            return Err(Refusal::whole(Reason::QuotaReached));
        }
        Ok(())
    }

    fn find_obstacle(&self, hold: &Hold, now: Now) -> Option<Obstacle> {
        let mut live = self.live.get(&hold.key).into_iter().flatten();
        if let Some(other) = live.find(|&other| Some(other) != hold.replaces.as_ref()) {
            // A coordinator's second attempt can overtake the abort of its first.
            let passing = other.coordinator == hold.transaction.coordinator;
            let reason = match passing {
                true => Reason::Held,
                false => Reason::RequestedElsewhere { transaction: other.clone() },
            };
            return Some(Obstacle::Firm(Refusal::whole(reason)));
        }
        if let Some(old) = &hold.replaces {
            let current = matches!(self.branches.get(old), Some(Branch::Confirmed { .. }));
            if !current || self.changing.contains_key(old) {
                return Some(Obstacle::Firm(Refusal::whole(Reason::Stale)));
            }
        }
        let mut younger = None;
        for stop in &hold.stops {
            let Some(calendar) = self.calendars.get(&stop.evse) else { continue };
            for (_, owner) in calendar.overlapping(stop.window) {
                if Some(owner) == hold.replaces.as_ref() {
                    continue;
                }
                let held = || Refusal::at(stop.number, Reason::Held);
                match self.branches.get(owner) {
                    Some(Branch::Prepared { hold: other }) if self.goes_before(hold, other, now) => {
                        younger.get_or_insert_with(|| Obstacle::Younger(held()));
                    }
                    Some(Branch::Prepared { .. } | Branch::Held { .. }) => {
                        return Some(Obstacle::Firm(held()));
                    }
                    _ => {
                        let free = calendar.nearest_free(stop.window, now.utc, 3);
                        return Some(Obstacle::Firm(Refusal::at(stop.number, Reason::Booked { free })));
                    }
                }
            }
        }
        younger
    }

    // Wait-die: only the older waits, so nobody ever waits in a circle.
    fn goes_before(&self, hold: &Hold, other: &Hold, now: Now) -> bool {
        let age = |hold: &Hold| {
            let oldest = now.utc - self.limits.priority_age_max;
            (hold.priority.clamp(oldest, now.utc), hold.transaction.clone())
        };
        age(hold) < age(other)
    }

    fn prepare(&mut self, hold: Arc<Hold>, now: Now) -> Vec<Fact> {
        let transaction = hold.transaction.clone();
        self.start_timer(&transaction, self.limits.inquire_after, now);
        let fact = self.set(&transaction, Branch::Prepared { hold });
        // The coordinator's own branch becomes durable inside its commit record; without one there is no commit.
        if transaction.coordinator == self.operator { vec![] } else { vec![fact] }
    }

    fn hold_softly(&mut self, hold: Arc<Hold>, expires_in: Duration, now: Now) -> Vec<Fact> {
        let transaction = hold.transaction.clone();
        self.start_timer(&transaction, expires_in, now);
        vec![self.set(&transaction, Branch::Held { hold, expires: now.utc + expires_in })]
    }

    // Gives back whatever is held and leaves a tombstone.
    fn bury(
        &mut self,
        transaction: TransactionId,
        cause: AbortCause,
        shown: Option<Arc<Hold>>,
        now: Now,
    ) -> Vec<Fact> {
        if let Some(Branch::Held { hold, .. } | Branch::Prepared { hold }) = self.branches.get(&transaction) {
            let hold = hold.clone();
            self.decided(&hold);
            self.vacate(&hold);
        }
        if transaction.coordinator == self.operator {
            // Never known to others, so nobody can ask for it again. A soft hold may have been recorded.
            let held = self.branches.remove(&transaction);
            return held.map(|_| Fact::BranchForgotten(transaction)).into_iter().collect();
        }
        vec![self.set(&transaction, Branch::Aborted { cause, at: now.utc, hold: shown })]
    }

    // Ends a commitment: cancelled, or replaced by a change.
    fn let_go(&mut self, transaction: &TransactionId) -> Option<Fact> {
        let Some(Branch::Prepared { hold } | Branch::Confirmed { hold }) = self.branches.get(transaction)
        else {
            return None;
        };
        let hold = hold.clone();
        self.decided(&hold);
        self.vacate(&hold);
        Some(self.set(transaction, Branch::Released { hold }))
    }

    fn set(&mut self, transaction: &TransactionId, branch: Branch) -> Fact {
        self.branches.insert(transaction.clone(), branch.clone());
        Fact::Branch(transaction.clone(), branch)
    }

    fn occupy(&mut self, hold: &Hold) {
        for stop in &hold.stops {
            let calendar = self.calendars.entry(stop.evse.clone()).or_default();
            calendar.take(stop.window, hold.transaction.clone());
        }
        self.live.entry(hold.key.clone()).or_default().insert(hold.transaction.clone());
        if let Some(old) = &hold.replaces {
            self.changing.insert(old.clone(), hold.transaction.clone());
        }
        let usage = self.usage.entry(hold.transaction.coordinator.clone()).or_default();
        usage.holds += 1;
        usage.time += hold.reserved();
    }

    // The hold no longer counts as undecided.
    fn decided(&mut self, hold: &Hold) {
        let undecided = match self.branches.get(&hold.transaction) {
            None => true, // being restored
            Some(branch) => matches!(branch, Branch::Held { .. } | Branch::Prepared { .. }),
        };
        if !undecided {
            return;
        }
        self.timers.remove(&hold.transaction);
        if let Some(usage) = self.usage.get_mut(&hold.transaction.coordinator) {
            usage.holds = usage.holds.saturating_sub(1);
            usage.time = usage.time.saturating_sub(hold.reserved());
            if usage.holds == 0 {
                self.usage.remove(&hold.transaction.coordinator);
            }
        }
        if let Some(old) = &hold.replaces {
            self.changing.remove(old);
        }
    }

    fn vacate(&mut self, hold: &Hold) {
        for stop in &hold.stops {
            if let Some(calendar) = self.calendars.get_mut(&stop.evse) {
                calendar.give_back(stop.window, &hold.transaction);
                if calendar.is_empty() {
                    self.calendars.remove(&stop.evse);
                }
            }
        }
        if let Some(live) = self.live.get_mut(&hold.key) {
            live.remove(&hold.transaction);
            if live.is_empty() {
                self.live.remove(&hold.key);
            }
        }
    }

    fn start_timer(&mut self, transaction: &TransactionId, after: Duration, now: Now) {
        let pause = self.limits.inquire_after;
        let timer = Timer { since: now.elapsed, due: now.elapsed + after, pause, asked_in_vain: false };
        self.timers.insert(transaction.clone(), timer);
    }

    // Nothing is due for what this company coordinates itself: its coordinator decides that in the same process.
    fn due(&self, now: Now) -> impl Iterator<Item = &TransactionId> {
        let due = self.timers.iter().filter(move |(_, timer)| timer.due <= now.elapsed);
        due.map(|(transaction, _)| transaction).filter(|&one| {
            one.coordinator != self.operator || matches!(self.branches.get(one), Some(Branch::Held { .. }))
        })
    }

    fn is_blocked_for_good(&self, hold: &Hold, now: Now) -> bool {
        if !self.timers.get(&hold.transaction).is_some_and(|timer| timer.asked_in_vain) {
            return false;
        }
        // A change that moves every stop elsewhere has no window here but the one that it gives back.
        let replaced = || match self.branches.get(hold.replaces.as_ref()?) {
            Some(Branch::Confirmed { hold: old }) => old.first_start(),
            _ => None,
        };
        let start = hold.first_start().or_else(replaced);
        start.is_some_and(|start| start + self.limits.grace <= now.utc)
    }
}

enum Obstacle {
    // Prepared by younger trips only.
    Younger(Refusal),
    Firm(Refusal),
}

fn authorise(by: &OperatorId, transaction: &TransactionId) -> Result<(), Unacceptable> {
    if *by == transaction.coordinator { Ok(()) } else { Err(Unacceptable::NotCoordinator) }
}
