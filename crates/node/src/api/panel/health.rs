//! How this company is, in more words than for a load balancer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::{OperatorId, TransactionId};
use recarga_wire::panel::{
    DoubtView, DoubtsView, EventsView, FlushView, LinkView, PanelHealth, PeerView, QuantilesView,
};

use crate::api::access::Reader;
use crate::api::json;
use crate::api::operation::state;
use crate::app::Node;
use crate::samples::Quantiles;

/// Sessions in doubt that are named.
const DOUBTS_NAMED: usize = 20;

/// How this company is: the others, what is in doubt, how long trips and flushes take, the broker, who watches.
#[utoipa::path(get, path = "/painel/saude", tag = "panel", responses((status = 200, body = PanelHealth)),
    security(("operador" = [])))]
pub async fn show(State(node): State<Arc<Node>>, _: Reader) -> Response {
    let now = node.clock.now();
    let (waiting, owed, answers) = node.ledger.look(|state| {
        let waiting: Vec<(TransactionId, Duration)> =
            state.company.participant.waiting(now).map(|(id, age)| (id.clone(), age)).collect();
        let mut owed: BTreeMap<OperatorId, usize> = BTreeMap::new();
        for one in state.company.coordinator.owed() {
            *owed.entry(one.operator).or_default() += 1;
        }
        (waiting, owed, state.mailbox.owed_count())
    });
    let began = node.events.chronicle().began();
    let copies = node.network.copies();
    let peer = |(operator, is_reachable, turned): (OperatorId, bool, Option<_>)| {
        // Its offer is asked for every other second: that is noticed sooner than what it owes an answer to.
        let gone = copies.iter().find(|copy| copy.operator == operator && !copy.is_reachable);
        let last_heard = gone.and_then(|copy| copy.seen).map(|(at, _)| at).filter(|_| is_reachable);
        PeerView {
            pendentes: owed.get(&operator).copied().unwrap_or(0),
            empresa: operator,
            acessivel: is_reachable && last_heard.is_none(),
            desde: last_heard.or(turned).unwrap_or(began),
        }
    };
    let (total, records, queued) = node.ledger.figures();
    let (most, watching) = node.watching();
    let answer = PanelHealth {
        empresa: node.operator.clone(),
        versao: env!("CARGO_PKG_VERSION").to_owned(),
        deposito: node.boot.store,
        iniciada_em: began,
        estado: state(&node),
        parceiras: node.delivery.reachability().into_iter().map(peer).collect(),
        em_duvida: doubts(waiting),
        viagens: quantiles(node.metrics.recent_trips.quantiles()),
        gravacoes: FlushView {
            total,
            registros: records,
            na_fila: queued,
            tempos: quantiles(node.ledger.flush_times()),
        },
        mqtt: LinkView {
            configurado: node.broker_connected().is_some(),
            conectado: node.broker_connected() == Some(true),
            respostas_devidas: answers,
        },
        eventos: EventsView {
            observadores: watching,
            observadores_max: most,
            perdidos: node.metrics.events_missed.get(),
        },
    };
    json(StatusCode::OK, &answer)
}

fn doubts(mut waiting: Vec<(TransactionId, Duration)>) -> DoubtsView {
    waiting.sort_by_key(|(_, age)| std::cmp::Reverse(*age));
    let doubt = |(transaction, age): &(TransactionId, Duration)| DoubtView {
        sessao: transaction.clone(),
        coordenador: transaction.coordinator.clone(),
        idade_s: age.as_secs_f64(),
    };
    DoubtsView {
        quantas: waiting.len(),
        mais_antiga_s: waiting.first().map(|(_, age)| age.as_secs_f64()),
        sessoes: waiting.iter().take(DOUBTS_NAMED).map(doubt).collect(),
    }
}

fn quantiles(seen: Quantiles) -> QuantilesView {
    QuantilesView::new(seen.count, seen.half, seen.nearly_all)
}
