//! What happens at this company, for whoever watches. Nobody who watches can slow the node: a slow watcher misses
//! events and is told how many.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use recarga_reservation::{
    EvseId, OperatorId, Refusal, RequestKey, Timestamp, TransactionId, Trip, TripId, VehicleId,
};
use tokio::sync::Notify;

use crate::chronicle::Chronicle;
use crate::clock::Clock;
use crate::traces::Traces;

/// How many events are kept for those who are slow or come back.
const BACKLOG: usize = 4096;
/// How many one of them is told at a time.
const TOLD_AT_ONCE: usize = 256;
/// How long events are still kept when nobody watches any longer.
const LINGER: Duration = Duration::from_secs(60);
/// How long is waited for more events after one.
const GATHERED: Duration = Duration::from_millis(20);
/// Numbers of a later run are greater, and small enough for every reader of JSON.
const EPOCH_SHIFT: u32 = 32;

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
    /// An EVSE was taken out of service, or back into it.
    Evse {
        /// Which.
        evse: EvseId,
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
    /// Something happened to a trip.
    pub fn trip(trip: &Trip, what: &'static str) -> Self {
        Event::Trip { trip: Box::new(trip.clone()), what }
    }
}

/// Where events are sent and watched; clones share it.
#[derive(Clone, Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
    news: Notify,
    chronicle: Chronicle,
    traces: Traces,
}

// Events are kept while somebody watches, and for a moment after the last one has gone, who may come back.
#[derive(Debug)]
struct Ring {
    first: u64,
    next: u64,
    kept: VecDeque<Arc<Told>>,
    watchers: usize,
    until: Option<Duration>,
}

/// An event, as it is told to everyone who watches.
#[derive(Debug)]
pub struct Told {
    /// Grows with each event, also over restarts.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
    text: OnceLock<Option<Arc<str>>>,
}

/// What somebody who watches sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// An event.
    Event(Arc<Told>),
    /// So many are missing here; none: nobody can tell how many, as the node began anew.
    Missed(Option<u64>),
}

impl Told {
    /// The event in words: made once, by whoever tells it first, however many watch.
    pub fn text(&self, make: impl FnOnce(&Told) -> Option<String>) -> Option<Arc<str>> {
        self.text.get_or_init(|| make(self).map(Arc::from)).clone()
    }
}

impl Events {
    /// Of the run of the process with this boot epoch; nothing is watched yet.
    pub fn new(clock: Arc<dyn Clock>, epoch: u64, story_entries_max: usize, traces: Traces) -> Self {
        let first = (epoch << EPOCH_SHIFT) + 1;
        let ring = Ring { first, next: first, kept: VecDeque::new(), watchers: 0, until: None };
        let chronicle = Chronicle::new(clock.clone(), story_entries_max);
        let shared = Shared { clock, ring: Mutex::new(ring), news: Notify::new(), chronicle, traces };
        Self { shared: Arc::new(shared) }
    }

    /// What is remembered of transactions.
    pub fn chronicle(&self) -> &Chronicle {
        &self.shared.chronicle
    }

    /// Where traces are collected.
    pub fn traces(&self) -> &Traces {
        &self.shared.traces
    }

    /// Tells whoever watches; the event is not even made if nobody does.
    pub fn send(&self, event: impl FnOnce() -> Event) {
        let mut ring = self.lock();
        let number = ring.next;
        ring.next += 1;
        if !self.is_watched(&mut ring) {
            return;
        }
        let at = self.shared.clock.now().utc;
        if ring.kept.len() >= BACKLOG {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::new(Told { number, at, event: event(), text: OnceLock::new() }));
        drop(ring);
        self.shared.news.notify_waiters();
    }

    /// Watches from now on, or from after the event with this number.
    pub fn watch(&self, after: Option<u64>) -> Watcher {
        let mut ring = self.lock();
        ring.watchers += 1;
        ring.until = None;
        let (next, is_lost) = match after {
            None => (ring.next, false),
            Some(after) if (ring.first - 1..ring.next).contains(&after) => (after + 1, false),
            // It is of another run, or was never given.
            Some(_) => (ring.next, true),
        };
        Watcher { events: self.clone(), next, is_lost }
    }

    // Whether events are to be kept.
    fn is_watched(&self, ring: &mut Ring) -> bool {
        let Some(until) = ring.until else { return ring.watchers > 0 };
        if self.shared.clock.now().elapsed < until {
            return true;
        }
        ring.until = None;
        ring.kept = VecDeque::new();
        false
    }

    // What it guards is never left half-changed.
    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who watches: a place in the row of events, and nothing that grows however slow they are.
#[derive(Debug)]
pub struct Watcher {
    events: Events,
    next: u64,
    is_lost: bool,
}

impl Watcher {
    /// What comes next: some events, once there are any.
    pub async fn next(&mut self) -> Vec<Seen> {
        loop {
            let shared = self.events.shared.clone();
            let news = shared.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let seen = self.take();
            if !seen.is_empty() {
                return seen;
            }
            news.await;
            // What comes together is told together: one wake-up for each event would cost more than telling it.
            tokio::time::sleep(GATHERED).await;
        }
    }

    fn take(&mut self) -> Vec<Seen> {
        let ring = self.events.lock();
        let mut seen = Vec::new();
        if std::mem::take(&mut self.is_lost) {
            seen.push(Seen::Missed(None));
        }
        let oldest = ring.kept.front().map_or(ring.next, |told| told.number);
        if self.next < oldest {
            seen.push(Seen::Missed(Some(oldest - self.next)));
            self.next = oldest;
        }
        let skipped = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
        let told = ring.kept.iter().skip(skipped).take(TOLD_AT_ONCE);
        seen.extend(told.cloned().map(Seen::Event));
        if let Some(Seen::Event(last)) = seen.last() {
            self.next = last.number + 1;
        }
        seen
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let until = self.events.shared.clock.now().elapsed + LINGER;
        let mut ring = self.events.lock();
        ring.watchers -= 1;
        if ring.watchers == 0 {
            ring.until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn events(epoch: u64) -> Events {
        Events::new(Arc::new(SystemClock::new()), epoch, 0, Traces::off())
    }

    fn send(events: &Events, count: usize) {
        (0..count).for_each(|_| events.send(|| Event::Vehicle { vehicle: "carro-1".parse().unwrap() }));
    }

    // Numbers of events; what is missing as a negative number, or zero where that cannot be said.
    fn take(watcher: &mut Watcher) -> Vec<i64> {
        let number = |seen: &Seen| match seen {
            Seen::Event(told) => (told.number & 0xffff_ffff) as i64,
            Seen::Missed(count) => -(count.unwrap_or(0) as i64),
        };
        watcher.take().iter().map(number).collect()
    }

    #[test]
    fn whoever_comes_back_is_told_what_happened_meanwhile() {
        let events = events(3);
        let mut watcher = events.watch(None);
        send(&events, 2);
        assert_eq!(take(&mut watcher), [1, 2]);
        let last = (3 << EPOCH_SHIFT) + 2;
        drop(watcher);
        // Nobody watches, and somebody may come back.
        send(&events, 2);
        assert_eq!(take(&mut events.watch(Some(last))), [3, 4]);
        assert_eq!(take(&mut events.watch(None)), [0i64; 0]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let events = events(3);
        send(&events, 5); // nobody watches: these are not kept
        let mut watcher = events.watch(Some((3 << EPOCH_SHIFT) + 2));
        send(&events, 1);
        assert_eq!(take(&mut watcher), [-3, 6]);
        let mut slow = events.watch(None);
        send(&events, BACKLOG + 10);
        assert_eq!(take(&mut slow)[0], -10);
        assert_eq!(slow.take().len(), TOLD_AT_ONCE, "no more at a time");
        for stranger in [(2 << EPOCH_SHIFT) + 5, u64::MAX, (3 << EPOCH_SHIFT) + 99_999] {
            assert_eq!(take(&mut events.watch(Some(stranger))), [0], "of another run: {stranger}");
        }
    }

    #[test]
    fn nothing_is_made_or_kept_for_nobody() {
        let events = events(1);
        events.send(|| panic!("nobody watches"));
        let before = events.lock().next;
        drop(events.watch(None));
        send(&events, 3);
        assert_eq!(events.lock().kept.len(), 3);
        events.lock().until = Some(Duration::ZERO);
        events.send(|| panic!("nobody came back"));
        let ring = events.lock();
        assert_eq!((ring.kept.len(), ring.next), (0, before + 4));
    }
}
