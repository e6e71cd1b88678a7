//! Rules broken on purpose, one at a time: each must be noticed within 500 seeds. What is broken is how the glue of the
//! simulation obeys the rules; the shipped code carries no switches.

use super::trace::Trace;
use super::world::World;

/// Seeds within which each must be noticed.
pub const SEEDS_MAX: u64 = 500;

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canary {
    /// A prepared hold is released when its time limit passes.
    PreparedExpires,
    /// Commit is told before its record is durable.
    CommitToldEarly,
    /// What is owed is sent before the record is durable.
    SweepSpeaksEarly,
    /// Yes is told before it is durable.
    YesToldEarly,
    /// A confirmation is acknowledged before it is durable.
    AcknowledgedEarly,
    /// The first acknowledgement settles the trip.
    FirstAcknowledgementSettles,
    /// What is owed is sent once and never again.
    NothingRepeated,
    /// Nobody asks about what is in doubt.
    NobodyAsked,
    /// An inquiry that arrives while votes are awaited is answered with abort.
    PendingMeansAbort,
    /// An inquiry is answered with abort, and no tombstone is left.
    NoTombstone,
    /// An inquiry is answered with abort before the tombstone is durable.
    TombstoneToldEarly,
    /// A late request to hold is granted in spite of a tombstone.
    TombstoneIgnored,
    /// A tombstone is forgotten although the coordinator was not asked.
    TombstoneForgottenUnasked,
    /// An abort is honoured by a company that has confirmed.
    AbortAfterConfirm,
    /// Silence until the time limit is counted as yes.
    SilenceCounted,
    /// A yes to a soft hold is counted as a vote.
    SoftHoldCounted,
    /// A restart keeps the epoch, so transaction ids come again.
    EpochReused,
    /// "No such store here" is read as abort.
    MissingStoreMeansAbort,
    /// A participant that lost its disk is believed that it never voted.
    AnotherStoresAbortBelieved,
    /// A participant that lost its disk grants a hold that was meant for the lost one.
    AnotherStoresHoldGranted,
    /// The coordinator's own branch is not in its commit record.
    OwnBranchNotRecorded,
    /// Told to confirm what it does not know, a company answers with success.
    UnknownConfirmed,
    /// A cancellation is sent as an abort of the old transaction.
    CancelledByAbort,
    /// A yes that arrives again after the commit is answered with abort.
    RepeatedYesAborted,
    /// A heuristic release is told to others as the outcome.
    HeuristicTold,
    /// "Released heuristically" is counted as an acknowledgement.
    LossTakenForSuccess,
    /// A power loss leaves half of a flush on the disk.
    FlushTorn,
    /// A flush fails, and the process goes on as if it had not.
    FailedFlushIgnored,
    /// A trip is forgotten half-way because its driver has hung up.
    HandlerDropped,
}

pub const ALL: [Canary; 29] = [
    Canary::PreparedExpires,
    Canary::CommitToldEarly,
    Canary::SweepSpeaksEarly,
    Canary::YesToldEarly,
    Canary::AcknowledgedEarly,
    Canary::FirstAcknowledgementSettles,
    Canary::NothingRepeated,
    Canary::NobodyAsked,
    Canary::PendingMeansAbort,
    Canary::NoTombstone,
    Canary::TombstoneToldEarly,
    Canary::TombstoneIgnored,
    Canary::TombstoneForgottenUnasked,
    Canary::AbortAfterConfirm,
    Canary::SilenceCounted,
    Canary::SoftHoldCounted,
    Canary::EpochReused,
    Canary::MissingStoreMeansAbort,
    Canary::AnotherStoresAbortBelieved,
    Canary::AnotherStoresHoldGranted,
    Canary::OwnBranchNotRecorded,
    Canary::UnknownConfirmed,
    Canary::CancelledByAbort,
    Canary::RepeatedYesAborted,
    Canary::HeuristicTold,
    Canary::LossTakenForSuccess,
    Canary::FlushTorn,
    Canary::FailedFlushIgnored,
    Canary::HandlerDropped,
];

/// The first seed that notices the broken rule, and how it shows.
pub fn find(canary: Canary) -> Option<(u64, String)> {
    (0..SEEDS_MAX).find_map(|seed| Some((seed, World::new(seed, Some(canary), Trace::Off).run()?)))
}

/// Tries all; false if one is not noticed.
pub fn try_all() -> bool {
    let mut all_found = true;
    for canary in ALL {
        match find(canary) {
            Some((seed, what)) => println!("{canary:?}: seed {seed}: {what}"),
            None => {
                all_found = false;
                println!("{canary:?}: NOT noticed within {SEEDS_MAX} seeds");
            }
        }
    }
    all_found
}
