//! Records broken on purpose, one way at a time: the simulation must notice each. The shipped code carries no switches; what
//! breaks is the store that a node is given.

use recarga_node::store::{Boot, Record, Snapshot, Store, StoreError};
use recarga_reservation::{Branch, Fact, Stage, StoreId};

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Canary {
    /// "Durable" is said one write too early.
    FlushLies,
    /// A refused write is taken for a good one.
    ErrorsIgnored,
    /// A batch is written by half.
    HalfBatch,
    /// Every start takes a new identity.
    StoreChanges,
    /// The commit record is not written.
    CommitForgotten,
    /// The coordinator's own branch is not written with its commit record.
    OwnBranchForgotten,
    /// A vote is not written.
    PreparedForgotten,
    /// A cancellation is not written.
    CancelForgotten,
    /// What a cancelled trip gave back is not written.
    ReleasedForgotten,
    /// After a restart nobody is told of commits that were not acknowledged.
    RestartForgetsCommits,
    /// After a restart votes are forgotten.
    RestartForgetsPrepared,
    /// After a restart reservations are forgotten.
    RestartForgetsReserved,
}

impl Canary {
    /// Every one.
    pub const ALL: [Canary; 12] = [
        Canary::FlushLies,
        Canary::ErrorsIgnored,
        Canary::HalfBatch,
        Canary::StoreChanges,
        Canary::CommitForgotten,
        Canary::OwnBranchForgotten,
        Canary::PreparedForgotten,
        Canary::CancelForgotten,
        Canary::ReleasedForgotten,
        Canary::RestartForgetsCommits,
        Canary::RestartForgetsPrepared,
        Canary::RestartForgetsReserved,
    ];

    /// The store, broken this way.
    pub fn corrupt(self, store: Box<dyn Store>) -> Box<dyn Store> {
        Box::new(Corrupted { store, canary: self, late: Vec::new() })
    }

    fn forgets_to_write(self, record: &Record) -> bool {
        let Record::Fact(fact) = record else { return false };
        match (self, fact) {
            (Canary::CommitForgotten, Fact::Trip(trip)) => {
                matches!(trip.stage, Stage::Committed { .. } | Stage::Settled)
            }
            (Canary::OwnBranchForgotten, Fact::Branch(transaction, Branch::Confirmed { hold })) => {
                hold.participants.first() == Some(&transaction.coordinator)
            }
            (Canary::CancelForgotten, Fact::Trip(trip)) => matches!(trip.stage, Stage::Cancelled { .. }),
            (Canary::PreparedForgotten, Fact::Branch(_, branch)) => matches!(branch, Branch::Prepared { .. }),
            (Canary::ReleasedForgotten, Fact::Branch(_, branch)) => matches!(branch, Branch::Released { .. }),
            _ => false,
        }
    }

    fn forgets_to_read(self, record: &Record) -> bool {
        let Record::Fact(fact) = record else { return false };
        match (self, fact) {
            (Canary::RestartForgetsCommits, Fact::Trip(trip)) => {
                matches!(trip.stage, Stage::Committed { .. })
            }
            (Canary::RestartForgetsPrepared, Fact::Branch(_, branch)) => {
                matches!(branch, Branch::Prepared { .. })
            }
            (Canary::RestartForgetsReserved, Fact::Branch(_, branch)) => {
                matches!(branch, Branch::Confirmed { .. })
            }
            _ => false,
        }
    }
}

struct Corrupted {
    store: Box<dyn Store>,
    canary: Canary,
    late: Vec<Record>,
}

impl Store for Corrupted {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let boot = self.store.boot(fresh_id)?;
        let store = if self.canary == Canary::StoreChanges { fresh_id } else { boot.store };
        Ok(Boot { store, ..boot })
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let canary = self.canary;
        self.store.each(&mut |record| {
            if !canary.forgets_to_read(&record) {
                take(record);
            }
        })
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot()
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        match self.canary {
            Canary::FlushLies => {
                let before = std::mem::replace(&mut self.late, records.to_vec());
                self.store.append(&before)
            }
            Canary::HalfBatch => self.store.append(&records[..records.len().div_ceil(2)]),
            Canary::ErrorsIgnored => {
                let _ = self.store.append(records);
                Ok(())
            }
            canary => {
                let kept: Vec<Record> =
                    records.iter().filter(|record| !canary.forgets_to_write(record)).cloned().collect();
                self.store.append(&kept)
            }
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.store.close()
    }
}
