//! Finding what is over a slice at a time, and forgetting it.

use std::collections::BTreeMap;
use std::time::Duration;

use recarga_reservation::{
    Branch, Firmness, Hold, HoldAnswer, HoldLimits, Learnt, Now, Outcome, Participant, Patience, Stop,
    StoreId, TransactionId, Trip, Vote,
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

fn company() -> Participant {
    Participant::new(operator("b"), StoreId(1), &[evse("b-1")], HoldLimits::default())
}

fn hold(counter: u64, stops: Vec<Stop>, replaces: Option<&Hold>, at: Now) -> Hold {
    let (coordinator, store) = (operator("a"), StoreId(1));
    Hold {
        transaction: TransactionId { coordinator, store, epoch: 1, counter, nonce: 0 },
        key: key(&format!("r{counter}")),
        plug: None,
        participants: vec![operator("a"), operator("b"), operator("c")],
        stores: BTreeMap::from([(operator("c"), StoreId(7))]),
        priority: at.utc,
        stops,
        replaces: replaces.map(|replaced| replaced.transaction.clone()),
    }
}

fn prepare(participant: &mut Participant, hold: &Hold, now: Now) {
    let step = participant.hold(&operator("a"), hold, Firmness::Prepared, HOUR, Patience::MustVote, now);
    assert!(matches!(step.unwrap().answer, HoldAnswer::Vote(Vote::Yes { .. })));
}

// Who took part forgets a trip, a day after its windows at the earliest, and would then promise what is not so.
#[test]
fn another_participants_abort_is_believed_for_half_a_day_only() {
    for (from, store, outcome, hours_later, learnt) in [
        ("c", 7, Outcome::Abort, 11, Learnt::Ended),
        ("c", 7, Outcome::Abort, 12, Learnt::Nothing),
        ("c", 7, Outcome::Commit, 1000, Learnt::Ended),
        ("a", 1, Outcome::Abort, 1000, Learnt::Ended),
    ] {
        let (mut participant, hold) = (company(), hold(1, vec![stop("b-1", hours(1, 2))], None, NOW));
        prepare(&mut participant, &hold, NOW);
        let (by, store, now) = (operator(from), StoreId(store), later(HOUR * hours_later));
        let told = participant.learn(&hold.transaction, &by, store, outcome, now).answer;
        assert_eq!(told, learnt, "{outcome:?} of {from} after {hours_later} h");
    }
}

// A change that gives back what ended a month ago may be asked about as any other.
#[test]
fn a_change_without_a_window_is_kept_as_long_as_if_it_had_one() {
    let (mut participant, changed_at) = (company(), later(MONTH));
    let old = hold(1, vec![stop("b-1", hours(1, 2))], None, NOW);
    let new = hold(2, vec![], Some(&old), changed_at);
    for (hold, now) in [(&old, NOW), (&new, changed_at)] {
        prepare(&mut participant, hold, now);
        let _ = participant.confirm(&operator("a"), &hold.transaction).unwrap();
    }
    let mut forget = |now| {
        let past = participant.old(now, None, usize::MAX).past;
        let _ = participant.forget(&past, now);
        past.into_iter().map(|(transaction, _)| transaction).collect::<Vec<_>>()
    };
    assert_eq!(forget(later(MONTH + HOUR * 2)), [old.transaction]);
    assert_eq!(forget(later(MONTH * 2 - HOUR)), []);
    assert_eq!(forget(later(MONTH * 2)), [new.transaction]);
}
