//! All that the node remembers.

use recarga_reservation::Company;

use super::Revisions;
use crate::decisions::Decisions;
use crate::mailbox::Mailbox;

/// All that the node remembers.
#[derive(Debug)]
pub struct State {
    /// Calendars, holds and trips.
    pub company: Company,
    /// Requests by MQTT and the answers to them.
    pub mailbox: Mailbox,
    /// What operators have forced.
    pub decisions: Decisions,
    /// Which EVSEs changed when.
    pub revisions: Revisions,
}

impl State {
    /// Of a company in a run of the node; what else there is to remember is yet to be read back.
    pub fn new(company: Company, epoch: u64) -> Self {
        let revisions = Revisions::of_epoch(epoch);
        Self { company, mailbox: Mailbox::default(), decisions: Decisions::default(), revisions }
    }

    pub(super) fn note_changes(&mut self) {
        self.revisions.changed(self.company.participant.take_touched());
    }
}
