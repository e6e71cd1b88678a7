//! What must hold in every world, numbered as in the protocol.

use recarga_reservation::{AbortCause, Branch, OperatorId, Stage, TransactionId};

use crate::history::{History, is_tombstone};
use crate::node::Node;
use crate::scenario::{Attempt, COMPANIES, Scenario, evse_id};
use crate::world::{Universe, World};

/// What the invariants and the scheduler look at in a company's state. Sets of trips are bit masks.
#[derive(Clone, Debug)]
pub struct Info {
    pub history: History,
    /// As coordinator, in memory.
    pub waiting: u8,
    pub has_trip: u8,
    pub owing: u8,
    pub cancelled: u8,
    pub replaced: u8,
    pub says_abort: u8,
    /// As participant, in memory.
    pub held: u8,
    pub prepared: u8,
    pub confirmed: u8,
    pub tombstone: u8,
    pub heuristic: u8,
    /// Anything firmer than a soft hold.
    pub remembers: u8,
    /// As participant, durably.
    pub durably_yes: u8,
    pub durably_reserved: u8,
    pub durable_tombstone: u8,
    pub durably_released: u8,
    pub durably_heuristic: u8,
    /// As coordinator, durably.
    pub durably_cancelled: u8,
    /// Nothing waits to be durable.
    pub is_flushed: bool,
    pub has_copy: bool,
    /// For each company, the trips of which it is reported lost.
    pub lost: [u8; COMPANIES],
    /// What is wrong within the company, whatever the others do.
    pub violation: Option<String>,
}

/// In memory, on the disk, as coordinator.
pub type Outline = ([u8; 6], [u8; 5], [u8; 7]);

impl Info {
    pub fn new(node: &Node, attempts: &[Attempt]) -> Self {
        let transactions = |holds: &dyn Fn(&TransactionId) -> bool| {
            let found = attempts.iter().filter(|attempt| holds(&attempt.transaction));
            found.fold(0, |mask, attempt| mask | 1 << attempt.trip)
        };
        let begun = |holds: &dyn Fn(&TransactionId) -> bool| {
            let own = node.history.begun.iter().flatten().map(|&own| &attempts[usize::from(own)]);
            own.filter(|own| holds(&own.transaction)).fold(0, |mask, own| mask | 1 << own.trip)
        };
        let Node { company, durable, .. } = node;
        let branches = |is: &dyn Fn(&Branch) -> bool| {
            transactions(&|transaction| company.participant.branch(transaction).is_some_and(is))
        };
        let on_disk =
            |is: &dyn Fn(&Branch) -> bool| transactions(&|one| durable.branches.get(one).is_some_and(is));
        // Holds for the transaction what the transaction asked for.
        let asked = |holds: &dyn Fn(&TransactionId) -> bool| {
            let found =
                attempts.iter().filter(|attempt| holds(&attempt.transaction) && is_as_asked(node, attempt));
            found.fold(0, |mask, attempt| mask | 1 << attempt.trip)
        };
        let stages = |is: &dyn Fn(&Stage) -> bool| {
            let trips = || company.coordinator.trips();
            transactions(&|one| trips().any(|trip| trip.transaction == *one && is(&trip.stage)))
        };
        let lost = |who: usize| {
            let who = Scenario::operator(who);
            let trips = || company.coordinator.trips();
            transactions(&|one| trips().any(|trip| trip.transaction == *one && trip.lost.contains(&who)))
        };
        Self {
            history: node.history.clone(),
            waiting: transactions(&|one| company.coordinator.is_waiting(one)),
            has_trip: stages(&|_| true),
            owing: transactions(&|one| !company.coordinator.owed_of(one).is_empty()),
            cancelled: stages(&|stage| matches!(stage, Stage::Cancelled { .. })),
            replaced: stages(&|stage| *stage == Stage::Replaced),
            says_abort: begun(&|one| node.says_abort(one)),
            held: branches(&|branch| matches!(branch, Branch::Held { .. })),
            prepared: branches(&|branch| matches!(branch, Branch::Prepared { .. })),
            confirmed: branches(&|branch| matches!(branch, Branch::Confirmed { .. })),
            tombstone: branches(&is_tombstone),
            heuristic: branches(&is_heuristic),
            remembers: branches(&|branch| !matches!(branch, Branch::Held { .. })),
            durably_yes: asked(&|one| durable.holds_yes(one)),
            durably_reserved: asked(&|one| durable.holds_reserved(one)),
            durable_tombstone: on_disk(&is_tombstone),
            durably_released: on_disk(&|branch| matches!(branch, Branch::Released { .. })),
            durably_heuristic: on_disk(&is_heuristic),
            durably_cancelled: transactions(&|one| {
                let stage = durable.trips.get(one).map(|trip| &trip.stage);
                matches!(stage, Some(Stage::Cancelled { .. }))
            }),
            is_flushed: node.is_flushed(),
            has_copy: node.copy.is_some(),
            lost: [lost(0), lost(1), lost(2)],
            violation: local_violation(node),
        }
    }

    pub fn outline(&self) -> Outline {
        let History { begun, committed, .. } = self.history;
        let begun = (0..).zip(begun).fold(0, |mask, (trip, one)| mask | u8::from(one.is_some()) << trip);
        let memory =
            [self.held, self.prepared, self.confirmed, self.tombstone, self.heuristic, self.remembers];
        let (yes, reserved, released) = (self.durably_yes, self.durably_reserved, self.durably_released);
        let disk = [yes, reserved, released, self.durable_tombstone, self.durably_cancelled];
        let (has_trip, owing, cancelled) = (self.has_trip, self.owing, self.cancelled);
        let coordinator = [begun, committed, self.waiting, has_trip, owing, cancelled, self.says_abort];
        (memory, disk, coordinator)
    }
}

fn is_heuristic(branch: &Branch) -> bool {
    matches!(branch, Branch::Aborted { cause: AbortCause::Heuristic, .. })
}

fn is_as_asked(node: &Node, attempt: &Attempt) -> bool {
    let branch = node.durable.branches.get(&attempt.transaction);
    let held = match branch {
        Some(
            Branch::Held { hold, .. }
            | Branch::Prepared { hold }
            | Branch::Confirmed { hold }
            | Branch::Released { hold },
        ) => Some(&**hold),
        Some(Branch::Aborted { .. }) | None => None,
    };
    held == Some(attempt.hold(usize::from(node.me)))
}

/// 6: one owner for a window, in memory, in the calendar and on the disk.
fn local_violation(node: &Node) -> Option<String> {
    let participant = &node.company.participant;
    for (transaction, branch) in participant.branches() {
        let others = participant.branches().filter(|(other, _)| *other != transaction);
        for (other, other_branch) in others {
            if overlap(branch, other_branch) {
                return Some(format!("6: {transaction} and {other} own the same window"));
            }
        }
    }
    for (transaction, branch) in &node.durable.branches {
        for (other, other_branch) in &node.durable.branches {
            if other != transaction && overlap(branch, other_branch) {
                return Some(format!("6: {transaction} and {other} own the same window on the disk"));
            }
        }
    }
    let mut owned: Vec<_> = participant
        .branches()
        .filter_map(|(transaction, branch)| Some((transaction, windows(branch)?)))
        .flat_map(|(transaction, hold)| hold.stops.iter().map(move |stop| (stop.window.start(), transaction)))
        .collect();
    let everything = Scenario::whole_calendar();
    let mut taken: Vec<_> = participant
        .calendar(&evse_id(usize::from(node.me)))
        .into_iter()
        .flat_map(|calendar| calendar.overlapping(everything).map(|(window, owner)| (window.start(), owner)))
        .collect();
    owned.sort();
    taken.sort();
    (owned != taken).then(|| format!("6: the calendar says {taken:?}, the branches {owned:?}"))
}

fn windows(branch: &Branch) -> Option<&recarga_reservation::Hold> {
    match branch {
        Branch::Held { hold, .. } | Branch::Prepared { hold } | Branch::Confirmed { hold } => Some(hold),
        Branch::Released { .. } | Branch::Aborted { .. } => None,
    }
}

fn overlap(one: &Branch, other: &Branch) -> bool {
    let (Some(one), Some(other)) = (windows(one), windows(other)) else { return false };
    let is_change = one.replaces.as_ref() == Some(&other.transaction)
        || other.replaces.as_ref() == Some(&one.transaction);
    let mut pairs = one.stops.iter().flat_map(|stop| other.stops.iter().map(move |other| (stop, other)));
    !is_change && pairs.any(|(stop, other)| stop.evse == other.evse && stop.window.overlaps(other.window))
}

/// What is wrong between the companies.
pub fn violation(universe: &Universe, world: &World) -> Option<String> {
    let scenario = &universe.scenario;
    for trip in 0..scenario.trips.len() {
        let coordinator = universe.info(world, scenario.trips[trip].coordinator);
        if coordinator.history.begun[trip].is_some()
            && let Some(what) = violation_of(universe, world, trip)
        {
            return Some(format!("{what} (trip {})", trip + 1));
        }
        let same = |&other: &usize| {
            scenario.trips[other].key == scenario.trips[trip].key
                && scenario.trips[other].coordinator == scenario.trips[trip].coordinator
        };
        let both = (0..trip).filter(same).fold(1 << trip, |mask, other| mask | 1 << other);
        if (coordinator.history.committed & both).count_ones() > 1 && !is_reused(universe, world, trip) {
            return Some(format!("driver: a request is reserved twice (trip {})", trip + 1));
        }
    }
    None
}

fn is_reused(universe: &Universe, world: &World, trip: usize) -> bool {
    let begun = universe.info(world, universe.scenario.trips[trip].coordinator).history.begun;
    let transaction = |trip: usize| begun[trip].map(|one| &universe.attempts[usize::from(one)].transaction);
    (0..trip).any(|other| transaction(other) == transaction(trip))
}

fn violation_of(universe: &Universe, world: &World, trip: usize) -> Option<&'static str> {
    let plan = &universe.scenario.trips[trip];
    let bit = 1u8 << trip;
    let is = |mask: u8| mask & bit != 0;
    let decider = universe.info(world, plan.coordinator);
    let recorded = is(decider.history.committed);
    let parts =
        || universe.scenario.participants(trip).into_iter().map(|one| (one, universe.info(world, one)));
    let committed = recorded
        || is(decider.history.told_commit)
        || parts().any(|(_, info)| is(info.history.ever_reserved | info.durably_reserved));
    if is(decider.history.told_commit) && is(decider.history.told_abort) {
        return Some("driver: told both outcomes");
    }
    let mut forgotten = recorded && !is(decider.owing) && !decider.history.wiped;
    // Of a cancelled trip nobody is asked for more than to give back.
    forgotten &= !is(decider.cancelled);
    for (company, info) in parts() {
        let history = &info.history;
        let gave_up = is(history.gave_up) || is(info.heuristic);
        let released = is(info.tombstone | info.durable_tombstone) && !history.wiped;
        let ever_reserved = is(history.ever_reserved | info.durably_reserved);
        if committed && released {
            return Some("1: confirmed somewhere and released somewhere");
        }
        let own = company == plan.coordinator;
        let durably = if own { info.durably_reserved } else { info.durably_yes };
        let lost_with_disk = history.wiped && is(history.ever_yes | decider.history.committed);
        if recorded && !is(durably) && !gave_up && !lost_with_disk {
            return Some("3: committed, but a participant is not durably prepared");
        }
        if forgotten && !ever_reserved && !gave_up {
            return Some("4: forgotten, but a participant is not durably confirmed");
        }
        if is(history.said_abort) && committed && !history.wiped {
            return Some("5: committed although a participant told abort");
        }
        if is(history.yes_after_abort) && is(decider.waiting) {
            return Some("5: a participant says yes after it told abort");
        }
    }
    None
}

/// What is still wrong once everything could be delivered and all timers have run.
pub fn unhealed(universe: &Universe, world: &World) -> Option<String> {
    for company in 0..COMPANIES {
        let info = universe.info(world, company);
        let unsettled = [
            (info.waiting, "waits for votes"),
            (info.owing, "owes a message"),
            (info.held | info.prepared, "is in doubt"),
        ];
        if let Some((_, what)) = unsettled.iter().find(|(mask, _)| *mask != 0) {
            return Some(format!("healing: {} {what} for ever", Scenario::operator(company)));
        }
    }
    (0..universe.scenario.trips.len()).find_map(|trip| unhealed_trip(universe, world, trip))
}

fn unhealed_trip(universe: &Universe, world: &World, trip: usize) -> Option<String> {
    let is = |mask: u8| mask & (1 << trip) != 0;
    let decider = universe.info(world, universe.scenario.trips[trip].coordinator);
    let parts =
        || universe.scenario.participants(trip).into_iter().map(|one| (one, universe.info(world, one)));
    let is_remembered = is(decider.has_trip);
    // Whether a forgotten trip was cancelled nobody can tell; but then the companies agree.
    let is_current = match is_remembered {
        true => is(decider.history.committed) && !is(decider.cancelled | decider.replaced),
        false => is(decider.history.committed) && parts().any(|(_, info)| is(info.confirmed)),
    };
    for (company, info) in parts() {
        let is_lost = is(info.heuristic);
        let reserves = is(info.confirmed);
        let who: OperatorId = Scenario::operator(company);
        if reserves && !is_current {
            return Some(format!("healing: {who} keeps windows of trip {} for nobody", trip + 1));
        }
        if is_current && !reserves && !is_lost {
            return Some(format!("healing: {who} has no windows for the committed trip {}", trip + 1));
        }
        if is_current && is_remembered && is(decider.lost[company]) != is_lost {
            return Some(format!("healing: the loss of trip {} at {who} is misreported", trip + 1));
        }
    }
    None
}
