//! Damage to a good file: it is noticed, or it has not changed what is read.

use std::path::Path;
use std::sync::OnceLock;

use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store, StoreError};
use recarga_reservation::StoreId;
use tempfile::TempDir;

use super::contents::{contents, operator};
use super::disk::Disk;
use super::{COMPANY, load, open, understood};
use crate::Verdict;

const PAGE: usize = 4096;
const DAMAGES_MAX: usize = 16;
const FILE: &str = "recarga.redb";

/// The bytes of a good database, at several moments.
pub struct Pristine {
    /// Closed well.
    pub clean: Vec<u8>,
    /// As a crash leaves it.
    pub crashed: Vec<u8>,
    // Before the last records were written, and how many there were then.
    earlier: Vec<u8>,
    before_the_last_write: usize,
}

/// A good database with a row of every kind.
pub fn pristine() -> &'static Pristine {
    static PRISTINE: OnceLock<Pristine> = OnceLock::new();
    PRISTINE.get_or_init(|| match write() {
        Ok(pristine) => pristine,
        Err(error) => unreachable!("a disk in memory takes everything: {error}"),
    })
}

fn write() -> Result<Pristine, StoreError> {
    let disk = Disk::of(&[]);
    let mut store = open(&disk)?;
    store.boot(StoreId(7))?;
    let all = contents();
    let (first, rest) = all.split_at(all.len() / 3);
    let (second, last) = rest.split_at(rest.len() / 2);
    store.append(first)?;
    store.append(second)?;
    let (earlier, before_the_last_write) = (disk.bytes(), first.len() + second.len());
    store.append(last)?;
    let crashed = disk.bytes();
    drop(store);
    Ok(Pristine { clean: disk.bytes(), crashed, earlier, before_the_last_write })
}

/// Every five bytes are one damage: where (three bytes, in parts of the file), what, and a value.
pub fn damage(file: &mut Vec<u8>, bytes: &[u8]) {
    for damage in bytes.chunks_exact(5).take(DAMAGES_MAX) {
        let [high, middle, low, kind, value] = damage else { break };
        let part = u64::from_be_bytes([0, 0, 0, 0, 0, *high, *middle, *low]);
        let place = usize::try_from(part * file.len() as u64 / (1 << 24)).unwrap_or(0);
        if file.is_empty() {
            break;
        }
        damage_at(file, place, *kind, *value);
    }
}

fn damage_at(file: &mut Vec<u8>, place: usize, kind: u8, value: u8) {
    let page = place / PAGE * PAGE;
    let page_end = (page + PAGE).min(file.len());
    match kind % 8 {
        0 => file[place] ^= 1 << (value % 8),
        1 => file[place] = value,
        // Torn: the beginning of the page has reached the disk.
        2 => file[(page + usize::from(value) * 16).min(page_end)..page_end].fill(0),
        // An empty backend is a new database; of files, the store knows which is new.
        3 => file.truncate(place.max(1)),
        // Written to the wrong place.
        4 => {
            let from = usize::from(value) * PAGE % file.len();
            let length = (page_end - page).min(file.len() - from);
            file.copy_within(from..from + length, page);
        }
        5 => {
            let end = place.saturating_add(1 << (value % 20)).min(file.len());
            file[place..end].fill(0);
        }
        6 => file.extend(std::iter::repeat_n(value, PAGE)),
        // Never written: what stood there before is still there.
        _ if page > 0 => {
            let earlier = pristine().earlier.get(page..page_end).unwrap_or_default();
            file[page..page + earlier.len()].copy_from_slice(earlier);
        }
        _ => {}
    }
}

/// On a backend of the harness, which is fast.
pub fn damaged_database(bytes: &[u8]) -> Result<Verdict, String> {
    damaged(bytes, |disk| guarded(|| load(disk)))
}

/// As [`damaged_database`], for any reader.
///
/// # Errors
/// The damage is not noticed and has changed something.
pub fn damaged(
    bytes: &[u8],
    load: impl FnOnce(&Disk) -> Result<Vec<Record>, StoreError>,
) -> Result<Verdict, String> {
    let mut file = pristine().clean.clone();
    damage(&mut file, bytes);
    let Some(records) = understood(load(&Disk::of(&file)))? else { return Ok(Verdict::Refused) };
    unchanged(&records, contents())?;
    Ok(Verdict::Accepted)
}

fn unchanged(records: &[Record], expected: &[Record]) -> Result<(), String> {
    if records.len() == expected.len() && expected.iter().all(|record| records.contains(record)) {
        return Ok(());
    }
    Err(format!(
        "is read without a complaint, with {} of {} records or others",
        records.len(),
        expected.len()
    ))
}

// As the program does, which must end with one clear line and not with a trace of the stack.
fn guarded<T>(read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(StoreError::Unreadable { path: "disk".to_owned(), reason: "the database panics".to_owned() })
    })
}

/// As a node and an audit open it: a real file in a folder. The first byte says whether the process had crashed.
///
/// After a crash, damage to what was written last looks like a write that had not ended, which nobody was told of; the
/// database then goes back to the write before, and to none that is older.
pub fn damaged_file(bytes: &[u8]) -> Result<Verdict, String> {
    let has_crashed = bytes.first().is_some_and(|first| first % 2 == 1);
    let mut file = if has_crashed { pristine().crashed.clone() } else { pristine().clean.clone() };
    damage(&mut file, bytes.get(1..).unwrap_or_default());
    let folder = TempDir::with_prefix("disk").map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join(FILE), &file).map_err(|error| error.to_string())?;
    let audited = understood(RedbStore::read(folder.path()).map(|(_, _, records)| records))?;
    let started = understood(start(folder.path()))?;
    for records in [&audited, &started].into_iter().flatten() {
        let all = contents();
        let is_before_the_last_write = || unchanged(records, &all[..pristine().before_the_last_write]);
        if !(has_crashed && is_before_the_last_write().is_ok()) {
            unchanged(records, all)?;
        }
    }
    if audited.is_some() != started.is_some() {
        return Err(format!("the audit reads {}, the node {}", audited.is_some(), started.is_some()));
    }
    Ok(if started.is_some() { Verdict::Accepted } else { Verdict::Refused })
}

fn start(folder: &Path) -> Result<Vec<Record>, StoreError> {
    let mut store = RedbStore::open(folder, &operator(COMPANY))?;
    store.boot(StoreId(9))?;
    store.load()
}
