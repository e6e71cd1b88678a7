//! `POST /reserva-temporaria`: hold all stops at one company, or none.

use std::collections::BTreeMap;
use std::time::Duration;

use recarga_reservation::{
    EvseId, Firmness, Hold, OperatorId, Plug, RequestId, RequestKey, Stop, StoreId, TRIP_STOPS_MAX,
    Timestamp, TransactionId, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::{Problem, ProblemKind};
use crate::{fields, schema, session, stops};

/// Most companies in one transaction. A change asks those of the old stops and those of the new ones.
pub const PARTICIPANTS_MAX: usize = 2 * TRIP_STOPS_MAX;

/// A request to hold. All stops at this company are held, or none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The session of the trip, made by the coordinator.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// The company that coordinates: the one that the session names.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// What the driver calls the request; repeats carry the same.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// Every company of the session, 1 to 32: whom to ask if the coordinator is silent.
    #[serde(with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>, min_items = 1, max_items = 32)]
    pub participantes: Vec<OperatorId>,
    /// From which database each of them was last heard, as far as the coordinator has heard of it. That a participant
    /// never voted is believed of this database only, and only its yes counts.
    #[serde(default, with = "fields::objects", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 32)]
    pub depositos: Vec<KnownStore>,
    /// `preparada` (a vote; the default) or `provisoria` (may expire alone).
    #[serde(default, with = "fields::word")]
    pub tipo: HoldKind,
    /// For how many seconds, 1 to 3600; 30 if absent.
    #[serde(default = "default_valid_seconds", deserialize_with = "fields::number::valid_seconds")]
    #[schema(minimum = 1, maximum = 3600, default = 30)]
    pub validade_s: u32,
    /// When the driver first asked: the older goes first.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub prioridade: Timestamp,
    /// The car.
    #[serde(with = "fields::object")]
    pub veiculo: Vehicle,
    /// The stops at this company. Empty only in a change that moves every stop elsewhere.
    #[serde(with = "fields::objects")]
    #[schema(max_items = 16)]
    pub reservas: Vec<HoldStop>,
    /// The confirmed session whose windows at this company end when this one is confirmed.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub substitui: Option<TransactionId>,
}

/// From which database a company speaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownStore {
    /// One of `participantes`.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Its database.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
}

/// How firmly to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// A vote: never released without a decision.
    #[default]
    Preparada,
    /// For a person's think-time: the company may release it alone when the time is up. Not a vote.
    Provisoria,
}

/// The car of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Vehicle {
    /// The id of the car.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// What the car can plug into; not checked if absent.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Plugue>)]
    pub plugue: Option<Plug>,
}

/// One stop at a company.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldStop {
    /// Its place in the whole trip, from 0.
    #[schema(maximum = 15)]
    pub parada: u16,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// First instant of the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// First instant after the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
}

/// The stops are held. Only with `voto` is this a vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldAnswer {
    /// The session.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// `sim` for a prepared hold; absent for a soft one, which is no vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voto: Option<YesVote>,
    /// Who holds.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// From which database.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Deposito)]
    pub deposito: StoreId,
    /// Soft: when it may be released. Prepared: when the company begins to ask for the decision.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub expira_em: Timestamp,
    /// What is held.
    #[serde(with = "fields::objects")]
    pub reservas: Vec<HeldStop>,
}

/// A vote yes; a no is a problem with `"voto":"nao"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum YesVote {
    /// Everything is held.
    Sim,
}

/// A stop that is held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HeldStop {
    /// What the company calls this hold.
    pub reserva_id: String,
    /// Its place in the whole trip, from 0.
    pub parada: u16,
    /// The EVSE.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub ponto_id: EvseId,
    /// First instant of the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_inicio: Timestamp,
    /// First instant after the window.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub janela_fim: Timestamp,
}

impl HoldRequest {
    /// What a coordinator sends. `valid_for` is brought to whole seconds within 1 to 3600.
    pub fn new(hold: &Hold, firmness: Firmness, valid_for: Duration) -> Self {
        Self {
            sessao: hold.transaction.clone(),
            coordenador: hold.transaction.coordinator.clone(),
            requisicao_id: hold.key.request.clone(),
            participantes: hold.participants.clone(),
            depositos: hold.stores.iter().map(KnownStore::new).collect(),
            tipo: match firmness {
                Firmness::Prepared => HoldKind::Preparada,
                Firmness::Soft => HoldKind::Provisoria,
            },
            validade_s: u32::try_from(valid_for.as_secs())
                .unwrap_or(VALID_SECONDS_MAX)
                .clamp(1, VALID_SECONDS_MAX),
            prioridade: hold.priority,
            veiculo: Vehicle { veiculo_id: hold.key.vehicle.clone(), plugue: hold.plug },
            reservas: hold.stops.iter().map(HoldStop::new).collect(),
            substitui: hold.replaces.clone(),
        }
    }

    /// What is asked, how firmly, and for how long.
    ///
    /// # Errors
    /// A coordinator that is not the transaction's, no or too many companies or stops, a database of a company that
    /// takes no part, a stop twice, a reversed window, two stops at the same time.
    pub fn into_hold(self) -> Result<(Hold, Firmness, Duration), Problem> {
        session::check_coordinator(&self.sessao, Some(&self.coordenador))?;
        if self.participantes.is_empty() || self.participantes.len() > PARTICIPANTS_MAX {
            let detail = format!("`participantes` deve ter de 1 a {PARTICIPANTS_MAX} empresas");
            return Err(Problem::new(ProblemKind::InvalidField, detail).at("participantes"));
        }
        if self.reservas.len() > TRIP_STOPS_MAX || (self.reservas.is_empty() && self.substitui.is_none()) {
            return Err(Problem::stop_count("reservas", TRIP_STOPS_MAX));
        }
        let stores = known_stores(self.depositos, &self.participantes)?;
        let mut stops: Vec<Stop> = Vec::with_capacity(self.reservas.len());
        for (index, stop) in self.reservas.into_iter().enumerate() {
            let stop = stop.into_stop(index)?;
            for (earlier, known) in stops.iter().enumerate() {
                if known.number == stop.number {
                    let detail = format!("a parada {} aparece também em reservas[{earlier}]", stop.number);
                    let field = format!("reservas[{index}].parada");
                    return Err(Problem::new(ProblemKind::InvalidField, detail).at(field));
                }
                if known.window.overlaps(stop.window) {
                    return Err(Problem::stops_overlap("reservas", earlier, index).at_stop(stop.number));
                }
            }
            stops.push(stop);
        }
        let firmness = match self.tipo {
            HoldKind::Preparada => Firmness::Prepared,
            HoldKind::Provisoria => Firmness::Soft,
        };
        let hold = Hold {
            transaction: self.sessao,
            key: RequestKey { vehicle: self.veiculo.veiculo_id, request: self.requisicao_id },
            plug: self.veiculo.plugue,
            participants: self.participantes,
            stores,
            priority: self.prioridade,
            stops,
            replaces: self.substitui,
        };
        Ok((hold, firmness, Duration::from_secs(self.validade_s.into())))
    }
}

impl KnownStore {
    fn new((operator, store): (&OperatorId, &StoreId)) -> Self {
        Self { empresa: operator.clone(), deposito: *store }
    }
}

impl HoldStop {
    /// A stop as it is told.
    pub fn new(stop: &Stop) -> Self {
        Self {
            parada: stop.number,
            ponto_id: stop.evse.clone(),
            janela_inicio: stop.window.start(),
            janela_fim: stop.window.end(),
        }
    }

    fn into_stop(self, index: usize) -> Result<Stop, Problem> {
        if usize::from(self.parada) >= TRIP_STOPS_MAX {
            let detail = format!("use a posição da parada na viagem, de 0 a {}", TRIP_STOPS_MAX - 1);
            let field = format!("reservas[{index}].parada");
            return Err(Problem::new(ProblemKind::InvalidField, detail).at(field));
        }
        let window = stops::window(self.janela_inicio, self.janela_fim, || format!("reservas[{index}]"));
        let window = window.map_err(|problem| problem.at_stop(self.parada))?;
        Ok(Stop { number: self.parada, evse: self.ponto_id, window })
    }
}

impl HoldAnswer {
    /// `operator` holds everything, by its database `store`. Only a prepared hold is a vote.
    pub fn new(
        hold: &Hold,
        firmness: Firmness,
        operator: &OperatorId,
        store: StoreId,
        expires: Timestamp,
    ) -> Self {
        let held = |stop: &Stop| HeldStop {
            reserva_id: format!("{:032x}-{}", hold.transaction.nonce, stop.number),
            parada: stop.number,
            ponto_id: stop.evse.clone(),
            janela_inicio: stop.window.start(),
            janela_fim: stop.window.end(),
        };
        Self {
            sessao: hold.transaction.clone(),
            voto: match firmness {
                Firmness::Prepared => Some(YesVote::Sim),
                Firmness::Soft => None,
            },
            empresa: operator.clone(),
            deposito: store,
            expira_em: expires,
            reservas: hold.stops.iter().map(held).collect(),
        }
    }
}

fn known_stores(
    known: Vec<KnownStore>,
    participants: &[OperatorId],
) -> Result<BTreeMap<OperatorId, StoreId>, Problem> {
    let mut stores = BTreeMap::new();
    for (index, KnownStore { empresa, deposito }) in known.into_iter().enumerate() {
        let wrong = match participants.contains(&empresa) {
            false => "não está em `participantes`",
            true if stores.contains_key(&empresa) => "aparece mais de uma vez",
            true => {
                stores.insert(empresa, deposito);
                continue;
            }
        };
        let detail = format!("{empresa} {wrong}; indique cada participante uma vez ou nenhuma");
        return Err(Problem::new(ProblemKind::InvalidField, detail).at(format!("depositos[{index}].empresa")));
    }
    Ok(stores)
}

const VALID_SECONDS_MAX: u32 = 3600;

fn default_valid_seconds() -> u32 {
    30
}
