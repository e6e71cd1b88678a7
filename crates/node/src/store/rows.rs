//! How facts look on disk: JSON, so that a row can be read by a person and a field can be added without a migration.
//! These are the disk's names, not the wire's; they change only together with the format number of the store.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use recarga_reservation::{
    AbortCause, Branch, Fact, Hold, OperatorId, Planned, Plug, RequestKey, Stage, Stop, StoreId, TimeWindow,
    Timestamp, TransactionId, Trip, TripRequest, TripStop,
};
use serde::{Deserialize, Serialize};

use super::{Forced, Letter, Record};

mod writing;

/// A row that cannot be understood.
pub type Malformed = Box<dyn std::error::Error + Send + Sync>;

/// A table of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// What this company does for a transaction.
    Branches = 0,
    /// Trips that this company coordinates.
    Trips = 1,
    /// Requests that came by MQTT.
    Letters = 2,
    /// EVSEs that are out of service.
    Evses = 3,
    /// What operators forced without an outcome.
    Forced = 4,
}

impl Table {
    /// Every one.
    pub const ALL: [Table; 5] = [Table::Branches, Table::Trips, Table::Letters, Table::Evses, Table::Forced];

    /// The inverse of `as u8`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| *table as u8 == number)
    }

    /// What it is called, in databases and for people.
    pub fn name(self) -> &'static str {
        match self {
            Table::Branches => "branches",
            Table::Trips => "trips",
            Table::Letters => "letters",
            Table::Evses => "evses",
            Table::Forced => "forced",
        }
    }

    /// The inverse of [`Table::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// A row as it is written; one without a value is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it belongs.
    pub table: Table,
    /// Under what.
    pub key: String,
    /// JSON.
    pub value: Option<Vec<u8>>,
}

impl Row {
    /// The row of a record.
    ///
    /// # Errors
    /// A value that JSON cannot write.
    pub fn of(record: &Record) -> Result<Self, Malformed> {
        let (table, key, value) = match record {
            Record::Fact(Fact::Branch(transaction, branch)) => {
                (Table::Branches, transaction.to_string(), Some(writing::branch(branch)))
            }
            Record::Fact(Fact::BranchForgotten(transaction)) => {
                (Table::Branches, transaction.to_string(), None)
            }
            Record::Fact(Fact::Trip(trip)) => {
                (Table::Trips, trip.transaction.to_string(), Some(writing::trip(trip)))
            }
            Record::Fact(Fact::TripForgotten(transaction)) => (Table::Trips, transaction.to_string(), None),
            Record::Letter(letter) => (Table::Letters, letter_key(&letter.key), Some(write_letter(letter)?)),
            Record::LetterForgotten(key) => (Table::Letters, letter_key(key), None),
            Record::OutOfService(evse) => (Table::Evses, evse.to_string(), Some(OUT_OF_SERVICE.to_vec())),
            Record::InService(evse) => (Table::Evses, evse.to_string(), None),
            Record::Forced(forced) => {
                (Table::Forced, forced.transaction.to_string(), Some(write_forced(forced)?))
            }
        };
        Ok(Self { table, key, value })
    }

    /// The record of a row.
    ///
    /// # Errors
    /// It cannot be understood, or speaks of something else than its key.
    pub fn read(table: Table, key: &str, value: &[u8]) -> Result<Record, Malformed> {
        match table {
            Table::Branches => {
                let (transaction, branch): (TransactionId, _) = (key.parse()?, read_branch(value)?);
                check_name(&transaction, hold_of(&branch).map(|hold| &hold.transaction))?;
                Ok(Record::Fact(Fact::Branch(transaction, branch)))
            }
            Table::Trips => {
                let (transaction, trip): (TransactionId, _) = (key.parse()?, read_trip(value)?);
                check_name(&transaction, Some(&trip.transaction))?;
                Ok(Record::Fact(Fact::Trip(trip)))
            }
            Table::Letters => {
                let letter = read_letter(value)?;
                check_name(key, Some(letter_key(&letter.key).as_str()))?;
                Ok(Record::Letter(letter))
            }
            // A later program may say more of it.
            Table::Evses => {
                let _: serde::de::IgnoredAny = serde_json::from_slice(value)?;
                Ok(Record::OutOfService(key.parse()?))
            }
            Table::Forced => Ok(Record::Forced(read_forced(key, value)?)),
        }
    }
}

const OUT_OF_SERVICE: &[u8] = br#"{"state":"out_of_service"}"#;

// As they are read; `writing` puts them down. Texts are borrowed where nothing in them is escaped.
#[derive(Deserialize)]
struct BranchRow<'a> {
    state: BranchState,
    #[serde(default)]
    hold: Option<HoldRow<'a>>,
    #[serde(default)]
    cause: Option<Cause>,
    // Held: when it expires; aborted: since when. Milliseconds since 1970 in UTC, as everywhere in rows.
    #[serde(default)]
    at: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BranchState {
    Held,
    Prepared,
    Confirmed,
    Released,
    Aborted,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Cause {
    Coordinator,
    VotedNo,
    Expired,
    Inquired,
    Heuristic,
}

#[derive(Deserialize)]
struct HoldRow<'a> {
    transaction: Cow<'a, str>,
    vehicle: Cow<'a, str>,
    request: Cow<'a, str>,
    #[serde(default)]
    plug: Option<Cow<'a, str>>,
    participants: Vec<Cow<'a, str>>,
    #[serde(default)]
    stores: BTreeMap<Cow<'a, str>, String>,
    priority: i64,
    stops: Vec<StopRow<'a>>,
    #[serde(default)]
    replaces: Option<String>,
}

#[derive(Deserialize)]
struct StopRow<'a> {
    // Only in trips: in a hold every stop is at the company whose store this is.
    #[serde(default)]
    operator: Option<Cow<'a, str>>,
    number: u16,
    evse: Cow<'a, str>,
    start: i64,
    end: i64,
}

#[derive(Deserialize)]
struct TripRow<'a> {
    id: Cow<'a, str>,
    transaction: Cow<'a, str>,
    vehicle: Cow<'a, str>,
    request: Cow<'a, str>,
    #[serde(default)]
    plug: Option<Cow<'a, str>>,
    stops: Vec<StopRow<'a>>,
    decided: i64,
    stage: StageName,
    // Who has yet to acknowledge the confirm or the release.
    #[serde(default)]
    waiting_for: Vec<Cow<'a, str>>,
    #[serde(default)]
    lost: Vec<Cow<'a, str>>,
    #[serde(default)]
    replaces: Option<String>,
    participants: Vec<Cow<'a, str>>,
    #[serde(default)]
    planned: Option<PlannedRow<'a>>,
}

// Kept as it was written, byte for byte.
#[derive(Deserialize)]
struct PlannedRow<'a> {
    wish: Cow<'a, str>,
    itinerary: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum StageName {
    Committed,
    Settled,
    Cancelled,
    Replaced,
}

#[derive(Serialize, Deserialize)]
struct LetterRow<'a> {
    vehicle: Cow<'a, str>,
    request_id: Cow<'a, str>,
    received: i64,
    request: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Cow<'a, str>>,
    owed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_topic: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<Cow<'a, [u8]>>,
}

#[derive(Serialize, Deserialize)]
struct ForcedRow<'a> {
    at: i64,
    by: Cow<'a, str>,
    reason: Cow<'a, str>,
    // Whether the transaction was committed, and when that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    committed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heard: Option<i64>,
}

fn read_branch(bytes: &[u8]) -> Result<Branch, Malformed> {
    let row: BranchRow<'_> = serde_json::from_slice(bytes)?;
    let at = row.at.map(Timestamp::from_millis);
    let hold = row.hold.map(read_hold).transpose()?.map(Arc::new);
    let needed = || hold.clone().ok_or("a branch without its hold");
    Ok(match row.state {
        BranchState::Held => {
            Branch::Held { hold: needed()?, expires: at.ok_or("a soft hold without its expiry")? }
        }
        BranchState::Prepared => Branch::Prepared { hold: needed()? },
        BranchState::Confirmed => Branch::Confirmed { hold: needed()? },
        BranchState::Released => Branch::Released { hold: needed()? },
        BranchState::Aborted => Branch::Aborted {
            cause: match row.cause.ok_or("a tombstone without its cause")? {
                Cause::Coordinator => AbortCause::Coordinator,
                Cause::VotedNo => AbortCause::VotedNo,
                Cause::Expired => AbortCause::Expired,
                Cause::Inquired => AbortCause::Inquired,
                Cause::Heuristic => AbortCause::Heuristic,
            },
            at: at.ok_or("a tombstone without its time")?,
            hold,
        },
    })
}

fn read_trip(bytes: &[u8]) -> Result<Trip, Malformed> {
    let row: TripRow<'_> = serde_json::from_slice(bytes)?;
    let waiting_for = operators(&row.waiting_for)?;
    let mut stops = Vec::with_capacity(row.stops.len());
    for stop in row.stops {
        let operator = stop.operator.as_deref().ok_or("a trip's stop without its company")?.parse()?;
        stops.push(TripStop { operator, stop: read_stop(stop)? });
    }
    let key = RequestKey { vehicle: row.vehicle.parse()?, request: row.request.parse()? };
    let plug = row.plug.as_deref().map(Plug::from_name).transpose()?;
    let mut request = TripRequest::new(key, plug, stops)?;
    if let Some(PlannedRow { wish, itinerary }) = row.planned {
        request = request.planned_for(Planned { wish: wish.into(), itinerary: itinerary.into() });
    }
    Ok(Trip {
        id: row.id.parse()?,
        transaction: row.transaction.parse()?,
        request: Arc::new(request),
        decided: Timestamp::from_millis(row.decided),
        stage: match row.stage {
            StageName::Committed => Stage::Committed { unacknowledged: waiting_for },
            StageName::Settled => Stage::Settled,
            StageName::Cancelled => Stage::Cancelled { unreleased: waiting_for },
            StageName::Replaced => Stage::Replaced,
        },
        lost: operators(&row.lost)?,
        replaces: row.replaces.map(|text| text.parse()).transpose()?,
        participants: operators(&row.participants)?,
    })
}

fn write_forced(forced: &Forced) -> Result<Vec<u8>, Malformed> {
    let row = ForcedRow {
        at: forced.at.as_millis(),
        by: forced.by.as_str().into(),
        reason: forced.reason.as_str().into(),
        committed: forced.turned_out.map(|(committed, _)| committed),
        heard: forced.turned_out.map(|(_, at)| at.as_millis()),
    };
    Ok(serde_json::to_vec(&row)?)
}

fn read_forced(key: &str, bytes: &[u8]) -> Result<Forced, Malformed> {
    let row: ForcedRow<'_> = serde_json::from_slice(bytes)?;
    Ok(Forced {
        transaction: key.parse()?,
        at: Timestamp::from_millis(row.at),
        by: row.by.into_owned(),
        reason: row.reason.into_owned(),
        turned_out: row.committed.zip(row.heard.map(Timestamp::from_millis)),
    })
}

fn write_letter(letter: &Letter) -> Result<Vec<u8>, Malformed> {
    let row = LetterRow {
        vehicle: letter.key.vehicle.as_str().into(),
        request_id: letter.key.request.as_str().into(),
        received: letter.received.as_millis(),
        request: letter.request.as_str().into(),
        answer: letter.answer.as_deref().map(Cow::Borrowed),
        owed: letter.owed,
        response_topic: letter.response_topic.as_deref().map(Cow::Borrowed),
        correlation: letter.correlation.as_deref().map(Cow::Borrowed),
    };
    Ok(serde_json::to_vec(&row)?)
}

fn read_letter(bytes: &[u8]) -> Result<Letter, Malformed> {
    let row: LetterRow<'_> = serde_json::from_slice(bytes)?;
    Ok(Letter {
        key: RequestKey { vehicle: row.vehicle.parse()?, request: row.request_id.parse()? },
        received: Timestamp::from_millis(row.received),
        request: row.request.into_owned(),
        answer: row.answer.map(Cow::into_owned),
        owed: row.owed,
        response_topic: row.response_topic.map(Cow::into_owned),
        correlation: row.correlation.map(Cow::into_owned),
    })
}

fn read_hold(row: HoldRow<'_>) -> Result<Hold, Malformed> {
    Ok(Hold {
        transaction: row.transaction.parse()?,
        key: RequestKey { vehicle: row.vehicle.parse()?, request: row.request.parse()? },
        plug: row.plug.as_deref().map(Plug::from_name).transpose()?,
        participants: operators(&row.participants)?,
        stores: row.stores.iter().map(read_store).collect::<Result<_, _>>()?,
        priority: Timestamp::from_millis(row.priority),
        stops: row.stops.into_iter().map(read_stop).collect::<Result<_, _>>()?,
        replaces: row.replaces.map(|text| text.parse()).transpose()?,
    })
}

fn read_stop(row: StopRow<'_>) -> Result<Stop, Malformed> {
    let (start, end) = (Timestamp::from_millis(row.start), Timestamp::from_millis(row.end));
    Ok(Stop { number: row.number, evse: row.evse.parse()?, window: TimeWindow::new(start, end)? })
}

fn read_store((operator, store): (&Cow<'_, str>, &String)) -> Result<(OperatorId, StoreId), Malformed> {
    Ok((operator.parse()?, store.parse()?))
}

fn operators<C: FromIterator<OperatorId>>(texts: &[Cow<'_, str>]) -> Result<C, Malformed> {
    Ok(texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?)
}

// Of two rows that speak of the same thing, the one read last would count.
fn check_name<T: PartialEq + Display + ?Sized>(key: &T, own: Option<&T>) -> Result<(), Malformed> {
    match own {
        Some(own) if own != key => Err(format!("it speaks of {own}").into()),
        _ => Ok(()),
    }
}

fn hold_of(branch: &Branch) -> Option<&Hold> {
    match branch {
        Branch::Held { hold, .. }
        | Branch::Prepared { hold }
        | Branch::Confirmed { hold }
        | Branch::Released { hold } => Some(hold),
        Branch::Aborted { hold, .. } => hold.as_deref(),
    }
}

fn letter_key(key: &RequestKey) -> String {
    format!("{}/{}", key.vehicle, key.request)
}
