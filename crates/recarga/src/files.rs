//! Files that commands make: whole or not at all, and secrets that nobody else can read.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a file that nobody but its owner can read; one that is there already stays.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file =
        made.with_context(|| format!("cannot make {}; a key that is there is not replaced", path.display()))?;
    let written = writeln!(file, "{}", text.trim_end()).and_then(|()| file.sync_all());
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Makes or replaces a file, all or nothing.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    recarga_node::files::write_whole(path, content)
        .with_context(|| format!("cannot write {}", path.display()))
}
