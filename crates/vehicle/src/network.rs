//! The stations of all companies, and how far they are from each other: computed once, shared by all cars.

use std::sync::Arc;

use recarga_reservation::{Evse, OperatorId, Station, StationId};
use thiserror::Error;

use crate::geo::Position;
use crate::model::CarModel;

/// No car drives farther than this between two stops, in km by road.
pub const LEG_KM_MAX: f64 = 650.0;

// Neighbours are kept in bands of this width, so that where stations are dense the far ones are known too.
const BAND_KM: f64 = 50.0;
const NEIGHBOURS_PER_BAND: usize = 16;

/// A station by its place in [`Network::stations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StationIndex(u32);

/// A company by its place in [`Network::operators`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorIndex(u32);

/// An EVSE of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvseIndex {
    /// Where it stands.
    pub station: StationIndex,
    /// Its place among the EVSEs of the station.
    pub number: u16,
}

/// Why there is no network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// Cars have nowhere to go.
    #[error("the network has no station")]
    NoStation,
    /// No car of the catalogue can charge anywhere.
    #[error("no station has a connector for a car: CCS2, CHAdeMO or Type 2 with at least 3 kW")]
    NoConnector,
    /// A car there could not say where it is.
    #[error("station {0} of {1} lies nowhere on the globe; ask {1} to mend its coordinates, or leave it out")]
    Nowhere(StationId, OperatorId),
}

/// The stations of all companies.
#[derive(Debug)]
pub struct Network {
    operators: Vec<OperatorId>,
    sites: Vec<Site>,
}

/// A station as cars see it.
#[derive(Debug)]
pub struct Site {
    /// Whose it is.
    pub operator: OperatorIndex,
    /// The station.
    pub station: Station,
    /// Its city, shared with what is shown of trips.
    pub city: Arc<str>,
    /// Its federative unit, likewise.
    pub state: Arc<str>,
    /// Where it is.
    pub position: Position,
    neighbours: Box<[Neighbour]>,
}

/// A station within reach of another place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// Which.
    pub station: StationIndex,
    /// Kilometres by road.
    pub km: f64,
}

impl Network {
    /// Measures how far all stations are from each other.
    ///
    /// # Errors
    /// Not one station, one at an impossible place, or none at which any car of the catalogue can charge.
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
        let sites = stations.into_iter().map(|(operator, station)| {
            let position = Position { latitude: station.latitude, longitude: station.longitude };
            let place = operators.binary_search(&operator).unwrap_or_default();
            Site {
                operator: OperatorIndex(place as u32),
                city: station.city.as_str().into(),
                state: station.state.as_str().into(),
                station,
                position,
                neighbours: Box::default(),
            }
        });
        let mut network = Network { sites: sites.collect(), operators };
        if !network.sites.iter().any(|site| crate::model::CATALOGUE.iter().any(|model| site.serves(model))) {
            return Err(NetworkError::NoConnector);
        }
        for index in 0..network.sites.len() {
            let found = network.within(network.sites[index].position, LEG_KM_MAX);
            network.sites[index].neighbours = thin_out(found, StationIndex(index as u32));
        }
        Ok(network)
    }

    /// The companies, in the order of their ids.
    pub fn operators(&self) -> &[OperatorId] {
        &self.operators
    }

    /// Every station.
    pub fn stations(&self) -> impl ExactSizeIterator<Item = StationIndex> + use<> {
        (0..self.sites.len() as u32).map(StationIndex)
    }

    /// A station.
    pub fn site(&self, station: StationIndex) -> &Site {
        &self.sites[station.0 as usize]
    }

    /// A company's id.
    pub fn operator(&self, operator: OperatorIndex) -> &OperatorId {
        &self.operators[operator.0 as usize]
    }

    /// The company with this id.
    pub fn find_operator(&self, id: &OperatorId) -> Option<OperatorIndex> {
        self.operators.binary_search(id).ok().map(|place| OperatorIndex(place as u32))
    }

    /// An EVSE.
    pub fn evse(&self, evse: EvseIndex) -> &Evse {
        &self.site(evse.station).station.evses[usize::from(evse.number)]
    }

    /// The stations within `km_max` of a station, itself excluded, nearest first; where they are dense, a selection.
    pub fn neighbours(&self, station: StationIndex, km_max: f64) -> &[Neighbour] {
        let all = &self.site(station).neighbours;
        &all[..all.partition_point(|neighbour| neighbour.km <= km_max)]
    }

    /// Every station within `km_max` of a place, nearest first. Looks at all stations.
    pub fn within(&self, place: Position, km_max: f64) -> Vec<Neighbour> {
        let near = self
            .stations()
            .map(|station| Neighbour { station, km: place.road_km(self.site(station).position) });
        let mut near: Vec<Neighbour> = near.filter(|neighbour| neighbour.km <= km_max).collect();
        near.sort_unstable_by(|one, other| one.km.total_cmp(&other.km));
        near
    }
}

impl Site {
    /// The EVSEs at which such a car can charge.
    pub fn evses_for(&self, model: &CarModel) -> impl Iterator<Item = u16> {
        (0..).zip(&self.station.evses).filter(|(_, evse)| is_useful(model, evse)).map(|(number, _)| number)
    }

    /// Whether such a car can charge here.
    pub fn serves(&self, model: &CarModel) -> bool {
        self.evses_for(model).next().is_some()
    }
}

// What other companies say of their stations has been read, but not checked.
fn is_on_the_globe(station: &Station) -> bool {
    (-90.0..=90.0).contains(&station.latitude) && (-180.0..=180.0).contains(&station.longitude)
}

fn is_useful(model: &CarModel, evse: &Evse) -> bool {
    // Less is a household socket, at which a charge on the way takes longer than any company lets an EVSE be booked.
    const POWER_KW_MIN: f64 = 3.0;
    model.power_at(evse).is_some_and(|power_kw| power_kw >= POWER_KW_MIN)
}

// A few of each distance, evenly, so that 5,000 stations do not need 25 million neighbours.
fn thin_out(found: Vec<Neighbour>, own: StationIndex) -> Box<[Neighbour]> {
    let found: Vec<Neighbour> = found.into_iter().filter(|neighbour| neighbour.station != own).collect();
    let bands = found.chunk_by(|one, other| (one.km / BAND_KM).floor() == (other.km / BAND_KM).floor());
    let kept = bands.flat_map(|band| {
        let step = band.len().div_ceil(NEIGHBOURS_PER_BAND).max(1);
        band.iter().step_by(step).copied()
    });
    kept.collect()
}
