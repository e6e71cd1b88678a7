//! The broker, and one client that speaks for all cars.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use recarga_mqtt::broker::{Account, BrokerOptions, EmbeddedBroker};
use recarga_mqtt::link::{Incoming, Link, LinkOptions, LinkState, Message, Qos};
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;

use super::soon;

/// Of every company at the broker.
pub const PASSWORD: &str = "mqtt-password";
const COMPANIES: [&str; 4] = ["empresa-a", "empresa-b", "empresa-c", "testador"];

/// A broker on a port; 0 for any.
pub async fn broker(port: u16) -> EmbeddedBroker {
    let account = |name: &&str| Account { name: (*name).to_owned(), password: PASSWORD.to_owned() };
    let accounts = COMPANIES.iter().map(account).collect();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    EmbeddedBroker::start(BrokerOptions::new(address, accounts)).await.expect("a broker")
}

/// A road to the broker that can be cut.
pub struct Road {
    /// As clients write it.
    pub url: String,
    open: watch::Sender<bool>,
}

impl Road {
    /// A road to a broker, open.
    pub async fn to(broker: &EmbeddedBroker) -> Self {
        let (listener, broker) = (super::listen().await, broker.local_addr());
        let url = format!("mqtt://{}", listener.local_addr().expect("it listens"));
        let open = watch::Sender::new(true);
        let watched = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut open = watched.clone();
                if !*open.borrow() {
                    continue; // dropped at once
                }
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(broker).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { url, open }
    }

    /// Cuts every connection and lets none through.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

/// May publish for every car and hears every answer to a car.
pub struct Cars {
    pub link: Link,
    incoming: Receiver<Incoming>,
    answers: HashMap<String, Vec<Value>>,
}

impl Cars {
    /// Connects; returns once it hears.
    pub async fn connect(url: &str) -> Self {
        let (link, incoming) = Link::open(LinkOptions {
            username: Some("testador".to_owned()),
            password: Some(PASSWORD.to_owned()),
            subscriptions: vec![("veiculo/+/resposta".to_owned(), Qos::AtLeastOnce)],
            queue: 4096,
            session_expiry: Duration::ZERO,
            ..LinkOptions::new(url, "testador")
        })
        .expect("good options");
        let cars = Self { link, incoming, answers: HashMap::new() };
        cars.connected().await;
        cars
    }

    /// Returns once it is connected.
    pub async fn connected(&self) {
        let mut state = self.link.state();
        let connected = state.wait_for(|state| matches!(state, LinkState::Connected { .. }));
        soon("a connection to the broker", connected).await.expect("the link lives");
    }

    /// Publishes; returns once the broker has it.
    pub async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let message = Message::new(topic, payload.into());
        soon("an acknowledgement", self.link.publish(message)).await.expect("the broker takes it");
    }

    /// A car's request.
    pub async fn ask(&self, vehicle: &str, payload: impl Into<Vec<u8>>) {
        self.publish(&format!("veiculo/{vehicle}/requisicao"), payload).await;
    }

    /// The next answer to a car.
    pub async fn answer(&mut self, vehicle: &str) -> Value {
        loop {
            if let Some(answers) = self.answers.get_mut(vehicle)
                && !answers.is_empty()
            {
                return answers.remove(0);
            }
            let what = format!("an answer to {vehicle}");
            let message = soon(&what, self.incoming.recv()).await.expect("the link lives");
            let car = message.topic.split('/').nth(1).expect("a car's topic").to_owned();
            let answer = serde_json::from_slice(&message.payload).expect("JSON");
            self.answers.entry(car).or_default().push(answer);
            message.ack.done();
        }
    }

    /// Answers that came and that nobody has asked for yet.
    pub fn unread(&self) -> usize {
        self.answers.values().map(Vec::len).sum()
    }

    /// Whether a car has no answer for a while.
    pub async fn silence(&mut self, vehicle: &str) -> bool {
        tokio::time::timeout(super::A_WHILE, self.answer(vehicle)).await.is_err()
    }
}
