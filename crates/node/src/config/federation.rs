//! Who says who belongs to the federation, and by which key this company is known in it.

use std::path::{Path, PathBuf};

use recarga_federation::{AuthorityKey, CompanyKey, KeyError};
use rustix::fs::Access;
use serde::Deserialize;

use super::Secret;

/// A federation with a roll.
#[derive(Clone, Debug)]
pub struct FederationConfig {
    /// The file with the signed roll; a later one that another company brings is written there.
    pub members: PathBuf,
    /// Whose signature is believed.
    pub authority: AuthorityKey,
    /// This company's own key.
    pub key: CompanyKey,
}

impl FederationConfig {
    /// What an operator should know.
    pub(super) fn warning(&self) -> Option<String> {
        let folder = self.members.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // A file is made beside it and renamed.
        let error = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).err()?;
        Some(format!(
            "federation.members: {} cannot be written ({error}): a later roll that another company brings is forgotten at a restart; let the node's user write there",
            folder.display()
        ))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FederationTable {
    members: PathBuf,
    authority: String,
    key: Option<Secret>,
    key_file: Option<PathBuf>,
}

pub(super) fn check(
    table: FederationTable,
    folder: &Path,
    problems: &mut Vec<String>,
) -> Option<FederationConfig> {
    let authority = table.authority.trim().parse::<AuthorityKey>();
    let authority = authority.map_err(|error| problems.push(format!("federation.authority: {error}"))).ok();
    let key = match (table.key, table.key_file) {
        (Some(key), None) => read_key(key.expose(), "federation.key", problems),
        (None, Some(file)) => match std::fs::read_to_string(folder.join(&file)) {
            Ok(text) => read_key(&text, "federation.key_file", problems),
            Err(error) => {
                problems.push(format!("federation.key_file: cannot read {}: {error}", file.display()));
                None
            }
        },
        _ => {
            problems.push(
                "federation: set either key or key_file; `recarga federation key` makes one".to_owned(),
            );
            None
        }
    };
    Some(FederationConfig { members: folder.join(table.members), authority: authority?, key: key? })
}

// The key itself is not shown.
fn read_key(text: &str, field: &str, problems: &mut Vec<String>) -> Option<CompanyKey> {
    let key: Result<CompanyKey, KeyError> = text.trim().parse();
    key.map_err(|error| problems.push(format!("{field}: {error}"))).ok()
}
