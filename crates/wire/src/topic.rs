//! MQTT topics.

use std::fmt;
use std::str::FromStr;

use recarga_reservation::{OperatorId, VehicleId};
use thiserror::Error;

/// Every car's status, for a node to subscribe.
pub const ALL_STATUS: &str = "veiculo/+/status";

/// Every car's requests, for a node to subscribe.
pub const ALL_REQUESTS: &str = "veiculo/+/requisicao";

/// A topic on which something is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `veiculo/{id}/status`: a car tells where it is.
    VehicleStatus(VehicleId),
    /// `veiculo/{id}/requisicao`: a car asks for a trip.
    VehicleRequest(VehicleId),
    /// `veiculo/{id}/resposta`: a car is answered.
    VehicleAnswer(VehicleId),
    /// `servidor/{id}/resposta`: the same answers, by who answers.
    NodeAnswer(OperatorId),
}

/// Not one of the topics of this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a topic of this network")]
pub struct UnknownTopic;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::VehicleStatus(id) => write!(f, "veiculo/{id}/status"),
            Topic::VehicleRequest(id) => write!(f, "veiculo/{id}/requisicao"),
            Topic::VehicleAnswer(id) => write!(f, "veiculo/{id}/resposta"),
            Topic::NodeAnswer(id) => write!(f, "servidor/{id}/resposta"),
        }
    }
}

impl FromStr for Topic {
    type Err = UnknownTopic;

    fn from_str(text: &str) -> Result<Self, UnknownTopic> {
        let mut parts = text.split('/');
        let (Some(kind), Some(id), Some(what), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(UnknownTopic);
        };
        let vehicle = || VehicleId::new(id).map_err(|_| UnknownTopic);
        match (kind, what) {
            ("veiculo", "status") => vehicle().map(Topic::VehicleStatus),
            ("veiculo", "requisicao") => vehicle().map(Topic::VehicleRequest),
            ("veiculo", "resposta") => vehicle().map(Topic::VehicleAnswer),
            ("servidor", "resposta") => OperatorId::new(id).map(Topic::NodeAnswer).map_err(|_| UnknownTopic),
            _ => Err(UnknownTopic),
        }
    }
}

/// The shared subscription of the replicas of one company: each message reaches one of them.
pub fn shared(operator: &OperatorId, filter: &str) -> String {
    format!("$share/{operator}/{filter}")
}
