//! A copy of everything that this company remembers, made while it runs.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use recarga_wire::{Problem, ProblemKind};
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::Fault;
use super::access::Caller;
use crate::app::Node;
use crate::store::{Snapshot, StoreError, copy};

/// Pieces that are read ahead of whoever takes them.
const AHEAD: usize = 4;
const MEDIA_TYPE: &str = "application/x-ndjson";

/// Everything that this company remembers, as it is durable at this moment, for `recarga backup`: JSON lines, of which the
/// last one has a checksum. Without that line the answer was cut off, and is no copy. One at a time, and only with the
/// operator's token.
#[utoipa::path(get, path = "/copia", tag = "operation",
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 401, body = Problem),
        (status = 429, body = Problem, description = "Another copy is being made."), (status = 503, body = Problem)),
    security(("operador" = [])))]
pub async fn make(State(node): State<Arc<Node>>, caller: Caller) -> Result<Response, Fault> {
    caller.check_operator()?;
    let Ok(place) = node.copying.clone().try_acquire_owned() else {
        let detail = "já se faz uma cópia do registro; espere que ela termine";
        return Err(Problem::new(ProblemKind::TooManyRequests, detail).into());
    };
    let mut snapshot = node.ledger.snapshot().await?.map_err(|error| unreadable(&error))?;
    let (begun, beginning) = oneshot::channel();
    let (pieces, mut taken) = mpsc::channel::<Vec<u8>>(AHEAD);
    let maker = node.clone();
    spawn_blocking(move || {
        let _place = place;
        let head = match head(&maker, &mut *snapshot) {
            Ok(head) => head,
            Err(error) => return drop(begun.send(Err(error))),
        };
        // Whoever asked may have gone; then no piece is taken, either.
        let _ = begun.send(Ok(()));
        let mut whole = true;
        let written = copy::write(&mut *snapshot, &head, &mut |piece| {
            whole = pieces.blocking_send(piece).is_ok();
            whole
        });
        match written {
            Ok(()) if whole => info!(rows = head.rows, "copied the record"),
            Ok(()) => warn!(rows = head.rows, "a copy of the record was not taken to its end"),
            Err(error) => warn!(%error, "a copy of the record was cut off"),
        }
    });
    beginning.await.map_err(|_| Problem::of(ProblemKind::Internal))?.map_err(|error| unreadable(&error))?;
    let pieces = stream::poll_fn(move |context| taken.poll_recv(context)).map(Ok::<_, Infallible>);
    let body = Body::from_stream(pieces.take_until(node.stopping()));
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], body).into_response())
}

fn head(node: &Node, snapshot: &mut dyn Snapshot) -> Result<copy::Head, StoreError> {
    let rows = snapshot.count()?;
    Ok(copy::Head { operator: node.operator.clone(), boot: node.boot, made: node.clock.now().utc, rows })
}

fn unreadable(error: &StoreError) -> Problem {
    warn!(%error, "the record cannot be copied");
    Problem::new(ProblemKind::Unavailable, "o registro não pode ser lido agora; veja o log do servidor")
}
