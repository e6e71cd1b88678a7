//! What happens at this company, for whoever watches. Nobody who watches can slow the node: a slow watcher misses
//! events and is told how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use recarga_reservation::{OperatorId, Refusal, RequestKey, TransactionId, Trip, TripId, VehicleId};
use tokio::sync::broadcast;

/// How many events a slow watcher may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A trip was booked, cancelled, changed or settled here.
    Trip {
        /// As it stands now.
        trip: Box<Trip>,
        /// `booked`, `cancelled`, `changed` or `settled`.
        what: &'static str,
    },
    /// A trip was refused here.
    Refused {
        /// Which request.
        key: RequestKey,
        /// Why.
        refusal: Box<Refusal>,
    },
    /// Something happened to a hold at this company.
    Hold {
        /// Which transaction's.
        transaction: TransactionId,
        /// `held`, `refused`, `confirmed`, `aborted`, `released`, `expired` or `learnt`.
        what: &'static str,
    },
    /// A car said where it is.
    Vehicle {
        /// Which car; its state is in the registry of vehicles.
        vehicle: VehicleId,
    },
    /// Something that a person must see: a company released its part of a transaction heuristically.
    Alarm {
        /// Which transaction.
        transaction: TransactionId,
        /// The trip, where this company coordinates it.
        trip: Option<TripId>,
    },
    /// Another company can be reached again, or no longer.
    Peer {
        /// Which.
        operator: OperatorId,
        /// Whether it can be reached.
        reachable: bool,
    },
}

impl Event {
    /// Something happened to a hold.
    pub fn hold(transaction: &TransactionId, what: &'static str) -> Self {
        Event::Hold { transaction: transaction.clone(), what }
    }

    /// Something happened to a trip.
    pub fn trip(trip: &Trip, what: &'static str) -> Self {
        Event::Trip { trip: Box::new(trip.clone()), what }
    }
}

/// Where events are sent and watched; clones share it.
#[derive(Clone, Debug)]
pub struct Events {
    sender: broadcast::Sender<(u64, Arc<Event>)>,
    last: Arc<AtomicU64>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(BACKLOG), last: Arc::default() }
    }
}

impl Events {
    /// Tells whoever watches; the event is not even made if nobody does.
    pub fn send(&self, event: impl FnOnce() -> Event) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        if self.sender.receiver_count() > 0 {
            // Nobody left between the two lines is no harm.
            let _ = self.sender.send((number, Arc::new(event())));
        }
    }

    /// Watches from now on.
    pub fn watch(&self) -> broadcast::Receiver<(u64, Arc<Event>)> {
        self.sender.subscribe()
    }
}
