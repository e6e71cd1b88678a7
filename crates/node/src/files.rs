//! Files that are there whole or not at all, also after a crash.

use std::fs::File;
use std::io::{Result, Write as _};
use std::path::Path;

/// Makes or replaces a file.
///
/// # Errors
/// What the system says; the file is as it was before.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut file = File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}
