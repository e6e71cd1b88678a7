//! EVSEs out of service.

use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use serde_json::{Value, json};

use crate::support::bodies::{hold, trip};
use crate::support::http::Call;
use crate::support::{OPERATOR, Plan, TestNode, start_one};

async fn set(node: &TestNode, evse: &str, state: &str) -> Value {
    let call = Call::put(&format!("/pontos/{evse}/estado"), &json!({"estado": state}));
    node.send(call.token(OPERATOR)).await.expect(200)
}

async fn state(node: &TestNode, evse: &str) -> (Value, usize) {
    let page = node.get(&format!("/disponibilidade?ponto_id={evse}")).await;
    let point = &page["pontos"][0];
    (point["estado"].clone(), point["livres"].as_array().unwrap().len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_new_is_reserved_there_what_is_stays_and_a_restart_changes_nothing() {
    let disk = MemoryDisk::default();
    let plan = || Plan { store: Box::new(MemoryStore::open(&disk)), ..Plan::default() };
    let node = start_one(plan()).await;
    let stops = [("empresa-a", "A-1", 0, 60)];
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 60, 90))).await.expect(201);
    let revision = node.get("/disponibilidade?ponto_id=A-2").await["revisao"].clone();

    let answer = set(&node, "A-1", "inoperante").await;
    let affected = answer["afetadas"].as_array().unwrap();
    assert_eq!(affected.len(), 2, "{answer}");
    assert_eq!((&affected[0]["sessao"], &affected[0]["veiculo_id"]), (&booked["sessao"], &json!("carro-1")));
    assert!(affected[1].get("veiculo_id").is_none(), "another company's driver: {answer}");
    assert_eq!(state(&node, "A-1").await, (json!("inoperante"), 0));
    let changed = node.get(&format!("/disponibilidade?alterados_desde={revision}")).await;
    assert_eq!(changed["pontos"][0]["ponto_id"], "A-1", "whoever keeps a copy hears of it: {changed}");

    // Restarted from the same disk.
    node.stop().await;
    let node = start_one(plan()).await;
    assert_eq!(state(&node, "A-1").await, (json!("inoperante"), 0));
    let refused = trip("q", "carro-2", &[("empresa-a", "A-1", 120, 150)]);
    let problem = node.send(Call::post("/viagens", &refused)).await.expect_problem(409, "ponto-inoperante");
    assert_eq!((&problem["campo"], &problem["parada"]), (&json!("paradas[0].ponto_id"), &json!(0)));
    let vote = node.as_stranger(Call::post("/reserva-temporaria", &hold(2, "A-1", 120, 150))).await;
    assert_eq!(vote.expect_problem(409, "ponto-inoperante")["voto"], "nao");
    // What was promised is kept.
    let session = crate::support::bodies::session(1);
    let about = json!({"sessao": session, "coordenador": "empresa-x"});
    node.as_stranger(Call::post("/confirmar-reserva", &about)).await.expect(200);
    let numbers = node.send(Call::get("/painel/numeros").token(OPERATOR)).await.expect(200);
    assert_eq!(numbers["inoperantes"], 1);

    set(&node, "A-1", "disponivel").await;
    assert_eq!(state(&node, "A-1").await.0, "disponivel");
    node.send(Call::post("/viagens", &trip("r", "carro-3", &[("empresa-a", "A-1", 120, 150)])))
        .await
        .expect(201);
    node.stop().await;
    let node = start_one(plan()).await;
    assert_eq!(state(&node, "A-1").await.0, "disponivel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_changes_nothing() {
    let node = start_one(Plan::default()).await;
    let put = |path: &str, body: &str| {
        let call = Call::new("PUT", path).bytes(body.as_bytes()).header("content-type", b"application/json");
        node.send(call.token(OPERATOR))
    };
    put("/pontos/Z-9/estado", r#"{"estado":"inoperante"}"#).await.expect_problem(404, "nao-encontrado");
    put("/pontos/%20/estado", r#"{"estado":"inoperante"}"#).await.expect_problem(422, "campo-invalido");
    put("/pontos/A-1/estado", r#"{"estado":"quebrado"}"#).await.expect_problem(422, "campo-invalido");
    put("/pontos/A-1/estado", r#"{"estado":"inoperante","x":1}"#)
        .await
        .expect_problem(422, "campo-desconhecido");
    put("/pontos/A-1/estado", "{}").await.expect_problem(422, "campo-ausente");
    put("/pontos/A-1/estado", "{").await.expect_problem(400, "corpo-invalido");
    assert_eq!(state(&node, "A-1").await.0, "disponivel");
    let numbers = node.send(Call::get("/painel/numeros").token(OPERATOR)).await.expect(200);
    assert_eq!(numbers["inoperantes"], 0);
}
