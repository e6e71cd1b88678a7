//! All companies' stations, from this company's copy of their offers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use recarga_reservation::{OperatorId, StationId, TimeWindow};
use recarga_wire::availability::AvailablePoint;
use recarga_wire::panel::{PanelStation, PanelStationPoint, PanelStations, StationView, StationsParams};
use recarga_wire::{Problem, ProblemKind};

use super::{period, read_query, whole};
use crate::api::access::Reader;
use crate::api::availability::cached;
use crate::api::{Fault, Segment, json};
use crate::app::Node;
use crate::ledger::Stopped;

const HOUR: Duration = Duration::from_secs(3600);

/// All companies' stations and what of them is free for a chosen window, in pages; without one, for the next hour.
#[utoipa::path(get, path = "/painel/estacoes", tag = "panel", params(StationsParams),
    responses((status = 200, body = PanelStations), (status = 304, description = "As the `ETag` sent says.")),
    security(("operador" = [])))]
pub async fn list(
    State(node): State<Arc<Node>>,
    _: Reader,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let query = read_query::<StationsParams>(query, 1000, 2000)?;
    let chosen = period(&query, whole(node.clock.now().utc, 60_000), HOUR)?;
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    // A country full of stations is sorted elsewhere than where requests are answered.
    let working = node.clone();
    let page = tokio::task::spawn_blocking(move || page(&working, chosen, after, query.limit)).await;
    Ok(cached(&headers, &page.map_err(|_| Stopped)?))
}

/// One station of any company, with what is free.
#[utoipa::path(get, path = "/painel/estacoes/{empresa}/{estacao_id}", tag = "panel",
    params(("empresa" = String, Path, description = "The company"), ("estacao_id" = String, Path, description = "The station")),
    responses((status = 200, body = StationView), (status = 404, body = Problem)), security(("operador" = [])))]
pub async fn show(
    State(node): State<Arc<Node>>,
    _: Reader,
    Segment((operator, station)): Segment<(String, String)>,
) -> Result<Response, Fault> {
    let operator: OperatorId = recarga_wire::parse(&operator, "empresa")?;
    let station: StationId = recarga_wire::parse(&station, "estacao_id")?;
    let copy = node.network.copies().into_iter().find(|copy| copy.operator == operator);
    let points = copy.iter().flat_map(|copy| copy.points.values());
    let here = points.filter(|point| point.ponto.estacao_id == station);
    let pontos: Vec<AvailablePoint> = here.map(|point| AvailablePoint::clone(point)).collect();
    if pontos.is_empty() {
        let detail =
            format!("não se conhece a estação `{station}` de `{operator}`; veja GET /painel/estacoes");
        return Err(Problem::new(ProblemKind::NotFound, detail).into());
    }
    let atual = copy.is_some_and(|copy| copy.is_reachable);
    Ok(json(StatusCode::OK, &StationView { empresa: operator, estacao_id: station, atual, pontos }))
}

type Place = (OperatorId, StationId);

fn read_cursor(text: &str) -> Result<Place, Problem> {
    let (operator, station) = text.split_once('/').unwrap_or((text, ""));
    Ok((recarga_wire::parse(operator, "cursor")?, recarga_wire::parse(station, "cursor")?))
}

fn page(node: &Node, chosen: TimeWindow, after: Option<Place>, limit: usize) -> PanelStations {
    let copies = node.network.copies();
    let mut estacoes: Vec<PanelStation> = Vec::new();
    let mut has_more = false;
    // In the order of companies.
    for copy in &copies {
        if after.as_ref().is_some_and(|(operator, _)| copy.operator < *operator) {
            continue;
        }
        let mut stations: BTreeMap<&StationId, Vec<&AvailablePoint>> = BTreeMap::new();
        for point in copy.points.values() {
            stations.entry(&point.ponto.estacao_id).or_default().push(point);
        }
        for (id, points) in stations {
            let is_before = |(operator, station): &Place| copy.operator == *operator && *id <= *station;
            if after.as_ref().is_some_and(is_before) {
                continue;
            }
            if estacoes.len() == limit {
                has_more = true;
                break;
            }
            let mut station = PanelStation::of(&copy.operator, points[0]);
            station.pontos = points.iter().map(|point| PanelStationPoint::new(point, chosen)).collect();
            estacoes.push(station);
        }
        if has_more {
            break;
        }
    }
    let last = estacoes.last().filter(|_| has_more);
    let proximo = last.map(|last| format!("{}/{}", last.empresa, last.estacao_id));
    let (de, ate) = (chosen.start(), chosen.end());
    PanelStations { empresa: node.operator.clone(), de, ate, estacoes, proximo }
}
