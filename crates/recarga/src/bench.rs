//! `recarga bench`: how fast, and what it costs.

use std::process::ExitCode;

use anyhow::Result;

mod connection;
mod disk;
mod federation;
mod figures;
mod load;
mod report;
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
}

/// Measures.
///
/// # Errors
/// Something cannot be started or does not answer.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Command::Trips(arguments) = arguments.command;
    trips::run(arguments)
}
