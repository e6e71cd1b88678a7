//! The node's memory and its durable record, kept in step.
//!
//! A transition runs in memory under a lock that is never held over I/O; its records join a queue; one writer takes
//! the whole queue at a time, so that requests that come together share one flush. An answer that must not precede
//! its records waits for the flush, also when the records are somebody else's: memory may run ahead of the disk, but
//! nobody outside hears of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recarga_reservation::{Company, Fact, Step, Told};
use thiserror::Error;
use tokio::sync::Notify;

use crate::mailbox::Mailbox;
use crate::store::{Record, Store, StoreError};
use crate::watched::Watched;

/// Records in the queue from which on a flush does not wait for anybody to need it.
const QUEUE_LONG: usize = 8192;
/// How long records that nobody waits for may stay in memory.
const LAZY_DELAY: Duration = Duration::from_millis(50);

/// The node can no longer promise anything: a write failed, or it is shutting down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the durable record cannot be written; the node is stopping")]
pub struct Stopped;

/// All that the node remembers.
#[derive(Debug)]
pub struct State {
    /// Calendars, holds and trips.
    pub company: Company,
    /// Requests by MQTT and the answers to them.
    pub mailbox: Mailbox,
    /// Grows with every change to what this company holds.
    pub revision: u64,
}

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
    progress: Watched<Progress>,
}

#[derive(Debug)]
struct Inner {
    state: State,
    queue: Vec<Record>,
    // Number of the last record ever queued, and of the last that somebody waits for.
    queued: u64,
    awaited: u64,
    stopping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    durable: u64,
    flushes: u64,
    failed: bool,
    closed: bool,
}

impl Ledger {
    /// Starts the writer for a state that was just read back from the store.
    pub fn start(state: State, store: Box<dyn Store>, writer: Writer, on_failure: OnFailure) -> Self {
        let first = Progress { durable: 0, flushes: 0, failed: false, closed: false };
        let inner = Inner { state, queue: Vec::new(), queued: 0, awaited: 0, stopping: false };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            thread_wake: Condvar::new(),
            task_wake: Notify::new(),
            progress: Watched::new(first),
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
        self.record(|state| {
            let Step { answer, facts, told } = transition(state);
            (answer, facts.into_iter().map(Record::Fact).collect(), told)
        })
        .await
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
        self.apply(|state| match transition(state) {
            Ok(step) => step.map(Ok),
            Err(error) => Step::durable(Err(error), Vec::<Fact>::new()),
        })
        .await
    }

    /// Runs a change that leaves records of any kind.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn record<A>(
        &self,
        change: impl FnOnce(&mut State) -> (A, Vec<Record>, Told),
    ) -> Result<A, Stopped> {
        let (answer, ticket) = {
            let mut inner = self.shared.lock();
            let (answer, records, told) = change(&mut inner.state);
            let any = !records.is_empty();
            if records.iter().any(|record| matches!(record, Record::Fact(Fact::Branch(..)))) {
                inner.state.revision += 1;
            }
            inner.queued += records.len() as u64;
            inner.queue.extend(records);
            let ticket = (told == Told::OnceDurable).then_some(inner.queued);
            if let Some(ticket) = ticket {
                inner.awaited = inner.awaited.max(ticket);
            }
            if any || ticket.is_some() {
                self.shared.thread_wake.notify_one();
                self.shared.task_wake.notify_one();
            }
            (answer, ticket)
        };
        if let Some(ticket) = ticket {
            self.wait(|progress| progress.durable >= ticket).await?;
        }
        Ok(answer)
    }

    /// Looks at the state without waiting: for what is shown, never for what is promised.
    pub fn look<A>(&self, look: impl FnOnce(&State) -> A) -> A {
        look(&self.shared.lock().state)
    }

    /// Changes only what lives in memory.
    pub fn adjust<A>(&self, change: impl FnOnce(&mut State) -> A) -> A {
        change(&mut self.shared.lock().state)
    }

    /// How many flushes and records there were: (flushes, durable records, records waiting).
    pub fn figures(&self) -> (u64, u64, u64) {
        let progress = self.shared.progress.get();
        let queued = self.shared.lock().queued;
        (progress.flushes, progress.durable, queued.saturating_sub(progress.durable))
    }

    /// Whether the record can still be written.
    pub fn is_writing(&self) -> bool {
        let progress = self.shared.progress.get();
        !progress.failed && !progress.closed
    }

    /// Writes what is queued and closes the store.
    pub async fn close(&self) {
        self.shared.lock().stopping = true;
        self.shared.thread_wake.notify_one();
        self.shared.task_wake.notify_one();
        self.shared.progress.wait_for(|progress| progress.closed.then_some(())).await;
    }

    async fn wait(&self, done: impl Fn(&Progress) -> bool) -> Result<(), Stopped> {
        let outcome = |progress: &Progress| match done(progress) {
            true => Some(Ok(())),
            false if progress.failed || progress.closed => Some(Err(Stopped)),
            false => None,
        };
        self.shared.progress.wait_for(outcome).await
    }
}

// However the writer ends, also by a panic: nobody waits for ever.
struct Closing<'a>(&'a Watched<Progress>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.update(|progress| progress.closed = true);
    }
}

enum Work {
    Write(Vec<Record>),
    Rest { lazy: bool },
    Stop,
}

impl Shared {
    // A panic inside a transition is a defect, but the queue is still whole: what was queued was decided.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_in_thread(&self, mut store: Box<dyn Store>, on_failure: OnFailure) {
        let _closing = Closing(&self.progress);
        let mut lazy_due = false;
        loop {
            let mut inner = self.lock();
            let work = self.next_work(&mut inner, lazy_due);
            lazy_due = false;
            match work {
                Work::Write(batch) => {
                    drop(inner);
                    if let Err(error) = self.write(&mut *store, &batch) {
                        on_failure(&error);
                        break;
                    }
                }
                Work::Rest { lazy: false } => {
                    drop(self.thread_wake.wait(inner).unwrap_or_else(PoisonError::into_inner));
                }
                Work::Rest { lazy: true } => {
                    let woken = self.thread_wake.wait_timeout(inner, LAZY_DELAY);
                    lazy_due = woken.unwrap_or_else(PoisonError::into_inner).1.timed_out();
                }
                Work::Stop => break,
            }
        }
        drop(store);
    }

    async fn write_in_task(&self, mut store: Box<dyn Store>, on_failure: OnFailure) {
        let _closing = Closing(&self.progress);
        let mut lazy_due = false;
        loop {
            let work = self.next_work(&mut self.lock(), lazy_due);
            lazy_due = false;
            match work {
                Work::Write(batch) => {
                    if let Err(error) = self.write(&mut *store, &batch) {
                        on_failure(&error);
                        break;
                    }
                }
                Work::Rest { lazy: false } => self.task_wake.notified().await,
                Work::Rest { lazy: true } => {
                    let woken = tokio::time::timeout(LAZY_DELAY, self.task_wake.notified()).await;
                    lazy_due = woken.is_err();
                }
                Work::Stop => break,
            }
        }
        drop(store);
    }

    fn next_work(&self, inner: &mut Inner, lazy_due: bool) -> Work {
        let durable = self.progress.get().durable;
        let urgent = inner.awaited > durable || inner.stopping || lazy_due || inner.queue.len() >= QUEUE_LONG;
        match (inner.queue.is_empty(), urgent) {
            // All of it: a cut could part the facts of one step, which stand or fall together.
            (false, true) => Work::Write(std::mem::take(&mut inner.queue)),
            (false, false) => Work::Rest { lazy: true },
            (true, _) if inner.stopping => Work::Stop,
            (true, _) => Work::Rest { lazy: false },
        }
    }

    fn write(&self, store: &mut dyn Store, batch: &[Record]) -> Result<(), StoreError> {
        let written = store.append(batch);
        self.progress.update(|progress| match written {
            Ok(()) => {
                progress.durable += batch.len() as u64;
                progress.flushes += 1;
            }
            Err(_) => progress.failed = true,
        });
        written
    }
}
