//! Everything that reads bytes from outside, each as a function from bytes to a verdict: it may refuse, it may accept, but
//! it never panics, a refusal names the field, and what it accepts keeps the limits and survives being written again.
//!
//! The same functions are driven in three ways: over the kept corpus and some thousand mutations of it by the tests, for as long as
//! one likes by `recarga-fuzz`, and by anything else that makes bytes.

pub mod corpus;
pub mod mutate;
pub mod node;
pub mod run;
pub mod targets;

/// What an input has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was read.
    Accepted,
    /// It was refused, as it must be.
    Refused,
}

/// What a target's input looks like, so that a mutation can keep to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON.
    Json,
    /// Requests: lines, and then JSON.
    Requests,
    /// Lines such as TOML's.
    Lines,
    /// A short text.
    Text,
    /// Anything.
    Bytes,
}

/// Something that reads bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the name of its folder in the corpus.
    pub name: &'static str,
    /// What its input looks like.
    pub form: Form,
    /// Reads, and says what is wrong with what came of it. A panic is wrong too.
    pub read: fn(&[u8]) -> Result<Verdict, String>,
}
