//! What the system and the databases say of themselves.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio_postgres::Client;

/// Everything that is counted, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Snapshot {
    /// Processor time of the databases' processes.
    pub nodes_cpu: Duration,
    /// Processor time of this process.
    pub own_cpu: Duration,
    /// Flushes of all write-ahead logs.
    pub flushes: i64,
    /// What has gone over the loopback device.
    pub loopback_bytes: u64,
}

/// What a number of clients saw; the names are those of `recarga bench trips --json`.
#[derive(Debug, Serialize)]
pub struct Level {
    pub clients: usize,
    pub seconds: f64,
    pub trips: usize,
    pub trips_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    pub failed: u64,
    pub flushes_per_trip: f64,
    pub nodes_cpu_us_per_trip: f64,
    pub clients_cpu_us_per_trip: f64,
    pub loopback_bytes_per_trip: f64,
    pub first_error: Option<String>,
}

/// Looks at the processes and asks the databases.
pub async fn look(postmasters: &[u32], databases: &[Client]) -> Result<Snapshot> {
    let mut snapshot =
        Snapshot { own_cpu: own_cpu(), nodes_cpu: cpu_of_all(postmasters)?, ..Snapshot::default() };
    for database in databases {
        let row = database.query_one("SELECT wal_sync FROM pg_stat_wal", &[]).await?;
        snapshot.flushes += row.get::<_, i64>(0);
    }
    let devices = std::fs::read_to_string("/proc/net/dev").context("cannot read /proc/net/dev")?;
    let line = devices.lines().find_map(|line| line.trim_start().strip_prefix("lo:"));
    let bytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    snapshot.loopback_bytes = bytes.context("/proc/net/dev has no loopback device")?;
    Ok(snapshot)
}

impl Level {
    /// From what the clients saw in `time`; `took` is sorted.
    pub fn new(clients: usize, time: Duration, took: &[Duration], [before, after]: [Snapshot; 2]) -> Self {
        let per_trip = |value: f64| value / took.len().max(1) as f64;
        let us = |time: Duration| per_trip(time.as_secs_f64() * 1e6);
        let at = |fraction: f64| {
            let place = (took.len().saturating_sub(1) as f64 * fraction).round() as usize;
            took.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self {
            clients,
            seconds: time.as_secs_f64(),
            trips: took.len(),
            trips_per_second: took.len() as f64 / time.as_secs_f64(),
            p50_ms: at(0.50),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            failed: 0,
            flushes_per_trip: per_trip((after.flushes - before.flushes) as f64),
            nodes_cpu_us_per_trip: us(after.nodes_cpu.saturating_sub(before.nodes_cpu)),
            clients_cpu_us_per_trip: us(after.own_cpu - before.own_cpu),
            loopback_bytes_per_trip: per_trip((after.loopback_bytes - before.loopback_bytes) as f64),
            first_error: None,
        }
    }
}

// Of its one thread.
fn own_cpu() -> Duration {
    let times = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    Duration::from_nanos(times.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0))
}

// A database is many processes, one for each connection, and each of them does so little in a second that the ticks of
// /proc/PID/stat would round it away; /proc/PID/schedstat counts nanoseconds.
fn cpu_of_all(postmasters: &[u32]) -> Result<Duration> {
    let mut nanoseconds = 0;
    for entry in std::fs::read_dir("/proc").context("cannot read /proc")? {
        let folder = entry?.path();
        let Some(pid) = folder.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        // It may end at any moment.
        let stat = std::fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let is_ours =
            postmasters.contains(&pid) || parent(&stat).is_some_and(|one| postmasters.contains(&one));
        if is_ours {
            let times = std::fs::read_to_string(folder.join("schedstat")).unwrap_or_default();
            nanoseconds += times.split(' ').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

// The 4th field; the 2nd is the program's name in brackets, in which anything goes.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}
