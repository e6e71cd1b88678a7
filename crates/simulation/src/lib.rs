//! The whole federation in virtual time, with faults, from one seed.

pub mod federation;
