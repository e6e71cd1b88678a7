//! Which of a company's replicas leads: whoever holds the lock of its database.
//!
//! PostgreSQL takes the lock away when the connection of its holder has ended, which is at once where a process was
//! killed, and after a few seconds where its machine is gone or the process stands still. What such a process still
//! does is fenced off: its epoch is no longer the latest, so nothing of it is written.

use std::time::Duration;
use std::{fmt, thread};

use postgres::error::SqlState;
use recarga_reservation::OperatorId;
use tracing::{info, warn};

use super::{Address, OnLost, PostgresStore, Session, schema};
use crate::store::StoreError;

/// How often it is tried to lead, and looked who does.
const TRY_EVERY: Duration = Duration::from_millis(150);
/// How long to wait before PostgreSQL is tried to be reached again.
const REACH_EVERY: Duration = Duration::from_millis(500);
/// A leader from which PostgreSQL hears nothing for so long leads no longer. It says something every second.
const SILENCE_MAX: Duration = Duration::from_millis(3500);
const SILENCE: &str = "
    SET idle_session_timeout = '3500ms';
    SET tcp_keepalives_idle = 1; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 2;
    SET tcp_user_timeout = '3500ms'";

/// A replica that answers everybody's requests.
#[derive(Clone, PartialEq, Eq)]
pub struct Leader {
    /// Where the others reach it.
    pub url: String,
    /// By which it knows that a request comes from one of them. Made anew by each process.
    pub secret: String,
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the secret.
        f.debug_struct("Leader").field("url", &self.url).finish_non_exhaustive()
    }
}

/// To be told whenever another replica leads.
pub type OnLeader = Box<dyn Fn(Leader) + Send>;

/// To be asked whether it is time to stop.
pub type IsStopping = Box<dyn Fn() -> bool + Send>;

impl PostgresStore {
    /// Waits until this process leads, as `candidate`; none if it is to stop before. Blocks.
    ///
    /// # Errors
    /// Not reached when first tried; of another company or of a newer program. What is lost later is tried again.
    pub fn stand_by(
        address: &Address,
        operator: &OperatorId,
        candidate: Leader,
        on_leader: OnLeader,
        is_stopping: IsStopping,
        on_lost: OnLost,
    ) -> Result<Option<Self>, StoreError> {
        let (there, operator) = (address.clone(), operator.clone());
        let standing_by = move || {
            let mut watch = Watch {
                address: there,
                candidate: Some((candidate, operator)),
                on_leader,
                is_stopping,
                known: None,
            };
            watch.until_leading()
        };
        Self::start(address.clone(), standing_by, on_lost)
    }
}

/// Tells who leads until it is to stop, for a process that does so no longer. Blocks.
///
/// # Errors
/// Not reached when first tried.
pub fn watch(address: Address, on_leader: OnLeader, is_stopping: IsStopping) -> Result<(), StoreError> {
    Watch { address, candidate: None, on_leader, is_stopping, known: None }.until_leading().map(drop)
}

struct Watch {
    address: Address,
    // Who would lead, of which company.
    candidate: Option<(Leader, OperatorId)>,
    on_leader: OnLeader,
    is_stopping: IsStopping,
    known: Option<Leader>,
}

impl Watch {
    fn until_leading(&mut self) -> Result<Option<Session>, StoreError> {
        let mut session = self.reach()?;
        while !(self.is_stopping)() {
            match self.look(&mut session) {
                Ok(true) => return Ok(Some(session)),
                Ok(false) => thread::sleep(TRY_EVERY),
                // Whoever leads may have its connection still.
                Err(error @ StoreError::Io { .. }) => {
                    warn!(%error, "PostgreSQL is lost to this replica, which tries again");
                    session = match self.reach_again() {
                        Some(session) => session,
                        None => return Ok(None),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn reach(&self) -> Result<Session, StoreError> {
        let mut session = Session::connect(&self.address)?;
        session.client.batch_execute(SILENCE).map_err(|error| session.failed(&error))?;
        session.pulse_max = SILENCE_MAX;
        Ok(session)
    }

    // None if it is time to stop.
    fn reach_again(&self) -> Option<Session> {
        while !(self.is_stopping)() {
            if let Ok(session) = self.reach() {
                info!("PostgreSQL is reached again");
                return Some(session);
            }
            thread::sleep(REACH_EVERY);
        }
        None
    }

    // Whether this process leads from now on.
    fn look(&mut self, session: &mut Session) -> Result<bool, StoreError> {
        if let Some((candidate, operator)) = &self.candidate
            && session.try_lock()?
        {
            schema::migrate(session, operator)?;
            schema::set_leader(session, candidate)?;
            return Ok(true);
        }
        let leader = schema::leader(session)?;
        if leader != self.known {
            self.known.clone_from(&leader);
            leader.into_iter().for_each(&self.on_leader);
        }
        Ok(false)
    }
}

pub(super) fn is_no_table(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::UNDEFINED_TABLE)
}
