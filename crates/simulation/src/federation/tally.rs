//! What happened in many simulations, counted.

use std::fmt;
use std::ops::AddAssign;

use crate::federation::monitor::Rest;

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
    /// The longest times until companies came to rest.
    pub rest_max: Rest,
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
        let (rest, more) = (&mut self.rest_max, other.rest_max);
        rest.doubtless = rest.doubtless.max(more.doubtless);
        rest.complete = rest.complete.max(more.complete);
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
        write!(
            f,
            "after the last fault nothing was in doubt for more than {:.1} s, nor owed or unanswered for more than {:.1} s",
            self.rest_max.doubtless.as_secs_f64(),
            self.rest_max.complete.as_secs_f64()
        )
    }
}
