//! What one car may have booked at a time, so that none hoards: said by each company for itself, of the trips that it
//! coordinates and of what it holds for other companies' trips.

use std::time::Duration;

use crate::decision::Reason;
use crate::ids::OperatorId;
use crate::time_window::{Now, TimeWindow};

/// The most that one car may have; zero for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VehicleLimits {
    /// Trips, decided or not, that have a window which is not over.
    pub trips_max: u32,
    /// The windows of these trips together, without those that are over.
    pub time_max: Duration,
}

impl VehicleLimits {
    /// Whether any is set.
    pub(crate) fn are_set(self) -> bool {
        self != Self::default()
    }

    /// Whether a car that has `used` may have `asked` besides. `given_back` is what a change frees: it adds no trip, and
    /// one that takes no more than before is never too much, also where a limit was lowered meanwhile.
    pub(crate) fn check(
        self,
        operator: &OperatorId,
        used: VehicleUse,
        asked: Duration,
        given_back: Option<Duration>,
    ) -> Result<(), Reason> {
        let operator = operator.clone();
        if self.trips_max > 0 && given_back.is_none() && used.trips >= self.trips_max {
            return Err(Reason::TooManyTrips { operator, max: self.trips_max, used: used.trips });
        }
        let is_more = given_back.is_none_or(|before| asked > before);
        if !self.time_max.is_zero() && is_more && used.time + asked > self.time_max {
            return Err(Reason::TooMuchTime { operator, max: self.time_max, used: used.time });
        }
        Ok(())
    }
}

/// What a car has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct VehicleUse {
    trips: u32,
    time: Duration,
}

impl VehicleUse {
    /// Counts a trip that has this much left. One that is over, or has nothing here, counts for nothing.
    pub fn add(&mut self, left: Duration) {
        if !left.is_zero() {
            self.trips += 1;
            self.time += left;
        }
    }
}

/// How long the windows are together that are not over.
pub(crate) fn left(windows: impl Iterator<Item = TimeWindow>, now: Now) -> Duration {
    windows.filter(|window| window.end() > now.utc).map(TimeWindow::duration).sum()
}
