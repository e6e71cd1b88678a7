//! Limits to the millisecond, and answers that differ by one detail.

use std::time::Duration;

use recarga_reservation::{
    Branch, EvseId, Firmness, Hold, HoldAnswer, HoldLimits, NotChangeable, Participant, Patience, Plug,
    Reason, Refusal, StoreId, TimeWindow, Told, Unacceptable, Vote,
};

use crate::federation::{
    DECIDE_LIMIT, Federation, HOUR, NOW, aborted, begun, evse, fresh, hours, key, later, operator, prepare,
    request, stop, vote,
};

const MILLI: Duration = Duration::from_millis(1);

fn limits() -> HoldLimits {
    HoldLimits {
        stops_max: 2,
        window_max: HOUR,
        ahead_max: HOUR * 9,
        late_max: HOUR,
        tombstone_keep: HOUR,
        ..HoldLimits::default()
    }
}

fn company() -> Participant {
    Participant::new(operator("b"), StoreId(1), &[evse("b-1")], limits())
}

// Of company a, for these windows of b-1.
fn hold(counter: u64, windows: &[TimeWindow]) -> Hold {
    let wish = request(&format!("r{counter}"), &[("b-1", hours(1, 2))]);
    let beginning = Federation::new().at("a").coordinator.begin(&wish, NOW.utc, fresh(counter.into()), NOW);
    let (_, mut hold) = begun(beginning, "b");
    hold.transaction.counter = counter;
    hold.stops = windows.iter().map(|window| stop("b-1", *window)).collect();
    hold
}

fn refusal(participant: &mut Participant, hold: &Hold, firmness: Firmness) -> Option<Reason> {
    let by = hold.transaction.coordinator.clone();
    let step = participant.hold(&by, hold, firmness, HOUR, Patience::MustVote, NOW).unwrap();
    match step.answer {
        HoldAnswer::Vote(Vote::No(Refusal { reason, .. })) => Some(reason),
        HoldAnswer::Vote(Vote::Yes { .. }) | HoldAnswer::Wait => None,
    }
}

#[test]
fn what_may_be_held_has_edges() {
    let from_to = |start, end| TimeWindow::new(start, end).unwrap();
    let late = NOW.utc - HOUR;
    let ahead = NOW.utc + HOUR * 9;
    let quarter = HOUR / 4;
    let many = [hours(1, 2), hours(2, 3), hours(3, 4)];
    let with_plug = |plug| Hold { plug: Some(plug), ..hold(1, &many[..1]) };
    let t2 = Plug::from_name("IEC_62196_T2").unwrap();
    let cases = [
        ("two stops", hold(1, &many[..2]), None),
        ("three stops", hold(1, &many), Some(Reason::StopCount { max: 2 })),
        ("no stops", hold(1, &[]), Some(Reason::StopCount { max: 2 })),
        ("its plug", with_plug(Plug::CCS2), None),
        ("another plug", with_plug(t2), Some(Reason::WrongPlug)),
        ("as late as may be", hold(1, &[from_to(late, late + quarter)]), None),
        ("too late", hold(1, &[from_to(late - MILLI, late + quarter)]), Some(Reason::InThePast)),
        ("as long as may be", hold(1, &[hours(1, 2)]), None),
        (
            "too long",
            hold(1, &[from_to(NOW.utc, NOW.utc + HOUR + MILLI)]),
            Some(Reason::TooLong { max: HOUR }),
        ),
        ("as far ahead as may be", hold(1, &[from_to(ahead, ahead + quarter)]), None),
        (
            "too far ahead",
            hold(1, &[from_to(ahead + MILLI, ahead + quarter)]),
            Some(Reason::TooFarAhead { max: HOUR * 9 }),
        ),
        ("side by side", hold(1, &[hours(2, 3), hours(1, 2)]), None),
    ];
    for (name, hold, expected) in cases {
        assert_eq!(refusal(&mut company(), &hold, Firmness::Prepared), expected, "{name}");
    }
}

#[test]
fn a_refusal_says_whether_to_come_again() {
    for firmness in [Firmness::Soft, Firmness::Prepared] {
        let mut participant = company();
        let (first, second) = (hold(1, &[hours(1, 2)]), hold(2, &[hours(1, 2)]));
        assert_eq!(refusal(&mut participant, &first, firmness), None);
        assert_eq!(
            refusal(&mut participant, &second, Firmness::Prepared),
            Some(Reason::Held),
            "{firmness:?}"
        );
    }
    let mut participant = company();
    let (first, second) = (hold(1, &[hours(1, 2)]), hold(2, &[hours(1, 2)]));
    refusal(&mut participant, &first, Firmness::Prepared);
    let _ = participant.confirm(&operator("a"), &first.transaction).unwrap();
    let booked = refusal(&mut participant, &second, Firmness::Prepared).unwrap();
    let Reason::Booked { free } = &booked else { panic!("{booked:?}") };
    assert_eq!(free[0], hours(0, 1), "as near as after it, and earlier");
    let passing = [Reason::Held, Reason::AnotherStore];
    let lasting = [booked, Reason::InThePast, Reason::Closed, Reason::Withdrawn];
    assert!(passing.iter().all(Reason::is_passing) && !lasting.iter().any(Reason::is_passing));
}

// Whoever keeps a copy hears of it once; nothing new is promised, and what was promised stands.
fn keeps_what_it_promised_and_promises_nothing(close: impl Fn(&mut Participant, bool)) {
    let mut participant = company();
    let (promised, soft) = (hold(1, &[hours(1, 2)]), hold(2, &[hours(2, 3)]));
    assert_eq!(refusal(&mut participant, &promised, Firmness::Prepared), None);
    assert_eq!(refusal(&mut participant, &soft, Firmness::Soft), None);
    let evse = promised.stops[0].evse.clone();
    participant.take_touched();
    close(&mut participant, true);
    assert!(participant.take_touched().contains(&evse), "whoever keeps a copy must hear of it");
    close(&mut participant, true);
    assert!(participant.take_touched().is_empty(), "nothing has changed");
    assert_eq!((participant.is_out_of_service(&evse), participant.out_of_service_count()), (true, 1));
    for (counter, firmness) in [(3, Firmness::Soft), (4, Firmness::Prepared)] {
        let refused = refusal(&mut participant, &hold(counter, &[hours(4, 5)]), firmness);
        assert_eq!(refused, Some(Reason::OutOfService), "{firmness:?}");
    }
    // A repeat is told the same, and both are confirmed all the same.
    assert_eq!(refusal(&mut participant, &promised, Firmness::Prepared), None);
    assert_eq!(refusal(&mut participant, &soft, Firmness::Prepared), None);
    let _ = participant.confirm(&operator("a"), &promised.transaction).unwrap();
    let _ = participant.confirm(&operator("a"), &soft.transaction).unwrap();
    close(&mut participant, false);
    assert!(participant.take_touched().contains(&evse) && !participant.is_out_of_service(&evse));
    assert_eq!(refusal(&mut participant, &hold(5, &[hours(4, 5)]), Firmness::Prepared), None);
}

#[test]
fn an_evse_out_of_service_keeps_what_it_promised_and_promises_nothing() {
    let evse = hold(1, &[hours(1, 2)]).stops[0].evse.clone();
    keeps_what_it_promised_and_promises_nothing(|participant, is_closed| {
        assert!(participant.set_in_service(&evse, !is_closed));
    });
    assert!(!Reason::OutOfService.is_passing(), "nobody should try the same again at once");
    // One that nobody knows is not remembered, but for what was once durable.
    let (mut participant, other) = (company(), EvseId::new("nowhere").unwrap());
    assert!(!participant.set_in_service(&other, false) && !participant.is_out_of_service(&other));
    participant.restore_out_of_service(other.clone());
    assert_eq!((participant.is_out_of_service(&other), participant.out_of_service_count()), (true, 0));
}

#[test]
fn a_company_that_leaves_keeps_what_it_promised_and_promises_nothing() {
    keeps_what_it_promised_and_promises_nothing(Participant::set_closed);
    // An EVSE that was out of service by itself stays so when the company is open again.
    let (mut participant, evse) = (company(), hold(1, &[hours(1, 2)]).stops[0].evse.clone());
    participant.set_closed(true);
    assert!(participant.set_in_service(&evse, false));
    participant.set_closed(false);
    assert!(participant.is_out_of_service(&evse));
}

#[test]
fn one_request_is_held_once() {
    let mut participant = company();
    let first = hold(1, &[hours(1, 2)]);
    let transaction = first.transaction.clone();
    refusal(&mut participant, &first, Firmness::Prepared);
    let again = Hold { key: first.key.clone(), ..hold(2, &[hours(3, 4)]) };
    assert_eq!(
        refusal(&mut participant, &again, Firmness::Prepared),
        Some(Reason::Held),
        "its own first attempt"
    );
    let mut elsewhere = Hold { key: first.key.clone(), ..hold(3, &[hours(3, 4)]) };
    elsewhere.transaction.coordinator = operator("c");
    let reason = refusal(&mut participant, &elsewhere, Firmness::Prepared);
    assert_eq!(reason, Some(Reason::RequestedElsewhere { transaction }));
}

#[test]
fn a_yes_is_good_for_as_long_as_was_asked() {
    let (mut participant, hold) = (company(), hold(1, &[hours(1, 2)]));
    let step =
        participant.hold(&operator("a"), &hold, Firmness::Prepared, HOUR, Patience::MustVote, NOW).unwrap();
    let yes = Vote::Yes { expires: NOW.utc + HOUR, store: StoreId(1) };
    assert_eq!((step.answer, step.told), (HoldAnswer::Vote(yes), Told::OnceDurable));
    // A company's vote for its own trip is told to nobody: it becomes durable with the commit.
    let (mut participant, mut own) = (company(), self::hold(1, &[hours(1, 2)]));
    own.transaction.coordinator = operator("b");
    let step = participant.hold(&operator("b"), &own, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
    assert_eq!(step.unwrap().told, Told::AtOnce);
}

#[test]
fn what_was_in_doubt_before_a_restart_is_asked_about_at_once() {
    let hold = std::sync::Arc::new(hold(1, &[hours(1, 2)]));
    let mut participant = company();
    participant.restore(hold.transaction.clone(), Branch::Prepared { hold: hold.clone() }, NOW);
    assert_eq!(participant.undecided(), (0, 1));
    let doubts = participant.doubts(NOW);
    assert_eq!(doubts.iter().map(|doubt| &doubt.transaction).collect::<Vec<_>>(), [&hold.transaction]);
}

#[test]
fn a_tombstone_stays_for_as_long_as_was_set() {
    let (mut participant, hold) = (company(), hold(1, &[hours(1, 2)]));
    let _ = participant.abort(&operator("a"), &hold.transaction, NOW).unwrap();
    let old = |now| participant.old(now, None, usize::MAX).tombstones;
    assert_eq!(old(later(HOUR - MILLI)), []);
    assert_eq!(old(later(HOUR)), [hold.transaction]);
}

#[test]
fn a_company_speaks_for_its_own_trips_and_for_no_other() {
    let mut all = Federation::new();
    let beginning = all.begin("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    let (_, hold) = begun(beginning, "b");
    for (asked, by) in [("b", "b"), ("b", "c"), ("a", "b")] {
        let company = all.at(asked);
        let vote = company.hold(&operator(by), &hold, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
        assert_eq!(vote, Err(Unacceptable::NotCoordinator), "{by} at {asked}");
    }
}

#[test]
fn a_company_that_was_not_heard_is_named_even_if_it_is_ones_own() {
    let mut all = Federation::new();
    let beginning = all.begin("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    let (transaction, hold) = begun(beginning, "b");
    let yes = vote(prepare(all.at("b"), &hold, NOW));
    let _ = all.at("a").coordinator.vote(&transaction, &operator("b"), yes);
    let decision = all.at("a").decide(&transaction, later(DECIDE_LIMIT)).unwrap().answer;
    assert_eq!(aborted(decision).reason, Reason::Unreachable { operator: operator("a") });
}

#[test]
fn a_change_waits_for_no_other_trip() {
    let mut all = Federation::new();
    let one = all.book("a", &request("r1", &[("b-1", hours(1, 2))]));
    let other = all.book("a", &request("r2", &[("b-1", hours(3, 4))]));
    let change = |all: &mut Federation, id, name: &str, nonce| {
        let wish = request(name, &[("b-1", hours(5, 6))]);
        all.at("a").coordinator.begin_change(id, &wish, NOW.utc, fresh(nonce), NOW).map(|_| ())
    };
    assert_eq!(change(&mut all, &one.id, "r3", 7), Ok(()));
    assert_eq!(change(&mut all, &other.id, "r4", 8), Ok(()), "another trip's change is under way");
    assert_eq!(change(&mut all, &one.id, "r5", 9), Err(NotChangeable::Busy));
}

#[test]
fn a_trip_is_forgotten_when_its_time_is_over_and_nothing_is_owed() {
    let mut all = Federation::new();
    let wish = request("r1", &[("b-1", hours(1, 2))]);
    let old = all.commit("a", &wish);
    let forget = |all: &mut Federation, now| {
        let coordinator = &mut all.at("a").coordinator;
        let past = coordinator.old(HOUR, now, None, usize::MAX).past;
        coordinator.forget(&past).answer
    };
    assert_eq!(forget(&mut all, later(HOUR * 99)), 0, "confirm is owed to b");
    all.settle("a");
    let new = all.commit_change("a", &old.id, &request("r2", &[("b-1", hours(7, 8))]));
    all.settle("a");
    assert_eq!(forget(&mut all, later(HOUR * 3 - MILLI)), 0);
    assert_eq!(forget(&mut all, later(HOUR * 3)), 1);
    let coordinator = &all.at("a").coordinator;
    assert_eq!(coordinator.find(&old.transaction), None);
    assert_eq!(coordinator.trip(&old.id).map(|trip| &trip.transaction), Some(&new.transaction));
    assert_eq!(coordinator.trip_of(&key("r2")).map(|trip| &trip.id), Some(&old.id));
    assert_eq!(forget(&mut all, later(HOUR * 9)), 1);
    let rest = format!("{:?}", all.at("a").coordinator);
    assert!(!rest.contains("r1") && !rest.contains("r2"), "a row for ever: {rest}");
}
