//! Log lines go to the standard error, so that the standard output stays for what a command prints.

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

/// How log lines look.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Starts logging.
///
/// # Errors
/// The filter cannot be understood.
pub fn start(filter: &str, format: Format) -> Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("--log: \"{filter}\" is no filter"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Text => registry.with(lines.with_target(false)).init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).init(),
    }
    Ok(())
}
