//! Simulated electric cars: 1 to 5,000 in one process, each with a battery, a driver and its own MQTT connection.
//!
//! A car ([`car::Car`]) is a pure state machine: answers and the passing of time in, messages and events out. It does
//! no I/O and reads no clock. A [`fleet::Fleet`] gives each car a task, a radio and the time. A car says where it goes;
//! the companies find its stops. All cars share one [`network::Network`]: the cities between which they drive.
//!
//! Two clocks are at work. What happens on the road (driving, charging, waiting, windows) is measured in simulated
//! time, which starts at the real time and runs faster. What happens on the network (waiting for an answer, repeating
//! a request, its expiry) is measured in real time, because brokers and companies do not run faster.

pub mod car;
pub mod clock;
pub mod events;
pub mod fleet;
pub mod geo;
pub mod model;
pub mod network;
pub mod plan;
pub mod radio;
pub mod settings;

mod outbox;

pub use clock::WallClock;
pub use events::{Event, Outcome, Refused, StopView, TripAnswered, TripAsked, Way};
pub use fleet::{Counts, Credentials, Fleet, FleetError, FleetHandle, FleetOptions};
pub use network::{Network, NetworkError};
pub use settings::{Patience, Settings};
