//! All companies' stations, as one company knows them.

use recarga_reservation::{EvseId, OperatorId, Plug, StationId, TimeWindow, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::availability::{AvailablePoint, PointState};
use crate::{fields, schema};

/// `GET /painel/estacoes`: a page of stations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelStations {
    /// Who says so.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// First instant of the chosen window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub de: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub ate: Timestamp,
    /// By company, in the order of `estacao_id`.
    #[serde(with = "fields::objects")]
    pub estacoes: Vec<PanelStation>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// A station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelStation {
    /// Whose it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Unique within the company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub estacao_id: StationId,
    /// Its name.
    pub nome: String,
    /// Its city.
    pub cidade: String,
    /// Federative unit, two letters.
    pub uf: String,
    /// Degrees, WGS 84.
    pub latitude: f64,
    /// Degrees, WGS 84.
    pub longitude: f64,
    /// IANA time zone.
    pub fuso: String,
    /// Its EVSEs.
    #[serde(with = "fields::objects")]
    pub pontos: Vec<PanelStationPoint>,
}

/// An EVSE of a station.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelStationPoint {
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// The plugs of its connectors.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Plugue>)]
    pub plugues: Vec<Plug>,
    /// The most that any of them delivers, in kW.
    pub potencia_kw: f64,
    /// BRL per kWh.
    pub preco_kwh: f64,
    /// BRL once per session.
    pub taxa_ativacao: f64,
    /// Its state when its company was last asked.
    pub estado: PointState,
    /// Whether it is free for the whole chosen window.
    pub livre: bool,
}

/// `GET /painel/estacoes/{empresa}/{estacao_id}`: one station, with what is free.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StationView {
    /// Whose it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Unique within the company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub estacao_id: StationId,
    /// Whether its company answers now; otherwise this is what it last said.
    pub atual: bool,
    /// Its EVSEs.
    #[serde(with = "fields::objects")]
    pub pontos: Vec<AvailablePoint>,
}

impl PanelStation {
    /// The station of an EVSE, without any EVSE yet.
    pub fn of(operator: &OperatorId, any: &AvailablePoint) -> Self {
        let point = &any.ponto;
        Self {
            empresa: operator.clone(),
            estacao_id: point.estacao_id.clone(),
            nome: point.nome.clone(),
            cidade: point.cidade.clone(),
            uf: point.uf.clone(),
            latitude: point.latitude,
            longitude: point.longitude,
            fuso: point.fuso.clone(),
            pontos: vec![],
        }
    }
}

impl PanelStationPoint {
    /// An EVSE, and whether it is free for this whole window.
    pub fn new(point: &AvailablePoint, chosen: TimeWindow) -> Self {
        let covers = |free: &TimeWindow| free.start() <= chosen.start() && chosen.end() <= free.end();
        let about = &point.ponto;
        Self {
            ponto_id: about.ponto_id.clone(),
            plugues: about.conectores.iter().map(|connector| connector.plugue).collect(),
            potencia_kw: about.conectores.iter().map(|connector| connector.potencia_kw).fold(0.0, f64::max),
            preco_kwh: about.preco_kwh,
            taxa_ativacao: about.taxa_ativacao,
            estado: point.estado,
            livre: point.estado != PointState::Inoperante && point.livres.iter().any(covers),
        }
    }
}
