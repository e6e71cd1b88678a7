//! Finds the stops of journeys with what is known of all companies' offers: for who only asks, and for trips that
//! are booked at once.
//!
//! The search computes and waits for nothing, so it runs beside the rest, by a few workers with a bounded queue, and
//! ends when nobody wants its plan any longer.

mod country;
mod outlooks;
mod question;
mod telling;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use recarga_atlas::cars::{self, Car};
use recarga_atlas::consumption::Drive;
use recarga_planning::Itinerary;
use recarga_reservation::{
    OperatorId, Planned, Plug, Reason, Refusal, Stop, Timestamp, TripRequest, TripStop,
};
use recarga_wire::journey::{
    BOOKED_WAIT_MINUTES_MAX, JourneyBody, JourneyRequest, ModelView, ModelsAnswer, PlansAnswer,
};
use recarga_wire::{Problem, ProblemKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::country::Country;
use self::outlooks::Outlooks;
use self::question::{Draft, Question};
use crate::clock::Clock;
use crate::coordinator::Planner;
use crate::network::{Copy, Network};
use crate::roads::{RoadDistance, Roads};

/// How many plans are made at a time, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub struct JourneyLimits {
    /// At a time.
    pub workers: usize,
    /// Waiting; more are refused at once.
    pub queue_max: usize,
}

/// The service.
#[derive(Debug)]
pub struct Journeys {
    operator: OperatorId,
    network: Arc<Network>,
    clock: Arc<dyn Clock>,
    roads: Arc<dyn RoadDistance>,
    // Whoever only asks and has no place here is refused; whoever has one waits for a worker.
    places: Arc<Semaphore>,
    // Who only asks waits here first, so that there are never more of them before a trip that is booked than workers.
    turns: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    country: Mutex<Option<Arc<Country>>>,
    outlooks: Outlooks,
}

impl Journeys {
    /// The service over what is known of all offers.
    pub fn new(
        operator: OperatorId,
        network: Arc<Network>,
        clock: Arc<dyn Clock>,
        roads: Arc<dyn RoadDistance>,
        limits: JourneyLimits,
    ) -> Self {
        Self {
            operator,
            network,
            clock,
            roads,
            places: Arc::new(Semaphore::new(limits.workers + limits.queue_max)),
            turns: Arc::new(Semaphore::new(limits.workers)),
            workers: Arc::new(Semaphore::new(limits.workers)),
            country: Mutex::new(None),
            outlooks: Outlooks::default(),
        }
    }

    /// The best plan and others, without reserving anything.
    ///
    /// # Errors
    /// A [`Problem`] that names the field and the cure, or says why there is no plan.
    pub async fn plan(self: &Arc<Self>, journey: JourneyBody) -> Result<PlansAnswer, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let (this, place) = (self.clone(), Some(Arc::new(place)));
        let alternatives = usize::from(journey.alternativas);
        let (draft, roads) = self.draft(place.clone(), journey, (None, f64::INFINITY)).await?;
        self.work(place, move |given_up| {
            let question = Question::new(draft, roads, &this.outlooks)?;
            let best = question.best(given_up)?;
            let others = question.others(&best, alternatives, given_up)?;
            let roteiros = std::iter::once(&best).chain(&others).map(|plan| question.tell(plan)).collect();
            Ok(PlansAnswer {
                roteiros,
                ofertas: this.network.copies().iter().map(|copy| copy.view()).collect(),
            })
        })
        .await
    }

    /// Whoever finds the stops for a trip that is booked at once.
    pub fn planner(self: &Arc<Self>, request: JourneyRequest) -> Box<dyn Planner> {
        Box::new(Booking {
            journeys: self.clone(),
            request,
            question: Arc::default(),
            refused_by: Mutex::default(),
        })
    }

    // The journey as it is understood now, and its roads. Whoever waits for roads keeps no worker.
    async fn draft(
        self: &Arc<Self>,
        place: Place,
        journey: JourneyBody,
        usual: (Option<Plug>, f64),
    ) -> Result<(Draft, Roads), Problem> {
        let (this, now) = (self.clone(), self.now().await);
        let draft = self.work(place, move |_| Draft::new(&this.country(), &journey, usual, now)).await?;
        let roads = draft.ask(&*self.roads).await?;
        Ok((draft, roads))
    }

    // What this company has itself is known at once, so that it never offers what it has just given away.
    async fn now(&self) -> Timestamp {
        self.network.refresh(&self.operator).await;
        self.clock.now().utc
    }

    // All offers by station. Made anew only when one has changed.
    fn country(&self) -> Arc<Country> {
        let copies: Vec<Arc<Copy>> = self.network.copies();
        let mut known = self.country.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(country) if country.shows(&copies) => country.clone(),
            _ => known.insert(Arc::new(Country::new(&copies))).clone(),
        }
    }

    // Runs beside the rest. Whoever drops the future no longer wants the result.
    async fn work<T: Send + 'static>(
        &self,
        place: Place,
        job: impl FnOnce(&dyn Fn() -> bool) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = match place {
            Some(_) => Some(self.turns.clone().acquire_owned().await.map_err(|_| busy())?),
            None => None,
        };
        let worker = self.workers.clone().acquire_owned().await.map_err(|_| busy())?;
        let given_up = Arc::new(AtomicBool::new(false));
        let giving_up = GiveUp(given_up.clone());
        let done = tokio::task::spawn_blocking(move || {
            let result = job(&|| given_up.load(Ordering::Relaxed));
            drop((place, worker, turn));
            result
        });
        let result = done.await.unwrap_or_else(|_| Err(Problem::of(ProblemKind::Internal)));
        drop(giving_up);
        result
    }
}

// The place of somebody who only asks. Who books has none and needs none: a car's answer is kept for good, so none is
// refused; how many can wait is bounded where requests come in.
type Place = Option<Arc<OwnedSemaphorePermit>>;
const BOOKING: Place = None;

fn busy() -> Problem {
    let detail = "há planos demais à espera; repita o pedido em instantes";
    Problem::new(ProblemKind::Unavailable, detail)
}

struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// The stops of one trip, proposed again without what was refused.
struct Booking {
    journeys: Arc<Journeys>,
    request: JourneyRequest,
    question: Arc<Mutex<Option<Question>>>,
    // Whose offer was behind.
    refused_by: Mutex<Option<OperatorId>>,
}

#[async_trait]
impl Planner for Booking {
    async fn propose(&self) -> Result<TripRequest, Arc<str>> {
        let (journeys, request, question) =
            (self.journeys.clone(), self.request.clone(), self.question.clone());
        let refused_by = self.refused_by.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(operator) = &refused_by {
            journeys.network.refresh(operator).await;
        }
        let is_first = self.question.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        let draft = match is_first {
            true => {
                let usual = (request.plug, BOOKED_WAIT_MINUTES_MAX);
                let drafting = journeys.draft(BOOKING, request.journey.clone(), usual);
                Some(drafting.await.map_err(|problem| told(&problem))?)
            }
            false => None,
        };
        let proposal = self.journeys.work(BOOKING, move |given_up| {
            let mut question = question.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((draft, roads)) = draft {
                *question = Some(Question::new(draft, roads, &journeys.outlooks)?);
            }
            let Some(question) = &mut *question else { return Err(Problem::of(ProblemKind::Internal)) };
            let copies = journeys.network.copies();
            let behind = copies.iter().filter(|copy| refused_by.as_ref() == Some(&copy.operator));
            behind.for_each(|copy| question.renew(copy));
            let plan = question.best(given_up)?;
            trip(&request, question, &plan)
        });
        proposal.await.map_err(|problem| told(&problem))
    }

    fn refused(&self, proposal: &TripRequest, refusal: &Refusal) -> bool {
        let mut question = self.question.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(question) = &mut *question else { return false };
        if let Reason::Unreachable { operator } = &refusal.reason {
            return question.avoid(operator);
        }
        let stop = refusal.stop.and_then(|number| proposal.stops().get(usize::from(number)));
        let Some(TripStop { operator, stop: Stop { evse, window, .. } }) = stop else { return false };
        *self.refused_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(operator.clone());
        // For another reason the EVSE is not what it was thought to be.
        let is_taken = matches!(refusal.reason, Reason::Held | Reason::Booked { .. });
        question.refuse(operator, evse, is_taken.then_some(*window))
    }
}

fn told(problem: &Problem) -> Arc<str> {
    String::from_utf8_lossy(&recarga_wire::encode(problem)).into_owned().into()
}

fn trip(request: &JourneyRequest, question: &Question, plan: &Itinerary) -> Result<TripRequest, Problem> {
    if plan.stops.is_empty() {
        return Err(Problem::of(ProblemKind::NothingToBook));
    }
    let told = question.tell(plan);
    let stop = |stop: &recarga_wire::journey::ItineraryStop| {
        let window = recarga_reservation::TimeWindow::new(stop.janela_inicio, stop.janela_fim).ok()?;
        let (operator, evse) = (stop.empresa.clone(), stop.ponto_id.clone());
        Some(TripStop { operator, stop: Stop { number: stop.parada, evse, window } })
    };
    let stops: Option<Vec<TripStop>> = told.paradas.iter().map(stop).collect();
    let planned = Planned {
        wish: request.journey.canonical().into(),
        itinerary: String::from_utf8_lossy(&recarga_wire::encode(&told)).into_owned().into(),
    };
    let trip = TripRequest::new(request.key.clone(), question.plug(), stops.unwrap_or_default())?;
    Ok(trip.planned_for(planned))
}

/// The catalogue of cars.
pub fn models() -> ModelsAnswer {
    let model = |car: &Car| ModelView {
        modelo: car.id.clone(),
        nome: car.name.clone(),
        bateria_kwh: car.usable_kwh,
        potencia_max_kw: car.dc_kw,
        plugues: car.plugs.clone(),
        autonomia_km: (car.usable_kwh / car.kwh_per_km(Drive::default())).round(),
    };
    ModelsAnswer { modelos: cars::all().iter().map(model).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::network::NetworkLimits;
    use crate::peers::Peers;
    use crate::roads::Estimated;

    fn journeys(queue_max: usize) -> Arc<Journeys> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let hour = Duration::from_secs(3600);
        let limits = NetworkLimits { refresh: Duration::ZERO, ahead: hour, evses_max: 1 };
        let network = Arc::new(Network::new(None, Peers::default(), clock.clone(), limits));
        let operator = "empresa-a".parse().unwrap();
        let limits = JourneyLimits { workers: 1, queue_max };
        Arc::new(Journeys::new(operator, network, clock, Arc::new(Estimated), limits))
    }

    #[tokio::test]
    async fn whoever_asks_too_much_is_refused_and_whoever_goes_ends_the_search() {
        let journeys = journeys(0);
        let place = journeys.places.clone().try_acquire_owned().unwrap();
        let (ended, end) = tokio::sync::oneshot::channel();
        let (begun, begin) = tokio::sync::oneshot::channel();
        let working = journeys.clone();
        let asking = tokio::spawn(async move {
            let job = move |given_up: &dyn Fn() -> bool| {
                begun.send(()).unwrap();
                while !given_up() {
                    std::thread::yield_now();
                }
                ended.send(()).unwrap();
                Ok(())
            };
            working.work(Some(Arc::new(place)), job).await
        });
        begin.await.unwrap();
        let journey =
            serde_json::json!({"origem": "Recife", "destino": "Natal", "bateria_pct": 90, "modelo": "x"});
        let journey: JourneyBody = recarga_wire::decode(journey.to_string().as_bytes()).unwrap();
        let refused = journeys.plan(journey.clone()).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Unavailable);
        asking.abort();
        end.await.expect("the search ends with whoever wanted it");
        // And its place is free again: the next answer is about the journey.
        drop(journeys.places.clone().acquire_owned().await.unwrap());
        assert_eq!(journeys.plan(journey).await.unwrap_err().field.as_deref(), Some("modelo"));
    }

    // Places are many, so that many may wait who only ask: no trip is booked late because of them.
    #[tokio::test]
    async fn who_books_waits_for_no_more_of_those_who_ask_than_there_are_workers() {
        let journeys = journeys(8);
        let done = Arc::new(Mutex::new(Vec::new()));
        let (let_go, wait) = std::sync::mpsc::channel::<()>();
        let mut wait = Some(wait);
        let mut tasks = Vec::new();
        for name in ["first", "second", "third", "booking"] {
            let place = match name {
                "booking" => BOOKING,
                _ => Some(Arc::new(journeys.places.clone().try_acquire_owned().unwrap())),
            };
            let (working, done, wait) = (journeys.clone(), done.clone(), wait.take());
            tasks.push(tokio::spawn(async move {
                let job = move |_: &dyn Fn() -> bool| {
                    wait.map(|wait| wait.recv());
                    done.lock().unwrap().push(name);
                    Ok(())
                };
                working.work(place, job).await
            }));
            // One after the other comes to where it waits.
            tokio::task::yield_now().await;
        }
        let_go.send(()).unwrap();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(*done.lock().unwrap(), ["first", "booking", "second", "third"]);
    }
}
