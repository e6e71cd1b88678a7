//! How much a company's EVSEs are used.

use recarga_reservation::{OperatorId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields, schema};

/// `GET /painel/numeros`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NumbersAnswer {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// First instant of the period.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub de: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub ate: Timestamp,
    /// EVSEs.
    pub pontos: usize,
    /// Of these, out of service now.
    pub inoperantes: usize,
    /// Windows in the period, by how firm they are.
    pub reservas: ReservationCounts,
    /// Minutes reserved in the period, of all EVSEs.
    pub reservado_min: f64,
    /// Of all EVSEs' time in the period, in per cent.
    pub utilizacao_pct: f64,
    /// What the plans say that the reservations which begin in the period will pay, in BRL.
    pub receita_prevista_brl: f64,
    /// How many of them have a plan: those of journeys that this company coordinated.
    pub reservas_com_previsao: usize,
    /// What they would pay if each charged at full power for its whole window, in BRL: certainly no less.
    pub receita_teto_brl: f64,
    /// The period in equal parts.
    #[serde(with = "fields::objects")]
    pub faixas: Vec<Share>,
    /// Holds that were refused here.
    pub recusas: RefusalCounts,
    /// Trips decided here since the start of the process.
    pub viagens: TripCounts,
}

/// Windows by how firm they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationCounts {
    /// Reserved.
    pub confirmada: usize,
    /// Promised, not decided.
    pub preparada: usize,
    /// Held softly.
    pub provisoria: usize,
}

/// A part of the period.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Share {
    /// First instant.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub inicio: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub fim: Timestamp,
    /// Minutes reserved in it, of all EVSEs.
    pub reservado_min: f64,
}

/// Holds that were refused, counted in memory for at most a day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusalCounts {
    /// Since when they are counted.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub desde: Timestamp,
    /// The most frequent first.
    #[serde(with = "fields::objects")]
    pub por_motivo: Vec<RefusalCount>,
}

/// Refusals for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalCount {
    /// As the `tipo` of a problem.
    pub tipo: String,
    /// How many.
    pub quantas: u64,
}

/// Trips decided by a company.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TripCounts {
    /// Booked.
    pub reservadas: u64,
    /// Refused.
    pub recusadas: u64,
    /// Cancelled by their drivers.
    pub canceladas: u64,
}
