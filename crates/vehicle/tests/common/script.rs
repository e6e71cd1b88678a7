//! A car that lives through a script, without a network and without waiting.

use std::sync::Arc;
use std::time::Duration;

use recarga_planning::Position;
use recarga_reservation::VehicleId;
use recarga_vehicle::car::{Car, Oddity, Output};
use recarga_vehicle::radio::Delivery;
use recarga_vehicle::{Event, Network, Outcome, Settings};
use recarga_wire::topic::Topic;
use recarga_wire::vehicle::{VehicleAnswer, VehicleRequest, VehicleStatus, Wish};

use super::{now, read};

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);

/// A driver without whims, on empty roads, in still air.
pub fn calm() -> Settings {
    Settings {
        cancel_probability: 0.0,
        jam_probability: 0.0,
        consumption_spread: 0.0,
        status_pause_min: Duration::ZERO,
        ..Settings::default()
    }
}

/// One car, and everything that it has said.
pub struct Script {
    pub car: Car,
    pub elapsed: Duration,
    pub requests: Vec<Vec<u8>>,
    pub statuses: Vec<VehicleStatus>,
    pub events: Vec<Event>,
    pub ignored: usize,
    pub wrong: usize,
}

impl Script {
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self::on(super::demo(), settings, seed)
    }

    pub fn on(network: Arc<Network>, settings: Settings, seed: u64) -> Self {
        let id = VehicleId::new("carro-0001").unwrap();
        let car = Car::new(id, network, Arc::new(settings), seed, now(Duration::ZERO));
        Self {
            car,
            elapsed: Duration::ZERO,
            requests: vec![],
            statuses: vec![],
            events: vec![],
            ignored: 0,
            wrong: 0,
        }
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Publish(publication) if matches!(publication.topic, Topic::VehicleRequest(_)) => {
                    assert_eq!(publication.delivery, Delivery::Sure);
                    self.requests.push(publication.payload);
                }
                Output::Publish(publication) => {
                    assert_eq!(publication.topic, Topic::VehicleStatus(self.car.id().clone()));
                    self.statuses.push(recarga_wire::decode(&publication.payload).unwrap());
                }
                Output::Tell(event) => self.events.push(event),
                Output::Count(Oddity::Ignored) => self.ignored += 1,
                Output::Count(Oddity::Wrong) => self.wrong += 1,
            }
        }
    }

    /// Lets the car live until then, waking it when it wants and a little late, as a task is.
    pub fn live_until(&mut self, elapsed: Duration) {
        while let Some(wake) = self.car.wake().filter(|wake| *wake <= elapsed) {
            self.elapsed = self.elapsed.max(wake);
            let outputs = self.car.tick(now(self.elapsed));
            self.take(outputs);
        }
        self.elapsed = elapsed;
    }

    /// Lets the car live until it publishes a request.
    pub fn next_payload(&mut self) -> Vec<u8> {
        for _ in 0..1_000_000 {
            if !self.requests.is_empty() {
                return self.requests.remove(0);
            }
            let wake = self.car.wake().expect("a car that wants something");
            self.live_until(wake.max(self.elapsed));
        }
        panic!("the car asks for nothing");
    }

    pub fn next_request(&mut self) -> VehicleRequest {
        let payload = self.next_payload();
        read(self.car.id(), &payload)
    }

    /// Lets the companies answer whatever the car asks until one of its trips is reserved.
    pub fn book(&mut self, trip: &str) -> VehicleAnswer {
        for _ in 0..50 {
            let request = self.next_request();
            let answer = super::answered(&request, trip);
            let is_booked = answer.viagem_id.is_some();
            self.answer(answer.clone());
            if is_booked {
                return answer;
            }
        }
        panic!("the car finds nowhere to go: {:?}", self.car);
    }

    /// Lets the companies answer whatever the car asks, until it wants no more.
    pub fn live_out(&mut self) {
        for trip in 0..1000 {
            while self.requests.is_empty() {
                let Some(wake) = self.car.wake() else { return };
                self.live_until(wake.max(self.elapsed));
            }
            let request = self.next_request();
            self.answer(match &request.wish {
                Wish::Cancel(_) => super::cancelled(&request),
                _ => super::answered(&request, &format!("viagem-{trip}")),
            });
        }
        panic!("it never ends: {:?}", self.car);
    }

    pub fn answer(&mut self, answer: VehicleAnswer) {
        self.elapsed += Duration::from_millis(5);
        let outputs = self.car.answered(answer, now(self.elapsed));
        self.take(outputs);
    }

    /// What the car has said last of itself.
    pub fn status(&self) -> VehicleStatus {
        self.statuses.last().unwrap().clone()
    }

    pub fn outcomes(&self) -> Vec<&Outcome> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::TripAnswered(answered) => Some(&answered.outcome),
                _ => None,
            })
            .collect()
    }

    pub fn has(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

/// Where a car says that it is.
pub fn place(status: &VehicleStatus) -> Position {
    Position { latitude: status.latitude, longitude: status.longitude }
}
