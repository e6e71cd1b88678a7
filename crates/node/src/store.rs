//! What must be durable. A store records facts and never decides; it is told what to write and says when it is safe.

use recarga_reservation::{EvseId, Fact, RequestKey, StoreId, Timestamp, TransactionId};
use thiserror::Error;

use self::rows::Row;

pub mod copy;
pub mod memory;
pub mod postgres;
pub mod redb;
pub mod rows;

/// A backend. All of its calls block; the [`Ledger`](crate::ledger::Ledger) decides where they run.
///
/// One contract suite (`tests/store_contract.rs`) runs against every backend.
pub trait Store: Send + 'static {
    /// Starts a new boot epoch, durably, so that no transaction id of an earlier run is used again. An empty store
    /// takes `fresh_id` as its identity.
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError>;

    /// Hands over everything that is remembered, in any order, one by one: in a list it would be in memory twice.
    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError>;

    /// As [`Store::each`], in a list.
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        self.each(&mut |record| records.push(record))?;
        Ok(records)
    }

    /// Writes the records, in order, all or none; durable on return. After an error the state on disk is unknown
    /// and the process must not go on. Also without records it fails where somebody else has taken the record over.
    fn append(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// All that is durable at this moment, to be read at leisure while more is written. Quick, since whoever waits for
    /// a flush waits for it.
    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Whether another process may take the record over while this one believes that it has it.
    fn can_be_taken_over(&self) -> bool {
        false
    }

    /// Ends the work on a store that is needed no longer. What was appended is durable without it; an error says that
    /// the disk is not to be trusted, as one of [`Store::append`] does.
    fn close(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What a store had at one moment.
pub trait Snapshot: Send {
    /// How many rows there are.
    fn count(&mut self) -> Result<u64, StoreError>;

    /// Hands over every row, in any order, until `take` wants no more.
    fn each(&mut self, take: &mut dyn FnMut(Row) -> bool) -> Result<(), StoreError>;
}

/// A record that is being put back from a copy. Until it is finished there is none: whatever interrupts it leaves
/// nothing.
pub trait Restoration {
    /// Takes some of what the copy has.
    fn take(&mut self, records: &[Record]) -> Result<(), StoreError>;

    /// All of it was taken: from now on it is the record.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// Epochs that a database may have used up between a copy and its loss: some numbers that others keep begin with the
/// epoch, and must not come again. Not more, so that these numbers stay below 2^53, beyond which JSON readers round.
const EPOCHS_SKIPPED: u64 = 1 << 14;

/// Which database this is, and which run of the node on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Identity of the database.
    pub store: StoreId,
    /// How often it has been started, this time included.
    pub epoch: u64,
}

impl Boot {
    /// The identity of what was put back from a copy of this one: it has forgotten what came after the copy, so nobody
    /// may take it for the one that was lost. None if there are no epochs left.
    pub fn put_back(self, fresh_id: StoreId) -> Option<Self> {
        Some(Self { store: fresh_id, epoch: self.epoch.checked_add(EPOCHS_SKIPPED)? })
    }
}

/// One thing to remember. The latest record about a key replaces the earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Of the reservation rules.
    Fact(Fact),
    /// A request that arrived by MQTT and what was answered to it.
    Letter(Letter),
    /// The request need not be remembered any longer.
    LetterForgotten(RequestKey),
    /// The operator has taken an EVSE out of service.
    OutOfService(EvseId),
    /// And back into it.
    InService(EvseId),
    /// The operator has given a prepared hold up without an outcome.
    Forced(Forced),
}

/// An operator's decision about what was in doubt, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forced {
    /// Of which transaction.
    pub transaction: TransactionId,
    /// When.
    pub at: Timestamp,
    /// By whom, as they said.
    pub by: String,
    /// Why, as they said.
    pub reason: String,
    /// Whether the transaction was committed, and when that was heard; none while nobody has said so.
    pub turned_out: Option<(bool, Timestamp)>,
}

/// A car's request: durable before it is acknowledged to the broker; its answer is owed until the broker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Under which repeats are recognised.
    pub key: RequestKey,
    /// When it arrived first.
    pub received: Timestamp,
    /// The request as it came, JSON.
    pub request: String,
    /// What was answered, JSON; none while it is being worked on.
    pub answer: Option<String>,
    /// Whether the answer has yet to reach the broker.
    pub owed: bool,
    /// MQTT 5: where else the car wants the answer.
    pub response_topic: Option<String>,
    /// MQTT 5: what to send along with it.
    pub correlation: Option<Vec<u8>>,
}

/// Why a store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file belongs to a running process.
    #[error("{path} is in use by another process; stop that one first")]
    InUse {
        /// The database file.
        path: String,
    },
    /// The file is no database of this program, or a damaged one.
    #[error("{path} is not a Recarga database, or it is damaged: {reason}; restore a backup or move it away")]
    Unreadable {
        /// The database file.
        path: String,
        /// What the backend says.
        reason: String,
    },
    /// Written by a newer program.
    #[error("{path} has format {found}, and this program reads up to {known}; use a newer program")]
    TooNew {
        /// The database file.
        path: String,
        /// Format of the file.
        found: u32,
        /// Newest format known.
        known: u32,
    },
    /// A write failed in an earlier run.
    #[error(
        "an earlier run could not write to {path} and stopped ({}); check the disk, then delete {marker}",
        if reason.is_empty() { "it could not write why, either: was the disk full?" } else { reason }
    )]
    Poisoned {
        /// The database file.
        path: String,
        /// The marker left by that run.
        marker: String,
        /// What failed.
        reason: String,
    },
    /// There is a record where one was to be put back.
    #[error(
        "{path} has a record already, and nothing was changed; a copy is put back only where there is none: stop the \
         node, make sure that this record is of no use any longer, and move it away first"
    )]
    Occupied {
        /// The database file.
        path: String,
    },
    /// The database belongs to another company.
    #[error("{path} is the database of {found}, not of {expected}; check data_dir")]
    OtherOperator {
        /// The database file.
        path: String,
        /// Whose it is.
        found: String,
        /// Who opened it.
        expected: String,
    },
    /// Reading or writing failed.
    #[error("cannot read or write {path}: {reason}")]
    Io {
        /// The database file.
        path: String,
        /// What the backend says.
        reason: String,
    },
}
