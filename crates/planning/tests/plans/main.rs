//! Plans against what is known to be best, against a validator that replays them, and against common sense.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should stop")]

mod instances;
mod oracle;
mod validator;

mod exactness;
mod obstacles;
mod wishes;
