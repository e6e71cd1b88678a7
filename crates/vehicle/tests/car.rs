//! One car and its requests, against companies that follow a script.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::script::{SECOND, Script, calm, stops};
use common::{cancelled, confirmed, now, read, refused};
use recarga_reservation::{TimeWindow, VehicleId};
use recarga_vehicle::{Event, Outcome, Settings};
use recarga_wire::vehicle::{VehicleState, Wish};
use recarga_wire::{Problem, ProblemKind};

#[test]
fn a_confirmed_trip_is_driven_to_its_end() {
    for seed in 0..40 {
        let mut script = Script::new(Settings { trips: Some(3), ..calm() }, seed);
        for trip in 0..3 {
            let request = script.next_request();
            let windows = stops(&request);
            assert!(windows.iter().all(|(.., window)| window.start() > now(script.elapsed).utc));
            let expires = request.expires.unwrap();
            assert_eq!(expires, now(script.elapsed).utc + 60 * SECOND, "real time, not simulated");
            script.answer(confirmed(&request, &format!("viagem-{trip}")));
        }
        script.live_until(script.elapsed + 400 * SECOND);
        assert!(script.car.is_finished(), "seed {seed}: {:?}", script.car);
        let arrived = script.events.iter().filter(|event| matches!(event, Event::Arrived { .. })).count();
        assert_eq!((arrived, script.requests.len(), script.ignored), (3, 0, 0), "seed {seed}");
        assert!(!script.has(|event| matches!(event, Event::OutOfBattery { .. } | Event::Late { .. })));
        let states: Vec<_> = script.statuses.iter().map(|status| status.estado.unwrap()).collect();
        for state in [VehicleState::Dirigindo, VehicleState::Carregando, VehicleState::Pedindo] {
            assert!(states.contains(&state), "seed {seed}: {state:?}");
        }
    }
}

#[test]
fn the_same_seed_asks_for_the_same() {
    let first = |seed| Script::new(Settings::default(), seed).next_payload();
    assert_eq!(first(7), first(7));
    let asked = |seed| stops(&read(&VehicleId::new("carro-0001").unwrap(), &first(seed)));
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

    // It asks for something else; then the first one is confirmed after all, and is given back.
    let old = read(script.car.id(), &first);
    let second = script.next_request();
    assert_ne!(second.request, old.request);
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

#[test]
fn repeated_and_older_answers_are_ignored() {
    let mut script = Script::new(calm(), 3);
    let first = script.next_request();
    script.answer(refused(&first, Problem::of(ProblemKind::Unavailable)));
    let second = script.next_request();
    assert_ne!(first.request, second.request);
    assert_eq!(stops(&first).len(), stops(&second).len());
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
fn of_what_is_free_instead_the_car_takes_what_fits() {
    for (seed, stop) in (0..60).map(|seed| (seed, (seed % 3) as usize)) {
        let mut script = Script::new(calm(), seed);
        let request = script.next_request();
        let before = stops(&request);
        if before.len() < 3 {
            continue;
        }
        let (_, evse, wanted) = before[stop].clone();
        let at = |minutes: u64| wanted.start() + Duration::from_secs(minutes * 60);
        let window = |from: u64, until: u64| TimeWindow::new(at(from), at(until)).unwrap();
        let minutes = wanted.duration().as_secs() / 60;
        let mut problem = Problem::of(ProblemKind::Booked).at_stop(stop as u16);
        // Too short, right, and later than needed.
        problem.free = vec![window(900, 2000), window(50, 50 + minutes + 30), window(1, minutes - 3)].into();
        script.answer(refused(&request, problem));
        let again = script.next_request();
        assert_ne!(again.request, request.request, "a new wish has a new id");
        let after = stops(&again);
        assert_eq!(after[stop].1, evse, "seed {seed}");
        let shifted = after[stop].2;
        assert!(
            shifted.start() >= at(50) && shifted.end() <= at(50 + minutes + 30),
            "seed {seed}: {shifted:?}"
        );
        for (old, new) in before.iter().zip(&after).take(stop) {
            assert_eq!(old, new, "seed {seed}: earlier stops stay");
        }
        for (old, new) in before.iter().zip(&after).skip(stop + 1) {
            assert!(new.2.start() > old.2.start(), "seed {seed}: later stops move with it");
        }
        script.answer(confirmed(&again, "viagem-1"));
        script.live_until(script.elapsed + 400 * SECOND);
        assert!(script.has(|event| matches!(event, Event::Arrived { .. })), "seed {seed}");
        assert!(
            !script.has(|event| matches!(event, Event::Late { .. })),
            "seed {seed}: the new plan is kept"
        );
    }
}

#[test]
fn a_held_evse_is_tried_again_soon_or_left_for_its_neighbour() {
    let mut is_same = [false; 2];
    for seed in 0..20 {
        let mut script = Script::new(calm(), seed);
        let request = script.next_request();
        script.answer(refused(&request, Problem::of(ProblemKind::Held).at_stop(0)));
        let asked = script.elapsed;
        let again = script.next_request();
        assert!(script.elapsed - asked <= SECOND, "soon, in real time");
        assert_ne!(again.request, request.request);
        let (before, after) = (stops(&request), stops(&again));
        assert_eq!(before[0].0, after[0].0, "at the same company");
        assert_eq!(before[0].1[..8], after[0].1[..8], "at the same station");
        is_same[usize::from(before[0].1 == after[0].1)] = true;
    }
    assert_eq!(is_same, [true; 2]);
}

#[test]
fn a_company_that_does_not_answer_is_avoided_for_a_while() {
    for seed in 0..20 {
        let mut script = Script::new(calm(), seed);
        let request = script.next_request();
        let silent = stops(&request)[1].0.clone();
        script.answer(refused(&request, Problem::of(ProblemKind::Unreachable).at_stop(1)));
        let again = stops(&script.next_request());
        assert!(again.iter().all(|(operator, ..)| *operator != silent), "seed {seed}: {again:?}");
        assert!(script.has(|event| matches!(event, Event::RouteFellShort { .. })), "and says so");
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
    let most = (Settings::default().attempts_max * Settings::default().routes_max) as usize;
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
    assert_eq!(cancel.operator.as_ref(), request.coordinator(), "asks the company that coordinates the trip");
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
    for trip in 0..200 {
        let request = script.next_request();
        for (.., window) in stops(&request) {
            let ahead = window.end().since(now(script.elapsed).utc);
            assert!(ahead < Duration::from_secs(90 * day), "trip {trip}: {ahead:?} ahead");
        }
        script.answer(confirmed(&request, &format!("viagem-{trip}")));
    }
    assert!(script.elapsed > 2 * Duration::from_secs(60 * day) / 36_000, "more than one round");
}
