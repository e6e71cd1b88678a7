//! One car: a pure state machine. Answers and the passing of time in, messages and events out.
//!
//! | phase | ends with |
//! |---|---|
//! | resting, at home or where it was left | the end of the rest -> asking |
//! | asking | confirmed -> ready; refused -> asking for something else, or pausing; no answer -> asking again |
//! | pausing | the end of the pause -> asking |
//! | ready | departure -> driving; the driver changes his mind -> cancelling |
//! | driving | at a stop -> queueing; at the destination -> resting; too late -> cancelling; empty -> cancelling |
//! | queueing | the start of the window -> charging |
//! | charging | enough energy, or the end of the window -> driving |
//! | cancelling | cancelled -> asking for the rest, resting or stranded |
//! | stranded | towed -> resting |

mod booking;
mod driving;
mod messages;
mod pending;
mod refusal;
mod report;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use recarga_planning::Position;
use recarga_reservation::{Now, OperatorId, RequestId, Timestamp, VehicleId};
use recarga_wire::vehicle::VehicleAnswer;

use crate::clock::SimulatedTime;
use crate::events::Event;
use crate::model::Model;
use crate::network::{Network, PlaceIndex};
use crate::radio::Publication;
use crate::settings::Settings;

use booking::{Asking, Booked, Journey};
use driving::{Charge, Drive};
use pending::Release;

/// How far ahead of real time a car may be when it begins a trip. Companies know each
/// other's free windows for a week.
const AHEAD_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

/// What a car wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To be published.
    Publish(Publication),
    /// To be told to whoever watches.
    Tell(Event),
    /// To be counted.
    Count(Oddity),
}

/// Answers that should be rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// The car was not waiting for it: a repeat.
    Ignored,
    /// It confirms other stops than were asked for.
    Wrong,
}

/// One simulated car.
#[derive(Debug)]
pub struct Car {
    id: VehicleId,
    model: Model,
    network: Arc<Network>,
    settings: Arc<Settings>,
    chance: fastrand::Rng,
    time: SimulatedTime,
    body: Body,
    phase: Phase,
    // Trips that are no longer wanted and whose end has not been acknowledged.
    releases: Vec<Release>,
    // Requests that were given up; should one be confirmed after all, its trip is not wanted.
    abandoned: VecDeque<RequestId>,
    // Companies that did not answer, and until when (monotonic) they are not asked to coordinate.
    avoided: Vec<(OperatorId, Duration)>,
    trips_made: u32,
    is_closing: bool,
    status: report::Schedule,
    outputs: Vec<Output>,
}

// Where the car is and what is in its battery, as of the last `settle`.
#[derive(Clone, Copy, Debug)]
struct Body {
    position: Position,
    // In which city; none on the road.
    place: Option<PlaceIndex>,
    charge_kwh: f64,
    odometer_km: f64,
}

#[derive(Debug)]
enum Phase {
    Resting { until: Timestamp, charge: Option<Charge>, has_arrived: bool },
    Asking(Box<Asking>),
    // Until then on the monotonic clock.
    Pausing { until: Duration, journey: Box<Journey> },
    Ready { booked: Box<Booked>, departs: Timestamp, changes_mind: Option<Timestamp> },
    Driving { booked: Box<Booked>, drive: Drive },
    Queueing { booked: Box<Booked>, stop: usize, since: Timestamp },
    Charging { booked: Box<Booked>, stop: usize, charge: Charge, waited: Duration },
    Cancelling { release: Box<Release>, then: After },
    Stranded { until: Timestamp },
    Finished,
}

// What follows the end of a trip.
#[derive(Debug)]
enum After {
    Rest,
    Ask(Box<Journey>),
    Strand,
}

impl Car {
    /// A car in a city of the network, well charged, about to plan its first trip. Everything that it will choose
    /// follows from the seed and from what it is answered.
    pub fn new(id: VehicleId, network: Arc<Network>, settings: Arc<Settings>, seed: u64, now: Now) -> Car {
        let mut chance = fastrand::Rng::with_seed(seed);
        let model = draw_model(&network, &mut chance);
        let places: Vec<PlaceIndex> = network.places().collect();
        let place = places[chance.usize(..places.len())];
        let time = SimulatedTime::anchored(now, settings.speed);
        let body = Body {
            position: network.place(place).position,
            place: Some(place),
            charge_kwh: model.usable_kwh() * (0.6 + 0.4 * chance.f64()),
            odometer_km: 0.0,
        };
        Car {
            id,
            model,
            network,
            status: report::Schedule::starting(time.at(now)),
            phase: Phase::Resting { until: time.at(now), charge: None, has_arrived: false },
            settings,
            chance,
            time,
            body,
            releases: Vec::new(),
            abandoned: VecDeque::new(),
            avoided: Vec::new(),
            trips_made: 0,
            is_closing: false,
            outputs: Vec::new(),
        }
    }

    /// The car's id.
    pub fn id(&self) -> &VehicleId {
        &self.id
    }

    /// What kind of car it is.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Energy in the battery as of the last event, in kWh.
    pub fn charge_kwh(&self) -> f64 {
        self.body.charge_kwh
    }

    /// What it has driven, in km, as of the last event.
    pub fn odometer_km(&self) -> f64 {
        self.body.odometer_km
    }

    /// When, on the monotonic clock, the car next wants [`Car::tick`]; never if none.
    pub fn wake(&self) -> Option<Duration> {
        let simulated = |at: Timestamp| Some(self.time.elapsed_at(at));
        let phase = match &self.phase {
            Phase::Resting { until, .. } | Phase::Stranded { until } => simulated(*until),
            Phase::Asking(asking) => Some(asking.pending.wake()),
            Phase::Pausing { until, .. } => Some(*until),
            Phase::Ready { departs, changes_mind, .. } => {
                simulated(changes_mind.map_or(*departs, |at| at.min(*departs)))
            }
            Phase::Driving { drive, .. } => simulated(drive.next_event().0),
            Phase::Queueing { booked, stop, .. } => simulated(booked.plan.stops[*stop].window.start()),
            Phase::Charging { charge, .. } => simulated(charge.ends),
            Phase::Cancelling { release, .. } => Some(release.pending.wake()),
            Phase::Finished => None,
        };
        let releases = self.releases.iter().map(|release| release.pending.wake());
        let status = (!matches!(self.phase, Phase::Finished)).then(|| self.status_wake());
        phase.into_iter().chain(releases).chain(status).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> Vec<Output> {
        self.advance(now);
        std::mem::take(&mut self.outputs)
    }

    /// An answer has arrived.
    pub fn answered(&mut self, answer: VehicleAnswer, now: Now) -> Vec<Output> {
        self.advance(now);
        self.take_answer(answer, now);
        self.status.hurry();
        self.advance(now);
        std::mem::take(&mut self.outputs)
    }

    /// The car is connected, for the first time or again. What the broker keeps of it may be its last will.
    pub fn online(&mut self, now: Now) -> Vec<Output> {
        self.advance(now);
        self.report(now, crate::radio::Delivery::Kept);
        std::mem::take(&mut self.outputs)
    }

    /// The car asks for nothing new from now on. It may still be waiting for answers: see [`Car::is_settled`].
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// Whether the car waits for no answer.
    pub fn is_settled(&self) -> bool {
        !matches!(self.phase, Phase::Asking(_) | Phase::Cancelling { .. }) && self.releases.is_empty()
    }

    /// Whether the car has made all of its trips and waits for no answer.
    pub fn is_finished(&self) -> bool {
        matches!(self.phase, Phase::Finished) && self.is_settled()
    }

    // Does whatever is due, in order, each at its own time.
    fn advance(&mut self, now: Now) {
        self.work_on_releases(now);
        // Each step is due later than the one before; the bound is against a mistake in that, which must not hang
        // all cars. The rest follows at the next tick.
        for _ in 0..100 {
            if !self.step(now) {
                break;
            }
        }
        self.settle(self.time.at(now));
        self.report_if_due(now);
    }

    // Does one thing that is due. Says whether there was one.
    fn step(&mut self, now: Now) -> bool {
        let simulated = self.time.at(now);
        match &self.phase {
            Phase::Resting { until, .. } if *until <= simulated => {
                self.settle(*until);
                self.begin_journey(now);
            }
            Phase::Stranded { until } if *until <= simulated => self.be_towed(*until),
            Phase::Pausing { until, .. } if *until <= now.elapsed => {
                if let Phase::Pausing { journey, .. } = self.leave_phase() {
                    self.ask(*journey, now);
                }
            }
            Phase::Asking(asking) if asking.pending.wake() <= now.elapsed => self.work_on_asking(now),
            Phase::Cancelling { release, .. } if release.pending.wake() <= now.elapsed => {
                self.work_on_cancelling(now);
            }
            Phase::Ready { changes_mind: Some(at), departs, .. } if *at < *departs && *at <= simulated => {
                if let Phase::Ready { booked, .. } = self.leave_phase() {
                    self.cancel(*booked, After::Rest, now);
                }
            }
            Phase::Ready { departs, .. } if *departs <= simulated => {
                let departs = *departs;
                if let Phase::Ready { booked, .. } = self.leave_phase() {
                    self.depart(booked, departs, now);
                }
            }
            Phase::Driving { drive, .. } if drive.next_event().0 <= simulated => self.drive_on(now),
            Phase::Queueing { booked, stop, .. } if booked.plan.stops[*stop].window.start() <= simulated => {
                if let Phase::Queueing { booked, stop, since } = self.leave_phase() {
                    let start = booked.plan.stops[stop].window.start().max(since);
                    self.plug_in(booked, stop, start, start.since(since));
                }
            }
            Phase::Charging { charge, .. } if charge.ends <= simulated => self.unplug(now),
            _ => return false,
        }
        self.status.hurry();
        true
    }

    // The phase, to be followed by another.
    fn leave_phase(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Finished)
    }

    // A trip is over, one way or another.
    fn finish_trip(&mut self) -> bool {
        self.trips_made += 1;
        let is_last = self.settings.trips.is_some_and(|trips| self.trips_made >= trips);
        if is_last {
            self.tell(Event::Finished { car: self.id.clone() });
            self.phase = Phase::Finished;
        }
        is_last
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push(Output::Tell(event));
    }
}

// One of the cars that can charge somewhere; a network has one.
fn draw_model(network: &Network, chance: &mut fastrand::Rng) -> Model {
    let drawn = chance.choice(network.cars()).and_then(|car| Model::new(car));
    #[expect(clippy::expect_used, reason = "a network has cars, all of which make a model")]
    drawn.expect("a network has cars, all of which make a model")
}
