//! Who belongs to the federation.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use recarga_wire::federation::{FederationAnswer, SignedRoll};
use recarga_wire::{Problem, ProblemKind};

use super::{Fault, json};
use crate::app::Node;

/// The companies as this one knows them now, whether it stays itself, and what keeps it from leaving.
#[utoipa::path(get, path = "/federacao", tag = "open", responses((status = 200, body = FederationAnswer)))]
pub async fn show(State(node): State<Arc<Node>>) -> Response {
    json(StatusCode::OK, &node.membership.view())
}

/// The roll as the federation's authority has signed it.
#[utoipa::path(get, path = "/federacao/lista", tag = "open",
    responses(
        (status = 200, body = SignedRoll),
        (status = 404, body = Problem, description = "This company's fellows are configured one by one, or it has no roll yet."),
    ))]
pub async fn roll(State(node): State<Arc<Node>>) -> Result<Response, Fault> {
    match node.membership.signed() {
        Some(signed) => Ok(json(StatusCode::OK, &signed)),
        None => {
            let detail =
                "esta empresa não tem uma lista assinada das empresas da federação; veja GET /federacao";
            Err(Problem::new(ProblemKind::NotFound, detail).into())
        }
    }
}
