//! What the cars have that this company holds something for, whoever coordinates their trips: so that asking many
//! companies to coordinate gets no car more of one company's EVSEs.

use std::time::Duration;

use super::Participant;
use super::branch::{Branch, Hold};
use crate::decision::Refusal;
use crate::ids::TransactionId;
use crate::time_window::Now;
use crate::vehicle::{VehicleUse, left};

impl Participant {
    pub(super) fn check_vehicle(&self, hold: &Hold, now: Now) -> Result<(), Refusal> {
        let limits = self.limits.vehicle;
        if !limits.are_set() {
            return Ok(());
        }
        let mut used = VehicleUse::default();
        let own = self.live.of_vehicle(&hold.key.vehicle);
        // Of the same request there may be an earlier attempt, which is no second trip and is in the way for itself.
        let others = own.filter(|(key, _)| **key != hold.key).flat_map(|(_, transactions)| transactions);
        for transaction in others {
            let is_given_back = hold.replaces.as_ref() == Some(transaction);
            if !is_given_back && !self.changing.contains_key(transaction) {
                used.add(self.open_time(transaction, now));
            }
        }
        let given_back = hold.replaces.as_ref().map(|old| self.open_time(old, now));
        let checked = limits.check(&self.operator, used, time(hold, now), given_back);
        checked.map_err(Refusal::whole)
    }

    // Until a change is decided it counts as whichever of the two takes longer.
    fn open_time(&self, transaction: &TransactionId, now: Now) -> Duration {
        match self.branches.get(transaction) {
            Some(Branch::Held { hold, .. } | Branch::Prepared { hold }) => {
                let replaced = hold.replaces.as_ref().map(|old| self.open_time(old, now));
                time(hold, now).max(replaced.unwrap_or_default())
            }
            Some(Branch::Confirmed { hold }) => time(hold, now),
            _ => Duration::ZERO,
        }
    }
}

fn time(hold: &Hold, now: Now) -> Duration {
    left(hold.stops.iter().map(|stop| stop.window), now)
}
