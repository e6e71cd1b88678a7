//! Files beside the database that were written long ago: copies, the archive, the audit log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use recarga_node::archive::Archive;
use recarga_node::audit_log;
use recarga_node::store::rows::Row;
use recarga_node::store::{Record, copy};
use recarga_reservation::Timestamp;
use twox_hash::XxHash3_64;

use super::stored::COMPANY;
use super::stored::contents::{contents, operator};
use crate::{Form, Target, Verdict};

/// Copies and lines.
pub const TARGETS: &[Target] = &[
    Target { name: "copy", form: Form::Lines, read: copy },
    Target { name: "archive", form: Form::Lines, read: archive },
    Target { name: "audit-log", form: Form::Lines, read: audit_log },
];

/// The kept copy is of so many of the harness's records.
const COPIED: usize = 15;
/// The kept log, as it was written.
const LOG: &str = include_str!("../../corpus/audit-log/good.jsonl");
/// In the middle of the kept lines, and a name of a file for them.
const MONTH: &str = "2026-12.jsonl";
const MIDDLE: Timestamp = Timestamp::from_millis(1_796_133_600_000);
const END: Timestamp = Timestamp::from_millis(4_102_444_800_000);

// The checksum is about all of it: what is read to its end is what was copied. And a copy of whatever else, with a checksum
// of its own, is read as it was written or not at all.
fn copy(bytes: &[u8]) -> Result<Verdict, String> {
    if let Some(records) = copied(bytes)? {
        let good = &contents()[..COPIED];
        if records.len() != COPIED || !good.iter().all(|record| records.contains(record)) {
            return Err(format!("passes for whole: {records:?}"));
        }
    }
    let body = bytes.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let checksum = XxHash3_64::oneshot(&bytes[..body]);
    let sealed = [&bytes[..body], format!("{{\"checksum\":\"{checksum:016x}\"}}\n").as_bytes()].concat();
    let Some(records) = copied(&sealed)? else { return Ok(Verdict::Refused) };
    for record in records {
        let row = Row::of(&record).map_err(|error| format!("{record:?} cannot be written: {error}"))?;
        let again = Row::read(row.table, &row.key, row.value.as_deref().unwrap_or_default());
        if again.is_ok_and(|again| again == record) {
            continue;
        }
        return Err(format!("{record:?} is read as something else once it is written again"));
    }
    Ok(Verdict::Accepted)
}

fn copied(mut bytes: &[u8]) -> Result<Option<Vec<Record>>, String> {
    let mut records = Vec::new();
    let read = copy::read(&mut bytes, Some(&operator(COMPANY)), &mut |record| {
        records.push(record);
        Ok(())
    });
    match read {
        Ok(head) if head.rows != records.len() as u64 => {
            Err(format!("{} rows are said, {} were read", head.rows, records.len()))
        }
        Ok(_) => Ok(Some(records)),
        Err(_) => Ok(None),
    }
}

// Whatever is in it: each thing once, and nothing that is not there.
fn archive(bytes: &[u8]) -> Result<Verdict, String> {
    with_file("archive", bytes, |data_dir| {
        let archive = Archive::new(data_dir);
        let text = String::from_utf8_lossy(bytes);
        let written: BTreeSet<&str> = text.split('\n').collect();
        let (mut early, mut late) = (Vec::new(), Vec::new());
        let mut broken = 0;
        for (since, until, told) in
            [(Timestamp::from_millis(0), MIDDLE, &mut early), (MIDDLE, END, &mut late)]
        {
            let passed = archive.read(since, until, |line| told.push(line.to_owned()));
            broken = passed.map_err(|error| error.to_string())?.broken;
        }
        let told: BTreeSet<&str> = early.iter().chain(&late).map(String::as_str).collect();
        if told.len() != early.len() + late.len() {
            return Err(format!("something is told twice: {early:?} {late:?}"));
        }
        if let Some(invented) = told.difference(&written).next() {
            return Err(format!("{invented} is told and stands nowhere"));
        }
        Ok(if broken == 0 && !told.is_empty() { Verdict::Accepted } else { Verdict::Refused })
    })
}

// What is verified was written, each line and all before it.
fn audit_log(bytes: &[u8]) -> Result<Verdict, String> {
    with_file("", bytes, |folder| {
        let mut lines = Vec::new();
        let Ok(verified) = audit_log::read(folder, None, |line| lines.push(line.to_owned())) else {
            return Ok(Verdict::Refused);
        };
        if verified.lines != lines.len() as u64 {
            return Err(format!("{} lines are verified, {} were told", verified.lines, lines.len()));
        }
        match lines.iter().zip(LOG.lines()).find(|(line, written)| line != written) {
            Some((line, _)) => Err(format!("verified, and was never written: {line}")),
            None if lines.len() > LOG.lines().count() => Err("more is verified than was written".to_owned()),
            None => Ok(Verdict::Accepted),
        }
    })
}

// With a folder in which one file has these bytes.
fn with_file(
    folder: &str,
    bytes: &[u8],
    check: impl FnOnce(&Path) -> Result<Verdict, String>,
) -> Result<Verdict, String> {
    let made = || {
        let base = tempfile::tempdir()?;
        let inner = base.path().join(folder);
        fs::create_dir_all(&inner)?;
        fs::write(inner.join(MONTH), bytes)?;
        Ok(base)
    };
    let base = made().map_err(|error: std::io::Error| format!("the harness has no folder: {error}"))?;
    check(base.path())
}
