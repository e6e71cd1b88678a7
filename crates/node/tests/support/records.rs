//! Records of every shape, and what every backend of `Store` must do with them.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::collections::BTreeSet;
use std::sync::Arc;

use recarga_node::store::copy::{self, CopyError, Head};
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::store::{Boot, Forced, Letter, Record, Restoration, Store, StoreError};
use recarga_reservation::{
    AbortCause, Branch, EvseId, Fact, Hold, OperatorId, Planned, Plug, RequestKey, Stage, Stop, StoreId,
    TimeWindow, Timestamp, TransactionId, Trip, TripRequest, TripStop,
};

pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn operator(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

pub fn transaction(counter: u64) -> TransactionId {
    let coordinator = operator("empresa-b");
    TransactionId { coordinator, store: StoreId(9), epoch: 1, counter, nonce: u128::from(counter) << 99 }
}

pub fn key() -> RequestKey {
    RequestKey { vehicle: "carro-1".parse().unwrap(), request: "pedido-1".parse().unwrap() }
}

fn stop(number: u16) -> Stop {
    let start = 1_000_000 * i64::from(number);
    Stop { number, evse: "A-1".parse().unwrap(), window: TimeWindow::new(at(start), at(start + 1)).unwrap() }
}

pub fn hold(counter: u64) -> Arc<Hold> {
    Arc::new(Hold {
        transaction: transaction(counter),
        key: key(),
        plug: counter.is_multiple_of(2).then_some(Plug::CCS2),
        participants: vec![operator("empresa-a"), operator("empresa-b")],
        stores: (counter > 1).then(|| (operator("empresa-b"), StoreId(u128::MAX - 1))).into_iter().collect(),
        priority: at(-5),
        // Nothing that is confirmed overlaps.
        stops: vec![stop(0), stop(7)]
            .into_iter()
            .map(|stop| Stop { evse: format!("A-{counter}").parse().unwrap(), ..stop })
            .collect(),
        replaces: (counter == 3).then(|| transaction(2)),
    })
}

fn trip(counter: u64, stage: Stage) -> Trip {
    let stops = vec![
        TripStop { operator: operator("empresa-a"), stop: stop(0) },
        TripStop { operator: operator("empresa-c"), stop: stop(1) },
    ];
    let mut request = TripRequest::new(key(), Some(Plug::TYPE2), stops).unwrap();
    if counter.is_multiple_of(2) {
        let planned = Planned { wish: "{ \"a\" : 1 }".into(), itinerary: "ação".into() };
        request = request.planned_for(planned);
    }
    Trip {
        id: "0123456789abcdef".parse().unwrap(),
        transaction: transaction(counter),
        request: Arc::new(request),
        decided: at(77),
        stage,
        lost: BTreeSet::from([operator("empresa-c")]),
        replaces: Some(transaction(1)),
        participants: BTreeSet::from([operator("empresa-a"), operator("empresa-c")]),
    }
}

pub fn evse() -> EvseId {
    "A-1".parse().unwrap()
}

pub fn forced(counter: u64, turned_out: Option<(bool, Timestamp)>) -> Record {
    let (by, reason) = ("Ana".to_owned(), "a empresa-a fechou".to_owned());
    Record::Forced(Forced { transaction: transaction(counter), at: at(5), by, reason, turned_out })
}

/// One record of every shape.
pub fn everything() -> Vec<Record> {
    let left = BTreeSet::from([operator("empresa-a")]);
    let branches = [
        Branch::Held { hold: hold(1), expires: at(123) },
        Branch::Prepared { hold: hold(2) },
        Branch::Confirmed { hold: hold(3) },
        Branch::Released { hold: hold(4) },
        Branch::Aborted { cause: AbortCause::VotedNo, at: at(1), hold: None },
        Branch::Aborted { cause: AbortCause::Coordinator, at: at(1), hold: None },
        Branch::Aborted { cause: AbortCause::Expired, at: at(1), hold: None },
        Branch::Aborted { cause: AbortCause::Inquired, at: at(1), hold: None },
        Branch::Aborted { cause: AbortCause::Heuristic, at: at(1), hold: Some(hold(9)) },
    ];
    let stages = [
        Stage::Committed { unacknowledged: left.clone() },
        Stage::Settled,
        Stage::Cancelled { unreleased: left },
        Stage::Replaced,
    ];
    let letter = Letter {
        key: key(),
        received: at(3),
        request: "{\"ç\":1}".to_owned(),
        answer: Some("{}".to_owned()),
        owed: true,
        response_topic: Some("a/b".to_owned()),
        correlation: Some(vec![0, 255]),
    };
    let branches = (1..).zip(branches).map(|(n, branch)| Fact::Branch(transaction(n), branch));
    let trips = (20..).zip(stages).map(|(n, stage)| Fact::Trip(trip(n, stage)));
    branches
        .chain(trips)
        .map(Record::Fact)
        .chain([Record::Letter(letter), Record::OutOfService(evse())])
        .chain([forced(50, None), forced(51, Some((true, at(9))))])
        .collect()
}

pub fn sorted(mut records: Vec<Record>) -> Vec<String> {
    records.sort_by_key(|record| format!("{record:?}"));
    records.iter().map(|record| format!("{record:?}")).collect()
}

// More than is read in one go, to the last one, beside what is there.
fn many(open: Open, beside: &[Record]) {
    let numbers = 10_000..10_600;
    let tombstone = || Branch::Aborted { cause: AbortCause::VotedNo, at: at(1), hold: None };
    let many = numbers.clone().map(|number| Record::Fact(Fact::Branch(transaction(number), tombstone())));
    let many: Vec<Record> = many.collect();
    open().append(&many).unwrap();
    assert_eq!(sorted(open().load().unwrap()), sorted([beside, &many].concat()));
    let forgotten = numbers.map(|number| Record::Fact(Fact::BranchForgotten(transaction(number))));
    open().append(&forgotten.collect::<Vec<_>>()).unwrap();
    assert_eq!(sorted(open().load().unwrap()), sorted(beside.to_vec()));
}

/// What every backend must do.
pub fn suite(open: Open) {
    // The identity is the first one given, and no epoch is used twice.
    let first = open().boot(StoreId(1)).unwrap();
    assert_eq!((first.store, first.epoch), (StoreId(1), 1));
    let second = open().boot(StoreId(2)).unwrap();
    assert_eq!((second.store, second.epoch), (StoreId(1), 2));

    // What was appended is there after reopening, whatever its shape.
    let records = everything();
    {
        let mut store = open();
        store.boot(StoreId(3)).unwrap();
        store.append(&records[..5]).unwrap();
        store.append(&records[5..]).unwrap();
    }
    assert_eq!(sorted(open().load().unwrap()), sorted(records.clone()));

    // The latest about a key replaces the earlier, also within one call; forgotten is gone; the rest stays.
    let confirmed = Record::Fact(Fact::Branch(transaction(2), Branch::Confirmed { hold: hold(2) }));
    let change = [
        Record::Fact(Fact::Branch(transaction(2), Branch::Prepared { hold: hold(8) })),
        confirmed.clone(),
        Record::Fact(Fact::BranchForgotten(transaction(1))),
        Record::Fact(Fact::TripForgotten(transaction(20))),
        Record::LetterForgotten(key()),
        Record::InService(evse()),
        Record::Fact(Fact::BranchForgotten(transaction(999))),
    ];
    open().append(&change).unwrap();
    let mut expected = records;
    let gone = |one: &Record| match one {
        Record::Fact(Fact::Branch(transaction, _)) => transaction.counter <= 2,
        Record::Fact(Fact::Trip(trip)) => trip.transaction.counter == 20,
        Record::Letter(_) | Record::OutOfService(_) => true,
        _ => false,
    };
    expected.retain(|one| !gone(one));
    expected.push(confirmed);
    assert_eq!(sorted(open().load().unwrap()), sorted(expected.clone()));

    many(open, &expected);

    // A snapshot has what was durable at its moment, wherever it stood by then, and nothing of what came later.
    let mut store = open();
    let boot = store.boot(StoreId(4)).unwrap();
    store.append(&[forced(60, None), Record::Fact(Fact::BranchForgotten(transaction(3)))]).unwrap();
    expected.retain(|one| !matches!(one, Record::Fact(Fact::Branch(id, _)) if id.counter == 3));
    expected.push(forced(60, None));
    let mut snapshot = store.snapshot().unwrap();
    assert_eq!(snapshot.count().unwrap(), expected.len() as u64);
    store.append(&[forced(61, None), Record::Fact(Fact::BranchForgotten(transaction(4)))]).unwrap();
    let head = Head { operator: operator("empresa-a"), boot, made: at(8), rows: snapshot.count().unwrap() };
    let mut bytes = Vec::new();
    copy::write(&mut *snapshot, &head, &mut |piece| {
        bytes.extend(piece);
        true
    })
    .unwrap();
    let (read, records) = read_copy(&bytes).unwrap();
    assert_eq!((read, sorted(records)), (head, sorted(expected)));
    drop(snapshot);
    assert_eq!(open_again(store, open).boot(StoreId(5)).unwrap().epoch, boot.epoch + 1);
}

fn open_again(store: Box<dyn Store>, open: Open) -> Box<dyn Store> {
    drop(store);
    open()
}

/// A copy of one record of every shape, of the fifth run of database 7.
pub fn copy_of_everything() -> Vec<u8> {
    let mut store = MemoryStore::open(&MemoryDisk::default());
    store.append(&everything()).unwrap();
    let mut snapshot = store.snapshot().unwrap();
    let boot = Boot { store: StoreId(7), epoch: 5 };
    let rows = snapshot.count().unwrap();
    let head = Head { operator: operator("empresa-a"), boot, made: at(1_700_000_000_000), rows };
    let mut bytes = Vec::new();
    copy::write(&mut *snapshot, &head, &mut |piece| {
        bytes.extend(piece);
        true
    })
    .unwrap();
    bytes
}

/// Reads a copy of `empresa-a`'s record.
pub fn read_copy(mut bytes: &[u8]) -> Result<(Head, Vec<Record>), CopyError> {
    let mut records = Vec::new();
    let head = copy::read(&mut bytes, Some(&operator("empresa-a")), &mut |record| {
        records.push(record);
        Ok(())
    })?;
    Ok((head, records))
}

/// What every backend must do that a copy is put back into: `begin` where nothing is yet, `open` afterwards.
pub fn put_back(begin: &dyn Fn(Boot) -> Result<Box<dyn Restoration>, StoreError>, open: Open) {
    let (head, records) = read_copy(&copy_of_everything()).unwrap();
    let boot = head.boot.put_back(StoreId(8)).unwrap();
    // What is not finished leaves nothing.
    let mut restoration = begin(boot).unwrap();
    restoration.take(&records[..9]).unwrap();
    drop(restoration);
    let mut restoration = begin(boot).unwrap();
    restoration.take(&records[..5]).unwrap();
    restoration.take(&records[5..]).unwrap();
    restoration.finish().unwrap();
    let occupied = begin(boot).err().expect("there is a record now");
    assert!(matches!(occupied, StoreError::Occupied { .. }), "{occupied}");
    let mut store = open();
    assert_eq!(sorted(store.load().unwrap()), sorted(records.clone()));
    // Nobody takes it for the lost one, whose epochs do not come again.
    let started = store.boot(StoreId(9)).unwrap();
    assert_eq!(started.store, StoreId(8));
    assert!(started.epoch > head.boot.epoch + 1000, "{started:?}");
    store.append(&[forced(70, None)]).unwrap();
    drop(store);
    assert_eq!(open().load().unwrap().len(), records.len() + 1);
}
