//! `GET /saude`.

use std::collections::BTreeMap;

use recarga_reservation::{OperatorId, StoreId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields, schema};

/// How a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthAnswer {
    /// Its state.
    pub estado: HealthState,
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The database it speaks from.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// The version of the program.
    pub versao: String,
    /// What was checked: `armazenamento`, `mqtt`, the name of each peer...
    #[serde(default)]
    pub verificacoes: BTreeMap<String, HealthCheck>,
}

/// The state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// The process answers.
    Vivo,
    /// Takes requests.
    Pronto,
    /// Takes requests, but a check has failed.
    Degradado,
    /// Still reads what it remembers.
    Iniciando,
    /// Finishes what is in flight and takes nothing new.
    Encerrando,
    /// Takes no requests.
    Indisponivel,
}

/// A check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// The result.
    pub estado: CheckState,
    /// What was seen, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detalhe: Option<String>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// All is well.
    Ok,
    /// Failed.
    Falha,
}
