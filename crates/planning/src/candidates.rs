//! Which stations of a whole country matter for a journey.

use crate::legs::{Position, arc_km, dot, unit_vector};
use crate::problem::Invalid;

/// A station on the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Where it is.
    pub position: Position,
    /// The most that the car could take here, in kW; zero where it cannot charge.
    pub kw: f64,
    /// How many cars can charge at the same time.
    pub chargers: usize,
}

/// How much of the country is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corridor {
    /// How much longer than the straight way a way over a station may be.
    pub stretch: f64,
    /// And that much in km beside.
    pub slack_km: f64,
    /// Length of a cell's side in km, in which only the best stations are taken.
    pub cell_km: f64,
    /// How many of them.
    pub per_cell: usize,
}

impl Default for Corridor {
    fn default() -> Self {
        Self { stretch: 1.06, slack_km: 40.0, cell_km: 25.0, per_cell: 3 }
    }
}

/// Stations in cells of a degree, so that a corridor is found without looking at the whole country.
#[derive(Clone, Debug)]
pub struct SpotIndex {
    places: Vec<[f64; 3]>,
    // Indices of spots, by whole degrees of latitude and longitude.
    cells: Vec<Vec<u32>>,
}

const LONGITUDES: usize = 361;
const KM_PER_DEGREE: f64 = 111.2;

impl SpotIndex {
    /// Sorts the places into cells.
    ///
    /// # Errors
    /// A position is none.
    pub fn new(places: impl IntoIterator<Item = Position>) -> Result<Self, Invalid> {
        let mut index = Self { places: Vec::new(), cells: vec![Vec::new(); 181 * LONGITUDES] };
        for (number, place) in places.into_iter().enumerate() {
            index.places.push(unit_vector(place)?);
            index.cells[cell(place.latitude, place.longitude)].push(number as u32);
        }
        Ok(index)
    }

    /// The stations that matter between way points, in ascending order. `spot` tells what is at an index.
    ///
    /// # Errors
    /// A way point is no position.
    pub fn corridor(
        &self,
        waypoints: &[Position],
        corridor: Corridor,
        spot: impl Fn(usize) -> Spot,
    ) -> Result<Vec<usize>, Invalid> {
        let mut found = Vec::new();
        for two in waypoints.windows(2) {
            self.between(two[0], two[1], corridor, &mut found)?;
        }
        found.sort_unstable();
        found.dedup();
        Ok(thin(found, corridor, spot))
    }

    fn between(
        &self,
        from: Position,
        to: Position,
        corridor: Corridor,
        found: &mut Vec<usize>,
    ) -> Result<(), Invalid> {
        let (start, end) = (unit_vector(from)?, unit_vector(to)?);
        let straight = arc_km(dot(&start, &end));
        let longest = straight * corridor.stretch + corridor.slack_km;
        // The ellipse fits into a box around both places that is wider by half of what the way may be longer, and by
        // the bulge of the great circle.
        let bulge = (longest * longest - straight * straight).max(0.0).sqrt() / 2.0;
        let margin = (longest - straight) / 2.0 + bulge + straight * straight / 50_000.0;
        let degrees = margin / KM_PER_DEGREE;
        let (south, north) = bounds(from.latitude, to.latitude, degrees, 90.0);
        let widest = south.abs().max(north.abs()).min(85.0).to_radians().cos();
        let (west, east) = bounds(from.longitude, to.longitude, degrees / widest, 180.0);
        for latitude in south.floor() as i32..=north.floor() as i32 {
            for longitude in west.floor() as i32..=east.floor() as i32 {
                for spot in &self.cells[cell(f64::from(latitude), f64::from(longitude))] {
                    let place = &self.places[*spot as usize];
                    if arc_km(dot(&start, place)) + arc_km(dot(place, &end)) <= longest {
                        found.push(*spot as usize);
                    }
                }
            }
        }
        Ok(())
    }
}

fn bounds(a: f64, b: f64, margin: f64, most: f64) -> (f64, f64) {
    ((a.min(b) - margin).max(-most), (a.max(b) + margin).min(most))
}

fn cell(latitude: f64, longitude: f64) -> usize {
    let row = (latitude.floor() + 90.0).clamp(0.0, 180.0) as usize;
    let column = (longitude.floor() + 180.0).clamp(0.0, (LONGITUDES - 1) as f64) as usize;
    row * LONGITUDES + column
}

// Of each cell the best: much power, and several chargers, as one of them may be free.
fn thin(found: Vec<usize>, corridor: Corridor, spot: impl Fn(usize) -> Spot) -> Vec<usize> {
    let mut ranked: Vec<((i64, i64), f64, usize)> = Vec::new();
    for number in found {
        let Spot { position, kw, chargers } = spot(number);
        if kw > 0.0 {
            let across = KM_PER_DEGREE * position.latitude.to_radians().cos();
            let row = (position.latitude * KM_PER_DEGREE / corridor.cell_km).floor() as i64;
            let column = (position.longitude * across / corridor.cell_km).floor() as i64;
            ranked.push(((row, column), kw * (chargers as f64).sqrt(), number));
        }
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let mut kept = Vec::new();
    for cell in ranked.chunk_by(|a, b| a.0 == b.0) {
        kept.extend(cell.iter().take(corridor.per_cell).map(|(_, _, number)| *number));
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legs::distance_km;

    #[test]
    fn the_index_finds_what_a_look_at_every_station_finds() {
        let mut random = fastrand::Rng::with_seed(4);
        let place = |random: &mut fastrand::Rng| Position {
            latitude: random.f64() * 38.0 - 33.0,
            longitude: random.f64() * 39.0 - 73.0,
        };
        let places: Vec<_> = (0..4000).map(|_| place(&mut random)).collect();
        let index = SpotIndex::new(places.iter().copied()).unwrap();
        let all = Corridor { per_cell: usize::MAX, ..Corridor::default() };
        let spot = |at: usize| Spot { position: places[at], kw: 50.0, chargers: 1 };
        for _ in 0..40 {
            let (from, to) = (place(&mut random), place(&mut random));
            let longest = distance_km(from, to).unwrap() * all.stretch + all.slack_km;
            let km =
                |at: usize| distance_km(from, places[at]).unwrap() + distance_km(places[at], to).unwrap();
            let expected: Vec<usize> = (0..places.len()).filter(|at| km(*at) <= longest).collect();
            assert_eq!(index.corridor(&[from, to], all, spot).unwrap(), expected, "{from:?} {to:?}");
            let thinned = index.corridor(&[from, to], Corridor::default(), spot).unwrap();
            assert!(thinned.iter().all(|at| expected.contains(at)));
        }
    }

    #[test]
    fn of_a_cell_the_strongest_are_kept() {
        let here = Position { latitude: -10.01, longitude: -40.01 };
        let kws = [22.0, 150.0, 0.0, 60.0, 50.0, 50.0];
        let chargers = [1, 1, 9, 4, 1, 2];
        let index = SpotIndex::new(kws.map(|_| here)).unwrap();
        let spot = |at: usize| Spot { position: here, kw: kws[at], chargers: chargers[at] };
        let kept = index.corridor(&[here, here], Corridor::default(), spot).unwrap();
        assert_eq!(kept, [1, 3, 5], "150 kW, 60 kW four times, 50 kW twice");
    }
}
