//! How closely a search looks.

use crate::problem::Problem;

/// How closely.
pub struct Care {
    /// Charged to is every so many of these parts of a level, and as much as a window allows.
    pub parts: usize,
    pub every: usize,
    /// Levels for which the potential may be too careful: it rounds drives up.
    pub leniency: usize,
    /// By how much more than what is still ahead at least it is taken for: full calendars delay.
    pub foresight: f64,
    pub unnoticed: Unnoticed,
    pub labels_max: usize,
}

/// By so much a label may be worse than another and still count as good. Without it, labels that differ by seconds and
/// cents are all kept where money counts, and there are millions of them.
pub struct Unnoticed {
    pub kwh: f64,
    pub minutes: f64,
    pub extra: f64,
}

impl Unnoticed {
    pub const NOTHING: Unnoticed = Unnoticed { kwh: 0.0, minutes: 0.0, extra: 0.0 };
}

impl Care {
    /// At every hundredth of the battery.
    pub fn fine(problem: &Problem) -> Self {
        let price_weight = problem.settings.objective.price_weight;
        let minutes = if price_weight > 0.0 { 0.5 } else { 0.02 };
        let kwh = problem.vehicle.step_kwh() * 0.2;
        let unnoticed = Unnoticed { kwh, minutes, extra: 0.05 * price_weight };
        Self { parts: 1, every: 1, leniency: 0, foresight: 1.0, unnoticed, labels_max: 0 }
    }

    /// At parts of a hundredth.
    pub fn closer(problem: &Problem, parts: usize) -> Self {
        let share = 1.0 / parts as f64;
        let Care { unnoticed: Unnoticed { kwh, minutes, extra }, .. } = Self::fine(problem);
        let unnoticed = Unnoticed { kwh: kwh * share, minutes: minutes * share, extra: extra * share };
        Self { parts, leniency: 1, unnoticed, ..Self::fine(problem) }
    }

    /// At every fifth hundredth, and faster towards the destination than is allowed.
    pub fn coarse(problem: &Problem, foresight: f64, minutes: f64) -> Self {
        let extra = 0.1 * minutes * problem.settings.objective.price_weight;
        let unnoticed = Unnoticed { kwh: problem.vehicle.step_kwh(), minutes, extra };
        Self { parts: 1, every: 5, leniency: 0, foresight, unnoticed, labels_max: 0 }
    }
}
