//! The MQTT broker that runs inside `recarga demo`, so that a newcomer needs to install nothing.
//!
//! It speaks MQTT 3.1.1 and 5 on one port, keeps everything in memory (a restart forgets sessions and
//! retained messages; the nodes' databases hold what matters) and enforces who may say what:
//!
//! | who | may publish | may subscribe |
//! |---|---|---|
//! | company `E`, by password | `veiculo/#`, `servidor/E/#` | the same, also as `$share/group/...` |
//! | car `X` | `veiculo/X/status`, `veiculo/X/requisicao` | `veiculo/X/resposta`, and by option `servidor/+/resposta` |
//!
//! A refused subscription is answered with a failure code, a refused QoS 1 publication with "not authorized"
//! in MQTT 5 and with a plain acknowledgement in 3.1.1, which has no code for it. A client whose last will
//! breaks the rules is not let in.

mod rules;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::config::{BrokerConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use tokio::task::JoinHandle;
use tracing::{debug, error, warn};

use rules::Rules;

/// Largest MQTT packet the broker takes or sends, in bytes. Some clients refuse a broker that offers more.
pub const MAX_PACKET_BYTES: usize = 1024 * 1024;

/// Longest time a session without a connection is kept.
const SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Messages and bytes that wait for one absent client; beyond either the oldest are dropped.
const QUEUE_MESSAGES: usize = 100_000;
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// The broker itself waits up to 5 s for its connections to finish.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// A user name and its password.
#[derive(Clone)]
pub struct Account {
    /// The company's id, or the car's id.
    pub name: String,
    /// The password in clear text.
    pub password: String,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How the broker is to run; `BrokerOptions::new` gives the demo's choices.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// Where to listen; port 0 takes any free port.
    pub address: SocketAddr,
    /// The companies. Their names and every client id that begins with `name.`, `name-` or `name_` are
    /// theirs: no car and no other company connects under one.
    pub companies: Vec<Account>,
    /// Cars that have a password, which is always checked.
    pub cars: Vec<Account>,
    /// Refuse cars that are not in `cars`. Without it a car is whoever its client id says.
    pub cars_need_password: bool,
    /// Let every car listen to `servidor/{company}/resposta`, which carries the answers to all cars.
    pub cars_may_read_server_answers: bool,
    /// Connections at a time. The broker also stops at 10,000 from one IP address.
    pub max_clients: usize,
}

impl BrokerOptions {
    /// The demo's choices: cars without passwords that may read the companies' answers, 10,000 clients.
    pub fn new(address: SocketAddr, companies: Vec<Account>) -> Self {
        Self {
            address,
            companies,
            cars: Vec::new(),
            cars_need_password: false,
            cars_may_read_server_answers: true,
            max_clients: 10_000,
        }
    }
}

/// Why the broker did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address cannot be listened on, most often because another program has the port.
    #[error("the MQTT broker cannot listen on {address}: {reason}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the operating system said: part of the message, and so not its source, or it is printed twice.
        reason: std::io::Error,
    },
    /// An account's name is not an id (`[A-Za-z0-9][A-Za-z0-9._-]{0,63}`) or appears twice.
    #[error("'{name}' cannot be an MQTT account: {why}")]
    Account {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The broker gave up by itself.
    #[error("the MQTT broker failed: {0}")]
    Failed(String),
}

/// A running broker. Dropping it stops it in the background; [`EmbeddedBroker::shutdown`] waits for the end.
pub struct EmbeddedBroker {
    address: SocketAddr,
    stop: BrokerShutdownHandle,
    task: Option<JoinHandle<mqtt5::Result<()>>>,
}

impl EmbeddedBroker {
    /// Listens and accepts clients from the moment this returns. Every accepted socket has TCP_NODELAY.
    ///
    /// # Errors
    /// [`BrokerError::Bind`] for a port in use, [`BrokerError::Account`] for a bad account.
    pub async fn start(options: BrokerOptions) -> Result<Self, BrokerError> {
        let rules = Arc::new(Rules::new(&options)?);
        let config = config(&options).with_event_handler(Arc::clone(&rules) as _);
        let mut broker = MqttBroker::with_config(config)
            .await
            .map_err(|e| explain_start(options.address, &e))?
            .with_auth_provider(rules);
        let address = broker.local_addr().ok_or_else(|| BrokerError::Failed("no listener".into()))?;
        let stop = broker.shutdown_handle();
        let mut ready = broker.ready_receiver();
        let mut task = tokio::spawn(async move { broker.run().await });
        tokio::select! {
            ended = &mut task => return Err(explain_end(ended)),
            up = ready.wait_for(|up| *up) => debug!(%address, up = up.is_ok(), "embedded MQTT broker"),
        }
        Ok(Self { address, stop, task: Some(task) })
    }

    /// The address in use, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address as clients write it: `mqtt://host:port`.
    pub fn url(&self) -> String {
        format!("mqtt://{}", self.address)
    }

    /// Disconnects all clients, frees the port and returns when both are done, after 8 s at the latest.
    pub async fn shutdown(mut self) {
        self.stop.shutdown();
        let Some(task) = self.task.take() else { return };
        match tokio::time::timeout(SHUTDOWN_LIMIT, task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => error!("{}", explain_end(ended)),
            Err(_) => warn!("the MQTT broker did not stop within {} s", SHUTDOWN_LIMIT.as_secs()),
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.stop.shutdown();
    }
}

fn config(options: &BrokerOptions) -> BrokerConfig {
    let storage = StorageConfig::new()
        .with_backend(StorageBackend::Memory) // the default writes ./mqtt_storage
        .with_max_queued_messages_per_client(QUEUE_MESSAGES)
        .with_max_queued_bytes_per_client(QUEUE_BYTES);
    BrokerConfig::default()
        .with_bind_address(options.address)
        .with_max_clients(options.max_clients)
        .with_max_packet_size(MAX_PACKET_BYTES)
        .with_session_expiry(SESSION_EXPIRY)
        .with_storage(storage)
        .with_max_subscriptions_per_client(64)
        .with_max_retained_messages(2 * options.max_clients)
        .with_max_retained_message_size(64 * 1024)
        // Nobody may read $SYS here, so nothing needs to write it.
        .with_sys_topics_enabled(false)
}

/// The library reports a failed bind as text; asking the operating system again gives the error itself.
fn explain_start(address: SocketAddr, error: &mqtt5::MqttError) -> BrokerError {
    match std::net::TcpListener::bind(address) {
        Err(reason) => BrokerError::Bind { address, reason },
        Ok(_) => BrokerError::Failed(error.to_string()),
    }
}

fn explain_end(ended: Result<mqtt5::Result<()>, tokio::task::JoinError>) -> BrokerError {
    BrokerError::Failed(match ended {
        Ok(Ok(())) => "it ended before it was told to".into(),
        Ok(Err(e)) => e.to_string(),
        Err(e) => e.to_string(),
    })
}
