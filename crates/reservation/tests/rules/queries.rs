//! What others may look up: for lists, figures and audits.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{EvseId, Plug, RequestKey, TimeWindow, Timestamp, TripRequest};

use crate::federation::{
    DECIDE_LIMIT, Federation, HOUR, NOW, begun, evse, hours, key, later, operator, request,
};

#[test]
fn what_a_company_holds_can_be_listed_and_counted() {
    let mut all = Federation::new();
    let trips = [1, 3, 5]
        .map(|hour| all.commit("a", &request(&format!("r{hour}"), &[("b-1", hours(hour, hour + 1))])));
    all.settle("a");
    let prepared = all.commit("a", &request("r7", &[("b-1", hours(7, 8))]));
    let participant = &all.at("b").participant;
    assert_eq!(participant.undecided(), (0, 1));
    let expected: Vec<_> = trips.iter().chain([&prepared]).map(|trip| &trip.transaction).collect();
    assert_eq!(participant.branches().map(|(transaction, _)| transaction).collect::<Vec<_>>(), expected);
    let after = participant.branches_from(Bound::Excluded(trips[1].transaction.clone()));
    assert_eq!(after.map(|(transaction, _)| transaction).collect::<Vec<_>>(), expected[2..]);
    let calendar = participant.calendar(&EvseId::new("b-1").unwrap()).unwrap();
    assert_eq!(calendar.overlapping(hours(0, 9)).count(), 4);
    assert_eq!(participant.calendar(&EvseId::new("b-2").unwrap()), None);
    // What is given back leaves nothing behind.
    let step = all.at("b").participant.abort(&operator("a"), &prepared.transaction, NOW);
    all.record("b", step.unwrap());
    for trip in trips {
        let _ = all.at("b").participant.release(&operator("a"), &trip.transaction).unwrap();
    }
    let participant = &all.at("b").participant;
    assert_eq!((participant.undecided(), participant.calendar(&EvseId::new("b-1").unwrap())), ((0, 0), None));
}

#[test]
fn soft_holds_are_counted_apart() {
    use recarga_reservation::{Firmness, Patience};
    let mut all = Federation::new();
    for (number, firmness) in [(1, Firmness::Soft), (3, Firmness::Soft), (5, Firmness::Prepared)] {
        let wish = request(&format!("r{number}"), &[("b-1", hours(number, number + 1))]);
        let (_, hold) = begun(all.begin("a", &wish), "b");
        let _ = all.at("b").hold(&operator("a"), &hold, firmness, HOUR, Patience::MustVote, NOW).unwrap();
    }
    assert_eq!(all.at("b").participant.undecided(), (2, 1));
}

#[test]
fn trips_can_be_found_listed_and_counted() {
    let mut all = Federation::new();
    let one = all.commit("a", &request("r1", &[("b-1", hours(1, 2))]));
    let other = all.commit("a", &request("r2", &[("c-1", hours(1, 2))]));
    let beginning = all.begin("a", &request("r3", &[("c-1", hours(5, 6))]));
    let (transaction, _) = begun(beginning, "c");
    let coordinator = &all.at("a").coordinator;
    assert_eq!(coordinator.trip_of(&key("r1")), Some(&one));
    assert_eq!(coordinator.trip_of(&key("r3")), None);
    assert_eq!(coordinator.waiting_for(&key("r3")), Some(&transaction));
    assert_eq!(coordinator.waiting_for(&key("r1")), None, "decided");
    assert_eq!(coordinator.trips().collect::<Vec<_>>(), [&one, &other]);
    let after = coordinator.trips_from(Bound::Excluded(one.transaction.clone()));
    assert_eq!(after.collect::<Vec<_>>(), [&other]);
    assert_eq!((coordinator.waiting_count(), coordinator.owing_count()), (1, 2));
    all.settle("a");
    let _ = all.at("a").decide(&transaction, later(DECIDE_LIMIT));
    let coordinator = &all.at("a").coordinator;
    assert_eq!((coordinator.waiting_count(), coordinator.owing_count()), (0, 0));
    let rest = format!("{coordinator:?}");
    assert!(!rest.contains("r3"), "what was not decided is forgotten: {rest}");
}

#[test]
fn a_cars_trips_are_its_own() {
    let mut all = Federation::new();
    let mut commit = |vehicle: &str, name: &str, window| {
        let stops = request(name, &[("b-1", window)]).stops().to_vec();
        let key = RequestKey { vehicle: vehicle.parse().unwrap(), request: name.parse().unwrap() };
        all.commit("a", &Arc::new(TripRequest::new(key, None, stops).unwrap()))
    };
    // Cars whose names are next to each other, and the least and the greatest request ids.
    commit("ca", "zzz", hours(1, 2));
    let least = commit("car", "0", hours(2, 3));
    let greatest = commit("car", "zzz", hours(3, 4));
    commit("car-", "0", hours(4, 5));
    all.settle("a");
    let changed = all.commit_change("a", &least.id, &request("r1", &[("b-1", hours(5, 6))]));
    let coordinator = &all.at("a").coordinator;
    let of = |vehicle: &str| {
        let vehicle = vehicle.parse().unwrap();
        coordinator.trips_of(&vehicle).map(|trip| trip.transaction.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(of("car"), [least.transaction, changed.transaction, greatest.transaction].into());
    assert_eq!(of("cart"), [].into());
}

#[test]
fn plugs_have_ocpis_names() {
    let wish = request("r1", &[("b-1", hours(1, 2))]);
    let with_plug = TripRequest::new(key("r1"), Some(Plug::CCS2), wish.stops().to_vec()).unwrap();
    assert_eq!((wish.plug(), with_plug.plug()), (None, Some(Plug::CCS2)));
    for plug in Plug::ALL {
        assert_eq!(Plug::from_name(plug.name()), Ok(plug));
        assert_eq!((plug.to_string(), format!("{plug:?}")), (plug.name().to_owned(), plug.name().to_owned()));
    }
    assert_eq!(Plug::CCS2.name(), "IEC_62196_T2_COMBO");
    let other = Plug::from_name("CHADEMO").unwrap();
    assert!(evse("b-1").fits(Plug::CCS2) && !evse("b-1").fits(other));
}

#[test]
fn free_windows_are_looked_for_a_day_around() {
    use recarga_reservation::Calendar;
    let mut all = Federation::new();
    let owner = all.commit("a", &request("r1", &[("b-1", hours(1, 2))])).transaction;
    let wanted = hours(1000, 1002);
    // Taken from long before until one day after: what is free then is just within reach, and nothing before it is.
    let mut calendar = Calendar::default();
    let (begin, end) = (Timestamp::from_millis(0), wanted.start() + HOUR * 26);
    calendar.take(TimeWindow::new(begin, end).unwrap(), owner.clone());
    let nearest = calendar.nearest_free(wanted, begin, 3);
    assert_eq!(nearest, [TimeWindow::new(end, end + HOUR * 2).unwrap()]);
    calendar.take(TimeWindow::new(end, end + Duration::from_millis(1)).unwrap(), owner);
    assert_eq!(calendar.nearest_free(wanted, begin, 3), []);
    assert!(!hours(2, 3).overlaps(hours(1, 2)) && !hours(1, 2).overlaps(hours(2, 3)));
}
