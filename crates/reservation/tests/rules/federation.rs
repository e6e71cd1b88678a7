//! Companies a, b and c, with one EVSE each, and a network that only loses what a test asks it to lose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{
    Beginning, Branch, Company, Confirmation, Connector, ConnectorId, Decision, Evse, EvseId, Fact, Firmness,
    Fresh, Hold, HoldAnswer, HoldLimits, Now, OperatorId, OwedMessage, Patience, Plug, RequestId, RequestKey,
    Step, Stop, StoreId, TimeWindow, Timestamp, TransactionId, Trip, TripId, TripRequest, TripStop,
    Unacceptable, VehicleId, VehicleLimits, Vote,
};

pub const HOUR: Duration = Duration::from_secs(3600);
pub const DECIDE_LIMIT: Duration = Duration::from_secs(10);
pub const NOW: Now = Now { utc: Timestamp::from_millis(0), elapsed: Duration::from_secs(100) };

pub fn later(by: Duration) -> Now {
    Now { utc: NOW.utc + by, elapsed: NOW.elapsed + by }
}

pub fn operator(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

pub fn key(request: &str) -> RequestKey {
    RequestKey { vehicle: VehicleId::new("car").unwrap(), request: RequestId::new(request).unwrap() }
}

/// From `from` to `to` hours after the start of the test's time.
pub fn hours(from: u32, to: u32) -> TimeWindow {
    TimeWindow::new(NOW.utc + HOUR * from, NOW.utc + HOUR * to).unwrap()
}

pub fn evse(name: &str) -> Evse {
    let connector = Connector { id: ConnectorId::new("1").unwrap(), plug: Plug::CCS2, power_kw: 60.0 };
    Evse { id: EvseId::new(name).unwrap(), connectors: vec![connector] }
}

pub fn stop(evse: &str, window: TimeWindow) -> Stop {
    Stop { number: 0, evse: EvseId::new(evse).unwrap(), window }
}

/// A trip over the EVSEs `a-1`, `b-1` and so on, each of the company that its first letter names.
pub fn request(name: &str, stops: &[(&str, TimeWindow)]) -> Arc<TripRequest> {
    let stops =
        stops.iter().map(|(at, window)| TripStop { operator: operator(&at[..1]), stop: stop(at, *window) });
    Arc::new(TripRequest::new(key(name), None, stops.collect()).unwrap())
}

pub fn fresh(nonce: u128) -> Fresh {
    Fresh { nonce, trip: TripId::new(&format!("trip-{nonce}")).unwrap() }
}

pub fn prepare(company: &mut Company, hold: &Hold, now: Now) -> Result<Step<HoldAnswer>, Unacceptable> {
    let by = hold.transaction.coordinator.clone();
    company.hold(&by, hold, Firmness::Prepared, DECIDE_LIMIT, Patience::MustVote, now)
}

pub fn vote(step: Result<Step<HoldAnswer>, Unacceptable>) -> Vote {
    match step.unwrap().answer {
        HoldAnswer::Vote(vote) => vote,
        HoldAnswer::Wait => panic!("asked to wait"),
    }
}

pub struct Federation {
    companies: BTreeMap<OperatorId, Company>,
    disks: BTreeMap<OperatorId, Disk>,
    vehicle: VehicleLimits,
    nonce: u128,
}

#[derive(Default)]
struct Disk {
    branches: BTreeMap<TransactionId, Branch>,
    trips: BTreeMap<TransactionId, Trip>,
    epoch: u64,
}

impl Federation {
    pub fn new() -> Self {
        Self::with(VehicleLimits::default())
    }

    /// All companies say that a car may have no more than this.
    pub fn with(vehicle: VehicleLimits) -> Self {
        let mut all = Self { companies: BTreeMap::new(), disks: BTreeMap::new(), vehicle, nonce: 0 };
        for name in ["a", "b", "c"] {
            all.disks.insert(operator(name), Disk::default());
            all.restart(name);
        }
        all
    }

    /// What they say from their next start on.
    pub fn limit(&mut self, vehicle: VehicleLimits) {
        self.vehicle = vehicle;
    }

    pub fn at(&mut self, name: &str) -> &mut Company {
        self.companies.get_mut(&operator(name)).unwrap()
    }

    /// What the company holds for a transaction.
    pub fn branch(&mut self, name: &str, transaction: &TransactionId) -> Option<Branch> {
        self.at(name).participant.branch(transaction).cloned()
    }

    /// Records what a step leaves behind, and hands out its answer.
    pub fn record<A>(&mut self, name: &str, step: Step<A>) -> A {
        let Disk { branches, trips, .. } = self.disks.get_mut(&operator(name)).unwrap();
        for fact in step.facts {
            match fact {
                Fact::Branch(transaction, branch) => drop(branches.insert(transaction, branch)),
                Fact::BranchForgotten(transaction) => drop(branches.remove(&transaction)),
                Fact::Trip(trip) => drop(trips.insert(trip.transaction.clone(), trip)),
                Fact::TripForgotten(transaction) => drop(trips.remove(&transaction)),
            }
        }
        step.answer
    }

    /// Starts the company again from what was recorded.
    pub fn restart(&mut self, name: &str) {
        let Disk { branches, trips, epoch } = self.disks.get_mut(&operator(name)).unwrap();
        *epoch += 1;
        let evses = [evse(&format!("{name}-1")), evse(&format!("{name}-2"))];
        let limits = HoldLimits { vehicle: self.vehicle, ..HoldLimits::default() };
        let mut company = Company::new(operator(name), StoreId(1), *epoch, &evses, limits, DECIDE_LIMIT);
        for (transaction, branch) in branches.iter() {
            company.restore(Fact::Branch(transaction.clone(), branch.clone()), NOW);
        }
        for trip in trips.values() {
            company.restore(Fact::Trip(trip.clone()), NOW);
        }
        self.companies.insert(operator(name), company);
    }

    pub fn begin(&mut self, name: &str, request: &Arc<TripRequest>) -> Beginning {
        self.nonce += 1;
        let fresh = fresh(self.nonce);
        self.at(name).coordinator.begin(request, NOW.utc, fresh, NOW)
    }

    /// Asks every company and decides.
    pub fn decide(&mut self, beginning: Beginning) -> Decision {
        let Beginning::New { transaction, holds } = beginning else { panic!("{beginning:?}") };
        let coordinator = transaction.coordinator.as_str().to_owned();
        for (asked, hold) in &holds {
            let step = prepare(self.at(asked.as_str()), hold, NOW);
            let vote = match self.record(asked.as_str(), step.unwrap()) {
                HoldAnswer::Vote(vote) => vote,
                HoldAnswer::Wait => panic!("asked to wait"),
            };
            let _ = self.at(&coordinator).coordinator.vote(&transaction, asked, vote);
        }
        let step = self.at(&coordinator).decide(&transaction, NOW).unwrap();
        self.record(&coordinator, step)
    }

    /// Books a trip as far as its commit record: nobody else has heard of it yet.
    pub fn commit(&mut self, name: &str, request: &Arc<TripRequest>) -> Trip {
        let beginning = self.begin(name, request);
        committed(self.decide(beginning))
    }

    /// Commits a change of a trip; nobody else has heard of it yet.
    pub fn commit_change(&mut self, name: &str, trip: &TripId, request: &Arc<TripRequest>) -> Trip {
        self.nonce += 1;
        let fresh = fresh(self.nonce);
        let beginning = self.at(name).coordinator.begin_change(trip, request, NOW.utc, fresh, NOW).unwrap();
        committed(self.decide(beginning))
    }

    /// Delivers what a coordinator owes, and the acknowledgements.
    pub fn settle(&mut self, name: &str) {
        for owed in self.at(name).coordinator.owed() {
            let to = owed.operator.as_str();
            let participant = &mut self.at(to).participant;
            let step = match owed.message {
                OwedMessage::Confirm => participant.confirm(&operator(name), &owed.transaction).unwrap(),
                OwedMessage::Release => {
                    let step = participant.release(&operator(name), &owed.transaction).unwrap();
                    step.map(|()| Confirmation::Reserved)
                }
            };
            let confirmation = self.record(to, step);
            let coordinator = &mut self.at(name).coordinator;
            if confirmation == Confirmation::ReleasedHeuristically {
                let step = coordinator.lost(&owed.transaction, &owed.operator);
                self.record(name, step);
            } else {
                let step = coordinator.acknowledged(&owed.transaction, &owed.operator, owed.message);
                self.record(name, step);
            }
        }
    }

    /// Books a trip to the end.
    pub fn book(&mut self, name: &str, request: &Arc<TripRequest>) -> Trip {
        let trip = self.commit(name, request);
        self.settle(name);
        self.at(name).coordinator.find(&trip.transaction).unwrap().clone()
    }

    /// Whether anyone has the window of the EVSE.
    pub fn is_taken(&mut self, at: &str, window: TimeWindow) -> bool {
        let evse = EvseId::new(at).unwrap();
        self.at(&at[..1]).participant.taken_at(&evse, window).is_some()
    }
}

/// The transaction that has begun, and what it asks of a company.
pub fn begun(beginning: Beginning, asked: &str) -> (TransactionId, Hold) {
    let Beginning::New { transaction, holds } = beginning else { panic!("{beginning:?}") };
    let hold = holds.into_iter().find(|(company, _)| *company == operator(asked)).unwrap().1;
    (transaction, hold)
}

pub fn committed(decision: Decision) -> Trip {
    match decision {
        Decision::Commit(trip) => *trip,
        Decision::Abort { refusal, .. } => panic!("{refusal:?}"),
    }
}

pub fn aborted(decision: Decision) -> recarga_reservation::Refusal {
    match decision {
        Decision::Abort { refusal, .. } => refusal,
        Decision::Commit(trip) => panic!("{trip:?}"),
    }
}
