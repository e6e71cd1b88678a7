//! What other companies, nodes and apps answer: as untrusted as what they ask.

use recarga_federation::{Authority, Roll};
use recarga_node::roads::Dialect;
use recarga_planning::Road;
use recarga_reservation::{OperatorId, TransactionId, Vote};
use recarga_wire::audit::AuditPage;
use recarga_wire::availability::{AvailabilityAnswer, PointsAnswer, into_stations};
use recarga_wire::batch::decode_batch_answer;
use recarga_wire::federation::SignedRoll;
use recarga_wire::health::HealthAnswer;
use recarga_wire::hold::HoldAnswer;
use recarga_wire::peer::{
    Answer, Asked, read_cancelled, read_confirmed, read_outcome, read_store, read_vote,
};
use recarga_wire::session::{InquiryAnswer, SessionAnswer};
use recarga_wire::trip::{TripAnswer, TripsAnswer};
use recarga_wire::vehicle::{VehicleAnswer, VehiclesAnswer};
use recarga_wire::{Problem, decode};

use super::properties::{message, seen, verdict};
use crate::{Form, Target, Verdict};

/// Answers.
pub const TARGETS: &[Target] = &[
    Target { name: "hold-answer", form: Form::Json, read: |bytes| plain::<HoldAnswer>(bytes) },
    Target { name: "session-answer", form: Form::Json, read: |bytes| plain::<SessionAnswer>(bytes) },
    Target { name: "inquiry-answer", form: Form::Json, read: |bytes| plain::<InquiryAnswer>(bytes) },
    Target { name: "health-answer", form: Form::Json, read: |bytes| plain::<HealthAnswer>(bytes) },
    Target { name: "trip-answer", form: Form::Json, read: |bytes| plain::<TripAnswer>(bytes) },
    Target { name: "trips-answer", form: Form::Json, read: |bytes| plain::<TripsAnswer>(bytes) },
    Target { name: "vehicle-answer", form: Form::Json, read: |bytes| plain::<VehicleAnswer>(bytes) },
    Target { name: "vehicles-answer", form: Form::Json, read: |bytes| plain::<VehiclesAnswer>(bytes) },
    Target {
        name: "availability-answer",
        form: Form::Json,
        read: |bytes| plain::<AvailabilityAnswer>(bytes),
    },
    Target { name: "points-answer", form: Form::Json, read: points_answer },
    Target { name: "audit-page", form: Form::Json, read: |bytes| plain::<AuditPage>(bytes) },
    Target { name: "problem", form: Form::Json, read: problem },
    Target { name: "peer-reply", form: Form::Json, read: peer_reply },
    Target { name: "batch-answer", form: Form::Json, read: batch_answer },
    Target { name: "road-answer", form: Form::Json, read: road_answer },
    Target { name: "roll", form: Form::Json, read: roll },
];

fn plain<T>(bytes: &[u8]) -> Result<Verdict, String>
where
    T: serde::de::DeserializeOwned + recarga_wire::Message + PartialEq + std::fmt::Debug,
{
    message::<T>(bytes).map(seen)
}

fn points_answer(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(answer) = message::<PointsAnswer>(bytes)? else { return Ok(Verdict::Refused) };
    let points = answer.pontos.len();
    let evses: usize = into_stations(answer.pontos).iter().map(|station| station.evses.len()).sum();
    if evses > points {
        return Err(format!("{points} points have become {evses} EVSEs"));
    }
    Ok(Verdict::Accepted)
}

// Two places asked from one, of either kind of routing service.
fn road_answer(bytes: &[u8]) -> Result<Verdict, String> {
    let read = [Dialect::Osrm, Dialect::Valhalla].map(|dialect| dialect.read(bytes, 1, 2));
    let mut accepted = false;
    for rows in read.into_iter().flatten() {
        let [row] = rows.as_slice() else { return Err(format!("{} rows for one", rows.len())) };
        let sound = |road: &Road| match road {
            Road::Known { km, minutes } => [km, minutes].iter().all(|one| (0.0..=100_000.0).contains(*one)),
            Road::Unknown => false,
            Road::Nowhere => true,
        };
        if row.len() != 2 || !row.iter().all(sound) {
            return Err(format!("roads that are none: {row:?}"));
        }
        accepted = true;
    }
    Ok(if accepted { Verdict::Accepted } else { Verdict::Refused })
}

// What the authority has signed, and another company has brought.
fn roll(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let unsigned = SignedRoll { conteudo: text.to_owned(), assinatura: String::new() };
    let Ok(read) = Roll::read_unchecked(&unsigned) else { return Ok(Verdict::Refused) };
    let authority = Authority::new([7; 32]);
    if Roll::believe(&unsigned, &authority.public()).is_ok() {
        return Err("it is believed although nobody has signed it".to_owned());
    }
    let signed =
        read.sign(&authority).map_err(|error| format!("it can be read and not be signed: {error}"))?;
    let again = Roll::believe(&signed, &authority.public());
    if again.as_ref() != Ok(&read) {
        return Err(format!("was {read:?}, is {again:?}"));
    }
    Ok(Verdict::Accepted)
}

fn problem(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(problem) = message::<Problem>(bytes)? else { return Ok(Verdict::Refused) };
    // A vote says so itself, and never by its status alone.
    let _ = problem.to_unacceptable();
    if problem.to_refusal().is_ok() && !problem.is_vote {
        return Err(format!("counted as a vote, and is none: {problem:?}"));
    }
    Ok(Verdict::Accepted)
}

/// What was asked, whatever comes back.
struct Question {
    operator: OperatorId,
    transaction: TransactionId,
}

fn question() -> Result<Question, String> {
    let operator = OperatorId::new("empresa-b").map_err(|error| error.to_string())?;
    let transaction: TransactionId = SESSION.parse().map_err(|error| format!("{error}"))?;
    Ok(Question { operator, transaction })
}

// That of the corpus.
const SESSION: &str = "empresa-a.00000000000000000000000000000007.1.1.00000000000000000000000000018697";

// No outcome and no vote may be read out of an answer that does not name the transaction and the company that were asked.
fn peer_reply(bytes: &[u8]) -> Result<Verdict, String> {
    let Question { operator, transaction } = question()?;
    let asked = Asked { operator: &operator, transaction: &transaction };
    let mut accepted = false;
    // A space leaves it to the library, which must understand the same.
    let spaced = [bytes, b" "].concat();
    for status in [200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503] {
        let vote = read_vote(asked, status, bytes);
        let confirmed = read_confirmed(asked, status, bytes);
        let cancelled = read_cancelled(asked, status, bytes);
        let outcome = read_outcome(asked, status, bytes);
        let store = read_store(&operator, status, bytes);
        let by_the_library =
            (read_vote(asked, status, &spaced).ok(), read_confirmed(asked, status, &spaced).ok());
        if (vote.clone().ok(), confirmed.clone().ok()) != by_the_library {
            return Err(format!("by hand {vote:?}, {confirmed:?}, by the library {by_the_library:?}"));
        }
        let done =
            [matches!(confirmed, Ok(Ok(()))), matches!(cancelled, Ok(Ok(()))), matches!(outcome, Ok(Ok(_)))];
        let yes = matches!(vote, Ok(Vote::Yes { .. }));
        accepted |= yes || vote.is_ok() || store.is_ok() || done.contains(&true);
        if yes || done.contains(&true) {
            believed(status, bytes)?;
        }
        if done == [true, true, false] || done == [true, true, true] {
            return Err("one answer says confirmed and cancelled".to_owned());
        }
    }
    Ok(if accepted { Verdict::Accepted } else { Verdict::Refused })
}

/// Only what speaks of the transaction and the company that were asked, with a status of success, may be believed.
///
/// # Errors
/// It was believed all the same.
pub fn believed(status: u16, bytes: &[u8]) -> Result<(), String> {
    if !(200..300).contains(&status) {
        return Err(format!("status {status} is read as success"));
    }
    if std::str::from_utf8(bytes).is_ok() && is_about(bytes) {
        return Ok(());
    }
    Err("an answer about something else is read as one about this".to_owned())
}

fn is_about(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct About {
        sessao: String,
        empresa: String,
    }
    serde_json::from_slice::<About>(bytes)
        .is_ok_and(|about| about.sessao == SESSION && about.empresa == "empresa-b")
}

// What was read by hand is what the library reads.
fn is_the_same(by_hand: &Answer<'_>, raw: &Answer<'_>) -> bool {
    match (by_hand, raw) {
        (Answer::Raw(one), Answer::Raw(other)) => one == other,
        (Answer::Held(answer), Answer::Raw(raw)) => decode::<HoldAnswer>(raw).as_ref() == Ok(answer),
        (Answer::Done(answer), Answer::Raw(raw)) => decode::<SessionAnswer>(raw).as_ref() == Ok(answer),
        _ => false,
    }
}

fn batch_answer(bytes: &[u8]) -> Result<Verdict, String> {
    for asked in [1, 2, 3] {
        let Some(answers) = verdict(decode_batch_answer(bytes, asked))? else { continue };
        // A space leaves it to the library, which must understand the same.
        let spaced = [bytes, b" "].concat();
        let by_the_library = decode_batch_answer(&spaced, asked).map_err(|problem| problem.to_string())?;
        for (one, other) in answers.iter().zip(&by_the_library) {
            if one.status != other.status || !is_the_same(&one.body, &other.body) {
                return Err(format!("by hand {one:?}, by the library {other:?}"));
            }
        }
        if answers.len() != asked {
            return Err(format!("{} answers to {asked} operations", answers.len()));
        }
        for answer in answers {
            if let Answer::Raw(body) = answer.body {
                let _ = decode::<Problem>(body);
                peer_reply(body)?;
            }
        }
        return Ok(Verdict::Accepted);
    }
    Ok(Verdict::Refused)
}
