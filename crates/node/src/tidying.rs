//! Forgets what is old, a slice at a time: whoever wants the ledger meanwhile waits for one slice, however much is
//! remembered. What people may want to see later is archived before it is forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::{Branch, Fact, Told, TransactionId, Trip};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::sleep;
use tracing::error;

use crate::archive::{Archive, ArchiveError};
use crate::clock::Clock;
use crate::config::Limits;
use crate::ledger::{Ledger, Stopped};
use crate::metrics::Metrics;
use crate::store::Record;
use crate::termination::Termination;

/// What is looked at, or forgotten, while others wait.
pub const SLICE: usize = 64;
/// Between two slices, for those who have waited: what is forgotten late harms nobody.
const PAUSE: Duration = Duration::from_millis(1);
/// What is past is archived together, as soon as there is so much of it: each time costs the disk a flush.
const ARCHIVED_TOGETHER: usize = 1024;
/// Tombstones are asked about as soon as there are so many.
const ASKED_TOGETHER: usize = 1024;

/// The service that forgets.
#[derive(Debug)]
pub struct Tidying {
    ledger: Arc<Ledger>,
    termination: Arc<Termination>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    archive: Option<Archive>,
    limits: Limits,
}

/// What a round has forgotten, tombstones aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Branches of trips.
    pub reservations: usize,
    /// Trips that this company coordinated.
    pub trips: usize,
    /// Requests that came by MQTT.
    pub letters: usize,
}

impl Tidying {
    /// The service over a ledger.
    pub fn new(
        ledger: Arc<Ledger>,
        termination: Arc<Termination>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        archive: Option<Archive>,
        limits: Limits,
    ) -> Self {
        Self { ledger, termination, clock, metrics, archive, limits }
    }

    /// Looks through all that is remembered once. To be called now and then. If the archive cannot be written, what
    /// should be in it stays until the next round.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn round(&self) -> Result<Forgotten, Stopped> {
        self.tidy_archive().await;
        let reservations = self.forget_reservations().await?;
        let trips = self.forget_trips().await?;
        let letters = self.forget_letters().await?;
        Ok(Forgotten { reservations, trips, letters })
    }

    async fn forget_reservations(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut tombstones, mut after) = (0, Vec::new(), None);
        let mut silent = BTreeSet::new();
        let mut past: Vec<(TransactionId, Branch)> = Vec::new();
        loop {
            let now = self.clock.now();
            let old = self.ledger.look(|state| state.company.participant.old(now, after.as_ref(), SLICE));
            past.extend(old.past);
            tombstones.extend(old.tombstones);
            after = old.next;
            if tombstones.len() >= ASKED_TOGETHER || after.is_none() {
                self.termination.forget_tombstones(&tombstones, &mut silent).await?;
                tombstones.clear();
            }
            if past.len() >= ARCHIVED_TOGETHER || after.is_none() {
                let fact = |(id, branch): &(TransactionId, Branch)| Fact::Branch(id.clone(), branch.clone());
                if !self.is_archived(past.iter().map(fact)).await {
                    break;
                }
                for some in past.chunks(SLICE) {
                    let forget = self.ledger.apply(|state| state.company.participant.forget(some, now));
                    forgotten += forget.await?;
                    yield_now().await;
                }
                past.clear();
            }
            if after.is_none() {
                break;
            }
            sleep(PAUSE).await;
        }
        Ok(forgotten)
    }

    async fn forget_trips(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut after) = (0, None);
        let mut past: Vec<Trip> = Vec::new();
        loop {
            let (now, keep) = (self.clock.now(), self.limits.history());
            let old =
                self.ledger.look(|state| state.company.coordinator.old(keep, now, after.as_ref(), SLICE));
            past.extend(old.past);
            after = old.next;
            if past.len() >= ARCHIVED_TOGETHER || after.is_none() {
                if !self.is_archived(past.iter().cloned().map(Fact::Trip)).await {
                    return Ok(forgotten);
                }
                for some in past.chunks(SLICE) {
                    forgotten += self.ledger.apply(|state| state.company.coordinator.forget(some)).await?;
                    yield_now().await;
                }
                past.clear();
            }
            if after.is_none() {
                return Ok(forgotten);
            }
            sleep(PAUSE).await;
        }
    }

    async fn forget_letters(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut after) = (0, None);
        loop {
            let (now, keep) = (self.clock.now().utc, self.limits.history());
            let slice = self.ledger.record(|state| {
                let (records, next) = state.mailbox.forget_before(now, keep, after.as_ref(), SLICE);
                ((records.len(), next), records, Told::AtOnce)
            });
            let (count, next) = slice.await?;
            forgotten += count;
            after = next;
            if after.is_none() {
                return Ok(forgotten);
            }
            sleep(PAUSE).await;
        }
    }

    // Whether it may be forgotten: it is in the archive, durably, or there is none.
    async fn is_archived(&self, past: impl Iterator<Item = Fact>) -> bool {
        let records: Vec<Record> = past.map(Record::Fact).collect();
        records.is_empty() || self.archive(move |archive| archive.keep(&records)).await
    }

    async fn tidy_archive(&self) {
        let Some(keep) = self.limits.archive() else { return };
        let now = self.clock.now().utc;
        self.archive(move |archive| archive.forget_before(now, keep).map(drop)).await;
    }

    // What is done with the archive blocks, so it is done aside.
    async fn archive(
        &self,
        work: impl FnOnce(&Archive) -> Result<(), ArchiveError> + Send + 'static,
    ) -> bool {
        let Some(archive) = self.archive.clone() else { return true };
        let failure = match spawn_blocking(move || work(&archive)).await {
            Ok(Ok(())) => return true,
            Ok(Err(failure)) => failure.to_string(),
            Err(failure) => failure.to_string(),
        };
        self.metrics.archive_failures.inc();
        error!(
            failure,
            "the archive cannot be written; what is past stays in the record, and it is tried again"
        );
        false
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use recarga_reservation::{
        AbortCause, Company, Hold, Outcome, Stage, Stop, StoreId, TimeWindow, Timestamp, TripRequest,
        TripStop,
    };
    use recarga_wire::availability::AvailabilityQuery;

    use super::*;
    use crate::clock::SystemClock;
    use crate::events::Events;
    use crate::ledger::{State, Writer};
    use crate::participant::Participant;
    use crate::peer::{Catalogue, CatalogueAnswer, Message, Peer, PeerError, Reply};
    use crate::peers::{Member, Peers};
    use crate::store::Store;
    use crate::store::memory::{MemoryDisk, MemoryStore};
    use crate::tokens::Tokens;
    use crate::traces::Traces;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    // A trip of company a with one stop there, and what the company holds for it.
    fn records(number: u64, ended: Timestamp) -> [Record; 2] {
        let operator = "empresa-a".parse().unwrap();
        let transaction =
            TransactionId { coordinator: operator, store: StoreId(1), epoch: 1, counter: number, nonce: 0 };
        let operator = transaction.coordinator.clone();
        let key = recarga_reservation::RequestKey {
            vehicle: "carro-1".parse().unwrap(),
            request: number.to_string().parse().unwrap(),
        };
        let window = TimeWindow::new(ended - HOUR, ended).unwrap();
        let stop = Stop { number: 0, evse: "A-1".parse().unwrap(), window };
        let stops = vec![TripStop { operator: operator.clone(), stop: stop.clone() }];
        let hold = Hold {
            transaction: transaction.clone(),
            key: key.clone(),
            plug: None,
            participants: vec![operator.clone()],
            stores: BTreeMap::new(),
            priority: ended,
            stops: vec![stop],
            replaces: None,
        };
        let trip = Trip {
            id: number.to_string().parse().unwrap(),
            transaction: transaction.clone(),
            request: Arc::new(TripRequest::new(key, None, stops).unwrap()),
            decided: ended,
            stage: Stage::Settled,
            lost: BTreeSet::new(),
            replaces: None,
            participants: [operator].into(),
        };
        let branch = Branch::Confirmed { hold: Arc::new(hold) };
        [Record::Fact(Fact::Branch(transaction, branch)), Record::Fact(Fact::Trip(trip))]
    }

    fn tidying(disk: &MemoryDisk, archive: Option<Archive>) -> Tidying {
        tidying_among(disk, archive, Peers::default())
    }

    fn tidying_among(disk: &MemoryDisk, archive: Option<Archive>, peers: Peers) -> Tidying {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let (limits, operator) = (Limits::default(), "empresa-a".parse().unwrap());
        let mut company =
            Company::new(operator, StoreId(1), 1, std::iter::empty(), limits.hold_limits(), HOUR);
        let mut store = MemoryStore::open(disk);
        store
            .each(&mut |record| {
                if let Record::Fact(fact) = record {
                    company.restore(fact, clock.now());
                }
            })
            .unwrap();
        let state = State::new(company, 1);
        let ledger = Arc::new(Ledger::start(state, Box::new(store), Writer::Task, Box::new(|_| {})));
        let (events, metrics, operator) = (
            Events::new(clock.clone(), 1, 0, Traces::off()),
            Arc::new(Metrics::default()),
            "empresa-a".parse().unwrap(),
        );
        let shared = (ledger.clone(), clock.clone(), events.clone(), metrics.clone());
        let participant = Arc::new(Participant::new(
            operator,
            StoreId(1),
            shared.0,
            shared.1,
            shared.2,
            shared.3,
            Duration::ZERO,
        ));
        let termination =
            Termination::new(participant, peers, ledger.clone(), clock.clone(), events, metrics.clone());
        let termination = Arc::new(termination);
        Tidying::new(ledger, termination, clock, metrics, archive, limits)
    }

    // A hundred trips that ended two months ago, and a hundred that end tomorrow.
    fn disk() -> MemoryDisk {
        let disk = MemoryDisk::default();
        let now = SystemClock::new().now().utc;
        let ended = |number: u64| if number.is_multiple_of(2) { now - 60 * DAY } else { now + DAY };
        for number in 0..200 {
            MemoryStore::open(&disk).append(&records(number, ended(number))).unwrap();
        }
        disk
    }

    fn archived(archive: &Archive) -> Vec<String> {
        let (since, until) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
        let mut lines = Vec::new();
        archive.read(since, until, |line| lines.push(line.to_owned())).unwrap();
        lines
    }

    #[tokio::test]
    async fn what_is_past_is_archived_before_it_is_forgotten_and_not_forgotten_if_it_cannot_be() {
        let (disk, folder) = (disk(), tempfile::tempdir().unwrap());
        let archive = Archive::new(folder.path());
        let tidying = tidying(&disk, Some(archive.clone()));
        let in_the_way = folder.path().join("archive");
        fs::write(&in_the_way, "a file where the folder should be").unwrap();
        assert_eq!(tidying.round().await, Ok(Forgotten::default()));
        assert!(tidying.metrics.archive_failures.get() >= 2, "of reservations and of trips");
        fs::remove_file(in_the_way).unwrap();
        let forgotten = tidying.round().await.unwrap();
        assert_eq!((forgotten.reservations, forgotten.trips), (100, 100));
        assert_eq!(archived(&archive).len(), 200);
        assert_eq!(tidying.round().await, Ok(Forgotten::default()));
        tidying.ledger.close().await;
        assert_eq!(MemoryStore::open(&disk).load().unwrap().len(), 200, "what is not past");
    }

    #[tokio::test]
    async fn a_crash_between_archive_and_record_shows_nothing_twice() {
        let (disk, folder) = (disk(), tempfile::tempdir().unwrap());
        let archive = Archive::new(folder.path());
        let before: Vec<Record> = MemoryStore::open(&disk).load().unwrap();
        archive.keep(&before).unwrap();
        let tidying = tidying(&disk, Some(archive.clone()));
        assert_eq!(tidying.round().await.map(|forgotten| forgotten.trips), Ok(100));
        assert_eq!(archived(&archive).len(), 400);
    }

    #[tokio::test]
    async fn without_an_archive_what_is_past_is_forgotten() {
        let tidying = tidying(&disk(), None);
        assert_eq!(tidying.round().await.map(|forgotten| forgotten.reservations), Ok(100));
    }

    // A company that knows that all was aborted, or one that does not answer; how often it was asked.
    #[derive(Debug)]
    struct Asked(bool, AtomicUsize);

    #[async_trait]
    impl Peer for Asked {
        async fn send(&self, message: Message) -> Result<Reply, PeerError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            match message {
                Message::Inquire(transaction) if self.0 => {
                    Ok(Reply::Outcome(Outcome::Abort, transaction.store))
                }
                _ => Err(PeerError::Unreachable("gone".into())),
            }
        }

        async fn store(&self) -> Result<StoreId, PeerError> {
            Err(PeerError::Unreachable("not asked".into()))
        }
    }

    #[async_trait]
    impl Catalogue for Asked {
        async fn page(&self, _: &AvailabilityQuery, _: Option<&str>) -> Result<CatalogueAnswer, PeerError> {
            Err(PeerError::Unreachable("not asked".into()))
        }
    }

    fn member(peer: &Arc<Asked>) -> Member {
        let (tokens, url) = (Tokens::new(vec![]), String::new());
        let (presents, accepts) = (tokens.clone(), tokens);
        Member { peer: peer.clone(), catalogue: peer.clone(), presents, accepts, url, is_leaving: false }
    }

    // Those of a company that is gone come first, and were all that any round asked about.
    #[tokio::test]
    async fn tombstones_of_who_does_not_answer_do_not_keep_those_of_others() {
        let (disk, at) = (MemoryDisk::default(), SystemClock::new().now().utc - 60 * DAY);
        let tombstone = |operator: &str, epoch: u64, counter: u64| {
            let coordinator = operator.parse().unwrap();
            let id = TransactionId { coordinator, store: StoreId(1), epoch, counter, nonce: 0 };
            let cause = AbortCause::VotedNo;
            Record::Fact(Fact::Branch(id, Branch::Aborted { cause, at, hold: None }))
        };
        let gone = (0..5_000).map(|counter| tombstone("empresa-b", 1, counter));
        let others = (0..3_000).map(|counter| tombstone("empresa-c", 2, counter));
        let records: Vec<Record> = gone.chain(others).collect();
        MemoryStore::open(&disk).append(&records).unwrap();
        let (b, c) = (Arc::new(Asked(false, 0.into())), Arc::new(Asked(true, 0.into())));
        let members = [("empresa-b", &b), ("empresa-c", &c)];
        let members = members.map(|(operator, peer)| (operator.parse().unwrap(), member(peer)));
        let tidying = tidying_among(&disk, None, Peers::new(members.into()));
        tidying.round().await.unwrap();
        assert_eq!(c.1.load(Ordering::Relaxed), 3_000);
        assert!(b.1.load(Ordering::Relaxed) < 1_000, "asked once, with those that came together");
        tidying.ledger.close().await;
        assert_eq!(MemoryStore::open(&disk).load().unwrap().len(), 5_000);
    }
}
