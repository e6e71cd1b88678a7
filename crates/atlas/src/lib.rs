//! What a journey needs to know of the world: cities by name, and cars with what they consume.
//!
//! Pure: the tables are built in, everything else comes as arguments.

pub mod cars;
pub mod cities;
pub mod consumption;
pub mod zones;
