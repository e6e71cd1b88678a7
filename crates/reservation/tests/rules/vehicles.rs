//! What one car may have at a time: as its coordinator counts it, and as each company does for itself.

use recarga_reservation::{Beginning, Reason, Refusal, TripRequest, VehicleLimits};
use std::sync::Arc;
use std::time::Duration;

use crate::federation::{
    Federation, HOUR, NOW, aborted, committed, fresh, hours, later, operator, prepare, request, vote,
};

fn trips(max: u32) -> VehicleLimits {
    VehicleLimits { trips_max: max, time_max: Duration::ZERO }
}

fn time(hours: u32) -> VehicleLimits {
    VehicleLimits { trips_max: 0, time_max: HOUR * hours }
}

fn one(name: &str, at: &str, from: u32) -> Arc<TripRequest> {
    request(name, &[(at, hours(from, from + 1))])
}

fn refused(beginning: Beginning) -> Reason {
    match beginning {
        Beginning::Refused(Refusal { stop: None, reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_car_has_no_more_open_trips_than_it_may_also_after_a_restart() {
    let mut all = Federation::with(trips(2));
    let first = all.book("a", &one("r1", "b-1", 1));
    all.book("a", &one("r2", "b-1", 3));
    let too_many = Reason::TooManyTrips { operator: operator("a"), max: 2, used: 2 };
    for _ in 0..2 {
        assert_eq!(refused(all.begin("a", &one("r3", "c-1", 5))), too_many);
        assert!(matches!(all.begin("a", &first.request), Beginning::Done(_)), "a repeat is none");
        all.restart("a");
    }
    let step = all.at("a").cancel(&first.id, NOW).unwrap();
    all.record("a", step);
    all.settle("a");
    all.book("a", &one("r3", "c-1", 5));
}

#[test]
fn what_is_over_does_not_count() {
    let mut all = Federation::with(trips(1));
    all.book("a", &one("r1", "b-1", 1));
    let next = one("r2", "b-1", 5);
    assert!(matches!(all.begin("a", &next), Beginning::Refused(_)));
    let coordinator = &mut all.at("a").coordinator;
    let beginning = coordinator.begin(&next, NOW.utc, fresh(100), later(HOUR * 2));
    assert!(matches!(beginning, Beginning::New { .. }), "{beginning:?}");
}

#[test]
fn requests_that_come_together_count_for_each_other() {
    let mut all = Federation::with(trips(1));
    let first = all.begin("a", &one("r1", "b-1", 1));
    assert!(matches!(all.begin("a", &one("r2", "c-1", 3)), Beginning::Refused(_)));
    let Beginning::New { transaction, .. } = first else { panic!() };
    let _ = all.at("a").withdraw(&transaction, NOW);
    assert!(matches!(all.begin("a", &one("r2", "c-1", 3)), Beginning::New { .. }));
}

#[test]
fn booked_time_is_that_of_all_windows_together() {
    let mut all = Federation::with(time(4));
    all.book("a", &request("r1", &[("b-1", hours(1, 2)), ("c-1", hours(3, 5))]));
    let reason = refused(all.begin("a", &request("r2", &[("b-1", hours(6, 8))])));
    assert_eq!(reason, Reason::TooMuchTime { operator: operator("a"), max: HOUR * 4, used: HOUR * 3 });
    all.book("a", &one("r2", "b-1", 6));
}

#[test]
fn a_change_is_not_counted_beside_what_it_replaces() {
    let mut all = Federation::with(VehicleLimits { trips_max: 1, time_max: HOUR * 2 });
    let trip = all.book("a", &request("r1", &[("b-1", hours(1, 3))]));
    let moved = all.commit_change("a", &trip.id, &request("r2", &[("b-1", hours(2, 4))]));
    all.settle("a");
    let elsewhere = all.commit_change("a", &moved.id, &request("r3", &[("c-1", hours(2, 4))]));
    all.settle("a");
    let longer = request("r4", &[("c-1", hours(2, 5))]);
    let longer = all.at("a").coordinator.begin_change(&elsewhere.id, &longer, NOW.utc, fresh(100), NOW);
    assert!(matches!(refused(longer.unwrap()), Reason::TooMuchTime { used: Duration::ZERO, .. }));
}

#[test]
fn a_change_may_take_longer_as_long_as_all_together_is_not_too_long() {
    let mut all = Federation::with(time(4));
    all.book("a", &one("r1", "b-2", 1));
    let trip = all.book("a", &request("r2", &[("b-1", hours(3, 5))]));
    all.commit_change("a", &trip.id, &request("r3", &[("b-1", hours(3, 6))]));
}

#[test]
fn a_change_under_way_counts_as_the_longer_of_both() {
    let mut all = Federation::with(time(4));
    let trip = all.book("a", &request("r1", &[("b-1", hours(1, 4))]));
    let shorter = request("r2", &[("b-1", hours(1, 2))]);
    let change = all.at("a").coordinator.begin_change(&trip.id, &shorter, NOW.utc, fresh(100), NOW).unwrap();
    let two = request("r3", &[("c-1", hours(5, 7))]);
    let Beginning::New { transaction, .. } = all.begin("a", &one("r4", "c-1", 9)) else {
        panic!("counted as both")
    };
    let _ = all.at("a").withdraw(&transaction, NOW);
    assert!(matches!(refused(all.begin("a", &two)), Reason::TooMuchTime { .. }), "it may be refused yet");
    committed(all.decide(change));
    all.settle("a");
    all.book("a", &two);
}

#[test]
fn where_a_limit_was_lowered_a_trip_can_still_be_changed_to_what_takes_no_more() {
    let mut all = Federation::with(VehicleLimits::default());
    let trip = all.book("a", &request("r1", &[("b-1", hours(1, 4))]));
    all.book("a", &one("r2", "c-1", 5));
    for name in ["a", "b", "c"] {
        let limits = VehicleLimits { trips_max: 1, time_max: HOUR };
        all.limit(limits);
        all.restart(name);
    }
    let as_long = request("r3", &[("b-1", hours(2, 5))]);
    let changed = all.commit_change("a", &trip.id, &as_long);
    all.settle("a");
    let longer = request("r4", &[("b-1", hours(2, 6))]);
    let longer = all.at("a").coordinator.begin_change(&changed.id, &longer, NOW.utc, fresh(100), NOW);
    assert!(matches!(refused(longer.unwrap()), Reason::TooMuchTime { .. }));
}

#[test]
fn asking_another_company_gets_a_car_no_more_of_the_same_one() {
    let mut all = Federation::with(trips(1));
    all.book("a", &one("r1", "b-1", 1));
    let beginning = all.begin("c", &one("r2", "b-1", 3));
    let refusal = aborted(all.decide(beginning));
    assert_eq!(refusal.reason, Reason::TooManyTrips { operator: operator("b"), max: 1, used: 1 });
    all.book("c", &one("r3", "c-1", 3));
}

#[test]
fn a_second_attempt_that_overtakes_the_abort_of_the_first_is_not_counted_beside_it() {
    let mut all = Federation::with(trips(1));
    let wish = one("r1", "b-1", 1);
    let Beginning::New { transaction, holds } = all.begin("a", &wish) else { panic!() };
    let _ = vote(prepare(all.at("b"), &holds[0].1, NOW));
    let _ = all.at("a").withdraw(&transaction, NOW);
    let again = all.begin("a", &wish);
    assert_eq!(aborted(all.decide(again)).reason, Reason::Held, "which passes");
}
