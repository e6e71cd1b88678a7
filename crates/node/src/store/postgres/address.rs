//! Where a database is, and how it is reached: as it is, or over TLS, where the server is always verified.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use recarga_tls::ClientFiles;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{CONNECT_MAX, SILENCE_MAX, chain};
use crate::store::StoreError;

/// A database of PostgreSQL.
#[derive(Clone)]
pub struct Address {
    config: Config,
    // If there is one, nothing is ever said without it.
    tls: Option<MakeRustlsConnect>,
    name: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the password.
        f.debug_struct("Address").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Address {
    /// As `postgres://user:password@host:port/database`, with `?sslmode=require` over TLS: then only a server that one of
    /// the authorities in a file (PEM) has certified, in the name of its host, is spoken with.
    ///
    /// # Errors
    /// A line that names the field of the configuration, and nothing secret.
    pub fn new(url: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let is_postgres = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        // What the library says of a text may show parts of it.
        let config = Config::from_str(url).ok().filter(|_| is_postgres);
        let mut config = config.ok_or(
            "operator.store: not understood; write postgres://USER:PASSWORD@HOST:PORT/DATABASE, other characters in \
             them as %XX, with ?sslmode=require for TLS; or leave it out",
        )?;
        config.connect_timeout(CONNECT_MAX).tcp_user_timeout(SILENCE_MAX).application_name("recarga");
        let tls = match (config.get_ssl_mode() == SslMode::Require, authorities) {
            (true, Some(authorities)) => {
                let files = ClientFiles { authorities: authorities.to_owned(), own: None };
                let files = files.read().map_err(|error| format!("operator.store_ca: {error}"))?;
                Some(MakeRustlsConnect::new(files))
            }
            (false, None) => None,
            (true, None) => {
                return Err(
                    "operator.store_ca: sslmode=require needs it; name the file with the certificates of \
                            those who sign the server's"
                        .to_owned(),
                );
            }
            (false, Some(_)) => {
                return Err(
                    "operator.store_ca: without TLS it means nothing; write ?sslmode=require behind \
                            operator.store"
                        .to_owned(),
                );
            }
        };
        let name = shown(&config);
        Ok(Self { config, tls, name })
    }

    /// For messages: without user and password.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection of one's own.
    pub(super) fn connect(&self) -> Result<Client, StoreError> {
        let connected = match &self.tls {
            Some(tls) => self.config.connect(tls.clone()),
            None => self.config.connect(NoTls),
        };
        connected.map_err(|error| {
            let mut reason = chain(&error);
            if self.tls.is_some() && reason.contains("TLS") {
                reason += "; nothing was told to it: the server needs ssl = on, and a certificate for its host that \
                           operator.store_ca has signed";
            }
            StoreError::Io { path: self.name.clone(), reason }
        })
    }
}

fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("postgres://{host}:{port}/{}", config.get_dbname().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_all_or_nothing_and_what_is_wrong_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["db".to_owned()]).unwrap();
        std::fs::write(file("ca.pem"), made.cert.pem()).unwrap();
        std::fs::write(file("none.pem"), "hush").unwrap();
        let address = |more: &str, ca: Option<&str>| {
            Address::new(&format!("postgres://me:hush@db:5433/one{more}"), ca.map(file).as_deref())
        };
        assert_eq!(address("?sslmode=require", Some("ca.pem")).unwrap().name(), "postgres://db:5433/one");
        assert!(address("", None).unwrap().tls.is_none());
        assert!(!format!("{:?}", address("", None).unwrap()).contains("hush"));
        for (more, ca, expected) in [
            ("?sslmode=require", None, "operator.store_ca: sslmode=require needs it"),
            ("", Some("ca.pem"), "operator.store_ca: without TLS"),
            ("?sslmode=disable", Some("ca.pem"), "operator.store_ca: without TLS"),
            ("?sslmode=require", Some("none.pem"), "operator.store_ca: "),
            ("?sslmode=require", Some("absent.pem"), "operator.store_ca: "),
            ("?sslmode=hush", Some("ca.pem"), "operator.store: not understood"),
            ("?hush=hush", None, "operator.store: not understood"),
        ] {
            let error = address(more, ca).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hush"), "{more}: {error}");
        }
        assert!(Address::new("mysql://db/one", None).unwrap_err().starts_with("operator.store: "));
    }
}
