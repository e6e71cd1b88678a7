//! What a car says of itself: `veiculo/{id}/status`.

use std::time::Duration;

use recarga_reservation::{Now, Timestamp};
use recarga_wire::encode;
use recarga_wire::topic::Topic;
use recarga_wire::vehicle::{VehicleState, VehicleStatus};

use super::{Car, Output, Phase};
use crate::events::Event;
use crate::model::DrivingStyle;
use crate::radio::{Delivery, Publication};

// Nothing changes while a car stands.
const STANDING_FACTOR: u32 = 10;

// When the next status is due: in simulated time, but never more often than real time allows.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Timestamp,
    // Monotonic.
    last: Option<Duration>,
}

impl Schedule {
    pub(super) fn starting(at: Timestamp) -> Self {
        Self { due: at, last: None }
    }

    // Something has changed that people want to see.
    pub(super) fn hurry(&mut self) {
        self.due = Timestamp::from_millis(0);
    }
}

impl Car {
    /// What the broker shall publish when the car vanishes. It cancels nothing: a tunnel is no cancellation.
    pub fn last_will(&self, now: Now) -> Publication {
        self.publication(
            VehicleStatus { estado: Some(VehicleState::Offline), ..self.status(now) },
            Delivery::Kept,
        )
    }

    pub(super) fn status_wake(&self) -> Duration {
        let due = self.time.elapsed_at(self.status.due);
        self.status.last.map_or(due, |last| due.max(last + self.settings.status_pause_min))
    }

    pub(super) fn report_if_due(&mut self, now: Now) {
        if self.status_wake() <= now.elapsed {
            self.report(now, Delivery::Passing);
        }
    }

    pub(super) fn report(&mut self, now: Now, delivery: Delivery) {
        let status = self.status(now);
        let period = match self.phase {
            Phase::Driving { .. } | Phase::Charging { .. } => self.settings.status_period,
            _ => self.settings.status_period * STANDING_FACTOR,
        };
        self.status.due = self.time.at(now) + period;
        self.status.last = Some(now.elapsed);
        self.outputs.push(Output::Publish(self.publication(status.clone(), delivery)));
        self.tell(Event::Status(Box::new(status)));
    }

    fn publication(&self, status: VehicleStatus, delivery: Delivery) -> Publication {
        Publication { topic: Topic::VehicleStatus(self.id.clone()), payload: encode(&status), delivery }
    }

    fn status(&self, now: Now) -> VehicleStatus {
        let simulated = self.time.at(now);
        let usable_kwh = self.model.usable_kwh();
        let (estado, style, speed_kmh) = match &self.phase {
            Phase::Driving { booked, drive } => {
                let style = booked.plan.style;
                let speed_kmh = if drive.stands_at(simulated) { 0.0 } else { style.speed_kmh() };
                (VehicleState::Dirigindo, style, speed_kmh)
            }
            phase => (standing_state(phase), DrivingStyle::Normal, 0.0),
        };
        VehicleStatus {
            veiculo_id: self.id.clone(),
            latitude: rounded(self.body.position.latitude, 1e5),
            longitude: rounded(self.body.position.longitude, 1e5),
            bateria_pct: rounded((self.body.charge_kwh / usable_kwh * 100.0).clamp(0.0, 100.0), 10.0),
            velocidade_kmh: speed_kmh,
            autonomia_km: rounded(self.body.charge_kwh / self.model.kwh_per_km(style), 1.0),
            instante: simulated,
            estado: Some(estado),
        }
    }
}

fn standing_state(phase: &Phase) -> VehicleState {
    match phase {
        Phase::Resting { has_arrived: true, .. } => VehicleState::Chegou,
        Phase::Resting { .. } | Phase::Ready { .. } | Phase::Finished => VehicleState::Parado,
        Phase::Asking(_) | Phase::Pausing { .. } | Phase::Cancelling { .. } => VehicleState::Pedindo,
        Phase::Driving { .. } => VehicleState::Dirigindo,
        Phase::Queueing { .. } => VehicleState::Aguardando,
        Phase::Charging { .. } => VehicleState::Carregando,
        Phase::Stranded { .. } => VehicleState::SemBateria,
    }
}

// Digits beyond what means anything only make messages longer: 1e-5 degrees is a metre.
fn rounded(value: f64, per_unit: f64) -> f64 {
    (value * per_unit).round() / per_unit
}
