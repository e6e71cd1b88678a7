//! MQTT packets, on real sockets: what strangers send to the embedded broker, and what a broker sends to a link. The
//! packets themselves are read by libraries; what is tried here is what this project makes of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use recarga_mqtt::broker::{Account, BrokerOptions, EmbeddedBroker};
use recarga_mqtt::link::{Link, LinkOptions, LinkState, Qos};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::requests::split;
use crate::{Form, Target, Verdict};

/// Both ends of a connection.
pub const TARGETS: &[Target] = &[
    Target { name: "broker-packets", form: Form::Requests, read: broker_packets },
    Target { name: "link-packets", form: Form::Requests, read: link_packets },
];

// Longer than anything here takes, and as long as a finding may take.
const SOON: Duration = Duration::from_secs(5);
// Between two parts of an input, if nothing is answered.
const PAUSE: Duration = Duration::from_millis(20);
const PARTS_MAX: usize = 4;

const CONNACK: u8 = 0x20;
const PINGREQ: [u8; 2] = [0xC0, 0];
const PINGRESP: [u8; 2] = [0xD0, 0];

fn broker_packets(bytes: &[u8]) -> Result<Verdict, String> {
    let town = town()?;
    let mut stranger = TcpStream::connect(town.broker).map_err(|error| format!("nobody listens: {error}"))?;
    let verdict = match talk(&mut stranger, bytes).as_slice() {
        [CONNACK, _, _, 0, ..] => Verdict::Accepted,
        _ => Verdict::Refused,
    };
    drop(stranger);
    // Whatever the stranger has said, a car that was there is still served, and has heard nothing of it.
    let mut bystander = town.bystander.lock().unwrap_or_else(PoisonError::into_inner);
    bystander.write_all(&PINGREQ).map_err(|error| format!("another car was cut off: {error}"))?;
    let mut heard = [0; 2];
    bystander.read_exact(&mut heard).map_err(|error| format!("another car is not served: {error}"))?;
    if heard != PINGRESP {
        return Err(format!("a stranger has spoken to another car: {heard:?}"));
    }
    // And so is a new one.
    car(town.broker, "newcomer").map(|_| verdict)
}

// Says one part after the other and returns all that is answered until the broker hangs up, which it may do at any time.
fn talk(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut answers = Vec::new();
    let _ = stream.set_read_timeout(Some(PAUSE));
    for part in split(bytes).into_iter().take(PARTS_MAX) {
        let mut answer = [0; 4096];
        let _ = stream.write_all(part);
        let length = stream.read(&mut answer).unwrap_or(0);
        answers.extend_from_slice(&answer[..length]);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(SOON));
    let _ = stream.read_to_end(&mut answers);
    answers
}

// Connects as a car.
fn car(broker: SocketAddr, id: &str) -> Result<TcpStream, String> {
    let connect = || {
        let mut stream = TcpStream::connect(broker)?;
        stream.set_read_timeout(Some(SOON))?;
        let head = [0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 0, 0, 0];
        let length = u8::try_from(head.len() + 1 + id.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let id_length = u8::try_from(id.len()).map_err(|_| ErrorKind::InvalidInput)?;
        stream.write_all(&[&[0x10, length], &head[..], &[id_length], id.as_bytes()].concat())?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer)?;
        let mut rest = vec![0; answer[1].into()];
        stream.read_exact(&mut rest)?;
        Ok::<_, std::io::Error>((stream, answer[0], rest))
    };
    match connect() {
        Ok((stream, CONNACK, rest)) if rest.get(1) == Some(&0) => Ok(stream),
        Ok((_, kind, rest)) => Err(format!("a good car is refused: {kind} {rest:?}")),
        Err(error) => Err(format!("a good car is not let in: {error}")),
    }
}

/// A broker that lives as long as the process, and a car that hears every answer to it.
struct Town {
    broker: SocketAddr,
    bystander: Mutex<TcpStream>,
    _running: EmbeddedBroker,
}

fn town() -> Result<&'static Town, String> {
    static TOWN: OnceLock<Result<Town, String>> = OnceLock::new();
    TOWN.get_or_init(build_town).as_ref().map_err(Clone::clone)
}

fn build_town() -> Result<Town, String> {
    let company = Account { name: "empresa-a".into(), password: "nobody-guesses-this".into() };
    let options = BrokerOptions::new(([127, 0, 0, 1], 0).into(), vec![company]);
    let running = runtime()?.block_on(EmbeddedBroker::start(options)).map_err(|error| error.to_string())?;
    let broker = running.local_addr();
    let mut bystander = car(broker, "bystander")?;
    let topic = b"veiculo/bystander/resposta";
    let topic_length = u8::try_from(topic.len()).unwrap_or(0);
    let head = [0x82, topic_length + 6, 0, 1, 0, 0, topic_length];
    let answered = bystander.write_all(&[&head[..], topic, &[1]].concat()).and_then(|()| {
        let mut answer = [0; 6];
        bystander.read_exact(&mut answer).map(|()| answer)
    });
    match answered {
        Ok([0x90, 4, 0, 1, 0, 0 | 1]) => {}
        other => return Err(format!("the bystander cannot listen: {other:?}")),
    }
    Ok(Town { broker, bystander: Mutex::new(bystander), _running: running })
}

fn link_packets(bytes: &[u8]) -> Result<Verdict, String> {
    let runtime = runtime()?;
    let harness = |error: std::io::Error| format!("the harness is no broker: {error}");
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(harness)?;
    let url = format!("mqtt://{}", listener.local_addr().map_err(harness)?);
    let options = LinkOptions {
        subscriptions: vec![("veiculo/carro-1/resposta".to_owned(), Qos::AtLeastOnce)],
        jitter_seed: Some(1),
        ..LinkOptions::new(url, "carro-1")
    };
    let _in_runtime = runtime.enter();
    let (link, mut incoming) = Link::open(options).map_err(|error| error.to_string())?;
    let (mut stream, _) = listener.accept().map_err(harness)?;
    stream.set_read_timeout(Some(SOON)).map_err(harness)?;
    // What it says, such as its subscription, may be waited for; it may also have hung up.
    let listen = |stream: &mut TcpStream| _ = stream.read(&mut [0; 4096]);
    listen(&mut stream);
    stream.set_read_timeout(Some(PAUSE)).map_err(harness)?;
    for part in split(bytes).into_iter().take(PARTS_MAX) {
        let _ = stream.write_all(part);
        listen(&mut stream);
    }
    let _ = stream.shutdown(Shutdown::Write);
    runtime.block_on(async {
        let mut state = link.state();
        let is_over =
            |state: &LinkState| !matches!(state, LinkState::Connecting | LinkState::Connected { .. });
        loop {
            tokio::select! {
                biased;
                Some(message) = incoming.recv() => message.ack.done(),
                ended = timeout(SOON, state.wait_for(is_over)) => match ended {
                    Ok(Ok(_)) => break,
                    Ok(Err(_)) => return Err("the link has died".to_owned()),
                    Err(_) => return Err("the link does not notice that the broker is gone".to_owned()),
                },
            }
        }
        timeout(SOON, link.shutdown()).await.map_err(|_| "the link does not end".to_owned())?;
        if *link.state().borrow() != LinkState::Closed {
            return Err("the link has died".to_owned());
        }
        // What came after the greeting may have been lost with the connection, as ever.
        Ok(if link.stats().connections > 0 { Verdict::Accepted } else { Verdict::Refused })
    })
}

fn runtime() -> Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let build =
        || Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(|e| e.to_string());
    RUNTIME.get_or_init(build).as_ref().map_err(Clone::clone)
}
