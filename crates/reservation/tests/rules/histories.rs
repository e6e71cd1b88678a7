//! Random histories of one participant beside the reference model: after each step both have answered the same, hold
//! the same, and a participant restored from what was recorded behaves like the one that recorded it.

use std::collections::BTreeMap;
use std::time::Duration;

use recarga_reservation::{
    AbortCause, Branch, Confirmation, Evse, EvseId, Fact, Firmness, Hold, HoldAnswer, HoldLimits, Now,
    OperatorId, Participant, Patience, Step, Stop, StoreId, Timestamp, TransactionId, Unacceptable,
    VehicleLimits, Vote,
};

use crate::federation::{HOUR, NOW, evse, hours, key, operator};
use crate::model::{Model, Said, State, kind};

const EVSES: [&str; 2] = ["b-1", "b-2"];
const EVENTS: [&str; 20] = [
    "hold",
    "hold",
    "hold",
    "hold",
    "hold",
    "hold",
    "hold",
    "hold",
    "confirm",
    "confirm",
    "abort",
    "abort",
    "release",
    "inquiry",
    "force abort",
    "time passes",
    "time passes",
    "expire",
    "forget",
    "restart",
];

#[test]
fn random_histories_go_as_the_model_says() {
    go_as_the_model_says(1_500, VehicleLimits::default());
}

#[test]
fn histories_of_a_car_that_may_not_have_all_go_as_the_model_says() {
    go_as_the_model_says(400, VehicleLimits { trips_max: 3, time_max: HOUR * 5 });
    go_as_the_model_says(200, VehicleLimits { trips_max: 0, time_max: HOUR * 3 });
}

fn go_as_the_model_says(seeds: u64, vehicle: VehicleLimits) {
    for seed in 0..seeds {
        let steps: Vec<u64> = Dice(seed).by_ref().take(60).collect();
        if let Err(first) = replay(&steps, vehicle) {
            let (steps, what) = shrink(steps, first, vehicle);
            panic!("seed {seed}, after the steps {steps:?}: {what}");
        }
    }
}

// Leaves out every step that is not needed to go wrong.
fn shrink(mut steps: Vec<u64>, mut what: String, vehicle: VehicleLimits) -> (Vec<u64>, String) {
    let mut place = 0;
    while place < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(place);
        match replay(&fewer, vehicle) {
            Err(still) => (steps, what) = (fewer, still),
            Ok(()) => place += 1,
        }
    }
    (steps, what)
}

fn replay(steps: &[u64], vehicle: VehicleLimits) -> Result<(), String> {
    let mut both = Both::new(vehicle);
    for &step in steps {
        both.step(step)?;
        both.compare()?;
    }
    Ok(())
}

/// A participant, what it recorded, and the model.
struct Both {
    participant: Participant,
    disk: BTreeMap<TransactionId, Branch>,
    model: Model,
    now: Now,
    log: Vec<String>,
}

impl Both {
    fn new(vehicle: VehicleLimits) -> Self {
        let limits = HoldLimits { vehicle, ..limits() };
        let model = Model { me: operator("b"), limits: limits.clone(), entries: Vec::new() };
        let disk = BTreeMap::new();
        Self { participant: empty(limits), disk, model, now: NOW, log: Vec::new() }
    }

    fn record<A>(&mut self, step: Result<Step<A>, Unacceptable>) -> Option<A> {
        let step = step.ok()?;
        for fact in step.facts {
            match fact {
                Fact::Branch(transaction, branch) => drop(self.disk.insert(transaction, branch)),
                Fact::BranchForgotten(transaction) => drop(self.disk.remove(&transaction)),
                Fact::Trip(_) | Fact::TripForgotten(_) => panic!("a participant keeps no trips"),
            }
        }
        Some(step.answer)
    }

    fn step(&mut self, step: u64) -> Result<(), String> {
        let mut dice = Dice(step);
        let hold = some_hold(&mut dice);
        let by = hold.transaction.coordinator.clone();
        let now = self.now;
        let roll = dice.below(20);
        let (said, expected) = match roll {
            0..8 => return self.hold(&mut dice, &hold),
            8 | 9 => {
                let step = self.participant.confirm(&by, &hold.transaction);
                let said = match self.record(step) {
                    Some(Confirmation::Reserved) => Said::Ok,
                    Some(Confirmation::ReleasedHeuristically) | None => Said::Refused,
                };
                (said, self.model.confirm(&hold))
            }
            10 | 11 => {
                let step = self.participant.abort(&by, &hold.transaction, now);
                (ok(self.record(step)), self.model.abort(&hold, now))
            }
            12 => {
                let step = self.participant.release(&by, &hold.transaction);
                (ok(self.record(step)), self.model.release(&hold))
            }
            13 if by != operator("b") => {
                let step = self.participant.inquiry(&operator("c"), &hold.transaction, now);
                let said = self.record(step).map_or(Said::Refused, Said::Outcome);
                (said, self.model.inquiry(&hold, now))
            }
            14 => {
                let step = self.participant.force_abort(&hold.transaction, now);
                let _ = self.record(Ok(step));
                self.model.force_abort(&hold);
                (Said::Ok, Said::Ok)
            }
            15 | 16 => {
                self.now.elapsed += Duration::from_secs(60) * u32::try_from(dice.below(60)).unwrap();
                self.now.utc = NOW.utc + (self.now.elapsed - NOW.elapsed);
                (Said::Ok, Said::Ok)
            }
            17 => self.expire(),
            18 => self.forget(),
            _ => self.restart(),
        };
        self.log.push(format!(
            "{} {}: {said:?} at {:?}",
            EVENTS[usize::try_from(roll).unwrap()],
            hold.transaction,
            self.now.utc
        ));
        if said == expected { Ok(()) } else { Err(format!("{said:?}, not {expected:?}; {:#?}", self.log)) }
    }

    fn hold(&mut self, dice: &mut Dice, hold: &Hold) -> Result<(), String> {
        let firmness = if dice.below(3) == 0 { Firmness::Soft } else { Firmness::Prepared };
        let patience = if dice.below(2) == 0 { Patience::CanWait } else { Patience::MustVote };
        let valid_for = Duration::from_secs(60) * u32::try_from(dice.below(30)).unwrap();
        let by = hold.transaction.coordinator.clone();
        let step = self.participant.hold(&by, hold, firmness, valid_for, patience, self.now);
        let said = match self.record(step).unwrap() {
            HoldAnswer::Wait => Said::Wait,
            HoldAnswer::Vote(Vote::Yes { .. }) => Said::Yes,
            HoldAnswer::Vote(Vote::No(refusal)) => Said::No(kind(&refusal.reason)),
        };
        let expected = self.model.hold(hold, firmness, valid_for, patience, self.now);
        self.log.push(format!("{firmness:?} {hold:?}, {patience:?}: {said:?}"));
        if said == expected { Ok(()) } else { Err(format!("{said:?}, not {expected:?}; {:#?}", self.log)) }
    }

    fn expire(&mut self) -> (Said, Said) {
        let asked: Vec<_> = self.participant.branches().map(|(transaction, _)| transaction.clone()).collect();
        asked.iter().for_each(|transaction| self.participant.asked_in_vain(transaction));
        self.model.asked_in_vain();
        let step = self.participant.expire(self.now);
        let _ = self.record(Ok(step));
        self.model.expire(self.now);
        (Said::Ok, Said::Ok)
    }

    fn forget(&mut self) -> (Said, Said) {
        // One at a time: so the model knows in which order.
        let mut after = None;
        loop {
            let old = self.participant.old(self.now, after.as_ref(), 1);
            for transaction in old.tombstones {
                let step = self.participant.forget_tombstone(&transaction);
                let _ = self.record(Ok(step));
            }
            let step = self.participant.forget(&old.past, self.now);
            let _ = self.record(Ok(step));
            after = match old.next {
                Some(next) => Some(next),
                None => break,
            };
        }
        self.model.forget(self.now);
        (Said::Ok, Said::Ok)
    }

    fn restart(&mut self) -> (Said, Said) {
        let soft = |(transaction, branch): (&TransactionId, &Branch)| match branch {
            Branch::Held { expires, .. } => Some((transaction.clone(), *expires)),
            _ => None,
        };
        let soft: Vec<(TransactionId, Timestamp)> = self.disk.iter().filter_map(soft).collect();
        self.participant = self.restored();
        self.model.restart(&soft);
        (Said::Ok, Said::Ok)
    }

    fn restored(&self) -> Participant {
        let mut restored = empty(self.model.limits.clone());
        for (transaction, branch) in &self.disk {
            restored.restore(transaction.clone(), branch.clone(), self.now);
        }
        restored
    }

    fn compare(&self) -> Result<(), String> {
        let states = |branch: &Branch| match branch {
            Branch::Held { expires, .. } => State::Held { expires: *expires },
            Branch::Prepared { .. } => State::Prepared { asked: false },
            Branch::Confirmed { .. } => State::Confirmed,
            Branch::Released { .. } => State::Released,
            Branch::Aborted { cause: AbortCause::Heuristic, .. } => State::GivenUp,
            Branch::Aborted { at, cause, .. } => {
                State::Tombstone { at: *at, heard: *cause == AbortCause::Coordinator }
            }
        };
        for (transaction, branch) in self.participant.branches() {
            let expected = match self.model.find(transaction).map(|entry| entry.state) {
                Some(State::Prepared { .. }) => Some(State::Prepared { asked: false }),
                state => state,
            };
            if expected != Some(states(branch)) {
                return Err(format!("{branch:?}, not {expected:?}; {:#?}", self.log));
            }
        }
        if self.participant.branches().count() != self.model.entries.len() {
            return Err(format!("forgotten too early or too late: {:#?}", self.log));
        }
        self.compare_calendars(&self.participant)?;
        self.compare_restored()
    }

    fn compare_calendars(&self, participant: &Participant) -> Result<(), String> {
        let soft = self.model.undecided().filter(|entry| matches!(entry.state, State::Held { .. })).count();
        let undecided = (soft, self.model.undecided().count() - soft);
        if participant.undecided() != undecided {
            return Err(format!("{:?} undecided, not {undecided:?}", participant.undecided()));
        }
        for name in EVSES {
            let id = EvseId::new(name).unwrap();
            let stops = |hold: &Hold| -> Vec<Stop> {
                hold.stops.iter().filter(|stop| stop.evse == id).cloned().collect()
            };
            let live = self.model.live().flat_map(|entry| {
                stops(&entry.hold)
                    .into_iter()
                    .map(|stop| (stop.window.start(), entry.hold.transaction.clone()))
            });
            let mut expected: Vec<_> = live.collect();
            let found = participant.calendar(&id).into_iter();
            let mut found: Vec<_> = found
                .flat_map(|calendar| calendar.overlapping(hours(0, 100)))
                .map(|(window, owner)| (window.start(), owner.clone()))
                .collect();
            expected.sort();
            found.sort();
            if found != expected {
                return Err(format!("the calendar of {name}: {found:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    // Unless the participant has votes in memory only, the one restored from the record answers every question alike.
    fn compare_restored(&self) -> Result<(), String> {
        let restored = self.restored();
        if !restored.branches().eq(self.participant.branches()) {
            let volatile = |entry: &crate::model::Entry| {
                matches!(entry.state, State::Prepared { .. })
                    && entry.hold.transaction.coordinator == operator("b")
            };
            return match self.model.entries.iter().any(volatile) {
                true => Ok(()),
                false => Err(format!("the record differs: {:#?}", self.log)),
            };
        }
        self.compare_calendars(&restored)?;
        let by = |coordinator: &str, request: &str, from| Hold {
            transaction: transaction(&operator(coordinator), 999),
            key: key(request),
            stops: vec![Stop { number: 0, evse: EvseId::new("b-1").unwrap(), window: hours(from, from + 2) }],
            ..some_hold(&mut Dice(0))
        };
        let ask = |participant: &Participant, hold: &Hold| {
            let by = &hold.transaction.coordinator;
            participant.clone().hold(by, hold, Firmness::Prepared, HOUR, Patience::CanWait, self.now).unwrap()
        };
        for (coordinator, request) in [("a", "r0"), ("a", "new"), ("c", "r1"), ("c", "new"), ("b", "r2")] {
            for from in 0..8 {
                let hold = by(coordinator, request, from);
                let (was, is) = (ask(&self.participant, &hold), ask(&restored, &hold));
                if was.answer != is.answer {
                    return Err(format!(
                        "{:?} after a restart, not {:?}: {:#?}",
                        is.answer, was.answer, self.log
                    ));
                }
            }
        }
        Ok(())
    }
}

fn ok(answer: Option<()>) -> Said {
    answer.map_or(Said::Refused, |()| Said::Ok)
}

fn limits() -> HoldLimits {
    HoldLimits {
        undecided_holds_max: 3,
        undecided_time_max: HOUR * 4,
        inquire_after: Duration::ZERO,
        tombstone_keep: HOUR * 2,
        reservation_keep: HOUR,
        ..HoldLimits::default()
    }
}

fn empty(limits: HoldLimits) -> Participant {
    let evses: Vec<Evse> = EVSES.into_iter().map(evse).collect();
    Participant::new(operator("b"), StoreId(1), &evses, limits)
}

fn transaction(coordinator: &OperatorId, counter: u64) -> TransactionId {
    TransactionId { coordinator: coordinator.clone(), store: StoreId(1), epoch: 1, counter, nonce: 0 }
}

// One of a few transactions; now and then it asks for something else than before.
fn some_hold(dice: &mut Dice) -> Hold {
    let coordinator = operator(["a", "b", "c"][dice.index(3)]);
    let counter = dice.below(5);
    let variant = u32::from(dice.below(10) == 0);
    let start = u32::try_from(counter * 2 % 7).unwrap() + variant;
    let first = Stop {
        number: 0,
        evse: EvseId::new(EVSES[usize::from(counter == 4)]).unwrap(),
        window: hours(start + 1, start + 3),
    };
    let second =
        Stop { number: 1, evse: EvseId::new(EVSES[1]).unwrap(), window: hours(start + 3, start + 4) };
    let replaces = (counter >= 3).then(|| transaction(&coordinator, counter - 3));
    let stops = match counter {
        3 if coordinator == operator("c") => vec![],
        1 | 3 => vec![first, second],
        _ => vec![first],
    };
    Hold {
        transaction: transaction(&coordinator, counter),
        // The third transaction of each company serves the same request; a change may keep the name of its trip's.
        key: key(&format!(
            "r{}",
            if counter == 2 { 2 } else { counter % 3 * 10 + u64::from(coordinator == operator("a")) }
        )),
        plug: None,
        participants: vec![operator("a"), operator("b"), operator("c")],
        stores: BTreeMap::new(),
        priority: NOW.utc + Duration::from_secs(7) * u32::try_from(counter * 31 % 11).unwrap(),
        stops,
        replaces,
    }
}

/// Numbers that look random and come again with the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.next().unwrap() % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

impl Iterator for Dice {
    type Item = u64;

    // SplitMix64.
    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(mixed ^ (mixed >> 31))
    }
}
