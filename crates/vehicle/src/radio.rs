//! A car's connection to the outside world: a broker, or a test.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use recarga_mqtt::link::{Incoming, Link, LinkError, LinkOptions, LinkState, Message, Qos, Will};
use recarga_reservation::VehicleId;
use recarga_tls::{ClientFiles, PairFiles};
use recarga_wire::topic::Topic;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

use crate::fleet::Credentials;

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub topic: Topic,
    /// What, in JSON.
    pub payload: Vec<u8>,
    /// How surely.
    pub delivery: Delivery,
}

/// How surely something is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Now or never; the next one replaces it (QoS 0).
    Passing,
    /// Until the broker has it (QoS 1).
    Sure,
    /// Until the broker has it, which keeps it for those who subscribe later (QoS 1, retained).
    Kept,
}

/// What a radio hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message for this car.
    Message {
        /// What, in JSON.
        payload: Vec<u8>,
    },
    /// Connected, and whatever is answered from now on will be heard.
    Online,
    /// The connection is lost; the radio tries again by itself.
    Offline {
        /// Why, for people.
        reason: String,
    },
}

/// Something could not be published or a radio not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RadioError(String);

/// One car's connection.
pub trait Radio: Send + 'static {
    /// Publishes; unless it is [`Delivery::Passing`], waits until the broker has it.
    fn publish(
        &self,
        publication: Publication,
    ) -> impl Future<Output = Result<(), RadioError>> + Send + 'static;

    /// The next thing heard; none once the radio is closed.
    fn hear(&mut self) -> impl Future<Output = Option<Heard>> + Send;

    /// Says goodbye, so that no last will is published.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Where radios come from.
pub trait Airwaves: Send + Sync + 'static {
    /// The kind of radio.
    type Radio: Radio;

    /// Opens a car's radio: it hears what is published to `veiculo/{id}/resposta`, and `last_will` is published for it
    /// when it vanishes. It connects by itself, then and whenever the connection is lost.
    ///
    /// # Errors
    /// Options that no broker could accept, such as a malformed URL.
    fn open(&self, car: &VehicleId, last_will: Publication) -> Result<Self::Radio, RadioError>;
}

/// Radios over MQTT.
#[derive(Clone, Debug)]
pub struct Mqtt {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: String,
    /// Whose certificates are believed; with `mqtts://`.
    pub authorities: Option<PathBuf>,
    /// How cars show who they are.
    pub credentials: Credentials,
}

/// A radio over MQTT.
pub struct MqttRadio {
    link: Link,
    incoming: mpsc::Receiver<Incoming>,
    state: watch::Receiver<LinkState>,
}

impl Airwaves for Mqtt {
    type Radio = MqttRadio;

    fn open(&self, car: &VehicleId, last_will: Publication) -> Result<MqttRadio, RadioError> {
        let (password, own) = match &self.credentials {
            Credentials::None => (None, None),
            Credentials::SharedPassword(password) => (Some(password.clone()), None),
            Credentials::Certificates(folder) => {
                let file = |ending| folder.join(format!("{car}.{ending}"));
                (None, Some(PairFiles { certificate: file("pem"), key: file("key") }))
            }
        };
        let options = LinkOptions {
            tls: self.authorities.clone().map(|authorities| ClientFiles { authorities, own }),
            username: password.is_some().then(|| car.to_string()),
            password,
            last_will: Some(Will {
                topic: last_will.topic.to_string(),
                payload: last_will.payload.into(),
                retain: true,
            }),
            // The broker keeps answers while a car is in a tunnel, but not for days: a simulated car may never return.
            session_expiry: Duration::from_secs(3600),
            receive_maximum: 16,
            send_window: 4,
            keep_alive: Duration::from_secs(60),
            subscriptions: vec![(Topic::VehicleAnswer(car.clone()).to_string(), Qos::AtLeastOnce)],
            queue: 16,
            ..LinkOptions::new(self.url.clone(), car.to_string())
        };
        let (link, incoming) = Link::open(options)?;
        let state = link.state();
        Ok(MqttRadio { link, incoming, state })
    }
}

impl Radio for MqttRadio {
    fn publish(
        &self,
        publication: Publication,
    ) -> impl Future<Output = Result<(), RadioError>> + Send + 'static {
        let link = self.link.clone();
        let Publication { topic, payload, delivery } = publication;
        let mut message = Message::new(topic.to_string(), payload);
        message.qos = if delivery == Delivery::Passing { Qos::AtMostOnce } else { Qos::AtLeastOnce };
        message.retain = delivery == Delivery::Kept;
        async move { Ok(link.publish(message).await?) }
    }

    async fn hear(&mut self) -> Option<Heard> {
        loop {
            tokio::select! {
                message = self.incoming.recv() => {
                    let Incoming { payload, ack, .. } = message?;
                    // A car is only memory: what it has heard is as safe as it will ever be.
                    ack.done();
                    return Some(Heard::Message { payload: payload.into() });
                }
                changed = self.state.changed() => {
                    changed.ok()?;
                    match &*self.state.borrow_and_update() {
                        LinkState::Connecting => {}
                        LinkState::Connected { .. } => return Some(Heard::Online),
                        LinkState::Disconnected { reason, .. } => {
                            return Some(Heard::Offline { reason: reason.clone() });
                        }
                        LinkState::Closed => return None,
                    }
                }
            }
        }
    }

    async fn close(self) {
        self.link.shutdown().await;
    }
}

impl From<LinkError> for RadioError {
    fn from(error: LinkError) -> Self {
        RadioError(error.to_string())
    }
}
