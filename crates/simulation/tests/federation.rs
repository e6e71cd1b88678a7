//! A few seeds on every test run; thousands are run by `make test` and more by `make torture`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use recarga_simulation::federation::canary::Canary;
use recarga_simulation::federation::settings::Settings;
use recarga_simulation::federation::simulation::simulate;
use recarga_simulation::federation::tally::Tally;

#[test]
fn no_trip_is_split_whatever_goes_wrong() {
    let mut sum = Tally::default();
    for companies in [3, 5, 10] {
        for seed in 0..8 {
            let report = simulate(Settings::of(seed, companies), None, false);
            assert_eq!(report.violation, None, "{companies} companies, seed {seed}");
            sum += report.tally;
        }
    }
    // A simulation in which nothing happens proves nothing.
    println!("{sum}");
    let happened = [
        sum.confirmed,
        sum.refused,
        sum.cancelled,
        sum.changed,
        sum.kills,
        sum.power_cuts,
        sum.refused_syncs,
        sum.partitions,
        sum.held_links,
        sum.slow_links,
        sum.clock_jumps,
    ];
    assert!(happened.iter().all(|count| *count > 3), "{sum}");
}

#[test]
fn a_seed_is_the_same_simulation_every_time() {
    for seed in 0..5 {
        let run = || simulate(Settings::of(seed, 5), None, false).fingerprint;
        assert_eq!(run(), run(), "seed {seed}");
    }
    let other = |seed| simulate(Settings::of(seed, 5), None, false).fingerprint;
    assert_ne!(other(0), other(1));
}

#[test]
fn a_broken_record_is_noticed() {
    // The others need more seeds: see `recarga-simulation federation --canaries`.
    for canary in [Canary::CommitForgotten, Canary::PreparedForgotten, Canary::ReleasedForgotten] {
        let noticed =
            (0..20).any(|seed| simulate(Settings::of(seed, 5), Some(canary), false).violation.is_some());
        assert!(noticed, "{canary:?}");
    }
}
