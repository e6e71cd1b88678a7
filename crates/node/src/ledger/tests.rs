//! Who waits for what.

use std::iter;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use recarga_reservation::{Company, HoldLimits, OperatorId, RequestKey, StoreId};

use super::*;
use crate::store::memory::{MemoryDisk, MemoryStore};
use crate::store::{Boot, Snapshot};

fn ledger_on(store: Box<dyn Store>) -> Arc<Ledger> {
    let operator = OperatorId::new("empresa-a").unwrap();
    let company =
        Company::new(operator, StoreId(1), 1, iter::empty(), HoldLimits::default(), Duration::from_secs(1));
    let state = State::new(company, 1);
    Arc::new(Ledger::start(state, store, Writer::Task, Box::new(|_| {})))
}

fn record() -> Record {
    let key = RequestKey { vehicle: "carro-1".parse().unwrap(), request: "1".parse().unwrap() };
    Record::LetterForgotten(key)
}

async fn write(ledger: Arc<Ledger>, haste: Haste) -> Duration {
    let begun = Instant::now();
    ledger.record_with(haste, |_| ((), vec![record()], Told::OnceDurable)).await.unwrap();
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_is_patient_shares_the_next_flush_and_waits_for_it_only_so_long() {
    let ledger = ledger_on(Box::new(MemoryStore::open(&MemoryDisk::default())));
    assert_eq!(write(ledger.clone(), Haste::Now).await, Duration::ZERO);
    // Among themselves, and time does not begin anew with everyone who comes.
    let first = tokio::spawn(write(ledger.clone(), Haste::Patient));
    tokio::time::sleep(PATIENT_DELAY / 2).await;
    let second = tokio::spawn(write(ledger.clone(), Haste::Patient));
    assert_eq!(second.await.unwrap(), PATIENT_DELAY / 2);
    assert_eq!(first.await.unwrap(), PATIENT_DELAY);
    assert_eq!(ledger.figures(), (2, 3, 0), "two flushes for three records");
    // With somebody who is not.
    let patient = tokio::spawn(write(ledger.clone(), Haste::Patient));
    tokio::time::sleep(PATIENT_DELAY / 2).await;
    assert_eq!(write(ledger.clone(), Haste::Now).await, Duration::ZERO);
    assert_eq!(patient.await.unwrap(), PATIENT_DELAY / 2);
    assert_eq!(ledger.figures(), (3, 5, 0));
    ledger.close().await;
    assert!(!ledger.is_writing());
}

// How often it was written to, whether that works, and whether another process can take it over as one of PostgreSQL's.
#[derive(Clone, Default)]
struct Fake {
    written: Arc<AtomicUsize>,
    works: Arc<AtomicBool>,
    can_be_taken_over: bool,
}

impl Store for Fake {
    fn boot(&mut self, store: StoreId) -> Result<Boot, StoreError> {
        Ok(Boot { store, epoch: 1 })
    }

    fn each(&mut self, _: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        Ok(())
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        unreachable!("nobody copies it")
    }

    fn append(&mut self, _: &[Record]) -> Result<(), StoreError> {
        self.written.fetch_add(1, Ordering::Relaxed);
        let refused = || StoreError::Io { path: "disk".into(), reason: "it refuses".into() };
        self.works.load(Ordering::Relaxed).then_some(()).ok_or_else(refused)
    }

    fn can_be_taken_over(&self) -> bool {
        self.can_be_taken_over
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_what_a_failed_write_has_lost() {
    let ledger = ledger_on(Box::<Fake>::default());
    for haste in [Haste::Patient, Haste::Now] {
        let told = ledger.record_with(haste, |_| ((), vec![record()], Told::OnceDurable)).await;
        assert_eq!(told, Err(Stopped), "the first is written, the second comes too late");
    }
    assert!(!ledger.is_writing());
}

// A replica that no longer led answered a release of what it had never heard of: it had nothing to write.
#[tokio::test(start_paused = true)]
async fn who_may_have_been_taken_over_tells_nothing_before_it_has_looked() {
    let store = Fake { works: Arc::new(true.into()), can_be_taken_over: true, ..Fake::default() };
    let ledger = ledger_on(Box::new(store.clone()));
    let ask = |told| ledger.record(move |_| ((), vec![], told));
    assert_eq!(ask(Told::OnceDurable).await, Ok(()));
    assert_eq!(ask(Told::AtOnce).await, Ok(()));
    assert_eq!(write(ledger.clone(), Haste::Now).await, Duration::ZERO);
    assert_eq!(store.written.load(Ordering::Relaxed), 2, "once for the answer, once for the record");
    assert_eq!(ledger.figures(), (2, 1, 0));
    store.works.store(false, Ordering::Relaxed);
    assert_eq!(ask(Told::OnceDurable).await, Err(Stopped));
    assert!(!ledger.is_writing());
}
