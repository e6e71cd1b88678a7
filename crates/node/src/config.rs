//! A company's configuration: one TOML file. Unknown keys are refused, because a typo must not be ignored; secrets
//! are never printed; `"${NAME}"` and `"${NAME:-default}"` inside texts are taken from the environment, and
//! `"${file:path}"` from a file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use recarga_reservation::{OperatorId, Station};
use serde::Deserialize;
use thiserror::Error;

mod environment;
mod federation;
pub mod limits;
pub mod locations;
mod mqtt;
mod panel;
mod replica;
mod secret;
pub mod stamp;
mod tls;
pub mod vehicle_tokens;
mod written;

pub use federation::FederationConfig;
pub use limits::Limits;
pub use mqtt::Mqtt;
pub use panel::Map;
pub use replica::ReplicaConfig;
pub use secret::Secret;
pub use tls::TlsConfig;
pub use written::Written;

use self::environment::Sources;
use self::secret::{SideBySide, check_secret};
use self::stamp::Stamp;
use self::vehicle_tokens::VehicleTokens;
use crate::roads::Dialect;
use crate::store::postgres::Address;

/// What is wrong with a configuration; every message names the field and the cure.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The file is no TOML, or a key is missing, unknown or of the wrong type.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// Where and what.
        reason: String,
    },
    /// All keys are there, but some make no sense.
    #[error("{path}:\n{}", .problems.iter().map(|one| format!("  - {one}")).collect::<Vec<_>>().join("\n"))]
    Invalid {
        /// The file.
        path: String,
        /// One line each: field, what is wrong, what to do.
        problems: Vec<String>,
    },
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who the company is.
    pub operator: OperatorId,
    /// For people.
    pub name: String,
    /// Where the HTTP server listens.
    pub listen: SocketAddr,
    /// Folder of the database and the archive.
    pub data_dir: PathBuf,
    /// Folder in which everything that is recorded is logged; without it, it is not.
    pub audit_log: Option<PathBuf>,
    /// The database in PostgreSQL; without it there is one in the folder.
    pub store: Option<Address>,
    /// Each opens the operator's own calls; without one they are closed. The program's own commands use the first.
    pub operator_tokens: Vec<Secret>,
    /// If set, drivers' apps must present one of these.
    pub driver_tokens: Vec<Secret>,
    /// If there are any, a call for a car needs that car's own.
    pub vehicle_tokens: VehicleTokens,
    /// The broker; without it, trips come by REST only.
    pub mqtt: Option<Mqtt>,
    /// This process among several of the same company; without it, it is the only one.
    pub replica: Option<ReplicaConfig>,
    /// The other companies.
    pub peers: Vec<PeerConfig>,
    /// What the company offers.
    pub stations: Vec<Station>,
    /// Who says how long roads are; without it they are estimated.
    pub roads: Option<RoadsConfig>,
    /// Pictures of maps for the page in the browser.
    pub map: Option<Map>,
    /// By which certificates companies know each other; without them it is plain HTTP.
    pub tls: Option<TlsConfig>,
    /// Who collects traces of trips.
    pub traces: Option<TracesConfig>,
    /// Who says who the other companies are, besides those that are named one by one.
    pub federation: Option<FederationConfig>,
    /// Explicit limits of everything.
    pub limits: Limits,
    /// What it was read from.
    pub written: Written,
}

/// A routing service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoadsConfig {
    /// Whose interface it has: `osrm` or `valhalla`.
    pub service: Dialect,
    /// `http://host:port`.
    pub url: String,
}

/// A collector of traces that understands OTLP over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesConfig {
    /// `http://host:port`.
    pub url: String,
    /// Which part of the trips is traced whose caller does not say whether they are: 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

fn all() -> f64 {
    1.0
}

/// Another company.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Who.
    pub id: OperatorId,
    /// `http://host:port`, without a path.
    pub url: String,
    /// What we present to it.
    pub token: Secret,
    /// What it must present to us: any of these.
    pub accepts: Vec<Secret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    operator: OperatorTable,
    mqtt: Option<mqtt::MqttTable>,
    replica: Option<ReplicaConfig>,
    #[serde(default)]
    peers: Vec<PeerTable>,
    roads: Option<RoadsConfig>,
    traces: Option<TracesConfig>,
    federation: Option<federation::FederationTable>,
    tls: Option<TlsConfig>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    locations: Vec<locations::LocationTable>,
    #[serde(default)]
    location_files: Vec<String>,
    #[serde(default)]
    default_tariff: Option<locations::TariffTable>,
    #[serde(default)]
    panel: panel::PanelTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperatorTable {
    id: String,
    name: String,
    listen: String,
    data_dir: PathBuf,
    audit_log: Option<PathBuf>,
    #[serde(default)]
    store: Option<Secret>,
    store_ca: Option<PathBuf>,
    #[serde(default)]
    operator_token: Option<SideBySide>,
    #[serde(default)]
    driver_tokens: Vec<Secret>,
    #[serde(default)]
    vehicle_tokens: BTreeMap<String, Secret>,
    vehicle_tokens_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerTable {
    id: String,
    url: String,
    token: Secret,
    accepts: SideBySide,
}

impl Config {
    /// Reads and checks a file; its other files are found relative to it, and the environment is the process's own.
    ///
    /// # Errors
    /// [`ConfigError`]; all problems that can be found at once are.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let name = path.display().to_string();
        // Looked at before it is read: what changes meanwhile is seen later.
        let stamp = Stamp::of(path);
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: name.clone(), reason: error.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut config = Self::parse(&text, &name, folder, &|variable| std::env::var(variable).ok())?;
        config.written.file = Some(path.to_owned());
        config.written.stamps.push((path.to_owned(), stamp));
        Ok(config)
    }

    /// Checks a text. `name` is for messages, `folder` for the files that it names.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(
        text: &str,
        name: &str,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let malformed = |reason: String| ConfigError::Malformed { path: name.to_owned(), reason };
        let mut table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| malformed(explain_syntax(text, &error)))?;
        let mut sources = Sources { environment, folder, files: Vec::new() };
        sources.substitute(&mut table).map_err(malformed)?;
        let file: File = serde_path_to_error::deserialize(toml::Value::Table(table.clone()))
            .map_err(|error| malformed(format!("{}: {}", error.path(), error.inner().message())))?;
        let mut problems = Vec::new();
        let config = check(file, folder, &mut problems);
        match config {
            Some(config) if problems.is_empty() => {
                Ok(Config { written: Written::new(table, sources.files), ..config })
            }
            _ => Err(ConfigError::Invalid { path: name.to_owned(), problems }),
        }
    }

    /// Nothing that forbids to start, but what an operator should know.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let open = !self.listen.ip().is_loopback();
        if self.vehicle_tokens.is_open_to_others() {
            warnings.push(
                "operator.vehicle_tokens_file can be read by every user of this machine: chmod o= it".into(),
            );
        }
        if open && self.driver_tokens.is_empty() && !self.vehicle_tokens.are_required() {
            warnings.push(format!(
                "operator.driver_tokens is empty and {} is no loopback address: anyone who reaches it can book trips",
                self.listen
            ));
        }
        let secrets = self.peers.iter().flat_map(|peer| [&peer.token].into_iter().chain(&peer.accepts));
        let known =
            |secret: &&Secret| ["demo-", "replace-me"].iter().any(|known| secret.expose().starts_with(known));
        if open && secrets.chain(&self.operator_tokens).any(|secret| known(&secret)) {
            warnings.push(
                "tokens of the public demo or of an example are in use; set your own before others can reach this node".into(),
            );
        }
        if self.stations.is_empty() {
            warnings.push("no locations: this company can coordinate trips but offers no EVSE".into());
        }
        if let (Some(replica), Some(mqtt)) = (&self.replica, &self.mqtt)
            && mqtt.username.as_ref().is_some_and(|name| *name == self.operator.as_str())
        {
            warnings.push(format!(
                "mqtt.username: where a broker takes it for the client id, replicas with one name push each other out; use \"{}-{}\"",
                self.operator, replica.name
            ));
        }
        warnings.extend(self.federation.as_ref().and_then(FederationConfig::warning));
        if self.mqtt.is_none() {
            warnings.push("no [mqtt]: cars cannot reach this company, only REST clients can".into());
        }
        warnings
    }
}

// Where and what, without the line itself: it may be that of a secret.
fn explain_syntax(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let (line, column) = (before.matches('\n').count() + 1, before.lines().last().map_or(0, str::len) + 1);
    format!("line {line}, column {column}: {}", error.message())
}

fn check(file: File, folder: &Path, problems: &mut Vec<String>) -> Option<Config> {
    let operator = id(&file.operator.id, "operator.id", problems);
    let listen = file.operator.listen.parse::<SocketAddr>();
    if listen.is_err() {
        let given = &file.operator.listen;
        problems
            .push(format!("operator.listen: \"{given}\" is no address; write IP:PORT as in 127.0.0.1:8001"));
    }
    let operator_tokens = file.operator.operator_token.map_or(Vec::new(), |tokens| {
        tokens.check("operator.operator_token", problems);
        tokens.0
    });
    for (index, token) in file.operator.driver_tokens.iter().enumerate() {
        check_secret(token, &format!("operator.driver_tokens[{index}]"), problems);
    }
    // An empty one, as from the environment, is none.
    let store = file.operator.store.filter(|url| !url.expose().is_empty());
    let store = check_store(store, file.operator.store_ca, folder, problems);
    let mqtt = file.mqtt.map(|table| mqtt::check(table, folder, problems));
    if let Some(roads) = &file.roads {
        check_url(&roads.url, "http://", "roads.url", problems);
    }
    if let Some(traces) = &file.traces {
        check_traces(traces, problems);
    }
    if let Some(replica) = &file.replica {
        replica::check(replica, store.is_some(), file.tls.is_some(), problems);
    }
    limits::check(&file.limits, problems);
    let federation = file.federation.and_then(|table| federation::check(table, folder, problems));
    let tls = file.tls.map(|tls| tls.found_from(folder));
    let peers = check_peers(file.peers, operator.as_ref(), tls.is_some(), problems);
    let vehicle_tokens = {
        let others = other_secrets(&operator_tokens, &file.operator.driver_tokens, &peers);
        let path = file.operator.vehicle_tokens_file.map(|path| folder.join(path));
        vehicle_tokens::check(file.operator.vehicle_tokens, path, &others, problems)
    };
    let mut tables = file.locations;
    for (index, path) in file.location_files.iter().enumerate() {
        match locations::read(&folder.join(path), file.default_tariff.as_ref()) {
            Ok(more) => tables.extend(more),
            Err(reason) => problems.push(format!("location_files[{index}]: {reason}")),
        }
    }
    let stations = locations::check(tables, problems);
    let map = panel::check(file.panel, problems);
    Some(Config {
        operator: operator?,
        name: file.operator.name,
        listen: listen.ok()?,
        data_dir: file.operator.data_dir,
        audit_log: file.operator.audit_log,
        store,
        operator_tokens,
        driver_tokens: file.operator.driver_tokens,
        vehicle_tokens,
        mqtt,
        replica: file.replica,
        peers,
        stations,
        roads: file.roads,
        map,
        tls,
        traces: file.traces,
        federation,
        limits: file.limits,
        written: Written::default(),
    })
}

fn check_traces(traces: &TracesConfig, problems: &mut Vec<String>) {
    check_url(&traces.url, "http://", "traces.url", problems);
    if !(0.0..=1.0).contains(&traces.share) {
        problems.push("traces.share: a part of all trips; use 0 to 1".to_owned());
    }
}

fn check_store(
    url: Option<Secret>,
    authorities: Option<PathBuf>,
    folder: &Path,
    problems: &mut Vec<String>,
) -> Option<Address> {
    let authorities = authorities.map(|file| folder.join(file));
    let Some(url) = url else {
        if authorities.is_some() {
            problems
                .push("operator.store_ca: without operator.store it means nothing; set that, too".to_owned());
        }
        return None;
    };
    Address::new(url.expose(), authorities.as_deref()).map_err(|problem| problems.push(problem)).ok()
}

fn check_peers(
    tables: Vec<PeerTable>,
    own: Option<&OperatorId>,
    has_certificates: bool,
    problems: &mut Vec<String>,
) -> Vec<PeerConfig> {
    let mut seen = BTreeSet::new();
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut peers = Vec::new();
    for (index, table) in tables.into_iter().enumerate() {
        let field = |name: &str| format!("peers[{index}].{name}");
        let is_secure = table.url.starts_with("https://");
        check_url(&table.url, if is_secure { "https://" } else { "http://" }, &field("url"), problems);
        if is_secure && !has_certificates {
            problems.push(format!("{}: https:// needs the table [tls]; add it", field("url")));
        }
        check_secret(&table.token, &field("token"), problems);
        table.accepts.check(&field("accepts"), problems);
        for token in &table.accepts.0 {
            if let Some(other) = accepted.insert(token.expose().to_owned(), index).filter(|one| *one != index)
            {
                problems.push(format!(
                    "{}: the same as peers[{other}].accepts; companies are told apart by it",
                    field("accepts")
                ));
            }
        }
        let Some(id) = id(&table.id, &field("id"), problems) else { continue };
        if own == Some(&id) {
            problems.push(format!("{}: \"{id}\" is this company itself; remove the table", field("id")));
        }
        if !seen.insert(id.clone()) {
            problems.push(format!("{}: \"{id}\" stands twice; keep one", field("id")));
        }
        let url = table.url.trim_end_matches('/').to_owned();
        peers.push(PeerConfig { id, url, token: table.token, accepts: table.accepts.0 });
    }
    peers
}

fn check_url(url: &str, scheme: &str, field: &str, problems: &mut Vec<String>) {
    let authority = url.strip_prefix(scheme).map(|rest| rest.trim_end_matches('/'));
    let has_port = |authority: &str| {
        authority.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if !authority.is_some_and(|authority| !authority.contains(['/', '@', '?']) && has_port(authority)) {
        // Before an `@` there may be a password.
        let shown = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
        problems.push(format!("{field}: \"{shown}\" is not understood; write {scheme}HOST:PORT"));
    }
}

// Whatever else opens something here, with its field.
fn other_secrets<'a>(
    operator: &'a [Secret],
    drivers: &'a [Secret],
    peers: &'a [PeerConfig],
) -> Vec<(String, &'a Secret)> {
    let operator = operator.iter().map(|secret| ("operator.operator_token".to_owned(), secret));
    let drivers = (0..)
        .zip(drivers)
        .map(|(index, secret): (usize, _)| (format!("operator.driver_tokens[{index}]"), secret));
    let peers = (0..).zip(peers).flat_map(|(index, peer): (usize, _)| {
        peer.accepts.iter().map(move |secret| (format!("peers[{index}].accepts"), secret))
    });
    operator.chain(drivers).chain(peers).collect()
}

fn id(text: &str, field: &str, problems: &mut Vec<String>) -> Option<OperatorId> {
    OperatorId::new(text).map_err(|error| problems.push(format!("{field}: \"{text}\": {error}"))).ok()
}
