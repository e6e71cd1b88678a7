//! The audit log: it hides nothing, whatever happens to its files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/records.rs"]
mod records;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recarga_node::audit_log::{AuditLogError, Audited, Verified, read};
use recarga_node::clock::Clock;
use recarga_node::store::Store;
use recarga_node::store::memory::{MemoryDisk, MemoryStore};
use recarga_reservation::{Now, StoreId, Timestamp};
use records::{everything, sorted, suite};

// 2026-01-31T23:59:59Z, and as told from there on.
const BEGIN: i64 = 1_769_903_999_000;

#[derive(Debug, Default)]
struct Hand(Mutex<i64>);

impl Hand {
    fn turn(&self, millis: i64) {
        *self.0.lock().unwrap() += millis;
    }
}

impl Clock for Hand {
    fn now(&self) -> Now {
        let passed = *self.0.lock().unwrap();
        let elapsed = Duration::from_millis(passed.unsigned_abs());
        Now { utc: Timestamp::from_millis(BEGIN + passed), elapsed }
    }

    fn nonce(&self) -> u128 {
        1
    }
}

fn open(folder: &Path, disk: &MemoryDisk, clock: &Arc<Hand>) -> Audited {
    Audited::new(Box::new(MemoryStore::open(disk)), folder, clock.clone()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn lines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    read(folder, None, |line| lines.push(line.to_owned())).unwrap();
    lines
}

fn checked(folder: &Path) -> Result<Verified, AuditLogError> {
    read(folder, None, |_| {})
}

// Two months, three starts.
fn written() -> tempfile::TempDir {
    let (folder, disk, clock) = (tempfile::tempdir().unwrap(), MemoryDisk::default(), Arc::<Hand>::default());
    for _ in 0..3 {
        let mut store = open(folder.path(), &disk, &clock);
        store.boot(StoreId(7)).unwrap();
        store.append(&everything()).unwrap();
        clock.turn(700);
        store.close().unwrap();
    }
    folder
}

#[test]
fn a_store_that_is_logged_keeps_the_contract() {
    let (folder, disk, clock) = (tempfile::tempdir().unwrap(), MemoryDisk::default(), Arc::<Hand>::default());
    suite(&|| Box::new(open(folder.path(), &disk, &clock)));
    assert!(checked(folder.path()).unwrap().lines > 20);
}

#[test]
fn everything_that_is_recorded_is_there_in_order_over_months_and_starts() {
    let folder = written();
    let names: Vec<_> =
        files(folder.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["2026-01.jsonl", "2026-02.jsonl"]);
    for path in files(folder.path()) {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "nobody else reads it");
    }
    let lines = lines(folder.path());
    let kind =
        |kind: &str| lines.iter().filter(|line| line.contains(&format!("\"kind\":\"{kind}\""))).count();
    let records = everything().len();
    assert_eq!((kind("open"), kind("start"), kind("stop"), kind("record")), (2, 3, 3, 3 * records));
    let numbers: Vec<u64> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
    let verified = checked(folder.path()).unwrap();
    let (number, hash) = verified.head.clone().unwrap();
    assert_eq!((verified.lines, number), (lines.len() as u64, lines.len() as u64));
    assert!(read(folder.path(), Some(&hash.to_uppercase()), |_| {}).unwrap().is_known);
    assert!(!read(folder.path(), Some(&"0".repeat(64)), |_| {}).unwrap().is_known);
    // The first months may be put away.
    fs::remove_file(&files(folder.path())[0]).unwrap();
    assert_eq!(checked(folder.path()).unwrap().head.unwrap().1, hash);
}

#[test]
fn whatever_is_changed_left_out_or_put_in_is_noticed() {
    let folder = written();
    let path = files(folder.path())[1].clone();
    let whole = fs::read_to_string(&path).unwrap();
    let refused = |text: &str, what: &str| {
        fs::write(&path, text).unwrap();
        assert!(checked(folder.path()).is_err(), "{what} is not noticed");
    };
    let lines: Vec<&str> = whole.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    for at in 0..lines.len() {
        // The last line can be left out without a trace in the file: that is what a noted hash is for.
        if at + 1 < lines.len() {
            refused(&joined(&[&lines[..at], &lines[at + 1..]].concat()), "a line that is missing");
        }
        refused(&joined(&[&lines[..=at], &lines[at..]].concat()), "a line that stands twice");
        let mut changed = lines.clone();
        let other = lines[at].replacen("\"at\":1", "\"at\":2", 1);
        changed[at] = &other;
        refused(&joined(&changed), "a line that was changed");
    }
    // Any single byte, for a few lines.
    let some: usize = lines[..4].iter().map(|line| line.len() + 1).sum();
    for at in 0..some {
        let mut bytes = whole.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(text) = String::from_utf8(bytes) {
            refused(&text, &format!("byte {at}"));
        }
    }
    // Beside the hash, which is about what stands before it; and the same hash in other letters.
    for at in [1, lines.len() - 1] {
        let (sealed, end) = lines[at].rsplit_once(",\"hash\":\"").unwrap();
        let digits = end.trim_end_matches("\"}");
        let upper = digits.to_uppercase();
        for end in [
            &format!("{digits}\",\"by\":\"somebody\"}}"),
            &format!("{digits}\" }}"),
            &format!("{digits}\"}} "),
            &format!("{upper}\"}}"),
        ] {
            let mut changed = lines.clone();
            let other = format!("{sealed},\"hash\":\"{end}");
            changed[at] = &other;
            refused(&joined(&changed), &other);
        }
    }
    fs::write(&path, &whole).unwrap();
    checked(folder.path()).unwrap();
    // A file in the middle.
    let (first, third) = (files(folder.path())[0].clone(), folder.path().join("2026-03.jsonl"));
    fs::rename(&path, third).unwrap();
    checked(folder.path()).unwrap();
    fs::rename(first, folder.path().join("2026-04.jsonl")).unwrap();
    assert!(checked(folder.path()).is_err(), "files in another order");
}

#[test]
fn what_a_crash_has_cut_short_is_taken_away_and_the_chain_goes_on() {
    let folder = written();
    let path = files(folder.path())[1].clone();
    let whole = fs::read_to_string(&path).unwrap();
    let last = whole.trim_end().rfind('\n').unwrap() + 1;
    for cut in [last, last + 1, last + 40, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        let before = checked(folder.path()).unwrap().lines;
        let (disk, clock) = (MemoryDisk::default(), Arc::<Hand>::default());
        clock.turn(10_000);
        let mut store = open(folder.path(), &disk, &clock);
        store.boot(StoreId(7)).unwrap();
        store.append(&everything()).unwrap();
        assert_eq!(sorted(store.load().unwrap()), sorted(everything()));
        drop(store);
        let after = checked(folder.path()).unwrap().lines;
        assert_eq!(after, before + 1 + everything().len() as u64, "cut at {cut}");
    }
    // An empty file is one that was just made.
    fs::write(folder.path().join("2026-05.jsonl"), "").unwrap();
    let clock = Arc::<Hand>::default();
    // And a clock that went back does not go back to an older file.
    clock.turn(-40 * 24 * 3600 * 1000);
    open(folder.path(), &MemoryDisk::default(), &clock).boot(StoreId(7)).unwrap();
    assert!(fs::read_to_string(folder.path().join("2026-05.jsonl")).unwrap().contains("\"kind\":\"open\""));
    checked(folder.path()).unwrap();
    // What is no log is not continued.
    fs::write(folder.path().join("2026-06.jsonl"), "{\"number\":1}\n").unwrap();
    let store = Box::new(MemoryStore::open(&MemoryDisk::default()));
    assert!(Audited::new(store, folder.path(), clock).is_err());
}

#[test]
fn what_cannot_be_logged_is_not_recorded() {
    let (folder, disk, clock) = (tempfile::tempdir().unwrap(), MemoryDisk::default(), Arc::<Hand>::default());
    let mut store = open(folder.path(), &disk, &clock);
    store.boot(StoreId(7)).unwrap();
    // Where the next month's file should be there is none that can be written.
    fs::create_dir(folder.path().join("2026-02.jsonl")).unwrap();
    clock.turn(2000);
    let error = store.append(&everything()).unwrap_err().to_string();
    assert!(error.contains("2026-02.jsonl") && error.contains("the audit log cannot be written"), "{error}");
    assert!(store.load().unwrap().is_empty(), "nothing is recorded that is not in the log");
}
