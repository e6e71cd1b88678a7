//! The whole federation in virtual time, with faults, from one seed.
//!
//! The nodes are the real ones: their routes, their HTTP client, their tasks, their database. What is simulated is what
//! a node is given: time and chance ([`clock`]), the network ([`network`]) and the disk ([`disk`]). One seed says everything
//! that happens, so a failure can be walked through again and again.

pub mod canary;
pub mod clock;
pub mod company;
pub mod disk;
pub mod driver;
pub mod faults;
pub mod history;
pub mod monitor;
pub mod network;
pub mod run;
pub mod settings;
pub mod tally;
pub mod verdict;
