//! One client's connection to any MQTT 5 broker, for a company's node and for a simulated car.
//!
//! [`Link::open`] starts one task that connects, reconnects with backoff, subscribes and hands over what
//! arrives. What a caller may rely on:
//!
//! - **Publishing** at QoS 1 resolves when the broker's acknowledgement is here, and waits as long as that
//!   takes, over any number of reconnects. The message may arrive twice. Dropping the future does not take
//!   a message back that is already on its way. QoS 0 goes out now or not at all.
//! - **Receiving** at QoS 1 is acknowledged only by [`AckToken::done`]. Until then the broker keeps the
//!   message and delivers it again to the next connection under the same client id, so repeats are normal.
//! - **Connected** means that the subscriptions are granted too: who then publishes a request hears the answer.

mod connect;
mod driver;
mod latest;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use recarga_tls::{ClientFiles, TlsError};
use rumqttc::{AsyncClient, ClientError, PublishNoticeError, PublishOptions, PublishProperties, QoS};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use driver::{Driver, Ticket, Verdict};
pub use latest::{Latest, LatestOf};

/// Largest MQTT packet a link takes or sends, in bytes.
pub const MAX_PACKET_BYTES: u32 = 1024 * 1024;

/// Delivery guarantee. QoS 2 is not used: repeats are harmless by `requisicao_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// QoS 0: now or never.
    AtMostOnce,
    /// QoS 1: until acknowledged.
    AtLeastOnce,
}

/// How to connect, and to hear what; [`LinkOptions::new`] gives a node's choices.
#[derive(Clone)]
pub struct LinkOptions {
    /// `mqtt://host:port`, or `mqtts://host:port` over TLS; without a port, 1883 or 8883.
    pub url: String,
    /// With `mqtts://`: whose brokers are believed, and who this client is. Read for every connection, so that files
    /// may be replaced at any time.
    pub tls: Option<ClientFiles>,
    /// Must be unique at the broker: a second connection with it ends the first.
    pub client_id: String,
    /// User name, if the broker wants one.
    pub username: Option<String>,
    /// Password, if the broker wants one.
    pub password: Option<String>,
    /// What the broker publishes (QoS 1) when this client vanishes without saying goodbye.
    pub last_will: Option<Will>,
    /// Forget, at every connection, what the broker kept for this client id.
    pub clean_start: bool,
    /// How long the broker keeps messages for this client while it is away; whole seconds.
    pub session_expiry: Duration,
    /// Messages the broker may send before one is acknowledged; 16 to 64 is sensible, 0 refused.
    pub receive_maximum: u16,
    /// QoS 1 messages on their way to the broker at a time, 0 refused. Each costs 200 bytes also when unused:
    /// 64 suits a node, 4 a car.
    pub send_window: u16,
    /// Silence after which the connection is probed; whole seconds, 0 switches probing off.
    pub keep_alive: Duration,
    /// What to hear: filter and the highest guarantee wanted. Granted anew at every connection.
    pub subscriptions: Vec<(String, Qos)>,
    /// Messages that wait for the receiver. When it is full, QoS 0 messages are dropped and counted.
    pub queue: usize,
    /// QoS 0 messages of which only the newest of each topic counts: they go to [`Link::latest`] instead of the
    /// receiver, and so never stand in the way of others.
    pub latest: Option<LatestOf>,
    /// Seed of the backoff's jitter, for runs that must repeat; `None` takes one from chance.
    pub jitter_seed: Option<u64>,
}

/// A last will.
#[derive(Clone, Debug)]
pub struct Will {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

impl LinkOptions {
    /// A persistent session of 7 days, receive maximum 32, send window 64, keep-alive 30 s, a queue of 256.
    pub fn new(url: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            tls: None,
            client_id: client_id.into(),
            username: None,
            password: None,
            last_will: None,
            clean_start: false,
            session_expiry: Duration::from_secs(7 * 24 * 3600),
            receive_maximum: 32,
            send_window: 64,
            keep_alive: Duration::from_secs(30),
            subscriptions: Vec::new(),
            queue: 256,
            latest: None,
            jitter_seed: None,
        }
    }
}

impl fmt::Debug for LinkOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password.
        f.debug_struct("LinkOptions")
            .field("url", &self.url)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Message {
    /// Topic, without wildcards.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Guarantee.
    pub qos: Qos,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
    /// Where the answer is wanted (MQTT 5).
    pub response_topic: Option<String>,
    /// What the answer shall carry back (MQTT 5).
    pub correlation_data: Option<Bytes>,
}

impl Message {
    /// A QoS 1 message that is not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            response_topic: None,
            correlation_data: None,
        }
    }

    /// An upper bound of the packet's size in bytes.
    fn size(&self) -> usize {
        let response = self.response_topic.as_ref().map_or(0, String::len);
        let correlation = self.correlation_data.as_ref().map_or(0, Bytes::len);
        64 + self.topic.len() + self.payload.len() + response + correlation
    }
}

/// A message that has arrived.
#[derive(Debug)]
pub struct Incoming {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Bytes,
    /// Whether it is the topic's kept message rather than a fresh one.
    pub retain: bool,
    /// Guarantee of this delivery.
    pub qos: Qos,
    /// Where the sender wants the answer (MQTT 5).
    pub response_topic: Option<String>,
    /// What the answer shall carry back (MQTT 5).
    pub correlation_data: Option<Bytes>,
    /// What else the sender says, by name (MQTT 5).
    pub user_properties: Vec<(String, String)>,
    /// To be used once the message is safe.
    pub ack: AckToken,
}

/// The duty to acknowledge one message, or to leave it to the broker.
///
/// Acknowledgements leave in the order of arrival: one that is early waits for those before it. A token of
/// a connection that has died does nothing; the broker delivers the message again. Dropping the token
/// without [`AckToken::done`] says that the message could not be taken: the link reconnects with backoff
/// and the broker delivers it, and everything after it that was not acknowledged, again.
#[derive(Debug)]
pub struct AckToken(Option<(Ticket, mpsc::UnboundedSender<Verdict>)>);

impl AckToken {
    /// The message is safe: the broker may forget it.
    pub fn done(mut self) {
        if let Some((ticket, verdicts)) = self.0.take() {
            // Fails only when the link has ended, and then the broker delivers the message again.
            let _ = verdicts.send(Verdict { ticket, taken: true });
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for AckToken {
    fn drop(&mut self) {
        if let Some((ticket, verdicts)) = self.0.take() {
            let _ = verdicts.send(Verdict { ticket, taken: false });
        }
    }
}

/// What a link is doing; every change wakes the receivers of [`Link::state`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Not connected yet.
    Connecting,
    /// Connected and subscribed.
    Connected {
        /// Whether the broker kept the session; if not, it may have lost messages for this client.
        session_present: bool,
    },
    /// Not connected; the next attempt begins after `retry_in`.
    Disconnected {
        /// Why, for logs and readiness.
        reason: String,
        /// Time until the next attempt.
        retry_in: Duration,
    },
    /// Shut down; nothing follows.
    Closed,
}

/// Counters since the link was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Connections made.
    pub connections: u64,
    /// QoS 0 messages that found the queue full.
    pub dropped: u64,
}

/// Why a link could not be opened or a message not be published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The URL cannot be used.
    #[error("'{url}' is not a broker's URL: {why}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The files for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Another option cannot be used.
    #[error("MQTT options: {0}")]
    Options(String),
    /// The topic is empty, too long or has wildcards.
    #[error("'{0}' cannot be published to")]
    Topic(String),
    /// The message is larger than this link or the broker allows.
    #[error("a message of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes of the packet, at most.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// QoS 0 only: there is no connection, and such a message does not wait.
    #[error("not connected to the MQTT broker")]
    NotConnected,
    /// The broker answered that it does not take the message, and why.
    #[error("the MQTT broker refused the message: {0}")]
    Refused(String),
    /// The link was shut down. Whether the broker has the message is unknown.
    #[error("the MQTT link is closed")]
    Closed,
}

/// A handle to the connection; clones share it. When the last one is dropped the link ends as by
/// [`Link::shutdown`], in the background.
#[derive(Clone)]
pub struct Link {
    client: AsyncClient,
    state: watch::Receiver<LinkState>,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicU64,
    dropped: AtomicU64,
    latest: Option<Latest>,
    /// Bytes, as the broker said at the last connection; 0 before the first.
    broker_packet_limit: AtomicU32,
}

impl Link {
    /// Starts connecting in a task of the current runtime and returns at once; a broker that cannot be
    /// reached is tried again until it can. Dropping the receiver means that nothing more is acknowledged.
    ///
    /// # Errors
    /// [`LinkError::Url`], [`LinkError::Tls`] and [`LinkError::Options`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(options: LinkOptions) -> Result<(Link, mpsc::Receiver<Incoming>), LinkError> {
        let latest = options.latest.clone().map(Latest::new);
        let shared = Arc::new(Shared { latest, ..Shared::default() });
        let (state_tx, state) = watch::channel(LinkState::Connecting);
        let (stop, stop_rx) = watch::channel(false);
        let (incoming, receiver) = mpsc::channel(options.queue.max(1));
        let (client, driver) = Driver::new(options, Arc::clone(&shared), state_tx, stop_rx, incoming)?;
        tokio::spawn(driver.run());
        Ok((Link { client, state, stop, shared }, receiver))
    }

    /// Publishes; QoS 1 resolves when the broker has acknowledged and waits over reconnects.
    /// Bound it with `tokio::time::timeout` where waiting is not wanted.
    ///
    /// # Errors
    /// QoS 0 without a connection, a topic or size that cannot be, the broker's refusal, a closed link.
    pub async fn publish(&self, message: Message) -> Result<(), LinkError> {
        loop {
            self.wait_for_connection(message.qos).await?;
            self.check_size(&message)?;
            let (topic, payload, options) = publish_parts(&message);
            let queued = self.client.publish_tracked(topic, payload, options).await;
            let notice = queued.map_err(|e| match e {
                ClientError::InvalidRequest(_) => LinkError::Topic(message.topic.clone()),
                _ => LinkError::Closed,
            })?;
            match notice.wait_completion_async().await {
                Ok(()) => return Ok(()),
                Err(PublishNoticeError::V5PubAck(reason)) => {
                    return Err(LinkError::Refused(format!("{reason:?}")));
                }
                Err(PublishNoticeError::SessionReset | PublishNoticeError::Recv)
                    if message.qos == Qos::AtLeastOnce =>
                {
                    debug!(topic = message.topic, "the broker lost the session: publishing again");
                }
                Err(_) if message.qos == Qos::AtMostOnce => return Err(LinkError::NotConnected),
                Err(e) => return Err(LinkError::Refused(e.to_string())),
            }
        }
    }

    /// Whether the link is connected and subscribed.
    pub fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), LinkState::Connected { .. })
    }

    /// Follows the link's state, for logs, metrics and readiness. Short-lived states may be skipped.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// The counters.
    pub fn stats(&self) -> LinkStats {
        LinkStats {
            connections: self.shared.connections.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
        }
    }

    /// The newest unread messages, if the options ask for them.
    pub fn latest(&self) -> Option<&Latest> {
        self.shared.latest.as_ref()
    }

    /// Sends the acknowledgements given so far, waits up to 2 s for those of the broker, says goodbye (so
    /// that no last will is published) and ends the task. The broker keeps the session.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        // An error means that the task is gone, which is what is wanted.
        let _ = self.state.clone().wait_for(|state| *state == LinkState::Closed).await;
    }

    async fn wait_for_connection(&self, qos: Qos) -> Result<(), LinkError> {
        let mut state = self.state.clone();
        let ready = |s: &LinkState| matches!(s, LinkState::Connected { .. } | LinkState::Closed);
        if qos == Qos::AtMostOnce && !ready(&state.borrow()) {
            return Err(LinkError::NotConnected);
        }
        match state.wait_for(ready).await.as_deref() {
            Ok(LinkState::Connected { .. }) => Ok(()),
            _ => Err(LinkError::Closed),
        }
    }

    /// A packet beyond the broker's limit would break the connection, be sent again, and so forever.
    fn check_size(&self, message: &Message) -> Result<(), LinkError> {
        let limit = match self.shared.broker_packet_limit.load(Ordering::Relaxed) {
            0 => MAX_PACKET_BYTES,
            broker => broker.min(MAX_PACKET_BYTES),
        };
        let (size, limit) = (message.size(), limit as usize);
        if size > limit { Err(LinkError::TooLarge { size, limit }) } else { Ok(()) }
    }
}

fn publish_parts(message: &Message) -> (String, Bytes, PublishOptions) {
    let mut options = PublishOptions::new(wire_qos(message.qos)).retain(message.retain);
    if message.response_topic.is_some() || message.correlation_data.is_some() {
        options = options.properties(PublishProperties {
            response_topic: message.response_topic.clone(),
            correlation_data: message.correlation_data.clone(),
            ..PublishProperties::default()
        });
    }
    (message.topic.clone(), message.payload.clone(), options)
}

fn wire_qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
    }
}
