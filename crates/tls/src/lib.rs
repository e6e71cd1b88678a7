//! Certificates from files, and TLS 1.3 with them: what companies among each other and clients of brokers have in common.
//!
//! rustls with ring, and nothing older than TLS 1.3: `docs/decisions/tls.md`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use rustls;
use rustls::client::{Resumption, WantsClientCert};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use thiserror::Error;

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl TlsError {
    /// About a file.
    pub fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// The certificate, and those between it and the authority: PEM.
    pub certificate: PathBuf,
    /// Its key: PEM.
    pub key: PathBuf,
}

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Both, to show and to sign with.
    pub certified: Arc<CertifiedKey>,
    /// Until when it is good.
    pub not_after: SystemTime,
}

impl PairFiles {
    /// Reads both.
    ///
    /// # Errors
    /// One is missing or broken, or the key is another one's.
    pub fn read(&self, provider: &CryptoProvider) -> Result<Pair, TlsError> {
        let chain = read_certificates(&self.certificate)?;
        let (_, leaf) = x509_parser::parse_x509_certificate(&chain[0])
            .map_err(|error| TlsError::new(&self.certificate, error))?;
        let not_after = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsError::new(&self.key, error))?;
        let certified =
            CertifiedKey::from_der(chain, key, provider).map_err(|error| TlsError::new(&self.key, error))?;
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(not_after);
        Ok(Pair { certified: Arc::new(certified), not_after })
    }
}

/// The files with which a client connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificates of those who sign the server's: PEM.
    pub authorities: PathBuf,
    /// Its own certificate, if the server wants one.
    pub own: Option<PairFiles>,
}

impl ClientFiles {
    /// Reads them, for one connection or several. No session is resumed: it would outlive the certificates.
    ///
    /// # Errors
    /// A file is missing or broken, or the key is another certificate's.
    pub fn read(&self) -> Result<ClientConfig, TlsError> {
        let provider = provider();
        let builder = client_builder(&provider, &Arc::new(read_authorities(&self.authorities)?));
        let mut config = match &self.own {
            Some(own) => {
                let own = SingleCertAndKey::from(own.read(&provider)?.certified);
                builder.with_client_cert_resolver(Arc::new(own))
            }
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// The cryptography that is used everywhere.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A client of TLS 1.3 that believes whom these have signed.
pub fn client_builder(
    provider: &Arc<CryptoProvider>,
    authorities: &Arc<RootCertStore>,
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let builder = ClientConfig::builder_with_provider(provider.clone());
    #[expect(clippy::expect_used, reason = "the provider has suites of TLS 1.3")]
    let builder = builder.with_protocol_versions(&[&TLS13]).expect("the provider has TLS 1.3");
    builder.with_root_certificates(authorities.clone())
}

/// Those who sign others' certificates.
///
/// # Errors
/// The file is missing or broken, or there is none in it.
pub fn read_authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(file)? {
        roots.add(certificate).map_err(|error| TlsError::new(file, error))?;
    }
    Ok(roots)
}

// At least one.
fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| TlsError::new(file, error))?;
    if read.is_empty() { Err(TlsError::new(file, "there is no certificate in it")) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn what_is_wrong_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let make = |name: &str| {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
            fs::write(file(&format!("{name}.pem")), cert.pem()).unwrap();
            fs::write(file(&format!("{name}.key")), signing_key.serialize_pem()).unwrap();
            PairFiles { certificate: file(&format!("{name}.pem")), key: file(&format!("{name}.key")) }
        };
        let (good, other) = (make("good"), make("other"));
        fs::write(file("empty"), "").unwrap();
        fs::write(file("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let read = |own: &PairFiles| {
            let files = ClientFiles { authorities: good.certificate.clone(), own: Some(own.clone()) };
            files.read().map(|_| ()).map_err(|error| error.path)
        };
        assert_eq!(read(&good), Ok(()));
        for bad in ["absent", "empty", "broken"].map(file) {
            assert_eq!(read(&PairFiles { certificate: bad.clone(), ..good.clone() }), Err(bad.clone()));
            assert_eq!(read(&PairFiles { key: bad.clone(), ..good.clone() }), Err(bad.clone()));
            let files = ClientFiles { authorities: bad.clone(), own: None };
            assert_eq!(files.read().map(|_| ()).map_err(|error| error.path), Err(bad));
        }
        assert_eq!(
            read(&PairFiles { key: other.key.clone(), ..good.clone() }),
            Err(other.key),
            "not of that certificate"
        );
    }
}
