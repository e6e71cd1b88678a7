//! Connections that came to nothing before their first request, told now and then: anybody can make as many as he likes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For so long nothing more is told of a cause.
const PAUSE: Duration = Duration::from_secs(60);
/// Causes that are told apart; part of what they say comes from whoever connects.
const CAUSES_MAX: usize = 64;

/// How often each cause has been since it was last told.
#[derive(Debug, Default)]
pub struct Unsecured {
    causes: Mutex<HashMap<String, Cause>>,
}

#[derive(Debug)]
struct Cause {
    told: Instant,
    since: u64,
}

impl Unsecured {
    /// Counts one more; if it is time to tell, how many there were since the last time, this one among them.
    pub fn count(&self, cause: &str, now: Instant) -> Option<u64> {
        let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
        let cause = if causes.len() < CAUSES_MAX || causes.contains_key(cause) { cause } else { "others" };
        match causes.get_mut(cause) {
            Some(known) if now.duration_since(known.told) < PAUSE => {
                known.since += 1;
                None
            }
            Some(known) => {
                let since = std::mem::take(&mut known.since);
                known.told = now;
                Some(since + 1)
            }
            None => {
                causes.insert(cause.to_owned(), Cause { told: now, since: 0 });
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once_a_minute_with_how_often_it_was() {
        let (unsecured, start) = (Unsecured::default(), Instant::now());
        let at = |seconds: u64, cause: &str| unsecured.count(cause, start + Duration::from_secs(seconds));
        assert_eq!(at(0, "old"), Some(1));
        assert_eq!((at(1, "old"), at(59, "old"), at(59, "other")), (None, None, Some(1)));
        assert_eq!((at(60, "old"), at(61, "old"), at(120, "old")), (Some(3), None, Some(2)));
        // Whoever thinks of ever new causes is told of as one.
        let told: u64 = (0..1000).filter_map(|number| at(130, &format!("cause {number}"))).sum();
        assert_eq!(told, CAUSES_MAX as u64 - 2 + 1);
        assert_eq!(at(190, "one more"), Some(1000 - (CAUSES_MAX as u64 - 2)));
    }
}
