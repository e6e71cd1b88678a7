//! Which EVSEs changed when, so that whoever keeps a copy of the offer fetches only what is new.

use std::collections::{BTreeMap, HashMap};

use recarga_reservation::EvseId;

/// The changes of the calendars in this run of the process, numbered.
#[derive(Debug)]
pub struct Revisions {
    // What is older is not known: an earlier run, or another database, counted it.
    first: u64,
    latest: u64,
    // The last change of each EVSE that changed, both ways.
    of: HashMap<EvseId, u64>,
    by_revision: BTreeMap<u64, EvseId>,
}

impl Revisions {
    /// Those of the run with this boot epoch: greater than all of earlier runs on the same database.
    pub fn of_epoch(epoch: u64) -> Self {
        let first = epoch << 32;
        Self { first, latest: first, of: HashMap::new(), by_revision: BTreeMap::new() }
    }

    /// The number of the last change.
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// One change of these EVSEs, which happened together or one right after the other.
    pub fn changed(&mut self, evses: impl IntoIterator<Item = EvseId>) {
        for evse in evses {
            self.latest += 1;
            self.by_revision.insert(self.latest, evse.clone());
            if let Some(before) = self.of.insert(evse, self.latest) {
                self.by_revision.remove(&before);
            }
        }
    }

    /// The EVSEs that changed after a revision, the longest ago first; none if that cannot be said.
    pub fn changed_after(&self, revision: u64) -> Option<impl Iterator<Item = &EvseId>> {
        let known = (self.first..=self.latest).contains(&revision);
        known.then(|| self.by_revision.range(revision + 1..).map(|(_, evse)| evse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evses(ids: &[&str]) -> Vec<EvseId> {
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }

    fn after(revisions: &Revisions, revision: u64) -> Option<Vec<String>> {
        Some(revisions.changed_after(revision)?.map(ToString::to_string).collect())
    }

    #[test]
    fn whoever_saw_a_revision_is_told_what_changed_since_and_each_evse_once() {
        let mut revisions = Revisions::of_epoch(3);
        let start = revisions.latest();
        assert_eq!(after(&revisions, start), Some(vec![]));
        revisions.changed(evses(&["1", "2"]));
        let seen = revisions.latest();
        revisions.changed(evses(&["3"]));
        revisions.changed(evses(&["1"]));
        assert_eq!(after(&revisions, start).unwrap(), ["2", "3", "1"]);
        assert_eq!(after(&revisions, seen).unwrap(), ["3", "1"]);
        assert_eq!(after(&revisions, revisions.latest()), Some(vec![]));
    }

    #[test]
    fn nothing_is_claimed_about_earlier_runs_and_other_databases() {
        let mut earlier = Revisions::of_epoch(2);
        earlier.changed(evses(&["1"]));
        let revisions = Revisions::of_epoch(3);
        assert!(revisions.latest() > earlier.latest());
        assert_eq!(after(&revisions, earlier.latest()), None);
        assert_eq!(after(&earlier, revisions.latest()), None, "a number that was never given");
        assert_eq!(after(&revisions, u64::MAX), None);
    }
}
