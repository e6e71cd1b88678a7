//! Holds for other companies: soft ones expire, prepared ones wait for an outcome, and what is over stays over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bodies::{about, hold, session, with};
use crate::support::http::Call;
use crate::support::stranger::{Stranger, outcome, problem};
use crate::support::{A_WHILE, Plan, STRANGER, TestClock, TestNode, eventually, start_one, token};

fn post(body: &Value) -> Call {
    Call::post("/reserva-temporaria", body)
}

fn soft(number: u32, evse: &str) -> Value {
    with(&hold(number, evse, 0, 60), "tipo", Some(json!("provisoria")))
}

async fn inquire(node: &TestNode, number: u32) -> Value {
    node.as_stranger(Call::get(&format!("/transacoes/{}", session(number)))).await.expect(200)["estado"]
        .clone()
}

async fn with_clock() -> (TestNode, Arc<TestClock>) {
    let clock: Arc<TestClock> = Arc::default();
    (start_one(Plan { clock: clock.clone(), ..Plan::default() }).await, clock)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_hold_expires_by_itself_and_a_prepared_one_does_not() {
    let (node, clock) = with_clock().await;
    let held = node.as_stranger(post(&soft(1, "A-1"))).await.expect(201);
    assert!(held["voto"].is_null(), "a soft hold is no vote: {held}");
    let vote = node.as_stranger(post(&hold(2, "A-2", 0, 60))).await.expect(201);
    assert_eq!(vote["voto"], "sim");
    assert_eq!(node.figure("recarga_soft_holds").await, 1);
    assert_eq!(node.figure("recarga_in_doubt").await, 1);

    clock.advance(Duration::from_secs(29));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(node.branch(&session(1)).await.as_deref(), Some("provisoria"), "30 s are not over");
    clock.advance(Duration::from_secs(2));
    node.until_branch(&session(1), "abortada").await;
    node.as_stranger(Call::post("/confirmar-reserva", &about(1)))
        .await
        .expect_problem(409, "sessao-desconhecida");
    node.as_stranger(post(&hold(3, "A-1", 0, 60))).await.expect(201);

    clock.advance(Duration::from_secs(12 * 3600));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(node.branch(&session(2)).await.as_deref(), Some("preparada"), "it waits for an outcome");
    node.as_stranger(Call::post("/confirmar-reserva", &about(2))).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_hold_can_be_made_firm() {
    let node = start_one(Plan::default()).await;
    node.as_stranger(post(&soft(1, "A-1"))).await.expect(201);
    node.as_stranger(Call::post("/confirmar-reserva", &about(1)))
        .await
        .expect_problem(409, "sessao-desconhecida");
    let vote = node.as_stranger(post(&hold(1, "A-1", 0, 60))).await.expect(201);
    assert_eq!(vote["voto"], "sim");
    for _ in 0..2 {
        let done = node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
        assert_eq!(done["estado"], "confirmada");
    }
    assert_eq!(inquire(&node, 1).await, "confirmada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_hold_has_the_same_answer() {
    let node = start_one(Plan::default()).await;
    let first = node.as_stranger(post(&hold(1, "A-1", 0, 60))).await.expect(201);
    let again = node.as_stranger(post(&hold(1, "A-1", 0, 60))).await;
    assert!(matches!(again.status, 200 | 201), "{}", again.text());
    let (first, again) = (with(&first, "expira_em", None), with(&again.json(), "expira_em", None));
    assert_eq!(first, again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_stays_over() {
    let node = start_one(Plan::default()).await;
    let refused = |answer: crate::support::http::Answer| {
        let problem = answer.expect_problem(409, "sessao-encerrada");
        assert_eq!(problem["voto"], "nao", "{problem}");
    };
    // A cancel that overtakes its hold leaves a tombstone, and so does a question.
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(1))).await.expect(200);
    refused(node.as_stranger(post(&hold(1, "A-1", 0, 60))).await);
    assert_eq!(inquire(&node, 2).await, "abortada");
    refused(node.as_stranger(post(&hold(2, "A-1", 0, 60))).await);
    // A soft hold that is asked about has not voted, and never will.
    node.as_stranger(post(&soft(3, "A-1"))).await.expect(201);
    assert_eq!(inquire(&node, 3).await, "abortada");
    refused(node.as_stranger(post(&hold(3, "A-1", 0, 60))).await);
    // By parameters, as the seed has it.
    node.as_stranger(post(&hold(4, "A-1", 0, 60))).await.expect(201);
    assert_eq!(inquire(&node, 4).await, "em_duvida");
    let query = format!("/cancelar-reserva?sessao={}&coordenador={STRANGER}", session(4));
    node.as_stranger(Call::delete(&query)).await.expect(200);
    refused(node.as_stranger(post(&hold(4, "A-1", 0, 60))).await);
    node.as_stranger(post(&hold(5, "A-1", 0, 60))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_take_part_are_told() {
    let node = start_one(Plan::default()).await;
    let private = with(&hold(1, "A-1", 0, 60), "participantes", Some(json!([STRANGER, "empresa-a"])));
    node.as_stranger(post(&private)).await.expect(201);
    let question = |number: u32| {
        Call::get(&format!("/transacoes/{}", session(number))).token(&token("empresa-b", "empresa-a"))
    };
    node.send(question(1)).await.expect_problem(403, "nao-permitido");
    node.as_stranger(post(&hold(2, "A-2", 0, 60))).await.expect(201);
    let told = node.send(question(2)).await.expect(200);
    assert_eq!(told["estado"], "em_duvida");
    // And only its coordinator speaks for it.
    for call in
        [Call::post("/confirmar-reserva", &about(2)), Call::delete("/cancelar-reserva").json(&about(2))]
    {
        let foreign = call.token(&token("empresa-b", "empresa-a"));
        node.send(foreign).await.expect_problem(403, "nao-permitido");
    }
    assert_eq!(node.branch(&session(2)).await.as_deref(), Some("preparada"));
}

/// A coordinator that answers questions as it is told to, and a node that asks soon.
async fn in_doubt(
    answer: (u16, &'static str, u128),
) -> (TestNode, Stranger, Arc<Mutex<(u16, &'static str, u128)>>) {
    let said = Arc::new(Mutex::new(answer));
    let says = said.clone();
    let stranger = Stranger::start(move |call, _| {
        let (status, state, store) = *says.lock().unwrap();
        if status == 200 { outcome(call, state, store) } else { problem(status, state) }
    })
    .await;
    let limits = "inquire_after_millis = 100".to_owned();
    let node = start_one(Plan { limits, stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    node.as_stranger(post(&hold(1, "A-1", 0, 60))).await.expect(201);
    (node, stranger, said)
}

async fn asked_again(stranger: &Stranger) {
    let before = stranger.heard("GET /transacoes/");
    eventually("another question", || async {
        (stranger.heard("GET /transacoes/") > before + 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doubt_ends_by_a_clear_answer_only() {
    for answer in
        [(404, "nao-encontrado", 7), (200, "abortada", 8), (200, "pendente", 7), (200, "em_duvida", 7)]
    {
        let (node, stranger, said) = in_doubt(answer).await;
        asked_again(&stranger).await;
        let branch = node.branch(&session(1)).await;
        assert_eq!(branch.as_deref(), Some("preparada"), "after {answer:?}");
        // The database that made the session says so.
        *said.lock().unwrap() = (200, "abortada", 7);
        node.until_branch(&session(1), "abortada").await;
        assert_eq!(node.figure("recarga_in_doubt").await, 0);
    }
    let (node, _stranger, _) = in_doubt((200, "confirmada", 7)).await;
    node.until_branch(&session(1), "confirmada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_in_doubt_is_released_at_its_start_plus_grace() {
    let (node, clock) = with_clock().await;
    node.as_stranger(post(&hold(1, "A-1", 0, 60))).await.expect(201);
    clock.advance(Duration::from_secs(24 * 3600 + 840));
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(node.branch(&session(1)).await.as_deref(), Some("preparada"), "the grace is not over");
    clock.advance(Duration::from_secs(120));
    node.until_branch(&session(1), "abortada").await;
    let (branches, _) = node.audit().await;
    assert_eq!(branches[0]["causa"], "heuristica", "{branches:?}");
    assert_eq!(branches[0]["veiculo_id"], "carro-1", "a person must be able to see whose it was");
    node.until_figure("recarga_heuristic_releases_total", 1).await;
    let late = node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await;
    late.expect_problem(409, "liberada-por-heuristica");
    assert_eq!(inquire(&node, 1).await, "em_duvida", "a guess is told to nobody as an outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_counts_what_cannot_be() {
    let node = start_one(Plan::default()).await;
    node.as_stranger(Call::post("/confirmar-reserva", &about(1)))
        .await
        .expect_problem(409, "sessao-desconhecida");
    assert_eq!(node.figure("recarga_alarms_total").await, 1);
    assert_eq!(node.branch(&session(1)).await, None, "it leaves nothing");
}
