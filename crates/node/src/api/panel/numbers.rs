//! How much this company's EVSEs are used, what that earns, and what was refused.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use recarga_reservation::{OperatorId, Plug, TimeWindow};
use recarga_wire::availability::{AvailabilityQuery, Point};
use recarga_wire::journey::Itinerary;
use recarga_wire::panel::{
    FiguresParams, NumbersAnswer, RefusalCount, RefusalCounts, ReservationCounts, ReservedState, Share,
    TripCounts,
};

use super::calendar::{Taken, taken};
use super::{EVSES_AT_ONCE, period, read_query, whole};
use crate::api::access::Reader;
use crate::api::{Fault, json};
use crate::app::Node;

/// Into how many parts the period is cut.
const PARTS: u32 = 24;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How much this company's EVSEs are used in a period, what that earns, and what was refused.
#[utoipa::path(get, path = "/painel/numeros", tag = "panel", params(FiguresParams),
    responses((status = 200, body = NumbersAnswer)), security(("operador" = [])))]
pub async fn show(
    State(node): State<Arc<Node>>,
    _: Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = read_query::<FiguresParams>(query, 1, 1)?;
    let period = period(&query, whole(node.clock.now().utc, 3_600_000), DAY)?;
    let mut sums = Sums::new(period);
    let mut page = AvailabilityQuery { evse: query.evse, ..AvailabilityQuery::default() };
    loop {
        let points = node.offer.points(&page);
        for some in points.points.chunks(EVSES_AT_ONCE) {
            let found: Vec<Vec<(Taken, Option<Arc<str>>)>> = node.ledger.look(|state| {
                let (participant, coordinator) = (&state.company.participant, &state.company.coordinator);
                let plan = |taken: Taken| {
                    let trip = coordinator.find(&taken.hold.transaction);
                    let plan =
                        trip.and_then(|trip| trip.request.planned()).map(|plan| plan.itinerary.clone());
                    (taken, plan)
                };
                some.iter()
                    .map(|point| taken(participant, &point.ponto_id, period).map(plan).collect())
                    .collect()
            });
            for (point, found) in some.iter().zip(found) {
                sums.points += 1;
                found
                    .iter()
                    .for_each(|(taken, plan)| sums.add(&node.operator, point, taken, plan.as_deref()));
            }
            tokio::task::yield_now().await;
        }
        match points.next {
            Some(next) => page.cursor = Some(next),
            None => break,
        }
    }
    Ok(json(StatusCode::OK, &sums.answer(&node)))
}

struct Sums {
    period: TimeWindow,
    parts: Vec<TimeWindow>,
    part_millis: Vec<u64>,
    points: usize,
    counts: ReservationCounts,
    planned: f64,
    planned_count: usize,
    at_most: f64,
}

impl Sums {
    fn new(period: TimeWindow) -> Self {
        let part = period.duration() / PARTS;
        let part_at = |number: u32| {
            let from = period.start() + part * number;
            let until = if number + 1 == PARTS { period.end() } else { from + part };
            TimeWindow::new(from, until).ok()
        };
        // A period of less than a few milliseconds has fewer parts.
        let parts: Vec<TimeWindow> = (0..PARTS).filter_map(part_at).collect();
        Self {
            period,
            part_millis: vec![0; parts.len()],
            parts,
            points: 0,
            counts: ReservationCounts::default(),
            planned: 0.0,
            planned_count: 0,
            at_most: 0.0,
        }
    }

    fn add(&mut self, own: &OperatorId, point: &Point, taken: &Taken, plan: Option<&str>) {
        match taken.state {
            ReservedState::Provisoria => self.counts.provisoria += 1,
            ReservedState::Preparada => self.counts.preparada += 1,
            ReservedState::Confirmada | ReservedState::EmUso => self.counts.confirmada += 1,
        }
        if taken.state != ReservedState::Confirmada {
            return;
        }
        for (part, millis) in self.parts.iter().zip(&mut self.part_millis) {
            *millis += overlap_millis(*part, taken.window);
        }
        // What begins earlier was counted in an earlier period.
        if taken.window.start() < self.period.start() {
            return;
        }
        self.at_most += price_at_most(point, taken.hold.plug, taken.window.duration());
        let stop = |plan: Itinerary| {
            let is_this = |stop: &&recarga_wire::journey::ItineraryStop| {
                stop.empresa == *own
                    && stop.ponto_id == point.ponto_id
                    && stop.janela_inicio == taken.window.start()
            };
            plan.paradas.iter().find(is_this).map(|stop| stop.preco)
        };
        if let Some(price) = plan.and_then(Itinerary::read).and_then(stop) {
            self.planned += price;
            self.planned_count += 1;
        }
    }

    fn answer(&self, node: &Node) -> NumbersAnswer {
        let minutes = |millis: u64| millis as f64 / 60_000.0;
        let reserved: u64 = self.part_millis.iter().sum();
        let available = self.period.duration().as_millis() as f64 * self.points as f64;
        let share = |(part, millis): (&TimeWindow, &u64)| Share {
            inicio: part.start(),
            fim: part.end(),
            reservado_min: minutes(*millis),
        };
        let (known_since, refusals) = node.events.chronicle().refusals(self.period.start());
        let count = |(reason, count): &(_, u64)| RefusalCount::new(reason, *count);
        NumbersAnswer {
            empresa: node.operator.clone(),
            de: self.period.start(),
            ate: self.period.end(),
            pontos: self.points,
            inoperantes: node.ledger.look(|state| state.company.participant.out_of_service_count()),
            reservas: self.counts,
            reservado_min: minutes(reserved),
            utilizacao_pct: if available > 0.0 { reserved as f64 * 100.0 / available } else { 0.0 },
            receita_prevista_brl: self.planned,
            reservas_com_previsao: self.planned_count,
            receita_teto_brl: self.at_most,
            faixas: self.parts.iter().zip(&self.part_millis).map(share).collect(),
            recusas: RefusalCounts { desde: known_since, por_motivo: refusals.iter().map(count).collect() },
            viagens: TripCounts {
                reservadas: node.metrics.trips_decided("booked"),
                recusadas: node.metrics.trips_decided("refused"),
                canceladas: node.metrics.cancelled.get(),
            },
        }
    }
}

fn overlap_millis(one: TimeWindow, other: TimeWindow) -> u64 {
    let (from, until) = (one.start().max(other.start()), one.end().min(other.end()));
    u64::try_from(until.as_millis() - from.as_millis()).unwrap_or(0)
}

// At full power for the whole window, by the strongest connector that fits.
fn price_at_most(point: &Point, plug: Option<Plug>, duration: Duration) -> f64 {
    let fitting =
        point.conectores.iter().filter(|connector| plug.is_none_or(|plug| connector.plugue == plug));
    let power = fitting.map(|connector| connector.potencia_kw).fold(0.0, f64::max);
    point.taxa_ativacao + point.preco_kwh * power * duration.as_secs_f64() / 3600.0
}
