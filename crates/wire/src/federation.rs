//! Who belongs to the federation, as its authority has signed it.

use recarga_reservation::{OperatorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields, schema};

/// Longest signed roll, in bytes.
pub const ROLL_LENGTH_MAX: usize = 1024 * 1024;

/// The roll and its signature: a file, and the answer to `GET /federacao/lista`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedRoll {
    /// The roll, JSON, letter for letter as it was signed: see [`Roll`].
    pub conteudo: String,
    /// Ed25519 over `recarga roll v1`, a zero byte and `conteudo`: 128 hexadecimal digits.
    pub assinatura: String,
}

/// Who belongs to the federation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// The federation's name.
    pub federacao: String,
    /// Grows with each change; the highest one holds.
    pub versao: u64,
    /// When it was signed.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub emitida_em: Timestamp,
    /// Everybody.
    #[serde(with = "fields::objects")]
    pub empresas: Vec<Enrolled>,
}

/// A company on the roll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Who.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Where its node is.
    pub url: String,
    /// Its X25519 public key: 64 hexadecimal digits.
    pub chave: String,
    /// Whether it stays.
    pub estado: Standing,
}

/// Whether a company stays in the federation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It does.
    Ativa,
    /// It is leaving: it keeps what is reserved, and takes nothing new.
    Saindo,
    /// It is not on the roll (only in answers).
    Fora,
}

/// `GET /federacao`: the roll as this company knows it, and what keeps it from leaving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FederationAnswer {
    /// Who says so.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Whether it stays itself.
    pub estado: Standing,
    /// The federation's name; absent where companies are configured one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub federacao: Option<String>,
    /// The version of the roll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versao: Option<u64>,
    /// The others, as this company speaks with them now.
    #[serde(with = "fields::objects")]
    pub empresas: Vec<FellowView>,
    /// What is not over yet; absent while it stays, as only who leaves has to count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pendencias: Option<Pending>,
}

/// Another company.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FellowView {
    /// Who.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Where its node is.
    pub url: String,
    /// Whether it stays; `ativa` for one that is configured by itself.
    pub estado: Standing,
}

/// What a company has to see through before it can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// Reservations at its EVSEs that are not over.
    pub reservas: usize,
    /// Holds without an outcome.
    pub em_duvida: usize,
    /// Trips that it coordinates and that are not over, or are being decided.
    pub viagens: usize,
    /// Trips of which not every company has acknowledged the outcome.
    pub entregas: usize,
    /// When the last of the reservations and trips ends, as they are now.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub ate: Option<Timestamp>,
}

impl Pending {
    /// Whether it can go.
    pub fn is_nothing(&self) -> bool {
        self.reservas == 0 && self.em_duvida == 0 && self.viagens == 0 && self.entregas == 0
    }
}
