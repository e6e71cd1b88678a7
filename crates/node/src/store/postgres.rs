//! The durable record in PostgreSQL: the same rows as in a folder, and beside them every reserved window, which
//! PostgreSQL itself keeps from overlapping.
//!
//! One statement, one round trip, one flush for each call of [`Store::append`]. The client's work is done in a thread of
//! its own, since it must not block within an asynchronous runtime.

mod address;
mod leading;
mod restoration;
mod schema;
mod snapshot;

use std::collections::BTreeMap;
use std::mem;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Statement};
use recarga_reservation::{Branch, Fact, OperatorId, StoreId};

pub use self::address::Address;
pub use self::leading::{IsStopping, Leader, OnLeader, watch};
pub use self::restoration::PostgresRestoration;
use self::snapshot::PostgresSnapshot;
use super::rows::Row;
use super::{Boot, Record, Snapshot, Store, StoreError};

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long what was sent may stay unacknowledged before the connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long is waited for an earlier process, whose end PostgreSQL may not have noticed yet.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// How often an idle connection is tried, so that nobody finds out only when something has to be written.
const PULSE: Duration = Duration::from_secs(1);
/// How long an idle PostgreSQL may take to answer.
const PULSE_MAX: Duration = Duration::from_secs(15);
/// How long PostgreSQL may take for what is asked of it. Something between may take everything and pass nothing on.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Portions of records that were read and wait to be taken.
const PORTIONS_AHEAD: usize = 16;
/// Records in a portion.
const PORTION_RECORDS: usize = 256;

/// A database of PostgreSQL.
pub struct PostgresStore {
    jobs: Sender<Job>,
    address: Address,
}

type Job = Box<dyn FnOnce(&mut Session) + Send>;

/// What to do when the connection is lost while nothing is written: the process must not go on.
pub type OnLost = Box<dyn FnOnce(&StoreError) + Send>;

struct Session {
    client: Client,
    name: String,
    pulse_max: Duration,
    // The statement of `append`, and the epoch of this run: with another one nothing is written.
    append: Option<(Statement, String)>,
}

impl PostgresStore {
    /// Opens a database and makes or changes its tables as this program needs them. Only one process can have it open.
    ///
    /// # Errors
    /// Not reached, in use, of another company, or of a newer program.
    pub fn open(address: &Address, operator: &OperatorId, on_lost: OnLost) -> Result<Self, StoreError> {
        let (there, operator) = (address.clone(), operator.clone());
        let open = move || Session::open(&there, &operator).map(Some);
        Self::start(address.clone(), open, on_lost)?.ok_or_else(|| ended(address.name()))
    }

    // None if it was not opened, although nothing went wrong.
    fn start(
        address: Address,
        open: impl FnOnce() -> Result<Option<Session>, StoreError> + Send + 'static,
        on_lost: OnLost,
    ) -> Result<Option<Self>, StoreError> {
        let (jobs, todo) = channel::<Job>();
        let (opened, is_open) = sync_channel(1);
        thread::spawn(move || {
            // Whoever asked may have gone.
            let session = match open() {
                Ok(Some(session)) => session,
                Ok(None) => return drop(opened.send(Ok(false))),
                Err(error) => return drop(opened.send(Err(error))),
            };
            if opened.send(Ok(true)).is_ok() {
                session.work(&todo, on_lost);
            }
        });
        let is_open = is_open.recv().map_err(|_| ended(address.name()))??;
        Ok(is_open.then_some(Self { jobs, address }))
    }

    /// Gives a record that was put back by other means than this program's another identity. It must have been started
    /// once.
    ///
    /// # Errors
    /// As [`Store::append`]; also if it has no identity yet.
    pub fn renew(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.ask(move |session| session.renew(fresh_id))
    }

    fn ask<A: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Session) -> Result<A, StoreError> + Send + 'static,
    ) -> Result<A, StoreError> {
        let (reply, replied) = sync_channel(1);
        let job: Job = Box::new(move |session| drop(reply.send(job(session))));
        self.jobs.send(job).map_err(|_| ended(self.address.name()))?;
        match replied.recv_timeout(ANSWER_MAX) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(StoreError::Io {
                path: self.address.name().to_owned(),
                reason: format!(
                    "no answer within {} s; check PostgreSQL, and what is between",
                    ANSWER_MAX.as_secs()
                ),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(ended(self.address.name())),
        }
    }
}

impl Store for PostgresStore {
    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        self.ask(move |session| session.boot(fresh_id))
    }

    fn each(&mut self, take: &mut dyn FnMut(Record)) -> Result<(), StoreError> {
        let (read, portions) = sync_channel(PORTIONS_AHEAD);
        let (end, ended_how) = sync_channel(1);
        let job: Job = Box::new(move |session| {
            let outcome = session.read(&read);
            drop(read);
            // Whoever asked may have gone.
            let _ = end.send(outcome);
        });
        self.jobs.send(job).map_err(|_| ended(self.address.name()))?;
        portions.into_iter().flatten().for_each(take);
        // Nothing that comes no longer is taken for the end.
        ended_how.recv().map_err(|_| ended(self.address.name()))?
    }

    // PostgreSQL gives its lock to the next one as soon as it takes this connection for lost.
    fn can_be_taken_over(&self) -> bool {
        true
    }

    // A connection of its own, which is made when it is first read.
    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StoreError> {
        Ok(Box::new(PostgresSnapshot::new(self.address.clone())))
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let parcel = Parcel::of(records).map_err(|error| StoreError::Io {
            path: self.address.name().to_owned(),
            reason: error.to_string(),
        })?;
        self.ask(move |session| session.append(&parcel))
    }
}

impl Session {
    fn work(mut self, todo: &Receiver<Job>, on_lost: OnLost) {
        loop {
            match todo.recv_timeout(PULSE) {
                Ok(job) => job(&mut self),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.client.is_valid(self.pulse_max) {
                        return on_lost(&self.failed(&error));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Whether it is told that this was the end, PostgreSQL notices it.
        let _ = self.client.close();
    }

    fn open(address: &Address, operator: &OperatorId) -> Result<Self, StoreError> {
        let mut session = Self::connect(address)?;
        session.lock()?;
        schema::migrate(&mut session, operator)?;
        Ok(session)
    }

    fn connect(address: &Address) -> Result<Self, StoreError> {
        let (client, name) = (address.connect()?, address.name().to_owned());
        Ok(Self { client, name, pulse_max: PULSE_MAX, append: None })
    }

    // Belongs to the connection, so it ends with the process, however that ends.
    fn lock(&mut self) -> Result<(), StoreError> {
        for _ in 0..LOCK_TRIES {
            if self.try_lock()? {
                return Ok(());
            }
            thread::sleep(LOCK_PAUSE);
        }
        Err(StoreError::InUse { path: self.name.clone() })
    }

    fn try_lock(&mut self) -> Result<bool, StoreError> {
        let row = self.client.query_one("SELECT pg_try_advisory_lock($1)", &[&schema::LOCK]);
        Ok(row.map_err(|error| self.failed(&error))?.get(0))
    }

    fn boot(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let before = schema::boot(self)?;
        let before = before.unwrap_or(Boot { store: fresh_id, epoch: 0 });
        let epoch = before.epoch.checked_add(1);
        let epoch = epoch.ok_or_else(|| self.unreadable("it has had its last start"))?;
        let boot = Boot { epoch, ..before };
        schema::set_boot(self, boot)?;
        self.append = None;
        Ok(boot)
    }

    fn renew(&mut self, fresh_id: StoreId) -> Result<Boot, StoreError> {
        let boot = schema::boot(self)?.and_then(|before| before.put_back(fresh_id));
        let boot = boot.ok_or_else(|| self.unreadable("it has never been started"))?;
        schema::set_boot(self, boot)?;
        self.append = None;
        Ok(boot)
    }

    fn read(&mut self, read: &SyncSender<Vec<Record>>) -> Result<(), StoreError> {
        let (mut malformed, mut portion) = (None, Vec::new());
        snapshot::each_row(&mut self.client, &self.name, &mut |row| {
            match Row::read(row.table, &row.key, row.value.as_deref().unwrap_or_default()) {
                Ok(record) => portion.push(record),
                Err(error) => malformed = Some(format!("row {}: {error}", row.key)),
            }
            let is_wanted = portion.len() < PORTION_RECORDS || read.send(mem::take(&mut portion)).is_ok();
            malformed.is_none() && is_wanted
        })?;
        if let Some(reason) = malformed {
            return Err(self.unreadable(reason));
        }
        // Whoever asked may have gone.
        let _ = read.send(portion);
        Ok(())
    }

    // After an error nobody knows whether it was written: the process ends, and the next one reads what is true.
    fn append(&mut self, parcel: &Parcel) -> Result<(), StoreError> {
        if self.append.is_none() {
            let boot = schema::boot(self)?;
            let epoch = boot.map_or(0, |boot| boot.epoch).to_string();
            let statement = self.client.prepare(schema::APPEND).map_err(|error| self.failed(&error))?;
            self.append = Some((statement, epoch));
        }
        let Some((statement, epoch)) = &self.append else { return Ok(()) };
        let Parcel { kinds, keys, values, gone_kinds, gone_keys, freed, evses, starts, ends, takers } =
            parcel;
        let written = self.client.execute(
            statement,
            &[epoch, kinds, keys, values, gone_kinds, gone_keys, freed, evses, starts, ends, takers],
        );
        written.map(drop).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &postgres::Error) -> StoreError {
        let reason = match error.code() {
            Some(&SqlState::EXCLUSION_VIOLATION) => {
                format!("an EVSE would be reserved twice at the same time, which cannot be: {}", chain(error))
            }
            Some(&SqlState::DIVISION_BY_ZERO) => {
                "another process has started on this database; this one may not write any longer".to_owned()
            }
            _ => chain(error),
        };
        StoreError::Io { path: self.name.clone(), reason }
    }

    fn unreadable(&self, reason: impl ToString) -> StoreError {
        StoreError::Unreadable { path: self.name.clone(), reason: reason.to_string() }
    }
}

// What one call writes, by columns: the latest row of each key, and the windows that are reserved by now.
#[derive(Default)]
struct Parcel {
    kinds: Vec<i16>,
    keys: Vec<String>,
    values: Vec<String>,
    gone_kinds: Vec<i16>,
    gone_keys: Vec<String>,
    freed: Vec<String>,
    evses: Vec<String>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    takers: Vec<String>,
}

impl Parcel {
    fn of(records: &[Record]) -> Result<Self, super::rows::Malformed> {
        let mut latest = BTreeMap::new();
        for record in records {
            let Row { table, key, value } = Row::of(record)?;
            latest.insert((table, key), (value, record));
        }
        let mut parcel = Self::default();
        for ((table, key), (value, record)) in latest {
            if let Record::Fact(Fact::Branch(..) | Fact::BranchForgotten(_)) = record {
                parcel.freed.push(key.clone());
            }
            // What is only held may stand beside what it is to replace.
            if let Record::Fact(Fact::Branch(_, Branch::Confirmed { hold })) = record {
                for stop in &hold.stops {
                    parcel.evses.push(stop.evse.to_string());
                    parcel.starts.push(stop.window.start().as_millis());
                    parcel.ends.push(stop.window.end().as_millis());
                    parcel.takers.push(key.clone());
                }
            }
            match value {
                Some(value) => {
                    parcel.kinds.push(i16::from(table as u8));
                    parcel.keys.push(key);
                    parcel.values.push(String::from_utf8(value)?);
                }
                None => {
                    parcel.gone_kinds.push(i16::from(table as u8));
                    parcel.gone_keys.push(key);
                }
            }
        }
        Ok(parcel)
    }
}

fn io(name: &str, error: &postgres::Error) -> StoreError {
    StoreError::Io { path: name.to_owned(), reason: chain(error) }
}

fn ended(name: &str) -> StoreError {
    StoreError::Io { path: name.to_owned(), reason: "the connection has ended".to_owned() }
}

// The library's own message ("db error") says nothing without its cause.
fn chain(error: &postgres::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
