//! The cities between which cars drive: those in which companies have stations. Where a car charges is not its
//! business; the companies find the stops.

use std::sync::Arc;

use recarga_atlas::cars::{self, Car};
use recarga_atlas::cities;
use recarga_atlas::consumption::Drive;
use recarga_planning::Position;
use recarga_reservation::{OperatorId, Station, StationId};
use thiserror::Error;

use crate::geo::road_km;
use crate::model::Model;

/// Farther from its city's centre a station is in another place of the same name.
const CITY_KM: f64 = 60.0;

/// The share of all stations at which a car for long trips can charge.
const EVERYWHERE: f64 = 0.9;
/// Less is a household socket, at which a charge on the way takes longer than any company lets an EVSE be booked.
const POWER_KW_MIN: f64 = 3.0;
/// How far such a car comes with a full battery at 90 km/h, in km: between stations there are gaps.
const RANGE_KM: f64 = 315.0;

/// A place by its number in [`Network::places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceIndex(u32);

/// Why there is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// Cars have nowhere to charge.
    #[error("the network has no station")]
    NoStation,
    /// No car of the catalogue can charge anywhere.
    #[error("no station has a connector of 3 kW for a car of the catalogue")]
    NoConnector,
    /// Cars have nowhere to go.
    #[error("all stations are in one city; cars need another to go to")]
    OnePlace,
    /// A car there could not say where it is.
    #[error("station {0} of {1} lies nowhere on the globe; ask {1} to mend its coordinates, or leave it out")]
    Nowhere(StationId, OperatorId),
}

/// The cities, the companies, and the cars that can charge at them.
#[derive(Debug)]
pub struct Network {
    operators: Vec<OperatorId>,
    places: Vec<Place>,
    cars: Vec<&'static Car>,
}

/// A city.
#[derive(Debug)]
pub struct Place {
    /// For people: `Recife, PE`.
    pub name: Arc<str>,
    /// For companies: its name where they know it, or else degrees.
    pub wire: String,
    /// Its centre.
    pub position: Position,
}

impl Network {
    /// The cities of these stations.
    ///
    /// # Errors
    /// Not one station, one at an impossible place, all in one city, or none at which any car of the catalogue can
    /// charge.
    pub fn new(stations: Vec<(OperatorId, Station)>) -> Result<Network, NetworkError> {
        if stations.is_empty() {
            return Err(NetworkError::NoStation);
        }
        if let Some((operator, station)) = stations.iter().find(|(_, station)| !is_on_the_globe(station)) {
            return Err(NetworkError::Nowhere(station.id.clone(), operator.clone()));
        }
        let mut operators: Vec<OperatorId> = stations.iter().map(|(operator, _)| operator.clone()).collect();
        operators.sort_unstable();
        operators.dedup();
        let charges_at = |car: &Car, station: &Station| {
            let connectors = station.evses.iter().flat_map(|evse| &evse.connectors);
            connectors.into_iter().any(|one| car.plugs.contains(&one.plug) && one.power_kw >= POWER_KW_MIN)
        };
        let share = |car: &Car| {
            let fitting = stations.iter().filter(|(_, station)| charges_at(car, station)).count();
            fitting as f64 / stations.len() as f64
        };
        let made = cars::all().iter().filter(|car| Model::new(car).is_some());
        let able: Vec<&'static Car> = made.filter(|car| share(car) > 0.0).collect();
        // Who can charge at some stations only, or does not come far, does not go on a long trip.
        let goes_far = |car: &&'static Car| {
            share(car) >= EVERYWHERE && car.usable_kwh / car.kwh_per_km(Drive::default()) >= RANGE_KM
        };
        let far: Vec<&'static Car> = able.iter().copied().filter(goes_far).collect();
        let cars = if far.is_empty() { able } else { far };
        if cars.is_empty() {
            return Err(NetworkError::NoConnector);
        }
        let mut places: Vec<Place> = stations.iter().map(|(_, station)| Place::of(station)).collect();
        places.sort_by(|one, other| one.name.cmp(&other.name));
        places.dedup_by(|one, other| one.name == other.name);
        if places.len() < 2 {
            return Err(NetworkError::OnePlace);
        }
        Ok(Network { operators, places, cars })
    }

    /// The companies, in the order of their ids.
    pub fn operators(&self) -> &[OperatorId] {
        &self.operators
    }

    /// The cars that go on long trips here; at least one.
    pub fn cars(&self) -> &[&'static Car] {
        &self.cars
    }

    /// Every place.
    pub fn places(&self) -> impl ExactSizeIterator<Item = PlaceIndex> + use<> {
        (0..self.places.len() as u32).map(PlaceIndex)
    }

    /// A place.
    pub fn place(&self, place: PlaceIndex) -> &Place {
        &self.places[place.0 as usize]
    }

    /// The nearest place.
    pub fn nearest(&self, position: Position) -> PlaceIndex {
        let km = |place: &PlaceIndex| road_km(position, self.place(*place).position);
        let nearest = self.places().min_by(|one, other| km(one).total_cmp(&km(other)));
        nearest.unwrap_or(PlaceIndex(0))
    }
}

impl Place {
    fn of(station: &Station) -> Place {
        let position = Position { latitude: station.latitude, longitude: station.longitude };
        let name = format!("{}, {}", station.city, station.state);
        match cities::find(&name) {
            Ok(city) if !city.state.is_empty() && road_km(city.position, position) < CITY_KM => {
                let name = city.to_string();
                Place { wire: name.clone(), name: name.into(), position: city.position }
            }
            _ => {
                let wire = format!("{:.5},{:.5}", position.latitude, position.longitude);
                Place { name: name.into(), wire, position }
            }
        }
    }
}

// What other companies say of their stations has been read, but not checked.
fn is_on_the_globe(station: &Station) -> bool {
    (-90.0..=90.0).contains(&station.latitude) && (-180.0..=180.0).contains(&station.longitude)
}
