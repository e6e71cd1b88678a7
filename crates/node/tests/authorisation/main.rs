//! Who may do what: every caller, every operation, everybody's holds. Whatever is refused changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod cars;
mod holds;
mod operations;
