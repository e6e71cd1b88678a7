//! Rules broken on purpose, one at a time: each must be found by the same exploration that finds nothing in the
//! shipped rules. What is broken is how the glue obeys them; the shipped code carries no switches.

use crate::scenario::{CRASHES, Faults, Scenario, TripPlan};
use crate::search::{Violation, explore};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A prepared hold is released when its time limit passes.
    PreparedExpires,
    /// Commit is told before its record is durable.
    CommitToldEarly,
    /// The sweep sends what is owed before the record is durable.
    SweepSpeaksEarly,
    /// Yes is told before it is durable.
    YesToldEarly,
    /// A confirmation is acknowledged before it is durable.
    AcknowledgedEarly,
    /// The first acknowledgement settles the trip.
    FirstAcknowledgementSettles,
    /// An inquiry that arrives while votes are awaited is answered with abort.
    PendingMeansAbort,
    /// An inquiry is answered with abort, and no tombstone is left.
    NoTombstone,
    /// An inquiry is answered with abort before the tombstone is durable.
    TombstoneToldEarly,
    /// A late request to hold is granted in spite of a tombstone.
    TombstoneIgnored,
    /// A tombstone is forgotten although the coordinator was not asked.
    TombstoneForgottenUnasked,
    /// An abort is honoured by a company that has confirmed.
    AbortAfterConfirm,
    /// Silence until the time limit is counted as yes.
    SilenceCounted,
    /// A yes to a soft hold is counted as a vote.
    SoftHoldCounted,
    /// A restart keeps the epoch, so transaction ids come again.
    EpochReused,
    /// "No such store here" is read as abort.
    MissingStoreMeansAbort,
    /// A participant that lost its disk is believed that it never voted.
    AnotherStoresAbortBelieved,
    /// A participant that lost its disk grants a hold that was meant for the lost one.
    AnotherStoresHoldGranted,
    /// A copy of the coordinator's disk that is put back keeps the identity of the lost one.
    CopyKeepsItsStore,
    /// The coordinator's own branch is not in its commit record.
    OwnBranchNotRecorded,
    /// Told to confirm what it does not know, a company answers with success.
    UnknownConfirmed,
    /// A cancellation is sent as an abort of the old transaction.
    CancelledByAbort,
    /// A yes that arrives again after the commit is answered with abort.
    RepeatedYesAborted,
    /// What a process finds after a restart is trusted although it is not durable yet.
    RestartTrustsUnflushed,
    /// A heuristic release is told to others as the outcome.
    HeuristicTold,
    /// "Released heuristically" is counted as an acknowledgement.
    LossTakenForSuccess,
}

/// Every broken rule and the invariant that it breaks in the end.
const PLANTS: [(Plant, &str); 26] = [
    (Plant::PreparedExpires, "1:"),
    (Plant::CommitToldEarly, "1:"),
    (Plant::SweepSpeaksEarly, "1:"),
    (Plant::YesToldEarly, "3:"),
    (Plant::AcknowledgedEarly, "4:"),
    (Plant::FirstAcknowledgementSettles, "4:"),
    (Plant::PendingMeansAbort, "1:"),
    (Plant::NoTombstone, "5:"),
    (Plant::TombstoneToldEarly, "5:"),
    (Plant::TombstoneIgnored, "5:"),
    (Plant::TombstoneForgottenUnasked, "5:"),
    (Plant::AbortAfterConfirm, "1:"),
    (Plant::SilenceCounted, "3:"),
    (Plant::SoftHoldCounted, "3:"),
    (Plant::EpochReused, "1:"),
    (Plant::MissingStoreMeansAbort, "1:"),
    (Plant::AnotherStoresAbortBelieved, "1:"),
    (Plant::AnotherStoresHoldGranted, "5:"),
    (Plant::CopyKeepsItsStore, "1:"),
    (Plant::OwnBranchNotRecorded, "3:"),
    (Plant::UnknownConfirmed, "4:"),
    (Plant::CancelledByAbort, "1:"),
    (Plant::RepeatedYesAborted, "1:"),
    (Plant::RestartTrustsUnflushed, "3:"),
    (Plant::HeuristicTold, "5:"),
    (Plant::LossTakenForSuccess, "healing:"),
];

#[test]
fn every_broken_rule_is_found() {
    for (plant, invariant) in PLANTS {
        let at_once = find(Scenario { plant: Some(plant), ..scenario(plant) });
        let only_consequences = true;
        let in_the_end = find(Scenario { plant: Some(plant), only_consequences, ..scenario(plant) });
        println!("{plant:?}: {} steps to: {}", at_once.trace.len(), at_once.what);
        println!("{} steps to: {in_the_end}", in_the_end.trace.len());
        assert!(in_the_end.what.starts_with(invariant), "{plant:?}: {in_the_end}");
    }
}

fn find(scenario: Scenario) -> Violation {
    let plant = scenario.plant;
    match explore(scenario) {
        Err(violation) => violation,
        Ok(report) => panic!("{plant:?} is not found: {report}"),
    }
}

/// The smallest federation in which the broken rule matters.
fn scenario(plant: Plant) -> Scenario {
    let one = TripPlan::everywhere(0, 0);
    let forget = Faults { forget: true, ..CRASHES };
    let (trips, faults) = match plant {
        Plant::AbortAfterConfirm | Plant::TombstoneForgottenUnasked => (vec![one], forget),
        Plant::SoftHoldCounted => (vec![TripPlan { soft: true, ..one }], CRASHES),
        Plant::CancelledByAbort => (vec![TripPlan { cancel: true, ..one }], CRASHES),
        Plant::EpochReused => (vec![one, TripPlan::new(0, "r2", &[(0, 1), (1, 1), (2, 1)])], CRASHES),
        Plant::MissingStoreMeansAbort => (vec![one], Faults { wipe: [true, false, false], ..CRASHES }),
        Plant::CopyKeepsItsStore => (vec![one], Faults { put_back: [true, false, false], ..CRASHES }),
        Plant::AnotherStoresAbortBelieved | Plant::AnotherStoresHoldGranted => {
            (vec![one], Faults { wipe: [false, true, false], ..CRASHES })
        }
        Plant::UnknownConfirmed => {
            let two = TripPlan::new(0, "r1", &[(0, 0), (1, 0)]);
            (vec![two], Faults { wipe: [false, true, false], ..CRASHES })
        }
        Plant::HeuristicTold | Plant::LossTakenForSuccess => {
            (vec![one], Faults { heuristic: true, ..CRASHES })
        }
        _ => (vec![one], CRASHES),
    };
    // So that a trace goes all the way, nothing is foretold by healing; but a loss shows only there.
    let heals = plant == Plant::LossTakenForSuccess;
    Scenario { heals, ..Scenario::new("a broken rule", trips, faults) }
}
