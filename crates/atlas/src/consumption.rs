//! What a car takes from its battery on the road.
//!
//! Rolling, air and what runs beside the motor, divided by what the drive train loses. Makers publish no
//! such losses but a range, so each car has one factor, with which the formula gives its published range in the
//! published cycle.

use recarga_planning::Climb;

use crate::cars::{Car, Cycle};

const GRAVITY: f64 = 9.81;
const ROLLING: f64 = 0.009;
const AIR_KG_PER_M3: f64 = 1.18;
const DRIVE_TRAIN: f64 = 0.88;
/// Driver and luggage.
const LOAD_KG: f64 = 150.0;
/// At which nothing need be heated or cooled, in °C.
const COMFORTABLE: f64 = 21.0;
const AUXILIARY_KW: f64 = 0.3;
const CLIMATE_KW_PER_DEGREE: f64 = 0.09;
const CLIMATE_KW_MAX: f64 = 3.0;
const JOULES_PER_KWH: f64 = 3.6e6;

/// The four parts of the WLTP (class 3): km, and the speed whose drag is that part's, in km/h.
const WLTP: [(f64, f64); 4] = [(3.09, 28.0), (4.76, 49.0), (7.16, 67.0), (8.25, 100.0)];
/// Joule for each kg and m that the cycle's speeding up and slowing down loses.
const WLTP_RESTLESSNESS: f64 = 0.05;
/// What the label of Brazil leaves of a range in the cycle.
const PBEV_SHARE: f64 = 0.7;

/// The conditions of a drive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drive {
    /// In km/h.
    pub speed_kmh: f64,
    /// Outside, in °C.
    pub temperature: f64,
}

impl Default for Drive {
    fn default() -> Self {
        Self { speed_kmh: 90.0, temperature: 27.0 }
    }
}

/// What of a car's weight comes back into the battery downhill.
const REGENERATED: f64 = 0.65;

impl Car {
    /// What a metre of height takes, and gives back.
    pub fn climb(&self) -> Climb {
        let kwh = self.loaded_kg() * GRAVITY / JOULES_PER_KWH;
        Climb { up_kwh: kwh / DRIVE_TRAIN, down_kwh: kwh * REGENERATED }
    }

    /// What a kilometre on the flat takes, in kWh.
    pub fn kwh_per_km(&self, drive: Drive) -> f64 {
        self.factor() * self.flat(drive.speed_kmh, drive.temperature)
    }

    /// By how much the formula is off for this car.
    fn factor(&self) -> f64 {
        let whole: f64 = WLTP.iter().map(|(km, _)| km).sum();
        let parts: f64 = WLTP.iter().map(|(km, speed)| km * self.flat(*speed, COMFORTABLE)).sum();
        let restless = self.loaded_kg() * WLTP_RESTLESSNESS * 1000.0 / JOULES_PER_KWH;
        let published = match self.cycle {
            Cycle::Wltp => self.range_km,
            Cycle::Pbev => self.range_km / PBEV_SHARE,
        };
        self.usable_kwh / published / (parts / whole + restless)
    }

    fn flat(&self, speed_kmh: f64, temperature: f64) -> f64 {
        let speed = speed_kmh / 3.6;
        let newtons =
            ROLLING * self.loaded_kg() * GRAVITY + 0.5 * AIR_KG_PER_M3 * self.drag_area_m2 * speed * speed;
        let climate = ((temperature - COMFORTABLE).abs() * CLIMATE_KW_PER_DEGREE).min(CLIMATE_KW_MAX);
        newtons / DRIVE_TRAIN * 1000.0 / JOULES_PER_KWH + (AUXILIARY_KW + climate) / speed_kmh
    }

    fn loaded_kg(&self) -> f64 {
        self.mass_kg + LOAD_KG
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cars::all;

    #[test]
    fn cars_consume_what_their_kind_does() {
        for car in all() {
            let factor = car.factor();
            assert!((0.75..=1.45).contains(&factor), "{}: {factor}", car.id);
            let at = |speed_kmh, temperature| car.kwh_per_km(Drive { speed_kmh, temperature });
            let (slow, normal, fast) = (at(70.0, 27.0), at(90.0, 27.0), at(115.0, 27.0));
            assert!(slow < normal && normal < fast, "{}", car.id);
            assert!((0.09..=0.26).contains(&normal), "{}: {normal}", car.id);
            assert!((1.15..=1.5).contains(&(fast / normal)), "{}: {}", car.id, fast / normal);
            let climb = car.climb();
            assert!((0.003..0.01).contains(&climb.up_kwh) && climb.down_kwh < 0.6 * climb.up_kwh + 1e-3);
            assert!(at(90.0, -5.0) > normal && at(90.0, 40.0) > normal);
            // On a highway a car does not go as far as in the cycle.
            let highway = car.usable_kwh / fast;
            let cycle = if car.cycle == Cycle::Wltp { car.range_km } else { car.range_km / PBEV_SHARE };
            assert!((0.55..=0.95).contains(&(highway / cycle)), "{}: {highway} of {cycle} km", car.id);
        }
    }
}
