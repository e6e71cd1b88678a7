//! Asking for trips, and giving them back.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{Now, OperatorId, RequestId, RequestKey, TripId};
use recarga_wire::encode;
use recarga_wire::journey::{JourneyBody, JourneyRequest, Preference};
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleRequestBody};
use recarga_wire::{Problem, ProblemKind};

use super::pending::{Due, Pending, Release};
use super::refusal::{is_undecided, may_pass, refused};
use super::{AHEAD_MAX, After, Car, Oddity, Output, Phase};
use crate::clock::{SimulatedTime, whole_minute};
use crate::events::{Outcome, StopView, Way};
use crate::geo::road_km;
use crate::model::{DrivingStyle, RESERVE, RESERVE_ON_ROAD};
use crate::network::PlaceIndex;
use crate::plan::{self, Plan};

/// Nobody books a charge for the next minutes: simulated time from asking to departure, at least.
const LEAD_MIN: Duration = Duration::from_secs(15 * 60);

/// Requests remembered after they were given up.
const ABANDONED_MAX: usize = 8;

/// Nobody drives farther in one go: so many full batteries.
const BATTERIES_MAX: f64 = 4.0;

/// Road and weather take more than on paper: farther than the charge should last, a stop is needed.
const CAREFUL: f64 = 0.9;

// What a driver wants, and how often it was asked for.
#[derive(Clone, Debug)]
pub(super) struct Journey {
    pub(super) destination: PlaceIndex,
    pub(super) style: DrivingStyle,
    preference: Preference,
    way: Arc<Way>,
    // The trip of which this is the rest.
    pub(super) rest_of: Option<TripId>,
    // Whether the last request found no company that answers it.
    pub(super) was_silent: bool,
    // Requests for this journey, for this destination of it, and destinations.
    pub(super) attempt: u32,
    pub(super) place_attempts: u32,
    pub(super) places: u32,
}

// A journey that was asked for.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) journey: Journey,
    pub(super) pending: Pending,
    pub(super) coordinator: Option<OperatorId>,
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

impl Asking {
    pub(super) fn way(&self) -> Arc<Way> {
        Arc::clone(&self.journey.way)
    }
}

impl Journey {
    // Another destination.
    pub(super) fn lead_to(&mut self, destination: PlaceIndex, way: Arc<Way>) {
        (self.destination, self.way) = (destination, way);
    }
}

impl Booked {
    // What is left of it from here. What was refused so far has nothing to do with it.
    pub(super) fn rest(&self) -> Journey {
        let rest_of = Some(self.trip.clone());
        Journey { rest_of, place_attempts: 0, places: 1, was_silent: false, ..self.journey.clone() }
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
        let preference = match self.chance.u32(0..10) {
            0..8 => Preference::MaisRapida,
            8 => Preference::MaisBarata,
            _ => Preference::MenosParadas,
        };
        let destination = self.draw_destination(style);
        let journey = Journey {
            destination,
            style,
            preference,
            way: self.way_to(destination),
            rest_of: None,
            was_silent: false,
            attempt: 0,
            place_attempts: 0,
            places: 1,
        };
        self.ask(journey, now);
    }

    // A city farther than the battery lasts, so that there is something to book; the farthest, if there is none.
    pub(super) fn draw_destination(&mut self, style: DrivingStyle) -> PlaceIndex {
        let (network, here) = (Arc::clone(&self.network), self.body.position);
        let km = |place: PlaceIndex| road_km(here, network.place(place).position);
        let kwh = self.body.charge_kwh - RESERVE * self.model.usable_kwh();
        let range_km = kwh.max(0.0) / self.model.kwh_per_km(style);
        let away: Vec<PlaceIndex> =
            network.places().filter(|place| Some(*place) != self.body.place).collect();
        let most_km = BATTERIES_MAX * self.model.usable_kwh() / self.model.kwh_per_km(style);
        let is_far = |place: &PlaceIndex| (range_km * CAREFUL..most_km).contains(&km(*place));
        let far: Vec<PlaceIndex> = away.iter().copied().filter(is_far).collect();
        let farthest = away.into_iter().max_by(|one, other| km(*one).total_cmp(&km(*other)));
        // A network has two places at least.
        self.chance.choice(far).or(farthest).unwrap_or_else(|| network.nearest(here))
    }

    pub(super) fn way_to(&self, destination: PlaceIndex) -> Arc<Way> {
        let from = match self.body.place {
            Some(place) => Arc::clone(&self.network.place(place).name),
            None => self.degrees().into(),
        };
        Arc::new(Way { from, to: Arc::clone(&self.network.place(destination).name) })
    }

    fn reserve(&self) -> f64 {
        if self.body.place.is_some() { RESERVE } else { RESERVE_ON_ROAD }
    }

    fn degrees(&self) -> String {
        format!("{:.5},{:.5}", self.body.position.latitude, self.body.position.longitude)
    }

    // Publishes a new request for the journey.
    pub(super) fn ask(&mut self, mut journey: Journey, now: Now) {
        if self.is_closing {
            self.phase = Phase::Finished;
            return;
        }
        journey.attempt += 1;
        journey.place_attempts += 1;
        let request = self.new_request_id(now);
        let coordinator = self.draw_coordinator(&journey, now);
        let expires = now.utc + self.settings.patience.valid;
        let wish = self.wish(&journey, request.clone(), now);
        let body = wish.to_body(coordinator.clone(), Some(expires));
        let pending = Pending::new(request, encode(&body), &self.settings.patience, now);
        let asking = Asking { journey, pending, coordinator };
        self.publish_asking(&asking);
        self.phase = Phase::Asking(Box::new(asking));
    }

    fn wish(&self, journey: &Journey, request: RequestId, now: Now) -> JourneyRequest {
        let simulated = self.time.at(now);
        let lead = LEAD_MIN.max(self.time.simulated(self.settings.patience.booking));
        let percent = self.body.charge_kwh / self.model.usable_kwh() * 100.0;
        let from = self.body.place.map_or_else(|| self.degrees(), |at| self.network.place(at).wire.clone());
        let to = self.network.place(journey.destination).wire.clone();
        // Rounded so that nobody counts on more than there is.
        let charge = ((percent * 10.0).floor() / 10.0).clamp(0.0, 100.0);
        let body = JourneyBody {
            modelo: Some(self.model.car.id.clone()),
            saida: Some(whole_minute(simulated + lead)),
            preferencia: journey.preference,
            reserva_pct: Some(self.reserve() * 100.0),
            velocidade_kmh: Some(journey.style.speed_kmh()),
            ..JourneyBody::new(from, to, charge)
        };
        JourneyRequest { key: RequestKey { vehicle: self.id.clone(), request }, plug: None, journey: body }
    }

    // What is due while an answer is awaited: the same request again, or the end of patience.
    pub(super) fn work_on_asking(&mut self, now: Now) {
        let Phase::Asking(mut asking) = self.leave_phase() else { return };
        match asking.pending.work(&self.settings.patience, &mut self.chance, now) {
            Due::GiveUp => {
                self.tell_asking_ended(&asking, None, None, [].into(), Outcome::Unanswered, now);
                self.abandoned.push_back(asking.pending.request.clone());
                if self.abandoned.len() > ABANDONED_MAX {
                    self.abandoned.pop_front();
                }
                self.avoid(asking.coordinator, now);
                self.ask_after_pause(Journey { was_silent: true, ..asking.journey }, now);
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
                let nowhere = Arc::new(Way { from: "?".into(), to: "?".into() });
                let release = self.release(trip, answer.servidor, Arc::new([]), nowhere, now);
                self.releases.push(release);
            }
            _ => self.outputs.push(Output::Count(Oddity::Ignored)),
        }
    }

    fn take_asked(&mut self, asking: Asking, answer: VehicleAnswer, now: Now) {
        let server = answer.servidor.clone();
        match (answer.estado, answer.viagem_id.clone()) {
            (AnswerState::Confirmada, Some(trip)) => {
                let stops = answer.roteiro.as_ref().map_or_else(|| Arc::from([]), plan::views);
                let (told, by) = (Some(trip.clone()), Some(server.clone()));
                self.tell_asking_ended(&asking, told, by, Arc::clone(&stops), Outcome::Confirmed, now);
                let Asking { journey, .. } = asking;
                let (style, destination, reserve) = (journey.style, journey.destination, self.reserve());
                let read = |told| Plan::read(told, &answer.paradas, &self.model, style, destination, reserve);
                match answer.roteiro.as_ref().and_then(read) {
                    Some(plan) => {
                        let odometer_km = self.body.odometer_km;
                        self.be_ready(Booked { trip, server, journey, plan, stops, odometer_km }, now);
                    }
                    None => {
                        self.outputs.push(Output::Count(Oddity::Wrong));
                        let release = self.release(trip, server, stops, Arc::clone(&journey.way), now);
                        let (release, then) = (Box::new(release), After::Ask(Box::new(journey)));
                        self.phase = Phase::Cancelling { release, then };
                    }
                }
            }
            (AnswerState::Recusada, _) => self.take_refusal(asking, server, answer.motivo, now),
            // It was booked, unheard, and somebody has cancelled it since.
            (AnswerState::Cancelada, _) => {
                self.take_refusal(asking, server, Some(Problem::of(ProblemKind::TripCancelled)), now);
            }
            // No such answer to such a request.
            (AnswerState::Confirmada, _) => {
                self.outputs.push(Output::Count(Oddity::Wrong));
                self.phase = Phase::Asking(Box::new(asking));
            }
        }
    }

    // The charge lasts: the rest of the trip needs no stop.
    pub(super) fn drive_home(&mut self, journey: Journey, trip: TripId, server: OperatorId, now: Now) {
        let to = (journey.destination, self.network.place(journey.destination).position);
        let plan = Plan::straight(self.body.position, to, journey.style, self.time.at(now));
        let odometer_km = self.body.odometer_km;
        let booked = Booked { trip, server, journey, plan, stops: Arc::new([]), odometer_km };
        self.depart(Box::new(booked), self.time.at(now), now);
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
        let release = self.release(booked.trip, booked.server, booked.stops, booked.journey.way, now);
        self.phase = Phase::Cancelling { release: Box::new(release), then };
    }

    fn release(
        &mut self,
        trip: TripId,
        server: OperatorId,
        stops: Arc<[StopView]>,
        way: Arc<Way>,
        now: Now,
    ) -> Release {
        let (request, payload) = self.cancellation(&trip, &server, now);
        let pending = Pending::new(request, payload, &self.settings.patience, now);
        let release = Release { pending, trip, server, stops, way };
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
            After::Ask(journey) => self.ask_after_pause(*journey, now),
            After::Strand => self.strand(now),
        }
    }
}
