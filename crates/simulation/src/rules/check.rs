//! What must be true once all faults have ended, stage by stage; and at each start, that memory says what the disk
//! says.

use recarga_reservation::{Branch, Stage as TripStage, TimeWindow, Timestamp};

use super::model::{Facts, Owned, bit};
use super::node::{company_of, evse_id, number, operator};
use super::queue::HOUR;
use super::world::World;

/// When what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing waits for votes, nothing is in doubt, every driver has an answer.
    Doubts,
    /// Nothing is owed, and windows belong to whom they should.
    Debts,
    /// The same once messages that were very late have arrived.
    Late,
    /// The last window has ended: whoever was still in doubt because a coordinator's disk is lost has given up.
    AllOver,
    /// A month later nothing is remembered, and old messages change nothing.
    MonthOver,
}

impl World {
    pub fn check(&mut self, stage: Stage) {
        let complaint = (0..self.nodes.len())
            .find_map(|at| self.unfinished(at, stage))
            .or_else(|| self.unanswered())
            .or_else(|| (stage >= Stage::Debts).then(|| self.find_debt()).flatten())
            .or_else(|| {
                (stage >= Stage::Debts && stage < Stage::MonthOver).then(|| self.find_split()).flatten()
            })
            .or_else(|| (stage == Stage::MonthOver).then(|| self.find_remains()).flatten());
        if let Some(complaint) = complaint {
            self.model.violate(format!("healing ({stage:?}): {complaint}"));
        }
        for at in 0..self.nodes.len() {
            self.check_calendars(at);
        }
        if stage == Stage::Late {
            self.idle_tick_max = HOUR;
        }
        let last = if self.settings.month_passes { Stage::MonthOver } else { Stage::AllOver };
        self.is_over = stage == last;
    }

    /// Memory, calendars and the plain list of durable windows say the same.
    pub fn check_calendars(&mut self, at: usize) {
        if !self.nodes[at].ledger.queue.is_empty() || self.nodes[at].ledger.flushing.is_some() {
            return;
        }
        let always = TimeWindow::new(Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX / 4));
        let Ok(always) = always else { return };
        let mut taken = Vec::new();
        for evse in 0..self.settings.evses {
            let Some(calendar) = self.nodes[at].company.participant.calendar(&evse_id(evse)) else {
                continue;
            };
            for (window, owner) in calendar.overlapping(always) {
                let (start, end) = (window.start().as_millis(), window.end().as_millis());
                // What a company holds for its own undecided trip is not on the disk.
                if !self.nodes[at].company.coordinator.is_waiting(owner) {
                    taken.push(Owned { evse, start, end, owner: number(owner) });
                }
            }
        }
        let waiting =
            |owner: usize| self.nodes[at].company.coordinator.is_waiting(&self.transactions[owner].id);
        let mut owned: Vec<Owned> =
            self.model.owned[at].iter().filter(|one| !waiting(one.owner)).copied().collect();
        taken.sort_unstable();
        owned.sort_unstable();
        if taken != owned {
            let name = operator(at);
            self.model.violate(format!("6: {name} remembers {taken:?} as taken; on the disk are {owned:?}"));
        }
    }

    fn unfinished(&self, at: usize, stage: Stage) -> Option<String> {
        let company = &self.nodes[at].company;
        if company.coordinator.waiting_count() > 0 || !self.nodes[at].flights.is_empty() {
            return Some(format!("{} still waits for votes", operator(at)));
        }
        for (id, branch) in company.participant.branches() {
            let facts = &self.model.transactions[number(id)];
            // The window's start ends such a doubt; a message a month late may begin one anew.
            let excused = facts.is_coordinator_lost() && stage != Stage::AllOver;
            let what = match branch {
                Branch::Prepared { .. } if !excused => "is in doubt about",
                Branch::Held { .. } => "still holds softly for",
                _ => continue,
            };
            return Some(format!("{} {what} t{}", operator(at), number(id)));
        }
        None
    }

    fn unanswered(&self) -> Option<String> {
        let driver = self.drivers.iter().position(|driver| driver.pending.is_some())?;
        Some(format!("driver {driver} has no answer to {:?}", self.drivers[driver].pending))
    }

    fn find_debt(&self) -> Option<String> {
        for at in 0..self.nodes.len() {
            for owed in self.nodes[at].company.coordinator.owed() {
                let (transaction, to) = (number(&owed.transaction), company_of(&owed.operator));
                // A company that lost its disk refuses to confirm what it knows nothing of: people must resolve that.
                if self.model.transactions[transaction].disk_lost & bit(to) == 0 {
                    return Some(format!("{} still owes {owed:?}", operator(at)));
                }
            }
        }
        None
    }

    // All of a trip's stops or none.
    fn find_split(&self) -> Option<String> {
        for (transaction, facts) in self.model.transactions.iter().enumerate() {
            if facts.is_coordinator_lost() {
                continue;
            }
            for at in (0..self.nodes.len()).filter(|&at| facts.participants & bit(at) != 0) {
                if let Some(complaint) = self.find_split_at(transaction, facts, at) {
                    return Some(complaint);
                }
            }
        }
        None
    }

    fn find_split_at(&self, transaction: usize, facts: &Facts, at: usize) -> Option<String> {
        let name = operator(at);
        let owns = self.model.owned[at].iter().any(|one| one.owner == transaction);
        // An empty disk may take a very late request for new, and hear that it was once committed.
        let is_taken_for_new = owns && facts.disk_lost & bit(at) != 0;
        if !facts.is_current() && is_taken_for_new {
            return None;
        }
        if !facts.is_current() {
            return owns.then(|| format!("{name} keeps windows of t{transaction} for nobody"));
        }
        let wants = facts.stops.iter().any(|(company, _)| *company == at);
        let gave_up = facts.gave_up & bit(at) != 0;
        let excused = gave_up || facts.disk_lost & bit(at) != 0;
        if wants && !owns && !excused {
            return Some(format!("{name} has no windows for t{transaction}, which is committed"));
        }
        let trip =
            self.nodes[facts.coordinator].company.coordinator.find(&self.transactions[transaction].id)?;
        let is_reported = trip.lost.iter().any(|lost| company_of(lost) == at);
        let is_settled = trip.stage == TripStage::Settled;
        (is_settled && gave_up && !is_reported)
            .then(|| format!("{name} gave t{transaction} up, and nobody is told"))
    }

    fn find_remains(&self) -> Option<String> {
        for at in 0..self.nodes.len() {
            if let Some(owned) = self.model.owned[at].first() {
                return Some(format!("{} keeps {owned:?}", operator(at)));
            }
            for (id, branch) in self.nodes[at].company.participant.branches() {
                let facts = &self.model.transactions[number(id)];
                // Only the coordinator's own database can say that a tombstone may go; old messages make new ones.
                let is_tombstone = matches!(branch, Branch::Aborted { .. });
                if !is_tombstone && !facts.is_coordinator_lost() {
                    return Some(format!("{} remembers {branch:?}", operator(at)));
                }
            }
            // What is owed to a company that lost its disk is for people to resolve.
            let is_owed = |transaction: usize| self.model.transactions[transaction].disk_lost != 0;
            let trips = self.nodes[at].company.coordinator.trips();
            if let Some(trip) = trips.map(|trip| number(&trip.transaction)).find(|&one| !is_owed(one)) {
                return Some(format!("{} remembers the trip of t{trip}", operator(at)));
            }
        }
        None
    }
}
