//! The only place where the node reads a clock or draws at random, so that a simulator can put its own in place.

use std::time::Duration;

use recarga_reservation::{Now, Timestamp};

/// Time and chance.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// What the wall clock and the monotonic clock say.
    fn now(&self) -> Now;

    /// 128 random bits that nobody can guess.
    fn nonce(&self) -> u128;

    /// A duration drawn evenly from zero to `most`, to keep retries apart.
    fn jitter(&self, most: Duration) -> Duration {
        let fraction = u32::try_from(self.nonce() >> 96).unwrap_or(u32::MAX);
        most.mul_f64(f64::from(fraction) / f64::from(u32::MAX))
    }
}

/// The machine's clocks and its random source.
#[derive(Clone, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// Starts to measure monotonic time.
    #[expect(clippy::disallowed_methods, reason = "this is the edge where clocks are read")]
    pub fn new() -> Self {
        Self { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        #[expect(clippy::disallowed_methods, reason = "this is the edge where clocks are read")]
        let utc = std::time::SystemTime::now();
        let millis = match utc.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Now { utc: Timestamp::from_millis(millis), elapsed: self.started.elapsed() }
    }

    fn nonce(&self) -> u128 {
        let mut bits = [0; 16];
        // The operating system's random source is there from boot on; without it no id would be safe to hand out.
        #[expect(clippy::expect_used, reason = "no id is safe without the system's random source")]
        getrandom::fill(&mut bits).expect("the operating system's random source works");
        u128::from_ne_bytes(bits)
    }
}
