//! What the page in the browser reads, and the one thing that it writes: for the operator, under `/painel`.

mod history;
mod numbers;
mod params;
mod reservations;
mod stations;
mod status;

pub use history::{SessionEvent, SessionStory, SessionSummary, SessionsAnswer, StoryEvent};
pub use numbers::{NumbersAnswer, RefusalCount, RefusalCounts, ReservationCounts, Share, TripCounts};
pub use params::{
    CalendarParams, FiguresParams, PanelParams, PanelQuery, PanelTripsParams, SessionsParams, StationsParams,
};
pub use reservations::{
    PanelPoint, PanelReservations, PanelWindow, ReservedState, ServiceAnswer, ServiceBody, ServiceState,
};
pub use stations::{PanelStation, PanelStationPoint, PanelStations, StationView};
pub use status::{
    Access, ConfigAnswer, DoubtView, DoubtsView, EventsView, FlushView, LinkView, MapView, Mode, PanelHealth,
    PeerView, QuantilesView,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::trip::TripAnswer;
use crate::{fields, schema};

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
