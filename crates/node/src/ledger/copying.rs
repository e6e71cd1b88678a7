//! Reading the whole record while it is written: the writer, which has the store, takes a snapshot between two flushes.

use std::fmt;

use tokio::sync::oneshot;

use super::{Ledger, Stopped};
use crate::store::{Snapshot, Store, StoreError};

type Taken = Result<Box<dyn Snapshot>, StoreError>;

/// Somebody waits for a snapshot.
pub struct Wanted(oneshot::Sender<Taken>);

impl Wanted {
    /// Takes it. To be called by the writer.
    pub fn take(self, store: &mut dyn Store) {
        // Whoever waited may have gone.
        let _ = self.0.send(store.snapshot());
    }
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

impl Ledger {
    /// All that is durable: everything that anybody was told until now.
    ///
    /// # Errors
    /// [`Stopped`], else what the store says.
    pub async fn snapshot(&self) -> Result<Taken, Stopped> {
        let taken = {
            let mut inner = self.shared.lock();
            if inner.ended {
                return Err(Stopped);
            }
            let (sender, taken) = oneshot::channel();
            inner.wanted.push(Wanted(sender));
            taken
        };
        self.shared.thread_wake.notify_one();
        self.shared.task_wake.notify_one();
        taken.await.map_err(|_| Stopped)
    }
}
