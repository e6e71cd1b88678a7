//! How long a drive takes and what it costs the battery.

use crate::problem::Invalid;

/// A place on the map, in degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// -90 to 90.
    pub latitude: f64,
    /// -180 to 180.
    pub longitude: f64,
}

/// A drive without a stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// On the road.
    pub km: f64,
    /// At the wheel.
    pub minutes: f64,
    /// From the battery.
    pub kwh: f64,
}

/// The drives between all points of a problem: the way points first (origin, via points, destination), then the
/// stations, each in its order.
pub trait Legs: Sync {
    /// How many points there are.
    fn points(&self) -> usize;

    /// The drive from one point to another; none if there is no road.
    fn leg(&self, from: usize, to: usize) -> Option<Leg>;

    /// Calls with every point that can be driven to with `kwh` at most.
    fn within(&self, from: usize, kwh: f64, call: &mut dyn FnMut(usize, Leg)) {
        for to in (0..self.points()).filter(|to| *to != from) {
            if let Some(leg) = self.leg(from, to).filter(|leg| leg.kwh <= kwh) {
                call(to, leg);
            }
        }
    }
}

/// Great circles, longer by a factor as roads are. Roads differ: where time is counted, the usual factor is taken; for
/// energy a careful one, so that nobody is left on the road.
#[derive(Clone, Debug)]
pub struct StraightLine {
    // Unit vectors: the angle between two is the arc between the places.
    places: Vec<[f64; 3]>,
    minutes_per_km: f64,
    kwh_per_km: f64,
    heights: Option<Heights>,
}

// Above the sea, where that is known.
#[derive(Clone, Debug)]
struct Heights {
    metres: Vec<Option<f64>>,
    climb: Climb,
}

/// What a metre of height costs the battery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Climb {
    /// From the battery for each metre up, in kWh.
    pub up_kwh: f64,
    /// Back into it for each metre down, in kWh.
    pub down_kwh: f64,
}

/// What a drive downhill takes at least, of what it would on the flat.
const LEAST_DOWNHILL: f64 = 0.3;

/// The mean radius of the earth.
const EARTH_RADIUS_KM: f64 = 6371.0;

impl StraightLine {
    /// Road kilometres for each of the great circle: the mean of real routes in Brazil.
    pub const CIRCUITY: f64 = 1.21;
    /// The same for energy: careful, as five of six real routes are shorter.
    pub const CIRCUITY_CAREFUL: f64 = 1.30;

    /// Drives at a steady speed with a steady consumption for each road kilometre.
    ///
    /// # Errors
    /// A position is none, or a number makes no sense.
    pub fn new(
        points: impl IntoIterator<Item = Position>,
        speed_kmh: f64,
        kwh_per_km: f64,
    ) -> Result<Self, Invalid> {
        Invalid::unless((10.0..=200.0).contains(&speed_kmh), "speed_kmh", "use 10 to 200 km/h")?;
        Invalid::unless(
            (0.02..=5.0).contains(&kwh_per_km),
            "consumption_kwh_per_km",
            "use 0.02 to 5 kWh for each km",
        )?;
        let places: Result<Vec<_>, _> = points.into_iter().map(unit_vector).collect();
        Ok(Self { places: places?, minutes_per_km: 60.0 / speed_kmh, kwh_per_km, heights: None })
    }

    /// The same over hills: heights above the sea in metres, where they are known, in the order of the points.
    ///
    /// # Errors
    /// They are not as many as the points, or a number makes no sense.
    pub fn with_heights(self, metres: Vec<Option<f64>>, climb: Climb) -> Result<Self, Invalid> {
        Invalid::unless(metres.len() == self.places.len(), "heights", "give one for each point")?;
        let on_earth = metres.iter().flatten().all(|one| (-500.0..=9000.0).contains(one));
        Invalid::unless(on_earth, "heights", "use metres from -500 to 9000")?;
        let fine = (0.0..=1.0).contains(&climb.up_kwh) && (0.0..=climb.up_kwh).contains(&climb.down_kwh);
        Invalid::unless(fine, "climb", "use 0 to 1 kWh for a metre, and no more down than up")?;
        Ok(Self { heights: Some(Heights { metres, climb }), ..self })
    }

    fn along(&self, arc_km: f64, from: usize, to: usize) -> Leg {
        let km = arc_km * Self::CIRCUITY;
        let kwh = arc_km * Self::CIRCUITY_CAREFUL * self.kwh_per_km;
        Leg { km, minutes: km * self.minutes_per_km, kwh: self.with_climb(kwh, from, to) }
    }

    // Of the flat energy at least a part remains: brakes give back what a hill gave, not what the air took.
    fn with_climb(&self, flat_kwh: f64, from: usize, to: usize) -> f64 {
        let Some(Heights { metres, climb }) = &self.heights else { return flat_kwh };
        let (Some(Some(start)), Some(Some(end))) = (metres.get(from), metres.get(to)) else {
            return flat_kwh;
        };
        let up = end - start;
        let kwh = if up > 0.0 { up * climb.up_kwh } else { up * climb.down_kwh };
        (flat_kwh + kwh).max(flat_kwh * LEAST_DOWNHILL)
    }

    // More than any two points are apart in height, in kWh.
    fn climb_max(&self) -> f64 {
        let Some(Heights { metres, climb }) = &self.heights else { return 0.0 };
        let highest = metres.iter().flatten().fold(f64::NEG_INFINITY, |most, one| most.max(*one));
        let lowest = metres.iter().flatten().fold(f64::INFINITY, |least, one| least.min(*one));
        (highest - lowest).max(0.0) * climb.up_kwh
    }

    // By how much less than on the flat a drive may take.
    fn least_share(&self) -> f64 {
        if self.heights.is_some() { LEAST_DOWNHILL } else { 1.0 }
    }
}

impl Legs for StraightLine {
    fn points(&self) -> usize {
        self.places.len()
    }

    fn leg(&self, from: usize, to: usize) -> Option<Leg> {
        let (start, end) = (self.places.get(from)?, self.places.get(to)?);
        Some(self.along(arc_km(dot(start, end)), from, to))
    }

    fn within(&self, from: usize, kwh: f64, call: &mut dyn FnMut(usize, Leg)) {
        let Some(start) = self.places.get(from) else { return };
        let reach_km = kwh / (Self::CIRCUITY_CAREFUL * self.kwh_per_km * self.least_share());
        // Compared by cosines, as most pairs are far apart; only the others need the arc itself.
        let least = (reach_km / EARTH_RADIUS_KM).min(std::f64::consts::PI).cos() - 1e-12;
        for (to, place) in self.places.iter().enumerate() {
            let cosine = dot(start, place);
            if cosine >= least && to != from {
                let leg = self.along(arc_km(cosine), from, to);
                if leg.kwh <= kwh {
                    call(to, leg);
                }
            }
        }
    }
}

/// Roads that were measured between the points of a [`StraightLine`], and straight lines where they were not.
#[derive(Clone, Debug)]
pub struct MeasuredRoads {
    straight: StraightLine,
    // Row after row.
    roads: Vec<Road>,
}

/// What is known of the road from one place to another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Road {
    /// Nothing.
    #[default]
    Unknown,
    /// There is none.
    Nowhere,
    /// It is so long.
    Known {
        /// On the road.
        km: f32,
        /// At the speeds that the road allows.
        minutes: f32,
    },
}

impl MeasuredRoads {
    /// What wind, traffic and slopes take beside what the length alone would.
    pub const CAREFUL: f64 = 1.05;

    /// Roads in a square table, row after row.
    ///
    /// # Errors
    /// It is not square, or a number is negative or none.
    pub fn new(straight: StraightLine, roads: Vec<Road>) -> Result<Self, Invalid> {
        let points = straight.points();
        let square = points.checked_mul(points) == Some(roads.len());
        Invalid::unless(square, "legs_km", "give a square table with a row for each point")?;
        let good = |road: &Road| match road {
            Road::Known { km, minutes } => [km, minutes].iter().all(|one| (0.0..=1_000_000.0).contains(*one)),
            Road::Unknown | Road::Nowhere => true,
        };
        Invalid::unless(roads.iter().all(good), "legs_km", "use distances of 0 to 1000000 km")?;
        Ok(Self { straight, roads })
    }

    fn measured(&self, from: usize, to: usize, estimate: Leg) -> Option<Leg> {
        match self.roads[from * self.straight.points() + to] {
            Road::Unknown => Some(estimate),
            Road::Nowhere => None,
            Road::Known { km, minutes } => {
                // Both ends were moved to the nearest road, so that it can come out shorter than the straight line.
                let km = f64::from(km).max(estimate.km / StraightLine::CIRCUITY);
                let minutes = f64::from(minutes).max(km * self.straight.minutes_per_km);
                let kwh = km * Self::CAREFUL * self.straight.kwh_per_km;
                Some(Leg { km, minutes, kwh: self.straight.with_climb(kwh, from, to) })
            }
        }
    }
}

impl Legs for MeasuredRoads {
    fn points(&self) -> usize {
        self.straight.points()
    }

    fn leg(&self, from: usize, to: usize) -> Option<Leg> {
        self.measured(from, to, self.straight.leg(from, to)?)
    }

    fn within(&self, from: usize, kwh: f64, call: &mut dyn FnMut(usize, Leg)) {
        // No road is shorter than the straight line, which over hills may take more than its part of the energy.
        let longer = StraightLine::CIRCUITY_CAREFUL / Self::CAREFUL;
        let most = kwh * longer / self.straight.least_share() + self.straight.climb_max();
        self.straight.within(from, most, &mut |to, estimate| {
            if let Some(leg) = self.measured(from, to, estimate).filter(|leg| leg.kwh <= kwh) {
                call(to, leg);
            }
        });
    }
}

/// Every drive by itself, as a problem file gives them.
#[derive(Clone, Debug)]
pub struct Table {
    points: usize,
    legs: Vec<Option<Leg>>,
}

impl Table {
    /// A square table, row after row; none where there is no road.
    ///
    /// # Errors
    /// It is not square, or a number is negative or none.
    pub fn new(points: usize, legs: Vec<Option<Leg>>) -> Result<Self, Invalid> {
        const FIELD: &str = "legs_km";
        let square = points.checked_mul(points) == Some(legs.len());
        Invalid::unless(square, FIELD, "give a square table with a row for each point")?;
        let good =
            |leg: &Leg| [leg.km, leg.minutes, leg.kwh].iter().all(|one| (0.0..=1_000_000.0).contains(one));
        Invalid::unless(legs.iter().flatten().all(good), FIELD, "use distances of 0 to 20000 km")?;
        Ok(Self { points, legs })
    }
}

impl Legs for Table {
    fn points(&self) -> usize {
        self.points
    }

    fn leg(&self, from: usize, to: usize) -> Option<Leg> {
        if from >= self.points || to >= self.points {
            return None;
        }
        self.legs[from * self.points + to]
    }
}

/// The great circle between two places, in km.
///
/// # Errors
/// A position is none.
pub fn distance_km(from: Position, to: Position) -> Result<f64, Invalid> {
    Ok(arc_km(dot(&unit_vector(from)?, &unit_vector(to)?)))
}

pub(crate) fn unit_vector(position: Position) -> Result<[f64; 3], Invalid> {
    let Position { latitude, longitude } = position;
    Invalid::unless((-90.0..=90.0).contains(&latitude), "latitude", "use degrees from -90 to 90")?;
    Invalid::unless((-180.0..=180.0).contains(&longitude), "longitude", "use degrees from -180 to 180")?;
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    let (height, radius) = latitude.sin_cos();
    Ok([radius * longitude.cos(), radius * longitude.sin(), height])
}

pub(crate) fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn arc_km(cosine: f64) -> f64 {
    EARTH_RADIUS_KM * cosine.clamp(-1.0, 1.0).acos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIFE: Position = Position { latitude: -8.05, longitude: -34.88 };
    const SALVADOR: Position = Position { latitude: -12.97, longitude: -38.50 };

    #[test]
    fn distances_are_those_of_the_map() {
        let km = distance_km(RECIFE, SALVADOR).unwrap();
        assert!((674.0..677.0).contains(&km), "{km}");
        assert!(distance_km(RECIFE, RECIFE).unwrap() < 0.2);
        let far = Position { latitude: f64::NAN, longitude: 0.0 };
        assert_eq!(distance_km(RECIFE, far).unwrap_err().field, "latitude");
    }

    #[test]
    fn both_ways_of_asking_find_the_same() {
        let mut random = fastrand::Rng::with_seed(1);
        let point = |random: &mut fastrand::Rng| Position {
            latitude: random.f64() * 20.0 - 20.0,
            longitude: random.f64() * 20.0 - 55.0,
        };
        let points: Vec<_> = (0..200).map(|_| point(&mut random)).collect();
        let legs = StraightLine::new(points, 80.0, 0.17).unwrap();
        let metres = (0..200).map(|_| (random.u8(0..3) > 0).then(|| random.f64() * 1500.0)).collect();
        let hills = legs.clone().with_heights(metres, Climb { up_kwh: 0.006, down_kwh: 0.004 }).unwrap();
        let road = |(from, to): (usize, usize)| match random.u8(0..4) {
            0 => Road::Unknown,
            1 => Road::Nowhere,
            // Down to less than the straight line, which is not believed.
            _ => {
                let km = legs.leg(from, to).unwrap().km * (0.5 + random.f64());
                Road::Known { km: km as f32, minutes: (km * random.f64()) as f32 }
            }
        };
        let pairs = (0..200).flat_map(|from| (0..200).map(move |to| (from, to)));
        let table: Vec<Road> = pairs.map(road).collect();
        let roads = MeasuredRoads::new(legs.clone(), table.clone()).unwrap();
        let hilly_roads = MeasuredRoads::new(hills.clone(), table).unwrap();
        for kwh in [0.0, 5.0, 40.0, 1e9] {
            for legs in [&legs as &dyn Legs, &hills, &roads, &hilly_roads] {
                let mut near = Vec::new();
                legs.within(7, kwh, &mut |to, leg| near.push((to, leg)));
                let all = (0..legs.points()).filter(|to| *to != 7);
                let all = all.filter_map(|to| Some((to, legs.leg(7, to)?)));
                assert_eq!(near, all.filter(|(_, leg)| leg.kwh <= kwh).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn up_takes_more_than_down_gives_back() {
        let climb = Climb { up_kwh: 0.006, down_kwh: 0.004 };
        let flat = StraightLine::new([RECIFE, SALVADOR, RECIFE], 90.0, 0.15).unwrap();
        let hills = flat.clone().with_heights(vec![Some(0.0), Some(1000.0), None], climb).unwrap();
        let kwh = |legs: &StraightLine, from, to| legs.leg(from, to).unwrap().kwh;
        assert!((kwh(&hills, 0, 1) - kwh(&flat, 0, 1) - 6.0).abs() < 1e-9);
        assert!((kwh(&flat, 1, 0) - kwh(&hills, 1, 0) - 4.0).abs() < 1e-9);
        assert_eq!(kwh(&hills, 1, 2), kwh(&flat, 1, 2), "where a height is not known, there are no hills");
        let steep = Climb { up_kwh: 1.0, down_kwh: 1.0 };
        let steep = flat.clone().with_heights(vec![Some(0.0), Some(1000.0), None], steep).unwrap();
        assert!(
            (kwh(&steep, 1, 0) / kwh(&flat, 1, 0) - LEAST_DOWNHILL).abs() < 1e-9,
            "nobody arrives with more"
        );
        for (metres, climb) in [
            (vec![None; 2], climb),
            (vec![Some(f64::NAN), None, None], climb),
            (vec![None; 3], Climb { up_kwh: 0.004, down_kwh: 0.006 }),
            (vec![None; 3], Climb { up_kwh: -1.0, down_kwh: 0.0 }),
        ] {
            assert!(flat.clone().with_heights(metres, climb).is_err());
        }
    }

    #[test]
    fn a_measured_road_is_as_long_as_it_is() {
        let legs = StraightLine::new([RECIFE, SALVADOR], 100.0, 0.2).unwrap();
        let estimate = legs.leg(0, 1).unwrap();
        let known =
            |km, minutes| vec![Road::Unknown, Road::Known { km, minutes }, Road::Nowhere, Road::Unknown];
        let roads = MeasuredRoads::new(legs.clone(), known(800.0, 600.0)).unwrap();
        let leg = roads.leg(0, 1).unwrap();
        assert_eq!((leg.km, leg.minutes), (800.0, 600.0), "slower than the driver would");
        assert!((leg.kwh - 800.0 * 0.2 * 1.05).abs() < 1e-9);
        assert_eq!(roads.leg(1, 0), None);
        let fast = MeasuredRoads::new(legs.clone(), known(800.0, 60.0)).unwrap();
        assert_eq!(fast.leg(0, 1).unwrap().minutes, 480.0, "no faster than the driver does");
        let short = MeasuredRoads::new(legs.clone(), known(1.0, 1.0)).unwrap().leg(0, 1).unwrap();
        assert!((short.km - estimate.km / StraightLine::CIRCUITY).abs() < 1e-9);
        let unknown = MeasuredRoads::new(legs.clone(), vec![Road::Unknown; 4]).unwrap();
        assert_eq!(unknown.leg(0, 1), Some(estimate));
        for bad in [vec![Road::Unknown; 3], known(f32::NAN, 1.0), known(1.0, -1.0)] {
            assert_eq!(MeasuredRoads::new(legs.clone(), bad).unwrap_err().field, "legs_km");
        }
    }
}
