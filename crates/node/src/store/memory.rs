//! A store for tests and simulations: as durable as the value that holds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use recarga_reservation::{EvseId, Fact, RequestKey, StoreId, TransactionId};

use super::rows::Row;
use super::{Boot, Record, Snapshot, Store, StoreError};

/// The disk: survives the stores opened on it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    boot: Option<Boot>,
    records: BTreeMap<Key, Record>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Branch(TransactionId),
    Trip(TransactionId),
    Letter(RequestKey),
    Evse(EvseId),
    Forced(TransactionId),
}

/// A store on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
}

impl MemoryStore {
    /// Opens the disk.
    pub fn open(disk: &MemoryDisk) -> Self {
        Self { disk: disk.clone() }
    }
}

impl Store for MemoryStore {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let mut contents = self.disk.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = contents.boot.unwrap_or(Boot { store: fresh_id, epoch: 0 });
        let boot = Boot { epoch: before.epoch + 1, ..before };
        contents.boot = Some(boot);
        Ok(boot)
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let contents = self.disk.0.lock().unwrap_or_else(PoisonError::into_inner);
        contents.records.values().cloned().for_each(take);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        let rows: Result<Vec<Row>, _> = self.load()?.iter().map(Row::of).collect();
        let unwritable = |error| StoreError::Io { path: "memory".to_owned(), reason: format!("{error}") };
        Ok(Box::new(Rows(rows.map_err(unwritable)?)))
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut contents = self.disk.0.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            let records = &mut contents.records;
            match record {
                Record::Fact(Fact::Branch(transaction, _)) => {
                    records.insert(Key::Branch(transaction.clone()), record.clone());
                }
                Record::Fact(Fact::Trip(trip)) => {
                    records.insert(Key::Trip(trip.transaction.clone()), record.clone());
                }
                Record::Letter(letter) => {
                    records.insert(Key::Letter(letter.key.clone()), record.clone());
                }
                Record::Fact(Fact::BranchForgotten(transaction)) => {
                    records.remove(&Key::Branch(transaction.clone()));
                }
                Record::Fact(Fact::TripForgotten(transaction)) => {
                    records.remove(&Key::Trip(transaction.clone()));
                }
                Record::LetterForgotten(key) => {
                    records.remove(&Key::Letter(key.clone()));
                }
                Record::OutOfService(evse) => {
                    records.insert(Key::Evse(evse.clone()), record.clone());
                }
                Record::Forced(forced) => {
                    records.insert(Key::Forced(forced.transaction.clone()), record.clone());
                }
                Record::InService(evse) => {
                    records.remove(&Key::Evse(evse.clone()));
                }
            }
        }
        Ok(())
    }
}

struct Rows(Vec<Row>);

impl Snapshot for Rows {
    fn count(&mut self) -> Result<u64, StoreError> {
        Ok(self.0.len() as u64)
    }

    fn each(&mut self, take: &mut dyn FnMut(Row) -> bool) -> Result<(), StoreError> {
        let _ = self.0.iter().cloned().all(take);
        Ok(())
    }
}
