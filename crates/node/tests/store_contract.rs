//! What every backend of `Store` must do; each backend runs the same suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/records.rs"]
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_node::store::redb::{RedbRestoration, RedbStore, poison};
use recarga_node::store::rows::Row;
use recarga_node::store::{Boot, Letter, Record, Restoration as _, Store, StoreError};
use recarga_reservation::{RequestKey, StoreId};
use records::{
    at, copy_of_everything, everything, evse, forced, key, operator, put_back, read_copy, sorted, suite,
    transaction,
};
use redb::ReadableTable;

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

// Bookings say who will be where and when.
#[test]
fn what_is_booked_is_nobody_elses_on_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made/data");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(RedbStore::open(&data, &operator("empresa-a")).unwrap());
    assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o700));
    for name in ["recarga.redb", "recarga.journal"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    // What an operator has opened for somebody stays open.
    std::fs::set_permissions(data.join("recarga.redb"), Permissions::from_mode(0o640)).unwrap();
    drop(RedbStore::open(&data, &operator("empresa-a")).unwrap());
    assert_eq!(mode(&data.join("recarga.redb")), 0o640);
    let restored = folder.path().join("restored");
    let boot = Boot { store: StoreId(1), epoch: 1 };
    let restoration = RedbRestoration::begin(&restored, &operator("empresa-a"), boot).unwrap();
    Box::new(restoration).finish().unwrap();
    assert_eq!((mode(&restored), mode(&restored.join("recarga.redb"))), (0o700, 0o600));
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
    // A full disk had room for its name only.
    poison(folder.path(), "").unwrap();
    let error = open_error(folder.path(), "empresa-a");
    assert!(error.contains("disk full") && !error.contains("()"), "{error}");
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

#[test]
fn a_copy_is_put_back_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let empresa_a = operator("empresa-a");
    put_back(&|boot| Ok(Box::new(RedbRestoration::begin(folder.path(), &empresa_a, boot)?)), &|| {
        Box::new(RedbStore::open(folder.path(), &empresa_a).unwrap())
    });
}

// A process that was killed drops nothing: what it leaves must not be taken for a record, nor for the lack of one.
#[test]
fn no_node_starts_where_putting_back_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (empresa_a, boot) = (operator("empresa-a"), Boot { store: StoreId(8), epoch: 6 });
    let left = folder.path().join("recarga.redb.restoring");
    let mut killed = RedbRestoration::begin(folder.path(), &empresa_a, boot).unwrap();
    killed.take(&everything()).unwrap();
    let in_use = RedbRestoration::begin(folder.path(), &empresa_a, boot);
    assert!(matches!(in_use, Err(StoreError::InUse { .. })));
    let half = std::fs::read(&left).unwrap();
    drop(killed);
    assert!(!left.exists());
    for left_over in [half.as_slice(), b"half of it"] {
        std::fs::write(&left, left_over).unwrap();
        let error = open_error(folder.path(), "empresa-a");
        assert!(error.contains("do it again") && error.contains("recarga.redb.restoring"), "{error}");
        drop(RedbRestoration::begin(folder.path(), &empresa_a, boot).unwrap());
    }
    assert!(RedbStore::open(folder.path(), &empresa_a).is_ok(), "nothing is left of it");
}

#[test]
fn a_record_put_back_by_other_means_gets_another_identity() {
    let folder = tempfile::tempdir().unwrap();
    let empresa_a = operator("empresa-a");
    assert!(RedbStore::open_existing(folder.path(), &empresa_a).is_err());
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was made");
    let open = || RedbStore::open(folder.path(), &empresa_a).unwrap();
    let error = open().renew(StoreId(2)).unwrap_err().to_string();
    assert!(error.contains("never been started"), "{error}");
    let mut store = open();
    store.boot(StoreId(1)).unwrap();
    store.append(&everything()).unwrap();
    // As a crash leaves it: some of it only in the journal.
    let copied = tempfile::tempdir().unwrap();
    for name in ["recarga.redb", "recarga.journal"] {
        std::fs::copy(folder.path().join(name), copied.path().join(name)).unwrap();
    }
    let renewed = RedbStore::open_existing(copied.path(), &empresa_a).unwrap().renew(StoreId(2)).unwrap();
    let mut store = RedbStore::open(copied.path(), &empresa_a).unwrap();
    assert_eq!(store.boot(StoreId(3)).unwrap(), Boot { epoch: renewed.epoch + 1, ..renewed });
    assert_eq!((renewed.store, sorted(store.load().unwrap())), (StoreId(2), sorted(everything())));
}

#[test]
fn no_changed_or_shortened_copy_is_taken_for_a_whole_one() {
    let whole = copy_of_everything();
    assert!(read_copy(&whole).is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read_copy(&changed).is_err(), "byte {at} was changed");
    }
    // Within every line, and after each.
    for at in (0..whole.len()).filter(|at| at.is_multiple_of(11) || whole[*at] == b'\n') {
        assert!(read_copy(&whole[..=at]).is_err() || at + 1 == whole.len(), "cut off after {at}");
    }
    let refused = |bytes: &[u8]| read_copy(bytes).unwrap_err().to_string();
    let text = String::from_utf8(whole.clone()).unwrap();
    for (bytes, told) in [
        (String::new(), "no copy"),
        ("SQLite format 3".to_owned(), "no copy"),
        (text.lines().take(3).fold(String::new(), |all, line| all + line + "\n"), "cut off after 2"),
        (text.replacen("\"recarga_copy\":1", "\"recarga_copy\":99,\"other\":0", 1), "has format 99"),
        (text.replacen("empresa-a", "empresa-b", 1), "the record of empresa-b, not of empresa-a"),
        (text.replacen("A-1", "A-7", 1), "checksum"),
        (text.clone() + "{}\n", "follows its end"),
        (text.replacen("branches", "twigs", 1), "line 2"),
    ] {
        assert!(refused(bytes.as_bytes()).contains(told), "{told}: {}", refused(bytes.as_bytes()));
    }
}

// Rows stand in the tables, on their way there, and in the journal; the latest of each key counts, and none that is gone.
#[test]
fn a_snapshot_is_whole_wherever_its_rows_stand() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(folder.path(), &operator("empresa-a")).unwrap();
    store.boot(StoreId(1)).unwrap();
    let mut expected = BTreeMap::new();
    let letter = |number: u64, version: u64| {
        let key = RequestKey { request: number.to_string().parse().unwrap(), ..key() };
        let answer = Some(format!("{version}{}", "a".repeat(20_000)));
        let (received, request) = (at(3), "{}".to_owned());
        Letter { key, received, request, answer, owed: false, response_topic: None, correlation: None }
    };
    let mut snapshots = Vec::new();
    // More than twice round the journal.
    for round in 0..400 {
        let mut records = vec![
            Record::Letter(letter(round, 0)),
            Record::Letter(letter(round, 1)),
            Record::Letter(letter(round / 2, 2)),
        ];
        if round.is_multiple_of(3) {
            records.push(Record::LetterForgotten(letter(round / 3, 0).key));
        }
        store.append(&records).unwrap();
        for row in records.iter().map(|record| Row::of(record).unwrap()) {
            match row.value {
                Some(value) => drop(expected.insert(row.key, value)),
                None => drop(expected.remove(&row.key)),
            }
        }
        if round.is_multiple_of(16) {
            snapshots.push((round, store.snapshot().unwrap(), expected.clone()));
        }
        // Read late: much has been written since.
        if snapshots.len() == 4 || round == 399 {
            for (round, mut snapshot, expected) in snapshots.drain(..) {
                assert_eq!(snapshot.count().unwrap(), expected.len() as u64, "round {round}");
                let mut found = BTreeMap::new();
                let take = &mut |row: Row| found.insert(row.key, row.value.unwrap()).is_none();
                snapshot.each(take).unwrap();
                assert!(found == expected, "round {round}");
            }
        }
    }
}
