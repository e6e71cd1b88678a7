//! What has left the hot record, kept for people: JSON lines, in one file for each month in which something ended.
//!
//! A line is durable before what it tells is forgotten. A crash between the two leaves a line twice, and one within the
//! first leaves a line that is cut short, with a whole one to follow: readers take the last whole line about a thing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use recarga_reservation::{Branch, Fact, Hold, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::files::{make_private_folder, private};
use crate::store::Record;
use crate::store::rows::{Malformed, Row};

const FOLDER: &str = "archive";
const ENDING: &str = ".jsonl";

/// The archive in a company's data folder.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
}

/// Why something could not be kept, dropped or read.
#[derive(Debug, Error)]
#[error("{path}: {reason}; make room on the disk, or mend the folder's permissions")]
pub struct ArchiveError {
    /// The file or folder.
    path: String,
    /// What the system says.
    reason: String,
}

/// What one line tells.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    // When its last window ended, milliseconds since 1970 in UTC, as everywhere in rows.
    ended: i64,
    table: &'a str,
    key: &'a str,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// What a reading came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Lines about things of which a later line tells again.
    pub repeated: usize,
    /// Lines that were cut short by a crash, or damaged since.
    pub broken: usize,
}

impl Archive {
    /// The archive in `data_dir`; its folder is made when there is something to keep.
    pub fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER) }
    }

    /// Keeps past branches and trips: all of them durable on return. After an error some may be, which does no harm.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep(&self, records: &[Record]) -> Result<(), ArchiveError> {
        let mut months: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for record in records {
            let line = self.line(record).map_err(|error| self.error(&self.folder, error))?;
            let Some((ended, line)) = line else { continue };
            let lines = months.entry(month_of(ended)).or_default();
            lines.extend(line);
            lines.push(b'\n');
        }
        let data_dir = self.folder.parent().unwrap_or(&self.folder);
        for (month, lines) in months {
            let path = self.folder.join(month + ENDING);
            let kept = make_private_folder(&self.folder).and_then(|()| append(&path, &lines));
            kept.map_err(|error| self.error(&path, error))?;
            // A file can be durable while its name is not.
            for folder in [&self.folder, data_dir] {
                let synced = File::open(folder).and_then(|folder| folder.sync_all());
                synced.map_err(|error| self.error(folder, error))?;
            }
        }
        Ok(())
    }

    /// Drops the months that were over `keep` ago; says how many.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn forget_before(&self, now: Timestamp, keep: Duration) -> Result<usize, ArchiveError> {
        let mut dropped = 0;
        for (end, path) in self.months()? {
            if end + keep <= now {
                fs::remove_file(&path).map_err(|error| self.error(&path, error))?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// Hands over the lines about what ended within `[since, until)`, the last one about each thing, month by month.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(
        &self,
        since: Timestamp,
        until: Timestamp,
        mut take: impl FnMut(&str),
    ) -> Result<Passed, ArchiveError> {
        let mut passed = Passed::default();
        for (_, path) in self.months()?.into_iter().filter(|(end, _)| *end > since) {
            // A thing always ends in the same month, so its lines are in the same file.
            let mut last: BTreeMap<(String, String), usize> = BTreeMap::new();
            for_each_line(&path, |number, text| match serde_json::from_str::<Line<'_>>(text) {
                Ok(Line { table, key, .. }) => {
                    let earlier = last.insert((table.to_owned(), key.to_owned()), number);
                    passed.repeated += usize::from(earlier.is_some());
                }
                Err(_) => passed.broken += usize::from(!text.trim().is_empty()),
            })
            .map_err(|error| self.error(&path, error))?;
            for_each_line(&path, |number, text| {
                let Ok(Line { ended, table, key, .. }) = serde_json::from_str::<Line<'_>>(text) else {
                    return;
                };
                let ended = Timestamp::from_millis(ended);
                // What was added since the first look is for the next reading.
                let is_last = last.get(&(table.to_owned(), key.to_owned())) == Some(&number);
                if is_last && since <= ended && ended < until {
                    take(text);
                }
            })
            .map_err(|error| self.error(&path, error))?;
        }
        Ok(passed)
    }

    // The files in order, each with the end of its month.
    fn months(&self) -> Result<Vec<(Timestamp, PathBuf)>, ArchiveError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.error(&self.folder, error)),
        };
        let mut months = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.error(&self.folder, error))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Whatever else is in the folder is somebody else's.
            if let Some(end) = name.strip_suffix(ENDING).and_then(end_of) {
                months.push((end, path));
            }
        }
        months.sort();
        Ok(months)
    }

    fn line(&self, record: &Record) -> Result<Option<(Timestamp, Vec<u8>)>, Malformed> {
        let Some(ended) = end(record) else { return Ok(None) };
        let row = Row::of(record)?;
        let Some(value) = row.value else { return Ok(None) };
        let value: &RawValue = serde_json::from_slice(&value)?;
        let line = Line { ended: ended.as_millis(), table: row.table.name(), key: &row.key, row: value };
        Ok(Some((ended, serde_json::to_vec(&line)?)))
    }

    fn error(&self, path: &Path, error: impl ToString) -> ArchiveError {
        ArchiveError { path: path.display().to_string(), reason: error.to_string() }
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = private().append(true).open(path)?;
    let mut text = Vec::with_capacity(lines.len() + 1);
    if is_cut_short(&mut file)? {
        text.push(b'\n');
    }
    text.extend(lines);
    file.write_all(&text)?;
    file.sync_data()
}

fn is_cut_short(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn for_each_line(path: &Path, mut take: impl FnMut(usize, &str)) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        if file.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // A damaged one is text of no sense, as any other that is no JSON.
        take(number, String::from_utf8_lossy(&line).trim_end_matches('\n'));
    }
    Ok(())
}

fn end(record: &Record) -> Option<Timestamp> {
    // A change that moves every stop elsewhere has no window here.
    let of_hold = |hold: &Hold| hold.last_end().unwrap_or(hold.priority);
    match record {
        Record::Fact(Fact::Branch(_, branch)) => match branch {
            Branch::Held { hold, .. }
            | Branch::Prepared { hold }
            | Branch::Confirmed { hold }
            | Branch::Released { hold } => Some(of_hold(hold)),
            Branch::Aborted { hold, .. } => hold.as_deref().map(of_hold),
        },
        Record::Fact(Fact::Trip(trip)) => trip.request.last_end(),
        _ => None,
    }
}

/// As in the names of files, UTC.
pub fn month_of(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    at.strftime("%Y-%m").to_string()
}

fn end_of(month: &str) -> Option<Timestamp> {
    let first: Date = format!("{month}-01").parse().ok()?;
    let next = first.last_of_month().tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(next.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use recarga_reservation::{RequestKey, Stop, StoreId, TimeWindow, TransactionId};

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn reservation(counter: u64, end: &str, released: bool) -> Record {
        let coordinator = "empresa-x".parse().unwrap();
        let transaction = TransactionId { coordinator, store: StoreId(1), epoch: 1, counter, nonce: 0 };
        let window = TimeWindow::new(at(end) - Duration::from_secs(60), at(end)).unwrap();
        let hold = Arc::new(Hold {
            transaction: transaction.clone(),
            key: RequestKey { vehicle: "carro-1".parse().unwrap(), request: "1".parse().unwrap() },
            plug: None,
            participants: vec![],
            stores: Map::new(),
            priority: at(end),
            stops: vec![Stop { number: 0, evse: "A-1".parse().unwrap(), window }],
            replaces: None,
        });
        let branch = if released { Branch::Released { hold } } else { Branch::Confirmed { hold } };
        Record::Fact(Fact::Branch(transaction, branch))
    }

    fn read(archive: &Archive, since: &str, until: &str) -> (Vec<String>, Passed) {
        let mut found = Vec::new();
        let passed = archive.read(at(since), at(until), |line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let counter = line["key"].as_str().unwrap().split('.').nth(3).unwrap();
            found.push(format!("{counter} {}", line["row"]["state"].as_str().unwrap()));
        });
        (found, passed.unwrap())
    }

    #[test]
    fn what_was_kept_is_read_by_its_end_and_the_last_line_counts() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path());
        assert_eq!(read(&archive, "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z").0, [""; 0]);
        let (one, other) = ("2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z");
        archive.keep(&[reservation(1, one, false), reservation(2, other, false)]).unwrap();
        archive.keep(&[reservation(3, one, false), reservation(1, one, true)]).unwrap();
        let files = |name: &str| folder.path().join("archive").join(name).exists();
        assert!(files("2026-01.jsonl") && files("2026-02.jsonl"));
        let all = read(&archive, "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z");
        let expected = ["3 confirmed", "1 released", "2 confirmed"].map(str::to_owned).to_vec();
        assert_eq!(all, (expected, Passed { repeated: 1, broken: 0 }));
        assert_eq!(read(&archive, other, "2100-01-01T00:00:00Z").0, ["2 confirmed"]);
        assert_eq!(read(&archive, one, other).0, ["3 confirmed", "1 released"]);
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("archive"), mode("archive/2026-01.jsonl")), (0o700, 0o600), "nobody else reads it");
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path());
        let end = "2026-01-01T12:00:00Z";
        archive.keep(&[reservation(1, end, false), reservation(2, end, false)]).unwrap();
        let file = folder.path().join("archive/2026-01.jsonl");
        let whole = fs::read(&file).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for length in first + 1..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            archive.keep(&[reservation(2, end, false)]).unwrap();
            let (found, passed) = read(&archive, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
            assert_eq!(found, ["1 confirmed", "2 confirmed"], "{length}");
            assert!(passed.broken + passed.repeated <= 1, "{passed:?}");
        }
    }

    #[test]
    fn months_go_when_all_of_them_is_old_enough() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path());
        let day = Duration::from_secs(24 * 3600);
        archive.keep(&[reservation(1, "2026-01-01T12:00:00Z", false)]).unwrap();
        archive.keep(&[reservation(2, "2026-12-31T12:00:00Z", false)]).unwrap();
        fs::write(folder.path().join("archive/notes.txt"), "mine").unwrap();
        assert_eq!(archive.forget_before(at("2026-03-02T23:59:59Z"), 30 * day).unwrap(), 0);
        assert_eq!(archive.forget_before(at("2026-03-03T00:00:00Z"), 30 * day).unwrap(), 1);
        assert_eq!(read(&archive, "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z").0, ["2 confirmed"]);
        assert_eq!(archive.forget_before(at("2027-01-31T00:00:00Z"), 30 * day).unwrap(), 1);
        assert!(folder.path().join("archive/notes.txt").exists());
    }
}
