//! The rules one by one: every cell of the participant's table, random histories against a reference model, and what
//! a coordinator does with repeats, changes, cancellations and losses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod changes;
mod edges;
mod federation;
mod histories;
mod model;
mod participant;
mod past;
mod queries;
mod texts;
mod trips;
mod vehicles;
