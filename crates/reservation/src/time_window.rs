//! Instants and half-open windows between them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use thiserror::Error;

/// An instant in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How much later this is than `earlier`; zero if it is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_millis)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, duration: Duration) -> Timestamp {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, duration: Duration) -> Timestamp {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// What the clocks say at the moment of a transition. Limits are measured on the node's own monotonic clock and
/// never on a clock shared with others; only what people agreed on (windows, grace) is measured in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock.
    pub utc: Timestamp,
    /// Monotonic clock, since the process started.
    pub elapsed: Duration,
}

/// A window that is no window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a time window ends after it starts")]
pub struct EmptyWindow;

/// The half-open interval `[start, end)`; never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeWindow {
    start: Timestamp,
    end: Timestamp,
}

impl TimeWindow {
    /// The window `[start, end)`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, EmptyWindow> {
        if start < end { Ok(Self { start, end }) } else { Err(EmptyWindow) }
    }

    /// First instant inside.
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// First instant after.
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Length.
    pub fn duration(self) -> Duration {
        self.end.since(self.start)
    }

    /// Whether the two share an instant. Windows that only touch do not.
    pub fn overlaps(self, other: TimeWindow) -> bool {
        self.start < other.end && other.start < self.end
    }
}

impl fmt::Debug for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start.0, self.end.0)
    }
}
