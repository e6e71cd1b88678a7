//! Sends a question and stays with it until the answer is known.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use hyper::Method;
use recarga_reservation::{RequestId, TripId, VehicleId};
use recarga_wire::trip::{TripAnswer, TripBody, TripsAnswer};
use recarga_wire::{Problem, ProblemKind, decode, encode};
use tokio::time::{Instant, sleep};

use crate::client::{Answer, Client};

/// First pause before the question is asked again; doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What to ask.
#[derive(Debug)]
pub struct Question {
    method: Method,
    path: String,
    body: Vec<u8>,
    /// Where to ask for a trip whose answer did not come; none if the question can simply be repeated.
    inquiry: Option<String>,
    /// The request, of a wish.
    pub request: Option<(VehicleId, RequestId)>,
}

/// What the node said.
#[derive(Debug)]
pub enum Asked {
    /// A trip, and the answer as it came.
    Trip(Box<Said<TripAnswer>>),
    /// Trips, perhaps none, and the answer as it came.
    Trips(Said<TripsAnswer>),
    /// No; and the answer as it came.
    Refused(Said<Problem>),
    /// The time is up and the answer is not known; why.
    Unknown(String),
}

/// A message and its text.
#[derive(Debug)]
pub struct Said<M> {
    /// The message.
    pub message: M,
    /// As it came.
    pub raw: String,
}

impl Question {
    /// A trip, or the stops of an existing one.
    pub fn wish(
        body: TripBody,
        vehicle: &VehicleId,
        request: &RequestId,
        changes: Option<&TripId>,
    ) -> Question {
        let (method, path) = match changes {
            None => (Method::POST, "/viagens".to_owned()),
            Some(trip) => (Method::PUT, format!("/viagens/{trip}")),
        };
        Question {
            method,
            path,
            body: encode(&body),
            inquiry: Some(list(vehicle, Some(request))),
            request: Some((vehicle.clone(), request.clone())),
        }
    }

    /// To look at a trip, or to cancel it.
    pub fn trip(method: Method, trip: &TripId) -> Question {
        Question { method, path: format!("/viagens/{trip}"), body: vec![], inquiry: None, request: None }
    }

    /// The trips of a car.
    pub fn list(vehicle: &VehicleId, request: Option<&RequestId>) -> Question {
        let path = list(vehicle, request);
        Question { method: Method::GET, path, body: vec![], inquiry: None, request: None }
    }
}

// Ids need no escaping.
fn list(vehicle: &VehicleId, request: Option<&RequestId>) -> String {
    let request = request.map_or(String::new(), |request| format!("&requisicao_id={request}"));
    format!("/viagens?veiculo_id={vehicle}{request}")
}

/// Asks; a wish without an answer is asked for at its own address until the answer is known or `patience` is over.
///
/// # Errors
/// The node cannot be reached, or answers what is not understood.
pub async fn ask(client: &Client, question: &Question, patience: Duration) -> Result<Asked> {
    let Question { method, path, body, inquiry, .. } = question;
    let sent = client.send(method.clone(), path, body.clone()).await;
    let Some(inquiry) = inquiry else { return understand(sent?) };
    let (place, why) = match sent {
        Ok(answer) => match understand(answer)? {
            Asked::Refused(Said { message, .. }) if message.kind == ProblemKind::InProgress => {
                let place = message.inquiry_url.as_deref().filter(|url| url.starts_with('/'));
                (place.unwrap_or(inquiry).to_owned(), message.detail.into_owned())
            }
            asked => return Ok(asked),
        },
        // What never left this machine did nothing.
        Err(error) if never_sent(&error) => return Err(error),
        Err(error) => (inquiry.clone(), format!("{error:#}")),
    };
    ask_again(client, &place, why, patience).await
}

async fn ask_again(client: &Client, place: &str, mut why: String, patience: Duration) -> Result<Asked> {
    let (deadline, mut pause) = (Instant::now() + patience, PAUSE_MIN);
    while Instant::now() + pause < deadline {
        eprint!(".");
        sleep(pause).await;
        pause = (2 * pause).min(PAUSE_MAX);
        let left = deadline.saturating_duration_since(Instant::now());
        let client = client.clone().with_patience(left.max(PAUSE_MIN));
        match client.send(Method::GET, place, Vec::new()).await {
            Ok(answer) => match understand(answer)? {
                // Not there yet is no refusal: it may still be under way.
                Asked::Trips(Said { message, .. }) if message.viagens.is_empty() => {}
                Asked::Trips(Said { mut message, raw }) => {
                    eprintln!();
                    let message = message.viagens.swap_remove(0);
                    return Ok(Asked::Trip(Box::new(Said { message, raw })));
                }
                asked => return Ok(asked),
            },
            Err(error) => why = format!("{error:#}"),
        }
    }
    eprintln!();
    Ok(Asked::Unknown(why))
}

fn understand(answer: Answer) -> Result<Asked> {
    let raw = String::from_utf8_lossy(&answer.body).into_owned();
    let unclear = |problem: Problem| anyhow!("cannot read the answer: {problem}");
    if !(200..300).contains(&answer.status) {
        let message = decode::<Problem>(&answer.body);
        let message = message.map_err(|_| {
            anyhow!("status {} without an explanation; is this a Recarga node?", answer.status)
        })?;
        return Ok(Asked::Refused(Said { message, raw }));
    }
    let value: serde_json::Value = serde_json::from_slice(&answer.body).context("the answer is no JSON")?;
    if value.get("viagens").is_some() {
        let message: TripsAnswer = decode(&answer.body).map_err(unclear)?;
        return Ok(Asked::Trips(Said { message, raw }));
    }
    let message: TripAnswer = decode(&answer.body).map_err(unclear)?;
    Ok(Asked::Trip(Box::new(Said { message, raw })))
}

fn never_sent(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<hyper_util::client::legacy::Error>();
    error.is_some_and(hyper_util::client::legacy::Error::is_connect)
}
