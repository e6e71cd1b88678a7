//! The journal before the tables: what it has is read after a crash at any moment, and what it has lost is noticed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Letter, Record, Store, StoreError};
use recarga_reservation::{OperatorId, RequestKey, StoreId, Timestamp};
use redb::{StorageBackend, TableDefinition};

const BLOCK: u64 = 4096;

/// A file in memory; its clones are the same one.
#[derive(Clone, Debug, Default)]
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryFile {
    /// Another file with what a killed process leaves.
    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().unwrap().clone())))
    }

    /// Another file with a part of what was written since.
    fn torn(&self, later: &Self, rng: &mut Rng) -> Self {
        let torn = self.copy();
        let mut bytes = torn.0.lock().unwrap();
        let later = later.0.lock().unwrap();
        let changed: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != later[*at]).collect();
        for at in &changed[..rng.usize(0..=changed.len())] {
            bytes[*at] = later[*at];
        }
        drop(bytes);
        torn
    }
}

impl PartialEq for MemoryFile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.0.lock().unwrap() == *other.0.lock().unwrap()
    }
}

impl StorageBackend for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.0.lock().unwrap()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn operator() -> OperatorId {
    "empresa-a".parse().unwrap()
}

fn key(number: u64) -> RequestKey {
    RequestKey { vehicle: "carro-1".parse().unwrap(), request: number.to_string().parse().unwrap() }
}

fn letter(number: u64, length: usize) -> Record {
    Record::Letter(Letter {
        key: key(number),
        received: Timestamp::from_millis(1),
        request: "x".repeat(length),
        answer: None,
        owed: false,
        response_topic: None,
        correlation: None,
    })
}

/// What should be read: how long the request of each letter is.
type Model = BTreeMap<RequestKey, usize>;

fn apply(model: &mut Model, records: &[Record]) {
    for record in records {
        match record {
            Record::Letter(letter) => drop(model.insert(letter.key.clone(), letter.request.len())),
            Record::LetterForgotten(key) => drop(model.remove(key)),
            _ => unreachable!("this test writes letters"),
        }
    }
}

fn as_model(records: &[Record]) -> Model {
    let mut model = Model::new();
    apply(&mut model, records);
    model
}

#[test]
fn the_record_of_a_newer_program_is_refused_and_left_as_it_is() {
    let (tables, journal) = (MemoryFile::default(), MemoryFile::default());
    let open = || RedbStore::open_on(tables.clone(), journal.clone(), BLOCK, "memory", &operator());
    let mut store = open().unwrap();
    store.boot(StoreId(5)).unwrap();
    store.append(&[letter(1, 100)]).unwrap();
    drop(store);
    // What a later program would leave behind, and how it was before.
    let set = |format: &str| {
        let database = redb::Builder::new().create_with_backend(tables.clone()).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut meta = transaction.open_table(TableDefinition::<&str, &str>::new("meta")).unwrap();
        let before = meta.insert("format", format).unwrap().unwrap().value().to_owned();
        drop(meta);
        transaction.commit().unwrap();
        before
    };
    let format = set("99");
    let refused = open().err().expect("must be refused");
    assert!(matches!(refused, StoreError::TooNew { found: 99, .. }), "{refused}");
    assert!(refused.to_string().contains(&format!("reads up to {format}; use a newer program")), "{refused}");
    assert_eq!(set(&format), "99");
    assert_eq!(as_model(&open().unwrap().load().unwrap()), as_model(&[letter(1, 100)]));
}

#[test]
fn whatever_was_written_is_read_after_a_crash_at_any_moment() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let half = BLOCK * rng.u64(1..8);
        let open = |files: &(MemoryFile, MemoryFile)| {
            RedbStore::open_on(files.0.clone(), files.1.clone(), half, "memory", &operator()).unwrap()
        };
        let mut files = (MemoryFile::default(), MemoryFile::default());
        let mut model = Model::new();
        let mut epoch = 0;
        for _ in 0..4 {
            let mut store = open(&files);
            assert_eq!(as_model(&store.load().unwrap()), model, "seed {seed}: at the start");
            epoch += 1;
            assert_eq!(store.boot(StoreId(5)).unwrap().epoch, epoch);
            for step in 0..rng.u32(1..40) {
                // Some are longer than half the journal.
                let records: Vec<Record> = (0..rng.u32(1..6))
                    .map(|_| match rng.u8(0..5) {
                        0 => Record::LetterForgotten(key(rng.u64(0..12))),
                        _ => letter(rng.u64(0..12), rng.usize(0..6000)),
                    })
                    .collect();
                let before = (files.0.copy(), files.1.copy(), model.clone());
                store.append(&records).unwrap();
                apply(&mut model, &records);
                // A frame is torn wherever a crash falls into its write; nobody was told of it.
                if rng.u8(0..3) == 0 && before.0 == files.0 {
                    let torn = before.1.torn(&files.1, &mut rng);
                    let read = as_model(&open(&(before.0, torn)).load().unwrap());
                    assert!(read == before.2 || read == model, "seed {seed}: torn at step {step}");
                }
                if rng.u8(0..4) == 0 {
                    let crashed = (files.0.copy(), files.1.copy());
                    let read = as_model(&open(&crashed).load().unwrap());
                    assert_eq!(read, model, "seed {seed}: after a crash at step {step}");
                }
                if rng.u8(0..8) == 0 {
                    assert_eq!(as_model(&store.load().unwrap()), model, "seed {seed}: at step {step}");
                }
            }
            // Closed well, or killed.
            files = if rng.bool() { files } else { (files.0.copy(), files.1.copy()) };
            drop(store);
        }
    }
}

// Half of a journal in a folder goes into the tables in a thread of its own.
#[test]
fn a_folder_takes_more_than_both_halves() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = RedbStore::open(folder.path(), &operator()).unwrap();
    store.boot(StoreId(5)).unwrap();
    let mut model = Model::new();
    for number in 0..300 {
        let records = [letter(number % 40, 100_000 + usize::try_from(number).unwrap())];
        store.append(&records).unwrap();
        apply(&mut model, &records);
    }
    let crashed = copy(folder.path(), |_| true);
    let (_, _, records) = RedbStore::read(crashed.path()).unwrap();
    assert_eq!(as_model(&records), model);
    drop(store);
    let (_, _, records) = RedbStore::read(folder.path()).unwrap();
    assert_eq!(as_model(&records), model);
}

fn copy(from: &Path, which: impl Fn(&str) -> bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if which(&name) {
            std::fs::copy(from.join(&name), folder.path().join(&name)).unwrap();
        }
    }
    folder
}

#[test]
fn a_journal_that_is_not_the_one_of_its_database_is_noticed() {
    let started = |number| {
        let folder = tempfile::tempdir().unwrap();
        let mut store = RedbStore::open(folder.path(), &operator()).unwrap();
        store.boot(StoreId(number)).unwrap();
        (folder, store)
    };
    let (folder, mut store) = started(1);
    let (before, early) =
        (copy(folder.path(), |_| true), copy(folder.path(), |name| name != "recarga.journal"));
    for number in 0..20 {
        store.append(&[letter(number, 100)]).unwrap();
    }
    let (other, mut other_store) = started(2);
    other_store.append(&[letter(1, 100)]).unwrap();
    let read = |folder: &Path| match RedbStore::open(folder, &operator()) {
        Ok(mut store) => Ok(store.load().unwrap().len()),
        Err(error @ StoreError::Unreadable { .. }) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    };
    let journal = |from: &Path, to: &Path| {
        std::fs::copy(from.join("recarga.journal"), to.join("recarga.journal")).unwrap();
    };
    let whole = || copy(folder.path(), |_| true);

    assert_eq!(read(whole().path()), Ok(20), "as a crash leaves it");
    let without = copy(folder.path(), |name| name != "recarga.journal");
    assert!(read(without.path()).unwrap_err().contains("missing or too short (recarga.journal)"));
    let alone = copy(folder.path(), |name| name == "recarga.journal");
    assert!(read(alone.path()).unwrap_err().contains("recarga.journal is still there"));
    let foreign = whole();
    journal(other.path(), foreign.path());
    assert!(read(foreign.path()).unwrap_err().contains("another one than that of this database"));
    // An older copy of both is a restored backup: nothing in the folder can tell.
    assert_eq!(read(before.path()), Ok(0));
    // The database was copied earlier than the journal, and not stopped in between: they still fit.
    journal(folder.path(), early.path());
    assert_eq!(read(early.path()), Ok(20));

    // Stopped and started again: the old database does not know of that start.
    let stopped = whole();
    drop(RedbStore::open(stopped.path(), &operator()).unwrap());
    let old_database = copy(stopped.path(), |_| true);
    let mut store = RedbStore::open(stopped.path(), &operator()).unwrap();
    store.boot(StoreId(1)).unwrap();
    store.append(&[letter(99, 100)]).unwrap();
    journal(stopped.path(), old_database.path());
    assert!(read(old_database.path()).unwrap_err().contains("that of a later start"));

    for (block, expected) in [(0, Err("another one")), (7, Err("lost frames")), (20, Ok(19))] {
        let damaged = whole();
        let file = damaged.path().join("recarga.journal");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[block * 4096 + 10] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        match expected {
            Err(text) => assert!(read(damaged.path()).unwrap_err().contains(text), "block {block}"),
            // Nothing tells the last one from a write that a crash has cut off.
            Ok(count) => assert_eq!(read(damaged.path()), Ok(count), "block {block}"),
        }
    }
}
