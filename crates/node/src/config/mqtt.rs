//! How to reach the broker.

use std::path::{Path, PathBuf};

use recarga_tls::{ClientFiles, PairFiles, TlsError, provider, read_authorities};
use serde::Deserialize;

use super::{Secret, check_url};

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct Mqtt {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: String,
    /// Usually the company's id.
    pub username: Option<String>,
    /// With the user name.
    pub password: Option<Secret>,
    /// With `mqtts://`: whose brokers are believed, and the certificate that is shown to them.
    pub tls: Option<ClientFiles>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MqttTable {
    url: String,
    username: Option<String>,
    password: Option<Secret>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

pub(super) fn check(table: MqttTable, folder: &Path, problems: &mut Vec<String>) -> Mqtt {
    let is_secure = table.url.starts_with("mqtts://");
    check_url(&table.url, if is_secure { "mqtts://" } else { "mqtt://" }, "mqtt.url", problems);
    let found = |path: PathBuf| folder.join(path);
    if table.password.is_some() && table.username.is_none() {
        problems.push("mqtt.username: a password needs a user name; usually it is operator.id".to_owned());
    }
    let own = match (table.certificate, table.key) {
        (Some(certificate), Some(key)) => {
            Some(PairFiles { certificate: found(certificate), key: found(key) })
        }
        (None, None) => None,
        (given, _) => {
            let (missing, given) =
                if given.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            problems.push(format!("mqtt.{missing}: a {given} needs its {missing}; name that file, too"));
            None
        }
    };
    let tls = match (is_secure, table.ca.map(found)) {
        (true, Some(authorities)) => Some(ClientFiles { authorities, own }),
        (true, None) => {
            let cure = "name the file with the certificates of those who sign the broker's";
            problems.push(format!("mqtt.ca: mqtts:// needs it; {cure}"));
            None
        }
        (false, authorities) => {
            let given = [("ca", authorities.is_some()), ("certificate", own.is_some())];
            for (field, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
                let cure = "write mqtts:// in mqtt.url";
                problems.push(format!("mqtt.{field}: without TLS it means nothing; {cure}"));
            }
            None
        }
    };
    if let Some(files) = &tls {
        check_files(files, problems);
    }
    Mqtt { url: table.url, username: table.username, password: table.password, tls }
}

// What is wrong with them would else be found out by cars that get no answer.
fn check_files(files: &ClientFiles, problems: &mut Vec<String>) {
    let wrong = |field: &str, error: &TlsError| {
        format!("mqtt.{field}: {error}; `recarga certs` makes files that can be used")
    };
    if let Err(error) = read_authorities(&files.authorities) {
        problems.push(wrong("ca", &error));
    }
    if let Some(own) = &files.own
        && let Err(error) = own.read(&provider())
    {
        problems.push(wrong(if error.path == own.key { "key" } else { "certificate" }, &error));
    }
}
