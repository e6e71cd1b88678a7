//! What was written since the tables last took it in: frames of rows, one after the other, in a file of fixed size.
//!
//! A commit of the database writes pages here and there; a frame is one write in one place, and one flush. The file
//! has two halves. While the frames of one are taken into the tables, new ones go to the other.
//!
//! A frame is a head ([`HEAD_BYTES`]), its rows, and zeros up to the next block:
//!
//! | bytes | |
//! |---:|---|
//! | 4 | [`MAGIC`] |
//! | 4 | length of the rows |
//! | 8 | sequence number; each frame has the next one |
//! | 8 | XXH3 of the sequence number, the length and the rows, seeded with the journal's identity |
//!
//! All numbers are little-endian. A frame is written only after the one before it is durable. So what follows the last
//! good frame is what a crash cut off, of which nobody was told, unless a later frame stands there: that is damage.

use std::hash::Hasher as _;
use std::io;
use std::iter;

use redb::StorageBackend;
use twox_hash::XxHash3_64;

use crate::store::rows::{Row, Table};

const MAGIC: [u8; 4] = *b"RJ1\n";
const HEAD_BYTES: usize = 24;
/// A frame begins with a block, so that a torn write cannot harm the frame before it.
const BLOCK: u64 = 4096;
const FILL_BYTES: usize = 1 << 20;

/// Which frames are this journal's: those that earlier ones left in the file have another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(pub u64);

/// Rows that were written together.
#[derive(Debug)]
pub struct Frame {
    pub sequence: u64,
    pub rows: Vec<Row>,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the journal {0}")]
    Damaged(&'static str),
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: Box<dyn StorageBackend>,
    identity: Identity,
    half_bytes: u64,
    half: u64,
    // Within the half.
    end: u64,
    last: u64,
    // The next frame, in memory that the one before has left.
    frame: Vec<u8>,
}

impl Journal {
    /// Begins a journal in a file whose former contents are no longer needed. Its first frame, number 0, has no rows.
    pub fn begin(file: Box<dyn StorageBackend>, half_bytes: u64, identity: Identity) -> io::Result<Self> {
        fill(&*file, 2 * half_bytes)?;
        let mut journal = Self { file, identity, half_bytes, half: 0, end: 0, last: 0, frame: Vec::new() };
        encode(&mut journal.frame, identity, 0, &[]);
        journal.put()?;
        Ok(journal)
    }

    /// The file, for the next journal.
    pub fn into_file(self) -> Box<dyn StorageBackend> {
        self.file
    }

    /// Number of the last frame.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Makes these rows the next frame, which is not written yet.
    pub fn frame(&mut self, rows: &[Row]) {
        encode(&mut self.frame, self.identity, self.last + 1, rows);
    }

    /// Whether that frame fits into a half at all.
    pub fn can_take(&self) -> bool {
        self.frame.len() as u64 <= self.half_bytes
    }

    /// Whether it fits into what is left of this half.
    pub fn has_room(&self) -> bool {
        self.end + self.frame.len() as u64 <= self.half_bytes
    }

    /// Goes on in the other half, whose frames must be in the tables.
    pub fn turn(&mut self) {
        self.half = 1 - self.half;
        self.end = 0;
    }

    /// Writes the frame that [`Journal::frame`] made; durable on return.
    pub fn append(&mut self) -> io::Result<()> {
        self.last += 1;
        self.put()
    }

    /// Counts that frame as written: its rows went into the tables directly. Every other frame must be in the tables, too.
    pub fn skip(&mut self) {
        self.last += 1;
        // Never over the only frames of this journal: were the next one torn, nothing would show whose it is.
        if self.end > 0 {
            self.turn();
        }
    }

    fn put(&mut self) -> io::Result<()> {
        self.file.write(self.half * self.half_bytes + self.end, &self.frame)?;
        self.file.sync_data()?;
        self.end += self.frame.len() as u64;
        Ok(())
    }
}

/// The frames after `absorbed`, in order, of a journal that was not ended well.
///
/// # Errors
/// The file cannot be read, is not this journal, or frames are missing from it.
pub fn read(
    file: &dyn StorageBackend,
    half_bytes: u64,
    identity: Identity,
    absorbed: u64,
) -> Result<Vec<Frame>, JournalError> {
    let damaged = |what| Err(JournalError::Damaged(what));
    let valid_size = half_bytes > 0 && half_bytes.is_multiple_of(BLOCK);
    let size = half_bytes.checked_mul(2).filter(|_| valid_size);
    let Some(size) = size.filter(|size| file.len().is_ok_and(|length| length >= *size)) else {
        return damaged("is missing or too short");
    };
    let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read(0, &mut bytes)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let (first, second) = (Half::read(first, identity), Half::read(second, identity));
    if first.frames.is_empty() && second.frames.is_empty() {
        return damaged("is another one than that of this database");
    }
    let latest_elsewhere = first.latest_elsewhere.max(second.latest_elsewhere);
    let mut frames: Vec<Frame> = first.frames.into_iter().chain(second.frames).collect();
    frames.sort_by_key(|frame| frame.sequence);
    frames.retain(|frame| frame.sequence > absorbed);
    let last = frames.last().map_or(absorbed, |frame| frame.sequence);
    let sequences = iter::once(absorbed).chain(frames.iter().map(|frame| frame.sequence));
    let is_whole = sequences.is_sorted_by(|before, next| before.checked_add(1) == Some(*next));
    if !is_whole || latest_elsewhere.is_some_and(|latest| latest > last) {
        return damaged("has lost frames that were durable");
    }
    Ok(frames)
}

/// Whether a run has written rows: one with this identity, or any.
///
/// # Errors
/// The file cannot be read.
pub fn has_rows(file: &dyn StorageBackend, of: Option<Identity>) -> io::Result<bool> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read(0, &mut bytes)?;
    let mut blocks = (0..bytes.len()).step_by(BLOCK as usize);
    Ok(blocks.any(|at| match of {
        Some(identity) => decode(&bytes[at..], identity).is_some_and(|(frame, _)| frame.sequence > 0),
        None => Head::read(&bytes[at..]).is_some_and(|(head, _)| head.sequence > 0),
    }))
}

// What stands in one half: the frames that follow each other from its beginning, and behind them the latest that does
// not, which is there from an earlier pass or shows that something is missing.
struct Half {
    frames: Vec<Frame>,
    latest_elsewhere: Option<u64>,
}

impl Half {
    fn read(bytes: &[u8], identity: Identity) -> Self {
        let mut half = Half { frames: Vec::new(), latest_elsewhere: None };
        let mut at = 0;
        while let Some((frame, length)) = decode(&bytes[at..], identity) {
            if half.frames.last().is_some_and(|before| frame.sequence != before.sequence + 1) {
                break;
            }
            half.frames.push(frame);
            at += length;
        }
        while at < bytes.len() {
            let found = decode(&bytes[at..], identity).map(|(frame, _)| frame.sequence);
            half.latest_elsewhere = half.latest_elsewhere.max(found);
            at += BLOCK as usize;
        }
        half
    }
}

fn checksum(identity: Identity, sequence: u64, rows: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::with_seed(identity.0);
    hasher.write(&sequence.to_le_bytes());
    hasher.write(&(rows.len() as u64).to_le_bytes());
    hasher.write(rows);
    hasher.finish()
}

fn encode(frame: &mut Vec<u8>, identity: Identity, sequence: u64, rows: &[Row]) {
    frame.clear();
    frame.resize(HEAD_BYTES, 0);
    for row in rows {
        frame.push(row.table as u8);
        put_bytes(frame, row.key.as_bytes());
        frame.push(u8::from(row.value.is_some()));
        put_bytes(frame, row.value.as_deref().unwrap_or_default());
    }
    let (head, rows) = frame.split_at_mut(HEAD_BYTES);
    let sum = checksum(identity, sequence, rows);
    head[..4].copy_from_slice(&MAGIC);
    // Half of a half at most, which fits.
    head[4..8].copy_from_slice(&(rows.len() as u32).to_le_bytes());
    head[8..16].copy_from_slice(&sequence.to_le_bytes());
    head[16..].copy_from_slice(&sum.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(BLOCK as usize), 0);
}

struct Head {
    length: usize,
    sequence: u64,
    checksum: u64,
}

impl Head {
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let length = u32::from_le_bytes(head[4..8].try_into().ok()?) as usize;
        let sequence = u64::from_le_bytes(head[8..16].try_into().ok()?);
        let checksum = u64::from_le_bytes(head[16..].try_into().ok()?);
        (head[..4] == MAGIC).then_some((Head { length, sequence, checksum }, rest))
    }
}

// A frame at the beginning of these bytes, and how many it takes.
fn decode(bytes: &[u8], identity: Identity) -> Option<(Frame, usize)> {
    let (Head { length, sequence, checksum }, rest) = Head::read(bytes)?;
    let encoded = rest.get(..length)?;
    if self::checksum(identity, sequence, encoded) != checksum {
        return None;
    }
    let rows = decode_rows(encoded)?;
    Some((Frame { sequence, rows }, (HEAD_BYTES + length).next_multiple_of(BLOCK as usize)))
}

fn decode_rows(mut bytes: &[u8]) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    while let Some((table, rest)) = bytes.split_first() {
        let (key, rest) = take_bytes(rest)?;
        let (has_value, rest) = rest.split_first()?;
        let (value, rest) = take_bytes(rest)?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        let value = (*has_value == 1).then(|| value.to_vec());
        rows.push(Row { table: Table::from_number(*table)?, key, value });
        bytes = rest;
    }
    Some(rows)
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    // Rows are far shorter than 4 GiB.
    to.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn take_bytes(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

// Writing where a file has no room yet costs the file system a second write of its own.
fn fill(file: &dyn StorageBackend, length: u64) -> io::Result<()> {
    let mut at = file.len()?;
    if at >= length {
        return Ok(());
    }
    file.set_len(length)?;
    let zeros = vec![0; FILL_BYTES];
    while at < length {
        let part = usize::try_from(length - at).map_or(FILL_BYTES, |left| left.min(FILL_BYTES));
        file.write(at, &zeros[..part])?;
        at += part as u64;
    }
    file.sync_data()
}
