//! What was worked out for journeys of late, for those that ask alike: another hour or another charge changes nothing
//! of it, and neither does what becomes free or is taken.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use recarga_planning::{Connector, Outlook, Problem, Settings, Station};
use twox_hash::XxHash3_64;

use crate::roads::{Going, Place};

/// Stations of all outlooks that are kept. Each takes some 13 kB of an outlook, so all take 200 MB at most.
const STATIONS_KEPT: usize = 16_000;
/// Outlooks of more stations are not kept: what they take grows faster than the stations.
const STATIONS_MAX: usize = 1_000;

/// The last of them, the latest in front.
#[derive(Debug, Default)]
pub struct Outlooks(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    key: Key,
    stations: usize,
    outlook: Arc<Outlook>,
}

/// All that an outlook depends on, in 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u64, u64);

impl Key {
    /// Of a problem whose roads are those between `places`.
    pub fn of(
        problem: &Problem,
        places: impl Iterator<Item = Place> + Clone,
        going: Going,
        are_roads_measured: bool,
    ) -> Self {
        let hash = |seed: u64| {
            let mut hasher = XxHash3_64::with_seed(seed);
            are_roads_measured.hash(&mut hasher);
            for Place { position, altitude } in places.clone() {
                number(&mut hasher, position.latitude);
                number(&mut hasher, position.longitude);
                number(&mut hasher, altitude.unwrap_or(f64::NAN));
            }
            number(&mut hasher, going.climb.up_kwh);
            number(&mut hasher, going.climb.down_kwh);
            number(&mut hasher, going.speed_kmh);
            number(&mut hasher, going.kwh_per_km);
            number(&mut hasher, problem.arrive_kwh);
            problem.vias.hash(&mut hasher);
            format!("{:?}", problem.vehicle).hash(&mut hasher);
            let Settings { stops_max, setup_minutes, objective, .. } = &problem.settings;
            stops_max.hash(&mut hasher);
            number(&mut hasher, *setup_minutes);
            number(&mut hasher, objective.price_weight);
            number(&mut hasher, objective.stop_minutes);
            problem.stations.iter().for_each(|one| station(&mut hasher, one));
            hasher.finish()
        };
        Self(hash(0), hash(1))
    }
}

impl Outlooks {
    /// That of the same problem before, or a new one.
    ///
    /// # Errors
    /// Those of making it.
    pub fn get<E>(
        &self,
        key: Key,
        stations: usize,
        make: impl FnOnce() -> Result<Outlook, E>,
    ) -> Result<Arc<Outlook>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|one| one.key == key)
            && let Some(found) = kept.remove(at)
        {
            let outlook = found.outlook.clone();
            kept.push_front(found);
            return Ok(outlook);
        }
        drop(kept);
        let outlook = Arc::new(make()?);
        if stations <= STATIONS_MAX {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_front(Kept { key, stations, outlook: outlook.clone() });
            while kept.iter().map(|one| one.stations).sum::<usize>() > STATIONS_KEPT {
                kept.pop_back();
            }
        }
        Ok(outlook)
    }
}

fn number(hasher: &mut XxHash3_64, number: f64) {
    number.to_bits().hash(hasher);
}

// But for what is free.
fn station(hasher: &mut XxHash3_64, station: &Station) {
    number(hasher, station.penalty_minutes);
    station.evses.len().hash(hasher);
    for evse in &station.evses {
        evse.connectors.len().hash(hasher);
        for Connector { plug, kw, tariff, .. } in &evse.connectors {
            plug.hash(hasher);
            number(hasher, *kw);
            number(hasher, tariff.per_kwh);
            number(hasher, tariff.activation);
            tariff.bands.len().hash(hasher);
            for band in &tariff.bands {
                (band.from_minute, band.to_minute).hash(hasher);
                number(hasher, band.per_kwh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use recarga_planning::{Band, Climb, Evse, Position, StraightLine, Tariff, Vehicle};
    use recarga_reservation::{Plug, TimeWindow, Timestamp};

    use super::*;

    const PLACES: [Position; 3] = [
        Position { latitude: -8.0, longitude: -35.0 },
        Position { latitude: -9.0, longitude: -35.5 },
        Position { latitude: -8.5, longitude: -35.2 },
    ];
    const CLIMB: Climb = Climb { up_kwh: 0.005, down_kwh: 0.003 };
    const GOING: Going = Going { speed_kmh: 90.0, kwh_per_km: 0.15, climb: CLIMB, range_km: 300.0 };

    fn places() -> impl DoubleEndedIterator<Item = Place> + Clone {
        PLACES.into_iter().map(|position| Place { position, altitude: None })
    }

    fn problem() -> Problem {
        let connector = Connector { plug: Plug::CCS2, kw: 60.0, tariff: Tariff::default(), measured: None };
        let evse = Evse { connectors: vec![connector], free: vec![] };
        Problem {
            vehicle: Vehicle::new(50.0, 5.0, vec![Plug::CCS2], vec![(0.0, 60.0)]).unwrap(),
            departure: Timestamp::from_millis(0),
            charge_kwh: 20.0,
            arrive_kwh: 5.0,
            vias: 0,
            stations: vec![Station { utc_offset_minutes: 0, penalty_minutes: 0.0, evses: vec![evse] }],
            settings: Settings::default(),
        }
    }

    fn key(problem: &Problem) -> Key {
        Key::of(problem, places(), GOING, false)
    }

    #[test]
    fn only_hours_and_charges_and_calendars_make_no_difference() {
        let known = key(&problem());
        type Change = fn(&mut Problem);
        let same: [Change; 4] = [
            |problem| problem.departure = Timestamp::from_millis(1),
            |problem| problem.charge_kwh = 30.0,
            |problem| {
                let window = TimeWindow::new(Timestamp::from_millis(0), Timestamp::from_millis(9)).unwrap();
                problem.stations[0].evses[0].free.push(window);
            },
            |problem| problem.settings.wait_minutes_max = 60.0,
        ];
        let others: [Change; 11] = [
            |problem| problem.vehicle = Vehicle::new(51.0, 5.0, vec![Plug::CCS2], vec![(0.0, 60.0)]).unwrap(),
            |problem| problem.arrive_kwh = 6.0,
            |problem| problem.vias = 1,
            |problem| problem.settings.stops_max = 3,
            |problem| problem.settings.objective.price_weight = 1.0,
            |problem| problem.settings.objective.stop_minutes = 1.0,
            |problem| problem.stations[0].penalty_minutes = 1.0,
            |problem| problem.stations[0].evses[0].connectors[0].kw = 61.0,
            |problem| problem.stations[0].evses[0].connectors[0].plug = Plug::TYPE2,
            |problem| problem.stations[0].evses[0].connectors[0].tariff.activation = 1.0,
            |problem| {
                let band = Band { from_minute: 0, to_minute: 60, per_kwh: 1.0 };
                problem.stations[0].evses[0].connectors[0].tariff.bands.push(band);
            },
        ];
        let changed = |change: &Change| {
            let mut problem = problem();
            change(&mut problem);
            key(&problem)
        };
        assert!(same.iter().all(|change| changed(change) == known));
        assert!(others.iter().all(|change| changed(change) != known));
        let fast = Going { speed_kmh: 91.0, ..GOING };
        assert_ne!(Key::of(&problem(), places(), fast, false), known);
        assert_ne!(Key::of(&problem(), places(), GOING, true), known);
        assert_ne!(Key::of(&problem(), places().rev(), GOING, false), known);
        let high = places().map(|place| Place { altitude: Some(700.0), ..place });
        assert_ne!(Key::of(&problem(), high, GOING, false), known);
    }

    #[test]
    fn the_latest_are_kept() {
        let outlooks = Outlooks::default();
        let made = |number: u64, stations: usize| {
            let mut is_new = false;
            let make = || {
                is_new = true;
                Outlook::new(&problem(), &StraightLine::new(PLACES, 90.0, 0.15)?)
            };
            outlooks.get(Key(number, 0), stations, make).unwrap();
            is_new
        };
        assert!(made(0, 1000) && !made(0, 1000));
        assert!((1..16).all(|number| made(number, 1000)));
        assert!(!made(0, 1000), "asked for again, it is the latest");
        assert!(made(100, 1) && made(1, 1000), "of others the oldest was let go");
        assert!(!made(0, 1000) && !made(100, 1));
        assert!(made(200, STATIONS_MAX + 1) && made(200, STATIONS_MAX + 1), "too large to keep");
    }
}
