//! The task of one car: between its radio, the clock and the pure state machine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::Now;
use recarga_wire::vehicle::VehicleAnswer;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::tally::Tally;
use crate::car::{Car, Output};
use crate::clock::WallClock;
use crate::events::Event;
use crate::outbox::Outbox;
use crate::radio::{Airwaves, Heard, Radio, RadioError};

/// How long a car that is told to stop waits for the answers to what it has asked; real time.
const ANSWERS: Duration = Duration::from_secs(10);

/// How long a car waits for the broker to take its farewell; real time.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all tasks of a fleet share.
pub(super) struct Shared<A> {
    pub(super) airwaves: A,
    pub(super) wall_clock: WallClock,
    pub(super) started: Instant,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tally: Arc<Tally>,
}

impl<A> Shared<A> {
    pub(super) fn now(&self) -> Now {
        Now { utc: (self.wall_clock)(), elapsed: self.started.elapsed() }
    }

    fn tell(&self, event: Event) {
        self.tally.count(&event);
        if self.events.try_send(event).is_err() {
            self.tally.count_dropped_event();
        }
    }
}

/// Runs a car until it has made all of its trips or is told to stop.
pub(super) async fn live<A: Airwaves>(
    car: Car,
    radio: Option<A::Radio>,
    connects: Instant,
    shared: Arc<Shared<A>>,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        biased;
        () = stopped(&mut stop) => return,
        () = sleep_until(connects) => {}
    }
    let radio = match radio {
        Some(radio) => radio,
        None => match shared.airwaves.open(car.id(), car.last_will(shared.now())) {
            Ok(radio) => radio,
            Err(error) => return warn!(car = %car.id(), "no radio: {error}"),
        },
    };
    let task = Task { car, radio, shared, outbox: Outbox::default(), sending: None, is_online: false };
    task.run(stop).await;
}

type Sending = Pin<Box<dyn Future<Output = Result<(), RadioError>> + Send>>;

struct Task<A: Airwaves> {
    car: Car,
    radio: A::Radio,
    shared: Arc<Shared<A>>,
    outbox: Outbox,
    sending: Option<Sending>,
    is_online: bool,
}

impl<A: Airwaves> Task<A> {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        // A car begins its day when it can be heard: what it asks before would only wait and grow old.
        let mut has_begun = false;
        let mut closes: Option<Instant> = None;
        loop {
            self.send_next();
            let is_done = self.car.is_finished() || (closes.is_some() && self.car.is_settled());
            if is_done && self.outbox.is_empty() || closes.is_some_and(|at| at <= Instant::now()) {
                break;
            }
            let wake =
                if has_begun { self.car.wake().map(|elapsed| self.shared.started + elapsed) } else { None };
            let wake = wake.into_iter().chain(closes).min();
            tokio::select! {
                biased;
                () = stopped(&mut stop), if closes.is_none() => {
                    self.car.close();
                    closes = Some(Instant::now() + if has_begun { ANSWERS } else { Duration::ZERO });
                }
                sent = next_sent(&mut self.sending) => {
                    if let Err(error) = sent {
                        debug!(car = %self.car.id(), "not published: {error}");
                    }
                    self.sending = None;
                    self.outbox.sent();
                }
                heard = self.radio.hear() => match heard {
                    Some(heard) => has_begun |= self.take(heard),
                    None => break,
                },
                () = wake_at(wake) => {
                    let outputs = self.car.tick(self.shared.now());
                    self.perform(outputs);
                }
            }
        }
        self.say_goodbye().await;
    }

    // Says whether the car is online now.
    fn take(&mut self, heard: Heard) -> bool {
        let now = self.shared.now();
        match heard {
            Heard::Online => {
                let car = self.car.id().clone();
                if !std::mem::replace(&mut self.is_online, true) {
                    self.shared.tell(Event::Online { car });
                }
                let outputs = self.car.online(now);
                self.perform(outputs);
            }
            Heard::Offline { reason } => {
                if std::mem::replace(&mut self.is_online, false) {
                    self.shared.tally.count_offline();
                    self.shared.tell(Event::Offline { car: self.car.id().clone(), reason });
                }
            }
            Heard::Message { payload } => match serde_json::from_slice::<VehicleAnswer>(&payload) {
                Ok(answer) => {
                    let outputs = self.car.answered(answer, now);
                    self.perform(outputs);
                }
                Err(error) => {
                    warn!(car = %self.car.id(), "not an answer: {error}");
                    self.shared.tally.count_malformed();
                }
            },
        }
        self.is_online
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Publish(publication) => self.outbox.push(publication),
                Output::Tell(event) => self.shared.tell(event),
                Output::Count(oddity) => self.shared.tally.count_oddity(oddity),
            }
        }
    }

    fn send_next(&mut self) {
        if let Some(publication) = self.outbox.next() {
            self.sending = Some(Box::pin(self.radio.publish(publication)));
        }
    }

    async fn say_goodbye(self) {
        if self.is_online {
            self.shared.tally.count_offline();
            let farewell = self.radio.publish(self.car.last_will(self.shared.now()));
            if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(()))) {
                debug!(car = %self.car.id(), "the broker did not take the farewell");
            }
        }
        self.radio.close().await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the fleet's handle is gone, which ends the cars too.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn next_sent(sending: &mut Option<Sending>) -> Result<(), RadioError> {
    match sending {
        Some(sending) => sending.await,
        None => std::future::pending().await,
    }
}

async fn wake_at(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
