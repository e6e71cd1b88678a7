//! Books trips over four PostgreSQL clusters, as one does who trusts the database with everything: see `--help`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

mod figures;
mod trips;

/// Book trips with one stop at each of three companies by PostgreSQL's two-phase commit.
///
/// Each company is a cluster with a GiST exclusion constraint on (EVSE, window); the coordinator is a fourth one with a row for
/// each decision. A trip is `BEGIN; INSERT; PREPARE TRANSACTION` at all companies at once, the decision's row, the answer to the driver, and `COMMIT
/// PREPARED` at all companies while the client books its next trip. Every client has a connection of its own to each cluster.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The companies' clusters, as connection strings or URLs.
    #[arg(long = "company", required = true)]
    companies: Vec<String>,
    /// The coordinator's cluster.
    #[arg(long)]
    coordinator: String,
    /// How many clients book at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    clients: u16,
    /// How long to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The postmasters, for the processor time of them and all of their processes.
    #[arg(long, value_delimiter = ',', num_args = 1)]
    process: Vec<u32>,
    /// Make the tables, and do nothing else.
    #[arg(long)]
    prepare: bool,
    /// Say how many windows are reserved, and do nothing else.
    #[arg(long)]
    count: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    // One thread: the clients are to leave the databases as much of the machine as they can.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let databases = trips::Databases { companies: &arguments.companies, coordinator: &arguments.coordinator };
    if arguments.prepare {
        databases.make_tables().await?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.count {
        println!("{}", databases.count().await?);
        return Ok(ExitCode::SUCCESS);
    }
    let level =
        trips::measure(&databases, arguments.clients.into(), arguments.seconds, &arguments.process).await?;
    println!("{}", serde_json::to_string_pretty(&level)?);
    Ok(if level.failed == 0 && level.trips > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
