//! The last known status of each car. It lives in memory: a car tells it again within seconds, and a stale one would
//! mislead.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use recarga_reservation::{Timestamp, VehicleId};

/// What a car said last, and when it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting<S> {
    /// What it said.
    pub status: S,
    /// When that arrived here.
    pub received: Timestamp,
}

/// The registry, for at most `most` cars: when it is full, the one that has been silent longest goes.
#[derive(Debug)]
pub struct Vehicles<S> {
    most: usize,
    cars: Mutex<HashMap<VehicleId, Sighting<S>>>,
}

impl<S: Clone> Vehicles<S> {
    /// An empty registry.
    pub fn new(most: usize) -> Self {
        Self { most, cars: Mutex::default() }
    }

    /// A car says how it is.
    pub fn see(&self, vehicle: VehicleId, status: S, now: Timestamp) {
        let mut cars = self.cars.lock().unwrap_or_else(PoisonError::into_inner);
        if cars.len() >= self.most && !cars.contains_key(&vehicle) {
            let silent = cars.iter().min_by_key(|(_, seen)| seen.received).map(|(car, _)| car.clone());
            silent.and_then(|car| cars.remove(&car));
        }
        cars.insert(vehicle, Sighting { status, received: now });
    }

    /// What a car said last.
    pub fn get(&self, vehicle: &VehicleId) -> Option<Sighting<S>> {
        self.cars.lock().unwrap_or_else(PoisonError::into_inner).get(vehicle).cloned()
    }

    /// What up to `most` cars said last, by name, those after `cursor`; and whether there are more.
    pub fn page(&self, cursor: &str, most: usize) -> (Vec<(VehicleId, Sighting<S>)>, bool) {
        let cars = self.cars.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<&VehicleId> = cars.keys().filter(|car| car.as_str() > cursor).collect();
        let more = names.len() > most;
        if more {
            names.select_nth_unstable(most);
            names.truncate(most);
        }
        names.sort_unstable();
        let page = names.into_iter().filter_map(|car| Some((car.clone(), cars.get(car)?.clone()))).collect();
        (page, more)
    }

    /// How many cars are known.
    pub fn count(&self) -> usize {
        self.cars.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
