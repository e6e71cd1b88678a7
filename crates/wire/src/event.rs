//! `GET /eventos`: what happens, as server-sent events.

use recarga_reservation::{
    Branch, EvseId, OperatorId, RequestId, Timestamp, TransactionId, TripId, VehicleId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::BranchState;
use crate::problem::Problem;
use crate::trip::TripAnswer;
use crate::vehicle::VehicleStatus;
use crate::{fields, schema};

/// Um acontecimento.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Cresce a cada acontecimento; o `id` do evento SSE, para `Last-Event-ID`.
    pub id: u64,
    /// Quando.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Instante)]
    pub instante: Timestamp,
    /// O quê.
    #[serde(flatten)]
    pub fato: EventBody,
}

/// O que aconteceu. `evento` é também o nome do evento SSE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "evento", content = "dados", rename_all = "kebab-case")]
pub enum EventBody {
    /// Uma viagem foi decidida, cancelada, alterada ou perdeu uma parada.
    Viagem(TripAnswer),
    /// Um pedido de viagem foi recusado.
    ViagemRecusada(RefusedTrip),
    /// O que a empresa retém para uma sessão mudou.
    Reserva(HoldEvent),
    /// Um carro disse onde está.
    Veiculo(VehicleStatus),
    /// Uma empresa parceira ficou acessível ou inacessível.
    EmpresaParceira(PeerEvent),
    /// Algo que uma pessoa deve ver: uma heurística, um alarme do protocolo.
    Alarme(Alarm),
}

/// Um pedido de viagem recusado.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedTrip {
    /// O pedido.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub requisicao_id: RequestId,
    /// O carro.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub veiculo_id: VehicleId,
    /// Por quê.
    pub motivo: Problem,
}

/// O que a empresa retém para uma sessão.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldEvent {
    /// A sessão.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Sessao)]
    pub sessao: TransactionId,
    /// O estado.
    pub estado: BranchState,
    /// A empresa que coordena.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub coordenador: OperatorId,
    /// O carro, se ainda se sabe.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub veiculo_id: Option<VehicleId>,
    /// Os pontos.
    #[serde(default, with = "fields::texts")]
    #[schema(value_type = Vec<schema::Id>)]
    pub pontos: Vec<EvseId>,
}

/// Uma empresa parceira.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PeerEvent {
    /// A empresa.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: OperatorId,
    /// Se responde.
    pub acessivel: bool,
    /// O que se viu, para pessoas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detalhe: Option<String>,
}

/// Algo que uma pessoa deve ver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alarm {
    /// O que houve.
    pub problema: Problem,
    /// A sessão.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Sessao>)]
    pub sessao: Option<TransactionId>,
    /// A viagem.
    #[serde(default, with = "fields::optional_text", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Id>)]
    pub viagem_id: Option<TripId>,
}

impl EventBody {
    /// The name of the server-sent event.
    pub fn name(&self) -> &'static str {
        match self {
            EventBody::Viagem(_) => "viagem",
            EventBody::ViagemRecusada(_) => "viagem-recusada",
            EventBody::Reserva(_) => "reserva",
            EventBody::Veiculo(_) => "veiculo",
            EventBody::EmpresaParceira(_) => "empresa-parceira",
            EventBody::Alarme(_) => "alarme",
        }
    }
}

impl HoldEvent {
    /// What is held for a transaction now.
    pub fn new(transaction: &TransactionId, branch: &Branch) -> Self {
        let hold = match branch {
            Branch::Held { hold, .. }
            | Branch::Prepared { hold }
            | Branch::Confirmed { hold }
            | Branch::Released { hold } => Some(hold),
            Branch::Aborted { hold, .. } => hold.as_ref(),
        };
        Self {
            sessao: transaction.clone(),
            estado: BranchState::of(branch),
            coordenador: transaction.coordinator.clone(),
            veiculo_id: hold.map(|hold| hold.key.vehicle.clone()),
            pontos: hold
                .map(|hold| hold.stops.iter().map(|stop| stop.evse.clone()).collect())
                .unwrap_or_default(),
        }
    }
}
