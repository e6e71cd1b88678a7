//! A record put back from a copy: a file of another name, until all of it is there.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use recarga_reservation::OperatorId;
use redb::backends::{FileBackend, InMemoryBackend};

use super::tables::{Tables, careful};
use super::{Absorption, FILE, FILE_JOURNAL, HALF_BYTES, RedbStore, cannot_open, check_poison};
use crate::files::{make_private_folder, private};
use crate::store::{Boot, Record, Restoration, Store, StoreError};

const FILE_RESTORING: &str = "recarga.redb.restoring";

/// A database in a folder that had none.
pub struct RedbRestoration {
    folder: PathBuf,
    // Without a journal: what is cut off is begun anew.
    store: RedbStore,
    is_finished: bool,
}

impl RedbRestoration {
    /// Begins, in a folder that is made if it is missing; the record is to have the identity `boot`. What an earlier one
    /// has left is dropped.
    ///
    /// # Errors
    /// There is a record, or the disk refuses.
    pub fn begin(folder: &Path, operator: &OperatorId, boot: Boot) -> Result<Self, StoreError> {
        check_vacant(folder)?;
        let path = folder.join(FILE_RESTORING);
        let name = path.display().to_string();
        let io_error = |error: io::Error| StoreError::Io { path: name.clone(), reason: error.to_string() };
        make_private_folder(folder).map_err(io_error)?;
        check_poison(folder, &name)?;
        let file = private().open(&path).map_err(io_error)?;
        // Only then is it nobody else's, and may be emptied.
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path: name }),
            Err(TryLockError::Error(error)) => return Err(io_error(error)),
            Ok(()) => file.set_len(0).map_err(io_error)?,
        }
        let backend = FileBackend::new(file).map_err(|error| cannot_open(&name, error))?;
        let database = careful().create_with_backend(backend).map_err(|error| cannot_open(&name, error))?;
        let tables = Tables::new(database, &name);
        tables.make(operator)?;
        tables.set_identity(boot)?;
        let journal = Box::new(InMemoryBackend::new());
        let store = RedbStore::with(tables, journal, HALF_BYTES, Absorption::AtOnce, operator)?;
        Ok(Self { folder: folder.to_owned(), store, is_finished: false })
    }
}

impl Restoration for RedbRestoration {
    fn take(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.store.append(records)
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        let tables = self.store.tables.clone();
        let io_error = |error: io::Error| tables.io(error);
        let folder = File::open(&self.folder).map_err(io_error)?;
        // The file can be durable while its name is not, and must not be the record before it is.
        folder.sync_all().map_err(io_error)?;
        check_vacant(&self.folder)?;
        fs::rename(self.folder.join(FILE_RESTORING), self.folder.join(FILE)).map_err(io_error)?;
        self.is_finished = true;
        folder.sync_all().map_err(io_error)
    }
}

impl Drop for RedbRestoration {
    fn drop(&mut self) {
        if !self.is_finished {
            // If it stays, no node starts beside it.
            let _ = fs::remove_file(self.folder.join(FILE_RESTORING));
        }
    }
}

/// Whoever starts on half of a record would have lost the other half, and a new one would stand in its way.
pub fn refuse_half_restored(folder: &Path, path: &Path) -> Result<(), StoreError> {
    if path.exists() || !folder.join(FILE_RESTORING).exists() {
        return Ok(());
    }
    let reason = format!(
        "putting a copy back was cut off; do it again (or, to begin without a record, remove {FILE_RESTORING})"
    );
    Err(StoreError::Unreadable { path: path.display().to_string(), reason })
}

fn check_vacant(folder: &Path) -> Result<(), StoreError> {
    let there = [FILE, FILE_JOURNAL].into_iter().map(|name| folder.join(name)).find(|path| path.exists());
    there.map_or(Ok(()), |path| Err(StoreError::Occupied { path: path.display().to_string() }))
}
