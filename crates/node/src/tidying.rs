//! Forgets what is old, a slice at a time: whoever wants the ledger meanwhile waits for one slice, however much is
//! remembered.

use std::sync::Arc;
use std::time::Duration;

use recarga_reservation::Told;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::ledger::{Ledger, Stopped};
use crate::termination::Termination;

/// What is looked at while others wait: some tens of microseconds of it.
const SLICE: usize = 64;
/// Between two slices, for those who have waited: what is forgotten late harms nobody.
const PAUSE: Duration = Duration::from_millis(1);
/// Tombstones asked about in one round; the next round has others.
const TOMBSTONES_MAX: usize = 16_384;

/// The service that forgets.
#[derive(Debug)]
pub struct Tidying {
    ledger: Arc<Ledger>,
    termination: Arc<Termination>,
    clock: Arc<dyn Clock>,
    history: Duration,
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
    /// The service over a ledger. `history` is how long what has ended is kept.
    pub fn new(
        ledger: Arc<Ledger>,
        termination: Arc<Termination>,
        clock: Arc<dyn Clock>,
        history: Duration,
    ) -> Self {
        Self { ledger, termination, clock, history }
    }

    /// Looks through all that is remembered once. To be called now and then.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn round(&self) -> Result<Forgotten, Stopped> {
        let reservations = self.forget_reservations().await?;
        let trips = self.forget_trips().await?;
        let letters = self.forget_letters().await?;
        Ok(Forgotten { reservations, trips, letters })
    }

    async fn forget_reservations(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut tombstones, mut after) = (0, Vec::new(), None);
        loop {
            let now = self.clock.now();
            let old = self.ledger.look(|state| state.company.participant.old(now, after.as_ref(), SLICE));
            if !old.past.is_empty() {
                let forget = self.ledger.apply(|state| state.company.participant.forget(&old.past, now));
                forgotten += forget.await?;
            }
            tombstones.extend(old.tombstones);
            tombstones.truncate(TOMBSTONES_MAX);
            after = old.next;
            if after.is_none() {
                break;
            }
            sleep(PAUSE).await;
        }
        self.termination.forget_tombstones(&tombstones).await?;
        Ok(forgotten)
    }

    async fn forget_trips(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut after) = (0, None);
        loop {
            let (now, keep) = (self.clock.now(), self.history);
            let old =
                self.ledger.look(|state| state.company.coordinator.old(keep, now, after.as_ref(), SLICE));
            if !old.past.is_empty() {
                forgotten += self.ledger.apply(|state| state.company.coordinator.forget(&old.past)).await?;
            }
            after = old.next;
            if after.is_none() {
                return Ok(forgotten);
            }
            sleep(PAUSE).await;
        }
    }

    async fn forget_letters(&self) -> Result<usize, Stopped> {
        let (mut forgotten, mut after) = (0, None);
        loop {
            let now = self.clock.now().utc;
            let slice = self.ledger.record(|state| {
                let (records, next) = state.mailbox.forget_before(now, self.history, after.as_ref(), SLICE);
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
}
