//! Every interleaving of the shipped rules, in small federations: messages lost, repeated, reordered and late, timers
//! at any moment, any number of crashes anywhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod glue;
mod history;
mod invariants;
mod node;
mod plants;
mod scenario;
mod search;
mod world;

use scenario::{CRASHES, Faults, Network, Scenario, TripPlan};

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

// Each with every message remembered.

#[test]
fn one_trip() {
    let forget = Faults { forget: true, ..CRASHES };
    verify(Scenario::new("one trip", vec![everywhere(A, 0)], CRASHES));
    verify(Scenario::new("one trip, forgotten", vec![everywhere(A, 0)], forget));
    verify(Scenario::new("one trip, cancelled", vec![cancelled(everywhere(A, 0))], CRASHES));
    verify(Scenario::new("one trip, cancelled, forgotten", vec![cancelled(everywhere(A, 0))], forget));
}

#[test]
fn a_coordinator_without_a_stop() {
    let faults = Faults { forget: true, ..CRASHES };
    let trip = cancelled(trip(A, "r1", &[(B, 0), (C, 0)]));
    verify(Scenario::new("no own stop", vec![trip], faults));
}

#[test]
fn a_soft_hold_first() {
    let soft = TripPlan { soft: true, ..everywhere(A, 0) };
    verify(Scenario::new("soft hold", vec![soft.clone()], CRASHES));
    let soft = TripPlan { soft: true, ..cancelled(trip(A, "r1", &[(A, 0), (B, 0)])) };
    let forget = Faults { forget: true, ..CRASHES };
    verify(Scenario::new("soft hold, two companies, cancelled, forgotten", vec![soft], forget));
}

#[test]
fn a_repeated_request() {
    let trips = vec![trip(A, "r1", &[(A, 0), (B, 0)]), trip(A, "r1", &[(A, 0), (B, 0)])];
    verify(Scenario::new("repeated request", trips, CRASHES));
}

#[test]
fn a_changed_trip() {
    let change = |stops: &[(usize, i64)]| TripPlan { replaces: Some(0), ..cancelled(trip(A, "r2", stops)) };
    let here = vec![trip(A, "r1", &[(A, 0), (B, 0)]), change(&[(A, 0), (B, 1)])];
    verify(Scenario { settled: 1, ..Scenario::new("change, two companies", here, CRASHES) });
    // Some stops move, one is given up, every stop moves away from the coordinator.
    for stops in [&[(A, 0), (B, 1), (C, 0)][..], &[(A, 1), (B, 0)], &[(B, 1), (C, 1)]] {
        let scenario = pair("change", everywhere(A, 0), change(stops), CRASHES);
        verify(Scenario { settled: 1, ..scenario });
    }
}

#[test]
fn a_hold_given_up() {
    let faults = Faults { heuristic: true, ..CRASHES };
    verify(Scenario::new("heuristic release", vec![everywhere(A, 0)], faults));
    let trips = vec![trip(A, "r1", &[(A, 0), (B, 0)]), trip(B, "r2", &[(A, 0), (B, 0)])];
    verify(Scenario {
        network: Network::Entitled,
        ..Scenario::new("heuristic release, two trips", trips, faults)
    });
}

#[test]
fn a_lost_disk() {
    // Nothing is split; but what only the lost disk could tell stays in doubt until a person helps.
    let lost = |name, trip, wipe| {
        verify(Scenario { heals: false, ..Scenario::new(name, vec![trip], Faults { wipe, ..CRASHES }) });
    };
    lost("lost disk of the coordinator", everywhere(A, 0), [true, false, false]);
    let trip = trip(A, "r1", &[(A, 0), (B, 0)]);
    lost("lost disk of the only other company", trip, [false, true, false]);
    lost("lost disk of one of two other companies", everywhere(A, 0), [false, true, false]);
    lost("lost disk of one of two, cancelled", cancelled(everywhere(A, 0)), [false, true, false]);
}

#[test]
fn an_old_copy_put_back() {
    // As with a lost disk; and what the copy knows is told, so that it need not be asked of a person.
    let back = |name, trip, put_back| {
        verify(Scenario { heals: false, ..Scenario::new(name, vec![trip], Faults { put_back, ..CRASHES }) });
    };
    let two = || trip(A, "r1", &[(A, 0), (B, 0)]);
    back("copy of the coordinator's", everywhere(A, 0), [true, false, false]);
    back("copy of the coordinator's, cancelled", cancelled(two()), [true, false, false]);
    back("copy of another company's", everywhere(A, 0), [false, true, false]);
    back("copy of another company's, cancelled", cancelled(two()), [false, true, false]);
}

#[test]
fn two_coordinators_at_two_companies() {
    let trips = vec![trip(A, "r1", &[(A, 0), (B, 0)]), trip(B, "r2", &[(A, 0), (B, 0)])];
    verify(Scenario::new("two trips, two companies", trips, CRASHES));
}

// Two coordinators at three companies: too large for a memory of every message, so whatever the companies are entitled
// to say may arrive.

#[test]
fn whatever_is_reached_by_messages_sent_is_reached_by_messages_entitled() {
    let two = |key, coordinator| cancelled(trip(coordinator, key, &[(A, 0), (B, 0)]));
    for trips in [vec![cancelled(everywhere(A, 0))], vec![two("r1", A), two("r2", B)]] {
        let reach = |network| {
            search::reachable(Scenario { network, heals: false, ..Scenario::new("", trips.clone(), CRASHES) })
        };
        let (sent, entitled) = (reach(Network::Sent), reach(Network::Entitled));
        let missed = sent.difference(&entitled).count();
        println!("{} outlines by messages sent, {} by messages entitled", sent.len(), entitled.len());
        assert_eq!(missed, 0);
    }
}

#[test]
fn two_trips_compete_everywhere() {
    verify(pair("compete everywhere", everywhere(A, 0), everywhere(B, 0), CRASHES));
}

#[test]
fn two_trips_compete_at_one_company() {
    let other = trip(B, "r2", &[(A, 1), (B, 1), (C, 0)]);
    verify(pair("compete at c", everywhere(A, 0), other, CRASHES));
}

#[test]
fn two_trips_do_not_compete() {
    verify(pair("disjoint", everywhere(A, 0), everywhere(B, 1), CRASHES));
}

#[test]
fn two_trips_and_cancellation() {
    verify(pair(
        "compete, one cancelled",
        cancelled(everywhere(A, 0)),
        trip(B, "r2", &[(B, 0), (C, 0)]),
        CRASHES,
    ));
}

#[test]
fn two_soft_trips() {
    let soft = TripPlan { soft: true, ..trip(A, "r1", &[(A, 0), (B, 0)]) };
    let other = TripPlan { soft: true, ..trip(B, "r2", &[(A, 0), (B, 0)]) };
    verify(pair("compete softly", soft.clone(), other, CRASHES));
    verify(pair("compete softly with a firm one", soft, everywhere(B, 0), CRASHES));
}

#[test]
fn two_trips_without_own_stops() {
    let (one, other) = (trip(A, "r1", &[(B, 0), (C, 0)]), trip(B, "r2", &[(A, 0), (C, 0)]));
    verify(pair("no own stops", one, other, CRASHES));
}

#[test]
fn three_trips_in_a_circle() {
    let trips = vec![
        trip(A, "r1", &[(A, 0), (B, 0)]),
        trip(B, "r2", &[(B, 0), (C, 0)]),
        trip(C, "r3", &[(C, 0), (A, 0)]),
    ];
    let network = Network::Entitled;
    verify(Scenario { network, ..Scenario::new("three trips in a circle", trips, CRASHES) });
}

fn everywhere(coordinator: usize, slot: i64) -> TripPlan {
    TripPlan::everywhere(coordinator, slot)
}

fn trip(coordinator: usize, key: &'static str, stops: &[(usize, i64)]) -> TripPlan {
    TripPlan::new(coordinator, key, stops)
}

fn cancelled(trip: TripPlan) -> TripPlan {
    TripPlan { cancel: true, ..trip }
}

fn pair(name: &'static str, one: TripPlan, other: TripPlan, faults: Faults) -> Scenario {
    Scenario { network: Network::Entitled, ..Scenario::new(name, vec![one, other], faults) }
}

fn verify(scenario: Scenario) {
    let name = scenario.name;
    match search::explore(scenario) {
        Ok(report) => println!("{report}"),
        Err(violation) => panic!("{name}: {violation}"),
    }
}
