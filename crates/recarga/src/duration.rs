//! Durations as one writes them on a command line.

use std::time::Duration;

/// Longer than anyone waits, and short enough to be added to any instant: a hundred years.
const MOST: Duration = Duration::from_secs(100 * 8766 * 3600);

/// Reads a duration, as in `10s`, `40m`, `1h30m` or `PT40M`; never negative, and of a hundred years at most.
///
/// # Errors
/// How to write it.
pub fn read(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok().and_then(|one| Duration::try_from(one).ok());
    parsed
        .filter(|duration| *duration <= MOST)
        .ok_or_else(|| format!("\"{text}\" is no duration; write one as in 10s, 40m or 1h30m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("10s", 10), ("40m", 2400), ("1h30m", 5400), ("PT40M", 2400), ("0s", 0)] {
            assert_eq!(read(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    // Whoever waits adds it to what a clock says, which ends the program if the sum is no instant.
    #[test]
    fn what_is_longer_than_any_wait_is_refused_like_what_is_none() {
        for bad in ["", "soon", "-40m", "10", "9223372036854775807s", "PT876601H", "NaNs", "1h\u{0}"] {
            assert!(read(bad).is_err_and(|reason| reason.contains("no duration")), "{bad}");
        }
        let mut chance = fastrand::Rng::with_seed(7);
        for _ in 0..50_000 {
            let mut text: Vec<char> = "1h30m12.5sPT40M9999999999999999999-µns ".chars().collect();
            chance.shuffle(&mut text);
            let text: String = text.into_iter().take(chance.usize(..24)).collect();
            if let Ok(duration) = read(&text) {
                let sum = tokio::time::Instant::now().checked_add(duration);
                assert!(sum.is_some(), "{text}: {duration:?}");
            }
        }
    }
}
