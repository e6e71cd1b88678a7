//! What a car publishes and tells about its requests.

use std::sync::Arc;

use recarga_reservation::{Now, OperatorId, RequestId, Stop, TripId, TripStop};
use recarga_wire::topic::Topic;
use recarga_wire::vehicle::VehicleAnswer;

use super::booking::{Asking, Journey};
use super::pending::Release;
use super::{Car, Output};
use crate::events::{Event, Outcome, StopView, TripAnswered, TripAsked};
use crate::plan::{Plan, PlannedStop};
use crate::radio::{Delivery, Publication};
use crate::route;

impl Car {
    // A UUID of version 7: the real time in milliseconds, then chance, so that ids of one car never meet again even
    // when a fleet starts once more with the same seed.
    #[expect(clippy::expect_used, reason = "hexadecimal digits and hyphens are an identifier")]
    pub(super) fn new_request_id(&mut self, now: Now) -> RequestId {
        let millis = u128::try_from(now.utc.as_millis()).unwrap_or_default() & 0xFFFF_FFFF_FFFF;
        let random = self.chance.u128(..);
        let version_and_random = 0x7000 | ((random >> 64) & 0x0FFF);
        let variant_and_random = (0b10 << 62) | (random & 0x3FFF_FFFF_FFFF_FFFF);
        let bits = (millis << 80) | (version_and_random << 64) | variant_and_random;
        let hex = format!("{bits:032x}");
        let uuid = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        RequestId::new(&uuid).expect("a UUID is an identifier")
    }

    // Drivers of some apps say who shall coordinate, others leave it to the companies.
    pub(super) fn draw_coordinator(&mut self, journey: &Journey) -> Option<OperatorId> {
        if self.chance.f64() >= self.settings.names_coordinator {
            return None;
        }
        self.chance.choice(route::companies(&self.network, &journey.stops))
    }

    pub(super) fn trip_stop(&self, number: u16, stop: &PlannedStop) -> TripStop {
        let site = self.network.site(stop.evse.station);
        TripStop {
            operator: self.network.operator(site.operator).clone(),
            stop: Stop { number, evse: self.network.evse(stop.evse).id.clone(), window: stop.window },
        }
    }

    pub(super) fn views(&self, plan: &Plan) -> Arc<[StopView]> {
        let view = |stop: &PlannedStop| {
            let site = self.network.site(stop.evse.station);
            StopView {
                operator: self.network.operator(site.operator).clone(),
                evse: self.network.evse(stop.evse).id.clone(),
                city: Arc::clone(&site.city),
                state: Arc::clone(&site.state),
                window: stop.window,
            }
        };
        plan.stops.iter().map(view).collect()
    }

    pub(super) fn publish_asking(&mut self, asking: &Asking) {
        self.publish_request(&asking.pending.payload);
        self.tell(Event::TripAsked(TripAsked {
            car: self.id.clone(),
            request: asking.pending.request.clone(),
            cancels: None,
            coordinator: asking.coordinator.clone(),
            attempt: asking.journey.attempt,
            sent: asking.pending.sent,
            stops: Arc::clone(&asking.stops),
        }));
    }

    pub(super) fn publish_release(&mut self, release: &Release) {
        self.publish_request(&release.pending.payload);
        self.tell(Event::TripAsked(TripAsked {
            car: self.id.clone(),
            request: release.pending.request.clone(),
            cancels: Some(release.trip.clone()),
            coordinator: Some(release.server.clone()),
            attempt: 1,
            sent: release.pending.sent,
            stops: Arc::clone(&release.stops),
        }));
    }

    pub(super) fn tell_asking_ended(
        &mut self,
        asking: &Asking,
        trip: Option<TripId>,
        server: Option<OperatorId>,
        outcome: Outcome,
        now: Now,
    ) {
        self.tell(Event::TripAnswered(Box::new(TripAnswered {
            car: self.id.clone(),
            request: asking.pending.request.clone(),
            trip,
            server,
            stops: Arc::clone(&asking.stops),
            outcome,
            took: now.elapsed.saturating_sub(asking.pending.first_sent),
            attempt: asking.journey.attempt,
            sent: asking.pending.sent,
        })));
    }

    pub(super) fn tell_release_ended(
        &mut self,
        release: &Release,
        server: Option<OperatorId>,
        outcome: Outcome,
        now: Now,
    ) {
        self.tell(Event::TripAnswered(Box::new(TripAnswered {
            car: self.id.clone(),
            request: release.pending.request.clone(),
            trip: Some(release.trip.clone()),
            server,
            stops: Arc::clone(&release.stops),
            outcome,
            took: now.elapsed.saturating_sub(release.pending.first_sent),
            attempt: 1,
            sent: release.pending.sent,
        })));
    }

    fn publish_request(&mut self, payload: &[u8]) {
        self.outputs.push(Output::Publish(Publication {
            topic: Topic::VehicleRequest(self.id.clone()),
            payload: payload.to_vec(),
            delivery: Delivery::Sure,
        }));
    }
}

/// Whether an answer confirms the stops that were asked for.
pub(super) fn is_as_asked(stops: &[StopView], answer: &VehicleAnswer) -> bool {
    stops.len() == answer.paradas.len()
        && stops.iter().zip(&answer.paradas).all(|(stop, told)| {
            stop.operator == told.empresa
                && stop.evse == told.ponto_id
                && stop.window.start() == told.janela_inicio
                && stop.window.end() == told.janela_fim
        })
}
