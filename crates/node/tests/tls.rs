//! Who gets in over TLS, and who does not: certificates made for the occasion, and clients of rustls's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use hyper_util::client::legacy::connect::HttpConnector;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use recarga_node::config::TlsConfig;
use recarga_node::server::Listener;
use recarga_node::tls::{Identity, is_in_name_of};
use recarga_reservation::OperatorId;
use tokio::net::TcpListener;
use tower::Service;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    // Good from so many days before now until so many after.
    fn issue(&self, folder: &Path, names: &[&str], days: (i64, i64)) -> TlsConfig {
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(now + days * 86_400).unwrap();
        (params.not_before, params.not_after) = (at(-days.0), at(days.1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let config = TlsConfig {
            certificate: folder.join(format!("{}.pem", names[0])),
            key: folder.join(format!("{}.key", names[0])),
            authorities: folder.join("authority.pem"),
        };
        std::fs::write(&config.certificate, certificate.pem()).unwrap();
        std::fs::write(&config.key, key.serialize_pem()).unwrap();
        std::fs::write(&config.authorities, self.0.pem()).unwrap();
        config
    }
}

fn operator(id: &str) -> OperatorId {
    id.parse().unwrap()
}

fn identity(config: &TlsConfig, id: &str) -> Arc<Identity> {
    Identity::read(config, &operator(id)).unwrap()
}

// Whether the two find each other: what the server knows of the client then.
async fn meet(
    server: &Arc<Identity>,
    client: &Arc<Identity>,
    expected: &str,
) -> Result<Option<Arc<[u8]>>, String> {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let mut listener = server.listener(tcp).unwrap();
    let served = tokio::spawn(async move {
        let (arrival, _) = listener.accept().await.unwrap();
        open(&listener, arrival).await
    });
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let mut connector = client.connector(http, Some(&operator(expected))).unwrap();
    let called = connector.call(format!("https://{address}/").parse().unwrap()).await;
    let served = served.await.unwrap();
    called.map_err(|error| format!("client: {error}"))?;
    served
}

async fn open<L: Listener>(_: &L, arrival: L::Arrival) -> Result<Option<Arc<[u8]>>, String> {
    let (_, certified) = L::open(arrival).await.map_err(|error| format!("server: {error}"))?;
    Ok(certified.0)
}

#[tokio::test]
async fn companies_know_each_other_by_name() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let a = identity(&authority.issue(folder.path(), &["empresa-a", "10.0.0.1"], (1, 30)), "empresa-a");
    let b = identity(&authority.issue(folder.path(), &["empresa-b"], (1, 30)), "empresa-b");
    let shown = meet(&b, &a, "empresa-b").await.unwrap().expect("a company shows its certificate");
    assert!(is_in_name_of(&shown, &operator("empresa-a")));
    assert!(!is_in_name_of(&shown, &operator("empresa-b")));
    assert!(!is_in_name_of(b"no certificate", &operator("empresa-a")));
    // It is not asked where somebody is found, but who he is.
    let error = meet(&b, &a, "empresa-c").await.unwrap_err();
    assert!(error.contains("client:") && error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn what_is_over_or_of_another_authority_is_refused_on_both_sides() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let good = identity(&authority.issue(folder.path(), &["empresa-a"], (1, 30)), "empresa-a");
    let expired = identity(&authority.issue(folder.path(), &["empresa-b"], (9, -1)), "empresa-b");
    let early = identity(&authority.issue(folder.path(), &["empresa-d"], (-2, 9)), "empresa-d");
    let elsewhere = tempfile::tempdir().unwrap();
    let config = Authority::new().issue(elsewhere.path(), &["empresa-c"], (1, 30));
    // It believes the others; they do not believe it.
    let stranger =
        identity(&TlsConfig { authorities: folder.path().join("authority.pem"), ..config }, "empresa-c");
    for (bad, name) in [(&expired, "empresa-b"), (&early, "empresa-d"), (&stranger, "empresa-c")] {
        let error = meet(bad, &good, name).await.unwrap_err();
        assert!(error.starts_with("client:"), "{name} as a server: {error}");
        let error = meet(&good, bad, "empresa-a").await.unwrap_err();
        assert!(error.starts_with("server:"), "{name} as a client: {error}");
    }
    assert!(good.days_left(&recarga_node::clock::SystemClock::new()).unwrap() >= 29);
    assert!(expired.days_left(&recarga_node::clock::SystemClock::new()).unwrap() < 0);
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let config = authority.issue(folder.path(), &["empresa-a"], (1, 30));
    let other = authority.issue(folder.path(), &["empresa-b"], (1, 30));
    let refused =
        |config: &TlsConfig, id: &str| Identity::read(config, &operator(id)).unwrap_err().to_string();
    assert!(refused(&config, "empresa-b").contains("it is not in the name of empresa-b"));
    assert!(
        refused(&TlsConfig { key: other.key.clone(), ..config.clone() }, "empresa-a")
            .contains("empresa-b.key")
    );
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (file, broken) in [("empty.pem", "no certificate"), ("absent.pem", "absent.pem")] {
        let path = folder.path().join(file);
        assert!(
            refused(&TlsConfig { certificate: path.clone(), ..config.clone() }, "empresa-a").contains(broken)
        );
        assert!(
            refused(&TlsConfig { authorities: path.clone(), ..config.clone() }, "empresa-a").contains(broken)
        );
        assert!(refused(&TlsConfig { key: path, ..config.clone() }, "empresa-a").contains(file));
    }
}
