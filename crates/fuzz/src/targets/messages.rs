//! What drivers, cars and companies ask: bodies, queries, payloads, topics and identifiers.

use recarga_reservation::{
    ConnectorId, EvseId, OperatorId, RequestId, StationId, StoreId, TransactionId, TripId, VehicleId,
};
use recarga_wire::audit::AuditParams;
use recarga_wire::availability::AvailabilityQuery;
use recarga_wire::batch::{BATCH_OPERATIONS_MAX, BatchRequest, decode_batch};
use recarga_wire::hold::HoldRequest;
use recarga_wire::session::{CancelRequest, ConfirmRequest, InquiryRequest};
use recarga_wire::topic::Topic;
use recarga_wire::trip::{TripBody, TripsParams};
use recarga_wire::vehicle::{VehicleRequestBody, VehicleStatus, Wish, decode_request, salvage};
use recarga_wire::version::Version;
use recarga_wire::{decode_query, encode, instant};

use super::properties::{message, seen, stops, text_value, verdict, written_again};
use crate::{Form, Target, Verdict};

pub const TARGETS: &[Target] = &[
    Target { name: "trip-request", form: Form::Json, read: trip_request },
    Target { name: "hold-request", form: Form::Json, read: hold_request },
    Target { name: "confirm-request", form: Form::Json, read: confirm_request },
    Target { name: "cancel-request", form: Form::Json, read: cancel_request },
    Target { name: "cancel-query", form: Form::Text, read: cancel_query },
    Target { name: "inquiry-request", form: Form::Json, read: inquiry_request },
    Target { name: "batch-request", form: Form::Json, read: batch_request },
    Target { name: "availability-query", form: Form::Text, read: availability_query },
    Target { name: "trips-query", form: Form::Text, read: trips_query },
    Target { name: "audit-query", form: Form::Text, read: audit_query },
    Target { name: "vehicle-request", form: Form::Json, read: vehicle_request },
    Target { name: "journey-request", form: Form::Json, read: journey_request },
    Target { name: "vehicle-status", form: Form::Json, read: vehicle_status },
    Target { name: "topic", form: Form::Text, read: topic },
    Target { name: "identifier", form: Form::Text, read: identifier },
    Target { name: "instant", form: Form::Text, read: instant_text },
];

fn trip_request(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(body) = message::<TripBody>(bytes)? else { return Ok(Verdict::Refused) };
    let Some(request) = verdict(body.into_request(None))? else { return Ok(Verdict::Refused) };
    let windows: Vec<_> = request.stops().iter().map(|one| one.stop.window).collect();
    stops(&windows)?;
    let again = TripBody::new(&request).into_request(Some(request.key().request.as_str()));
    if again.as_ref() != Ok(&request) {
        return Err(format!("was {request:?}, is {again:?}"));
    }
    Ok(Verdict::Accepted)
}

fn hold_request(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(body) = message::<HoldRequest>(bytes)? else { return Ok(Verdict::Refused) };
    let Some((hold, firmness, valid_for)) = verdict(body.into_hold())? else { return Ok(Verdict::Refused) };
    let windows: Vec<_> = hold.stops.iter().map(|stop| stop.window).collect();
    stops(&windows)?;
    if hold.participants.is_empty() || hold.participants.len() > 32 || hold.stores.len() > 32 {
        return Err(format!("{} companies, {} databases", hold.participants.len(), hold.stores.len()));
    }
    if !(1..=3600).contains(&valid_for.as_secs()) {
        return Err(format!("valid for {valid_for:?}"));
    }
    let again = HoldRequest::new(&hold, firmness, valid_for);
    written_again(&again)?;
    if again.into_hold().as_ref() != Ok(&(hold.clone(), firmness, valid_for)) {
        return Err(format!("{hold:?} is something else after it was written"));
    }
    Ok(Verdict::Accepted)
}

fn confirm_request(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(body) = message::<ConfirmRequest>(bytes)? else { return Ok(Verdict::Refused) };
    verdict(body.into_transaction()).map(seen)
}

fn cancel_request(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(body) = message::<CancelRequest>(bytes)? else { return Ok(Verdict::Refused) };
    verdict(body.into_transaction()).map(seen)
}

fn cancel_query(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(query) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let Some(body) = verdict(decode_query::<CancelRequest>(query))? else { return Ok(Verdict::Refused) };
    written_again(&body)?;
    verdict(body.into_transaction()).map(seen)
}

fn inquiry_request(bytes: &[u8]) -> Result<Verdict, String> {
    message::<InquiryRequest>(bytes).map(seen)
}

fn batch_request(bytes: &[u8]) -> Result<Verdict, String> {
    let read = decode_batch(bytes);
    // A space leaves it to the library, which must understand the same.
    let by_the_library = decode_batch(&[bytes, b" "].concat());
    if read.is_ok() && format!("{read:?}") != format!("{by_the_library:?}") {
        return Err(format!("by hand {read:?}, by the library {by_the_library:?}"));
    }
    let Some(batch) = verdict(read)? else { return Ok(Verdict::Refused) };
    let (operations, traces) = (batch.operations, batch.traces);
    if operations.is_empty() || operations.len() > BATCH_OPERATIONS_MAX || traces.len() != operations.len() {
        return Err(format!("{} operations, {} traces", operations.len(), traces.len()));
    }
    let mut good = Vec::new();
    for operation in operations {
        good.extend(verdict(operation)?);
    }
    if good.is_empty() {
        return Ok(Verdict::Refused);
    }
    let written = encode(&BatchRequest::new(good.iter().map(|one| (one.clone(), None)), Version::OWN));
    let again: Result<Vec<_>, _> =
        decode_batch(&written).map_err(|problem| problem.to_string())?.operations.into_iter().collect();
    if again.as_ref() != Ok(&good) {
        return Err(format!("was {good:?}, is {again:?}"));
    }
    Ok(Verdict::Accepted)
}

fn availability_query(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let Some(query) = verdict(AvailabilityQuery::decode(text))? else { return Ok(Verdict::Refused) };
    if query.limit.is_some_and(|limit| !(1..=500).contains(&limit)) {
        return Err(format!("a page of {:?}", query.limit));
    }
    let numbers = query.near.iter().flat_map(|near| [near.latitude, near.longitude, near.radius_km]);
    if let Some(number) = numbers.chain(query.power_kw_min).find(|number| !number.is_finite()) {
        return Err(format!("accepts {number}"));
    }
    if AvailabilityQuery::decode(&query.encode()).as_ref() != Ok(&query) {
        return Err(format!("{query:?} is something else after it was written"));
    }
    Ok(Verdict::Accepted)
}

fn trips_query(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(query) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    verdict(decode_query::<TripsParams>(query)).map(seen)
}

fn audit_query(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(query) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    verdict(decode_query::<AuditParams>(query)).map(seen)
}

// The car of the corpus; another car's payload on its topic is refused.
const CAR: &str = "carro-1";

fn car() -> Result<VehicleId, String> {
    VehicleId::new(CAR).map_err(|error| error.to_string())
}

fn vehicle_request(bytes: &[u8]) -> Result<Verdict, String> {
    // Whatever it is, the ids that a refusal repeats are looked for in it.
    let _ = salvage(bytes);
    let Some(body) = message::<VehicleRequestBody>(bytes)? else { return Ok(Verdict::Refused) };
    let car = car()?;
    let Some(request) = verdict(body.into_request(&car))? else { return Ok(Verdict::Refused) };
    if request.vehicle != car {
        return Err(format!("{} speaks on the topic of {car}", request.vehicle));
    }
    let again = match &request.wish {
        Wish::Book(trip) => {
            let windows: Vec<_> = trip.stops().iter().map(|one| one.stop.window).collect();
            stops(&windows)?;
            VehicleRequestBody::book(trip, request.operator.clone(), request.expires)
        }
        Wish::Plan(_) => return Err("reads a journey where stops stand".to_owned()),
        Wish::Cancel(trip) => {
            VehicleRequestBody::cancel(request.request.clone(), trip.clone(), request.operator.clone())
        }
    };
    let again = again.into_request(&car).map_err(|problem| problem.to_string())?;
    if (&again.request, &again.wish) != (&request.request, &request.wish) {
        return Err(format!("was {request:?}, is {again:?}"));
    }
    Ok(Verdict::Accepted)
}

// A repeat is recognised by what it is written as, so that must be the same each time.
fn journey_request(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(request) = decode_request(bytes, &car()?) else { return Ok(Verdict::Refused) };
    let Wish::Plan(journey) = &request.wish else { return Ok(Verdict::Refused) };
    let again = journey.to_body(request.operator.clone(), request.expires);
    let again = decode_request(&encode(&again), &car()?).map_err(|problem| problem.to_string())?;
    let Wish::Plan(repeated) = &again.wish else { return Err(format!("is {again:?} when repeated")) };
    if again != request || repeated.journey.canonical() != journey.journey.canonical() {
        return Err(format!("was {request:?}, is {again:?}"));
    }
    Ok(Verdict::Accepted)
}

fn vehicle_status(bytes: &[u8]) -> Result<Verdict, String> {
    let Some(status) = message::<VehicleStatus>(bytes)? else { return Ok(Verdict::Refused) };
    let within = [
        (status.latitude, -90.0, 90.0),
        (status.longitude, -180.0, 180.0),
        (status.bateria_pct, 0.0, 100.0),
        (status.velocidade_kmh, 0.0, 400.0),
        (status.autonomia_km, 0.0, 5000.0),
    ];
    if let Some((value, least, most)) =
        within.iter().find(|(value, least, most)| !(least..=most).contains(&value))
    {
        return Err(format!("accepts {value}, which is not within {least} and {most}"));
    }
    verdict(status.check_topic(&car()?)).map(seen)
}

fn topic(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    if text.parse::<Topic>().is_ok_and(|topic| topic.to_string() != text) {
        return Err(format!("{text} is another topic after it was written"));
    }
    text_value::<Topic>(text)
}

fn identifier(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    let all = [
        text_value::<OperatorId>(text)?,
        text_value::<StationId>(text)?,
        text_value::<EvseId>(text)?,
        text_value::<ConnectorId>(text)?,
        text_value::<VehicleId>(text)?,
        text_value::<RequestId>(text)?,
        text_value::<TripId>(text)?,
        text_value::<StoreId>(text)?,
        text_value::<TransactionId>(text)?,
    ];
    Ok(if all.contains(&Verdict::Accepted) { Verdict::Accepted } else { Verdict::Refused })
}

fn instant_text(bytes: &[u8]) -> Result<Verdict, String> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(Verdict::Refused) };
    match instant::parse(text) {
        Ok(read) if instant::parse(&instant::format(read)) == Ok(read) => Ok(Verdict::Accepted),
        Ok(read) => Err(format!("{read:?} is another instant after it was written")),
        Err(reason) if reason.is_empty() => Err("refused without a reason".to_owned()),
        Err(_) => Ok(Verdict::Refused),
    }
}
