//! TLS 1.3 between companies: who somebody is by a certificate of the federation's authority.
//!
//! A company's certificate names the company (a DNS name that is its id) beside the hosts where it is found. Whoever calls
//! a company expects a certificate in its name; whoever is called believes a token only together with a certificate in the
//! same name. Drivers and browsers need no certificate. Files that change are taken over without a restart.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use recarga_reservation::OperatorId;
use recarga_tls::{Pair, TlsError, client_builder, provider, read_authorities};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig, SignatureScheme};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{error, info};

use crate::clock::Clock;
use crate::config::TlsConfig;
use crate::server::{Certified, Listener};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// This company's certificate and those who sign others'.
pub struct Identity {
    files: TlsConfig,
    operator: OperatorId,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    own: RwLock<Pair>,
    // Of the two files, when they were last read.
    stamps: Mutex<Option<[SystemTime; 2]>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is missing or broken, or the certificate is not in this company's name.
    pub fn read(files: &TlsConfig, operator: &OperatorId) -> Result<Arc<Self>, TlsError> {
        let provider = provider();
        let roots = Arc::new(read_authorities(&files.authorities)?);
        let own = RwLock::new(read_own(files, operator, &provider)?);
        let stamps = Mutex::new(stamps(files));
        Ok(Arc::new(Self { files: files.clone(), operator: operator.clone(), provider, roots, own, stamps }))
    }

    /// Until when the certificate is good.
    pub fn not_after(&self) -> SystemTime {
        self.own.read().unwrap_or_else(PoisonError::into_inner).not_after
    }

    /// How many whole days it is still good: [`days_left`].
    pub fn days_left(&self, clock: &dyn Clock) -> Option<i64> {
        days_left(self.not_after(), clock)
    }

    /// Takes files over that have changed, for ever.
    pub async fn follow(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            let now = stamps(&self.files);
            let mut known = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
            if now.is_none() || now == *known {
                continue;
            }
            *known = now;
            drop(known);
            match read_own(&self.files, &self.operator, &self.provider) {
                Ok(own) => {
                    *self.own.write().unwrap_or_else(PoisonError::into_inner) = own;
                    info!(certificate = %self.files.certificate.display(), "a new certificate is in use");
                }
                Err(error) => error!(%error, "the new certificate is not used; the one before stays"),
            }
        }
    }

    /// Connects to companies: with a company's name, only to whoever has a certificate in it.
    ///
    /// # Errors
    /// The company's name is none that a certificate could have.
    pub fn connector(
        self: &Arc<Self>,
        http: HttpConnector,
        company: Option<&OperatorId>,
    ) -> Result<HttpsConnector<HttpConnector>, TlsError> {
        let builder = client_builder(&self.provider, &self.roots);
        let mut config = builder.with_client_cert_resolver(self.clone());
        config.resumption = Resumption::disabled();
        let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
        Ok(match company {
            Some(company) => {
                let name = FixedServerNameResolver::new(name_of(company)?);
                builder.with_server_name_resolver(name).enable_http1().wrap_connector(http)
            }
            None => builder.enable_http1().wrap_connector(http),
        })
    }

    /// Speaks TLS on a socket.
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn listener(self: &Arc<Self>, tcp: TcpListener) -> Result<TlsListener, TlsError> {
        let unusable = |reason: String| TlsError::new(&self.files.authorities, reason);
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone())
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let builder = ServerConfig::builder_with_provider(self.provider.clone());
        let builder =
            builder.with_protocol_versions(&[&TLS13]).map_err(|error| unusable(error.to_string()))?;
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(self.clone());
        // A session that is resumed would keep a certificate that is not good any longer.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsListener { tcp, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    fn key(&self) -> Arc<CertifiedKey> {
        self.own.read().unwrap_or_else(PoisonError::into_inner).certified.clone()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Connections over TLS.
pub struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Arrival = (TcpStream, TlsAcceptor);
    type Connection = TlsStream<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Arrival, SocketAddr)> {
        let (stream, address) = Listener::accept(&mut self.tcp).await?;
        Ok(((stream, self.acceptor.clone()), address))
    }

    async fn open((stream, acceptor): Self::Arrival) -> io::Result<(Self::Connection, Certified)> {
        let stream = acceptor.accept(stream).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certified = Certified(leaf.map(|leaf| leaf.as_ref().into()));
        Ok((stream, certified))
    }
}

/// How many whole days remain; less than none if it is past. None if nobody can count them.
pub fn days_left(until: SystemTime, clock: &dyn Clock) -> Option<i64> {
    let until = until.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let until = i64::try_from(until.as_millis()).ok()?;
    Some((until - clock.now().utc.as_millis()).div_euclid(86_400_000))
}

/// Whether a certificate, which was verified already, is in a company's name.
pub fn is_in_name_of(certificate: &[u8], company: &OperatorId) -> bool {
    let certificate = CertificateDer::from(certificate);
    match (ParsedCertificate::try_from(&certificate), name_of(company)) {
        (Ok(parsed), Ok(name)) => verify_server_name(&parsed, &name).is_ok(),
        _ => false,
    }
}

/// Connects without a certificate of one's own, as drivers do: to whoever has one of these authorities'.
///
/// # Errors
/// The file cannot be used.
pub fn anonymous_connector(
    http: HttpConnector,
    authorities: Option<&Path>,
) -> Result<HttpsConnector<HttpConnector>, TlsError> {
    let roots = match authorities {
        Some(file) => read_authorities(file)?,
        None => RootCertStore::empty(),
    };
    let config = client_builder(&provider(), &Arc::new(roots)).with_no_client_auth();
    Ok(HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .wrap_connector(http))
}

fn name_of(company: &OperatorId) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(company.to_string()).map_err(|_| {
        let reason = "a certificate cannot have this name; with TLS use letters, digits, . and - only";
        TlsError::new(Path::new(company.as_str()), reason)
    })
}

fn read_own(files: &TlsConfig, operator: &OperatorId, provider: &CryptoProvider) -> Result<Pair, TlsError> {
    let own = files.own().read(provider)?;
    if !own.certified.end_entity_cert().is_ok_and(|leaf| is_in_name_of(leaf, operator)) {
        let reason =
            format!("it is not in the name of {operator}; `recarga certs issue {operator}` makes one");
        return Err(TlsError::new(&files.certificate, reason));
    }
    Ok(own)
}

fn stamps(files: &TlsConfig) -> Option<[SystemTime; 2]> {
    let stamp = |file: &Path| std::fs::metadata(file).and_then(|about| about.modified()).ok();
    Some([stamp(&files.certificate)?, stamp(&files.key)?])
}
