//! `recarga history`: past reservations and trips that have left the database.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use recarga_node::archive::{Archive, Passed};
use recarga_reservation::Timestamp;

/// Print what a company has archived: past reservations and trips, as JSON lines.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga history --data data/empresa-a
  recarga history --data data/empresa-a --since 2026-01-01 --until 2026-02-01 | jq -r .row.hold.vehicle

Each line has `ended` (milliseconds since 1970, UTC), `table` (branches: what this company held; trips: what it coordinated),
`key` (the transaction) and `row`, as it stood in the database. The node may run meanwhile. What ended within
limits.history_days is still in the database: GET /viagens and GET /auditoria have it.

Exit status: 0 printed, 1 the archive cannot be read, 2 wrong arguments.")]
pub struct Arguments {
    /// The company's data folder.
    #[arg(long, value_name = "FOLDER")]
    data: PathBuf,

    /// Only what ended on this day or later, UTC.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = midnight)]
    since: Option<Timestamp>,

    /// Only what ended before this day, UTC.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = midnight)]
    until: Option<Timestamp>,
}

/// Prints.
///
/// # Errors
/// There is no such folder, or a file cannot be read.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let data = &arguments.data;
    std::fs::metadata(data)
        .with_context(|| format!("cannot read {}; is it the data folder?", data.display()))?;
    let since = arguments.since.unwrap_or(Timestamp::from_millis(i64::MIN));
    let until = arguments.until.unwrap_or(Timestamp::from_millis(i64::MAX));
    let Passed { repeated: _, broken } = Archive::new(data).read(since, until, |line| say!("{line}"))?;
    if broken > 0 {
        eprintln!(
            "recarga: lines that are no whole JSON, cut short by a crash and written again, or damaged: {broken}"
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn midnight(text: &str) -> Result<Timestamp, String> {
    let day: Date = text.parse().map_err(|_| format!("\"{text}\" is no day; write one as 2026-01-31"))?;
    let start = day.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(Timestamp::from_millis(start.timestamp().as_millisecond()))
}
