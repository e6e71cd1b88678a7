//! Finding what is over a slice at a time, and forgetting it.

use std::collections::BTreeMap;
use std::time::Duration;

use recarga_reservation::{
    Branch, Firmness, Hold, HoldLimits, Learnt, Outcome, Participant, Patience, StoreId, TransactionId, Trip,
};

use crate::federation::{Federation, HOUR, NOW, evse, hours, key, later, operator, request, stop};

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

// Ten trips of company a, one hour each at company b.
fn ten_trips() -> (Federation, Vec<Trip>) {
    let mut all = Federation::new();
    let book = |number: u32| {
        let window = hours(number + 1, number + 2);
        all.book("a", &request(&format!("r{number}"), &[("b-1", window)]))
    };
    let trips = (0..10).map(book).collect();
    (all, trips)
}

#[test]
fn a_slice_looks_at_no_more_than_it_may() {
    let (mut all, trips) = ten_trips();
    // The first five have ended a month ago.
    let now = later(MONTH + HOUR * 6);
    for at_most in [1, 3, 4, 100] {
        let (mut branches, mut records, mut slices) = (Vec::new(), Vec::new(), 0);
        let mut after = None;
        loop {
            let old = all.at("b").participant.old(now, after.as_ref(), at_most);
            let same = all.at("a").coordinator.old(MONTH, now, after.as_ref(), at_most);
            assert_eq!(old.next, same.next, "the same transactions at both");
            let seen = trips.iter().skip(slices * at_most).take(at_most);
            let due: Vec<_> = seen
                .filter(|trip| trip.transaction < trips[5].transaction)
                .map(|trip| &trip.transaction)
                .collect();
            assert_eq!(old.past.iter().map(|(transaction, _)| transaction).collect::<Vec<_>>(), due);
            assert_eq!(same.past.iter().map(|trip| &trip.transaction).collect::<Vec<_>>(), due);
            assert!(old.tombstones.is_empty());
            branches.extend(old.past);
            records.extend(same.past);
            slices += 1;
            match old.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!((branches.len(), records.len()), (5, 5));
        assert_eq!(slices, 10 / at_most + 1, "a last one finds out that there is nothing more");
    }
}

#[test]
fn what_has_changed_since_it_was_found_is_not_forgotten() {
    let (mut all, trips) = ten_trips();
    let now = later(MONTH + HOUR * 99);
    let old = all.at("b").participant.old(now, None, 100);
    let same = all.at("a").coordinator.old(MONTH, now, None, 100);
    // Its release is as late as that of a company that was away for a month.
    let (transaction, last) = (&trips[0].transaction, &trips[9].transaction);
    let _ = all.at("b").participant.release(&operator("a"), transaction).unwrap();
    let _ = all.at("a").coordinator.lost(last, &operator("b"));
    assert_eq!(all.at("b").participant.forget(&old.past, now).answer, 9);
    assert_eq!(all.at("a").coordinator.forget(&same.past).answer, 9);
    assert!(matches!(all.branch("b", transaction), Some(Branch::Released { .. })));
    assert!(all.at("a").coordinator.find(last).is_some());
    // The next time it is found as it is now.
    let old = all.at("b").participant.old(now, None, 100);
    let same = all.at("a").coordinator.old(MONTH, now, None, 100);
    assert_eq!(all.at("b").participant.forget(&old.past, now).answer, 1);
    assert_eq!(all.at("a").coordinator.forget(&same.past).answer, 1);
    assert_eq!(all.at("b").participant.forget(&old.past, now).answer, 0, "gone already");
}

#[test]
fn what_is_not_past_is_never_forgotten() {
    let (mut all, _) = ten_trips();
    let long_after = later(MONTH + HOUR * 99);
    let old = all.at("b").participant.old(long_after, None, 100);
    // The clock was set back meanwhile.
    assert_eq!(all.at("b").participant.forget(&old.past, later(HOUR * 99)).answer, 0);
}

// Who took part forgets a trip, a day after its windows at the earliest, and would then promise what is not so.
#[test]
fn another_participants_abort_is_believed_for_half_a_day_only() {
    for (from, outcome, hours_later, learnt) in [
        ("c", Outcome::Abort, 11, Learnt::Ended),
        ("c", Outcome::Abort, 12, Learnt::Nothing),
        ("c", Outcome::Commit, 1000, Learnt::Ended),
        ("a", Outcome::Abort, 1000, Learnt::Ended),
    ] {
        let mut participant =
            Participant::new(operator("b"), StoreId(1), &[evse("b-1")], HoldLimits::default());
        let (a, c) = (operator("a"), operator("c"));
        let (coordinator, store) = (a.clone(), StoreId(1));
        let hold = Hold {
            transaction: TransactionId { coordinator, store, epoch: 1, counter: 1, nonce: 0 },
            key: key("r1"),
            plug: None,
            participants: vec![a.clone(), operator("b"), c.clone()],
            stores: BTreeMap::from([(c, StoreId(7))]),
            priority: NOW.utc,
            stops: vec![stop("b-1", hours(1, 2))],
            replaces: None,
        };
        let _ = participant.hold(&a, &hold, Firmness::Prepared, HOUR, Patience::MustVote, NOW).unwrap();
        let store = if from == "a" { StoreId(1) } else { StoreId(7) };
        let now = later(HOUR * hours_later);
        let told = participant.learn(&hold.transaction, &operator(from), store, outcome, now).answer;
        assert_eq!(told, learnt, "{outcome:?} of {from} after {hours_later} h");
    }
}
