//! What stands on a company's disk: rows that this program has not written so, and files that a disk has damaged.

use std::sync::OnceLock;

use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store, StoreError};
use recarga_reservation::StoreId;
use redb::TableDefinition;

use self::contents::{contents, operator, transaction};
use self::disk::Disk;
use crate::{Form, Target, Verdict};

mod contents;
mod disk;

pub const TARGETS: &[Target] = &[
    Target { name: "branch-row", form: Form::Json, read: |bytes| row("branches", &key(), bytes) },
    Target { name: "trip-row", form: Form::Json, read: |bytes| row("trips", &key(), bytes) },
    Target { name: "letter-row", form: Form::Json, read: |bytes| row("letters", "carro-1 pedido-1", bytes) },
    Target { name: "row-key", form: Form::Text, read: row_key },
    Target { name: "meta", form: Form::Text, read: meta },
    Target { name: "damaged-database", form: Form::Bytes, read: damaged_database },
];

fn key() -> String {
    transaction(1).to_string()
}

/// A row with this value: it is refused by name, or understood and then written and read as the same.
fn row(table: &'static str, key: &str, value: &[u8]) -> Result<Verdict, String> {
    let disk = Disk::of(pristine());
    let table = TableDefinition::<&str, &[u8]>::new(table);
    disk.change(|transaction| Ok(_ = transaction.open_table(table)?.insert(key, value)?))?;
    reread(&disk)
}

fn row_key(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(key) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    row("branches", key, br#"{"state":"aborted","cause":"coordinator","at":1796119200000}"#)
}

// A first line that names an entry of the table of the database's own facts, and its value.
fn meta(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let (name, value) = text.split_once('\n').unwrap_or((text, ""));
    let disk = Disk::of(pristine());
    let table = TableDefinition::<&str, &str>::new("meta");
    disk.change(|transaction| Ok(_ = transaction.open_table(table)?.insert(name, value)?))?;
    reread(&disk)
}

fn reread(disk: &Disk) -> Result<Verdict, String> {
    let Some(records) = understood(load(disk))? else { return Ok(Verdict::Refused) };
    let mut store = open(disk).map_err(|error| error.to_string())?;
    store.append(&records).map_err(|error| format!("what was read cannot be written: {error}"))?;
    drop(store);
    let again = understood(load(disk))?.ok_or("what was written cannot be read")?;
    // A row whose key is not its value's own has a second one now.
    let is_there = |record: &Record| again.contains(record);
    if records.iter().all(is_there) {
        Ok(Verdict::Accepted)
    } else {
        Err(format!("was {records:?}, is {again:?}"))
    }
}

/// Damage to a good file: it is noticed, or it has not changed what is read.
///
/// Every five bytes are one damage: where (three bytes, in parts of the file), what (one bit, a byte, a torn page, the end of the file),
/// and a value.
fn damaged_database(bytes: &[u8]) -> Result<Verdict, String> {
    let mut file = pristine().to_vec();
    for damage in bytes.chunks_exact(5).take(16) {
        let [high, middle, low, kind, value] = damage else { break };
        let part = u64::from_be_bytes([0, 0, 0, 0, 0, *high, *middle, *low]);
        let place = usize::try_from(part * file.len() as u64 / (1 << 24)).unwrap_or(0);
        if file.is_empty() {
            break;
        }
        match kind % 4 {
            0 => file[place] ^= 1 << (value % 8),
            1 => file[place] = *value,
            2 => {
                let page = place / 4096 * 4096;
                let end = (page + 4096).min(file.len());
                file[(page + usize::from(*value) * 16).min(end)..end].fill(0);
            }
            // An empty backend is a new database; of files, the store knows which is new.
            _ => file.truncate(place.max(1)),
        }
    }
    let disk = Disk::of(&file);
    let Some(records) = understood(guarded(|| load(&disk)))? else { return Ok(Verdict::Refused) };
    let expected = contents();
    if records.len() != expected.len() || !expected.iter().all(|record| records.contains(record)) {
        return Err(format!(
            "is read without a complaint, with {} of {} records or others",
            records.len(),
            expected.len()
        ));
    }
    Ok(Verdict::Accepted)
}

// As the program does, which must end with one clear line and not with a trace of the stack.
fn guarded<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::Unreadable { path: "disk".to_owned(), reason: "the database panics".to_owned() })
    })
}

fn understood(loaded: Result<Vec<Record>, StoreError>) -> Result<Option<Vec<Record>>, String> {
    match loaded {
        Ok(records) => Ok(Some(records)),
        Err(error) if error.to_string().contains("disk") => Ok(None),
        Err(error) => Err(format!("a refusal that does not name the file: {error}")),
    }
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    RedbStore::open_on(disk.clone(), "disk", &operator("empresa-b"))
}

fn load(disk: &Disk) -> Result<Vec<Record>, StoreError> {
    let mut store = open(disk)?;
    store.boot(StoreId(9))?;
    store.load()
}

/// A good database with a row of every kind.
fn pristine() -> &'static [u8] {
    static PRISTINE: OnceLock<Vec<u8>> = OnceLock::new();
    PRISTINE.get_or_init(|| {
        let disk = Disk::of(&[]);
        let written = open(&disk).and_then(|mut store| {
            store.boot(StoreId(7))?;
            store.append(contents())
        });
        if let Err(error) = written {
            unreachable!("a disk in memory takes everything: {error}");
        }
        disk.bytes()
    })
}
