//! Time and chance of one simulated company.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use recarga_node::clock::Clock;
use recarga_reservation::{Now, Timestamp};
use tokio::time::Instant;

/// When every simulation begins: 2030-01-01T00:00:00Z.
pub const BEGINNING: Timestamp = Timestamp::from_millis(1_893_456_000_000);

/// How wrong a company's wall clock is, in milliseconds; it may be changed while the company runs.
pub type Skew = Arc<AtomicI64>;

/// The clock of one run of a process.
#[derive(Debug)]
pub struct SimulatedClock {
    skew: Skew,
    // The monotonic clock runs too fast by so many millionths.
    drift: u32,
    started: Instant,
    chance: Mutex<Rng>,
}

impl SimulatedClock {
    /// Starts to measure monotonic time, within a simulated host.
    pub fn new(skew: Skew, drift: u32, chance: Rng) -> Self {
        Self { skew, drift, started: Instant::now(), chance: Mutex::new(chance) }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Now {
        let since = turmoil::sim_elapsed().unwrap_or_default();
        let true_millis = BEGINNING.as_millis() + i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let elapsed = self.started.elapsed();
        Now {
            utc: Timestamp::from_millis(true_millis + self.skew.load(Ordering::Relaxed)),
            elapsed: elapsed + elapsed * self.drift / 1_000_000,
        }
    }

    fn nonce(&self) -> u128 {
        self.chance.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }
}

/// A duration drawn evenly.
pub fn between(rng: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.u64(least..=most))
}
