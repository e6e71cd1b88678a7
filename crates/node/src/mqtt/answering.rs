//! What a car is told of its request.

use recarga_reservation::{RequestKey, Stage, Timestamp, Told, Trip, TripId};
use recarga_wire::trip::TripState;
use recarga_wire::vehicle::{AnswerState, VehicleAnswer, VehicleRequest, Wish, decode_request};
use recarga_wire::{Problem, ProblemKind, decode};

use super::Office;
use crate::coordinator::Answer;
use crate::ledger::{State, Stopped};
use crate::refusal;
use crate::store::Letter;

impl Office {
    pub(super) async fn answer(&self, letter: &Letter) -> Result<(), Stopped> {
        let key = &letter.key;
        let answer = match decode_request(letter.request.as_bytes(), &key.vehicle) {
            Ok(request) => self.decide(letter, request).await?,
            Err(problem) => self.refused(key, problem),
        };
        let confirmed = answer.motivo.is_none();
        let json = String::from_utf8_lossy(&recarga_wire::encode(&answer)).into_owned();
        // A refusal must be durable before it is told, or else a restart could book what was refused. What was booked
        // or cancelled is durable already, and would be answered the same way again.
        let told = if confirmed { Told::AtOnce } else { Told::OnceDurable };
        self.node.ledger.record(|state| ((), state.mailbox.answer(key, json), told)).await
    }

    /// The answer of a letter as it is told now; `trip` is the one that it booked, if that is no longer what it was.
    pub(super) async fn payload(&self, letter: &Letter, trip: Option<Trip>) -> Result<Vec<u8>, Stopped> {
        let kept = letter.answer.clone().unwrap_or_default().into_bytes();
        let Some(trip) = trip else { return Ok(kept) };
        let is_booked = |answer: &VehicleAnswer| answer.estado == AnswerState::Confirmada;
        if !decode(&kept).as_ref().is_ok_and(is_booked) {
            return Ok(kept);
        }
        // What happened to the trip is told once it is durable.
        self.node.ledger.record(|_| ((), vec![], Told::OnceDurable)).await?;
        Ok(recarga_wire::encode(&VehicleAnswer::booked(&trip, letter.key.request.clone())))
    }

    /// The refusal of what has the id of another request.
    pub(super) fn differs(&self, key: &RequestKey, earlier: &Earlier) -> VehicleAnswer {
        let refused = self.refused(key, refusal::differs(key, earlier.words()));
        match earlier {
            Earlier::Booked(trip) => refused.beside(trip),
            _ => refused,
        }
    }

    async fn decide(&self, letter: &Letter, request: VehicleRequest) -> Result<VehicleAnswer, Stopped> {
        let key = &letter.key;
        if self.is_expired(key, &request) {
            return Ok(self.refused(key, Problem::of(ProblemKind::Expired).at("expira_em")));
        }
        match request.wish {
            Wish::Book(trip) => {
                if let Err(problem) = refusal::check_open(&self.node, key) {
                    return Ok(self.refused(key, problem));
                }
                if let Err(problem) = refusal::check_companies(&self.node, &trip) {
                    return Ok(self.refused(key, problem));
                }
                self.tell(key, self.node.coordinator.book(trip).await)
            }
            Wish::Plan(journey) => {
                if let Err(problem) = refusal::check_open(&self.node, key) {
                    return Ok(self.refused(key, problem));
                }
                let (wish, planner) = (journey.journey.canonical(), self.node.journeys.planner(*journey));
                self.tell(key, self.node.coordinator.book_journey(key.clone(), wish.into(), planner).await)
            }
            Wish::Cancel(id) => self.cancel(key, &id).await,
        }
    }

    async fn cancel(&self, key: &RequestKey, id: &TripId) -> Result<VehicleAnswer, Stopped> {
        // A car cancels its own trips only; of others it is not told that they exist.
        let own = self.node.ledger.look(|state| {
            let trip = state.company.coordinator.trip(id);
            trip.is_some_and(|trip| trip.request.key().vehicle == key.vehicle)
        });
        if !own {
            let detail = format!("não há viagem `{id}` deste carro nesta empresa; confira `servidor`");
            let problem = Problem::new(ProblemKind::NotFound, detail).at("cancelar");
            return Ok(self.refused(key, problem));
        }
        match self.node.coordinator.cancel(id).await? {
            Ok(trip) => Ok(VehicleAnswer::cancelled(&trip, key.request.clone())),
            Err(error) => Ok(self.refused(key, Problem::from(error))),
        }
    }

    // What was done before it expired stays done: a crash may have come before the answer.
    fn is_expired(&self, key: &RequestKey, request: &VehicleRequest) -> bool {
        let expired = request.expires.is_some_and(|expires: Timestamp| expires <= self.node.clock.now().utc);
        expired
            && !self.node.ledger.look(|state| {
                let coordinator = &state.company.coordinator;
                match &request.wish {
                    Wish::Book(_) | Wish::Plan(_) => coordinator.trip_of(key).is_some(),
                    Wish::Cancel(id) => coordinator.trip(id).is_some_and(is_cancelled),
                }
            })
    }

    fn tell(&self, key: &RequestKey, answer: Answer) -> Result<VehicleAnswer, Stopped> {
        match answer {
            Answer::Booked(trip) => Ok(VehicleAnswer::booked(&trip, key.request.clone())),
            Answer::Stopped => Err(Stopped),
            Answer::Different => {
                let earlier = self.node.ledger.look(|state| Earlier::find(state, key));
                Ok(self.differs(key, &earlier))
            }
            other => Ok(self.refused(key, refusal::why(key, &other))),
        }
    }

    fn refused(&self, key: &RequestKey, problem: Problem) -> VehicleAnswer {
        let (vehicle, request) = (key.vehicle.clone(), Some(key.request.clone()));
        VehicleAnswer::refused(vehicle, request, self.node.operator.clone(), problem)
    }
}

/// What became of an earlier request with the same id.
pub(super) enum Earlier {
    Booked(Box<Trip>),
    // A cancellation.
    Done,
    Refused,
    UnderWay,
}

impl Earlier {
    pub fn find(state: &State, key: &RequestKey) -> Self {
        if let Some(trip) = state.company.coordinator.trip_of(key) {
            let now = state.company.coordinator.trip(&trip.id).unwrap_or(trip);
            return Earlier::Booked(Box::new(now.clone()));
        }
        let answer = state.mailbox.letter(key).and_then(|letter| letter.answer.as_deref());
        match answer.map(|answer| decode::<VehicleAnswer>(answer.as_bytes())) {
            None => Earlier::UnderWay,
            Some(Ok(answer)) if answer.estado == AnswerState::Recusada => Earlier::Refused,
            Some(_) => Earlier::Done,
        }
    }

    fn words(&self) -> &'static str {
        match self {
            Earlier::Booked(trip) if is_cancelled(trip) => "cuja viagem foi cancelada",
            Earlier::Booked(_) => "que está confirmado e continua valendo (`viagem_id` e `paradas` são dele)",
            Earlier::Done => "que já foi executado",
            Earlier::Refused => "que foi recusado",
            Earlier::UnderWay => "que ainda está sendo decidido",
        }
    }
}

/// The trip that a request has booked, if it is no longer what was confirmed: cancelled, changed, or lost in part.
pub(super) fn changed_trip(state: &State, key: &RequestKey) -> Option<Trip> {
    let coordinator = &state.company.coordinator;
    let now = coordinator.trip(&coordinator.trip_of(key)?.id)?;
    let stands = now.request.key() == key && TripState::of(now) == TripState::Confirmada;
    (!stands).then(|| now.clone())
}

fn is_cancelled(trip: &Trip) -> bool {
    matches!(trip.stage, Stage::Cancelled { .. })
}
