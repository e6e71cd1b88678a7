//! All holds and reservations of one EVSE: the only place where overlap is decided.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use crate::ids::TransactionId;
use crate::time_window::{TimeWindow, Timestamp};

/// The taken windows of one EVSE and whose they are.
///
/// Slots of different transactions never overlap, with one exception: the new window of a trip that is being
/// changed may overlap that trip's own old one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Calendar {
    slots: BTreeMap<Timestamp, Vec<(TimeWindow, TransactionId)>>,
    // No slot is longer. It only grows, which is safe: it bounds how far back a look-up must begin.
    longest: Duration,
}

impl Calendar {
    /// Takes the window. Whether it may be taken is the caller's question to [`Calendar::overlapping`].
    pub fn take(&mut self, window: TimeWindow, owner: TransactionId) {
        self.longest = self.longest.max(window.duration());
        match self.slots.entry(window.start()) {
            // Nearly always the only one, for which a pushed-to list would make room for four.
            Entry::Vacant(none) => drop(none.insert(vec![(window, owner)])),
            Entry::Occupied(mut starting) => starting.get_mut().push((window, owner)),
        }
    }

    /// Gives the window back.
    pub fn give_back(&mut self, window: TimeWindow, owner: &TransactionId) {
        if let Entry::Occupied(mut starting) = self.slots.entry(window.start()) {
            starting.get_mut().retain(|(taken, by)| (*taken, by) != (window, owner));
            if starting.get().is_empty() {
                starting.remove();
            }
        }
    }

    /// Whether nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Every taken window that shares an instant with `window`, earliest start first.
    pub fn overlapping(&self, window: TimeWindow) -> impl Iterator<Item = (TimeWindow, &TransactionId)> {
        self.slots
            .range(window.start() - self.longest..window.end())
            .flat_map(|(_, starting)| starting)
            .filter(move |(slot, _)| slot.overlaps(window))
            .map(|(slot, owner)| (*slot, owner))
    }

    /// The parts of `within` that nobody has taken, in order.
    pub fn free(&self, within: TimeWindow) -> Vec<TimeWindow> {
        let mut free = Vec::new();
        let mut from = within.start();
        for (taken, _) in self.overlapping(within) {
            free.extend(TimeWindow::new(from, taken.start()));
            from = from.max(taken.end());
        }
        free.extend(TimeWindow::new(from, within.end()));
        free
    }

    /// Up to `count` free windows as long as `wanted` that start nearest to it, none before `not_before`.
    pub fn nearest_free(&self, wanted: TimeWindow, not_before: Timestamp, count: usize) -> Vec<TimeWindow> {
        let reach = Duration::from_secs(24 * 3600) + wanted.duration();
        let from = (wanted.start() - reach).max(not_before);
        let Ok(around) = TimeWindow::new(from, wanted.end() + reach) else { return Vec::new() };
        let mut found: Vec<TimeWindow> = self
            .free(around)
            .into_iter()
            .filter(|gap| gap.duration() >= wanted.duration())
            .filter_map(|gap| {
                let start = wanted.start().clamp(gap.start(), gap.end() - wanted.duration());
                TimeWindow::new(start, start + wanted.duration()).ok()
            })
            .collect();
        found.sort_by_key(|window| {
            (window.start().as_millis().abs_diff(wanted.start().as_millis()), window.start())
        });
        found.truncate(count);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{OperatorId, StoreId};

    fn owner(counter: u64) -> TransactionId {
        let coordinator = OperatorId::new("a").unwrap();
        TransactionId { coordinator, store: StoreId(1), epoch: 1, counter, nonce: 0 }
    }

    fn window(start: i64, end: i64) -> TimeWindow {
        TimeWindow::new(Timestamp::from_millis(start), Timestamp::from_millis(end)).unwrap()
    }

    #[test]
    fn touching_windows_do_not_overlap_and_long_ones_are_found_from_afar() {
        let mut calendar = Calendar::default();
        calendar.take(window(0, 1000), owner(1));
        calendar.take(window(1000, 1010), owner(2));
        let found =
            |from, to| calendar.overlapping(window(from, to)).map(|(_, by)| by.counter).collect::<Vec<_>>();
        assert_eq!(found(990, 1000), [1]);
        assert_eq!(found(999, 1001), [1, 2]);
        assert_eq!(found(1010, 1011), [0; 0]);
    }

    #[test]
    fn free_is_the_complement_of_taken() {
        // Against a plain array of instants, over random calendars.
        let mut state = 7u64;
        let mut next = |below: i64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            i64::try_from(state >> 33).unwrap() % below
        };
        for round in 0..500 {
            let mut calendar = Calendar::default();
            let mut taken = [false; 100];
            for counter in 0..next(12) {
                let (start, length) = (next(90), 1 + next(10));
                calendar.take(window(start, start + length), owner(counter.unsigned_abs()));
                (start..start + length).for_each(|at| taken[usize::try_from(at).unwrap()] = true);
            }
            let mut free = [false; 100];
            for gap in calendar.free(window(0, 100)) {
                (gap.start().as_millis()..gap.end().as_millis())
                    .for_each(|at| free[usize::try_from(at).unwrap()] = true);
            }
            assert!((0..100).all(|at| taken[at] != free[at]), "round {round}: {calendar:?}");
        }
    }

    #[test]
    fn the_nearest_free_windows_come_first_and_none_is_in_the_past() {
        let mut calendar = Calendar::default();
        calendar.take(window(100, 200), owner(1));
        let offered = calendar.nearest_free(window(140, 160), Timestamp::from_millis(50), 3);
        assert_eq!(offered, [window(80, 100), window(200, 220)], "as near, so the earlier first");
        let offered = calendar.nearest_free(window(140, 160), Timestamp::from_millis(90), 3);
        assert_eq!(offered, [window(200, 220)]);
        calendar.give_back(window(100, 200), &owner(1));
        let offered = calendar.nearest_free(window(140, 160), Timestamp::from_millis(0), 1);
        assert_eq!(offered, [window(140, 160)]);
    }
}
