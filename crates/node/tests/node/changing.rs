//! Trips that are cancelled or changed, as a whole.

use serde_json::Value;

use crate::booking::{ABC, path_of, session_of, settled};
use crate::support::bodies::{At, trip};
use crate::support::http::Call;
use crate::support::{Plan, TestClock, TestNode, eventually, start, start_one};

const OLD: [At<'static>; 2] = [("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 100, 160)];

async fn booked(node: &TestNode) -> Value {
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &OLD))).await.expect(201);
    settled(node, &path_of(&booked)).await
}

fn change(booked: &Value, request: &str, stops: &[At<'_>]) -> Call {
    Call::put(&path_of(booked), &trip(request, "carro-1", stops))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_trip_is_given_back_everywhere() {
    let nodes = start(&ABC).await;
    let booked = booked(&nodes[0]).await;
    let delete = Call::delete(&path_of(&booked));
    for _ in 0..2 {
        let cancelled = nodes[0].send(delete.clone()).await.expect(200);
        assert_eq!(cancelled["estado"], "cancelada");
        assert_eq!(cancelled["paradas"][1]["estado"], "liberada");
    }
    for node in &nodes[..2] {
        node.until_branch(&session_of(&booked), "liberada").await;
    }
    nodes[0].send(change(&booked, "q", &OLD)).await.expect_problem(409, "viagem-cancelada");
    // The old request is over; the same windows are free for a new one.
    let again = nodes[0].send(Call::post("/viagens", &trip("p", "carro-1", &OLD))).await.expect(200);
    assert_eq!(again["estado"], "cancelada", "a repeat of what was cancelled books nothing");
    nodes[1].send(Call::post("/viagens", &trip("r", "carro-2", &OLD))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_trip_swaps_all_stops_at_once() {
    let nodes = start(&ABC).await;
    let booked = booked(&nodes[0]).await;
    // A window that overlaps the trip's own old one, a company less and a company more.
    let new = [("empresa-a", "A-1", 30, 90), ("empresa-c", "C-1", 100, 160)];
    let answer = nodes[0].send(change(&booked, "q", &new)).await.expect(200);
    assert_eq!(answer["viagem_id"], booked["viagem_id"]);
    assert_ne!(answer["sessao"], booked["sessao"]);
    let shown = settled(&nodes[0], &path_of(&booked)).await;
    assert_eq!(shown["paradas"][1]["empresa"], "empresa-c");
    for node in &nodes[..2] {
        node.until_branch(&session_of(&booked), "liberada").await;
    }
    nodes[0].until_branch(&session_of(&answer), "confirmada").await;
    nodes[2].until_branch(&session_of(&answer), "confirmada").await;
    // A repeat of the change gets the same answer; the old window is free for others.
    let repeat = nodes[0].send(change(&booked, "q", &new)).await.expect(200);
    assert_eq!(repeat, shown);
    let freed = [("empresa-b", "B-1", 100, 160), ("empresa-a", "A-1", 0, 30)];
    nodes[1].send(Call::post("/viagens", &trip("r", "carro-2", &freed))).await.expect(201);
    // The change is one trip: cancelled as one.
    nodes[0].send(Call::delete(&path_of(&booked))).await.expect(200);
    for node in [&nodes[0], &nodes[2]] {
        node.until_branch(&session_of(&answer), "liberada").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_change_leaves_the_old_trip() {
    let nodes = start(&ABC).await;
    let booked = booked(&nodes[0]).await;
    let taken = [("empresa-c", "C-1", 100, 160)];
    nodes[2].send(Call::post("/viagens", &trip("x", "outro", &taken))).await.expect(201);
    let new = [("empresa-b", "B-2", 0, 60), ("empresa-c", "C-1", 120, 180)];
    let answer = nodes[0].send(change(&booked, "q", &new)).await;
    let refused = answer.expect_problem(409, "ponto-reservado");
    assert_eq!(refused["campo"], "paradas[1].janela_inicio");
    for node in &nodes[..2] {
        assert_eq!(node.branch(&session_of(&booked)).await.as_deref(), Some("confirmada"));
        eventually("nothing more is held", || async {
            (node.figure("recarga_in_doubt").await == 0).then_some(())
        })
        .await;
    }
    assert_eq!(nodes[0].get(&path_of(&booked)).await, booked);
    // And the next change finds it free to be changed.
    let new = [("empresa-b", "B-2", 0, 60)];
    nodes[0].send(change(&booked, "q2", &new)).await.expect(200);
    nodes[0].until_branch(&session_of(&booked), "liberada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trip_that_is_over_stays_as_it_was() {
    let clock: std::sync::Arc<TestClock> = std::sync::Arc::default();
    let node = start_one(Plan { clock: clock.clone(), ..Plan::default() }).await;
    let stops = [("empresa-a", "A-1", 0, 60)];
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    clock.advance(std::time::Duration::from_secs(26 * 3600));
    node.send(Call::delete(&path_of(&booked))).await.expect_problem(409, "viagem-encerrada");
    node.send(change(&booked, "q", &[("empresa-a", "A-1", 3000, 3060)]))
        .await
        .expect_problem(409, "viagem-encerrada");
    assert_eq!(node.branch(&session_of(&booked)).await.as_deref(), Some("confirmada"));
}
