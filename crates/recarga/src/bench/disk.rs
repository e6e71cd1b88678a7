//! What the disk can do by itself: the yardstick for everything that waits for it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::Instant;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

/// How fast a preallocated 4 KiB block becomes durable, one after the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SyncRate {
    /// How many a second.
    pub per_second: f64,
    /// The median, in µs.
    pub p50_us: f64,
}

impl SyncRate {
    /// The mean of several measurements.
    pub fn mean(of: &[SyncRate]) -> SyncRate {
        let count = of.len().max(1) as f64;
        SyncRate {
            per_second: of.iter().map(|one| one.per_second).sum::<f64>() / count,
            p50_us: of.iter().map(|one| one.p50_us).sum::<f64>() / count,
        }
    }
}

/// Measures `fdatasync` in `folder`.
///
/// # Errors
/// The disk refuses.
pub fn measure_sync(folder: &Path, time: Duration) -> Result<SyncRate> {
    let path = folder.join("fdatasync.probe");
    let file = File::options().create(true).write(true).truncate(true).open(&path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let measured = measure_file(&file, time);
    // Also where the disk refused: a file that nobody knows would take of the room that is missing.
    let _ = std::fs::remove_file(path);
    measured
}

fn measure_file(file: &File, time: Duration) -> Result<SyncRate> {
    file.write_all_at(&vec![1; BLOCK * BLOCKS as usize], 0).context("cannot preallocate")?;
    file.sync_all().context("cannot sync")?;
    let (started, mut took) = (Instant::now(), Vec::new());
    let mut block = [0; BLOCK];
    while started.elapsed() < time {
        let number = took.len() as u64;
        block[..8].copy_from_slice(&number.to_le_bytes());
        let begun = Instant::now();
        file.write_all_at(&block, number % BLOCKS * BLOCK as u64).context("cannot write")?;
        file.sync_data().context("cannot sync")?;
        took.push(begun.elapsed());
    }
    let per_second = took.len() as f64 / started.elapsed().as_secs_f64();
    took.sort_unstable();
    let p50 = took.get(took.len() / 2).copied().unwrap_or_default();
    Ok(SyncRate { per_second, p50_us: p50.as_secs_f64() * 1e6 })
}

/// The file system on which a folder lies.
#[derive(Clone, Debug, Serialize)]
pub struct FileSystem {
    /// As in `ext4`.
    pub kind: String,
    /// As in `/dev/sda1`.
    pub device: String,
}

impl FileSystem {
    /// Finds it in the kernel's table of mounts.
    ///
    /// # Errors
    /// The folder or the table cannot be read.
    pub fn of(folder: &Path) -> Result<FileSystem> {
        let folder = folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))?;
        let mounts = std::fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
        Self::find(&mounts, &folder).context("no file system found")
    }

    /// Whether nothing on it survives a power cut, so that figures of durable writes mean nothing.
    pub fn is_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs" | "rootfs" | "devtmpfs")
    }

    // The longest mount point wins, and of equal ones the last: it hides the others.
    fn find(mounts: &str, folder: &Path) -> Option<FileSystem> {
        let mut best: Option<(usize, FileSystem)> = None;
        for line in mounts.lines() {
            let mut fields = line.split(' ');
            let (Some(device), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let length = point.len();
            if folder.starts_with(point) && best.as_ref().is_none_or(|(longest, _)| length >= *longest) {
                best = Some((length, FileSystem { kind: kind.to_owned(), device: device.to_owned() }));
            }
        }
        best.map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_is_found() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmpfiles xfs rw 0 0\n";
        let kind = |path: &str| FileSystem::find(mounts, Path::new(path)).unwrap().kind;
        assert_eq!(kind("/home/x"), "ext4");
        assert_eq!(kind("/tmp/x"), "tmpfs");
        assert_eq!(kind("/tmpfiles/x"), "xfs");
    }
}
