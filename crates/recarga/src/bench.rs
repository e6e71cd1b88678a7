//! `recarga bench`: how fast, and what it costs.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use tempfile::TempDir;

mod cars;
mod connection;
mod contention;
pub mod disk;
mod federation;
mod figures;
mod load;
mod plans;
mod report;
mod scale;
mod trips;

/// Measure on this machine.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Trips(trips::Arguments),
    Contention(contention::Arguments),
    Plans(plans::Arguments),
    Scale(scale::Arguments),
    Cars(cars::Arguments),
}

/// Measures.
///
/// # Errors
/// Something cannot be started or does not answer.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Trips(arguments) => trips::run(arguments),
        Command::Contention(arguments) => contention::run(&arguments),
        Command::Plans(arguments) => plans::run(&arguments),
        Command::Scale(arguments) => scale::run(&arguments),
        Command::Cars(arguments) => cars::run(&arguments),
    }
}

// In a folder of its own on the disk to measure, which is removed at the end.
fn folder(data: Option<&Path>) -> Result<TempDir> {
    let target = Path::new("target");
    let parent = match data {
        Some(folder) => folder.to_owned(),
        None if target.is_dir() => target.to_owned(),
        None => std::env::temp_dir(),
    };
    tempfile::Builder::new()
        .prefix("recarga-bench-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot make a folder in {}", parent.display()))
}
