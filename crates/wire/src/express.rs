//! The messages of which every trip takes several, in the one form in which this program writes them: put down and read
//! piece by piece. The library that writes and reads all other messages takes twice as many instructions for these
//! (docs/decisions/express.md).
//!
//! What is written is what the library would write, byte for byte. What is read here is what the library would read; and
//! whatever looks otherwise, be it right or wrong, is left to it. So nobody can tell the difference, except by the time.

mod messages;
mod reader;

pub(crate) use messages::{batch, batch_answer, only_answer};
pub(crate) use messages::{
    put_batch, put_batch_answer, put_confirm, put_hold, put_hold_answer, put_session_answer, put_trip_answer,
};
