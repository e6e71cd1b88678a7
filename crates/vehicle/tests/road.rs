//! One car on the road: distance, energy, traffic, windows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::script::{SECOND, Script, calm, place};
use common::{answered, cancelled, journey};
use recarga_reservation::TimeWindow;
use recarga_vehicle::geo::road_km;
use recarga_vehicle::model::DrivingStyle;
use recarga_vehicle::{Event, Settings};
use recarga_wire::vehicle::{VehicleState, Wish};

#[test]
fn the_battery_drains_with_the_distance_and_with_nothing_else() {
    for seed in 0..40 {
        let mut script = Script::new(calm(), seed);
        script.book("viagem-1");
        let model = script.car.model().clone();
        let (mut kwh, mut km, mut driven, mut legs_km) = (0.0, 0.0, false, 0.0);
        while !script.has(|event| matches!(event, Event::Arrived { .. })) {
            let is_driving = script.statuses.last().unwrap().estado == Some(VehicleState::Dirigindo);
            if driven && is_driving && script.car.odometer_km() > km {
                let per_km = (kwh - script.car.charge_kwh()) / (script.car.odometer_km() - km);
                let style = [DrivingStyle::Slow, DrivingStyle::Normal, DrivingStyle::Fast].into_iter();
                let known = style.map(|style| model.kwh_per_km(style));
                assert!(
                    known.into_iter().any(|known| (known - per_km).abs() < 1e-6),
                    "seed {seed}: {per_km}"
                );
            }
            (kwh, km, driven) = (script.car.charge_kwh(), script.car.odometer_km(), is_driving);
            let wake = script.car.wake().unwrap();
            script.live_until(wake);
        }
        // And the distance is that between the places, whatever the odometer says.
        for pair in script.statuses.windows(2) {
            legs_km += road_km(place(&pair[0]), place(&pair[1]));
        }
        assert!(
            (legs_km - script.car.odometer_km()).abs() < 1.0 + legs_km / 1000.0,
            "seed {seed}: {legs_km}"
        );
        assert!(legs_km > 100.0, "seed {seed}");
    }
}

#[test]
fn who_is_too_late_cancels_and_books_the_rest_from_the_road() {
    let jammed = Settings { jam_probability: 0.4, jam_max: Duration::from_secs(6 * 3600), ..calm() };
    let (mut late, mut on_road, mut arrived) = (0, 0, 0);
    for seed in 0..40 {
        let mut script = Script::new(Settings { trips: Some(1), ..jammed.clone() }, seed);
        let (mut trip, mut destination) = (0, String::new());
        loop {
            if script.requests.is_empty() {
                let Some(wake) = script.car.wake() else { break };
                script.live_until(wake.max(script.elapsed));
                assert!(script.elapsed < 4000 * SECOND, "seed {seed}: it ends");
                continue;
            }
            let request = script.next_request();
            if let Wish::Cancel(given_back) = &request.wish {
                assert_eq!(given_back.as_str(), format!("viagem-{trip}"), "seed {seed}");
                script.answer(cancelled(&request));
                late += 1;
                continue;
            }
            let wanted = journey(&request);
            if trip > 0 {
                assert_eq!(wanted.destino, destination, "seed {seed}: the same trip");
                // Who hears of the jam gives the stops back there and then, not after having arrived.
                let here = place(&script.status());
                let origin = recarga_atlas::cities::find(&wanted.origem).unwrap().position;
                assert!(road_km(here, origin) < 0.1, "seed {seed}: from where it is");
                assert_eq!(wanted.reserva_pct, Some(2.0), "seed {seed}");
                on_road += 1;
            }
            destination.clone_from(&wanted.destino);
            let answer = answered(&request, &format!("viagem-{}", trip + 1));
            trip += u32::from(answer.viagem_id.is_some());
            script.answer(answer);
        }
        arrived += usize::from(script.has(|event| matches!(event, Event::Arrived { .. })));
    }
    assert!(late >= 20 && on_road >= 20, "{late}, {on_road}");
    assert!(arrived >= 35, "{arrived} of 40");
}

#[test]
fn who_is_a_little_late_leaves_the_evse_when_the_window_ends() {
    let delayed = Settings {
        jam_probability: 1.0,
        jam_max: Duration::from_secs(25 * 60),
        consumption_spread: 0.1,
        status_period: Duration::from_secs(60),
        ..calm()
    };
    let (mut charging, mut cut_short) = (0, 0);
    for seed in 0..60 {
        let mut script = Script::new(delayed.clone(), seed);
        let told = script.book("viagem-1").paradas;
        while script.requests.is_empty() {
            let wake = script.car.wake().unwrap();
            script.live_until(wake.max(script.elapsed));
        }
        let windows: Vec<TimeWindow> =
            told.iter().map(|stop| TimeWindow::new(stop.janela_inicio, stop.janela_fim).unwrap()).collect();
        for pair in script.statuses.windows(2) {
            if pair[0].estado != Some(VehicleState::Carregando) {
                continue;
            }
            charging += 1;
            let (at, next) = (pair[0].instante, pair[1].instante);
            let is_inside = |window: &TimeWindow| window.start() <= at && at < window.end();
            assert!(windows.iter().any(is_inside), "seed {seed}: charges at {at:?}, not in {windows:?}");
            let ends_it = |window: &TimeWindow| window.end() <= next && next < window.end() + 3 * SECOND;
            let drives_on = pair[1].estado == Some(VehicleState::Dirigindo);
            cut_short += usize::from(drives_on && windows.iter().any(ends_it));
        }
    }
    assert!(charging > 1000 && cut_short >= 3, "{cut_short} of {charging}");
}

#[test]
fn who_runs_out_of_energy_gives_everything_back_and_is_towed() {
    let gale = Settings { consumption_spread: 0.9, ..calm() };
    let towed = (0..20).filter(|seed| {
        let mut script = Script::new(gale.clone(), *seed);
        script.book("viagem-1");
        let next = script.next_request();
        let Wish::Cancel(trip) = &next.wish else { return false };
        assert_eq!(trip.as_str(), "viagem-1");
        if script.car.charge_kwh() > 0.0 {
            return false;
        }
        script.answer(cancelled(&next));
        assert!(script.has(|event| matches!(event, Event::OutOfBattery { .. })), "seed {seed}");
        assert_eq!(script.statuses.last().unwrap().estado, Some(VehicleState::SemBateria));
        script.book("viagem-2");
        true
    });
    assert!(towed.count() >= 3);
}
