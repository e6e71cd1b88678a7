//! What an audit can find.

use std::fmt;

use recarga_reservation::{EvseId, OperatorId, StoreId, TimeWindow, TransactionId};
use recarga_wire::instant;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// What findings mean for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Cannot be if everyone keeps to the protocol: somebody's record is wrong.
    Violation,
    /// A trip of which a company released its part alone, at the window's start plus grace: not all, not nothing,
    /// and known to be so.
    Mixed,
    /// Not over yet; it will be once the companies have heard of each other.
    Unsettled,
    /// Released alone as well, but nothing came of it: the trip was not to be.
    Heuristic,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two transactions have overlapping windows of one EVSE.
    DoubleBooked,
    /// Committed, and aborted at a participant.
    CommittedButAborted,
    /// Committed, and a participant knows nothing of it.
    CommittedButMissing,
    /// Committed, and a participant that never voted holds it softly.
    CommittedButSoft,
    /// Committed and valid, and given back at a participant.
    CommittedButReleased,
    /// A participant has acknowledged the commit, and its record does not have it.
    AcknowledgedButPrepared,
    /// A participant has other stops than the trip.
    DifferentStops,
    /// Reserved at a company that the trip does not name.
    Stranger,
    /// Reserved, and the coordinator has no commit record.
    ConfirmedWithoutCommit,
    /// Companies disagree; the coordinator's record is not at hand.
    Split,
    /// Cancelled and acknowledged, and still reserved.
    CancelledButReserved,
    /// Changed, and the old windows are still reserved.
    ReplacedButReserved,
    /// Changed, and the old trip still counts as valid.
    ReplacedButValid,
    /// Counts as changed, and nothing took its place.
    ReplacedByNothing,
    /// Counts as lost, and is reserved.
    LostButReserved,
    /// Committed, and released heuristically at a company.
    MixedOutcome,
    /// Voted yes, and has not heard the outcome.
    InDoubt,
    /// Committed, and not acknowledged by every company.
    ConfirmOwed,
    /// Cancelled, and not acknowledged by every company.
    ReleaseOwed,
    /// Some have heard of a cancellation or a change and some have not; the coordinator's record is not at hand.
    HalfReleased,
    /// Looked wrong at one moment, while the companies were at work, and not at the moment before.
    SeenOnce,
    /// Released heuristically; the trip was aborted or cancelled.
    HeuristicRelease,
}

impl Kind {
    /// Its class.
    pub fn class(self) -> Class {
        match self {
            Kind::MixedOutcome => Class::Mixed,
            Kind::InDoubt | Kind::ConfirmOwed | Kind::ReleaseOwed | Kind::HalfReleased | Kind::SeenOnce => {
                Class::Unsettled
            }
            Kind::HeuristicRelease => Class::Heuristic,
            _ => Class::Violation,
        }
    }

    /// In a few words.
    pub fn words(self) -> &'static str {
        match self {
            Kind::DoubleBooked => "booked twice",
            Kind::CommittedButAborted => "committed, but aborted",
            Kind::CommittedButMissing => "committed, but unknown",
            Kind::CommittedButSoft => "committed, but only held softly",
            Kind::CommittedButReleased => "committed, but given back",
            Kind::AcknowledgedButPrepared => "acknowledged, but not confirmed",
            Kind::DifferentStops => "other stops than the trip's",
            Kind::Stranger => "reserved where the trip does not go",
            Kind::ConfirmedWithoutCommit => "reserved without a commit record",
            Kind::Split => "reserved at some companies only",
            Kind::CancelledButReserved => "cancelled, but still reserved",
            Kind::ReplacedButReserved => "changed, but the old windows are still reserved",
            Kind::ReplacedButValid => "changed, but the old trip is still valid",
            Kind::ReplacedByNothing => "changed into nothing",
            Kind::LostButReserved => "lost, but reserved",
            Kind::MixedOutcome => "committed, but released heuristically",
            Kind::InDoubt => "in doubt",
            Kind::ConfirmOwed => "confirmation owed",
            Kind::ReleaseOwed => "release owed",
            Kind::HalfReleased => "released at some companies only",
            Kind::SeenOnce => "not the same everywhere at this moment",
            Kind::HeuristicRelease => "released heuristically",
        }
    }
}

/// One thing that was found. Two looks at the same thing are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Of which transactions.
    pub transactions: Vec<TransactionId>,
    /// At which companies.
    pub companies: Vec<OperatorId>,
    /// Which windows of which EVSEs are concerned.
    pub windows: Vec<(EvseId, TimeWindow)>,
}

impl Finding {
    /// Something about one transaction at one company.
    pub fn new(kind: Kind, transaction: &TransactionId, company: &OperatorId) -> Self {
        Self {
            kind,
            transactions: vec![transaction.clone()],
            companies: vec![company.clone()],
            windows: vec![],
        }
    }

    /// Names the windows.
    pub fn with_windows(mut self, windows: impl IntoIterator<Item = (EvseId, TimeWindow)>) -> Self {
        self.windows.extend(windows);
        self
    }
}

/// One line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let companies: Vec<&str> = self.companies.iter().map(OperatorId::as_str).collect();
        write!(f, "{}: at {}", self.kind.words(), companies.join(", "))?;
        for (evse, window) in &self.windows {
            let (start, end) = (instant::format(window.start()), instant::format(window.end()));
            write!(f, ", {evse} {start}..{end}")?;
        }
        for transaction in &self.transactions {
            write!(f, ", {transaction}")?;
        }
        Ok(())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let window = |(evse, window): &(EvseId, TimeWindow)| WindowText {
            evse: evse.to_string(),
            start: instant::format(window.start()),
            end: instant::format(window.end()),
        };
        let mut object = serializer.serialize_struct("Finding", 5)?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("class", &self.kind.class())?;
        let transactions: Vec<String> = self.transactions.iter().map(ToString::to_string).collect();
        object.serialize_field("transactions", &transactions)?;
        let companies: Vec<&str> = self.companies.iter().map(OperatorId::as_str).collect();
        object.serialize_field("companies", &companies)?;
        let windows: Vec<WindowText> = self.windows.iter().map(window).collect();
        object.serialize_field("windows", &windows)?;
        object.end()
    }
}

#[derive(Serialize)]
struct WindowText {
    evse: String,
    start: String,
    end: String,
}

/// A company, or a database of it, of which nothing is at hand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotExamined {
    /// The whole company.
    Company(OperatorId),
    /// The company's present database is another one than the one that coordinated.
    Database(OperatorId, StoreId),
}

impl fmt::Display for NotExamined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotExamined::Company(company) => write!(f, "{company}"),
            NotExamined::Database(company, store) => {
                write!(f, "database {store} of {company}, an earlier one")
            }
        }
    }
}

impl Serialize for NotExamined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
