//! For those who run the node: health, figures, and everything that it remembers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use recarga_reservation::{Branch, Step, TransactionId};
use recarga_wire::audit::{AUDIT_PAGE_MAX, AuditBranch, AuditPage, AuditParams, AuditTrip};
use recarga_wire::health::{CheckState, HealthAnswer, HealthCheck, HealthState};
use recarga_wire::{Problem, decode_query};

use super::access::Caller;
use super::{Fault, json};
use crate::app::Node;

/// How this node is: 200 if it takes requests, 503 if not.
#[utoipa::path(get, path = "/saude", tag = "operation",
    responses(
        (status = 200, body = HealthAnswer, description = "Takes requests; `degradado` says that something around it fails."),
        (status = 503, body = HealthAnswer, description = "Takes no requests."),
    ))]
pub async fn health(State(node): State<Arc<Node>>) -> Response {
    let mut checks = BTreeMap::new();
    let mut check = |name: &str, well: bool, detail: Option<String>| {
        let estado = if well { CheckState::Ok } else { CheckState::Falha };
        checks.insert(name.to_owned(), HealthCheck { estado, detalhe: detail });
    };
    check("armazenamento", node.ledger.is_writing(), None);
    if let Some(connected) = node.broker_connected() {
        check(
            "mqtt",
            connected,
            (!connected).then(|| "sem conexão com o broker; tentando de novo".to_owned()),
        );
    }
    for peer in node.network.silent(node.delivery.unreachable()) {
        check(peer.as_str(), false, Some("não responde".to_owned()));
    }
    let (_, in_doubt) = node.ledger.look(|state| state.company.participant.undecided());
    let estado = state(&node);
    let status = match estado {
        HealthState::Pronto | HealthState::Degradado => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    checks.insert(
        "em-duvida".to_owned(),
        HealthCheck { estado: CheckState::Ok, detalhe: Some(in_doubt.to_string()) },
    );
    let answer = HealthAnswer {
        estado,
        empresa: node.operator.clone(),
        deposito: node.boot.store,
        versao: env!("CARGO_PKG_VERSION").to_owned(),
        verificacoes: checks,
    };
    json(status, &answer)
}

/// How a node is, in a word.
pub(super) fn state(node: &Node) -> HealthState {
    let is_whole = node.network.silent(node.delivery.unreachable()).is_empty();
    let well = node.broker_connected() != Some(false) && is_whole;
    match (node.ledger.is_writing(), node.is_stopping(), well) {
        (false, ..) => HealthState::Indisponivel,
        (_, true, _) => HealthState::Encerrando,
        (_, _, false) => HealthState::Degradado,
        _ => HealthState::Pronto,
    }
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, content_type = "application/openmetrics-text", body = String)))]
pub async fn metrics(State(node): State<Arc<Node>>) -> Response {
    node.measure();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], node.metrics.render()).into_response()
}

/// Everything that this company remembers, in pages, for an audit. Only with the operator's token.
#[utoipa::path(get, path = "/auditoria", tag = "operation", params(AuditParams),
    responses((status = 200, body = AuditPage), (status = 401, body = Problem)), security(("operador" = [])))]
pub async fn audit(
    State(node): State<Arc<Node>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    caller.check_operator()?;
    let params: AuditParams = decode_query(query.as_deref().unwrap_or(""))?;
    let after = params.cursor.map(|text| Cursor::parse(&text)).transpose()?.unwrap_or(Cursor::Branches(None));
    // Through the record: an audit must not see what a crash could take back.
    let page = node.ledger.apply(|state| {
        let mut page = AuditPage {
            empresa: node.operator.clone(),
            deposito: node.boot.store,
            ramos: vec![],
            viagens: vec![],
            proximo: None,
        };
        after.fill(state, &mut page);
        Step::durable(page, vec![])
    });
    Ok(json(StatusCode::OK, &page.await?))
}

// First all branches, then all trips, each in the order of transactions.
enum Cursor {
    Branches(Option<TransactionId>),
    Trips(Option<TransactionId>),
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text == "v" {
            return Ok(Cursor::Trips(None));
        }
        let (kind, after) = text.split_at_checked(1).unwrap_or(("", text));
        let after: TransactionId = recarga_wire::parse(after, "cursor")?;
        Ok(if kind == "v" { Cursor::Trips(Some(after)) } else { Cursor::Branches(Some(after)) })
    }

    fn fill(self, state: &crate::ledger::State, page: &mut AuditPage) {
        let bound = |after: Option<TransactionId>| after.map_or(Bound::Unbounded, Bound::Excluded);
        match self {
            Cursor::Branches(after) => {
                let branches = state.company.participant.branches_from(bound(after));
                let view = |(id, branch): (&TransactionId, &Branch)| AuditBranch {
                    forcada: state.decisions.find(id).map(super::doubts::forced),
                    ..AuditBranch::new(id, branch)
                };
                page.ramos = branches.take(AUDIT_PAGE_MAX).map(view).collect();
                page.proximo = Some(match page.ramos.last() {
                    Some(last) if page.ramos.len() == AUDIT_PAGE_MAX => format!("r{}", last.sessao),
                    _ => "v".to_owned(),
                });
            }
            Cursor::Trips(after) => {
                let trips = state.company.coordinator.trips_from(bound(after));
                page.viagens = trips.take(AUDIT_PAGE_MAX).map(AuditTrip::new).collect();
                let full = page.viagens.len() == AUDIT_PAGE_MAX;
                page.proximo = page.viagens.last().filter(|_| full).map(|last| format!("v{}", last.sessao));
            }
        }
    }
}
