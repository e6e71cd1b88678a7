//! Where there is no plan, the right thing is blamed.

use recarga_planning::{
    Connector, Evse, Invalid, Leg, Legs, Obstacle, Outlook, Place, Problem, Settings, Station, Table, Tariff,
    Vehicle,
};
use recarga_reservation::{Plug, TimeWindow};

use crate::instances::{DEPARTURE, after};

// Places on a straight road at these kilometres: origin, destination, stations. A kWh takes the car 5 km.
fn road(kilometres: &[f64]) -> Table {
    let leg = |from: &f64, to: &f64| {
        let km = (from - to).abs();
        Some(Leg { km, minutes: km, kwh: km / 5.0 })
    };
    let legs = kilometres.iter().flat_map(|from| kilometres.iter().map(move |to| leg(from, to))).collect();
    Table::new(kilometres.len(), legs).expect("a square table")
}

fn station(plug: Plug, free: &[(f64, f64)]) -> Station {
    let window = |(from, to): &(f64, f64)| TimeWindow::new(after(*from), after(*to)).expect("a window");
    let connector = Connector { plug, kw: 60.0, tariff: Tariff::default(), measured: None };
    let evse = Evse { connectors: vec![connector], free: free.iter().map(window).collect() };
    Station { utc_offset_minutes: 0, penalty_minutes: 0.0, evses: vec![evse] }
}

const ALWAYS: &[(f64, f64)] = &[(-60.0, 5000.0)];

// 60 kWh, of which 6 stay: full it goes 270 km.
fn problem(charge_kwh: f64, stations: Vec<Station>) -> Problem {
    let vehicle = Vehicle::new(60.0, 6.0, vec![Plug::CCS2], vec![(0.0, 60.0)]).expect("good numbers");
    Problem {
        arrive_kwh: 6.0,
        vehicle,
        departure: DEPARTURE,
        charge_kwh,
        vias: 0,
        stations,
        settings: Settings::default(),
    }
}

fn obstacle(problem: &Problem, legs: &dyn Legs) -> Obstacle {
    let outlook = Outlook::new(problem, legs).expect("good numbers");
    outlook.plan(problem, legs, &|| false).expect_err("there is no such plan")
}

#[test]
fn a_gap_in_the_network_is_named_with_its_length() {
    // From 250 km on there is nothing for 350 km.
    let legs = road(&[0.0, 800.0, 250.0, 600.0]);
    let stations = vec![station(Plug::CCS2, ALWAYS), station(Plug::CCS2, ALWAYS)];
    let found = obstacle(&problem(60.0, stations), &legs);
    let (origin, first, second) = (Place::Waypoint(0), Place::Station(0), Place::Station(1));
    assert_eq!(figures(&found), (first, second, [350, 270, 270]));
    // Not even the first one is reached, which a full battery would.
    let found = obstacle(&problem(40.0, vec![station(Plug::CCS2, ALWAYS); 2]), &legs);
    assert_eq!(figures(&found), (origin, first, [250, 170, 270]));
}

// After what, what is next, and in km: how far that is, how far the charge lasts there, and how far a full one would.
fn figures(found: &Obstacle) -> (Place, Place, [i64; 3]) {
    let Obstacle::OutOfReach { after, next, next_km, range_km, full_km } = *found else {
        panic!("{found:?}")
    };
    (after, next, [next_km, range_km, full_km].map(|km| km.round() as i64))
}

// What was said to be the next charger was the destination, and a via point was left with what the car had at home.
#[test]
fn what_is_next_is_named_and_the_charge_is_the_one_that_is_left() {
    let (origin, via, destination) = (Place::Waypoint(0), Place::Waypoint(1), Place::Waypoint(2));
    let found = obstacle(&problem(60.0, vec![]), &road(&[0.0, 800.0]));
    assert_eq!(figures(&found), (origin, via, [800, 270, 270]));
    // A charger behind the car is no help, nor is one behind the destination.
    let legs = road(&[200.0, 800.0, 0.0, 1000.0]);
    let found = obstacle(&problem(60.0, vec![station(Plug::CCS2, ALWAYS); 2]), &legs);
    assert_eq!(figures(&found), (origin, via, [600, 270, 270]));
    // By way of 100 km, where 170 of the 270 km are left. The way back is not the way on.
    let legs = road(&[0.0, 100.0, 500.0, 300.0]);
    let by_way = Problem { vias: 1, ..problem(60.0, vec![station(Plug::CCS2, ALWAYS)]) };
    assert_eq!(figures(&obstacle(&by_way, &legs)), (via, Place::Station(0), [200, 170, 270]));
    let bare = Problem { vias: 1, ..problem(60.0, vec![]) };
    assert_eq!(figures(&obstacle(&bare, &road(&[0.0, 100.0, 500.0]))), (via, destination, [400, 170, 270]));
    // Who wants to arrive with more comes less far.
    let careful = Problem { arrive_kwh: 30.0, ..problem(60.0, vec![]) };
    assert_eq!(figures(&obstacle(&careful, &road(&[0.0, 200.0]))), (origin, via, [200, 150, 150]));
}

#[test]
fn plugs_stops_windows_and_charge_are_told_apart() {
    let legs = road(&[0.0, 600.0, 200.0, 400.0]);
    let both = |one: Station| problem(60.0, vec![station(Plug::CCS2, ALWAYS), one]);
    let outlook = |problem: &Problem| Outlook::new(problem, &legs).unwrap();
    let fine = both(station(Plug::CCS2, ALWAYS));
    assert_eq!(outlook(&fine).plan(&fine, &legs, &|| false).unwrap().stops.len(), 2);

    let other_plugs = problem(60.0, vec![station(Plug::CHADEMO, ALWAYS); 2]);
    assert_eq!(obstacle(&other_plugs, &legs), Obstacle::NoPlug { plugs: vec![Plug::CCS2] });
    let found = obstacle(&both(station(Plug::CHADEMO, ALWAYS)), &legs);
    assert!(matches!(found, Obstacle::OutOfReach { after: Place::Station(0), .. }), "{found:?}");

    let mut few = fine.clone();
    few.settings.stops_max = 1;
    assert_eq!(obstacle(&few, &legs), Obstacle::TooManyStops { needed: 2, allowed: 1 });

    // It is there after 400 minutes at the earliest; what is free is too short or too soon.
    for free in [&[][..], &[(0.0, 390.0)], &[(500.0, 510.0), (600.0, 609.0)]] {
        let found = obstacle(&both(station(Plug::CCS2, free)), &legs);
        assert_eq!(found, Obstacle::NoFreeWindow { after: Place::Station(0) }, "{free:?}");
    }
    assert_eq!(obstacle(&problem(5.0, vec![]), &legs_of(0)), Obstacle::BelowReserve);
    let mut small = fine.clone();
    small.settings.labels_max = 3;
    assert_eq!(obstacle(&small, &legs), Obstacle::TooLarge { labels_max: 3 });
}

fn legs_of(stations: usize) -> Table {
    road(&vec![0.0; stations + 2])
}

#[test]
fn who_no_longer_wants_a_plan_is_heard() {
    // Every station is taken until far into the future, so the search goes on for a while.
    let kilometres: Vec<f64> = (0..40).map(|at| f64::from(at) * 25.0).collect();
    let mut places = vec![0.0, 1000.0];
    places.extend(kilometres);
    let windows: Vec<(f64, f64)> =
        (0..200).map(|at| (f64::from(at) * 20.0, f64::from(at) * 20.0 + 12.0)).collect();
    let problem = problem(60.0, vec![station(Plug::CCS2, &windows); 40]);
    let legs = road(&places);
    let outlook = Outlook::new(&problem, &legs).unwrap().blind();
    assert_eq!(outlook.plan(&problem, &legs, &|| true), Err(Obstacle::Withdrawn));
}

#[test]
fn numbers_that_make_no_sense_are_named() {
    let legs = legs_of(1);
    let good = problem(30.0, vec![station(Plug::CCS2, ALWAYS)]);
    let field = |change: fn(&mut Problem)| {
        let mut problem = good.clone();
        change(&mut problem);
        let Invalid { field, cure } = Outlook::new(&problem, &legs).expect_err("it makes no sense");
        assert!(!cure.is_empty());
        field
    };
    for (expected, change) in [
        ("vehicle.soc_kwh", (|one| one.charge_kwh = f64::NAN) as fn(&mut Problem)),
        ("vehicle.soc_kwh", |one| one.charge_kwh = 61.0),
        ("vehicle.arrive_kwh", |one| one.arrive_kwh = -1.0),
        ("legs_km", |one| one.vias = 1),
        ("stops_max", |one| one.settings.stops_max = 13),
        ("setup_minutes", |one| one.settings.setup_minutes = f64::INFINITY),
        ("buffer_minutes", |one| one.settings.buffer_minutes = -1.0),
        ("objective.price_weight", |one| one.settings.objective.price_weight = f64::NAN),
        ("objective.stop_minutes", |one| one.settings.objective.stop_minutes = -1.0),
        ("stations.penalty_minutes", |one| one.stations[0].penalty_minutes = -1.0),
        ("stations.utc_offset_minutes", |one| one.stations[0].utc_offset_minutes = 9999),
        ("stations.connectors.kw", |one| one.stations[0].evses[0].connectors[0].kw = 0.0),
        ("stations.connectors.price_kwh", |one| {
            one.stations[0].evses[0].connectors[0].tariff.activation = f64::NAN;
        }),
        ("stations.connectors.free", |one| {
            let free = &mut one.stations[0].evses[0].free;
            free.push(free[0]);
        }),
    ] {
        assert_eq!(field(change), expected);
    }
    assert_eq!(Table::new(2, vec![None; 3]).unwrap_err().field, "legs_km");
    let far = Some(Leg { km: f64::NAN, minutes: 0.0, kwh: 0.0 });
    assert_eq!(Table::new(1, vec![far]).unwrap_err().field, "legs_km");
}
