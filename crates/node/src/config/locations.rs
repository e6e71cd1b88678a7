//! A company's locations, from its TOML file or from OCPI Location JSON.

use std::collections::BTreeSet;
use std::path::Path;

use recarga_reservation::{
    Connector, ConnectorId, DayTime, Evse, EvseId, Plug, PriceBand, Station, StationId, Tariff,
};
use serde::Deserialize;

mod ocpi;

/// Prices of one tariff by time of day.
const BANDS_MAX: usize = 24;

/// `[[locations]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationTable {
    id: String,
    name: String,
    city: String,
    state: String,
    latitude: f64,
    longitude: f64,
    #[serde(default)]
    altitude_m: Option<f64>,
    time_zone: String,
    tariff: TariffTable,
    evses: Vec<EvseTable>,
}

/// `tariff = { price_kwh = 2.10, activation_fee = 2.00 }`, in BRL.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TariffTable {
    price_kwh: f64,
    #[serde(default)]
    activation_fee: f64,
    #[serde(default)]
    idle_fee_minute: f64,
    #[serde(default)]
    bands: Vec<BandTable>,
}

/// `{ from = "18:00", to = "21:00", price_kwh = 2.90 }`, in the station's local time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BandTable {
    from: String,
    to: String,
    price_kwh: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvseTable {
    id: String,
    connectors: Vec<ConnectorTable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectorTable {
    id: String,
    plug: String,
    power_kw: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationFile {
    locations: Vec<LocationTable>,
}

/// Reads more locations: TOML with `[[locations]]`, or OCPI JSON (`.json`), to which `tariff` applies because OCPI
/// keeps tariffs in a module of their own.
///
/// # Errors
/// One line that says where and what.
pub fn read(path: &Path, tariff: Option<&TariffTable>) -> Result<Vec<LocationTable>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let tariff =
            tariff.ok_or("OCPI locations need default_tariff = { price_kwh = ..., activation_fee = ... }")?;
        return ocpi::parse(&text, tariff).map_err(|reason| format!("{name}: {reason}"));
    }
    let file: LocationFile = toml::from_str(&text).map_err(|error| format!("{name}: {error}"))?;
    Ok(file.locations)
}

/// Checks all locations of a company; what is wrong is added to `problems`.
pub fn check(tables: Vec<LocationTable>, problems: &mut Vec<String>) -> Vec<Station> {
    let mut seen = Seen::default();
    let mut stations = Vec::with_capacity(tables.len());
    for (index, table) in tables.into_iter().enumerate() {
        let mut found = Vec::new();
        let station = check_location(table, &mut seen, &mut found);
        problems.extend(found.into_iter().map(|problem| format!("locations[{index}].{problem}")));
        stations.extend(station);
    }
    stations
}

#[derive(Default)]
struct Seen {
    stations: BTreeSet<StationId>,
    evses: BTreeSet<EvseId>,
}

fn check_location(table: LocationTable, seen: &mut Seen, problems: &mut Vec<String>) -> Option<Station> {
    let id =
        StationId::new(&table.id).map_err(|error| problems.push(format!("id: \"{}\": {error}", table.id)));
    if let Ok(id) = &id
        && !seen.stations.insert(id.clone())
    {
        problems.push(format!("id: \"{id}\" stands twice; every location needs its own"));
    }
    let mut within = |field: &str, value: f64, most: f64| {
        if !(-most..=most).contains(&value) {
            problems.push(format!("{field}: {value} is not between -{most} and {most} degrees"));
        }
    };
    within("latitude", table.latitude, 90.0);
    within("longitude", table.longitude, 180.0);
    if table.altitude_m.is_some_and(|metres| !(-500.0..=9000.0).contains(&metres)) {
        problems.push("altitude_m: not between -500 and 9000 metres".to_owned());
    }
    if !(table.state.len() == 2 && table.state.bytes().all(|byte| byte.is_ascii_uppercase())) {
        problems.push(format!(
            "state: \"{}\" is not a federative unit; two capital letters as in BA",
            table.state
        ));
    }
    if jiff::tz::TimeZone::get(&table.time_zone).is_err() {
        let zone = &table.time_zone;
        problems.push(format!("time_zone: \"{zone}\" is no IANA time zone; write one as in America/Bahia"));
    }
    let tariff = check_tariff(table.tariff, problems);
    if table.evses.is_empty() {
        problems.push("evses: none; a location has at least one".to_owned());
    }
    let mut evses = Vec::with_capacity(table.evses.len());
    for (index, evse) in table.evses.into_iter().enumerate() {
        let mut found = Vec::new();
        let evse = check_evse(evse, seen, &mut found);
        problems.extend(found.into_iter().map(|problem| format!("evses[{index}].{problem}")));
        evses.extend(evse);
    }
    Some(Station {
        id: id.ok()?,
        name: table.name,
        city: table.city,
        state: table.state,
        latitude: table.latitude,
        longitude: table.longitude,
        altitude_m: table.altitude_m,
        time_zone: table.time_zone,
        tariff,
        evses,
    })
}

fn check_tariff(table: TariffTable, problems: &mut Vec<String>) -> Tariff {
    let mut price = |field: &str, value: f64| {
        if !(0.0..=1000.0).contains(&value) {
            problems.push(format!("tariff.{field}: {value} is not between 0 and 1000 BRL"));
        }
    };
    price("price_kwh", table.price_kwh);
    price("activation_fee", table.activation_fee);
    price("idle_fee_minute", table.idle_fee_minute);
    for (index, band) in table.bands.iter().enumerate() {
        price(&format!("bands[{index}].price_kwh"), band.price_kwh);
    }
    if table.bands.len() > BANDS_MAX {
        problems.push(format!("tariff.bands: {} are too many; at most {BANDS_MAX}", table.bands.len()));
    }
    let mut bands = Vec::with_capacity(table.bands.len());
    for (index, band) in table.bands.iter().enumerate() {
        let mut time = |field: &str, text: &str| {
            let time = DayTime::from_text(text);
            time.map_err(|error| {
                problems.push(format!("tariff.bands[{index}].{field}: \"{text}\" is {error}"))
            })
            .ok()
        };
        let (from, to) = (time("from", &band.from), time("to", &band.to));
        bands.extend(from.zip(to).map(|(from, to)| PriceBand { from, to, price_kwh: band.price_kwh }));
    }
    Tariff {
        price_kwh: table.price_kwh,
        activation_fee: table.activation_fee,
        idle_fee_minute: table.idle_fee_minute,
        bands,
    }
}

fn check_evse(table: EvseTable, seen: &mut Seen, problems: &mut Vec<String>) -> Option<Evse> {
    let id = EvseId::new(&table.id).map_err(|error| problems.push(format!("id: \"{}\": {error}", table.id)));
    if let Ok(id) = &id
        && !seen.evses.insert(id.clone())
    {
        problems.push(format!("id: \"{id}\" stands twice; every EVSE of a company needs its own"));
    }
    if table.connectors.is_empty() {
        problems.push("connectors: none; an EVSE has at least one".to_owned());
    }
    let mut connectors: Vec<Connector> = Vec::with_capacity(table.connectors.len());
    for (index, connector) in table.connectors.into_iter().enumerate() {
        let mut problem = |text: String| problems.push(format!("connectors[{index}].{text}"));
        let id = ConnectorId::new(&connector.id).map_err(|error| problem(format!("id: {error}")));
        let plug = Plug::from_name(&connector.plug).map_err(|error| {
            problem(format!("plug: \"{}\" is {error}; CCS2 is IEC_62196_T2_COMBO", connector.plug));
        });
        if !(0.1..=2000.0).contains(&connector.power_kw) {
            problem(format!("power_kw: {} is not between 0.1 and 2000 kW", connector.power_kw));
        }
        let (Ok(id), Ok(plug)) = (id, plug) else { continue };
        if connectors.iter().any(|earlier| earlier.id == id) {
            problem(format!("id: \"{id}\" stands twice in this EVSE"));
        }
        connectors.push(Connector { id, plug, power_kw: connector.power_kw });
    }
    Some(Evse { id: id.ok()?, connectors })
}
