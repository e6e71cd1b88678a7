//! Requests that came by MQTT and the answers owed to them.
//!
//! A letter is durable before its request is acknowledged to the broker, and its answer is owed until the broker has
//! acknowledged that. A repeat of a request finds its letter, and is answered as that was.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use recarga_reservation::{RequestKey, Timestamp};

use crate::store::{Letter, Record};

/// All letters that are remembered.
#[derive(Clone, Debug, Default)]
pub struct Mailbox {
    letters: BTreeMap<RequestKey, Letter>,
    // Derived: letters whose answer is owed, and those of them that are on their way at this moment.
    owed: BTreeSet<RequestKey>,
    under_way: BTreeSet<RequestKey>,
    // Of those on their way: what was asked for again meanwhile. The answer under way may be one that the car missed.
    again: BTreeSet<RequestKey>,
}

/// What became of a request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// To be worked on.
    New,
    /// A repeat of one that is being worked on.
    Working,
    /// A repeat of one that was answered: the answer is owed once more.
    Answered,
    /// The same id asked for something else before.
    Different,
}

impl Mailbox {
    /// Takes back a letter after a restart.
    pub fn restore(&mut self, letter: Letter) {
        if letter.owed {
            self.owed.insert(letter.key.clone());
        }
        self.letters.insert(letter.key.clone(), letter);
    }

    /// Takes in a request; the records must be durable before the broker is told that it has arrived. `asks_the_same`
    /// judges the text of an earlier request with the same id, if that is not the very same text.
    pub fn receive(
        &mut self,
        letter: Letter,
        asks_the_same: impl FnOnce(&str) -> bool,
    ) -> (Receipt, Vec<Record>) {
        match self.letters.get_mut(&letter.key) {
            None => {
                self.letters.insert(letter.key.clone(), letter.clone());
                (Receipt::New, vec![Record::Letter(letter)])
            }
            Some(known) if known.request != letter.request && !asks_the_same(&known.request) => {
                (Receipt::Different, vec![])
            }
            Some(known) if known.answer.is_some() => {
                known.owed = true;
                known.response_topic = letter.response_topic;
                known.correlation = letter.correlation;
                self.owed.insert(known.key.clone());
                if self.under_way.contains(&known.key) {
                    self.again.insert(known.key.clone());
                }
                (Receipt::Answered, vec![Record::Letter(known.clone())])
            }
            Some(_) => (Receipt::Working, vec![]),
        }
    }

    /// The letter of a request.
    pub fn letter(&self, key: &RequestKey) -> Option<&Letter> {
        self.letters.get(key)
    }

    /// Answers a request, once and for all; the answer is owed from now on.
    pub fn answer(&mut self, key: &RequestKey, answer: String) -> Vec<Record> {
        match self.letters.get_mut(key) {
            Some(letter) if letter.answer.is_none() => {
                letter.answer = Some(answer);
                letter.owed = true;
                self.owed.insert(key.clone());
                vec![Record::Letter(letter.clone())]
            }
            _ => vec![],
        }
    }

    /// Begins to deliver an answer that is owed and not on its way already.
    pub fn begin_delivery(&mut self, key: &RequestKey) -> Option<Letter> {
        let letter = self.letters.get(key).filter(|letter| letter.owed)?;
        self.under_way.insert(key.clone()).then(|| letter.clone())
    }

    /// Ends a delivery; `taken` says whether the broker has the answer. If it was asked for again meanwhile, it is
    /// still owed.
    pub fn end_delivery(&mut self, key: &RequestKey, taken: bool) -> Vec<Record> {
        self.under_way.remove(key);
        let done = !self.again.remove(key) && taken;
        let Some(letter) = self.letters.get_mut(key).filter(|letter| done && letter.owed) else {
            return vec![];
        };
        letter.owed = false;
        self.owed.remove(key);
        vec![Record::Letter(letter.clone())]
    }

    /// Requests without an answer: what a node that was killed has yet to finish.
    pub fn unanswered(&self) -> Vec<Letter> {
        self.letters.values().filter(|letter| letter.answer.is_none()).cloned().collect()
    }

    /// Answers that the broker does not have yet and that are not on their way.
    pub fn owed(&self) -> Vec<Letter> {
        let waiting = self.owed.difference(&self.under_way);
        waiting.filter_map(|key| self.letters.get(key)).cloned().collect()
    }

    /// How many answers the broker does not have yet.
    pub fn owed_count(&self) -> usize {
        self.owed.len()
    }

    /// Looks at the `at_most` letters that follow `after`, or at the first ones, and drops those that were answered,
    /// delivered, and received more than `keep` ago. Also says after which one the next slice begins.
    pub fn forget_before(
        &mut self,
        now: Timestamp,
        keep: Duration,
        after: Option<&RequestKey>,
        at_most: usize,
    ) -> (Vec<Record>, Option<RequestKey>) {
        let is_old =
            |letter: &Letter| letter.answer.is_some() && !letter.owed && letter.received + keep <= now;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut old, mut next) = (Vec::new(), None);
        for (count, (key, letter)) in (1..=at_most).zip(self.letters.range((from, Bound::Unbounded))) {
            if is_old(letter) {
                old.push(key.clone());
            }
            if count == at_most {
                next = Some(key.clone());
            }
        }
        for key in &old {
            self.letters.remove(key);
        }
        (old.into_iter().map(Record::LetterForgotten).collect(), next)
    }
}
