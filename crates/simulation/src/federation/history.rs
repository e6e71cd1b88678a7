//! What drivers asked for and were told, and everything else worth telling about one simulation.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a driver was told about a request; only what is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// All stops are reserved, as this trip.
    Confirmed(String),
    /// Nothing is reserved.
    Refused(String),
}

/// One request of a driver.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// How often it was sent; once, and no copy of it can still be on its way.
    pub sent: u32,
    /// What was answered, each answer once.
    pub told: Vec<Told>,
    /// Whether the driver was told that the whole trip is cancelled.
    pub cancelled: bool,
    /// The request that changed this trip, once that was confirmed.
    pub changed_by: Option<String>,
    /// Whether the driver may have cancelled or changed it without hearing so.
    pub meddled: bool,
}

/// What happened. Shared by everybody in one simulation.
#[derive(Clone, Default)]
pub struct History(Arc<Mutex<Events>>);

#[derive(Default)]
struct Events {
    requests: BTreeMap<String, Request>,
    violation: Option<String>,
    is_printed: bool,
    now: Duration,
    hash: DefaultHasher,
    count: u64,
}

impl History {
    /// A history that prints each event as it happens.
    pub fn printed() -> Self {
        let history = Self::default();
        history.lock().is_printed = true;
        history
    }

    /// Says how late it is.
    pub fn is_now(&self, now: Duration) {
        self.lock().now = now;
    }

    /// Notes that something happened.
    pub fn note(&self, event: fmt::Arguments<'_>) {
        let mut events = self.lock();
        let line = format!("{:9.3} s  {event}", events.now.as_secs_f64());
        line.hash(&mut events.hash);
        events.count += 1;
        if events.is_printed {
            println!("{line}");
        }
    }

    /// Changes what is known of a request.
    pub fn request<A>(&self, id: &str, change: impl FnOnce(&mut Request) -> A) -> A {
        change(self.lock().requests.entry(id.to_owned()).or_default())
    }

    /// A driver was told something final.
    pub fn told(&self, id: &str, told: Told) {
        self.note(format_args!("{id} is told {told:?}"));
        let contradicts = self.request(id, |request| {
            let contradicts = request.told.iter().any(|before| match (before, &told) {
                // Refused, and asked again all the same: the second answer is about another attempt.
                (Told::Refused(_), _) => false,
                (before, told) => before != told,
            });
            if !request.told.contains(&told) {
                request.told.push(told);
            }
            contradicts
        });
        if contradicts {
            self.violated(format!("the driver of {id} was told two outcomes"));
        }
    }

    /// Something happened that must never happen. The first is kept.
    pub fn violated(&self, what: String) {
        self.note(format_args!("VIOLATION: {what}"));
        self.lock().violation.get_or_insert(what);
    }

    /// What must never have happened.
    pub fn violation(&self) -> Option<String> {
        self.lock().violation.clone()
    }

    /// Every request, by its id.
    pub fn requests(&self) -> BTreeMap<String, Request> {
        self.lock().requests.clone()
    }

    /// Stands for everything that was noted: two runs of one seed have the same.
    pub fn fingerprint(&self) -> (u64, u64) {
        let events = self.lock();
        (events.hash.finish(), events.count)
    }

    // What it guards is never left half-changed.
    fn lock(&self) -> MutexGuard<'_, Events> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
