//! What must hold of whatever was read or refused.

use std::fmt::Debug;
use std::str::FromStr;

use recarga_reservation::{TRIP_STOPS_MAX, TimeWindow};
use recarga_wire::{Message, Problem, ProblemKind, decode, encode};
use serde::de::DeserializeOwned;

use crate::Verdict;

/// A message is refused well, or survives being written and read again.
pub fn message<T: DeserializeOwned + Message + PartialEq + Debug>(bytes: &[u8]) -> Result<Option<T>, String> {
    match decode::<T>(bytes) {
        Ok(message) => {
            written_again(&message)?;
            Ok(Some(message))
        }
        Err(problem) => refused(&problem).map(|()| None),
    }
}

/// What is written is read as what it was.
pub fn written_again<T: DeserializeOwned + Message + PartialEq + Debug>(message: &T) -> Result<(), String> {
    let written = encode(message);
    match decode::<T>(&written) {
        Ok(again) if again == *message => Ok(()),
        Ok(again) => Err(format!("was {message:?}, is {again:?} after {}", text(&written))),
        Err(problem) => Err(format!("{} is refused when read again: {problem}", text(&written))),
    }
}

/// A refusal is the sender's fault, says so in a known way, and can be sent.
pub fn refused(problem: &Problem) -> Result<(), String> {
    let status = problem.status();
    if !(400..500).contains(&status) {
        return Err(format!("status {status} for what the sender did: {problem}"));
    }
    if ProblemKind::from_code(problem.kind.code()) != Some(problem.kind) {
        return Err(format!("nobody knows the code {:?}", problem.kind.code()));
    }
    if problem.kind == ProblemKind::InvalidField && problem.field.as_deref().unwrap_or("").is_empty() {
        return Err(format!("no field is named: {problem}"));
    }
    if encode(problem).len() > 2_000 {
        return Err(format!("an answer of {} bytes to a bad input", encode(problem).len()));
    }
    written_again(problem)
}

/// As [`refused`], of something that is then checked further.
pub fn verdict<T>(checked: Result<T, Problem>) -> Result<Option<T>, String> {
    match checked {
        Ok(value) => Ok(Some(value)),
        Err(problem) => refused(&problem).map(|()| None),
    }
}

/// Stops of one car or hold: as many as there may be, forward in time, and never two at once.
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
