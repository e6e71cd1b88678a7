//! What was measured, for people and for machines.

use std::time::Duration;

use serde::Serialize;

use super::disk::{FileSystem, SyncRate};
use super::figures::Snapshot;
use super::load::Seen;

/// Everything that one run measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where the databases were; unknown if the nodes are not ours.
    pub file_system: Option<FileSystem>,
    /// Processors that nodes and load shared.
    pub processors: usize,
    /// One for each number of clients.
    pub levels: Vec<Level>,
    /// `fdatasync` alone, measured before, between and after; none if the nodes are not ours.
    pub disk: Option<SyncRate>,
    /// Whether the audit of the companies' records holds; none if there was none.
    pub audit_holds: Option<bool>,
}

/// What a number of clients saw.
#[derive(Debug, Serialize)]
pub struct Level {
    /// How many booked at the same time.
    pub clients: usize,
    /// For how long it was measured.
    pub seconds: f64,
    /// Trips booked in that time.
    pub trips: usize,
    /// Trips booked a second.
    pub trips_per_second: f64,
    /// Half of the trips took no longer, ms.
    pub p50_ms: f64,
    /// 99 of 100 trips took no longer, ms.
    pub p99_ms: f64,
    /// The longest, ms.
    pub max_ms: f64,
    /// Trips refused.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Flushes to disk of all three nodes, per trip.
    pub flushes_per_trip: Option<f64>,
    /// Records in one flush.
    pub records_per_flush: Option<f64>,
    /// Processor time of the three nodes, µs per trip.
    pub nodes_cpu_us_per_trip: Option<f64>,
    /// Processor time of the clients, µs per trip.
    pub clients_cpu_us_per_trip: f64,
    /// Everything that went over the loopback device, per trip; true if nobody else used it.
    pub loopback_bytes_per_trip: Option<f64>,
    /// `fdatasync` alone just before and just after.
    pub disk: Option<SyncRate>,
    /// The median trip measured in median `fdatasync`s.
    pub p50_in_syncs: Option<f64>,
    /// The first thing that went wrong.
    pub first_error: Option<String>,
}

impl Level {
    /// From what was seen in `time`.
    pub fn new(
        clients: usize,
        time: Duration,
        seen: Seen,
        [before, after]: [Snapshot; 2],
        disk: Option<SyncRate>,
    ) -> Self {
        let (trips, seconds) = (seen.took.len(), time.as_secs_f64());
        let per_trip = |value: f64| value / trips.max(1) as f64;
        let difference = |of: fn(&Snapshot) -> Option<u64>| {
            Some(of(&after)?.saturating_sub(of(&before)?) as f64).filter(|more| *more > 0.0)
        };
        let flushes = difference(|one| one.flushes);
        let records = difference(|one| one.records);
        let nodes_cpu = after.nodes_cpu.zip(before.nodes_cpu).map(|(after, before)| after - before);
        let bytes = difference(|one| one.loopback_bytes);
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let p50_ms = percentile(&seen.took, 0.50);
        Self {
            clients,
            seconds,
            trips,
            trips_per_second: trips as f64 / seconds,
            p50_ms,
            p99_ms: percentile(&seen.took, 0.99),
            max_ms: percentile(&seen.took, 1.0),
            refused: seen.refused,
            failed: seen.failed,
            flushes_per_trip: flushes.map(per_trip),
            records_per_flush: records.zip(flushes).map(|(records, flushes)| records / flushes),
            nodes_cpu_us_per_trip: nodes_cpu.map(us).map(per_trip),
            clients_cpu_us_per_trip: per_trip(us(after.own_cpu - before.own_cpu)),
            loopback_bytes_per_trip: bytes.map(per_trip),
            p50_in_syncs: disk.map(|disk| p50_ms * 1e3 / disk.p50_us.max(1.0)),
            disk,
            first_error: seen.first_error,
        }
    }
}

impl Report {
    /// A table for people.
    pub fn print(&self) {
        if let Some(FileSystem { kind, device }) = &self.file_system {
            say!("databases on {kind} ({device})");
        }
        say!(
            "{} processors, shared by three nodes and the clients; every trip has a stop at each company",
            self.processors
        );
        say!();
        say!(
            "{:>7} {:>8} {:>8} {:>8} {:>8} {:>7} {:>6} {:>12} {:>13} {:>10} {:>10} {:>11} {:>9}",
            "clients",
            "trips/s",
            "p50 ms",
            "p99 ms",
            "max ms",
            "refused",
            "failed",
            "flushes/trip",
            "records/flush",
            "nodes µs/t",
            "load µs/t",
            "fdatasync/s",
            "p50/sync"
        );
        for level in &self.levels {
            say!(
                "{:>7} {:>8.0} {:>8.2} {:>8.2} {:>8.1} {:>7} {:>6} {:>12} {:>13} {:>10} {:>10.0} {:>11} {:>9}",
                level.clients,
                level.trips_per_second,
                level.p50_ms,
                level.p99_ms,
                level.max_ms,
                level.refused,
                level.failed,
                optional(level.flushes_per_trip, 2),
                optional(level.records_per_flush, 1),
                optional(level.nodes_cpu_us_per_trip, 0),
                level.clients_cpu_us_per_trip,
                optional(level.disk.map(|disk| disk.per_second), 0),
                optional(level.p50_in_syncs, 1),
            );
            if let Some(error) = &level.first_error {
                say!("        first error: {error}");
            }
        }
        say!();
        if let Some(disk) = self.disk {
            say!(
                "fdatasync alone (4 KiB, preallocated), before, between and after: {:.0}/s, p50 {:.0} µs",
                disk.per_second,
                disk.p50_us
            );
        }
    }
}

fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The time within which this fraction of the sorted times lies, in ms.
pub fn percentile(sorted: &[Duration], fraction: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * fraction).round() as usize;
    sorted.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_of_none() {
        let ms = |all: &[u64]| all.iter().map(|one| Duration::from_millis(*one)).collect::<Vec<_>>();
        assert_eq!(percentile(&ms(&[]), 0.5), 0.0);
        assert_eq!(percentile(&ms(&[7]), 0.99), 7.0);
        assert_eq!(percentile(&ms(&[1, 2, 3]), 0.5), 2.0);
        assert_eq!(percentile(&ms(&[1, 2, 3]), 1.0), 3.0);
    }
}
