//! What all rounds of one broker come to.

use std::time::Duration;

use serde::Serialize;

use super::Moment;
use crate::bench::load::Seen;
use crate::bench::report::percentile;

/// What was seen so far.
#[derive(Default)]
pub struct Sums {
    /// Trips while no car spoke.
    pub alone: Times,
    /// Trips while cars spoke.
    pub together: Times,
    /// Cars while trips were booked.
    pub with_trips: Statuses,
    /// Cars alone.
    pub without_trips: Statuses,
    /// Of the node and of the broker, in bytes.
    pub memory: (u64, u64),
}

/// Trips of all rounds.
#[derive(Default)]
pub struct Times {
    took: Vec<Duration>,
    not_booked: u64,
}

/// Statuses of all rounds.
#[derive(Default)]
pub struct Statuses {
    time: Duration,
    due: u64,
    sent: u64,
    read: u64,
    superseded: u64,
    dropped: u64,
    broker_dropped: Option<u64>,
    crowd_cpu: Duration,
    broker_cpu: Duration,
    node_cpu: Duration,
}

/// What one broker's side came to.
#[derive(Debug, Serialize)]
pub struct Side {
    pub broker: String,
    pub trips_alone: Trips,
    pub trips_while_cars_speak: Trips,
    pub p99_ratio: f64,
    pub trips_failed: u64,
    pub cars_while_trips_are_booked: Cars,
    pub cars_alone: Cars,
    pub node_mb: f64,
    pub broker_mb: f64,
}

/// How long trips took.
#[derive(Debug, Serialize)]
pub struct Trips {
    pub trips: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// What became of statuses, a second.
#[derive(Debug, Serialize)]
pub struct Cars {
    pub due: f64,
    pub sent: f64,
    /// By the node: read, or replaced by a newer one before that.
    pub taken_in: f64,
    pub read: f64,
    pub superseded: f64,
    pub dropped_by_node: f64,
    /// Sent and never seen by the node.
    pub lost_before_node: f64,
    /// As the broker itself says, if it does.
    pub dropped_by_broker: Option<f64>,
    /// µs for each status taken in, or sent; the node's are those of its trips too, where trips are booked.
    pub node_cpu_us: f64,
    pub broker_cpu_us: f64,
    pub crowd_cpu_us: f64,
}

impl Times {
    /// One more measurement.
    pub fn add(&mut self, seen: Seen) {
        self.took.extend(seen.took);
        self.took.sort_unstable();
        self.not_booked += seen.refused + seen.failed;
    }

    fn trips(&self) -> Trips {
        let ms = |share| percentile(&self.took, share);
        Trips { trips: self.took.len(), p50_ms: ms(0.50), p99_ms: ms(0.99), max_ms: ms(1.0) }
    }
}

impl Statuses {
    /// One more measurement, from its beginning to its end.
    pub fn add(&mut self, [before, after]: [Moment; 2]) {
        self.time += after.at - before.at;
        self.due += after.told.due - before.told.due;
        self.sent += after.told.sent - before.told.sent;
        self.read += after.node.read - before.node.read;
        self.superseded += after.node.superseded - before.node.superseded;
        self.dropped += after.node.dropped - before.node.dropped;
        let dropped = after.broker_dropped.zip(before.broker_dropped);
        let dropped = dropped.map(|(after, before)| after.saturating_sub(before));
        self.broker_dropped = dropped.map(|more| more + self.broker_dropped.unwrap_or_default());
        self.crowd_cpu += after.told.cpu.saturating_sub(before.told.cpu);
        self.broker_cpu += after.broker_cpu.saturating_sub(before.broker_cpu);
        self.node_cpu += after.node_cpu.saturating_sub(before.node_cpu);
    }

    fn cars(&self) -> Cars {
        let seconds = self.time.as_secs_f64().max(f64::MIN_POSITIVE);
        let rate = |count: u64| count as f64 / seconds;
        let each = |cpu: Duration, count: u64| cpu.as_secs_f64() * 1e6 / count.max(1) as f64;
        let taken_in = self.read + self.superseded;
        Cars {
            due: rate(self.due),
            sent: rate(self.sent),
            taken_in: rate(taken_in),
            read: rate(self.read),
            superseded: rate(self.superseded),
            dropped_by_node: rate(self.dropped),
            lost_before_node: rate(self.sent.saturating_sub(taken_in + self.dropped)),
            dropped_by_broker: self.broker_dropped.map(rate),
            node_cpu_us: each(self.node_cpu, taken_in),
            broker_cpu_us: each(self.broker_cpu, self.sent),
            crowd_cpu_us: each(self.crowd_cpu, self.sent),
        }
    }
}

impl Sums {
    /// What it all comes to.
    pub fn side(&self, broker: String) -> Side {
        let (alone, together) = (self.alone.trips(), self.together.trips());
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        Side {
            broker,
            p99_ratio: together.p99_ms / alone.p99_ms.max(f64::MIN_POSITIVE),
            trips_alone: alone,
            trips_while_cars_speak: together,
            trips_failed: self.alone.not_booked + self.together.not_booked,
            cars_while_trips_are_booked: self.with_trips.cars(),
            cars_alone: self.without_trips.cars(),
            node_mb: megabytes(self.memory.0),
            broker_mb: megabytes(self.memory.1),
        }
    }
}

impl Side {
    /// For people.
    pub fn print(&self) {
        let Side { broker, trips_alone: alone, trips_while_cars_speak: together, .. } = self;
        say!("{broker}: node {:.0} MB, broker {:.0} MB", self.node_mb, self.broker_mb);
        for (name, one) in [("trips alone", alone), ("trips while cars speak", together)] {
            say!(
                "  {name:<24} {:>8} trips, p50 {:>6.2} ms, p99 {:>7.2} ms, max {:>7.1} ms",
                one.trips,
                one.p50_ms,
                one.p99_ms,
                one.max_ms
            );
        }
        say!("  p99 with cars is {:.2} times that without; {} not booked", self.p99_ratio, self.trips_failed);
        for (name, one) in [
            ("cars while trips are booked", &self.cars_while_trips_are_booked),
            ("cars alone", &self.cars_alone),
        ] {
            let broker =
                one.dropped_by_broker.map_or("it does not say".to_owned(), |rate| format!("{rate:.0}"));
            say!(
                "  {name}, a second: {:.0} due, {:.0} sent, {:.0} taken in ({:.0} read, {:.0} superseded), {:.0} dropped by \
                 the node, {:.0} lost before it (dropped by the broker: {broker})",
                one.due,
                one.sent,
                one.taken_in,
                one.read,
                one.superseded,
                one.dropped_by_node,
                one.lost_before_node
            );
            say!(
                "    processor time for each: {:.1} µs node, {:.1} µs broker, {:.1} µs cars",
                one.node_cpu_us,
                one.broker_cpu_us,
                one.crowd_cpu_us
            );
        }
        say!();
    }
}
