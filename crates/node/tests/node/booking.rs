//! Trips over several companies: all stops or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::support::bodies::{trip, with};
use crate::support::http::Call;
use crate::support::stranger::{Stranger, done, problem, yes};
use crate::support::{Plan, STRANGER, TestNode, eventually, start, start_one};

pub const ABC: [&str; 3] = ["empresa-a", "empresa-b", "empresa-c"];

/// Waits until every stop of a trip is confirmed by its company.
pub async fn settled(node: &TestNode, path: &str) -> Value {
    eventually(&format!("{path} is settled"), || async {
        let trip = node.get(path).await;
        let stops = trip["paradas"].as_array().unwrap().clone();
        stops.iter().all(|stop| stop["estado"] == "confirmada").then_some(trip)
    })
    .await
}

/// Where a trip is shown.
pub fn path_of(booked: &Value) -> String {
    format!("/viagens/{}", booked["viagem_id"].as_str().unwrap())
}

/// Its session.
pub fn session_of(booked: &Value) -> String {
    booked["sessao"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_companies_reserve_all_stops() {
    let nodes = start(&ABC).await;
    let stops = [("empresa-a", "A-1", 0, 40), ("empresa-b", "B-2", 60, 100), ("empresa-c", "C-4", 120, 160)];
    let answer = nodes[0].send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await;
    let booked = answer.expect(201);
    let path = path_of(&booked);
    assert_eq!(answer.header("location"), path);
    assert_eq!((&booked["estado"], &booked["servidor"]), (&"confirmada".into(), &"empresa-a".into()));
    for node in &nodes {
        node.until_branch(&session_of(&booked), "confirmada").await;
        assert_eq!(node.figure("recarga_in_doubt").await, 0);
        let (branches, _) = node.audit().await;
        assert_eq!(branches[0]["reservas"].as_array().unwrap().len(), 1, "{branches:?}");
    }
    let shown = settled(&nodes[0], &path).await;
    let list = nodes[0].get("/viagens?veiculo_id=carro-1&requisicao_id=p").await;
    assert_eq!(list["viagens"], Value::Array(vec![shown]));
    assert_eq!(nodes[0].get("/viagens?veiculo_id=carro-2").await["viagens"], Value::Array(vec![]));
    // Only the one that coordinates knows the trip as such.
    nodes[1].send(Call::get(&path)).await.expect_problem(404, "nao-encontrado");
    eventually("nothing is owed", || async {
        (nodes[0].figure("recarga_trips_owing").await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_coordinates_without_a_stop_of_its_own() {
    let nodes = start(&ABC).await;
    let stops = [("empresa-c", "C-1", 0, 40), ("empresa-b", "B-1", 60, 100), ("empresa-c", "C-2", 120, 160)];
    let booked = nodes[0].send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    settled(&nodes[0], &path_of(&booked)).await;
    assert_eq!(nodes[0].branch(&session_of(&booked)).await, None);
    let (branches, _) = nodes[2].audit().await;
    assert_eq!(branches[0]["reservas"].as_array().unwrap().len(), 2, "one hold for both stops: {branches:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trip_with_one_company_concerns_no_other() {
    let nodes = start(&ABC).await;
    let stops = [("empresa-a", "A-1", 0, 40), ("empresa-a", "A-2", 40, 80)];
    let booked = nodes[0].send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    for stop in booked["paradas"].as_array().unwrap() {
        assert_eq!(stop["estado"], "confirmada", "at once: {booked}");
    }
    for other in &nodes[1..] {
        assert_eq!(other.audit().await, (vec![], vec![]));
        assert_eq!(other.figure("recarga_messages_total{message=\"hold\",result=\"Answered\"}").await, 0);
    }
    // At another company it is only passed through: one company, which votes.
    let stops = [("empresa-b", "B-1", 0, 40)];
    let booked = nodes[0].send(Call::post("/viagens", &trip("q", "carro-1", &stops))).await.expect(201);
    nodes[1].until_branch(&session_of(&booked), "confirmada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_stop_leaves_nothing_anywhere() {
    let nodes = start(&ABC).await;
    let taken = [("empresa-c", "C-1", 100, 160)];
    nodes[2].send(Call::post("/viagens", &trip("x", "outro", &taken))).await.expect(201);
    let stops = [("empresa-a", "A-1", 0, 40), ("empresa-b", "B-1", 60, 100), ("empresa-c", "C-1", 120, 150)];
    let answer = nodes[0].send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await;
    let refused = answer.expect_problem(409, "ponto-reservado");
    assert_eq!((&refused["campo"], &refused["parada"]), (&"paradas[2].janela_inicio".into(), &2.into()));
    assert!(!refused["livres"].as_array().unwrap().is_empty(), "says what is free instead: {refused}");
    for node in &nodes[..2] {
        eventually("nothing is held", || async {
            let (branches, trips) = node.audit().await;
            let none = branches.iter().all(|branch| branch["estado"] == "abortada") && trips.is_empty();
            none.then_some(())
        })
        .await;
    }
    // What the refusal offers can be had.
    let mut second = trip("p2", "carro-1", &stops);
    for (field, of) in [("janela_inicio", "inicio"), ("janela_fim", "fim")] {
        second = with(&second, &format!("paradas[2].{field}"), Some(refused["livres"][0][of].clone()));
    }
    nodes[0].send(Call::post("/viagens", &second)).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_that_is_away_refuses_the_whole_trip() {
    let node = start_one(Plan::default()).await;
    let stops = [("empresa-a", "A-1", 0, 40), ("empresa-b", "B-1", 60, 100)];
    let answer = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await;
    let refused = answer.expect_problem(409, "empresa-inacessivel");
    assert_eq!((&refused["campo"], &refused["empresa"]), (&"paradas[1].empresa".into(), &"empresa-b".into()));
    assert_eq!(node.audit().await, (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_of_a_request_are_one_trip() {
    let nodes = start(&ABC).await;
    let stops = [("empresa-a", "A-1", 0, 40), ("empresa-b", "B-1", 60, 100)];
    let body = trip("p", "carro-1", &stops);
    let repeats: Vec<_> = (0..24).map(|_| nodes[0].send_soon(Call::post("/viagens", &body))).collect();
    let mut ids = BTreeSet::new();
    for repeat in repeats {
        let booked = repeat.await.unwrap().unwrap().expect(201);
        ids.insert(booked["viagem_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
    let keyed =
        Call::post("/viagens", &with(&body, "requisicao_id", None)).header("idempotency-key", b"\"p\"");
    assert!(ids.contains(nodes[0].send(keyed).await.expect(201)["viagem_id"].as_str().unwrap()));
    let (branches, trips) = nodes[0].audit().await;
    assert_eq!((branches.len(), trips.len()), (1, 1));

    // Another company as coordinator finds that the request is in good hands.
    let answer = nodes[2].send(Call::post("/viagens", &body)).await;
    let refused = answer.expect_problem(409, "requisicao-em-outra-empresa");
    assert_eq!(refused["empresa"], "empresa-a", "{refused}");
    assert_eq!(nodes[2].audit().await.1.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trips_that_compete_are_all_or_nothing() {
    let nodes = Arc::new(start(&ABC).await);
    // Three EVSEs, one window each, and everyone wants two or three of them in an order of their own.
    let slots = [("empresa-a", "A-1"), ("empresa-b", "B-1"), ("empresa-c", "C-1")];
    let ask = |number: usize| {
        let stops: Vec<_> = (0..3)
            .filter(|place| number % 4 != *place)
            .map(|place| (slots[(place + number) % 3], i64::try_from(place).unwrap() * 100))
            .map(|((company, evse), from)| (company, evse, from, from + 60))
            .collect();
        let body = trip(&format!("p-{number}"), &format!("carro-{number}"), &stops);
        nodes[number % 3].send_soon(Call::post("/viagens", &body))
    };
    let asked: Vec<_> = (0..36).map(ask).collect();
    let mut booked = 0;
    for one in asked {
        let answer = one.await.unwrap().unwrap();
        match answer.status {
            201 => booked += 1,
            _ => assert!(["ponto-retido", "ponto-reservado"].contains(&answer.tipo().as_str())),
        }
    }
    assert!(booked > 0);
    let mut sessions: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes.iter() {
        eventually("everything is decided", || async {
            let open = node.figure("recarga_in_doubt").await + node.figure("recarga_trips_owing").await;
            (open == 0).then_some(())
        })
        .await;
        for trip in node.audit().await.1 {
            sessions.insert(session_of(&trip), trip["paradas"].as_array().unwrap().len());
        }
    }
    assert_eq!(sessions.len(), booked);
    for node in nodes.iter() {
        let (branches, _) = node.audit().await;
        let mut windows: BTreeSet<String> = BTreeSet::new();
        for branch in branches.iter().filter(|branch| branch["estado"] == "confirmada") {
            for stop in branch["reservas"].as_array().unwrap() {
                let slot = format!("{} {}", stop["ponto_id"], stop["janela_inicio"]);
                assert!(windows.insert(slot), "booked twice: {stop}");
                *sessions.get_mut(&session_of(branch)).expect("a committed trip") -= 1;
            }
        }
    }
    assert!(sessions.values().all(|left| *left == 0), "all stops of every trip: {sessions:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_is_owed_until_it_is_acknowledged() {
    let awake = Arc::new(AtomicBool::new(false));
    let listens = awake.clone();
    let stranger = Stranger::start(move |call, body| match call {
        "POST /reserva-temporaria" => yes(body),
        "POST /confirmar-reserva" if listens.load(Ordering::SeqCst) => done(body, "confirmada"),
        _ => problem(503, "indisponivel"),
    })
    .await;
    let node = start_one(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    let stops = [("empresa-a", "A-1", 0, 40), (STRANGER, "X-1", 60, 100)];
    // The driver is told as soon as it is decided, whatever becomes of the confirm.
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    assert_eq!(booked["estado"], "confirmada");
    stranger.until_heard("POST /confirmar-reserva").await;
    let shown = node.get(&path_of(&booked)).await;
    let states: Vec<_> = shown["paradas"].as_array().unwrap().iter().map(|stop| &stop["estado"]).collect();
    assert_eq!(states, ["confirmada", "a_confirmar"]);
    eventually("the silence is seen", || async {
        let health = node.get("/saude").await;
        (health["estado"] == "degradado" && health["verificacoes"][STRANGER]["estado"] == "falha")
            .then_some(())
    })
    .await;
    awake.store(true, Ordering::SeqCst);
    settled(&node, &path_of(&booked)).await;
    eventually("the company is well again", || async {
        (node.get("/saude").await["estado"] == "pronto").then_some(())
    })
    .await;
    assert_eq!(stranger.heard("DELETE"), 0, "never an abort of what is committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_that_is_not_clear_is_no_vote() {
    type Vote = fn(&Value) -> (u16, Value);
    let answers: [Vote; 4] = [
        |_| (200, serde_json::json!({})),
        |body| (201, with(&yes(body).1, "voto", None)),
        |body| (201, with(&yes(body).1, "empresa", Some("empresa-b".into()))),
        |_| (302, Value::Null),
    ];
    for (number, answer) in answers.into_iter().enumerate() {
        let stranger = Stranger::start(move |call, body| match call {
            "POST /reserva-temporaria" => answer(body),
            _ => done(body, "cancelada"),
        })
        .await;
        let node = start_one(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
        let stops = [("empresa-a", "A-1", 0, 40), (STRANGER, "X-1", 60, 100)];
        let refused = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await;
        assert_eq!((refused.status, refused.tipo()), (409, "empresa-inacessivel".to_owned()), "{number}");
        // It may have voted yes without being understood, so it is told that the trip is off.
        let aborted = stranger.until_heard("DELETE /cancelar-reserva").await;
        assert_eq!(aborted["motivo"], "aborto", "{aborted}");
        assert_eq!(node.audit().await, (vec![], vec![]), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_was_released_heuristically_is_shown_as_lost() {
    let stranger = Stranger::start(|call, body| match call {
        "POST /reserva-temporaria" => yes(body),
        _ => problem(409, "liberada-por-heuristica"),
    })
    .await;
    let node = start_one(Plan { stranger_url: stranger.url.clone(), ..Plan::default() }).await;
    let stops = [("empresa-a", "A-1", 0, 40), (STRANGER, "X-1", 60, 100)];
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    let shown = eventually("the loss is known", || async {
        let shown = node.get(&path_of(&booked)).await;
        (shown["estado"] == "mista").then_some(shown)
    })
    .await;
    assert_eq!(shown["paradas"][1]["estado"], "perdida", "{shown}");
    node.until_figure("recarga_mixed_outcomes_total", 1).await;
    assert_eq!(node.figure("recarga_trips_owing").await, 0, "nothing to repeat");
}
