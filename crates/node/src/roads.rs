//! How long roads are: straight lines with factors that were measured, or a routing service that the operator names.

mod dialect;
mod service;

use std::fmt;

use async_trait::async_trait;
use recarga_planning::{Climb, Invalid, Legs, Position, StraightLine};

pub use dialect::Dialect;
pub use service::{RoadLimits, RoadService};

/// The drives between some places.
pub struct Roads {
    /// In the order of the places.
    pub legs: Box<dyn Legs + Send>,
    /// Whether a routing service said how long all roads are that the car could drive.
    pub measured: bool,
    /// Whether whoever asks again is told the same.
    pub is_settled: bool,
}

/// A place on the road.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Where.
    pub position: Position,
    /// In metres above the sea, where that is known.
    pub altitude: Option<f64>,
}

/// How a car drives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Going {
    /// Where the road allows it.
    pub speed_kmh: f64,
    /// On the flat.
    pub kwh_per_km: f64,
    /// Over hills.
    pub climb: Climb,
    /// How far it comes with a full battery; longer roads need not be known.
    pub range_km: f64,
}

/// How long roads are.
#[async_trait]
pub trait RoadDistance: fmt::Debug + Send + Sync {
    /// The drives between these places. Never fails because roads are not known: then they are estimated.
    ///
    /// # Errors
    /// A place or a number that makes no sense.
    async fn between(&self, places: Vec<Place>, going: Going) -> Result<Roads, Invalid>;
}

/// Great circles, longer as roads usually are.
#[derive(Clone, Copy, Debug)]
pub struct Estimated;

#[async_trait]
impl RoadDistance for Estimated {
    async fn between(&self, places: Vec<Place>, going: Going) -> Result<Roads, Invalid> {
        let legs = estimate(&places, going)?;
        Ok(Roads { legs: Box::new(legs), measured: false, is_settled: true })
    }
}

fn estimate(places: &[Place], going: Going) -> Result<StraightLine, Invalid> {
    let positions = places.iter().map(|place| place.position);
    let legs = StraightLine::new(positions, going.speed_kmh, going.kwh_per_km)?;
    let known = places.iter().filter(|place| place.altitude.is_some()).count();
    // Hills cost the search time, so only where there are some.
    match known {
        0 | 1 => Ok(legs),
        _ => legs.with_heights(places.iter().map(|place| place.altitude).collect(), going.climb),
    }
}
