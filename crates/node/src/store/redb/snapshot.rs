//! What the store had at one moment: the tables as they stood, and over them the rows that were only in the journal.

use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, TableError};

use super::tables::{Pending, Tables, definition};
use crate::store::rows::{Row, Table};
use crate::store::{Snapshot, StoreError};

type Rows = ReadOnlyTable<&'static str, &'static [u8]>;

/// Nothing of it is in memory but the rows of the journal. While it is there the database keeps the pages of that moment.
pub struct RedbSnapshot {
    transaction: ReadTransaction,
    // Each is later than the one before.
    newer: Vec<Arc<Pending>>,
    // Last, so that the database outlives what reads it.
    tables: Arc<Tables>,
}

impl RedbSnapshot {
    /// The tables as they stand now, and later rows that they may or may not have yet.
    pub fn new(tables: Arc<Tables>, newer: Vec<Arc<Pending>>) -> Result<Self, StoreError> {
        Ok(Self { transaction: tables.still()?, newer, tables })
    }

    // Of each key the latest.
    fn newer(&self, table: Table) -> impl Iterator<Item = Row> {
        self.newer.iter().enumerate().flat_map(move |(place, rows)| {
            let later = &self.newer[place + 1..];
            rows.of(table).filter(move |row| !later.iter().any(|later| later.has(table, &row.key)))
        })
    }

    fn table(&self, table: Table) -> Result<Option<Rows>, StoreError> {
        match self.transaction.open_table(definition(table)) {
            Ok(rows) => Ok(Some(rows)),
            // Earlier formats had fewer.
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(self.tables.unreadable(error)),
        }
    }
}

impl Snapshot for RedbSnapshot {
    fn count(&mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        for table in Table::ALL {
            let rows = self.table(table)?;
            count += match &rows {
                Some(rows) => rows.len().map_err(|error| self.tables.io(error))?,
                None => 0,
            };
            for newer in self.newer(table) {
                let old = rows.as_ref().map(|rows| rows.get(newer.key.as_str())).transpose();
                let is_old = old.map_err(|error| self.tables.io(error))?.flatten().is_some();
                // One after the other, so that it never goes below nothing.
                count += u64::from(newer.value.is_some());
                count -= u64::from(is_old);
            }
        }
        Ok(count)
    }

    fn each(&mut self, take: &mut dyn FnMut(Row) -> bool) -> Result<(), StoreError> {
        for table in Table::ALL {
            if let Some(rows) = self.table(table)? {
                for entry in rows.iter().map_err(|error| self.tables.io(error))? {
                    let (key, value) = entry.map_err(|error| self.tables.io(error))?;
                    let (key, value) = (key.value(), value.value());
                    let is_latest = !self.newer.iter().any(|newer| newer.has(table, key));
                    if is_latest && !take(Row { table, key: key.to_owned(), value: Some(value.to_vec()) }) {
                        return Ok(());
                    }
                }
            }
            for row in self.newer(table).filter(|row| row.value.is_some()) {
                if !take(row) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
