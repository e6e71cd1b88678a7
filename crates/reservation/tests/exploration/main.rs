//! Every interleaving of the shipped rules, in small federations: messages lost, repeated, reordered and late, timers
//! at any moment, crashes anywhere.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod glue;
mod history;
mod invariants;
mod node;
mod plants;
mod scenario;
mod search;
mod world;

use scenario::{Faults, Scenario, TripPlan};

fn trip(coordinator: usize, key: &'static str, stops: &[(usize, i64)]) -> TripPlan {
    TripPlan { coordinator, key, stops: stops.to_vec(), soft: false, replaces: None }
}

fn verify(scenario: Scenario) {
    match search::explore(scenario) {
        Ok(report) => println!("{report}"),
        Err(violation) => panic!("{violation}"),
    }
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;


#[test]
fn one() {
    let crashes = Faults { crashes: [true; 3], ..Faults::default() };
    verify(Scenario::new("one trip", vec![trip(A, "r1", &[(A, 0), (B, 0), (C, 0)])], crashes));
    let mut s=Scenario::new("one trip, entitled", vec![trip(A, "r1", &[(A, 0), (B, 0), (C, 0)])], crashes);
    s.network = scenario::Network::Entitled;
    verify(s);
}
#[test]
fn compete() {
    let crashes = Faults { crashes: [true; 3], ..Faults::default() };
    let mut s = Scenario::new("compete", vec![trip(A, "r1", &[(A, 0), (B, 0), (C, 0)]),trip(B, "r2", &[(A, 0), (B, 0), (C, 0)])], crashes);
    s.network = scenario::Network::Entitled;
    verify(s);
}
