//! Runs the federation in virtual time: see `recarga-simulation --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use recarga_simulation::{federation, rules};

/// The whole federation in virtual time, with faults, from one seed.
#[derive(Parser)]
#[command(version)]
struct Program {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Rules(rules::Arguments),
    Federation(federation::Arguments),
}

fn main() -> ExitCode {
    let sound = match Program::parse().what {
        What::Rules(arguments) => rules::run(&arguments),
        What::Federation(arguments) => federation::run(&arguments),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
