//! A disk in memory that forgets as real ones do: what was not synced may be lost, kept or torn when the power fails.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use redb::StorageBackend;

/// What a disk writes all at once; a write across several may be torn between them.
const SECTOR_BYTES: usize = 512;

/// The files on a disk: the database and its journal.
const FILES: usize = 2;

/// One company's disk. It survives the processes that use it.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: [Contents; FILES],
    // Counts processes: the one before can do nothing any more.
    user: u64,
    refuse_sync_after: Option<u32>,
    has_refused: bool,
}

#[derive(Default)]
struct Contents {
    // What is there after a power cut, whatever happens.
    durable: Vec<u8>,
    // What a process reads: the operating system's cache.
    cached: Vec<u8>,
    unsynced: Vec<Change>,
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

/// A file of a disk as one process sees it.
pub struct Mounted {
    disk: Disk,
    user: u64,
    file: usize,
}

/// The time for which a process has its disk: as long as it lives.
#[derive(Clone)]
pub struct Life {
    disk: Disk,
    user: u64,
}

impl Life {
    /// Whether the process is dead.
    pub fn is_over(&self) -> bool {
        self.disk.lock().user != self.user
    }
}

impl Disk {
    /// Gives the disk to a new process and takes it from the one before.
    pub fn mount(&self) -> Mounted {
        let mut state = self.lock();
        state.user += 1;
        Mounted { user: state.user, disk: self.clone(), file: 0 }
    }

    /// Takes the disk from its process, which dies. What it wrote stays in the cache.
    pub fn unmount(&self) {
        self.lock().user += 1;
    }

    /// The power fails: each change since the last sync is lost, kept, or torn.
    pub fn cut_power(&self, rng: &mut Rng) {
        let state = &mut *self.lock();
        state.user += 1;
        state.refuse_sync_after = None;
        for file in &mut state.files {
            for change in std::mem::take(&mut file.unsynced) {
                match rng.u8(0..3) {
                    0 => {}
                    1 => change.apply(&mut file.durable, |_| true),
                    _ => change.apply(&mut file.durable, |_| rng.bool()),
                }
            }
            file.cached = file.durable.clone();
        }
    }

    /// Lets the sync after `more` others fail, once. As on Linux, what it should have written counts as written afterwards.
    pub fn refuse_sync(&self, more: u32) {
        self.lock().refuse_sync_after = Some(more);
    }

    /// Takes [`Disk::refuse_sync`] back.
    pub fn never_mind(&self) {
        self.lock().refuse_sync_after = None;
    }

    /// What the operator does after a refused sync: copies what can be read to a sound disk.
    pub fn replace(&self) {
        let state = &mut *self.lock();
        state.refuse_sync_after = None;
        state.has_refused = false;
        for file in &mut state.files {
            file.unsynced.clear();
            file.durable = file.cached.clone();
        }
    }

    /// A disk on which there is what would be left if the power failed now and everything unsynced were lost.
    pub fn copy_of_durable(&self) -> Disk {
        let state = self.lock();
        let copy = |file: &Contents| Contents {
            durable: file.durable.clone(),
            cached: file.durable.clone(),
            unsynced: Vec::new(),
        };
        let files = state.files.each_ref().map(copy);
        Disk(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// Whether it has refused a sync since it was replaced.
    pub fn has_refused(&self) -> bool {
        self.lock().has_refused
    }

    // What it guards is never left half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Change::Length(length) => {
                if keeps(0) {
                    to.resize(*length, 0);
                }
            }
            Change::Write { offset, data } => {
                to.resize(to.len().max(offset + data.len()), 0);
                for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                    if keeps(number) {
                        let start = offset + number * SECTOR_BYTES;
                        to[start..start + sector.len()].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}

impl Mounted {
    /// The life of the process that has the disk now.
    pub fn life(&self) -> Life {
        Life { disk: self.disk.clone(), user: self.user }
    }

    /// The other file, for the same process.
    pub fn journal(&self) -> Mounted {
        Mounted { disk: self.disk.clone(), user: self.user, file: 1 }
    }

    fn with<A>(&self, act: impl FnOnce(&mut State) -> io::Result<A>) -> io::Result<A> {
        let mut state = self.disk.lock();
        if state.user != self.user {
            return Err(io::Error::other("simulated: the process is dead"));
        }
        act(&mut state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(|state| {
            let file = &mut state.files[self.file];
            change.apply(&mut file.cached, |_| true);
            file.unsynced.push(change);
            Ok(())
        })
    }
}

impl fmt::Debug for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mounted").field("user", &self.user).finish_non_exhaustive()
    }
}

impl StorageBackend for Mounted {
    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(state.files[self.file].cached.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|state| {
            let start = position(offset)?;
            let found = state.files[self.file].cached.get(start..start + out.len());
            out.copy_from_slice(found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(position(len)?))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|state| {
            let file = &mut state.files[self.file];
            let changes = std::mem::take(&mut file.unsynced);
            match state.refuse_sync_after {
                // Nothing of it is durable, and no later sync will write it.
                Some(0) => {
                    state.refuse_sync_after = None;
                    state.has_refused = true;
                    return Err(io::Error::other("simulated: the disk refuses to sync"));
                }
                Some(more) => state.refuse_sync_after = Some(more - 1),
                None => {}
            }
            changes.iter().for_each(|change| change.apply(&mut file.durable, |_| true));
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write { offset: position(offset)?, data: data.to_vec() })
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(disk: &Disk) -> Vec<u8> {
        let state = disk.lock();
        state.files[0].cached.clone()
    }

    #[test]
    fn only_what_was_synced_survives_a_power_cut_for_sure() {
        let (mut kept, mut lost, mut torn) = (0, 0, 0);
        for seed in 0..100 {
            let disk = Disk::default();
            let process = disk.mount();
            process.write(0, &[1; 2048]).unwrap();
            process.sync_data().unwrap();
            process.write(0, &[2; 2048]).unwrap();
            assert_eq!(contents(&disk), [2; 2048], "a process reads what it wrote");
            disk.cut_power(&mut Rng::with_seed(seed));
            match &contents(&disk) {
                all if *all == [2; 2048] => kept += 1,
                all if *all == [1; 2048] => lost += 1,
                all => {
                    assert!(
                        all.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|byte| *byte == sector[0]))
                    );
                    torn += 1;
                }
            }
        }
        assert!(kept > 10 && lost > 10 && torn > 10, "{kept} kept, {lost} lost, {torn} torn");
    }

    #[test]
    fn a_dead_process_writes_nothing_more() {
        let disk = Disk::default();
        let old = disk.mount();
        old.write(0, b"old").unwrap();
        disk.unmount();
        let new = disk.mount();
        assert!(old.write(0, b"OLD").is_err() && old.sync_data().is_err());
        let mut read = [0; 3];
        new.read(0, &mut read).unwrap();
        assert_eq!(&read, b"old", "what it wrote before is in the cache");
    }

    #[test]
    fn what_a_refused_sync_should_have_written_is_never_written() {
        let disk = Disk::default();
        let process = disk.mount();
        process.write(0, b"a").unwrap();
        disk.refuse_sync(0);
        assert!(process.sync_data().is_err());
        process.sync_data().unwrap();
        assert_eq!(contents(&disk.copy_of_durable()), b"");
        assert!(disk.has_refused());
        disk.replace();
        assert_eq!(contents(&disk.copy_of_durable()), b"a");
    }
}
