//! Texts that must not be shown.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Tokens that open the same door at a time: the old one, the new one, and one that was given up on the way.
const SIDE_BY_SIDE_MAX: usize = 3;

/// A text that must not be shown: not in logs, not by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself: only for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

// The library's own message would show what stands there.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("not a text; write it in quotes")),
        }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"***\"")
    }
}

/// Tokens that open the same door, so that a new one can be handed out before the old one goes: written as one text, or
/// as a list.
pub(super) struct SideBySide(pub Vec<Secret>);

impl<'de> Deserialize<'de> for SideBySide {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let one = |value| match value {
            toml::Value::String(text) => Ok(Secret(text)),
            _ => Err(D::Error::custom("not a text, nor a list of texts; write each in quotes")),
        };
        Ok(Self(match toml::Value::deserialize(deserializer)? {
            toml::Value::Array(values) => values.into_iter().map(one).collect::<Result<_, _>>()?,
            value => vec![one(value)?],
        }))
    }
}

impl SideBySide {
    pub fn check(&self, field: &str, problems: &mut Vec<String>) {
        let Self(secrets) = self;
        if secrets.is_empty() || secrets.len() > SIDE_BY_SIDE_MAX {
            problems.push(format!("{field}: write one token, or a list of at most {SIDE_BY_SIDE_MAX}"));
        }
        secrets.iter().for_each(|secret| check_secret(secret, field, problems));
        let different: BTreeSet<&str> = secrets.iter().map(Secret::expose).collect();
        if different.len() < secrets.len() {
            problems.push(format!("{field}: a token stands twice; keep one"));
        }
    }
}

/// Whether it can be sent as a token, and is not guessed at once.
pub(super) fn is_secret(text: &str) -> bool {
    text.len() >= 8 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) fn check_secret(secret: &Secret, field: &str, problems: &mut Vec<String>) {
    if !is_secret(secret.expose()) {
        problems.push(format!("{field}: at least 8 printable ASCII characters without spaces"));
    }
}
