//! What every backend of `Store` must do; each backend runs the same suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::store::redb::{RedbStore, poison};
use recarga_node::store::{Forced, Letter, Record, Store, StoreError};
use recarga_reservation::{
    AbortCause, Branch, EvseId, Fact, Hold, OperatorId, Planned, Plug, RequestKey, Stage, Stop, StoreId,
    TimeWindow, Timestamp, TransactionId, Trip, TripRequest, TripStop,
};
use redb::ReadableTable;

type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn operator(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn transaction(counter: u64) -> TransactionId {
    let coordinator = operator("empresa-b");
    TransactionId { coordinator, store: StoreId(9), epoch: 1, counter, nonce: u128::from(counter) << 99 }
}

fn key() -> RequestKey {
    RequestKey { vehicle: "carro-1".parse().unwrap(), request: "pedido-1".parse().unwrap() }
}

fn stop(number: u16) -> Stop {
    let start = 1_000_000 * i64::from(number);
    Stop { number, evse: "A-1".parse().unwrap(), window: TimeWindow::new(at(start), at(start + 1)).unwrap() }
}

fn hold(counter: u64) -> Arc<Hold> {
    Arc::new(Hold {
        transaction: transaction(counter),
        key: key(),
        plug: counter.is_multiple_of(2).then_some(Plug::CCS2),
        participants: vec![operator("empresa-a"), operator("empresa-b")],
        stores: (counter > 1).then(|| (operator("empresa-b"), StoreId(u128::MAX - 1))).into_iter().collect(),
        priority: at(-5),
        stops: vec![stop(0), stop(7)],
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

fn evse() -> EvseId {
    "A-1".parse().unwrap()
}

fn forced(counter: u64, turned_out: Option<(bool, Timestamp)>) -> Record {
    let (by, reason) = ("Ana".to_owned(), "a empresa-a fechou".to_owned());
    Record::Forced(Forced { transaction: transaction(counter), at: at(5), by, reason, turned_out })
}

/// One record of every shape.
fn everything() -> Vec<Record> {
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

fn sorted(mut records: Vec<Record>) -> Vec<String> {
    records.sort_by_key(|record| format!("{record:?}"));
    records.iter().map(|record| format!("{record:?}")).collect()
}

fn suite(open: Open) {
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
    assert_eq!(sorted(open().load().unwrap()), sorted(expected));
}

#[test]
fn memory() {
    let disk = MemoryDisk::default();
    suite(&|| Box::new(MemoryStore::open(&disk)));
}

#[test]
fn redb_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    suite(&|| Box::new(RedbStore::open(folder.path(), &operator("empresa-a")).unwrap()));
    let (owner, boot, records) = RedbStore::read(folder.path()).unwrap();
    assert_eq!((owner, boot.store), (operator("empresa-a"), StoreId(1)));
    assert!(!records.is_empty());
}

// A row that still makes sense, but is not what was written.
fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> =
        (0..bytes.len() - what.len()).filter(|at| bytes[*at..].starts_with(what)).collect();
    assert!(!places.is_empty(), "nothing to damage");
    for at in places {
        bytes[at..at + by.len()].copy_from_slice(by);
    }
    bytes
}

#[test]
fn a_first_start_that_was_cut_off_is_no_obstacle() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("recarga.redb.new"), b"half of it").unwrap();
    let mut store = RedbStore::open(folder.path(), &operator("empresa-b")).unwrap();
    store.boot(StoreId(9)).unwrap();
    let names = std::fs::read_dir(folder.path()).unwrap();
    let names: BTreeSet<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["recarga.journal", "recarga.redb"]);
    let in_use = RedbStore::open(folder.path(), &operator("empresa-b"));
    assert!(matches!(in_use, Err(StoreError::InUse { .. })), "the lock went with the file to its name");
}

fn open_error(folder: &Path, name: &str) -> String {
    RedbStore::open(folder, &operator(name)).err().expect("must be refused").to_string()
}

#[test]
fn redb_says_why_a_file_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut held = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
    held.append(&everything()).unwrap();
    assert!(open_error(folder.path(), "empresa-a").contains("in use by another process"));
    drop(held);
    assert!(open_error(folder.path(), "empresa-b").contains("the database of empresa-a, not of empresa-b"));

    let file = folder.path().join("recarga.redb");
    let good = std::fs::read(&file).unwrap();
    for (name, bytes) in [
        ("foreign", b"SQLite format 3\0 and more that is no redb at all".repeat(200)),
        ("cut", good[..good.len() / 3].to_vec()),
        ("zeroed head", [vec![0; 512], good[512..].to_vec()].concat()),
        // A file that has lost its contents is no new one: the company would start without what it has promised.
        ("empty", vec![]),
        ("a letter in a row", replaced(&good, b"A-1", b"A-7")),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let error = open_error(folder.path(), "empresa-a");
        assert!(error.contains("not a Recarga database, or it is damaged"), "{name}: {error}");
    }
    std::fs::write(&file, good).unwrap();
    RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();

    poison(folder.path(), "no space").unwrap();
    let error = open_error(folder.path(), "empresa-a");
    assert!(error.contains("no space") && error.contains("recarga.poisoned"), "{error}");
    assert!(matches!(RedbStore::read(&folder.path().join("absent")), Err(StoreError::Io { .. })));
}

// Changes the file as another program would, or a hand.
fn change(folder: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(folder.join("recarga.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

// What format 2 had not: tables of EVSEs out of service, and of what was forced.
#[test]
fn a_database_of_before_is_taken_over() {
    const META: redb::TableDefinition<&str, &str> = redb::TableDefinition::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
    let before: Vec<Record> = everything()
        .into_iter()
        .filter(|one| !matches!(one, Record::OutOfService(_) | Record::Forced(_)))
        .collect();
    store.append(&before).unwrap();
    drop(store);
    change(folder.path(), |transaction| {
        for name in ["evses", "forced"] {
            let table: redb::TableDefinition<&str, &[u8]> = redb::TableDefinition::new(name);
            assert!(transaction.delete_table(table).unwrap(), "{name} was there");
        }
        transaction.open_table(META).unwrap().insert("format", "2").unwrap();
    });
    let open = || RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
    let mut store = open();
    assert_eq!(sorted(store.load().unwrap()), sorted(before.clone()));
    store.boot(StoreId(1)).unwrap();
    let new = [Record::OutOfService(evse()), forced(50, None)];
    store.append(&new).unwrap();
    drop(store);
    let both = before.into_iter().chain(new).collect();
    assert_eq!(sorted(open().load().unwrap()), sorted(both));
}

// Two rows would speak of one trip, or one row of a session that it is not filed under; whichever was read last would
// have counted.
#[test]
fn a_row_that_is_filed_under_another_name_is_noticed() {
    type Table = redb::TableDefinition<'static, &'static str, &'static [u8]>;
    let (branch, trip) = (transaction(3).to_string(), transaction(20).to_string());
    let other = transaction(77).to_string();
    for (table, from, to) in [
        ("branches", branch.as_str(), other.as_str()),
        ("trips", trip.as_str(), other.as_str()),
        ("letters", "carro-1/pedido-1", "carro-1/pedido-2"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
        store.append(&everything()).unwrap();
        drop(store);
        change(folder.path(), |transaction| {
            let mut rows = transaction.open_table(Table::new(table)).unwrap();
            let value = rows.get(from).unwrap().expect("the row is there").value().to_vec();
            rows.insert(to, value.as_slice()).unwrap();
        });
        let mut store = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
        let error = store.load().expect_err("must be noticed").to_string();
        assert!(error.contains(to) && error.contains("damaged"), "{table}: {error}");
    }
}

// After the last epoch would come the first again, and with it transaction ids that were in use.
#[test]
fn an_epoch_is_never_used_twice_and_half_an_identity_is_none() {
    const META: redb::TableDefinition<&str, &str> = redb::TableDefinition::new("meta");
    let last = u64::MAX.to_string();
    for (name, value) in
        [("epoch", Some(last.as_str())), ("epoch", None), ("store", None), ("operator", None)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut store = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
        store.boot(StoreId(1)).unwrap();
        drop(store);
        change(folder.path(), |transaction| {
            let mut meta = transaction.open_table(META).unwrap();
            match value {
                Some(value) => drop(meta.insert(name, value).unwrap()),
                None => drop(meta.remove(name).unwrap()),
            }
        });
        let opened = RedbStore::open(folder.path(), &operator("empresa-a"));
        let error = opened.and_then(|mut store| store.boot(StoreId(2))).expect_err("must be noticed");
        assert!(error.to_string().contains("damaged"), "{name} {value:?}: {error}");
    }
}
