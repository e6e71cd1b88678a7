//! Which EVSEs can match a question at all, found without looking at the others. Stations do not change while the node
//! runs, so this is built once and read without a lock.

use std::borrow::Cow;
use std::collections::BTreeMap;

use recarga_reservation::{Plug, Station};
use recarga_wire::availability::{AvailabilityQuery, Near};
use rstar::RTree;
use rstar::primitives::GeomWithData;

use super::EARTH_RADIUS_KM;

/// So much further is looked than asked for, as the two ways to compute a distance differ in their last digits.
const MARGIN_KM: f64 = 0.001;

/// Lists of EVSEs by what they have in common. An EVSE is meant by its place in the order of ids, and every list is in
/// that order.
#[derive(Debug)]
pub struct Index {
    all: Vec<usize>,
    by_state: BTreeMap<String, Vec<usize>>,
    by_plug: BTreeMap<Plug, Vec<usize>>,
    // Stations as points on the unit sphere, where there are no poles and no date line; each with its EVSEs.
    by_point: RTree<GeomWithData<[f64; 3], Vec<usize>>>,
}

impl Index {
    /// `evses` are station and EVSE by their places in `stations`, in the order of ids.
    pub fn new(stations: &[Station], evses: &[(usize, usize)]) -> Self {
        let mut by_state: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut by_plug: BTreeMap<Plug, Vec<usize>> = BTreeMap::new();
        let mut by_station = vec![Vec::new(); stations.len()];
        for (place, &(station, evse)) in evses.iter().enumerate() {
            by_station[station].push(place);
            by_state.entry(stations[station].state.clone()).or_default().push(place);
            for connector in &stations[station].evses[evse].connectors {
                let fitting = by_plug.entry(connector.plug).or_default();
                if fitting.last() != Some(&place) {
                    fitting.push(place);
                }
            }
        }
        let points = stations.iter().zip(by_station);
        let points = points
            .map(|(station, evses)| GeomWithData::new(on_sphere(station.latitude, station.longitude), evses));
        Self {
            all: (0..evses.len()).collect(),
            by_state,
            by_plug,
            by_point: RTree::bulk_load(points.collect()),
        }
    }

    /// The shortest list with every EVSE that matches. More than `few` EVSEs around a place are not listed.
    pub fn candidates(&self, query: &AvailabilityQuery, few: usize) -> Cow<'_, [usize]> {
        let by_state = query.state.as_ref().map(|state| listed(self.by_state.get(state)));
        let by_plug = query.plug.map(|plug| listed(self.by_plug.get(&plug)));
        let near = query.near.and_then(|near| self.around(near, few)).map(Cow::Owned);
        let lists = [by_state, by_plug, near].into_iter().flatten();
        lists.min_by_key(|list| list.len()).unwrap_or(Cow::Borrowed(&self.all))
    }

    fn around(&self, near: Near, few: usize) -> Option<Vec<usize>> {
        let center = on_sphere(near.latitude, near.longitude);
        let mut found = Vec::new();
        for station in self.by_point.locate_within_distance(center, chord(near.radius_km + MARGIN_KM).powi(2))
        {
            found.extend_from_slice(&station.data);
            if found.len() > few {
                return None;
            }
        }
        found.sort_unstable();
        Some(found)
    }
}

// What nobody has is on no list.
fn listed(list: Option<&Vec<usize>>) -> Cow<'_, [usize]> {
    Cow::Borrowed(list.map_or(&[], Vec::as_slice))
}

fn on_sphere(latitude: f64, longitude: f64) -> [f64; 3] {
    let (north, east) = (latitude.to_radians(), longitude.to_radians());
    [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()]
}

// The straight way through the unit sphere for a way along the earth's surface.
fn chord(kilometers: f64) -> f64 {
    let angle = (kilometers / EARTH_RADIUS_KM).min(std::f64::consts::PI);
    2.0 * (angle / 2.0).sin()
}

#[cfg(test)]
mod tests {
    use recarga_reservation::{Connector, Evse, Tariff};

    use super::super::{Offer, matches};
    use super::*;

    const PLUGS: [Plug; 3] = [Plug::CCS2, Plug::TYPE2, Plug::CHADEMO];
    const STATES: [&str; 3] = ["BA", "PE", "SE"];

    // Stations all over the earth, some of them at its poles and at the date line.
    fn stations(count: usize, dice: &mut fastrand::Rng) -> Vec<Station> {
        let station = |number: usize| {
            let evse = |index: usize| Evse {
                // The order of ids is not that of stations.
                id: format!("{}-{number}-{index}", (number * 7919) % 10).parse().unwrap(),
                connectors: (0..dice.usize(1..3))
                    .map(|one| Connector {
                        id: one.to_string().parse().unwrap(),
                        plug: PLUGS[dice.usize(0..3)],
                        power_kw: [22.0, 60.0, 150.0][dice.usize(0..3)],
                    })
                    .collect(),
            };
            let evses = (0..number % 4).map(evse).collect();
            let extreme = |most: f64, dice: &mut fastrand::Rng| match dice.u8(0..10) {
                0 => most,
                1 => -most,
                _ => (dice.f64() - 0.5) * 2.0 * most,
            };
            Station {
                id: number.to_string().parse().unwrap(),
                name: String::new(),
                city: String::new(),
                state: STATES[dice.usize(0..3)].to_owned(),
                latitude: extreme(90.0, dice),
                longitude: extreme(180.0, dice),
                altitude_m: None,
                time_zone: "America/Bahia".to_owned(),
                tariff: Tariff { price_kwh: 2.0, ..Tariff::default() },
                evses,
            }
        };
        (0..count).map(station).collect()
    }

    fn question(stations: &[Station], dice: &mut fastrand::Rng) -> AvailabilityQuery {
        let near = stations[dice.usize(0..stations.len())].clone();
        let radius_km = [1.0, 100.0, 1_000.0, 9_000.0, 20_100.0][dice.usize(0..5)];
        let (latitude, longitude) = (near.latitude.clamp(-89.9, 89.9) + 0.1 * dice.f64(), near.longitude);
        AvailabilityQuery {
            state: dice.bool().then(|| STATES[dice.usize(0..3)].to_owned()),
            plug: dice.bool().then(|| PLUGS[dice.usize(0..3)]),
            power_kw_min: dice.bool().then_some(50.0),
            near: dice.bool().then_some(Near { latitude, longitude, radius_km }),
            limit: Some(dice.usize(1..20)),
            ..AvailabilityQuery::default()
        }
    }

    #[test]
    fn pages_are_what_a_look_at_every_evse_finds() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut dice = fastrand::Rng::with_seed(seed);
        let stations = stations(300, &mut dice);
        let offer = Offer::new(stations.clone());
        for _ in 0..500 {
            let mut query = question(&stations, &mut dice);
            let all =
                stations.iter().flat_map(|station| station.evses.iter().map(move |evse| (station, evse)));
            let matching = all.filter(|(station, evse)| matches(&query, station, evse));
            let mut expected: Vec<&str> = matching.map(|(_, evse)| evse.id.as_str()).collect();
            expected.sort_unstable();
            let (most, mut found) = (query.limit.unwrap(), Vec::new());
            loop {
                let page = offer.points(&query);
                assert!(page.next.is_none() || page.points.len() == most, "{query:?}");
                found.extend(page.points.iter().map(|point| point.ponto_id.to_string()));
                assert!(found.len() <= expected.len(), "{query:?}");
                query.cursor = page.next;
                if query.cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, expected, "{query:?}");
        }
    }

    #[test]
    fn little_is_looked_at() {
        let mut dice = fastrand::Rng::with_seed(1);
        let stations = stations(4_000, &mut dice);
        let offer = Offer::new(stations.clone());
        let looked_at = |query: &AvailabilityQuery, few: usize| offer.index.candidates(query, few).len();
        let everything = AvailabilityQuery::default();
        assert_eq!(looked_at(&everything, 100), 6_000);
        let in_state = AvailabilityQuery { state: Some("BA".to_owned()), ..everything.clone() };
        let of_state = stations.iter().filter(|one| one.state == "BA");
        assert_eq!(looked_at(&in_state, 100), of_state.map(|one| one.evses.len()).sum::<usize>());
        let around = |radius_km: f64| Near { latitude: -12.9, longitude: -38.5, radius_km };
        let near = |radius_km| AvailabilityQuery { near: Some(around(radius_km)), ..in_state.clone() };
        let within = |one: &&Station| super::super::distance_km(around(1_500.0), one) <= 1_500.0;
        let expected = stations.iter().filter(within).map(|one| one.evses.len()).sum::<usize>();
        assert!((20..200).contains(&expected), "{expected}");
        assert_eq!(looked_at(&near(1_500.0), 200), expected);
        assert_eq!(looked_at(&near(20_100.0), 200), looked_at(&in_state, 200), "too many are around it");
        let nowhere = AvailabilityQuery { state: Some("XX".to_owned()), ..everything };
        assert_eq!(looked_at(&nowhere, 200), 0);
    }
}
