//! A record put back from a copy, in one transaction.

use recarga_reservation::OperatorId;

use super::{Address, PostgresStore, Session, schema};
use crate::store::{Boot, Record, Restoration, Store, StoreError};

/// A database that had no record. What is not finished is rolled back, at the latest when the connection ends.
pub struct PostgresRestoration {
    store: PostgresStore,
}

impl PostgresRestoration {
    /// Begins; the record is to have the identity `boot`.
    ///
    /// # Errors
    /// There is a record, or as [`PostgresStore::open`].
    pub fn begin(address: &Address, operator: &OperatorId, boot: Boot) -> Result<Self, StoreError> {
        let store = PostgresStore::open(address, operator, Box::new(|_| {}))?;
        store.ask(move |session| session.begin_restoration(boot))?;
        Ok(Self { store })
    }
}

impl Restoration for PostgresRestoration {
    fn take(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.store.append(records)
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        self.store.ask(|session| session.execute("COMMIT"))
    }
}

impl Session {
    fn begin_restoration(&mut self, boot: Boot) -> Result<(), StoreError> {
        let rows = self.client.query_one("SELECT EXISTS (SELECT FROM recarga_rows)", &[]);
        let has_rows: bool = rows.map_err(|error| self.failed(&error))?.get(0);
        if has_rows || schema::boot(self)?.is_some() {
            return Err(StoreError::Occupied { path: self.name.clone() });
        }
        self.execute("BEGIN")?;
        schema::set_identity(&mut self.client, boot).map_err(|error| self.failed(&error))
    }

    fn execute(&mut self, statement: &str) -> Result<(), StoreError> {
        self.client.batch_execute(statement).map_err(|error| self.failed(&error))
    }
}
