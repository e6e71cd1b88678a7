//! What the page in the browser reads, and the one thing that it writes: for the operator, under `/painel`.

mod history;
mod numbers;
mod reservations;
mod stations;
mod status;

pub use history::{SessionEvent, SessionStory, SessionSummary, SessionsAnswer, StoryEvent};
pub use numbers::{NumbersAnswer, RefusalCount, RefusalCounts, ReservationCounts, Share, TripCounts};
pub use reservations::{
    PanelPoint, PanelReservations, PanelWindow, ReservedState, ServiceAnswer, ServiceBody, ServiceState,
};
pub use stations::{PanelStation, PanelStationPoint, PanelStations, StationView};
pub use status::{
    Access, ConfigAnswer, DoubtView, DoubtsView, EventsView, FlushView, LinkView, MapView, Mode, PanelHealth,
    PeerView, QuantilesView,
};

use recarga_reservation::{EvseId, Timestamp, VehicleId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Problem, ProblemKind};
use crate::trip::TripAnswer;
use crate::{fields, schema, text};

/// The parameters of what is read by periods and pages.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PanelParams {
    /// First instant of the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub de: Option<String>,
    /// First instant after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ate: Option<String>,
    /// Only this EVSE, where EVSEs are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ponto_id: Option<String>,
    /// Only this car, where trips are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub veiculo_id: Option<String>,
    /// Most entries on a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limite: Option<String>,
    /// The `proximo` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The checked parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PanelQuery {
    /// First instant of the period.
    pub from: Option<Timestamp>,
    /// First instant after it.
    pub until: Option<Timestamp>,
    /// Only this EVSE.
    pub evse: Option<EvseId>,
    /// Only this car.
    pub vehicle: Option<VehicleId>,
    /// Most entries on a page.
    pub limit: usize,
    /// After what.
    pub cursor: Option<String>,
}

/// Trips that a company coordinated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PanelTrips {
    /// The company.
    #[serde(with = "fields::text")]
    #[schema(value_type = schema::Id)]
    pub empresa: recarga_reservation::OperatorId,
    /// The latest first.
    #[serde(with = "fields::objects")]
    pub viagens: Vec<TripAnswer>,
    /// The `cursor` of the next page; absent from the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proximo: Option<String>,
}

impl PanelParams {
    /// Checks every parameter; `usual` and `most` are entries on a page.
    ///
    /// # Errors
    /// A [`Problem`] that names the parameter and the cure.
    pub fn into_query(self, usual: usize, most: usize) -> Result<PanelQuery, Problem> {
        let given = |param: Option<String>| param.filter(|text| !text.is_empty());
        let instant = |param, name| given(param).map(|text| text::parse(&text, name)).transpose();
        let (from, until) = (instant(self.de, "de")?, instant(self.ate, "ate")?);
        if let (Some(from), Some(until)) = (from, until)
            && until <= from
        {
            let detail = "o período termina antes de começar: `ate` deve ser posterior a `de`";
            return Err(Problem::new(ProblemKind::ReversedWindow, detail).at("ate"));
        }
        let limit = |text: String| {
            text.parse().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
                let detail = format!("use um número inteiro de 1 a {most}");
                Problem::new(ProblemKind::InvalidField, detail).at("limite")
            })
        };
        Ok(PanelQuery {
            from,
            until,
            evse: given(self.ponto_id).map(|text| text::parse(&text, "ponto_id")).transpose()?,
            vehicle: given(self.veiculo_id).map(|text| text::parse(&text, "veiculo_id")).transpose()?,
            limit: given(self.limite).map(limit).transpose()?.unwrap_or(usual),
            cursor: given(self.cursor),
        })
    }
}
