//! The durable record's backends under the same load, interleaved: `cargo run --release` in this folder.
//!
//! Each writes what a company writes for trips of three companies, of which it coordinates every third: a yes vote, a
//! confirmation, the decision, the end. The first line is the floor: the same bytes into a preallocated file, one
//! write and one flush each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use recarga_node::store::redb::RedbStore;
use recarga_node::store::rows::{Row, Table};
use recarga_node::store::{Record, Store};
use recarga_reservation::{
    Branch, Fact, Hold, OperatorId, Plug, RequestKey, Stage, Stop, StoreId, TimeWindow, Timestamp,
    TransactionId, Trip, TripRequest, TripStop,
};

const COMPANIES: [&str; 3] = ["empresa-a", "empresa-b", "empresa-c"];
const FILE_BYTES: u64 = 32 << 20;

/// Compare the backends of the durable record.
#[derive(Parser)]
struct Arguments {
    /// A folder on the disk to measure.
    #[arg(long, default_value = "/var/tmp")]
    data: PathBuf,
    /// Records in one write, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16,64,256")]
    records: Vec<u64>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// How often all of it is measured; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Something that makes records durable.
trait Backend {
    fn append(&mut self, records: &[Record]) -> Result<()>;
}

/// The floor.
struct Preallocated {
    file: File,
    at: u64,
}

struct Redb(redb::Database);

struct Journaled(RedbStore);

struct Fjall {
    database: fjall::Database,
    tables: BTreeMap<Table, fjall::Keyspace>,
}

struct Sqlite(rusqlite::Connection);

fn rows(records: &[Record]) -> Result<Vec<Row>> {
    let rows = records.iter().map(Row::of).collect::<Result<_, _>>();
    rows.map_err(|error| anyhow::anyhow!("{error}"))
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Branches => "branches",
        Table::Trips => "trips",
        Table::Letters => "letters",
    }
}

impl Preallocated {
    fn open(folder: &Path) -> Result<Self> {
        let file = File::create(folder.join("floor"))?;
        file.write_all_at(&vec![0; usize::try_from(FILE_BYTES)?], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }
}

impl Backend for Preallocated {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut bytes = Vec::new();
        for row in rows(records)? {
            bytes.extend_from_slice(row.key.as_bytes());
            bytes.extend_from_slice(&row.value.unwrap_or_default());
        }
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        if self.at + bytes.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(self.file.sync_data()?)
    }
}

impl Backend for Redb {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let transaction = self.0.begin_write()?;
        for table in Table::ALL {
            let definition = redb::TableDefinition::<&str, &[u8]>::new(name(table));
            let mut open = None;
            for row in rows(records)?.into_iter().filter(|row| row.table == table) {
                if open.is_none() {
                    open = Some(transaction.open_table(definition)?);
                }
                let value = row.value.unwrap_or_default();
                open.as_mut().context("opened above")?.insert(row.key.as_str(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }
}

impl Backend for Journaled {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        Ok(self.0.append(records)?)
    }
}

impl Backend for Fjall {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for row in rows(records)? {
            batch.insert(&self.tables[&row.table], row.key, row.value.unwrap_or_default());
        }
        Ok(batch.commit()?)
    }
}

impl Backend for Sqlite {
    fn append(&mut self, records: &[Record]) -> Result<()> {
        let transaction = self.0.transaction()?;
        for row in rows(records)? {
            let text = format!("INSERT OR REPLACE INTO {} VALUES (?, ?)", name(row.table));
            transaction.prepare_cached(&text)?.execute((row.key, row.value))?;
        }
        Ok(transaction.commit()?)
    }
}

const BACKENDS: [&str; 5] =
    ["one preallocated file", "journal before redb (chosen)", "redb alone", "fjall", "SQLite (WAL, FULL)"];

fn open(number: usize, folder: &Path) -> Result<Box<dyn Backend>> {
    Ok(match number {
        0 => Box::new(Preallocated::open(folder)?),
        1 => {
            let mut store = RedbStore::open(folder, &COMPANIES[0].parse()?)?;
            store.boot(StoreId(1))?;
            Box::new(Journaled(store))
        }
        2 => {
            let path = folder.join("alone.redb");
            Box::new(Redb(redb::Database::builder().set_cache_size(64 << 20).create(path)?))
        }
        3 => {
            let database = fjall::Database::builder(folder.join("fjall")).open()?;
            let open = |table| Ok((table, database.keyspace(name(table), Default::default)?));
            let tables = Table::ALL.into_iter().map(open).collect::<Result<_>>()?;
            Box::new(Fjall { database, tables })
        }
        4 => {
            let connection = rusqlite::Connection::open(folder.join("sqlite"))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            for table in Table::ALL.map(name) {
                let columns = "(key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID";
                connection.execute(&format!("CREATE TABLE {table} {columns}"), ())?;
            }
            Box::new(Sqlite(connection))
        }
        _ => bail!("no such backend"),
    })
}

/// Writes a second, microseconds of the median and of the 99th of 100, processor microseconds for a record.
struct Figures {
    records_per_second: f64,
    p50: f64,
    p99: f64,
    processor: f64,
}

#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn measure(
    backend: &mut dyn Backend,
    load: &mut Load,
    records: u64,
    seconds: f64,
    processor: &File,
) -> Result<Figures> {
    let mut took = Vec::new();
    let mut used = Duration::ZERO;
    let (begun, before) = (Instant::now(), processor_time(processor)?);
    while begun.elapsed().as_secs_f64() < seconds {
        let written = load.next(records)?;
        let start = Instant::now();
        backend.append(&written)?;
        took.push(start.elapsed());
        used += start.elapsed();
    }
    let processor = processor_time(processor)? - before;
    took.sort_unstable();
    let count = (took.len() as u64 * records) as f64;
    Ok(Figures {
        records_per_second: count / used.as_secs_f64(),
        p50: took[took.len() / 2].as_secs_f64() * 1e6,
        p99: took[took.len() * 99 / 100].as_secs_f64() * 1e6,
        processor: processor.as_secs_f64() * 1e6 / count,
    })
}

// Of the whole process, threads in the background included; the load itself is part of it for every backend.
fn processor_time(stat: &File) -> Result<Duration> {
    let mut text = [0; 512];
    let length = stat.read_at(&mut text, 0)?;
    let text = String::from_utf8_lossy(&text[..length]);
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// Records as trips make them.
#[derive(Default)]
struct Load {
    next: u64,
}

impl Load {
    fn next(&mut self, count: u64) -> Result<Vec<Record>> {
        let records = (self.next..self.next + count).map(record).collect();
        self.next += count;
        records
    }
}

// Seven for three trips.
fn record(number: u64) -> Result<Record> {
    let first = number / 7 * 3;
    let hold = |trip| hold(trip).map(Arc::new);
    Ok(Record::Fact(match number % 7 {
        0 => Fact::Branch(transaction(first)?, Branch::Prepared { hold: hold(first)? }),
        1 => Fact::Branch(transaction(first + 1)?, Branch::Prepared { hold: hold(first + 1)? }),
        2 => Fact::Branch(transaction(first + 2)?, Branch::Confirmed { hold: hold(first + 2)? }),
        3 => Fact::Trip(trip(first + 2, Stage::Committed { unacknowledged: others()? })?),
        4 => Fact::Branch(transaction(first)?, Branch::Confirmed { hold: hold(first)? }),
        5 => Fact::Branch(transaction(first + 1)?, Branch::Confirmed { hold: hold(first + 1)? }),
        _ => Fact::Trip(trip(first + 2, Stage::Settled)?),
    }))
}

fn others() -> Result<BTreeSet<OperatorId>> {
    COMPANIES[1..].iter().map(|name| Ok(name.parse()?)).collect()
}

fn transaction(trip: u64) -> Result<TransactionId> {
    let nonce = u128::from(trip).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
    let coordinator = COMPANIES[usize::try_from(trip % 3)?].parse()?;
    Ok(TransactionId {
        coordinator,
        store: StoreId(u128::from(trip % 3) + 1),
        epoch: 1,
        counter: trip,
        nonce,
    })
}

fn key(trip: u64) -> Result<RequestKey> {
    Ok(RequestKey { vehicle: format!("carro-{trip}").parse()?, request: format!("pedido-{trip}").parse()? })
}

fn stop(number: u16, trip: u64) -> Result<Stop> {
    let start = Timestamp::from_millis(1_700_000_000_000)
        + Duration::from_secs(3600 * trip)
        + Duration::from_secs(1200) * u32::from(number);
    Ok(Stop {
        number,
        evse: "A-REC-01-1".parse()?,
        window: TimeWindow::new(start, start + Duration::from_secs(1200))?,
    })
}

fn hold(trip: u64) -> Result<Hold> {
    let companies: Vec<OperatorId> = COMPANIES.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok(Hold {
        transaction: transaction(trip)?,
        key: key(trip)?,
        plug: Some(Plug::CCS2),
        stores: companies.iter().map(|company| (company.clone(), StoreId(u128::MAX / 3))).collect(),
        participants: companies,
        priority: Timestamp::from_millis(1_700_000_000_000),
        stops: vec![stop(0, trip)?],
        replaces: None,
    })
}

fn trip(trip: u64, stage: Stage) -> Result<Trip> {
    let stop =
        |(place, name): (u16, &&str)| Ok(TripStop { operator: name.parse()?, stop: stop(place, trip)? });
    let stops = (0..).zip(&COMPANIES).map(stop).collect::<Result<_>>()?;
    Ok(Trip {
        id: format!("{trip:032x}").parse()?,
        transaction: transaction(trip)?,
        request: Arc::new(TripRequest::new(key(trip)?, None, stops)?),
        decided: Timestamp::from_millis(1_700_000_000_000),
        stage,
        lost: BTreeSet::new(),
        replaces: None,
        participants: others()?,
    })
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let processor = File::open("/proc/self/stat")?;
    let mut seen: BTreeMap<(usize, u64), Vec<Figures>> = BTreeMap::new();
    for round in 1..=arguments.rounds {
        for (number, name) in BACKENDS.iter().enumerate() {
            let folder = tempfile::tempdir_in(&arguments.data)?;
            let mut backend = open(number, folder.path())?;
            let mut load = Load::default();
            for records in &arguments.records {
                let figures = measure(&mut *backend, &mut load, *records, arguments.seconds, &processor)?;
                seen.entry((number, *records)).or_default().push(figures);
            }
            eprintln!("round {round}/{}: {name}", arguments.rounds);
        }
    }
    println!("| records in a write | | records/s | p50 µs | p99 µs | CPU µs/record |");
    println!("|---:|---|---:|---:|---:|---:|");
    for records in &arguments.records {
        for (number, name) in BACKENDS.iter().enumerate() {
            let Some(figures) = seen.get(&(number, *records)) else { continue };
            let median = |of: fn(&Figures) -> f64| {
                let mut values: Vec<f64> = figures.iter().map(of).collect();
                values.sort_unstable_by(f64::total_cmp);
                values[values.len() / 2]
            };
            println!(
                "| {records} | {name} | {:.0} | {:.0} | {:.0} | {:.1} |",
                median(|one| one.records_per_second),
                median(|one| one.p50),
                median(|one| one.p99),
                median(|one| one.processor)
            );
        }
    }
    Ok(())
}
