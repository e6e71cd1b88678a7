//! What is asked of the coordinator.

use std::sync::Arc;

use async_trait::async_trait;
use recarga_reservation::{Refusal, RequestKey, Trip, TripId, TripRequest};

/// Finds the stops of a trip.
#[async_trait]
pub trait Planner: Send + Sync {
    /// Stops that lead to where the driver wants to go, or why there are none, in words that are handed on.
    async fn propose(&self) -> Result<TripRequest, Arc<str>>;

    /// These stops were refused: the next proposal has to do without what was not to be had. Says whether there may be
    /// another one.
    fn refused(&self, proposal: &TripRequest, refusal: &Refusal) -> bool;
}

/// A request for a trip, or for other stops of an existing one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    pub wanted: Wanted,
    pub changes: Option<TripId>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Wanted {
    Stops(Arc<TripRequest>),
    // In the words of the planner, which finds them.
    Journey { key: RequestKey, wish: Arc<str> },
}

impl Wish {
    pub fn key(&self) -> &RequestKey {
        match &self.wanted {
            Wanted::Stops(request) => request.key(),
            Wanted::Journey { key, .. } => key,
        }
    }

    // A change is the same only if it was of the same trip.
    pub fn has_become(&self, trip: &Trip) -> bool {
        let same = match &self.wanted {
            Wanted::Stops(request) => trip.request == *request,
            Wanted::Journey { wish, .. } => {
                trip.request.planned().is_some_and(|planned| planned.wish == *wish)
            }
        };
        same && self.changes.as_ref().is_none_or(|id| *id == trip.id)
    }
}
