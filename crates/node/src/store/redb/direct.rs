//! A file whose whole blocks are durable as soon as they are written, past the system's cache: of what it has once
//! written, a journal reads nothing before the next start. That takes one call where a write and a flush take two, and
//! a third less of the processor (docs/decisions/journal.md).
//!
//! Where the file system cannot do that, as those in memory cannot, everything goes the usual way.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;
use rustix::fs::OFlags;

use crate::files::private;

/// Parts of this size, and memory that begins at a multiple of it, suit every disk.
const BLOCK: usize = 4096;

/// The file.
#[derive(Debug)]
pub struct DirectFile {
    cached: File,
    direct: Option<File>,
    // A file system may take the file and refuse the first write.
    is_refused: AtomicBool,
    // What was written to the cache may not be on the disk.
    is_cached: AtomicBool,
    // Of what is to be written, a copy that begins where the disk wants it.
    copy: Mutex<Vec<u8>>,
}

impl DirectFile {
    /// Opens it for reading and writing, or makes it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let cached = private().open(path)?;
        let flags = OFlags::DIRECT | OFlags::DSYNC;
        // Its bits are a C int's.
        let direct = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path);
        Ok(Self {
            cached,
            direct: direct.ok(),
            is_refused: AtomicBool::new(false),
            is_cached: AtomicBool::new(true),
            copy: Mutex::default(),
        })
    }

    fn write_direct(&self, direct: &File, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = data.len() + BLOCK;
        if copy.len() < needed {
            copy.resize(needed, 0);
        }
        let begin = copy.as_ptr().align_offset(BLOCK);
        let aligned = copy.get_mut(begin..begin + data.len());
        let aligned = aligned.ok_or_else(|| io::Error::other("memory cannot be aligned"))?;
        aligned.copy_from_slice(data);
        direct.write_all_at(aligned, offset)
    }
}

impl StorageBackend for DirectFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.cached.read_exact_at(out, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.is_cached.store(true, Ordering::Relaxed);
        self.cached.set_len(length)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let is_whole = data.len().is_multiple_of(BLOCK) && offset.is_multiple_of(BLOCK as u64);
        let direct = self.direct.as_ref().filter(|_| is_whole && !self.is_refused.load(Ordering::Relaxed));
        match direct.map(|direct| self.write_direct(direct, offset, data)) {
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                self.is_refused.store(true, Ordering::Relaxed);
            }
            Some(written) => return written,
            None => {}
        }
        self.is_cached.store(true, Ordering::Relaxed);
        self.cached.write_all_at(data, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if !self.is_cached.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.cached.sync_data()?;
        self.is_cached.store(false, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Whole blocks and parts of them, one over the other, by either way.
    #[test]
    fn what_was_written_last_is_read_whichever_way_it_went() {
        const LENGTH: usize = 8 * BLOCK;
        let folder = tempfile::tempdir().unwrap();
        let usual = DirectFile { direct: None, ..DirectFile::open(&folder.path().join("usual")).unwrap() };
        let refused = DirectFile::open(&folder.path().join("refused")).unwrap();
        refused.is_refused.store(true, Ordering::Relaxed);
        for (seed, file) in
            [DirectFile::open(&folder.path().join("direct")).unwrap(), usual, refused].iter().enumerate()
        {
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let mut model = vec![0; LENGTH];
            file.set_len(LENGTH as u64).unwrap();
            for round in 0..200 {
                let unit = if random.bool() { BLOCK } else { 1 };
                let from = random.usize(0..LENGTH / unit) * unit;
                let to = from + random.usize(1..=(LENGTH - from) / unit) * unit;
                let data = vec![round as u8 + 1; to - from];
                file.write(from as u64, &data).unwrap();
                model[from..to].copy_from_slice(&data);
                if random.bool() {
                    file.sync_data().unwrap();
                }
                let mut read = vec![0; LENGTH];
                file.read(0, &mut read).unwrap();
                assert!(read == model, "file {seed}, round {round}: {from}..{to}");
            }
            assert_eq!(file.len().unwrap(), LENGTH as u64);
        }
    }

    #[test]
    fn a_write_that_is_refused_goes_the_usual_way_and_one_that_fails_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let with = |direct: &str| {
            let direct = OpenOptions::new().write(true).open(direct).unwrap();
            DirectFile { direct: Some(direct), ..DirectFile::open(&folder.path().join("file")).unwrap() }
        };
        // It takes only a number, and calls all else an invalid argument.
        let file = with("/proc/self/oom_score_adj");
        file.write(0, &[7; BLOCK]).unwrap();
        assert!(file.is_refused.load(Ordering::Relaxed) && file.is_cached.load(Ordering::Relaxed));
        let mut read = [0; BLOCK];
        file.read(0, &mut read).unwrap();
        assert_eq!(read, [7; BLOCK]);
        let full = with("/dev/full");
        assert_eq!(full.write(0, &[8; BLOCK]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        full.read(0, &mut read).unwrap();
        assert_eq!(read, [7; BLOCK], "what failed is not put into the cache");
    }

    #[test]
    fn what_went_past_the_cache_needs_no_flush_and_all_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = DirectFile::open(&folder.path().join("file")).unwrap();
        let is_cached = || file.is_cached.load(Ordering::Relaxed);
        assert!(is_cached(), "what an earlier run wrote may not be on the disk");
        file.sync_data().unwrap();
        file.write(0, &[1; BLOCK]).unwrap();
        let is_direct = file.direct.is_some() && !file.is_refused.load(Ordering::Relaxed);
        assert_eq!(is_cached(), !is_direct);
        file.write(1, &[2]).unwrap();
        assert!(is_cached());
        file.sync_data().unwrap();
        assert!(!is_cached());
    }
}
