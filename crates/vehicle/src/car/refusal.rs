//! What a driver does when companies say no.

use recarga_reservation::{Now, OperatorId};
use recarga_wire::{Problem, ProblemKind};

use super::booking::{Asking, Journey};
use super::{Car, Phase};
use crate::clock::SimulatedTime;
use crate::events::{Event, Outcome, Refused};
use crate::model::DrivingStyle;

impl Car {
    pub(super) fn take_refusal(
        &mut self,
        mut asking: Asking,
        server: OperatorId,
        problem: Option<Problem>,
        now: Now,
    ) {
        if problem.as_ref().is_some_and(|problem| is_undecided(problem.kind)) {
            asking.pending.wait_on(now);
            self.phase = Phase::Asking(Box::new(asking));
            return;
        }
        let refused = refused(problem.as_ref());
        let outcome = Outcome::Refused(refused);
        self.tell_asking_ended(&asking, None, Some(server.clone()), [].into(), outcome, now);
        let journey = asking.journey;
        let Some(problem) = problem else { return self.go_elsewhere(journey, now) };
        let is_about_time = problem.field.as_deref() == Some("saida");
        match problem.kind {
            ProblemKind::NothingToBook => match journey.rest_of.clone() {
                Some(trip) => self.drive_home(journey, trip, server, now),
                None => self.go_elsewhere(journey, now),
            },
            ProblemKind::WindowInThePast | ProblemKind::WindowTooFarAhead => self.reset_clock(journey, now),
            ProblemKind::InvalidField if is_about_time => self.reset_clock(journey, now),
            ProblemKind::Booked | ProblemKind::Held | ProblemKind::TripCancelled => {
                self.ask_after_pause(journey, now)
            }
            kind if may_pass(kind) => self.ask_after_pause(journey, now),
            _ => self.go_elsewhere(journey, now),
        }
    }

    // The clocks have drifted apart: back to real time.
    fn reset_clock(&mut self, journey: Journey, now: Now) {
        self.time = SimulatedTime::anchored(now, self.settings.speed);
        self.ask_after_pause(journey, now);
    }

    // Another request for the same journey, if there were not too many.
    pub(super) fn ask_after_pause(&mut self, journey: Journey, now: Now) {
        if journey.place_attempts >= self.settings.attempts_max {
            return self.go_elsewhere(journey, now);
        }
        let pause = self.settings.patience.pause.mul_f64(0.5 + self.chance.f64()) * journey.place_attempts;
        self.phase = Phase::Pausing { until: now.elapsed + pause, journey: Box::new(journey) };
    }

    // Another destination, if there were not too many. Who is on the road only drives slower, which takes less.
    pub(super) fn go_elsewhere(&mut self, mut journey: Journey, now: Now) {
        if journey.rest_of.is_some() {
            if journey.style == DrivingStyle::Slow {
                return self.strand(now);
            }
            journey.style = DrivingStyle::Slow;
        } else if journey.places >= self.settings.places_max {
            self.tell(Event::GaveUp { car: self.id.clone() });
            if !self.finish_trip() {
                // Whatever is in the way, more in the battery helps.
                self.rest_at(self.time.at(now), 0.9, false);
            }
            return;
        } else {
            let destination = self.draw_destination(journey.style);
            let way = self.way_to(destination);
            journey.lead_to(destination, way);
        }
        journey.place_attempts = 0;
        journey.places += 1;
        // Where everything is full, thousands of cars that hurry only make it worse.
        let pause = self.settings.patience.pause.mul_f64(0.5 + self.chance.f64()) * journey.places;
        self.phase = Phase::Pausing { until: now.elapsed + pause, journey: Box::new(journey) };
    }

    // Does not ask a company to coordinate for a while.
    pub(super) fn avoid(&mut self, operator: Option<OperatorId>, now: Now) {
        let Some(operator) = operator else { return };
        self.avoided.retain(|(other, _)| *other != operator);
        self.avoided.push((operator, now.elapsed + self.settings.patience.avoid));
    }
}

/// Whether the answer is still to come: the same request again finds it.
pub(super) fn is_undecided(kind: ProblemKind) -> bool {
    matches!(kind, ProblemKind::InProgress | ProblemKind::Internal | ProblemKind::RequestedElsewhere)
}

/// Whether nothing is wrong with the request itself, so that the same wish may be granted a moment later.
pub(super) fn may_pass(kind: ProblemKind) -> bool {
    matches!(
        kind,
        ProblemKind::TooSlow
            | ProblemKind::Withdrawn
            | ProblemKind::Unavailable
            | ProblemKind::TooManyRequests
            | ProblemKind::QuotaReached
            | ProblemKind::TooManyTrips
            | ProblemKind::TooMuchTime
            | ProblemKind::Expired
            | ProblemKind::SessionClosed
            | ProblemKind::AnotherStore
            | ProblemKind::SessionDiffers
            | ProblemKind::RequestDiffers
            | ProblemKind::TripBusy
            | ProblemKind::Unreachable
            | ProblemKind::RequestTimeout
    )
}

/// A refusal as it is told. A refusal without a reason is none that this contract knows, but it is no crash either.
pub(super) fn refused(problem: Option<&Problem>) -> Refused {
    match problem {
        Some(problem) => {
            Refused { kind: problem.kind, stop: problem.stop, detail: problem.detail.clone().into_owned() }
        }
        None => Refused { kind: ProblemKind::Unrecognised, stop: None, detail: String::new() },
    }
}
