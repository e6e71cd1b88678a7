//! What is in doubt, and what its operator decides where nobody knows: with a trail, and never as a guess that others
//! could believe.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

use crate::support::bodies::{about, hold, session, with};
use crate::support::http::Call;
use crate::support::stranger::Stranger;
use crate::support::{OPERATOR, Plan, STRANGER, TestNode, start_one};

const STORE: &str = "00000000000000000000000000000007";

fn list() -> Call {
    Call::get("/em-duvida").token(OPERATOR)
}

fn force(number: u32) -> Call {
    let body = json!({"decisao": "abortar", "por": "Ana", "motivo": "a empresa-x fechou"});
    Call::post(&format!("/em-duvida/{}/forcar", session(number)), &body).token(OPERATOR)
}

// Its word about every session can be changed; none: it does not answer.
async fn coordinator() -> (Stranger, Arc<Mutex<Option<Value>>>) {
    let word: Arc<Mutex<Option<Value>>> = Arc::default();
    let said = word.clone();
    let stranger = Stranger::start(move |call, _| match (call, &*said.lock().unwrap()) {
        (call, Some(word)) if call.starts_with("GET /transacoes/") => {
            let session = call.rsplit('/').next().unwrap();
            (200, with(word, "sessao", Some(json!(session))))
        }
        _ => (500, json!({})),
    })
    .await;
    (stranger, word)
}

fn says(outcome: &str, store: &str) -> Value {
    json!({"estado": outcome, "empresa": STRANGER, "deposito": store})
}

async fn with_a_doubt(plan: Plan) -> TestNode {
    // Its own questions come too late for this test: only the operator's are asked.
    let plan = Plan { limits: "inquire_after_millis = 3600000".to_owned(), ..plan };
    let node = start_one(plan).await;
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 60))).await.expect(201);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_knows_can_be_given_up_with_a_trail_and_a_commit_is_then_a_mixed_outcome() {
    let (stranger, word) = coordinator().await;
    let node = with_a_doubt(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    let listed = node.send(list()).await.expect(200);
    assert_eq!((&listed["quantas"], &listed["forcadas"]), (&json!(1), &json!([])));
    let doubt = &listed["sessoes"][0];
    assert_eq!((&doubt["sessao"], &doubt["coordenador"]), (&json!(session(1)), &json!(STRANGER)));
    assert_eq!(doubt["reservas"][0]["ponto_id"], "A-1");
    // `empresa-b` takes part and is unknown here.
    let words: Vec<_> = doubt["respostas"].as_array().unwrap().iter().map(|one| &one["resposta"]).collect();
    assert_eq!(words, ["sem_resposta", "sem_resposta"]);

    let forced = node.send(force(1)).await.expect(200);
    assert_eq!((&forced["por"], &forced["motivo"]), (&json!("Ana"), &json!("a empresa-x fechou")));
    let (branches, _) = node.audit().await;
    assert_eq!((&branches[0]["estado"], &branches[0]["causa"]), (&json!("abortada"), &json!("heuristica")));
    assert_eq!(branches[0]["forcada"]["por"], "Ana");
    assert_eq!(node.figure("recarga_heuristic_releases_total").await, 1);
    // The window is free again, and nobody is told that it was aborted.
    node.as_stranger(Call::post("/reserva-temporaria", &hold(2, "A-1", 0, 60))).await.expect(201);
    let asked = node.as_stranger(Call::get(&format!("/transacoes/{}", session(1)))).await.expect(200);
    assert_eq!(asked["estado"], "em_duvida");
    let listed = node.send(list()).await.expect(200);
    assert_eq!(
        (&listed["forcadas"][0]["mista"], &listed["forcadas"][0]["resultado"]),
        (&json!(false), &Value::Null)
    );
    node.send(force(1)).await.expect_problem(409, "acao-impossivel");

    // The coordinator comes back with a commit.
    *word.lock().unwrap() = None;
    let confirm = Call::post("/confirmar-reserva", &about(1));
    node.as_stranger(confirm).await.expect_problem(409, "liberada-por-heuristica");
    let listed = node.send(list()).await.expect(200);
    assert_eq!(
        (&listed["forcadas"][0]["mista"], &listed["forcadas"][0]["resultado"]),
        (&json!(true), &json!("confirmada"))
    );
    assert_eq!(listed["forcadas"][0]["motivo"], "a empresa-x fechou");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_forced_where_somebody_knows_or_will_decide() {
    for (said, state) in [("confirmada", "confirmada"), ("abortada", "abortada"), ("pendente", "preparada")] {
        let (stranger, word) = coordinator().await;
        let node = with_a_doubt(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
        *word.lock().unwrap() = Some(says(said, STORE));
        let refused = node.send(force(1)).await.expect_problem(409, "acao-impossivel");
        node.until_branch(&session(1), state).await;
        assert_eq!(node.send(list()).await.expect(200)["forcadas"], json!([]), "{said}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_word_of_another_database_ends_no_doubt() {
    let (stranger, word) = coordinator().await;
    let node = with_a_doubt(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    *word.lock().unwrap() = Some(says("abortada", "00000000000000000000000000000009"));
    let listed = node.send(list()).await.expect(200);
    let words = listed["sessoes"][0]["respostas"].as_array().unwrap().clone();
    let own = words.iter().find(|one| one["empresa"] == STRANGER).unwrap();
    assert_eq!((&own["resposta"], &own["vale"]), (&json!("abortada"), &json!(false)));
    node.send(force(1)).await.expect(200);
    // It is heard later, from the database that knows: right this time.
    *word.lock().unwrap() = Some(says("abortada", STORE));
    let listed = node.send(list()).await.expect(200);
    assert_eq!(
        (&listed["forcadas"][0]["resultado"], &listed["forcadas"][0]["mista"]),
        (&json!("abortada"), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_operator_with_a_reason_forces_and_only_what_is_in_doubt() {
    let (stranger, _) = coordinator().await;
    let node = with_a_doubt(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    for (field, value) in [("motivo", json!("  ")), ("por", json!("a\nb")), ("decisao", json!("confirmar"))] {
        let body = json!({"decisao": "abortar", "por": "Ana", "motivo": "sim"});
        let path = format!("/em-duvida/{}/forcar", session(1));
        let call = Call::post(&path, &with(&body, field, Some(value))).token(OPERATOR);
        assert_eq!(node.send(call).await.expect_problem(422, "campo-invalido")["campo"], field);
    }
    node.send(force(3)).await.expect_problem(404, "nao-encontrado");
    node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
    node.send(force(1)).await.expect_problem(409, "acao-impossivel");
    node.until_branch(&session(1), "confirmada").await;
}
