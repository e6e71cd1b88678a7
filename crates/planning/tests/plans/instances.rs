//! Random problems that are small enough to be solved otherwise, too.

use fastrand::Rng;
use recarga_planning::{
    Band, Connector, Evse, Position, Problem, Settings, Station, StraightLine, Tariff, Vehicle,
};
use recarga_reservation::{Plug, TimeWindow, Timestamp};

/// A problem and its drives.
pub struct Instance {
    pub problem: Problem,
    pub legs: StraightLine,
}

/// Eleven in the morning, a day before Christmas.
pub const DEPARTURE: Timestamp = Timestamp::from_millis(1_798_110_000_000);

/// So many minutes after the departure.
pub fn after(minutes: f64) -> Timestamp {
    Timestamp::from_millis(DEPARTURE.as_millis() + (minutes * 60_000.0) as i64)
}

/// A journey of up to about 900 km with a few stations on the way, some of them taken for hours.
pub fn random(seed: u64) -> Instance {
    let rng = &mut Rng::with_seed(seed);
    let vehicle = vehicle(rng);
    let charge_kwh = vehicle.usable_kwh() * (0.3 + 0.7 * rng.f64());
    let degrees = 1.0 + 6.0 * rng.f64();
    let count = rng.usize(3..10);
    let mut points = vec![place(rng, 0.0), place(rng, degrees)];
    points.extend((0..count).map(|_| {
        let along = rng.f64() * degrees;
        place(rng, along)
    }));
    let stations = (0..count).map(|_| station(rng)).collect();
    let settings = Settings { stops_max: rng.usize(1..6), ..Settings::default() };
    let legs = StraightLine::new(points.iter().copied(), 60.0 + 50.0 * rng.f64(), 0.13 + 0.1 * rng.f64());
    let problem = Problem {
        arrive_kwh: vehicle.reserve_kwh(),
        vehicle,
        departure: DEPARTURE,
        charge_kwh,
        vias: 0,
        stations,
        settings,
    };
    Instance { problem, legs: legs.expect("good numbers") }
}

/// The same with money, preferences and prices that change in the day.
pub fn with_money(seed: u64) -> Instance {
    let mut instance = random(seed);
    let rng = &mut Rng::with_seed(seed ^ 0x5eed);
    let settings = &mut instance.problem.settings;
    settings.objective.price_weight = [0.3, 3.0, 60.0][rng.usize(..3)];
    settings.objective.stop_minutes = [0.0, 20.0][rng.usize(..2)];
    settings.buffer_minutes = 5.0;
    for station in &mut instance.problem.stations {
        station.penalty_minutes = if rng.bool() { 0.0 } else { 15.0 };
        station.utc_offset_minutes = -180;
        for connector in station.evses.iter_mut().flat_map(|evse| &mut evse.connectors) {
            connector.tariff = Tariff {
                per_kwh: 1.5 + rng.f64(),
                activation: 3.0 * rng.f64(),
                bands: if rng.bool() {
                    vec![Band { from_minute: 1080, to_minute: 1260, per_kwh: 3.0 }]
                } else {
                    vec![]
                },
            };
        }
    }
    instance
}

fn place(rng: &mut Rng, along: f64) -> Position {
    Position { latitude: -8.0 - along, longitude: -38.0 + rng.f64() }
}

fn vehicle(rng: &mut Rng) -> Vehicle {
    let usable = 35.0 + 45.0 * rng.f64();
    let peak = 50.0 + 100.0 * rng.f64();
    let curve = match rng.usize(..3) {
        0 => vec![(0.0, peak)],
        1 => vec![(0.0, peak), (usable * 0.6, peak), (usable * 0.8, peak / 2.0), (usable, peak / 6.0)],
        _ => vec![(0.0, peak / 2.0), (usable * 0.1, peak), (usable * 0.5, peak * 0.7), (usable, peak / 8.0)],
    };
    let plugs = vec![Plug::CCS2, Plug::TYPE2];
    Vehicle::new(usable, usable * 0.1, plugs, curve).expect("good numbers")
}

fn station(rng: &mut Rng) -> Station {
    let evse = |rng: &mut Rng| {
        let kw = [22.0, 50.0, 60.0, 120.0][rng.usize(..4)];
        let plug = [Plug::CCS2, Plug::CCS2, Plug::TYPE2, Plug::CHADEMO][rng.usize(..4)];
        let connector = Connector { plug, kw, tariff: Tariff::default(), measured: None };
        Evse { connectors: vec![connector], free: windows(rng) }
    };
    let evses = (0..rng.usize(1..4)).map(|_| evse(rng)).collect();
    Station { utc_offset_minutes: 0, penalty_minutes: 0.0, evses }
}

fn windows(rng: &mut Rng) -> Vec<TimeWindow> {
    if rng.usize(..3) == 0 {
        return vec![TimeWindow::new(after(-60.0), after(5000.0)).expect("a window")];
    }
    let mut free = Vec::new();
    let mut at = rng.f64() * 200.0 - 100.0;
    while at < 2000.0 {
        let end = at + 10.0 + rng.f64() * 180.0;
        free.push(TimeWindow::new(after(at), after(end)).expect("a window"));
        at = end + 5.0 + rng.f64() * 240.0;
    }
    free
}
