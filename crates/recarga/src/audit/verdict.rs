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
use recarga_wire::audit::{AuditBranch, AuditTrip, BranchCause, BranchState};
use recarga_wire::hold::HoldStop;
use recarga_wire::trip::TripState;
use serde::Serialize;

use super::finding::{Class, Finding, Kind, NotExamined};

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
    let mut examination = Examination { now, ..Examination::default() };
    for memory in memories {
        examination.take_in(memory);
    }
    for (transaction, records) in &examination.transactions {
        examination.verdict.findings.extend(Case { examination: &examination, transaction, records }.judge());
    }
    examination.finish(memories)
}

#[derive(Default)]
struct Examination<'a> {
    now: Timestamp0,
    stores: BTreeMap<&'a OperatorId, StoreId>,
    transactions: BTreeMap<&'a TransactionId, Records<'a>>,
}
