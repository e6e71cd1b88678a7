//! Nothing is told before it is durable, and nothing at all once the record cannot be written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::store::redb::RedbStore;
use recarga_reservation::OperatorId;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::booking::{path_of, session_of, settled};
use crate::support::bodies::{about, hold, session, trip};
use crate::support::gate::{Gate, GatedStore};
use crate::support::http::{Answer, Call};
use crate::support::stranger::{Stranger, done, yes};
use crate::support::{A_WHILE, Plan, STRANGER, TestNode, eventually, soon, start_one, token};

struct Gated {
    node: TestNode,
    gate: Gate,
    failed: Arc<AtomicBool>,
    stranger: Stranger,
}

async fn gated() -> Gated {
    let stranger = Stranger::start(|call, body| match call {
        "POST /reserva-temporaria" => yes(body),
        "POST /confirmar-reserva" => done(body, "confirmada"),
        _ => done(body, "cancelada"),
    })
    .await;
    let (gate, failed) = (Gate::default(), Arc::new(AtomicBool::new(false)));
    let store = GatedStore { store: MemoryStore::open(&MemoryDisk::default()), gate: gate.clone() };
    let seen = failed.clone();
    let node = start_one(Plan {
        store: Box::new(store),
        on_failure: Box::new(move |_| seen.store(true, Ordering::SeqCst)),
        stranger_url: stranger.url.clone(),
        ..Plan::default()
    })
    .await;
    Gated { node, gate, failed, stranger }
}

impl Gated {
    fn ask(&self, call: Call) -> JoinHandle<Result<Answer, String>> {
        self.node.send_soon(call)
    }

    // The answer comes only once the write that it rests on went through.
    async fn held_back(&self, what: &str, call: Call, status: u16) -> Value {
        self.gate.close();
        let asked = self.ask(call);
        self.gate.blocked().await;
        let asked = silent(what, asked).await;
        self.gate.open();
        soon(what, asked).await.unwrap().unwrap().expect(status)
    }
}

async fn silent(
    what: &str,
    mut asked: JoinHandle<Result<Answer, String>>,
) -> JoinHandle<Result<Answer, String>> {
    if let Ok(answer) = timeout(A_WHILE, &mut asked).await {
        panic!("{what}: told before it is durable: {answer:?}");
    }
    asked
}

fn company(call: Call) -> Call {
    call.token(&token(STRANGER, "empresa-a"))
}

fn inquiry(number: u32) -> Call {
    company(Call::get(&format!("/transacoes/{}", session(number))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_told_before_it_is_durable() {
    let bench = gated().await;
    let post = |path: &str, body: &Value| company(Call::post(path, body));
    let vote = bench.held_back("a vote", post("/reserva-temporaria", &hold(1, "A-1", 0, 10)), 201).await;
    assert_eq!(vote["voto"], "sim");
    let done = bench.held_back("a confirmation", post("/confirmar-reserva", &about(1)), 200).await;
    assert_eq!(done["estado"], "confirmada");
    let told = bench.held_back("an outcome", inquiry(2), 200).await;
    assert_eq!(told["estado"], "abortada");
    let release = json!({"sessao": session(1), "motivo": "viagem-cancelada"});
    let release = company(Call::delete("/cancelar-reserva").json(&release));
    bench.held_back("a release", release, 200).await;

    let own = trip("p", "carro-1", &[("empresa-a", "A-2", 0, 10)]);
    let booked = bench.held_back("a trip", Call::post("/viagens", &own), 201).await;
    bench.held_back("a cancelled trip", Call::delete(&path_of(&booked)), 200).await;
    let both = [("empresa-a", "A-2", 20, 30), (STRANGER, "X-1", 40, 50)];
    let booked =
        bench.held_back("a trip of two", Call::post("/viagens", &trip("q", "carro-1", &both)), 201).await;
    settled(&bench.node, &path_of(&booked)).await;
    let changed = trip("r", "carro-1", &[("empresa-a", "A-2", 60, 70)]);
    bench.held_back("a changed trip", Call::put(&path_of(&booked), &changed), 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_caused_is_told_no_earlier() {
    let bench = gated().await;
    let held = company(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 10)));
    bench.node.send(held.clone()).await.expect(201);
    bench.gate.close();
    let confirmed = bench.ask(company(Call::post("/confirmar-reserva", &about(1))));
    bench.gate.blocked().await;
    // All of these rest on the confirmation, which a crash may still take back.
    let abort = company(Call::delete("/cancelar-reserva").json(&about(1)));
    let own = trip("p", "carro-1", &[("empresa-a", "A-2", 0, 10)]);
    let booked = bench.ask(Call::post("/viagens", &own));
    let waiting = [
        ("a repeated confirm", company(Call::post("/confirmar-reserva", &about(1))), 200),
        ("the outcome", inquiry(1), 200),
        ("that it cannot be aborted any more", abort, 409),
        ("a repeated vote", held, 201),
        ("the trips of a car", Call::get("/viagens?veiculo_id=carro-1"), 200),
        ("the audit", Call::get("/auditoria").token(crate::support::OPERATOR), 200),
    ];
    let asked: Vec<_> =
        waiting.into_iter().map(|(what, call, status)| (what, bench.ask(call), status)).collect();
    let confirmed = silent("the confirmation", confirmed).await;
    let booked = silent("the trip", booked).await;
    let mut silent_ones = Vec::new();
    for (what, asked, status) in asked {
        silent_ones.push((what, silent(what, asked).await, status));
    }
    bench.gate.open();
    soon("the confirmation", confirmed).await.unwrap().unwrap().expect(200);
    soon("the trip", booked).await.unwrap().unwrap().expect(201);
    for (what, asked, status) in silent_ones {
        soon(what, asked).await.unwrap().unwrap().expect(status);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_company_hears_of_a_commit_that_is_not_durable() {
    let bench = gated().await;
    let stops = [("empresa-a", "A-1", 0, 10), (STRANGER, "X-1", 20, 30)];
    bench.gate.close();
    let asked = bench.ask(Call::post("/viagens", &trip("p", "carro-1", &stops)));
    bench.gate.blocked().await;
    // Longer than the pause between two sweeps of what is owed.
    for _ in 0..6 {
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(bench.stranger.heard("POST /confirmar-reserva"), 0);
    }
    assert!(!asked.is_finished());
    // Neither does the one who asks: the coordinator keeps silent.
    let hold = bench.stranger.until_heard("POST /reserva-temporaria").await;
    let session = hold["sessao"].as_str().unwrap();
    let question =
        silent("the outcome", bench.ask(company(Call::get(&format!("/transacoes/{session}"))))).await;
    bench.gate.open();
    soon("the trip", asked).await.unwrap().unwrap().expect(201);
    assert_eq!(soon("the outcome", question).await.unwrap().unwrap().expect(200)["estado"], "confirmada");
    bench.stranger.until_heard("POST /confirmar-reserva").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_write_failed_nobody_is_told_yes() {
    let bench = gated().await;
    bench.node.send(company(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 10)))).await.expect(201);
    bench.gate.close();
    let vote = bench.ask(company(Call::post("/reserva-temporaria", &hold(2, "A-1", 10, 20))));
    bench.gate.blocked().await;
    let own = trip("p", "carro-1", &[("empresa-a", "A-2", 0, 10)]);
    let both = trip("q", "carro-2", &[("empresa-a", "A-2", 20, 30), (STRANGER, "X-1", 40, 50)]);
    let calls = [
        company(Call::post("/confirmar-reserva", &about(1))),
        inquiry(9),
        Call::post("/viagens", &own),
        Call::post("/viagens", &both),
    ];
    let asked: Vec<_> = calls.into_iter().map(|call| bench.ask(call)).chain([vote]).collect();
    bench.stranger.until_heard("POST /reserva-temporaria").await;
    bench.gate.fail();
    for asked in asked {
        let answer = soon("an answer", asked).await.unwrap().unwrap();
        assert!(matches!(answer.status, 503 | 504), "{} {}", answer.status, answer.text());
        let problem = answer.json();
        assert!(problem["voto"].is_null(), "silence is no vote: {problem}");
        // A write that failed may have reached the disk all the same: after a restart the trip may be there.
        let said = problem["detail"].as_str().unwrap();
        assert!(!said.contains("Nada foi"), "promises what it does not know: {problem}");
    }
    assert!(bench.failed.load(Ordering::SeqCst), "the process is told to stop");
    assert_eq!(bench.stranger.heard("POST /confirmar-reserva"), 0, "no company hears of a commit");
    let health = bench.node.send(Call::get("/saude")).await;
    assert_eq!(health.expect(503)["estado"], "indisponivel");
    let late = bench.node.send(company(Call::post("/reserva-temporaria", &hold(3, "A-4", 0, 10)))).await;
    late.expect_problem(503, "indisponivel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_finishes_what_is_under_way() {
    let Gated { node, gate, .. } = gated().await;
    gate.close();
    let asked = node.send_soon(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-a", "A-1", 0, 10)])));
    gate.blocked().await;
    let url = node.url.clone();
    let stopping = tokio::spawn(node.stop());
    eventually("nothing new is taken", || async {
        tokio::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err().then_some(())
    })
    .await;
    assert!(!asked.is_finished());
    gate.open();
    soon("the answer", asked).await.unwrap().unwrap().expect(201);
    soon("the end", stopping).await.unwrap();
}

fn on_disk(folder: &Path, stranger: &Stranger) -> Plan {
    let operator = OperatorId::new("empresa-a").unwrap();
    let store = Box::new(RedbStore::open(folder, &operator).unwrap());
    Plan { store, stranger_url: stranger.url.clone(), ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_remembers_and_goes_on() {
    let awake = Arc::new(AtomicBool::new(false));
    let listens = awake.clone();
    let stranger = Stranger::start(move |call, body| match call {
        "POST /reserva-temporaria" => yes(body),
        "POST /confirmar-reserva" if listens.load(Ordering::SeqCst) => done(body, "confirmada"),
        _ => (503, Value::Null),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let node = start_one(on_disk(folder.path(), &stranger)).await;
    let stops = [("empresa-a", "A-1", 0, 10), (STRANGER, "X-1", 20, 30)];
    let body = trip("p", "carro-1", &stops);
    let booked = node.send(Call::post("/viagens", &body)).await.expect(201);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-2", 0, 10))).await.expect(201);
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(2))).await.expect(200);
    let store = node.get("/saude").await["deposito"].clone();
    node.stop().await;

    let node = start_one(on_disk(folder.path(), &stranger)).await;
    assert_eq!(node.get("/saude").await["deposito"], store, "the same database");
    assert_eq!(node.branch(&session(1)).await.as_deref(), Some("preparada"));
    assert_eq!(node.branch(&session(2)).await.as_deref(), Some("abortada"));
    assert_eq!(node.branch(&session_of(&booked)).await.as_deref(), Some("confirmada"));
    let repeated = node.send(Call::post("/viagens", &body)).await.expect(201);
    assert_eq!(repeated["viagem_id"], booked["viagem_id"], "a repeat finds its trip");
    awake.store(true, Ordering::SeqCst);
    settled(&node, &path_of(&booked)).await;
    node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
    // No transaction id is used again: a new trip has a later epoch.
    let next = node.send(Call::post("/viagens", &trip("q", "carro-1", &[("empresa-a", "A-4", 0, 10)]))).await;
    let epoch = |body: &Value| session_of(body).split('.').nth(2).unwrap().parse::<u64>().unwrap();
    assert!(epoch(&next.expect(201)) > epoch(&booked));
    node.stop().await;
}
