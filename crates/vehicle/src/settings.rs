//! How drivers behave, and how patient they are with the network.

use std::time::Duration;

use thiserror::Error;

/// How the cars of a fleet behave. Durations are simulated unless they say otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Simulated seconds per real second, 1 to 100,000.
    pub speed: f64,
    /// Between two status messages of a car that moves or charges; ten times as long for one that stands.
    pub status_period: Duration,
    /// Real time between two status messages of one car, at least; a [`crate::Fleet`] may stretch it.
    pub status_pause_min: Duration,
    /// How long a driver rests between two trips, on average.
    pub rest: Duration,
    /// Trips that each car makes, cancelled and abandoned ones included; without end if none.
    pub trips: Option<u32>,
    /// How likely a driver changes his mind before departure and cancels a confirmed trip, 0 to 1.
    pub cancel_probability: f64,
    /// How likely there is a traffic jam on a leg, 0 to 1.
    pub jam_probability: f64,
    /// The longest traffic jam.
    pub jam_max: Duration,
    /// How much the consumption of a leg differs at most from the planned, as a share: wind, rain, load. Above 0.1
    /// some cars will run out of energy.
    pub consumption_spread: f64,
    /// How likely a request names the company that shall coordinate, 0 to 1; otherwise the companies settle it.
    pub names_coordinator: f64,
    /// Requests for one destination before another is tried.
    pub attempts_max: u32,
    /// Destinations tried before the driver gives up for a while.
    pub places_max: u32,
    /// How patient cars are with the network.
    pub patience: Patience,
}

/// How patient a car is with the network, all in real time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// From a request to its first repeat; doubles with each.
    pub repeat_after: Duration,
    /// Longest pause between two repeats.
    pub repeat_every_max: Duration,
    /// From a request to its `expira_em`.
    pub valid: Duration,
    /// From a request to giving up on an answer. Longer than `valid`, so that repeats after the expiry find out what
    /// became of the request.
    pub give_up_after: Duration,
    /// How long a company that did not answer is not asked to coordinate.
    pub avoid: Duration,
    /// Unit of the pauses before another request after a refusal.
    pub pause: Duration,
    /// How much real time the booking is allowed before the planned departure.
    pub booking: Duration,
}

/// A setting that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{setting}: {cure}")]
pub struct BadSetting {
    /// Which.
    pub setting: &'static str,
    /// What it must be.
    pub cure: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            speed: 600.0,
            status_period: 5 * MINUTE,
            status_pause_min: Duration::from_secs(1),
            rest: 6 * 60 * MINUTE,
            trips: None,
            cancel_probability: 0.05,
            jam_probability: 0.03,
            jam_max: 60 * MINUTE,
            consumption_spread: 0.04,
            names_coordinator: 0.5,
            attempts_max: 6,
            places_max: 4,
            patience: Patience::default(),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            repeat_after: Duration::from_secs(3),
            repeat_every_max: Duration::from_secs(20),
            valid: Duration::from_secs(60),
            give_up_after: Duration::from_secs(90),
            avoid: Duration::from_secs(20),
            pause: Duration::from_millis(200),
            booking: Duration::from_secs(3),
        }
    }
}

impl Settings {
    /// Checks that every setting makes sense.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), BadSetting> {
        let probabilities = [
            ("cancel_probability", self.cancel_probability),
            ("jam_probability", self.jam_probability),
            ("names_coordinator", self.names_coordinator),
        ];
        if let Some((setting, _)) = probabilities.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share))
        {
            return Err(BadSetting { setting, cure: "must be 0 to 1" });
        }
        let rules = [
            ("speed", (1.0..=100_000.0).contains(&self.speed), "must be 1 to 100000"),
            ("consumption_spread", (0.0..=0.9).contains(&self.consumption_spread), "must be 0 to 0.9"),
            ("status_period", !self.status_period.is_zero(), "must not be zero"),
            ("attempts_max", self.attempts_max > 0, "must not be zero"),
            ("places_max", self.places_max > 0, "must not be zero"),
            ("trips", self.trips != Some(0), "must not be zero"),
            ("patience.repeat_after", !self.patience.repeat_after.is_zero(), "must not be zero"),
            (
                "patience.give_up_after",
                self.patience.give_up_after >= self.patience.valid,
                "must not be shorter than patience.valid",
            ),
        ];
        match rules.into_iter().find(|(_, holds, _)| !holds) {
            Some((setting, _, cure)) => Err(BadSetting { setting, cure }),
            None => Ok(()),
        }
    }
}
