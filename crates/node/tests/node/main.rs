//! What a node promises, over real HTTP and MQTT, with the store, the clock and the peers in the test's hands.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod booking;
mod cars;
mod changing;
mod contention;
mod copies;
mod doubts;
mod durability;
mod holds;
mod journeys;
mod journeys_refused;
mod network;
mod roads;
mod serving;
mod vehicles;
mod versions;
