//! The problem file, as `docs/planning.md` explains it: so that anyone can check the planner from outside.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use recarga_planning::{
    Band, ChargeTable, Connector, Evse, Invalid, Leg, Legs, Objective, Obstacle, Outlook, Position, Problem,
    Settings, Station, StraightLine, Table, Tariff, Vehicle,
};
use recarga_reservation::{DayTime, Plug, TimeWindow, Timestamp};
use serde::Deserialize;

use super::answer::{Answer, Names};

/// More than a country's stations have.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;
const LEG_KM_MAX: f64 = 20_000.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProblemFile {
    departure: String,
    origin: PlaceFile,
    destination: PlaceFile,
    #[serde(default)]
    via: Vec<PlaceFile>,
    vehicle: VehicleFile,
    stops_max: usize,
    #[serde(default = "setup_minutes_usual")]
    setup_minutes: f64,
    #[serde(default)]
    buffer_minutes: f64,
    #[serde(default)]
    objective: ObjectiveFile,
    #[serde(default)]
    excluded_operators: Vec<String>,
    stations: Vec<StationFile>,
    legs_km: Option<Vec<Vec<f64>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceFile {
    lat: f64,
    lon: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VehicleFile {
    usable_kwh: f64,
    soc_kwh: f64,
    reserve_kwh: f64,
    consumption_kwh_per_km: f64,
    speed_kmh: f64,
    plugs: Vec<String>,
    charge_curve: Vec<(f64, f64)>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ObjectiveFile {
    price_weight: f64,
    stop_minutes: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StationFile {
    id: String,
    operator: String,
    lat: f64,
    lon: f64,
    #[serde(default)]
    utc_offset_minutes: i32,
    connectors: Vec<ConnectorFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectorFile {
    id: String,
    plug: String,
    kw: f64,
    #[serde(default)]
    price_kwh: f64,
    #[serde(default)]
    activation_fee: f64,
    #[serde(default)]
    price_bands: Vec<(String, String, f64)>,
    free: Vec<(String, String)>,
    charge_minutes: Option<Vec<(f64, f64)>>,
}

fn setup_minutes_usual() -> f64 {
    5.0
}

/// Reads the problem and plans.
///
/// # Errors
/// The file cannot be read, or the first field that makes no sense and the cure; or the search was given up.
pub fn solve(path: &Path) -> Result<Answer> {
    let length = std::fs::metadata(path).context("cannot read the file")?.len();
    if length > FILE_BYTES_MAX {
        bail!("{length} bytes are too many; at most {FILE_BYTES_MAX}");
    }
    let text = std::fs::read(path).context("cannot read the file")?;
    let file = read(&text)?;
    let (problem, names) = (problem(&file)?, Names::new(&station_names(&file)));
    let legs = legs(&file)?;
    let outlook = Outlook::new(&problem, &*legs)?;
    match outlook.plan(&problem, &*legs, &|| false) {
        Ok(plan) => Ok(Answer::feasible(&names, &plan)),
        Err(gave_up @ (Obstacle::TooLarge { .. } | Obstacle::Withdrawn)) => Err(gave_up.into()),
        Err(obstacle) => Ok(Answer::infeasible(&names, &obstacle)),
    }
}

fn read(text: &[u8]) -> Result<ProblemFile> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let file = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        match error.path().to_string().as_str() {
            "." | "?" => anyhow!("{}", error.inner()),
            path => anyhow!("{path}: {}", error.inner()),
        }
    })?;
    json.end()?;
    Ok(file)
}

fn station_names(file: &ProblemFile) -> Vec<(String, Vec<String>)> {
    let connectors = |one: &StationFile| one.connectors.iter().map(|cable| cable.id.clone()).collect();
    file.stations.iter().map(|one| (one.id.clone(), connectors(one))).collect()
}

fn problem(file: &ProblemFile) -> Result<Problem> {
    let plugs = file.vehicle.plugs.iter().enumerate();
    let plugs = plugs.map(|(at, name)| plug(name, &format!("vehicle.plugs[{at}]")));
    let VehicleFile { usable_kwh, reserve_kwh, .. } = file.vehicle;
    let curve = file.vehicle.charge_curve.clone();
    let vehicle = Vehicle::new(usable_kwh, reserve_kwh, plugs.collect::<Result<_>>()?, curve)?;
    let stations = file.stations.iter().enumerate();
    let stations = stations.map(|(at, one)| station(file, one, &format!("stations[{at}]")));
    Ok(Problem {
        departure: instant(&file.departure, "departure")?,
        charge_kwh: file.vehicle.soc_kwh,
        arrive_kwh: vehicle.reserve_kwh(),
        vias: file.via.len(),
        stations: stations.collect::<Result<_>>()?,
        vehicle,
        settings: Settings {
            stops_max: file.stops_max,
            setup_minutes: file.setup_minutes,
            buffer_minutes: file.buffer_minutes,
            objective: Objective {
                price_weight: file.objective.price_weight,
                stop_minutes: file.objective.stop_minutes,
            },
            ..Settings::default()
        },
    })
}

// Each connector of the file has a calendar of its own, so each is an EVSE.
fn station(file: &ProblemFile, one: &StationFile, path: &str) -> Result<Station> {
    let open = !file.excluded_operators.contains(&one.operator);
    let evse = |(at, cable): (usize, &ConnectorFile)| {
        let path = format!("{path}.connectors[{at}]");
        let measured = cable.charge_minutes.as_ref();
        let measured =
            measured.map(|points| ChargeTable::from_points(points, file.vehicle.usable_kwh)).transpose();
        let windows = cable.free.iter().enumerate().filter(|_| open);
        let free = windows.map(|(at, (from, to))| window(from, to, &format!("{path}.free[{at}]")));
        let bands = cable.price_bands.iter().enumerate();
        let bands = bands.map(|(at, (from, to, per_kwh))| {
            let path = format!("{path}.price_bands[{at}]");
            let minute = |text: &str| DayTime::from_text(text).map(DayTime::minute);
            let minute = |text: &str| minute(text).map_err(|error| anyhow!("{path}: \"{text}\" is {error}"));
            Ok(Band { from_minute: minute(from)?, to_minute: minute(to)?, per_kwh: *per_kwh })
        });
        let connector = Connector {
            plug: plug(&cable.plug, &format!("{path}.plug"))?,
            kw: cable.kw,
            tariff: Tariff {
                per_kwh: cable.price_kwh,
                activation: cable.activation_fee,
                bands: bands.collect::<Result<_>>()?,
            },
            measured: measured.map_err(|invalid| within(&path, &invalid))?,
        };
        Ok(Evse { connectors: vec![connector], free: free.collect::<Result<_>>()? })
    };
    let evses = one.connectors.iter().enumerate().map(evse).collect::<Result<_>>()?;
    Ok(Station { utc_offset_minutes: one.utc_offset_minutes, penalty_minutes: 0.0, evses })
}

fn legs(file: &ProblemFile) -> Result<Box<dyn Legs>> {
    let VehicleFile { consumption_kwh_per_km, speed_kmh, .. } = file.vehicle;
    let stations = file.stations.iter().map(|one| Position { latitude: one.lat, longitude: one.lon });
    let place = |one: &PlaceFile| Position { latitude: one.lat, longitude: one.lon };
    let vias = file.via.iter().map(place);
    let way = [place(&file.origin)].into_iter().chain(vias).chain([place(&file.destination)]);
    // Also where the file has its own distances: its numbers are checked.
    let straight = StraightLine::new(way.chain(stations), speed_kmh, consumption_kwh_per_km)?;
    let Some(rows) = &file.legs_km else { return Ok(Box::new(straight)) };
    let (points, count) = (straight.points(), file.stations.len());
    check_rows(rows, points)?;
    // The file has the stations between origin and destination, and via points last.
    let row = |point: usize| match point.checked_sub(file.via.len() + 2) {
        Some(station) => station + 1,
        None if point == 0 => 0,
        None if point == file.via.len() + 1 => count + 1,
        None => count + 1 + point,
    };
    let leg = |km: f64| Leg { km, minutes: km * 60.0 / speed_kmh, kwh: km * consumption_kwh_per_km };
    let pairs = (0..points).flat_map(|from| (0..points).map(move |to| (from, to)));
    let legs = pairs.map(|(from, to)| Some(leg(rows[row(from)][row(to)]))).collect();
    Ok(Box::new(Table::new(points, legs)?))
}

fn check_rows(rows: &[Vec<f64>], points: usize) -> Result<()> {
    const ORDER: &str = "origin, stations in their order, destination, places to pass";
    if rows.len() != points {
        bail!("legs_km: {} rows for {points} places; give one for each: {ORDER}", rows.len());
    }
    for (from, row) in rows.iter().enumerate() {
        if row.len() != points {
            bail!("legs_km[{from}]: {} distances for {points} places; give one for each: {ORDER}", row.len());
        }
        if let Some(to) = row.iter().position(|km| !(0.0..=LEG_KM_MAX).contains(km)) {
            bail!("legs_km[{from}][{to}]: {} is not from 0 to {LEG_KM_MAX} km", row[to]);
        }
    }
    Ok(())
}

fn within(path: &str, invalid: &Invalid) -> anyhow::Error {
    anyhow!("{path}.{invalid}")
}

fn plug(name: &str, path: &str) -> Result<Plug> {
    Plug::from_name(name)
        .map_err(|error| anyhow!("{path}: \"{name}\" is {error}; write it as in IEC_62196_T2_COMBO"))
}

fn window(from: &str, to: &str, path: &str) -> Result<TimeWindow> {
    let (start, end) = (instant(from, &format!("{path}[0]"))?, instant(to, &format!("{path}[1]"))?);
    TimeWindow::new(start, end).map_err(|empty| anyhow!("{path}: {empty}"))
}

fn instant(text: &str, path: &str) -> Result<Timestamp> {
    let instant = text.parse::<jiff::Timestamp>();
    let instant = instant
        .map_err(|_| anyhow!("{path}: \"{text}\" is no instant; write it as in 2026-12-01T11:00:00Z"))?;
    Ok(Timestamp::from_millis(instant.as_millisecond()))
}
