//! Durations as one writes them on a command line.

use std::time::Duration;

/// Reads a duration, as in `10s`, `40m`, `1h30m` or `PT40M`; never negative.
///
/// # Errors
/// How to write it.
pub fn read(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|one| Duration::try_from(one).ok());
    parsed.ok_or_else(|| format!("\"{text}\" is no duration; write one as in 10s, 40m or 1h30m"))
}
