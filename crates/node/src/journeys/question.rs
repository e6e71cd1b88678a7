//! One journey as the planner takes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use recarga_atlas::cars::Car;
use recarga_atlas::cities::City;
use recarga_atlas::consumption::Drive;
use recarga_planning::{
    Band, Connector, Corridor, Evse, Invalid, Itinerary, Objective, Outlook, Position, Settings, Spot,
    Station, Stop, Tariff,
};
use recarga_reservation::{EvseId, OperatorId, Plug, TimeWindow, Timestamp};
use recarga_wire::availability::{AvailablePoint, PriceBandBody};
use recarga_wire::journey::{self, JourneyBody, Preference};
use recarga_wire::{Problem, ProblemKind};

use super::country::{Country, Site, site_position};
use super::outlooks::{Key, Outlooks};
use super::words;
use crate::network::Copy;
use crate::roads::{Going, Place, RoadDistance, Roads};

/// Reserved after charging, for cars that come late.
const BUFFER_MINUTES: f64 = 10.0;
/// What a stop at a company counts more that is not one of those preferred.
const NOT_PREFERRED_MINUTES: f64 = 20.0;
/// From so many stations on only the best of each neighbourhood are looked at.
const STATIONS_MANY: usize = 400;
/// Slower nobody drives to save energy.
const SLOW_KMH: f64 = 60.0;
/// Prices by time of day of one charger that are looked at.
const BANDS_MAX: usize = 24;
/// Nobody is longer on the way: what is free later need not be known.
const JOURNEY_MAX: Duration = Duration::from_secs(5 * 24 * 3600);

/// A journey that was understood, and the stations along it. How long the roads are is still to be said.
pub struct Draft {
    car: Arc<Car>,
    places: Vec<City>,
    sites: Vec<Arc<SiteCopy>>,
    problem: recarga_planning::Problem,
    plug: Option<Plug>,
    going: Going,
    terms: Terms,
}

/// What a driver may ask for otherwise, where there is no plan.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// Some companies were to be avoided.
    pub is_choosy: bool,
    /// Until when free windows are known, where that is sooner than a journey may last.
    pub known_until: Option<Timestamp>,
    /// So many times as far the car goes if it drives slowly.
    pub slow_gain: f64,
}

/// A journey, the stations along it, and the planner's view of both.
pub struct Question {
    pub(super) car: Arc<Car>,
    pub(super) places: Vec<City>,
    pub(super) sites: Vec<Arc<SiteCopy>>,
    pub(super) problem: recarga_planning::Problem,
    pub(super) terms: Terms,
    plug: Option<Plug>,
    pub(super) roads: Roads,
    outlook: Arc<Outlook>,
    // What was refused: the window of an EVSE, or all of it.
    refused: Vec<(usize, usize, Option<TimeWindow>)>,
}

/// A station of the country, as it was when the question was asked.
pub struct SiteCopy {
    pub operator: OperatorId,
    pub points: Vec<Arc<AvailablePoint>>,
}

impl Draft {
    /// Understands the journey and finds the stations along it. `wait_max` minutes is the longest wait for one charger
    /// where the journey does not say.
    ///
    /// # Errors
    /// Names the field and the cure.
    pub fn new(
        country: &Country,
        journey: &JourneyBody,
        (plug, wait_max): (Option<Plug>, f64),
        now: Timestamp,
    ) -> Result<Self, Problem> {
        journey.check()?;
        let car = words::car(journey)?;
        words::check_plug(&car, plug)?;
        words::check_companies(journey, country)?;
        let places = words::places(journey, country)?;
        let departure = words::departure(journey, country, now)?;
        let waypoints: Vec<Position> = places.iter().map(|place| place.position).collect();
        let near = near(country, journey, &car, plug, &waypoints)?;
        let mut zones = HashMap::new();
        let stations: Vec<Station> = near
            .iter()
            .map(|at| {
                let site = &country.stations[*at];
                station(site, &car, journey, departure, offset(site, departure, &mut zones))
            })
            .collect();
        let reserve = journey.reserva_pct.unwrap_or(journey::RESERVE_PERCENT) / 100.0;
        let vehicle = car.vehicle(reserve, plug).map_err(|error| invalid(&error))?;
        let drive = Drive {
            speed_kmh: journey.velocidade_kmh.unwrap_or(journey::CRUISE_KMH),
            temperature: journey.temperatura_c.unwrap_or(journey::TEMPERATURE),
        };
        let kwh_per_km = car.kwh_per_km(drive);
        let range_km = vehicle.usable_kwh() / kwh_per_km;
        let going = Going { speed_kmh: drive.speed_kmh, kwh_per_km, climb: car.climb(), range_km };
        let problem = recarga_planning::Problem {
            arrive_kwh: vehicle.reserve_kwh(),
            charge_kwh: journey.bateria_pct / 100.0 * vehicle.usable_kwh(),
            vehicle,
            departure,
            vias: places.len() - 2,
            stations,
            settings: settings(journey, wait_max),
        };
        let copy = |at: &usize| {
            let Site { operator, points } = &country.stations[*at];
            Arc::new(SiteCopy { operator: operator.clone(), points: points.clone() })
        };
        let sites = near.iter().map(copy).collect();
        let terms = Terms {
            is_choosy: !journey.evitar_empresas.is_empty(),
            known_until: country.known_until.filter(|until| *until < departure + JOURNEY_MAX),
            slow_gain: kwh_per_km
                / car.kwh_per_km(Drive { speed_kmh: SLOW_KMH.min(drive.speed_kmh), ..drive }),
        };
        Ok(Self { car, places, sites, problem, plug, going, terms })
    }

    /// How long the roads between its places are, as far as that is known.
    ///
    /// # Errors
    /// The car consumes what no car does.
    pub async fn ask(&self, distances: &dyn RoadDistance) -> Result<Roads, Problem> {
        distances.between(self.points().collect(), self.going).await.map_err(|error| invalid(&error))
    }

    fn points(&self) -> impl Iterator<Item = Place> + Clone {
        let station = |site: &Arc<SiteCopy>| {
            let point = &site.points[0];
            // Another company's word.
            let altitude = point.ponto.altitude_m.filter(|metres| (-500.0..=9000.0).contains(metres));
            Place { position: site_position(point), altitude }
        };
        let city = |city: &City| Place { position: city.position, altitude: None };
        self.places.iter().map(city).chain(self.sites.iter().map(station))
    }
}

impl Question {
    /// The journey with its roads.
    ///
    /// # Errors
    /// Names the field and the cure.
    pub fn new(draft: Draft, roads: Roads, outlooks: &Outlooks) -> Result<Self, Problem> {
        // An outlook that is there already has not seen this charge and these hours.
        draft.problem.check(&*roads.legs).map_err(|error| invalid(&error))?;
        let make = || Outlook::new(&draft.problem, &*roads.legs).map_err(|error| invalid(&error));
        let outlook = match roads.is_settled {
            true => {
                let key = Key::of(&draft.problem, draft.points(), draft.going, roads.measured);
                outlooks.get(key, draft.sites.len(), make)?
            }
            false => Arc::new(make()?),
        };
        let Draft { car, places, sites, problem, plug, terms, .. } = draft;
        Ok(Self { car, places, sites, problem, terms, plug, roads, outlook, refused: Vec::new() })
    }

    /// The best plan.
    ///
    /// # Errors
    /// Why there is none.
    pub fn best(&self, given_up: &dyn Fn() -> bool) -> Result<Itinerary, Problem> {
        let plan =
            |problem: &recarga_planning::Problem| self.outlook.plan(problem, &*self.roads.legs, given_up);
        plan(&self.problem).map_err(|obstacle| {
            let wait_max = self.problem.settings.wait_minutes_max;
            let mut patient = self.problem.clone();
            patient.settings.wait_minutes_max = f64::INFINITY;
            // With more patience there may be one: then it says how much.
            let found = wait_max.is_finite().then(|| plan(&patient).ok()).flatten();
            let stops = found.iter().flat_map(|plan| &plan.stops);
            match stops.into_iter().find(|stop| wait_minutes(stop) > wait_max) {
                Some(stop) => self.too_long_a_wait(stop, wait_minutes(stop)),
                None => self.explain(&obstacle),
            }
        })
    }

    /// Other plans.
    ///
    /// # Errors
    /// Nobody wants them any longer.
    pub fn others(
        &self,
        best: &Itinerary,
        count: usize,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Vec<Itinerary>, Problem> {
        let others = self.outlook.alternatives(&self.problem, &*self.roads.legs, best, count, given_up);
        others.map_err(|obstacle| self.explain(&obstacle))
    }

    /// What the companies check.
    pub fn plug(&self) -> Option<Plug> {
        // A car with several plugs uses whichever fits.
        self.plug.or(match self.car.plugs.as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }

    /// Somebody has this window of an EVSE, or nothing of it is to be had. Says whether it is one of the question's.
    pub fn refuse(&mut self, operator: &OperatorId, evse: &EvseId, window: Option<TimeWindow>) -> bool {
        let Some((station, at)) = self.find(operator, evse) else { return false };
        self.refused.push((station, at, window));
        self.apply(station, at, window);
        true
    }

    /// Nothing of this company is to be had. Says whether it was before.
    pub fn avoid(&mut self, operator: &OperatorId) -> bool {
        let of_operator = |site: &SiteCopy| site.operator == *operator;
        let evses: Vec<(usize, usize)> = (0..self.sites.len())
            .filter(|station| of_operator(&self.sites[*station]))
            .flat_map(|station| (0..self.sites[station].points.len()).map(move |at| (station, at)))
            .collect();
        for (station, at) in &evses {
            self.refused.push((*station, *at, None));
            self.apply(*station, *at, None);
        }
        !evses.is_empty()
    }

    /// What a company has free now, but for what it has refused.
    pub fn renew(&mut self, copy: &Copy) {
        let from = self.problem.departure;
        for (site, station) in self.sites.iter().zip(&mut self.problem.stations) {
            if site.operator != copy.operator {
                continue;
            }
            for (point, evse) in site.points.iter().zip(&mut station.evses) {
                let now = copy.points.get(&point.ponto.ponto_id);
                evse.free = now.map_or_else(Vec::new, |point| free(&point.livres, from));
            }
        }
        for (station, at, window) in self.refused.clone() {
            self.apply(station, at, window);
        }
    }

    fn apply(&mut self, station: usize, at: usize, window: Option<TimeWindow>) {
        let station = &mut self.problem.stations[station];
        match window {
            Some(window) => station.take(at, window),
            None => station.evses[at].free.clear(),
        }
    }

    fn find(&self, operator: &OperatorId, evse: &EvseId) -> Option<(usize, usize)> {
        self.sites.iter().enumerate().filter(|(_, site)| site.operator == *operator).find_map(
            |(station, site)| {
                let at = site.points.iter().position(|point| point.ponto.ponto_id == *evse)?;
                Some((station, at))
            },
        )
    }
}

fn wait_minutes(stop: &Stop) -> f64 {
    stop.start.since(stop.arrive).as_secs_f64() / 60.0
}

fn near(
    country: &Country,
    journey: &JourneyBody,
    car: &Car,
    plug: Option<Plug>,
    waypoints: &[Position],
) -> Result<Vec<usize>, Problem> {
    let corridor = match country.stations.len() {
        ..STATIONS_MANY => Corridor { per_cell: usize::MAX, ..Corridor::default() },
        _ => Corridor::default(),
    };
    let fits = |one: Plug| plug.map_or_else(|| car.plugs.contains(&one), |plug| plug == one);
    let spot = |at: usize| {
        let site = &country.stations[at];
        let open = !journey.evitar_empresas.contains(&site.operator);
        // Where nothing is free nobody can charge.
        let usable = site.points.iter().filter(|point| open && !point.livres.is_empty());
        let kw = |point: &&Arc<AvailablePoint>| {
            let connectors = point.ponto.conectores.iter().filter(|one| fits(one.plugue));
            connectors.map(|one| car.kw_at(one.plugue, one.potencia_kw)).fold(0.0, f64::max)
        };
        let (kw, chargers) = usable
            .map(|point| kw(&point))
            .filter(|kw| *kw > 0.0)
            .fold((0.0, 0), |(most, count), kw| (kw.max(most), count + 1));
        Spot { position: site.position(), kw, chargers }
    };
    country.index.corridor(waypoints, corridor, spot).map_err(|error| invalid(&error))
}

fn station(site: &Site, car: &Car, journey: &JourneyBody, from: Timestamp, offset: i32) -> Station {
    let preferred =
        journey.preferir_empresas.is_empty() || journey.preferir_empresas.contains(&site.operator);
    let evse = |point: &Arc<AvailablePoint>| {
        // Another company's word: what makes no sense at one charger must not spoil the plan. Too dear is not chosen.
        let price = |price: f64| price.clamp(0.0, 100_000.0);
        let band = |one: &PriceBandBody| Band {
            from_minute: one.inicio.minute(),
            to_minute: one.fim.minute(),
            per_kwh: price(one.preco_kwh),
        };
        let connector = |one: &recarga_wire::availability::PointConnector| Connector {
            plug: one.plugue,
            kw: car.kw_at(one.plugue, one.potencia_kw).clamp(0.1, 5000.0),
            tariff: Tariff {
                per_kwh: price(point.ponto.preco_kwh),
                activation: price(point.ponto.taxa_ativacao),
                bands: point.ponto.faixas.iter().take(BANDS_MAX).map(band).collect(),
            },
            measured: None,
        };
        Evse {
            connectors: point.ponto.conectores.iter().map(connector).collect(),
            free: free(&point.livres, from),
        }
    };
    Station {
        utc_offset_minutes: offset,
        penalty_minutes: if preferred { 0.0 } else { NOT_PREFERRED_MINUTES },
        evses: site.points.iter().map(evse).collect(),
    }
}

// In order and apart, whatever another company says.
fn free(windows: &[TimeWindow], from: Timestamp) -> Vec<TimeWindow> {
    let mut free: Vec<TimeWindow> = Vec::with_capacity(windows.len());
    let until = from + JOURNEY_MAX;
    for window in windows.iter().take_while(|window| window.start() < until) {
        let start = free.last().map_or(from, |last| last.end().max(from)).max(window.start());
        free.extend(TimeWindow::new(start, window.end()));
    }
    free
}

fn offset(site: &Site, at: Timestamp, zones: &mut HashMap<String, i32>) -> i32 {
    let name = &site.any().ponto.fuso;
    if let Some(known) = zones.get(name) {
        return *known;
    }
    let zone = TimeZone::get(name).ok();
    let instant = jiff::Timestamp::from_millisecond(at.as_millis()).ok();
    let offset = zone.zip(instant).map_or(-180, |(zone, at)| zone.to_offset(at).seconds() / 60);
    zones.insert(name.clone(), offset);
    offset
}

fn settings(journey: &JourneyBody, wait_max: f64) -> Settings {
    let objective = match journey.preferencia {
        Preference::MaisRapida => Objective::FASTEST,
        Preference::MaisBarata => Objective::CHEAPEST,
        Preference::MenosParadas => Objective::FEWEST_STOPS,
    };
    let stops_max = usize::from(journey.paradas_max.unwrap_or(journey::STOPS_MAX));
    let wait_minutes_max = journey.espera_max_min.unwrap_or(wait_max);
    Settings { stops_max, buffer_minutes: BUFFER_MINUTES, wait_minutes_max, objective, ..Settings::default() }
}

pub(super) fn invalid(error: &Invalid) -> Problem {
    let field = match error.field {
        "vehicle.soc_kwh" => "bateria_pct",
        "vehicle.reserve_kwh" => "reserva_pct",
        "vehicle.plugs" => "veiculo.plugue",
        "stops_max" => "paradas_max",
        "speed_kmh" => "velocidade_kmh",
        "latitude" | "longitude" => "origem",
        // What a car of one's own consumes follows from its published range.
        "consumption_kwh_per_km" => "carro.autonomia_km",
        _ => "modelo",
    };
    Problem::new(ProblemKind::InvalidField, error.to_string()).at(field)
}
