//! `recarga audit`: proves from everything that companies remember that every trip is all or nothing and that no EVSE
//! is booked twice.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::config::Config;

use crate::client::Client;

mod finding;
mod log;
mod report;
mod sources;
mod verdict;

pub use finding::Class;
pub use report::{conclusion, print};
pub use sources::{Looks, read_folder, read_node};
pub use verdict::{Memory, Verdict};

/// Exit status while companies still owe each other words.
const EXIT_UNSETTLED: u8 = 3;

/// Prove that every trip is all or nothing and that no EVSE is booked twice.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga audit data/empresa-a data/empresa-b data/empresa-c       stopped nodes, by their data folders
  recarga audit --config empresa-a.toml --config empresa-b.toml --config empresa-c.toml
  recarga audit --url http://127.0.0.1:8001 --token demo-operator-a --url http://127.0.0.1:8002 --token demo-operator-b
  recarga audit log --verify audit-log                             one company's log: nothing was changed or left out

Companies that trips name and that are not examined are listed; what only they know is not judged. Nodes that run are
asked again for --settle, until no trip is under way and nothing is owed.

Exit status: 0 the audit holds, 1 it does not, 2 wrong arguments, 3 nothing is wrong but something is unsettled.")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    /// Data folders of stopped nodes.
    #[arg(value_name = "FOLDER", required_unless_present_any = ["url", "config"])]
    folders: Vec<PathBuf>,

    /// Nodes that run; each needs its --token.
    #[arg(long)]
    url: Vec<String>,

    /// The operators' tokens, in the order of --url; one alone serves for all.
    #[arg(long, env = "RECARGA_OPERATOR_TOKEN", hide_env_values = true)]
    token: Vec<String>,

    /// Nodes that run, by their configurations: address and operator's token are taken from there.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,

    /// For how long to ask again while something is unsettled.
    #[arg(long, default_value = "10s", value_parser = crate::duration::read)]
    settle: Duration,

    /// Mixed outcomes that people have seen to do not fail the audit.
    #[arg(long)]
    accept_mixed: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    Log(log::Arguments),
}

/// Examines and prints.
///
/// # Errors
/// A folder or a node cannot be read.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Command::Log(arguments)) = &arguments.command {
        return log::run(arguments);
    }
    let mut stopped = Vec::new();
    for folder in &arguments.folders {
        let memory = sources::read_folder(folder);
        stopped.push(memory.with_context(|| format!("cannot audit {}", folder.display()))?);
    }
    let nodes = find_nodes(arguments)?;
    let examined = sources::examine_until_settled(&stopped, &nodes, arguments.settle);
    let verdict = crate::runtime()?.block_on(examined)?;
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        print(&verdict);
    }
    let accepted = arguments.accept_mixed && !verdict.has(Class::Violation) && !verdict.has(Class::Unsettled);
    Ok(if accepted { ExitCode::SUCCESS } else { verdict.exit_code() })
}

/// Examines the data folders of stopped nodes.
///
/// # Errors
/// A folder cannot be read, or a process still has it open.
pub fn folders(folders: &[impl AsRef<Path>]) -> Result<Verdict> {
    let mut memories = Vec::new();
    for folder in folders {
        let folder = folder.as_ref();
        let memory = sources::read_folder(folder);
        memories.push(memory.with_context(|| format!("cannot audit {}", folder.display()))?);
    }
    sources::examine_all(&memories)
}

/// Examines nodes that run, each client with its operator's token, and asks again for `settle` while something is
/// unsettled.
///
/// # Errors
/// A node cannot be read.
pub async fn nodes(nodes: &[Client], settle: Duration) -> Result<Verdict> {
    sources::examine_until_settled(&[], nodes, settle).await
}

impl Verdict {
    /// What a command that ends with an audit ends with.
    pub fn exit_code(&self) -> ExitCode {
        if self.has(Class::Violation) || self.has(Class::Mixed) || self.counts.companies == 0 {
            ExitCode::FAILURE
        } else if self.has(Class::Unsettled) {
            ExitCode::from(EXIT_UNSETTLED)
        } else {
            ExitCode::SUCCESS
        }
    }
}

fn find_nodes(arguments: &Arguments) -> Result<Vec<Client>> {
    let Arguments { url: urls, token: tokens, .. } = arguments;
    if !urls.is_empty() && tokens.len() != urls.len() && tokens.len() != 1 {
        bail!(
            "{} --url, {} --token: write one --token for each --url, or one for all",
            urls.len(),
            tokens.len()
        );
    }
    let mut nodes = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let token = tokens.get(number).or(tokens.first()).cloned();
        nodes.push(Client::new(url, token)?);
    }
    for path in &arguments.config {
        nodes.push(Client::of_operator(&Config::read(path)?, path)?);
    }
    Ok(nodes)
}
