//! What the cars have whose trips this company coordinates.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Coordinator, Stage, TripRequest};
use crate::decision::Refusal;
use crate::ids::{TransactionId, VehicleId};
use crate::time_window::Now;
use crate::vehicle::{VehicleLimits, VehicleUse, left};

impl Coordinator {
    /// Says what one car may have from now on.
    pub(crate) fn limit_vehicles(&mut self, limits: VehicleLimits) {
        self.vehicle_limits = limits;
    }

    // Whether the car may have what it asks for besides all that it has, or in place of the trip that it changes.
    pub(super) fn check_vehicle(
        &self,
        request: &TripRequest,
        replaces: Option<&TransactionId>,
        now: Now,
    ) -> Result<(), Refusal> {
        if !self.vehicle_limits.are_set() {
            return Ok(());
        }
        let own = || self.transactions_of(&request.key().vehicle);
        let waiting = own().filter_map(|one| self.waiting.get(one));
        let changing: BTreeSet<&TransactionId> = waiting.filter_map(|one| one.replaces.as_ref()).collect();
        let mut used = VehicleUse::default();
        for transaction in own().filter(|&one| Some(one) != replaces && !changing.contains(one)) {
            used.add(self.open_time(transaction, now));
        }
        let asked = time(request, now);
        let given_back = replaces.map(|old| self.open_time(old, now));
        let checked = self.vehicle_limits.check(&self.operator, used, asked, given_back);
        checked.map_err(Refusal::whole)
    }

    /// Every transaction of a car that waits or is remembered as a trip, in no particular order.
    pub(super) fn transactions_of(&self, vehicle: &VehicleId) -> impl Iterator<Item = &TransactionId> {
        self.by_key.of_vehicle(vehicle).map(|(_, transaction)| transaction)
    }

    // Until a change is decided it counts as whichever of the two takes longer.
    fn open_time(&self, transaction: &TransactionId, now: Now) -> Duration {
        if let Some(waiting) = self.waiting.get(transaction) {
            let replaced = waiting.replaces.as_ref().map(|old| self.open_time(old, now));
            return time(&waiting.request, now).max(replaced.unwrap_or_default());
        }
        match self.trips.get(transaction) {
            Some(trip) if matches!(trip.stage, Stage::Committed { .. } | Stage::Settled) => {
                time(&trip.request, now)
            }
            _ => Duration::ZERO,
        }
    }
}

fn time(request: &TripRequest, now: Now) -> Duration {
    left(request.stops().iter().map(|stop| stop.stop.window), now)
}
