//! What operators have forced without an outcome: who, why and when, and what the outcome turned out to be. It is never
//! forgotten; each was a person's act.

use std::collections::BTreeMap;

use recarga_reservation::{Timestamp, TransactionId};

use crate::store::{Forced, Record};

/// All of them.
#[derive(Debug, Default)]
pub struct Decisions {
    forced: BTreeMap<TransactionId, Forced>,
}

impl Decisions {
    /// Takes back what was durable before a restart.
    pub fn restore(&mut self, forced: Forced) {
        self.forced.insert(forced.transaction.clone(), forced);
    }

    /// Notes one; the record must be written together with what was forced.
    pub fn add(&mut self, forced: Forced) -> Record {
        self.restore(forced.clone());
        Record::Forced(forced)
    }

    /// The one about a transaction.
    pub fn find(&self, transaction: &TransactionId) -> Option<&Forced> {
        self.forced.get(transaction)
    }

    /// Every one, in the order of transactions.
    pub fn all(&self) -> impl Iterator<Item = &Forced> {
        self.forced.values()
    }

    /// Somebody who knows has said what became of a transaction; none if nothing was forced, or it is known already.
    pub fn heard(&mut self, transaction: &TransactionId, committed: bool, at: Timestamp) -> Option<Record> {
        let forced = self.forced.get_mut(transaction).filter(|forced| forced.turned_out.is_none())?;
        forced.turned_out = Some((committed, at));
        Some(Record::Forced(forced.clone()))
    }
}
