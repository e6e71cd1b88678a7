//! A value that many wait for. They are woken in the order in which they came, which is fair to them and lets a
//! simulation be repeated; the channel of the same kind in tokio wakes them in an order drawn by chance.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The value and those who wait.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Watched<T> {
    /// The value at first.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    /// The value now.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.lock().clone()
    }

    /// Changes the value and wakes everyone who waits.
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_waiters();
    }

    /// Waits until `look` finds something in the value.
    pub async fn wait_for<A>(&self, mut look: impl FnMut(&T) -> Option<A>) -> A {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look, so that a change in between wakes it.
            changed.as_mut().enable();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    // What changes it is never left half-way by a panic that matters: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_came_first_is_woken_first() {
        let watched = Arc::new(Watched::new(0));
        let order = Arc::new(Mutex::new(Vec::new()));
        let wait = |name: usize| {
            let (watched, order) = (watched.clone(), order.clone());
            tokio::spawn(async move {
                watched.wait_for(|value| (*value > 0).then_some(())).await;
                order.lock().unwrap().push(name);
            })
        };
        let waiting: Vec<_> = (0..50).map(wait).collect();
        tokio::task::yield_now().await;
        watched.update(|value| *value = 1);
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
        assert_eq!(watched.wait_for(|value| Some(*value)).await, 1, "who comes late does not wait");
    }
}
