//! A record of every kind, many times.

use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use recarga_node::store::{Letter, Record};
use recarga_reservation::{
    AbortCause, Branch, Fact, Hold, OperatorId, RequestKey, Stage, Stop, StoreId, TimeWindow, Timestamp,
    TransactionId, Trip, TripRequest, TripStop,
};

const BEGINNING_MILLIS: i64 = 1_796_119_200_000;
const HOUR_MILLIS: i64 = 3_600_000;

/// What a good database holds.
pub fn contents() -> &'static [Record] {
    static CONTENTS: OnceLock<Vec<Record>> = OnceLock::new();
    CONTENTS.get_or_init(|| (1..=40).flat_map(records).collect())
}

/// A company.
pub fn operator(name: &str) -> OperatorId {
    id(name)
}

/// A transaction of `empresa-a`, whose name is also that of its rows.
pub fn transaction(number: u64) -> TransactionId {
    let nonce = u128::from(number) * 99_991;
    TransactionId { coordinator: operator("empresa-a"), store: StoreId(7), epoch: 1, counter: number, nonce }
}

fn records(number: u64) -> [Record; 3] {
    let hold = Arc::new(hold(number));
    let at = hold.priority;
    let branch = match number % 5 {
        0 => Branch::Held { hold, expires: at },
        1 => Branch::Prepared { hold },
        2 => Branch::Confirmed { hold },
        3 => Branch::Released { hold },
        _ => Branch::Aborted { cause: AbortCause::Heuristic, at, hold: Some(hold) },
    };
    [
        Record::Fact(Fact::Branch(transaction(number), branch)),
        Record::Fact(Fact::Trip(trip(number))),
        Record::Letter(letter(number)),
    ]
}

fn hold(number: u64) -> Hold {
    Hold {
        transaction: transaction(number),
        key: key(number),
        plug: None,
        participants: vec![operator("empresa-a"), operator("empresa-b")],
        stores: [(operator("empresa-b"), StoreId(7))].into(),
        priority: Timestamp::from_millis(BEGINNING_MILLIS),
        stops: vec![stop(number)],
        replaces: number.is_multiple_of(7).then(|| transaction(number + 1)),
    }
}

fn trip(number: u64) -> Trip {
    let both = || [operator("empresa-a"), operator("empresa-b")].into();
    let stops = vec![TripStop { operator: operator("empresa-b"), stop: stop(number) }];
    let request = match TripRequest::new(key(number), None, stops) {
        Ok(request) => Arc::new(request),
        Err(error) => unreachable!("one stop is a trip: {error}"),
    };
    Trip {
        id: id(&format!("viagem-{number}")),
        transaction: transaction(number),
        request,
        decided: Timestamp::from_millis(BEGINNING_MILLIS),
        stage: match number % 4 {
            0 => Stage::Committed { unacknowledged: both() },
            1 => Stage::Cancelled { unreleased: both() },
            2 => Stage::Replaced,
            _ => Stage::Settled,
        },
        lost: [].into(),
        replaces: None,
        participants: both(),
    }
}

fn letter(number: u64) -> Letter {
    Letter {
        key: key(number),
        received: Timestamp::from_millis(BEGINNING_MILLIS),
        request: format!("{{\"requisicao_id\":\"pedido-{number}\"}}"),
        answer: number.is_multiple_of(2).then(|| "{\"estado\":\"recusada\"}".to_owned()),
        owed: number.is_multiple_of(3),
        response_topic: None,
        correlation: number.is_multiple_of(5).then(|| vec![0, 255]),
    }
}

fn key(number: u64) -> RequestKey {
    RequestKey { vehicle: id("carro-1"), request: id(&format!("pedido-{number}")) }
}

fn stop(number: u64) -> Stop {
    let start = BEGINNING_MILLIS + HOUR_MILLIS * i64::try_from(number).unwrap_or(0);
    let window = TimeWindow::new(Timestamp::from_millis(start), Timestamp::from_millis(start + HOUR_MILLIS));
    match window {
        Ok(window) => Stop { number: 0, evse: id("B-1"), window },
        Err(error) => unreachable!("an hour is longer than nothing: {error}"),
    }
}

fn id<T: FromStr>(text: &str) -> T {
    match text.parse() {
        Ok(id) => id,
        Err(_) => unreachable!("{text} is a good identifier"),
    }
}
