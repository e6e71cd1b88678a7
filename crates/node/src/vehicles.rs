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

/// When the registry is full, one in so many makes room: to look for the most silent ones costs a walk over all.
const MAKES_ROOM: usize = 16;

/// The registry, for at most `most` cars: when it is full, those that have been silent longest go.
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

    /// How many cars are remembered at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Cars say how they are: one lock for all of them. `counts` says what counts where a car was known already; none
    /// if that stays as it was.
    pub fn see(
        &self,
        said: impl IntoIterator<Item = (VehicleId, S)>,
        now: Timestamp,
        counts: impl Fn(&S, S) -> Option<S>,
    ) {
        let mut cars = self.cars.lock().unwrap_or_else(PoisonError::into_inner);
        for (vehicle, status) in said {
            if cars.len() >= self.most && !cars.contains_key(&vehicle) {
                make_room(&mut cars, self.most / MAKES_ROOM);
            }
            let status = match cars.get(&vehicle) {
                Some(known) => counts(&known.status, status),
                None => Some(status),
            };
            if let Some(status) = status {
                cars.insert(vehicle, Sighting { status, received: now });
            }
        }
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

// At least one goes, and of those that have been silent equally long as many as it takes.
fn make_room<S>(cars: &mut HashMap<VehicleId, Sighting<S>>, room: usize) {
    let mut times: Vec<Timestamp> = cars.values().map(|seen| seen.received).collect();
    if times.is_empty() {
        return;
    }
    let room = room.clamp(1, times.len());
    let (_, last, _) = times.select_nth_unstable(room - 1);
    let (last, mut left) = (*last, room);
    let earlier = cars.len();
    cars.retain(|_, seen| seen.received >= last);
    left -= (earlier - cars.len()).min(left);
    cars.retain(|_, seen| {
        let goes = left > 0 && seen.received == last;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn car(number: usize) -> VehicleId {
        VehicleId::new(&format!("car-{number}")).unwrap()
    }

    #[expect(clippy::unnecessary_wraps, reason = "others say that nothing changes")]
    fn newest(_: &usize, said: usize) -> Option<usize> {
        Some(said)
    }

    #[test]
    fn the_most_silent_make_room_and_no_more_than_a_sixteenth() {
        let vehicles = Vehicles::new(32);
        for number in 0..32 {
            vehicles.see([(car(number), number)], Timestamp::from_millis(number as i64), newest);
        }
        // Who speaks is silent no longer.
        vehicles.see([(car(0), 100)], Timestamp::from_millis(50), newest);
        vehicles.see([(car(32), 32)], Timestamp::from_millis(51), newest);
        let known = |number| vehicles.get(&car(number)).is_some();
        assert!(known(0) && !known(1) && !known(2) && known(3) && known(32));
        assert_eq!(vehicles.count(), 31);
        let crowd = (100..1100).map(|number| (car(number), number));
        vehicles.see(crowd, Timestamp::from_millis(52), newest);
        assert!(vehicles.count() <= 32 && known(1099), "{}", vehicles.count());
        let smallest = Vehicles::new(1);
        smallest.see([(car(1), 1), (car(2), 2)], Timestamp::from_millis(0), newest);
        assert_eq!((smallest.count(), smallest.get(&car(2)).map(|seen| seen.status)), (1, Some(2)));
    }
}
