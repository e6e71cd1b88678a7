//! Judges every write the moment it is durable, at whichever company: what must hold at all times, not only at rest.
//!
//! It stands between each node and its database, and knows of all companies what is surely on their disks. What a crash cuts off may be
//! there besides, until the company starts again and says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use recarga_node::store::{Boot, Record, Snapshot, Store, StoreError};
use recarga_reservation::{AbortCause, Branch, Fact, Hold, OperatorId, Stage, StoreId, TransactionId, Trip};

use crate::federation::history::History;

/// What is durable everywhere; its clones are the same one.
#[derive(Clone)]
pub struct Notary {
    books: Arc<Mutex<Books>>,
    history: History,
}

impl Notary {
    /// A notary who tells `history` what must never have happened.
    pub fn new(history: History) -> Self {
        Self { books: Arc::default(), history }
    }

    /// The company's store, watched from now on.
    pub fn watch(&self, company: OperatorId, store: Box<dyn Store>) -> Box<dyn Store> {
        Box::new(Watched { notary: self.clone(), company, store })
    }

    fn record(&self, company: &OperatorId, records: &[Record], anew: bool) {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if anew {
            books.forget(company);
        }
        records.iter().for_each(|record| books.enter(company, record));
        // All of a batch counts at once: a commit and the company's own branch are one write.
        if let Some(complaint) = records.iter().find_map(|record| books.complaint(company, record)) {
            self.history.violated(complaint);
        }
    }
}

struct Watched {
    notary: Notary,
    company: OperatorId,
    store: Box<dyn Store>,
}

impl Store for Watched {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.store.boot(fresh_id)
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let records = self.store.load()?;
        self.notary.record(&self.company, &records, true);
        records.into_iter().for_each(take);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot()
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        self.store.append(records)?;
        self.notary.record(&self.company, records, false);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.store.close()
    }
}

#[derive(Default)]
struct Books {
    trips: BTreeMap<TransactionId, Trip>,
    branches: BTreeMap<OperatorId, BTreeMap<TransactionId, Branch>>,
}

impl Books {
    fn forget(&mut self, company: &OperatorId) {
        self.branches.remove(company);
        self.trips.retain(|transaction, _| transaction.coordinator != *company);
    }

    fn enter(&mut self, company: &OperatorId, record: &Record) {
        let Record::Fact(fact) = record else { return };
        let branches = self.branches.entry(company.clone()).or_default();
        match fact {
            Fact::Branch(transaction, branch) => drop(branches.insert(transaction.clone(), branch.clone())),
            Fact::BranchForgotten(transaction) => drop(branches.remove(transaction)),
            Fact::Trip(trip) => drop(self.trips.insert(trip.transaction.clone(), trip.clone())),
            Fact::TripForgotten(transaction) => drop(self.trips.remove(transaction)),
        }
    }

    fn complaint(&self, company: &OperatorId, record: &Record) -> Option<String> {
        match record {
            Record::Fact(Fact::Branch(transaction, branch)) => {
                self.wrong_branch(company, transaction, branch)
            }
            Record::Fact(Fact::Trip(trip)) => self.wrong_trip(trip),
            _ => None,
        }
    }

    fn wrong_branch(
        &self,
        company: &OperatorId,
        transaction: &TransactionId,
        branch: &Branch,
    ) -> Option<String> {
        let stage = self.trips.get(transaction).map(|trip| &trip.stage);
        match branch {
            Branch::Held { hold, .. } | Branch::Prepared { hold } => self.taken(company, hold),
            Branch::Confirmed { hold } if stage.is_some() => self.taken(company, hold),
            Branch::Confirmed { .. } => {
                Some(format!("{transaction} is reserved at {company} before its commit is durable"))
            }
            Branch::Released { .. } => match stage {
                Some(Stage::Cancelled { .. } | Stage::Replaced) => None,
                stage => {
                    Some(format!("{transaction} is released at {company} and {stage:?} at its coordinator"))
                }
            },
            // Known to be a guess.
            Branch::Aborted { cause: AbortCause::Heuristic, .. } => None,
            Branch::Aborted { .. } => stage.map(|stage| {
                format!("split: {transaction} is aborted at {company} and {stage:?} at its coordinator")
            }),
        }
    }

    // A change may overlap what it replaces until it is confirmed.
    fn taken(&self, company: &OperatorId, hold: &Hold) -> Option<String> {
        self.branches.get(company)?.iter().find_map(|(other, branch)| {
            let (Branch::Held { hold: known, .. }
            | Branch::Prepared { hold: known }
            | Branch::Confirmed { hold: known }) = branch
            else {
                return None;
            };
            let is_change =
                hold.replaces.as_ref() == Some(other) || known.replaces.as_ref() == Some(&hold.transaction);
            if *other == hold.transaction || is_change {
                return None;
            }
            let clash = hold.stops.iter().find(|stop| {
                known.stops.iter().any(|one| one.evse == stop.evse && one.window.overlaps(stop.window))
            })?;
            Some(format!("{} of {company} is held twice: {}, {other}", clash.evse, hold.transaction))
        })
    }

    fn wrong_trip(&self, trip: &Trip) -> Option<String> {
        let transaction = &trip.transaction;
        trip.participants.iter().filter(|company| !trip.lost.contains(*company)).find_map(|company| {
            let branch = self.branches.get(company).and_then(|branches| branches.get(transaction));
            let is_lost = matches!(branch, Some(Branch::Aborted { cause: AbortCause::Heuristic, .. }));
            let is_reserved = matches!(branch, Some(Branch::Confirmed { .. } | Branch::Released { .. }));
            let is_prepared = is_reserved || matches!(branch, Some(Branch::Prepared { .. }));
            let is_well = match &trip.stage {
                // The coordinator's own part is in the same write.
                Stage::Committed { .. } if *company == transaction.coordinator => is_reserved,
                Stage::Committed { unacknowledged } if unacknowledged.contains(company) => is_prepared,
                Stage::Committed { .. } | Stage::Settled => is_reserved,
                Stage::Cancelled { unreleased } if unreleased.contains(company) => is_prepared,
                Stage::Cancelled { .. } => matches!(branch, Some(Branch::Released { .. })),
                Stage::Replaced => is_reserved,
            };
            let stage = &trip.stage;
            (!is_well && !is_lost).then(|| {
                format!("split: {transaction} is {stage:?} at its coordinator, and at {company} {branch:?}")
            })
        })
    }
}
