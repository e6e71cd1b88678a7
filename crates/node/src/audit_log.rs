//! Everything that a company has recorded, in the order in which it did, in files whose every line vouches for all lines
//! before it.
//!
//! A line is a JSON object that ends with its hash: SHA-256 of the hash before it (32 bytes) and of the line itself up to
//! `,"hash":`. So nothing can be changed, left out or put in without every later hash being another one; whoever has
//! noted one of them elsewhere can tell. A line is written before what it tells is durable and told, and reaches
//! the disk within a second while more is written, else when the system writes it back: a crash can leave a line about
//! something that never was, and a power cut can take the last lines.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{StoreId, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::archive::month_of;
use crate::clock::Clock;
use crate::files::{make_private_folder, private};
use crate::store::rows::Row;
use crate::store::{Boot, Record, Snapshot, Store, StoreError};

const ENDING: &str = ".jsonl";
/// What stands between a line and its hash.
const SEAL: &str = ",\"hash\":\"";
/// Longest line that is read: a row is as long as the longest request, and a little more.
const LINE_MAX: u64 = 8 * 1024 * 1024;
/// How long lines may stay out of the disk while more are written.
const SYNC_EVERY: Duration = Duration::from_secs(1);

type Hash = [u8; 32];

/// Why a log cannot be written or read.
#[derive(Debug, Error)]
#[error("{path}: {reason}")]
pub struct AuditLogError {
    /// The file or folder.
    pub path: String,
    /// What the system says, or what is wrong in it.
    pub reason: String,
}

impl AuditLogError {
    fn new(path: &Path, reason: impl ToString) -> Self {
        Self { path: path.display().to_string(), reason: reason.to_string() }
    }
}

/// A store that logs whatever it records.
pub struct Audited {
    store: Box<dyn Store>,
    log: AuditLog,
    clock: Arc<dyn Clock>,
}

impl Audited {
    /// Logs in `folder` what `store` records.
    ///
    /// # Errors
    /// The folder cannot be used, or its last line is none of a log.
    pub fn new(store: Box<dyn Store>, folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, AuditLogError> {
        Ok(Self { store, log: AuditLog::open(folder)?, clock })
    }

    fn log(&mut self, entries: impl IntoIterator<Item = String>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.log.append(now.utc, now.elapsed, entries).map_err(|error| StoreError::Io {
            path: error.path,
            reason: format!("the audit log cannot be written: {}", error.reason),
        })
    }
}

impl Store for Audited {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let boot = self.store.boot(fresh_id)?;
        let version = env!("CARGO_PKG_VERSION");
        let Boot { store, epoch } = boot;
        self.log([format!(
            "\"kind\":\"start\",\"store\":\"{store}\",\"epoch\":{epoch},\"version\":\"{version}\""
        )])?;
        Ok(boot)
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        self.store.each(take)
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let entry = entry(record);
            entries
                .push(entry.map_err(|reason| StoreError::Io { path: "the audit log".to_owned(), reason })?);
        }
        self.log(entries)?;
        self.store.append(records)
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot()
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.log(["\"kind\":\"stop\"".to_owned()])?;
        self.log.sync().map_err(|error| StoreError::Io { path: error.path, reason: error.reason })?;
        self.store.close()
    }
}

fn entry(record: &Record) -> Result<String, String> {
    let Row { table, key, value } = Row::of(record).map_err(|error| error.to_string())?;
    let key = serde_json::to_string(&key).map_err(|error| error.to_string())?;
    let value = value.map(String::from_utf8).transpose().map_err(|error| error.to_string())?;
    let value = value.as_deref().unwrap_or("null");
    Ok(format!("\"kind\":\"record\",\"table\":\"{}\",\"key\":{key},\"row\":{value}", table.name()))
}

struct AuditLog {
    folder: PathBuf,
    // Of the latest file, which is its name.
    month: String,
    file: Option<File>,
    // Of the last line.
    number: u64,
    hash: Hash,
    // When the file was last known to be on the disk, since the process began.
    synced: Duration,
}

impl AuditLog {
    fn open(folder: &Path) -> Result<Self, AuditLogError> {
        make_private_folder(folder).map_err(|error| AuditLogError::new(folder, error))?;
        let mut log = Self {
            folder: folder.to_owned(),
            month: String::new(),
            file: None,
            number: 0,
            hash: [0; 32],
            synced: Duration::ZERO,
        };
        // The latest file may be one in which nothing was written yet.
        for path in files(folder)?.iter().rev() {
            log.month = log.month.max(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            if let Some(line) = last_line(path).map_err(|error| AuditLogError::new(path, error))? {
                let line = Line::read(&line).map_err(|reason| AuditLogError::new(path, reason))?;
                (log.number, log.hash) = (line.number, line.hash);
                break;
            }
        }
        Ok(log)
    }

    // `entries` are the members of a line that are its own.
    fn append(
        &mut self,
        now: Timestamp,
        elapsed: Duration,
        entries: impl IntoIterator<Item = String>,
    ) -> Result<(), AuditLogError> {
        let mut lines = String::new();
        // A clock that goes back does not go back to an older file: lines stand in the order of files.
        let month = month_of(now).max(self.month.clone());
        let path = self.folder.join(format!("{month}{ENDING}"));
        let failed = |error: io::Error| AuditLogError::new(&path, error);
        if month != self.month {
            self.sync()?;
            self.file = None;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = private().append(true).open(&path).map_err(failed)?;
                if file.metadata().map_err(failed)?.len() == 0 {
                    let previous = hex::encode(self.hash);
                    self.seal(&mut lines, now, &format!("\"kind\":\"open\",\"previous\":\"{previous}\""));
                    // A file can be durable while its name is not.
                    File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
                }
                self.month = month;
                file
            }
        };
        for entry in entries {
            self.seal(&mut lines, now, &entry);
        }
        file.write_all(lines.as_bytes()).map_err(failed)?;
        self.file = Some(file);
        if elapsed.saturating_sub(self.synced) >= SYNC_EVERY {
            self.synced = elapsed;
            self.sync()?;
        }
        Ok(())
    }

    fn seal(&mut self, lines: &mut String, now: Timestamp, entry: &str) {
        self.number += 1;
        let line = format!("{{\"number\":{},\"at\":{},{entry}", self.number, now.as_millis());
        self.hash = chained(&self.hash, &line);
        // A text takes everything.
        let _ = writeln!(lines, "{line}{SEAL}{}\"}}", hex::encode(self.hash));
    }

    fn sync(&mut self) -> Result<(), AuditLogError> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data().map_err(|error| AuditLogError::new(&self.folder, error))
    }
}

/// What the lines of a log come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many there are.
    pub lines: u64,
    /// Number and hash of the last one, in hexadecimal digits.
    pub head: Option<(u64, String)>,
    /// Whether the hash that was asked for is one of theirs.
    pub is_known: bool,
}

/// Reads a log from its first line to its last, and hands each one over as it stands there. `known` is a hash that one of
/// them should have.
///
/// # Errors
/// A file cannot be read; or a line is not what was written, or lines are missing before it, and which one.
pub fn read(
    folder: &Path,
    known: Option<&str>,
    mut take: impl FnMut(&str),
) -> Result<Verified, AuditLogError> {
    let mut verified = Verified::default();
    let mut before: Option<(u64, Hash)> = None;
    for path in files(folder)? {
        let wrong = |line: u64, reason: &str| AuditLogError::new(&path, format!("line {line}: {reason}"));
        let file = File::open(&path).map_err(|error| AuditLogError::new(&path, error))?;
        let mut file = BufReader::new(file);
        for count in 1.. {
            let mut text = String::new();
            let read = file.by_ref().take(LINE_MAX).read_line(&mut text);
            if read.map_err(|error| wrong(count, &error.to_string()))? == 0 {
                break;
            }
            // What a crash has cut short is no line yet; the next start takes it away.
            let Some(text) = text.strip_suffix('\n') else { break };
            let line = Line::read(text).map_err(|reason| wrong(count, &reason))?;
            let previous = match (&before, count, &line.previous) {
                (Some((number, _)), ..) if line.number != number + 1 => {
                    return Err(wrong(
                        count,
                        &format!("number {} follows {number}: lines are missing", line.number),
                    ));
                }
                (Some((_, hash)), ..) => *hash,
                // Older files may have been put away; the first line of a file says what came before.
                (None, 1, Some(previous)) => *previous,
                (None, ..) => {
                    return Err(wrong(
                        count,
                        "the first line of a file says what was before it; it is missing",
                    ));
                }
            };
            if line.previous.is_some_and(|said| said != previous)
                || chained(&previous, line.sealed) != line.hash
            {
                return Err(wrong(count, "it, or what was before it, is not what was written"));
            }
            take(text);
            let hash = hex::encode(line.hash);
            verified.is_known |= known.is_some_and(|known| known.eq_ignore_ascii_case(&hash));
            verified.lines += 1;
            verified.head = Some((line.number, hash));
            before = Some((line.number, line.hash));
        }
    }
    Ok(verified)
}

struct Line<'a> {
    number: u64,
    previous: Option<Hash>,
    // What the hash is about.
    sealed: &'a str,
    hash: Hash,
}

#[derive(Deserialize)]
struct Members {
    number: u64,
    previous: Option<String>,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        let members: Members =
            serde_json::from_str(text).map_err(|error| format!("no line of a log: {error}"))?;
        // To the last character: what the hash is about, and the hash in the one form in which it is written.
        let (sealed, end) = text.rsplit_once(SEAL).ok_or("it has no hash at its end")?;
        let digits = end.strip_suffix("\"}").ok_or("something follows its hash")?;
        let hash = read_hash(digits)?;
        if hex::encode(hash) != digits {
            return Err("its hash is not written as this program writes it".to_owned());
        }
        let previous = members.previous.as_deref().map(read_hash).transpose()?;
        Ok(Self { number: members.number, previous, sealed, hash })
    }
}

fn read_hash(digits: &str) -> Result<Hash, String> {
    let mut hash = Hash::default();
    hex::decode_to_slice(digits, &mut hash).map(|()| hash).map_err(|error| format!("hash: {error}"))
}

fn chained(previous: &Hash, line: &str) -> Hash {
    Sha256::new().chain_update(previous).chain_update(line).finalize().into()
}

// Oldest first, as their names are months.
fn files(folder: &Path) -> Result<Vec<PathBuf>, AuditLogError> {
    let failed = |error: io::Error| AuditLogError::new(folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == &ENDING[1..]) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

// Takes away what a crash has cut short.
fn last_line(path: &Path) -> io::Result<Option<String>> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LINE_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let whole = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < end.len() {
        file.set_len(from + whole as u64)?;
        file.sync_all()?;
    }
    let lines = end[..whole].strip_suffix(b"\n").unwrap_or_default();
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(last).into_owned()).filter(|line| !line.is_empty()))
}
