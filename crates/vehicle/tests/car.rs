//! One car and its requests, against companies that follow a script.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::script::{SECOND, Script, calm, place};
use common::{cancelled, confirmed, journey, now, read, refused};
use recarga_atlas::cities;
use recarga_reservation::VehicleId;
use recarga_vehicle::model::DrivingStyle;
use recarga_vehicle::{Event, Outcome, Settings};
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleState, Wish};
use recarga_wire::{Problem, ProblemKind};

#[test]
fn a_confirmed_trip_is_driven_to_its_end() {
    let mut all = 0;
    for seed in 0..40 {
        let mut script = Script::new(Settings { trips: Some(3), ..calm() }, seed);
        script.live_out();
        assert!(script.car.is_finished(), "seed {seed}: {:?}", script.car);
        let count = |wanted: fn(&Event) -> bool| script.events.iter().filter(|event| wanted(event)).count();
        let arrived = count(|event| matches!(event, Event::Arrived { .. }));
        let gave_up = count(|event| matches!(event, Event::GaveUp { .. }));
        assert_eq!((arrived + gave_up, script.ignored), (3, 0), "seed {seed}");
        all += arrived;
        assert!(!script.has(|event| matches!(event, Event::OutOfBattery { .. } | Event::Late { .. })));
        let states: Vec<_> = script.statuses.iter().map(|status| status.estado.unwrap()).collect();
        for state in [VehicleState::Dirigindo, VehicleState::Carregando, VehicleState::Pedindo] {
            assert!(arrived == 0 || states.contains(&state), "seed {seed}: {state:?}");
        }
    }
    assert!(all >= 110, "{all} of 120");
}

#[test]
fn a_car_asks_for_where_it_goes_with_what_it_has() {
    for seed in 0..40 {
        let mut script = Script::new(calm(), seed);
        let request = script.next_request();
        let expires = request.expires.unwrap();
        assert_eq!(expires, now(script.elapsed).utc + 60 * SECOND, "real time, not simulated");
        let wanted = journey(&request);
        let (from, to) = (cities::find(&wanted.origem).unwrap(), cities::find(&wanted.destino).unwrap());
        assert_eq!(from.position, place(&script.status()), "{}", wanted.origem);
        let model = script.car.model();
        assert_eq!(wanted.modelo.as_ref(), Some(&model.car.id));
        assert!(wanted.bateria_pct <= script.car.charge_kwh() / model.usable_kwh() * 100.0);
        assert!(wanted.saida.unwrap() > now(script.elapsed).utc);
        // Far enough for a stop.
        let style = match wanted.velocidade_kmh.unwrap() {
            70.0 => DrivingStyle::Slow,
            90.0 => DrivingStyle::Normal,
            _ => DrivingStyle::Fast,
        };
        let range_km = (wanted.bateria_pct / 100.0 - 0.1) * model.usable_kwh() / model.kwh_per_km(style);
        let km = recarga_vehicle::geo::road_km(from.position, to.position);
        assert!(km > range_km * 0.85, "seed {seed}: {km} of {range_km} km");
    }
}

#[test]
fn the_same_seed_asks_for_the_same() {
    let first = |seed| Script::new(Settings::default(), seed).next_payload();
    assert_eq!(first(7), first(7));
    let asked = |seed| {
        let request = read(&VehicleId::new("carro-0001").unwrap(), &first(seed));
        let wanted = journey(&request);
        (wanted.origem.clone(), wanted.destino.clone(), wanted.modelo.clone())
    };
    let all: std::collections::BTreeSet<_> = (0..50).map(asked).collect();
    assert!(all.len() >= 45, "different seeds ask for different trips: {}", all.len());
    let named = (0..50).filter(|seed| first(*seed).windows(10).any(|part| part == b"\"servidor\"")).count();
    assert!((10..40).contains(&named), "a coordinator is named sometimes: {named}");
}

#[test]
fn without_an_answer_the_same_request_is_sent_again() {
    let mut script = Script::new(calm(), 1);
    let first = script.next_payload();
    let mut sent = vec![script.elapsed];
    while script.requests.is_empty() && script.outcomes().is_empty() {
        let wake = script.car.wake().unwrap();
        script.live_until(wake);
        if !script.requests.is_empty() {
            assert_eq!(script.requests.remove(0), first, "the very same payload");
            sent.push(script.elapsed);
        }
    }
    let pauses: Vec<u64> = sent.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(pauses.len() >= 4 && pauses[0] == 3 && pauses[1] > 3, "with longer pauses: {pauses:?}");
    assert!(script.elapsed >= 90 * SECOND, "for the whole of its patience");
    assert_eq!(script.outcomes(), [&Outcome::Unanswered]);

    // It asks anew, by another company's name; then the first one is confirmed after all, and is given back.
    let old = read(script.car.id(), &first);
    let second = script.next_request();
    assert_ne!(second.request, old.request);
    assert!(second.operator.is_some() && second.operator != old.operator);
    script.answer(confirmed(&old, "viagem-fantasma"));
    let release = script.next_request();
    assert!(matches!(&release.wish, Wish::Cancel(trip) if trip.as_str() == "viagem-fantasma"));
    assert!(!script.car.is_settled());
    script.answer(confirmed(&old, "viagem-fantasma"));
    assert_eq!((script.requests.len(), script.ignored), (0, 1), "once");
    script.answer(cancelled(&release));
    script.answer(confirmed(&second, "viagem-2"));
    assert_eq!(script.outcomes(), [&Outcome::Unanswered, &Outcome::Cancelled, &Outcome::Confirmed]);
    assert!(script.car.is_settled());
}

#[test]
fn an_answer_that_is_not_yet_one_is_waited_for() {
    let mut script = Script::new(calm(), 1);
    let first = script.next_payload();
    let request = read(script.car.id(), &first);
    for kind in [ProblemKind::InProgress, ProblemKind::Internal, ProblemKind::RequestedElsewhere] {
        script.answer(refused(&request, Problem::of(kind)));
        assert_eq!(script.next_payload(), first, "{kind}");
    }
    assert!(script.outcomes().is_empty(), "it was never refused");
    script.answer(confirmed(&request, "viagem-1"));
    assert_eq!(script.outcomes(), [&Outcome::Confirmed]);
}

/// It asked for the same trip until its patience ended.
#[test]
fn a_trip_that_was_cancelled_before_its_car_heard_of_it_is_asked_for_anew() {
    let mut script = Script::new(calm(), 1);
    let first = script.next_request();
    let booked = confirmed(&first, "viagem-1");
    script.answer(VehicleAnswer { estado: AnswerState::Cancelada, roteiro: None, ..booked });
    let second = script.next_request();
    assert_ne!(first.request, second.request);
    assert_eq!((journey(&first).destino == journey(&second).destino, script.ignored), (true, 0));
    script.answer(confirmed(&second, "viagem-2"));
    assert_eq!(script.outcomes().last(), Some(&&Outcome::Confirmed));
}

#[test]
fn repeated_and_older_answers_are_ignored() {
    let mut script = Script::new(calm(), 3);
    let first = script.next_request();
    script.answer(refused(&first, Problem::of(ProblemKind::Unavailable)));
    let second = script.next_request();
    assert_ne!(first.request, second.request);
    assert_eq!(journey(&first).destino, journey(&second).destino);
    script.answer(refused(&first, Problem::of(ProblemKind::Unavailable)));
    script.answer(confirmed(&first, "viagem-velha"));
    assert_eq!((script.ignored, script.requests.len()), (2, 0));
    script.answer(confirmed(&second, "viagem-2"));
    script.answer(confirmed(&second, "viagem-2"));
    let mut strange = confirmed(&second, "viagem-2");
    strange.requisicao_id = None;
    script.answer(strange);
    let mut other = confirmed(&second, "viagem-2");
    other.veiculo_id = VehicleId::new("carro-0002").unwrap();
    script.answer(other);
    assert_eq!((script.ignored, script.requests.len()), (5, 0));
    let confirmed = script.outcomes().into_iter().filter(|outcome| **outcome == Outcome::Confirmed).count();
    assert_eq!(confirmed, 1);
}

#[test]
fn what_passes_is_asked_again_and_what_does_not_leads_elsewhere() {
    let kinds = [
        (ProblemKind::Held, true),
        (ProblemKind::Booked, true),
        (ProblemKind::Unreachable, true),
        (ProblemKind::TooSlow, true),
        (ProblemKind::NoPlan, false),
        (ProblemKind::NothingToBook, false),
        (ProblemKind::UnknownEvse, false),
    ];
    for (kind, is_same) in kinds {
        let elsewhere = (0..20).filter(|seed| {
            let mut script = Script::new(calm(), *seed);
            let request = script.next_request();
            script.answer(refused(&request, Problem::of(kind)));
            let asked = script.elapsed;
            let again = script.next_request();
            assert!(script.elapsed - asked <= SECOND, "soon, in real time");
            assert_ne!(again.request, request.request, "a new wish has a new id");
            journey(&again).destino != journey(&request).destino
        });
        let elsewhere = elsewhere.count();
        assert!(if is_same { elsewhere == 0 } else { elsewhere >= 15 }, "{kind}: {elsewhere} of 20");
    }
}

#[test]
fn clocks_that_have_drifted_apart_are_set() {
    let mut script = Script::new(Settings { speed: 3600.0, ..calm() }, 4);
    script.book("viagem-1");
    let request = script.next_request();
    let ahead = journey(&request).saida.unwrap().since(now(script.elapsed).utc);
    assert!(ahead > Duration::from_secs(12 * 3600), "{ahead:?}");
    script.answer(refused(&request, Problem::of(ProblemKind::InvalidField).at("saida")));
    let again = script.next_request();
    let ahead = journey(&again).saida.unwrap().since(now(script.elapsed).utc);
    assert!(ahead < Duration::from_secs(4 * 3600), "{ahead:?}");
}

#[test]
fn a_plan_that_nobody_can_follow_is_given_back() {
    type Spoil = fn(&mut recarga_wire::vehicle::VehicleAnswer);
    let spoilt: [Spoil; 6] = [
        |answer| answer.roteiro = None,
        |answer| _ = answer.paradas.pop(),
        |answer| answer.paradas[0].ponto_id = "outro".parse().unwrap(),
        |answer| answer.roteiro.as_mut().unwrap().paradas[0].latitude = f64::NAN,
        |answer| answer.roteiro.as_mut().unwrap().paradas[0].distancia_km = -1.0,
        |answer| answer.roteiro.as_mut().unwrap().paradas[0].saida_pct = 1e9,
    ];
    for spoil in spoilt {
        let mut script = Script::new(calm(), 1);
        let request = script.next_request();
        let mut answer = confirmed(&request, "viagem-1");
        spoil(&mut answer);
        script.answer(answer);
        let release = script.next_request();
        assert!(matches!(&release.wish, Wish::Cancel(trip) if trip.as_str() == "viagem-1"), "{release:?}");
        script.answer(cancelled(&release));
        assert_eq!(script.wrong, 1);
        assert_eq!(journey(&script.next_request()).destino, journey(&request).destino, "and asks again");
    }
}

#[test]
fn refused_again_and_again_the_driver_gives_up_for_a_while() {
    let mut script = Script::new(calm(), 5);
    let mut requests = std::collections::BTreeSet::new();
    while !script.has(|event| matches!(event, Event::GaveUp { .. })) {
        let request = script.next_request();
        requests.insert(request.request.to_string());
        script.answer(refused(&request, Problem::of(ProblemKind::Booked).at_stop(0)));
        script.live_until(script.elapsed + SECOND);
    }
    let most = (Settings::default().attempts_max * Settings::default().places_max) as usize;
    assert!((4..=most).contains(&requests.len()), "{}", requests.len());
    let rested = script.elapsed;
    let again = script.next_request();
    assert!(script.elapsed > rested + SECOND);
    script.answer(confirmed(&again, "viagem-1"));
}

#[test]
fn a_driver_who_changes_his_mind_gives_everything_back() {
    let mut script = Script::new(Settings { cancel_probability: 1.0, trips: Some(1), ..calm() }, 2);
    let request = script.next_request();
    script.answer(confirmed(&request, "viagem-1"));
    let payload = script.next_payload();
    let cancel = read(script.car.id(), &payload);
    assert!(matches!(&cancel.wish, Wish::Cancel(trip) if trip.as_str() == "viagem-1"));
    let coordinates = confirmed(&request, "viagem-1").servidor;
    assert_eq!(cancel.operator, Some(coordinates), "asks the company that coordinates the trip");
    assert_eq!(script.next_payload(), payload, "again until it is answered");
    script.answer(refused(&cancel, Problem::of(ProblemKind::TripBusy)));
    let again = script.next_request();
    assert_ne!(again.request, cancel.request, "a refusal would only be repeated under the same id");
    assert!(!script.car.is_finished());
    script.answer(cancelled(&again));
    assert_eq!(script.outcomes(), [&Outcome::Confirmed, &Outcome::Cancelled]);
    assert!(script.car.is_finished());
    assert!(!script.has(|event| matches!(event, Event::Departed { .. })));
}

#[test]
fn a_fast_clock_that_is_far_ahead_starts_again() {
    let day = 24 * 3600;
    let fast = Settings { speed: 36_000.0, rest: Duration::from_secs(day), ..calm() };
    let mut script = Script::new(fast, 11);
    for trip in 0..60 {
        let answer = script.book(&format!("viagem-{trip}"));
        for stop in answer.roteiro.unwrap().paradas {
            let ahead = stop.janela_fim.since(now(script.elapsed).utc);
            assert!(ahead < Duration::from_secs(8 * day), "trip {trip}: {ahead:?} ahead");
        }
    }
    assert!(script.elapsed > 2 * Duration::from_secs(5 * day) / 36_000, "more than one round");
}
