//! Gives inputs to a target until one is wrong.

use std::panic::{self, AssertUnwindSafe};

use fastrand::Rng;

use crate::corpus::Kept;
use crate::{Target, Verdict, mutate};

/// What a target did wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// The input.
    pub input: Vec<u8>,
}

/// How many inputs came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Read.
    pub accepted: u64,
    /// Refused.
    pub refused: u64,
}

/// A finding is reported with its input; the trace of a panic besides would hide it.
pub fn be_quiet_about_panics() {
    panic::set_hook(Box::new(|_| {}));
}

impl Target {
    /// Gives it one input; a panic is a finding.
    ///
    /// # Errors
    /// What is wrong.
    pub fn try_on(&self, input: &[u8]) -> Result<Verdict, Finding> {
        let said = panic::catch_unwind(AssertUnwindSafe(|| (self.read)(input)));
        let said = said.unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            Err(format!("panics: {}", text.unwrap_or("without a word")))
        });
        said.map_err(|what| Finding { what, input: input.to_vec() })
    }

    /// Gives it the input that a seed makes of the kept ones.
    ///
    /// # Errors
    /// What is wrong.
    pub fn try_seed(&self, kept: &[Kept], seed: u64) -> Result<Verdict, Finding> {
        let input = mutate::input(&mut Rng::with_seed(seed), kept, self.form);
        self.try_on(&input)
    }
}

impl Tally {
    /// One more.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Refused => self.refused += 1,
        }
    }

    /// All together.
    pub fn total(self) -> u64 {
        self.accepted + self.refused
    }
}
