//! `GET /rede`: what this company knows of what all companies offer.

use recarga_reservation::{OperatorId, TimeWindow, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{fields, schema};

/// The companies, as one of them knows their offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NetworkAnswer {
    /// Who says so.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Every company, in the order of their ids.
    #[serde(with = "fields::objects")]
    pub empresas: Vec<OfferView>,
}

/// The copy of one company's offer, with which trips are planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OfferView {
    /// Whose offer.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// How good the copy is.
    pub estado: OfferState,
    /// How many EVSEs it has.
    pub pontos: usize,
    /// The `revisao` of the company that it shows.
    pub revisao: u64,
    /// When the company last said that it is so; absent if it never has.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub vista_em: Option<Timestamp>,
    /// Until when free windows are known; absent if none are.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub conhecida_ate: Option<Timestamp>,
}

/// How good the copy of a company's offer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferState {
    /// The company said so a moment ago.
    Atual,
    /// The company does not answer: this is what it last offered.
    Inacessivel,
    /// The company has not said yet what it offers.
    Desconhecida,
}

impl OfferView {
    /// The copy of the offer of `operator`. `seen` is when it was last confirmed, for which `known`.
    pub fn new(
        operator: OperatorId,
        is_reachable: bool,
        points: usize,
        revision: u64,
        seen: Option<(Timestamp, TimeWindow)>,
    ) -> Self {
        let estado = match (seen, is_reachable) {
            (None, _) => OfferState::Desconhecida,
            (Some(_), true) => OfferState::Atual,
            (Some(_), false) => OfferState::Inacessivel,
        };
        Self {
            empresa: operator,
            estado,
            pontos: points,
            revisao: revision,
            vista_em: seen.map(|(seen, _)| seen),
            conhecida_ate: seen.map(|(_, known)| known.end()),
        }
    }
}
