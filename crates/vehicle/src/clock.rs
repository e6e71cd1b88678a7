//! Time: what the machine's clocks say, and the faster clock of the simulation.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{Now, Timestamp};

/// Reads the machine's wall clock. The program passes it in; nothing here reads one by itself.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A clock that shows the real time at its anchor and runs `speed` times as fast from there on. It follows the
/// monotonic clock, so that setting the machine's clock does not move a car that is on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedTime {
    anchor: Now,
    speed: f64,
}

impl SimulatedTime {
    /// A clock that shows the real time now. `speed` is greater than zero.
    pub fn anchored(now: Now, speed: f64) -> Self {
        Self { anchor: now, speed }
    }

    /// What this clock shows.
    pub fn at(&self, now: Now) -> Timestamp {
        self.anchor.utc + now.elapsed.saturating_sub(self.anchor.elapsed).mul_f64(self.speed)
    }

    /// When, on the monotonic clock, this clock shows `simulated` or has shown it.
    pub fn elapsed_at(&self, simulated: Timestamp) -> Duration {
        // A millisecond more, the resolution of a timestamp: who wakes up then finds that the time has come.
        let ahead = simulated.since(self.anchor.utc) + Duration::from_millis(1);
        self.anchor.elapsed + ahead.div_f64(self.speed)
    }

    /// How much simulated time passes in this much real time.
    pub fn simulated(&self, real: Duration) -> Duration {
        real.mul_f64(self.speed)
    }

    /// How far this clock is ahead of real time.
    pub fn ahead(&self, now: Now) -> Duration {
        self.at(now).since(now.utc)
    }
}

/// The first whole minute that is not before `instant`.
pub fn whole_minute(instant: Timestamp) -> Timestamp {
    const MINUTE_MS: i64 = 60_000;
    let beyond = instant.as_millis().rem_euclid(MINUTE_MS);
    if beyond == 0 { instant } else { Timestamp::from_millis(instant.as_millis() - beyond + MINUTE_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_runs_faster_and_back_to_real_time() {
        let now = |seconds: u64| Now {
            utc: Timestamp::from_millis(1_000_000) + Duration::from_secs(seconds),
            elapsed: Duration::from_secs(5 + seconds),
        };
        let clock = SimulatedTime::anchored(now(0), 60.0);
        assert_eq!(clock.at(now(0)), now(0).utc);
        assert_eq!(clock.at(now(10)), now(600).utc);
        assert_eq!(clock.ahead(now(10)), Duration::from_secs(590));
        let wake = clock.elapsed_at(now(600).utc);
        assert!(wake > Duration::from_secs(15) && wake < Duration::from_millis(15_001));
    }

    #[test]
    fn minutes_are_rounded_up() {
        let rounded = |millis| whole_minute(Timestamp::from_millis(millis)).as_millis();
        assert_eq!((rounded(0), rounded(1), rounded(60_000), rounded(60_001)), (0, 60_000, 60_000, 120_000));
    }
}
