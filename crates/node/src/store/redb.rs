//! The durable record in a folder: tables of the embedded database redb, and before them a journal.
//!
//! What is written goes to the journal, which takes one write and one flush, and from there to the tables in large
//! portions: when half of the journal is full, when the store is closed, and after a crash at the next start.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use recarga_reservation::{OperatorId, StoreId};
use redb::{Database, DatabaseError, StorageBackend};

use self::direct::DirectFile;
use self::journal::{Journal, JournalError};
use self::restoration::refuse_half_restored;
use self::snapshot::RedbSnapshot;
use self::tables::{JournalState, Meta, Pending, Tables, careful};
use super::rows::{Row, Table};
use super::{Boot, Record, Snapshot, Store, StoreError};
use crate::files::{make_private_folder, private};

mod direct;
mod journal;
mod restoration;
mod snapshot;
mod tables;

pub use restoration::RedbRestoration;

const FILE: &str = "recarga.redb";
// What is being made for the first time, until it can be told from a file that has lost its contents.
const FILE_NEW: &str = "recarga.redb.new";
const FILE_JOURNAL: &str = "recarga.journal";
const POISON: &str = "recarga.poisoned";
/// Half of the journal: what a start after a crash reads, and what is kept in memory until the tables have it.
const HALF_BYTES: u64 = 8 << 20;

/// A database file with its journal, or whatever else they can live on.
pub struct RedbStore {
    tables: Arc<Tables>,
    // Until the node starts there is no journal, only its file.
    file: Option<Box<dyn StorageBackend>>,
    journal: Option<Journal>,
    half_bytes: u64,
    // What the half that is being written holds.
    pending: Pending,
    absorption: Absorption,
    failed: bool,
}

impl RedbStore {
    /// Opens `recarga.redb` and `recarga.journal` in `folder`, all made if they are missing. Only one process can have
    /// them open.
    ///
    /// # Errors
    /// In use, damaged, foreign, of another company, or an earlier run stopped on a failed write.
    pub fn open(folder: &Path, operator: &OperatorId) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        let name = path.display().to_string();
        let io_error = |error: io::Error| StoreError::Io { path: name.clone(), reason: error.to_string() };
        make_private_folder(folder).map_err(io_error)?;
        check_poison(folder, &name)?;
        refuse_half_restored(folder, &path)?;
        let tables = if path.exists() {
            open_file(&path, &name)?
        } else {
            if folder.join(FILE_JOURNAL).exists() {
                let reason = format!("it is gone, and {FILE_JOURNAL} is still there");
                return Err(StoreError::Unreadable { path: name, reason });
            }
            let new = folder.join(FILE_NEW);
            let tables = guarded(&name, || {
                let tables = Tables::new(create_file(&new, &name)?, &name);
                tables.make(operator)?;
                Ok(tables)
            })?;
            fs::rename(new, path).map_err(io_error)?;
            tables
        };
        let journal = open_journal(folder).map_err(io_error)?;
        // A file can be durable while its name is not.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error)?;
        let absorption = Absorption::Aside(None);
        guarded(&name, || Self::with(tables, journal, HALF_BYTES, absorption, operator))
    }

    /// As [`RedbStore::open`], where nothing is made.
    ///
    /// # Errors
    /// As there; also if there is no database.
    pub fn open_existing(folder: &Path, operator: &OperatorId) -> Result<Self, StoreError> {
        let path = folder.join(FILE);
        fs::metadata(&path).map_err(|error| StoreError::Io {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Self::open(folder, operator)
    }

    /// Opens tables and journal on backends of the caller's, such as a simulated disk. All work is done in the
    /// caller's thread, so that every step can be repeated. A journal takes two times `half_bytes`, a multiple of 4096.
    ///
    /// # Errors
    /// As [`RedbStore::open`].
    pub fn open_on(
        database: impl StorageBackend,
        journal: impl StorageBackend,
        half_bytes: u64,
        name: &str,
        operator: &OperatorId,
    ) -> Result<Self, StoreError> {
        let tables = Tables::open_on(database, name)?;
        if tables.meta()?.is_none() {
            tables.make(operator)?;
        }
        Self::with(tables, Box::new(journal), half_bytes, Absorption::AtOnce, operator)
    }

    /// Reads everything in a stopped node's folder and changes nothing but what a crash left half-written: for audits.
    ///
    /// # Errors
    /// As [`RedbStore::open`]; also if there is no database.
    pub fn read(folder: &Path) -> Result<(OperatorId, Boot, Vec<Record>), StoreError> {
        let path = folder.join(FILE);
        let name = path.display().to_string();
        let tables = open_file(&path, &name)?;
        let (operator, boot) = guarded(&name, || {
            let meta = tables.meta()?.ok_or_else(|| tables.unreadable("it has no facts about itself"))?;
            let operator = OperatorId::new(&meta.operator).map_err(|error| tables.unreadable(error))?;
            let boot = meta.boot.ok_or_else(|| tables.unreadable("it has never been started"))?;
            let journal = open_journal(folder).map_err(|error| tables.io(error))?;
            recover(&tables, &meta, &*journal)?;
            Ok((operator, boot))
        })?;
        let mut records = Vec::new();
        each(&tables, &mut |record| records.push(record))?;
        Ok((operator, boot, records))
    }

    /// Gives a record that was put back by other means than this program's another identity. It must have been started
    /// once.
    ///
    /// # Errors
    /// As [`Store::append`]; also if it has no identity yet.
    pub fn renew(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.end_journal()?;
        let before = self.tables.meta()?.and_then(|meta| meta.boot);
        let boot = before.and_then(|before| before.put_back(fresh_id));
        let boot = boot.ok_or_else(|| self.tables.unreadable("it has never been started"))?;
        self.tables.set_identity(boot)?;
        Ok(boot)
    }

    fn with(
        tables: Tables,
        file: Box<dyn StorageBackend>,
        half_bytes: u64,
        absorption: Absorption,
        operator: &OperatorId,
    ) -> Result<Self, StoreError> {
        let meta = tables.meta()?.ok_or_else(|| tables.unreadable("it has no facts about itself"))?;
        if meta.operator != operator.as_str() {
            return Err(StoreError::OtherOperator {
                path: tables.name().to_owned(),
                found: meta.operator,
                expected: operator.to_string(),
            });
        }
        recover(&tables, &meta, &*file)?;
        Ok(Self {
            tables: Arc::new(tables),
            file: Some(file),
            journal: None,
            half_bytes,
            pending: Pending::default(),
            absorption,
            failed: false,
        })
    }

    fn write(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let io_error = |error: io::Error| self.tables.io(error);
        let rows: Result<Vec<Row>, _> = records.iter().map(Row::of).collect();
        let rows = rows.map_err(|error| self.tables.io(error))?;
        let Some(journal) = &mut self.journal else {
            self.pending.extend(rows);
            return self.tables.absorb(&mem::take(&mut self.pending), None);
        };
        self.absorption.check(&self.tables)?;
        journal.frame(&rows);
        if !journal.can_take() {
            self.absorption.wait(&self.tables)?;
            self.pending.extend(rows);
            journal.skip();
            return self.tables.absorb(&mem::take(&mut self.pending), Some(journal.last()));
        }
        if !journal.has_room() {
            // The other half must be in the tables before it is written over.
            self.absorption.wait(&self.tables)?;
            self.absorption.begin(&self.tables, mem::take(&mut self.pending), journal.last())?;
            journal.turn();
        }
        journal.append().map_err(io_error)?;
        self.pending.extend(rows);
        Ok(())
    }

    // Everything into the tables, so that the journal is needed no longer.
    fn end_journal(&mut self) -> Result<(), StoreError> {
        let Some(journal) = self.journal.take() else { return Ok(()) };
        self.file = Some(journal.into_file());
        self.absorption.wait(&self.tables)?;
        self.tables.absorb(&mem::take(&mut self.pending), None)
    }
}

impl Store for RedbStore {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.end_journal()?;
        let before = guarded(self.tables.name(), || self.tables.meta())?.and_then(|meta| meta.boot);
        let before = before.unwrap_or(Boot { store: fresh_id, epoch: 0 });
        let next = before.epoch.checked_add(1);
        let epoch = next.ok_or_else(|| self.tables.unreadable("no epoch comes after its last one"))?;
        let boot = Boot { epoch, ..before };
        let Some(file) = self.file.take() else { return Err(self.tables.io("the journal has no file")) };
        let journal = Journal::begin(file, self.half_bytes, boot.journal());
        self.journal = Some(journal.map_err(|error| self.tables.io(error))?);
        self.tables.set_boot(boot, self.half_bytes)?;
        Ok(boot)
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        if let Some(journal) = self.journal.as_ref().filter(|_| !self.pending.is_empty()) {
            self.absorption.wait(&self.tables)?;
            self.tables.absorb(&mem::take(&mut self.pending), Some(journal.last()))?;
        }
        each(&self.tables, take)
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let written = self.write(records);
        self.failed |= written.is_err();
        written
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        // What is on its way into the tables may be there or not: to take it once more changes nothing.
        let newer = self.absorption.rows().into_iter().chain([Arc::new(self.pending.clone())]).collect();
        Ok(Box::new(RedbSnapshot::new(self.tables.clone(), newer)?))
    }

    // Then the next start needs no journal.
    fn close(&mut self) -> Result<(), StoreError> {
        if self.failed { Ok(()) } else { self.end_journal() }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        // Whoever wants to know calls `close`. The journal has everything until the tables do.
        let _ = self.close();
    }
}

/// Where half a journal is taken into the tables, and one that is under way.
enum Absorption {
    /// In the caller's thread.
    AtOnce,
    /// In a thread of its own, while the other half is written.
    Aside(Option<UnderWay>),
}

struct UnderWay {
    rows: Arc<Pending>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Absorption {
    fn begin(&mut self, tables: &Arc<Tables>, rows: Pending, up_to: u64) -> Result<(), StoreError> {
        match self {
            Absorption::AtOnce => tables.absorb(&rows, Some(up_to)),
            Absorption::Aside(under_way) => {
                let rows = Arc::new(rows);
                let (into, absorbed) = (tables.clone(), rows.clone());
                let thread = thread::spawn(move || into.absorb(&absorbed, Some(up_to)));
                *under_way = Some(UnderWay { rows, thread });
                Ok(())
            }
        }
    }

    fn rows(&self) -> Option<Arc<Pending>> {
        match self {
            Absorption::Aside(under_way) => under_way.as_ref().map(|under_way| under_way.rows.clone()),
            Absorption::AtOnce => None,
        }
    }

    // A failed one is to stop the process soon, not only when the next one begins.
    fn check(&mut self, tables: &Tables) -> Result<(), StoreError> {
        match self {
            Absorption::Aside(Some(under_way)) if under_way.thread.is_finished() => self.wait(tables),
            _ => Ok(()),
        }
    }

    fn wait(&mut self, tables: &Tables) -> Result<(), StoreError> {
        let Absorption::Aside(under_way) = self else { return Ok(()) };
        let Some(ended) = under_way.take().map(|under_way| under_way.thread.join()) else { return Ok(()) };
        ended.unwrap_or_else(|_| Err(tables.io("the thread that takes the journal in has panicked")))
    }
}

// What takes the records is not guarded: what goes wrong there is no damage.
fn each(tables: &Tables, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
    for table in Table::ALL {
        let mut after = None;
        loop {
            let portion = guarded(tables.name(), || tables.portion(table, after.as_deref()))?;
            portion.records.into_iter().for_each(&mut *take);
            match portion.last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
    }
    Ok(())
}

// Takes in what the last run left in its journal.
fn recover(tables: &Tables, meta: &Meta, file: &dyn StorageBackend) -> Result<(), StoreError> {
    let JournalState::Open { half_bytes, absorbed } = meta.journal else {
        // After damage to what it wrote last, the database goes back to the state before, silently.
        let next = meta.boot.map(|boot| Boot { epoch: boot.epoch.wrapping_add(1), ..boot }.journal());
        return match journal::has_rows(file, next).map_err(|error| tables.io(error))? {
            true => Err(tables.unreadable(format!("{FILE_JOURNAL} is that of a later start"))),
            false => Ok(()),
        };
    };
    let boot = meta.boot.ok_or_else(|| tables.unreadable("it has a journal and no identity"))?;
    let frames = journal::read(file, half_bytes, boot.journal(), absorbed);
    let frames = frames.map_err(|error| match error {
        JournalError::Io(error) => tables.io(format!("{FILE_JOURNAL}: {error}")),
        JournalError::Damaged(_) => tables.unreadable(format!("{error} ({FILE_JOURNAL})")),
    })?;
    let mut rows = Pending::default();
    rows.extend(frames.into_iter().flat_map(|frame| frame.rows));
    tables.absorb(&rows, None)
}

fn open_journal(folder: &Path) -> io::Result<Box<dyn StorageBackend>> {
    Ok(Box::new(DirectFile::open(&folder.join(FILE_JOURNAL))?))
}

// The database would take an empty file for a new one, and a company that had lost everything would not notice.
fn open_file(path: &Path, name: &str) -> Result<Tables, StoreError> {
    guarded(name, || {
        let database = careful().open(path).map_err(|error| cannot_open(name, error))?;
        Ok(Tables::new(database, name))
    })
}

fn create_file(path: &Path, name: &str) -> Result<Database, StoreError> {
    let create = || {
        private().open(path)?;
        careful().create(path)
    };
    let created = match create() {
        // An earlier start was cut off before it had promised anything.
        Err(error) if !matches!(error, DatabaseError::DatabaseAlreadyOpen) => {
            let removed = fs::remove_file(path).map_err(|_| error);
            removed.and_then(|()| create())
        }
        created => created,
    };
    created.map_err(|error| cannot_open(name, error))
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
