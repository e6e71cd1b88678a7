//! Problems (RFC 9457): how every refusal and every error is told.

mod from_rules;
mod kind;
mod vote;

use std::borrow::Cow;
use std::fmt;

use recarga_reservation::{OperatorId, TimeWindow, TransactionId};
use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::fields;
use crate::schema;
use crate::windows;

pub use from_rules::Stops;
pub use kind::ProblemKind;
pub use vote::NotAVote;

/// Media type of a problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// Something was refused or went wrong. Read and written as the JSON object of RFC 9457.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What kind; says status, title and cure.
    pub kind: ProblemKind,
    /// What happened here and what to do, for people, in Portuguese.
    pub detail: Cow<'static, str>,
    /// Which field is concerned, as in `paradas[1].janela_inicio` (wire: `campo`).
    pub field: Option<Box<str>>,
    /// Which stop of the trip is concerned, counted from 0 (wire: `parada`).
    pub stop: Option<u16>,
    /// What is free instead (wire: `livres`).
    pub free: Box<[TimeWindow]>,
    /// The most that is allowed (wire: `maximo_s`, `maximo_paradas` or `maximo_viagens`).
    pub maximum: Option<Amount>,
    /// How much of it is in use (wire: `usado_s` or `usado_viagens`).
    pub used: Option<Amount>,
    /// Which transaction is concerned; of `requisicao-em-outra-empresa`, the other one (wire: `sessao`).
    pub session: Option<Box<TransactionId>>,
    /// Which company is concerned (wire: `empresa`).
    pub operator: Option<OperatorId>,
    /// Where to ask later, a URL (wire: `consulta`).
    pub inquiry_url: Option<Box<str>>,
    /// The company asked to hold votes no with this (wire: `"voto":"nao"`). Any other problem is no vote.
    pub is_vote: bool,
}

/// How much is allowed, or in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Seconds (wire: `maximo_s`, `usado_s`).
    Seconds(u32),
    /// Stops (wire: `maximo_paradas`).
    Stops(u32),
    /// Trips (wire: `maximo_viagens`, `usado_viagens`).
    Trips(u32),
}

impl Amount {
    fn of(seconds: Option<u32>, stops: Option<u32>, trips: Option<u32>) -> Option<Self> {
        seconds.map(Amount::Seconds).or(stops.map(Amount::Stops)).or(trips.map(Amount::Trips))
    }

    fn seconds(self) -> Option<u32> {
        if let Amount::Seconds(seconds) = self { Some(seconds) } else { None }
    }

    fn stops(self) -> Option<u32> {
        if let Amount::Stops(stops) = self { Some(stops) } else { None }
    }

    fn trips(self) -> Option<u32> {
        if let Amount::Trips(trips) = self { Some(trips) } else { None }
    }
}

impl Problem {
    /// A problem with only its kind and words.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            field: None,
            stop: None,
            free: Box::default(),
            maximum: None,
            used: None,
            session: None,
            operator: None,
            inquiry_url: None,
            is_vote: false,
        }
    }

    /// A problem whose words are those of the catalogue: what happened, and the cure.
    pub fn of(kind: ProblemKind) -> Self {
        Self::new(kind, format!("{} {}", kind.explanation(), kind.cure()))
    }

    /// Names the field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into());
        self
    }

    /// Names the stop, counted from 0.
    #[must_use]
    pub fn at_stop(mut self, stop: u16) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Names the transaction.
    #[must_use]
    pub fn of_session(mut self, session: &TransactionId) -> Self {
        self.session = Some(Box::new(session.clone()));
        self
    }

    /// Names the company.
    #[must_use]
    pub fn of_operator(mut self, operator: &OperatorId) -> Self {
        self.operator = Some(operator.clone());
        self
    }

    /// Says where to ask later.
    #[must_use]
    pub fn ask_at(mut self, url: impl Into<Box<str>>) -> Self {
        self.inquiry_url = Some(url.into());
        self
    }

    /// Makes it a vote: no.
    #[must_use]
    pub fn as_vote(mut self) -> Self {
        self.is_vote = true;
        self
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.kind.status()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind.log())?;
        if let Some(field) = &self.field {
            write!(f, " ({field})")?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = ProblemBody {
            reference: format!("/problemas/{}", self.kind.code()).into(),
            tipo: self.kind.code().into(),
            title: self.kind.title().into(),
            status: self.kind.status(),
            detail: Cow::Borrowed(&self.detail),
            campo: self.field.as_deref().map(Cow::Borrowed),
            parada: self.stop,
            livres: Cow::Borrowed(&self.free),
            maximo_s: self.maximum.and_then(Amount::seconds),
            maximo_paradas: self.maximum.and_then(Amount::stops),
            maximo_viagens: self.maximum.and_then(Amount::trips),
            usado_s: self.used.and_then(Amount::seconds),
            usado_viagens: self.used.and_then(Amount::trips),
            sessao: self.session.as_deref().cloned(),
            empresa: self.operator.clone(),
            consulta: self.inquiry_url.as_deref().map(Cow::Borrowed),
            voto: self.is_vote.then_some(Cow::Borrowed(VOTE_NO)),
        };
        body.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let body: ProblemBody<'de> = fields::object::deserialize(deserializer)?;
        let (kind, detail) = match ProblemKind::from_code(&body.tipo) {
            Some(kind) => (kind, body.detail.into_owned()),
            // A newer server: what it says to people is kept.
            None => (ProblemKind::Unrecognised, format!("{}: {}", body.title, body.detail)),
        };
        Ok(Problem {
            kind,
            detail: Cow::Owned(detail),
            field: body.campo.map(|field| field.into_owned().into()),
            stop: body.parada,
            free: body.livres.into_owned().into(),
            maximum: Amount::of(body.maximo_s, body.maximo_paradas, body.maximo_viagens),
            used: Amount::of(body.usado_s, None, body.usado_viagens),
            session: body.sessao.map(Box::new),
            operator: body.empresa,
            inquiry_url: body.consulta.map(|url| url.into_owned().into()),
            is_vote: body.voto.is_some_and(|vote| vote == VOTE_NO),
        })
    }
}

impl PartialSchema for Problem {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        ProblemBody::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }

    fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<Schema>)>) {
        ProblemBody::schemas(schemas);
    }
}

const VOTE_NO: &str = "nao";

/// A problem (RFC 9457).
#[derive(Serialize, Deserialize, ToSchema)]
struct ProblemBody<'a> {
    /// The page that explains the problem and its cure, relative to the node.
    #[serde(rename = "type", default)]
    #[schema(value_type = String, example = "/problemas/ponto-reservado")]
    reference: Cow<'a, str>,
    /// Stable code.
    #[schema(value_type = String, example = "ponto-reservado")]
    tipo: Cow<'a, str>,
    /// One line for people.
    #[serde(default)]
    #[schema(value_type = String)]
    title: Cow<'a, str>,
    /// HTTP status.
    #[serde(default)]
    status: u16,
    /// What happened in this case and what to do.
    #[serde(default)]
    #[schema(value_type = String)]
    detail: Cow<'a, str>,
    /// The field of the request, as in `paradas[1].janela_inicio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    campo: Option<Cow<'a, str>>,
    /// The stop of the trip, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parada: Option<u16>,
    /// The nearest free windows.
    #[serde(default, with = "windows", skip_serializing_if = "<[TimeWindow]>::is_empty")]
    #[schema(value_type = Vec<schema::Livre>)]
    livres: Cow<'a, [TimeWindow]>,
    /// The most allowed, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximo_s: Option<u32>,
    /// The most stops allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximo_paradas: Option<u32>,
    /// The most open trips allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maximo_viagens: Option<u32>,
    /// What is in use of `maximo_s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usado_s: Option<u32>,
    /// What is in use of `maximo_viagens`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usado_viagens: Option<u32>,
    /// The session concerned.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    sessao: Option<TransactionId>,
    /// The company concerned.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    empresa: Option<OperatorId>,
    /// Where to ask later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    consulta: Option<Cow<'a, str>>,
    /// `nao`: the problem is the company's vote. Without this there is no vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "nao")]
    voto: Option<Cow<'a, str>>,
}
