//! Files with certificates.

use std::path::{Path, PathBuf};

use recarga_tls::PairFiles;
use serde::Deserialize;

/// By which a company is known to others, and others to it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Its certificate, and those between it and the authority: PEM.
    pub certificate: PathBuf,
    /// Its key: PEM.
    pub key: PathBuf,
    /// The certificates of those who sign companies' certificates: PEM.
    pub authorities: PathBuf,
}

impl TlsConfig {
    /// By which it is known.
    pub fn own(&self) -> PairFiles {
        PairFiles { certificate: self.certificate.clone(), key: self.key.clone() }
    }

    pub(super) fn found_from(self, folder: &Path) -> Self {
        let found = |path: PathBuf| folder.join(path);
        Self {
            certificate: found(self.certificate),
            key: found(self.key),
            authorities: found(self.authorities),
        }
    }
}
