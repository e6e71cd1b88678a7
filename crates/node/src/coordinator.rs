//! Books trips: asks every company at once, decides, and tells the driver; [`Delivery`] tells the other companies.
//!
//! A trip runs in a task of its own, so that a client that hangs up does not stop it half-way.

mod wish;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use opentelemetry::trace::FutureExt as _;
use recarga_reservation::{
    Beginning, Decision, Firmness, Fresh, Hold, NotChangeable, Now, OperatorId, OwedMessage, Reason, Refusal,
    RequestKey, Step, Tally, TransactionId, Trip, TripId, TripRequest, Vote,
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::chronicle::Happening;
use crate::clock::Clock;
use crate::delivery::Delivery;
use crate::events::{Event, Events};
use crate::ledger::{Ledger, Stopped};
use crate::metrics::Metrics;
use crate::participant::Participant;
use crate::peer::{Message, Peer, Reply};
use crate::peers::Peers;
use crate::traces::Span;
use crate::watched::Watched;
pub use wish::Planner;
use wish::{Wanted, Wish};

/// First pause between attempts; grows with each, with jitter.
const RETRY_PAUSE: Duration = Duration::from_millis(8);

/// From the third on, a proposal waits for up to so long and a little longer each time: whoever asks for the same at the
/// same moment would go on asking for the same.
const PROPOSAL_PAUSE: Duration = Duration::from_millis(20);
const PROPOSAL_PAUSES_MAX: u32 = 5;

/// What became of a request for a trip.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Booked, now or by an earlier request with the same id.
    Booked(Box<Trip>),
    /// Nothing is reserved anywhere.
    Refused(Refusal),
    /// The same of stops that a planner proposed: somebody was quicker each time, and lastly for this reason.
    Outrun(Refusal),
    /// The same request id asked for something else before.
    Different,
    /// The trip to change cannot be changed.
    NotChangeable(NotChangeable),
    /// No stops were found, for this reason in the words of the planner.
    NoStops(Arc<str>),
    /// Nothing can be promised: the node is stopping. The request can be repeated.
    Stopped,
}

/// How long and how often a trip is tried.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// From the votes' request to the decision.
    pub decide: Duration,
    /// Attempts at the same stops, while somebody's momentary hold is in the way.
    pub attempts_max: u32,
    /// Different stops for the same journey.
    pub proposals_max: u32,
}

/// This company as a coordinator.
#[derive(Debug)]
pub struct Coordinator {
    operator: OperatorId,
    own: Arc<Participant>,
    peers: Peers,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    events: Events,
    metrics: Arc<Metrics>,
    limits: Patience,
    flights: Mutex<HashMap<RequestKey, Flight>>,
    delivery: Arc<Delivery>,
    tasks: TaskTracker,
}

#[derive(Clone, Debug)]
struct Flight {
    wish: Wish,
    landed: Arc<Watched<Option<Answer>>>,
}

impl Coordinator {
    /// The service over a ledger. `peers` are the other companies.
    #[expect(clippy::too_many_arguments, reason = "one place wires the node together")]
    pub fn new(
        operator: OperatorId,
        own: Arc<Participant>,
        peers: Peers,
        delivery: Arc<Delivery>,
        ledger: Arc<Ledger>,
        clock: Arc<dyn Clock>,
        events: Events,
        metrics: Arc<Metrics>,
        limits: Patience,
    ) -> Self {
        Self {
            operator,
            own,
            peers,
            ledger,
            clock,
            events,
            metrics,
            limits,
            flights: Mutex::default(),
            delivery,
            tasks: TaskTracker::new(),
        }
    }

    /// Books all stops or none. A repeat of a request joins the one under way or gets its answer.
    pub async fn book(self: &Arc<Self>, request: TripRequest) -> Answer {
        self.fly(Wish { wanted: Wanted::Stops(Arc::new(request)), changes: None }, None).await
    }

    /// As [`Coordinator::book`] for a driver who leaves the stops to `planner`. Where some are refused, others are
    /// asked for, as old as the first. `wish` is what is planned: a repeat is recognised by it.
    pub async fn book_journey(
        self: &Arc<Self>,
        key: RequestKey,
        wish: Arc<str>,
        planner: Box<dyn Planner>,
    ) -> Answer {
        self.fly(Wish { wanted: Wanted::Journey { key, wish }, changes: None }, Some(planner)).await
    }

    /// Moves a trip to other stops; until that is committed, and if it is refused, the old ones stay.
    pub async fn change(self: &Arc<Self>, id: TripId, request: TripRequest) -> Answer {
        self.fly(Wish { wanted: Wanted::Stops(Arc::new(request)), changes: Some(id) }, None).await
    }

    /// Cancels a whole trip; repeatable. Every company is told until it has acknowledged.
    ///
    /// # Errors
    /// [`Stopped`], else why it cannot be cancelled.
    pub async fn cancel(self: &Arc<Self>, id: &TripId) -> Result<Result<Trip, NotChangeable>, Stopped> {
        let now = self.clock.now();
        let cancelled = self.ledger.try_apply(|state| state.company.cancel(id, now)).await?;
        if let Ok(trip) = &cancelled {
            let transaction = &trip.transaction;
            info!(%transaction, trip = %trip.id, vehicle = %trip.request.key().vehicle, "trip cancelled");
            self.own.windows_given_back();
            self.events.chronicle().note(transaction, Happening::Cancelled);
            self.events.send(|| Event::trip(trip, "cancelled"));
            self.metrics.cancelled.inc();
            self.delivery.begin(transaction, OwedMessage::Release);
        }
        Ok(cancelled)
    }

    /// Whether this company can reach or is the one named.
    pub fn knows(&self, operator: &OperatorId) -> bool {
        *operator == self.operator || self.peers.contains(operator)
    }

    /// Waits until every trip under way is decided.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn fly(self: &Arc<Self>, wish: Wish, planner: Option<Box<dyn Planner>>) -> Answer {
        let key = wish.key().clone();
        let landed = {
            let mut flights = lock(&self.flights);
            match flights.get(&key) {
                Some(flight) if flight.wish != wish => return Answer::Different,
                Some(flight) => flight.landed.clone(),
                None => {
                    let landed = Arc::new(Watched::new(None));
                    let landing = Landing(landed.clone());
                    flights.insert(key.clone(), Flight { wish: wish.clone(), landed: landed.clone() });
                    let (this, trace) = (self.clone(), self.events.traces().trip(&key));
                    self.tasks.spawn(async move {
                        let answer = this.run(&wish, planner.as_deref(), &trace).await;
                        lock(&this.flights).remove(wish.key());
                        landing.0.update(|landed| *landed = Some(answer));
                    });
                    landed
                }
            }
        };
        landed.wait_for(Clone::clone).await
    }

    async fn run(self: &Arc<Self>, wish: &Wish, planner: Option<&dyn Planner>, trace: &Span) -> Answer {
        if let Some(answer) = self.answered_before(wish).await {
            return answer;
        }
        let mut course = Course { asked: self.clock.now(), attempts: 0, trace };
        let answer = match (&wish.wanted, planner) {
            (Wanted::Stops(request), _) => self.try_stops(wish, request, &mut course).await,
            (Wanted::Journey { .. }, Some(planner)) => self.try_journey(wish, planner, &mut course).await,
            (Wanted::Journey { .. }, None) => Answer::Stopped,
        };
        self.report(wish, &answer, &course);
        answer
    }

    // Other stops for as long as they are refused, without losing the place in the queue that the first ones had.
    async fn try_journey(
        self: &Arc<Self>,
        wish: &Wish,
        planner: &dyn Planner,
        course: &mut Course<'_>,
    ) -> Answer {
        for proposal in 1.. {
            if proposal > 2 {
                let most = PROPOSAL_PAUSE * PROPOSAL_PAUSES_MAX.min(proposal - 2);
                sleep(self.clock.jitter(most)).await;
            }
            let request = match planner.propose().await {
                Ok(request) => Arc::new(request),
                Err(reason) => return Answer::NoStops(reason),
            };
            let answer = self.try_stops(wish, &request, course).await;
            let Answer::Refused(refusal) = answer else { return answer };
            let may_go_on = proposal < self.limits.proposals_max && !self.is_late(course.asked);
            if !may_go_on || !planner.refused(&request, &refusal) {
                return match refusal.reason {
                    Reason::Held | Reason::Booked { .. } => Answer::Outrun(refusal),
                    _ => Answer::Refused(refusal),
                };
            }
        }
        Answer::Stopped
    }

    // Again for as long as somebody's momentary hold is in the way.
    async fn try_stops(
        self: &Arc<Self>,
        wish: &Wish,
        request: &Arc<TripRequest>,
        course: &mut Course<'_>,
    ) -> Answer {
        for attempt in 1.. {
            course.attempts += 1;
            let answer = match self.attempt(wish.changes.as_ref(), request, course).await {
                Ok(answer) => answer,
                Err(Stopped) => Answer::Stopped,
            };
            let is_passing = matches!(&answer, Answer::Refused(refusal) if refusal.reason.is_passing());
            if !is_passing || attempt >= self.limits.attempts_max || self.is_late(course.asked) {
                return answer;
            }
            let pause = RETRY_PAUSE * attempt;
            sleep(pause / 2 + self.clock.jitter(pause)).await;
        }
        Answer::Stopped
    }

    fn is_late(&self, asked: Now) -> bool {
        self.clock.now().elapsed.saturating_sub(asked.elapsed) > self.limits.decide
    }

    fn report(&self, wish: &Wish, answer: &Answer, course: &Course<'_>) {
        let Course { asked, attempts: attempt, trace } = *course;
        let took = self.clock.now().elapsed.saturating_sub(asked.elapsed);
        let key = wish.key();
        match answer {
            Answer::Booked(trip) => {
                let transaction = &trip.transaction;
                info!(%transaction, trip = %trip.id, vehicle = %key.vehicle, request = %key.request, attempt,
                    ?took, "trip booked");
                trace.say("recarga.trip", || trip.id.to_string());
                self.metrics.trip("booked", took, attempt);
            }
            Answer::Refused(refusal) | Answer::Outrun(refusal) => {
                info!(vehicle = %key.vehicle, request = %key.request, attempt, ?took, stop = refusal.stop,
                    reason = ?refusal.reason, "trip refused");
                trace.fail(|| format!("refused: {:?}", refusal.reason));
                self.metrics.trip("refused", took, attempt);
                let refused = || Event::Refused { key: key.clone(), refusal: Box::new(refusal.clone()) };
                self.events.send(refused);
            }
            other => {
                trace.fail(|| "not booked".into());
                info!(vehicle = %key.vehicle, request = %key.request, answer = ?other, "not booked");
            }
        }
    }

    // A repeat of a request that was booked. What is told must be durable, also when it happened a moment ago.
    async fn answered_before(&self, wish: &Wish) -> Option<Answer> {
        let key = wish.key();
        let known = self.ledger.apply(|state| {
            let trip = state.company.coordinator.trip_of(key).cloned();
            match trip {
                Some(trip) => Step::durable(Some(trip), vec![]),
                None => Step::lazy(None, vec![]),
            }
        });
        match known.await {
            Ok(None) => None,
            Ok(Some(trip)) if wish.has_become(&trip) => Some(Answer::Booked(Box::new(trip))),
            Ok(Some(_)) => Some(Answer::Different),
            Err(Stopped) => Some(Answer::Stopped),
        }
    }

    async fn attempt(
        self: &Arc<Self>,
        changes: Option<&TripId>,
        request: &Arc<TripRequest>,
        course: &Course<'_>,
    ) -> Result<Answer, Stopped> {
        let priority = course.asked.utc;
        let deadline = Instant::now() + self.limits.decide;
        let (now, fresh) = (self.clock.now(), self.fresh());
        let beginning = self.ledger.adjust(|state| {
            let coordinator = &mut state.company.coordinator;
            match changes {
                None => Ok(coordinator.begin(request, priority, fresh, now)),
                Some(id) => coordinator.begin_change(id, request, priority, fresh, now),
            }
        });
        let (transaction, holds) = match beginning {
            Ok(Beginning::New { transaction, holds }) => (transaction, holds),
            Ok(Beginning::Different) => return Ok(Answer::Different),
            Ok(Beginning::Refused(refusal)) => return Ok(Answer::Refused(refusal)),
            // Only one flight per request, which looked for an earlier answer before it took off.
            Ok(Beginning::InFlight(_) | Beginning::Done(_)) => {
                error!(request = ?request.key(), "a request is registered twice");
                return Ok(Answer::Stopped);
            }
            Err(error) => return Ok(Answer::NotChangeable(error)),
        };
        debug!(%transaction, companies = holds.len(), "asking every company to prepare");
        let _attempt = self.events.traces().attempt(&transaction, &course.trace.context());
        self.events.chronicle().note(&transaction, Happening::Begun);
        self.collect_votes(&transaction, holds, deadline).await;
        self.decide(&transaction).await
    }

    async fn collect_votes(
        self: &Arc<Self>,
        transaction: &TransactionId,
        holds: Vec<(OperatorId, Hold)>,
        deadline: Instant,
    ) {
        let mut votes: FuturesUnordered<_> = holds
            .into_iter()
            .map(|(operator, hold)| async move {
                let vote = self.ask(&operator, hold).await;
                (operator, vote)
            })
            .collect();
        while let Ok(Some((operator, vote))) = timeout_at(deadline, votes.next()).await {
            let tally =
                self.ledger.adjust(|state| state.company.coordinator.vote(transaction, &operator, vote));
            if tally != Tally::Open {
                return;
            }
        }
    }

    // A company that cannot be asked counts as a no of this attempt; as it may have voted yes unheard, it is sent an
    // abort like all the others.
    async fn ask(&self, operator: &OperatorId, hold: Hold) -> Vote {
        let transaction = hold.transaction.clone();
        let number = hold.stops.first().map(|stop| stop.number);
        let unreachable =
            || Vote::No(Refusal { stop: number, reason: Reason::Unreachable { operator: operator.clone() } });
        let Some(peer) = self.peer(operator) else { return unreachable() };
        let valid_for = self.limits.decide;
        let note = |what| self.events.chronicle().note(&transaction, what);
        note(Happening::Asked(operator.clone()));
        let trace = self.events.traces().message("hold", operator, &transaction);
        let message = Message::Hold { hold: hold.into(), firmness: Firmness::Prepared, valid_for };
        match peer.send(message).with_context(trace.context()).await {
            Ok(Reply::Vote(vote)) => {
                trace.say("recarga.vote", || if matches!(vote, Vote::No(_)) { "no" } else { "yes" }.into());
                self.delivery.reached(operator);
                note(Happening::voted(operator, &vote));
                vote
            }
            Ok(other) => {
                warn!(%transaction, %operator, reply = ?other, "a reply that is no vote");
                note(Happening::Silent(operator.clone()));
                unreachable()
            }
            Err(error) => {
                trace.fail(|| error.to_string());
                warn!(%transaction, %operator, %error, "no vote");
                note(Happening::Silent(operator.clone()));
                self.delivery.not_reached(operator);
                unreachable()
            }
        }
    }

    async fn decide(self: &Arc<Self>, transaction: &TransactionId) -> Result<Answer, Stopped> {
        let now = self.clock.now();
        let decision = self
            .ledger
            .apply(|state| match state.company.decide(transaction, now) {
                Some(step) => step.map(Some),
                None => Step::lazy(None, vec![]),
            })
            .await?;
        let note = |committed| {
            self.events.chronicle().note(transaction, Happening::Decided(committed));
        };
        match decision {
            Some(Decision::Commit(trip)) => {
                note(true);
                self.events
                    .send(|| Event::trip(&trip, if trip.replaces.is_some() { "changed" } else { "booked" }));
                self.delivery.begin(transaction, OwedMessage::Confirm);
                Ok(Answer::Booked(trip))
            }
            Some(Decision::Abort { asked, refusal }) => {
                note(false);
                self.own.windows_given_back();
                self.send_aborts(transaction, asked);
                Ok(Answer::Refused(refusal))
            }
            None => {
                error!(%transaction, "decided twice");
                Ok(Answer::Stopped)
            }
        }
    }

    // Once is enough for safety: a company that misses it asks by itself.
    fn send_aborts(self: &Arc<Self>, transaction: &TransactionId, asked: Vec<OperatorId>) {
        for operator in asked {
            let Some(peer) = self.peer(&operator) else { continue };
            let transaction = transaction.clone();
            self.events.chronicle().note(&transaction, Happening::AbortSent(operator.clone()));
            let trace = self.events.traces().message("abort", &operator, &transaction);
            self.tasks.spawn(async move {
                let sent = peer.send(Message::Abort(transaction.clone())).with_context(trace.context());
                if let Err(error) = sent.await {
                    trace.fail(|| error.to_string());
                    debug!(%transaction, %operator, %error, "abort not delivered; the company will ask");
                }
            });
        }
    }

    fn fresh(&self) -> Fresh {
        let trip = format!("{:032x}", self.clock.nonce());
        #[expect(clippy::expect_used, reason = "32 hexadecimal digits are an identifier")]
        let trip = TripId::new(&trip).expect("32 hexadecimal digits are an identifier");
        Fresh { nonce: self.clock.nonce(), trip }
    }

    fn peer(&self, operator: &OperatorId) -> Option<Arc<dyn Peer>> {
        if *operator == self.operator {
            return Some(self.own.clone());
        }
        self.peers.get(operator)
    }
}

// How far a flight has come.
struct Course<'a> {
    asked: Now,
    attempts: u32,
    trace: &'a Span,
}

// However the task of a flight ends, also by a panic: nobody waits for ever.
struct Landing(Arc<Watched<Option<Answer>>>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.update(|landed| {
            landed.get_or_insert(Answer::Stopped);
        });
    }
}

// What these locks guard is never left half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
