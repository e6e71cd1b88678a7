//! A copy of a company's record, as a file: JSON lines, so that a person can look into it.
//!
//! | line | |
//! |---|---|
//! | first | [`Head`]: whose record it is, of which database, of when, and how many rows follow |
//! | one for each row | table, key, and the row as it stands in the database |
//! | last | XXH3 of everything before it |
//!
//! A file without its last line was cut off, and is no copy.

use std::hash::Hasher as _;
use std::io::{self, BufRead, Read};

use recarga_reservation::{OperatorId, StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;
use twox_hash::XxHash3_64;

use super::rows::{Malformed, Row, Table};
use super::{Boot, Record, Snapshot, StoreError};

/// Newest format that this program reads; it writes this one. To be raised with that of the rows.
const FORMAT: u32 = 1;
/// Longer than any row can be: what follows is no copy, and is not read into memory.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Rows leave together.
const CHUNK_BYTES: usize = 64 << 10;

/// What a copy says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose record it is.
    pub operator: OperatorId,
    /// Of which database, in which of its runs.
    pub boot: Boot,
    /// When it was made.
    pub made: Timestamp,
    /// How many rows it has.
    pub rows: u64,
}

/// Why a file is no copy that could be put back.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Something else.
    #[error("it is no copy of a company's record, or its beginning is damaged: {0}")]
    NotACopy(String),
    /// Made by a newer program.
    #[error("it has format {found}, and this program reads up to {known}; use a newer program")]
    TooNew {
        /// Format of the file.
        found: u32,
        /// Newest format known.
        known: u32,
    },
    /// Of somebody else's record.
    #[error("it is a copy of the record of {found}, not of {expected}")]
    OtherOperator {
        /// Whose it is.
        found: OperatorId,
        /// Whose it was to be.
        expected: OperatorId,
    },
    /// It ends too early.
    #[error("it was cut off after {0} of its rows; use a whole copy")]
    CutOff(u64),
    /// What it has is not what was written.
    #[error("it is damaged, in line {line} or before: {reason}; use another copy")]
    Damaged {
        /// Counted from 1.
        line: u64,
        /// What was noticed.
        reason: String,
    },
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// What takes its records failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
struct HeadLine {
    recarga_copy: u32,
    operator: String,
    store: String,
    epoch: u64,
    // Milliseconds since 1970 in UTC, as everywhere in rows.
    made: i64,
    rows: u64,
}

#[derive(Serialize, Deserialize)]
struct RowLine<'a> {
    table: &'a str,
    // With escapes it cannot be borrowed.
    key: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    row: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    checksum: String,
}

/// Writes a copy, piece by piece, until `send` says that nobody wants more of it.
///
/// # Errors
/// The record cannot be read.
pub fn write(
    snapshot: &mut dyn Snapshot,
    head: &Head,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), StoreError> {
    let unreadable = |error: Malformed| StoreError::Io { path: "copy".to_owned(), reason: error.to_string() };
    let mut sum = XxHash3_64::new();
    let mut chunk = line(&HeadLine::of(head)).map_err(unreadable)?;
    let (mut failed, mut is_wanted) = (None, true);
    snapshot.each(&mut |row| {
        match row_line(&row) {
            Ok(line) => chunk.extend(line),
            Err(error) => failed = Some(error),
        }
        if chunk.len() >= CHUNK_BYTES {
            sum.write(&chunk);
            is_wanted = send(std::mem::take(&mut chunk));
        }
        is_wanted && failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(unreadable(error));
    }
    if is_wanted {
        sum.write(&chunk);
        chunk.extend(line(&LastLine { checksum: shown(&sum) }).map_err(unreadable)?);
        send(chunk);
    }
    Ok(())
}

/// Reads a copy of `operator`'s record to its end, or of anybody's, and hands its records over. Only the end tells whether
/// it is whole: whatever is done with the records before must be possible to take back.
///
/// # Errors
/// It is no whole copy of this company's, or `take` failed.
pub fn read(
    from: &mut dyn BufRead,
    operator: Option<&OperatorId>,
    take: &mut dyn FnMut(Record) -> Result<(), StoreError>,
) -> Result<Head, CopyError> {
    let mut lines = Lines { from, text: Vec::new(), count: 0 };
    let mut sum = XxHash3_64::new();
    let head = match lines.next()? {
        Some(text) => HeadLine::read(text, operator)?,
        None => return Err(CopyError::NotACopy("it is empty".to_owned())),
    };
    sum.write(&lines.text);
    for row in 0..head.rows {
        match lines.next()? {
            Some(text) => match record(text) {
                Ok(record) => take(record)?,
                Err(error) => return Err(lines.damaged(error)),
            },
            None => return Err(CopyError::CutOff(row)),
        }
        sum.write(&lines.text);
    }
    let Some(text) = lines.next()? else { return Err(CopyError::CutOff(head.rows)) };
    let last: LastLine = match serde_json::from_slice(text) {
        Ok(last) => last,
        Err(error) => return Err(lines.damaged(error)),
    };
    if last.checksum != shown(&sum) {
        return Err(lines.damaged("the checksum is another one"));
    }
    match lines.next()? {
        None => Ok(head),
        Some(_) => Err(lines.damaged("something follows its end")),
    }
}

struct Lines<'a> {
    from: &'a mut dyn BufRead,
    text: Vec<u8>,
    count: u64,
}

impl Lines<'_> {
    // The next whole line; none at the end, also within a line.
    fn next(&mut self) -> Result<Option<&[u8]>, CopyError> {
        self.text.clear();
        self.count += 1;
        let length = (&mut *self.from).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text)?;
        let is_whole = self.text.ends_with(b"\n");
        if !is_whole && length as u64 == LINE_BYTES_MAX {
            return Err(self.damaged("it has no end"));
        }
        Ok(is_whole.then_some(self.text.as_slice()))
    }

    fn damaged(&self, reason: impl ToString) -> CopyError {
        match self.count {
            1 => CopyError::NotACopy(reason.to_string()),
            line => CopyError::Damaged { line, reason: reason.to_string() },
        }
    }
}

impl HeadLine {
    fn of(head: &Head) -> Self {
        Self {
            recarga_copy: FORMAT,
            operator: head.operator.to_string(),
            store: head.boot.store.to_string(),
            epoch: head.boot.epoch,
            made: head.made.as_millis(),
            rows: head.rows,
        }
    }

    fn read(text: &[u8], expected: Option<&OperatorId>) -> Result<Head, CopyError> {
        let no_copy = |error: &dyn std::fmt::Display| CopyError::NotACopy(error.to_string());
        // A newer one may say everything else otherwise.
        #[derive(Deserialize)]
        struct Format {
            recarga_copy: u32,
        }
        let Format { recarga_copy: found } = serde_json::from_slice(text).map_err(|error| no_copy(&error))?;
        if found > FORMAT {
            return Err(CopyError::TooNew { found, known: FORMAT });
        }
        let line: HeadLine = serde_json::from_slice(text).map_err(|error| no_copy(&error))?;
        let operator: OperatorId = line.operator.parse().map_err(|error| no_copy(&error))?;
        if let Some(expected) = expected.filter(|expected| **expected != operator) {
            return Err(CopyError::OtherOperator { found: operator, expected: expected.clone() });
        }
        let store: StoreId = line.store.parse().map_err(|error| no_copy(&error))?;
        let boot = Boot { store, epoch: line.epoch };
        let made = Timestamp::from_millis(line.made);
        Ok(Head { operator, boot, made, rows: line.rows })
    }
}

fn row_line(row: &Row) -> Result<Vec<u8>, Malformed> {
    let value = row.value.as_deref().ok_or("a row without a value")?;
    line(&RowLine { table: row.table.name(), key: (&*row.key).into(), row: serde_json::from_slice(value)? })
}

fn record(text: &[u8]) -> Result<Record, Malformed> {
    let RowLine { table, key, row } = serde_json::from_slice(text)?;
    let table = Table::from_name(table).ok_or("a row of no table that is known")?;
    Row::read(table, &key, row.get().as_bytes())
}

fn line(value: &impl Serialize) -> Result<Vec<u8>, Malformed> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

fn shown(sum: &XxHash3_64) -> String {
    format!("{:016x}", sum.finish())
}
