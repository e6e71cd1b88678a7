//! Whose windows are whose: what may be granted, and all that is derived from the branches.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::branch::{AbortCause, Branch, Hold};
use super::{Participant, Timer};
use crate::decision::{Fact, Reason, Refusal};
use crate::ids::{OperatorId, TransactionId};
use crate::time_window::{Now, Timestamp};

/// Why a hold cannot be granted now.
pub(super) enum Obstacle {
    // Prepared by younger trips only.
    Younger(Refusal),
    Firm(Refusal),
}

// What no rule reads: two states that differ in nothing else are the same state.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside<T>(pub(super) T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> Hash for Aside<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Participant {
    pub(super) fn check(&self, hold: &Hold, now: Now) -> Result<(), Refusal> {
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
            if self.is_out_of_service(&stop.evse) {
                return refuse(Reason::OutOfService);
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
        self.check_vehicle(hold, now)?;
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

    pub(super) fn find_obstacle(&self, hold: &Hold, now: Now) -> Option<Obstacle> {
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
        let oldest = now.utc - self.limits.priority_age_max;
        let asked = |hold: &Hold| hold.priority.clamp(oldest, now.utc);
        match asked(hold).cmp(&asked(other)) {
            Ordering::Equal => hold.transaction.seniority() < other.transaction.seniority(),
            order => order.is_lt(),
        }
    }

    pub(super) fn prepare(&mut self, hold: Arc<Hold>, expires: Timestamp, now: Now) -> Vec<Fact> {
        let transaction = hold.transaction.clone();
        self.start_timer(&transaction, expires, self.limits.inquire_after, now);
        let fact = self.set(&transaction, Branch::Prepared { hold });
        // The coordinator's own branch becomes durable inside its commit record; without one there is no commit.
        if transaction.coordinator == self.operator { vec![] } else { vec![fact] }
    }

    pub(super) fn hold_softly(&mut self, hold: Arc<Hold>, expires: Timestamp, now: Now) -> Vec<Fact> {
        let transaction = hold.transaction.clone();
        self.start_timer(&transaction, expires, expires.since(now.utc), now);
        vec![self.set(&transaction, Branch::Held { hold, expires })]
    }

    // Gives back whatever is held and leaves a tombstone.
    pub(super) fn bury(
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

    pub(super) fn give_back_replaced(&mut self, change: &Hold) -> Vec<Fact> {
        change.replaces.as_ref().and_then(|old| self.let_go(old)).into_iter().collect()
    }

    // Ends a commitment: cancelled, or replaced by a change.
    pub(super) fn let_go(&mut self, transaction: &TransactionId) -> Option<Fact> {
        let Some(Branch::Prepared { hold } | Branch::Confirmed { hold }) = self.branches.get(transaction)
        else {
            return None;
        };
        let hold = hold.clone();
        self.decided(&hold);
        self.vacate(&hold);
        Some(self.set(transaction, Branch::Released { hold }))
    }

    pub(super) fn set(&mut self, transaction: &TransactionId, branch: Branch) -> Fact {
        self.branches.insert(transaction.clone(), branch.clone());
        Fact::Branch(transaction.clone(), branch)
    }

    // A reservation is kept for months and there may be a million of them, so a text that is known is not kept again.
    pub(super) fn share_texts(&mut self, hold: &mut Hold) {
        let coordinators = &mut self.coordinators.0;
        match coordinators.get(&hold.transaction.coordinator) {
            Some(known) => hold.transaction.coordinator = known.clone(),
            // There are as many as companies that may ask, while participants are whatever these say.
            None => drop(coordinators.insert(hold.transaction.coordinator.clone())),
        }
        let known = |operator: OperatorId| match coordinators.get(&operator) {
            Some(known) => known.clone(),
            None if operator == self.operator => self.operator.clone(),
            None => operator,
        };
        hold.participants = std::mem::take(&mut hold.participants).into_iter().map(known).collect();
        if let Some(stores) = (!hold.stores.is_empty()).then(|| std::mem::take(&mut hold.stores)) {
            hold.stores = stores.into_iter().map(|(operator, store)| (known(operator), store)).collect();
        }
        for stop in &mut hold.stops {
            if let Some((evse, _)) = self.plugs.get_key_value(&stop.evse) {
                stop.evse = evse.clone();
            }
        }
        hold.participants.shrink_to_fit();
        hold.stops.shrink_to_fit();
    }

    pub(super) fn occupy(&mut self, hold: &Hold) {
        for stop in &hold.stops {
            let calendar = self.calendars.entry(stop.evse.clone()).or_default();
            calendar.take(stop.window, hold.transaction.clone());
            self.touched.0.insert(stop.evse.clone());
        }
        // Nearly always the only one: a change, until it is confirmed, is a second.
        let live = self.live.get_or_insert_with(&hold.key, || Vec::with_capacity(1));
        live.push(hold.transaction.clone());
        if let Some(old) = &hold.replaces {
            self.changing.insert(old.clone(), hold.transaction.clone());
        }
        let usage = self.usage.entry(hold.transaction.coordinator.clone()).or_default();
        usage.holds += 1;
        usage.time += hold.reserved();
    }

    // The hold no longer counts as undecided.
    pub(super) fn decided(&mut self, hold: &Hold) {
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

    pub(super) fn vacate(&mut self, hold: &Hold) {
        for stop in &hold.stops {
            if let Some(calendar) = self.calendars.get_mut(&stop.evse) {
                calendar.give_back(stop.window, &hold.transaction);
                self.touched.0.insert(stop.evse.clone());
                if calendar.is_empty() {
                    self.calendars.remove(&stop.evse);
                }
            }
        }
        if let Some(live) = self.live.get_mut(&hold.key) {
            live.retain(|one| *one != hold.transaction);
            if live.is_empty() {
                self.live.remove(&hold.key);
            }
        }
    }

    pub(super) fn start_timer(
        &mut self,
        transaction: &TransactionId,
        expires: Timestamp,
        after: Duration,
        now: Now,
    ) {
        let pause = self.limits.inquire_after;
        let due = now.elapsed + after;
        let timer = Timer { expires, since: now.elapsed, due, pause, asked_in_vain: false };
        self.timers.insert(transaction.clone(), timer);
    }

    // Nothing is due for what this company coordinates itself: its coordinator decides that in the same process.
    pub(super) fn due(&self, now: Now) -> impl Iterator<Item = &TransactionId> {
        let due = self.timers.iter().filter(move |(_, timer)| timer.due <= now.elapsed);
        due.map(|(transaction, _)| transaction).filter(|&one| {
            one.coordinator != self.operator || matches!(self.branches.get(one), Some(Branch::Held { .. }))
        })
    }

    pub(super) fn is_blocked_for_good(&self, hold: &Hold, now: Now) -> bool {
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
