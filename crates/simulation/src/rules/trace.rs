//! What happened, line by line: for a person to read, or as a number that tells two runs apart.

use super::queue::{Micros, SECOND};

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    Off,
    /// Printed, and hashed as well.
    Print(u64),
    Hash(u64),
}

impl Trace {
    pub const PRINT: Trace = Trace::Print(FIRST);
    pub const HASH: Trace = Trace::Hash(FIRST);

    pub fn is_on(self) -> bool {
        self != Trace::Off
    }

    pub fn line(&mut self, at: Micros, text: &str) {
        match self {
            Trace::Off => {}
            Trace::Print(hash) => {
                println!("{:>6}.{:06}  {text}", at / SECOND, at % SECOND);
                *hash = add(*hash, at, text);
            }
            Trace::Hash(hash) => *hash = add(*hash, at, text),
        }
    }

    /// The same for equal runs, and almost surely another for different ones.
    pub fn hash(self) -> u64 {
        match self {
            Trace::Off => 0,
            Trace::Print(hash) | Trace::Hash(hash) => hash,
        }
    }
}

// FNV-1a.
const FIRST: u64 = 0xcbf2_9ce4_8422_2325;

fn add(hash: u64, at: Micros, text: &str) -> u64 {
    let bytes = at.to_le_bytes().into_iter().chain(text.bytes());
    bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Adds a line to a world's trace; nothing is formatted unless somebody wants it.
macro_rules! trace {
    ($world:expr, $($text:tt)*) => {
        if $world.trace.is_on() {
            let text = format!($($text)*);
            $world.trace.line($world.now, &text);
        }
    };
}
pub(super) use trace;
