//! What happened, kept for the invariants only: the rules never see it.

use recarga_reservation::{AbortCause, Branch, Outcome, TransactionId};

use crate::node::{Event, Node, Say, What};
use crate::scenario::{Attempt, Network, Scenario, TRIPS_MAX};

/// Sets of trips are bit masks. Every bit multiplies the worlds, so only what the scenario needs is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    pub begun: [Option<u8>; TRIPS_MAX],
    /// Begun by the running process.
    pub fresh: u8,
    /// Its commit record was durable at some time.
    pub committed: u8,
    /// It was prepared at some time, so an inquiry may be on its way.
    pub asked: u8,
    /// A prepared hold was given up without an outcome.
    pub gave_up: u8,
    pub wiped: bool,
    /// While its yes waited to be told, the outcome arrived, or the hold was given up: then nobody is misled by the
    /// yes that is still told.
    pub overtaken: u8,
    /// Was durably prepared, was durably reserved: kept only where disks are lost, elsewhere the disk tells.
    pub ever_yes: u8,
    pub ever_reserved: u8,
    /// Kept only where a rule is broken; see [`Node::broken_step`] for what makes it needless elsewhere.
    pub told_commit: u8,
    pub told_abort: u8,
    /// Another company was told "abort" by this participant.
    pub said_abort: u8,
    /// The same on its own authority: it had not heard it from anyone.
    pub vowed_never: u8,
    pub yes_after_abort: u8,
}

/// What a step sends, by attempt, and what it breaks.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub says: Vec<(u8, Say)>,
    pub violation: Option<String>,
}

impl Sent {
    pub fn violate(&mut self, what: &str) {
        self.violation.get_or_insert_with(|| what.to_owned());
    }
}

impl Node {
    /// Something leaves the company. Whatever it says must be entailed by what is durable at that moment: then a
    /// crash cannot make it a lie.
    pub fn send(
        &mut self,
        attempt: u8,
        say: Say,
        scenario: &Scenario,
        attempts: &[Attempt],
        sent: &mut Sent,
    ) {
        let Attempt { trip, transaction, .. } = &attempts[usize::from(attempt)];
        let bit = 1 << trip;
        let is_own = transaction.coordinator == *self.company.operator();
        if !scenario.only_consequences
            && let Some(rule) = self.broken_promise(bit, say, transaction, is_own)
        {
            sent.violate(rule);
        }
        if scenario.plant.is_some() {
            self.note_what_is_said(bit, say, transaction, is_own);
        }
        sent.says.push((attempt, say));
    }

    fn has_heard_abort(&self, transaction: &TransactionId) -> bool {
        let branch = self.durable.branches.get(transaction);
        matches!(branch, Some(Branch::Aborted { cause: AbortCause::Coordinator, .. }))
    }

    fn broken_promise(
        &self,
        bit: u8,
        say: Say,
        transaction: &TransactionId,
        is_own: bool,
    ) -> Option<&'static str> {
        let branch = self.durable.branches.get(transaction);
        let has_trip = self.durable.trips.contains_key(transaction);
        let reserved = self.durable.holds_reserved(transaction);
        let (holds, rule) = match say {
            Say::Commit { .. } | Say::DriverCommit if is_own => {
                (has_trip, "2: commit is told before its record is durable")
            }
            Say::Commit { .. } | Say::DriverCommit => {
                (reserved, "7: commit is told by a company where it is not durable")
            }
            Say::Release { .. } => (has_trip, "7: a cancellation is told before its record is durable"),
            Say::Yes if self.history.overtaken & bit != 0 => return None,
            Say::Yes => (self.durable.holds_yes(transaction), "7: yes is told before it is durable"),
            Say::Abort { .. } if is_own => {
                (!has_trip, "7: abort is told of a trip with a durable commit record")
            }
            Say::Abort { .. } => (
                matches!(branch, Some(Branch::Aborted { cause, .. }) if *cause != AbortCause::Heuristic),
                "7: abort is told to a peer before the tombstone is durable",
            ),
            Say::Confirmed => (reserved, "7: a confirmation is acknowledged before it is durable"),
            Say::Released => (
                !matches!(branch, Some(Branch::Prepared { .. } | Branch::Confirmed { .. })),
                "7: a cancellation is acknowledged before it is durable",
            ),
            Say::Lost => (
                matches!(branch, Some(Branch::Aborted { cause: AbortCause::Heuristic, .. })),
                "7: a heuristic release is told before it is durable",
            ),
            Say::No | Say::DriverAbort => return None,
        };
        (!holds).then_some(rule)
    }

    fn note_what_is_said(&mut self, bit: u8, say: Say, transaction: &TransactionId, is_own: bool) {
        match say {
            Say::DriverCommit => self.history.told_commit |= bit,
            Say::DriverAbort => self.history.told_abort |= bit,
            Say::Abort { .. } if !is_own => {
                self.history.said_abort |= bit;
                if !self.has_heard_abort(transaction) {
                    self.history.vowed_never |= bit;
                }
            }
            Say::Yes if self.history.vowed_never & bit != 0 => self.history.yes_after_abort |= bit,
            _ => {}
        }
    }

    /// Updates the history after an event.
    pub fn note_what_happened(
        &mut self,
        event: Event,
        before: &Node,
        scenario: &Scenario,
        attempts: &[Attempt],
    ) {
        if self.waiting.is_empty() {
            self.history.overtaken = 0;
        }
        let may_wipe = scenario.faults.may_lose_disks();
        for (index, Attempt { trip, transaction, .. }) in attempts.iter().enumerate() {
            let bit = 1 << trip;
            let is_prepared = |node: &Node| {
                matches!(node.company.participant.branch(transaction), Some(Branch::Prepared { .. }))
            };
            let is_own = transaction.coordinator == *self.company.operator();
            let is_prepared_now = is_prepared(self);
            let history = &mut self.history;
            if is_prepared_now && !is_own && scenario.network == Network::Sent {
                history.asked |= bit;
            }
            let is_heuristic = matches!(event.what, What::ForceAbort | What::GraceOver);
            let is_outcome = is_heuristic || event.what == What::Abort;
            let yes_waits = self.waiting.contains(&(u8::try_from(index).unwrap(), Say::Yes));
            if is_outcome && yes_waits && !is_prepared_now {
                history.overtaken |= bit;
            }
            if is_heuristic && is_prepared(before) && !is_prepared_now {
                history.gave_up |= bit;
            }
            if may_wipe && self.durable.holds_yes(transaction) {
                history.ever_yes |= bit;
            }
            if may_wipe && self.durable.holds_reserved(transaction) {
                history.ever_reserved |= bit;
            }
            let is_begun = history.begun[*trip].is_some_and(|begun| usize::from(begun) == index);
            if is_begun && self.durable.trips.contains_key(transaction) {
                history.committed |= bit;
            }
        }
    }

    /// What no step of a company may do. With [`Node::send`] this makes 5 and the driver's invariant hold without a
    /// record of what was told: abort is told only of a durable tombstone, which stays and refuses, or of a trip
    /// that never commits any more; commit only of a durable record, which stays.
    pub fn broken_step(&self, event: Event, before: &Node, attempts: &[Attempt]) -> Option<&'static str> {
        if matches!(event.what, What::Crash | What::Kill | What::Wipe | What::PutBack) {
            return None; // What was durable still is, except for a lost disk.
        }
        let own = self.company.operator();
        attempts.iter().map(|attempt| &attempt.transaction).find_map(|transaction| {
            let tombstone = |node: &Node| node.recorded.branches.get(transaction).is_some_and(is_tombstone);
            if tombstone(before) && !tombstone(self) && event.what != What::ForgetTombstone {
                return Some("5: a tombstone is gone");
            }
            let is_reserved = |node: &Node| node.recorded.holds_reserved(transaction);
            if is_reserved(before) && !is_reserved(self) {
                return Some("1: a reservation is gone");
            }
            let has_trip = |node: &Node| node.company.coordinator.find(transaction).is_some();
            if transaction.coordinator == *own && before.says_abort(transaction) && has_trip(self) {
                return Some("driver: committed after abort could be told");
            }
            None
        })
    }

    /// Whether its coordinator may answer "abort".
    pub fn says_abort(&self, transaction: &TransactionId) -> bool {
        let step = self.company.coordinator.status(transaction);
        step.is_some_and(|step| step.answer == Outcome::Abort)
    }
}

/// A promise never to say yes.
pub fn is_tombstone(branch: &Branch) -> bool {
    matches!(branch, Branch::Aborted { cause, .. } if *cause != AbortCause::Heuristic)
}
