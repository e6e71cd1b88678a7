//! What drivers may expect: later is never sooner, more choice never hurts, via points are passed, others are offered.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;
use recarga_planning::{
    Itinerary, Obstacle, Outlook, Position, Problem, Settings, Station, StraightLine, Vehicle,
};
use recarga_reservation::{Plug, TimeWindow, Timestamp};

use crate::instances::{Instance, after, random, with_money};
use crate::validator::fault;

/// Two plans may be apart by what one hundredth of the battery takes at each stop.
const GRID_MINUTES: f64 = 4.0;

fn plan(problem: &Problem, legs: &StraightLine) -> Result<Itinerary, Obstacle> {
    Outlook::new(problem, legs).expect("good numbers").plan(problem, legs, &|| false)
}

#[test]
fn who_leaves_later_never_arrives_sooner() {
    let mut compared = 0;
    for seed in 0..150 {
        let Instance { mut problem, legs } = random(seed);
        let Ok(first) = plan(&problem, &legs) else { continue };
        for minutes in [7, 60, 240] {
            problem.departure = first.departure + Duration::from_secs(minutes * 60);
            if let Ok(later) = plan(&problem, &legs) {
                let gained = (first.arrival.as_millis() - later.arrival.as_millis()) as f64 / 60_000.0;
                assert!(gained < GRID_MINUTES, "seed {seed}, {minutes} min later: {gained} min sooner");
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn one_more_free_window_never_hurts() {
    let mut helped = 0;
    for seed in 0..400 {
        let Instance { mut problem, legs } = random(seed);
        let before = plan(&problem, &legs);
        let rng = &mut Rng::with_seed(seed);
        let station = rng.usize(..problem.stations.len());
        let free = &mut problem.stations[station].evses[0].free;
        free.clear();
        free.push(TimeWindow::new(after(-10.0), after(6000.0)).unwrap());
        match (before, plan(&problem, &legs)) {
            (Ok(before), Ok(now)) => {
                let worse = now.minutes() - before.minutes();
                assert!(worse < GRID_MINUTES, "seed {seed}: {worse} minutes worse");
                helped += usize::from(worse < -1.0);
            }
            (Ok(_), Err(obstacle)) => panic!("seed {seed}: {obstacle}"),
            (Err(_), now) => helped += usize::from(now.is_ok()),
        }
    }
    assert!(helped > 10, "{helped}: windows make no difference in these instances");
}

#[test]
fn a_refused_window_leads_to_another_plan() {
    let mut found = 0;
    for seed in 0..150 {
        let Instance { mut problem, legs } = random(seed);
        let outlook = Outlook::new(&problem, &legs).unwrap();
        let mut last: Option<Itinerary> = None;
        for _ in 0..4 {
            // The outlook knows no calendars, so it stays good.
            let Ok(plan) = outlook.plan(&problem, &legs, &|| false) else { break };
            assert_eq!(fault(&problem, &legs, &plan), None, "seed {seed}");
            if let Some(last) = last {
                assert!(plan.minutes() > last.minutes() - GRID_MINUTES, "seed {seed}: less choice, sooner");
                found += 1;
            }
            let Some(stop) = plan.stops.first() else { break };
            problem.stations[stop.station].take(stop.evse, stop.window);
            last = Some(plan);
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn via_points_are_passed_in_their_order() {
    let mut passed = 0;
    for seed in 0..150 {
        let Instance { mut problem, .. } = random(seed);
        let rng = &mut Rng::with_seed(seed);
        let place =
            |along: f64, rng: &mut Rng| Position { latitude: -8.0 - along, longitude: -38.0 + rng.f64() };
        let mut points = vec![place(0.0, rng), place(1.5, rng), place(0.5, rng), place(2.5, rng)];
        points.extend((0..problem.stations.len()).map(|_| {
            let along = 2.5 * rng.f64();
            place(along, rng)
        }));
        let legs = StraightLine::new(points, 80.0, 0.16).unwrap();
        problem.vias = 2;
        let Ok(plan) = plan(&problem, &legs) else { continue };
        // The validator drives over all of them.
        assert_eq!(fault(&problem, &legs, &plan), None, "seed {seed}: {plan:?}");
        assert!(plan.stops.is_sorted_by_key(|stop| stop.vias));
        passed += plan.stops.iter().filter(|stop| stop.vias > 0).count();
    }
    assert!(passed > 30, "{passed}");
}

#[test]
fn alternatives_differ_in_a_stop_and_backups_lead_on() {
    let (mut others, mut backups) = (0, 0);
    for seed in 0..300 {
        let Instance { problem, legs } = if seed % 2 == 0 { random(seed) } else { with_money(seed) };
        let outlook = Outlook::new(&problem, &legs).unwrap();
        let Ok(best) = outlook.plan(&problem, &legs, &|| false) else { continue };
        let alternatives = outlook.alternatives(&problem, &legs, &best, 3, &|| false).unwrap();
        assert!(alternatives.len() <= 3);
        let stations = |plan: &Itinerary| plan.stops.iter().map(|stop| stop.station).collect::<Vec<_>>();
        let mut seen = BTreeSet::from([stations(&best)]);
        for plan in &alternatives {
            assert_eq!(fault(&problem, &legs, plan), None, "seed {seed}: {plan:?}");
            assert!(seen.insert(stations(plan)), "seed {seed}: twice the same");
            others += 1;
        }
        for (at, stop) in best.stops.iter().enumerate() {
            assert!(stop.backups.len() <= 2);
            for backup in &stop.backups {
                assert!(!stations(&best).contains(&backup.station), "seed {seed}");
                // Whoever finds the stop taken goes on with the backup in its place.
                let mut only = problem.clone();
                let keep: BTreeSet<usize> = stations(&best)
                    .into_iter()
                    .filter(|one| *one != stop.station || best.stops[..at].iter().any(|s| s.station == *one))
                    .chain([backup.station])
                    .collect();
                close_all_but(&mut only.stations, &keep);
                only.settings.objective = recarga_planning::Objective::FASTEST;
                only.settings.stops_max = 12;
                let plan = outlook.plan(&only, &legs, &|| false);
                backups += usize::from(plan.is_ok());
            }
        }
    }
    assert!(others > 100 && backups > 80, "{others} alternatives, {backups} backups that lead on");
}

fn close_all_but(stations: &mut [Station], keep: &BTreeSet<usize>) {
    for (at, station) in stations.iter_mut().enumerate() {
        if !keep.contains(&at) {
            station.evses.iter_mut().for_each(|evse| evse.free.clear());
        }
    }
}

#[test]
fn instants_far_away_break_nothing() {
    let Instance { mut problem, legs } = random(3);
    for millis in [i64::MIN, -1, 0, i64::MAX] {
        problem.departure = Timestamp::from_millis(millis);
        let _ = plan(&problem, &legs);
    }
}

/// Two chargers at each of 60 stations along 830 km, each taken for twenty minutes of every hour: nothing fits well, so
/// that whoever looks at everything looks at a hundred thousand possibilities and more.
#[test]
fn calendars_full_of_small_gaps_do_not_take_for_ever() {
    for seed in 0..12 {
        let rng = &mut Rng::with_seed(seed);
        let Instance { problem, .. } = random(seed);
        let place = |along: f64, aside: f64| Position { latitude: -8.0 - along, longitude: -38.0 + aside };
        let spots: Vec<_> = (0..60).map(|_| place(7.4 * rng.f64(), 0.6 * rng.f64() - 0.3)).collect();
        let points = [place(0.0, 0.0), place(7.4, 0.0)].into_iter().chain(spots);
        let legs = StraightLine::new(points, 90.0, 0.17).unwrap();
        let station = |rng: &mut Rng| {
            let taken = 20.0 * rng.usize(..3) as f64;
            let hours = (-1..72).map(|hour| f64::from(hour) * 60.0 + taken);
            let free: Vec<TimeWindow> =
                hours.map(|at| TimeWindow::new(after(at + 20.0), after(at + 60.0)).unwrap()).collect();
            let mut station = problem.stations[0].clone();
            station.evses.truncate(1);
            station.evses[0].free = free;
            station.evses[0].connectors.truncate(1);
            station.evses[0].connectors[0].kw = 60.0;
            station.evses[0].connectors[0].plug = Plug::CCS2;
            station.evses.push(station.evses[0].clone());
            station
        };
        let curve = vec![(0.0, 120.0), (36.0, 120.0), (48.0, 60.0), (60.0, 20.0)];
        let vehicle = Vehicle::new(60.0, 6.0, vec![Plug::CCS2], curve).unwrap();
        let settings = |labels_max| Settings { labels_max, buffer_minutes: 10.0, ..Settings::default() };
        let mut problem = Problem {
            arrive_kwh: 6.0,
            vehicle,
            charge_kwh: 50.0,
            vias: 0,
            stations: (0..60).map(|_| station(rng)).collect(),
            settings: settings(20_000),
            ..problem.clone()
        };
        let quick = plan(&problem, &legs).unwrap_or_else(|obstacle| panic!("seed {seed}: {obstacle}"));
        assert_eq!(fault(&problem, &legs, &quick), None, "seed {seed}");
        // What it may cost: a few per cent of the way at its fastest, which no calendar delays.
        for station in &mut problem.stations {
            station.evses[0].free = vec![TimeWindow::new(after(-10.0), after(6000.0)).unwrap()];
        }
        let free = plan(&problem, &legs).unwrap().minutes();
        assert!(quick.minutes() < free * 1.2, "seed {seed}: {} of {free} minutes", quick.minutes());
    }
}
