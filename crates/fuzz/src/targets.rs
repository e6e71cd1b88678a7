//! The targets, by who sends what they read.

mod cars;
mod config;
mod messages;
pub mod properties;
mod replies;
pub mod requests;
pub mod stored;

use crate::Target;

/// All of them.
pub fn all() -> Vec<Target> {
    [messages::TARGETS, requests::TARGETS, replies::TARGETS, cars::TARGETS, config::TARGETS, stored::TARGETS]
        .concat()
}

/// Those that open a database, for each of their inputs.
pub fn is_stored(target: &Target) -> bool {
    stored::TARGETS.iter().any(|one| one.name == target.name)
}
