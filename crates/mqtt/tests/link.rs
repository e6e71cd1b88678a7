//! The MQTT link against the embedded broker: what a node and a car rely on.
#![allow(clippy::expect_used, reason = "the helpers of a test may stop it")]

use std::net::SocketAddr;
use std::time::Duration;

use recarga_mqtt::broker::{Account, BrokerError, BrokerOptions, EmbeddedBroker};
use recarga_mqtt::link::{Incoming, LatestOf, Link, LinkError, LinkOptions, LinkState, Message, Qos, Will};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

const SOON: Duration = Duration::from_secs(10);

async fn broker(address: SocketAddr) -> EmbeddedBroker {
    let account = |name: &str| Account { name: name.into(), password: "pw".into() };
    let options = BrokerOptions::new(address, vec![account("empresa-a"), account("empresa-b")]);
    EmbeddedBroker::start(options).await.expect("broker")
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

fn node(url: &str) -> LinkOptions {
    let mut options = LinkOptions::new(url, "empresa-a");
    options.username = Some("empresa-a".into());
    options.password = Some("pw".into());
    options.subscriptions = vec![
        ("veiculo/+/requisicao".into(), Qos::AtLeastOnce),
        ("veiculo/+/status".into(), Qos::AtLeastOnce),
    ];
    options
}

fn car(url: &str, id: &str) -> LinkOptions {
    let mut options = LinkOptions::new(url, id);
    options.subscriptions = vec![(format!("veiculo/{id}/resposta"), Qos::AtLeastOnce)];
    options
}

async fn open(options: LinkOptions) -> (Link, Receiver<Incoming>) {
    let (link, receiver) = Link::open(options).expect("options");
    connected(&link).await;
    (link, receiver)
}

async fn connected(link: &Link) -> LinkState {
    state(link, |s| matches!(s, LinkState::Connected { .. })).await
}

async fn state(link: &Link, wanted: impl FnMut(&LinkState) -> bool) -> LinkState {
    let mut state = link.state();
    timeout(SOON, state.wait_for(wanted)).await.expect("state in time").expect("link alive").clone()
}

async fn next(receiver: &mut Receiver<Incoming>) -> Incoming {
    timeout(SOON, receiver.recv()).await.expect("a message in time").expect("link alive")
}

async fn silence(receiver: &mut Receiver<Incoming>) -> bool {
    timeout(Duration::from_millis(300), receiver.recv()).await.is_err()
}

/// A process that dies takes its runtime with it: sockets close without a goodbye, nothing more is sent.
fn die(process: Runtime) {
    process.shutdown_timeout(Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_and_its_answer() {
    let broker = broker(any_port()).await;
    let (node, mut requests) = open(node(&broker.url())).await;
    let (car, mut answers) = open(car(&broker.url(), "carro-1")).await;

    let mut request = Message::new("veiculo/carro-1/requisicao", "?");
    request.response_topic = Some("veiculo/carro-1/resposta".into());
    request.correlation_data = Some("42".into());
    car.publish(request).await.expect("request");
    let request = next(&mut requests).await;
    assert_eq!((request.topic.as_str(), &request.payload[..]), ("veiculo/carro-1/requisicao", &b"?"[..]));
    assert_eq!((request.qos, request.retain), (Qos::AtLeastOnce, false));

    let mut answer = Message::new(request.response_topic.expect("response topic"), "!");
    answer.correlation_data = request.correlation_data;
    request.ack.done();
    node.publish(answer).await.expect("answer");
    let answer = next(&mut answers).await;
    assert_eq!(answer.correlation_data.as_deref(), Some(&b"42"[..]));
    answer.ack.done();

    car.shutdown().await;
    assert_eq!(*car.state().borrow(), LinkState::Closed);
    assert_eq!(car.publish(Message::new("veiculo/carro-1/requisicao", "?")).await, Err(LinkError::Closed));
    broker.shutdown().await;
}

#[test]
fn a_process_that_dies_before_it_acknowledges_gets_the_message_again_and_can_answer() {
    let outside = Runtime::new().expect("runtime");
    let broker = outside.block_on(broker(any_port()));
    let (car, mut answers) = outside.block_on(open(car(&broker.url(), "carro-1")));
    for round in 0..15 {
        let process = Runtime::new().expect("runtime");
        let (link, mut requests) = process.block_on(open(node(&broker.url())));
        outside
            .block_on(car.publish(Message::new("veiculo/carro-1/requisicao", format!("{round}"))))
            .expect("publish");
        let request = process.block_on(next(&mut requests));
        die(process);
        drop((request, requests, link));

        let process = Runtime::new().expect("runtime");
        process.block_on(async {
            let (link, mut requests) = Link::open(node(&broker.url())).expect("options");
            assert_eq!(connected(&link).await, LinkState::Connected { session_present: true });
            let request = next(&mut requests).await;
            assert_eq!(request.payload, format!("{round}"));
            request.ack.done();
            // A resumed session must not keep the node from answering at QoS 1.
            let answer = link.publish(Message::new("veiculo/carro-1/resposta", format!("{round}")));
            timeout(SOON, answer).await.expect("in time").expect("answer");
            link.shutdown().await;
        });
        let answer = outside.block_on(next(&mut answers));
        assert_eq!(answer.payload, format!("{round}"));
        answer.ack.done();
    }
    // What was acknowledged does not come again.
    outside.block_on(async {
        let (_link, mut requests) = open(node(&broker.url())).await;
        assert!(silence(&mut requests).await);
        broker.shutdown().await;
    });
}

#[test]
fn a_broker_that_dies_and_comes_back() {
    let outside = Runtime::new().expect("runtime");
    let process = Runtime::new().expect("runtime");
    let first = process.block_on(broker(any_port()));
    let address = first.local_addr();
    outside.block_on(async {
        let (node, mut requests) = open(node(&first.url())).await;
        let (car, mut answers) = open(car(&first.url(), "carro-1")).await;
        tokio::task::spawn_blocking(|| die(process)).await.expect("the broker dies");
        state(&node, |s| matches!(s, LinkState::Disconnected { .. })).await;
        state(&car, |s| matches!(s, LinkState::Disconnected { .. })).await;

        let mut position = Message::new("veiculo/carro-1/status", "here");
        position.qos = Qos::AtMostOnce;
        assert_eq!(car.publish(position).await, Err(LinkError::NotConnected));
        let late = tokio::spawn({
            let node = node.clone();
            async move { node.publish(Message::new("veiculo/carro-1/resposta", "late")).await }
        });
        sleep(Duration::from_millis(300)).await;
        assert!(!late.is_finished(), "QoS 1 waits");

        let second = broker(address).await;
        // This broker forgot everything: who was subscribed must be so again.
        assert_eq!(connected(&car).await, LinkState::Connected { session_present: false });
        connected(&node).await;
        timeout(SOON, late).await.expect("in time").expect("task").expect("published at last");
        car.publish(Message::new("veiculo/carro-1/requisicao", "again")).await.expect("publish");
        let request = next(&mut requests).await;
        assert_eq!(request.payload, "again");
        node.publish(Message::new("veiculo/carro-1/resposta", "yes")).await.expect("publish");
        loop {
            let answer = next(&mut answers).await;
            let last = answer.payload == "yes";
            answer.ack.done();
            if last {
                break;
            }
        }
        assert_eq!(car.stats().connections, 2);
        second.shutdown().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_keeps_to_its_own_topics() {
    let broker = broker(any_port()).await;
    let url = broker.url();
    let (node, _requests) = open(node(&url)).await;
    for filter in ["veiculo/carro-2/resposta", "veiculo/+/resposta", "veiculo/#", "#", "servidor/#"] {
        let mut options = LinkOptions::new(&url, "carro-1");
        options.subscriptions = vec![(filter.into(), Qos::AtLeastOnce)];
        let (link, mut heard) = Link::open(options).expect("options");
        let refused = state(&link, |s| matches!(s, LinkState::Disconnected { .. })).await;
        let LinkState::Disconnected { reason, .. } = refused else { unreachable!() };
        assert!(reason.contains(filter) && reason.contains("NotAuthorized"), "{reason}");
        node.publish(Message::new("veiculo/carro-2/resposta", "for carro-2")).await.expect("answer");
        assert!(silence(&mut heard).await, "{filter}");
        link.shutdown().await;
    }
    let (car, _answers) = open(car(&url, "carro-1")).await;
    for topic in [
        "veiculo/carro-2/requisicao",
        "veiculo/carro-1/resposta",
        "veiculo/carro-2/status",
        "servidor/empresa-a/resposta",
    ] {
        let refused = car.publish(Message::new(topic, "x")).await;
        assert_eq!(refused, Err(LinkError::Refused("NotAuthorized".into())), "{topic}");
    }
    assert_eq!(
        node.publish(Message::new("servidor/empresa-b/resposta", "x")).await,
        Err(LinkError::Refused("NotAuthorized".into()))
    );
    for topic in ["a/+/b", "#", ""] {
        assert_eq!(car.publish(Message::new(topic, "x")).await, Err(LinkError::Topic(topic.into())));
    }
    let big = Message::new("veiculo/carro-1/requisicao", vec![0; 1024 * 1024]);
    assert!(matches!(car.publish(big).await, Err(LinkError::TooLarge { limit: 1_048_576, .. })));
    assert!(car.is_connected(), "none of this breaks the connection");
    assert_eq!(car.stats().connections, 1);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_client_hears_in_its_own_protocol_that_nothing_more_will_happen() {
    let broker = broker(any_port()).await;
    let (_node, mut requests) = open(node(&broker.url())).await;
    let mut socket = TcpStream::connect(broker.local_addr()).await.expect("connect");
    let mut exchange = async |packet: Vec<u8>, answer: &[u8]| {
        socket.write_all(&packet).await.expect("write");
        let mut bytes = [0; 4];
        timeout(SOON, socket.read_exact(&mut bytes)).await.expect("in time").expect("read");
        assert_eq!(bytes, answer);
    };
    exchange([b"\x10\x13\0\x04MQTT\x04\x02\0\0\0\x07carro-1".as_slice()].concat(), &[0x20, 2, 0, 0]).await;
    // Packet ids 1 to 3; the forbidden one in the middle looks like the others.
    for (id, car) in [(1, b'1'), (2, b'2'), (3, b'1')] {
        let publish =
            [b"\x32\x1f\0\x1aveiculo/carro-", [car].as_slice(), b"/requisicao\0", &[id, b'x']].concat();
        exchange(publish, &[0x40, 2, 0, id]).await;
    }
    for _ in 0..2 {
        let request = next(&mut requests).await;
        assert_eq!(request.topic, "veiculo/carro-1/requisicao");
        request.ack.done();
    }
    assert!(silence(&mut requests).await);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_let_in_learns_why() {
    let broker = broker(any_port()).await;
    let mut options = node(&broker.url());
    options.password = Some("wrong".into());
    let (link, _) = Link::open(options).expect("options");
    let state = state(&link, |s| matches!(s, LinkState::Disconnected { .. })).await;
    assert!(format!("{state:?}").contains("BadUserNamePassword"), "{state:?}");
    link.shutdown().await;
    assert_eq!(link.stats().connections, 0);

    let mut options = car(&broker.url(), "carro-1");
    options.last_will =
        Some(Will { topic: "veiculo/carro-2/status".into(), payload: "x".into(), retain: true });
    let (link, _) = Link::open(options).expect("options");
    let state = self::state(&link, |s| matches!(s, LinkState::Disconnected { .. })).await;
    assert!(format!("{state:?}").contains("NotAuthorized"), "{state:?}");
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_will_speaks_only_when_nobody_said_goodbye() {
    let broker = broker(any_port()).await;
    let (_node, mut heard) = open(node(&broker.url())).await;
    let with_will = |id: &str| {
        let mut options = car(&broker.url(), id);
        options.last_will =
            Some(Will { topic: format!("veiculo/{id}/status"), payload: "gone".into(), retain: true });
        options
    };
    let (polite, _answers) = open(with_will("carro-1")).await;
    polite.shutdown().await;
    let url = broker.url();
    let lost = with_will("carro-2");
    std::thread::spawn(move || {
        let process = Runtime::new().expect("runtime");
        let _link = process.block_on(open(lost));
        die(process);
    });
    let will = next(&mut heard).await;
    assert_eq!((will.topic.as_str(), &will.payload[..]), ("veiculo/carro-2/status", &b"gone"[..]));
    will.ack.done();
    assert!(silence(&mut heard).await);

    // It is kept, and comes first to who listens for the first time.
    let mut options = node(&url);
    options.client_id = "empresa-a.2".into();
    let (_late, mut heard) = open(options).await;
    let kept = next(&mut heard).await;
    assert_eq!((kept.topic.as_str(), kept.retain), ("veiculo/carro-2/status", true));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_taken_comes_again() {
    let broker = broker(any_port()).await;
    let (node, mut requests) = open(node(&broker.url())).await;
    let (car, _answers) = open(car(&broker.url(), "carro-1")).await;
    for n in 0..3 {
        car.publish(Message::new("veiculo/carro-1/requisicao", format!("{n}"))).await.expect("publish");
    }
    let (first, second, third) =
        (next(&mut requests).await, next(&mut requests).await, next(&mut requests).await);
    first.ack.done();
    third.ack.done(); // waits for the second
    drop(second);
    let mut again = next(&mut requests).await;
    if again.payload == "0" {
        again.ack.done(); // its acknowledgement may not have left before the connection was given up
        again = next(&mut requests).await;
    }
    assert_eq!(again.payload, "1");
    again.ack.done();
    let last = next(&mut requests).await;
    assert_eq!(last.payload, "2");
    last.ack.done();
    assert!(silence(&mut requests).await);
    assert_eq!(node.stats().connections, 2);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_to_one_loses_nothing_and_never_exceeds_the_window() {
    const CARS: usize = 40;
    const EACH: usize = 25;
    let broker = broker(any_port()).await;
    let mut options = node(&broker.url());
    (options.receive_maximum, options.queue) = (16, 4); // smaller than the window: the backlog holds the rest
    let (_node, mut requests) = open(options).await;
    let mut cars = tokio::task::JoinSet::new();
    for id in 0..CARS {
        let options = car(&broker.url(), &format!("carro-{id}"));
        cars.spawn(async move {
            let (car, _answers) = open(options).await;
            for n in 0..EACH {
                car.publish(Message::new(format!("veiculo/carro-{id}/requisicao"), format!("{id}-{n}")))
                    .await
                    .expect("publish");
            }
            car.shutdown().await;
        });
    }
    let mut seen = std::collections::HashSet::new();
    let mut unacknowledged = Vec::new();
    while seen.len() < CARS * EACH {
        match timeout(Duration::from_millis(25), requests.recv()).await {
            Ok(request) => {
                let request = request.expect("link alive");
                assert!(seen.insert(request.payload.clone()), "twice: {:?}", request.payload);
                unacknowledged.push(request.ack);
                assert!(unacknowledged.len() <= 16, "more than the receive maximum");
            }
            // The broker has stopped sending: acknowledge, in the worst order.
            Err(_) => unacknowledged.drain(..).rev().for_each(|ack| ack.done()),
        }
    }
    cars.join_all().await;
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_statuses_the_newest_is_left_and_none_is_in_the_way_of_a_request() {
    const STATUSES: usize = 2000;
    let broker = broker(any_port()).await;
    let mut options = node(&broker.url());
    options.subscriptions[1].1 = Qos::AtMostOnce;
    options.latest = Some(LatestOf { filter: "veiculo/+/status".into(), topics_max: 10 });
    options.queue = 1;
    let (node, mut requests) = open(options).await;
    let (car, _answers) = open(car(&broker.url(), "carro-1")).await;
    for number in 0..STATUSES {
        car.publish(Message::new("veiculo/carro-1/status", number.to_string())).await.expect("publish");
    }
    car.publish(Message::new("veiculo/carro-1/requisicao", "?")).await.expect("publish");
    // Nobody has read a status, and nobody needs to.
    let request = next(&mut requests).await;
    assert_eq!((request.topic.as_str(), &request.payload[..]), ("veiculo/carro-1/requisicao", &b"?"[..]));
    request.ack.done();
    let latest = node.latest().expect("it was asked for");
    let newest = (STATUSES - 1).to_string().into_bytes();
    // A request may overtake what was said before it.
    let mut read = 0;
    loop {
        let unread = timeout(SOON, latest.take()).await.expect("the newest in time");
        read += unread.len() as u64;
        if unread.get("veiculo/carro-1/status") == Some(&newest) {
            break;
        }
    }
    assert!(read < 5, "{read} of one car");
    assert_eq!((read + latest.superseded(), latest.dropped()), (STATUSES as u64, 0));
    assert_eq!(node.stats().dropped, 0);
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_and_an_absent_broker_is_waited_for() {
    let first = broker(any_port()).await;
    let address = first.local_addr();
    let second = EmbeddedBroker::start(BrokerOptions::new(address, vec![])).await;
    let Err(error @ BrokerError::Bind { .. }) = second else { panic!("two brokers on one port") };
    assert!(error.to_string().starts_with(&format!("the MQTT broker cannot listen on {address}")), "{error}");
    assert!(std::error::Error::source(&error).is_none(), "what the system said would be printed twice");
    first.shutdown().await;

    let (link, mut answers) = Link::open(car(&format!("mqtt://{address}"), "carro-1")).expect("options");
    state(&link, |s| matches!(s, LinkState::Disconnected { .. })).await;
    let first = broker(address).await; // the port is free again at once
    connected(&link).await;
    let (node, _requests) = open(node(&first.url())).await;
    node.publish(Message::new("veiculo/carro-1/resposta", "!")).await.expect("publish");
    next(&mut answers).await.ack.done();
    drop(link);
    assert!(
        timeout(SOON, answers.recv()).await.expect("ends in time").is_none(),
        "the last handle ends the task"
    );
    first.shutdown().await;
}
