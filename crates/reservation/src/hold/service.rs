//! EVSEs out of service: nothing new is granted there. What is held or reserved stays, as somebody was promised it.

use super::Participant;
use crate::ids::EvseId;

impl Participant {
    /// Takes an EVSE out of service, or back into it. False, and nothing is changed, if there is no such EVSE.
    pub fn set_in_service(&mut self, evse: &EvseId, in_service: bool) -> bool {
        if !self.plugs.contains_key(evse) {
            return false;
        }
        let has_changed = match in_service {
            true => self.out_of_service.remove(evse),
            false => self.out_of_service.insert(evse.clone()),
        };
        if has_changed {
            self.touched.0.insert(evse.clone());
        }
        true
    }

    /// Takes back what was durable before a restart. An EVSE that is not offered now may be again: it is as it was.
    pub fn restore_out_of_service(&mut self, evse: EvseId) {
        self.out_of_service.insert(evse);
    }

    /// Takes the whole company out of service, as it leaves, or back into it. That is not remembered: whoever knows
    /// says so after each restart.
    pub fn set_closed(&mut self, is_closed: bool) {
        if self.is_closed != is_closed {
            self.is_closed = is_closed;
            self.touched.0.extend(self.plugs.keys().cloned());
        }
    }

    /// Whether an EVSE is out of service, by itself or with the whole company.
    pub fn is_out_of_service(&self, evse: &EvseId) -> bool {
        self.is_closed || self.out_of_service.contains(evse)
    }

    /// How many of the EVSEs that are offered are out of service.
    pub fn out_of_service_count(&self) -> usize {
        self.plugs.keys().filter(|evse| self.is_out_of_service(evse)).count()
    }
}
