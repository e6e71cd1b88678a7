//! Damage to good files: it is noticed, or it has not changed what is read.

use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

use recarga_node::store::redb::RedbStore;
use recarga_node::store::{Record, Store, StoreError};
use recarga_reservation::StoreId;
use tempfile::TempDir;

use super::contents::{contents, operator};
use super::disk::Disk;
use super::{COMPANY, load, open_with, understood};
use crate::Verdict;

const PAGE: usize = 4096;
const DAMAGES_MAX: usize = 16;
// To the journal, after what is in the tables.
const WRITES: usize = 4;
const FILE: &str = "recarga.redb";
const FILE_JOURNAL: &str = "recarga.journal";

/// The bytes of good files, at several moments.
pub struct Pristine {
    /// A database that was closed well, so that its journal does not matter.
    pub clean: Vec<u8>,
    /// The files as a crash leaves them.
    pub crashed: Files,
    // Before the last records were written.
    earlier: Files,
    // How many records were read before the first write to the journal, and each write.
    before: usize,
    writes: Vec<Write>,
}

// Which bytes of the journal it changed, and how many records are read with it.
struct Write {
    bytes: Range<usize>,
    records: usize,
}

/// A database and its journal.
#[derive(Clone)]
pub struct Files {
    /// `recarga.redb`.
    pub database: Vec<u8>,
    /// `recarga.journal`.
    pub journal: Vec<u8>,
}

/// Good files with a row of every kind.
pub fn pristine() -> &'static Pristine {
    static PRISTINE: OnceLock<Pristine> = OnceLock::new();
    PRISTINE.get_or_init(|| match write() {
        Ok(pristine) => pristine,
        Err(error) => unreachable!("a disk in memory takes everything: {error}"),
    })
}

fn write() -> Result<Pristine, StoreError> {
    let (disk, journal) = (Disk::of(&[]), Disk::of(&[]));
    let files = || Files { database: disk.bytes(), journal: journal.bytes() };
    let all = contents();
    let (first_part, rest) = all.split_at(all.len() / 3);
    let mut store = open_with(&disk, &journal)?;
    store.boot(StoreId(7))?;
    store.append(first_part)?;
    drop(store);
    // Some rows are in the tables, the others in the journal.
    let mut store = open_with(&disk, &journal)?;
    store.boot(StoreId(7))?;
    let mut writes = Vec::new();
    let mut earlier = files();
    for records in rest.chunks(rest.len().div_ceil(WRITES)) {
        earlier = files();
        store.append(records)?;
        let written = journal.bytes();
        let differs = |at: &usize| written[*at] != earlier.journal[*at];
        let first = (0..written.len()).find(differs).unwrap_or_default();
        let end = (0..written.len()).rfind(differs).unwrap_or_default() + 1;
        let before = writes.last().map_or(first_part.len(), |write: &Write| write.records);
        writes.push(Write { bytes: first..end, records: before + records.len() });
    }
    let crashed = files();
    drop(store);
    let before = first_part.len();
    Ok(Pristine { clean: disk.bytes(), crashed, earlier, before, writes })
}

/// Every five bytes are one damage: where (three bytes, in parts of the file), what, and a value. `earlier` is what the
/// file was before.
pub fn damage(file: &mut Vec<u8>, earlier: &[u8], bytes: &[u8]) {
    for damage in bytes.chunks_exact(5).take(DAMAGES_MAX) {
        let [high, middle, low, kind, value] = damage else { break };
        let part = u64::from_be_bytes([0, 0, 0, 0, 0, *high, *middle, *low]);
        let place = usize::try_from(part * file.len() as u64 / (1 << 24)).unwrap_or(0);
        if file.is_empty() {
            break;
        }
        damage_at(file, earlier, place, *kind, *value);
    }
}

fn damage_at(file: &mut Vec<u8>, earlier: &[u8], place: usize, kind: u8, value: u8) {
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
            let earlier = earlier.get(page..page_end).unwrap_or_default();
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
    damage(&mut file, &pristine().earlier.database, bytes);
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

/// As a node and an audit open them: real files in a folder. The first byte says whether the process had crashed.
pub fn damaged_file(bytes: &[u8]) -> Result<Verdict, String> {
    let has_crashed = bytes.first().is_some_and(|first| first % 2 == 1);
    let clean = || Files { database: pristine().clean.clone(), journal: Vec::new() };
    let mut files = if has_crashed { pristine().crashed.clone() } else { clean() };
    damage(&mut files.database, &pristine().earlier.database, bytes.get(1..).unwrap_or_default());
    in_a_folder(&files, |_| false)
}

/// The journal of a process that had crashed.
///
/// Damage to what was written last looks like a write that had not ended, which nobody was told of; the journal then
/// ends before it. A write after the damaged one shows that it is damage.
pub fn damaged_journal(bytes: &[u8]) -> Result<Verdict, String> {
    let Pristine { crashed, earlier, before, writes, .. } = pristine();
    let mut files = crashed.clone();
    damage(&mut files.journal, &earlier.journal, bytes);
    let is_damaged =
        |write: &Write| files.journal.get(write.bytes.clone()) != crashed.journal.get(write.bytes.clone());
    let damaged_at_the_end = writes.iter().rev().take_while(|write| is_damaged(write)).count();
    let kept: Vec<usize> = std::iter::once(*before).chain(writes.iter().map(|write| write.records)).collect();
    in_a_folder(&files, |records| {
        let ends = &kept[writes.len() - damaged_at_the_end..];
        ends.iter().any(|end| unchanged(records, &contents()[..*end]).is_ok())
    })
}

fn in_a_folder(files: &Files, is_excused: impl Fn(&[Record]) -> bool) -> Result<Verdict, String> {
    let folder = TempDir::with_prefix("disk").map_err(|error| error.to_string())?;
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).map_err(|error| error.to_string())
    };
    write(FILE, &files.database)?;
    write(FILE_JOURNAL, &files.journal)?;
    let audited = understood(RedbStore::read(folder.path()).map(|(_, _, records)| records))?;
    let started = understood(start(folder.path()))?;
    for records in [&audited, &started].into_iter().flatten() {
        if !is_excused(records) {
            unchanged(records, contents())?;
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
