//! What the demo's page reads and does: all companies of a federation on one machine, and what is done to them.

use std::collections::BTreeMap;

use recarga_reservation::{OperatorId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::fields;

/// `GET /demo/empresas`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoCompanies {
    /// All of them.
    #[serde(with = "fields::objects")]
    pub empresas: Vec<DemoCompany>,
}

/// One company of the demo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoCompany {
    /// Which.
    #[serde(with = "fields::text")]
    pub id: OperatorId,
    /// Its name, for people.
    pub nome: String,
    /// Under which path of the demo's page its API stands.
    pub base: String,
    /// Where it answers itself.
    pub url: String,
    /// Its process; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processo: Option<u32>,
    /// How its process is.
    pub estado: DemoState,
    /// Whether no message passes between it and the other companies.
    pub isolada: bool,
    /// Since when its process is so.
    #[serde(with = "fields::text")]
    pub desde: Timestamp,
}

/// How a company's process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemoState {
    /// It takes requests.
    NoAr,
    /// It has been started.
    Iniciando,
    /// It is frozen, as a machine that hangs.
    Congelada,
    /// It was killed.
    Parada,
}

/// What can be done to a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoAction {
    /// Kill its process.
    Kill,
    /// Start it again.
    Start,
    /// Freeze it.
    Freeze,
    /// Let it go on.
    Thaw,
    /// Let no message pass between it and the others.
    Isolate,
    /// Let messages pass again.
    Join,
}

impl DemoAction {
    /// By its word on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "parar" => DemoAction::Kill,
            "iniciar" => DemoAction::Start,
            "congelar" => DemoAction::Freeze,
            "descongelar" => DemoAction::Thaw,
            "isolar" => DemoAction::Isolate,
            "religar" => DemoAction::Join,
            _ => return None,
        })
    }
}

/// `GET /demo/auditoria`: what the audit says at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoAudit {
    /// When it was said.
    #[serde(with = "fields::text")]
    pub instante: Timestamp,
    /// In a word.
    pub veredito: DemoVerdict,
    /// In a sentence, as `recarga audit` says it.
    pub texto: String,
    /// How many there are of what, as `recarga audit --json` counts.
    pub contagens: BTreeMap<String, serde_json::Value>,
    /// What was found, the gravest first, at most 50; as in `recarga audit --json`.
    pub achados: Vec<serde_json::Value>,
    /// Companies that could not be read.
    pub nao_examinadas: Vec<String>,
}

/// What the audit says, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DemoVerdict {
    /// Every trip is all or nothing, no EVSE is booked twice, nothing is left open.
    Integra,
    /// Nothing is wrong, and something is under way.
    Pendente,
    /// A company has released its part of a trip.
    Mista,
    /// Something is wrong.
    Violada,
    /// Nothing was examined yet.
    Desconhecido,
}
