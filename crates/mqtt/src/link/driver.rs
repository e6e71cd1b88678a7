//! The task behind a [`super::Link`]: one connection after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnAck, Event, EventLoop, ManualAck, Outgoing, Packet, PubAck, Publish, QoS,
    RetainForwardRule, SubAck, SubscribeFilterInput, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use super::connect::connect_options;
use super::{AckToken, Incoming, LinkError, LinkOptions, LinkState, Qos, Shared, wire_qos};

const BACKOFF_FLOOR: Duration = Duration::from_millis(250);
const BACKOFF_CEILING: Duration = Duration::from_secs(10);
/// A connection that lived this long was a good one: after it the backoff begins anew.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);
/// How long a shutdown waits for the acknowledgements of what is on its way.
const FAREWELL: Duration = Duration::from_secs(2);

/// The task behind a link.
pub(super) struct Driver {
    name: String,
    subscriptions: Vec<(String, Qos)>,
    client: AsyncClient,
    events: EventLoop,
    state: watch::Sender<LinkState>,
    stop: watch::Receiver<bool>,
    shared: Arc<Shared>,
    incoming: mpsc::Sender<Incoming>,
    /// QoS 1 messages that found the queue full; the receive maximum bounds it.
    backlog: VecDeque<Incoming>,
    window: Window,
    verdict_tx: mpsc::UnboundedSender<Verdict>,
    verdict_rx: mpsc::UnboundedReceiver<Verdict>,
    /// Since when, and whether the broker kept the session.
    connected: Option<(Instant, bool)>,
    backoff: Backoff,
}

/// Why a connection ended.
enum End {
    Stop,
    Lost(String),
}

impl Driver {
    /// Prepares the task; nothing happens before [`Driver::run`].
    pub(super) fn new(
        options: LinkOptions,
        shared: Arc<Shared>,
        state: watch::Sender<LinkState>,
        stop: watch::Receiver<bool>,
        incoming: mpsc::Sender<Incoming>,
    ) -> Result<(AsyncClient, Self), LinkError> {
        let (client, mut events) = AsyncClient::builder(connect_options(&options)?)
            // Acknowledgements, a subscription and a farewell must find room at any time.
            .capacity(usize::from(options.receive_maximum.max(options.send_window)) + 16)
            .try_build()
            .map_err(|e| LinkError::Options(e.to_string()))?;
        // The library makes room for 128 events, 50 KB, half of an idle link; it grows again when needed.
        events.state.events.shrink_to(4);
        let (verdict_tx, verdict_rx) = mpsc::unbounded_channel();
        let driver = Self {
            name: options.client_id,
            subscriptions: options.subscriptions,
            client: client.clone(),
            events,
            state,
            stop,
            shared,
            incoming,
            backlog: VecDeque::new(),
            window: Window::default(),
            verdict_tx,
            verdict_rx,
            connected: None,
            backoff: Backoff::new(options.jitter_seed),
        };
        Ok((client, driver))
    }

    /// Connects again and again until the link is shut down or its last handle is gone.
    pub(super) async fn run(mut self) {
        while let End::Lost(reason) = self.live().await {
            let retry_in = self.forget_connection();
            warn!(client = self.name, retry_ms = retry_in.as_millis(), "MQTT connection lost: {reason}");
            self.state.send_replace(LinkState::Disconnected { reason, retry_in });
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => break,
                () = sleep(retry_in) => {}
            }
        }
        self.say_goodbye().await;
        self.state.send_replace(LinkState::Closed);
    }

    /// One connection, from the attempt to its end.
    async fn live(&mut self) -> End {
        loop {
            let event = {
                // Polled to its end for as long as the connection is wanted: to abandon it half-way could
                // lose the packet it is working on.
                let mut next = std::pin::pin!(self.events.poll());
                loop {
                    // In this order because only polling brings new work for the branches before it.
                    tokio::select! {
                        biased;
                        () = stopped(&mut self.stop) => return End::Stop,
                        Some(verdict) = self.verdict_rx.recv() => {
                            let given_up = !verdict.taken && !self.incoming.is_closed();
                            if let Err(end) = acknowledge(&mut self.window, &self.client, verdict, given_up) {
                                return end;
                            }
                        }
                        Ok(slot) = self.incoming.reserve(), if !self.backlog.is_empty() => {
                            if let Some(message) = self.backlog.pop_front() {
                                slot.send(message);
                            }
                        }
                        event = &mut next => break event,
                    }
                }
            };
            let outcome = match event {
                Ok(Event::Incoming(Packet::ConnAck(connack))) => self.greet(&connack),
                Ok(Event::Incoming(Packet::SubAck(suback))) => self.check_subscriptions(&suback),
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    self.deliver(publish);
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(e) => Err(e.to_string()),
            };
            if let Err(reason) = outcome {
                return End::Lost(reason);
            }
        }
    }

    fn greet(&mut self, connack: &ConnAck) -> Result<(), String> {
        // From here on this process knows its session; see `connect::NoLocalSession`.
        self.events.options.clear_session_store();
        let limit = connack.properties.as_ref().and_then(|p| p.max_packet_size).unwrap_or(0);
        self.shared.broker_packet_limit.store(limit, Ordering::Relaxed);
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        self.connected = Some((Instant::now(), connack.session_present));
        if self.subscriptions.is_empty() {
            self.announce();
            return Ok(());
        }
        // Also into a session the broker kept: a new version may want other topics. Kept messages come
        // only with a subscription that is new to the broker.
        let filters = self.subscriptions.iter().map(|(filter, qos)| {
            SubscribeFilterInput::new(filter.clone(), wire_qos(*qos))
                .retain_forward_rule(RetainForwardRule::OnNewSubscribe)
        });
        self.client.try_subscribe_many(filters).map_err(|e| e.to_string())
    }

    fn check_subscriptions(&self, suback: &SubAck) -> Result<(), String> {
        let refused = |code: &SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
        if let Some((code, (filter, _))) =
            suback.return_codes.iter().zip(&self.subscriptions).find(|(c, _)| refused(c))
        {
            error!(client = self.name, filter, ?code, "MQTT subscription refused");
            return Err(format!("the broker refused the subscription to '{filter}': {code:?}"));
        }
        self.announce();
        Ok(())
    }

    fn announce(&self) {
        let session_present = self.connected.is_some_and(|(_, present)| present);
        info!(client = self.name, session_present, "MQTT connected");
        self.state.send_replace(LinkState::Connected { session_present });
    }

    fn deliver(&mut self, publish: Publish) {
        if publish.qos == QoS::AtMostOnce
            && let Some(latest) = &self.shared.latest
            && let Ok(topic) = std::str::from_utf8(&publish.topic)
            && latest.is_for(topic)
        {
            latest.put(topic, &publish.payload);
            return;
        }
        let (qos, ack) = match publish.qos {
            QoS::AtMostOnce => (Qos::AtMostOnce, AckToken(None)),
            _ => (
                Qos::AtLeastOnce,
                AckToken(Some((self.window.arrive(publish.pkid), self.verdict_tx.clone()))),
            ),
        };
        let properties = publish.properties.unwrap_or_default();
        let message = Incoming {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retain: publish.retain,
            qos,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data,
            user_properties: properties.user_properties,
            ack,
        };
        if qos == Qos::AtLeastOnce && !self.backlog.is_empty() {
            self.backlog.push_back(message);
            return;
        }
        match self.incoming.try_send(message) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(message)) if qos == Qos::AtLeastOnce => {
                self.backlog.push_back(message);
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(mpsc::error::TrySendError::Closed(mut message)) => message.ack.forget(),
        }
    }

    /// Clears what belonged to the connection and says how long to wait for the next.
    fn forget_connection(&mut self) -> Duration {
        self.window.reset();
        self.backlog.clear();
        // Closes the socket if it is still open and drops acknowledgements that were not sent: on the next
        // connection their packet ids may mean other messages.
        self.events.clean();
        let good = self.connected.take().is_some_and(|(since, _)| since.elapsed() >= GOOD_CONNECTION);
        self.backoff.next(good)
    }

    async fn say_goodbye(&mut self) {
        if self.connected.is_none() {
            return;
        }
        while let Ok(verdict) = self.verdict_rx.try_recv() {
            if acknowledge(&mut self.window, &self.client, verdict, false).is_err() {
                return;
            }
        }
        if self.client.try_disconnect_with_timeout(FAREWELL).is_err() {
            return;
        }
        let parting = async {
            while !matches!(self.events.poll().await, Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)) {}
        };
        if timeout(2 * FAREWELL, parting).await.is_err() {
            debug!(client = self.name, "the MQTT broker did not answer the farewell");
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the last handle is gone, which ends the link too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Which message of which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    connection: u64,
    position: u64,
}

/// What the receiver says about a message.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) ticket: Ticket,
    /// It is safe, or else it could not be taken.
    pub(super) taken: bool,
}

fn acknowledge(
    window: &mut Window,
    client: &AsyncClient,
    verdict: Verdict,
    given_up: bool,
) -> Result<(), End> {
    if verdict.ticket.connection != window.connection {
        return Ok(());
    }
    if given_up {
        return Err(End::Lost("a message could not be taken".into()));
    }
    if !verdict.taken {
        return Ok(());
    }
    for packet_id in window.done(verdict.ticket.position) {
        let ack = ManualAck::PubAck(PubAck::new(packet_id, None));
        client.try_manual_ack(ack).map_err(|e| End::Lost(e.to_string()))?;
    }
    Ok(())
}

/// The messages of one connection that are not acknowledged, in the order of arrival, in which MQTT wants
/// the acknowledgements.
#[derive(Default)]
struct Window {
    connection: u64,
    /// Position of the first entry.
    first: u64,
    /// Packet id, and whether the message is safe.
    entries: VecDeque<(u16, bool)>,
}

impl Window {
    fn arrive(&mut self, packet_id: u16) -> Ticket {
        self.entries.push_back((packet_id, false));
        Ticket { connection: self.connection, position: self.first + self.entries.len() as u64 - 1 }
    }

    /// Marks a message as safe and takes out those that can be acknowledged now.
    fn done(&mut self, position: u64) -> Vec<u16> {
        let index = position.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        if let Some(entry) = index.and_then(|i| self.entries.get_mut(i)) {
            entry.1 = true;
        }
        let ready = self.entries.iter().take_while(|(_, safe)| *safe).count();
        self.first += ready as u64;
        self.entries.drain(..ready).map(|(packet_id, _)| packet_id).collect()
    }

    fn reset(&mut self) {
        *self = Self { connection: self.connection + 1, ..Self::default() };
    }
}

/// Doubling waits between attempts, each between half of it and the whole, so that thousands of cars do not
/// come back in one instant.
struct Backoff {
    attempts: u32,
    chance: fastrand::Rng,
}

impl Backoff {
    fn new(seed: Option<u64>) -> Self {
        Self { attempts: 0, chance: seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed) }
    }

    fn next(&mut self, anew: bool) -> Duration {
        self.attempts = if anew { 0 } else { self.attempts };
        let wait = BACKOFF_FLOOR.saturating_mul(1 << self.attempts.min(16)).min(BACKOFF_CEILING);
        self.attempts = self.attempts.saturating_add(1);
        wait.mul_f64(0.5 + self.chance.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_leave_in_the_order_of_arrival() {
        let mut window = Window::default();
        let tickets: Vec<Ticket> = [7, 9, 2, 4].map(|id| window.arrive(id)).into();
        assert_eq!(window.done(tickets[1].position), Vec::<u16>::new());
        assert_eq!(window.done(tickets[2].position), Vec::<u16>::new());
        assert_eq!(window.done(tickets[0].position), [7, 9, 2]);
        assert_eq!(window.done(tickets[0].position), Vec::<u16>::new(), "only once");
        let last = window.arrive(11);
        assert_eq!(window.done(last.position), Vec::<u16>::new());
        assert_eq!(window.done(tickets[3].position), [4, 11]);
        window.reset();
        assert_ne!(window.arrive(7).connection, last.connection);
    }

    #[test]
    fn backoff_grows_to_its_ceiling_and_repeats_with_its_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Some(seed));
            (0..12).map(|_| backoff.next(false)).collect::<Vec<_>>()
        };
        for (n, wait) in waits(1).into_iter().enumerate() {
            let whole = (BACKOFF_FLOOR * (1 << n)).min(BACKOFF_CEILING);
            assert!(wait >= whole / 2 && wait <= whole, "{n}: {wait:?}");
        }
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        let mut backoff = Backoff::new(Some(1));
        (0..100).for_each(|_| _ = backoff.next(false));
        assert!(backoff.next(true) <= BACKOFF_FLOOR);
    }
}
