//! Plans against optima from outside: `recarga plan` on small journeys whose earliest arrivals a mixed-integer program
//! found (`tests/planning/milp/`), each plan replayed by arithmetic from its file alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

// The planner's own oracle, which is to agree with the program.
#[path = "../../planning/tests/plans/oracle.rs"]
mod oracle;

use std::process::Command;

use recarga_planning::{
    ChargeTable, Connector, Evse, Leg, Problem, Settings, Station, Table, Tariff, Vehicle,
};
use recarga_reservation::{Plug, TimeWindow, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

/// 2026-12-01T08:00:00Z; the file counts minutes from here.
const DEPARTURE_MILLIS: i64 = 1_796_112_000_000;
const PLUG: &str = "IEC_62196_T2_COMBO";
const OTHER_PLUG: &str = "CHADEMO";
/// Instants of answers are whole milliseconds, and energy is rounded to a millionth.
const ROUNDING: f64 = 1e-3;
/// Later than the optimum, as a share of the way.
const WORST: f64 = 0.002;
const MEAN: f64 = 0.000_1;
/// The oracle's grid is slow where tests are not optimised.
const ORACLE_EVERY: usize = 3;

#[derive(Deserialize)]
struct Instance {
    vehicle: Car,
    stops_max: usize,
    setup_minutes: f64,
    buffer_minutes: f64,
    curves: Vec<Vec<(f64, f64)>>,
    stations: Vec<Vec<Cable>>,
    legs_km: Vec<Vec<f64>>,
    /// The earliest arrival, in minutes.
    optimum: Option<f64>,
}

#[derive(Deserialize)]
struct Car {
    usable_kwh: f64,
    soc_kwh: f64,
    reserve_kwh: f64,
    consumption_kwh_per_km: f64,
    speed_kmh: f64,
}

#[derive(Deserialize)]
struct Cable {
    fits: bool,
    curve: usize,
    free: Vec<(f64, f64)>,
}

fn instances() -> Vec<Instance> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/planning/milp/instances.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn plans_are_as_early_as_a_mixed_integer_program_says() {
    let (mut planned, mut refused, mut found, mut best, mut worst, mut stops) = (0, 0, 0.0, 0.0, 0.0_f64, 0);
    for (number, one) in instances().iter().enumerate() {
        let answer = plan(&one.problem_file());
        let Some(optimum) = one.optimum else {
            assert_eq!(answer["feasible"], false, "instance {number}: {answer}");
            refused += 1;
            continue;
        };
        assert_eq!(answer["feasible"], true, "instance {number}: {optimum} is possible; {answer}");
        let minutes = minutes(&answer["arrival"]);
        assert!((one.replayed(&answer) - minutes).abs() < ROUNDING, "instance {number}: {answer}");
        assert!(minutes > optimum - ROUNDING, "instance {number}: {minutes} beats {optimum}");
        let late = minutes / optimum - 1.0;
        assert!(late < WORST, "instance {number}: {minutes} where {optimum} are possible: {answer}");
        (planned, found, best) = (planned + 1, found + minutes, best + optimum);
        worst = worst.max(late);
        stops += answer["stops"].as_array().unwrap().len();
    }
    let mean = found / best - 1.0;
    println!(
        "{planned} plans with {stops} stops: {:.4} % later than the optimum in the mean, {:.2} % at worst; {refused} have none",
        mean * 100.0,
        worst * 100.0
    );
    assert!(planned > 200 && refused > 100 && stops > 300, "{planned} {refused} {stops}: too easy");
    assert!(mean < MEAN, "{mean}");
}

#[test]
fn the_oracle_agrees_with_the_program() {
    let (mut between, mut widest) = (0, 0.0_f64);
    for (number, one) in instances().iter().enumerate().step_by(ORACLE_EVERY) {
        let (least, most) = oracle::earliest(&one.problem(), &one.legs());
        let Some(optimum) = one.optimum else {
            assert_eq!(most, None, "instance {number}");
            continue;
        };
        let possible = || panic!("instance {number}: {optimum} is possible");
        let (least, most) = (least.unwrap_or_else(possible), most.unwrap_or_else(possible));
        assert!(
            least <= optimum + ROUNDING,
            "instance {number}: not before {least}, but {optimum} is possible"
        );
        assert!(
            optimum <= most + ROUNDING,
            "instance {number}: {most} is possible, {optimum} said to be best"
        );
        widest = widest.max((most - least) / optimum);
        between += 1;
    }
    println!(
        "{between} optima lie between the oracle's bounds, which are {:.3} % apart at most",
        widest * 100.0
    );
    assert!(between > 60, "{between}");
}

fn plan(problem: &Value) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), problem.to_string()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_recarga"));
    let output = program.args(["plan", "--json", "--problem"]).arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn at(minutes: f64) -> Timestamp {
    Timestamp::from_millis(DEPARTURE_MILLIS + (minutes * 60_000.0).round() as i64)
}

fn minutes(instant: &Value) -> f64 {
    let instant: jiff::Timestamp = instant.as_str().unwrap().parse().unwrap();
    (instant.as_millisecond() - DEPARTURE_MILLIS) as f64 / 60_000.0
}

impl Instance {
    fn problem_file(&self) -> Value {
        let instant =
            |minutes: f64| jiff::Timestamp::from_millisecond(at(minutes).as_millis()).unwrap().to_string();
        let connector = |(number, cable): (usize, &Cable)| {
            let free: Vec<_> = cable.free.iter().map(|(from, to)| [instant(*from), instant(*to)]).collect();
            let plug = if cable.fits { PLUG } else { OTHER_PLUG };
            json!({
                "id": number.to_string(), "plug": plug, "kw": 50, "free": free,
                "charge_minutes": self.curves[cable.curve]
            })
        };
        let station = |(number, cables): (usize, &Vec<Cable>)| {
            let connectors: Vec<_> = cables.iter().enumerate().map(connector).collect();
            json!({"id": number.to_string(), "operator": "any", "lat": 0, "lon": 0, "connectors": connectors})
        };
        let car = &self.vehicle;
        json!({
            "departure": instant(0.0), "origin": {"lat": 0, "lon": 0}, "destination": {"lat": 0, "lon": 0},
            "vehicle": {
                "usable_kwh": car.usable_kwh, "soc_kwh": car.soc_kwh, "reserve_kwh": car.reserve_kwh,
                "consumption_kwh_per_km": car.consumption_kwh_per_km, "speed_kmh": car.speed_kmh,
                "plugs": [PLUG], "charge_curve": [[0, 50]]
            },
            "stops_max": self.stops_max, "setup_minutes": self.setup_minutes,
            "buffer_minutes": self.buffer_minutes,
            "stations": self.stations.iter().enumerate().map(station).collect::<Vec<_>>(),
            "legs_km": self.legs_km
        })
    }

    /// When the plan arrives, by arithmetic from the file; every promise of the file is checked.
    fn replayed(&self, answer: &Value) -> f64 {
        let (car, stops) = (&self.vehicle, answer["stops"].as_array().unwrap());
        assert!(stops.len() <= self.stops_max, "{answer}");
        let (mut place, mut now, mut kwh) = (0, 0.0, car.soc_kwh);
        let mut drive = |to: usize, now: &mut f64, kwh: &mut f64| {
            let km = self.legs_km[place][to];
            *now += km * 60.0 / car.speed_kmh;
            *kwh -= km * car.consumption_kwh_per_km;
            place = to;
            assert!(*kwh > car.reserve_kwh - ROUNDING, "{kwh} kWh at {to}: {answer}");
        };
        let number = |value: &Value| value.as_str().unwrap().parse::<usize>().unwrap();
        for stop in stops {
            let station = number(&stop["station"]);
            drive(station + 1, &mut now, &mut kwh);
            let cable = &self.stations[station][number(&stop["connector"])];
            let (start, leave) = (minutes(&stop["start"]), stop["leave_kwh"].as_f64().unwrap());
            assert!(cable.fits && leave < car.usable_kwh + ROUNDING && start > now - ROUNDING, "{answer}");
            let charging = self.minutes_from_empty(cable, leave) - self.minutes_from_empty(cable, kwh);
            let end = now.max(start) + self.setup_minutes + charging;
            let is_free = |(opens, closes): &(f64, f64)| {
                *opens < start + ROUNDING && end + self.buffer_minutes < closes + ROUNDING
            };
            assert!(cable.free.iter().any(is_free), "{start} to {end}: {answer}");
            (now, kwh) = (end, leave);
        }
        drive(self.legs_km.len() - 1, &mut now, &mut kwh);
        now
    }

    fn minutes_from_empty(&self, cable: &Cable, kwh: f64) -> f64 {
        let corners = &self.curves[cable.curve];
        let two = corners.windows(2).find(|two| kwh <= two[1].0 + ROUNDING).unwrap();
        let ((a, from), (b, to)) = (two[0], two[1]);
        from + (to - from) * (kwh - a) / (b - a)
    }

    fn problem(&self) -> Problem {
        let (car, plugs) = (&self.vehicle, vec![Plug::CCS2]);
        let evse = |cable: &Cable| Evse {
            connectors: vec![Connector {
                plug: if cable.fits { Plug::CCS2 } else { Plug::CHADEMO },
                kw: 50.0,
                tariff: Tariff::default(),
                measured: Some(ChargeTable::from_points(&self.curves[cable.curve], car.usable_kwh).unwrap()),
            }],
            free: cable.free.iter().map(|(from, to)| TimeWindow::new(at(*from), at(*to)).unwrap()).collect(),
        };
        let station = |cables: &Vec<Cable>| Station {
            utc_offset_minutes: 0,
            penalty_minutes: 0.0,
            evses: cables.iter().map(evse).collect(),
        };
        Problem {
            vehicle: Vehicle::new(car.usable_kwh, car.reserve_kwh, plugs, vec![(0.0, 50.0)]).unwrap(),
            departure: at(0.0),
            charge_kwh: car.soc_kwh,
            arrive_kwh: car.reserve_kwh,
            vias: 0,
            stations: self.stations.iter().map(station).collect(),
            settings: Settings {
                stops_max: self.stops_max,
                setup_minutes: self.setup_minutes,
                buffer_minutes: self.buffer_minutes,
                ..Settings::default()
            },
        }
    }

    // The planner has the destination before the stations.
    fn legs(&self) -> Table {
        let (points, car) = (self.legs_km.len(), &self.vehicle);
        let row = |point: usize| match point {
            0 => 0,
            1 => points - 1,
            station => station - 1,
        };
        let leg = |from: usize, to: usize| {
            let km = self.legs_km[row(from)][row(to)];
            Leg { km, minutes: km * 60.0 / car.speed_kmh, kwh: km * car.consumption_kwh_per_km }
        };
        let legs = (0..points).flat_map(|from| (0..points).map(move |to| (from, to)));
        Table::new(points, legs.map(|(from, to)| Some(leg(from, to))).collect()).unwrap()
    }
}
