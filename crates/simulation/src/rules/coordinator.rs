//! The glue around the coordinator's rules, as the node's: one flight per request, attempts while a passing hold is in
//! the way, votes until the limit, the decision.

use recarga_reservation::{
    Beginning, Decision, Fact, Firmness, Fresh, Patience, Step, Tally, Told, Trip, TripId, Vote,
};

use super::canary::Canary;
use super::message::{Answer, Ask, Message, Purpose};
use super::node::{Action, Asker, Flight, company_of, number, operator};
use super::queue::{MILLI, Micros};
use super::trace::trace;
use super::world::{Event, InProcess, Transaction, World};

/// Attempts for one request, and the first pause between them, as in the node.
const ATTEMPTS_MAX: u32 = 8;
const RETRY_PAUSE: Micros = 8 * MILLI;

impl World {
    /// A driver's question has reached a company.
    pub fn asked(&mut self, driver: usize, ask_number: u32, at: usize, ask: Ask) {
        let node = &self.nodes[at];
        if !node.is_up {
            return;
        }
        if self.now < node.frozen_until {
            let until = node.frozen_until;
            return self.queue.push(until, Event::Ask { driver, number: ask_number, to: at, ask });
        }
        trace!(self, "{}   is asked by driver {driver}: {ask:?} ({ask_number})", operator(at));
        match ask {
            Ask::Book { request } => self.fly(at, (driver, ask_number), request, None),
            Ask::Change { request, trip } => self.fly(at, (driver, ask_number), request, Some(trip)),
            Ask::Cancel { trip } => self.cancel(at, driver, ask_number, &trip),
            Ask::Withdraw { request } => self.withdraw(at, request),
        }
    }

    /// What an earlier request with the same key was answered is known now.
    pub fn known(&mut self, at: usize, request: usize, trip: Option<Box<Trip>>) {
        let Some(flight) = self.nodes[at].flights.iter().find(|one| one.request == request) else { return };
        let Some(trip) = trip else { return self.attempt(at, request) };
        let is_same = trip.request == flight.body && flight.changes.as_ref().is_none_or(|id| *id == trip.id);
        let answer = if is_same {
            Answer::Booked { transaction: number(&trip.transaction), trip: trip.id }
        } else {
            Answer::Different
        };
        self.land(at, request, &answer);
    }

    /// Begins a transaction for a request and asks every company.
    pub fn attempt(&mut self, at: usize, request: usize) {
        let now = self.clock(at);
        let trip_name = format!("v{}", self.transactions.len());
        #[expect(clippy::expect_used, reason = "a letter and a number are an identifier")]
        let trip = TripId::new(&trip_name).expect("a letter and a number are an identifier");
        let fresh = Fresh { nonce: self.transactions.len() as u128, trip };
        let node = &mut self.nodes[at];
        let Some(flight) = node.flights.iter_mut().find(|one| one.request == request) else { return };
        flight.attempt += 1;
        let (coordinator, priority) = (&mut node.company.coordinator, flight.asked.utc);
        let beginning = match &flight.changes {
            None => Ok(coordinator.begin(&flight.body, priority, fresh, now)),
            Some(id) => coordinator.begin_change(id, &flight.body, priority, fresh, now),
        };
        let answer = match beginning {
            Ok(Beginning::New { transaction, holds }) => {
                let holds = holds.into_iter().map(|(operator, hold)| (company_of(&operator), hold)).collect();
                return self.begun(at, Transaction { id: transaction, request, holds });
            }
            Ok(Beginning::InFlight(_) | Beginning::Done(_)) => {
                return self.model.violate("a request is registered twice at one company".to_owned());
            }
            Ok(Beginning::Different) => Answer::Different,
            Ok(Beginning::Refused(refusal)) => Answer::Refused(refusal.reason),
            Err(error) => Answer::NotChangeable(error),
        };
        self.land(at, request, &answer);
    }

    /// Soft holds are made, or there are none to make: asks for the votes.
    pub fn ask_for_votes(&mut self, at: usize, transaction: usize) {
        self.ask_everyone(at, transaction, Firmness::Prepared);
    }

    /// Counts what a company said to a hold.
    pub fn count_vote(&mut self, at: usize, transaction: usize, from: usize, firmness: Firmness, vote: Vote) {
        let yes = matches!(vote, Vote::Yes { .. });
        if firmness == Firmness::Soft && yes {
            if self.is_planted(Canary::SoftHoldCounted) {
                let id = &self.transactions[transaction].id;
                let _ = self.nodes[at].company.coordinator.vote(id, &self.operators[from], vote);
            }
            return self.soft_hold_made(at, transaction);
        }
        let id = &self.transactions[transaction].id;
        let tally = self.nodes[at].company.coordinator.vote(id, &self.operators[from], vote);
        trace!(self, "{}   counts {yes} of {} for t{transaction}: {tally:?}", operator(at), operator(from));
        let decided = self.nodes[at].company.coordinator.find(id).is_some();
        let is_late = tally == Tally::Late || (decided && self.is_planted(Canary::RepeatedYesAborted));
        if is_late && yes && from != at {
            self.send(at, from, Message::Abort(transaction), Purpose::Abort);
        }
        if matches!(tally, Tally::AllYes | Tally::No) && !decided {
            self.decide(at, transaction);
        }
    }

    /// Every vote is there, or a no, or the limit has passed.
    pub fn decide(&mut self, at: usize, transaction: usize) {
        let request = self.transactions[transaction].request;
        let flies = self.nodes[at].flights.iter().any(|flight| flight.request == request);
        if !flies && self.is_planted(Canary::HandlerDropped) {
            return;
        }
        let mut now = self.clock(at);
        let id = &self.transactions[transaction].id;
        let company = &mut self.nodes[at].company;
        if self.canary == Some(Canary::SilenceCounted) && company.coordinator.is_waiting(id) {
            now.elapsed = std::time::Duration::ZERO;
            for (to, _) in &self.transactions[transaction].holds {
                let vote =
                    Vote::Yes { expires: now.utc, store: recarga_reservation::StoreId(*to as u128 + 1) };
                let _ = company.coordinator.vote(id, &self.operators[*to], vote);
            }
        }
        let Some(step) = company.decide(id, now) else { return };
        let Step { answer, mut facts, mut told } = step;
        if self.is_planted(Canary::OwnBranchNotRecorded) {
            facts.retain(|fact| !matches!(fact, Fact::Branch(..)));
        }
        if self.is_planted(Canary::CommitToldEarly) {
            told = Told::AtOnce;
        }
        self.record(at, facts, told, Action::Decided { transaction, decision: answer });
    }

    /// A decision may be told.
    pub fn decided(&mut self, at: usize, transaction: usize, decision: Decision) {
        let request = self.transactions[transaction].request;
        match decision {
            Decision::Commit(trip) => {
                self.counts.committed += 1;
                self.aim_at_parties(transaction);
                self.counts.changed += u64::from(trip.replaces.is_some());
                for owed in self.nodes[at].company.coordinator.owed_of(&trip.transaction) {
                    if owed.message == recarga_reservation::OwedMessage::Confirm {
                        self.deliver(at, &owed);
                    }
                }
                self.land(at, request, &Answer::Booked { transaction, trip: trip.id });
            }
            Decision::Abort { asked, refusal } => {
                self.counts.aborted += 1;
                self.windows_given_back(at);
                for company in asked {
                    self.send(at, company_of(&company), Message::Abort(transaction), Purpose::Abort);
                }
                let limit = self.settings.decide_limit;
                let elapsed = self.clock(at).elapsed;
                let flights = &self.nodes[at].flights;
                let Some(flight) = flights.iter().find(|one| one.request == request) else { return };
                let spent = elapsed.saturating_sub(flight.asked.elapsed);
                let attempt = flight.attempt;
                if !refusal.reason.is_passing() || attempt == ATTEMPTS_MAX || spent > limit {
                    return self.land(at, request, &Answer::Refused(refusal.reason));
                }
                let pause = RETRY_PAUSE * u64::from(attempt);
                let pause = pause / 2 + self.random.u64(0..=pause);
                self.counts.attempts_again += 1;
                self.plan(at, pause, InProcess::Attempt { request });
            }
        }
    }

    /// A cancellation is durable.
    pub fn cancelled(&mut self, at: usize, driver: usize, ask_number: u32, trip: &Trip) {
        self.windows_given_back(at);
        for owed in self.nodes[at].company.coordinator.owed_of(&trip.transaction) {
            if owed.message == recarga_reservation::OwedMessage::Release {
                self.deliver(at, &owed);
            }
        }
        self.model.says_cancelled(number(&trip.transaction));
        self.answer(at, driver, ask_number, Answer::Cancelled);
    }

    /// Tells a driver something.
    pub fn answer(&mut self, at: usize, driver: usize, ask_number: u32, answer: Answer) {
        trace!(self, "{}   answers driver {driver}: {answer:?} ({ask_number})", operator(at));
        self.carry_answer(at, driver, ask_number, answer);
    }

    /// The connection of a driver who hangs up takes the handler with it, and that the whole trip.
    pub fn drop_handler(&mut self, at: usize, listener: (usize, u32)) {
        self.nodes[at].flights.retain(|flight| !flight.listeners.contains(&listener));
    }

    fn fly(&mut self, at: usize, listener: (usize, u32), request: usize, changes: Option<TripId>) {
        let asked = self.clock(at);
        let node = &mut self.nodes[at];
        if let Some(flight) = node.flights.iter_mut().find(|one| one.request == request) {
            if flight.changes != changes {
                return self.answer(at, listener.0, listener.1, Answer::Different);
            }
            self.counts.joined += 1;
            return flight.listeners.push(listener);
        }
        let body = self.requests[request].body.clone();
        let trip = node.company.coordinator.trip_of(body.key()).cloned().map(Box::new);
        let (listeners, attempt, transaction, soft_left) = (vec![listener], 0, None, 0);
        node.flights.push(Flight {
            request,
            body,
            changes,
            listeners,
            attempt,
            asked,
            transaction,
            soft_left,
        });
        let told = if trip.is_some() { Told::OnceDurable } else { Told::AtOnce };
        self.record(at, vec![], told, Action::Known { request, trip });
    }

    fn begun(&mut self, at: usize, transaction: Transaction) {
        let place = self.transactions.len();
        trace!(
            self,
            "{}   begins t{place} for request {}: {}",
            operator(at),
            transaction.request,
            transaction.id
        );
        self.counts.transactions += 1;
        self.model.begun(at, &transaction);
        let request = transaction.request;
        let others = transaction.holds.len();
        self.transactions.push(transaction);
        let is_soft_first = self.requests[request].is_soft_first;
        if let Some(flight) = self.nodes[at].flights.iter_mut().find(|one| one.request == request) {
            flight.transaction = Some(place);
            flight.soft_left = if is_soft_first { others } else { 0 };
        }
        let limit = Micros::try_from(self.settings.decide_limit.as_micros()).unwrap_or(Micros::MAX);
        // By a clock that may run slower than time.
        let limit = limit + limit / 100;
        self.plan(at, limit, InProcess::Deadline { transaction: place });
        let firmness = if is_soft_first { Firmness::Soft } else { Firmness::Prepared };
        self.ask_everyone(at, place, firmness);
    }

    fn ask_everyone(&mut self, at: usize, transaction: usize, firmness: Firmness) {
        if !self.nodes[at].company.coordinator.is_waiting(&self.transactions[transaction].id) {
            return;
        }
        let valid_for = self.settings.decide_limit;
        let companies: Vec<usize> = self.transactions[transaction].holds.iter().map(|(to, _)| *to).collect();
        for to in companies {
            if to == at {
                let asker = Asker { from: at, call: None, transaction, firmness, valid_for };
                self.hold(at, asker, Patience::CanWait, None);
            } else {
                let message = Message::Hold { transaction, firmness, valid_for };
                self.send(at, to, message, Purpose::Hold { transaction, firmness });
            }
        }
    }

    fn soft_hold_made(&mut self, at: usize, transaction: usize) {
        let Some(flight) = self.nodes[at].flights.iter_mut().find(|one| one.transaction == Some(transaction))
        else {
            return;
        };
        flight.soft_left = flight.soft_left.saturating_sub(1);
        if flight.soft_left > 0 {
            return;
        }
        if self.is_planted(Canary::SoftHoldCounted) {
            return self.decide(at, transaction);
        }
        // A person thinks about it, now and then for too long.
        let limit = Micros::try_from(self.settings.decide_limit.as_micros()).unwrap_or(Micros::MAX);
        let thinks = self.random.u64(0..=limit);
        self.plan(at, thinks, InProcess::Prepare { transaction });
    }

    fn cancel(&mut self, at: usize, driver: usize, ask_number: u32, trip: &TripId) {
        let now = self.clock(at);
        match self.nodes[at].company.cancel(trip, now) {
            Ok(step) => {
                self.counts.cancelled += 1;
                let then = |trip| Action::Cancelled { driver, number: ask_number, trip: Box::new(trip) };
                self.apply(at, step, then);
            }
            Err(error) => {
                let answer = Answer::NotChangeable(error);
                let action = Action::Answer { driver, number: ask_number, answer };
                self.record(at, vec![], Told::OnceDurable, action);
            }
        }
    }

    fn withdraw(&mut self, at: usize, request: usize) {
        let now = self.clock(at);
        let company = &mut self.nodes[at].company;
        let Some(id) = company.coordinator.waiting_for(&self.requests[request].key).cloned() else { return };
        let Some(step) = company.withdraw(&id, now) else { return };
        self.counts.withdrawn += 1;
        let transaction = number(&id);
        self.apply(at, step, |decision| Action::Decided { transaction, decision });
    }

    // Everyone who listens is told.
    fn land(&mut self, at: usize, request: usize, answer: &Answer) {
        let flights = &mut self.nodes[at].flights;
        let Some(place) = flights.iter().position(|one| one.request == request) else { return };
        let flight = flights.swap_remove(place);
        let by = (at, self.nodes[at].disk.store);
        match answer {
            Answer::Booked { transaction, .. } => self.model.says_booked(by, request, *transaction),
            Answer::Refused(_) => self.model.says_refused(by, request),
            _ => {}
        }
        for (driver, ask_number) in flight.listeners {
            self.answer(at, driver, ask_number, answer.clone());
        }
    }
}
