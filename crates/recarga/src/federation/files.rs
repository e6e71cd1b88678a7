//! The files of a federation's authority, and those of companies' keys.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use recarga_federation::{Authority, AuthorityKey, Roll};
use recarga_wire::federation::SignedRoll;

/// The authority's key.
pub const AUTHORITY_KEY: &str = "authority.key";
/// The roll.
pub const ROLL: &str = "roll.json";

/// 32 bytes from the system.
pub fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    let read =
        File::open("/dev/urandom").and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    read.context("cannot read /dev/urandom")?;
    Ok(bytes)
}

/// Makes a file that nobody but its owner can read; one that is there already stays.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file =
        made.with_context(|| format!("cannot make {}; a key that is there is not replaced", path.display()))?;
    writeln!(file, "{text}")
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The authority's key from its file.
pub fn read_authority(path: &Path) -> Result<Authority> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("cannot read {}; is it the folder of `recarga federation init`?", path.display())
    })?;
    text.trim().parse().map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// The roll from its file; without a key nobody has checked who signed it.
pub fn read_roll(path: &Path, authority: Option<&AuthorityKey>) -> Result<Roll> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let signed: SignedRoll =
        recarga_wire::decode(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
    let roll = match authority {
        Some(authority) => Roll::believe(&signed, authority),
        None => Roll::read_unchecked(&signed),
    };
    roll.with_context(|| format!("{}", path.display()))
}

/// Replaces the roll, all or nothing.
pub fn write_roll(path: &Path, signed: &SignedRoll) -> Result<()> {
    let fresh = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&fresh)?;
        file.write_all(&recarga_wire::encode(signed))?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
