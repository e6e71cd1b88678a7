//! What is over for long: found a slice at a time, since a company that looked through all that it remembers at once
//! would answer nobody meanwhile.

use std::ops::Bound;

use super::Participant;
use super::branch::{AbortCause, Branch, Hold};
use crate::decision::{Fact, Step};
use crate::ids::TransactionId;
use crate::time_window::{Now, Timestamp};

/// What is old among some branches that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldBranches {
    /// Reservations that ended long ago, for [`Participant::forget`] once whoever wants to keep them has them.
    pub past: Vec<(TransactionId, Branch)>,
    /// Tombstones that are old enough to go, for [`Participant::forget_tombstone`] once their coordinator has
    /// confirmed the abort.
    pub tombstones: Vec<TransactionId>,
    /// After which the next slice begins; none if this was the last.
    pub next: Option<TransactionId>,
}

impl Participant {
    /// Looks at the `at_most` branches that follow `after`, in the order of transactions: from the first one if none.
    pub fn old(&self, now: Now, after: Option<&TransactionId>, at_most: usize) -> OldBranches {
        let mut old = OldBranches::default();
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        for (count, (transaction, branch)) in (1..=at_most).zip(self.branches_from(from)) {
            if self.is_past(branch, now) {
                old.past.push((transaction.clone(), branch.clone()));
            } else if self.is_old_tombstone(branch, now) {
                old.tombstones.push(transaction.clone());
            }
            if count == at_most {
                old.next = Some(transaction.clone());
            }
        }
        old
    }

    /// Drops what [`Participant::old`] found past, but for what has changed since: whoever kept it has not kept that.
    /// A late prepare for one of them finds its window in the past.
    pub fn forget(&mut self, past: &[(TransactionId, Branch)], now: Now) -> Step<usize> {
        let mut facts = Vec::with_capacity(past.len());
        for (transaction, branch) in past {
            if self.branches.get(transaction) != Some(branch) || !self.is_past(branch, now) {
                continue;
            }
            if let Some(Branch::Confirmed { hold }) = self.branches.remove(transaction) {
                self.vacate(&hold);
            }
            facts.push(Fact::BranchForgotten(transaction.clone()));
        }
        Step::lazy(facts.len(), facts)
    }

    /// Drops one of [`OldBranches::tombstones`]. A very late prepare would find nothing, so the caller must have
    /// heard "abort" from the coordinator: it will never count a yes from here.
    pub fn forget_tombstone(&mut self, transaction: &TransactionId) -> Step<()> {
        if matches!(self.branches.get(transaction), Some(Branch::Aborted { .. })) {
            self.branches.remove(transaction);
            return Step::lazy((), vec![Fact::BranchForgotten(transaction.clone())]);
        }
        Step::lazy((), vec![])
    }

    fn is_past(&self, branch: &Branch, now: Now) -> bool {
        match branch {
            Branch::Confirmed { hold }
            | Branch::Released { hold }
            | Branch::Aborted { cause: AbortCause::Heuristic, hold: Some(hold), .. } => {
                self.has_ended(hold, now)
            }
            _ => false,
        }
    }

    // A change that moves every stop elsewhere has no window here: it goes once what it replaced is gone, and not before
    // it is old itself, since others may yet ask what became of it.
    fn has_ended(&self, hold: &Hold, now: Now) -> bool {
        let is_replaced_here = || hold.replaces.as_ref().is_some_and(|old| self.branches.contains_key(old));
        match hold.last_end() {
            Some(end) => end + self.limits.reservation_keep <= now.utc,
            None => hold.priority + self.limits.reservation_keep <= now.utc && !is_replaced_here(),
        }
    }

    fn is_old_tombstone(&self, branch: &Branch, now: Now) -> bool {
        let old = |at: Timestamp| at + self.limits.tombstone_keep <= now.utc;
        matches!(branch, Branch::Aborted { cause, at, .. } if *cause != AbortCause::Heuristic && old(*at))
    }
}
