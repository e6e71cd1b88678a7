//! `GET /em-duvida` and `POST /em-duvida/{sessao}/forcar`: what is in doubt at a company, and what its operator has
//! forced. For operators only.

use recarga_reservation::{OperatorId, Outcome, StoreId, Timestamp, TransactionId, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hold::HoldStop;
use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema};

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 500;
/// Longest name of who decided, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What is in doubt, and what was forced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoubtsAnswer {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// How many sessions are in doubt.
    pub quantas: usize,
    /// Those that have been so for longest, 100 at most.
    #[serde(with = "fields::objects")]
    pub sessoes: Vec<Doubtful>,
    /// Everything that was ever forced here.
    #[serde(with = "fields::objects")]
    pub forcadas: Vec<ForcedView>,
}

/// A session in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Doubtful {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// Who coordinates it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// For how long, in this run of the process.
    pub idade_s: f64,
    /// When the driver asked, by the coordinator's clock.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub pedida_em: Timestamp,
    /// The car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// What is held for it here.
    #[serde(with = "fields::objects")]
    pub reservas: Vec<HoldStop>,
    /// What every other company of the session says of it now.
    #[serde(with = "fields::objects")]
    pub respostas: Vec<DoubtWord>,
}

/// What a company says of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DoubtWord {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// What it says.
    pub resposta: Word,
    /// From which database it speaks.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Deposito>)]
    pub deposito: Option<StoreId>,
    /// Whether that ends the doubt: it may not, where it speaks from another database than the one that would know.
    pub vale: bool,
}

/// What can be said of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Committed.
    Confirmada,
    /// Aborted.
    Abortada,
    /// Its coordinator is about to decide.
    Pendente,
    /// It does not know, either.
    EmDuvida,
    /// It does not answer, or not in a way that says anything.
    SemResposta,
}

/// What was forced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForcedView {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// What was decided.
    pub decisao: ForcedDecision,
    /// By whom, as they said.
    pub por: String,
    /// Why, as they said.
    pub motivo: String,
    /// When.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// What became of the session at its coordinator, if that has been heard since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resultado: Option<Word>,
    /// When it was heard.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub sabido_em: Option<Timestamp>,
    /// The coordinator decided otherwise: the trip lacks this company's stops.
    pub mista: bool,
}

/// What an operator can force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForcedDecision {
    /// What is held is given back.
    Abortar,
}

/// The operator decides alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceBody {
    /// `abortar`; there is no other.
    #[serde(with = "fields::word")]
    pub decisao: ForcedDecision,
    /// Who decides: a person, 1 to 100 characters.
    pub por: String,
    /// Why, 1 to 500 characters. It is kept.
    pub motivo: String,
}

impl ForceBody {
    /// Who decides, and why, without what would make a line of a log two.
    ///
    /// # Errors
    /// Nothing is said, or too much.
    pub fn into_trail(self) -> Result<(String, String), Problem> {
        let by = line(&self.por, "por", NAME_CHARS_MAX)?;
        let reason = line(&self.motivo, "motivo", REASON_CHARS_MAX)?;
        Ok((by, reason))
    }
}

impl Word {
    /// The word for an outcome.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pending => Word::Pendente,
            Outcome::Commit => Word::Confirmada,
            Outcome::Abort => Word::Abortada,
            Outcome::InDoubt => Word::EmDuvida,
        }
    }
}

impl ForcedView {
    /// An abort that was forced; `turned_out` is whether the session was committed, and since when that is known.
    pub fn new(
        transaction: &TransactionId,
        by: &str,
        reason: &str,
        at: Timestamp,
        turned_out: Option<(bool, Timestamp)>,
    ) -> Self {
        let committed = turned_out.map(|(committed, _)| committed);
        Self {
            sessao: transaction.clone(),
            decisao: ForcedDecision::Abortar,
            por: by.to_owned(),
            motivo: reason.to_owned(),
            instante: at,
            resultado: committed.map(|committed| if committed { Word::Confirmada } else { Word::Abortada }),
            sabido_em: turned_out.map(|(_, at)| at),
            mista: committed == Some(true),
        }
    }
}

fn line(text: &str, field: &'static str, most: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most || text.chars().any(char::is_control) {
        let detail = format!("`{field}` deve ter de 1 a {most} caracteres, em uma linha só");
        return Err(Problem::new(ProblemKind::InvalidField, detail).at(field));
    }
    Ok(text.to_owned())
}
