//! A routing service, and what it has said so far.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::connect::Connect;
use recarga_planning::{Invalid, MeasuredRoads, Position, Road, distance_km};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::dialect::{Dialect, Question};
use super::{Going, Place, RoadDistance, Roads, estimate};
use crate::outgoing::{Outgoing, OutgoingLimits};

/// From and to how many places is asked in one request: what such services usually allow.
const BLOCK: usize = 100;
/// Longest answer that is read: a table of 100 by 100 with room to spare.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Roads that are remembered, at 24 bytes each and half as much again for the table; then all are forgotten.
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
    known: Mutex<HashMap<(Spot, Spot), Road>>,
}

// A place to about a metre.
type Spot = (i32, i32);

impl<C: Connect + Clone + Send + Sync + 'static> RoadService<C> {
    /// The service at `http://host:port` or a path below it.
    pub fn new(dialect: Dialect, url: &str, connector: C, limits: RoadLimits) -> Self {
        let of_answers =
            OutgoingLimits { answer_max: limits.answer_max, bytes_max: ANSWER_BYTES_MAX, idle_max: 2 };
        let url = url.trim_end_matches('/').to_owned();
        Self { outgoing: Outgoing::new(connector, of_answers), dialect, url, limits, known: Mutex::default() }
    }

    // Asks for what is not known yet. What was answered is remembered, also if the rest does not come in time.
    async fn learn(&self, places: &[Position], wanted: &Wanted) {
        let asked = timeout(self.limits.answer_max, async {
            for (from, to) in self.blocks(places, wanted) {
                let pick = |numbers: &[usize]| numbers.iter().map(|at| places[*at]).collect::<Vec<_>>();
                let (from, to) = (pick(&from), pick(&to));
                match self.ask(&from, &to).await {
                    Ok(roads) => self.remember(&from, &to, &roads),
                    Err(reason) => return warn!(url = self.url, reason, "roads are estimated"),
                }
            }
        });
        if asked.await.is_err() {
            debug!(url = self.url, "not all roads were answered in time; the rest is estimated");
        }
    }

    // Tables in which something is missing: neighbours in the list of stations are often neighbours on the map.
    fn blocks(&self, places: &[Position], wanted: &Wanted) -> Vec<(Vec<usize>, Vec<usize>)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_missing =
            |from: usize, to: usize| wanted.has(from, to) && !known.contains_key(&key(places, from, to));
        let mut blocks = Vec::new();
        for first in (0..places.len()).step_by(BLOCK) {
            let rows: Vec<usize> = (first..places.len().min(first + BLOCK)).collect();
            let columns = (0..places.len()).filter(|to| rows.iter().any(|from| is_missing(*from, *to)));
            for columns in columns.collect::<Vec<_>>().chunks(BLOCK) {
                let missing = |from: &&usize| columns.iter().any(|to| is_missing(**from, *to));
                blocks.push((rows.iter().filter(missing).copied().collect(), columns.to_vec()));
            }
        }
        blocks
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

    fn remember(&self, from: &[Position], to: &[Position], roads: &[Vec<Road>]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + from.len() * to.len() > ROADS_MAX {
            known.clear();
        }
        for (from, row) in from.iter().zip(roads) {
            known.extend(to.iter().zip(row).map(|(to, road)| ((spot(*from), spot(*to)), *road)));
        }
    }

    fn table(&self, places: &[Position], wanted: &Wanted) -> (Vec<Road>, bool) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let count = places.len();
        let mut roads = vec![Road::Unknown; count * count];
        let mut all = true;
        for from in 0..count {
            for to in (0..count).filter(|to| wanted.has(from, *to)) {
                match known.get(&key(places, from, to)) {
                    Some(road) => roads[from * count + to] = *road,
                    None => all = false,
                }
            }
        }
        (roads, all)
    }
}

#[async_trait]
impl<C: Connect + Clone + Send + Sync + 'static> RoadDistance for RoadService<C> {
    async fn between(&self, places: Vec<Place>, going: Going) -> Result<Roads, Invalid> {
        let straight = estimate(&places, going)?;
        let places: Vec<Position> = places.iter().map(|place| place.position).collect();
        if places.len() > self.limits.places_max {
            debug!(places = places.len(), "too many places to ask for the roads between them");
            return Ok(Roads { legs: Box::new(straight), measured: false, is_settled: false });
        }
        let wanted = Wanted::new(&places, going.range_km)?;
        self.learn(&places, &wanted).await;
        let (roads, measured) = self.table(&places, &wanted);
        // What is still estimated may be known the next time.
        Ok(Roads { legs: Box::new(MeasuredRoads::new(straight, roads)?), measured, is_settled: measured })
    }
}

impl<C> fmt::Debug for RoadService<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoadService")
            .field("dialect", &self.dialect)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

// The drives that a full battery could allow.
struct Wanted {
    count: usize,
    drives: Vec<bool>,
}

impl Wanted {
    fn new(places: &[Position], range_km: f64) -> Result<Self, Invalid> {
        let mut drives = Vec::with_capacity(places.len() * places.len());
        for (from, start) in places.iter().enumerate() {
            for (to, end) in places.iter().enumerate() {
                drives.push(from != to && distance_km(*start, *end)? <= range_km);
            }
        }
        Ok(Self { count: places.len(), drives })
    }

    fn has(&self, from: usize, to: usize) -> bool {
        self.drives[from * self.count + to]
    }
}

fn key(places: &[Position], from: usize, to: usize) -> (Spot, Spot) {
    (spot(places[from]), spot(places[to]))
}

fn spot(place: Position) -> Spot {
    let degrees = |degrees: f64| (degrees * 1e5).round() as i32;
    (degrees(place.latitude), degrees(place.longitude))
}
