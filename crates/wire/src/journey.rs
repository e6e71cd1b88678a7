//! A journey whose stops are to be found: `POST /viagens/planejar`, and `POST /viagens` and cars' requests with
//! `origem` and `destino` in place of `paradas`.

use std::borrow::Cow;

use recarga_reservation::{
    ConnectorId, EvseId, OperatorId, Plug, RequestId, RequestKey, StationId, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::decode::decode;
use crate::hold::Vehicle;
use crate::network::OfferView;
use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema, trip};

mod car;

pub use car::{CarBody, Cycle, ModelView, ModelsAnswer};

/// Via points of one journey.
pub const VIAS_MAX: usize = 5;
/// Other plans that can be asked for.
pub const ALTERNATIVES_MAX: u8 = 5;
/// What stays in the battery where a journey says nothing, in per cent.
pub const RESERVE_PERCENT: f64 = 10.0;
/// Steady speed where a journey says nothing, in km/h.
pub const CRUISE_KMH: f64 = 90.0;
/// Outside where a journey says nothing, in °C.
pub const TEMPERATURE: f64 = 27.0;
/// Most stops where a journey says nothing.
pub const STOPS_MAX: u8 = 12;
/// Longest wait for one charger where a journey that is booked says nothing, in minutes.
pub const BOOKED_WAIT_MINUTES_MAX: f64 = 120.0;
/// Companies that can be named as avoided or preferred.
const COMPANIES_MAX: usize = 100;

/// Where to go, with what; the stops are found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JourneyBody {
    /// A city, with or without accents and state (`Recife`, `Valença, BA`), `latitude,longitude` in degrees, or a station's id.
    #[schema(example = "Recife, PE")]
    pub origem: String,
    /// As `origem`.
    #[schema(example = "Salvador, BA")]
    pub destino: String,
    /// Charge of the battery at the start in per cent, 0 to 100.
    #[serde(deserialize_with = "fields::number::percent")]
    #[schema(minimum = 0, maximum = 100)]
    pub bateria_pct: f64,
    /// A car of the catalogue, such as `byd-dolphin`; `GET /modelos` lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "byd-dolphin")]
    pub modelo: Option<String>,
    /// In place of `modelo`, a car that the catalogue does not have.
    #[serde(default, with = "fields::optional_object", skip_serializing_if = "Option::is_none")]
    pub carro: Option<CarBody>,
    /// When to leave; now if absent.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instante>)]
    pub saida: Option<Timestamp>,
    /// Places to pass, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 5)]
    pub via: Vec<String>,
    /// What counts most.
    #[serde(default, with = "fields::word", skip_serializing_if = "is_default")]
    pub preferencia: Preference,
    /// What shall be left at every stop and at the destination, in per cent, 0 to 50; 10 if absent.
    #[serde(
        default,
        deserialize_with = "fields::number::optional_reserve",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 0, maximum = 50)]
    pub reserva_pct: Option<f64>,
    /// Steady speed in km/h, 40 to 130; 90 if absent.
    #[serde(
        default,
        deserialize_with = "fields::number::optional_cruise",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 40, maximum = 130)]
    pub velocidade_kmh: Option<f64>,
    /// Outside, in °C, -30 to 50; 27 if absent. Heating and cooling take from the battery.
    #[serde(
        default,
        deserialize_with = "fields::number::optional_temperature",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = -30, maximum = 50)]
    pub temperatura_c: Option<f64>,
    /// Most stops, 0 to 12; 12 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 12)]
    pub paradas_max: Option<u8>,
    /// Longest wait for one charger, in minutes, 0 to 1440; 120 if absent where the journey is booked at once, else any.
    #[serde(
        default,
        deserialize_with = "fields::number::optional_wait",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(minimum = 0, maximum = 1440)]
    pub espera_max_min: Option<f64>,
    /// How many other plans to show beside the best, 0 to 5; none if absent. Not where the journey is booked.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(maximum = 5)]
    pub alternativas: u8,
    /// Companies at which not to stop.
    #[serde(default, with = "fields::texts", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::Id>)]
    pub evitar_empresas: Vec<OperatorId>,
    /// Companies at which rather to stop: elsewhere a stop counts 20 minutes more.
    #[serde(default, with = "fields::texts", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<schema::Id>)]
    pub preferir_empresas: Vec<OperatorId>,
}

/// What counts most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// Arriving early.
    #[default]
    MaisRapida,
    /// Paying little.
    MaisBarata,
    /// Stopping seldom.
    MenosParadas,
}

/// A request to book a journey. The fields of [`JourneyBody`] stand beside these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JourneyTripBody {
    /// As in a trip with stops.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    pub requisicao_id: Option<RequestId>,
    /// The car.
    #[serde(with = "fields::object")]
    pub veiculo: Vehicle,
    /// By MQTT: the company that shall coordinate.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    pub servidor: Option<OperatorId>,
    /// By MQTT: after this the request is refused, not run.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    pub expira_em: Option<Timestamp>,
    /// Where to go.
    #[serde(flatten)]
    pub viagem: Map<String, Value>,
}

/// A request to book a journey; checked but for what only a company knows.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyRequest {
    /// Under which repeats are recognised.
    pub key: RequestKey,
    /// Only this plug of the car, if it says so.
    pub plug: Option<Plug>,
    /// Where to go.
    pub journey: JourneyBody,
}

/// The answer to a question for a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlansAnswer {
    /// The best plan first, then others.
    #[serde(with = "fields::objects")]
    pub roteiros: Vec<Itinerary>,
    /// How fresh the offers are with which it was planned.
    #[serde(with = "fields::objects")]
    pub ofertas: Vec<OfferView>,
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Itinerary {
    /// As it was understood.
    pub origem: PlaceView,
    /// As it was understood.
    pub destino: PlaceView,
    /// The car: its model, or the name of a car of one's own.
    pub modelo: String,
    /// Whether a routing service said how long the roads are.
    #[serde(default, with = "fields::word")]
    pub distancias: Distances,
    /// When it leaves.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub partida: Timestamp,
    /// When it is there.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub chegada: Timestamp,
    /// On the road, in km.
    pub distancia_km: f64,
    /// At the wheel, in minutes.
    pub conducao_min: f64,
    /// At the cable, in minutes.
    pub recarga_min: f64,
    /// Waiting for chargers, in minutes.
    pub espera_min: f64,
    /// All sessions, in BRL.
    pub preco: f64,
    /// What is left at the destination, in per cent.
    pub chegada_pct: f64,
    /// The stops, in order; none where the battery lasts.
    #[serde(with = "fields::objects")]
    pub paradas: Vec<ItineraryStop>,
}

/// From where the lengths of roads are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distances {
    /// Straight lines, longer as roads usually are.
    #[default]
    Estimadas,
    /// A routing service.
    Calculadas,
}

/// A place as it was understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// Its name.
    pub nome: String,
    /// Degrees, WGS 84.
    pub latitude: f64,
    /// Degrees, WGS 84.
    pub longitude: f64,
}

/// A stop of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ItineraryStop {
    /// Its place in the trip, from 0.
    pub parada: u16,
    /// Whose EVSE it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The station.
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
    /// IANA time zone, for showing the times.
    pub fuso: String,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// Its connector.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub conector_id: ConnectorId,
    /// What the car and the connector deliver at most, in kW.
    pub potencia_kw: f64,
    /// Since the stop before, in km.
    pub distancia_km: f64,
    /// When the car comes.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub chegada: Timestamp,
    /// First instant of the window to be reserved.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// First instant after it.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
    /// When the car goes on.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub saida: Timestamp,
    /// Charge on arriving, in per cent.
    pub chegada_pct: f64,
    /// Charge on leaving, in per cent.
    pub saida_pct: f64,
    /// Charged, in kWh.
    pub energia_kwh: f64,
    /// Of the session, in BRL.
    pub preco: f64,
    /// Stations that could take its place.
    #[serde(default, with = "fields::objects", skip_serializing_if = "Vec::is_empty")]
    pub alternativas: Vec<BackupStop>,
}

/// A station that could take the place of a stop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BackupStop {
    /// Whose it is.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// The station's name.
    pub nome: String,
    /// How much longer the drive is, in minutes.
    pub desvio_min: f64,
}

impl JourneyBody {
    /// From a place to another with so much charge, and nothing else said; the car is still to be named.
    pub fn new(origem: String, destino: String, bateria_pct: f64) -> Self {
        Self {
            origem,
            destino,
            bateria_pct,
            modelo: None,
            carro: None,
            saida: None,
            via: Vec::new(),
            preferencia: Preference::default(),
            reserva_pct: None,
            velocidade_kmh: None,
            temperatura_c: None,
            paradas_max: None,
            espera_max_min: None,
            alternativas: 0,
            evitar_empresas: Vec::new(),
            preferir_empresas: Vec::new(),
        }
    }

    /// Checks what no table need be known for.
    ///
    /// # Errors
    /// Names the field and the cure.
    pub fn check(&self) -> Result<(), Problem> {
        let invalid = |field: &str, detail: &str| {
            Err(Problem::new(ProblemKind::InvalidField, detail.to_owned()).at(field))
        };
        match (&self.modelo, &self.carro) {
            (None, None) => {
                let detail = "falta o carro: diga um `modelo` de GET /modelos, ou descreva o seu em `carro`";
                return Err(Problem::new(ProblemKind::MissingField, detail).at("modelo"));
            }
            (Some(_), Some(_)) => return invalid("carro", "diga `modelo` ou `carro`, não os dois"),
            (None, Some(car)) => car.check()?,
            (Some(_), None) => {}
        }
        if self.via.len() > VIAS_MAX {
            return invalid("via", "passe por 5 lugares no máximo");
        }
        if self.paradas_max.is_some_and(|most| most > 12) {
            return invalid("paradas_max", "use um número inteiro de 0 a 12");
        }
        if self.alternativas > ALTERNATIVES_MAX {
            return invalid("alternativas", "use um número inteiro de 0 a 5");
        }
        for (field, companies) in
            [("evitar_empresas", &self.evitar_empresas), ("preferir_empresas", &self.preferir_empresas)]
        {
            if companies.len() > COMPANIES_MAX {
                return invalid(field, "cite 100 empresas no máximo");
            }
        }
        Ok(())
    }

    /// The same, in the one form in which a repeat is recognised.
    pub fn canonical(&self) -> String {
        String::from_utf8_lossy(&crate::encode(self)).into_owned()
    }
}

impl JourneyRequest {
    /// Whether both want the same: what goes without saying may be said.
    pub fn is_same(&self, other: &JourneyRequest) -> bool {
        self.terse() == other.terse()
    }

    fn terse(&self) -> JourneyRequest {
        let mut terse = self.clone();
        let JourneyBody { reserva_pct, velocidade_kmh, temperatura_c, paradas_max, espera_max_min, .. } =
            &mut terse.journey;
        for (said, usual) in [
            (reserva_pct, RESERVE_PERCENT),
            (velocidade_kmh, CRUISE_KMH),
            (temperatura_c, TEMPERATURE),
            (espera_max_min, BOOKED_WAIT_MINUTES_MAX),
        ] {
            *said = said.filter(|said| *said != usual);
        }
        *paradas_max = paradas_max.filter(|most| *most != STOPS_MAX);
        terse
    }
}

// As it stands in a request by HTTP: what is for MQTT alone is refused there.
impl PartialSchema for JourneyTripBody {
    fn schema() -> RefOr<Schema> {
        let (mut journey, trip) = (JourneyBody::schema(), trip::TripBody::schema());
        if let (RefOr::T(Schema::Object(journey)), RefOr::T(Schema::Object(trip))) = (&mut journey, trip) {
            let beside = trip.properties.into_iter().filter(|(name, _)| name != "paradas");
            journey.properties.extend(beside);
            journey.required.extend(trip.required.into_iter().filter(|name| name != "paradas"));
            let description =
                "A request to book a journey: the stops are found, and others if some are refused.";
            journey.description = Some(description.to_owned());
        }
        journey
    }
}

impl ToSchema for JourneyTripBody {
    fn name() -> Cow<'static, str> {
        "JourneyTripBody".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        JourneyBody::schemas(schemas);
        trip::TripBody::schemas(schemas);
    }
}

impl JourneyTripBody {
    /// Whether a message is a request for a journey rather than one with stops.
    pub fn is_one(bytes: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Keys {
            paradas: Option<serde::de::IgnoredAny>,
            cancelar: Option<serde::de::IgnoredAny>,
            origem: Option<serde::de::IgnoredAny>,
            destino: Option<serde::de::IgnoredAny>,
        }
        let keys = serde_json::from_slice::<Keys>(bytes);
        keys.is_ok_and(|keys| {
            (keys.origem.is_some() || keys.destino.is_some())
                && keys.paradas.is_none()
                && keys.cancelar.is_none()
        })
    }

    /// The request. `idempotency_key` is the header of that name, if there is one.
    ///
    /// # Errors
    /// A field of the journey is missing, unknown or makes no sense, or there is no request id.
    pub fn into_request(self, idempotency_key: Option<&str>) -> Result<JourneyRequest, Problem> {
        let request = trip::request_id(self.requisicao_id, idempotency_key)?;
        let text = Value::Object(self.viagem).to_string();
        let journey: JourneyBody = decode(text.as_bytes())?;
        journey.check()?;
        if journey.alternativas > 0 {
            let detail = "um pedido de reserva não mostra alternativas; peça-as em POST /viagens/planejar";
            return Err(Problem::new(ProblemKind::InvalidField, detail).at("alternativas"));
        }
        let key = RequestKey { vehicle: self.veiculo.veiculo_id, request };
        Ok(JourneyRequest { key, plug: self.veiculo.plugue, journey })
    }
}

impl JourneyRequest {
    /// What a car or an app sends.
    pub fn to_body(&self, servidor: Option<OperatorId>, expira_em: Option<Timestamp>) -> JourneyTripBody {
        let viagem = match serde_json::to_value(&self.journey) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        JourneyTripBody {
            requisicao_id: Some(self.key.request.clone()),
            veiculo: Vehicle { veiculo_id: self.key.vehicle.clone(), plugue: self.plug },
            servidor,
            expira_em,
            viagem,
        }
    }
}

impl Itinerary {
    /// As it was kept with a trip.
    pub fn read(kept: &str) -> Option<Itinerary> {
        serde_json::from_str(kept).ok()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
