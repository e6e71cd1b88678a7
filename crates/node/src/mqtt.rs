//! Cars speak MQTT: their requests come in, the answers go out, and what they say of themselves is kept.
//!
//! A request is acknowledged to the broker only when it is durable here (the inbox); its answer is owed until the
//! broker has acknowledged it (the outbox). A repeat finds its letter and gets the same answer, so whatever the
//! broker loses or repeats, the car hears one thing: unless its trip was cancelled or changed since, which it hears.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::FutureExt as _;
use recarga_mqtt::link::{Incoming, LatestOf, Link, LinkOptions, LinkState, Message, Qos};
use recarga_reservation::{OperatorId, RequestKey, Told, VehicleId};
use recarga_wire::topic::{ALL_REQUESTS, ALL_STATUS, Topic};
use recarga_wire::vehicle::{VehicleAnswer, VehicleRequest, Wish, decode_request, salvage};
use recarga_wire::{Problem, ProblemKind};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};
use twox_hash::XxHash3_64;

use crate::app::Node;
use crate::config;
use crate::ledger::Stopped;
use crate::mailbox::Receipt;
use crate::refusal;
use crate::replicas::{self, PassedOn};
use crate::store::Letter;

mod answering;
mod replica;
mod sightings;
use answering::Earlier;
pub use replica::pass_on;

/// Requests worked on at a time; more wait, durable already.
const WORK_MAX: usize = 512;
/// How long one answer waits for the broker before it is left to the next sweep.
const DELIVERY_MAX: Duration = Duration::from_secs(20);
/// How long the broker keeps what it has given to a replica that is away. Mosquitto goes on giving it its share, so one
/// that never comes back must be forgotten soon; cars send again what is not answered.
const REPLICA_SESSION: Duration = Duration::from_secs(60);
/// How often answers that the broker does not have yet are tried again.
const SWEEP: Duration = Duration::from_secs(5);

/// Serves cars until `stop`; then takes nothing new and finishes what is under way. `passed_on` are requests that came
/// to other replicas, if this process is one of several, named `replica`.
pub async fn serve(
    node: Arc<Node>,
    broker: config::Mqtt,
    replica: Option<String>,
    connected: watch::Sender<bool>,
    passed_on: Option<mpsc::Receiver<PassedOn>>,
    stop: CancellationToken,
) {
    let (link, incoming) = match Link::open(options(&node, &broker, replica.as_deref())) {
        Ok(opened) => opened,
        Err(error) => {
            error!(%error, "cannot speak MQTT; cars cannot reach this company until the configuration is mended");
            return;
        }
    };
    let office = Arc::new(Office {
        node,
        link: link.clone(),
        places: Arc::new(Semaphore::new(WORK_MAX)),
        tasks: TaskTracker::new(),
    });
    let watching = tokio::spawn(watch_state(link.state(), connected));
    let seeing = tokio::spawn(sightings::watch(office.node.clone(), link.clone()));
    office.take_up_where_it_stopped();
    let others =
        passed_on.map(|letters| tokio::spawn(office.clone().receive_from_others(letters, stop.clone())));
    office.clone().receive_until(incoming, &stop).await;
    if let Some(others) = others {
        let _ = others.await;
    }
    // What is under way may still be answered, so the link goes last.
    office.tasks.close();
    office.tasks.wait().await;
    seeing.abort();
    link.shutdown().await;
    watching.abort();
}

struct Office {
    node: Arc<Node>,
    link: Link,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Office {
    // Finishes or refuses the requests that an earlier run took in, and sends the answers that it owed.
    fn take_up_where_it_stopped(self: &Arc<Self>) {
        let unanswered = self.node.ledger.look(|state| state.mailbox.unanswered());
        if !unanswered.is_empty() {
            info!(
                requests = unanswered.len(),
                "taking up requests that were under way when the node stopped"
            );
        }
        for letter in unanswered {
            self.work_on(letter);
        }
    }

    async fn receive_until(
        self: Arc<Self>,
        mut incoming: mpsc::Receiver<Incoming>,
        stop: &CancellationToken,
    ) {
        let mut sweep = interval(SWEEP);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = sweep.tick() => self.deliver_owed(),
                message = incoming.recv() => match message {
                    Some(message) => self.receive(message),
                    None => return,
                },
            }
        }
    }

    // What came to other replicas. Whoever is not told that a letter is safe passes it on again.
    async fn receive_from_others(
        self: Arc<Self>,
        mut letters: mpsc::Receiver<PassedOn>,
        stop: CancellationToken,
    ) {
        while let Some(Some((letter, taken))) = stop.run_until_cancelled(letters.recv()).await {
            self.read(letter, move || {
                let _ = taken.send(());
            });
        }
    }

    fn receive(self: &Arc<Self>, message: Incoming) {
        let (letter, ack) = replica::letter(message);
        self.read(letter, || ack.done());
    }

    // `taken` is called once nothing more is needed of whoever brought it.
    fn read(self: &Arc<Self>, letter: replicas::Letter, taken: impl FnOnce() + Send + 'static) {
        let replicas::Letter { topic, payload, response_topic, correlation, trace } = letter;
        match topic.parse() {
            // A status that a broker brings at QoS 1, although it was not asked to.
            Ok(Topic::VehicleStatus(_)) => {
                sightings::see(&self.node, [(topic.as_str(), &payload[..])]);
                taken();
            }
            Ok(Topic::VehicleRequest(vehicle)) => {
                let response_topic = response_topic.filter(|topic| is_own_topic(topic, &vehicle));
                let context = self.node.events.traces().come_with(|| trace.as_deref());
                let this = self.clone();
                let taking_in = async move {
                    let envelope = Envelope { vehicle, response_topic, correlation };
                    // A request that could not be recorded is not acknowledged: it is brought again.
                    if this.take_in(envelope, &payload).await.is_ok() {
                        taken();
                    }
                };
                self.tasks.spawn(taking_in.with_context(context));
            }
            _ => {
                self.node.metrics.mqtt("unknown_topic");
                debug!(topic, "a message on a topic that is none of this network's");
                taken();
            }
        }
    }

    async fn take_in(self: &Arc<Self>, envelope: Envelope, payload: &[u8]) -> Result<(), Stopped> {
        let vehicle = envelope.vehicle.clone();
        if payload.len() > self.node.body_max {
            let most = self.node.body_max;
            let detail = format!("o pedido passa de {most} bytes; envie menos paradas");
            let problem = Problem::new(ProblemKind::BodyTooLarge, detail);
            self.refuse_unreadable(envelope, payload, problem);
            return Ok(());
        }
        let request = match decode_request(payload, &vehicle) {
            Ok(request) => request,
            Err(problem) => {
                self.refuse_unreadable(envelope, payload, problem);
                return Ok(());
            }
        };
        match self.whose(&request) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(problem) => {
                self.refuse(envelope, Some(request.request), problem);
                return Ok(());
            }
        }
        self.node.metrics.mqtt("request");
        // It was decoded, so it is UTF-8.
        let text = String::from_utf8_lossy(payload).into_owned();
        let letter = Letter {
            key: RequestKey { vehicle, request: request.request },
            received: self.node.clock.now().utc,
            request: text,
            answer: None,
            owed: false,
            response_topic: envelope.response_topic.clone(),
            correlation: envelope.correlation.clone(),
        };
        let key = &letter.key;
        // Other words may ask for the same. Until when and of whom it was asked is no part of it.
        let asks_the_same = |known: &str| {
            let known = decode_request(known.as_bytes(), &key.vehicle);
            known.is_ok_and(|known| known.wish.is_same(&request.wish))
        };
        let received = self.node.ledger.record(|state| {
            let (receipt, records) = state.mailbox.receive(letter.clone(), asks_the_same);
            let earlier = (receipt == Receipt::Different).then(|| Earlier::find(state, key));
            ((receipt, earlier), records, Told::OnceDurable)
        });
        match received.await? {
            (_, Some(earlier)) => {
                let answer = self.differs(key, &earlier);
                self.tell_once(envelope, &answer);
            }
            (Receipt::New, _) => self.work_on(letter),
            (Receipt::Answered, _) => {
                let this = self.clone();
                self.tasks.spawn(async move { this.deliver(&letter.key).await });
            }
            (Receipt::Working | Receipt::Different, _) => {}
        }
        Ok(())
    }

    // Exactly one company answers: the one that coordinates, or the first by name where nobody does.
    fn whose(&self, request: &VehicleRequest) -> Result<bool, Problem> {
        match request.coordinator() {
            Some(operator) if *operator == self.node.operator => Ok(true),
            Some(operator) if self.node.coordinator.knows(operator) => Ok(false),
            Some(operator) if self.is_first() => {
                let known = refusal::names(&self.node.companies());
                let detail = format!("a empresa `{operator}` não faz parte desta rede; use uma de: {known}");
                let field = if request.operator.is_some() { "servidor" } else { "paradas[0].empresa" };
                Err(Problem::new(ProblemKind::UnknownOperator, detail).at(field).of_operator(operator))
            }
            // Whoever plans knows all companies' offers, so any can; the cars are spread over them.
            None if matches!(request.wish, Wish::Plan(_)) => Ok(self.is_home_of(&request.vehicle)),
            None if self.is_first() => {
                let detail = "para cancelar, informe em `servidor` a empresa que confirmou a viagem";
                Err(Problem::new(ProblemKind::MissingField, detail).at("servidor"))
            }
            Some(_) | None => Ok(false),
        }
    }

    // The same for every company and every version of the program.
    fn is_home_of(&self, vehicle: &VehicleId) -> bool {
        let mut companies = self.node.companies();
        companies.sort_unstable();
        let place = XxHash3_64::oneshot(vehicle.as_str().as_bytes()) % companies.len() as u64;
        companies.get(place as usize) == Some(&self.node.operator)
    }

    fn is_first(&self) -> bool {
        self.node.companies().into_iter().min().as_ref() == Some(&self.node.operator)
    }

    // Nothing is known of what it wants, so it is answered once and not remembered.
    fn refuse_unreadable(self: &Arc<Self>, envelope: Envelope, payload: &[u8], problem: Problem) {
        if !self.is_first() {
            return;
        }
        self.node.metrics.mqtt("malformed_request");
        info!(vehicle = %envelope.vehicle, %problem, "a request that cannot be read");
        self.refuse(envelope, salvage(payload).request, problem);
    }

    fn refuse(
        self: &Arc<Self>,
        envelope: Envelope,
        request: Option<recarga_reservation::RequestId>,
        problem: Problem,
    ) {
        let (vehicle, operator) = (envelope.vehicle.clone(), self.node.operator.clone());
        self.tell_once(envelope, &VehicleAnswer::refused(vehicle, request, operator, problem));
    }

    // What is not kept.
    fn tell_once(self: &Arc<Self>, envelope: Envelope, answer: &VehicleAnswer) {
        let Envelope { vehicle, response_topic, correlation } = envelope;
        let payload = recarga_wire::encode(answer);
        let this = self.clone();
        self.tasks.spawn(async move {
            let _ = this.publish(&vehicle, payload, response_topic, correlation).await;
        });
    }

    fn work_on(self: &Arc<Self>, letter: Letter) {
        let this = self.clone();
        let work = async move {
            let Ok(_place) = this.places.acquire().await else { return };
            match this.answer(&letter).await {
                Ok(()) => this.deliver(&letter.key).await,
                // It stays unanswered in the record, and the next run takes it up.
                Err(Stopped) => debug!(vehicle = %letter.key.vehicle, "stopped before the answer"),
            }
        };
        self.tasks.spawn(work.with_current_context());
    }

    fn deliver_owed(self: &Arc<Self>) {
        if !self.link.is_connected() {
            return;
        }
        let this = self.clone();
        self.tasks.spawn(async move {
            // Through the record: an answer that is not durable yet is in memory already, and no car may hear it.
            let owed = this.node.ledger.record(|state| (state.mailbox.owed(), vec![], Told::OnceDurable));
            for letter in owed.await.unwrap_or_default() {
                let that = this.clone();
                this.tasks.spawn(async move { that.deliver(&letter.key).await });
            }
        });
    }

    // The answer must be one that may be told. It is sent once more if it was asked for again meanwhile.
    async fn deliver(&self, key: &RequestKey) {
        let begin = || {
            self.node.ledger.adjust(|state| {
                let letter = state.mailbox.begin_delivery(key)?;
                Some((letter, answering::changed_trip(state, key)))
            })
        };
        while let Some((letter, trip)) = begin() {
            let Ok(payload) = self.payload(&letter, trip).await else { return };
            let sent = self.publish(&key.vehicle, payload, letter.response_topic, letter.correlation);
            let taken = timeout(DELIVERY_MAX, sent).await.unwrap_or(false);
            let recorded = self.node.ledger.record(|state| {
                // If this is lost, the answer is sent once more, which harms nobody.
                ((), state.mailbox.end_delivery(key, taken), Told::AtOnce)
            });
            if recorded.await.is_err() || !taken {
                return;
            }
        }
    }

    // True once the broker has it for the car. The other names are a courtesy: what a broker forbids there must not
    // make the answer owed for ever.
    async fn publish(
        &self,
        vehicle: &VehicleId,
        payload: Vec<u8>,
        response_topic: Option<String>,
        correlation: Option<Vec<u8>>,
    ) -> bool {
        let send = async |topic: String| {
            let mut message = Message::new(topic, payload.clone());
            message.qos = Qos::AtLeastOnce;
            message.correlation_data = correlation.clone().map(Into::into);
            self.link.publish(message).await
        };
        let car = Topic::VehicleAnswer(vehicle.clone()).to_string();
        if let Err(error) = send(car.clone()).await {
            warn!(%vehicle, %error, "the broker does not take an answer");
            return false;
        }
        let own = Topic::NodeAnswer(self.node.operator.clone()).to_string();
        for topic in response_topic.into_iter().filter(|topic| *topic != car).chain([own]) {
            if let Err(error) = send(topic).await {
                debug!(%vehicle, %error, "the broker does not take an answer under its other name");
            }
        }
        true
    }
}

struct Envelope {
    vehicle: VehicleId,
    response_topic: Option<String>,
    correlation: Option<Vec<u8>>,
}

fn options(node: &Node, broker: &config::Mqtt, replica: Option<&str>) -> LinkOptions {
    let mut options = request_options(&node.operator, broker, replica);
    options.subscriptions.push((ALL_STATUS.to_owned(), Qos::AtMostOnce));
    options.latest = Some(LatestOf { filter: ALL_STATUS.to_owned(), topics_max: node.vehicles.most() });
    options
}

// To hear cars' requests: all of them, or with other replicas each of them at one.
fn request_options(operator: &OperatorId, broker: &config::Mqtt, replica: Option<&str>) -> LinkOptions {
    // The same at every start, so that the broker keeps what came while the node was away.
    let (requests, options) = match replica {
        None => (ALL_REQUESTS.to_owned(), LinkOptions::new(&broker.url, operator.to_string())),
        Some(replica) => {
            let requests = format!("$share/{operator}/{ALL_REQUESTS}");
            let options = LinkOptions::new(&broker.url, format!("{operator}-{replica}"));
            (requests, LinkOptions { session_expiry: REPLICA_SESSION, ..options })
        }
    };
    LinkOptions {
        tls: broker.tls.clone(),
        username: broker.username.clone(),
        password: broker.password.as_ref().map(|password| password.expose().to_owned()),
        receive_maximum: 64,
        subscriptions: vec![(requests, Qos::AtLeastOnce)],
        ..options
    }
}

// A node may publish more than a car may; it is not lent for that.
fn is_own_topic(topic: &str, vehicle: &VehicleId) -> bool {
    let own = topic.strip_prefix("veiculo/").and_then(|rest| rest.strip_prefix(vehicle.as_str()));
    own.is_some_and(|rest| rest.starts_with('/') && rest != "/requisicao" && rest != "/status")
        && !topic.contains(['+', '#'])
}

// The link itself logs what happens to the connection.
async fn watch_state(mut state: watch::Receiver<LinkState>, connected: watch::Sender<bool>) {
    loop {
        connected.send_replace(matches!(*state.borrow_and_update(), LinkState::Connected { .. }));
        if state.changed().await.is_err() {
            connected.send_replace(false);
            return;
        }
    }
}
