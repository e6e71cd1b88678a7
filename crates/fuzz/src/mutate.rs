//! Spoils inputs: bytes, lines, or members of a JSON document, a few times over.

use fastrand::Rng;
use serde_json::Value;

use crate::Form;
use crate::corpus::Kept;
use crate::targets::requests::{SEPARATOR, split};

/// Longest input; more than any limit of the wire.
const LENGTH_MAX: usize = 80 * 1024;

/// What is put where something else is expected.
const TOKENS: [&str; 38] = [
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "-1e999",
    "NaN",
    "1.5",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "1e308",
    "-9223372036854775809",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{\"a\":1,\"a\":2}",
    "[1,]",
    "[]",
    "{}",
    "[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":",
    "2026-12-01T10:00:00Z",
    "2026-12-01T10:00:00.999999999+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-30T21:59:59.999Z",
    "0000-01-01T00:00:00+14:00",
    "-0001-01-01T00:00:00Z",
    "\u{feff}",
    "\u{202e}",
    "é",
    "%00",
    "${HOME}",
    "inf",
    "&",
    "/",
    "+",
    "#",
];

/// An input made of the kept ones.
pub fn input(rng: &mut Rng, kept: &[Kept], form: Form) -> Vec<u8> {
    let mut bytes = kept[rng.usize(..kept.len())].bytes.clone();
    for _ in 0..rng.u32(1..=4) {
        bytes = once(rng, bytes, kept, form);
    }
    bytes
}

/// Spoils it once; parts of the kept ones may get into it.
pub fn once(rng: &mut Rng, bytes: Vec<u8>, kept: &[Kept], form: Form) -> Vec<u8> {
    let mut bytes = match form {
        Form::Json if rng.u32(..4) > 0 => spoil_json(rng, &bytes, kept),
        Form::Requests => spoil_requests(rng, &bytes, kept),
        Form::Lines if rng.u32(..4) > 0 => spoil_lines(rng, &bytes),
        _ => spoil_bytes(rng, bytes, kept),
    };
    bytes.truncate(LENGTH_MAX);
    bytes
}

fn spoil_bytes(rng: &mut Rng, mut bytes: Vec<u8>, kept: &[Kept]) -> Vec<u8> {
    let at = rng.usize(..=bytes.len());
    match rng.u32(..9) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << rng.u32(..8),
        2 if at < bytes.len() => bytes[at] = rng.u8(..),
        3 => bytes.insert(at, rng.u8(..)),
        4 if at < bytes.len() => drop(bytes.remove(at)),
        5 => {
            let token = TOKENS[rng.usize(..TOKENS.len())].bytes();
            bytes.splice(at..at, token).for_each(drop);
        }
        6 => {
            // A part of it once more, or very often.
            let end = rng.usize(at..=bytes.len().min(at + 64));
            let part = bytes[at..end].repeat(1 << rng.u32(..12));
            bytes.splice(at..at, part).for_each(drop);
        }
        7 => {
            let other = &kept[rng.usize(..kept.len())].bytes;
            let from = rng.usize(..=other.len());
            bytes.splice(at.., other[from..].iter().copied()).for_each(drop);
        }
        _ => {
            let end = rng.usize(at..=bytes.len().min(at + 8));
            bytes.splice(at..end, (0..rng.usize(..8)).map(|_| rng.u8(..)).collect::<Vec<_>>()).for_each(drop);
        }
    }
    bytes
}

// One of them: its body as JSON, or its head as a text; or the order of all.
fn spoil_requests(rng: &mut Rng, bytes: &[u8], kept: &[Kept]) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = split(bytes).into_iter().map(<[u8]>::to_vec).collect();
    let (one, other) = (rng.usize(..all.len()), rng.usize(..all.len()));
    match rng.u32(..10) {
        0 => all.swap(one, other),
        1 => all.insert(other, all[one].clone()),
        2 => {
            let more = split(&kept[rng.usize(..kept.len())].bytes);
            all.insert(other, more[rng.usize(..more.len())].to_vec());
        }
        what => {
            let request = &all[one];
            let end = request.windows(2).position(|two| two == b"\n\n").map_or(request.len(), |end| end + 2);
            let (head, body) = request.split_at(end);
            all[one] = match what {
                3..=7 if !body.is_empty() => [head, &spoil_json(rng, body, kept)].concat(),
                _ => [&spoil_bytes(rng, head.to_vec(), kept), body].concat(),
            };
        }
    }
    all.join(SEPARATOR)
}

fn spoil_lines(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return bytes.to_vec();
    }
    let (one, other) = (rng.usize(..lines.len()), rng.usize(..lines.len()));
    match rng.u32(..6) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one].clone()),
        2 => lines.swap(one, other),
        3 => lines.truncate(one),
        4 => {
            // Another value for the same name.
            let token = TOKENS[rng.usize(..TOKENS.len())];
            if let Some((name, _)) = lines[one].split_once('=') {
                lines[one] = format!("{name}= {token}");
            }
        }
        _ => {
            let value = lines[other].split_once('=').map(|(_, value)| value.to_owned());
            if let (Some(value), Some((name, _))) = (value, lines[one].split_once('=')) {
                lines[one] = format!("{name}={value}");
            }
        }
    }
    lines.join("\n").into_bytes()
}

fn spoil_json(rng: &mut Rng, bytes: &[u8], kept: &[Kept]) -> Vec<u8> {
    let Ok(mut document) = serde_json::from_slice::<Value>(bytes) else {
        return spoil_bytes(rng, bytes.to_vec(), kept);
    };
    let places = count(&document);
    let mut place = rng.usize(..places);
    let donor = &kept[rng.usize(..kept.len())].bytes;
    let donor = serde_json::from_slice::<Value>(donor).unwrap_or(Value::Null);
    if let Some(value) = nth(&mut document, &mut place) {
        spoil_value(rng, value, &donor);
    }
    let mut text = document.to_string();
    match rng.u32(..10) {
        0 => repeat_a_member(rng, &mut text),
        1 => spoil_a_literal(rng, &mut text),
        _ => {}
    }
    text.into_bytes()
}

fn spoil_value(rng: &mut Rng, value: &mut Value, donor: &Value) {
    match (rng.u32(..6), &mut *value) {
        (0, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(rng.usize(..members.len())).cloned().unwrap_or_default();
            members.remove(&name);
        }
        (1, Value::Object(members)) => {
            let spare = donor.as_object().and_then(|other| other.iter().nth(rng.usize(..other.len().max(1))));
            let (name, spare) =
                spare.map_or(("extra".to_owned(), Value::Bool(true)), |(n, v)| (n.clone(), v.clone()));
            members.insert(name, spare);
        }
        (0..=2, Value::Array(elements)) if !elements.is_empty() => {
            let element = elements[rng.usize(..elements.len())].clone();
            let times = 1 << rng.u32(..7);
            elements.extend((0..times).map(|_| element.clone()));
        }
        (3, Value::Array(elements)) if !elements.is_empty() => {
            elements.remove(rng.usize(..elements.len()));
        }
        (0..=2, Value::String(text)) => {
            let spoilt = spoil_bytes(
                rng,
                std::mem::take(text).into_bytes(),
                &[Kept {
                    path: "".into(),
                    bytes: b"empresa-a.0.1.1.0 2026-12-01T10:20:00Z IEC_62196_T2_COMBO".to_vec(),
                }],
            );
            *text = String::from_utf8_lossy(&spoilt).into_owned();
        }
        (0..=2, Value::Number(_)) => *value = number(rng),
        _ => *value = any_value(rng, donor),
    }
}

fn number(rng: &mut Rng) -> Value {
    match rng.u32(..6) {
        0 => (-1).into(),
        1 => 0.into(),
        2 => u64::MAX.into(),
        3 => i64::MIN.into(),
        4 => (rng.f64() * 1e4 - 5e3).into(),
        _ => f64::MAX.into(),
    }
}

fn any_value(rng: &mut Rng, donor: &Value) -> Value {
    match rng.u32(..7) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => number(rng),
        3 => TOKENS[rng.usize(..TOKENS.len())].into(),
        4 => "a".repeat(1 << rng.u32(..17)).into(),
        5 => (0..100).fold(Value::Null, |inner, _| Value::Array(vec![inner])),
        _ => donor.clone(),
    }
}

// A member twice, which a document in memory cannot have.
fn repeat_a_member(rng: &mut Rng, text: &mut String) {
    let opens: Vec<usize> = text.match_indices('{').map(|(at, _)| at + 1).collect();
    let Some(&at) = opens.get(rng.usize(..opens.len().max(1))) else { return };
    let Some(end) = text[at..].find([',', '}']).map(|end| at + end) else { return };
    if end > at {
        let member = text[at..end].to_owned();
        text.insert_str(at, &format!("{member},"));
    }
}

// A value that a document in memory cannot have: 1e999, half a surrogate, what is no JSON at all.
fn spoil_a_literal(rng: &mut Rng, text: &mut String) {
    let opens: Vec<usize> = text.match_indices([':', ',', '[']).map(|(at, _)| at + 1).collect();
    let Some(&at) = opens.get(rng.usize(..opens.len().max(1))) else { return };
    let end = text[at..].find([',', '}', ']']).map_or(at, |end| at + end);
    text.replace_range(at..end, TOKENS[rng.usize(..TOKENS.len())]);
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(elements) => elements.iter_mut().find_map(|element| nth(element, place)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, place)),
        _ => None,
    }
}
