//! What one exploration is about: who books what, and which faults may happen how often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{
    Company, Connector, ConnectorId, Evse, EvseId, Hold, HoldLimits, Now, OperatorId, Plug, RequestId,
    RequestKey, Stop, StoreId, TimeWindow, Timestamp, TransactionId, TripRequest, TripStop, VehicleId,
};

use crate::plants::Plant;

pub const COMPANIES: usize = 3;
/// From which every company speaks until it loses its disk.
pub const FIRST_STORE: StoreId = StoreId(1);
pub const TRIPS_MAX: usize = 4;
pub const DECIDE_LIMIT: Duration = Duration::from_secs(10);
const HOUR: i64 = 3_600_000;

/// The instants that matter. Limits are compared, never counted, so one instant before and one after each is
/// enough; a timer that may fire at any moment is an event that may happen at any moment.
pub const NOW: Now = Now { utc: Timestamp::from_millis(0), elapsed: Duration::from_secs(1000) };
pub const AFTER_LIMITS: Now = Now { utc: Timestamp::from_millis(60_000), elapsed: Duration::from_secs(5000) };
pub const LONG_AFTER: Now =
    Now { utc: Timestamp::from_millis(10_000 * HOUR), elapsed: Duration::from_secs(9000) };

/// One transaction that may be begun once.
#[derive(Clone, Debug)]
pub struct TripPlan {
    pub coordinator: usize,
    /// Trips with the same key are attempts at the same request.
    pub key: &'static str,
    /// Company, and which of its windows: equal numbers compete.
    pub stops: Vec<(usize, i64)>,
    /// Held softly first, prepared later.
    pub soft: bool,
    /// The driver may cancel it once it is committed.
    pub cancel: bool,
    /// It changes the trip at this index.
    pub replaces: Option<usize>,
}

impl TripPlan {
    pub fn new(coordinator: usize, key: &'static str, stops: &[(usize, i64)]) -> Self {
        Self { coordinator, key, stops: stops.to_vec(), soft: false, cancel: false, replaces: None }
    }

    /// A stop at every company.
    pub fn everywhere(coordinator: usize, slot: i64) -> Self {
        Self::new(coordinator, ["r1", "r2", "r3"][coordinator], &[(0, slot), (1, slot), (2, slot)])
    }
}

/// What may happen beyond loss, duplication, reordering, delay and timers at any moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Companies that may crash, at any moment and any number of times.
    pub crashes: [bool; COMPANIES],
    /// The coordinator forgets settled trips, participants their tombstones.
    pub forget: bool,
    /// Prepared holds are given up by an operator or at their window's start plus grace.
    pub heuristic: bool,
    /// Companies whose disk may be lost and replaced by an empty one, once.
    pub wipe: [bool; COMPANIES],
    /// Companies whose disk may be lost and replaced by a copy of an earlier moment, once.
    pub put_back: [bool; COMPANIES],
}

impl Faults {
    pub fn may_lose_disks(&self) -> bool {
        self.wipe.contains(&true) || self.put_back.contains(&true)
    }
}

/// Any company may crash; nothing else goes wrong beyond what always may.
pub const CRASHES: Faults = Faults {
    crashes: [true; COMPANIES],
    forget: false,
    heuristic: false,
    wipe: [false; COMPANIES],
    put_back: [false; COMPANIES],
};

/// How the messages on their way are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Each one that was sent is remembered, and may arrive from then on.
    Sent,
    /// Whatever the durable states of the companies entitle them to say may arrive, whether it was sent or not.
    Entitled,
}

/// One exploration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub trips: Vec<TripPlan>,
    /// How many of the trips, from the first, are settled before the exploration begins.
    pub settled: usize,
    pub faults: Faults,
    pub network: Network,
    /// Whether every world must be able to settle by itself, even if all messages sent so far are lost.
    pub heals: bool,
    pub plant: Option<Plant>,
    /// Whether a promise that rests on nothing durable is a violation by itself, or only what may come of it.
    pub only_consequences: bool,
}

impl Scenario {
    pub fn new(name: &'static str, trips: Vec<TripPlan>, faults: Faults) -> Self {
        Self {
            name,
            trips,
            settled: 0,
            faults,
            network: Network::Sent,
            heals: true,
            plant: None,
            only_consequences: false,
        }
    }

    pub fn operator(company: usize) -> OperatorId {
        OperatorId::new(["a", "b", "c"][company]).unwrap()
    }

    pub fn company_of(operator: &OperatorId) -> usize {
        (0..COMPANIES).find(|&company| Self::operator(company) == *operator).unwrap()
    }

    /// A window around all others.
    pub fn whole_calendar() -> TimeWindow {
        TimeWindow::new(Timestamp::from_millis(0), Timestamp::from_millis(1000 * HOUR)).unwrap()
    }

    /// Every company that takes part in a trip.
    pub fn participants(&self, trip: usize) -> BTreeSet<usize> {
        let mut all: BTreeSet<usize> = self.trips[trip].stops.iter().map(|(company, _)| *company).collect();
        if let Some(old) = self.trips[trip].replaces {
            all.extend(self.participants(old));
        }
        all
    }

    /// Participants other than the coordinator.
    pub fn remotes(&self, trip: usize) -> impl Iterator<Item = usize> {
        let coordinator = self.trips[trip].coordinator;
        self.participants(trip).into_iter().filter(move |&one| one != coordinator)
    }

    pub fn request(&self, trip: usize) -> Arc<TripRequest> {
        let plan = &self.trips[trip];
        let key = RequestKey {
            vehicle: VehicleId::new("car").unwrap(),
            request: RequestId::new(plan.key).unwrap(),
        };
        let stops = plan.stops.iter().map(|&(company, slot)| {
            // A car cannot be at two companies at once, so each company has its own part of the day.
            let start = (i64::try_from(company).unwrap() + 1) * 10 * HOUR + slot * HOUR;
            let window = TimeWindow::new(Timestamp::from_millis(start), Timestamp::from_millis(start + HOUR));
            TripStop {
                operator: Self::operator(company),
                stop: Stop { number: 0, evse: evse_id(company), window: window.unwrap() },
            }
        });
        Arc::new(TripRequest::new(key, None, stops.collect()).unwrap())
    }

    pub fn company(company: usize, store: u64, epoch: u64) -> Company {
        let connector = Connector { id: ConnectorId::new("1").unwrap(), plug: Plug::CCS2, power_kw: 60.0 };
        let evse = Evse { id: evse_id(company), connectors: vec![connector] };
        // An inquiry may happen at any moment, so its timer need not be told apart.
        let limits = HoldLimits { inquire_after: Duration::ZERO, ..HoldLimits::default() };
        let store = StoreId(u128::from(store));
        let mut company = Company::new(Self::operator(company), store, epoch, [&evse], limits, DECIDE_LIMIT);
        // It has heard of all the others long ago, and of nobody's lost disk.
        (0..COMPANIES).for_each(|one| company.coordinator.heard_from(&Self::operator(one), FIRST_STORE));
        company
    }
}

pub fn evse_id(company: usize) -> EvseId {
    EvseId::new(["A-1", "B-1", "C-1"][company]).unwrap()
}

/// A transaction that was begun in some run, and what it asks of whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub trip: usize,
    pub transaction: TransactionId,
    pub holds: Vec<(OperatorId, Hold)>,
}

impl Attempt {
    pub fn hold(&self, company: usize) -> &Hold {
        let operator = Scenario::operator(company);
        &self.holds.iter().find(|(one, _)| *one == operator).unwrap().1
    }
}
