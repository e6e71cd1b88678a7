//! Finds the charging stops of a journey.
//!
//! What is known comes as numbers: a [`Vehicle`], a [`Problem`] with stations, their free windows and tariffs, and
//! [`Legs`] with the time and the energy of every drive. [`Outlook::new`] looks at all of it without calendars and is
//! good for as long as only calendars change; [`Outlook::plan`] finds the best stops in free windows, or says what is
//! in the way. Pure: no I/O, no clock, no chance. The model and the algorithm are explained in `docs/planning.md`.

mod alternatives;
mod battery;
mod candidates;
mod itinerary;
mod legs;
mod obstacle;
mod outlook;
mod potential;
mod problem;
mod refine;
mod search;
mod tariff;

pub use battery::{ChargeTable, LEVELS, Vehicle};
pub use candidates::{Corridor, Spot, SpotIndex};
pub use itinerary::{Backup, Itinerary, Stop};
pub use legs::{Climb, Leg, Legs, MeasuredRoads, Position, Road, StraightLine, Table, distance_km};
pub use obstacle::{Obstacle, Place};
pub use outlook::Outlook;
pub use problem::{Connector, Evse, Invalid, Objective, Problem, Settings, Station};
pub use tariff::{Band, Tariff};
