//! Cars that tell where they are: one thread, few connections, each of which carries many cars as a fleet's gateway
//! does. It speaks just as much MQTT 3.1.1 as that takes, as what it spends is missing from what broker and node can do.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_node::clock::{Clock, SystemClock};
use recarga_wire::instant;
use rustix::process::setpriority_process;
use tokio::time::Instant;

use crate::bench::figures;

/// A broker that answers nobody for so long is given up.
const ANSWER_MAX: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_millis(5);
/// How long one text for "now" is good enough.
const INSTANT_EVERY: Duration = Duration::from_millis(100);

/// How many, how often.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub connections: usize,
    pub cars: usize,
    /// Statuses a second, of all cars together.
    pub rate: f64,
    /// Statuses of one connection's cars that leave in one write.
    pub together: usize,
    /// Whether the crowd yields to others.
    pub behind: bool,
}

/// What the crowd has done.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// Statuses that were due.
    pub due: u64,
    /// Statuses given to the operating system.
    pub sent: u64,
    /// Processor time of the crowd's thread.
    pub cpu: Duration,
}

/// The crowd at work.
pub struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Default)]
struct Shared {
    speaking: AtomicBool,
    stopping: AtomicBool,
    due: AtomicU64,
    sent: AtomicU64,
    cpu_micros: AtomicU64,
}

impl Crowd {
    /// Opens all connections, as the company `user`, which may speak for any car; nobody speaks yet.
    ///
    /// # Errors
    /// The broker does not let them in.
    pub fn connect(broker: SocketAddr, user: &str, password: &str, size: Size) -> Result<Crowd> {
        let open = |number| Line::open(broker, &format!("{user}-bench-{number}"), user, password);
        let lines: Vec<TcpStream> = (0..size.connections).map(open).collect::<Result<_>>()?;
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = shared.clone();
            std::thread::spawn(move || speak(&shared, lines, size))
        };
        Ok(Crowd { shared, thread: Some(thread) })
    }

    /// Lets them speak, or be silent.
    pub fn let_speak(&self, speaking: bool) {
        self.shared.speaking.store(speaking, Ordering::Relaxed);
    }

    /// What they have done until now.
    ///
    /// # Errors
    /// A connection has broken, so that nobody speaks any longer.
    pub fn told(&self) -> Result<Told> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            bail!("the broker has closed a connection of the cars");
        }
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let Shared { due, sent, cpu_micros, .. } = &*self.shared;
        Ok(Told { due: of(due), sent: of(sent), cpu: Duration::from_micros(of(cpu_micros)) })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whatever ended it early was seen by `told`.
            let _ = thread.join();
        }
    }
}

fn speak(shared: &Shared, mut lines: Vec<TcpStream>, size: Size) -> Result<()> {
    if size.behind {
        // Of this thread alone.
        setpriority_process(None, super::BEHIND).context("cannot yield to others")?;
    }
    let mut script = Script::new(size);
    let (mut begun, mut before, mut told) = (None, 0, 0);
    while !shared.stopping.load(Ordering::Relaxed) {
        let cpu = figures::cpu("thread-self")?.as_micros();
        shared.cpu_micros.store(u64::try_from(cpu)?, Ordering::Relaxed);
        if !shared.speaking.load(Ordering::Relaxed) {
            begun = None;
            std::thread::sleep(IDLE);
            continue;
        }
        let since = *begun.get_or_insert_with(|| {
            (before, told) = (shared.due.load(Ordering::Relaxed), 0);
            Instant::now()
        });
        let due = (since.elapsed().as_secs_f64() * size.rate) as u64;
        shared.due.store(before + due, Ordering::Relaxed);
        // What is a second late is not made up for: a car that was held up says where it is now.
        told = told.max(due.saturating_sub(size.rate as u64));
        if due < told + size.together as u64 {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        // A few at a time, so that it hears when to be silent.
        for _ in 0..(due - told).div_ceil(size.together as u64).min(256) {
            let (line, bytes) = script.next();
            lines[line].write_all(bytes).context("the broker has closed a car's connection")?;
            shared.sent.fetch_add(size.together as u64, Ordering::Relaxed);
            told += size.together as u64;
        }
    }
    Ok(())
}

// Who speaks next, and what.
struct Script {
    size: Size,
    turn: usize,
    instant: (Option<Instant>, String),
    body: Vec<u8>,
    bytes: Vec<u8>,
}

impl Script {
    fn new(size: Size) -> Self {
        Self { size, turn: 0, instant: (None, String::new()), body: Vec::new(), bytes: Vec::new() }
    }

    // Connections take turns, and so do the cars of each.
    fn next(&mut self) -> (usize, &[u8]) {
        let Size { connections, cars, together, .. } = self.size;
        let (line, round) = (self.turn % connections, self.turn / connections);
        self.turn += 1;
        if self.instant.0.is_none_or(|made| made.elapsed() > INSTANT_EVERY) {
            let now = instant::format(SystemClock::new().now().utc);
            self.instant = (Some(Instant::now()), now);
        }
        let of_line = (cars - line).div_ceil(connections);
        self.bytes.clear();
        for place in 0..together {
            let car = line + connections * ((round * together + place) % of_line);
            self.status(car);
        }
        (line, &self.bytes)
    }

    fn status(&mut self, car: usize) {
        let topic = format!("veiculo/carro-{car}/status");
        self.body.clear();
        // Writing to memory cannot fail.
        let _ = write!(
            self.body,
            "{{\"veiculo_id\":\"carro-{car}\",\"latitude\":-12.{:04},\"longitude\":-38.{:04},\"bateria_pct\":{},\
             \"velocidade_kmh\":{},\"autonomia_km\":{},\"instante\":\"{}\",\"estado\":\"dirigindo\"}}",
            car % 10_000,
            self.turn % 10_000,
            20 + car % 80,
            60 + self.turn % 50,
            100 + car % 300,
            self.instant.1
        );
        publish(&mut self.bytes, &topic, &self.body);
    }
}

/// One connection, logged in.
struct Line;

impl Line {
    fn open(broker: SocketAddr, client_id: &str, user: &str, password: &str) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(broker).context("cannot connect to the broker")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(ANSWER_MAX))?;
        // MQTT 3.1.1, user name and password, a clean session, without keep-alive.
        let mut body = b"\x00\x04MQTT\x04\xC2\x00\x00".to_vec();
        for text in [client_id, user, password] {
            put_text(&mut body, text);
        }
        let mut packet = vec![0x10];
        put_length(&mut packet, body.len());
        packet.extend(body);
        stream.write_all(&packet)?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).context("the broker does not answer a car")?;
        match answer {
            [0x20, 2, _, 0] => Ok(stream),
            other => bail!("the broker does not let a car in: {other:?}"),
        }
    }
}

// At QoS 0.
fn publish(out: &mut Vec<u8>, topic: &str, payload: &[u8]) {
    out.push(0x30);
    put_length(out, 2 + topic.len() + payload.len());
    put_text(out, topic);
    out.extend_from_slice(payload);
}

fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 128 {
        out.push((length % 128) as u8 | 128);
        length /= 128;
    }
    out.push(length as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_car_speaks_once_in_a_round_and_says_what_a_node_reads() {
        for together in [1, 5] {
            let mut script =
                Script::new(Size { connections: 7, cars: 35, rate: 1.0, together, behind: false });
            let mut seen = BTreeSet::new();
            for _ in 0..35 / together {
                let (line, bytes) = script.next();
                let mut rest = bytes;
                for _ in 0..together {
                    let length = usize::from(rest[1] & 127) + 128 * usize::from(rest[2]);
                    let (packet, more) = rest.split_at(3 + length);
                    rest = more;
                    let topic_end = 5 + usize::from(packet[4]);
                    let topic = std::str::from_utf8(&packet[5..topic_end]).unwrap();
                    let status: recarga_wire::vehicle::VehicleStatus =
                        recarga_wire::decode(&packet[topic_end..]).unwrap();
                    assert_eq!(topic, format!("veiculo/{}/status", status.veiculo_id));
                    let number: usize = status.veiculo_id.as_str()["carro-".len()..].parse().unwrap();
                    assert_eq!(number % 7, line, "a car keeps its connection");
                    seen.insert(number);
                }
                assert!(rest.is_empty());
            }
            assert_eq!(seen.len(), 35);
        }
    }
}
