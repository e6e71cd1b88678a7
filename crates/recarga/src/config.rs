//! `recarga config`: looks at a configuration without starting anything.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use recarga_node::config::Config;

/// Look at a company's configuration.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is wrong with configurations, and what an operator should know.
    #[command(after_help = "\
Examples:
  recarga config check empresa-a.toml
  recarga config check networks/demo/*.toml

Exit status: 0 every file can be used, 1 some cannot.")]
    Check {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// Checks every file.
///
/// # Errors
/// None: what is wrong is printed.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Command::Check { files } = arguments.command;
    let mut all_well = true;
    for file in files {
        match Config::read(&file) {
            Ok(config) => {
                let evses: usize = config.stations.iter().map(|station| station.evses.len()).sum();
                let (stations, peers) = (config.stations.len(), config.peers.len());
                say!(
                    "{}: {} ({}), {stations} locations, {evses} EVSEs, {peers} other companies, listens on {}",
                    file.display(),
                    config.operator,
                    config.name,
                    config.listen
                );
                for warning in config.warnings() {
                    say!("  warning: {warning}");
                }
            }
            Err(error) => {
                all_well = false;
                eprintln!("{error}");
            }
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
