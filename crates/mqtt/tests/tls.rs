//! The MQTT link over TLS: whom it believes, what it shows, and that files may be replaced under it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use recarga_mqtt::broker::{BrokerOptions, EmbeddedBroker};
use recarga_mqtt::link::{Link, LinkError, LinkOptions, LinkState};
use recarga_tls::rustls::ServerConfig;
use recarga_tls::rustls::pki_types::CertificateDer;
use recarga_tls::rustls::server::WebPkiClientVerifier;
use recarga_tls::rustls::sign::SingleCertAndKey;
use recarga_tls::{ClientFiles, PairFiles, provider, read_authorities};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const SOON: Duration = Duration::from_secs(10);

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

// A fresh certificate in this name, in files of this name.
fn issue(folder: &Path, authority: &Authority, name: &str) -> PairFiles {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let files = PairFiles {
        certificate: folder.join(format!("{name}.pem")),
        key: folder.join(format!("{name}.key")),
    };
    fs::write(&files.certificate, certificate.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
    files
}

/// TLS before the embedded broker: lets in who has a certificate, and remembers it.
struct Door {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    guests: Arc<Mutex<JoinSet<()>>>,
    _broker: EmbeddedBroker,
}

impl Door {
    async fn open(own: &PairFiles, authorities: &Path) -> Door {
        let broker =
            EmbeddedBroker::start(BrokerOptions::new(([127, 0, 0, 1], 0).into(), vec![])).await.unwrap();
        let behind = broker.url().strip_prefix("mqtt://").unwrap().to_owned();
        let roots = Arc::new(read_authorities(authorities).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap();
        let own = SingleCertAndKey::from(own.read(&provider()).unwrap().certified);
        let config =
            ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(own));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, guests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(JoinSet::new())));
        let (seen_there, guests_there) = (seen.clone(), guests.clone());
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, behind, seen) = (acceptor.clone(), behind.clone(), seen_there.clone());
                guests_there.lock().unwrap().spawn(async move {
                    let Ok(mut guest) = acceptor.accept(tcp).await else { return };
                    seen.lock()
                        .unwrap()
                        .extend(guest.get_ref().1.peer_certificates().map(|all| all[0].clone().into_owned()));
                    let mut broker = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut guest, &mut broker).await;
                });
            }
        });
        Door { address, seen, guests, _broker: broker }
    }

    fn throw_out(&self) {
        self.guests.lock().unwrap().abort_all();
    }

    fn seen(&self) -> Vec<CertificateDer<'static>> {
        self.seen.lock().unwrap().clone()
    }
}

fn leaf(files: &PairFiles) -> CertificateDer<'static> {
    files.read(&provider()).unwrap().certified.cert[0].clone()
}

fn options(url: String, folder: &Path, own: Option<&PairFiles>) -> LinkOptions {
    let files = ClientFiles { authorities: folder.join("authority.pem"), own: own.cloned() };
    LinkOptions { tls: Some(files), ..LinkOptions::new(url, "carro-1") }
}

async fn reaches(link: &Link, wanted: impl FnMut(&LinkState) -> bool) -> LinkState {
    timeout(SOON, link.state().wait_for(wanted)).await.unwrap().unwrap().clone()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn files_are_read_for_every_connection() {
    let (folder, authority) = (folder(), authority());
    let broker = issue(folder.path(), &authority, "127.0.0.1");
    let car = issue(folder.path(), &authority, "carro-1");
    let door = Door::open(&broker, &folder.path().join("authority.pem")).await;
    let first = leaf(&car);
    let (link, _incoming) =
        Link::open(options(format!("mqtts://{}", door.address), folder.path(), Some(&car))).unwrap();
    reaches(&link, |state| matches!(state, LinkState::Connected { .. })).await;
    issue(folder.path(), &authority, "carro-1");
    let second = leaf(&car);
    assert_ne!(first, second);
    door.throw_out();
    reaches(&link, |state| matches!(state, LinkState::Disconnected { .. })).await;
    reaches(&link, |state| matches!(state, LinkState::Connected { .. })).await;
    assert_eq!(door.seen(), [first, second]);
    // Half of a renewal: the next connection waits for the other half.
    let good = fs::read(&car.key).unwrap();
    fs::write(&car.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    door.throw_out();
    let broken = |state: &LinkState| matches!(state, LinkState::Disconnected { reason, .. } if reason.contains("carro-1.key"));
    reaches(&link, broken).await;
    fs::write(&car.key, good).unwrap();
    reaches(&link, |state| matches!(state, LinkState::Connected { .. })).await;
}

#[tokio::test]
async fn a_broker_of_another_authority_is_not_spoken_with() {
    let (folder, elsewhere) = (folder(), folder());
    let trusted = authority();
    let car = issue(folder.path(), &trusted, "carro-1");
    let impostor = issue(elsewhere.path(), &authority(), "127.0.0.1");
    let misnamed = issue(folder.path(), &trusted, "127.0.0.2");
    for (broker, why) in [(impostor, "invalid peer certificate"), (misnamed, "not valid for name")] {
        let door = Door::open(&broker, &folder.path().join("authority.pem")).await;
        let (link, _incoming) =
            Link::open(options(format!("mqtts://{}", door.address), folder.path(), Some(&car))).unwrap();
        let refused = |state: &LinkState| matches!(state, LinkState::Disconnected { reason, .. } if reason.contains(why));
        reaches(&link, refused).await;
        assert_eq!(link.stats().connections, 0);
    }
}

#[tokio::test]
async fn without_a_certificate_nobody_gets_in() {
    let (folder, authority) = (folder(), authority());
    let broker = issue(folder.path(), &authority, "127.0.0.1");
    let door = Door::open(&broker, &folder.path().join("authority.pem")).await;
    let (link, _incoming) =
        Link::open(options(format!("mqtts://{}", door.address), folder.path(), None)).unwrap();
    let refused = |state: &LinkState| matches!(state, LinkState::Disconnected { reason, .. } if reason.contains("CertificateRequired"));
    reaches(&link, refused).await;
    assert_eq!((link.stats().connections, door.seen().len()), (0, 0));
}

#[tokio::test]
async fn options_that_do_not_fit_are_told_at_once() {
    let (folder, authority) = (folder(), authority());
    let car = issue(folder.path(), &authority, "carro-1");
    let refused = |options| Link::open(options).map(|_| ()).unwrap_err().to_string();
    let secure = "mqtts://127.0.0.1:1".to_owned();
    assert!(refused(LinkOptions::new(&secure, "carro-1")).contains("authority's certificate"));
    assert!(refused(options("mqtt://127.0.0.1:1".to_owned(), folder.path(), None)).contains("need mqtts://"));
    let absent = PairFiles { key: folder.path().join("absent.key"), ..car.clone() };
    let error = Link::open(options(secure.clone(), folder.path(), Some(&absent))).map(|_| ()).unwrap_err();
    assert!(matches!(&error, LinkError::Tls(error) if error.path == absent.key), "{error}");
    assert!(Link::open(options("mqtts://[::1]:1".to_owned(), folder.path(), Some(&car))).is_ok());
}
