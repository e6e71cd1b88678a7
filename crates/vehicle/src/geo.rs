//! The road between two places.

use recarga_planning::{Position, StraightLine};

const EARTH_RADIUS_KM: f64 = 6371.0;

/// Kilometres by road: the great circle, longer as roads are.
pub fn road_km(from: Position, to: Position) -> f64 {
    angle(from, to) * EARTH_RADIUS_KM * StraightLine::CIRCUITY
}

/// The place at `fraction` (0 to 1) of the great circle from one place to another.
pub fn towards(from: Position, to: Position, fraction: f64) -> Position {
    let angle = angle(from, to);
    if angle < 1e-9 {
        return if fraction < 0.5 { from } else { to };
    }
    let (from_weight, to_weight) =
        (((1.0 - fraction) * angle).sin() / angle.sin(), (fraction * angle).sin() / angle.sin());
    let (a, b) = (vector(from), vector(to));
    let [x, y, z] = [0, 1, 2].map(|axis| from_weight * a[axis] + to_weight * b[axis]);
    Position { latitude: z.atan2(x.hypot(y)).to_degrees(), longitude: y.atan2(x).to_degrees() }
}

// Radians between the two, by the haversine, which is exact also for near places.
fn angle(from: Position, to: Position) -> f64 {
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let half_latitude = (to_latitude - from_latitude) / 2.0;
    let half_longitude = (to.longitude - from.longitude).to_radians() / 2.0;
    let chord =
        half_latitude.sin().powi(2) + from_latitude.cos() * to_latitude.cos() * half_longitude.sin().powi(2);
    2.0 * chord.clamp(0.0, 1.0).sqrt().asin()
}

fn vector(place: Position) -> [f64; 3] {
    let (latitude, longitude) = (place.latitude.to_radians(), place.longitude.to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_great_circle_is_as_long_as_its_parts() {
        let recife = Position { latitude: -8.05, longitude: -34.9 };
        let salvador = Position { latitude: -12.97, longitude: -38.5 };
        let whole = road_km(recife, salvador);
        assert!((whole / StraightLine::CIRCUITY - 674.0).abs() < 5.0, "{whole}");
        for fraction in [0.0, 0.1, 0.5, 0.93, 1.0] {
            let between = towards(recife, salvador, fraction);
            assert!((road_km(recife, between) - fraction * whole).abs() < 1e-6, "{fraction}");
            assert!((road_km(between, salvador) - (1.0 - fraction) * whole).abs() < 1e-6, "{fraction}");
        }
        assert_eq!(towards(recife, recife, 0.3), recife);
    }
}
