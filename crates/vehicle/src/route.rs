//! Where to drive: a chain of stops, one at each company where the network allows it.

use std::fmt;

use recarga_reservation::OperatorId;

use crate::geo::Position;
use crate::model::{CarModel, DrivingStyle};
use crate::network::{EvseIndex, LEG_KM_MAX, Network, OperatorIndex, StationIndex};

/// Stops of a trip, where the network has that many.
pub const STOPS: usize = 3;

/// Charge below which nobody plans to arrive, as a share of the usable energy.
pub const RESERVE: f64 = 0.10;

/// The same for a car that is on the road, has met with wind and traffic and must get on somehow.
pub const RESERVE_ON_ROAD: f64 = 0.02;

/// Charge up to which it is worth waiting, as a share of the usable energy.
pub const CHARGE_MAX: f64 = 0.95;

// Shorter legs are avoided: nobody charges twice in one city on a long trip.
const LEG_KM_MIN: f64 = 60.0;

// Stations looked at before a kind of route is given up.
const SEARCH_MAX: u32 = 600;

/// A chain of stops and where it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// In order, at least one.
    pub stops: Vec<EvseIndex>,
    /// The trip ends in this station's city.
    pub destination: StationIndex,
    /// How it is driven.
    pub style: DrivingStyle,
    /// What of three stops, one at each company, the network and the battery did not allow.
    pub shortfall: Option<Shortfall>,
}

/// A route with fewer stops or companies than wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Stops found, of [`STOPS`].
    pub stops: usize,
    /// Different companies among them.
    pub companies: usize,
    /// Different companies wanted.
    pub companies_wanted: usize,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stops, companies, companies_wanted } = self;
        write!(f, "{stops} of {STOPS} stops, at {companies} of {companies_wanted} companies")
    }
}

/// Where a car is and what it can do.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The kind of car.
    pub model: &'a CarModel,
    /// How it is driven.
    pub style: DrivingStyle,
    /// Where it is.
    pub position: Position,
    /// In which station's city it is, if it is in one.
    pub station: Option<StationIndex>,
    /// Energy in the battery, in kWh.
    pub charge_kwh: f64,
    /// Charge below which it does not arrive at the first stop, as a share of the usable energy: [`RESERVE`], or
    /// [`RESERVE_ON_ROAD`] for a car that is on its way already.
    pub reserve: f64,
}

/// What not to use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Avoid {
    /// Companies that did not answer.
    pub operators: Vec<OperatorIndex>,
    /// Stations that were full.
    pub stations: Vec<StationIndex>,
}

/// Finds a route by chance: three stops at three companies if there is such a one, or else fewer companies, or else
/// fewer stops. None if no station is within reach.
pub fn find(network: &Network, start: Start<'_>, avoid: &Avoid, chance: &mut fastrand::Rng) -> Option<Route> {
    let usable = network.operators().len() - avoid.operators.len().min(network.operators().len());
    let companies_most = usable.min(STOPS);
    for stops in (1..=STOPS).rev() {
        for companies in (1..=companies_most.min(stops)).rev() {
            for is_strict in [true, false] {
                let goal = Goal { stops, companies, is_strict };
                if let Some(mut route) = Search::new(network, start, avoid, goal, chance).run() {
                    route.shortfall = shortfall(network, &route);
                    return Some(route);
                }
            }
        }
    }
    None
}

/// The companies of the stops, each once.
pub fn companies(network: &Network, stops: &[EvseIndex]) -> Vec<OperatorId> {
    let mut found: Vec<OperatorId> =
        stops.iter().map(|stop| network.operator(network.site(stop.station).operator).clone()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn shortfall(network: &Network, route: &Route) -> Option<Shortfall> {
    let companies_wanted = STOPS.min(network.operators().len());
    let found = Shortfall {
        stops: route.stops.len(),
        companies: companies(network, &route.stops).len(),
        companies_wanted,
    };
    (found.stops < STOPS || found.companies < companies_wanted).then_some(found)
}

#[derive(Clone, Copy)]
struct Goal {
    stops: usize,
    companies: usize,
    // Legs of a sensible length that lead away from the start.
    is_strict: bool,
}

// Depth first, in random order, bounded.
struct Search<'a> {
    network: &'a Network,
    start: Start<'a>,
    avoid: &'a Avoid,
    goal: Goal,
    chance: &'a mut fastrand::Rng,
    chain: Vec<StationIndex>,
    left: u32,
}

// Where the chain has come to.
#[derive(Clone, Copy)]
struct Place {
    station: Option<StationIndex>,
    position: Position,
    // How far the charge leads, in km.
    range_km: f64,
}

impl<'a> Search<'a> {
    fn new(
        network: &'a Network,
        start: Start<'a>,
        avoid: &'a Avoid,
        goal: Goal,
        chance: &'a mut fastrand::Rng,
    ) -> Self {
        Self { network, start, avoid, goal, chance, chain: Vec::with_capacity(STOPS), left: SEARCH_MAX }
    }

    fn run(mut self) -> Option<Route> {
        let Start { model, style, position, station, charge_kwh, reserve } = self.start;
        let range_km = self.range_km(charge_kwh, reserve);
        let destination = self.extend(Place { station, position, range_km })?;
        let mut stops = Vec::with_capacity(self.chain.len());
        for station in self.chain {
            let evses: Vec<u16> = self.network.site(station).evses_for(model).collect();
            stops.push(EvseIndex { station, number: *evses.get(self.chance.usize(..evses.len().max(1)))? });
        }
        Some(Route { stops, destination, style, shortfall: None })
    }

    // Completes the chain from here; says where it ends.
    fn extend(&mut self, here: Place) -> Option<StationIndex> {
        let mut reachable = self.reachable(here);
        self.chance.shuffle(&mut reachable);
        // A car may charge where it stands, and a trip may end at its last stop: the last resort.
        if !self.goal.is_strict && here.range_km >= 0.0 {
            reachable.extend(here.station);
        }
        if self.chain.len() == self.goal.stops {
            return reachable.into_iter().find(|&station| !self.is_same_city(here, station));
        }
        for station in reachable {
            self.left = self.left.checked_sub(1)?;
            if !self.may_stop(station) {
                continue;
            }
            self.chain.push(station);
            let position = self.network.site(station).position;
            let range_km = self.range_km(CHARGE_MAX * self.start.model.usable_kwh, RESERVE);
            let end = self.extend(Place { station: Some(station), position, range_km });
            if end.is_some() {
                return end;
            }
            self.chain.pop();
        }
        None
    }

    fn reachable(&self, here: Place) -> Vec<StationIndex> {
        let nearby;
        let neighbours = match here.station {
            Some(station) => self.network.neighbours(station, here.range_km.min(LEG_KM_MAX)),
            None => {
                nearby = self.network.within(here.position, here.range_km.min(LEG_KM_MAX));
                &nearby
            }
        };
        let gone_km = self.start.position.road_km(here.position);
        let leads_on = |km: f64, station| {
            let position = self.network.site(station).position;
            km >= LEG_KM_MIN && self.start.position.road_km(position) >= gone_km + km / 3.0
        };
        let found = neighbours.iter();
        let found = found.filter(|one| !self.goal.is_strict || leads_on(one.km, one.station));
        found.map(|neighbour| neighbour.station).collect()
    }

    fn may_stop(&self, station: StationIndex) -> bool {
        let site = self.network.site(station);
        let mut used: Vec<OperatorIndex> =
            self.chain.iter().map(|&stop| self.network.site(stop).operator).collect();
        used.sort_unstable();
        used.dedup();
        let must_be_new =
            self.goal.companies.saturating_sub(used.len()) >= self.goal.stops - self.chain.len();
        let is_unwanted = self.avoid.stations.contains(&station)
            || self.avoid.operators.contains(&site.operator)
            || self.chain.contains(&station);
        site.serves(self.start.model) && !is_unwanted && !(must_be_new && used.contains(&site.operator))
    }

    fn is_same_city(&self, here: Place, station: StationIndex) -> bool {
        let here = here.station.map(|station| &self.network.site(station).city);
        self.goal.is_strict && here == Some(&self.network.site(station).city)
    }

    fn range_km(&self, charge_kwh: f64, reserve: f64) -> f64 {
        let model = self.start.model;
        let spendable_kwh = charge_kwh - reserve * model.usable_kwh;
        spendable_kwh / model.consumption_kwh_per_km(self.start.style)
    }
}
