//! Where cars have tokens of their own: no call for a car is open to anybody but that car and the operator.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::bodies::{trip, with};
use crate::support::http::Call;
use crate::support::{OPERATOR, Plan, STRANGER, TestNode, eventually, start_one, token};

const DRIVER: &str = "driver-token";
const CAR: &str = "token-of-carro-1";
const OTHER: &str = "token-of-carro-2";

async fn start(more: &str) -> TestNode {
    let cars = format!("vehicle_tokens = {{ \"carro-1\" = \"{CAR}\", \"carro-2\" = \"{OTHER}\" }}");
    start_one(Plan { operator: format!("{cars}\n{more}"), ..Plan::default() }).await
}

fn wish(name: &str, car: &str, at: i64) -> Value {
    trip(name, car, &[("empresa-a", "A-1", at, at + 30)])
}

// Whoever is not carro-1, and what they are answered about it.
fn strangers() -> [(&'static str, Option<String>, u16); 5] {
    [
        ("nobody", None, 401),
        ("an unknown token", Some("token-of-carro-9".to_owned()), 401),
        ("a driver's app", Some(DRIVER.to_owned()), 403),
        ("another car", Some(OTHER.to_owned()), 403),
        ("a company", Some(token(STRANGER, "empresa-a")), 403),
    ]
}

fn sign(call: Call, token: Option<&str>) -> Call {
    token.map_or(call.clone(), |token| call.token(token))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_demands_of_drivers_what_the_node_demands() {
    let drivers = format!("driver_tokens = [\"{DRIVER}\"]");
    let nodes = [
        ("nobody has a token", start_one(Plan::default()).await),
        ("apps have", start_one(Plan { operator: drivers.clone(), ..Plan::default() }).await),
        ("cars have", start("").await),
        ("both have", start(&drivers).await),
    ];
    for (who, node) in nodes {
        let document = node.get("/openapi.json").await;
        let mut count = 0;
        for (name, path) in document["paths"].as_object().unwrap() {
            for (method, operation) in path.as_object().unwrap() {
                if operation["tags"] != json!(["drivers"]) {
                    continue;
                }
                count += 1;
                let demanded: Option<Vec<String>> = operation.get("security").map(|security| {
                    let one = |one: &Value| one.as_object().unwrap().keys().next().unwrap().clone();
                    security.as_array().unwrap().iter().map(one).collect()
                });
                let call = Call::new(&method.to_uppercase(), &name.replace("{id}", "carro-1"));
                let call =
                    if ["post", "put"].contains(&method.as_str()) { call.json(&json!({})) } else { call };
                let nobody = node.status(call.clone()).await;
                assert_eq!(nobody == 401, demanded.is_some(), "{who}: {method} {name} by nobody: {nobody}");
                for demand in demanded.iter().flatten() {
                    let schemes = &document["components"]["securitySchemes"];
                    assert_eq!(schemes[demand]["scheme"], "bearer", "{demand}");
                }
                let Some(demanded) = demanded else { continue };
                for (holder, token) in [("motorista", DRIVER), ("carro", CAR), ("operador", OPERATOR)] {
                    let status = node.status(call.clone().token(token)).await;
                    // Nobody holds what nobody was given.
                    let is_known = status != 401;
                    let is_open = status != 403;
                    let is_listed = demanded.iter().any(|one| one == holder);
                    assert!(
                        !is_known || is_open == is_listed,
                        "{who}: {method} {name} by {holder}: {status}, and the document demands {demanded:?}"
                    );
                }
            }
        }
        assert!(count >= 9, "{count} operations of drivers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_for_a_car_are_open_to_it_alone() {
    let node = start(&format!("driver_tokens = [\"{DRIVER}\"]")).await;
    let booked = node.send(Call::post("/viagens", &wish("p", "carro-1", 0)).token(CAR)).await.expect(201);
    let path = format!("/viagens/{}", booked["viagem_id"].as_str().unwrap());
    let journey = json!({"requisicao_id": "j", "veiculo": {"veiculo_id": "carro-1"}, "origem": "Recife",
        "destino": "Salvador", "bateria_pct": 80, "modelo": "byd-dolphin-plus"});
    let before = node.audit().await;
    for (who, token, status) in strangers() {
        // By its own name another car is told that the trip does not exist.
        let of_the_trip = if who == "another car" { 404 } else { status };
        for (call, expected) in [
            (Call::post("/viagens", &wish("q", "carro-1", 60)), status),
            (Call::post("/viagens", &journey), status),
            (Call::get("/viagens?veiculo_id=carro-1"), status),
            (Call::get("/veiculos/carro-1"), if who == "a driver's app" { 404 } else { status }),
            (Call::get(&path), of_the_trip),
            (Call::put(&path, &wish("q", "carro-1", 60)), status),
            (Call::delete(&path), of_the_trip),
        ] {
            let what = format!("{} {} by {who}", call.method, call.path);
            let answer = node.send(sign(call, token.as_deref())).await;
            assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        }
    }
    // In its own name it cannot take another's trip.
    let taken = Call::put(&path, &wish("q", "carro-2", 60)).token(OTHER);
    node.send(taken).await.expect_problem(404, "nao-encontrado");
    assert_eq!(node.audit().await, before, "nothing was done");
    let refused = node.send(Call::post("/viagens", &wish("q", "carro-1", 60)).token(OTHER)).await;
    assert_eq!(refused.expect_problem(403, "nao-permitido")["campo"], "veiculo.veiculo_id");

    for token in [CAR, OPERATOR] {
        node.send(Call::get(&path).token(token)).await.expect(200);
        let listed = node.send(Call::get("/viagens?veiculo_id=carro-1").token(token)).await.expect(200);
        assert_eq!(listed["viagens"].as_array().unwrap().len(), 1);
    }
    node.send(Call::put(&path, &wish("q", "carro-1", 60)).token(CAR)).await.expect(200);
    eventually("the change is settled", || async {
        (node.send(Call::delete(&path).token(CAR)).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_sees_nothing_of_others() {
    let node = start("").await;
    for path in ["/veiculos", "/veiculos/carro-2", "/eventos", "/auditoria", "/painel/viagens"] {
        assert_eq!(node.status(Call::get(path).token(CAR)).await, 403, "{path}");
        assert_eq!(node.status(Call::get(path)).await, 401, "{path} by nobody, though no app has a token");
    }
    let question =
        json!({"origem": "Recife", "destino": "Salvador", "bateria_pct": 80, "modelo": "byd-dolphin-plus"});
    let plan = Call::post("/viagens/planejar", &question);
    assert_eq!(node.status(plan.clone()).await, 401);
    assert!(![401, 403].contains(&node.status(plan.token(CAR)).await));
    let hold = crate::support::bodies::hold(1, "A-1", 0, 30);
    let hold = Call::post("/reserva-temporaria", &with(&hold, "validade_s", Some(json!(30))));
    assert_eq!(node.status(hold.token(CAR)).await, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_tokens_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cars");
    let replace = |text: &str| {
        fs::write(folder.path().join("new"), text).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
    };
    replace("carro-5 first-token\ncarro-6 other-token\n");
    let node = start(&format!("vehicle_tokens_file = \"{}\"", path.display())).await;
    let list = |car: &str, token: &str| {
        let call = Call::get(&format!("/viagens?veiculo_id={car}")).token(token);
        async { node.status(call).await }
    };
    assert_eq!(list("carro-5", "first-token").await, 200);
    assert_eq!(list("carro-1", CAR).await, 200, "those of the configuration stand beside it");
    replace("carro-5 second-token\ncarro-6 other-token\n");
    eventually("the new token opens", || async {
        (list("carro-5", "second-token").await == 200).then_some(())
    })
    .await;
    assert_eq!(list("carro-5", "first-token").await, 401, "the old one does not");
}

#[test]
fn tokens_that_do_not_tell_cars_apart_are_refused_without_being_shown() {
    let parse = |operator: &str| {
        let text = format!(
            "[operator]\nid = \"a\"\nname = \"A\"\nlisten = \"127.0.0.1:1\"\ndata_dir = \"d\"\n\
             operator_token = \"secret-operator\"\n{operator}"
        );
        let parsed = recarga_node::config::Config::parse(&text, "t.toml", Path::new("."), &|_| None);
        parsed.unwrap_err().to_string()
    };
    for (operator, expected) in [
        ("vehicle_tokens = { \"c 1\" = \"secret-one\" }", "operator.vehicle_tokens: \"c 1\""),
        ("vehicle_tokens = { c1 = \"secret\" }", "operator.vehicle_tokens.c1: at least 8"),
        ("vehicle_tokens = { c1 = \"secret-one\", c2 = \"secret-one\" }", "c1 and c2 have the same token"),
        ("vehicle_tokens = { c1 = \"secret-operator\" }", "the same token as operator.operator_token"),
        ("vehicle_tokens_file = \"/no/such/file\"", "operator.vehicle_tokens_file: /no/such/file"),
    ] {
        let error = parse(operator);
        assert!(error.contains(expected), "{operator}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
