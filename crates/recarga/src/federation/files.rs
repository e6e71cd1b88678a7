//! The files of a federation's authority, and those of companies' keys.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use recarga_federation::{Authority, AuthorityKey, Roll};
use recarga_wire::federation::SignedRoll;

use crate::files::write_whole;

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
    let mut text = recarga_wire::encode(signed);
    text.push(b'\n');
    write_whole(path, &text)
}
