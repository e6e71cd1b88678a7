//! Every operation of the OpenAPI document, for every caller.

use std::collections::BTreeSet;

use serde_json::json;

use crate::callers::{Caller, everybody, start, start_open};
use crate::support::TestNode;
use crate::support::http::Call;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Everybody,
    Companies,
    Drivers,
    Operator,
}

const OPERATIONS: [(&str, &str, For); 37] = [
    ("get", "/disponibilidade", For::Everybody),
    ("get", "/pontos", For::Everybody),
    ("get", "/rede", For::Everybody),
    ("get", "/federacao", For::Everybody),
    ("get", "/federacao/lista", For::Everybody),
    ("get", "/saude", For::Everybody),
    ("get", "/metrics", For::Everybody),
    ("get", "/problemas/{tipo}", For::Everybody),
    ("post", "/reserva-temporaria", For::Companies),
    ("post", "/confirmar-reserva", For::Companies),
    ("delete", "/cancelar-reserva", For::Companies),
    ("get", "/transacoes/{sessao}", For::Companies),
    ("post", "/lote", For::Companies),
    ("post", "/viagens", For::Drivers),
    ("post", "/viagens/planejar", For::Drivers),
    ("get", "/modelos", For::Everybody),
    ("get", "/viagens", For::Drivers),
    ("get", "/viagens/{id}", For::Drivers),
    ("put", "/viagens/{id}", For::Drivers),
    ("delete", "/viagens/{id}", For::Drivers),
    ("get", "/veiculos", For::Drivers),
    ("get", "/veiculos/{id}", For::Drivers),
    ("get", "/eventos", For::Drivers),
    ("get", "/auditoria", For::Operator),
    ("get", "/copia", For::Operator),
    ("get", "/em-duvida", For::Operator),
    ("post", "/em-duvida/{sessao}/forcar", For::Operator),
    ("get", "/painel/config", For::Everybody),
    ("get", "/painel/reservas", For::Operator),
    ("get", "/painel/numeros", For::Operator),
    ("get", "/painel/viagens", For::Operator),
    ("get", "/painel/sessoes", For::Operator),
    ("get", "/painel/sessoes/{sessao}", For::Operator),
    ("get", "/painel/estacoes", For::Operator),
    ("get", "/painel/estacoes/{empresa}/{estacao_id}", For::Operator),
    ("get", "/painel/saude", For::Operator),
    ("put", "/pontos/{id}/estado", For::Operator),
];

// Whether the operation is open to the caller, where drivers need a token and where they need none.
fn is_open(to: For, caller: Caller, drivers_known: bool) -> bool {
    if matches!(caller, Caller::Unknown(_)) {
        return false; // whoever presents a token means to be known
    }
    match to {
        For::Everybody => true,
        For::Companies => matches!(caller, Caller::Company(_)),
        For::Drivers => !drivers_known || matches!(caller, Caller::Driver | Caller::Operator),
        For::Operator => caller == Caller::Operator,
    }
}

async fn check(node: &TestNode, drivers_known: bool) {
    let before = node.audit().await;
    let mut refused = 0;
    for caller in everybody() {
        // Where no driver is known, nobody knows the driver's token.
        let caller = match caller {
            Caller::Driver if !drivers_known => Caller::Unknown("Bearer driver-token"),
            caller => caller,
        };
        for (method, path, to) in OPERATIONS {
            let path =
                path.replace("{tipo}", "nao-permitido").replace("{id}", "nada").replace("{sessao}", "nada");
            let mut call = Call::new(&method.to_uppercase(), &path);
            if ["post", "put", "delete"].contains(&method) {
                call = call.json(&json!({}));
            }
            let status = node.status(caller.sign(call)).await;
            if is_open(to, caller, drivers_known) {
                assert!(![401, 403].contains(&status), "{method} {path} by {caller:?}: {status}");
            } else {
                assert_eq!(status, caller.refusal(), "{method} {path} by {caller:?}");
                refused += 1;
            }
        }
    }
    assert_eq!(node.audit().await, before, "nothing was done");
    println!("{refused} calls refused, as they must be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_is_open_to_those_whom_it_is_for() {
    let node = start().await;
    let document = node.get("/openapi.json").await;
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.as_str(), path.as_str()))
        })
        .filter(|(method, _)| *method != "parameters")
        .collect();
    let tried: BTreeSet<_> = OPERATIONS.iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(tried, described, "an operation that is not tried here");
    check(&node, true).await;
    check(&start_open().await, false).await;
}
