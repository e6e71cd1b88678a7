//! What is to happen, in the order of virtual time; what is to happen at the same instant, in the order of planning.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Virtual time since the beginning of the run, in microseconds.
pub type Micros = u64;

pub const MILLI: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;
pub const MINUTE: Micros = 60 * SECOND;
pub const HOUR: Micros = 60 * MINUTE;
pub const DAY: Micros = 24 * HOUR;

/// Events by time. The heap holds only places, so that what moves in it is small.
#[derive(Debug)]
pub struct Queue<E> {
    order: BinaryHeap<Reverse<(Micros, u64, usize)>>,
    places: Vec<Option<E>>,
    free: Vec<usize>,
    planned: u64,
}

impl<E> Queue<E> {
    pub fn new() -> Self {
        Self {
            order: BinaryHeap::with_capacity(256),
            places: Vec::with_capacity(256),
            free: Vec::new(),
            planned: 0,
        }
    }

    pub fn push(&mut self, at: Micros, event: E) {
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = Some(event);
                place
            }
            None => {
                self.places.push(Some(event));
                self.places.len() - 1
            }
        };
        self.planned += 1;
        self.order.push(Reverse((at, self.planned, place)));
    }

    pub fn pop(&mut self) -> Option<(Micros, E)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.places[place].take().map(|event| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_earlier_comes_first_and_at_one_instant_what_was_planned_first() {
        let mut queue = Queue::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(at, event);
        }
        let mut popped = Vec::new();
        while let Some((_, event)) = queue.pop() {
            popped.push(event);
            if event == 'b' {
                queue.push(5, 'e');
            }
        }
        assert_eq!(popped, ['a', 'b', 'c', 'd', 'e']);
    }
}
