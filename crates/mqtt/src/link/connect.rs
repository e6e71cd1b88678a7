//! How a [`super::Link`] introduces itself to the broker.

use std::future::{Future, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use recarga_tls::ClientFiles;
use recarga_tls::rustls::pki_types::ServerName;
use rumqttc::{
    AckMode, Broker, BrokerSessionResumePolicy, LastWill, MqttOptions, NetworkOptions, PersistedAckMode,
    PersistedSession, QoS, SessionStore, SessionStoreError, SessionStoreKey, default_socket_connect,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{LinkError, LinkOptions, MAX_PACKET_BYTES};

/// The library's options for ours.
pub(super) fn connect_options(options: &LinkOptions) -> Result<MqttOptions, LinkError> {
    let Address { host, port, is_secure } = parse_url(&options.url)?;
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true); // a small answer takes 88 ms instead of 6 without it
    let mut mqtt = MqttOptions::new(options.client_id.clone(), Broker::tcp(&host, port));
    match (is_secure, &options.tls) {
        (true, Some(files)) => secure(&mut mqtt, &host, files)?,
        (true, None) => return Err(LinkError::Options("mqtts:// needs an authority's certificate".into())),
        (false, Some(_)) => return Err(LinkError::Options("certificates need mqtts://".into())),
        (false, None) => {}
    }
    mqtt.set_network_options(network)
        .set_ack_mode(AckMode::Manual)
        .set_clean_start(options.clean_start)
        .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly)
        .set_session_store(NoLocalSession { send_window: options.send_window })
        .set_session_expiry_interval(Some(options.session_expiry.as_secs().try_into().unwrap_or(u32::MAX)))
        .set_receive_maximum(Some(options.receive_maximum))
        .set_max_packet_size(Some(MAX_PACKET_BYTES))
        .set_keep_alive(options.keep_alive.as_millis().div_ceil(1000).try_into().unwrap_or(u16::MAX))
        .set_outgoing_inflight_upper_limit(options.send_window)
        .set_max_request_batch(32);
    match (&options.username, &options.password) {
        (Some(user), Some(password)) => _ = mqtt.set_credentials(user.clone(), password.clone().into_bytes()),
        (Some(user), None) => _ = mqtt.set_username(user.clone()),
        (None, Some(_)) => return Err(LinkError::Options("a password needs a user name".into())),
        (None, None) => {}
    }
    if let Some(will) = &options.last_will {
        mqtt.set_last_will(LastWill::new(
            &will.topic,
            will.payload.to_vec(),
            QoS::AtLeastOnce,
            will.retain,
            None,
        ));
    }
    Ok(mqtt)
}

// The library has TLS of its own, which keeps its certificates for ever and takes no IPv6 address for a name.
fn secure(mqtt: &mut MqttOptions, host: &str, files: &ClientFiles) -> Result<(), LinkError> {
    // What is wrong with the files should be known at once, not only when the broker is there.
    files.read()?;
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name)
        .map_err(|_| LinkError::Options(format!("no certificate can be in the name of {host}")))?;
    let files = Arc::new(files.clone());
    mqtt.set_socket_connector(move |address, network| {
        let (name, files) = (name.clone(), files.clone());
        async move { connect(default_socket_connect(address, network).await?, name, &files).await }
    });
    Ok(())
}

async fn connect(
    tcp: TcpStream,
    name: ServerName<'static>,
    files: &ClientFiles,
) -> io::Result<TlsStream<TcpStream>> {
    let config = files.read().map_err(io::Error::other)?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    connecting.await.map_err(|error| {
        let authorities = files.authorities.display();
        io::Error::new(error.kind(), format!("no TLS with the broker (authorities: {authorities}): {error}"))
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
    is_secure: bool,
}

fn parse_url(url: &str) -> Result<Address, LinkError> {
    let bad = |why| LinkError::Url { url: url.to_owned(), why };
    let (rest, is_secure) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return Err(bad("it must begin with mqtt:// or mqtts://")),
    };
    let address = rest.strip_suffix('/').unwrap_or(rest);
    if address.contains(['@', '/', '?', '#']) {
        return Err(bad(
            "only mqtt://host:port is possible; user name and password are settings of their own",
        ));
    }
    // The last colon, unless it is inside the brackets of an IPv6 address.
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.parse().map_err(|_| bad("the port is not a number"))?)
        }
        _ => (address, if is_secure { 8883 } else { 1883 }),
    };
    if host.is_empty() || port == 0 {
        return Err(bad("host and port must not be empty"));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(bad("an IPv6 address stands in brackets"));
    }
    Ok(Address { host: host.to_owned(), port, is_secure })
}

/// The first connection of a process finds a session at the broker of which this process knows nothing.
/// The client library then either refuses to connect or, by policy, connects and refuses every QoS 1
/// publication and subscription, for it cannot know which packet ids are in use. At QoS 0 and 1 none are:
/// the broker keeps no ids of ours, and what we had not got acknowledged comes again from the node's outbox.
/// So the library is told that the local session is known and empty. `Driver::greet` takes this away again,
/// because from then on the library keeps the session itself and would copy it here at every packet.
#[derive(Debug)]
struct NoLocalSession {
    /// The library wants to see the value it was configured with.
    send_window: u16,
}

impl SessionStore for NoLocalSession {
    fn load<'a>(&'a self, key: &'a SessionStoreKey) -> Stored<'a, Option<PersistedSession>> {
        let empty = PersistedSession {
            format_version: 1,
            client_id: key.client_id().to_owned(),
            clean_start: false, // the library does not ask when it is true
            session_expiry_interval: None,
            outgoing_inflight_upper_limit: Some(self.send_window),
            ack_mode: PersistedAckMode::Manual,
            last_pkid: 0,
            last_puback: 0,
            replay: Vec::new(),
            incoming_qos2: Vec::new(),
        };
        Box::pin(ready(Ok(Some(empty))))
    }

    fn save<'a>(&'a self, _: &'a SessionStoreKey, _: &'a PersistedSession) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }

    fn clear<'a>(&'a self, _: &'a SessionStoreKey) -> Stored<'a, ()> {
        Box::pin(ready(Ok(())))
    }
}

type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, SessionStoreError>> + Send + 'a>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let good = |url: &str, host: &str, port| {
            let address = Address { host: host.to_owned(), port, is_secure: url.starts_with("mqtts") };
            assert_eq!(parse_url(url), Ok(address), "{url}");
        };
        good("mqtt://broker:1884", "broker", 1884);
        good("mqtt://broker/", "broker", 1883);
        good("mqtt://127.0.0.1", "127.0.0.1", 1883);
        good("mqtt://[::1]:1884", "[::1]", 1884);
        good("mqtt://[::1]", "[::1]", 1883);
        good("mqtts://broker:1884", "broker", 1884);
        good("mqtts://[::1]", "[::1]", 8883);
        for bad in [
            "broker:1883",
            "mqtts:/b",
            "mqtt://",
            "mqtt://:1",
            "mqtt://b:x",
            "mqtt://b:0",
            "mqtt://b:70000",
            "mqtt://u:p@b",
            "mqtt://b/topic",
            "mqtt://::1",
            "mqtt://::1:1883",
        ] {
            assert!(matches!(parse_url(bad), Err(LinkError::Url { .. })), "{bad}");
        }
    }
}
