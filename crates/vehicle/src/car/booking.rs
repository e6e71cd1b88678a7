//! Asking for trips, and giving them back.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{Now, OperatorId, RequestId, RequestKey, Timestamp, TripId, TripRequest, TripStop};
use recarga_wire::encode;
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleRequestBody};

use super::messages::is_as_asked;
use super::pending::{Due, Pending, Release};
use super::refusal::{is_undecided, may_pass, refused};
use super::{AHEAD_MAX, After, Car, Oddity, Output, Phase};
use crate::clock::{SimulatedTime, whole_minute};
use crate::events::{Event, Outcome, StopView};
use crate::model::DrivingStyle;
use crate::network::{EvseIndex, OperatorIndex, StationIndex};
use crate::plan::{self, Infeasible, Plan};
use crate::route::{self, Avoid, Route, Start};

/// Nobody books a charge for the next minutes: simulated time from asking to departure, at least.
const LEAD_MIN: Duration = Duration::from_secs(15 * 60);

/// Requests remembered after they were given up.
const ABANDONED_MAX: usize = 8;

// What a driver wants: a route, and what has been learnt about it.
#[derive(Clone, Debug)]
pub(super) struct Journey {
    pub(super) stops: Vec<EvseIndex>,
    pub(super) not_before: Vec<Option<Timestamp>>,
    pub(super) destination: StationIndex,
    style: DrivingStyle,
    // Charged at each stop at least, as a share of the usable energy.
    top_up: f64,
    // Kept from one request to the next, so that windows do not move by themselves.
    departs: Option<Timestamp>,
    // Requests for this journey, for this route of it, and routes.
    pub(super) attempt: u32,
    pub(super) route_attempts: u32,
    pub(super) routes: u32,
    pub(super) tried: Vec<EvseIndex>,
    pub(super) full: Vec<StationIndex>,
}

// A journey that was asked for.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) journey: Journey,
    pub(super) plan: Plan,
    pub(super) pending: Pending,
    pub(super) coordinator: Option<OperatorId>,
    pub(super) stops: Arc<[StopView]>,
}

// A journey on which everything is reserved.
#[derive(Debug)]
pub(super) struct Booked {
    pub(super) trip: TripId,
    server: OperatorId,
    pub(super) journey: Journey,
    pub(super) plan: Plan,
    stops: Arc<[StopView]>,
    // What the odometer showed on departure.
    pub(super) odometer_km: f64,
}

impl Journey {
    pub(super) fn style(&self) -> DrivingStyle {
        self.style
    }

    // Another route to drive.
    pub(super) fn follow(&mut self, route: Route) {
        self.not_before = vec![None; route.stops.len()];
        (self.stops, self.destination, self.style) = (route.stops, route.destination, route.style);
        self.departs = None;
        self.route_attempts = 0;
        self.routes += 1;
    }

    // The windows are to be computed anew.
    pub(super) fn forget_windows(&mut self) {
        self.departs = None;
        self.not_before.fill(None);
    }

    // What is left of it from this stop on, counted from 0. What was refused so far has nothing to do with it.
    pub(super) fn rest_from(&self, stop: usize) -> Journey {
        let stops = self.stops[stop..].to_vec();
        let not_before = vec![None; stops.len()];
        Journey { not_before, stops, departs: None, route_attempts: 0, routes: 1, ..self.clone() }
    }
}

impl Car {
    // Plans another trip from here.
    pub(super) fn begin_journey(&mut self, now: Now) {
        if self.is_closing {
            self.phase = Phase::Finished;
            return;
        }
        if self.time.ahead(now) > AHEAD_MAX {
            self.time = SimulatedTime::anchored(now, self.settings.speed);
        }
        let style = match self.chance.u32(0..10) {
            0..2 => DrivingStyle::Slow,
            2..8 => DrivingStyle::Normal,
            _ => DrivingStyle::Fast,
        };
        match self.find_route(style, vec![], now) {
            Some(route) => {
                self.tell_shortfall(&route);
                let journey = Journey {
                    not_before: vec![None; route.stops.len()],
                    stops: route.stops,
                    destination: route.destination,
                    style: route.style,
                    top_up: 0.5 + 0.3 * self.chance.f64(),
                    departs: None,
                    attempt: 0,
                    route_attempts: 0,
                    routes: 1,
                    tried: Vec::new(),
                    full: Vec::new(),
                };
                self.ask(journey, now);
            }
            // It came home with little: first it fills up.
            None if self.body.station.is_some() && self.body.charge_kwh < 0.95 * self.model.usable_kwh => {
                self.rest_at(self.time.at(now), 1.0, false);
            }
            None => self.strand(now),
        }
    }

    // Tries the driver's style, then the one that reaches farthest; without the avoided companies, then with them.
    pub(super) fn find_route(
        &mut self,
        style: DrivingStyle,
        full: Vec<StationIndex>,
        now: Now,
    ) -> Option<Route> {
        self.avoided.retain(|(_, until)| *until > now.elapsed);
        let operators: Vec<OperatorIndex> = self.avoided.iter().map(|(operator, _)| *operator).collect();
        let mut best: Option<Route> = None;
        for avoid in [Avoid { operators, stations: full }, Avoid::default()] {
            for style in [style, DrivingStyle::Slow] {
                let start = Start {
                    model: self.model,
                    style,
                    position: self.body.position,
                    station: self.body.station,
                    charge_kwh: self.body.charge_kwh,
                    reserve: self.reserve(),
                };
                match route::find(&self.network, start, &avoid, &mut self.chance) {
                    Some(route) if route.shortfall.is_none() => return Some(route),
                    found => best = best.or(found),
                }
            }
            if best.is_some() {
                break;
            }
        }
        best
    }

    pub(super) fn tell_shortfall(&mut self, route: &Route) {
        if let Some(shortfall) = route.shortfall {
            self.tell(Event::RouteFellShort { car: self.id.clone(), shortfall });
        }
    }

    fn reserve(&self) -> f64 {
        if self.body.station.is_some() { route::RESERVE } else { route::RESERVE_ON_ROAD }
    }

    // Publishes a new request for the journey.
    pub(super) fn ask(&mut self, mut journey: Journey, now: Now) {
        if self.is_closing {
            self.phase = Phase::Finished;
            return;
        }
        let plan = match self.plan(&mut journey, now) {
            Ok(plan) => plan,
            Err(_) => return self.reroute(journey, now),
        };
        journey.attempt += 1;
        journey.route_attempts += 1;
        let request = self.new_request_id(now);
        let stops: Vec<TripStop> =
            (0..).zip(&plan.stops).map(|(number, stop)| self.trip_stop(number, stop)).collect();
        let key = RequestKey { vehicle: self.id.clone(), request: request.clone() };
        let Ok(trip) = TripRequest::new(key, Some(self.model.plug), stops) else {
            return self.reroute(journey, now);
        };
        let coordinator = self.draw_coordinator(&journey);
        let expires = now.utc + self.settings.patience.valid;
        let body = VehicleRequestBody::book(&trip, coordinator.clone(), Some(expires));
        let pending = Pending::new(request, encode(&body), &self.settings.patience, now);
        let stops = self.views(&plan);
        let asking = Asking { journey, plan, pending, coordinator, stops };
        self.publish_asking(&asking);
        self.phase = Phase::Asking(Box::new(asking));
    }

    // The plan with the journey's restrictions, from here and from as soon as one can be ready.
    pub(super) fn plan(&self, journey: &mut Journey, now: Now) -> Result<Plan, Infeasible> {
        let simulated = self.time.at(now);
        let lead = LEAD_MIN.max(self.time.simulated(self.settings.patience.booking));
        let departs = journey.departs.filter(|departs| *departs >= simulated + lead / 3);
        let mut trip = plan::Trip {
            model: self.model,
            style: journey.style,
            origin: self.body.position,
            charge_kwh: self.body.charge_kwh,
            reserve: self.reserve(),
            departs: departs.unwrap_or_else(|| whole_minute(simulated + lead)),
            top_up: journey.top_up,
            stops: &journey.stops,
            not_before: &journey.not_before,
            destination: journey.destination,
        };
        let mut plan = plan::make(&self.network, trip)?;
        // Better to wait at home than in front of the first station.
        if let Some(first) = plan.stops.first() {
            let early = first.window.start().since(whole_minute(first.arrives));
            if !early.is_zero() {
                trip.departs = trip.departs + early;
                plan = plan::make(&self.network, trip)?;
            }
        }
        journey.departs = Some(plan.departs);
        Ok(plan)
    }

    // What is due while an answer is awaited: the same request again, or the end of patience.
    pub(super) fn work_on_asking(&mut self, now: Now) {
        let Phase::Asking(mut asking) = self.leave_phase() else { return };
        match asking.pending.work(&self.settings.patience, &mut self.chance, now) {
            Due::GiveUp => {
                self.tell_asking_ended(&asking, None, None, Outcome::Unanswered, now);
                self.abandoned.push_back(asking.pending.request.clone());
                if self.abandoned.len() > ABANDONED_MAX {
                    self.abandoned.pop_front();
                }
                let silent =
                    asking.coordinator.or_else(|| asking.stops.first().map(|stop| stop.operator.clone()));
                self.avoid(silent, now);
                self.reroute(asking.journey, now);
            }
            due => {
                if due == Due::Repeat {
                    self.publish_asking(&asking);
                }
                self.phase = Phase::Asking(asking);
            }
        }
    }

    // What is due while a cancellation holds everything up.
    pub(super) fn work_on_cancelling(&mut self, now: Now) {
        let Phase::Cancelling { mut release, then } = self.leave_phase() else { return };
        if self.work_on_release(&mut release, now) {
            self.phase = Phase::Cancelling { release, then };
        } else {
            self.carry_on(then, now);
        }
    }

    // What is due of cancellations that hold nothing up.
    pub(super) fn work_on_releases(&mut self, now: Now) {
        let releases = std::mem::take(&mut self.releases);
        for mut release in releases {
            if self.work_on_release(&mut release, now) {
                self.releases.push(release);
            }
        }
    }

    // Says whether it still waits.
    fn work_on_release(&mut self, release: &mut Release, now: Now) -> bool {
        match release.pending.work(&self.settings.patience, &mut self.chance, now) {
            Due::Nothing => {}
            Due::Repeat => self.publish_release(release),
            Due::GiveUp => self.tell_release_ended(release, None, Outcome::Unanswered, now),
        }
        release.pending.wake() > now.elapsed
    }

    pub(super) fn take_answer(&mut self, answer: VehicleAnswer, now: Now) {
        let request = answer.requisicao_id.as_ref().filter(|_| answer.veiculo_id == self.id);
        let is_for = |pending: &Pending| request == Some(&pending.request);
        match &self.phase {
            Phase::Asking(asking) if is_for(&asking.pending) => {
                if let Phase::Asking(asking) = self.leave_phase() {
                    self.take_asked(*asking, answer, now);
                }
                return;
            }
            Phase::Cancelling { release, .. } if is_for(&release.pending) => {
                if let Phase::Cancelling { mut release, then } = self.leave_phase() {
                    if self.is_released(&mut release, answer, now) {
                        self.carry_on(then, now);
                    } else {
                        self.phase = Phase::Cancelling { release, then };
                    }
                }
                return;
            }
            _ => {}
        }
        if let Some(place) = self.releases.iter().position(|release| is_for(&release.pending)) {
            let mut release = self.releases.swap_remove(place);
            if !self.is_released(&mut release, answer, now) {
                self.releases.push(release);
            }
            return;
        }
        let abandoned = self.abandoned.iter().position(|old| request == Some(old));
        match (abandoned, answer.estado, answer.viagem_id) {
            // It was confirmed after the car had turned to something else: nobody will come.
            (Some(place), AnswerState::Confirmada, Some(trip)) => {
                self.abandoned.remove(place);
                let release = self.release(trip, answer.servidor, Arc::new([]), now);
                self.releases.push(release);
            }
            _ => self.outputs.push(Output::Count(Oddity::Ignored)),
        }
    }

    fn take_asked(&mut self, asking: Asking, answer: VehicleAnswer, now: Now) {
        let server = answer.servidor.clone();
        match (answer.estado, answer.viagem_id.clone()) {
            (AnswerState::Confirmada, Some(trip)) => {
                self.tell_asking_ended(
                    &asking,
                    Some(trip.clone()),
                    Some(server.clone()),
                    Outcome::Confirmed,
                    now,
                );
                let is_right = is_as_asked(&asking.stops, &answer);
                let Asking { journey, plan, stops, .. } = asking;
                let booked =
                    Booked { trip, server, journey, plan, stops, odometer_km: self.body.odometer_km };
                if is_right {
                    self.be_ready(booked, now);
                } else {
                    self.outputs.push(Output::Count(Oddity::Wrong));
                    let journey = booked.journey.clone();
                    self.cancel(booked, After::Ask(Box::new(journey)), now);
                }
            }
            (AnswerState::Recusada, _) => self.take_refusal(asking, server, answer.motivo, now),
            // No such answer to such a request.
            (AnswerState::Confirmada | AnswerState::Cancelada, _) => {
                self.outputs.push(Output::Count(Oddity::Wrong));
                self.phase = Phase::Asking(Box::new(asking));
            }
        }
    }

    fn be_ready(&mut self, booked: Booked, now: Now) {
        if self.is_closing {
            self.phase = Phase::Finished;
            return;
        }
        let simulated = self.time.at(now);
        let departs = booked.plan.departs.max(simulated);
        let has_second_thoughts = self.chance.f64() < self.settings.cancel_probability;
        let changes_mind =
            has_second_thoughts.then(|| simulated + departs.since(simulated).mul_f64(self.chance.f64()));
        self.phase = Phase::Ready { booked: Box::new(booked), departs, changes_mind };
    }

    // Gives a whole trip back. What follows waits until the companies have it, so that the car does not stand in its
    // own way.
    pub(super) fn cancel(&mut self, booked: Booked, then: After, now: Now) {
        let release = self.release(booked.trip, booked.server, booked.stops, now);
        self.phase = Phase::Cancelling { release: Box::new(release), then };
    }

    fn release(&mut self, trip: TripId, server: OperatorId, stops: Arc<[StopView]>, now: Now) -> Release {
        let (request, payload) = self.cancellation(&trip, &server, now);
        let pending = Pending::new(request, payload, &self.settings.patience, now);
        let release = Release { pending, trip, server, stops };
        self.publish_release(&release);
        release
    }

    fn cancellation(&mut self, trip: &TripId, server: &OperatorId, now: Now) -> (RequestId, Vec<u8>) {
        let request = self.new_request_id(now);
        let body = VehicleRequestBody::cancel(request.clone(), trip.clone(), Some(server.clone()));
        (request, encode(&body))
    }

    fn is_released(&mut self, release: &mut Release, answer: VehicleAnswer, now: Now) -> bool {
        if answer.estado == AnswerState::Cancelada {
            self.tell_release_ended(release, Some(answer.servidor), Outcome::Cancelled, now);
            return true;
        }
        let refused = refused(answer.motivo.as_ref());
        if is_undecided(refused.kind) {
            release.pending.wait_on(now);
            return false;
        }
        if may_pass(refused.kind) {
            let (request, payload) = self.cancellation(&release.trip, &release.server, now);
            release.pending.rename(request, payload, now);
            return false;
        }
        self.tell_release_ended(release, Some(answer.servidor), Outcome::CancelRefused(refused), now);
        true
    }

    fn carry_on(&mut self, then: After, now: Now) {
        match then {
            After::Rest => {
                if !self.finish_trip() {
                    self.rest(now, false);
                }
            }
            After::Ask(journey) => self.ask_again(*journey, now),
            After::Strand => self.strand(now),
        }
    }
}
