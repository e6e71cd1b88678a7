//! `recarga broker`: the demo's MQTT broker alone, for a federation that is started by hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use recarga_mqtt::broker::{Account, BrokerOptions, EmbeddedBroker};
use recarga_node::config::Config;

use crate::serve::{raise_file_limit, stop_signal};

/// Run the demo's MQTT broker alone, for a federation that you start by hand.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga broker networks/demo/*.toml
  recarga broker --listen 127.0.0.1:1884 empresa-a.toml empresa-b.toml

It speaks MQTT 3.1.1 and 5. Each company logs in with the mqtt.username and mqtt.password of its configuration; a car is
whoever its client id says, without a password. Everything is kept in memory and forgotten at the end. For trying things
out: in production use Mosquitto (docs/operations.md).

SIGINT or SIGTERM: stops.
Exit status: 0 stopped, 1 could not start, 2 wrong arguments.")]
pub struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:1883", value_name = "IP:PORT")]
    listen: SocketAddr,

    /// The configurations of the companies that may log in.
    #[arg(required = true, value_name = "FILE")]
    configs: Vec<PathBuf>,
}

/// Runs until a signal.
///
/// # Errors
/// A configuration cannot be read or has no broker's login, or the address cannot be used.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let configs: Vec<Config> =
        arguments.configs.iter().map(|file| Config::read(file)).collect::<Result<_, _>>()?;
    raise_file_limit();
    crate::runtime()?.block_on(async {
        let stop = stop_signal()?;
        let broker = EmbeddedBroker::start(BrokerOptions::new(arguments.listen, accounts(&configs)?)).await?;
        say!("broker     {}", broker.url());
        stop.await;
        broker.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// What the companies log in with.
///
/// # Errors
/// A company has no `[mqtt]` table, or no password in it.
pub fn accounts<'a>(configs: impl IntoIterator<Item = &'a Config>) -> Result<Vec<Account>> {
    let account = |config: &Config| {
        let mqtt = config.mqtt.as_ref();
        let missing = || format!("{} has no mqtt.username and mqtt.password to log in with", config.operator);
        let name = mqtt.and_then(|mqtt| mqtt.username.clone()).with_context(missing)?;
        let password = mqtt.and_then(|mqtt| mqtt.password.as_ref()).with_context(missing)?;
        Ok(Account { name, password: password.expose().to_owned() })
    };
    configs.into_iter().map(account).collect()
}
