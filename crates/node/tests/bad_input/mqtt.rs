//! What cars say: a bad request is answered with `recusada` and a reason, or counted where the car cannot be named.

use recarga_mqtt::broker::EmbeddedBroker;
use serde_json::{Value, json};

use crate::fields::{MQTT, all_bad};
use crate::support::bodies::{at, from_now, trip, with};
use crate::support::cars::{Cars, broker};
use crate::support::http::Call;
use crate::support::{Plan, eventually};
use crate::{Bench, check_problem, ensure};

const UNKNOWN_TOPIC: &str = "recarga_mqtt_messages_total{message=\"unknown_topic\"}";
const MALFORMED_STATUS: &str = "recarga_mqtt_messages_total{message=\"malformed_status\"}";
const MALFORMED_REQUEST: &str = "recarga_mqtt_messages_total{message=\"malformed_request\"}";

struct Road {
    bench: Bench,
    cars: Cars,
    _broker: EmbeddedBroker,
}

/// A request of one car, and why it is refused. Requests that can be read are remembered: each has an id of its own.
type MqttRow = (&'static str, Value, &'static str, &'static str);

impl Road {
    async fn start() -> Self {
        let broker = broker(0).await;
        let bench = Bench::start_with(|_| Plan { broker: Some(broker.url()), ..Plan::default() }).await;
        for node in &bench.nodes {
            eventually("the node is connected", || async {
                (node.figure("recarga_broker_connected").await == 1).then_some(())
            })
            .await;
        }
        let cars = Cars::connect(&broker.url()).await;
        Self { bench, cars, _broker: broker }
    }

    // Publishes as this car and checks the refusal.
    async fn refuses(&mut self, what: &str, car: &str, payload: Vec<u8>, tipo: &str, campo: &str) -> Value {
        let before = self.bench.snapshot().await;
        self.cars.ask(car, payload).await;
        let answer = self.cars.answer(car).await;
        if let Err(reason) = check_refused(&answer, car, tipo, campo) {
            panic!("{what}: {reason}: {answer}");
        }
        self.bench.unchanged(what, &before).await;
        answer
    }

    async fn refuses_all(&mut self, rows: Vec<MqttRow>) {
        for (number, (what, mut body, tipo, campo)) in (100..).zip(rows) {
            let (car, request) = (format!("carro-{number}"), format!("pedido-{number}"));
            body["requisicao_id"] = json!(request);
            if body["veiculo"]["veiculo_id"] == "carro-1" {
                body["veiculo"]["veiculo_id"] = json!(car);
            }
            let answer = self.refuses(what, &car, body.to_string().into(), tipo, campo).await;
            assert_eq!(answer["requisicao_id"], request, "{what}");
        }
        assert!(self.cars.silence("carro-100").await, "one answer each");
        assert_eq!(self.cars.unread(), 0, "one answer each");
    }
}

fn check_refused(answer: &Value, car: &str, tipo: &str, campo: &str) -> Result<(), String> {
    let refused = answer["estado"] == "recusada" && answer["viagem_id"].is_null();
    ensure(refused && answer["paradas"] == json!([]), || "not refused".to_owned())?;
    ensure(answer["veiculo_id"] == car, || format!("not to {car}"))?;
    ensure(answer["servidor"] == "empresa-a", || "by another company".to_owned())?;
    let motive = &answer["motivo"];
    check_problem(motive)?;
    ensure(motive["tipo"] == tipo, || format!("not {tipo}"))?;
    ensure(motive["campo"].as_str().unwrap_or("") == campo, || format!("campo is not {campo:?}"))
}

fn good() -> Value {
    trip("pedido-1", "carro-1", &[("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 120, 180)])
}

fn change(campo: &str, value: Value) -> Value {
    with(&good(), campo, Some(value))
}

fn window(from: String, to: String) -> Value {
    with(&change("paradas[1].janela_inicio", json!(from)), "paradas[1].janela_fim", Some(json!(to)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_request() {
    let mut road = Road::start().await;
    let servidor = with(&good(), "servidor", Some(json!("empresa-a")));
    let full = with(&servidor, "expira_em", Some(json!(at(0))));
    for (what, body, tipo, campo) in all_bad(&full, MQTT) {
        let answer = road.refuses(&what, "carro-1", body.to_string().into(), tipo, &campo).await;
        // The id of the request is told back wherever it can be read.
        let readable = campo != "requisicao_id";
        assert_eq!(answer["requisicao_id"] == "pedido-1", readable, "{what}: {answer}");
    }
    assert!(road.cars.silence("carro-1").await, "one answer each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_asks_for() {
    let mut road = Road::start().await;
    let stops = |count: i64| {
        let stops: Vec<_> = (0..count).map(|n| ("empresa-a", "A-1", 60 * n, 60 * n + 60)).collect();
        trip("pedido-1", "carro-1", &stops)
    };
    let overlap = trip("r", "carro-1", &[("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 59, 90)]);
    let cancel = |id: &str| json!({"cancelar": id, "servidor": "empresa-a"});
    let both = with(&good(), "cancelar", Some(json!("abc")));
    let start = "paradas[1].janela_inicio";
    let end = "paradas[1].janela_fim";
    let evse = "paradas[1].ponto_id";
    #[rustfmt::skip]
    let rows: Vec<MqttRow> = vec![
        ("reversed window", window(at(180), at(120)), "janela-invertida", end),
        ("empty window", window(at(120), at(120)), "janela-invertida", end),
        ("window in the past", window(from_now(-120), from_now(-60)), "janela-no-passado", start),
        ("window longer than 12 hours", window(at(120), at(841)), "janela-longa-demais", end),
        ("window 91 days ahead", window(at(91 * 1440), at(91 * 1440 + 60)), "janela-distante-demais", start),
        ("unknown EVSE here", change("paradas[0].ponto_id", json!("A-99")), "ponto-desconhecido", "paradas[0].ponto_id"),
        ("unknown EVSE at the other company", change(evse, json!("B-99")), "ponto-desconhecido", evse),
        ("EVSE without the plug", change(evse, json!("B-3")), "plugue-incompativel", evse),
        ("unknown company at the first stop", change("paradas[0].empresa", json!("empresa-z")), "empresa-desconhecida", "paradas[0].empresa"),
        ("unknown company at the second stop", change("paradas[1].empresa", json!("empresa-z")), "empresa-desconhecida", "paradas[1].empresa"),
        ("unknown coordinator", change("servidor", json!("empresa-z")), "empresa-desconhecida", "servidor"),
        ("no stops", stops(0), "paradas-demais", "paradas"),
        ("17 stops", stops(17), "paradas-demais", "paradas"),
        ("two stops at the same time", overlap, "paradas-sobrepostas", "paradas[1].janela_inicio"),
        ("expired", change("expira_em", json!(from_now(-1))), "expirada", "expira_em"),
        ("another car's request", change("veiculo.veiculo_id", json!("carro-2")), "campo-invalido", "veiculo.veiculo_id"),
        ("neither a trip nor a cancellation", json!({}), "campo-ausente", "veiculo"),
        ("no stops at all", json!({"veiculo": {"veiculo_id": "carro-1"}}), "campo-ausente", "paradas"),
        ("a trip and a cancellation", both, "campo-invalido", "paradas"),
        ("a cancellation of a bad id", cancel("a/b"), "campo-invalido", "cancelar"),
        ("a cancellation of nothing", cancel("ffffffffffffffffffffffffffffffff"), "nao-encontrado", "cancelar"),
        ("a cancellation without the company", json!({"cancelar": "abc"}), "campo-ausente", "servidor"),
        ("a cancellation for another car", json!({"cancelar": "abc", "servidor": "empresa-a", "veiculo": {"veiculo_id": "outro"}}), "campo-invalido", "veiculo.veiculo_id"),
    ];
    road.refuses_all(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_that_are_no_request() {
    let mut road = Road::start().await;
    let text = good().to_string();
    let large = with(&good(), "veiculo.veiculo_id", Some(json!("x".repeat(64 * 1024))));
    let latin = [b"{\"requisicao_id\":\"a\xe7\xe3o\",".as_slice(), &text.as_bytes()[1..]].concat();
    let doubled = text.replacen('{', "{\"requisicao_id\":\"pedido-1\",", 1);
    let (malformed, field) = ("corpo-invalido", "campo-invalido");
    #[rustfmt::skip]
    let rows: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("nothing", vec![], malformed, ""),
        ("no JSON", b"quero ir".to_vec(), malformed, ""),
        ("cut off", text.as_bytes()[..text.len() - 1].to_vec(), malformed, ""),
        ("more after the end", format!("{text}{text}").into(), malformed, ""),
        ("no UTF-8", latin, malformed, ""),
        ("NaN", text.replace("\"carro-1\"", "NaN").into(), malformed, ""),
        ("a number beyond all limits", text.replace("\"carro-1\"", "1e999").into(), field, "veiculo.veiculo_id"),
        ("a list", b"[]".to_vec(), malformed, ""),
        ("null", b"null".to_vec(), malformed, ""),
        ("nested deeply", b"[".repeat(60_000), malformed, ""),
        ("a field twice", doubled.into(), field, "requisicao_id"),
        ("64 KiB and more", large.to_string().into(), "corpo-grande-demais", ""),
        ("half a mebibyte", vec![b'{'; 512 * 1024], "corpo-grande-demais", ""),
    ];
    let count = rows.len() as u64;
    for (what, payload, tipo, campo) in rows {
        road.refuses(what, "carro-1", payload, tipo, campo).await;
    }
    assert!(road.cars.silence("carro-1").await, "one answer each");
    assert_eq!(road.bench.node().figure(MALFORMED_REQUEST).await, count);
    assert_eq!(road.bench.nodes[1].figure(MALFORMED_REQUEST).await, 0, "one company counts them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_id_with_another_request() {
    let mut road = Road::start().await;
    road.cars.ask("carro-1", good().to_string()).await;
    let booked = road.cars.answer("carro-1").await;
    assert_eq!(booked["estado"], "confirmada", "{booked}");
    eventually("settled", || async {
        (road.bench.node().figure("recarga_trips_owing").await == 0).then_some(())
    })
    .await;

    let other = change("paradas[1].ponto_id", json!("B-2")).to_string();
    let before = road.bench.snapshot().await;
    road.cars.ask("carro-1", other).await;
    let refused = road.cars.answer("carro-1").await;
    let motive = &refused["motivo"];
    check_problem(motive).unwrap();
    assert_eq!((&refused["estado"], &motive["tipo"]), (&json!("recusada"), &json!("requisicao-divergente")));
    // It is shown what the id stands for, and that stays.
    assert_eq!(
        (&refused["viagem_id"], &refused["paradas"].as_array().unwrap().len()),
        (&booked["viagem_id"], &2)
    );
    road.bench.unchanged("another request", &before).await;

    // Another car learns nothing of the trip, and cannot cancel it.
    let theft = json!({"requisicao_id": "x", "servidor": "empresa-a", "cancelar": booked["viagem_id"]});
    road.refuses("another car's trip", "carro-2", theft.to_string().into(), "nao-encontrado", "cancelar")
        .await;

    // What is repeated as it was has the answer that it had.
    road.cars.ask("carro-1", good().to_string()).await;
    assert_eq!(road.cars.answer("carro-1").await, booked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_that_cannot_be_named_is_counted() {
    let road = Road::start().await;
    let before = road.bench.snapshot().await;
    let long = "x".repeat(65);
    let names = ["-x", "a b", "ação", "a\u{1}", "", &long];
    for name in names {
        road.cars.publish(&format!("veiculo/{name}/requisicao"), good().to_string()).await;
        road.cars.publish(&format!("veiculo/{name}/status"), "{}").await;
    }
    let expected = 2 * names.len() as u64;
    for node in &road.bench.nodes {
        eventually("all are counted", || async {
            (node.figure(UNKNOWN_TOPIC).await == expected).then_some(())
        })
        .await;
    }
    road.bench.unchanged("requests of nobody", &before).await;
}

fn status() -> Value {
    json!({"veiculo_id": "carro-1", "latitude": -12.9, "longitude": -38.4, "bateria_pct": 55.5,
        "velocidade_kmh": 80, "autonomia_km": 210, "instante": at(0), "estado": "dirigindo"})
}

fn bad_statuses() -> Vec<(String, Vec<u8>)> {
    let mut bad = Vec::new();
    let limits = [
        ("latitude", -90.0, 90.0),
        ("longitude", -180.0, 180.0),
        ("bateria_pct", 0.0, 100.0),
        ("velocidade_kmh", 0.0, 400.0),
        ("autonomia_km", 0.0, 5000.0),
    ];
    for (field, least, most) in limits {
        let values =
            [json!(least - 0.1), json!(most + 0.1), json!(1e300), json!("1"), json!(null), json!([])];
        for value in values {
            bad.push((format!("{field} {value}"), with(&status(), field, Some(value))));
        }
    }
    for (field, value) in [
        ("veiculo_id", json!("carro-2")),
        ("veiculo_id", json!(1)),
        ("instante", json!("2030-12-01T14:00:00")),
    ] {
        bad.push((format!("{field} {value}"), with(&status(), field, Some(value))));
    }
    bad.push(("a bad state".to_owned(), with(&status(), "estado", Some(json!("voando")))));
    bad.push(("an unknown field".to_owned(), with(&status(), "marcha", Some(json!(1)))));
    for field in
        ["veiculo_id", "latitude", "longitude", "bateria_pct", "velocidade_kmh", "autonomia_km", "instante"]
    {
        bad.push((format!("{field} missing"), with(&status(), field, None)));
    }
    let mut bad: Vec<(String, Vec<u8>)> =
        bad.into_iter().map(|(what, body)| (what, body.to_string().into_bytes())).collect();
    for payload in [b"{".as_slice(), b"[]", b"\xff", b"null", b"NaN"] {
        bad.push((String::from_utf8_lossy(payload).into_owned(), payload.to_vec()));
    }
    bad
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_cannot_be_read_is_counted_and_changes_nothing() {
    let road = Road::start().await;
    let node = road.bench.node();
    for (count, (what, payload)) in (1..).zip(bad_statuses()) {
        road.cars.publish("veiculo/carro-1/status", payload).await;
        eventually(&what, || async { (node.figure(MALFORMED_STATUS).await == count).then_some(()) }).await;
    }
    assert_eq!(node.send(Call::get("/veiculos/carro-1")).await.status, 404);
    road.cars.publish("veiculo/carro-1/status", status().to_string()).await;
    eventually("a good status", || async {
        (node.send(Call::get("/veiculos/carro-1")).await.status == 200).then_some(())
    })
    .await;
}
