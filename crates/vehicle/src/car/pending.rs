//! Requests that wait for their answer: published again, unchanged, until it comes or patience ends.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{Now, OperatorId, RequestId, TripId};

use crate::events::{StopView, Way};
use crate::settings::Patience;

// A request on its way. All times are real, on the monotonic clock.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request: RequestId,
    pub(super) payload: Vec<u8>,
    pub(super) first_sent: Duration,
    pub(super) sent: u32,
    next_send: Duration,
    pause: Duration,
    gives_up: Duration,
}

// A trip that shall end.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) pending: Pending,
    pub(super) trip: TripId,
    // The company that coordinates the trip.
    pub(super) server: OperatorId,
    pub(super) stops: Arc<[StopView]>,
    pub(super) way: Arc<Way>,
}

// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Repeat,
    GiveUp,
}

impl Pending {
    // A request that is being published for the first time.
    pub(super) fn new(request: RequestId, payload: Vec<u8>, patience: &Patience, now: Now) -> Self {
        Self {
            request,
            payload,
            first_sent: now.elapsed,
            sent: 1,
            next_send: now.elapsed + patience.repeat_after,
            pause: patience.repeat_after,
            gives_up: now.elapsed + patience.give_up_after,
        }
    }

    pub(super) fn wake(&self) -> Duration {
        self.next_send.min(self.gives_up)
    }

    // What is due; a repeat is taken as done.
    pub(super) fn work(&mut self, patience: &Patience, chance: &mut fastrand::Rng, now: Now) -> Due {
        if self.gives_up <= now.elapsed {
            return Due::GiveUp;
        }
        if self.next_send > now.elapsed {
            return Due::Nothing;
        }
        self.sent += 1;
        self.pause = (self.pause * 2).min(patience.repeat_every_max).max(patience.repeat_after);
        // So that thousands of cars that lost their broker together do not come back together.
        self.next_send = now.elapsed + self.pause.mul_f64(0.8 + 0.4 * chance.f64());
        Due::Repeat
    }

    // The answer was "not yet".
    pub(super) fn wait_on(&mut self, now: Now) {
        self.next_send = now.elapsed + self.pause;
    }

    // The same wish again under another id, within the same patience.
    pub(super) fn rename(&mut self, request: RequestId, payload: Vec<u8>, now: Now) {
        (self.request, self.payload) = (request, payload);
        self.next_send = now.elapsed + self.pause;
        // It counts as sent only then.
        self.sent = 0;
    }
}
