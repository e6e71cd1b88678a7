//! A problem as the search sees it: drives and stops on the grid of charge, and the potential.

use std::sync::Arc;

use crate::battery::{ChargeTable, LEVELS};
use crate::itinerary::Itinerary;
use crate::legs::{Leg, Legs};
use crate::obstacle::Obstacle;
use crate::potential::{Edge, Layout, Potential, Row, StopCost, Terrain};
use crate::problem::{Connector, Invalid, Problem, Station};
use crate::refine::refine;
use crate::search::{self, Found};

// By EVSE and connector; none where the car does not fit.
type Tables = Vec<Vec<Option<Arc<ChargeTable>>>>;

/// All of a problem that does not depend on calendars. Good for as long as only free windows change: a refused hold
/// takes a window out of [`Problem::stations`] and plans again, which runs the search alone.
#[derive(Debug)]
pub struct Outlook {
    pub(crate) out: Vec<Vec<Edge>>,
    pub(crate) tables: Vec<Tables>,
    pub(crate) potential: Potential,
    // What must be left at stations and via points, and at the destination.
    pub(crate) reserve_kwh: f64,
    pub(crate) arrive_kwh: f64,
    step_kwh: f64,
    rounding: Rounding,
}

impl Outlook {
    /// Looks at all drives and chargers once.
    ///
    /// # Errors
    /// A number of the problem makes no sense.
    pub fn new(problem: &Problem, legs: &dyn Legs) -> Result<Self, Invalid> {
        problem.check(legs)?;
        let layout = Layout { waypoints: problem.waypoints(), stations: problem.stations.len() };
        let (step_kwh, reserve_kwh) = (problem.vehicle.step_kwh(), problem.vehicle.reserve_kwh());
        let arrive_kwh = problem.arrive_kwh.max(reserve_kwh);
        let rounding = if problem.vias > 0 { Rounding::Nearest } else { Rounding::Against };
        let out = edges(legs, step_kwh, problem.vehicle.usable_kwh() - reserve_kwh, layout, rounding);
        let mut known = Vec::new();
        let tables: Vec<_> =
            problem.stations.iter().map(|station| charge_tables(problem, station, &mut known)).collect();
        let stops: Vec<_> = problem
            .stations
            .iter()
            .zip(&tables)
            .map(|(station, tables)| stop_cost(problem, station, tables))
            .collect();
        let potential = Potential::new(&Terrain {
            layout,
            into: &reversed(&out),
            stops: &stops,
            reserve: rounding.up(reserve_kwh, step_kwh),
            arrive: rounding.up(arrive_kwh, step_kwh),
            stops_max: problem.settings.stops_max,
        });
        Ok(Self { out, tables, potential, reserve_kwh, arrive_kwh, step_kwh, rounding })
    }

    /// The same without foresight: it finds the same plans, slowly. For checking that.
    #[must_use]
    pub fn blind(self) -> Self {
        Self { potential: self.potential.blind(), ..self }
    }

    /// The best plan, or what is in the way. `stop` is asked now and then whether anybody still wants it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn plan(
        &self,
        problem: &Problem,
        legs: &dyn Legs,
        stop: &dyn Fn() -> bool,
    ) -> Result<Itinerary, Obstacle> {
        match search::run(self, problem, stop)? {
            Found::Paths(paths) => {
                let refined = paths.into_iter().map(|path| refine(self, problem, legs, path));
                let best = refined.min_by(|(_, one), (_, other)| one.total_cmp(other));
                let path = best.map(|(path, _)| path).unwrap_or_default();
                Ok(Itinerary::follow(self, problem, legs, &path))
            }
            Found::Nothing(left) => Err(Obstacle::find(self, problem, legs, &left)),
        }
    }

    pub(crate) fn layout(&self) -> Layout {
        self.potential.layout()
    }

    /// The level at which the potential is looked up. What is charged to part of a level, as a window ends, is rounded
    /// for the driver: the drive that it was charged for is rounded up already.
    pub(crate) fn estimate_level(&self, kwh: f64, is_leaving: bool) -> usize {
        match self.rounding {
            Rounding::Against if is_leaving => self.rounding.up(kwh, self.step_kwh),
            Rounding::Against => self.level(kwh),
            Rounding::Nearest => nearest_level(kwh, self.step_kwh),
        }
    }

    /// The level of a charge, rounded down.
    pub(crate) fn level(&self, kwh: f64) -> usize {
        ((kwh / self.step_kwh + 1e-9).floor().max(0.0) as usize).min(LEVELS - 1)
    }
}

// How charges come to the grid of the potential. Against the driver it says a little too much, so the search goes
// straight for the destination. That adds up over drives without a charge between them, as there are with via points.
#[derive(Clone, Copy, Debug)]
enum Rounding {
    Against,
    Nearest,
}

impl Rounding {
    fn up(self, kwh: f64, step_kwh: f64) -> usize {
        match self {
            Rounding::Against => ((kwh / step_kwh - 1e-9).ceil().max(0.0) as usize).min(LEVELS - 1),
            Rounding::Nearest => nearest_level(kwh, step_kwh),
        }
    }
}

fn nearest_level(kwh: f64, step_kwh: f64) -> usize {
    ((kwh / step_kwh).round().max(0.0) as usize).min(LEVELS - 1)
}

fn edges(legs: &dyn Legs, step_kwh: f64, kwh_max: f64, layout: Layout, rounding: Rounding) -> Vec<Vec<Edge>> {
    let from = |point: usize| {
        let mut edges = Vec::new();
        if point == layout.destination() {
            return edges; // nobody goes on from there
        }
        legs.within(point, kwh_max + 1e-9, &mut |to, Leg { minutes, kwh, .. }| {
            // Nobody goes back to the origin.
            if to != 0 {
                let levels = rounding.up(kwh, step_kwh) as u8;
                edges.push(Edge { to: to as u32, minutes: above(minutes), kwh: above(kwh), levels });
            }
        });
        edges
    };
    (0..legs.points()).map(from).collect()
}

// Half the memory, and never less than it is.
fn above(number: f64) -> f32 {
    let near = number as f32;
    if f64::from(near) < number { near.next_up() } else { near }
}

fn reversed(out: &[Vec<Edge>]) -> Vec<Vec<Edge>> {
    let mut into = vec![Vec::new(); out.len()];
    for (from, edges) in out.iter().enumerate() {
        for edge in edges {
            into[edge.to as usize].push(Edge { to: from as u32, ..*edge });
        }
    }
    into
}

// `known` has those of other stations, by power: there are few different ones.
fn charge_tables(problem: &Problem, station: &Station, known: &mut Vec<(f64, Arc<ChargeTable>)>) -> Tables {
    let mut table = |connector: &Connector| {
        if !problem.vehicle.plugs().contains(&connector.plug) {
            return None;
        }
        if let Some(measured) = &connector.measured {
            return Some(Arc::new(measured.clone()));
        }
        if let Some((_, table)) = known.iter().find(|(kw, _)| *kw == connector.kw) {
            return Some(table.clone());
        }
        let table = Arc::new(problem.vehicle.charge_table(connector.kw));
        known.push((connector.kw, table.clone()));
        Some(table)
    };
    station.evses.iter().map(|evse| evse.connectors.iter().map(&mut table).collect()).collect()
}

fn stop_cost(
    problem: &Problem,
    station: &Station,
    tables: &[Vec<Option<Arc<ChargeTable>>>],
) -> Option<StopCost> {
    let settings = &problem.settings;
    let weight = settings.objective.price_weight;
    let step_kwh = problem.vehicle.step_kwh();
    let usable = || {
        let connectors = station.evses.iter().flat_map(|evse| &evse.connectors);
        connectors
            .zip(tables.iter().flatten())
            .filter_map(|(connector, table)| Some((connector, table.as_ref()?)))
    };
    let activation = usable().map(|(connector, _)| connector.tariff.activation).fold(f64::INFINITY, f64::min);
    if activation.is_infinite() {
        return None;
    }
    let mut charge: Row = [0.0; LEVELS];
    for level in 1..LEVELS {
        let step = |(connector, table): (&Connector, &Arc<ChargeTable>)| {
            table.at_level(level) - table.at_level(level - 1)
                + weight * connector.tariff.per_kwh_min() * step_kwh
        };
        charge[level] = charge[level - 1] + usable().map(step).fold(f64::INFINITY, f64::min) as f32;
    }
    let fixed = settings.setup_minutes
        + settings.objective.stop_minutes
        + station.penalty_minutes
        + weight * activation;
    Some(StopCost { fixed: fixed as f32, charge })
}
