//! The one program: a company's node, the demo federation, simulated cars, and tools to book, audit and measure.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Prints a line to the standard output. Whoever reads it may have gone (`| head -1`), which is no reason to panic.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// As `say!`, without ending the line.
macro_rules! say_on {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = write!(std::io::stdout(), $($text)*);
    }};
}

/// The system's own allocator gives memory back to the system and asks for it again, over and over, while many threads pass
/// on what others have allocated: a seventh of a node's time under load (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod audit;
mod backup;
mod bench;
mod broker;
mod certs;
mod client;
mod company;
mod config;
mod demo;
mod doctor;
mod duration;
mod federation;
mod files;
mod health;
mod history;
mod in_doubt;
mod logging;
mod picture;
mod plan;
mod progress;
mod replicas;
mod restore;
mod serve;
mod traces;
mod trip;
mod vehicles;

/// Reserve all charging stops of an electric-car trip, at several companies, or none.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// What to log to the standard error, as in `info` or `recarga_node=debug`; by default what each command needs.
    #[arg(long, global = true, env = "RECARGA_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// Certificates of the authorities of nodes at https:// and brokers at mqtts://, PEM.
    #[arg(long, global = true, env = "RECARGA_CA", value_name = "FILE")]
    ca: Option<std::path::PathBuf>,

    /// How log lines look.
    #[arg(long, global = true, env = "RECARGA_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: logging::Format,
}

const EXAMPLES: &str = "\
Examples:
  recarga demo                                     three companies, a broker and cars on this machine
  recarga serve --config empresa-a.toml            one company's node
  recarga broker networks/demo/*.toml              the demo's MQTT broker alone
  recarga vehicles --company http://127.0.0.1:8001  simulated cars against any broker
  recarga plan --from Recife --to Salvador --car byd-dolphin-plus --battery 80%
                                                   where to charge on the way, from what is free
  recarga trip book --vehicle carro-1 --stop empresa-a/A-REC-01-1@+2h/40m
                                                   books a trip from a terminal
  recarga audit data/empresa-a data/empresa-b data/empresa-c
                                                   proves that every trip is all or nothing
  recarga history --data data/empresa-a --since 2026-01-01
                                                   past reservations and trips that have left the database
  recarga backup --config empresa-a.toml --to empresa-a.copy
                                                   a copy of a running node's record
  recarga in-doubt list --config empresa-a.toml    what waits for an outcome, and what the others say
  recarga bench trips                              durable trips a second on this machine
  recarga config check empresa-a.toml              what is wrong with a configuration, before starting it
  recarga federation add empresa-d --url http://10.0.0.4:8001 --key 6d5b...
                                                   who belongs to a federation, while its companies run
  recarga certs issue empresa-a --host 10.0.0.1    a certificate for TLS: a company's, a broker's, a car's
  recarga doctor --config empresa-a.toml           what is wrong with a running node, and what to do
  recarga health --url http://127.0.0.1:8001       exit status 0 if the node takes requests";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Serve(serve::Arguments),
    Broker(broker::Arguments),
    Config(config::Arguments),
    Federation(federation::Arguments),
    Certs(certs::Arguments),
    Doctor(doctor::Arguments),
    Health(health::Arguments),
    Vehicles(vehicles::Arguments),
    Plan(plan::Arguments),
    Trip(trip::Arguments),
    Audit(audit::Arguments),
    History(history::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    InDoubt(in_doubt::Arguments),
    Bench(bench::Arguments),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  recarga completions bash > /etc/bash_completion.d/recarga")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    client::trust(arguments.ca.as_deref());
    let default_log = match arguments.command {
        Command::Serve(_) => "info,mqtt5=warn,rumqttc=warn",
        _ => "warn,mqtt5=error,rumqttc=error",
    };
    if let Err(error) = logging::start(arguments.log.as_deref().unwrap_or(default_log), arguments.log_format)
    {
        eprintln!("recarga: {error:#}");
        return ExitCode::from(2);
    }
    let done = match arguments.command {
        Command::Demo(arguments) => demo::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
        Command::Broker(arguments) => broker::run(arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Certs(arguments) => certs::run(arguments),
        Command::Federation(arguments) => federation::run(arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Vehicles(arguments) => vehicles::run(arguments),
        Command::Plan(arguments) => plan::run(arguments),
        Command::Trip(arguments) => trip::run(arguments),
        Command::Audit(arguments) => audit::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
        Command::InDoubt(arguments) => in_doubt::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "recarga", &mut script);
            say_on!("{}", String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("recarga: {error:#}");
        ExitCode::FAILURE
    })
}

/// The runtime that every command but the simplest runs on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

#[cfg(test)]
mod tests;
