//! What one seed decides before anything happens: how many companies, how much traffic, which faults.

use std::time::Duration;

use fastrand::Rng;

/// One simulation. Faults are switched on and off by the seed, so that rare pairs of them meet without others in their way.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which simulation.
    pub seed: u64,
    /// How many companies take part.
    pub companies: usize,
    /// EVSEs of each; few, so that trips compete.
    pub evses: usize,
    /// Windows of each EVSE that drivers ask for.
    pub slots: i64,
    /// Drivers, each with a car.
    pub drivers: usize,
    /// Trips that each driver asks for.
    pub trips: usize,
    /// How long faults happen.
    pub unrest: Duration,
    /// The mean pause between two faults.
    pub pause: Duration,
    /// Processes are killed; the operating system keeps what they wrote.
    pub kills: bool,
    /// The power fails; what was not synced is lost, kept or torn.
    pub power_cuts: bool,
    /// The disk refuses to sync.
    pub refused_syncs: bool,
    /// Nothing gets through between two companies, in both directions or in one.
    pub partitions: bool,
    /// Messages between two companies wait, and arrive late.
    pub held_links: bool,
    /// Messages between two companies are slow.
    pub slow_links: bool,
    /// Wall clocks jump by hours.
    pub clock_jumps: bool,
    /// Drivers hang up before the answer.
    pub hang_ups: bool,
    /// How fast each company's monotonic clock runs, in millionths more.
    pub drifts: Vec<u32>,
}

impl Settings {
    /// The simulation of a seed.
    pub fn of(seed: u64, companies: usize) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let mut settings = Self {
            seed,
            companies,
            evses: rng.usize(1..=3),
            slots: rng.i64(2..=6),
            drivers: rng.usize(4..=8),
            trips: rng.usize(2..=5),
            unrest: Duration::from_millis(rng.u64(2_000..=6_000)),
            pause: Duration::from_millis(rng.u64(60..=600)),
            kills: rng.bool(),
            power_cuts: rng.bool(),
            refused_syncs: rng.u8(0..3) == 0,
            partitions: rng.bool(),
            held_links: rng.bool(),
            slow_links: rng.bool(),
            clock_jumps: rng.u8(0..3) == 0,
            hang_ups: rng.bool(),
            drifts: (0..companies).map(|_| rng.u32(0..=50_000)).collect(),
        };
        let some = [settings.kills, settings.power_cuts, settings.partitions, settings.held_links];
        settings.kills |= !some.contains(&true);
        settings
    }

    /// The name of a company.
    pub fn name(company: usize) -> String {
        format!("empresa-{company}")
    }

    /// The name of an EVSE.
    pub fn evse(company: usize, number: usize) -> String {
        format!("P-{company}-{number}")
    }
}
