//! What one seed draws before its run begins: how many companies and trips, and which faults happen, how often.
//!
//! Each fault is switched on or off for the whole run: a run with everything at once seldom gets far, and what it
//! takes to find a defect is often the absence of other faults.

use std::time::Duration;

use fastrand::Rng;
use recarga_reservation::HoldLimits;

use super::queue::{HOUR, MILLI, MINUTE, Micros, SECOND};

/// A probability, in millionths.
pub type Rate = u32;

/// What UTC says when virtual time begins, in milliseconds.
pub const BEGINNING_MILLIS: i64 = 1_800_000_000_000;
/// Latest arrival of a very late message, after it was sent.
pub const LATE_MAX: Micros = 3 * MINUTE;
/// How long a company waits for a reply, at most: as `limits.peer_answer_seconds_max`.
pub const ANSWER_MAX: Micros = 3 * SECOND;
/// How long a window is.
pub const WINDOW_MILLIS: i64 = 30 * 60 * 1000;

/// One run's circumstances.
#[derive(Clone, Debug)]
pub struct Settings {
    pub companies: usize,
    pub evses: usize,
    /// Windows of each EVSE for which the trips compete.
    pub slots: usize,
    pub trips: usize,
    /// From the first trip's request to the last one's.
    pub spread: Micros,
    /// When all faults have ended.
    pub healed: Micros,
    /// When the first window begins, in milliseconds after the beginning.
    pub first_window_millis: i64,
    pub decide_limit: Duration,
    pub limits: HoldLimits,
    pub messages: MessageFaults,
    pub faults: FaultCounts,
    pub drivers: DriverHabits,
    /// How long a company waits for a reply, at least; at most as `limits.peer_answer_seconds_max`.
    pub answer_min: Micros,
    /// A flush takes up to this long.
    pub flush_max: Micros,
    /// How often a flush takes up to a hundred times as long.
    pub slow_flushes: Rate,
    /// By how much the clocks of companies run too fast or too slow, at most, in millionths.
    pub drift_max: i64,
    /// How far their wall clocks are off from the beginning, at most, in milliseconds.
    pub skew_max_millis: i64,
    /// Pause between two ticks of a company that has something to do.
    pub tick: Micros,
    /// Pause between two rounds of forgetting, if it happens while there are faults.
    pub tidy_every: Option<Micros>,
    /// After everything is settled a month passes, and copies of old messages arrive.
    pub month_passes: bool,
    /// Companies begin without having heard from which database the others speak.
    pub strangers: bool,
}

/// What happens to messages.
#[derive(Clone, Debug)]
pub struct MessageFaults {
    pub travel_max: Micros,
    pub loss: Rate,
    pub repetition: Rate,
    /// Delayed by up to a few seconds: what was sent later overtakes it.
    pub delay: Rate,
    /// Delayed by up to [`LATE_MAX`].
    pub long_delay: Rate,
}

/// How often each fault happens in a run.
#[derive(Clone, Debug)]
pub struct FaultCounts {
    pub kills: u32,
    pub power_losses: u32,
    pub freezes: u32,
    pub partitions: u32,
    pub one_way_partitions: u32,
    pub clock_jumps: u32,
    pub lost_disks: u32,
    pub forced_aborts: u32,
    /// How often a company stops just after it has told a vote or a decision.
    pub aimed: Rate,
    /// How long a company stays down or cut off, at most.
    pub outage_max: Micros,
}

/// What drivers do besides asking once.
#[derive(Clone, Debug)]
pub struct DriverHabits {
    pub soft_first: Rate,
    pub change: Rate,
    pub cancel: Rate,
    pub withdraw: Rate,
    pub repeat: Rate,
    pub elsewhere: Rate,
    pub ask_again_after_refusal: Rate,
    /// How long a driver waits for an answer before asking again, at most.
    pub patience_max: Micros,
}

impl Settings {
    pub fn draw(random: &mut Rng) -> Self {
        let (near, tidies, hastily) = (one_in(random, 3), one_in(random, 3), random.bool());
        let spread = [20 * MILLI, 300 * MILLI, 3 * SECOND, 20 * SECOND][random.usize(..4)];
        let outage_max = [500 * MILLI, 4 * SECOND, 15 * SECOND, 60 * SECOND][random.usize(..4)];
        let settling = [SECOND, 8 * SECOND, 30 * SECOND, 2 * MINUTE][random.usize(..4)];
        let decide_limit = Duration::from_millis([300, 1_000, 5_000][random.usize(..3)]);
        Self {
            companies: random.usize(2..=7),
            evses: random.usize(1..=3),
            slots: random.usize(5..=9),
            trips: 10 + random.usize(..31).min(random.usize(..31)).min(random.usize(..31)),
            spread,
            healed: spread + outage_max + settling,
            first_window_millis: if near { random.i64(-30_000..60_000) } else { 4 * 3_600_000 },
            decide_limit,
            limits: draw_limits(random, near, hastily),
            messages: MessageFaults::draw(random),
            faults: FaultCounts::draw(random, outage_max),
            drivers: DriverHabits::draw(random),
            answer_min: if random.bool() { ANSWER_MAX } else { 200 * MILLI },
            flush_max: [200, 2 * MILLI, 10 * MILLI][random.usize(..3)],
            slow_flushes: rate(random, 100_000),
            drift_max: if random.bool() { 0 } else { random.i64(1..2_000) },
            skew_max_millis: if random.bool() { 0 } else { random.i64(1..120_000) },
            tick: random.u64(50..=200) * MILLI,
            tidy_every: tidies
                .then(|| random.u64(50 * MILLI..=if hastily { 400 * MILLI } else { 8 * SECOND })),
            month_passes: one_in(random, 3),
            strangers: one_in(random, 4),
        }
    }

    /// Whether something happens that has this probability.
    pub fn happens(random: &mut Rng, rate: Rate) -> bool {
        rate != 0 && random.u32(..1_000_000) < rate
    }
}

impl MessageFaults {
    fn draw(random: &mut Rng) -> Self {
        Self {
            travel_max: [MILLI, 5 * MILLI, 40 * MILLI][random.usize(..3)],
            loss: rate(random, 200_000),
            repetition: rate(random, 200_000),
            delay: rate(random, 100_000),
            long_delay: rate(random, 60_000),
        }
    }
}

impl FaultCounts {
    fn draw(random: &mut Rng, outage_max: Micros) -> Self {
        let mut some = |max: u32| if random.bool() { random.u32(1..=max) } else { 0 };
        let (kills, power_losses, freezes) = (some(5), some(4), some(4));
        let (partitions, one_way_partitions, clock_jumps) = (some(4), some(4), some(3));
        Self {
            kills,
            power_losses,
            freezes,
            partitions,
            one_way_partitions,
            clock_jumps,
            lost_disks: if one_in(random, 6) { random.u32(1..=2) } else { 0 },
            forced_aborts: if one_in(random, 8) { random.u32(1..=3) } else { 0 },
            aimed: rate(random, 50_000),
            outage_max,
        }
    }
}

impl DriverHabits {
    fn draw(random: &mut Rng) -> Self {
        Self {
            soft_first: rate(random, 500_000),
            change: rate(random, 900_000),
            cancel: rate(random, 500_000),
            withdraw: rate(random, 200_000),
            repeat: rate(random, 400_000),
            elsewhere: rate(random, 500_000),
            ask_again_after_refusal: rate(random, 500_000),
            patience_max: random.u64(MILLI..12 * SECOND),
        }
    }
}

/// Limits under which a run reaches what takes hours otherwise: short where the rules promise to be safe however short.
fn draw_limits(random: &mut Rng, near: bool, hastily: bool) -> HoldLimits {
    let grace = match (near, hastily) {
        (true, true) => random.u64(..1_500),
        (true, false) => random.u64(..20_000),
        (false, _) => 900_000,
    };
    HoldLimits {
        soft_max: Duration::from_millis(random.u64(50..8_000)),
        grace: Duration::from_millis(grace),
        tombstone_keep: Duration::from_millis(if hastily { random.u64(..100) } else { random.u64(..20_000) }),
        inquire_after: Duration::from_millis(random.u64(100..=2_000)),
        undecided_holds_max: if one_in(random, 8) { 3 } else { 2_000 },
        ..HoldLimits::default()
    }
}

fn one_in(random: &mut Rng, count: u32) -> bool {
    random.u32(..count) == 0
}

/// Off in half of all runs; else up to `max`.
fn rate(random: &mut Rng, max: Rate) -> Rate {
    if random.bool() { 0 } else { random.u32(1..=max) }
}

/// When the last window has ended and every grace has passed, even by a clock that is hours behind.
pub const ALL_OVER: Micros = 27 * HOUR;
