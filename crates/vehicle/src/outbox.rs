//! What a car has to say and has not said yet.

use std::collections::VecDeque;

use crate::radio::{Delivery, Publication};

/// Messages in order. It stays small while the broker is away: of passing messages only the last one waits, and a
/// request that still waits is not queued again.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Publication>,
    // A message on its way waits for its acknowledgement, over reconnects: no use in sending its twin.
    under_way: Option<Publication>,
}

impl Outbox {
    /// Adds a message. Says whether it took the place of nothing: a repeat of what still waits is dropped.
    pub(crate) fn push(&mut self, publication: Publication) {
        if publication.delivery == Delivery::Passing {
            self.waiting.retain(|other| other.delivery != Delivery::Passing);
        } else if self.under_way.as_ref() == Some(&publication) || self.waiting.contains(&publication) {
            return;
        }
        self.waiting.push_back(publication);
    }

    /// The next message to send, if none is under way.
    pub(crate) fn next(&mut self) -> Option<Publication> {
        if self.under_way.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.under_way = Some(next.clone());
        Some(next)
    }

    /// The message under way has arrived, or is lost.
    pub(crate) fn sent(&mut self) {
        self.under_way = None;
    }

    /// Whether everything has been said.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }
}

#[cfg(test)]
mod tests {
    use recarga_reservation::VehicleId;
    use recarga_wire::topic::Topic;

    use super::*;

    #[test]
    fn only_the_last_status_and_one_of_each_request_wait() {
        let car = VehicleId::new("carro-0001").unwrap();
        let publication = |payload: &str, delivery| Publication {
            topic: Topic::VehicleStatus(car.clone()),
            payload: payload.into(),
            delivery,
        };
        let mut outbox = Outbox::default();
        outbox.push(publication("request", Delivery::Sure));
        assert_eq!(outbox.next(), Some(publication("request", Delivery::Sure)));
        for _ in 0..100 {
            outbox.push(publication("request", Delivery::Sure));
            outbox.push(publication("old", Delivery::Passing));
            outbox.push(publication("other", Delivery::Sure));
            outbox.push(publication("new", Delivery::Passing));
        }
        assert_eq!(outbox.next(), None, "one at a time");
        outbox.sent();
        assert_eq!(outbox.next(), Some(publication("other", Delivery::Sure)));
        outbox.sent();
        assert_eq!(outbox.next(), Some(publication("new", Delivery::Passing)));
        assert!(!outbox.is_empty());
        outbox.sent();
        assert!(outbox.is_empty());
    }
}
