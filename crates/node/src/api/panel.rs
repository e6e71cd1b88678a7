//! What the page in the browser reads beside what drivers' apps do: for the operator alone, but for the first call.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::{Step, TimeWindow, Timestamp, TransactionId, Trip};
use recarga_wire::panel::{
    Access, ConfigAnswer, MapView, Mode, PanelParams, PanelQuery, PanelTrips, PanelTripsParams,
};
use recarga_wire::trip::TripAnswer;
use recarga_wire::{Problem, ProblemKind, decode_query};
use serde::de::DeserializeOwned;

use super::access::{Caller, IsLocal, Reader};
use super::{Fault, json};
use crate::app::Node;

pub mod calendar;
pub mod health;
pub mod numbers;
pub mod sessions;
pub mod stations;

/// Longest period that is looked at.
const PERIOD_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// EVSEs whose windows are looked up in one go: whoever wants the ledger waits for that long.
const EVSES_AT_ONCE: usize = 4;

/// What the page must know first: whose it is, and what whoever asks may do.
#[utoipa::path(get, path = "/painel/config", tag = "panel", responses((status = 200, body = ConfigAnswer)))]
pub async fn config(State(node): State<Arc<Node>>, local: IsLocal, caller: Caller) -> Response {
    let access = match (&caller, Reader::check(&caller, local, &node.access)) {
        (Caller::Operator, _) => Access::Operador,
        (_, Ok(Reader)) => Access::Leitura,
        (_, Err(_)) => Access::Nenhum,
    };
    let map = |map: &crate::config::Map| MapView {
        tiles: map.tile_url.clone(),
        atribuicao: map.attribution.clone(),
    };
    let answer = ConfigAnswer {
        modo: Mode::Empresa,
        versao: env!("CARGO_PKG_VERSION").to_owned(),
        empresa: Some(node.operator.clone()),
        nome: Some(node.name.clone()),
        acesso: Some(access),
        mapa: node.map().map(map),
    };
    json(StatusCode::OK, &answer)
}

/// The trips that this company coordinated, the latest first, in pages.
#[utoipa::path(get, path = "/painel/viagens", tag = "panel", params(PanelTripsParams),
    responses((status = 200, body = PanelTrips)), security(("operador" = [])))]
pub async fn trips(
    State(node): State<Arc<Node>>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = read_query::<PanelTripsParams>(query, 50, 200)?;
    let before = query.cursor.as_deref().map(|text| recarga_wire::parse::<TransactionId>(text, "cursor"));
    let before = before.transpose()?;
    // Through the record, so that nothing is told that a crash could take back. One more tells whether that is all.
    let trips = node.ledger.apply(|state| {
        let coordinator = &state.company.coordinator;
        let most = query.limit + 1;
        let trips: Vec<Trip> = match &query.vehicle {
            None => {
                let bound = before.clone().map_or(Bound::Unbounded, Bound::Excluded);
                coordinator.trips_back_from(bound).take(most).cloned().collect()
            }
            Some(vehicle) => {
                let is_before =
                    |trip: &&Trip| before.as_ref().is_none_or(|before| trip.transaction < *before);
                let mut trips: Vec<&Trip> = coordinator.trips_of(vehicle).filter(is_before).collect();
                trips.sort_by(|one, other| other.transaction.cmp(&one.transaction));
                trips.into_iter().take(most).cloned().collect()
            }
        };
        Step::durable(trips, vec![])
    });
    let mut trips = trips.await?;
    let has_more = trips.len() > query.limit;
    trips.truncate(query.limit);
    let proximo = trips.last().filter(|_| has_more).map(|last| last.transaction.to_string());
    let viagens = trips.iter().map(TripAnswer::new).collect();
    Ok(json(StatusCode::OK, &PanelTrips { empresa: node.operator.clone(), viagens, proximo }))
}

fn read_query<P>(query: Option<String>, usual: usize, most: usize) -> Result<PanelQuery, Problem>
where
    P: DeserializeOwned + Into<PanelParams>,
{
    let given: P = decode_query(query.as_deref().unwrap_or(""))?;
    given.into().into_query(usual, most)
}

// From `from`, or what is asked for, and as long as `usual` where no end is.
fn period(query: &PanelQuery, from: Timestamp, usual: Duration) -> Result<TimeWindow, Problem> {
    let from = query.from.unwrap_or(from);
    let until = query.until.unwrap_or(from + usual).min(from + PERIOD_MAX);
    TimeWindow::new(from, until).map_err(|_| {
        let detail = "o período termina antes de começar: informe também `de`, anterior a `ate`";
        Problem::new(ProblemKind::ReversedWindow, detail).at("ate")
    })
}

// The beginning of the hour, or of another part of time, in which an instant lies.
fn whole(at: Timestamp, part_millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() - at.as_millis().rem_euclid(part_millis))
}
