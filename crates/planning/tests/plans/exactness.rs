//! How good plans are.

use recarga_planning::{Itinerary, Obstacle, Outlook};

use crate::instances::{Instance, random, with_money};
use crate::oracle::earliest;
use crate::validator::fault;

/// A plan may come so much later than the best one known, as a share of the way; and all of them in the mean.
const LATER_MAX: f64 = 0.002;
const LATER_MEAN: f64 = 0.000_1;

fn plan(instance: &Instance) -> Result<Itinerary, Obstacle> {
    let outlook = Outlook::new(&instance.problem, &instance.legs).expect("good numbers");
    outlook.plan(&instance.problem, &instance.legs, &|| false)
}

#[test]
fn plans_are_valid_and_as_fast_as_can_be() {
    let (mut sum_plan, mut sum_best, mut planned, mut refused, mut late, mut stops) = (0.0, 0.0, 0, 0, 0, 0);
    for seed in 0..300 {
        let instance = random(seed);
        let (least, best) = earliest(&instance.problem, &instance.legs);
        match plan(&instance) {
            Ok(plan) => {
                let fault = fault(&instance.problem, &instance.legs, &plan);
                assert_eq!(fault, None, "seed {seed}: {plan:?}");
                let least = least.unwrap_or_else(|| panic!("seed {seed}: there is no such plan"));
                let minutes = plan.minutes();
                assert!(minutes >= least - 0.01, "seed {seed}: {minutes} beats {least}");
                let best = best.unwrap_or(least);
                if minutes > best * (1.0 + LATER_MAX) {
                    println!("seed {seed}: {minutes:.2} of {best:.2} minutes, {} stops", plan.stops.len());
                    late += 1;
                }
                sum_plan += minutes;
                sum_best += best;
                planned += 1;
                stops += plan.stops.len();
            }
            Err(obstacle) => {
                // What the grid cannot find, the truth can only just.
                if let Some(best) = best {
                    println!("seed {seed}: refused ({obstacle}), although {best:.1} minutes are possible");
                    refused += 1;
                }
            }
        }
    }
    let share = sum_plan / sum_best - 1.0;
    println!(
        "{planned} plans with {stops} stops, {:.3} % slower than the best; {refused} missed, {late} late",
        share * 100.0
    );
    assert!(planned > 120 && stops > 200, "{planned} plans, {stops} stops: the instances are too easy");
    assert_eq!(late, 0, "later than {LATER_MAX} of the way");
    assert!(share < LATER_MEAN, "{share}");
    assert!(refused * 100 <= planned, "{refused}");
}

#[test]
fn foresight_changes_nothing_but_speed() {
    let mut planned = 0;
    for seed in 0..60 {
        let mut instance = if seed % 2 == 0 { random(seed) } else { with_money(seed) };
        // A search without foresight looks at everything.
        let stops_max = &mut instance.problem.settings.stops_max;
        *stops_max = 3.min(*stops_max);
        let outlook = Outlook::new(&instance.problem, &instance.legs).expect("good numbers");
        let cost = |plan: &Itinerary| {
            let objective = &instance.problem.settings.objective;
            let penalties: f64 =
                plan.stops.iter().map(|stop| instance.problem.stations[stop.station].penalty_minutes).sum();
            plan.minutes()
                + objective.price_weight * plan.price
                + objective.stop_minutes * plan.stops.len() as f64
                + penalties
        };
        let seeing = outlook.plan(&instance.problem, &instance.legs, &|| false);
        let blind = outlook.blind().plan(&instance.problem, &instance.legs, &|| false);
        match (seeing, blind) {
            (Ok(seeing), Ok(blind)) => {
                planned += 1;
                let (seeing_cost, blind_cost) = (cost(&seeing), cost(&blind));
                // Two plans may cost the same on the grid and differ a little as they are driven.
                let close = (seeing_cost - blind_cost).abs() <= 0.01 * blind_cost + 0.5;
                assert!(close, "seed {seed}: {seeing_cost} and {blind_cost}\n{seeing:?}\n{blind:?}");
            }
            (Err(_), Err(_)) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
    assert!(planned > 20, "{planned}");
}

#[test]
fn money_is_counted_as_it_is_paid() {
    let mut cheaper = 0;
    for seed in 0..200 {
        let instance = with_money(seed);
        let Ok(plan) = plan(&instance) else { continue };
        assert_eq!(fault(&instance.problem, &instance.legs, &plan), None, "seed {seed}: {plan:?}");
        let mut hurried = with_money(seed);
        hurried.problem.settings.objective = recarga_planning::Objective::FASTEST;
        hurried.problem.stations.iter_mut().for_each(|station| station.penalty_minutes = 0.0);
        let fastest = self::plan(&hurried).expect("who has money has a plan");
        assert!(fastest.minutes() <= plan.minutes() * 1.01 + 1.0, "seed {seed}");
        let mut mean = with_money(seed);
        mean.problem.settings.objective = recarga_planning::Objective::CHEAPEST;
        mean.problem.stations.iter_mut().for_each(|station| station.penalty_minutes = 0.0);
        let cheapest = self::plan(&mean).expect("who has time has a plan");
        // By less than a hundredth of the battery.
        let rounding = 0.03 * instance.problem.vehicle.usable_kwh() * (1.0 + cheapest.stops.len() as f64);
        assert!(cheapest.price <= fastest.price + rounding, "seed {seed}: {cheapest:?}\n{fastest:?}");
        cheaper += usize::from(cheapest.price < fastest.price - 1.0);
    }
    assert!(cheaper > 20, "{cheaper}: prices make no difference in these instances");
}
