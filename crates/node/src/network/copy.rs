//! A company's offer, as it was last heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use recarga_reservation::{EvseId, OperatorId, TimeWindow, Timestamp};
use recarga_wire::availability::{AvailabilityAnswer, AvailablePoint};
use recarga_wire::network::OfferView;
use tokio::time::Instant;

use super::NotCopied;

/// Free windows of one EVSE that are kept: what comes after them is far away.
const WINDOWS_MAX: usize = 256;

/// The copy of one company's offer. Never changed, but replaced.
#[derive(Clone, Debug)]
pub struct Copy {
    /// Whose.
    pub operator: OperatorId,
    /// By EVSE.
    pub points: BTreeMap<EvseId, Arc<AvailablePoint>>,
    /// The company's count of its changes.
    pub revision: u64,
    /// When the company last said so, and for which period; none if it never has.
    pub seen: Option<(Timestamp, TimeWindow)>,
    /// Whether it answered when it was last asked.
    pub is_reachable: bool,
    // Since when no question to it was answered; none if the last one was, whatever the answer.
    pub(super) silent_since: Option<Instant>,
    // How many EVSEs the last answer told of.
    pub(super) told: usize,
    // What was asked for last and the tag of the answer.
    pub(super) tag: Option<(String, String)>,
}

impl Copy {
    /// As it is shown.
    pub fn view(&self) -> OfferView {
        OfferView::new(self.operator.clone(), self.is_reachable, self.points.len(), self.revision, self.seen)
    }

    pub(super) fn unknown(operator: OperatorId) -> Self {
        Self {
            operator,
            points: BTreeMap::new(),
            revision: 0,
            seen: None,
            is_reachable: false,
            silent_since: None,
            told: 0,
            tag: None,
        }
    }

    // Returns where the next page begins.
    pub(super) fn take(
        &mut self,
        page: AvailabilityAnswer,
        evses_max: usize,
    ) -> Result<Option<String>, NotCopied> {
        self.told += page.pontos.len();
        for mut point in page.pontos {
            point.livres.truncate(WINDOWS_MAX);
            point.livres.shrink_to_fit();
            self.points.insert(point.ponto.ponto_id.clone(), Arc::new(point));
        }
        if self.points.len() > evses_max {
            return Err(NotCopied::TooMany(evses_max));
        }
        Ok(page.proximo)
    }
}
