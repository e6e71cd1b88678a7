//! The rows as they stood at one moment, by a connection of its own: trips need not wait for it.

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

use super::Address;
use crate::store::rows::{Row, Table};
use crate::store::{Snapshot, StoreError};

/// The moment is when it is counted.
pub struct PostgresSnapshot {
    address: Address,
    client: Option<Client>,
}

impl PostgresSnapshot {
    /// Of a database.
    pub fn new(address: Address) -> Self {
        Self { address, client: None }
    }

    fn client(&mut self) -> Result<&mut Client, StoreError> {
        match &mut self.client {
            Some(client) => Ok(client),
            none => {
                let mut client = self.address.connect()?;
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                client.batch_execute(begin).map_err(|error| super::io(self.address.name(), &error))?;
                Ok(none.insert(client))
            }
        }
    }
}

impl Snapshot for PostgresSnapshot {
    fn count(&mut self) -> Result<u64, StoreError> {
        let row = self.client()?.query_one("SELECT count(*) FROM recarga_rows", &[]);
        let count: i64 = row.map_err(|error| super::io(self.address.name(), &error))?.get(0);
        Ok(count.unsigned_abs())
    }

    fn each(&mut self, take: &mut dyn FnMut(Row) -> bool) -> Result<(), StoreError> {
        let name = self.address.name().to_owned();
        each_row(self.client()?, &name, take)
    }
}

/// Hands every row over as it comes, until `take` wants no more.
pub fn each_row(
    client: &mut Client,
    name: &str,
    take: &mut dyn FnMut(Row) -> bool,
) -> Result<(), StoreError> {
    let failed = |error: postgres::Error| super::io(name, &error);
    let rows = client.query_raw::<_, i16, _>("SELECT kind, key, value FROM recarga_rows", []);
    let mut rows = rows.map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let (kind, key, value): (i16, String, String) = (row.get(0), row.get(1), row.get(2));
        let table = u8::try_from(kind).ok().and_then(Table::from_number);
        let table = table.ok_or_else(|| StoreError::Unreadable {
            path: name.to_owned(),
            reason: format!("row {key}: it is of no kind that is known"),
        })?;
        if !take(Row { table, key, value: Some(value.into_bytes()) }) {
            break;
        }
    }
    Ok(())
}
