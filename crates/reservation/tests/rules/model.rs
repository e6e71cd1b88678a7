//! What a participant should do, written down once more and as plainly as possible: a list of transactions, searched
//! from end to end, with nothing derived and nothing remembered twice.

use std::time::Duration;

use recarga_reservation::{
    Firmness, Hold, HoldLimits, Now, OperatorId, Outcome, Patience, Reason, TimeWindow, Timestamp,
    TransactionId,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Held { expires: Timestamp },
    Prepared { asked: bool },
    Confirmed,
    Released,
    Tombstone { at: Timestamp, heard: bool },
    GivenUp,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub hold: Hold,
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Yes,
    No(&'static str),
    Wait,
    Ok,
    Refused,
    Outcome(Outcome),
}

pub struct Model {
    pub me: OperatorId,
    pub limits: HoldLimits,
    pub entries: Vec<Entry>,
}

impl Model {
    pub fn find(&self, transaction: &TransactionId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.hold.transaction == *transaction)
    }

    fn set(&mut self, hold: &Hold, state: State) {
        self.entries.retain(|entry| entry.hold.transaction != hold.transaction);
        self.entries.push(Entry { hold: hold.clone(), state });
    }

    fn is_own(&self, hold: &Hold) -> bool {
        hold.transaction.coordinator == self.me
    }

    // `heard`: from the coordinator, or from whoever heard it.
    fn bury(&mut self, hold: &Hold, heard: bool, now: Now) {
        self.entries.retain(|entry| entry.hold.transaction != hold.transaction);
        if !self.is_own(hold) {
            self.set(hold, State::Tombstone { at: now.utc, heard });
        }
    }

    pub fn live(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| {
            matches!(entry.state, State::Held { .. } | State::Prepared { .. } | State::Confirmed)
        })
    }

    pub fn undecided(&self) -> impl Iterator<Item = &Entry> {
        self.live().filter(|entry| entry.state != State::Confirmed)
    }

    pub fn hold(
        &mut self,
        hold: &Hold,
        firmness: Firmness,
        valid_for: Duration,
        patience: Patience,
        now: Now,
    ) -> Said {
        let granted = match firmness {
            Firmness::Soft => State::Held { expires: now.utc + valid_for.min(self.limits.soft_max) },
            Firmness::Prepared => State::Prepared { asked: false },
        };
        if let Some(known) = self.find(&hold.transaction).cloned() {
            return match known.state {
                State::Released | State::Tombstone { .. } | State::GivenUp => Said::No("Closed"),
                _ if known.hold != *hold => Said::No("Different"),
                State::Held { .. } if firmness == Firmness::Prepared => {
                    self.set(hold, granted);
                    Said::Yes
                }
                _ => Said::Yes,
            };
        }
        let refused = match (self.refusal(hold, now), self.obstacle(hold, now)) {
            (Some(reason), _) => reason,
            (None, Some(("Younger", _))) if patience == Patience::CanWait => return Said::Wait,
            (None, Some(("Younger", _))) => "Held",
            (None, Some((reason, _))) => reason,
            (None, None) => {
                self.set(hold, granted);
                return Said::Yes;
            }
        };
        self.bury(hold, false, now);
        Said::No(refused)
    }

    fn refusal(&self, hold: &Hold, now: Now) -> Option<&'static str> {
        if hold.stops.is_empty() && hold.replaces.is_none() {
            return Some("StopCount");
        }
        if hold.stops.iter().any(|stop| stop.window.start() + self.limits.late_max < now.utc) {
            return Some("InThePast");
        }
        if let Some(reason) = self.car_refusal(hold, now) {
            return Some(reason);
        }
        let length = |hold: &Hold| hold.stops.iter().map(|stop| stop.window.duration()).sum::<Duration>();
        let same = |entry: &&Entry| entry.hold.transaction.coordinator == hold.transaction.coordinator;
        let count = self.undecided().filter(same).count();
        let time: Duration = self.undecided().filter(same).map(|entry| length(&entry.hold)).sum();
        let over = count >= usize::try_from(self.limits.undecided_holds_max).unwrap()
            || (count > 0 && time + length(hold) > self.limits.undecided_time_max);
        (over && !self.is_own(hold)).then_some("QuotaReached")
    }

    // All windows of the car here that are not over, but those that this very request or trip has; a change that is not
    // decided yet has the windows of before or its own, whichever are longer.
    fn car_refusal(&self, hold: &Hold, now: Now) -> Option<&'static str> {
        let open = |hold: &Hold| {
            let left = hold.stops.iter().filter(|stop| stop.window.end() > now.utc);
            left.map(|stop| stop.window.duration()).sum::<Duration>()
        };
        let before = |hold: &Hold| {
            let old = self.live().find(|entry| Some(&entry.hold.transaction) == hold.replaces.as_ref());
            old.map_or(Duration::ZERO, |old| open(&old.hold))
        };
        let replaced = |by: &Hold, entry: &Entry| by.replaces.as_ref() == Some(&entry.hold.transaction);
        let has: Vec<Duration> = self
            .live()
            .filter(|entry| entry.hold.key.vehicle == hold.key.vehicle && entry.hold.key != hold.key)
            .filter(|entry| !replaced(hold, entry))
            .filter(|entry| !self.undecided().any(|change| replaced(&change.hold, entry)))
            .map(|entry| match entry.state {
                State::Confirmed => open(&entry.hold),
                _ => open(&entry.hold).max(before(&entry.hold)),
            })
            .filter(|open| !open.is_zero())
            .collect();
        let limits = self.limits.vehicle;
        let trips_max = usize::try_from(limits.trips_max).unwrap();
        if hold.replaces.is_none() && trips_max > 0 && has.len() >= trips_max {
            return Some("TooManyTrips");
        }
        let is_more = hold.replaces.is_none() || open(hold) > before(hold);
        let over = has.iter().sum::<Duration>() + open(hold) > limits.time_max;
        (is_more && !limits.time_max.is_zero() && over).then_some("TooMuchTime")
    }

    fn obstacle(&self, hold: &Hold, now: Now) -> Option<(&'static str, Timestamp)> {
        let replaced = |entry: &Entry| Some(&entry.hold.transaction) == hold.replaces.as_ref();
        let same_request = self.live().filter(|entry| entry.hold.key == hold.key && !replaced(entry));
        let coordinator = &hold.transaction.coordinator;
        if let Some(first) = same_request.min_by_key(|entry| entry.hold.transaction.clone()) {
            let same = first.hold.transaction.coordinator == *coordinator;
            return Some((if same { "Held" } else { "RequestedElsewhere" }, now.utc));
        }
        if hold.replaces.is_some() {
            let is_current = self.live().any(|entry| replaced(entry) && entry.state == State::Confirmed);
            let is_changing = self.undecided().any(|entry| entry.hold.replaces == hold.replaces);
            if !is_current || is_changing {
                return Some(("Stale", now.utc));
            }
        }
        for stop in &hold.stops {
            let mut in_the_way: Vec<_> = self
                .live()
                .filter(|entry| !replaced(entry))
                .flat_map(|entry| entry.hold.stops.iter().map(move |other| (other, entry)))
                .filter(|(other, _)| other.evse == stop.evse && other.window.overlaps(stop.window))
                .map(|(other, entry)| (self.kind(hold, entry, now), other.window.start()))
                .collect();
            in_the_way.sort_by_key(|(_, start)| *start);
            if let Some(firm) = in_the_way.iter().find(|(kind, _)| *kind != "Younger") {
                return Some(*firm);
            }
        }
        let younger = hold.stops.iter().any(|stop| {
            let mut others = self.live().filter(|entry| !replaced(entry)).flat_map(|entry| &entry.hold.stops);
            others.any(|other| other.evse == stop.evse && other.window.overlaps(stop.window))
        });
        younger.then_some(("Younger", now.utc))
    }

    fn kind(&self, hold: &Hold, entry: &Entry, now: Now) -> &'static str {
        let age = |hold: &Hold| {
            let oldest = now.utc - self.limits.priority_age_max;
            let TransactionId { coordinator, store, epoch, counter, nonce } = hold.transaction.clone();
            (hold.priority.max(oldest).min(now.utc), coordinator, store, epoch, counter, nonce)
        };
        match entry.state {
            State::Confirmed => "Booked",
            State::Prepared { .. } if age(hold) < age(&entry.hold) => "Younger",
            _ => "Held",
        }
    }

    fn let_go(&mut self, transaction: &TransactionId) {
        if let Some(entry) = self.find(transaction).cloned()
            && matches!(entry.state, State::Prepared { .. } | State::Confirmed)
        {
            self.set(&entry.hold, State::Released);
        }
    }

    pub fn confirm(&mut self, hold: &Hold) -> Said {
        match self.find(&hold.transaction).cloned() {
            Some(Entry { hold, state: State::Prepared { .. } }) => {
                if let Some(old) = &hold.replaces {
                    self.let_go(old);
                }
                self.set(&hold, State::Confirmed);
                Said::Ok
            }
            Some(Entry { state: State::Confirmed | State::Released, .. }) => Said::Ok,
            Some(Entry { hold, state: State::GivenUp }) => {
                if let Some(old) = &hold.replaces {
                    self.let_go(old);
                }
                Said::Refused
            }
            _ => Said::Refused,
        }
    }

    pub fn abort(&mut self, hold: &Hold, now: Now) -> Said {
        match self.find(&hold.transaction).map(|entry| entry.state) {
            Some(State::Confirmed | State::Released) => Said::Refused,
            Some(State::GivenUp | State::Tombstone { heard: true, .. }) => Said::Ok,
            _ => {
                self.bury(hold, true, now);
                Said::Ok
            }
        }
    }

    pub fn release(&mut self, hold: &Hold) -> Said {
        match self.find(&hold.transaction).cloned() {
            None => Said::Ok,
            Some(Entry { hold, state: State::Prepared { .. } | State::Confirmed | State::GivenUp }) => {
                if let Some(old) = &hold.replaces {
                    self.let_go(old);
                }
                self.let_go(&hold.transaction);
                Said::Ok
            }
            Some(Entry { state: State::Released, .. }) => Said::Ok,
            Some(_) => Said::Refused,
        }
    }

    pub fn inquiry(&mut self, hold: &Hold, now: Now) -> Said {
        Said::Outcome(match self.find(&hold.transaction).map(|entry| entry.state) {
            None | Some(State::Held { .. }) => {
                self.bury(hold, false, now);
                Outcome::Abort
            }
            Some(State::Prepared { .. } | State::GivenUp) => Outcome::InDoubt,
            Some(State::Confirmed | State::Released) => Outcome::Commit,
            Some(State::Tombstone { .. }) => Outcome::Abort,
        })
    }

    pub fn asked_in_vain(&mut self) {
        for entry in &mut self.entries {
            if let State::Prepared { asked } = &mut entry.state {
                *asked = true;
            }
        }
    }

    pub fn expire(&mut self, now: Now) {
        for Entry { hold, state } in self.entries.clone() {
            match state {
                State::Held { expires } if expires <= now.utc => self.bury(&hold, false, now),
                State::Prepared { asked: true } if !self.is_own(&hold) && self.is_blocked(&hold, now) => {
                    self.set(&hold, State::GivenUp);
                }
                _ => {}
            }
        }
    }

    fn is_blocked(&self, hold: &Hold, now: Now) -> bool {
        let old = hold.replaces.as_ref().and_then(|old| self.find(old));
        let old = old.filter(|old| old.state == State::Confirmed);
        let windows = || hold.stops.iter().map(|stop| stop.window);
        let start = windows().map(TimeWindow::start).min();
        let old_start = || old?.hold.stops.iter().map(|stop| stop.window.start()).min();
        start.or_else(old_start).is_some_and(|start| start + self.limits.grace <= now.utc)
    }

    pub fn force_abort(&mut self, hold: &Hold) {
        if let Some(Entry { hold, state: State::Prepared { .. } }) = self.find(&hold.transaction).cloned()
            && !self.is_own(&hold)
        {
            self.set(&hold, State::GivenUp);
        }
    }

    pub fn forget(&mut self, now: Now) {
        let HoldLimits { tombstone_keep, reservation_keep, .. } = self.limits;
        self.entries.sort_by(|one, other| one.hold.transaction.cmp(&other.hold.transaction));
        for Entry { hold, state } in self.entries.clone() {
            let has_ended = match hold.stops.iter().map(|stop| stop.window.end()).max() {
                Some(end) => end + reservation_keep <= now.utc,
                None => hold.replaces.as_ref().is_none_or(|old| self.find(old).is_none()),
            };
            let goes = match state {
                State::Tombstone { at, .. } => at + tombstone_keep <= now.utc,
                State::Confirmed | State::Released | State::GivenUp => has_ended,
                State::Held { .. } | State::Prepared { .. } => false,
            };
            if goes {
                self.entries.retain(|entry| entry.hold.transaction != hold.transaction);
            }
        }
    }

    /// What a restart keeps: everything but the votes for this company's own trips, which stand in commit records.
    pub fn restart(&mut self, recorded_soft: &[(TransactionId, Timestamp)]) {
        let me = self.me.clone();
        for entry in &mut self.entries {
            if let State::Prepared { asked } = &mut entry.state {
                *asked = false;
            }
            let own = entry.hold.transaction.coordinator == me;
            let soft = recorded_soft.iter().find(|(one, _)| *one == entry.hold.transaction);
            if let (true, State::Prepared { .. }, Some((_, expires))) = (own, entry.state, soft) {
                entry.state = State::Held { expires: *expires };
            }
        }
        self.entries.retain(|entry| {
            entry.hold.transaction.coordinator != me || !matches!(entry.state, State::Prepared { .. })
        });
    }
}

pub fn kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::StopCount { .. } => "StopCount",
        Reason::InThePast => "InThePast",
        Reason::QuotaReached => "QuotaReached",
        Reason::TooManyTrips { .. } => "TooManyTrips",
        Reason::TooMuchTime { .. } => "TooMuchTime",
        Reason::Held => "Held",
        Reason::Booked { .. } => "Booked",
        Reason::Closed => "Closed",
        Reason::Different => "Different",
        Reason::RequestedElsewhere { .. } => "RequestedElsewhere",
        Reason::Stale => "Stale",
        other => panic!("{other:?}"),
    }
}
