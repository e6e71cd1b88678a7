//! The calendars of this company's EVSEs, and EVSEs out of service.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::{Branch, EvseId, Hold, Participant, TimeWindow, Timestamp, TransactionId};
use recarga_wire::availability::AvailabilityQuery;
use recarga_wire::panel::{
    CalendarParams, PanelPoint, PanelReservations, PanelWindow, ReservedState, ServiceAnswer, ServiceBody,
    ServiceState,
};
use recarga_wire::vehicle::VehicleState;
use recarga_wire::{Problem, ProblemKind, decode};

use super::{EVSES_AT_ONCE, period, read_query};
use crate::api::access::{Caller, Reader};
use crate::api::{Fault, Segment, json, read_body};
use crate::app::Node;

/// Windows of one EVSE that are shown.
const WINDOWS_MAX: usize = 500;
/// Reservations that an EVSE out of service is said to affect.
const AFFECTED_MAX: usize = 1000;
/// Further than anything can be reserved.
const AHEAD: Duration = Duration::from_secs(3661 * 24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// The calendars of this company's EVSEs, in pages: what is held, promised and reserved.
#[utoipa::path(get, path = "/painel/reservas", tag = "panel", params(CalendarParams),
    responses((status = 200, body = PanelReservations)), security(("operador" = [])))]
pub async fn show(
    State(node): State<Arc<Node>>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = read_query::<CalendarParams>(query, 100, 200)?;
    let now = node.clock.now().utc;
    let period = period(&query, now - HOUR, 24 * HOUR)?;
    let offered = AvailabilityQuery {
        evse: query.evse,
        limit: Some(query.limit),
        cursor: query.cursor,
        ..AvailabilityQuery::default()
    };
    let moment = super::period(&Default::default(), now, Duration::from_secs(1))?;
    let charging = |vehicle: &_| is_charging(&node, vehicle);
    let page = node.offer.answer(&node.operator, &offered, moment, now, &node.ledger, charging);
    let mut pontos = Vec::with_capacity(page.pontos.len());
    for some in page.pontos.chunks(EVSES_AT_ONCE) {
        let taken: Vec<Vec<Taken>> = node.ledger.look(|state| {
            let participant = &state.company.participant;
            let taken = |evse: &EvseId| taken(participant, evse, period).take(WINDOWS_MAX + 1).collect();
            some.iter().map(|point| taken(&point.ponto.ponto_id)).collect()
        });
        for (point, mut taken) in some.iter().zip(taken) {
            let cortadas = taken.len() > WINDOWS_MAX;
            taken.truncate(WINDOWS_MAX);
            let about = &point.ponto;
            pontos.push(PanelPoint {
                ponto_id: about.ponto_id.clone(),
                estacao_id: about.estacao_id.clone(),
                nome: about.nome.clone(),
                cidade: about.cidade.clone(),
                uf: about.uf.clone(),
                estado: point.estado,
                janelas: taken.iter().map(|taken| taken.view(&node, now)).collect(),
                cortadas,
            });
        }
        tokio::task::yield_now().await;
    }
    let (de, ate, empresa) = (period.start(), period.end(), node.operator.clone());
    Ok(json(StatusCode::OK, &PanelReservations { empresa, de, ate, pontos, proximo: page.proximo }))
}

/// Takes an EVSE out of service, or back into it; stands until it is taken back, over restarts too. What is reserved
/// there stays, and is listed. Only with the operator's token.
#[utoipa::path(put, path = "/pontos/{id}/estado", tag = "operation", request_body = ServiceBody,
    params(("id" = String, Path, description = "The EVSE")),
    responses((status = 200, body = ServiceAnswer), (status = 401, body = Problem), (status = 404, body = Problem)),
    security(("operador" = [])))]
pub async fn set_state(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Segment(id): Segment,
    request: Request,
) -> Result<Response, Fault> {
    caller.check_operator()?;
    let id: EvseId = recarga_wire::parse(&id, "id")?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(&parts.headers, body, node.body_max).await?;
    let ServiceBody { estado } = decode(&bytes)?;
    if !node.participant.set_in_service(&id, estado == ServiceState::Disponivel).await? {
        let detail = format!("a empresa não tem um ponto `{id}`; veja GET /pontos");
        return Err(Problem::new(ProblemKind::NotFound, detail).into());
    }
    let now = node.clock.now().utc;
    let ahead = TimeWindow::new(now, now + AHEAD);
    let affected: Vec<Taken> = node.ledger.look(|state| {
        let participant = &state.company.participant;
        ahead.into_iter().flat_map(|ahead| taken(participant, &id, ahead)).take(AFFECTED_MAX).collect()
    });
    let afetadas = affected.iter().map(|taken| taken.view(&node, now)).collect();
    Ok(json(StatusCode::OK, &ServiceAnswer { ponto_id: id, estado, afetadas }))
}

/// Whether a car says that it charges.
pub fn is_charging(node: &Node, vehicle: &recarga_reservation::VehicleId) -> bool {
    let seen = node.vehicles.get(vehicle);
    seen.is_some_and(|seen| seen.status.estado == Some(VehicleState::Carregando))
}

/// A window and whose it is: copied under the ledger's lock, and nothing else is done there.
pub struct Taken {
    /// The window.
    pub window: TimeWindow,
    /// How firm; never what is told while a car charges.
    pub state: ReservedState,
    /// For which trip.
    pub hold: Arc<Hold>,
}

/// What is taken of an EVSE in a period, in order.
pub fn taken<'a>(
    participant: &'a Participant,
    evse: &EvseId,
    period: TimeWindow,
) -> impl Iterator<Item = Taken> + use<'a> {
    let branch = |(window, owner): (TimeWindow, &TransactionId)| {
        let (state, hold) = match participant.branch(owner)? {
            Branch::Held { hold, .. } => (ReservedState::Provisoria, hold),
            Branch::Prepared { hold } => (ReservedState::Preparada, hold),
            Branch::Confirmed { hold } => (ReservedState::Confirmada, hold),
            Branch::Released { .. } | Branch::Aborted { .. } => return None,
        };
        Some(Taken { window, state, hold: hold.clone() })
    };
    let calendar = participant.calendar(evse);
    calendar.into_iter().flat_map(move |calendar| calendar.overlapping(period)).filter_map(branch)
}

impl Taken {
    fn view(&self, node: &Node, now: Timestamp) -> PanelWindow {
        let (hold, window) = (&self.hold, self.window);
        let is_now = window.start() <= now && now < window.end();
        let is_used =
            is_now && self.state == ReservedState::Confirmada && is_charging(node, &hold.key.vehicle);
        let coordinator = &hold.transaction.coordinator;
        let mut vehicle = Some(hold.key.vehicle.clone());
        crate::api::events::hide(&mut vehicle, coordinator, &node.operator);
        PanelWindow {
            inicio: window.start(),
            fim: window.end(),
            estado: if is_used { ReservedState::EmUso } else { self.state },
            sessao: hold.transaction.clone(),
            coordenador: coordinator.clone(),
            parada: hold.stops.iter().find(|stop| stop.window == window).map_or(0, |stop| stop.number),
            veiculo_id: vehicle,
        }
    }
}
