//! Rules broken on purpose, one at a time: each must be found by the same exploration that finds nothing in the
//! shipped rules. What is broken is how the glue obeys them; the shipped code carries no switches.

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plant {
    /// A prepared hold is released when its time limit passes.
    PreparedExpires,
    /// Commit is told before its record is durable.
    CommitToldEarly,
    /// The sweep sends what is owed before the record is durable.
    SweepSpeaksEarly,
    /// Yes is told before it is durable.
    YesToldEarly,
    /// A confirmation is acknowledged before it is durable.
    AcknowledgedEarly,
    /// The first acknowledgement settles the trip.
    FirstAcknowledgementSettles,
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
    /// The coordinator's own branch is not in its commit record.
    OwnBranchNotRecorded,
    /// Told to confirm what it does not know, a company answers with success.
    UnknownConfirmed,
    /// A cancellation is sent as an abort of the old transaction.
    CancelledByAbort,
    /// A yes that arrives again after the commit is answered with abort.
    RepeatedYesAborted,
    /// What a process finds after a restart is trusted although it is not durable yet.
    RestartTrustsUnflushed,
    /// A heuristic release is told to others as the outcome.
    HeuristicTold,
    /// "Released heuristically" is counted as an acknowledgement.
    LossTakenForSuccess,
}
