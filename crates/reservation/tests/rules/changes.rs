//! A change of a trip is one transaction: each branch gives back an old window and takes a new one.

use recarga_reservation::{Branch, Firmness, NotChangeable, Patience, Reason, Stage, Vote};

use crate::federation::{
    DECIDE_LIMIT, Federation, HOUR, NOW, aborted, committed, fresh, hours, key, later, operator, prepare,
    request, vote,
};

#[test]
fn the_old_windows_stay_until_confirm_swaps_both() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    // The new window at b overlaps the old one: a trip is not in its own way.
    let wish = request("r2", &[("a-1", hours(1, 2)), ("b-1", hours(3, 5))]);
    let new = all.commit_change("a", &old.id, &wish);
    assert_eq!((&new.id, &new.replaces), (&old.id, &Some(old.transaction.clone())));
    assert!(
        matches!(all.branch("b", &old.transaction), Some(Branch::Confirmed { .. })),
        "valid until confirm"
    );
    assert!(matches!(all.branch("b", &new.transaction), Some(Branch::Prepared { .. })));
    assert!(
        matches!(all.branch("a", &old.transaction), Some(Branch::Released { .. })),
        "swapped in one write"
    );
    all.restart("b");
    all.settle("a");
    assert!(matches!(all.branch("b", &old.transaction), Some(Branch::Released { .. })));
    assert!(matches!(all.branch("b", &new.transaction), Some(Branch::Confirmed { .. })));
    all.restart("a");
    let coordinator = &all.at("a").coordinator;
    assert_eq!(coordinator.trip(&old.id).unwrap().transaction, new.transaction);
    assert_eq!(coordinator.find(&old.transaction).unwrap().stage, Stage::Replaced);
}

#[test]
fn a_refused_change_leaves_everything_as_it_was() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    all.book("b", &request("r2", &[("b-1", hours(5, 6))]));
    let wish = request("r3", &[("a-1", hours(7, 8)), ("b-1", hours(5, 6))]);
    let beginning = all.at("a").coordinator.begin_change(&old.id, &wish, NOW.utc, fresh(9), NOW).unwrap();
    let refusal = aborted(all.decide(beginning));
    assert!(matches!(refusal.reason, Reason::Booked { .. }), "{refusal:?}");
    assert!(all.is_taken("a-1", hours(1, 2)) && !all.is_taken("a-1", hours(7, 8)));
    assert!(all.is_taken("b-1", hours(3, 4)));
    // And another change may follow.
    all.commit_change("a", &old.id, &request("r4", &[("b-1", hours(3, 4))]));
}

#[test]
fn of_two_changes_at_once_one_is_told_to_come_again() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(3, 4))]));
    let one = request("r2", &[("b-1", hours(4, 5))]);
    let other = request("r3", &[("b-1", hours(5, 6))]);
    let first = all.at("a").coordinator.begin_change(&old.id, &one, NOW.utc, fresh(8), NOW).unwrap();
    let second = all.at("a").coordinator.begin_change(&old.id, &other, NOW.utc, fresh(9), NOW);
    assert_eq!(second, Err(NotChangeable::Busy));
    assert_eq!(all.at("a").cancel(&old.id, NOW), Err(NotChangeable::Busy));
    let new = committed(all.decide(first));
    // Committed, but b has not confirmed yet: what would be changed is not there yet.
    let second = all.at("a").coordinator.begin_change(&new.id, &other, NOW.utc, fresh(9), NOW);
    assert_eq!(second, Err(NotChangeable::Busy));
    all.settle("a");
    all.commit_change("a", &new.id, &other);
}

#[test]
fn a_stale_revision_is_refused() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(3, 4))]));
    let other = request("r2", &[("b-1", hours(4, 5))]);
    let mut change = all.at("a").coordinator.begin_change(&old.id, &other, NOW.utc, fresh(7), NOW);
    let Ok(recarga_reservation::Beginning::New { holds, .. }) = &mut change else { panic!() };
    let hold = holds[0].1.clone();
    let mut rival = hold.clone();
    rival.transaction.counter += 1;
    rival.key = key("r3");
    assert!(matches!(vote(prepare(all.at("b"), &hold, NOW)), Vote::Yes { .. }));
    let stale = |vote: Vote| matches!(vote, Vote::No(refusal) if refusal.reason == Reason::Stale);
    assert!(stale(vote(prepare(all.at("b"), &rival, NOW))), "being changed by another");
    let _ = all.at("b").participant.confirm(&operator("a"), &hold.transaction).unwrap();
    rival.transaction.counter += 1;
    assert!(stale(vote(prepare(all.at("b"), &rival, NOW))), "replaced");
}

#[test]
fn a_company_that_the_change_leaves_out_gives_its_windows_back() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    let new = all.commit_change("a", &old.id, &request("r2", &[("c-1", hours(1, 2))]));
    assert!(all.is_taken("b-1", hours(3, 4)), "until confirm");
    assert!(!all.is_taken("a-1", hours(1, 2)), "within the commit record");
    all.settle("a");
    assert!(!all.is_taken("b-1", hours(3, 4)));
    assert!(all.is_taken("c-1", hours(1, 2)));
    // A later change and a cancellation still reach every company.
    let third = all.commit_change("a", &new.id, &request("r3", &[("b-1", hours(3, 4))]));
    all.settle("a");
    assert!(!all.is_taken("c-1", hours(1, 2)) && all.is_taken("b-1", hours(3, 4)));
    let step = all.at("a").cancel(&third.id, NOW).unwrap();
    all.record("a", step);
    all.settle("a");
    assert!(!all.is_taken("b-1", hours(3, 4)));
}

#[test]
fn a_change_cancelled_before_its_confirm_gives_back_the_old_windows_too() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
    let new = all.commit_change("a", &old.id, &request("r2", &[("b-1", hours(3, 4))]));
    let step = all.at("a").cancel(&new.id, NOW).unwrap();
    all.record("a", step);
    all.settle("a");
    assert!(!all.is_taken("b-1", hours(1, 2)) && !all.is_taken("b-1", hours(3, 4)));
    all.restart("b");
    assert!(!all.is_taken("b-1", hours(1, 2)) && !all.is_taken("b-1", hours(3, 4)));
}

#[test]
fn a_trip_that_lost_a_part_can_be_changed() {
    let mut all = Federation::new();
    let old = all.commit("a", &request("r1", &[("b-1", hours(1, 2)), ("c-1", hours(3, 4))]));
    let step = all.at("b").participant.force_abort(&old.transaction, NOW);
    assert!(all.record("b", step));
    all.settle("a");
    let wish = request("r2", &[("b-2", hours(1, 2)), ("c-1", hours(3, 4))]);
    let new = all.commit_change("a", &old.id, &wish);
    all.settle("a");
    assert!(all.is_taken("b-2", hours(1, 2)));
    assert_eq!(all.at("a").coordinator.find(&new.transaction).unwrap().stage, Stage::Settled);
}

#[test]
fn a_change_is_released_heuristically_only_after_the_grace_even_without_a_new_window() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
    let wish = request("r2", &[("c-1", hours(1, 2))]);
    let change = all.at("a").coordinator.begin_change(&old.id, &wish, NOW.utc, fresh(7), NOW);
    let Ok(recarga_reservation::Beginning::New { transaction, holds }) = change else { panic!() };
    let (_, hold) = holds.iter().find(|(asked, _)| *asked == operator("b")).unwrap();
    assert!(hold.stops.is_empty());
    let b = &mut all.at("b").participant;
    let _ = b.hold(&operator("a"), hold, Firmness::Prepared, DECIDE_LIMIT, Patience::MustVote, NOW).unwrap();
    b.asked_in_vain(&transaction);
    assert_eq!(b.expire(later(std::time::Duration::from_secs(3600 + 899))).answer.heuristic, []);
    let expired = b.expire(later(std::time::Duration::from_secs(3600 + 900))).answer;
    assert_eq!(expired.heuristic, [transaction]);
}

/// A company gave up its part of a change, with the old windows still reserved for the trip. When it then heard that
/// the change had been committed it only reported its loss, and kept the old windows for nobody.
#[test]
fn a_company_that_gave_a_change_up_gives_back_the_old_windows_once_it_hears_of_the_commit() {
    for is_cancelled in [false, true] {
        let mut all = Federation::new();
        let old = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
        let new = all.commit_change("a", &old.id, &request("r2", &[("b-1", hours(3, 4))]));
        let step = all.at("b").participant.force_abort(&new.transaction, NOW);
        assert!(all.record("b", step));
        assert!(all.is_taken("b-1", hours(1, 2)), "the change may yet be aborted");
        if is_cancelled {
            let step = all.at("a").cancel(&new.id, NOW).unwrap();
            all.record("a", step);
        }
        all.settle("a");
        all.restart("b");
        assert!(!all.is_taken("b-1", hours(1, 2)) && !all.is_taken("b-1", hours(3, 4)));
        let lost = &all.at("a").coordinator.find(&new.transaction).unwrap().lost;
        assert_eq!(lost.contains(&operator("b")), !is_cancelled);
    }
}

/// A trip that was moved away from a company and then changed again asked that company once more, where it had nothing
/// left to give back: if nobody could say what became of that, no window's start could ever end the doubt.
#[test]
fn a_company_that_an_earlier_change_left_out_is_not_asked_again() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
    let moved = all.commit_change("a", &old.id, &request("r2", &[("c-1", hours(1, 2))]));
    all.settle("a");
    assert!(moved.participants.contains(&operator("b")), "it gives its window back");
    let again = all.commit_change("a", &old.id, &request("r3", &[("c-1", hours(3, 4))]));
    assert!(!again.participants.contains(&operator("b")), "{again:?}");
}

/// The branch of a change that moved every stop elsewhere has no window whose end could pass, and was kept for ever.
#[test]
fn a_change_without_a_window_is_forgotten_with_what_it_replaced() {
    let mut all = Federation::new();
    let old = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
    let new = all.commit_change("a", &old.id, &request("r2", &[("c-1", hours(3, 4))]));
    all.settle("a");
    let mut forget = |hours: u32| {
        let now = later((30 * 24 + hours) * HOUR);
        let past = all.at("b").participant.old(now, None, usize::MAX).past;
        let step = all.at("b").participant.forget(&past, now);
        all.record("b", step)
    };
    assert_eq!(forget(1), 0);
    assert_eq!((forget(2), forget(2), forget(2)), (1, 1, 0), "one round after the other");
    assert!(all.branch("b", &old.transaction).is_none() && all.branch("b", &new.transaction).is_none());
}
