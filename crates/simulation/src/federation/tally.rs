//! What happened in many simulations, counted.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

/// Counts of one simulation, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Simulations.
    pub seeds: u64,
    /// Requests for trips and changes.
    pub requests: u64,
    /// Confirmed to their drivers.
    pub confirmed: u64,
    /// Refused to their drivers.
    pub refused: u64,
    /// Cancelled by their drivers.
    pub cancelled: u64,
    /// Changed by their drivers.
    pub changed: u64,
    /// Processes killed.
    pub kills: u64,
    /// Power cuts.
    pub power_cuts: u64,
    /// Syncs that the disk refused, each the end of a process.
    pub refused_syncs: u64,
    /// Partitions, in both directions or in one.
    pub partitions: u64,
    /// Links whose messages waited.
    pub held_links: u64,
    /// Links that became slow.
    pub slow_links: u64,
    /// Jumps of wall clocks.
    pub clock_jumps: u64,
    /// The longest time from the end of all faults until nothing was in doubt, owed or unanswered any more.
    pub rest_max: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.requests += other.requests;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.changed += other.changed;
        self.kills += other.kills;
        self.power_cuts += other.power_cuts;
        self.refused_syncs += other.refused_syncs;
        self.partitions += other.partitions;
        self.held_links += other.held_links;
        self.slow_links += other.slow_links;
        self.clock_jumps += other.clock_jumps;
        self.rest_max = self.rest_max.max(other.rest_max);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} requests: {} confirmed, {} refused, {} cancelled, {} changed",
            self.requests, self.confirmed, self.refused, self.cancelled, self.changed
        )?;
        writeln!(
            f,
            "{} kills, {} power cuts, {} refused syncs, {} partitions, {} held links, {} slow links, {} clock jumps",
            self.kills,
            self.power_cuts,
            self.refused_syncs,
            self.partitions,
            self.held_links,
            self.slow_links,
            self.clock_jumps
        )?;
        write!(f, "at rest {:.1} s after the last fault at the latest", self.rest_max.as_secs_f64())
    }
}
