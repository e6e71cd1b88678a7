//! What was said last on each topic of one filter and has not been read yet: so that many who speak often cost a
//! reader who is late neither memory nor the way for others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes of topics and payloads that wait to be read; what would exceed them is dropped.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// What counts at QoS 0 is the newest message of each topic.
#[derive(Clone, Debug)]
pub struct LatestOf {
    /// Which topics; `+` stands for any one level.
    pub filter: String,
    /// Topics that wait to be read; more are dropped and counted.
    pub topics_max: usize,
}

/// The newest unread message of each topic.
#[derive(Debug)]
pub struct Latest {
    of: LatestOf,
    unread: Mutex<Unread>,
    arrived: Notify,
    superseded: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Unread {
    messages: HashMap<Box<str>, Vec<u8>>,
    bytes: usize,
}

impl Latest {
    pub(super) fn new(of: LatestOf) -> Self {
        Self {
            of,
            unread: Mutex::default(),
            arrived: Notify::new(),
            superseded: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Waits for messages, and takes all that are unread.
    pub async fn take(&self) -> HashMap<Box<str>, Vec<u8>> {
        loop {
            let unread = std::mem::take(&mut *self.unread());
            if !unread.messages.is_empty() {
                return unread.messages;
            }
            // One that arrives before this waits leaves a permit behind.
            self.arrived.notified().await;
        }
    }

    /// Messages that a newer one of their topic took the place of before they were read, since the start.
    pub fn superseded(&self) -> u64 {
        self.superseded.load(Ordering::Relaxed)
    }

    /// Messages for which there was no room, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn is_for(&self, topic: &str) -> bool {
        let mut levels = topic.split('/');
        let fits = self.of.filter.split('/').all(|wanted| match levels.next() {
            Some(level) => wanted == "+" || wanted == level,
            None => false,
        });
        fits && levels.next().is_none()
    }

    // An empty payload says nothing: with it a retained message is taken back.
    pub(super) fn put(&self, topic: &str, payload: &[u8]) {
        if payload.is_empty() {
            return;
        }
        let mut unread = self.unread();
        let Unread { messages, bytes } = &mut *unread;
        let before = messages.get_mut(topic);
        let grows = match &before {
            Some(before) => payload.len().saturating_sub(before.len()),
            None => topic.len() + payload.len(),
        };
        let is_full = before.is_none() && messages.len() >= self.of.topics_max;
        if is_full || *bytes + grows > BYTES_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *bytes += grows;
        // Copied: a slice of what was read from the socket would keep all of that in memory.
        match messages.get_mut(topic) {
            Some(before) => {
                before.clear();
                before.extend_from_slice(payload);
                self.superseded.fetch_add(1, Ordering::Relaxed);
            }
            None => {
                messages.insert(topic.into(), payload.to_vec());
                if messages.len() == 1 {
                    self.arrived.notify_one();
                }
            }
        }
    }

    fn unread(&self) -> MutexGuard<'_, Unread> {
        // It is whole whenever the lock is free, whoever panicked.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(topics_max: usize) -> Latest {
        Latest::new(LatestOf { filter: "veiculo/+/status".into(), topics_max })
    }

    #[tokio::test]
    async fn the_newest_of_each_topic_is_read_once() {
        let latest = latest(2);
        latest.put("veiculo/a/status", b"one, which is longer");
        latest.put("veiculo/b/status", b"b");
        latest.put("veiculo/a/status", b"two");
        latest.put("veiculo/c/status", b"no room");
        latest.put("veiculo/b/status", b"");
        let taken = latest.take().await;
        assert_eq!((taken.len(), latest.superseded(), latest.dropped()), (2, 1, 1));
        assert_eq!(
            (&taken["veiculo/a/status"][..], &taken["veiculo/b/status"][..]),
            (&b"two"[..], &b"b"[..])
        );
        latest.put("veiculo/c/status", b"now there is");
        assert_eq!(latest.take().await.len(), 1);
    }

    #[tokio::test]
    async fn bytes_are_bounded() {
        let latest = latest(1000);
        let large = vec![b'x'; BYTES_MAX / 8];
        (0..20).for_each(|car| latest.put(&format!("veiculo/{car}/status"), &large));
        assert_eq!(latest.take().await.len(), 7, "the topics count too");
        assert_eq!(latest.dropped(), 13);
        latest.put("veiculo/1/status", &large);
        assert_eq!(latest.take().await.len(), 1, "what was read takes no room");
    }

    #[test]
    fn filters_are_by_level() {
        let latest = latest(1);
        assert!(latest.is_for("veiculo/a/status"));
        for other in ["veiculo/a/requisicao", "veiculo/a", "veiculo/a/status/x", "veiculo/a/b/status", ""] {
            assert!(!latest.is_for(other), "{other}");
        }
    }
}
