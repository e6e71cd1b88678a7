//! The targets, by who sends what they read.

mod cars;
mod config;
mod files;
mod messages;
mod mqtt;
pub mod properties;
pub mod replies;
pub mod requests;
pub mod stored;

use crate::Target;

/// All of them.
pub fn all() -> Vec<Target> {
    [
        messages::TARGETS,
        requests::TARGETS,
        replies::TARGETS,
        cars::TARGETS,
        mqtt::TARGETS,
        config::TARGETS,
        stored::TARGETS,
        files::TARGETS,
    ]
    .concat()
}

/// Those that are slow: they open a database, a connection or a whole node for each of their inputs.
pub fn is_slow(target: &Target) -> bool {
    let slow = [stored::TARGETS, files::TARGETS, requests::TARGETS, cars::TARGETS, mqtt::TARGETS];
    slow.concat().iter().any(|one| one.name == target.name)
}
