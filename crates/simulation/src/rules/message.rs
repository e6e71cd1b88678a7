//! What companies say to each other. Transactions are told by number; who receives a number finds the rest in the
//! world, as if the message carried it.

use std::time::Duration;

use recarga_reservation::{
    Firmness, NotChangeable, Outcome, OwedMessage, Reason, StoreId, TripId, Unacceptable, Vote,
};

/// A question or an order to another company.
#[derive(Clone, Debug)]
pub enum Message {
    Hold {
        transaction: usize,
        firmness: Firmness,
        valid_for: Duration,
    },
    Confirm(usize),
    Abort(usize),
    Release(usize),
    Inquire(usize),
    /// From which database do you speak?
    Store,
}

/// The reply to a message.
#[derive(Clone, Debug)]
pub enum Reply {
    Vote(Vote),
    Done,
    Outcome(Outcome, StoreId),
    Store(StoreId),
    Refused(Unacceptable),
}

/// Why a company has sent a message: what to do with the reply.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// To get a vote; a yes to a soft hold is none.
    Hold {
        transaction: usize,
        firmness: Firmness,
    },
    Deliver {
        transaction: usize,
        message: OwedMessage,
    },
    Question {
        question: usize,
        transaction: usize,
    },
    Tombstone {
        transaction: usize,
    },
    Greet,
    /// Nobody waits for the reply.
    Abort,
}

/// A message that was sent and the company that waits for its reply.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub from: usize,
    pub to: usize,
    /// In which run of its process it was sent: a restart forgets it.
    pub run: u32,
    pub purpose: Purpose,
    /// Neither answered nor given up.
    pub is_open: bool,
}

/// What a driver asks a company for.
#[derive(Clone, Debug)]
pub enum Ask {
    Book { request: usize },
    Change { request: usize, trip: TripId },
    Cancel { trip: TripId },
    Withdraw { request: usize },
}

/// What a company answers a driver.
#[derive(Clone, Debug)]
pub enum Answer {
    Booked { transaction: usize, trip: TripId },
    Refused(Reason),
    Different,
    NotChangeable(NotChangeable),
    Cancelled,
}
