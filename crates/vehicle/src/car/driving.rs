//! On the road: legs, queues, charging, and what goes wrong there.

use std::sync::Arc;
use std::time::Duration;

use recarga_planning::{ChargeTable, Position};
use recarga_reservation::{Now, Timestamp};

use super::booking::Booked;
use super::{After, Car, Phase};
use crate::events::Event;
use crate::geo::towards;
use crate::model::DrivingStyle;
use crate::plan::{SETUP, charging_time};

/// Power of a socket at home, in kW.
const HOME_KW: f64 = 7.4;

/// How long it takes until a car with an empty battery stands in a city and is charged.
const TOW: Duration = Duration::from_secs(4 * 3600);

// A leg on its way. Everything is computed from its start, so that nothing adds up to an error.
#[derive(Clone, Debug)]
pub(super) struct Drive {
    leg: usize,
    started: Timestamp,
    from: Position,
    to: Position,
    km: f64,
    style: DrivingStyle,
    kwh_per_km: f64,
    start_kwh: f64,
    start_odometer_km: f64,
    jam: Option<Jam>,
}

#[derive(Clone, Copy, Debug)]
struct Jam {
    after_km: f64,
    lasts: Duration,
    is_known: bool,
}

// What happens next on a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Jam,
    Empty,
    End,
}

// Energy that flows into the battery.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    // When the energy begins to flow.
    begins: Timestamp,
    pub(super) ends: Timestamp,
    from_kwh: f64,
    table: Arc<ChargeTable>,
}

impl Drive {
    // The next thing to happen, and when.
    pub(super) fn next_event(&self) -> (Timestamp, Ahead) {
        let empty_km = self.start_kwh / self.kwh_per_km;
        let jam = self.jam.filter(|jam| !jam.is_known).map(|jam| (jam.after_km, Ahead::Jam));
        let empty = (empty_km < self.km).then_some((empty_km, Ahead::Empty));
        let (km, ahead) = [jam, empty]
            .into_iter()
            .flatten()
            .fold((self.km, Ahead::End), |first, other| if other.0 < first.0 { other } else { first });
        (self.time_at(km), ahead)
    }

    /// Whether the car stands in a traffic jam.
    pub(super) fn stands_at(&self, at: Timestamp) -> bool {
        self.jam.is_some_and(|jam| {
            let begins = self.started + self.style.driving_time(jam.after_km);
            begins <= at && at < begins + jam.lasts
        })
    }

    fn time_at(&self, km: f64) -> Timestamp {
        let jam = self.jam.filter(|jam| jam.after_km < km).map_or(Duration::ZERO, |jam| jam.lasts);
        self.started + self.style.driving_time(km) + jam
    }

    fn km_at(&self, at: Timestamp) -> f64 {
        let mut driven = at.since(self.started);
        if let Some(jam) = self.jam {
            let before = self.style.driving_time(jam.after_km);
            driven = driven.saturating_sub(jam.lasts).max(driven.min(before));
        }
        (driven.as_secs_f64() / 3600.0 * self.style.speed_kmh()).min(self.km)
    }

    fn kwh_at(&self, km: f64) -> f64 {
        (self.start_kwh - km * self.kwh_per_km).max(0.0)
    }
}

impl Charge {
    fn new(table: Arc<ChargeTable>, from_kwh: f64, to_kwh: f64, begins: Timestamp) -> Self {
        let ends = begins + charging_time(&table, from_kwh, to_kwh);
        Self { begins, ends, from_kwh, table }
    }

    fn kwh_at(&self, at: Timestamp) -> f64 {
        let lasts = at.min(self.ends).since(self.begins);
        self.table.after(self.from_kwh, lasts.as_secs_f64() / 60.0)
    }
}

impl Car {
    // Brings place and battery up to date.
    pub(super) fn settle(&mut self, at: Timestamp) {
        match &self.phase {
            Phase::Driving { drive, .. } => {
                let km = drive.km_at(at);
                let fraction = if drive.km > 0.0 { km / drive.km } else { 1.0 };
                self.body.position = towards(drive.from, drive.to, fraction);
                self.body.charge_kwh = drive.kwh_at(km);
                self.body.odometer_km = drive.start_odometer_km + km;
            }
            Phase::Charging { charge, .. } | Phase::Resting { charge: Some(charge), .. } => {
                self.body.charge_kwh = charge.kwh_at(at);
            }
            _ => {}
        }
    }

    pub(super) fn depart(&mut self, mut booked: Box<Booked>, at: Timestamp, now: Now) {
        booked.odometer_km = self.body.odometer_km;
        self.tell(Event::Departed { car: self.id.clone(), trip: booked.trip.clone(), at });
        self.start_leg(booked, 0, at, now);
    }

    // Drives to the stop with the number of the leg, or after the last stop to the destination.
    fn start_leg(&mut self, booked: Box<Booked>, leg: usize, at: Timestamp, now: Now) {
        let km = booked.plan.leg_km(leg);
        let style = booked.plan.style;
        let wind = 1.0 + self.settings.consumption_spread * (2.0 * self.chance.f64() - 1.0);
        let has_jam = self.chance.f64() < self.settings.jam_probability;
        let after_km = km * (0.1 + 0.8 * self.chance.f64());
        let lasts = self.settings.jam_max.mul_f64(self.chance.f64());
        let drive = Drive {
            leg,
            started: at,
            from: self.body.position,
            to: self.leg_end(&booked, leg),
            km,
            style,
            kwh_per_km: self.model.kwh_per_km(style) * wind,
            start_kwh: self.body.charge_kwh,
            start_odometer_km: self.body.odometer_km,
            jam: has_jam.then_some(Jam { after_km, lasts, is_known: false }),
        };
        // The driver knows the consumption of the car, not the weather ahead.
        let arrives = at + style.driving_time(km);
        let arrive_kwh = self.body.charge_kwh - km * self.model.kwh_per_km(style);
        if self.is_too_late(&booked, leg, arrives, arrive_kwh) {
            return self.rebook(*booked, leg, now);
        }
        self.body.place = None;
        self.phase = Phase::Driving { booked, drive };
    }

    fn is_too_late(&self, booked: &Booked, stop: usize, arrives: Timestamp, arrive_kwh: f64) -> bool {
        let stop = booked.plan.stops.get(stop);
        stop.is_some_and(|stop| !stop.is_worth_it(arrives, arrive_kwh))
    }

    // Whatever was next on the leg has come.
    pub(super) fn drive_on(&mut self, now: Now) {
        let Phase::Driving { booked, mut drive } = self.leave_phase() else { return };
        let (at, ahead) = drive.next_event();
        match ahead {
            Ahead::Jam => {
                drive.jam = drive.jam.map(|jam| Jam { is_known: true, ..jam });
                let (leg, arrives, arrive_kwh) = (drive.leg, drive.time_at(drive.km), drive.kwh_at(drive.km));
                let is_too_late = self.is_too_late(&booked, leg, arrives, arrive_kwh);
                self.phase = Phase::Driving { booked, drive };
                self.settle(at);
                if is_too_late && let Phase::Driving { booked, .. } = self.leave_phase() {
                    self.rebook(*booked, leg, now);
                }
            }
            Ahead::Empty => {
                self.phase = Phase::Driving { booked, drive };
                self.settle(at);
                if let Phase::Driving { booked, .. } = self.leave_phase() {
                    self.body.charge_kwh = 0.0;
                    self.cancel(*booked, After::Strand, now);
                }
            }
            Ahead::End => {
                let leg = drive.leg;
                self.phase = Phase::Driving { booked, drive };
                self.settle(at);
                if let Phase::Driving { booked, .. } = self.leave_phase() {
                    self.body.position = self.leg_end(&booked, leg);
                    self.end_leg(booked, leg, at, now);
                }
            }
        }
    }

    fn end_leg(&mut self, booked: Box<Booked>, leg: usize, at: Timestamp, now: Now) {
        if leg == booked.plan.stops.len() {
            return self.arrive(&booked, at);
        }
        if self.is_too_late(&booked, leg, at, self.body.charge_kwh) {
            return self.rebook(*booked, leg, now);
        }
        let start = booked.plan.stops[leg].window.start();
        if start <= at {
            self.plug_in(booked, leg, at, Duration::ZERO);
        } else {
            self.phase = Phase::Queueing { booked, stop: leg, since: at };
        }
    }

    pub(super) fn plug_in(&mut self, booked: Box<Booked>, stop: usize, at: Timestamp, waited: Duration) {
        let planned = &booked.plan.stops[stop];
        let from_kwh = self.body.charge_kwh;
        let mut charge = Charge::new(Arc::clone(&planned.table), from_kwh, planned.leave_kwh, at + SETUP);
        // The next driver has the EVSE from then on.
        charge.ends = charge.ends.min(planned.window.end());
        self.phase = Phase::Charging { booked, stop, charge, waited };
    }

    pub(super) fn unplug(&mut self, now: Now) {
        let Phase::Charging { charge, .. } = &self.phase else { return };
        let (ends, from_kwh) = (charge.ends, charge.from_kwh);
        self.settle(ends);
        let Phase::Charging { booked, stop, waited, .. } = self.leave_phase() else { return };
        self.tell(Event::Charged {
            car: self.id.clone(),
            trip: booked.trip.clone(),
            stop,
            kwh: self.body.charge_kwh - from_kwh,
            waited,
        });
        let planned = &booked.plan.stops[stop];
        if self.body.charge_kwh < planned.least_kwh - booked.plan.reserve_kwh / 2.0 {
            self.rebook(*booked, stop, now);
        } else {
            self.start_leg(booked, stop + 1, ends, now);
        }
    }

    fn arrive(&mut self, booked: &Booked, at: Timestamp) {
        self.body.place = Some(booked.plan.destination);
        self.tell(Event::Arrived {
            car: self.id.clone(),
            trip: booked.trip.clone(),
            at,
            km: self.body.odometer_km - booked.odometer_km,
            battery_pct: self.body.charge_kwh / self.model.usable_kwh() * 100.0,
        });
        if !self.finish_trip() {
            self.rest_at(at, 0.0, true);
        }
    }

    // The window of this stop is lost: gives the whole trip back and books what is left of it from here.
    fn rebook(&mut self, booked: Booked, stop: usize, now: Now) {
        self.tell(Event::Late { car: self.id.clone(), trip: booked.trip.clone(), stop });
        let rest = booked.rest();
        self.cancel(booked, After::Ask(Box::new(rest)), now);
    }

    pub(super) fn rest(&mut self, now: Now, has_arrived: bool) {
        self.rest_at(self.time.at(now), 0.0, has_arrived);
    }

    // In a city there is a socket, on the road there is none. Charges to this share of the usable energy at least.
    pub(super) fn rest_at(&mut self, at: Timestamp, charge_min: f64, has_arrived: bool) {
        let until = at + self.settings.rest.mul_f64(0.5 + self.chance.f64());
        let wanted_kwh = (0.65 + 0.30 * self.chance.f64()).max(charge_min) * self.model.usable_kwh();
        let charge = self.body.place.filter(|_| self.body.charge_kwh < wanted_kwh).map(|_| {
            let table = self.model.battery.charge_table(HOME_KW.min(self.model.car.ac_kw));
            Charge::new(Arc::new(table), self.body.charge_kwh, wanted_kwh, at)
        });
        let until = charge.as_ref().map_or(until, |charge| until.max(charge.ends));
        self.phase = Phase::Resting { until, charge, has_arrived };
    }

    // There is no way on from here: the driver calls for help.
    pub(super) fn strand(&mut self, now: Now) {
        let Position { latitude, longitude } = self.body.position;
        self.tell(Event::OutOfBattery { car: self.id.clone(), latitude, longitude });
        if !self.finish_trip() {
            self.phase = Phase::Stranded { until: self.time.at(now) + TOW };
        }
    }

    // To the nearest city.
    pub(super) fn be_towed(&mut self, at: Timestamp) {
        let place = self.network.nearest(self.body.position);
        self.body.place = Some(place);
        self.body.position = self.network.place(place).position;
        self.body.charge_kwh = self.body.charge_kwh.max(0.8 * self.model.usable_kwh());
        self.rest_at(at, 0.0, false);
    }

    // Where a leg leads: to a stop, or after the last one to the destination.
    fn leg_end(&self, booked: &Booked, leg: usize) -> Position {
        let stop = booked.plan.stops.get(leg);
        stop.map_or_else(|| self.network.place(booked.plan.destination).position, |stop| stop.position)
    }
}
