//! The tables in redb: what a company remembers, and which database it is.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Bound;

use recarga_reservation::{OperatorId, StoreId};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition, TableError,
    WriteTransaction,
};

use super::cannot_open;
use super::journal::Identity;
use crate::store::rows::{Malformed, Row, Table};
use crate::store::{Boot, Record, StoreError};

/// Newest format that this program reads; it writes this one. 2: rows may stand in a journal, not yet in the tables.
/// 3: there may be EVSEs out of service. 4: operators may have forced what was in doubt.
const FORMAT: u32 = 4;
const CACHE_BYTES: usize = 64 << 20;

/// Rows that are read in one go.
const PORTION_ROWS: usize = 256;

pub type Definition = TableDefinition<'static, &'static str, &'static [u8]>;
const META: TableDefinition<&str, &str> = TableDefinition::new("meta");

/// Rows on their way into the tables, the latest of each key, in the order of the tables.
#[derive(Clone, Debug, Default)]
pub struct Pending(BTreeMap<(Table, String), Option<Vec<u8>>>);

impl Pending {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the latest of a key is here, and not in the table.
    pub fn has(&self, table: Table, key: &str) -> bool {
        self.0.contains_key(&(table, key.to_owned()))
    }

    /// The rows of a table.
    pub fn of(&self, table: Table) -> impl Iterator<Item = Row> {
        let rows = self.0.range((table, String::new())..).take_while(move |((of, _), _)| *of == table);
        rows.map(|((table, key), value)| Row { table: *table, key: key.clone(), value: value.clone() })
    }
}

/// Later ones.
impl Extend<Row> for Pending {
    fn extend<I: IntoIterator<Item = Row>>(&mut self, rows: I) {
        self.0.extend(rows.into_iter().map(|row| ((row.table, row.key), row.value)));
    }
}

/// What the journal has that the tables do not: nothing, or what follows a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalState {
    /// There is no journal, or all of it is in the tables.
    Ended,
    /// Frames after `absorbed` may stand in it.
    Open { half_bytes: u64, absorbed: u64 },
}

/// What was read of a table in one go.
pub struct Portion {
    pub records: Vec<Record>,
    /// After which the next portion begins; none if this was the last.
    pub last: Option<String>,
}

/// What a database says of itself.
#[derive(Debug)]
pub struct Meta {
    pub operator: String,
    pub boot: Option<Boot>,
    pub journal: JournalState,
}

impl Boot {
    /// Which frames are those of this run.
    pub(super) fn journal(self) -> Identity {
        let StoreId(store) = self.store;
        let [low, high] = [store as u64, (store >> 64) as u64];
        Identity(low ^ high.rotate_left(32) ^ self.epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// A database file, or whatever else redb can live on.
pub struct Tables {
    database: Database,
    name: String,
}

impl Tables {
    /// `name` is for messages.
    pub fn new(database: Database, name: &str) -> Self {
        Self { database, name: name.to_owned() }
    }

    /// Opens a database on a backend of the caller's.
    pub fn open_on(backend: impl StorageBackend, name: &str) -> Result<Self, StoreError> {
        let opened = careful().create_with_backend(backend);
        Ok(Self::new(opened.map_err(|error| cannot_open(name, error))?, name))
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the database says of itself; nothing if it is new.
    pub fn meta(&self) -> Result<Option<Meta>, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.io(error))?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(self.unreadable(error)),
        };
        let get = |key: &str| match meta.get(key) {
            Ok(value) => Ok(value.map(|value| value.value().to_owned())),
            Err(error) => Err(self.io(error)),
        };
        let number = |text: String| text.parse::<u64>().map_err(|error| self.unreadable(error));
        let format = get("format")?.and_then(|format| format.parse::<u32>().ok());
        match format {
            Some(found) if found > FORMAT => {
                return Err(StoreError::TooNew { path: self.name.clone(), found, known: FORMAT });
            }
            Some(_) => {}
            None => return Err(self.unreadable("it has no format number")),
        }
        let boot = match (get("store")?, get("epoch")?) {
            (Some(store), Some(epoch)) => Some(Boot {
                store: store.parse().map_err(|error| self.unreadable(error))?,
                epoch: number(epoch)?,
            }),
            (None, None) => None,
            // They are written together. With a new identity the old reservations would be nobody's.
            _ => return Err(self.unreadable("it has half an identity")),
        };
        let journal = match (get("journal")?, get("absorbed")?) {
            (Some(half_bytes), Some(absorbed)) => {
                JournalState::Open { half_bytes: number(half_bytes)?, absorbed: number(absorbed)? }
            }
            (None, None) => JournalState::Ended,
            _ => return Err(self.unreadable("it says half of where its journal is")),
        };
        let operator = get("operator")?.ok_or_else(|| self.unreadable("it names no company"))?;
        Ok(Some(Meta { operator, boot, journal }))
    }

    /// Makes the tables of a new database.
    pub fn make(&self, operator: &OperatorId) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("operator", operator.as_str())?;
            for table in Table::ALL {
                transaction.open_table(definition(table))?;
            }
            set_format(&mut meta)
        })
    }

    /// Records a start, and the journal that has been begun for it.
    pub fn set_boot(&self, boot: Boot, half_bytes: u64) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("store", boot.store.to_string().as_str())?;
            meta.insert("epoch", boot.epoch.to_string().as_str())?;
            meta.insert("journal", half_bytes.to_string().as_str())?;
            meta.insert("absorbed", "0")?;
            set_format(&mut meta)
        })
    }

    /// Gives a database without a journal another identity.
    pub fn set_identity(&self, boot: Boot) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("store", boot.store.to_string().as_str())?;
            meta.insert("epoch", boot.epoch.to_string().as_str())?;
            set_format(&mut meta)
        })
    }

    /// All of it as it stands now, whatever is written later.
    pub fn still(&self) -> Result<ReadTransaction, StoreError> {
        self.database.begin_read().map_err(|error| self.io(error))
    }

    /// Takes rows in, durably, and with them how far the journal is not needed any longer: at all, or up to a frame.
    pub fn absorb(&self, rows: &Pending, up_to: Option<u64>) -> Result<(), StoreError> {
        self.write(|transaction| {
            for table in Table::ALL {
                let mut rows = rows.0.iter().filter(|((of, _), _)| *of == table).peekable();
                if rows.peek().is_none() {
                    continue; // a table that is opened is written
                }
                let mut table = transaction.open_table(definition(table))?;
                for ((_, key), value) in rows {
                    match value {
                        Some(value) => drop(table.insert(key.as_str(), value.as_slice())?),
                        None => drop(table.remove(key.as_str())?),
                    }
                }
            }
            let mut meta = transaction.open_table(META)?;
            match up_to {
                Some(sequence) => drop(meta.insert("absorbed", sequence.to_string().as_str())?),
                None => {
                    meta.remove("journal")?;
                    meta.remove("absorbed")?;
                }
            }
            Ok(())
        })
    }

    /// Some rows of a table, those that follow `after` or the first ones.
    pub fn portion(&self, kind: Table, after: Option<&str>) -> Result<Portion, StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.io(error))?;
        let table = match transaction.open_table(definition(kind)) {
            Ok(table) => table,
            // Formats 2 and 3 had fewer tables.
            Err(redb::TableError::TableDoesNotExist(_)) if matches!(kind, Table::Evses | Table::Forced) => {
                return Ok(Portion { records: vec![], last: None });
            }
            Err(error) => return Err(self.unreadable(error)),
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = table.range::<&str>((from, Bound::Unbounded)).map_err(|error| self.io(error))?;
        let mut portion = Portion { records: Vec::with_capacity(PORTION_ROWS), last: None };
        for entry in rows.take(PORTION_ROWS) {
            let (key, value) = entry.map_err(|error| self.io(error))?;
            let record = Row::read(kind, key.value(), value.value());
            let named = |error| self.unreadable(format!("row {}: {error}", key.value()));
            portion.records.push(record.map_err(named)?);
            if portion.records.len() == PORTION_ROWS {
                portion.last = Some(key.value().to_owned());
            }
        }
        Ok(portion)
    }

    /// A failure to read or write.
    pub fn io(&self, error: impl Display) -> StoreError {
        StoreError::Io { path: self.name.clone(), reason: error.to_string() }
    }

    /// Something that makes no sense.
    pub fn unreadable(&self, reason: impl Display) -> StoreError {
        StoreError::Unreadable { path: self.name.clone(), reason: reason.to_string() }
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Malformed>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(|error| self.io(error))?;
        change(&transaction).map_err(|error| self.io(error))?;
        transaction.commit().map_err(|error| self.io(error))
    }
}

/// All of it is read at every start, so the checksum of every page may as well be verified.
pub fn careful() -> Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    // The state lives in memory; what is read once at the start need not stay there a second time.
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn set_format(meta: &mut redb::Table<'_, &'static str, &'static str>) -> Result<(), Malformed> {
    meta.insert("format", FORMAT.to_string().as_str())?;
    Ok(())
}

pub fn definition(table: Table) -> Definition {
    Definition::new(table.name())
}
