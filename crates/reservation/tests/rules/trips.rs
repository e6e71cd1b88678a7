//! What a coordinator does with repeats, late votes, inquiries, cancellations and losses.

use std::time::Duration;

use recarga_reservation::{
    Beginning, Branch, Company, Decision, Fact, HoldLimits, NotChangeable, Outcome, Reason, Refusal, Stage,
    StoreId, Tally, Told, Vote,
};

use crate::federation::{
    DECIDE_LIMIT, Federation, HOUR, NOW, aborted, committed, hours, later, operator, prepare, request, vote,
};

const YES: Vote = yes_from(1);

const fn yes_from(store: u128) -> Vote {
    Vote::Yes { expires: recarga_reservation::Timestamp::from_millis(0), store: StoreId(store) }
}

#[test]
fn a_repeat_is_recognised_in_flight_when_done_and_after_a_restart() {
    let mut all = Federation::new();
    let wish = request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]);
    let other = request("r1", &[("a-1", hours(5, 6))]);
    let first = all.begin("a", &wish);
    let Beginning::New { transaction, .. } = &first else { panic!("{first:?}") };
    assert_eq!(all.begin("a", &wish), Beginning::InFlight(transaction.clone()));
    assert_eq!(all.begin("a", &other), Beginning::Different);
    let trip = committed(all.decide(first));
    for _ in 0..2 {
        assert_eq!(all.begin("a", &wish), Beginning::Done(Box::new(trip.clone())));
        assert_eq!(all.begin("a", &other), Beginning::Different);
        all.restart("a");
    }
}

#[test]
fn what_was_not_decided_is_begun_anew_under_another_id() {
    let mut all = Federation::new();
    let wish = request("r1", &[("b-1", hours(3, 4))]);
    let Beginning::New { transaction: lost, .. } = all.begin("a", &wish) else { panic!() };
    all.restart("a");
    let Beginning::New { transaction: given_up, .. } = all.begin("a", &wish) else { panic!() };
    assert_ne!(lost, given_up);
    let decision = all.at("a").withdraw(&given_up, NOW).unwrap();
    assert_eq!(decision.told, Told::AtOnce, "abort is presumed, so nothing is recorded");
    assert_eq!(aborted(decision.answer).reason, Reason::Withdrawn);
    let trip = all.commit("a", &wish);
    assert!(trip.transaction > given_up);
    assert_eq!(all.at("a").withdraw(&trip.transaction, NOW), None, "decided before");
}

#[test]
fn a_commit_stands_in_one_record_with_the_own_branch() {
    let mut all = Federation::new();
    let beginning = all.begin("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    let Beginning::New { transaction, holds } = beginning else { panic!() };
    for (asked, hold) in &holds {
        let yes = vote(prepare(all.at(asked.as_str()), hold, NOW));
        let _ = all.at("a").coordinator.vote(&transaction, asked, yes);
    }
    let step = all.at("a").decide(&transaction, NOW).unwrap();
    assert_eq!(step.told, Told::OnceDurable);
    assert!(matches!(&step.facts[..], [Fact::Trip(_), Fact::Branch(_, Branch::Confirmed { .. })]));
    assert_eq!(all.at("a").decide(&transaction, NOW), None);
}

#[test]
fn silence_is_no_and_so_is_a_yes_after_the_limit() {
    let mut all = Federation::new();
    let wish = request("r1", &[("b-1", hours(1, 2)), ("c-1", hours(3, 4))]);
    let Beginning::New { transaction, .. } = all.begin("a", &wish) else { panic!() };
    assert_eq!(all.at("a").coordinator.vote(&transaction, &operator("b"), YES), Tally::Open);
    let step = all.at("a").decide(&transaction, NOW).unwrap();
    let Decision::Abort { asked, refusal } = step.answer else { panic!() };
    assert_eq!(asked, [operator("b"), operator("c")], "the silent one may have said yes");
    assert_eq!(refusal, Refusal::at(1, Reason::Unreachable { operator: operator("c") }));

    let Beginning::New { transaction, .. } = all.begin("a", &wish) else { panic!() };
    let _ = all.at("a").coordinator.vote(&transaction, &operator("b"), YES);
    assert_eq!(all.at("a").coordinator.vote(&transaction, &operator("c"), YES), Tally::AllYes);
    let step = all.at("a").decide(&transaction, later(DECIDE_LIMIT)).unwrap();
    assert_eq!(aborted(step.answer).reason, Reason::TooSlow);
}

#[test]
fn a_no_is_final_and_a_stranger_has_no_vote() {
    let mut all = Federation::new();
    let wish = request("r1", &[("b-1", hours(1, 2))]);
    let Beginning::New { transaction, .. } = all.begin("a", &wish) else { panic!() };
    let coordinator = &mut all.at("a").coordinator;
    assert_eq!(coordinator.vote(&transaction, &operator("c"), YES), Tally::Late);
    let no = Vote::No(Refusal::whole(Reason::Held));
    assert_eq!(coordinator.vote(&transaction, &operator("b"), no), Tally::No);
    assert_eq!(coordinator.vote(&transaction, &operator("b"), YES), Tally::No);
    let step = all.at("a").decide(&transaction, NOW).unwrap();
    assert_eq!(aborted(step.answer).reason, Reason::Held);
}

#[test]
fn a_hold_names_the_database_that_may_vote() {
    // Others believe it that it never voted; whichever the company has after a lost disk must not vote in its place.
    let mut all = Federation::new();
    let begin = |all: &mut Federation, name| match all.begin("a", &request(name, &[("b-1", hours(1, 2))])) {
        Beginning::New { transaction, holds } => (transaction, holds[0].1.clone()),
        other => panic!("{other:?}"),
    };
    let (first, hold) = begin(&mut all, "r1");
    assert_eq!(hold.stores, [].into(), "never heard of: whichever it has may vote, and none is believed");
    assert_eq!(all.at("a").coordinator.vote(&first, &operator("b"), yes_from(7)), Tally::AllYes);

    let (second, hold) = begin(&mut all, "r2");
    assert_eq!(hold.stores, [(operator("b"), StoreId(7))].into());
    let step = prepare(all.at("b"), &hold, NOW);
    assert_eq!(step.as_ref().unwrap().facts, [], "it will always refuse, so it need not remember");
    let no = vote(step);
    assert_eq!(no, Vote::No(Refusal::whole(Reason::AnotherStore)));
    assert_eq!(all.at("a").coordinator.vote(&second, &operator("b"), no), Tally::No);
    let refusal = aborted(all.at("a").decide(&second, NOW).unwrap().answer);
    assert!(refusal.reason.is_passing(), "the next attempt names none");

    let (third, hold) = begin(&mut all, "r2");
    assert_eq!(hold.stores, [].into());
    let yes = vote(prepare(all.at("b"), &hold, NOW));
    assert_eq!(all.at("a").coordinator.vote(&third, &operator("b"), yes), Tally::AllYes);
    assert_eq!(begin(&mut all, "r4").1.stores, [(operator("b"), StoreId(1))].into());
}

#[test]
fn a_late_yes_is_answered_with_abort_only_where_nothing_was_committed() {
    let mut all = Federation::new();
    let trip = all.commit("a", &request("r1", &[("b-1", hours(1, 2))]));
    let Beginning::New { transaction: over, .. } = all.begin("a", &request("r2", &[("b-1", hours(3, 4))]))
    else {
        panic!()
    };
    let _ = all.at("a").withdraw(&over, NOW).unwrap();
    let coordinator = &mut all.at("a").coordinator;
    let mut tally = |transaction: &_| coordinator.vote(transaction, &operator("b"), YES);
    assert_eq!(tally(&trip.transaction), Tally::AllYes, "a repeat, after the commit");
    assert_eq!(tally(&over), Tally::Late);
    let mut foreign = over.clone();
    foreign.store = StoreId(2);
    assert_eq!(tally(&foreign), Tally::Unknown);
}

#[test]
fn abort_is_presumed_only_of_what_this_store_handed_out() {
    let mut all = Federation::new();
    let wish = request("r1", &[("b-1", hours(1, 2))]);
    let Beginning::New { transaction, .. } = all.begin("a", &wish) else { panic!() };
    let status = |all: &mut Federation, transaction: &_| {
        all.at("a").coordinator.status(transaction).map(|step| (step.answer, step.told))
    };
    assert_eq!(status(&mut all, &transaction), Some((Outcome::Pending, Told::AtOnce)));
    all.restart("a");
    assert_eq!(status(&mut all, &transaction), Some((Outcome::Abort, Told::OnceDurable)));
    let mut changed = [transaction.clone(), transaction.clone(), transaction.clone()];
    changed[0].store = StoreId(2); // another database
    changed[1].coordinator = operator("b"); // another company
    changed[2].epoch += 1; // a later state of this database than the one at hand
    for foreign in &changed {
        assert_eq!(status(&mut all, foreign), None, "{foreign}");
        let asked = all.at("a").inquiry(&operator("b"), foreign, NOW);
        assert!(foreign.coordinator != operator("a") || asked.is_err(), "{foreign}");
    }
}

#[test]
fn a_copy_that_was_put_back_tells_what_it_knows_and_presumes_nothing_of_what_it_has_forgotten() {
    let mut all = Federation::new();
    let known = all.commit("a", &request("r1", &[("b-1", hours(1, 2))]));
    let forgotten = all.commit("a", &request("r2", &[("b-1", hours(3, 4))]));
    // Whatever its epoch: the lost one has handed out as many.
    let mut company =
        Company::new(operator("a"), StoreId(2), 9, [], HoldLimits::default(), Duration::from_secs(1));
    company.restore(Fact::Trip(known.clone()), NOW);
    let mut asked = |transaction: &_| {
        let step = company.inquiry(&operator("b"), transaction, NOW);
        step.map(|step| (step.answer, step.told)).ok()
    };
    assert_eq!(asked(&known.transaction), Some((Outcome::Commit, Told::OnceDurable)));
    assert_eq!(asked(&forgotten.transaction), None);
    // What it still owes it sends, and the other company takes it.
    assert_eq!(company.coordinator.owed_of(&known.transaction).len(), 1);
    assert!(all.at("b").participant.confirm(&operator("a"), &known.transaction).is_ok());
}

#[test]
fn only_a_company_of_the_trip_may_ask_about_it() {
    let mut all = Federation::new();
    let trip = all.commit("a", &request("r1", &[("b-1", hours(1, 2))]));
    assert!(all.at("a").inquiry(&operator("c"), &trip.transaction, NOW).is_err());
    let step = all.at("a").inquiry(&operator("b"), &trip.transaction, NOW).unwrap();
    assert_eq!((step.answer, step.told), (Outcome::Commit, Told::OnceDurable));
}

#[test]
fn confirm_is_owed_until_every_company_has_acknowledged() {
    let mut all = Federation::new();
    let trip =
        all.commit("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4)), ("c-1", hours(5, 6))]));
    let owed = |all: &mut Federation| {
        let owed = all.at("a").coordinator.owed();
        owed.iter().map(|owed| owed.operator.to_string()).collect::<String>()
    };
    assert_eq!(owed(&mut all), "bc");
    let coordinator = &mut all.at("a").coordinator;
    let confirm = recarga_reservation::OwedMessage::Confirm;
    assert_eq!(coordinator.acknowledged(&trip.transaction, &operator("b"), confirm).facts, []);
    assert_eq!(owed(&mut all), "c");
    all.restart("a");
    assert_eq!(owed(&mut all), "bc", "asked again, which harms nobody");
    all.settle("a");
    assert_eq!(owed(&mut all), "");
    all.restart("a");
    assert_eq!(owed(&mut all), "");
}

#[test]
fn a_cancelled_trip_is_released_everywhere_also_where_its_confirm_never_arrived() {
    let mut all = Federation::new();
    let trip = all.commit("a", &request("r1", &[("a-1", hours(1, 2)), ("b-1", hours(3, 4))]));
    let step = all.at("a").cancel(&trip.id, NOW).unwrap();
    assert_eq!(step.told, Told::OnceDurable);
    all.record("a", step);
    assert!(!all.is_taken("a-1", hours(1, 2)), "in the same write");
    let again = all.at("a").cancel(&trip.id, NOW).unwrap();
    assert_eq!(again.facts, []);
    all.restart("a");
    all.settle("a");
    assert!(!all.is_taken("b-1", hours(3, 4)));
    assert_eq!(all.at("a").coordinator.owing_count(), 0);
    // It was committed, and whoever asks hears so.
    let step = all.at("b").inquiry(&operator("a"), &trip.transaction, NOW).unwrap();
    assert_eq!(step.answer, Outcome::Commit);
    assert!(matches!(all.begin("a", &trip.request), Beginning::Done(_)));
}

#[test]
fn what_is_over_or_unknown_cannot_be_cancelled() {
    let mut all = Federation::new();
    let trip = all.book("a", &request("r1", &[("b-1", hours(3, 4))]));
    assert_eq!(all.at("a").cancel(&trip.id, later(HOUR * 4)), Err(NotChangeable::Over));
    let unknown = recarga_reservation::TripId::new("unknown").unwrap();
    assert_eq!(all.at("a").cancel(&unknown, NOW), Err(NotChangeable::Unknown));
}

#[test]
fn a_part_that_was_given_up_is_reported_as_lost() {
    let mut all = Federation::new();
    let trip = all.commit("a", &request("r1", &[("b-1", hours(1, 2)), ("c-1", hours(3, 4))]));
    let step = all.at("b").participant.force_abort(&trip.transaction, NOW);
    assert!(all.record("b", step));
    all.settle("a");
    for _ in 0..2 {
        let trip = all.at("a").coordinator.find(&trip.transaction).unwrap().clone();
        assert_eq!((trip.stage, trip.lost), (Stage::Settled, [operator("b")].into()));
        all.restart("a");
    }
    let again = all.at("a").coordinator.lost(&trip.transaction, &operator("b"));
    assert!(!again.answer, "no news");
}

#[test]
fn an_own_hold_is_granted_only_while_its_trip_waits_and_no_longer_counts_once_it_is_gone() {
    let mut all = Federation::new();
    let wish = request("r1", &[("a-1", hours(1, 2))]);
    let Beginning::New { transaction, holds } = all.begin("a", &wish) else { panic!() };
    let own = vote(prepare(all.at("a"), &holds[0].1, NOW));
    assert_eq!(all.at("a").coordinator.vote(&transaction, &operator("a"), own), Tally::AllYes);
    let _ = all.at("a").participant.abort(&operator("a"), &transaction, NOW).unwrap();
    let step = all.at("a").decide(&transaction, NOW).unwrap();
    assert_eq!(aborted(step.answer).reason, Reason::Closed);
    let late = vote(prepare(all.at("a"), &holds[0].1, NOW));
    assert_eq!(late, Vote::No(Refusal::whole(Reason::Closed)), "nobody would ever take it back");
}
