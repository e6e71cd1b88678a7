//! A plan as it is driven.

use recarga_reservation::{TimeWindow, Timestamp};

use crate::alternatives;
use crate::battery::ChargeTable;
use crate::legs::{Leg, Legs};
use crate::outlook::Outlook;
use crate::problem::{Connector, Problem, Station};
use crate::search::{Choice, local_minute};

/// A plan: all stops with their times, charges and prices.
#[derive(Clone, Debug, PartialEq)]
pub struct Itinerary {
    /// When the car leaves.
    pub departure: Timestamp,
    /// When it is at the destination.
    pub arrival: Timestamp,
    /// In order.
    pub stops: Vec<Stop>,
    /// On the road.
    pub km: f64,
    /// At the wheel.
    pub driving_minutes: f64,
    /// At the cable.
    pub charging_minutes: f64,
    /// Before chargers that were not free yet, or not yet cheap.
    pub waiting_minutes: f64,
    /// All sessions, in BRL.
    pub price: f64,
    /// What is left at the destination, in kWh.
    pub arrive_kwh: f64,
}

/// A stop of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Index of the station.
    pub station: usize,
    /// Index of the EVSE there.
    pub evse: usize,
    /// Index of its connector.
    pub connector: usize,
    /// Via points behind.
    pub vias: usize,
    /// Since the stop before, in road km.
    pub km: f64,
    /// When the car comes.
    pub arrive: Timestamp,
    /// When it has the charger.
    pub start: Timestamp,
    /// When it leaves.
    pub end: Timestamp,
    /// What is to be reserved: from `start` to `end` and the buffer.
    pub window: TimeWindow,
    /// On arriving, in kWh.
    pub arrive_kwh: f64,
    /// On leaving, in kWh.
    pub leave_kwh: f64,
    /// Of the session, in BRL.
    pub price: f64,
    /// Stations that could take its place.
    pub backups: Vec<Backup>,
}

/// A station that could take the place of a stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backup {
    /// Index of the station.
    pub station: usize,
    /// Index of the EVSE there.
    pub evse: usize,
    /// How much longer the drive is, in minutes.
    pub detour_minutes: f64,
}

impl Itinerary {
    /// When it is at the destination, in minutes after the departure.
    pub fn minutes(&self) -> f64 {
        self.arrival.as_millis().saturating_sub(self.departure.as_millis()) as f64 / 60_000.0
    }

    // A car is at one place at a time: where the next stop begins the buffer of the one before has ended.
    fn part_windows(&mut self) {
        for at in 1..self.stops.len() {
            let next = self.stops[at].window.start();
            let window = self.stops[at - 1].window;
            if let Ok(shorter) = TimeWindow::new(window.start(), window.end().min(next)) {
                self.stops[at - 1].window = shorter;
            }
        }
    }

    // The search charges to whole levels and rounds drives up; as it is driven nothing takes longer.
    pub(crate) fn follow(
        outlook: &Outlook,
        problem: &Problem,
        legs: &dyn Legs,
        path: &[Choice],
    ) -> Itinerary {
        let mut targets: Vec<f64> = path.iter().map(|choice| choice.to_kwh).collect();
        let drive = Drive::along(outlook, problem, legs, path, &targets);
        // What is left over at the end need not be charged at the last stop.
        if let Some(last) = targets.last_mut() {
            let arrive_kwh = drive.trip.stops.last().map_or(0.0, |stop| stop.arrive_kwh);
            *last = (*last - drive.spare_kwh.max(0.0)).max(arrive_kwh);
        }
        let mut trip = Drive::along(outlook, problem, legs, path, &targets).trip;
        trip.part_windows();
        alternatives::add_backups(outlook, problem, legs, &mut trip);
        trip
    }
}

// On the way: where, when, with what.
struct Drive<'a> {
    problem: &'a Problem,
    legs: &'a dyn Legs,
    point: usize,
    passed: usize,
    minutes: f64,
    kwh: f64,
    since_stop_km: f64,
    // What could be missing since the last stop without falling short anywhere.
    spare_kwh: f64,
    trip: Itinerary,
}

impl<'a> Drive<'a> {
    fn along(
        outlook: &Outlook,
        problem: &'a Problem,
        legs: &'a dyn Legs,
        path: &[Choice],
        targets: &[f64],
    ) -> Self {
        let mut drive = Drive {
            problem,
            legs,
            point: 0,
            passed: 0,
            minutes: 0.0,
            kwh: problem.charge_kwh,
            since_stop_km: 0.0,
            spare_kwh: f64::INFINITY,
            trip: Itinerary {
                departure: problem.departure,
                arrival: problem.departure,
                stops: Vec::with_capacity(path.len()),
                km: 0.0,
                driving_minutes: 0.0,
                charging_minutes: 0.0,
                waiting_minutes: 0.0,
                price: 0.0,
                arrive_kwh: 0.0,
            },
        };
        for (choice, target) in path.iter().zip(targets) {
            drive.pass(choice.vias);
            drive.go(problem.waypoints() + choice.station, problem.vehicle.reserve_kwh());
            let table = &outlook.tables[choice.station][choice.evse][choice.connector];
            if let Some(table) = table {
                drive.stop(choice, *target, table);
            }
        }
        drive.pass(problem.vias);
        drive.go(problem.waypoints() - 1, problem.arrive_kwh.max(problem.vehicle.reserve_kwh()));
        drive.trip.arrival = drive.at(drive.minutes);
        drive.trip.arrive_kwh = drive.kwh;
        drive
    }

    fn pass(&mut self, vias: usize) {
        while self.passed < vias {
            self.passed += 1;
            self.go(self.passed, self.problem.vehicle.reserve_kwh());
        }
    }

    fn go(&mut self, to: usize, least_kwh: f64) {
        let none = Leg { km: 0.0, minutes: 0.0, kwh: 0.0 };
        let Leg { km, minutes, kwh } = self.legs.leg(self.point, to).unwrap_or(none);
        self.point = to;
        self.minutes += minutes;
        self.kwh -= kwh;
        self.since_stop_km += km;
        self.spare_kwh = self.spare_kwh.min(self.kwh - least_kwh);
        self.trip.km += km;
        self.trip.driving_minutes += minutes;
    }

    fn stop(&mut self, choice: &Choice, target: f64, table: &ChargeTable) {
        let problem = self.problem;
        let station = &problem.stations[choice.station];
        let cable = &station.evses[choice.evse].connectors[choice.connector];
        let arrive = self.minutes;
        let start = arrive.max(self.opens(choice));
        let to_kwh = target.max(self.kwh);
        let charging = start + problem.settings.setup_minutes;
        let price = price(problem, station, cable, table, self.kwh, to_kwh, charging);
        let end = charging + table.between(self.kwh, to_kwh);
        let window_end = self.at(end + problem.settings.buffer_minutes);
        let begin = self.at(start).min(window_end - std::time::Duration::from_millis(1));
        #[expect(clippy::expect_used, reason = "it begins a millisecond before its end at least")]
        let window = TimeWindow::new(begin, window_end).expect("it begins before its end");
        self.trip.stops.push(Stop {
            station: choice.station,
            evse: choice.evse,
            connector: choice.connector,
            vias: choice.vias,
            km: self.since_stop_km,
            arrive: self.at(arrive),
            start: self.at(start),
            end: self.at(end),
            window,
            arrive_kwh: self.kwh,
            leave_kwh: to_kwh,
            price,
            backups: Vec::new(),
        });
        self.trip.charging_minutes += end - charging;
        self.trip.waiting_minutes += start - arrive;
        self.trip.price += price;
        self.kwh = to_kwh;
        self.minutes = end;
        self.since_stop_km = 0.0;
        self.spare_kwh = f64::INFINITY;
    }

    // When the stay may begin. Where money counts it was put off on purpose.
    fn opens(&self, choice: &Choice) -> f64 {
        if self.problem.settings.objective.price_weight > 0.0 {
            return choice.start;
        }
        let free = &self.problem.stations[choice.station].evses[choice.evse].free;
        let windows = free.iter().map(|window| (self.problem.minutes(window.start()), *window));
        let before = windows.take_while(|(opens, _)| *opens <= choice.start + 1e-9).last();
        before.map_or(choice.start, |(opens, _)| opens)
    }

    fn at(&self, minutes: f64) -> Timestamp {
        let millis = (minutes * 60_000.0).ceil().clamp(0.0, 1e15) as i64;
        Timestamp::from_millis(self.problem.departure.as_millis().saturating_add(millis))
    }
}

// The price of a kWh is that of the moment at which it flows, slice by slice of a hundredth of the battery.
fn price(
    problem: &Problem,
    station: &Station,
    cable: &Connector,
    table: &ChargeTable,
    from_kwh: f64,
    to_kwh: f64,
    charging: f64,
) -> f64 {
    let mut price = cable.tariff.activation;
    if cable.tariff.bands.is_empty() {
        return price + cable.tariff.per_kwh * (to_kwh - from_kwh);
    }
    let mut at = from_kwh;
    while at < to_kwh - 1e-9 {
        let next = (at + problem.vehicle.step_kwh()).min(to_kwh);
        let minute = local_minute(problem, station, charging + table.between(from_kwh, at));
        price += cable.tariff.per_kwh_at(minute) * (next - at);
        at = next;
    }
    price
}
