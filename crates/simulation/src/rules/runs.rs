//! Many seeds on all cores, with progress on stderr.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::report::Counts;
use super::trace::Trace;
use super::world::World;

/// Seeds that a thread takes at a time.
const SHARE: u64 = 64;

/// A seed whose run broke something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
}

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Totals {
    pub seeds: u64,
    pub counts: Counts,
    /// The one with the smallest seed of those that were found.
    pub failure: Option<Failure>,
}

struct Shared {
    next: AtomicU64,
    done: AtomicU64,
    // No seed from this on need be run: a smaller one has failed.
    end: AtomicU64,
    totals: Mutex<Totals>,
}

/// Runs one seed; with `twice` two times, which must be the same to the last line of the trace.
pub fn run_seed(seed: u64, twice: bool) -> (Counts, Option<Failure>) {
    let trace = if twice { Trace::HASH } else { Trace::Off };
    let mut world = World::new(seed, None, trace);
    let mut what = world.run();
    if twice {
        let mut again = World::new(seed, None, trace);
        let second = again.run();
        if (&what, world.trace.hash(), &world.counts) != (&second, again.trace.hash(), &again.counts) {
            what.get_or_insert_with(|| "determinism: the second run of the seed differs".to_owned());
        }
    }
    (world.counts, what.map(|what| Failure { seed, what }))
}

/// Runs the seeds from `first` to before `end`; stops at a failure once no smaller seed can fail.
pub fn run_many(first: u64, end: u64, threads: usize, twice: bool, is_quiet: bool) -> Totals {
    let shared = Shared {
        next: AtomicU64::new(first),
        done: AtomicU64::new(0),
        end: AtomicU64::new(end),
        totals: Mutex::default(),
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| shared.work(twice))).collect();
        if !is_quiet {
            shared.tell_progress(end - first, || workers.iter().all(|worker| worker.is_finished()));
        }
    });
    shared.totals.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn work(&self, twice: bool) {
        let mut own = Totals::default();
        loop {
            let from = self.next.fetch_add(SHARE, Ordering::Relaxed);
            let end = self.end.load(Ordering::Relaxed);
            if from >= end {
                break;
            }
            for seed in from..end.min(from + SHARE) {
                let (counts, failure) = run_seed(seed, twice);
                own.counts.add(&counts);
                own.seeds += 1;
                self.done.fetch_add(1, Ordering::Relaxed);
                if let Some(failure) = failure {
                    self.end.fetch_min(seed, Ordering::Relaxed);
                    own.failure.get_or_insert(failure);
                    break;
                }
            }
        }
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).merge(own);
    }

    #[expect(clippy::disallowed_methods, reason = "people are told how long it takes in real time")]
    fn tell_progress(&self, all: u64, is_finished: impl Fn() -> bool) {
        let begun = Instant::now();
        let mut told = 0;
        while !is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            let passed = begun.elapsed();
            if passed.as_secs() <= told {
                continue;
            }
            told = passed.as_secs();
            let done = self.done.load(Ordering::Relaxed);
            let rate = u128::from(done) * 1000 / passed.as_millis().max(1);
            let left = u128::from(all.saturating_sub(done)) / rate.max(1);
            eprintln!("{done} of {all} seeds, {rate} seeds/s, about {left} s left");
        }
    }
}

impl Totals {
    fn merge(&mut self, other: Totals) {
        self.seeds += other.seeds;
        self.counts.add(&other.counts);
        let failures = [self.failure.take(), other.failure];
        self.failure = failures.into_iter().flatten().min_by_key(|failure| failure.seed);
    }
}
