//! What all companies offer, kept fresh: trips are planned with it. It promises nothing, as the hold decides; a copy
//! that is behind costs an attempt, never a trip.
//!
//! Each company, this one too, is asked for everything once an hour, and every moment for what has changed since. One
//! that does not answer keeps its last known offer, marked.

mod copy;
mod own;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use recarga_reservation::{OperatorId, TimeWindow, Timestamp};
use recarga_wire::availability::AvailabilityQuery;
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::peer::{Catalogue, CatalogueAnswer, PeerError};
use crate::peers::Peers;
pub use copy::Copy;
pub use own::OwnCatalogue;

/// EVSEs on one page: small enough that a page with full calendars stays within the longest answer.
const PAGE: usize = 200;
/// The period that is known begins at a full hour, so that what is asked for is the same for an hour.
const HOUR_MILLIS: i64 = 3_600_000;
/// Longest pause between questions to a company that does not answer, and after an answer that was long to read.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Pause for each EVSE that was read, up to [`PAUSE_MAX`]: to say and to read four hundred of them every two seconds
/// took two companies a twentieth of their processor time.
const PAUSE_PER_EVSE: Duration = Duration::from_millis(10);

/// A company that has answered no question for so long is not one that is just being started again.
const SILENT_AFTER: Duration = Duration::from_secs(15);

/// Every company's offer.
#[derive(Debug)]
pub struct Network {
    own: Option<Arc<Company>>,
    peers: Peers,
    // Copies of the others that were members when it was last looked.
    others: RwLock<BTreeMap<OperatorId, Arc<Company>>>,
    clock: Arc<dyn Clock>,
    limits: NetworkLimits,
}

/// How the copies are kept.
#[derive(Clone, Copy, Debug)]
pub struct NetworkLimits {
    /// Between two questions to a company; zero: the others are never asked.
    pub refresh: Duration,
    /// How far ahead free windows are known.
    pub ahead: Duration,
    /// Most EVSEs of one company.
    pub evses_max: usize,
}

#[derive(Debug)]
struct Company {
    catalogue: Arc<dyn Catalogue>,
    copy: RwLock<Arc<Copy>>,
}

#[derive(Debug, Error)]
enum NotCopied {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("it began anew while it was being read")]
    BeganAnew,
    #[error("it offers more than the {0} EVSEs of limits.offer_evses_max")]
    TooMany(usize),
    #[error("its pages lead nowhere")]
    NoProgress,
}

impl Network {
    /// Nothing is known yet. `own` is this company's.
    pub fn new(
        own: Option<OwnCatalogue>,
        peers: Peers,
        clock: Arc<dyn Clock>,
        limits: NetworkLimits,
    ) -> Self {
        let own = own.map(|own| Arc::new(Company::new(own.operator.clone(), Arc::new(own))));
        let network = Self { own, peers, others: RwLock::default(), clock, limits };
        network.look_who_is_there();
        network
    }

    /// Every copy, in the order of companies.
    pub fn copies(&self) -> Vec<Arc<Copy>> {
        let mut copies: Vec<_> = self.companies().iter().map(|company| company.copy()).collect();
        copies.sort_by(|one, other| one.operator.cmp(&other.operator));
        copies
    }

    /// Other companies that answer nobody at present: `missed` by who needed them lately, or silent for some time when
    /// they are asked what they offer, which they are whether anybody needs them or not.
    pub fn silent(&self, missed: Vec<OperatorId>) -> BTreeSet<OperatorId> {
        let now = Instant::now();
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let is_silent = |company: &Arc<Company>| {
            company.copy().silent_since.is_some_and(|since| now >= since + SILENT_AFTER)
        };
        let silent = others.iter().filter(|(_, company)| is_silent(company));
        silent.map(|(operator, _)| operator.clone()).chain(missed).collect()
    }

    /// Keeps all copies fresh, for ever.
    pub async fn follow(&self) {
        if self.limits.refresh.is_zero() {
            return;
        }
        let mut changes = self.peers.changes();
        loop {
            changes.mark_unchanged();
            self.look_who_is_there();
            let companies = self.companies();
            let following = join_all(companies.iter().map(|company| self.follow_one(company)));
            tokio::select! {
                _ = following => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Asks one company now for what has changed: this company's own offer costs next to nothing.
    pub async fn refresh(&self, operator: &OperatorId) {
        if let Some(company) = self.companies().iter().find(|company| company.copy().operator == *operator) {
            self.refresh_one(company).await;
        }
    }

    fn companies(&self) -> Vec<Arc<Company>> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        self.own.iter().chain(others.values()).cloned().collect()
    }

    // Who came is unknown yet, and who has gone is forgotten.
    fn look_who_is_there(&self) {
        let members = self.peers.all();
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others.retain(|operator, _| members.contains_key(operator));
        for (operator, member) in &*members {
            let known = others.get(operator).map(|company| company.copy());
            let company = Company::new(operator.clone(), member.catalogue.clone());
            // It may be found elsewhere now; what it offered stays until it says something else.
            if let Some(known) = known {
                company.replace((*known).clone());
            }
            others.insert(operator.clone(), Arc::new(company));
        }
    }

    async fn follow_one(&self, company: &Company) {
        let mut pause = self.limits.refresh;
        loop {
            pause = match self.refresh_one(company).await {
                true => pause_after(company.copy().told, self.limits.refresh),
                false => (pause * 2).min(PAUSE_MAX.max(self.limits.refresh)),
            };
            sleep(pause / 2 + self.clock.jitter(pause)).await;
        }
    }

    async fn refresh_one(&self, company: &Company) -> bool {
        let before = company.copy();
        let (operator, was_reachable) = (&before.operator, before.is_reachable);
        match self.read(company, &before).await {
            Ok(copy) => {
                if !was_reachable {
                    info!(%operator, evses = copy.points.len(), "knows what it offers");
                }
                company.replace(copy);
                true
            }
            Err(error) => {
                match was_reachable {
                    true => warn!(%operator, %error, "does not say what it offers; its last offer stays"),
                    false => debug!(%operator, %error, "does not say what it offers"),
                }
                // An offer that cannot be kept is an answer, too.
                let silent_since = matches!(error, NotCopied::Peer(_))
                    .then(|| before.silent_since.unwrap_or_else(Instant::now));
                company.replace(Copy { is_reachable: false, silent_since, ..(*before).clone() });
                false
            }
        }
    }

    async fn read(&self, company: &Company, before: &Copy) -> Result<Copy, NotCopied> {
        let now = self.clock.now().utc;
        let period = self.period(now);
        let since = before.seen.filter(|(_, known)| *known == period).map(|_| before.revision);
        let mut query = AvailabilityQuery {
            from: Some(period.start()),
            until: Some(period.end()),
            limit: Some(PAGE),
            changed_after: since,
            ..AvailabilityQuery::default()
        };
        let asked = query.encode();
        let known = before.tag.as_ref().filter(|(before, _)| *before == asked).map(|(_, tag)| tag.as_str());
        let (first, tag) = match company.catalogue.page(&query, known).await? {
            CatalogueAnswer::Unchanged => {
                let seen = Some((now, period));
                return Ok(Copy { seen, is_reachable: true, silent_since: None, told: 0, ..before.clone() });
            }
            CatalogueAnswer::Page { page, tag } => (page, tag),
        };
        let mut copy = Copy {
            operator: before.operator.clone(),
            points: if first.alterados_desde.is_some() { before.points.clone() } else { BTreeMap::new() },
            // Of the first page: what changes while the others are read is asked for once more.
            revision: first.revisao,
            seen: Some((now, period)),
            is_reachable: true,
            silent_since: None,
            told: 0,
            tag: tag.map(|tag| (asked, tag)),
        };
        let basis = first.alterados_desde;
        // Twice as many as full ones are: a company that sends its offer by the spoon is none to plan with.
        let pages_max = 2 + 2 * self.limits.evses_max / PAGE;
        let mut page = first;
        for _ in 0..pages_max {
            let next = copy.take(*page, self.limits.evses_max)?;
            let Some(next) = next else { return Ok(copy) };
            if query.cursor.as_ref().is_some_and(|cursor| *cursor >= next) {
                return Err(NotCopied::NoProgress);
            }
            query.cursor = Some(next);
            page = match company.catalogue.page(&query, None).await? {
                CatalogueAnswer::Page { page, .. } if page.alterados_desde == basis => page,
                _ => return Err(NotCopied::BeganAnew),
            };
        }
        Err(NotCopied::NoProgress)
    }

    fn period(&self, now: Timestamp) -> TimeWindow {
        let hour = Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(HOUR_MILLIS));
        let ahead = self.limits.ahead.max(Duration::from_secs(3600));
        #[expect(clippy::expect_used, reason = "it lasts an hour at least")]
        TimeWindow::new(hour, hour + ahead).expect("it lasts an hour at least")
    }
}

fn pause_after(evses: usize, refresh: Duration) -> Duration {
    let evses = u32::try_from(evses).unwrap_or(u32::MAX);
    refresh.max(PAUSE_PER_EVSE.saturating_mul(evses).min(PAUSE_MAX))
}

impl Company {
    fn new(operator: OperatorId, catalogue: Arc<dyn Catalogue>) -> Self {
        Self { catalogue, copy: RwLock::new(Arc::new(Copy::unknown(operator))) }
    }

    fn copy(&self) -> Arc<Copy> {
        self.copy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, copy: Copy) {
        *self.copy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(copy);
    }
}

#[cfg(test)]
mod tests;
