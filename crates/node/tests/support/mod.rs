//! Nodes in one process, over real TCP on ports of their own, and what a test needs to talk to them.
#![allow(dead_code, reason = "every test program uses a part of it")]

pub mod bodies;
pub mod cars;
pub mod gate;
pub mod http;
pub mod stranger;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::HttpConnector;
use recarga_node::app::{Node, Setup};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::Config;
use recarga_node::ledger::{OnFailure, Writer};
use recarga_node::store::Store;
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::traces::Traces;
use recarga_reservation::{Now, Timestamp};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use http::{Answer, Call, Http};

/// How long anything may take that must happen.
pub const SOON: Duration = Duration::from_secs(10);
/// How long is watched for what must not happen.
pub const A_WHILE: Duration = Duration::from_millis(150);
/// What an operator presents.
pub const OPERATOR: &str = "operator-token";
/// A company that every node knows and that nobody runs: a test speaks for it.
pub const STRANGER: &str = "empresa-x";
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";

/// What `from` presents to `to`.
pub fn token(from: &str, to: &str) -> String {
    format!("token-{from}-{to}")
}

/// Polls until there is something, for [`SOON`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut poll: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Some(found) = poll().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The future's result, which must come soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(done) => done,
        Err(_) => panic!("not in time: {what}"),
    }
}

/// Real time, but the test may turn it forward.
#[derive(Debug)]
pub struct TestClock {
    system: SystemClock,
    ahead_millis: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { system: SystemClock::new(), ahead_millis: AtomicU64::new(0) }
    }
}

impl TestClock {
    /// Lets time pass at once.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).expect("a short time");
        self.ahead_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let (now, ahead) =
            (self.system.now(), Duration::from_millis(self.ahead_millis.load(Ordering::SeqCst)));
        Now { utc: now.utc + ahead, elapsed: now.elapsed + ahead }
    }

    fn nonce(&self) -> u128 {
        self.system.nonce()
    }
}

/// What a test may choose of a node.
pub struct Plan {
    /// TOML lines of `[limits]`. The limits of rate are off unless given here.
    pub limits: String,
    /// More TOML lines of `[operator]`.
    pub operator: String,
    /// Whether the operator has a token: [`OPERATOR`].
    pub has_operator: bool,
    /// TOML lines before all tables of locations, as of `[panel]`.
    pub more: String,
    /// The broker's URL.
    pub broker: Option<String>,
    /// Where [`STRANGER`] is reached.
    pub stranger_url: String,
    /// The record.
    pub store: Box<dyn Store>,
    /// What happens when it cannot be written.
    pub on_failure: OnFailure,
    /// Time.
    pub clock: Arc<TestClock>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            limits: String::new(),
            operator: String::new(),
            has_operator: true,
            more: String::new(),
            broker: None,
            stranger_url: NOBODY.to_owned(),
            store: Box::new(MemoryStore::open(&MemoryDisk::default())),
            on_failure: Box::new(|error| panic!("the record cannot be written: {error}")),
            clock: Arc::default(),
        }
    }
}

/// A running node.
pub struct TestNode {
    /// The company.
    pub name: String,
    /// `http://127.0.0.1:port`.
    pub url: String,
    http: Http,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// Starts these companies, all peers of each other and of [`STRANGER`].
pub async fn start(names: &[&str]) -> Vec<TestNode> {
    start_with(names, |_| Plan::default()).await
}

/// Starts one company as planned; it knows `empresa-b` and [`STRANGER`], whom nobody runs.
pub async fn start_one(plan: Plan) -> TestNode {
    start_among(&["empresa-b"], plan).await
}

/// Starts one company as planned; it knows these others and [`STRANGER`], whom nobody runs.
pub async fn start_among(others: &[&str], plan: Plan) -> TestNode {
    let listener = listen().await;
    let others: Vec<_> = others.iter().map(|other| ((*other).to_owned(), NOBODY.to_owned())).collect();
    run(config("empresa-a", &others, &plan), plan, listener)
}

/// Starts these companies, each as planned.
pub async fn start_with(names: &[&str], plan: impl Fn(&str) -> Plan) -> Vec<TestNode> {
    let mut listeners = Vec::new();
    for name in names {
        listeners.push(((*name).to_owned(), listen().await));
    }
    let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("it listens"));
    let all: Vec<(String, String)> =
        listeners.iter().map(|(name, listener)| (name.clone(), url(listener))).collect();
    let node = |(name, listener): (String, TcpListener)| {
        let (plan, peers) = (plan(&name), others(&all, &name));
        run(config(&name, &peers, &plan), plan, listener)
    };
    listeners.into_iter().map(node).collect()
}

/// A port of the system's choice.
pub async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

fn others(all: &[(String, String)], name: &str) -> Vec<(String, String)> {
    all.iter().filter(|(other, _)| other != name).cloned().collect()
}

/// The configuration of a company with four EVSEs at two locations.
pub fn config(name: &str, peers: &[(String, String)], plan: &Plan) -> Config {
    let letter = name.chars().last().expect("a name").to_ascii_uppercase();
    let rates = ["client_requests_per_second_max", "peer_requests_per_second_max"];
    let rates = rates.iter().filter(|rate| !plan.limits.contains(**rate));
    let rates: String = rates.map(|rate| format!("{rate} = 0\n")).collect();
    // Who plans asks for it: elsewhere it would be seen among the calls that a test counts.
    let offers = if plan.limits.contains("offer_refresh_millis") { "" } else { "offer_refresh_millis = 0" };
    let mqtt = plan.broker.as_ref().map_or(String::new(), |url| {
        format!("[mqtt]\nurl = \"{url}\"\nusername = \"{name}\"\npassword = \"{}\"\n", cars::PASSWORD)
    });
    let stranger = (STRANGER.to_owned(), plan.stranger_url.clone());
    let peer = |(peer, url): &(String, String)| {
        let (to, from) = (token(name, peer), token(peer, name));
        format!("[[peers]]\nid = \"{peer}\"\nurl = \"{url}\"\ntoken = \"{to}\"\naccepts = \"{from}\"\n")
    };
    let peers: String = peers.iter().chain([&stranger]).map(peer).collect();
    let text = format!(
        r#"
[operator]
id = "{name}"
name = "Companhia {letter}"
listen = "127.0.0.1:0"
data_dir = "unused"
{token}
{operator}
{mqtt}
{peers}
[limits]
{limits}
{rates}
{offers}
{more}
[[locations]]
id = "{letter}-SSA"
name = "Porto da Barra"
city = "Salvador"
state = "BA"
latitude = -12.97
longitude = -38.50
time_zone = "America/Bahia"
tariff = {{ price_kwh = 2.10, activation_fee = 2.00 }}
evses = [
  {{ id = "{letter}-1", connectors = [{{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 60 }}] }},
  {{ id = "{letter}-2", connectors = [{{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 120 }},
                                      {{ id = "2", plug = "IEC_62196_T2", power_kw = 22 }}] }},
]
[[locations]]
id = "{letter}-REC"
name = "Marco Zero"
city = "Recife"
state = "PE"
latitude = -8.06
longitude = -34.87
time_zone = "America/Recife"
tariff = {{ price_kwh = 1.90 }}
evses = [
  {{ id = "{letter}-3", connectors = [{{ id = "1", plug = "IEC_62196_T2", power_kw = 22 }}] }},
  {{ id = "{letter}-4", connectors = [{{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 150 }}] }},
]
"#,
        token = if plan.has_operator { format!("operator_token = \"{OPERATOR}\"") } else { String::new() },
        operator = plan.operator,
        more = plan.more,
        limits = plan.limits
    );
    Config::parse(&text, "test.toml", Path::new("."), &|_| None).expect("a good configuration")
}

fn run(config: Config, plan: Plan, listener: TcpListener) -> TestNode {
    let name = config.operator.to_string();
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    let node = Node::start(Setup {
        archive: None,
        config,
        clock: plan.clock,
        store: plan.store,
        writer: Writer::Thread,
        on_failure: plan.on_failure,
        connector: Arc::new(|_| connector()),
        traces: Traces::off(),
        identity: None,
    });
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let running = tokio::spawn(node.expect("the store can be read").run(listener, stopped));
    TestNode { name, http: Http::new(&url), url, stop, running }
}

/// Connections over TCP.
pub fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

impl TestNode {
    /// Sends a request and waits for its answer.
    pub async fn send(&self, call: Call) -> Answer {
        let what = format!("{} {}", call.method, call.path);
        match soon(&what, self.http.send(call)).await {
            Ok(answer) => answer,
            Err(error) => panic!("{what}: no answer: {error}"),
        }
    }

    /// The status alone, of an answer that may never end.
    pub async fn status(&self, call: Call) -> u16 {
        let what = format!("{} {}", call.method, call.path);
        soon(&what, self.http.open(call)).await.expect("an answer").status().as_u16()
    }

    /// As [`TestNode::send`], without waiting.
    pub fn send_soon(&self, call: Call) -> JoinHandle<Result<Answer, String>> {
        let http = self.http.clone();
        tokio::spawn(async move { http.send(call).await })
    }

    /// A page that must be there.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.send(Call::get(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// As the company [`STRANGER`].
    pub async fn as_stranger(&self, call: Call) -> Answer {
        self.send(call.token(&token(STRANGER, &self.name))).await
    }

    /// One figure of `/metrics`, by its line up to the value.
    pub async fn figure(&self, line: &str) -> u64 {
        self.figures(&[line]).await[0]
    }

    /// Waits until a figure is this.
    pub async fn until_figure(&self, line: &str, value: u64) {
        let what = format!("{line} {value} at {}", self.name);
        eventually(&what, || async { (self.figure(line).await == value).then_some(()) }).await;
    }

    /// Several figures of one moment; zero for those that are not there yet.
    pub async fn figures(&self, lines: &[&str]) -> Vec<u64> {
        let text = self.send(Call::get("/metrics")).await.text();
        let find = |line: &&str| {
            let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(' '));
            found.map_or(0, |value| value.parse().expect("a whole number"))
        };
        lines.iter().map(find).collect()
    }

    /// Everything that the node remembers: (branches, trips).
    pub async fn audit(&self) -> (Vec<Value>, Vec<Value>) {
        let (mut branches, mut trips, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let answer = self.send(Call::get(&format!("/auditoria{cursor}")).token(OPERATOR)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            branches.extend(page["ramos"].as_array().expect("a list").iter().cloned());
            trips.extend(page["viagens"].as_array().expect("a list").iter().cloned());
            match page["proximo"].as_str() {
                Some(next) => cursor = format!("?cursor={next}"),
                None => return (branches, trips),
            }
        }
    }

    /// The state of a session here, as the audit tells it; none if nothing is remembered.
    pub async fn branch(&self, session: &str) -> Option<String> {
        let (branches, _) = self.audit().await;
        let branch = branches.into_iter().find(|one| one["sessao"] == session)?;
        branch["estado"].as_str().map(str::to_owned)
    }

    /// Waits until a session is in a state here.
    pub async fn until_branch(&self, session: &str, state: &str) {
        let what = format!("{session} {state} at {}", self.name);
        eventually(&what, || async { (self.branch(session).await.as_deref() == Some(state)).then_some(()) })
            .await;
    }

    /// Stops it as a signal would.
    pub async fn stop(self) {
        self.stop.cancel();
        soon("a shutdown", self.running).await.expect("the node ends well");
    }
}

/// A node in a runtime of its own, as a process would be: it can be killed.
pub struct Mortal {
    /// The node.
    pub node: TestNode,
    runtime: Runtime,
}

impl Mortal {
    /// Starts one company as planned, as [`start_one`].
    pub async fn start(plan: Plan) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let node = runtime.spawn(start_one(plan)).await.expect("it starts");
        Self { node, runtime }
    }

    /// Ends it at once: it says nothing more. What its store still does is the store's matter.
    pub fn kill(self) {
        self.runtime.shutdown_background();
    }
}

/// When the test began.
pub fn began() -> Timestamp {
    static BEGAN: std::sync::OnceLock<Timestamp> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(|| SystemClock::new().now().utc)
}

/// How long a step takes.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    #[expect(clippy::disallowed_methods, reason = "a test measures real time")]
    let begun = Instant::now();
    let done = future.await;
    (done, begun.elapsed())
}
