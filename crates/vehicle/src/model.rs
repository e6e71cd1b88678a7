//! What cars are made of, and how they are driven.

use std::time::Duration;

use recarga_atlas::cars::Car;
use recarga_atlas::consumption::Drive;
use recarga_planning::Vehicle;

/// Charge below which nobody plans to arrive, as a share of the usable energy.
pub const RESERVE: f64 = 0.10;

/// The same for a car that is on the road, has met with wind and traffic and must get on somehow.
pub const RESERVE_ON_ROAD: f64 = 0.02;

/// How a driver drives on a highway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrivingStyle {
    /// 70 km/h: the farthest.
    Slow,
    /// 90 km/h.
    Normal,
    /// 115 km/h: a third as much energy again per kilometre as at 90.
    Fast,
}

impl DrivingStyle {
    /// Average speed in km/h.
    pub fn speed_kmh(self) -> f64 {
        match self {
            DrivingStyle::Slow => 70.0,
            DrivingStyle::Normal => 90.0,
            DrivingStyle::Fast => 115.0,
        }
    }

    /// How long `km` take.
    pub fn driving_time(self, km: f64) -> Duration {
        Duration::from_secs_f64(km / self.speed_kmh() * 3600.0)
    }
}

/// A car of the catalogue with its battery.
#[derive(Clone, Debug)]
pub struct Model {
    /// What its maker says.
    pub car: &'static Car,
    /// What it stores and how fast it takes it.
    pub battery: Vehicle,
}

impl Model {
    /// The car with its battery; none if the catalogue's figures make no battery.
    pub fn new(car: &'static Car) -> Option<Model> {
        Some(Model { car, battery: car.vehicle(RESERVE, None).ok()? })
    }

    /// Energy between empty and full, in kWh.
    pub fn usable_kwh(&self) -> f64 {
        self.battery.usable_kwh()
    }

    /// What a kilometre takes, in kWh.
    pub fn kwh_per_km(&self, style: DrivingStyle) -> f64 {
        self.car.kwh_per_km(Drive { speed_kmh: style.speed_kmh(), ..Drive::default() })
    }
}
