//! What this company knows of the offers of all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use recarga_wire::network::NetworkAnswer;

use super::json;
use crate::app::Node;

/// Every company's offer as this one knows it: how many EVSEs, how fresh, and until when free windows are known.
#[utoipa::path(get, path = "/rede", tag = "open", responses((status = 200, body = NetworkAnswer)))]
pub async fn show(State(node): State<Arc<Node>>) -> Response {
    let empresas = node.network.copies().iter().map(|copy| copy.view()).collect();
    json(StatusCode::OK, &NetworkAnswer { empresa: node.operator.clone(), empresas })
}
