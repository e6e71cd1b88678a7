//! A store that a test can hold up, slow down or break, and that counts.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use recarga_node::store::{Boot, Record, Snapshot, Store, StoreError};
use recarga_reservation::StoreId;

use super::eventually;

/// The handle on the store's writes.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    closed: bool,
    // Writes that may still pass before it closes by itself.
    pass: Option<usize>,
    failing: bool,
    blocked: bool,
    pause: Duration,
    flushes: usize,
    records: usize,
}

impl Gate {
    /// From now on a write waits.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// So many more writes go through; then one waits.
    pub fn close_after(&self, writes: usize) {
        self.lock().pass = Some(writes);
    }

    /// Writes that wait go on, and so do those that follow.
    pub fn open(&self) {
        let mut state = self.lock();
        (state.closed, state.pass) = (false, None);
        drop(state);
        self.0.1.notify_all();
    }

    /// Writes that wait fail, and so do those that follow.
    pub fn fail(&self) {
        self.lock().failing = true;
        self.open();
    }

    /// From now on a write takes this long.
    pub fn slow(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// Returns once a write is waiting.
    pub async fn blocked(&self) {
        eventually("a write that waits", || async { self.lock().blocked.then_some(()) }).await;
    }

    /// Writes so far, and records in them.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.flushes, state.records)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("nobody panics with it")
    }
}

/// The store behind a gate.
pub struct GatedStore<S> {
    pub store: S,
    pub gate: Gate,
}

impl<S: Store> Store for GatedStore<S> {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.store.boot(fresh_id)
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        self.store.each(take)
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot()
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let mut state = self.gate.lock();
        match &mut state.pass {
            Some(0) => state.closed = true,
            Some(left) => *left -= 1,
            None => {}
        }
        while state.closed {
            state.blocked = true;
            state = self.gate.0.1.wait(state).expect("nobody panics with it");
        }
        state.blocked = false;
        if state.failing {
            return Err(StoreError::Io { path: "test".to_owned(), reason: "no space".to_owned() });
        }
        (state.flushes, state.records) = (state.flushes + 1, state.records + records.len());
        let pause = state.pause;
        drop(state);
        std::thread::sleep(pause);
        self.store.append(records)
    }
}
