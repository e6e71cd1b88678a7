//! Which messages a program reads, as one whole number, so that two versions of the program can live in one federation.
//!
//! Every request and every answer between companies carries the sender's number in the header [`HEADER`]. Requests
//! refuse unknown fields, so whatever a number added is sent only to who says this number or a later one.
//!
//! | number | what it added |
//! |---|---|
//! | 1 | everything that was there before the header; who sends no header reads this |
//! | 2 | the header; `rastros` in `POST /lote` |

use std::fmt;

/// The header that carries the number.
pub const HEADER: &str = "recarga-versao";

/// A version of the messages; a later one reads all that earlier ones read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32);

impl Version {
    /// Of whoever does not say any.
    pub const FIRST: Version = Version(1);
    /// The first to read `rastros` in `POST /lote`.
    pub const WITH_TRACES: Version = Version(2);
    /// Of this program: the last line of the table.
    pub const OWN: Version = Version::WITH_TRACES;

    /// By its number; what is none is the first.
    pub fn new(number: u32) -> Self {
        Self(number).max(Self::FIRST)
    }

    /// As a header says it. What is absent or makes no sense promises nothing, so it is the first.
    pub fn said(header: Option<&str>) -> Self {
        header.and_then(|text| text.parse().ok()).map_or(Self::FIRST, Self::new)
    }

    /// As a number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_is_believed() {
        for (said, number) in [("2", 2), ("3", 3), ("4294967295", u32::MAX), ("1", 1)] {
            assert_eq!(Version::said(Some(said)).number(), number);
        }
        for said in ["", "0", "-2", "2.0", "2, 3", " 2", "dois", "4294967296"] {
            assert_eq!(Version::said(Some(said)), Version::FIRST, "{said:?}");
        }
        assert_eq!(Version::said(None), Version::FIRST);
    }
}
