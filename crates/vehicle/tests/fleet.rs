//! Many cars, over the air and over a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::Companies;
use recarga_mqtt::broker::{Account, BrokerOptions, EmbeddedBroker};
use recarga_mqtt::link::{Link, LinkOptions, Message, Qos};
use recarga_reservation::VehicleId;
use recarga_vehicle::radio::{Airwaves, Delivery, Heard, Publication, Radio, RadioError};
use recarga_vehicle::{Event, Fleet, FleetOptions, Outcome, Settings, WallClock};
use recarga_wire::topic::{self, Topic};
use tokio::sync::mpsc;

fn wall_clock() -> WallClock {
    let started = tokio::time::Instant::now();
    Arc::new(move || common::now(started.elapsed()).utc)
}

/// Airwaves that lose every fourth request and repeat every answer, with all companies at the other end.
struct Noisy(Arc<Companies>);

struct NoisyRadio {
    car: VehicleId,
    companies: Arc<Companies>,
    chance: std::sync::Mutex<fastrand::Rng>,
    sender: mpsc::UnboundedSender<Heard>,
    receiver: mpsc::UnboundedReceiver<Heard>,
}

impl Airwaves for Noisy {
    type Radio = NoisyRadio;

    fn open(&self, car: &VehicleId, last_will: Publication) -> Result<NoisyRadio, RadioError> {
        assert_eq!(last_will.delivery, Delivery::Kept);
        let (sender, receiver) = mpsc::unbounded_channel();
        sender.send(Heard::Online).unwrap();
        let seed = car.as_str().bytes().map(u64::from).sum();
        let chance = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
        Ok(NoisyRadio { car: car.clone(), companies: Arc::clone(&self.0), chance, sender, receiver })
    }
}

impl Radio for NoisyRadio {
    fn publish(
        &self,
        publication: Publication,
    ) -> impl Future<Output = Result<(), RadioError>> + Send + 'static {
        let is_lost = self.chance.lock().unwrap().u8(0..4) == 0;
        let answers: Vec<Heard> = match publication.topic {
            Topic::VehicleRequest(_) if !is_lost => {
                let answer = self.companies.answer(&self.car, &publication.payload);
                let heard = Heard::Message { payload: recarga_wire::encode(&answer) };
                vec![heard.clone(), heard]
            }
            _ => vec![],
        };
        let sender = self.sender.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            answers.into_iter().for_each(|answer| _ = sender.send(answer));
            Ok(())
        }
    }

    async fn hear(&mut self) -> Option<Heard> {
        self.receiver.recv().await
    }

    async fn close(self) {}
}

#[tokio::test(start_paused = true)]
async fn a_fleet_books_everything_once_and_comes_to_rest() {
    let companies = Arc::new(Companies::default());
    let (sender, mut events) = mpsc::channel(1_000_000);
    let mut options = FleetOptions::new("unused");
    options.count = 100;
    options.settings = Settings { trips: Some(3), speed: 3600.0, ..Settings::default() };
    let airwaves = Noisy(Arc::clone(&companies));
    let fleet = Fleet::start_on(airwaves, options, common::demo(), wall_clock(), sender).unwrap();
    fleet.join().await;
    let counts = fleet.counts();
    let (mut confirmed, mut cancelled, mut repeats) = (0, 0, 0);
    while let Some(event) = events.recv().await {
        match event {
            Event::TripAnswered(answered) => match answered.outcome {
                Outcome::Confirmed => confirmed += answered.stops.len(),
                Outcome::Cancelled => cancelled += answered.stops.len(),
                _ => {}
            },
            Event::TripAsked(asked) if asked.sent > 1 => repeats += 1,
            _ => {}
        }
    }
    assert_eq!(companies.reserved(), confirmed - cancelled, "what cars believe is what companies believe");
    assert_eq!((counts.finished, counts.online, counts.malformed, counts.wrong), (100, 0, 0, 0));
    assert_eq!(counts.repeats, repeats);
    assert!(counts.confirmed >= 300 && counts.arrived >= 250, "{counts:?}");
    assert!(counts.refused > 0 && counts.cancelled > 0 && counts.repeats > 0, "{counts:?}");
    assert!(counts.ignored >= counts.confirmed, "each answer came twice: {counts:?}");
    assert_eq!((counts.events_dropped, counts.unanswered, counts.out_of_battery), (0, 0, 0), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_stops_waits_for_its_answers_only() {
    let companies = Arc::new(Companies::default());
    let (sender, _events) = mpsc::channel(16);
    let options = FleetOptions { count: 50, ..FleetOptions::new("unused") };
    let airwaves = Noisy(Arc::clone(&companies));
    let fleet = Fleet::start_on(airwaves, options, common::demo(), wall_clock(), sender).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let began = tokio::time::Instant::now();
    fleet.stop().await;
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
    let counts = fleet.counts();
    assert!(counts.confirmed > 0 && counts.online == 0 && counts.finished == 0, "{counts:?}");
    assert!(counts.events_dropped > 0, "a receiver that does not listen stops nobody");
}

#[tokio::test(start_paused = true)]
async fn options_that_make_no_sense_are_refused() {
    let start = |change: fn(&mut FleetOptions)| {
        let mut options = FleetOptions::new("mqtt://127.0.0.1:1");
        change(&mut options);
        let (sender, _) = mpsc::channel(1);
        Fleet::start(options, common::demo(), wall_clock(), sender)
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    assert_eq!(start(|_| {}), Ok(()));
    type Change = fn(&mut FleetOptions);
    let refused: [(Change, &str); 6] = [
        (|options| options.count = 0, "count: must be 1 to 5000"),
        (|options| options.connects_per_second = 0.0, "connects_per_second: must be 0.1 to 1000000"),
        (|options| options.settings.speed = f64::NAN, "speed: must be 1 to 100000"),
        (|options| options.settings.trips = Some(0), "trips: must not be zero"),
        (|options| options.id_prefix = "a/".into(), "'a/0001' is no vehicle id"),
        (|options| options.broker_url = "http://x".into(), "'http://x' is not a broker's URL"),
    ];
    for (change, message) in refused {
        let error = start(change).unwrap_err();
        assert!(error.starts_with(message), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cars_book_over_a_real_broker() {
    let account = Account { name: "empresa-a".into(), password: "segredo".into() };
    let mut rules = BrokerOptions::new(([127, 0, 0, 1], 0).into(), vec![account]);
    let car = |number| Account { name: format!("carro-{number:04}"), password: "senha".into() };
    rules.cars = (1..=20).map(car).collect();
    rules.cars_need_password = true;
    let broker = EmbeddedBroker::start(rules).await.unwrap();

    let companies = Arc::new(Companies::default());
    let (node, mut requests) = Link::open(LinkOptions {
        username: Some("empresa-a".into()),
        password: Some("segredo".into()),
        subscriptions: vec![
            (topic::ALL_REQUESTS.into(), Qos::AtLeastOnce),
            (topic::ALL_STATUS.into(), Qos::AtLeastOnce),
        ],
        ..LinkOptions::new(broker.url(), "empresa-a")
    })
    .unwrap();
    node.state()
        .wait_for(|state| matches!(state, recarga_mqtt::link::LinkState::Connected { .. }))
        .await
        .unwrap();
    let answering = tokio::spawn({
        let companies = Arc::clone(&companies);
        async move {
            let mut offline = 0;
            while let Some(message) = requests.recv().await {
                match message.topic.parse::<Topic>().unwrap() {
                    Topic::VehicleRequest(car) => {
                        let answer = companies.answer(&car, &message.payload);
                        let topic = Topic::VehicleAnswer(car).to_string();
                        node.publish(Message::new(topic, recarga_wire::encode(&answer))).await.unwrap();
                    }
                    _ => {
                        let status: recarga_wire::vehicle::VehicleStatus =
                            recarga_wire::decode(&message.payload).unwrap();
                        let is_offline = status.estado == Some(recarga_wire::vehicle::VehicleState::Offline);
                        offline += u32::from(is_offline);
                    }
                }
                message.ack.done();
                if offline == 20 {
                    break;
                }
            }
            offline
        }
    });

    let mut options = FleetOptions::new(broker.url());
    options.credentials = recarga_vehicle::Credentials::SharedPassword("senha".into());
    options.count = 20;
    options.settings = Settings { trips: Some(2), speed: 36_000.0, ..Settings::default() };
    let (sender, _events) = mpsc::channel(100_000);
    let fleet = Fleet::start(options, common::demo(), wall_clock(), sender).unwrap();
    tokio::time::timeout(Duration::from_secs(60), fleet.join()).await.expect("every car makes its trips");
    let counts = fleet.counts();
    assert_eq!(
        (counts.finished, counts.malformed, counts.wrong, counts.ignored),
        (20, 0, 0, 0),
        "{counts:?}"
    );
    assert!(counts.confirmed >= 40 && counts.arrived >= 30, "{counts:?}");
    let offline =
        tokio::time::timeout(Duration::from_secs(10), answering).await.expect("every car says goodbye");
    assert_eq!(offline.unwrap(), 20);
    broker.shutdown().await;
}
