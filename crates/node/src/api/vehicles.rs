//! What cars said last.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::VehicleId;
use recarga_wire::vehicle::{VehicleStatus, VehicleView, VehiclesAnswer};
use recarga_wire::{Problem, ProblemKind, decode_query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::access::Caller;
use super::{Fault, Segment, json};
use crate::app::Node;
use crate::vehicles::Sighting;

/// Cars on one page.
const PAGE: usize = 500;

/// The parameters of `GET /veiculos`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VehiclesParams {
    /// `proximo` of the page before.
    cursor: Option<String>,
}

/// What every car said last, in pages.
#[utoipa::path(get, path = "/veiculos", tag = "drivers", params(VehiclesParams),
    responses((status = 200, body = VehiclesAnswer)))]
pub async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    caller.check_driver(&node.access)?;
    let params: VehiclesParams = decode_query(query.as_deref().unwrap_or(""))?;
    let (cars, more) = node.vehicles.page(params.cursor.as_deref().unwrap_or(""), PAGE);
    let proximo = cars.last().filter(|_| more).map(|(car, _)| car.to_string());
    let veiculos = cars.into_iter().map(|(_, seen)| view(seen)).collect();
    Ok(json(StatusCode::OK, &VehiclesAnswer { veiculos, proximo }))
}

/// What a car said last.
#[utoipa::path(get, path = "/veiculos/{id}", tag = "drivers",
    params(("id" = String, Path, description = "The car")),
    responses((status = 200, body = VehicleView), (status = 404, body = Problem)))]
pub async fn show(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Response, Fault> {
    caller.check_driver_or_car(&node.access)?;
    let id: VehicleId = recarga_wire::parse(&id, "id")?;
    if caller.is_another_car(&id) {
        caller.check_driver(&node.access)?;
    }
    match node.vehicles.get(&id) {
        Some(seen) => Ok(json(StatusCode::OK, &view(seen))),
        None => {
            let detail = format!("o carro `{id}` ainda não publicou em `veiculo/{id}/status`");
            Err(Problem::new(ProblemKind::NotFound, detail).into())
        }
    }
}

fn view(seen: Sighting<VehicleStatus>) -> VehicleView {
    VehicleView { status: seen.status, recebido_em: seen.received }
}
