//! The messages between companies, and whoever can be sent them. A company is a peer of itself.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use recarga_reservation::{Firmness, Hold, Outcome, StoreId, TransactionId, Unacceptable, Vote};
use recarga_wire::availability::{AvailabilityAnswer, AvailabilityQuery};
use recarga_wire::federation::SignedRoll;
use thiserror::Error;

pub mod http;

/// What one company asks of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Hold all of these stops.
    Hold {
        /// What.
        hold: Box<Hold>,
        /// How firmly.
        firmness: Firmness,
        /// A soft hold's time limit; for a prepared one, when the coordinator expects to have decided.
        valid_for: Duration,
    },
    /// Committed.
    Confirm(TransactionId),
    /// Aborted.
    Abort(TransactionId),
    /// Committed, and later cancelled by its driver.
    Release(TransactionId),
    /// What became of it?
    Inquire(TransactionId),
}

impl Message {
    /// Which transaction it is about.
    pub fn transaction(&self) -> &TransactionId {
        match self {
            Message::Hold { hold, .. } => &hold.transaction,
            Message::Confirm(transaction)
            | Message::Abort(transaction)
            | Message::Release(transaction)
            | Message::Inquire(transaction) => transaction,
        }
    }

    /// For logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Hold { .. } => "hold",
            Message::Confirm(_) => "confirm",
            Message::Abort(_) => "abort",
            Message::Release(_) => "release",
            Message::Inquire(_) => "inquire",
        }
    }
}

/// What a company answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a hold.
    Vote(Vote),
    /// To a confirm, abort or release: done, and done again if repeated.
    Done,
    /// To an inquiry, and from which database it comes.
    Outcome(Outcome, StoreId),
}

/// Why a message has no reply. None of these is a vote or an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeerError {
    /// The peer understood and will not do it.
    #[error("refused: {0}")]
    Refused(#[from] Unacceptable),
    /// No answer, or none that could be understood: the message may have taken effect or not.
    #[error("unreachable: {0}")]
    Unreachable(String),
}

/// A company that can be sent messages.
#[async_trait]
pub trait Peer: Send + Sync + fmt::Debug {
    /// Sends one message and waits for the reply, for a bounded time.
    async fn send(&self, message: Message) -> Result<Reply, PeerError>;

    /// From which database it speaks now.
    async fn store(&self) -> Result<StoreId, PeerError>;

    /// The signed roll of the federation as it knows it; none if it knows none.
    async fn roll(&self) -> Result<Option<SignedRoll>, PeerError> {
        Ok(None)
    }
}

/// What a company offers can be asked for in pages.
#[async_trait]
pub trait Catalogue: Send + Sync + fmt::Debug {
    /// One page; or the word that nothing has changed, if `tag` is that of an earlier answer to the same question.
    async fn page(&self, query: &AvailabilityQuery, tag: Option<&str>) -> Result<CatalogueAnswer, PeerError>;
}

/// An answer to what a company offers.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogueAnswer {
    /// As before.
    Unchanged,
    /// A page.
    Page {
        /// The page.
        page: Box<AvailabilityAnswer>,
        /// What to show next time.
        tag: Option<String>,
    },
}
