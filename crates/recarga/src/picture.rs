//! The live picture in the terminal: one line for each trip, and a summary that runs along.

use std::io::{IsTerminal, Write, stdout};
use std::time::Duration;

use recarga_vehicle::events::{Event, Outcome, TripAnswered};

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Picture {
    plain: bool,
    /// Trips confirmed.
    pub confirmed: u64,
    /// Requests refused.
    pub refused: u64,
    /// Trips cancelled by their drivers.
    pub cancelled: u64,
    /// Requests that got no answer in time.
    pub unanswered: u64,
    /// Trips that came to their destination.
    pub arrived: u64,
    took: Vec<Duration>,
    online: u64,
    summary_shown: bool,
}

impl Picture {
    /// A picture with colours and a running summary on a terminal, or, `plain` or elsewhere, without.
    pub fn new(plain: bool) -> Self {
        Self { plain: plain || !stdout().is_terminal(), ..Self::default() }
    }

    /// Shows what happened to a car, if it is of interest.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::TripAnswered(answered) => self.show_answer(answered),
            Event::Online { .. } => self.online += 1,
            Event::Offline { .. } => self.online = self.online.saturating_sub(1),
            Event::Arrived { .. } => self.arrived += 1,
            Event::OutOfBattery { car, .. } => self.note(&format!("{car}  ran out of energy and is towed")),
            _ => {}
        }
    }

    /// Shows a line that is about no trip.
    pub fn note(&mut self, text: &str) {
        self.clear_summary();
        say!("{text}");
    }

    /// Shows the summary below the last line, in its place.
    pub fn show_summary(&mut self) {
        if self.plain {
            return;
        }
        self.clear_summary();
        say_on!("\x1b[1m{}\x1b[0m", self.summary());
        // A terminal that cannot be written to has nobody to complain to.
        let _ = stdout().flush();
        self.summary_shown = true;
    }

    /// All that was seen, in one line.
    pub fn summary(&self) -> String {
        let asked = self.confirmed + self.refused;
        let percent = (self.confirmed * 100).checked_div(asked).unwrap_or(0);
        format!(
            "{} cars · {} trips booked ({percent} % of {asked} requests) · {} refused · {} cancelled · {} arrived · \
             answer p50 {} p99 {}",
            self.online,
            self.confirmed,
            self.refused,
            self.cancelled,
            self.arrived,
            milliseconds(self.percentile(50)),
            milliseconds(self.percentile(99)),
        )
    }

    fn show_answer(&mut self, answered: &TripAnswered) {
        let (colour, mark, outcome) = match &answered.outcome {
            Outcome::Confirmed => {
                self.confirmed += 1;
                (32, "✓", "booked".to_owned())
            }
            Outcome::Refused(refused) => {
                self.refused += 1;
                let stop = refused.stop.map_or(String::new(), |stop| format!(", stop {}", stop + 1));
                (33, "✗", format!("refused: {}{stop}", refused.kind.code()))
            }
            Outcome::Cancelled => {
                self.cancelled += 1;
                (36, "○", "cancelled by its driver".to_owned())
            }
            Outcome::CancelRefused(refused) => (33, "✗", format!("not cancelled: {}", refused.kind.code())),
            Outcome::Unanswered => {
                self.unanswered += 1;
                (31, "?", "no answer in time".to_owned())
            }
        };
        if matches!(answered.outcome, Outcome::Confirmed | Outcome::Refused(_)) {
            self.took.push(answered.took);
        }
        let stops: Vec<String> = answered
            .stops
            .iter()
            .map(|stop| format!("{}/{} {} {}", stop.city, stop.state, stop.operator, stop.evse))
            .collect();
        let (car, took, way) = (&answered.car, milliseconds(answered.took), &answered.way);
        let stops = if stops.is_empty() { String::new() } else { format!(": {}", stops.join(" → ")) };
        let stops = format!("{} → {}{stops}", way.from, way.to);
        self.clear_summary();
        if self.plain {
            say!("{car}  {mark} {outcome}  {took}  {stops}");
        } else {
            say!("\x1b[{colour}m{car}  {mark} {outcome}\x1b[0m  {took}  \x1b[2m{stops}\x1b[0m");
        }
    }

    fn clear_summary(&mut self) {
        if std::mem::take(&mut self.summary_shown) {
            say_on!("\r\x1b[2K");
        }
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        let place = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        took.get(place).copied().unwrap_or_default()
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
