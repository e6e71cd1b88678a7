//! How far something long is, on the standard error.

use std::time::Duration;

use tokio::time::Instant;

/// How often it is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Rows of which something is done.
pub struct Progress {
    what: &'static str,
    rows: usize,
    told: Instant,
}

impl Progress {
    /// Nothing yet; `what` as in "checked".
    pub fn new(what: &'static str) -> Self {
        Self { what, rows: 0, told: Instant::now() }
    }

    /// So many more.
    pub fn note(&mut self, rows: usize) {
        self.rows += rows;
        if self.told.elapsed() >= TELL_EVERY {
            eprintln!("recarga: {} rows {}", self.rows, self.what);
            self.told = Instant::now();
        }
    }
}
