//! What must hold of whatever was read or refused.

use std::fmt::Debug;
use std::str::FromStr;

use recarga_reservation::{TRIP_STOPS_MAX, TimeWindow};
use recarga_wire::{Message, Problem, ProblemKind, decode, encode};
use serde::de::DeserializeOwned;

use crate::Verdict;

/// A message is refused well, or survives being written and read again.
///
/// # Errors
/// It does not.
pub fn message<T: DeserializeOwned + Message + PartialEq + Debug>(bytes: &[u8]) -> Result<Option<T>, String> {
    round_trip(bytes, |bytes| decode::<T>(bytes), encode)
}

/// As [`message`], of any reader and writer.
///
/// # Errors
/// The refusal is a bad one, or what was read is something else after it was written.
pub fn round_trip<T: PartialEq + Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Problem>,
    write: impl Fn(&T) -> Vec<u8>,
) -> Result<Option<T>, String> {
    let Some(value) = verdict(read(bytes))? else { return Ok(None) };
    same_again(&value, read, write)?;
    Ok(Some(value))
}

/// What is written is read as what it was.
///
/// # Errors
/// It is not.
pub fn written_again<T: DeserializeOwned + Message + PartialEq + Debug>(message: &T) -> Result<(), String> {
    same_again(message, |bytes| decode::<T>(bytes), encode)
}

fn same_again<T: PartialEq + Debug>(
    value: &T,
    read: impl Fn(&[u8]) -> Result<T, Problem>,
    write: impl Fn(&T) -> Vec<u8>,
) -> Result<(), String> {
    let written = write(value);
    match read(&written) {
        Ok(again) if again == *value => Ok(()),
        Ok(again) => Err(format!("was {value:?}, is {again:?} after {}", text(&written))),
        Err(problem) => Err(format!("{} is refused when read again: {problem}", text(&written))),
    }
}

/// A refusal is the sender's fault, says so in a known way, and can be sent.
///
/// # Errors
/// It is none of that.
pub fn refused(problem: &Problem) -> Result<(), String> {
    let status = problem.status();
    if !(400..500).contains(&status) {
        return Err(format!("status {status} for what the sender did: {problem}"));
    }
    if ProblemKind::from_code(problem.kind.code()) != Some(problem.kind) {
        return Err(format!("nobody knows the code {:?}", problem.kind.code()));
    }
    names_its_field(problem)?;
    if encode(problem).len() > 2_000 {
        return Err(format!("an answer of {} bytes to a bad input", encode(problem).len()));
    }
    written_again(problem)
}

/// Whoever sent a bad field is told which.
///
/// # Errors
/// He is not.
pub fn names_its_field(problem: &Problem) -> Result<(), String> {
    let is_of_a_field = matches!(
        problem.kind,
        ProblemKind::InvalidField | ProblemKind::MissingField | ProblemKind::UnknownField
    );
    if is_of_a_field && problem.field.is_none() {
        return Err(format!("no field is named: {problem}"));
    }
    // A field may be called by the empty text, but only if the sender has called it so.
    let is_nameless = problem.field.as_deref() == Some("") && problem.kind != ProblemKind::UnknownField;
    if is_nameless { Err(format!("a field without a name: {problem}")) } else { Ok(()) }
}

/// As [`refused`], of something that is then checked further.
///
/// # Errors
/// The refusal is a bad one.
pub fn verdict<T>(checked: Result<T, Problem>) -> Result<Option<T>, String> {
    match checked {
        Ok(value) => Ok(Some(value)),
        Err(problem) => refused(&problem).map(|()| None),
    }
}

/// Stops of one car or hold: as many as there may be, forward in time, and never two at once.
///
/// # Errors
/// They are not.
pub fn stops(windows: &[TimeWindow]) -> Result<(), String> {
    if windows.len() > TRIP_STOPS_MAX {
        return Err(format!("{} stops", windows.len()));
    }
    for (index, window) in windows.iter().enumerate() {
        if window.start() >= window.end() {
            return Err(format!("{window:?} ends before it begins"));
        }
        if windows[..index].iter().any(|earlier| earlier.overlaps(*window)) {
            return Err(format!("{window:?} overlaps one before it"));
        }
    }
    Ok(())
}

/// A text that is read and written.
///
/// # Errors
/// It is something else after it was written.
pub fn text_value<T: FromStr + ToString + PartialEq + Debug>(text: &str) -> Result<Verdict, String> {
    let Ok(value) = text.parse::<T>() else { return Ok(Verdict::Refused) };
    match value.to_string().parse::<T>() {
        Ok(again) if again == value => Ok(Verdict::Accepted),
        _ => Err(format!("{value:?} is something else after it was written")),
    }
}

/// Accepted, if there is something.
pub fn seen<T>(value: Option<T>) -> Verdict {
    if value.is_some() { Verdict::Accepted } else { Verdict::Refused }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(600).collect()
}
