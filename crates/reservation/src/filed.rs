//! Values under names, where there may be a million. Names are texts that lie elsewhere in memory: to compare one with
//! those on the way down a tree is to wait for memory at each. So they are filed by a hash, which lies in the tree;
//! the text decides only between names of the same hash, whoever chose them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::ids::{RequestId, RequestKey, TripId, VehicleId};

/// A name under which something is filed.
pub(crate) trait Name: Ord + Clone {
    /// Where to look for it: the same for the same name within a run of the program.
    fn place(&self) -> (u64, u64);
}

impl Name for TripId {
    fn place(&self) -> (u64, u64) {
        (hash(self), 0)
    }
}

// All requests of a car lie together.
impl Name for RequestKey {
    fn place(&self) -> (u64, u64) {
        (hash(&self.vehicle), hash(&self.request))
    }
}

/// Values under names, in no order that means anything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Filed<K: Name, V>(BTreeMap<((u64, u64), K), V>);

impl<K: Name, V> Default for Filed<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Name, V> Filed<K, V> {
    pub fn get(&self, name: &K) -> Option<&V> {
        self.0.get(&filed(name))
    }

    pub fn get_mut(&mut self, name: &K) -> Option<&mut V> {
        self.0.get_mut(&filed(name))
    }

    pub fn insert(&mut self, name: K, value: V) {
        self.0.insert((name.place(), name), value);
    }

    /// What is filed under the name; made if there is nothing.
    pub fn get_or_insert_with(&mut self, name: &K, make: impl FnOnce() -> V) -> &mut V {
        self.0.entry(filed(name)).or_insert_with(make)
    }

    pub fn remove(&mut self, name: &K) {
        self.0.remove(&filed(name));
    }

    /// Unless something else has taken its place.
    pub fn remove_if(&mut self, name: &K, is_it: impl FnOnce(&V) -> bool) {
        if self.get(name).is_some_and(is_it) {
            self.remove(name);
        }
    }
}

impl<V> Filed<RequestKey, V> {
    /// All of one car.
    pub fn of_vehicle<'a>(&'a self, vehicle: &VehicleId) -> impl Iterator<Item = (&'a RequestKey, &'a V)> {
        let (place, vehicle) = (hash(vehicle), vehicle.clone());
        // No id comes before this one.
        let first = RequestId::new("0").map(|request| RequestKey { vehicle: vehicle.clone(), request });
        let from = first.into_iter().flat_map(move |first| self.0.range(((place, 0), first)..));
        let there = from.take_while(move |((at, _), _)| at.0 == place);
        let own = there.filter(move |((_, name), _)| name.vehicle == vehicle);
        own.map(|((_, name), value)| (name, value))
    }
}

fn filed<K: Name>(name: &K) -> ((u64, u64), K) {
    (name.place(), name.clone())
}

fn hash(text: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(vehicle: &str, request: &str) -> RequestKey {
        RequestKey { vehicle: vehicle.parse().unwrap(), request: request.parse().unwrap() }
    }

    // A map in the order of the texts knows the answers.
    #[test]
    fn it_is_a_map_and_knows_what_each_car_has() {
        let mut filed: Filed<RequestKey, u32> = Filed::default();
        let mut known: BTreeMap<RequestKey, u32> = BTreeMap::new();
        for number in 0..500u32 {
            let name = key(&format!("carro-{}", number % 7), &format!("{}", number * 37 % 101));
            match number % 4 {
                0 => {
                    filed.remove(&name);
                    known.remove(&name);
                }
                1 => {
                    *filed.get_or_insert_with(&name, || 0) += number;
                    *known.entry(name).or_default() += number;
                }
                _ => {
                    filed.insert(name.clone(), number);
                    known.insert(name, number);
                }
            }
            for (name, value) in &known {
                assert_eq!(filed.get(name), Some(value));
            }
            for car in 0..8 {
                let car: VehicleId = format!("carro-{car}").parse().unwrap();
                let mut own: Vec<_> = filed.of_vehicle(&car).collect();
                own.sort();
                let expected = known.iter().filter(|(name, _)| name.vehicle == car);
                assert_eq!(own, expected.collect::<Vec<_>>());
            }
        }
        let name = key("carro-9", "1");
        filed.insert(name.clone(), 1);
        filed.remove_if(&name, |value| *value == 2);
        assert_eq!(filed.get_mut(&name), Some(&mut 1));
        filed.remove_if(&name, |value| *value == 1);
        assert_eq!(filed.get(&name), None);
    }
}
