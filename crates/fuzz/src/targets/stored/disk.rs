//! A disk in memory.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, StorageBackend, WriteTransaction};

/// A disk; its clones are the same one.
#[derive(Clone, Debug)]
pub struct Disk(Arc<Mutex<Vec<u8>>>);

impl Disk {
    /// A disk with these bytes on it.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(bytes.to_vec())))
    }

    /// What is on it.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// Changes rows below the store's feet.
    pub fn change(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), String> {
        let work = || {
            let database = Database::builder().create_with_backend(self.clone())?;
            let transaction = database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
            Ok::<(), redb::Error>(())
        };
        work().map_err(|error| format!("the harness cannot change a row: {error}"))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.lock();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(out.len()).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(&bytes[start..end]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        // A damaged file may claim to be of any length.
        if len > 64 << 20 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.lock().resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let mut bytes = self.lock();
        let end = start.checked_add(data.len()).filter(|end| *end <= bytes.len());
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        bytes[start..end].copy_from_slice(data);
        Ok(())
    }
}
