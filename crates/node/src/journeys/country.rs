//! All companies' offers, by station and place.

use std::collections::HashMap;
use std::sync::Arc;

use recarga_planning::{Position, SpotIndex};
use recarga_reservation::{OperatorId, StationId, Timestamp};
use recarga_wire::availability::AvailablePoint;

use crate::network::Copy;

/// Every station of every company whose offer is known.
#[derive(Debug)]
pub struct Country {
    /// In no order that matters.
    pub stations: Vec<Site>,
    /// By place, with the same numbers.
    pub index: SpotIndex,
    /// Until when free windows are known.
    pub known_until: Option<Timestamp>,
    // Of which copies it was made.
    made_of: Vec<(OperatorId, u64, Option<Timestamp>)>,
}

/// A station with its EVSEs.
#[derive(Debug)]
pub struct Site {
    /// Whose it is.
    pub operator: OperatorId,
    /// Its EVSEs; at least one.
    pub points: Vec<Arc<AvailablePoint>>,
}

impl Site {
    /// Any of its EVSEs: what is said of the station stands in each.
    pub fn any(&self) -> &AvailablePoint {
        &self.points[0]
    }

    /// Where it is.
    pub fn position(&self) -> Position {
        site_position(self.any())
    }
}

/// Where an EVSE is, and with it its station.
pub fn site_position(point: &AvailablePoint) -> Position {
    Position { latitude: point.ponto.latitude, longitude: point.ponto.longitude }
}

impl Country {
    /// Sorts all EVSEs by station.
    pub fn new(copies: &[Arc<Copy>]) -> Self {
        let mut stations: Vec<Site> = Vec::new();
        for copy in copies {
            let mut places: HashMap<&StationId, usize> = HashMap::new();
            for point in copy.points.values() {
                // Another company's word: a place that is none is on no map.
                let (latitude, longitude) = (point.ponto.latitude, point.ponto.longitude);
                if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
                    continue;
                }
                let place = *places.entry(&point.ponto.estacao_id).or_insert(stations.len());
                match stations.get_mut(place) {
                    Some(site) => site.points.push(point.clone()),
                    None => {
                        stations.push(Site { operator: copy.operator.clone(), points: vec![point.clone()] });
                    }
                }
            }
        }
        let places = stations.iter().map(Site::position);
        #[expect(clippy::expect_used, reason = "only places on the map were taken")]
        let index = SpotIndex::new(places).expect("only places on the map were taken");
        let known = copies.iter().filter_map(|copy| copy.seen.map(|(_, known)| known.end()));
        Self { stations, index, known_until: known.max(), made_of: copies.iter().map(made_of).collect() }
    }

    /// Every company of the network, whether its offer is known or not.
    pub fn companies(&self) -> impl Iterator<Item = &OperatorId> {
        self.made_of.iter().map(|(operator, ..)| operator)
    }

    /// The station of this id: `A-SSA-01`, or `empresa-a/A-SSA-01` where several companies have one of that name.
    pub fn find(&self, id: &str) -> Option<&Site> {
        let (operator, id) = id.split_once('/').map_or((None, id), |(operator, id)| (Some(operator), id));
        let is_it = |site: &&Site| {
            site.any().ponto.estacao_id.as_str() == id
                && operator.is_none_or(|operator| site.operator.as_str() == operator)
        };
        let mut found = self.stations.iter().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }

    /// Whether it is made of what these copies show.
    pub fn shows(&self, copies: &[Arc<Copy>]) -> bool {
        self.made_of.iter().eq(&copies.iter().map(made_of).collect::<Vec<_>>())
    }
}

fn made_of(copy: &Arc<Copy>) -> (OperatorId, u64, Option<Timestamp>) {
    (copy.operator.clone(), copy.revision, copy.seen.map(|(_, known)| known.start()))
}
