//! `GET /saude`.

use std::collections::BTreeMap;

use recarga_reservation::{OperatorId, StoreId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields, schema};

/// Como está um servidor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthAnswer {
    /// O estado.
    pub estado: HealthState,
    /// A empresa.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// O banco de dados de onde fala.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// A versão do programa.
    pub versao: String,
    /// O que foi verificado: `armazenamento`, `mqtt`, o nome de cada empresa parceira...
    #[serde(default)]
    pub verificacoes: BTreeMap<String, HealthCheck>,
}

/// O estado de um servidor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// O processo responde.
    Vivo,
    /// Aceita pedidos.
    Pronto,
    /// Aceita pedidos, mas uma verificação falhou.
    Degradado,
    /// Ainda lê o que lembra.
    Iniciando,
    /// Termina o que está em curso e não aceita mais nada.
    Encerrando,
    /// Não aceita pedidos.
    Indisponivel,
}

/// Uma verificação.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// O resultado.
    pub estado: CheckState,
    /// O que se viu, para pessoas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detalhe: Option<String>,
}

/// O resultado de uma verificação.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Tudo bem.
    Ok,
    /// Falhou.
    Falha,
}
