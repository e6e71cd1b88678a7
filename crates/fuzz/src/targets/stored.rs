//! What stands on a company's disk: rows that this program has not written so, and files that a disk has damaged.

use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store, StoreError};
use recarga_reservation::StoreId;
use redb::TableDefinition;

use self::contents::{operator, transaction};
use self::damage::{damaged_database, damaged_file, damaged_journal, pristine};
use self::disk::Disk;
use super::requests::ask_and_check;
use crate::node::{OPERATOR_TOKEN, with_node};
use crate::{Form, Target, Verdict};

pub(super) mod contents;
pub mod damage;
pub mod disk;

/// Rows and files.
pub const TARGETS: &[Target] = &[
    Target { name: "branch-row", form: Form::Json, read: |bytes| row("branches", &key(), bytes) },
    Target { name: "trip-row", form: Form::Json, read: |bytes| row("trips", &key(), bytes) },
    Target { name: "letter-row", form: Form::Json, read: |bytes| row("letters", "carro-1/pedido-1", bytes) },
    Target { name: "row-key", form: Form::Text, read: row_key },
    Target { name: "meta", form: Form::Text, read: meta },
    Target { name: "damaged-database", form: Form::Bytes, read: damaged_database },
    Target { name: "damaged-file", form: Form::Bytes, read: damaged_file },
    Target { name: "damaged-journal", form: Form::Bytes, read: damaged_journal },
];

// More than one input needs.
const EPOCHS: u64 = 8;
/// Whose record it is.
pub(super) const COMPANY: &str = "empresa-b";
// Room for all that a harness writes.
const JOURNAL_HALF_BYTES: u64 = 64 << 10;

fn key() -> String {
    transaction(1).to_string()
}

/// A row with this value: it is refused by name, or understood and then written and read as the same.
fn row(table: &'static str, key: &str, value: &[u8]) -> Result<Verdict, String> {
    let disk = Disk::of(&pristine().clean);
    let table = TableDefinition::<&str, &[u8]>::new(table);
    disk.change(|transaction| Ok(_ = transaction.open_table(table)?.insert(key, value)?))?;
    reread(&disk)
}

// A tombstone may be filed under any session; trips and letters only under their own names, of which there is none here.
fn row_key(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(key) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let moved = move_row("trips", &self::key(), key)?;
    if moved == Verdict::Accepted && key != self::key() {
        return Err(format!("a trip filed under {key:?} is read without a complaint"));
    }
    row("branches", key, br#"{"state":"aborted","cause":"coordinator","at":1796119200000}"#)
}

fn move_row(table: &'static str, from: &str, to: &str) -> Result<Verdict, String> {
    let disk = Disk::of(&pristine().clean);
    let table = TableDefinition::<&str, &[u8]>::new(table);
    disk.change(|transaction| {
        let mut rows = transaction.open_table(table)?;
        let value = rows.remove(from)?.map(|value| value.value().to_vec()).unwrap_or_default();
        rows.insert(to, value.as_slice())?;
        Ok(())
    })?;
    Ok(if understood(load(&disk))?.is_some() { Verdict::Accepted } else { Verdict::Refused })
}

// A first line that names an entry of the table of the database's own facts, and its value; without one it is gone.
fn meta(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let disk = Disk::of(&pristine().clean);
    let table = TableDefinition::<&str, &str>::new("meta");
    disk.change(|transaction| {
        let mut meta = transaction.open_table(table)?;
        match text.split_once('\n') {
            Some((name, value)) => drop(meta.insert(name, value)?),
            None => drop(meta.remove(text)?),
        }
        Ok(())
    })?;
    match text.strip_prefix("epoch\n").map(str::parse::<u64>) {
        // Every look at it takes one more.
        Some(Ok(epoch)) if epoch > u64::MAX - EPOCHS => understood(load(&disk)).map(|_| Verdict::Refused),
        _ => reread(&disk),
    }
}

fn reread(disk: &Disk) -> Result<Verdict, String> {
    let Some(records) = understood(load(disk))? else { return Ok(Verdict::Refused) };
    let mut store = open(disk).map_err(|error| error.to_string())?;
    store.append(&records).map_err(|error| format!("what was read cannot be written: {error}"))?;
    drop(store);
    let again = understood(load(disk))?.ok_or("what was written cannot be read")?;
    if again.len() != records.len() || !records.iter().all(|record| again.contains(record)) {
        return Err(format!("was {records:?}, is {again:?}"));
    }
    lives_on(disk)?;
    Ok(Verdict::Accepted)
}

// A node that starts with these records answers every question about them.
fn lives_on(disk: &Disk) -> Result<(), String> {
    let store = open(disk).map_err(|error| error.to_string())?;
    let lives = with_node(COMPANY, Box::new(store), async |router| {
        for path in [
            "/auditoria",
            "/disponibilidade?ate=2026-12-20T00:00:00Z",
            "/viagens?veiculo_id=carro-1",
            "/metrics",
        ] {
            let request = format!("GET {path}\nAuthorization: Bearer {OPERATOR_TOKEN}");
            if ask_and_check(&router, request.as_bytes()).await? == Verdict::Refused {
                return Err(format!("no answer to {path}"));
            }
        }
        Ok(())
    });
    lives?.map_err(|error| format!("what was read cannot be started with: {error}"))
}

fn understood(loaded: Result<Vec<Record>, StoreError>) -> Result<Option<Vec<Record>>, String> {
    match loaded {
        Ok(records) => Ok(Some(records)),
        Err(error) if error.to_string().contains("disk") => Ok(None),
        Err(error) => Err(format!("a refusal that does not name the file: {error}")),
    }
}

/// Opens a database that was closed well, for the company that it belongs to.
///
/// # Errors
/// As the store.
pub fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    open_with(disk, &Disk::of(&[]))
}

// A database that was closed well needs no journal; for others it is the second disk.
fn open_with(disk: &Disk, journal: &Disk) -> Result<RedbStore, StoreError> {
    RedbStore::open_on(disk.clone(), journal.clone(), JOURNAL_HALF_BYTES, "disk", &operator(COMPANY))
}

fn load(disk: &Disk) -> Result<Vec<Record>, StoreError> {
    let mut store = open(disk)?;
    store.boot(StoreId(9))?;
    store.load()
}
