//! What one car may have at a time, told by REST and by MQTT.

use serde_json::{Value, json};

use crate::booking::{ABC, path_of, settled};
use crate::support::bodies::trip;
use crate::support::cars::{Cars, broker};
use crate::support::http::Call;
use crate::support::{Plan, eventually, start_one, start_with};

fn limits(lines: &str) -> Plan {
    Plan { limits: lines.to_owned(), ..Plan::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_with_as_many_trips_as_it_may_have_is_told_how_many_and_can_still_change_them() {
    let node = start_one(limits("vehicle_open_trips_max = 2")).await;
    let book = |name: &str, car: &str, at: i64| {
        Call::post("/viagens", &trip(name, car, &[("empresa-a", "A-1", at, at + 30)]))
    };
    let first = node.send(book("p", "carro-1", 0)).await.expect(201);
    node.send(book("q", "carro-1", 60)).await.expect(201);
    let refused = node.send(book("r", "carro-1", 120)).await.expect_problem(409, "limite-de-viagens");
    assert_eq!((&refused["maximo_viagens"], &refused["usado_viagens"]), (&json!(2), &json!(2)));
    assert_eq!((&refused["campo"], &refused["empresa"]), (&json!("veiculo.veiculo_id"), &json!("empresa-a")));
    assert!(refused["detail"].as_str().unwrap().contains("cancele"), "the cure: {refused}");
    node.send(book("p", "carro-2", 120)).await.expect(201);
    let moved = trip("s", "carro-1", &[("empresa-a", "A-1", 10, 40)]);
    node.send(Call::put(&path_of(&first), &moved)).await.expect(200);
    settled(&node, &path_of(&first)).await;
    node.send(Call::delete(&path_of(&first))).await.expect(200);
    node.send(book("t", "carro-1", 180)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_counts_what_a_car_has_there_whoever_coordinates() {
    let plan = |name: &str| match name {
        "empresa-b" => limits("vehicle_booked_hours_max = 1"),
        _ => Plan::default(),
    };
    let nodes = start_with(&ABC, plan).await;
    let wish = |name: &str, from: i64, to: i64| trip(name, "carro-1", &[("empresa-b", "B-1", from, to)]);
    nodes[0].send(Call::post("/viagens", &wish("p", 0, 40))).await.expect(201);
    for (node, name) in [(&nodes[0], "q"), (&nodes[2], "r")] {
        let refused = node.send(Call::post("/viagens", &wish(name, 60, 90))).await;
        let refused = refused.expect_problem(409, "limite-de-horas");
        assert_eq!((&refused["maximo_s"], &refused["usado_s"]), (&json!(3600), &json!(2400)));
        assert_eq!(refused["empresa"], "empresa-b", "whose limit it is");
    }
    nodes[2].send(Call::post("/viagens", &wish("s", 60, 80))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_is_told_by_mqtt_too() {
    let broker = broker(0).await;
    let node = start_one(Plan { broker: Some(broker.url()), ..limits("vehicle_open_trips_max = 1") }).await;
    eventually("the node is connected", || async {
        (node.figure("recarga_broker_connected").await == 1).then_some(())
    })
    .await;
    let mut cars = Cars::connect(&broker.url()).await;
    let mut answers: Vec<Value> = Vec::new();
    for (name, at) in [("p", 0), ("q", 60)] {
        let wish = trip(name, "carro-1", &[("empresa-a", "A-1", at, at + 30)]);
        cars.ask("carro-1", wish.to_string()).await;
        answers.push(cars.answer("carro-1").await);
    }
    assert_eq!(answers[0]["estado"], "confirmada");
    assert_eq!(answers[1]["estado"], "recusada");
    let reason = &answers[1]["motivo"];
    assert_eq!((&reason["tipo"], &reason["maximo_viagens"]), (&json!("limite-de-viagens"), &json!(1)));
    assert_eq!(reason["usado_viagens"], 1);
}
