//! The node's memory and its durable record, kept in step.
//!
//! A transition runs in memory under a lock that is never held over I/O; its records join a queue; one writer takes
//! the whole queue at a time, so that requests that come together share one flush. An answer that must not precede
//! its records waits for the flush, also when the records are somebody else's: memory may run ahead of the disk, but
//! nobody outside hears of it.

mod copying;
mod revisions;
mod state;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recarga_reservation::{Fact, Step, Told};
use thiserror::Error;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::samples::{Quantiles, Samples};
use crate::store::{Record, Store, StoreError};
use crate::watched::Watched;
use copying::Wanted;
pub use revisions::Revisions;
pub use state::State;

/// Records in the queue from which on a flush does not wait for anybody to need it.
const QUEUE_LONG: usize = 8192;
/// How long records that nobody waits for may stay in memory.
const LAZY_DELAY: Duration = Duration::from_millis(50);
/// How long somebody who is in no hurry waits for others to share a flush with.
const PATIENT_DELAY: Duration = Duration::from_millis(2);

/// The node can no longer promise anything: a write failed, or it is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the durable record cannot be written; the node is stopping")]
pub struct Stopped;

/// Where the writer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// In a thread of its own, as a flush blocks.
    Thread,
    /// In a task on the caller's runtime: for simulations, in which every step must be repeatable.
    Task,
}

/// What to do when a write failed: stop the process, or in a simulation the simulated one.
pub type OnFailure = Box<dyn FnOnce(&StoreError) + Send>;

/// Memory and durable record.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    // Wakes the writer: the one for a thread, the other for a task.
    thread_wake: Condvar,
    task_wake: Notify,
    closed: Watched<bool>,
    flush_times: Samples,
}

#[derive(Debug)]
struct Inner {
    state: State,
    queue: Vec<Record>,
    // When the queue is to be written at the latest.
    due: Option<Instant>,
    // Number of the last record ever queued, and of the last durable one; blanks are counted with them.
    queued: u64,
    durable: u64,
    flushes: u64,
    records: u64,
    // What was durable when somebody else took the record over is not all of it. Where that can happen, an answer that
    // rests on durable records alone is followed by a blank: nothing to be written, but only by whoever still may.
    can_be_taken_over: bool,
    blanks: u64,
    // Who waits for which record, in the order of the records. Whoever is dropped is told that nothing can be told.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
    wanted: Vec<Wanted>,
    // The record cannot be written any longer, or the store is closed.
    ended: bool,
    stopping: bool,
}

/// How soon a record is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// At once, by somebody who waits for it.
    Now,
    /// By nobody who waits: it may be held back for a moment, so that its flush is shared with others.
    Patient,
}

impl Ledger {
    /// Starts the writer for a state that was just read back from the store.
    pub fn start(state: State, store: Box<dyn Store>, writer: Writer, on_failure: OnFailure) -> Self {
        let inner = Inner {
            state,
            queue: Vec::new(),
            due: None,
            queued: 0,
            durable: 0,
            flushes: 0,
            records: 0,
            can_be_taken_over: store.can_be_taken_over(),
            blanks: 0,
            waiting: VecDeque::new(),
            wanted: Vec::new(),
            ended: false,
            stopping: false,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            thread_wake: Condvar::new(),
            task_wake: Notify::new(),
            closed: Watched::new(false),
            flush_times: Samples::default(),
        });
        let writing = shared.clone();
        match writer {
            Writer::Thread => {
                std::thread::spawn(move || writing.write_in_thread(store, on_failure));
            }
            Writer::Task => {
                tokio::spawn(async move { writing.write_in_task(store, on_failure).await });
            }
        }
        Self { shared }
    }

    /// Runs a transition of the rules and returns its answer when it may be told.
    ///
    /// # Errors
    /// [`Stopped`]: nobody may be told anything.
    pub async fn apply<A>(&self, transition: impl FnOnce(&mut State) -> Step<A>) -> Result<A, Stopped> {
        self.record(|state| records(transition(state))).await
    }

    /// As [`Ledger::apply`] for a transition that may be refused. A refusal records nothing, but it rests on what was
    /// recorded before, and leaves once that is durable.
    ///
    /// # Errors
    /// [`Stopped`], else the transition's own error inside.
    pub async fn try_apply<A, E>(
        &self,
        transition: impl FnOnce(&mut State) -> Result<Step<A>, E>,
    ) -> Result<Result<A, E>, Stopped> {
        self.apply(fallible(transition)).await
    }

    /// Runs a change that leaves records of any kind.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn record<A>(
        &self,
        change: impl FnOnce(&mut State) -> (A, Vec<Record>, Told),
    ) -> Result<A, Stopped> {
        self.record_with(Haste::Now, change).await
    }

    /// As [`Ledger::record`], as soon as is said.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn record_with<A>(
        &self,
        haste: Haste,
        change: impl FnOnce(&mut State) -> (A, Vec<Record>, Told),
    ) -> Result<A, Stopped> {
        let (answer, durable) = {
            let mut inner = self.shared.lock();
            let (answer, records, told) = change(&mut inner.state);
            inner.state.note_changes();
            let blank = u64::from(inner.can_be_taken_over && records.is_empty() && told == Told::OnceDurable);
            inner.blanks += blank;
            inner.queued += records.len() as u64 + blank;
            inner.queue.extend(records);
            let within = match (told, haste) {
                (Told::OnceDurable, Haste::Now) => Duration::ZERO,
                (Told::OnceDurable, Haste::Patient) => PATIENT_DELAY,
                (Told::AtOnce, _) => LAZY_DELAY,
            };
            if inner.is_due_within(within) {
                self.shared.thread_wake.notify_one();
                self.shared.task_wake.notify_one();
            }
            (answer, (told == Told::OnceDurable).then(|| inner.wait()).flatten())
        };
        if let Some(durable) = durable {
            durable.await.map_err(|_| Stopped)?;
        }
        Ok(answer)
    }

    /// Looks at the state without waiting: for what is shown, never for what is promised.
    pub fn look<A>(&self, look: impl FnOnce(&State) -> A) -> A {
        look(&self.shared.lock().state)
    }

    /// Changes only what lives in memory.
    pub fn adjust<A>(&self, change: impl FnOnce(&mut State) -> A) -> A {
        let mut inner = self.shared.lock();
        let answer = change(&mut inner.state);
        inner.state.note_changes();
        answer
    }

    /// How many flushes and records there were: (flushes, durable records, records waiting).
    pub fn figures(&self) -> (u64, u64, u64) {
        let inner = self.shared.lock();
        (inner.flushes, inner.records, inner.queued - inner.durable)
    }

    /// How long the last flushes took.
    pub fn flush_times(&self) -> Quantiles {
        self.shared.flush_times.quantiles()
    }

    /// Whether the record can still be written.
    pub fn is_writing(&self) -> bool {
        !self.shared.lock().ended
    }

    /// Writes what is queued and closes the store.
    pub async fn close(&self) {
        self.shared.lock().stopping = true;
        self.shared.thread_wake.notify_one();
        self.shared.task_wake.notify_one();
        self.shared.closed.wait_for(|closed| closed.then_some(())).await;
    }
}

fn records<A>(step: Step<A>) -> (A, Vec<Record>, Told) {
    let Step { answer, facts, told } = step;
    (answer, facts.into_iter().map(Record::Fact).collect(), told)
}

fn fallible<A, E>(
    transition: impl FnOnce(&mut State) -> Result<Step<A>, E>,
) -> impl FnOnce(&mut State) -> Step<Result<A, E>> {
    |state| match transition(state) {
        Ok(step) => step.map(Ok),
        Err(error) => Step::durable(Err(error), Vec::<Fact>::new()),
    }
}

impl Inner {
    // Whether the writer has to know: the queue is wanted sooner than it thinks.
    fn is_due_within(&mut self, within: Duration) -> bool {
        if self.has_nothing() {
            return false; // whatever somebody may wait for is being written
        }
        let due = match self.queue.len() {
            QUEUE_LONG.. => Instant::now(),
            _ => Instant::now() + within,
        };
        let is_sooner = self.due.is_none_or(|before| due < before);
        if is_sooner {
            self.due = Some(due);
        }
        is_sooner
    }

    fn has_nothing(&self) -> bool {
        self.queue.is_empty() && self.blanks == 0
    }

    // For the last record; nothing if it is durable already.
    fn wait(&mut self) -> Option<oneshot::Receiver<()>> {
        if self.durable == self.queued {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        // Once the writer has ended, nobody would ever answer.
        if !self.ended {
            self.waiting.push_back((self.queued, sender));
        }
        Some(receiver)
    }

    fn tell(&mut self) {
        while let Some((_, sender)) = self.waiting.pop_front_if(|(ticket, _)| *ticket <= self.durable) {
            // Whoever waited may have gone.
            let _ = sender.send(());
        }
    }
}

// However the writer ends, also by a panic: nobody waits for ever.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.end();
        self.0.closed.update(|closed| *closed = true);
    }
}

enum Work {
    // So many of them, with the blanks.
    Write(Vec<Record>, u64),
    Snapshot(Wanted),
    Rest { until: Option<Instant> },
    Stop,
}

impl Shared {
    // A panic inside a transition is a defect, but the queue is still whole: what was queued was decided.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_in_thread(&self, mut store: Box<dyn Store>, on_failure: OnFailure) {
        let _closing = Closing(self);
        loop {
            let mut inner = self.lock();
            match next_work(&mut inner) {
                Work::Write(batch, count) => {
                    drop(inner);
                    if let Err(error) = self.write(&mut *store, &batch, count) {
                        on_failure(&error);
                        break;
                    }
                }
                Work::Snapshot(wanted) => {
                    drop(inner);
                    wanted.take(&mut *store);
                }
                Work::Rest { until: None } => {
                    drop(self.thread_wake.wait(inner).unwrap_or_else(PoisonError::into_inner));
                }
                Work::Rest { until: Some(due) } => {
                    let left = due.saturating_duration_since(Instant::now());
                    drop(self.thread_wake.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner));
                }
                Work::Stop => {
                    drop(inner);
                    if let Err(error) = store.close() {
                        on_failure(&error);
                    }
                    break;
                }
            }
        }
        drop(store);
    }

    async fn write_in_task(&self, mut store: Box<dyn Store>, on_failure: OnFailure) {
        let _closing = Closing(self);
        loop {
            let work = next_work(&mut self.lock());
            match work {
                Work::Write(batch, count) => {
                    if let Err(error) = self.write(&mut *store, &batch, count) {
                        on_failure(&error);
                        break;
                    }
                }
                Work::Snapshot(wanted) => wanted.take(&mut *store),
                Work::Rest { until: None } => self.task_wake.notified().await,
                Work::Rest { until: Some(due) } => {
                    let _ = tokio::time::timeout_at(due, self.task_wake.notified()).await;
                }
                Work::Stop => {
                    if let Err(error) = store.close() {
                        on_failure(&error);
                    }
                    break;
                }
            }
        }
        drop(store);
    }

    fn write(&self, store: &mut dyn Store, batch: &[Record], count: u64) -> Result<(), StoreError> {
        let begun = Instant::now();
        let written = store.append(batch);
        self.flush_times.add(begun.elapsed());
        match written {
            Ok(()) => {
                let mut inner = self.lock();
                inner.durable += count;
                inner.records += batch.len() as u64;
                inner.flushes += 1;
                inner.tell();
            }
            Err(_) => self.end(),
        }
        written
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.waiting.clear();
        inner.wanted.clear();
    }
}

fn next_work(inner: &mut Inner) -> Work {
    if let Some(wanted) = inner.wanted.pop() {
        return Work::Snapshot(wanted);
    }
    let is_due = inner.stopping || inner.due.is_some_and(|due| due <= Instant::now());
    match (inner.has_nothing(), is_due) {
        // All of it: a cut could part the facts of one step, which stand or fall together.
        (false, true) => {
            inner.due = None;
            let batch = std::mem::take(&mut inner.queue);
            let count = batch.len() as u64 + std::mem::take(&mut inner.blanks);
            Work::Write(batch, count)
        }
        (false, false) => Work::Rest { until: inner.due },
        (true, _) if inner.stopping => Work::Stop,
        (true, _) => Work::Rest { until: None },
    }
}

#[cfg(test)]
mod tests;
