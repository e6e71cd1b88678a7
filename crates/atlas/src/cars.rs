//! Cars: a built-in catalogue.

use std::sync::LazyLock;

use recarga_planning::{Invalid, Vehicle};
use recarga_reservation::Plug;
use serde::Deserialize;
use thiserror::Error;

/// A model, with what its maker publishes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Car {
    /// Small letters and dashes.
    pub id: String,
    /// For people.
    pub name: String,
    /// Energy between empty and full, in kWh.
    pub usable_kwh: f64,
    /// The most it takes of direct current, in kW.
    pub dc_kw: f64,
    /// The most it takes of alternating current, in kW.
    pub ac_kw: f64,
    /// OCPI's names.
    #[serde(deserialize_with = "plugs")]
    pub plugs: Vec<Plug>,
    /// As published, in km.
    pub range_km: f64,
    /// In which cycle that was measured.
    pub cycle: Cycle,
    /// Empty, in kg.
    pub mass_kg: f64,
    /// Drag coefficient times frontal area, in m².
    pub drag_area_m2: f64,
    /// Power by charge: points of (per cent, kW).
    pub curve: Vec<(f64, f64)>,
}

/// How a published range was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Cycle {
    /// The world's.
    #[serde(rename = "WLTP")]
    Wltp,
    /// Brazil's label, which takes off three tenths of what is measured.
    #[serde(rename = "PBEV")]
    Pbev,
}

/// A file that describes no car: what is wrong in it, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoCar(String);

/// The catalogue has no car of this id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no car is called so; one of {}", .known.join(", "))]
pub struct UnknownCar {
    /// All ids.
    pub known: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    cars: Vec<Car>,
}

/// The built-in catalogue.
pub fn all() -> &'static [Car] {
    #[expect(clippy::expect_used, reason = "the table is built in, and a test reads it")]
    static CARS: LazyLock<Vec<Car>> = LazyLock::new(|| {
        let catalogue: Catalogue =
            toml::from_str(include_str!("../data/cars.toml")).expect("the built-in table is read by a test");
        catalogue.cars
    });
    &CARS
}

/// A car of the catalogue, by its id in any letter case.
///
/// # Errors
/// There is none.
pub fn find(id: &str) -> Result<&'static Car, UnknownCar> {
    let is_it = |car: &&Car| car.id.eq_ignore_ascii_case(id.trim());
    let known = || all().iter().map(|car| car.id.clone()).collect();
    all().iter().find(is_it).ok_or_else(|| UnknownCar { known: known() })
}

/// A car of one's own: TOML with the keys of a car of the catalogue.
///
/// # Errors
/// Names the key that is missing, unknown or makes no sense, and the line where it stands.
pub fn read(text: &str) -> Result<Car, NoCar> {
    let car: Car = toml::from_str(text).map_err(|error| NoCar(explain(text, &error)))?;
    car.vehicle(0.0, None).map_err(|error| NoCar(error.to_string()))?;
    Ok(car)
}

// What is missing stands nowhere: its place would be the whole file.
fn explain(text: &str, error: &toml::de::Error) -> String {
    let place = error.span().filter(|span| !(span.start == 0 && span.end + 1 >= text.len()));
    let Some(before) = place.and_then(|span| text.get(..span.start)) else {
        return error.message().to_owned();
    };
    let number = before.matches('\n').count();
    let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    let key = key.map_or_else(String::new, |key| format!(" ({key})"));
    format!("line {}{key}: {}", number + 1, error.message())
}

impl Car {
    /// The car as the planner knows it, that keeps `reserve_share` of its battery, charges where one of `plugs` fits,
    /// or any of its own.
    ///
    /// # Errors
    /// A number makes no sense.
    pub fn vehicle(&self, reserve_share: f64, plug: Option<Plug>) -> Result<Vehicle, Invalid> {
        let curve = self.curve.iter().map(|(percent, kw)| (percent / 100.0 * self.usable_kwh, *kw)).collect();
        let plugs = plug.map_or_else(|| self.plugs.clone(), |plug| vec![plug]);
        Vehicle::new(self.usable_kwh, reserve_share * self.usable_kwh, plugs, curve)
    }

    /// The most that flows through a plug of a connector with `kw`.
    pub fn kw_at(&self, plug: Plug, kw: f64) -> f64 {
        let direct = plug.name().ends_with("COMBO")
            || ["CHADEMO", "CHAOJI", "GBT_DC", "SAE_J3400", "TESLA_S"].contains(&plug.name());
        kw.min(if direct { self.dc_kw } else { self.ac_kw })
    }
}

fn plugs<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Plug>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let plug = |name: &String| {
        Plug::from_name(name)
            .map_err(|_| serde::de::Error::custom(format!("`{name}` is no connector type of OCPI")))
    };
    names.iter().map(plug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        assert!(all().len() >= 12);
        for (at, car) in all().iter().enumerate() {
            car.vehicle(0.1, None).unwrap();
            assert!(!all()[..at].iter().any(|other| other.id == car.id), "{}", car.id);
            let peak = car.curve.iter().map(|(_, kw)| *kw).fold(0.0, f64::max);
            assert!(peak <= car.dc_kw && peak >= 0.9 * car.dc_kw, "{}: {peak}", car.id);
            assert_eq!(car.curve.last().unwrap().0, 100.0, "{}", car.id);
        }
        assert_eq!(find(" BYD-Dolphin ").unwrap().name, "BYD Dolphin GS");
        assert!(find("fusca").unwrap_err().to_string().contains("byd-seal-awd"));
    }

    #[test]
    fn a_car_of_ones_own_is_read_or_named_wrong() {
        let table = include_str!("../data/cars.toml");
        let own = table.split("[[cars]]").nth(2).unwrap();
        assert_eq!(read(own).unwrap(), all()[1]);
        for (change, to, named) in [
            ("usable_kwh", "usable_kw", "unknown field `usable_kw`"),
            ("usable_kwh = ", "usable_kwh = -", "vehicle.usable_kwh"),
            ("plugs", "# plugs", "missing field `plugs`"),
            ("IEC_62196_T2_COMBO", "CCS2", "`CCS2` is no connector type"),
            ("IEC_62196_T2_COMBO", "CCS2", "line 7 (plugs): "),
            ("usable_kwh = ", "usable_kwh = \"many\" # ", "line 4 (usable_kwh): invalid type: string"),
            ("WLTP", "EPA", "line 9 (cycle): "),
            ("mass_kg = ", "mass_kg ", "line 10"),
        ] {
            let error = read(&own.replacen(change, to, 1)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn each_plug_has_its_current() {
        let car = find("byd-dolphin").unwrap();
        assert_eq!(car.kw_at(Plug::CCS2, 150.0), 60.0);
        assert_eq!(car.kw_at(Plug::CCS2, 50.0), 50.0);
        assert_eq!(car.kw_at(Plug::TYPE2, 22.0), 6.6);
    }

    // Reads public data where it lies beside the project; it is no part of it.
    #[test]
    fn the_catalogue_agrees_with_public_data() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let Ok(table) = std::fs::read_to_string(folder.join("ev_br_open-ev-data.csv")) else {
            eprintln!("SKIPPED: no ../shared/data/ev_br_open-ev-data.csv to compare with");
            return;
        };
        let mut compared = 0;
        for car in all() {
            let own: Vec<String> = car.id.splitn(2, '-').map(|part| part.replace('-', "_")).collect();
            let rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let energies: Vec<f64> = rows
                .filter(|row| {
                    row.len() > 5 && row[0] == own[0] && [row[1], row[3]].contains(&own[1].as_str())
                })
                .filter_map(|row| row[4].parse().ok())
                .collect();
            if energies.is_empty() {
                continue;
            }
            compared += 1;
            let close = energies.iter().any(|kwh| (kwh - car.usable_kwh).abs() / kwh < 0.25);
            assert!(close, "{}: {} kWh, elsewhere {energies:?}", car.id, car.usable_kwh);
        }
        assert!(compared >= 8, "{compared}");
    }
}
