//! What the page in the browser reads and writes: who may, what it says, and what stays when the node goes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod reading;
mod service;
mod watching;
