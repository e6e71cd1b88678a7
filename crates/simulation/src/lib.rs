//! The whole federation in virtual time, with faults, from one seed.
//!
//! `rules` steps the pure rules by events, fast enough for millions of seeds; `federation` runs whole nodes, with
//! their real routes, clients, tasks and database, on simulated networks, clocks and disks.

pub mod federation;
pub mod rules;
