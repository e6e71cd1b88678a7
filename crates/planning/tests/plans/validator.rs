//! Replays a plan from the problem alone. It shares no code with the search but the drives and the charging times.

use recarga_planning::{Itinerary, Legs, Problem, Stop};
use recarga_reservation::Timestamp;

/// Rounding of instants to milliseconds, in minutes.
const ROUNDING: f64 = 1.0 / 10_000.0;

/// What is wrong with the plan.
pub fn fault(problem: &Problem, legs: &dyn Legs, plan: &Itinerary) -> Option<String> {
    replay(problem, legs, plan).err()
}

fn check(fine: bool, what: impl Fn() -> String) -> Result<(), String> {
    if fine { Ok(()) } else { Err(what()) }
}

fn replay(problem: &Problem, legs: &dyn Legs, plan: &Itinerary) -> Result<(), String> {
    let minutes = |at: recarga_reservation::Timestamp| {
        (at.as_millis() - problem.departure.as_millis()) as f64 / 60_000.0
    };
    let (vehicle, settings) = (&problem.vehicle, &problem.settings);
    check(plan.stops.len() <= settings.stops_max, || "too many stops".into())?;
    let apart = plan.stops.windows(2).all(|two| two[0].window.end() <= two[1].window.start());
    check(apart, || "at two places at a time".into())?;
    let (mut point, mut now, mut kwh, mut passed) = (0, 0.0, problem.charge_kwh, 0);
    let (mut km, mut price, mut waiting, mut charging) = (0.0, 0.0, 0.0, 0.0);
    let destination = problem.vias + 1;
    let mut go = |to: usize, now: &mut f64, kwh: &mut f64, least: f64| {
        let leg = legs.leg(point, to).ok_or_else(|| format!("no road from {point} to {to}"))?;
        point = to;
        km += leg.km;
        *now += leg.minutes;
        *kwh -= leg.kwh;
        check(*kwh >= least - 1e-6, || format!("at {to} with {kwh} kWh, {least} are the least"))
    };
    for (number, stop) in plan.stops.iter().enumerate() {
        while passed < stop.vias {
            passed += 1;
            go(passed, &mut now, &mut kwh, vehicle.reserve_kwh())?;
        }
        go(destination + 1 + stop.station, &mut now, &mut kwh, vehicle.reserve_kwh())?;
        check((minutes(stop.arrive) - now).abs() < ROUNDING, || format!("stop {number}: arrives at {now}"))?;
        check((stop.arrive_kwh - kwh).abs() < 1e-6, || format!("stop {number}: arrives with {kwh}"))?;
        let next = plan.stops.get(number + 1).map(|next| next.start);
        let took = stay(problem, stop, number, next)?;
        waiting += minutes(stop.start) - now;
        charging += took;
        now = minutes(stop.end);
        price += stop.price;
        kwh = stop.leave_kwh;
    }
    while passed < problem.vias {
        passed += 1;
        go(passed, &mut now, &mut kwh, vehicle.reserve_kwh())?;
    }
    go(destination, &mut now, &mut kwh, problem.arrive_kwh.max(vehicle.reserve_kwh()))?;
    let same = |told: f64, is: f64| (told - is).abs() < 1e-3;
    check(same(plan.minutes(), now), || format!("arrives after {now} minutes, not {}", plan.minutes()))?;
    check(same(plan.km, km), || format!("drives {km} km"))?;
    check(same(plan.price, price), || format!("pays {price}"))?;
    check(same(plan.waiting_minutes, waiting), || format!("waits {waiting} minutes"))?;
    check(same(plan.charging_minutes, charging), || format!("charges {charging} minutes"))?;
    check(same(plan.arrive_kwh, kwh), || format!("arrives with {kwh} kWh"))
}

// How long it charges.
fn stay(problem: &Problem, stop: &Stop, number: usize, next: Option<Timestamp>) -> Result<f64, String> {
    let next = next.unwrap_or(Timestamp::from_millis(i64::MAX));
    let evse = &problem.stations[stop.station].evses[stop.evse];
    let cable = &evse.connectors[stop.connector];
    check(problem.vehicle.plugs().contains(&cable.plug), || format!("stop {number}: wrong plug"))?;
    check(stop.start >= stop.arrive, || format!("stop {number}: begins before it arrives"))?;
    check(stop.leave_kwh <= problem.vehicle.usable_kwh() + 1e-6, || format!("stop {number}: overfull"))?;
    let table = match &cable.measured {
        Some(table) => table.clone(),
        None => problem.vehicle.charge_table(cable.kw),
    };
    let took = table.between(stop.arrive_kwh, stop.leave_kwh);
    let stayed = (stop.end.as_millis() - stop.start.as_millis()) as f64 / 60_000.0;
    let needed = problem.settings.setup_minutes + took;
    check(stayed >= needed - ROUNDING, || format!("stop {number}: stays {stayed} of {needed} minutes"))?;
    let is_free = evse.free.iter().any(|free| {
        let buffer = std::time::Duration::from_secs_f64(problem.settings.buffer_minutes * 60.0);
        // A millisecond, for instants rounded up.
        free.start() <= stop.window.start()
            && stop.window.start() <= stop.start
            && (stop.end + buffer).min(next) <= stop.window.end() + std::time::Duration::from_millis(1)
            && stop.end <= stop.window.end()
            && stop.window.end() <= free.end() + std::time::Duration::from_millis(1)
    });
    check(is_free, || format!("stop {number}: {:?} is not free", stop.window))?;
    Ok(took)
}
