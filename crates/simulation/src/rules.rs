//! The rules of reservation in an event loop: many companies, many trips, every fault, against a plain model.
//!
//! One seed is one whole run. It draws companies, EVSEs and trips that compete for the same windows, and which faults
//! happen; it steps the shipped [`recarga_reservation::Company`] of each company in virtual time, with glue that
//! behaves as the node's; and it ends with everything healed, when nothing may be in doubt, owed or leaked.

mod canary;
mod check;
mod coordinator;
mod delivery;
mod driver;
mod faults;
mod message;
mod model;
mod network;
mod node;
mod participant;
mod queue;
mod report;
mod runs;
mod settings;
mod termination;
mod trace;
mod world;

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Instant;

use clap::Args;

use self::runs::{Totals, run_many};
use self::trace::Trace;
use self::world::World;

/// How much to simulate.
#[derive(Args, Debug)]
pub struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 1000)]
    pub seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    pub from: u64,
    /// Run this one only
    #[arg(long, conflicts_with_all = ["seeds", "from", "canaries"])]
    pub seed: Option<u64>,
    /// Print what happens in it
    #[arg(long, requires = "seed")]
    pub trace: bool,
    /// How many at the same time [default: as many as there are cores]
    #[arg(long)]
    pub threads: Option<NonZero<usize>>,
    /// Run each seed twice and compare the traces
    #[arg(long)]
    pub twice: bool,
    /// Break one rule after the other and see that each is noticed
    #[arg(long)]
    pub canaries: bool,
}

/// Runs the seeds; false if any broke an invariant.
pub fn run(arguments: &Arguments) -> bool {
    if arguments.canaries {
        return canary::try_all();
    }
    if let (Some(seed), true) = (arguments.seed, arguments.trace) {
        let violation = World::new(seed, None, Trace::PRINT).run();
        println!("seed {seed}: {}", violation.as_deref().unwrap_or("all is well"));
        return violation.is_none();
    }
    run_and_report(arguments)
}

#[expect(clippy::disallowed_methods, reason = "people are told how long it took in real time")]
fn run_and_report(arguments: &Arguments) -> bool {
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds),
    };
    let cores = available_parallelism().map_or(1, NonZero::get);
    let threads = arguments.threads.map_or(cores, NonZero::get);
    let begun = Instant::now();
    let totals = run_many(first, first.saturating_add(count), threads, arguments.twice, false);
    let took = begun.elapsed();
    for (name, count) in totals.counts.named() {
        println!("{count:>14}  {name}");
    }
    let rate = u128::from(totals.seeds) * 1000 / took.as_millis().max(1);
    println!("{} seeds in {:.1} s: {rate} seeds/s", totals.seeds, took.as_secs_f64());
    let Totals { failure, .. } = totals;
    match &failure {
        None => println!("no invariant was broken"),
        Some(failure) => {
            println!("seed {}: {}", failure.seed, failure.what);
            println!("replay: recarga-simulation rules --seed {} --trace", failure.seed);
        }
    }
    failure.is_none()
}

#[cfg(test)]
mod tests {
    use super::runs::run_seed;
    use super::*;

    #[test]
    fn no_seed_breaks_an_invariant_and_everything_happens_in_some() {
        let threads = available_parallelism().map_or(1, NonZero::get);
        let totals = run_many(0, 4_000, threads, false, true);
        if let Some(failure) = totals.failure {
            panic!("{}; replay: recarga-simulation rules --seed {} --trace", failure.what, failure.seed);
        }
        let never: Vec<_> = totals.counts.named().into_iter().filter(|(_, count)| *count == 0).collect();
        assert!(never.is_empty(), "never in 4000 seeds: {never:?}");
    }

    #[test]
    fn every_canary_is_noticed() {
        for canary in canary::ALL {
            let found = canary::find(canary);
            assert!(found.is_some(), "{canary:?} is not noticed within {} seeds", canary::SEEDS_MAX);
        }
    }

    #[test]
    fn a_seed_is_the_same_run_each_time_and_another_seed_is_another() {
        for seed in 0..200 {
            assert_eq!(run_seed(seed, true).1, None);
        }
        let hash = |seed| {
            let mut world = World::new(seed, None, Trace::HASH);
            assert_eq!(world.run(), None);
            world.trace.hash()
        };
        assert_ne!(hash(1), hash(2));
    }
}
