//! Whether every trip is all or nothing, judged by what is durable at all companies and by what drivers were told.
//!
//! It knows nothing of how the rules work: only what a trip, a reservation and a promise are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use recarga_node::store::Record;
use recarga_reservation::{Branch, Fact, Hold, OperatorId, Stage, TransactionId, Trip};

use crate::federation::history::{Request, Told};

/// What all companies hold at the end.
#[derive(Debug, Default)]
pub struct Books {
    trips: BTreeMap<TransactionId, Trip>,
    branches: BTreeMap<TransactionId, BTreeMap<OperatorId, Branch>>,
}

impl Books {
    /// Adds what one company has written.
    pub fn add(&mut self, company: &OperatorId, records: Vec<Record>) {
        for record in records {
            match record {
                Record::Fact(Fact::Trip(trip)) => {
                    self.trips.insert(trip.transaction.clone(), trip);
                }
                Record::Fact(Fact::Branch(transaction, branch)) => {
                    self.branches.entry(transaction).or_default().insert(company.clone(), branch);
                }
                _ => {}
            }
        }
    }

    /// What is wrong with them, at rest.
    pub fn complaint(&self, requests: &BTreeMap<String, Request>) -> Option<String> {
        self.trips
            .values()
            .find_map(|trip| self.split(trip))
            .or_else(|| self.orphan())
            .or_else(|| self.booked_twice())
            .or_else(|| requests.iter().find_map(|(id, request)| self.lie(id, request)))
    }

    // Something that a trip needs is missing, or left over.
    fn split(&self, trip: &Trip) -> Option<String> {
        let transaction = &trip.transaction;
        let owes = match &trip.stage {
            Stage::Committed { .. } => true,
            Stage::Cancelled { unreleased } => !unreleased.is_empty(),
            Stage::Settled | Stage::Replaced => false,
        };
        if owes {
            return Some(format!("{transaction} is not settled at its coordinator: {:?}", trip.stage));
        }
        if !trip.lost.is_empty() {
            return Some(format!("{transaction} was released heuristically at {:?}", trip.lost));
        }
        let stands = trip.stage == Stage::Settled;
        for company in &trip.participants {
            let branch = self.branches.get(transaction).and_then(|parts| parts.get(company));
            match branch {
                Some(Branch::Confirmed { .. }) if stands => {}
                Some(Branch::Released { .. }) if !stands => {}
                // A change that moved every stop elsewhere: nothing is reserved, and nobody comes to release it.
                Some(Branch::Confirmed { hold }) if hold.stops.is_empty() => {}
                other => {
                    let state = &trip.stage;
                    return Some(format!(
                        "split: {transaction} is {state:?} at its coordinator, and at {company} {other:?}"
                    ));
                }
            }
        }
        None
    }

    // Something is held for a trip that is not, or nobody knows whether it is.
    fn orphan(&self) -> Option<String> {
        self.branches.iter().find_map(|(transaction, parts)| {
            parts.iter().find_map(|(company, branch)| match branch {
                Branch::Prepared { .. } | Branch::Held { .. } => {
                    Some(format!("{transaction} is still in doubt at {company}"))
                }
                Branch::Confirmed { .. } if !self.trips.contains_key(transaction) => Some(format!(
                    "split: {transaction} is reserved at {company} and unknown to its coordinator"
                )),
                _ => None,
            })
        })
    }

    fn booked_twice(&self) -> Option<String> {
        let mut taken: BTreeMap<_, Vec<(&TransactionId, &Arc<Hold>, usize)>> = BTreeMap::new();
        for (transaction, parts) in &self.branches {
            for (company, branch) in parts {
                let Branch::Confirmed { hold } = branch else { continue };
                for (index, stop) in hold.stops.iter().enumerate() {
                    let slots = taken.entry((company, &stop.evse)).or_default();
                    let overlaps = |(_, other, place): &&(_, &Arc<Hold>, usize)| {
                        other.stops[*place].window.overlaps(stop.window)
                    };
                    if let Some((other, ..)) = slots.iter().find(overlaps) {
                        return Some(format!(
                            "{} of {company} is booked twice: {transaction}, {other}",
                            stop.evse
                        ));
                    }
                    slots.push((transaction, hold, index));
                }
            }
        }
        None
    }

    // A driver was told what is not so.
    fn lie(&self, id: &str, request: &Request) -> Option<String> {
        let of_request = |trip: &&Trip| trip.request.key().request.as_str() == id;
        let trips: Vec<&Trip> = self.trips.values().filter(of_request).collect();
        let standing: BTreeSet<&str> =
            trips.iter().filter(|trip| trip.stage == Stage::Settled).map(|trip| trip.id.as_str()).collect();
        for told in &request.told {
            match told {
                Told::Confirmed(name) if !trips.iter().any(|trip| trip.id.as_str() == name) => {
                    return Some(format!("lost: {id} was told that it is trip {name}, which nobody knows"));
                }
                Told::Confirmed(name) if !request.meddled && !standing.contains(name.as_str()) => {
                    return Some(format!("lost: {id} was told that it is trip {name}, which does not stand"));
                }
                // A copy of the request may have arrived after the answer and be another attempt.
                Told::Refused(_) if request.sent == 1 && !standing.is_empty() => {
                    return Some(format!("{id} was told that it is refused, and trips {standing:?} stand"));
                }
                _ => {}
            }
        }
        if request.cancelled && !standing.is_empty() {
            return Some(format!("{id} was told that it is cancelled, and trips {standing:?} stand"));
        }
        if request.changed_by.is_some() && !standing.is_empty() {
            return Some(format!("{id} was told that it is changed, and trips {standing:?} stand"));
        }
        (standing.len() > 1).then(|| format!("{id} is booked as {standing:?}"))
    }
}
