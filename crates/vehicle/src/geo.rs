//! Places on the globe and the road between them.

/// Road kilometres per kilometre of great circle. Over 39,893 pairs of real routes in Brazil the mean is 1.21; a car
/// that must not run empty plans with a little more.
pub const CIRCUITY: f64 = 1.25;

const EARTH_RADIUS_KM: f64 = 6371.0;

/// A place, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Degrees, -90 to 90.
    pub latitude: f64,
    /// Degrees, -180 to 180.
    pub longitude: f64,
}

impl Position {
    /// Kilometres by road: the great circle times [`CIRCUITY`].
    pub fn road_km(self, to: Position) -> f64 {
        self.angle(to) * EARTH_RADIUS_KM * CIRCUITY
    }

    /// The place at `fraction` (0 to 1) of the great circle to `to`.
    #[must_use]
    pub fn towards(self, to: Position, fraction: f64) -> Position {
        let angle = self.angle(to);
        if angle < 1e-9 {
            return if fraction < 0.5 { self } else { to };
        }
        let (from_weight, to_weight) =
            (((1.0 - fraction) * angle).sin() / angle.sin(), (fraction * angle).sin() / angle.sin());
        let (a, b) = (self.vector(), to.vector());
        let [x, y, z] = [0, 1, 2].map(|axis| from_weight * a[axis] + to_weight * b[axis]);
        Position { latitude: z.atan2(x.hypot(y)).to_degrees(), longitude: y.atan2(x).to_degrees() }
    }

    // Radians between the two, by the haversine, which is exact also for near places.
    fn angle(self, to: Position) -> f64 {
        let (from_latitude, to_latitude) = (self.latitude.to_radians(), to.latitude.to_radians());
        let half_latitude = (to_latitude - from_latitude) / 2.0;
        let half_longitude = (to.longitude - self.longitude).to_radians() / 2.0;
        let chord = half_latitude.sin().powi(2)
            + from_latitude.cos() * to_latitude.cos() * half_longitude.sin().powi(2);
        2.0 * chord.clamp(0.0, 1.0).sqrt().asin()
    }

    fn vector(self) -> [f64; 3] {
        let (latitude, longitude) = (self.latitude.to_radians(), self.longitude.to_radians());
        [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_great_circle_is_as_long_as_its_parts() {
        let recife = Position { latitude: -8.05, longitude: -34.9 };
        let salvador = Position { latitude: -12.97, longitude: -38.5 };
        let whole = recife.road_km(salvador);
        assert!((whole / CIRCUITY - 674.0).abs() < 5.0, "{whole}");
        for fraction in [0.0, 0.1, 0.5, 0.93, 1.0] {
            let between = recife.towards(salvador, fraction);
            assert!((recife.road_km(between) - fraction * whole).abs() < 1e-6, "{fraction}");
            assert!((between.road_km(salvador) - (1.0 - fraction) * whole).abs() < 1e-6, "{fraction}");
        }
        assert_eq!(recife.towards(recife, 0.3), recife);
    }
}
