//! What a car publishes and tells about its requests.

use std::sync::Arc;

use recarga_reservation::{Now, OperatorId, RequestId, TripId};
use recarga_wire::topic::Topic;

use super::booking::{Asking, Journey};
use super::pending::Release;
use super::{Car, Output};
use crate::events::{Event, Outcome, StopView, TripAnswered, TripAsked};
use crate::radio::{Delivery, Publication};

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

    // Drivers of some apps say who shall coordinate, others leave it to the companies; who was not answered names another.
    pub(super) fn draw_coordinator(&mut self, journey: &Journey, now: Now) -> Option<OperatorId> {
        self.avoided.retain(|(_, until)| *until > now.elapsed);
        if !journey.was_silent && self.chance.f64() >= self.settings.names_coordinator {
            return None;
        }
        let is_avoided = |operator: &OperatorId| self.avoided.iter().any(|(other, _)| other == operator);
        let others: Vec<&OperatorId> =
            self.network.operators().iter().filter(|operator| !is_avoided(operator)).collect();
        self.chance.choice(others).cloned()
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
            way: asking.way(),
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
            way: Arc::clone(&release.way),
        }));
    }

    pub(super) fn tell_asking_ended(
        &mut self,
        asking: &Asking,
        trip: Option<TripId>,
        server: Option<OperatorId>,
        stops: Arc<[StopView]>,
        outcome: Outcome,
        now: Now,
    ) {
        self.tell(Event::TripAnswered(Box::new(TripAnswered {
            car: self.id.clone(),
            request: asking.pending.request.clone(),
            trip,
            server,
            way: asking.way(),
            stops,
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
            way: Arc::clone(&release.way),
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
