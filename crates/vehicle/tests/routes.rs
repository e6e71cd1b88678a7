//! Every route that a car may take can be driven.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{OperatorId, Plug, Timestamp};
use recarga_vehicle::Network;
use recarga_vehicle::geo::Position;
use recarga_vehicle::model::{CATALOGUE, CarModel, DrivingStyle};
use recarga_vehicle::network::{EvseIndex, StationIndex};
use recarga_vehicle::plan::{self, BUFFER, Infeasible, Plan, SETUP, WINDOW_MAX};
use recarga_vehicle::route::{self, Avoid, CHARGE_MAX, RESERVE, Route, Start};

const STYLES: [DrivingStyle; 3] = [DrivingStyle::Slow, DrivingStyle::Normal, DrivingStyle::Fast];

struct Case<'a> {
    model: &'a CarModel,
    start: Start<'a>,
    route: Route,
    plan: Plan,
}

// One random car at a random place; none if it finds no route or no plan.
fn case(network: &Network, seed: u64) -> Option<Case<'static>> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let model = CarModel::draw(&mut chance);
    let home: Vec<StationIndex> = network.stations().filter(|&one| network.site(one).serves(model)).collect();
    let station = *chance.choice(&home)?;
    // Mostly in a city, sometimes on the road between two.
    let other = network.site(*chance.choice(&home)?).position;
    let position = network.site(station).position;
    let on_road = chance.u8(0..4) == 0;
    let start = Start {
        model,
        style: STYLES[chance.usize(..3)],
        position: if on_road { position.towards(other, 0.1 * chance.f64()) } else { position },
        station: (!on_road).then_some(station),
        charge_kwh: model.usable_kwh * (0.4 + 0.6 * chance.f64()),
        reserve: RESERVE,
    };
    let route = route::find(network, start, &Avoid::default(), &mut chance)?;
    let trip = plan::Trip {
        model,
        style: start.style,
        origin: start.position,
        charge_kwh: start.charge_kwh,
        reserve: start.reserve,
        departs: Timestamp::from_millis(1_790_000_000_123 + chance.i64(0..100_000_000)),
        top_up: 0.5 + 0.3 * chance.f64(),
        stops: &route.stops,
        not_before: &[],
        destination: route.destination,
    };
    let plan = plan::make(network, trip).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    Some(Case { model, start, route, plan })
}

// Drives the plan step by step, with nothing but physics.
fn check(network: &Network, case: &Case<'_>, seed: u64) {
    let Case { model, start, route, plan } = case;
    let consumption = model.consumption_kwh_per_km(route.style);
    let reserve_kwh = RESERVE * model.usable_kwh - 1e-9;
    let (mut position, mut kwh, mut at) = (start.position, start.charge_kwh, plan.departs);
    let drive = |from: Position, to: Position, kwh: f64, at: Timestamp| {
        let km = from.road_km(to);
        (kwh - km * consumption, at + Duration::from_secs_f64(km / route.style.speed_kmh() * 3600.0))
    };
    for stop in &plan.stops {
        let site = network.site(stop.evse.station);
        (kwh, at) = drive(position, site.position, kwh, at);
        assert!(kwh >= reserve_kwh, "seed {seed}: arrives with {kwh} kWh");
        assert!((kwh - stop.arrive_kwh).abs() < 1e-6, "seed {seed}: {kwh} {}", stop.arrive_kwh);
        assert!(at <= stop.window.start(), "seed {seed}: arrives after its window begins");
        assert!(stop.leave_kwh <= (CHARGE_MAX * model.usable_kwh).max(stop.arrive_kwh) + 1e-9, "seed {seed}");
        let charging = model.charging_time(kwh, stop.leave_kwh, stop.power_kw);
        let evse = network.evse(stop.evse);
        let fits = |connector: &recarga_reservation::Connector| {
            connector.plug == model.plug && connector.power_kw >= stop.power_kw
        };
        assert!(evse.connectors.iter().any(fits), "seed {seed}: a connector with that power");
        at = stop.window.start() + SETUP + charging;
        assert!(at <= stop.window.end(), "seed {seed}: charges within its window");
        assert!(
            stop.window.end() <= at + BUFFER + Duration::from_secs(60),
            "seed {seed}: and not much longer"
        );
        assert_eq!(stop.window.start().as_millis() % 60_000, 0, "seed {seed}: whole minutes");
        assert!(stop.window.duration() <= WINDOW_MAX, "seed {seed}");
        (position, kwh) = (site.position, stop.leave_kwh);
    }
    let (kwh, _) = drive(position, network.site(plan.destination).position, kwh, at);
    assert!(kwh >= reserve_kwh, "seed {seed}: arrives home with {kwh} kWh");
    for pair in plan.stops.windows(2) {
        assert!(pair[0].window.end() <= pair[1].window.start(), "seed {seed}: windows in order");
    }
}

#[test]
fn every_route_of_the_demo_can_be_driven() {
    let network = common::demo();
    let (mut full, mut all, mut states) = (0, 0, std::collections::BTreeSet::new());
    for seed in 0..6_000 {
        let Some(case) = case(&network, seed) else { continue };
        check(&network, &case, seed);
        let companies = route::companies(&network, &case.route.stops).len();
        let is_full = case.route.stops.len() == 3 && companies == 3;
        assert_eq!(is_full, case.route.shortfall.is_none(), "seed {seed}: a shorter route says so");
        all += 1;
        full += u32::from(is_full);
        states.extend(case.route.stops.iter().map(|stop| network.site(stop.station).state.clone()));
    }
    assert!(all >= 5_700, "{all} of 6000 find a route at all");
    assert!(f64::from(full) >= 0.9 * f64::from(all), "{full} of {all} have three stops at three companies");
    assert!(states.len() >= 15, "{states:?}");
}

#[test]
fn what_cannot_be_driven_is_no_plan() {
    // Two stations 139 km apart by road, the third 972 km farther.
    let at =
        |id: &str, latitude| (OperatorId::new("a").unwrap(), common::small_station(id, id, latitude, -40.0));
    let mut stations = vec![at("S0", -12.0), at("S1", -13.0), at("S2", -20.0)];
    stations[1].1.evses[1].connectors[0].power_kw = 3.0;
    let network = Network::new(stations).unwrap();
    let [near, next, far] = [0, 1, 2].map(|place| network.stations().nth(place).unwrap());
    let sedan = CATALOGUE.iter().find(|model| model.plug == Plug::CCS2).unwrap();
    let compact = CATALOGUE.iter().find(|model| model.plug == Plug::TYPE2).unwrap();
    let make = |model: &CarModel, charge: f64, number: u16, destination| {
        let trip = plan::Trip {
            model,
            style: DrivingStyle::Slow,
            origin: network.site(near).position,
            charge_kwh: charge * model.usable_kwh,
            reserve: RESERVE,
            departs: Timestamp::from_millis(0),
            top_up: 0.9,
            stops: &[EvseIndex { station: next, number }],
            not_before: &[],
            destination,
        };
        plan::make(&network, trip).map(|plan| plan.stops.len())
    };
    assert_eq!(make(sedan, 1.0, 0, near), Ok(1));
    assert_eq!(make(sedan, RESERVE + 0.01, 0, near), Err(Infeasible::TooFar(0)));
    assert_eq!(make(sedan, 1.0, 0, far), Err(Infeasible::TooFar(1)));
    assert_eq!(make(sedan, 1.0, 1, near), Err(Infeasible::WrongPlug(0)));
    assert_eq!(make(compact, 0.42, 1, near), Err(Infeasible::TooLong(0)), "12 hours at 3 kW are not enough");
}

#[test]
fn small_networks_give_what_they_have_and_say_so() {
    // Cities about 140 km apart by road, in a line.
    let line = |companies: &[&str]| {
        let stations = companies.iter().enumerate().map(|(place, company)| {
            let id = format!("S{place}");
            let station = common::small_station(&id, &format!("Cidade {place}"), -12.0 - place as f64, -40.0);
            (OperatorId::new(company).unwrap(), station)
        });
        Network::new(stations.collect()).unwrap()
    };
    let best = |network: &Network| {
        let cases = (0..300).filter_map(|seed| {
            let case = case(network, seed)?;
            check(network, &case, seed);
            let companies = route::companies(network, &case.route.stops).len();
            Some((case.route.stops.len(), companies, case.route.shortfall.is_none()))
        });
        cases.max().unwrap()
    };
    assert_eq!(best(&line(&["a"])), (1, 1, false));
    assert_eq!(best(&line(&["a", "b"])), (2, 2, false));
    assert_eq!(best(&line(&["a", "a", "a", "a", "a"])), (3, 1, true), "one company is all that there is");
    assert_eq!(best(&line(&["a", "b", "a", "b", "a"])), (3, 2, true));
    assert_eq!(best(&line(&["a", "b", "c", "d", "e", "f"])), (3, 3, true));
    let city: Vec<_> = ["a", "b", "c"]
        .map(|id| (OperatorId::new(id).unwrap(), common::small_station(id, "Salvador", -12.97, -38.5)))
        .into();
    assert_eq!(best(&Network::new(city).unwrap()), (3, 3, true), "all in one city");
    assert!(Network::new(vec![]).is_err());
}

#[test]
fn five_thousand_cars_find_their_routes_quickly() {
    let network = common::demo();
    let settings = Arc::new(recarga_vehicle::Settings::default());
    let started = tokio::time::Instant::now();
    for number in 0..5_000 {
        let id = recarga_reservation::VehicleId::new(&format!("carro-{number}")).unwrap();
        let now = common::now(Duration::ZERO);
        let mut car =
            recarga_vehicle::car::Car::new(id, Arc::clone(&network), Arc::clone(&settings), number, now);
        assert!(!car.tick(now).is_empty());
    }
    let took = started.elapsed();
    println!("5,000 cars placed, routed and asking: {took:?}");
    // A hundred times what it takes, for slow machines in debug builds.
    assert!(took < Duration::from_secs(60), "{took:?}");
}

// A car that sets out from there would say where it is, and nobody would read it.
#[test]
fn a_station_that_is_nowhere_makes_no_network() {
    let operator = OperatorId::new("empresa-a").unwrap();
    for (latitude, longitude) in [(-12.9, -1e18), (90.5, 0.0), (f64::NAN, 0.0)] {
        let stations = [
            common::small_station("A-1", "Salvador", -12.9, -38.5),
            common::small_station("A-2", "Lá", latitude, longitude),
        ];
        let network = Network::new(stations.map(|station| (operator.clone(), station)).to_vec());
        let error = network.expect_err("must be refused").to_string();
        assert!(error.contains("A-2"), "{error}");
    }
}
