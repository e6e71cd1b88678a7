//! Cars over MQTT: one answer to each request, whatever is lost, repeated or killed on the way.

use recarga_mqtt::broker::EmbeddedBroker;
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use serde_json::{Value, json};

use crate::booking::session_of;
use crate::support::bodies::{at, from_now, trip, with};
use crate::support::cars::{Cars, Road, broker};
use crate::support::gate::{Gate, GatedStore};
use crate::support::http::Call;
use crate::support::{Mortal, Plan, TestNode, eventually, start_one, start_with};

const OWED: &str = "recarga_answers_owed";

fn request(number: u32) -> Value {
    let from = i64::from(number) * 60;
    trip(&format!("pedido-{number}"), &format!("carro-{number}"), &[("empresa-a", "A-1", from, from + 60)])
}

fn gated(disk: &MemoryDisk, url: &str) -> (Plan, Gate) {
    let gate = Gate::default();
    let store = GatedStore { store: MemoryStore::open(disk), gate: gate.clone() };
    (Plan { store: Box::new(store), broker: Some(url.to_owned()), ..Plan::default() }, gate)
}

async fn connected(node: &TestNode) {
    eventually("the node is connected", || async {
        (node.figure("recarga_broker_connected").await == 1).then_some(())
    })
    .await;
}

async fn on_the_road() -> (EmbeddedBroker, Cars, TestNode) {
    let broker = broker(0).await;
    let node = start_one(Plan { broker: Some(broker.url()), ..Plan::default() }).await;
    connected(&node).await;
    let cars = Cars::connect(&broker.url()).await;
    (broker, cars, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_books_repeats_and_cancels() {
    let (_broker, mut cars, node) = on_the_road().await;
    cars.ask("carro-1", request(1).to_string()).await;
    let booked = cars.answer("carro-1").await;
    assert_eq!((&booked["estado"], &booked["requisicao_id"]), (&json!("confirmada"), &json!("pedido-1")));
    assert_eq!((&booked["servidor"], &booked["motivo"]), (&json!("empresa-a"), &Value::Null));
    assert_eq!(booked["paradas"][0]["ponto_id"], "A-1");
    let shown = node.get(&format!("/viagens/{}", booked["viagem_id"].as_str().unwrap())).await;
    assert_eq!(shown["estado"], "confirmada");
    for _ in 0..3 {
        cars.ask("carro-1", request(1).to_string()).await;
        assert_eq!(cars.answer("carro-1").await, booked, "a repeat gets the same answer");
    }
    // By REST, too, the request is the same one.
    let same = node.send(Call::post("/viagens", &request(1))).await.expect(201);
    assert_eq!(same["viagem_id"], booked["viagem_id"]);

    let cancel = json!({"requisicao_id": "fim", "servidor": "empresa-a", "cancelar": booked["viagem_id"]});
    for _ in 0..2 {
        cars.ask("carro-1", cancel.to_string()).await;
        let cancelled = cars.answer("carro-1").await;
        assert_eq!((&cancelled["estado"], &cancelled["requisicao_id"]), (&json!("cancelada"), &json!("fim")));
    }
    node.until_branch(&session_of(&shown), "liberada").await;
    eventually("no answer is owed", || async { (node.figure(OWED).await == 0).then_some(()) }).await;
    assert_eq!(node.audit().await.1.len(), 1);
}

/// A car that sent its request again was told `confirmada` of a trip that its driver had cancelled by REST, and the old
/// stops of one that was changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_told_the_trip_as_it_is_now_and_a_refusal_stays() {
    let (_broker, mut cars, node) = on_the_road().await;
    cars.ask("carro-1", request(1).to_string()).await;
    let booked = cars.answer("carro-1").await;
    let trip_url = format!("/viagens/{}", booked["viagem_id"].as_str().unwrap());

    let moved = trip("mudanca", "carro-1", &[("empresa-a", "A-2", 300, 360)]);
    node.send(Call::put(&trip_url, &moved)).await.expect(200);
    cars.ask("carro-1", request(1).to_string()).await;
    let changed = cars.answer("carro-1").await;
    assert_eq!((&changed["estado"], &changed["requisicao_id"]), (&json!("confirmada"), &json!("pedido-1")));
    let stop = &changed["paradas"][0];
    assert_eq!((&stop["ponto_id"], &stop["janela_inicio"]), (&json!("A-2"), &json!(at(300))), "{changed}");

    node.send(Call::delete(&trip_url)).await.expect(200);
    // Also who asked for the change by REST and repeats it by MQTT.
    for (request, id) in [(request(1), "pedido-1"), (moved, "mudanca")] {
        for _ in 0..2 {
            cars.ask("carro-1", request.to_string()).await;
            let cancelled = cars.answer("carro-1").await;
            assert_eq!(
                (&cancelled["estado"], &cancelled["requisicao_id"]),
                (&json!("cancelada"), &json!(id))
            );
            assert_eq!(cancelled["viagem_id"], booked["viagem_id"]);
            assert_eq!(cancelled["paradas"][0]["estado"], "liberada", "{cancelled}");
        }
    }

    // What was refused stays so, though it could be had by now.
    let taken = trip("p", "carro-2", &[("empresa-a", "A-2", 0, 60)]);
    let other = node.send(Call::post("/viagens", &taken)).await.expect(201);
    let late = trip("tarde", "carro-3", &[("empresa-a", "A-2", 0, 60)]);
    cars.ask("carro-3", late.to_string()).await;
    let refused = cars.answer("carro-3").await;
    assert_eq!(refused["motivo"]["tipo"], "ponto-reservado", "{refused}");
    node.send(Call::delete(&format!("/viagens/{}", other["viagem_id"].as_str().unwrap()))).await.expect(200);
    cars.ask("carro-3", late.to_string()).await;
    assert_eq!(cars.answer("carro-3").await, refused);
}

/// A repeat in other words was refused as another request, though the trip stood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_wish_in_other_words_is_a_repeat_and_another_wish_is_told_what_stands() {
    let (_broker, mut cars, node) = on_the_road().await;
    let first = with(&request(1), "expira_em", Some(json!(at(-60))));
    cars.ask("carro-1", first.to_string()).await;
    let booked = cars.answer("carro-1").await;
    let rewritten = first.to_string().replace('Z', "+00:00");
    for repeat in [
        request(1).to_string(),
        with(&first, "expira_em", Some(json!(at(-30)))).to_string(),
        with(&first, "servidor", Some(json!("empresa-a"))).to_string(),
        with(&first, "expira_em", Some(json!(from_now(-1)))).to_string(),
        rewritten,
    ] {
        cars.ask("carro-1", repeat.clone()).await;
        assert_eq!(cars.answer("carro-1").await, booked, "{repeat}");
    }

    let other = trip("pedido-1", "carro-1", &[("empresa-a", "A-2", 0, 60)]);
    let differs = |answer: &Value, words: &str| {
        assert_eq!((&answer["estado"], &answer["requisicao_id"]), (&json!("recusada"), &json!("pedido-1")));
        assert_eq!(answer["motivo"]["tipo"], "requisicao-divergente", "{answer}");
        assert!(answer["motivo"]["detail"].as_str().unwrap().contains(words), "{answer}");
        assert_eq!(
            (&answer["viagem_id"], &answer["paradas"][0]["ponto_id"]),
            (&booked["viagem_id"], &json!("A-1"))
        );
    };
    cars.ask("carro-1", other.to_string()).await;
    differs(&cars.answer("carro-1").await, "está confirmado e continua valendo");
    node.send(Call::delete(&format!("/viagens/{}", booked["viagem_id"].as_str().unwrap()))).await.expect(200);
    cars.ask("carro-1", other.to_string()).await;
    differs(&cars.answer("carro-1").await, "cuja viagem foi cancelada");
    // The same of a refused one, which has no trip to show.
    cars.ask("carro-2", trip("p", "carro-2", &[("empresa-a", "A-99", 0, 60)]).to_string()).await;
    assert_eq!(cars.answer("carro-2").await["estado"], "recusada");
    cars.ask("carro-2", trip("p", "carro-2", &[("empresa-a", "A-2", 0, 60)]).to_string()).await;
    let answer = cars.answer("carro-2").await;
    assert!(answer["motivo"]["detail"].as_str().unwrap().contains("que foi recusado"), "{answer}");
    assert_eq!((&answer["viagem_id"], &answer["paradas"]), (&Value::Null, &json!([])));
    assert_eq!(node.audit().await.1.len(), 1, "one trip");
}

/// It was carried out, however late it came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_has_expired_is_refused() {
    let (_broker, mut cars, node) = on_the_road().await;
    cars.ask("carro-1", request(1).to_string()).await;
    let id = cars.answer("carro-1").await["viagem_id"].clone();
    let cancel = |request: &str, expires: i64| json!({"requisicao_id": request, "servidor": "empresa-a", "cancelar": id, "expira_em": from_now(expires)});
    cars.ask("carro-1", cancel("tarde", -1).to_string()).await;
    let late = cars.answer("carro-1").await;
    let motive = &late["motivo"];
    assert_eq!((&late["estado"], &motive["tipo"]), (&json!("recusada"), &json!("expirada")), "{late}");
    assert_eq!(motive["campo"], "expira_em");
    let shown = node.get(&format!("/viagens/{}", id.as_str().unwrap())).await;
    assert_eq!(shown["estado"], "confirmada", "it stands");
    cars.ask("carro-1", cancel("cedo", 10).to_string()).await;
    assert_eq!(cars.answer("carro-1").await["estado"], "cancelada");
    // What is done need not be done late.
    cars.ask("carro-1", cancel("de-novo", -1).to_string()).await;
    assert_eq!(cars.answer("carro-1").await["estado"], "cancelada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_company_coordinates_and_one_answers() {
    let broker = broker(0).await;
    let plan = |_: &str| Plan { broker: Some(broker.url()), ..Plan::default() };
    let nodes = start_with(&["empresa-a", "empresa-b"], plan).await;
    for node in &nodes {
        connected(node).await;
    }
    let mut cars = Cars::connect(&broker.url()).await;
    let stops = [("empresa-b", "B-1", 0, 60), ("empresa-a", "A-1", 100, 160)];
    let by_first_stop = trip("p", "carro-1", &stops);
    let stops = [("empresa-b", "B-1", 60, 100), ("empresa-a", "A-1", 160, 200)];
    let by_name = with(&trip("q", "carro-2", &stops), "servidor", Some(json!("empresa-a")));
    for (car, body, by) in [("carro-1", by_first_stop, "empresa-b"), ("carro-2", by_name, "empresa-a")] {
        cars.ask(car, body.to_string()).await;
        let answer = cars.answer(car).await;
        assert_eq!((&answer["estado"], &answer["servidor"]), (&json!("confirmada"), &json!(by)), "{answer}");
        assert!(cars.silence(car).await, "answered once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_car_says_last_is_kept_and_served() {
    let (_broker, cars, node) = on_the_road().await;
    let status = |estado: &str, charge: f64| {
        json!({"veiculo_id": "carro-1", "latitude": -12.9, "longitude": -38.4, "bateria_pct": charge,
            "velocidade_kmh": 0.0, "autonomia_km": 80.0, "instante": at(0), "estado": estado})
    };
    let seen = |estado: &'static str| {
        let node = &node;
        eventually("a status", move || async move {
            let answer = node.send(Call::get("/veiculos/carro-1")).await;
            (answer.status == 200 && answer.json()["estado"] == estado).then(|| answer.json())
        })
    };
    cars.publish("veiculo/carro-1/status", status("dirigindo", 40.5).to_string()).await;
    let shown = seen("dirigindo").await;
    assert_eq!((&shown["bateria_pct"], &shown["veiculo_id"]), (&json!(40.5), &json!("carro-1")));
    assert!(shown["recebido_em"].is_string());
    assert_eq!(node.get("/veiculos").await["veiculos"], json!([shown]));
    assert_eq!(node.figure("recarga_vehicles").await, 1);

    // A car that charges where it has reserved makes the point busy.
    let mut now = request(1);
    now["paradas"][0]["janela_inicio"] = json!(from_now(0));
    now["paradas"][0]["janela_fim"] = json!(from_now(60));
    node.send(Call::post("/viagens", &now)).await.expect(201);
    let point = || async { node.get("/disponibilidade?ponto_id=A-1").await["pontos"][0]["estado"].clone() };
    assert_eq!(point().await, "reservado");
    cars.publish("veiculo/carro-1/status", status("carregando", 41.0).to_string()).await;
    seen("carregando").await;
    assert_eq!(point().await, "em_uso");
}

/// A last will, written when its car connected, put the car back to where it was then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_takes_nothing_back_but_that_a_car_is_gone() {
    let (_broker, cars, node) = on_the_road().await;
    let say = async |charge: u8, minutes: i64, estado: &str| {
        let status = json!({"veiculo_id": "carro-1", "latitude": -12.9, "longitude": -38.4, "bateria_pct": charge,
            "velocidade_kmh": 0.0, "autonomia_km": 80.0, "instante": from_now(minutes), "estado": estado});
        cars.publish("veiculo/carro-1/status", status.to_string()).await;
    };
    let seen = async |charge: f64, estado: &str| {
        eventually("a status", || async {
            let answer = node.send(Call::get("/veiculos/carro-1")).await;
            let shown = answer.json();
            (answer.status == 200 && shown["bateria_pct"] == charge && shown["estado"] == estado)
                .then_some(())
        })
        .await;
    };
    say(40, -5, "dirigindo").await;
    seen(40.0, "dirigindo").await;
    say(90, -60, "offline").await;
    seen(40.0, "offline").await;
    // It is back, and what it had said before comes late.
    say(39, -3, "parado").await;
    seen(39.0, "parado").await;
    say(38, -4, "dirigindo").await;
    node.until_figure("recarga_mqtt_messages_total{message=\"status\"}", 4).await;
    seen(39.0, "parado").await;
    // A clock that was wrong is set right.
    say(37, 100_000, "parado").await;
    seen(37.0, "parado").await;
    say(36, -1, "dirigindo").await;
    seen(36.0, "dirigindo").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_owed_until_the_broker_has_it() {
    let broker = broker(0).await;
    let road = Road::to(&broker).await;
    let (plan, gate) = gated(&MemoryDisk::default(), &road.url);
    let node = start_one(plan).await;
    connected(&node).await;
    let mut cars = Cars::connect(&broker.url()).await;
    // The request arrives; before its answer leaves, the road to the broker is cut.
    gate.close_after(1);
    cars.ask("carro-1", request(1).to_string()).await;
    gate.blocked().await;
    road.cut();
    eventually("the node sees it", || async {
        (node.figure("recarga_broker_connected").await == 0).then_some(())
    })
    .await;
    gate.open();
    eventually("the answer is owed", || async { (node.figure(OWED).await == 1).then_some(()) }).await;
    assert!(cars.silence("carro-1").await);
    road.mend();
    let answer = cars.answer("carro-1").await;
    assert_eq!(answer["estado"], "confirmada", "{answer}");
    eventually("it is owed no longer", || async { (node.figure(OWED).await == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_owed_survives_a_restart() {
    let broker = broker(0).await;
    let (road, disk) = (Road::to(&broker).await, MemoryDisk::default());
    let (plan, gate) = gated(&disk, &road.url);
    let first = Mortal::start(plan).await;
    connected(&first.node).await;
    let mut cars = Cars::connect(&broker.url()).await;
    gate.close_after(1);
    cars.ask("carro-1", request(1).to_string()).await;
    gate.blocked().await;
    road.cut();
    gate.open();
    let node = &first.node;
    eventually("the answer is owed", || async { (node.figure(OWED).await == 1).then_some(()) }).await;
    let records = || gate.counts();
    // The answer itself is recorded lazily, and so is what follows: all of it is on the disk by now or never.
    eventually("the record is quiet", || async {
        let before = records();
        tokio::time::sleep(crate::support::A_WHILE).await;
        (records() == before).then_some(())
    })
    .await;
    first.kill();
    road.mend();
    let (plan, _gate) = gated(&disk, &road.url);
    let second = start_one(plan).await;
    let answer = cars.answer("carro-1").await;
    assert_eq!(answer["estado"], "confirmada", "{answer}");
    assert_eq!(second.audit().await.1.len(), 1, "one trip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_not_durable_comes_again_after_a_crash() {
    let (broker, disk) = (broker(0).await, MemoryDisk::default());
    let (plan, gate) = gated(&disk, &broker.url());
    let first = Mortal::start(plan).await;
    connected(&first.node).await;
    let mut cars = Cars::connect(&broker.url()).await;
    gate.close();
    cars.ask("carro-1", request(1).to_string()).await;
    gate.blocked().await;
    // Its write never returns, and it says no more: to the broker neither.
    first.kill();
    let (plan, _gate) = gated(&disk, &broker.url());
    let second = start_one(plan).await;
    assert_eq!(cars.answer("carro-1").await["estado"], "confirmada");
    assert_eq!(second.audit().await.1.len(), 1, "one trip");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_durable_is_finished_after_a_crash() {
    let (broker, disk) = (broker(0).await, MemoryDisk::default());
    let (plan, gate) = gated(&disk, &broker.url());
    let first = Mortal::start(plan).await;
    connected(&first.node).await;
    let mut cars = Cars::connect(&broker.url()).await;
    // The letter is written; the commit never is.
    gate.close_after(1);
    cars.ask("carro-1", request(1).to_string()).await;
    gate.blocked().await;
    assert!(cars.silence("carro-1").await);
    first.kill();
    let (plan, _gate) = gated(&disk, &broker.url());
    let second = start_one(plan).await;
    assert_eq!(cars.answer("carro-1").await["estado"], "confirmada");
    assert_eq!(second.audit().await.1.len(), 1, "one trip");
}

/// Otherwise a restart could book what was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_durable_before_it_is_told() {
    let broker = broker(0).await;
    let (plan, gate) = gated(&MemoryDisk::default(), &broker.url());
    let node = start_one(plan).await;
    connected(&node).await;
    let mut cars = Cars::connect(&broker.url()).await;
    gate.close_after(1);
    let refused = with(&request(1), "paradas[0].ponto_id", Some(json!("A-99")));
    cars.ask("carro-1", refused.to_string()).await;
    gate.blocked().await;
    // Longer than the pause between two sweeps of answers that are owed.
    for _ in 0..36 {
        assert!(cars.silence("carro-1").await, "told before it is durable");
    }
    gate.open();
    assert_eq!(cars.answer("carro-1").await["estado"], "recusada");
}
