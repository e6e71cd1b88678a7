//! What is still ahead at least, from every place with every charge, if every charger were free.
//!
//! Calendars only delay, so this never says too much, which is what a search needs to find the best plan first. It is
//! built in rounds, one for each stop that is left: how it is with one stop more follows from how it was with one
//! less. Each round handles all levels of charge of a drive at once, as the drive takes the same from each.

use crate::battery::LEVELS;

/// No way.
pub const NEVER: f32 = f32::INFINITY;

/// A change of less than this many minutes is none: rounding.
const CHANGE_MIN: f32 = 1e-3;

/// By level of charge.
pub type Row = [f32; LEVELS];

/// A drive, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// Index of the other point.
    pub to: u32,
    /// At the wheel; rounded up, if at all.
    pub minutes: f32,
    /// From the battery; rounded up, if at all.
    pub kwh: f32,
    /// Whole levels that it takes.
    pub levels: u8,
}

/// What a stop at a station takes at least, calendars aside.
#[derive(Clone, Debug)]
pub struct StopCost {
    /// Setting up, activation, penalties.
    pub fixed: f32,
    /// From empty to each level, by the best connector for each step.
    pub charge: Row,
}

/// The places in the order of the search. `(vias + 1)` layers lie behind each other, one for each part of the journey
/// between way points, and each has every station.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Origin, via points, destination.
    pub waypoints: usize,
    /// Stations.
    pub stations: usize,
}

impl Layout {
    /// All nodes: way points, then the stations of each layer.
    pub fn nodes(self) -> usize {
        self.waypoints + self.layers() * self.stations
    }

    pub fn layers(self) -> usize {
        self.waypoints - 1
    }

    pub fn destination(self) -> usize {
        self.waypoints - 1
    }

    /// A station within a layer.
    pub fn station(self, layer: usize, station: usize) -> usize {
        self.waypoints + layer * self.stations + station
    }

    /// The station of a node; none for a way point.
    pub fn station_of(self, node: usize) -> Option<usize> {
        node.checked_sub(self.waypoints).map(|rest| rest % self.stations)
    }

    /// The point on the map.
    pub fn point(self, node: usize) -> usize {
        self.station_of(node).map_or(node, |station| self.waypoints + station)
    }

    /// How many via points are behind, which is the layer in which the journey goes on.
    pub fn layer(self, node: usize) -> usize {
        match node.checked_sub(self.waypoints) {
            Some(rest) => rest / self.stations,
            None => node,
        }
    }

    /// The node at a point, for who drives there within a layer; none if that way point is not the next one.
    pub fn arrival(self, layer: usize, point: usize) -> Option<usize> {
        match point.checked_sub(self.waypoints) {
            Some(station) => Some(self.station(layer, station)),
            None => (point == layer + 1).then_some(point),
        }
    }
}

/// The potential, by the number of stops that may still be made.
#[derive(Clone, Debug)]
pub struct Potential {
    layout: Layout,
    rounds: Vec<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    // From the moment of arriving, and from the moment of leaving.
    arriving: Vec<Row>,
    leaving: Vec<Row>,
}

/// What the potential is made from.
#[derive(Debug)]
pub struct Terrain<'a> {
    pub layout: Layout,
    /// The drives that lead to each point; `to` is where they begin.
    pub into: &'a [Vec<Edge>],
    /// By station; none where the car cannot charge.
    pub stops: &'a [Option<StopCost>],
    /// Least level at stations and via points.
    pub reserve: usize,
    /// Least level at the destination.
    pub arrive: usize,
    pub stops_max: usize,
}

impl Potential {
    pub fn new(terrain: &Terrain<'_>) -> Self {
        let layout = terrain.layout;
        let mut current = Round {
            arriving: vec![[NEVER; LEVELS]; layout.nodes()],
            leaving: vec![[NEVER; LEVELS]; layout.nodes()],
        };
        current.arriving[layout.destination()][terrain.arrive..].fill(0.0);
        let mut changed = vec![false; layout.nodes()];
        changed[layout.destination()] = true;
        current.spread(terrain, &mut changed);
        let mut rounds = vec![current.clone()];
        while rounds.len() <= terrain.stops_max {
            let mut arrived = vec![false; layout.nodes()];
            for node in (layout.waypoints..layout.nodes()).filter(|node| changed[*node]) {
                arrived[node] = current.stop(terrain, node);
            }
            if !arrived.contains(&true) {
                break; // more stops help nobody
            }
            changed = arrived;
            current.spread(terrain, &mut changed);
            rounds.push(current.clone());
        }
        Self { layout, rounds }
    }

    /// Knows nothing of what is ahead: with it the search is Dijkstra's.
    pub fn blind(&self) -> Self {
        let nothing = vec![[0.0; LEVELS]; self.layout.nodes()];
        Self { layout: self.layout, rounds: vec![Round { arriving: nothing.clone(), leaving: nothing }] }
    }

    /// From the moment of arriving with a level of charge, if so many stops may still be made.
    pub fn arriving(&self, node: usize, level: usize, stops_left: usize) -> f32 {
        self.round(stops_left).arriving[node][level]
    }

    /// From the moment of leaving.
    pub fn leaving(&self, node: usize, level: usize, stops_left: usize) -> f32 {
        self.round(stops_left).leaving[node][level]
    }

    fn round(&self, stops_left: usize) -> &Round {
        &self.rounds[stops_left.min(self.rounds.len() - 1)]
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }
}

impl Round {
    // What it is to arrive where one can charge, from what it is to leave there. Says whether it got better.
    fn stop(&mut self, terrain: &Terrain<'_>, node: usize) -> bool {
        let layout = terrain.layout;
        let Some(cost) = layout.station_of(node).and_then(|station| terrain.stops[station].as_ref()) else {
            return false;
        };
        let (arriving, leaving) = (&mut self.arriving[node], &self.leaving[node]);
        let (mut best, mut changed) = (NEVER, false);
        for level in (terrain.reserve..LEVELS).rev() {
            best = best.min(cost.charge[level] + leaving[level]);
            let minutes = cost.fixed + best - cost.charge[level];
            if minutes < arriving[level] - CHANGE_MIN {
                arriving[level] = minutes;
                changed = true;
            }
        }
        changed
    }

    // What it is to leave, from what it is to arrive; `changed` says first where arriving got better, and in the end
    // where leaving did.
    fn spread(&mut self, terrain: &Terrain<'_>, changed: &mut [bool]) {
        let layout = terrain.layout;
        let mut left = vec![false; layout.nodes()];
        let from_stations: Vec<usize> =
            (layout.waypoints..layout.nodes()).filter(|node| changed[*node]).collect();
        for node in from_stations {
            self.spread_from(terrain, node, layout.layer(node), &mut left);
        }
        // From the last to the first, as passing one is arriving at it and leaving at once.
        for waypoint in (1..layout.waypoints).rev() {
            if waypoint != layout.destination() && left[waypoint] {
                let leaving = self.leaving[waypoint];
                self.arriving[waypoint][terrain.reserve..].copy_from_slice(&leaving[terrain.reserve..]);
                changed[waypoint] = true;
            }
            if changed[waypoint] {
                self.spread_from(terrain, waypoint, waypoint - 1, &mut left);
            }
        }
        changed.copy_from_slice(&left);
    }

    fn spread_from(&mut self, terrain: &Terrain<'_>, node: usize, layer: usize, left: &mut [bool]) {
        let layout = terrain.layout;
        let arriving = self.arriving[node];
        for edge in &terrain.into[layout.point(node)] {
            let from = match (edge.to as usize).checked_sub(layout.waypoints) {
                Some(station) => layout.station(layer, station),
                None if edge.to as usize == layer => layer,
                None => continue,
            };
            left[from] |= lower(&mut self.leaving[from], &arriving, edge);
        }
    }
}

// All levels at once: the compiler makes a few wide instructions of it.
fn lower(leaving: &mut Row, arriving: &Row, edge: &Edge) -> bool {
    let levels = usize::from(edge.levels);
    let mut changed = false;
    for (best, ahead) in leaving[levels..].iter_mut().zip(arriving) {
        let minutes = ahead + edge.minutes;
        changed |= minutes < *best - CHANGE_MIN;
        *best = best.min(minutes);
    }
    changed
}
