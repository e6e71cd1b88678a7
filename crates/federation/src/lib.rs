//! Who belongs to a federation.
//!
//! The federation's authority, a person with a key, signs a [`Roll`]: every company with its address and its public
//! key. Companies believe the signature, whoever brings the roll, and of two rolls the later one. Two companies know
//! each other by a [`pair_token`] that both derive from their own key and the other's public one, so that no secret
//! ever travels or stands on the roll. Pure: no I/O, no clock, no chance.

mod keys;
mod roll;

pub use keys::{Authority, AuthorityKey, CompanyKey, KeyError, PublicKey, pair_token};
pub use roll::{COMPANIES_MAX, Fellow, Roll, RollError};
