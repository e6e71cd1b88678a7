//! Drivers: they ask for trips, lose patience, repeat, turn to another company, withdraw, change and cancel.

use std::sync::Arc;

use recarga_reservation::{
    NotChangeable, Reason, RequestId, RequestKey, Stop, TimeWindow, Timestamp, TripId, TripRequest, TripStop,
    VehicleId,
};

use super::canary::Canary;
use super::message::{Answer, Ask};
use super::node::{company_of, evse_id};
use super::queue::{MILLI, SECOND};
use super::settings::{BEGINNING_MILLIS, Settings, WINDOW_MILLIS};
use super::trace::trace;
use super::world::{Event, Request, World};

/// How often a driver asks the same thing while there are faults; the last time comes when all have ended.
const TRIES_MAX: u32 = 6;
/// Between the starts of two windows of one EVSE: neighbours never overlap, and a trip's stops follow each other.
const SLOT_MILLIS: i64 = 45 * 60 * 1000;

/// One car and its driver.
#[derive(Debug)]
pub struct Driver {
    vehicle: VehicleId,
    /// The company that is asked first.
    home: usize,
    next: Wish,
    /// What was asked and is not answered.
    pub pending: Option<Pending>,
    /// The company that booked the trip, and the trip's name.
    trip: Option<(usize, TripId)>,
    /// Counts the questions: only the last one's answer is waited for.
    asked: u32,
    requests: u32,
    last_request: usize,
}

/// What a driver wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Book,
    Afterwards { steps: u32 },
}

/// A question that is not answered.
#[derive(Clone, Debug)]
pub struct Pending {
    pub ask: Ask,
    pub to: usize,
    pub number: u32,
    tries: u32,
}

impl World {
    pub fn plan_drivers(&mut self) {
        for driver in 0..self.settings.trips {
            #[expect(clippy::expect_used, reason = "a letter and a number are an identifier")]
            let vehicle =
                VehicleId::new(&format!("car{driver}")).expect("a letter and a number are an identifier");
            let home = self.random.usize(..self.settings.companies);
            self.drivers.push(Driver {
                vehicle,
                home,
                next: Wish::Book,
                pending: None,
                trip: None,
                asked: 0,
                requests: 0,
                last_request: 0,
            });
            let at = self.random.u64(..self.settings.spread);
            self.queue.push(at, Event::Drive { driver });
        }
    }

    /// A driver does what comes next.
    pub fn drive(&mut self, driver: usize) {
        let Driver { next, home, .. } = self.drivers[driver];
        match next {
            Wish::Book => {
                let request = self.new_request(driver);
                self.drivers[driver].next = Wish::Afterwards { steps: 0 };
                self.ask(driver, Ask::Book { request }, home, 0);
                if Settings::happens(&mut self.random, self.settings.drivers.withdraw) {
                    let at = self.now + self.random.u64(..60 * MILLI);
                    self.queue
                        .push(at, Event::Ask { driver, number: 0, to: home, ask: Ask::Withdraw { request } });
                }
            }
            Wish::Afterwards { steps } if steps < 3 && !self.is_healed => {
                self.drivers[driver].next = Wish::Afterwards { steps: steps + 1 };
                self.go_on(driver);
            }
            Wish::Afterwards { .. } => {}
        }
    }

    /// A driver hears an answer.
    pub fn hear(&mut self, driver: usize, number: u32, answer: Answer) {
        let Some(pending) = self.drivers[driver].pending.clone() else { return };
        if pending.number != number {
            return;
        }
        trace!(self, "        driver {driver} hears {answer:?}");
        self.drivers[driver].pending = None;
        self.counts.answers += 1;
        let Pending { ask, to, tries, .. } = pending;
        match answer {
            Answer::Booked { trip, .. } => {
                self.counts.booked += 1;
                self.drivers[driver].trip = Some((to, trip));
            }
            Answer::Refused(reason) => {
                self.counts.refused += 1;
                return self.take_refusal(driver, ask, to, tries, &reason);
            }
            Answer::NotChangeable(NotChangeable::Busy) if tries < TRIES_MAX && !self.is_healed => {
                return self.ask(driver, ask, to, tries + 1);
            }
            Answer::Cancelled => self.drivers[driver].trip = None,
            Answer::NotChangeable(_) => {}
            Answer::Different => {
                self.model.violate(format!("driver {driver} is told that the same request was another"));
            }
        }
        self.drive_later(driver);
    }

    /// A driver has waited long enough.
    pub fn impatient(&mut self, driver: usize, number: u32) {
        let Some(pending) = self.drivers[driver].pending.clone() else { return };
        let Pending { ask, mut to, tries, .. } = pending;
        if pending.number != number || self.is_healed || tries >= TRIES_MAX {
            return;
        }
        if self.is_planted(Canary::HandlerDropped) {
            self.drop_handler(to, (driver, number));
        }
        let elsewhere = self.settings.drivers.elsewhere;
        if matches!(ask, Ask::Book { .. }) && Settings::happens(&mut self.random, elsewhere) {
            to = self.random.usize(..self.settings.companies);
            self.counts.elsewhere += 1;
        }
        self.ask(driver, ask, to, tries + 1);
    }

    /// Faults have ended: whoever waits for an answer asks once more.
    pub fn ask_at_last(&mut self) {
        for driver in 0..self.drivers.len() {
            if let Some(Pending { ask, to, tries, .. }) = self.drivers[driver].pending.clone() {
                self.ask(driver, ask, to, tries + 1);
            }
        }
    }

    /// The answer travels, and may be lost.
    pub fn carry_answer(&mut self, _from: usize, driver: usize, number: u32, answer: Answer) {
        let lost = !self.is_healed && Settings::happens(&mut self.random, self.settings.messages.loss);
        if !lost {
            let at = self.now + self.travel();
            self.queue.push(at, Event::Hear { driver, number, answer });
        }
    }

    fn ask(&mut self, driver: usize, ask: Ask, to: usize, tries: u32) {
        let one = &mut self.drivers[driver];
        one.asked += 1;
        let number = one.asked;
        one.pending = Some(Pending { ask: ask.clone(), to, number, tries });
        self.counts.asked += 1;
        let patience = self.settings.drivers.patience_max;
        let impatient_at = self.now + self.random.u64(patience / 4..=patience);
        self.queue.push(impatient_at, Event::Impatient { driver, number });
        let (loss, repetition) = (self.settings.messages.loss, self.settings.messages.repetition);
        let mut copies = 1;
        if !self.is_healed {
            copies += u32::from(Settings::happens(&mut self.random, repetition));
            copies -= u32::from(Settings::happens(&mut self.random, loss));
        }
        for copy in 0..copies {
            let at = self.now + self.travel() + u64::from(copy) * self.random.u64(..SECOND);
            self.queue.push(at, Event::Ask { driver, number, to, ask: ask.clone() });
        }
    }

    fn take_refusal(&mut self, driver: usize, ask: Ask, to: usize, tries: u32, reason: &Reason) {
        if tries < TRIES_MAX && !self.is_healed {
            if let Reason::RequestedElsewhere { transaction } = reason {
                self.counts.requested_elsewhere += 1;
                let to = company_of(&transaction.coordinator);
                return self.ask(driver, ask, to, tries + 1);
            }
            if Settings::happens(&mut self.random, self.settings.drivers.ask_again_after_refusal) {
                return self.ask(driver, ask, to, tries + 1);
            }
        }
        self.drive_later(driver);
    }

    fn drive_later(&mut self, driver: usize) {
        let at = self.now + self.random.u64(MILLI..=self.settings.spread.max(2 * MILLI));
        if !self.is_healed {
            self.queue.push(at, Event::Drive { driver });
        }
    }

    fn go_on(&mut self, driver: usize) {
        let habits = self.settings.drivers.clone();
        let Some((to, trip)) = self.drivers[driver].trip.clone() else { return };
        if Settings::happens(&mut self.random, habits.repeat) {
            let request = self.drivers[driver].last_request;
            let changes = self.drivers[driver].requests > 1;
            let ask = if changes { Ask::Change { request, trip } } else { Ask::Book { request } };
            return self.ask(driver, ask, to, 0);
        }
        if Settings::happens(&mut self.random, habits.change) {
            let request = self.new_request(driver);
            return self.ask(driver, Ask::Change { request, trip }, to, 0);
        }
        if Settings::happens(&mut self.random, habits.cancel) {
            self.ask(driver, Ask::Cancel { trip }, to, 0);
        }
    }

    fn new_request(&mut self, driver: usize) -> usize {
        let stops = self.draw_stops();
        let one = &mut self.drivers[driver];
        one.requests += 1;
        one.last_request = self.requests.len();
        #[expect(clippy::expect_used, reason = "a letter and a number are an identifier")]
        let request =
            RequestId::new(&format!("r{}", one.requests)).expect("a letter and a number are an identifier");
        let key = RequestKey { vehicle: one.vehicle.clone(), request };
        #[expect(clippy::expect_used, reason = "stops in different slots do not overlap")]
        let body =
            TripRequest::new(key.clone(), None, stops).expect("stops in different slots do not overlap");
        let is_soft_first = Settings::happens(&mut self.random, self.settings.drivers.soft_first);
        self.requests.push(Request { key, body: Arc::new(body), is_soft_first });
        self.requests.len() - 1
    }

    // One stop in each of some slots, mostly at different companies.
    fn draw_stops(&mut self) -> Vec<TripStop> {
        let Settings { companies, evses, slots, first_window_millis, .. } = self.settings;
        let count = self.random.usize(1..=slots.min(5)).min(self.random.usize(1..=5));
        let mut places: Vec<usize> = (0..slots).collect();
        self.random.shuffle(&mut places);
        places.truncate(count);
        places.sort_unstable();
        let mut company = self.random.usize(..companies);
        let mut stops = Vec::with_capacity(count);
        for slot in places {
            let evse = if self.random.u32(..4) > 0 { 0 } else { self.random.usize(..evses) };
            let offset = if self.random.bool() { 0 } else { self.random.i64(0..10 * 60_000) };
            let slot = i64::try_from(slot).unwrap_or(0);
            let start = BEGINNING_MILLIS + first_window_millis + slot * SLOT_MILLIS + offset;
            let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(start + WINDOW_MILLIS));
            #[expect(clippy::expect_used, reason = "a window is longer than nothing")]
            let window = TimeWindow::new(start, end).expect("a window is longer than nothing");
            let stop = Stop { number: 0, evse: evse_id(evse), window };
            stops.push(TripStop { operator: self.operators[company].clone(), stop });
            company = (company + 1 + self.random.usize(..2) * self.random.usize(..companies)) % companies;
        }
        stops
    }
}
