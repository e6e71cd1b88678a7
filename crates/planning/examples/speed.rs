//! How long planning takes, against stations and distance.
//!
//!     cargo run --release -p recarga-planning --example speed             # a table
//!     cargo run --release -p recarga-planning --example speed -- --grid   # JSON, for bench/plan_plot.py
//!
//! Random networks from a seed: stations along a corridor with a quarter of the time taken, or over a whole country.
//! *Cold* is everything; *again* is what a refused hold costs: the search alone, with a window less.

use std::time::{Duration, Instant};

use fastrand::Rng;
use recarga_planning::{
    Connector, Corridor, Evse, Invalid, Itinerary, Objective, Obstacle, Outlook, Position, Problem, Settings,
    Spot, SpotIndex, Station, StraightLine, Tariff, Vehicle,
};
use recarga_reservation::{Plug, TimeWindow, Timestamp};

const DEPARTURE: i64 = 1_798_110_000_000;
const ROUNDS: u64 = 9;

fn main() -> Result<(), Invalid> {
    if std::env::args().any(|argument| argument == "--grid") {
        return grid();
    }
    println!("| | km | stations | cold p50 ms | cold max ms | again p50 ms | again max ms | stops |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (km, stations) in
        [(500.0, 100), (1000.0, 50), (1000.0, 200), (2000.0, 500), (2000.0, 2000), (3000.0, 500)]
    {
        row("fastest", km, stations, Settings::default())?;
    }
    let cheap = Settings { objective: Objective::CHEAPEST, ..Settings::default() };
    row("cheapest", 1000.0, 200, cheap)?;
    let few = Settings { objective: Objective::FEWEST_STOPS, ..Settings::default() };
    row("fewest stops", 1000.0, 200, few)?;
    row(
        "at most 10 stops, where 10 are needed",
        3000.0,
        500,
        Settings { stops_max: 10, ..Settings::default() },
    )?;
    row(
        "at most 9 stops, where 10 are needed",
        3000.0,
        500,
        Settings { stops_max: 9, ..Settings::default() },
    )?;
    let busy = Settings { buffer_minutes: 10.0, ..Settings::default() };
    for stations in [50, 200, 500] {
        row_of("a third of every hour taken everywhere", 1000.0, stations, busy.clone(), busy_station)?;
    }
    country()
}

// Every distance with every number of stations.
fn grid() -> Result<(), Invalid> {
    let mut rows = Vec::new();
    for km in [500.0, 1000.0, 2000.0, 3000.0] {
        for stations in [50, 100, 200, 500, 1000, 2000] {
            let (mut cold, mut again, _) = measure(km, stations, &Settings::default(), station)?;
            let (cold, again) = (median_ms(&mut cold), median_ms(&mut again));
            rows.push(format!(
                "{{\"km\": {km}, \"stations\": {stations}, \"cold_ms\": {cold:.3}, \"again_ms\": {again:.3}}}"
            ));
            eprintln!("{km} km, {stations} stations: {cold:.1} ms, again {again:.2} ms");
        }
    }
    println!("[{}]", rows.join(",\n"));
    Ok(())
}

fn row(name: &str, km: f64, stations: usize, settings: Settings) -> Result<(), Invalid> {
    row_of(name, km, stations, settings, station)
}

fn row_of(
    name: &str,
    km: f64,
    stations: usize,
    settings: Settings,
    station: fn(&mut Rng) -> Station,
) -> Result<(), Invalid> {
    let (mut cold, mut again, stops) = measure(km, stations, &settings, station)?;
    print_row(name, km, stations, &mut cold, &mut again, stops);
    Ok(())
}

// Cold times, times again, and stops.
type Measured = (Vec<Duration>, Vec<Duration>, usize);

fn measure(
    km: f64,
    stations: usize,
    settings: &Settings,
    station: fn(&mut Rng) -> Station,
) -> Result<Measured, Invalid> {
    let (mut cold, mut again, mut stops) = (Vec::new(), Vec::new(), 0);
    for seed in 0..ROUNDS {
        let rng = &mut Rng::with_seed(seed);
        let ends = [Position { latitude: -8.0, longitude: -38.0 }, south(km / 1.21)];
        let spots: Vec<_> = (0..stations).map(|_| along(rng, km / 1.21)).collect();
        let points = ends.into_iter().chain(spots);
        let legs = StraightLine::new(points, 90.0, 0.17)?;
        let stations = (0..stations).map(|_| station(rng)).collect();
        let mut problem = problem(stations, settings.clone())?;
        let begun = now();
        let outlook = Outlook::new(&problem, &legs)?;
        let plan = outlook.plan(&problem, &legs, &|| false);
        cold.push(begun.elapsed());
        // Where there is none, that is to be found out quickly, too.
        if let Ok(plan) = plan {
            stops += plan.stops.len();
            again.push(plan_again(&outlook, &mut problem, &legs, &plan));
        }
    }
    Ok((cold, again, stops))
}

fn plan_again(outlook: &Outlook, problem: &mut Problem, legs: &StraightLine, plan: &Itinerary) -> Duration {
    if let Some(stop) = plan.stops.first() {
        problem.stations[stop.station].take(stop.evse, stop.window);
    }
    let begun = now();
    let other: Result<Itinerary, Obstacle> = outlook.plan(problem, legs, &|| false);
    let took = begun.elapsed();
    drop(other);
    took
}

// All stations of a country, of which a corridor is looked at.
fn country() -> Result<(), Invalid> {
    let rng = &mut Rng::with_seed(1);
    let place =
        |rng: &mut Rng| Position { latitude: -30.0 + 28.0 * rng.f64(), longitude: -60.0 + 25.0 * rng.f64() };
    let places: Vec<_> = (0..50_000).map(|_| place(rng)).collect();
    let all: Vec<Station> = places.iter().map(|_| station(rng)).collect();
    let index = SpotIndex::new(places.iter().copied())?;
    let (mut cold, mut again, mut stops, mut taken) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..ROUNDS {
        let ends = [place(rng), place(rng)];
        let begun = now();
        let spot = |at: usize| Spot { position: places[at], kw: kw(&all[at]), chargers: all[at].evses.len() };
        let near = index.corridor(&ends, Corridor::default(), spot)?;
        let points = ends.into_iter().chain(near.iter().map(|at| places[*at]));
        let legs = StraightLine::new(points, 90.0, 0.17)?;
        let stations: Vec<_> = near.iter().map(|at| all[*at].clone()).collect();
        taken += stations.len();
        let mut problem = problem(stations, Settings::default())?;
        let outlook = Outlook::new(&problem, &legs)?;
        let plan = outlook.plan(&problem, &legs, &|| false);
        cold.push(begun.elapsed());
        if let Ok(plan) = plan {
            stops += plan.stops.len();
            again.push(plan_again(&outlook, &mut problem, &legs, &plan));
        }
    }
    let name = format!("a country of 50,000, {} of them looked at", taken / ROUNDS as usize);
    print_row(&name, 0.0, 50_000, &mut cold, &mut again, stops);
    Ok(())
}

fn print_row(
    name: &str,
    km: f64,
    stations: usize,
    cold: &mut [Duration],
    again: &mut [Duration],
    stops: usize,
) {
    cold.sort_unstable();
    again.sort_unstable();
    let millis =
        |times: &[Duration], at: usize| times.get(at).map_or(f64::NAN, Duration::as_secs_f64) * 1000.0;
    println!(
        "| {name} | {km:.0} | {stations} | {:.1} | {:.1} | {:.2} | {:.2} | {:.1} |",
        millis(cold, cold.len() / 2),
        millis(cold, cold.len() - 1),
        millis(again, again.len() / 2),
        millis(again, again.len().saturating_sub(1)),
        stops as f64 / cold.len() as f64,
    );
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64) * 1000.0
}

fn problem(stations: Vec<Station>, settings: Settings) -> Result<Problem, Invalid> {
    let curve = vec![(0.0, 120.0), (36.0, 120.0), (48.0, 60.0), (60.0, 20.0)];
    let vehicle = Vehicle::new(60.0, 6.0, vec![Plug::CCS2], curve)?;
    Ok(Problem {
        arrive_kwh: 6.0,
        vehicle,
        departure: Timestamp::from_millis(DEPARTURE),
        charge_kwh: 50.0,
        vias: 0,
        stations,
        settings,
    })
}

fn station(rng: &mut Rng) -> Station {
    let kw = [50.0, 60.0, 120.0, 150.0][rng.usize(..4)];
    let tariff = Tariff { per_kwh: 1.5 + rng.f64(), activation: 2.0, ..Tariff::default() };
    let connector = Connector { plug: Plug::CCS2, kw, tariff, measured: None };
    let evse = |rng: &mut Rng| Evse { connectors: vec![connector.clone()], free: windows(rng) };
    Station {
        utc_offset_minutes: -180,
        penalty_minutes: 0.0,
        evses: (0..rng.usize(1..4)).map(|_| evse(rng)).collect(),
    }
}

// Two chargers of which each is somebody else's for twenty minutes of every hour, at one of three times.
fn busy_station(rng: &mut Rng) -> Station {
    let mut station = station(rng);
    let taken = 20.0 * rng.usize(..3) as f64;
    let hours = (-1..72).map(|hour| f64::from(hour) * 60.0 + taken);
    let free = hours.filter_map(|at| TimeWindow::new(instant(at + 20.0), instant(at + 60.0)).ok());
    let evse = Evse { free: free.collect(), connectors: station.evses[0].connectors.clone() };
    station.evses = vec![evse.clone(), evse];
    station
}

fn windows(rng: &mut Rng) -> Vec<TimeWindow> {
    let mut free = Vec::new();
    let mut at = -120.0 * rng.f64();
    while at < 4000.0 {
        let end = at + 30.0 + 240.0 * rng.f64();
        free.extend(TimeWindow::new(instant(at), instant(end)));
        at = end + 30.0 + 30.0 * rng.f64();
    }
    free
}

fn instant(minutes: f64) -> Timestamp {
    Timestamp::from_millis(DEPARTURE + (minutes * 60_000.0) as i64)
}

fn kw(station: &Station) -> f64 {
    station.evses[0].connectors[0].kw
}

fn south(km: f64) -> Position {
    Position { latitude: -8.0 - km / 111.2, longitude: -38.0 }
}

fn along(rng: &mut Rng, km: f64) -> Position {
    Position { latitude: -8.0 - rng.f64() * km / 111.2, longitude: -38.3 + 0.6 * rng.f64() }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}
