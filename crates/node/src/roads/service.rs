//! A routing service, and what it has said so far.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::connect::Connect;
use recarga_planning::{Invalid, Legs, MeasuredRoads, Position, Road, StraightLine};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::dialect::{Dialect, Question};
use super::{Going, Place, RoadDistance, Roads, estimate};
use crate::outgoing::{Outgoing, OutgoingLimits};

/// From and to how many places is asked in one request: what such services usually allow.
const BLOCK: usize = 100;
/// Longest answer that is read: a table of 100 by 100 with room to spare.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Roads that are remembered: some 60 bytes each with what the table leaves free, so 120 MB. Then all are forgotten.
const ROADS_MAX: usize = 2_000_000;

/// How long is waited for roads, and for how many.
#[derive(Clone, Copy, Debug)]
pub struct RoadLimits {
    /// For all roads of a journey; what has not come by then is estimated.
    pub answer_max: Duration,
    /// Places of a journey; the roads between more are estimated.
    pub places_max: usize,
}

/// A routing service.
pub struct RoadService<C> {
    outgoing: Outgoing<C>,
    dialect: Dialect,
    url: String,
    limits: RoadLimits,
    known: Arc<Known>,
}

// What the service has said so far.
#[derive(Default)]
struct Known(Mutex<HashMap<(Spot, Spot), Road>>);

// A place to about a metre.
type Spot = (i32, i32);

impl<C: Connect + Clone + Send + Sync + 'static> RoadService<C> {
    /// The service at `http://host:port` or a path below it.
    pub fn new(dialect: Dialect, url: &str, connector: C, limits: RoadLimits) -> Self {
        let of_answers =
            OutgoingLimits { answer_max: limits.answer_max, bytes_max: ANSWER_BYTES_MAX, idle_max: 2 };
        let url = url.trim_end_matches('/').to_owned();
        Self { outgoing: Outgoing::new(connector, of_answers), dialect, url, limits, known: Arc::default() }
    }

    // Asks for what is not known yet. What was answered is remembered, also if the rest does not come in time.
    async fn learn(&self, way: &Way, blocks: Vec<Block>) {
        let asked = timeout(self.limits.answer_max, async {
            for (from, to) in blocks {
                let (from, to) = (way.pick(&from), way.pick(&to));
                match self.ask(&from, &to).await {
                    Ok(roads) => self.known.remember(&from, &to, &roads),
                    Err(reason) => return warn!(url = self.url, reason, "roads are estimated"),
                }
            }
        });
        if asked.await.is_err() {
            debug!(url = self.url, "not all roads were answered in time; the rest is estimated");
        }
    }

    async fn ask(&self, from: &[Position], to: &[Position]) -> Result<Vec<Vec<Road>>, String> {
        let Question { path, body } = self.dialect.ask(from, to);
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| error.to_string())?;
        let (head, answer) = self.outgoing.carry(request).await?;
        if head.status != StatusCode::OK {
            let told = String::from_utf8_lossy(&answer[..answer.len().min(200)]).into_owned();
            return Err(format!("status {}: {told}", head.status));
        }
        self.dialect.read(&answer, from.len(), to.len())
    }
}

impl Known {
    // Tables in which something is missing: neighbours in the list of stations are often neighbours on the map.
    fn missing(&self, way: &Way) -> Vec<Block> {
        let known = self.lock();
        let is_missing =
            |from: usize, to: usize| way.has(from, to) && !known.contains_key(&way.key(from, to));
        let count = way.places.len();
        let mut blocks = Vec::new();
        for first in (0..count).step_by(BLOCK) {
            let rows: Vec<usize> = (first..count.min(first + BLOCK)).collect();
            let columns = (0..count).filter(|to| rows.iter().any(|from| is_missing(*from, *to)));
            for columns in columns.collect::<Vec<_>>().chunks(BLOCK) {
                let missing = |from: &&usize| columns.iter().any(|to| is_missing(**from, *to));
                blocks.push((rows.iter().filter(missing).copied().collect(), columns.to_vec()));
            }
        }
        blocks
    }

    fn remember(&self, from: &[Position], to: &[Position], roads: &[Vec<Road>]) {
        let mut known = self.lock();
        if known.len() + from.len() * to.len() > ROADS_MAX {
            known.clear();
        }
        for (from, row) in from.iter().zip(roads) {
            known.extend(to.iter().zip(row).map(|(to, road)| ((spot(*from), spot(*to)), *road)));
        }
    }

    // Row after row, and whether all that are wanted are there.
    fn table(&self, way: &Way) -> (Vec<Road>, bool) {
        let known = self.lock();
        let count = way.places.len();
        let mut roads = vec![Road::Unknown; count * count];
        let mut all = true;
        for from in 0..count {
            for to in (0..count).filter(|to| way.has(from, *to)) {
                match known.get(&way.key(from, to)) {
                    Some(road) => roads[from * count + to] = *road,
                    None => all = false,
                }
            }
        }
        (roads, all)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Spot, Spot), Road>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> RoadDistance for RoadService<C> {
    async fn between(&self, places: Vec<Place>, going: Going) -> Result<Roads, Invalid> {
        let straight = estimate(&places, going)?;
        if places.len() > self.limits.places_max {
            debug!(places = places.len(), "too many places to ask for the roads between them");
            return Ok(estimated(straight));
        }
        // With hundreds of places that is some milliseconds' work, for which nobody else should wait.
        let known = self.known.clone();
        let looked = spawn_blocking(move || {
            let way = Way::new(&places, going)?;
            let blocks = known.missing(&way);
            Ok((way, blocks))
        });
        // A node that stops works nothing out any longer.
        let Ok(looked) = looked.await else { return Ok(estimated(straight)) };
        let (way, blocks) = looked?;
        self.learn(&way, blocks).await;
        let (known, basis) = (self.known.clone(), straight.clone());
        let joined = spawn_blocking(move || {
            let (roads, measured) = known.table(&way);
            let legs = MeasuredRoads::new(basis, roads)?;
            // What is still estimated may be known the next time.
            Ok(Roads { legs: Box::new(legs), measured, is_settled: measured })
        });
        joined.await.unwrap_or_else(|_| Ok(estimated(straight)))
    }
}

// For now: the next time more may be known.
fn estimated(straight: StraightLine) -> Roads {
    Roads { legs: Box::new(straight), measured: false, is_settled: false }
}

impl<C> fmt::Debug for RoadService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoadService")
            .field("dialect", &self.dialect)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

// From some places to others, by their numbers.
type Block = (Vec<usize>, Vec<usize>);

// Places, and between which of them a full battery could last.
struct Way {
    places: Vec<Position>,
    within_range: Vec<bool>,
}

impl Way {
    fn new(places: &[Place], going: Going) -> Result<Self, Invalid> {
        let places: Vec<Position> = places.iter().map(|place| place.position).collect();
        let straight = StraightLine::new(places.iter().copied(), going.speed_kmh, going.kwh_per_km)?;
        let mut within_range = vec![false; places.len() * places.len()];
        // No road is shorter than the straight line, of which the estimate takes more.
        let most_kwh = going.range_km * going.kwh_per_km * StraightLine::CIRCUITY_CAREFUL;
        for from in 0..places.len() {
            straight.within(from, most_kwh, &mut |to, _| within_range[from * places.len() + to] = true);
        }
        Ok(Self { places, within_range })
    }

    fn has(&self, from: usize, to: usize) -> bool {
        self.within_range[from * self.places.len() + to]
    }

    fn key(&self, from: usize, to: usize) -> (Spot, Spot) {
        (spot(self.places[from]), spot(self.places[to]))
    }

    fn pick(&self, numbers: &[usize]) -> Vec<Position> {
        numbers.iter().map(|at| self.places[*at]).collect()
    }
}

fn spot(place: Position) -> Spot {
    let degrees = |degrees: f64| (degrees * 1e5).round() as i32;
    (degrees(place.latitude), degrees(place.longitude))
}
