//! What a driver does when companies say no.

use std::time::Duration;

use recarga_reservation::{Now, OperatorId, TimeWindow};
use recarga_wire::{Problem, ProblemKind};

use super::booking::{Asking, Journey};
use super::{Car, Phase};
use crate::clock::SimulatedTime;
use crate::events::{Event, Outcome, Refused};
use crate::network::EvseIndex;
use crate::plan::Plan;

/// A later window is taken rather than another EVSE if it is not later than this; simulated time.
const SHIFT_EASY: Duration = Duration::from_secs(2 * 3600);

/// A later window is taken rather than another route if it is not later than this; simulated time.
const SHIFT_MAX: Duration = Duration::from_secs(12 * 3600);

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
        self.tell_asking_ended(&asking, None, Some(server), Outcome::Refused(refused), now);
        let Asking { mut journey, plan, .. } = asking;
        let Some(problem) = problem else { return self.reroute(journey, now) };
        let stop = problem.stop.map(usize::from).filter(|stop| *stop < journey.stops.len());
        match problem.kind {
            ProblemKind::Booked => self.take_booked(journey, &plan, stop, &problem.free, now),
            ProblemKind::Held => {
                // Half of the drivers step aside; if all did, two that block each other would swap places.
                if self.chance.bool() {
                    self.use_another_evse(&mut journey, stop);
                }
                self.ask_after_pause(journey, now);
            }
            ProblemKind::Unreachable => {
                let silent = problem.operator.or_else(|| {
                    let station = journey.stops.get(stop?)?.station;
                    Some(self.network.operator(self.network.site(station).operator).clone())
                });
                self.avoid(silent, now);
                self.reroute(journey, now);
            }
            ProblemKind::WindowInThePast | ProblemKind::WindowTooFarAhead => {
                // The clocks have drifted apart: back to real time.
                self.time = SimulatedTime::anchored(now, self.settings.speed);
                journey.forget_windows();
                self.ask_after_pause(journey, now);
            }
            kind if may_pass(kind) => self.ask_after_pause(journey, now),
            _ => {
                journey.full.extend(stop.map(|stop| journey.stops[stop].station));
                self.reroute(journey, now);
            }
        }
    }

    // Someone else has the EVSE then: a bit later, or the next EVSE, or much later, or somewhere else.
    fn take_booked(
        &mut self,
        mut journey: Journey,
        plan: &Plan,
        stop: Option<usize>,
        free: &[TimeWindow],
        now: Now,
    ) {
        let Some(stop) = stop else { return self.reroute(journey, now) };
        if self.shift(&mut journey, plan, stop, free, SHIFT_EASY, now) {
            return self.ask_again(journey, now);
        }
        if self.use_another_evse(&mut journey, Some(stop)) {
            return self.ask_again(journey, now);
        }
        if self.shift(&mut journey, plan, stop, free, SHIFT_MAX, now) {
            return self.ask_again(journey, now);
        }
        journey.full.push(journey.stops[stop].station);
        self.reroute(journey, now);
    }

    // Takes the first free window that the stop fits into. The later stops move with it.
    fn shift(
        &self,
        journey: &mut Journey,
        plan: &Plan,
        stop: usize,
        free: &[TimeWindow],
        most: Duration,
        now: Now,
    ) -> bool {
        let latest = plan.stops[stop].window.start() + most;
        let mut free = free.to_vec();
        free.sort_unstable();
        for window in free {
            let mut shifted = journey.clone();
            shifted.not_before[stop] = Some(window.start());
            let Ok(plan) = self.plan(&mut shifted, now) else { continue };
            let planned = plan.stops[stop].window;
            if planned.start() >= window.start() && planned.end() <= window.end() && planned.start() <= latest
            {
                *journey = shifted;
                return true;
            }
        }
        false
    }

    // Changes to an EVSE of the same station that was not tried yet.
    fn use_another_evse(&mut self, journey: &mut Journey, stop: Option<usize>) -> bool {
        let Some(stop) = stop else { return false };
        let current = journey.stops[stop];
        journey.tried.push(current);
        let site = self.network.site(current.station);
        let others = site.evses_for(self.model).map(|number| EvseIndex { number, ..current });
        let untried: Vec<EvseIndex> = others.filter(|other| !journey.tried.contains(other)).collect();
        match self.chance.choice(untried) {
            Some(other) => {
                journey.stops[stop] = other;
                journey.not_before[stop] = None;
                true
            }
            None => false,
        }
    }

    // Another request for the same route, if there were not too many.
    pub(super) fn ask_again(&mut self, journey: Journey, now: Now) {
        if journey.route_attempts < self.settings.attempts_max {
            self.ask(journey, now);
        } else {
            self.reroute(journey, now);
        }
    }

    fn ask_after_pause(&mut self, journey: Journey, now: Now) {
        if journey.route_attempts >= self.settings.attempts_max {
            return self.reroute(journey, now);
        }
        let pause = self.settings.patience.pause.mul_f64(0.5 + self.chance.f64()) * journey.route_attempts;
        self.phase = Phase::Pausing { until: now.elapsed + pause, journey: Box::new(journey) };
    }

    // Another route for the same journey, if there were not too many.
    pub(super) fn reroute(&mut self, mut journey: Journey, now: Now) {
        if journey.routes >= self.settings.routes_max {
            self.tell(Event::GaveUp { car: self.id.clone() });
            if !self.finish_trip() {
                self.rest(now, false);
            }
            return;
        }
        let Some(route) = self.find_route(journey.style(), journey.full.clone(), now) else {
            return self.strand(now);
        };
        self.tell_shortfall(&route);
        journey.follow(route);
        // Where everything is full, thousands of cars that hurry only make it worse.
        let pause = self.settings.patience.pause.mul_f64(0.5 + self.chance.f64()) * journey.routes;
        self.phase = Phase::Pausing { until: now.elapsed + pause, journey: Box::new(journey) };
    }

    // Makes no plans with a company for a while.
    pub(super) fn avoid(&mut self, operator: Option<OperatorId>, now: Now) {
        let Some(operator) = operator.and_then(|operator| self.network.find_operator(&operator)) else {
            return;
        };
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
