//! Whether everything that companies remember fits together. Pure: what they remember comes in, the verdict goes out.
//!
//! | the coordinator says | a participant may say |
//! |---|---|
//! | committed | confirmed, with the trip's stops; prepared while the confirmation is owed |
//! | cancelled | released; confirmed or prepared while the release is owed |
//! | replaced by a change | released; confirmed while the confirmation of the change is owed |
//! | nothing | aborted, nothing, or prepared: in doubt |
//! | (its record is not at hand) | the same as all others |
//!
//! What ended more than a day ago may be forgotten by one company and not by another: its absence proves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use recarga_reservation::{EvseId, OperatorId, StoreId, TimeWindow, Timestamp, TransactionId};
use recarga_wire::audit::{AuditBranch, AuditTrip, BranchState};
use recarga_wire::doubt::ForcedView;
use recarga_wire::hold::HoldStop;
use recarga_wire::trip::TripState;
use serde::Serialize;

use super::finding::{Class, Finding, NotExamined};

mod calendar;
mod transaction;

/// The shortest history that a node's configuration allows.
const HISTORY_MIN: Duration = Duration::from_secs(24 * 3600);

/// Everything that one company remembers.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The company.
    pub operator: OperatorId,
    /// The database it speaks from.
    pub store: StoreId,
    /// What it holds or held for transactions.
    pub branches: Vec<AuditBranch>,
    /// The trips that it coordinated.
    pub trips: Vec<AuditTrip>,
}

/// How many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Companies examined.
    pub companies: usize,
    /// Trips in which every stop is reserved.
    pub trips_confirmed: usize,
    /// Trips cancelled by their drivers.
    pub trips_cancelled: usize,
    /// Trips that a change has replaced.
    pub trips_changed: usize,
    /// Trips with a part released heuristically.
    pub trips_mixed: usize,
    /// Stops of the trips whose stops are reserved.
    pub stops: usize,
    /// Transactions that anybody remembers.
    pub transactions: usize,
    /// What companies hold or held, by its state.
    pub branches: BTreeMap<&'static str, usize>,
    /// Absences that prove nothing because the windows are long past.
    pub forgotten: usize,
}

/// What an audit says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verdict {
    /// How many there are.
    pub counts: Counts,
    /// What was found, of all classes, in a fixed order.
    pub findings: Vec<Finding>,
    /// What is not at hand.
    pub not_examined: Vec<NotExamined>,
    /// What operators gave up without an outcome.
    pub forced: Vec<ForcedView>,
}

impl Verdict {
    /// What was found of one class.
    pub fn of(&self, class: Class) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |one| one.kind.class() == class)
    }

    /// Whether anything of the class was found.
    pub fn has(&self, class: Class) -> bool {
        self.of(class).next().is_some()
    }

    /// Every trip is all or nothing, no EVSE is booked twice, and nothing is left open.
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|one| one.kind.class() == Class::Heuristic)
    }
}

/// Examines what companies remember. `now` tells what may be forgotten.
pub fn examine(memories: &[Memory], now: Timestamp) -> Verdict {
    let world = World::new(memories, now);
    let mut found = Found::default();
    for (transaction, records) in &world.transactions {
        transaction::judge(&world, transaction, records, &mut found);
    }
    for memory in memories {
        calendar::judge(memory, &mut found);
    }
    let branches = memories.iter().flat_map(|memory| &memory.branches);
    let mut counts = count(memories);
    counts.transactions = world.transactions.len();
    counts.forgotten = found.forgotten;
    Verdict {
        counts,
        findings: found.findings.into_iter().collect(),
        not_examined: found.not_examined.into_iter().collect(),
        forced: branches.filter_map(|branch| branch.forcada.clone()).collect(),
    }
}

// Everything that is remembered, by transaction.
struct World<'a> {
    now: Timestamp,
    stores: BTreeMap<&'a OperatorId, StoreId>,
    transactions: BTreeMap<&'a TransactionId, Records<'a>>,
    // By the transaction that was replaced.
    successors: BTreeMap<&'a TransactionId, &'a AuditTrip>,
}

// All that anybody remembers of a transaction.
#[derive(Default)]
struct Records<'a> {
    trip: Option<&'a AuditTrip>,
    branches: BTreeMap<&'a OperatorId, &'a AuditBranch>,
}

#[derive(Default)]
struct Found {
    findings: BTreeSet<Finding>,
    not_examined: BTreeSet<NotExamined>,
    forgotten: usize,
}

impl<'a> World<'a> {
    fn new(memories: &'a [Memory], now: Timestamp) -> Self {
        let mut transactions: BTreeMap<&TransactionId, Records<'_>> = BTreeMap::new();
        let mut successors = BTreeMap::new();
        for memory in memories {
            for branch in &memory.branches {
                let records = transactions.entry(&branch.sessao).or_default();
                records.branches.insert(&memory.operator, branch);
            }
            for trip in &memory.trips {
                transactions.entry(&trip.sessao).or_default().trip = Some(trip);
                if let Some(old) = &trip.substitui {
                    successors.insert(old, trip);
                }
            }
        }
        let stores = memories.iter().map(|memory| (&memory.operator, memory.store)).collect();
        Self { now, stores, transactions, successors }
    }

    fn is_examined(&self, company: &OperatorId) -> bool {
        self.stores.contains_key(company)
    }

    // Whether the database in which the transaction's decision stands is at hand.
    fn has_decisions_of(&self, transaction: &TransactionId) -> bool {
        self.stores.get(&transaction.coordinator) == Some(&transaction.store)
    }

    // Whether a company may have forgotten these stops. Nothing is said of no stops.
    fn is_past(&self, stops: &[HoldStop]) -> bool {
        stops.iter().map(|stop| stop.janela_fim).max().is_some_and(|end| end + HISTORY_MIN <= self.now)
    }
}

// A stop's window; none if it is no window, which no rule would have let through.
fn window(stop: &HoldStop) -> Option<(EvseId, TimeWindow)> {
    let window = TimeWindow::new(stop.janela_inicio, stop.janela_fim).ok()?;
    Some((stop.ponto_id.clone(), window))
}

fn count(memories: &[Memory]) -> Counts {
    let mut counts = Counts { companies: memories.len(), ..Counts::default() };
    for memory in memories {
        for trip in &memory.trips {
            match trip.estado {
                TripState::Confirmada => {
                    counts.trips_confirmed += 1;
                    counts.stops += trip.paradas.len();
                }
                TripState::Cancelada => counts.trips_cancelled += 1,
                TripState::Alterada => counts.trips_changed += 1,
                TripState::Mista => counts.trips_mixed += 1,
            }
        }
        for branch in &memory.branches {
            let state = match branch.estado {
                BranchState::Provisoria => "held",
                BranchState::Preparada => "prepared",
                BranchState::Confirmada => "confirmed",
                BranchState::Liberada => "released",
                BranchState::Abortada => "aborted",
            };
            *counts.branches.entry(state).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests;
