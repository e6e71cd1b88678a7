//! What happened to each transaction, for people who look at one: the last so many steps, in memory. It takes a short
//! lock a step, promises nothing, and is empty after a restart.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use recarga_reservation::{
    Now, OperatorId, Outcome, OwedMessage, Reason, Refusal, Timestamp, TransactionId, Vote,
};

use crate::clock::Clock;

/// Steps that are looked through for the latest transactions: whoever adds one waits for that long.
const LOOKED_THROUGH: usize = 4096;
/// Refusals are counted by parts of this length.
const PART: Duration = Duration::from_secs(300);
/// How many parts: a day.
const PARTS: usize = 288;

/// The steps of transactions at this company.
#[derive(Debug)]
pub struct Chronicle {
    clock: Arc<dyn Clock>,
    most: usize,
    began: Timestamp,
    steps: Mutex<VecDeque<Entry>>,
    refusals: Mutex<VecDeque<Part>>,
}

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Now,
    /// Whose.
    pub transaction: TransactionId,
    /// What.
    pub what: Happening,
}

/// What happened; the company is the other one, or this one where it speaks to itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// An attempt to book begins.
    Begun,
    /// A hold was asked of a company.
    Asked(OperatorId),
    /// Its vote came.
    Voted(OperatorId, Option<Box<Reason>>),
    /// It did not vote.
    Silent(OperatorId),
    /// The decision is durable: committed or not.
    Decided(bool),
    /// A company is told what it is owed.
    Sent(OperatorId, OwedMessage),
    /// It has acknowledged that.
    Acknowledged(OperatorId, OwedMessage),
    /// It could not be told.
    NotDelivered(OperatorId),
    /// A company is told to abort.
    AbortSent(OperatorId),
    /// The driver has cancelled the trip.
    Cancelled,
    /// A company's hold was answered here, with a refusal or none.
    Held(OperatorId, Option<Box<Reason>>),
    /// Confirmed here.
    Confirmed,
    /// Aborted here.
    Aborted,
    /// Given back here.
    Released,
    /// A soft hold's time was up.
    Expired,
    /// Released here without an outcome.
    Heuristic,
    /// A company is asked what became of it.
    Inquiring(OperatorId),
    /// What it says.
    Learnt(OperatorId, Outcome),
    /// It could not say.
    NoWord(OperatorId),
    /// A company has asked this one.
    Inquired(OperatorId, Outcome),
}

/// A transaction of which something was lately seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Which.
    pub transaction: TransactionId,
    /// The first step that was looked at.
    pub first: Timestamp,
    /// The last step.
    pub last: Timestamp,
}

#[derive(Debug)]
struct Part {
    from: Timestamp,
    counts: Vec<(Reason, u64)>,
}

impl Happening {
    /// How a company has voted.
    pub fn voted(operator: &OperatorId, vote: &Vote) -> Self {
        Happening::Voted(operator.clone(), reason(vote))
    }

    /// How this company has answered a hold.
    pub fn held(by: &OperatorId, vote: &Vote) -> Self {
        Happening::Held(by.clone(), reason(vote))
    }
}

impl Chronicle {
    /// Remembers at most so many steps; none at all if zero.
    pub fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        let began = clock.now().utc;
        Self { clock, most, began, steps: Mutex::default(), refusals: Mutex::default() }
    }

    /// One more step.
    pub fn note(&self, transaction: &TransactionId, what: Happening) {
        if self.most == 0 {
            return;
        }
        let entry = Entry { at: self.clock.now(), transaction: transaction.clone(), what };
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() >= self.most {
            steps.pop_front();
        }
        steps.push_back(entry);
    }

    /// Counts a hold that was refused here.
    pub fn refused(&self, refusal: &Refusal) {
        let now = self.clock.now().utc;
        let kind = bare(&refusal.reason);
        let mut parts = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.back().is_none_or(|last| last.from + PART <= now) {
            if parts.len() >= PARTS {
                parts.pop_front();
            }
            parts.push_back(Part { from: now, counts: vec![] });
        }
        let Some(part) = parts.back_mut() else { return };
        match part.counts.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => part.counts.push((kind, 1)),
        }
    }

    /// What was refused here since an instant, by reason, the most frequent first; and since when that is known.
    pub fn refusals(&self, since: Timestamp) -> (Timestamp, Vec<(Reason, u64)>) {
        let parts = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums: Vec<(Reason, u64)> = Vec::new();
        for (reason, count) in
            parts.iter().filter(|part| part.from + PART > since).flat_map(|part| &part.counts)
        {
            match sums.iter_mut().find(|(known, _)| known == reason) {
                Some((_, sum)) => *sum += count,
                None => sums.push((reason.clone(), *count)),
            }
        }
        sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        // With all parts in use, what came before the first one is gone.
        let known = parts.front().filter(|_| parts.len() >= PARTS).map_or(self.began, |first| first.from);
        (known.max(since), sums)
    }

    /// What is remembered of a transaction, in order.
    pub fn story(&self, transaction: &TransactionId) -> Vec<Entry> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.iter().filter(|entry| entry.transaction == *transaction).cloned().collect()
    }

    /// The transactions of the last steps, the latest first.
    pub fn recent(&self, most: usize) -> Vec<Recent> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let mut places: HashMap<&TransactionId, usize> = HashMap::new();
        let mut found: Vec<Recent> = Vec::new();
        for Entry { at, transaction, .. } in steps.iter().rev().take(LOOKED_THROUGH) {
            match places.get(transaction) {
                Some(&place) => found[place].first = at.utc,
                None if found.len() < most => {
                    places.insert(transaction, found.len());
                    found.push(Recent { transaction: transaction.clone(), first: at.utc, last: at.utc });
                }
                None => {}
            }
        }
        found
    }

    /// When this run of the process began.
    pub fn began(&self) -> Timestamp {
        self.began
    }
}

fn reason(vote: &Vote) -> Option<Box<Reason>> {
    match vote {
        Vote::Yes { .. } => None,
        Vote::No(refusal) => Some(Box::new(refusal.reason.clone())),
    }
}

// Only the kind is counted, so that there are few.
fn bare(reason: &Reason) -> Reason {
    match reason {
        Reason::Booked { .. } => Reason::Booked { free: vec![] },
        // Whom it concerns would make one of each.
        Reason::RequestedElsewhere { .. } => Reason::Different,
        Reason::TooManyTrips { operator, .. } => {
            Reason::TooManyTrips { operator: operator.clone(), max: 0, used: 0 }
        }
        Reason::TooMuchTime { operator, .. } => {
            let (max, used) = (Duration::ZERO, Duration::ZERO);
            Reason::TooMuchTime { operator: operator.clone(), max, used }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use recarga_reservation::StoreId;

    use super::*;

    #[derive(Debug, Default)]
    struct Hand(Mutex<i64>);

    impl Clock for Hand {
        fn now(&self) -> Now {
            let millis = *self.0.lock().unwrap();
            Now { utc: Timestamp::from_millis(millis), elapsed: Duration::from_millis(millis as u64) }
        }

        fn nonce(&self) -> u128 {
            0
        }
    }

    fn transaction(counter: u64) -> TransactionId {
        let coordinator = "empresa-a".parse().unwrap();
        TransactionId { coordinator, store: StoreId(1), epoch: 1, counter, nonce: 0 }
    }

    #[test]
    fn it_keeps_the_last_steps_and_finds_the_latest_transactions() {
        let hand = Arc::new(Hand::default());
        let chronicle = Chronicle::new(hand.clone(), 4);
        for (at, counter) in [(1, 1), (2, 2), (3, 1), (4, 3), (5, 1)] {
            *hand.0.lock().unwrap() = at;
            chronicle.note(&transaction(counter), Happening::Begun);
        }
        let times = |counter| {
            let story = chronicle.story(&transaction(counter));
            story.iter().map(|entry| entry.at.utc.as_millis()).collect::<Vec<_>>()
        };
        assert_eq!((times(1), times(2), times(9)), (vec![3, 5], vec![2], vec![]), "the oldest one is gone");
        let recent: Vec<_> = chronicle.recent(2).iter().map(|one| one.transaction.counter).collect();
        assert_eq!(recent, [1, 3]);
        assert_eq!(chronicle.recent(9)[0].first.as_millis(), 3);
    }

    #[test]
    fn refusals_are_counted_by_reason_for_a_day() {
        let hand = Arc::new(Hand::default());
        let chronicle = Chronicle::new(hand.clone(), 0);
        let minutes = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let refuse = |at: i64, reason| {
            *hand.0.lock().unwrap() = minutes(at).as_millis();
            chronicle.refused(&Refusal::whole(reason));
        };
        refuse(0, Reason::Held);
        refuse(1, Reason::Held);
        refuse(1, Reason::QuotaReached);
        refuse(60, Reason::Held);
        let counts = |since| chronicle.refusals(minutes(since)).1;
        assert_eq!(counts(0), [(Reason::Held, 3), (Reason::QuotaReached, 1)]);
        assert_eq!(counts(30), [(Reason::Held, 1)]);
        (1..=400).for_each(|part| refuse(60 + part * 5, Reason::Stale));
        assert_eq!(counts(0), [(Reason::Stale, PARTS as u64)], "older ones are forgotten");
        assert!(chronicle.refusals(minutes(0)).0 > minutes(60), "and it is said since when they are known");
        assert!(chronicle.story(&transaction(1)).is_empty());
    }
}
