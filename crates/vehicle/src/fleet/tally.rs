//! What all cars have done, counted as it is told.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Counts;
use crate::car::Oddity;
use crate::events::{Event, Outcome};

macro_rules! tally {
    ($($name:ident)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Tally {
            $($name: AtomicU64,)*
        }

        impl Tally {
            pub(super) fn counts(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

tally! {
    online disconnections asked repeats confirmed refused cancelled unanswered ignored malformed wrong arrived late
    gave_up out_of_battery statuses finished events_dropped
}

impl Tally {
    pub(super) fn count(&self, event: &Event) {
        let counter = match event {
            Event::Online { .. } => &self.online,
            Event::Offline { .. } => &self.disconnections,
            Event::TripAsked(asked) if asked.sent > 1 => &self.repeats,
            Event::TripAsked(asked) if asked.cancels.is_none() => &self.asked,
            Event::TripAnswered(answered) => match answered.outcome {
                Outcome::Confirmed => &self.confirmed,
                Outcome::Refused(_) | Outcome::CancelRefused(_) => &self.refused,
                Outcome::Cancelled => &self.cancelled,
                Outcome::Unanswered => &self.unanswered,
            },
            Event::Status(_) => &self.statuses,
            Event::Late { .. } => &self.late,
            Event::Arrived { .. } => &self.arrived,
            Event::GaveUp { .. } => &self.gave_up,
            Event::OutOfBattery { .. } => &self.out_of_battery,
            Event::Finished { .. } => &self.finished,
            Event::TripAsked(_) | Event::Departed { .. } | Event::Charged { .. } => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_oddity(&self, oddity: Oddity) {
        let counter = match oddity {
            Oddity::Ignored => &self.ignored,
            Oddity::Wrong => &self.wrong,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_malformed(&self) {
        self.malformed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_dropped_event(&self) {
        self.events_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_offline(&self) {
        self.online.fetch_sub(1, Ordering::Relaxed);
    }
}
