//! A copy of the record of a running node: trips go on beside it, whoever takes it, and however slowly.

use http_body_util::BodyExt;
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::store::{Letter, Record, Store, copy};
use recarga_reservation::{RequestKey, Timestamp};

use crate::support::bodies::trip;
use crate::support::http::{Call, Http};
use crate::support::{OPERATOR, Plan, eventually, start_one};

const LETTERS: u64 = 1500;

fn copy_call() -> Call {
    Call::get("/copia").token(OPERATOR)
}

// More than all buffers between the node and whoever takes the copy.
fn large_record() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let letter = |number: u64| {
        let request = number.to_string().parse().unwrap();
        let received = Timestamp::from_millis(i64::MAX / 2);
        Record::Letter(Letter {
            key: RequestKey { vehicle: "carro-9".parse().unwrap(), request },
            received,
            request: "{}".to_owned(),
            answer: Some("a".repeat(8000)),
            owed: false,
            response_topic: None,
            correlation: None,
        })
    };
    MemoryStore::open(&disk).append(&(0..LETTERS).map(letter).collect::<Vec<_>>()).unwrap();
    disk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_is_made_at_a_time_and_trips_go_on() {
    let disk = large_record();
    let node = start_one(Plan { store: Box::new(MemoryStore::open(&disk)), ..Plan::default() }).await;
    let taking = Http::new(&node.url).open(copy_call()).await.unwrap();
    assert_eq!(taking.headers()["content-type"], "application/x-ndjson");
    node.send(copy_call()).await.expect_problem(429, "muitas-requisicoes");
    let stops = [("empresa-a", "A-1", 0, 40)];
    node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);

    // What is booked meanwhile is not in it.
    let whole = taking.into_body().collect().await.unwrap().to_bytes();
    let mut records = 0;
    let head = copy::read(&mut &*whole, Some(&"empresa-a".parse().unwrap()), &mut |_| {
        records += 1;
        Ok(())
    });
    assert_eq!((head.unwrap().rows, records), (LETTERS, LETTERS));
    // Then another one may be made, and has it.
    let next = eventually("the place to be free", || async {
        let answer = node.send(copy_call()).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    // The trip, and this company's own part of it.
    assert_eq!(copy::read(&mut &*next.body, None, &mut |_| Ok(())).unwrap().rows, LETTERS + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_nobody_takes_any_longer_keeps_no_place() {
    let disk = large_record();
    let node = start_one(Plan { store: Box::new(MemoryStore::open(&disk)), ..Plan::default() }).await;
    let mut taking = Http::new(&node.url).open(copy_call()).await.unwrap().into_body();
    let first = taking.frame().await.unwrap().unwrap().into_data().unwrap();
    drop(taking);
    let cut_off = copy::read(&mut &*first, None, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(cut_off.contains("cut off"), "{cut_off}");
    eventually("the place to be free", || async {
        (node.send(copy_call()).await.status == 200).then_some(())
    })
    .await;
}
