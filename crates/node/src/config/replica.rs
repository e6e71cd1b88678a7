//! One of several processes of a company.

use recarga_reservation::OperatorId;
use serde::Deserialize;

use super::check_url;

/// A replica.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaConfig {
    /// Unlike those of the company's others, and the same at every start: the broker keeps what comes for it.
    pub name: String,
    /// Where the others reach this one: `http://host:port`, or `https://` with `[tls]`.
    pub url: String,
}

pub(super) fn check(replica: &ReplicaConfig, has_postgres: bool, has_tls: bool, problems: &mut Vec<String>) {
    if !has_postgres {
        problems.push(
            "replica: replicas share a database; set operator.store to postgres://..., or leave [replica] out"
                .to_owned(),
        );
    }
    // As a company's name: it becomes a part of a client id.
    if let Err(error) = OperatorId::new(&replica.name) {
        problems.push(format!("replica.name: \"{}\": {error}", replica.name));
    }
    check_url(&replica.url, if has_tls { "https://" } else { "http://" }, "replica.url", problems);
}
