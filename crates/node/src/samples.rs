//! How long something lately took: the last thousand durations, for quantiles that people look at.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many are kept.
const KEPT: usize = 1024;

/// The last durations.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    micros: Vec<u32>,
    next: usize,
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// How many there are.
    pub count: usize,
    /// Half of them took no longer; none if there are none.
    pub half: Option<Duration>,
    /// Of a hundred, 99 took no longer.
    pub nearly_all: Option<Duration>,
}

impl Samples {
    /// One more; the oldest one goes.
    pub fn add(&self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = ring.next;
        match ring.micros.get_mut(next) {
            Some(oldest) => *oldest = micros,
            None => ring.micros.push(micros),
        }
        ring.next = (next + 1) % KEPT;
    }

    /// The quantiles of what is kept.
    pub fn quantiles(&self) -> Quantiles {
        let mut micros = self.0.lock().unwrap_or_else(PoisonError::into_inner).micros.clone();
        micros.sort_unstable();
        let at = |share: usize| {
            let place = (micros.len() * share).div_ceil(100).saturating_sub(1);
            micros.get(place).map(|micros| Duration::from_micros((*micros).into()))
        };
        Quantiles { count: micros.len(), half: at(50), nearly_all: at(99) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_last_ones() {
        let samples = Samples::default();
        assert_eq!(samples.quantiles(), Quantiles { count: 0, half: None, nearly_all: None });
        samples.add(Duration::from_millis(7));
        assert_eq!(samples.quantiles().nearly_all, Some(Duration::from_millis(7)));
        (0..KEPT).for_each(|_| samples.add(Duration::from_secs(9)));
        (1..=100).for_each(|millis| samples.add(Duration::from_millis(millis)));
        let seen = samples.quantiles();
        assert_eq!((seen.count, seen.half), (KEPT, Some(Duration::from_secs(9))));
        let fresh = Samples::default();
        (1..=100).rev().for_each(|millis| fresh.add(Duration::from_millis(millis)));
        assert_eq!(fresh.quantiles().half, Some(Duration::from_millis(50)));
        assert_eq!(fresh.quantiles().nearly_all, Some(Duration::from_millis(99)));
    }
}
