//! The durable record in one file of the embedded database redb.

use std::fmt::Display;
use std::fs::{self, File};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use recarga_reservation::{Branch, Fact, Hold, OperatorId, RequestKey, StoreId};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    WriteTransaction,
};

use super::rows::{self, Malformed};
use super::{Boot, Record, Store, StoreError};

/// Newest format that this program reads; it writes this one.
const FORMAT: u32 = 1;
const CACHE_BYTES: usize = 64 << 20;
const FILE: &str = "recarga.redb";
// What is being made for the first time, until it can be told from a file that has lost its contents.
const FILE_NEW: &str = "recarga.redb.new";
const POISON: &str = "recarga.poisoned";

type Table = TableDefinition<'static, &'static str, &'static [u8]>;
const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
const BRANCHES: Table = Table::new("branches");
const TRIPS: Table = Table::new("trips");
const LETTERS: Table = Table::new("letters");

/// A database file, or whatever else redb can live on.
pub struct RedbStore {
    database: Database,
    name: String,
}

impl RedbStore {
    /// Opens `recarga.redb` in `folder`, both made if they are missing. Only one process can have it open.
    ///
    /// # Errors
    /// In use, damaged, foreign, of another company, or an earlier run stopped on a failed write.
    pub fn open(folder: &Path, operator: &OperatorId) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let name = path.display().to_string();
        let io_error = |error: io::Error| StoreError::Io { path: name.clone(), reason: error.to_string() };
        fs::create_dir_all(folder).map_err(io_error)?;
        check_poison(folder, &name)?;
        if path.exists() {
            return guarded(&name, || Self::open_file(&path, &name)?.for_operator(operator));
        }
        let new = folder.join(FILE_NEW);
        let store = guarded(&name, || Self::create_file(&new, &name)?.for_operator(operator))?;
        fs::rename(new, path).map_err(io_error)?;
        // A file can be durable while its name is not.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error)?;
        Ok(store)
    }

    // The database would take an empty file for a new one, and a company that had lost everything would not notice.
    fn open_file(path: &Path, name: &str) -> Result<Self, StoreError> {
        let database = careful().open(path).map_err(|error| cannot_open(name, error))?;
        Ok(Self { database, name: name.to_owned() })
    }

    fn create_file(path: &Path, name: &str) -> Result<Self, StoreError> {
        let created = match Database::create(path) {
            // An earlier start was cut off before it had promised anything.
            Err(error) if !matches!(error, DatabaseError::DatabaseAlreadyOpen) => {
                let removed = fs::remove_file(path).map_err(|_| error);
                removed.and_then(|()| Database::create(path))
            }
            created => created,
        };
        let database = created.map_err(|error| cannot_open(name, error))?;
        Ok(Self { database, name: name.to_owned() })
    }

    /// Opens a database on a backend of the caller's, such as a simulated disk.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_on(
        backend: impl StorageBackend,
        name: &str,
        operator: &OperatorId,
    ) -> Result<Self, StoreError> {
        let opened = careful().create_with_backend(backend);
        let database = opened.map_err(|error| cannot_open(name, error))?;
        Self { database, name: name.to_owned() }.for_operator(operator)
    }

    /// Reads everything in a stopped node's folder and changes nothing but what a crash left half-written: for audits.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; also if there is no database.
    pub fn read(folder: &Path) -> Result<(OperatorId, Boot, Vec<Record>), StoreError> {
        let path = folder.join(FILE);
        let name = path.display().to_string();
        guarded(&name, || Self::read_all(&path, &name))
    }

    fn read_all(path: &Path, name: &str) -> Result<(OperatorId, Boot, Vec<Record>), StoreError> {
        let store = Self::open_file(path, name)?;
        let (operator, boot) = store.read_meta()?;
        let unreadable = |reason: &str| store.unreadable(reason);
        let operator = operator.ok_or_else(|| unreadable("it names no company"))?;
        let operator = OperatorId::new(&operator).map_err(|error| store.unreadable(error))?;
        let boot = boot.ok_or_else(|| store.unreadable("it has never been started"))?;
        Ok((operator, boot, store.read_tables()?))
    }

    fn for_operator(self, operator: &OperatorId) -> Result<Self, StoreError> {
        let (known, _) = self.read_meta()?;
        match known {
            Some(known) if known != operator.as_str() => Err(StoreError::OtherOperator {
                path: self.name,
                found: known,
                expected: operator.to_string(),
            }),
            Some(_) => Ok(self),
            None => {
                self.write(|transaction| {
                    let mut meta = transaction.open_table(META)?;
                    meta.insert("format", FORMAT.to_string().as_str())?;
                    meta.insert("operator", operator.as_str())?;
                    transaction.open_table(BRANCHES)?;
                    transaction.open_table(TRIPS)?;
                    transaction.open_table(LETTERS)?;
                    Ok(())
                })?;
                Ok(self)
            }
        }
    }

    fn read_meta(&self) -> Result<(Option<String>, Option<Boot>), StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.io(error))?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok((None, None)),
            Err(error) => return Err(self.unreadable(error)),
        };
        let get = |key: &str| match meta.get(key) {
            Ok(value) => Ok(value.map(|value| value.value().to_owned())),
            Err(error) => Err(self.io(error)),
        };
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
                epoch: epoch.parse().map_err(|error| self.unreadable(error))?,
            }),
            (None, None) => None,
            // They are written together. With a new identity the old reservations would be nobody's.
            _ => return Err(self.unreadable("it has half an identity")),
        };
        let operator = get("operator")?.ok_or_else(|| self.unreadable("it names no company"))?;
        Ok((Some(operator), boot))
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), Malformed>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(|error| self.io(error))?;
        change(&transaction).map_err(|error| self.io(error))?;
        transaction.commit().map_err(|error| self.io(error))
    }

    fn read_tables(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        let branch = |key: &str, value: &[u8]| {
            let (transaction, branch) = (key.parse()?, rows::read_branch(value)?);
            check_name(key, hold_of(&branch).map(|hold| hold.transaction.to_string()))?;
            Ok(Record::Fact(Fact::Branch(transaction, branch)))
        };
        self.read_table(BRANCHES, branch, &mut records)?;
        let trip = |key: &str, value: &[u8]| {
            let trip = rows::read_trip(value)?;
            check_name(key, Some(trip.transaction.to_string()))?;
            Ok(Record::Fact(Fact::Trip(trip)))
        };
        self.read_table(TRIPS, trip, &mut records)?;
        let letter = |key: &str, value: &[u8]| {
            let letter = rows::read_letter(value)?;
            check_name(key, Some(letter_key(&letter.key)))?;
            Ok(Record::Letter(letter))
        };
        self.read_table(LETTERS, letter, &mut records)?;
        Ok(records)
    }

    fn read_table(
        &self,
        table: Table,
        mut row: impl FnMut(&str, &[u8]) -> Result<Record, Malformed>,
        records: &mut Vec<Record>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_read().map_err(|error| self.io(error))?;
        let table = transaction.open_table(table).map_err(|error| self.unreadable(error))?;
        for entry in table.iter().map_err(|error| self.io(error))? {
            let (key, value) = entry.map_err(|error| self.io(error))?;
            let record = row(key.value(), value.value());
            records.push(record.map_err(|error| self.unreadable(format!("row {}: {error}", key.value())))?);
        }
        Ok(())
    }

    fn io(&self, error: impl Display) -> StoreError {
        StoreError::Io { path: self.name.clone(), reason: error.to_string() }
    }

    fn unreadable(&self, reason: impl Display) -> StoreError {
        StoreError::Unreadable { path: self.name.clone(), reason: reason.to_string() }
    }
}

impl Store for RedbStore {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let (_, before) = guarded(&self.name, || self.read_meta())?;
        let before = before.unwrap_or(Boot { store: fresh_id, epoch: 0 });
        let next = before.epoch.checked_add(1);
        let epoch = next.ok_or_else(|| self.unreadable("no epoch comes after its last one"))?;
        let boot = Boot { epoch, ..before };
        self.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            meta.insert("store", boot.store.to_string().as_str())?;
            meta.insert("epoch", boot.epoch.to_string().as_str())?;
            Ok(())
        })?;
        Ok(boot)
    }

    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        guarded(&self.name, || self.read_tables())
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut branches = transaction.open_table(BRANCHES)?;
            let mut trips = transaction.open_table(TRIPS)?;
            let mut letters = transaction.open_table(LETTERS)?;
            for record in records {
                match record {
                    Record::Fact(Fact::Branch(transaction, branch)) => {
                        branches.insert(transaction.to_string().as_str(), &*rows::write_branch(branch)?)?;
                    }
                    Record::Fact(Fact::BranchForgotten(transaction)) => {
                        branches.remove(transaction.to_string().as_str())?;
                    }
                    Record::Fact(Fact::Trip(trip)) => {
                        trips.insert(trip.transaction.to_string().as_str(), &*rows::write_trip(trip)?)?;
                    }
                    Record::Fact(Fact::TripForgotten(transaction)) => {
                        trips.remove(transaction.to_string().as_str())?;
                    }
                    Record::Letter(letter) => {
                        letters.insert(letter_key(&letter.key).as_str(), &*rows::write_letter(letter)?)?;
                    }
                    Record::LetterForgotten(key) => {
                        letters.remove(letter_key(key).as_str())?;
                    }
                }
            }
            Ok(())
        })
    }
}

// All of it is read at every start, so the checksum of every page may as well be verified.
fn careful() -> Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    // The state lives in memory; what is read once at the start need not stay there a second time.
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Leaves a note that a write failed, so that nothing starts on this folder before a person has looked: after a
/// failed sync the system may believe pages clean that never reached the disk.
///
/// # Errors
/// The disk may well refuse this write too.
pub fn poison(folder: &Path, reason: &str) -> io::Result<()> {
    fs::write(folder.join(POISON), reason)
}

fn check_poison(folder: &Path, name: &str) -> Result<(), StoreError> {
    let marker: PathBuf = folder.join(POISON);
    match fs::read_to_string(&marker) {
        Ok(reason) => Err(StoreError::Poisoned {
            path: name.to_owned(),
            marker: marker.display().to_string(),
            reason: reason.trim().to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::Io { path: marker.display().to_string(), reason: error.to_string() }),
    }
}

// Some kinds of damage make the database panic instead of saying so. Only for reading at the start, when nothing is
// promised yet; the panic's own message would be of no use to an operator.
fn guarded<T>(name: &str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    static HOOK: Mutex<()> = Mutex::new(());
    let caught = {
        let _only_one = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
        let hook = panic::take_hook();
        panic::set_hook(Box::new(|_| {}));
        let caught = panic::catch_unwind(AssertUnwindSafe(work));
        panic::set_hook(hook);
        caught
    };
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it makes no sense");
        Err(StoreError::Unreadable { path: name.to_owned(), reason: text.to_owned() })
    })
}

fn cannot_open(name: &str, error: DatabaseError) -> StoreError {
    let path = name.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path },
        DatabaseError::Storage(redb::StorageError::Io(error))
            if error.kind() != io::ErrorKind::InvalidData && error.kind() != io::ErrorKind::UnexpectedEof =>
        {
            StoreError::Io { path, reason: error.to_string() }
        }
        error => StoreError::Unreadable { path, reason: error.to_string() },
    }
}

// Of two rows that speak of the same thing, the one read last would count.
fn check_name(key: &str, own: Option<String>) -> Result<(), Malformed> {
    match own {
        Some(own) if own != key => Err(format!("it speaks of {own}").into()),
        _ => Ok(()),
    }
}

fn hold_of(branch: &Branch) -> Option<&Hold> {
    match branch {
        Branch::Held { hold, .. }
        | Branch::Prepared { hold }
        | Branch::Confirmed { hold }
        | Branch::Released { hold } => Some(hold),
        Branch::Aborted { hold, .. } => hold.as_deref(),
    }
}

fn letter_key(key: &RequestKey) -> String {
    format!("{}/{}", key.vehicle, key.request)
}
