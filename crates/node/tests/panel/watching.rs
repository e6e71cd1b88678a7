//! Watching events: coming back, being too slow, being too many.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::support::bodies::{hold, trip};
use crate::support::http::{Call, Http};
use crate::support::{OPERATOR, Plan, TestNode, eventually, soon, start_one};

// Everything that is told, event by event: name, id and data.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    async fn open(node: &TestNode, query: &str, last: Option<&str>) -> Self {
        let mut call = Call::get(&format!("/eventos{query}"));
        if let Some(last) = last {
            call = call.header("last-event-id", last.as_bytes());
        }
        Self::of(node, call).await
    }

    async fn of(node: &TestNode, call: Call) -> Self {
        let response = Http::new(&node.url).open(call).await.unwrap();
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), text: String::new() }
    }

    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
                };
                let found = (field("event:"), field("id:"), field("data:"));
                self.text = rest.to_owned();
                if !found.0.is_empty() {
                    return (found.0, found.1, serde_json::from_str(&found.2).unwrap());
                }
                continue;
            }
            let frame = soon("an event", self.body.frame()).await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

async fn put(node: &TestNode, evse: &str, state: &str) {
    let call = Call::put(&format!("/pontos/{evse}/estado"), &json!({"estado": state}));
    node.send(call.token(OPERATOR)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_misses_nothing() {
    let node = start_one(Plan::default()).await;
    let mut events = Stream::open(&node, "", None).await;
    put(&node, "A-1", "inoperante").await;
    let (name, id, data) = events.next().await;
    assert_eq!(
        (name.as_str(), &data["dados"]),
        ("ponto", &json!({"ponto_id": "A-1", "estado": "inoperante"}))
    );
    drop(events);
    put(&node, "A-2", "inoperante").await;
    put(&node, "A-3", "inoperante").await;
    let mut events = Stream::open(&node, "", Some(&id)).await;
    for evse in ["A-2", "A-3"] {
        let (name, later, data) = events.next().await;
        assert_eq!((name.as_str(), &data["dados"]["ponto_id"]), ("ponto", &json!(evse)));
        assert!(later.parse::<u64>().unwrap() > id.parse().unwrap());
    }
    // Of another run, or of nobody: all that can be said is that something is missing.
    for strange in ["7", "18446744073709551615", "abc"] {
        let mut events = Stream::open(&node, "", Some(strange)).await;
        assert_eq!(events.next().await, ("perdidos".to_owned(), String::new(), Value::Null), "{strange}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_was_away_too_long_for_is_counted() {
    let node = start_one(Plan::default()).await;
    let mut events = Stream::open(&node, "?tipos=ponto", None).await;
    put(&node, "A-1", "inoperante").await;
    let (_, id, _) = events.next().await;
    // More than are kept, while somebody else watches.
    let _keeps_them = Stream::open(&node, "", None).await;
    drop(events);
    let mut sent = 0;
    while sent <= 4096 {
        put(&node, "A-1", if sent % 2 == 0 { "disponivel" } else { "inoperante" }).await;
        sent += 1;
    }
    let mut events = Stream::open(&node, "?tipos=ponto", Some(&id)).await;
    let (name, _, count) = events.next().await;
    assert_eq!((name.as_str(), count), ("perdidos", json!(1)));
    assert_eq!(events.next().await.0, "ponto", "and then what is still known");
    // The other one reads nothing at all: the node goes on, and that one has missed at most the same.
    assert!(node.figure("recarga_events_missed_total").await >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_asked_for_is_told_and_names_are_checked() {
    let node = start_one(Plan::default()).await;
    let mut events = Stream::open(&node, "?tipos=ponto,viagem", None).await;
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 60, 90))).await.expect(201);
    node.send(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-a", "A-1", 0, 60)])))
        .await
        .expect(201);
    assert_eq!(events.next().await.0, "viagem");
    let problem =
        node.send(Call::get("/eventos?tipos=ponto,nada")).await.expect_problem(422, "campo-invalido");
    assert_eq!(problem["campo"], "tipos");
    node.send(Call::get("/eventos?x=1")).await.expect_problem(422, "campo-desconhecido");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_of_another_company_is_told_without_its_car() {
    let node = start_one(Plan::default()).await;
    let mut events = Stream::open(&node, "?tipos=reserva", None).await;
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 60, 90))).await.expect(201);
    let (_, _, data) = events.next().await;
    assert_eq!((&data["dados"]["estado"], data["dados"].get("veiculo_id")), (&json!("preparada"), None));
    node.send(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-a", "A-1", 0, 60)])))
        .await
        .expect(201);
    let (_, _, data) = events.next().await;
    assert_eq!(data["dados"]["veiculo_id"], "carro-1", "its own: {data}");
}

// Who knows a trip's id may cancel it where nothing else is asked of them; where cars have tokens, their trips are theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_cars_have_tokens_their_trips_are_told_to_the_operator_alone() {
    let operator =
        "vehicle_tokens = { \"carro-1\" = \"token-of-carro-1\" }\ndriver_tokens = [\"driver-token\"]".into();
    let node = start_one(Plan { operator, ..Plan::default() }).await;
    let watch = |query: &str, token: &str| Call::get(&format!("/eventos{query}")).token(token);
    let mut whole = Stream::of(&node, watch("?tipos=viagem,reserva", OPERATOR)).await;
    let mut others = Stream::of(&node, watch("", "driver-token")).await;
    let wish = |request: &str, evse: &str| trip(request, "carro-1", &[("empresa-a", evse, 0, 60)]);
    let book = |wish: &Value| node.send(Call::post("/viagens", wish).token("token-of-carro-1"));
    let booked = book(&wish("p", "A-1")).await.expect(201);
    book(&wish("q", "A-1")).await.expect_problem(409, "ponto-reservado");
    put(&node, "A-2", "inoperante").await;
    let mut seen = [whole.next().await, whole.next().await];
    seen.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(seen[0].2["dados"]["veiculo_id"], "carro-1");
    assert_eq!(seen[1].2["dados"]["viagem_id"], booked["viagem_id"]);
    // Everything up to what was last done.
    let mut names = vec![];
    while names.last().is_none_or(|name| name != "ponto") {
        let (name, _, data) = others.next().await;
        let text = data.to_string();
        assert!(!text.contains("carro-1") && !text.contains(booked["viagem_id"].as_str().unwrap()), "{text}");
        names.push(name);
    }
    assert!(names.contains(&"reserva".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("viagem")), "{names:?}");
    let refused = node.send(watch("?tipos=ponto,viagem", "driver-token")).await;
    assert_eq!(refused.expect_problem(403, "nao-permitido")["campo"], "tipos");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_watch_than_there_are_places() {
    let node = start_one(Plan { limits: "watchers_max = 2".into(), ..Plan::default() }).await;
    let first = Stream::open(&node, "", None).await;
    let _second = Stream::open(&node, "", None).await;
    node.send(Call::get("/eventos")).await.expect_problem(429, "muitas-requisicoes");
    let health = node.send(Call::get("/painel/saude").token(OPERATOR)).await.expect(200);
    assert_eq!(health["eventos"], json!({"observadores": 2, "observadores_max": 2, "perdidos": 0}));
    drop(first);
    eventually("a place", || async { (node.status(Call::get("/eventos")).await == 200).then_some(()) }).await;
}
