//! `recarga health`: for containers and scripts, which have no other HTTP client at hand.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use hyper::Method;
use recarga_wire::decode;
use recarga_wire::health::HealthAnswer;

use crate::client::Client;

/// Ask a node how it is.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  recarga health --url http://127.0.0.1:8001

Exit status: 0 it takes requests, 1 it does not or cannot be reached.")]
pub struct Arguments {
    /// Where the node is.
    #[arg(long, default_value = "http://127.0.0.1:8001")]
    url: String,
}

/// Asks once.
///
/// # Errors
/// The node cannot be reached.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let client = Client::new(&arguments.url, None)?.with_patience(Duration::from_secs(4));
    let answer = crate::runtime()?.block_on(client.send(Method::GET, "/saude", Vec::new()))?;
    let health: HealthAnswer =
        decode(&answer.body).map_err(|problem| anyhow::anyhow!("cannot read the answer: {problem}"))?;
    say!("{} {:?}", health.empresa, health.estado);
    for (name, check) in &health.verificacoes {
        say!(
            "  {name}: {:?}{}",
            check.estado,
            check.detalhe.as_deref().map_or(String::new(), |one| format!(" ({one})"))
        );
    }
    Ok(if answer.status == 200 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
