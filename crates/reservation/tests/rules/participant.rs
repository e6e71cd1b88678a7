//! Every cell of the participant's table, and the contention for windows.

use std::collections::BTreeMap;
use std::time::Duration;

use recarga_reservation::{
    AbortCause, Branch, Confirmation, Fact, Firmness, Hold, HoldAnswer, HoldLimits, Learnt, Now, Outcome,
    Participant, Patience, Reason, Step, StoreId, Told, TransactionId, Unacceptable, Vote,
};

use crate::federation::{HOUR, NOW, evse, hours, key, later, operator, stop};

const STATES: [&str; 9] =
    ["none", "held", "prepared", "confirmed", "released", "aborted", "voted no", "inquired", "heuristic"];

// For each message, one row for each state: the answer, "!" if it is told only once durable, and the state after it.
const TABLE: [(&str, [&str; 9]); 8] = [
    (
        "soft",
        [
            "yes -> held",
            "yes! -> held",
            "yes! -> prepared",
            "yes! -> confirmed",
            "no -> released",
            "no -> aborted",
            "no -> voted no",
            "no -> inquired",
            "no -> heuristic",
        ],
    ),
    (
        "prepare",
        [
            "yes! -> prepared",
            "yes! -> prepared",
            "yes! -> prepared",
            "yes! -> confirmed",
            "no -> released",
            "no -> aborted",
            "no -> voted no",
            "no -> inquired",
            "no -> heuristic",
        ],
    ),
    (
        "confirm",
        [
            "NeverPrepared -> none",
            "NeverPrepared -> held",
            "ok! -> confirmed",
            "ok! -> confirmed",
            "ok! -> released",
            "NeverPrepared -> aborted",
            "NeverPrepared -> voted no",
            "NeverPrepared -> inquired",
            "lost! -> heuristic",
        ],
    ),
    (
        "abort",
        [
            "ok -> aborted",
            "ok -> aborted",
            "ok -> aborted",
            "AlreadyConfirmed -> confirmed",
            "AlreadyConfirmed -> released",
            "ok -> aborted",
            "ok -> aborted",
            "ok -> aborted",
            "ok -> heuristic",
        ],
    ),
    (
        "release",
        [
            "ok! -> none",
            "NeverPrepared -> held",
            "ok! -> released",
            "ok! -> released",
            "ok! -> released",
            "NeverPrepared -> aborted",
            "NeverPrepared -> voted no",
            "NeverPrepared -> inquired",
            "ok! -> heuristic",
        ],
    ),
    (
        "inquiry",
        [
            "Abort! -> inquired",
            "Abort! -> inquired",
            "InDoubt -> prepared",
            "Commit! -> confirmed",
            "Commit! -> released",
            "Abort! -> aborted",
            "Abort! -> voted no",
            "Abort! -> inquired",
            "InDoubt! -> heuristic",
        ],
    ),
    // A stranger learns nothing, and leaves nothing but a tombstone for what is not known here.
    (
        "stranger",
        [
            "Abort! -> inquired",
            "NotCoordinator -> held",
            "NotCoordinator -> prepared",
            "NotCoordinator -> confirmed",
            "NotCoordinator -> released",
            "Abort! -> aborted",
            "Abort! -> voted no",
            "Abort! -> inquired",
            "InDoubt! -> heuristic",
        ],
    ),
    (
        "time limit",
        [
            "ok -> none",
            "ok -> expired",
            "ok -> prepared",
            "ok -> confirmed",
            "ok -> released",
            "ok -> aborted",
            "ok -> voted no",
            "ok -> inquired",
            "ok -> heuristic",
        ],
    ),
];

#[test]
fn every_cell_of_the_table() {
    for (message, cells) in TABLE {
        for (state, expected) in STATES.into_iter().zip(cells) {
            let mut participant = company();
            reach(&mut participant, state);
            let answer = tell(&mut participant, message);
            let found = format!("{answer} -> {}", name(participant.branch(&mine().transaction)));
            assert_eq!(found, expected, "{message} to {state}");
        }
    }
}

#[test]
fn only_the_coordinator_may_speak_for_its_transaction() {
    for state in STATES {
        let mut participant = company();
        reach(&mut participant, state);
        let before = participant.clone();
        let (hold, c) = (mine(), operator("c"));
        let transaction = &hold.transaction;
        let refused = Err(Unacceptable::NotCoordinator);
        let vote = participant.hold(&c, &hold, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
        assert_eq!(vote, Err(Unacceptable::NotCoordinator));
        assert_eq!(participant.confirm(&c, transaction).unwrap_err(), Unacceptable::NotCoordinator);
        assert_eq!(participant.abort(&c, transaction, NOW), refused);
        assert_eq!(participant.release(&c, transaction), refused);
        assert_eq!(participant, before);
    }
}

#[test]
fn nobody_can_change_away_what_another_company_coordinates() {
    let c = operator("c");
    let mut change = Hold { replaces: Some(mine().transaction), ..rival(2) };
    change.transaction.coordinator = c.clone();
    for stops in [vec![], change.stops.clone()] {
        let mut participant = company();
        reach(&mut participant, "confirmed");
        let before = participant.clone();
        let theft = Hold { stops, ..change.clone() };
        let vote = participant.hold(&c, &theft, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
        assert_eq!(vote, Err(Unacceptable::NotCoordinator));
        assert_eq!(participant, before);
    }
}

#[test]
fn the_same_transaction_cannot_ask_for_something_else() {
    for state in ["held", "prepared", "confirmed"] {
        let mut participant = company();
        reach(&mut participant, state);
        let other = Hold { stops: vec![stop("b-1", hours(5, 6))], ..mine() };
        assert_eq!(reason(prepare(&mut participant, &other)), Some(Reason::Different));
        assert_eq!(name(participant.branch(&other.transaction)), state);
    }
}

#[test]
fn the_older_waits_and_the_younger_dies() {
    let older = Hold { priority: NOW.utc - Duration::from_secs(2), ..rival(1) };
    let younger = Hold { priority: NOW.utc - Duration::from_secs(1), ..rival(2) };
    assert_eq!(contend(&younger, &older), "wait", "the older waits behind the younger");
    assert_eq!(contend(&older, &younger), "no", "the younger gives up at once");
    // Only a vote is waited for: it will be decided in a moment, a person's think-time will not.
    let mut participant = company();
    hold(&mut participant, &younger, Firmness::Soft, Patience::CanWait);
    assert_eq!(hold(&mut participant, &older, Firmness::Prepared, Patience::CanWait), "no");
}

#[test]
fn nobody_gains_by_a_false_date() {
    let ancient = Hold { priority: NOW.utc - HOUR * 10_000, ..rival(2) };
    let old = Hold { priority: NOW.utc - HOUR, ..rival(1) };
    assert_eq!(contend(&old, &ancient), "no", "both count as old as can be, and the lower id goes first");
    assert_eq!(contend(&ancient, &old), "wait");
    let future = Hold { priority: NOW.utc + HOUR, ..rival(2) };
    let now = Hold { priority: NOW.utc, ..rival(1) };
    assert_eq!(contend(&now, &future), "no");
    assert_eq!(contend(&future, &now), "wait");
}

#[test]
fn waiting_is_never_in_a_circle() {
    // A holds relation "x waits for y" that is a part of one total order has no circles.
    let dates = [0, 0, 1, 30, 59, 60, 61, 3600];
    let holds: Vec<Hold> = (0..)
        .zip(dates)
        .flat_map(|(number, age)| {
            let past = Hold { priority: NOW.utc - Duration::from_secs(age), ..rival(number) };
            let future = Hold { priority: NOW.utc + Duration::from_secs(age), ..rival(100 + number) };
            [past, future]
        })
        .collect();
    let mut order = holds.clone();
    order.sort_by(|one, other| match contend(other, one).as_str() {
        "wait" => std::cmp::Ordering::Less,
        _ => std::cmp::Ordering::Greater,
    });
    for (place, older) in order.iter().enumerate() {
        for younger in &order[place + 1..] {
            assert_eq!(contend(younger, older), "wait");
            assert_eq!(contend(older, younger), "no");
        }
    }
}

#[test]
fn a_hold_given_up_is_never_told_as_an_outcome() {
    let mut participant = company();
    reach(&mut participant, "prepared");
    let hold = mine();
    assert_eq!(participant.expire(later(HOUR * 9)).answer.heuristic, [], "never before others were asked");
    participant.asked_in_vain(&hold.transaction);
    // The window begins at one o'clock, and the grace is a quarter of an hour.
    assert_eq!(participant.expire(later(Duration::from_secs(3600 + 899))).answer.heuristic, []);
    let step = participant.expire(later(Duration::from_secs(3600 + 900)));
    assert_eq!((&step.answer.heuristic[..], step.told), (&[hold.transaction.clone()][..], Told::OnceDurable));
    assert_eq!(tell(&mut participant, "inquiry"), "InDoubt!");
    assert_eq!(tell(&mut participant, "confirm"), "lost!");
    assert_eq!(participant.old(later(HOUR * 1000), None, 9).tombstones, [], "kept for a person to see");
}

#[test]
fn what_a_company_coordinates_itself_is_left_to_its_coordinator() {
    let mut participant = company();
    let mut own = mine();
    own.transaction.coordinator = operator("b");
    let step = participant.hold(&operator("b"), &own, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
    assert_eq!(step.unwrap().facts, [], "it becomes durable in the commit record");
    assert!(!participant.force_abort(&own.transaction, NOW).answer, "its coordinator counts on it");
    assert_eq!(participant.expire(later(HOUR * 100)).answer.heuristic, []);
    assert_eq!(participant.doubts(later(HOUR * 100)), []);
}

/// The wall clock was set back by hours while a company with a soft hold was down. After the start the hold's end,
/// told by that clock, was hours away, and nobody else could have the window until then.
#[test]
fn a_soft_hold_lasts_no_longer_because_a_clock_was_set_back() {
    let soft_max = HoldLimits::default().soft_max;
    let mut participant = company();
    let step =
        participant.hold(&operator("a"), &mine(), Firmness::Soft, soft_max, Patience::MustVote, later(HOUR));
    let step = step.unwrap();
    let [Fact::Branch(transaction, branch)] = &step.facts[..] else { panic!("{step:?}") };
    let mut restarted = company();
    restarted.restore(transaction.clone(), branch.clone(), NOW);
    let before = soft_max - Duration::from_secs(1);
    assert_eq!(restarted.expire(later(before)).answer.soft, []);
    assert_eq!(restarted.expire(later(soft_max)).answer.soft, std::slice::from_ref(transaction));
}

#[test]
fn questions_grow_rarer_and_stop_with_the_outcome() {
    let limits = HoldLimits { inquire_every_max: Duration::from_secs(30), ..HoldLimits::default() };
    let mut participant = Participant::new(operator("b"), StoreId(1), &[evse("b-1")], limits);
    reach(&mut participant, "prepared");
    let mut asked = Vec::new();
    for second in 0..100 {
        let doubts = participant.doubts(later(Duration::from_secs(second)));
        asked.extend(doubts.iter().map(|doubt| doubt.age.as_secs()));
        assert!(doubts.iter().all(|doubt| doubt.participants == [operator("a"), operator("c")]));
    }
    assert_eq!(asked, [2, 6, 14, 30, 60, 90]);
    let _ = participant.learn(&mine().transaction, &operator("a"), StoreId(1), Outcome::Commit, NOW);
    assert_eq!(participant.doubts(later(HOUR)), []);
}

#[test]
fn only_the_database_that_would_know_is_believed() {
    use Outcome::{Abort, Commit, InDoubt, Pending};
    let (a, c, stranger) = (operator("a"), operator("c"), operator("d"));
    let cases = [
        ("its coordinator's word", &a, 1, Pending, Learnt::Waiting),
        ("its coordinator's word", &a, 1, Abort, Learnt::Ended),
        ("its coordinator's word", &a, 1, Commit, Learnt::Ended),
        ("the coordinator has lost its disk", &a, 2, Pending, Learnt::Nothing),
        ("the coordinator has lost its disk", &a, 2, Abort, Learnt::Nothing),
        ("a copy of the coordinator's record was put back, and knows it", &a, 2, Commit, Learnt::Ended),
        ("another participant's word", &c, 7, Abort, Learnt::Ended),
        ("another participant's word", &c, 7, Commit, Learnt::Ended),
        ("only a coordinator can be waiting", &c, 7, Pending, Learnt::Nothing),
        ("in doubt itself", &c, 7, InDoubt, Learnt::Nothing),
        ("the participant has lost its disk, and with it perhaps a yes", &c, 8, Abort, Learnt::Nothing),
        ("what it knows it knows", &c, 8, Commit, Learnt::Ended),
        ("nobody said from where it speaks", &stranger, 7, Abort, Learnt::Nothing),
    ];
    for (why, from, store, outcome, learnt) in cases {
        let mut participant = company();
        reach(&mut participant, "prepared");
        let step = participant.learn(&mine().transaction, from, StoreId(store), outcome, NOW);
        assert_eq!(step.answer, learnt, "{why}: {from} says {outcome:?} from {store}");
        let is_in_doubt = matches!(participant.branch(&mine().transaction), Some(Branch::Prepared { .. }));
        assert_eq!(is_in_doubt, learnt != Learnt::Ended, "{why}: {from} says {outcome:?} from {store}");
    }
}

#[test]
fn undecided_holds_have_a_quota_and_decided_ones_none() {
    let limits = HoldLimits { undecided_holds_max: 2, undecided_time_max: HOUR * 2, ..HoldLimits::default() };
    let mut participant = Participant::new(operator("b"), StoreId(1), &[evse("b-1")], limits);
    let numbered = |number: u32| Hold {
        key: key(&format!("r{number}")),
        stops: vec![stop("b-1", hours(number, number + 1))],
        ..rival(u64::from(number))
    };
    assert_eq!(reason(prepare(&mut participant, &numbered(1))), None);
    assert_eq!(reason(prepare(&mut participant, &numbered(2))), None);
    assert_eq!(reason(prepare(&mut participant, &numbered(3))), Some(Reason::QuotaReached));
    let _ = participant.confirm(&operator("a"), &numbered(1).transaction).unwrap();
    assert_eq!(reason(prepare(&mut participant, &numbered(4))), None);
    let _ = participant.abort(&operator("a"), &numbered(4).transaction, NOW).unwrap();
    let long = Hold { stops: vec![stop("b-1", hours(10, 12))], ..numbered(5) };
    assert_eq!(reason(prepare(&mut participant, &long)), Some(Reason::QuotaReached), "too many hours");
    let mut own = numbered(6);
    own.transaction.coordinator = operator("b");
    let vote = participant.hold(&operator("b"), &own, Firmness::Prepared, HOUR, Patience::MustVote, NOW);
    assert_eq!(reason(vote.unwrap()), None, "a company does not ration itself");
}

fn company() -> Participant {
    Participant::new(operator("b"), StoreId(1), &[evse("b-1")], HoldLimits::default())
}

fn mine() -> Hold {
    Hold { key: key("r1"), ..rival(1) }
}

fn rival(counter: u64) -> Hold {
    let transaction =
        TransactionId { coordinator: operator("a"), store: StoreId(1), epoch: 1, counter, nonce: 0 };
    Hold {
        transaction,
        key: key(&format!("rival-{counter}")),
        plug: None,
        participants: vec![operator("a"), operator("b"), operator("c")],
        stores: BTreeMap::from([(operator("c"), StoreId(7))]),
        priority: NOW.utc,
        stops: vec![stop("b-1", hours(1, 2))],
        replaces: None,
    }
}

fn prepare(participant: &mut Participant, hold: &Hold) -> Step<HoldAnswer> {
    let by = hold.transaction.coordinator.clone();
    participant.hold(&by, hold, Firmness::Prepared, HOUR, Patience::MustVote, NOW).unwrap()
}

fn reason(step: Step<HoldAnswer>) -> Option<Reason> {
    match step.answer {
        HoldAnswer::Vote(Vote::No(refusal)) => Some(refusal.reason),
        HoldAnswer::Vote(Vote::Yes { .. }) | HoldAnswer::Wait => None,
    }
}

fn hold(participant: &mut Participant, hold: &Hold, firmness: Firmness, patience: Patience) -> String {
    let step = participant.hold(&operator("a"), hold, firmness, HOUR, patience, NOW).unwrap();
    match step.answer {
        HoldAnswer::Wait => "wait".to_owned(),
        HoldAnswer::Vote(Vote::Yes { .. }) => "yes".to_owned(),
        HoldAnswer::Vote(Vote::No(_)) => "no".to_owned(),
    }
}

// What the second hears where the first has prepared the window that it wants.
fn contend(first: &Hold, second: &Hold) -> String {
    let mut participant = company();
    assert_eq!(hold(&mut participant, first, Firmness::Prepared, Patience::CanWait), "yes");
    hold(&mut participant, second, Firmness::Prepared, Patience::CanWait)
}

fn reach(participant: &mut Participant, state: &str) {
    let path: &[&str] = match state {
        "none" => &[],
        "held" => &["soft"],
        "prepared" => &["prepare"],
        "confirmed" => &["prepare", "confirm"],
        "released" => &["prepare", "confirm", "release"],
        "aborted" => &["abort"],
        "voted no" => &["rival", "prepare"],
        "inquired" => &["inquiry"],
        "heuristic" => &["prepare", "grace"],
        other => panic!("{other}"),
    };
    for message in path {
        tell(participant, message);
    }
    assert_eq!(name(participant.branch(&mine().transaction)), state);
}

fn name(branch: Option<&Branch>) -> &'static str {
    match branch {
        None => "none",
        Some(Branch::Held { .. }) => "held",
        Some(Branch::Prepared { .. }) => "prepared",
        Some(Branch::Confirmed { .. }) => "confirmed",
        Some(Branch::Released { .. }) => "released",
        Some(Branch::Aborted { cause, .. }) => match cause {
            AbortCause::Coordinator => "aborted",
            AbortCause::VotedNo => "voted no",
            AbortCause::Expired => "expired",
            AbortCause::Inquired => "inquired",
            AbortCause::Heuristic => "heuristic",
        },
    }
}

fn tell(participant: &mut Participant, message: &str) -> String {
    let a = operator("a");
    let hold = mine();
    let transaction = &hold.transaction;
    let short = Now { elapsed: NOW.elapsed + HOUR, ..NOW };
    match message {
        "soft" | "prepare" => {
            let firmness = if message == "soft" { Firmness::Soft } else { Firmness::Prepared };
            let valid_for = Duration::from_secs(60);
            let step = participant.hold(&a, &hold, firmness, valid_for, Patience::MustVote, NOW);
            let yes = |answer| matches!(answer, HoldAnswer::Vote(Vote::Yes { .. }));
            said(step.map(|step| step.map(|answer| if yes(answer) { "yes" } else { "no" })))
        }
        "rival" => {
            let step = prepare(participant, &rival(7));
            said(Ok(step.map(|_| "ok")))
        }
        "confirm" => said(participant.confirm(&a, transaction).map(|step| {
            step.map(|answer| match answer {
                Confirmation::Reserved => "ok",
                Confirmation::ReleasedHeuristically => "lost",
            })
        })),
        "abort" => said(participant.abort(&a, transaction, NOW).map(|step| step.map(|()| "ok"))),
        "release" => said(participant.release(&a, transaction).map(|step| step.map(|()| "ok"))),
        "inquiry" => said(participant.inquiry(&operator("c"), transaction, NOW)),
        "stranger" => said(participant.inquiry(&operator("d"), transaction, NOW)),
        "time limit" => said(Ok(participant.expire(short).map(|_| "ok"))),
        "grace" => {
            participant.asked_in_vain(transaction);
            said(Ok(participant.expire(later(HOUR * 2)).map(|_| "ok")))
        }
        other => panic!("{other}"),
    }
}

fn said<A: std::fmt::Debug>(step: Result<Step<A>, Unacceptable>) -> String {
    match step {
        Ok(step) => {
            let answer = format!("{:?}", step.answer).replace('"', "");
            answer + if step.told == Told::OnceDurable { "!" } else { "" }
        }
        Err(error) => format!("{error:?}"),
    }
}
