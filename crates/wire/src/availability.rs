//! What a company offers: `GET /disponibilidade` and `GET /pontos`.

use recarga_reservation::{
    Connector, ConnectorId, DayTime, Evse, EvseId, OperatorId, Plug, PriceBand, Station, StationId, Tariff,
    TimeWindow, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::decode::decode_query;
use crate::problem::{Problem, ProblemKind};
use crate::{fields, instant, schema, text, windows};

/// Most points on one page, and as many as there are without `limite`.
pub const PAGE_POINTS_MAX: usize = 500;

/// How far around a place to search without `raio_km`, in km.
pub const RADIUS_DEFAULT_KM: f64 = 50.0;

/// What to look for; everything is optional. Checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AvailabilityQuery {
    /// From when; now if absent.
    pub from: Option<Timestamp>,
    /// Until when; 24 hours later if absent. After `from` where both are given.
    pub until: Option<Timestamp>,
    /// Federative unit, two capital letters.
    pub state: Option<String>,
    /// Only EVSEs that the plug fits.
    pub plug: Option<Plug>,
    /// Only EVSEs with at least this power, in kW.
    pub power_kw_min: Option<f64>,
    /// Only this EVSE.
    pub evse: Option<EvseId>,
    /// Only around a place.
    pub near: Option<Near>,
    /// Most points on the page.
    pub limit: Option<usize>,
    /// Where the page begins: `proximo` of the page before.
    pub cursor: Option<String>,
    /// Only EVSEs whose free windows changed after this `revisao`.
    pub changed_after: Option<u64>,
}

/// A circle on the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
    /// In km, above 0.
    pub radius_km: f64,
}

/// The parameters of `GET /disponibilidade` and `GET /pontos`. All are optional; an empty one counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct AvailabilityParams {
    /// Start of the period, RFC 3339; now if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub de: Option<String>,
    /// End of the period, RFC 3339; 24 hours after its start if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ate: Option<String>,
    /// Federative unit, two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "BA")]
    pub uf: Option<String>,
    /// Only EVSEs that this plug (OCPI's name) fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(example = "IEC_62196_T2_COMBO")]
    pub plugue: Option<String>,
    /// Only EVSEs with at least this power, in kW.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<f64>)]
    pub potencia_min_kw: Option<String>,
    /// Only this EVSE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ponto_id: Option<String>,
    /// Latitude in degrees; needs `lon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<f64>)]
    pub lat: Option<String>,
    /// Longitude in degrees; needs `lat`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<f64>)]
    pub lon: Option<String>,
    /// Radius in km around `lat` and `lon`; 50 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<f64>)]
    pub raio_km: Option<String>,
    /// Most points on the page, 1 to 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 500)]
    pub limite: Option<String>,
    /// The `proximo` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Only EVSEs whose free windows changed after this `revisao` of an earlier answer. Where the company cannot tell,
    /// the answer has all of them, and no `alterados_desde`. Not for `GET /pontos`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<u64>)]
    pub alterados_desde: Option<String>,
}

/// A page of EVSEs with their free windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AvailabilityAnswer {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Grows with each change.
    pub revisao: u64,
    /// As asked for, where only what changed since is here; absent where everything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alterados_desde: Option<u64>,
    /// The EVSEs, in the order of `ponto_id`.
    #[serde(with = "fields::objects")]
    pub pontos: Vec<AvailablePoint>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// A page of EVSEs, without times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointsAnswer {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Grows with each change.
    pub revisao: u64,
    /// The EVSEs, in the order of `ponto_id`.
    #[serde(with = "fields::objects")]
    pub pontos: Vec<Point>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

/// An EVSE with its state and its free windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AvailablePoint {
    /// The EVSE.
    #[serde(flatten)]
    pub ponto: Point,
    /// Its state at this moment.
    pub estado: PointState,
    /// The free windows in the period asked for, in order.
    #[serde(with = "windows")]
    #[schema(value_type = Vec<schema::Livre>)]
    pub livres: Vec<TimeWindow>,
}

/// An EVSE: it serves one car at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    /// Unique within the company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// The station where it stands.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub estacao_id: StationId,
    /// The name of the station.
    pub nome: String,
    /// The city.
    pub cidade: String,
    /// Federative unit, two letters.
    pub uf: String,
    /// Degrees, WGS 84.
    pub latitude: f64,
    /// Degrees, WGS 84.
    pub longitude: f64,
    /// Metres above the sea, if the company says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_m: Option<f64>,
    /// IANA time zone.
    pub fuso: String,
    /// Only one of them can be in use.
    #[serde(with = "fields::objects")]
    pub conectores: Vec<PointConnector>,
    /// BRL per kWh, where no band says otherwise.
    pub preco_kwh: f64,
    /// BRL once per session.
    pub taxa_ativacao: f64,
    /// BRL per minute for a car that stays at the cable when it is charged; none if absent.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub taxa_ociosidade_min: f64,
    /// Other prices at some times of the day; where they overlap, the first holds.
    #[serde(default, with = "fields::objects", skip_serializing_if = "Vec::is_empty")]
    pub faixas: Vec<PriceBandBody>,
}

/// A price at some times of the day, in the station's local time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PriceBandBody {
    /// From then on, as in `18:00`.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Hora)]
    pub inicio: DayTime,
    /// Until then; on the next day, if it is not after `inicio`.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Hora)]
    pub fim: DayTime,
    /// BRL per kWh.
    pub preco_kwh: f64,
}

/// A cable or a socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PointConnector {
    /// Unique within the EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub conector_id: ConnectorId,
    /// Its shape.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Plugue)]
    pub plugue: Plug,
    /// The most it delivers, in kW.
    pub potencia_kw: f64,
}

/// The state of an EVSE at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PointState {
    /// Free.
    Disponivel,
    /// A car is charging.
    EmUso,
    /// Reserved now for a car that has not arrived yet.
    Reservado,
    /// Broken or out of service.
    Inoperante,
}

impl AvailabilityQuery {
    /// Reads a query string, without its `?`.
    ///
    /// # Errors
    /// A [`Problem`] that names the parameter and the cure.
    pub fn decode(query: &str) -> Result<AvailabilityQuery, Problem> {
        decode_query::<AvailabilityParams>(query)?.into_query()
    }

    /// The query string that asks for this, without its `?`.
    pub fn encode(&self) -> String {
        let params = AvailabilityParams {
            de: self.from.map(instant::format),
            ate: self.until.map(instant::format),
            uf: self.state.clone(),
            plugue: self.plug.map(|plug| plug.name().to_owned()),
            potencia_min_kw: self.power_kw_min.map(|power| power.to_string()),
            ponto_id: self.evse.as_ref().map(ToString::to_string),
            lat: self.near.map(|near| near.latitude.to_string()),
            lon: self.near.map(|near| near.longitude.to_string()),
            raio_km: self.near.map(|near| near.radius_km.to_string()),
            limite: self.limit.map(|limit| limit.to_string()),
            cursor: self.cursor.clone(),
            alterados_desde: self.changed_after.map(|revision| revision.to_string()),
        };
        serde_urlencoded::to_string(params).unwrap_or_default()
    }
}

impl AvailabilityParams {
    /// Checks every parameter.
    ///
    /// # Errors
    /// A [`Problem`] that names the parameter and the cure.
    pub fn into_query(self) -> Result<AvailabilityQuery, Problem> {
        let given = |param: Option<String>| param.filter(|text| !text.is_empty());
        let instant = |param, name| given(param).map(|text| text::parse(&text, name)).transpose();
        let number =
            |param, name, min, max| given(param).map(|text| number(&text, name, min, max)).transpose();
        let (from, until) = (instant(self.de, "de")?, instant(self.ate, "ate")?);
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            let detail = "o período termina antes de começar: `ate` deve ser posterior a `de`";
            return Err(Problem::new(ProblemKind::ReversedWindow, detail).at("ate"));
        }
        let place = (number(self.lat, "lat", -90.0, 90.0)?, number(self.lon, "lon", -180.0, 180.0)?);
        let radius = number(self.raio_km, "raio_km", 0.1, 20_000.0)?;
        let near = match (place, radius) {
            ((Some(latitude), Some(longitude)), radius) => {
                Some(Near { latitude, longitude, radius_km: radius.unwrap_or(RADIUS_DEFAULT_KM) })
            }
            ((None, None), None) => None,
            ((None, _), _) => return Err(missing("lat", "informe `lat` junto com `lon` e `raio_km`")),
            ((_, None), _) => return Err(missing("lon", "informe `lon` junto com `lat` e `raio_km`")),
        };
        Ok(AvailabilityQuery {
            from,
            until,
            state: given(self.uf).map(federative_unit).transpose()?,
            plug: given(self.plugue).map(|text| text::parse(&text, "plugue")).transpose()?,
            power_kw_min: number(self.potencia_min_kw, "potencia_min_kw", 0.0, 10_000.0)?,
            evse: given(self.ponto_id).map(|text| text::parse(&text, "ponto_id")).transpose()?,
            near,
            limit: given(self.limite).map(|text| page_limit(&text)).transpose()?,
            cursor: given(self.cursor),
            changed_after: given(self.alterados_desde).map(|text| revision(&text)).transpose()?,
        })
    }
}

impl Point {
    /// One EVSE of a station.
    pub fn new(station: &Station, evse: &Evse) -> Self {
        let connector = |one: &Connector| PointConnector {
            conector_id: one.id.clone(),
            plugue: one.plug,
            potencia_kw: one.power_kw,
        };
        let band =
            |one: &PriceBand| PriceBandBody { inicio: one.from, fim: one.to, preco_kwh: one.price_kwh };
        Self {
            ponto_id: evse.id.clone(),
            estacao_id: station.id.clone(),
            nome: station.name.clone(),
            cidade: station.city.clone(),
            uf: station.state.clone(),
            latitude: station.latitude,
            longitude: station.longitude,
            altitude_m: station.altitude_m,
            fuso: station.time_zone.clone(),
            conectores: evse.connectors.iter().map(connector).collect(),
            preco_kwh: station.tariff.price_kwh,
            taxa_ativacao: station.tariff.activation_fee,
            taxa_ociosidade_min: station.tariff.idle_fee_minute,
            faixas: station.tariff.bands.iter().map(band).collect(),
        }
    }

    /// The station with this EVSE alone.
    pub fn into_station(self) -> Station {
        let connector = |one: PointConnector| Connector {
            id: one.conector_id,
            plug: one.plugue,
            power_kw: one.potencia_kw,
        };
        let connectors = self.conectores.into_iter().map(connector).collect();
        Station {
            id: self.estacao_id,
            name: self.nome,
            city: self.cidade,
            state: self.uf,
            latitude: self.latitude,
            longitude: self.longitude,
            altitude_m: self.altitude_m,
            time_zone: self.fuso,
            tariff: Tariff {
                price_kwh: self.preco_kwh,
                activation_fee: self.taxa_ativacao,
                idle_fee_minute: self.taxa_ociosidade_min,
                bands: self.faixas.iter().map(PriceBandBody::band).collect(),
            },
            evses: vec![Evse { id: self.ponto_id, connectors }],
        }
    }
}

impl PriceBandBody {
    /// As the company's tariff has it.
    pub fn band(&self) -> PriceBand {
        PriceBand { from: self.inicio, to: self.fim, price_kwh: self.preco_kwh }
    }
}

/// Puts points together that stand at the same station, in the order in which the stations first appear.
pub fn into_stations(points: impl IntoIterator<Item = Point>) -> Vec<Station> {
    let mut stations: Vec<Station> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for point in points {
        let mut station = point.into_station();
        let place = *places.entry(station.id.clone()).or_insert(stations.len());
        match stations.get_mut(place) {
            Some(known) => known.evses.append(&mut station.evses),
            None => stations.push(station),
        }
    }
    stations
}

fn is_nothing(price: &f64) -> bool {
    *price == 0.0
}

fn number(text: &str, name: &str, min: f64, max: f64) -> Result<f64, Problem> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| {
        let detail = format!("use um número de {min} a {max}, com ponto decimal");
        Problem::new(ProblemKind::InvalidField, detail).at(name)
    })
}

fn page_limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=PAGE_POINTS_MAX).contains(limit));
    limit.ok_or_else(|| {
        let detail = format!("use um número inteiro de 1 a {PAGE_POINTS_MAX}");
        Problem::new(ProblemKind::InvalidField, detail).at("limite")
    })
}

fn revision(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| {
        let detail = "use o valor de `revisao` de uma resposta anterior, um número inteiro";
        Problem::new(ProblemKind::InvalidField, detail).at("alterados_desde")
    })
}

fn federative_unit(text: String) -> Result<String, Problem> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text);
    }
    Err(Problem::new(ProblemKind::InvalidField, "use a sigla com duas letras maiúsculas, como BA").at("uf"))
}

fn missing(name: &str, detail: &'static str) -> Problem {
    Problem::new(ProblemKind::MissingField, detail).at(name)
}
