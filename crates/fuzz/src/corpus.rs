//! The kept inputs: small real examples, and every input that ever found a defect, named after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// An input that is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its file.
    pub path: PathBuf,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// The corpus of the repository.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The kept inputs of a target, in the order of their names.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn of(target: &str) -> io::Result<Vec<Kept>> {
    let folder = folder().join(target);
    let read = || {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            kept.push(Kept { bytes: fs::read(&path)?, path });
        }
        kept.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(kept)
    };
    let kept =
        read().map_err(|error: io::Error| io::Error::other(format!("{}: {error}", folder.display())))?;
    if kept.is_empty() {
        return Err(io::Error::other(format!("{}: no input is kept there", folder.display())));
    }
    Ok(kept)
}
