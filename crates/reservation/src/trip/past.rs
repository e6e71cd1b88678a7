//! Trips that are over for long: found a slice at a time, as [`crate::hold::OldBranches`] are.

use std::ops::Bound;
use std::time::Duration;

use super::{Coordinator, Trip};
use crate::decision::{Fact, Step};
use crate::ids::TransactionId;
use crate::time_window::Now;

/// What is old among some trips that follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OldTrips {
    /// Trips that owe nothing and ended long ago, for [`Coordinator::forget`] once whoever wants to keep them has them.
    pub past: Vec<Trip>,
    /// After which the next slice begins; none if this was the last.
    pub next: Option<TransactionId>,
}

impl Coordinator {
    /// Looks at the `at_most` trips that follow `after`, in the order of transactions, for those whose last window
    /// ended more than `keep` ago: from the first one if there is none to follow.
    pub fn old(&self, keep: Duration, now: Now, after: Option<&TransactionId>, at_most: usize) -> OldTrips {
        let mut old = OldTrips::default();
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        for (count, trip) in (1..=at_most).zip(self.trips_from(from)) {
            let has_ended = trip.request.last_end().is_some_and(|end| end + keep <= now.utc);
            if has_ended && !self.owing.contains(&trip.transaction) {
                old.past.push(trip.clone());
            }
            if count == at_most {
                old.next = Some(trip.transaction.clone());
            }
        }
        old
    }

    /// Drops what [`Coordinator::old`] found past, but for what has changed since: whoever kept it has not kept that.
    pub fn forget(&mut self, past: &[Trip]) -> Step<usize> {
        let mut facts = Vec::with_capacity(past.len());
        for trip in past {
            let transaction = &trip.transaction;
            if self.trips.get(transaction) != Some(trip) || self.owing.contains(transaction) {
                continue;
            }
            self.trips.remove(transaction);
            self.by_key.remove_if(trip.request.key(), |known| known == transaction);
            self.by_id.remove_if(&trip.id, |known| known == transaction);
            facts.push(Fact::TripForgotten(transaction.clone()));
        }
        Step::lazy(facts.len(), facts)
    }
}
