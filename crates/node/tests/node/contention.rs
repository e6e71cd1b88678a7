//! Who goes first where two want the same window, and how much one company may hold without deciding.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bodies::{about, from_now, hold, with};
use crate::support::gate::{Gate, GatedStore};
use crate::support::http::{Answer, Call};
use crate::support::{Plan, STRANGER, TestNode, start_one, timed, token};
use recarga_node::store::memory::{MemoryDisk, MemoryStore};

/// How long an older trip waits.
const PATIENCE: Duration = Duration::from_millis(20);

fn older(number: u32, evse: &str, from: i64) -> Value {
    with(&hold(number, evse, from, from + 10), "prioridade", Some(json!(from_now(-1))))
}

fn post(body: &Value) -> Call {
    Call::post("/reserva-temporaria", body)
}

fn vote_no(answer: &Answer, tipo: &str) {
    let problem = answer.expect_problem(if tipo == "limite-de-retencoes" { 429 } else { 409 }, tipo);
    assert_eq!(problem["voto"], "nao", "a no is said in so many words: {problem}");
    if ["ponto-retido", "limite-de-retencoes"].contains(&tipo) {
        assert_eq!(answer.header("retry-after"), "1", "{problem}");
    }
}

// Whether an older trip got the window because the hold in its way was aborted while it waited.
async fn waited_for_an_abort(node: &TestNode, round: u32) -> bool {
    let (first, second, from) = (10 * round, 10 * round + 1, i64::from(round) * 10);
    node.as_stranger(post(&hold(first, "A-1", from, from + 10))).await.expect(201);
    let company = token(STRANGER, &node.name);
    let waiting = node.send_soon(post(&older(second, "A-1", from)).token(&company));
    tokio::time::sleep(PATIENCE / 4).await;
    let waits = !waiting.is_finished();
    let abort = Call::delete("/cancelar-reserva").json(&about(first));
    node.as_stranger(abort).await.expect(200);
    let answer = waiting.await.unwrap().unwrap();
    if answer.status != 201 {
        vote_no(&answer, "ponto-retido"); // the machine was too slow for 20 ms
    }
    waits && answer.status == 201
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_trip_waits_for_a_prepared_window() {
    let node = start_one(Plan::default()).await;
    let mut rounds = 1..60;
    while !waited_for_an_abort(&node, rounds.next().expect("an older trip never gets the window")).await {}
}

// What comes in one request is done in one go: what is done must not wait for what has to wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_is_heard_of_at_once_though_a_hold_in_the_same_batch_waits() {
    const PATIENCE: Duration = Duration::from_secs(1);
    let node = start_one(Plan { limits: "window_wait_millis = 1000".into(), ..Plan::default() }).await;
    node.as_stranger(post(&hold(1, "A-1", 0, 10))).await.expect(201);
    node.as_stranger(post(&hold(2, "A-2", 0, 10))).await.expect(201);
    let company = token(STRANGER, &node.name);
    let begun = Instant::now();
    let waiting = node.send_soon(post(&older(3, "A-1", 0)).token(&company));
    tokio::time::sleep(PATIENCE / 10).await;
    let operations = json!([
        { "operacao": "reserva-temporaria", "corpo": older(4, "A-2", 0) },
        { "operacao": "cancelar-reserva", "corpo": about(1) },
    ]);
    let batch = Call::post("/lote", &json!({ "operacoes": operations })).token(&company);
    let batch = node.send_soon(batch);
    waiting.await.unwrap().unwrap().expect(201);
    let took = begun.elapsed();
    assert!(took < PATIENCE, "the window was given back long before: {took:?}");
    let results = batch.await.unwrap().unwrap().expect(200);
    assert_eq!(
        (&results["resultados"][0]["status"], &results["resultados"][1]["status"]),
        (&json!(409), &json!(200))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_trip_waits_no_longer_than_its_patience_and_a_younger_not_at_all() {
    let node = start_one(Plan::default()).await;
    let mut fastest = Duration::MAX;
    for round in 1..10 {
        let from = i64::from(round) * 10;
        node.as_stranger(post(&hold(10 * round, "A-1", from, from + 10))).await.expect(201);
        let (answer, took) = timed(node.as_stranger(post(&older(10 * round + 1, "A-1", from)))).await;
        vote_no(&answer, "ponto-retido");
        assert!(took >= PATIENCE, "the older one waits: {took:?}");
        let younger =
            with(&hold(10 * round + 2, "A-1", from, from + 10), "prioridade", Some(json!(from_now(2))));
        let (answer, took) = timed(node.as_stranger(post(&younger))).await;
        vote_no(&answer, "ponto-retido");
        fastest = fastest.min(took);
    }
    assert!(fastest < PATIENCE, "a younger one fails at once: {fastest:?}");
    // A refusal is for good for this session: it may be in the records of others as a no.
    vote_no(&node.as_stranger(post(&older(11, "A-1", 10))).await, "sessao-encerrada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_where_the_operator_wants_no_waiting() {
    let node = start_one(Plan { limits: "window_wait_millis = 0".into(), ..Plan::default() }).await;
    let mut fastest = Duration::MAX;
    for round in 1..10 {
        let from = i64::from(round) * 10;
        node.as_stranger(post(&hold(10 * round, "A-1", from, from + 10))).await.expect(201);
        let (answer, took) = timed(node.as_stranger(post(&older(10 * round + 1, "A-1", from)))).await;
        vote_no(&answer, "ponto-retido");
        fastest = fastest.min(took);
    }
    assert!(fastest < PATIENCE, "an older one fails at once, too: {fastest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_behind_a_soft_hold_or_a_reservation() {
    let node = start_one(Plan::default()).await;
    let soft = with(&hold(1, "A-1", 0, 10), "tipo", Some(json!("provisoria")));
    node.as_stranger(post(&soft)).await.expect(201);
    vote_no(&node.as_stranger(post(&older(2, "A-1", 0))).await, "ponto-retido");
    node.as_stranger(post(&hold(3, "A-1", 20, 30))).await.expect(201);
    node.as_stranger(Call::post("/confirmar-reserva", &about(3))).await.expect(200);
    let answer = node.as_stranger(post(&older(4, "A-1", 20))).await;
    vote_no(&answer, "ponto-reservado");
    let free = answer.json()["livres"].as_array().unwrap().len();
    assert!(free > 0, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_holds_share_flushes() {
    let gate = Gate::default();
    let store = GatedStore { store: MemoryStore::open(&MemoryDisk::default()), gate: gate.clone() };
    let node = start_one(Plan { store: Box::new(store), ..Plan::default() }).await;
    gate.slow(Duration::from_millis(10));
    let (before, _) = gate.counts();
    let company = token(STRANGER, &node.name);
    const HOLDS: u32 = 128;
    let call = |number: u32| post(&hold(number, "A-1", i64::from(number) * 5, i64::from(number) * 5 + 5));
    let calls: Vec<_> = (0..HOLDS).map(|number| node.send_soon(call(number).token(&company))).collect();
    for call in calls {
        call.await.unwrap().unwrap().expect(201);
    }
    let (flushes, records) = gate.counts();
    assert!(records >= HOLDS as usize, "every yes is durable: {records}");
    let flushes = flushes - before;
    assert!(flushes <= HOLDS as usize / 4, "{HOLDS} holds in {flushes} flushes");
    assert_eq!(node.figure("recarga_flushes").await as usize, gate.counts().0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_may_hold_only_so_much_undecided() {
    let node = start_one(Plan { limits: "undecided_holds_max = 3".into(), ..Plan::default() }).await;
    for number in 0..3 {
        let from = i64::from(number) * 10;
        node.as_stranger(post(&hold(number, "A-1", from, from + 10))).await.expect(201);
    }
    vote_no(&node.as_stranger(post(&hold(3, "A-2", 0, 10))).await, "limite-de-retencoes");
    // Another company and this company's own trips are not concerned.
    let own = crate::support::bodies::trip("p", "carro-9", &[("empresa-a", "A-2", 100, 160)]);
    node.send(Call::post("/viagens", &own)).await.expect(201);
    let other = with(&hold(4, "A-2", 0, 10), "coordenador", Some(json!("empresa-b")));
    let session = crate::support::bodies::session_of("empresa-b", 4);
    let other = post(&with(&other, "sessao", Some(json!(session)))).token(&token("empresa-b", "empresa-a"));
    node.send(other).await.expect(201);
    // What is decided no longer counts.
    node.as_stranger(Call::post("/confirmar-reserva", &about(0))).await.expect(200);
    node.as_stranger(post(&hold(5, "A-2", 20, 30))).await.expect(201);
    vote_no(&node.as_stranger(post(&hold(6, "A-2", 40, 50))).await, "limite-de-retencoes");
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(1))).await.expect(200);
    node.as_stranger(post(&hold(7, "A-2", 40, 50))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_may_hold_only_so_many_hours_undecided() {
    let node = start_one(Plan { limits: "undecided_evse_hours_max = 2".into(), ..Plan::default() }).await;
    node.as_stranger(post(&hold(1, "A-1", 0, 60))).await.expect(201);
    vote_no(&node.as_stranger(post(&hold(2, "A-1", 60, 121))).await, "limite-de-retencoes");
    node.as_stranger(post(&hold(3, "A-1", 60, 120))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_calls_too_often_is_told_so() {
    let limits = "client_requests_per_second_max = 5\npeer_requests_per_second_max = 8";
    let node = start_one(Plan { limits: limits.into(), ..Plan::default() }).await;
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(node.send(Call::get("/saude")).await);
    }
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(served.len() >= 10, "a burst is let through: {}", served.len());
    assert!(!refused.is_empty());
    for answer in refused {
        answer.expect_problem(429, "muitas-requisicoes");
        assert_eq!(answer.header("retry-after"), "1");
    }
    // Companies are counted by themselves.
    let inquiry = Call::get(&format!("/transacoes/{}", crate::support::bodies::session(1)));
    assert_eq!(node.as_stranger(inquiry.clone()).await.status, 200);
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(node.as_stranger(inquiry.clone()).await.status);
    }
    assert!(statuses.contains(&429) && statuses.contains(&200), "{statuses:?}");
    let other = inquiry.token(&token("empresa-b", "empresa-a"));
    assert_ne!(node.send(other).await.status, 429, "one company's haste is not another's");
}
