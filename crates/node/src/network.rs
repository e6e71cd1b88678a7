//! What all companies offer, kept fresh: trips are planned with it. It promises nothing, as the hold decides; a copy
//! that is behind costs an attempt, never a trip.
//!
//! Each company, this one too, is asked for everything once an hour, and every moment for what has changed since. One
//! that does not answer keeps its last known offer, marked.

mod copy;
mod own;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use recarga_reservation::{OperatorId, TimeWindow, Timestamp};
use recarga_wire::availability::AvailabilityQuery;
use thiserror::Error;
use tokio::time::sleep;
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
                company.replace(Copy { is_reachable: false, ..(*before).clone() });
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
                return Ok(Copy { seen, is_reachable: true, told: 0, ..before.clone() });
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
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use recarga_reservation::{EvseId, Now, StoreId};
    use recarga_wire::availability::AvailablePoint;
    use serde_json::json;

    use super::*;
    use crate::peer::{Message, Peer, Reply};
    use crate::peers::Member;
    use crate::tokens::Tokens;

    const HOUR: i64 = HOUR_MILLIS;

    #[derive(Debug, Default)]
    struct Frozen(Mutex<i64>);

    impl Clock for Frozen {
        fn now(&self) -> Now {
            let millis = *self.0.lock().unwrap();
            Now { utc: Timestamp::from_millis(millis), elapsed: Duration::ZERO }
        }

        fn nonce(&self) -> u128 {
            0
        }
    }

    // Answers in the order of the script, and remembers what it was asked.
    #[derive(Debug, Default)]
    struct Scripted {
        answers: Mutex<VecDeque<Result<CatalogueAnswer, PeerError>>>,
        asked: Mutex<Vec<(AvailabilityQuery, Option<String>)>>,
    }

    #[async_trait]
    impl Catalogue for Scripted {
        async fn page(
            &self,
            query: &AvailabilityQuery,
            tag: Option<&str>,
        ) -> Result<CatalogueAnswer, PeerError> {
            self.asked.lock().unwrap().push((query.clone(), tag.map(str::to_owned)));
            self.answers.lock().unwrap().pop_front().expect("nothing else is asked")
        }
    }

    fn page(revision: u64, since: Option<u64>, evses: &[(&str, i64)], next: Option<&str>) -> CatalogueAnswer {
        let at = |millis| recarga_wire::instant::format(Timestamp::from_millis(millis));
        let point = |&(evse, free_until): &(&str, i64)| {
            json!({"ponto_id": evse, "estacao_id": "S", "nome": "", "cidade": "", "uf": "BA", "latitude": 0.0,
                "longitude": 0.0, "fuso": "America/Bahia", "conectores": [], "preco_kwh": 1.0, "taxa_ativacao": 0.0,
                "estado": "disponivel", "livres": [{"inicio": at(0), "fim": at(free_until)}]})
        };
        let points: Vec<_> = evses.iter().map(point).collect();
        let body = json!({"empresa": "b", "revisao": revision, "alterados_desde": since, "pontos": points,
            "proximo": next});
        let page = recarga_wire::decode(body.to_string().as_bytes()).expect("an answer");
        CatalogueAnswer::Page { page: Box::new(page), tag: Some(format!("\"{revision}\"")) }
    }

    // Is only asked what it offers.
    #[derive(Debug)]
    struct Mute;

    #[async_trait]
    impl Peer for Mute {
        async fn send(&self, _: Message) -> Result<Reply, PeerError> {
            Err(PeerError::Unreachable("mute".into()))
        }

        async fn store(&self) -> Result<StoreId, PeerError> {
            Err(PeerError::Unreachable("mute".into()))
        }
    }

    struct Stage {
        network: Network,
        script: Arc<Scripted>,
        clock: Arc<Frozen>,
        operator: OperatorId,
    }

    impl Stage {
        fn new() -> Self {
            let (script, clock): (Arc<Scripted>, Arc<Frozen>) = Default::default();
            let operator = OperatorId::new("b").unwrap();
            let catalogue: Arc<dyn Catalogue> = script.clone();
            let limits = NetworkLimits {
                refresh: Duration::from_secs(1),
                ahead: Duration::from_secs(24 * 3600),
                evses_max: 3,
            };
            let member = Member {
                peer: Arc::new(Mute),
                catalogue,
                presents: Tokens::default(),
                accepts: Tokens::default(),
                url: String::new(),
                is_leaving: false,
            };
            let peers = Peers::new([(operator.clone(), member)].into());
            let network = Network::new(None, peers, clock.clone(), limits);
            Self { network, script, clock, operator }
        }

        // What the copy is after the company has answered like this: the EVSEs, each with the end of its free window.
        async fn after(
            &self,
            answers: impl IntoIterator<Item = Result<CatalogueAnswer, PeerError>>,
        ) -> (Vec<(String, i64)>, Arc<Copy>) {
            self.script.answers.lock().unwrap().extend(answers);
            self.network.refresh(&self.operator).await;
            assert!(self.script.answers.lock().unwrap().is_empty(), "all pages are read");
            let copy = self.network.copies().remove(0);
            let point = |(id, point): (&EvseId, &Arc<AvailablePoint>)| {
                (id.to_string(), point.livres[0].end().as_millis())
            };
            (copy.points.iter().map(point).collect(), copy)
        }

        fn last_asked(&self) -> (AvailabilityQuery, Option<String>) {
            self.script.asked.lock().unwrap().last().cloned().unwrap()
        }
    }

    fn known(evses: &[(&str, i64)]) -> Vec<(String, i64)> {
        evses.iter().map(|(id, end)| ((*id).to_owned(), *end)).collect()
    }

    #[tokio::test]
    async fn everything_is_read_once_and_then_what_has_changed() {
        let stage = Stage::new();
        assert_eq!(stage.network.copies()[0].seen, None);
        let all = [page(7, None, &[("1", 10), ("2", 10)], Some("2")), page(8, None, &[("3", 10)], None)];
        let (points, copy) = stage.after(all.map(Ok)).await;
        assert_eq!((points, copy.revision), (known(&[("1", 10), ("2", 10), ("3", 10)]), 7));
        // The first page's revision, or what changed while the second was read would be missed.
        let (points, copy) = stage.after([Ok(page(9, Some(7), &[("2", 5)], None))]).await;
        assert_eq!((points, copy.revision), (known(&[("1", 10), ("2", 5), ("3", 10)]), 9));
        let (query, _) = stage.last_asked();
        assert_eq!(query.changed_after, Some(7));
        *stage.clock.0.lock().unwrap() = 1;
        stage.after([Ok(page(9, Some(9), &[], None))]).await;
        let (points, copy) = stage.after([Ok(CatalogueAnswer::Unchanged)]).await;
        assert_eq!(stage.last_asked().1.as_deref(), Some("\"9\""), "the same question has a tag");
        assert_eq!(points, known(&[("1", 10), ("2", 5), ("3", 10)]));
        assert_eq!(copy.seen.unwrap().0.as_millis(), 1);
        // An hour later the period is another one, and what was asked for does not cover it.
        *stage.clock.0.lock().unwrap() = HOUR;
        let (points, copy) = stage.after([Ok(page(9, None, &[("1", 20)], None))]).await;
        assert_eq!(stage.last_asked().0.changed_after, None);
        assert_eq!(points, known(&[("1", 20)]), "what is no longer offered is gone");
        assert_eq!(copy.seen.unwrap().1.start().as_millis(), HOUR);
    }

    #[tokio::test]
    async fn a_company_that_began_anew_is_read_anew() {
        let stage = Stage::new();
        stage.after([Ok(page(7, None, &[("1", 10), ("2", 10)], None))]).await;
        // It cannot tell what has changed since, so it says everything.
        let (points, _) = stage.after([Ok(page(900, None, &[("2", 4)], None))]).await;
        assert_eq!(points, known(&[("2", 4)]));
        // While it is read: nothing of both is mixed.
        let torn = [page(901, Some(900), &[("2", 3)], Some("2")), page(1300, None, &[("1", 1)], None)];
        let (points, copy) = stage.after(torn.map(Ok)).await;
        assert_eq!((points, copy.is_reachable), (known(&[("2", 4)]), false));
    }

    #[tokio::test]
    async fn who_does_not_answer_keeps_the_last_offer_marked() {
        let stage = Stage::new();
        let gone = || Err(PeerError::Unreachable("gone".into()));
        let (points, copy) = stage.after([gone()]).await;
        assert_eq!((points, copy.seen, copy.is_reachable), (vec![], None, false));
        stage.after([Ok(page(7, None, &[("1", 10)], None))]).await;
        let (points, copy) = stage.after([gone()]).await;
        assert_eq!((points, copy.is_reachable), (known(&[("1", 10)]), false));
        assert_eq!(copy.seen.unwrap().0.as_millis(), 0);
        let (_, copy) = stage.after([Ok(page(8, Some(7), &[], None))]).await;
        assert!(copy.is_reachable);
    }

    #[tokio::test]
    async fn the_more_an_answer_tells_the_later_is_the_next_question() {
        let stage = Stage::new();
        let (_, copy) = stage.after([Ok(page(7, None, &[("1", 10), ("2", 10)], None))]).await;
        assert_eq!(copy.told, 2);
        let (_, copy) = stage.after([Ok(page(8, Some(7), &[("1", 5)], None))]).await;
        assert_eq!(copy.told, 1, "what has changed, not what is known");
        let (_, copy) = stage.after([Ok(CatalogueAnswer::Unchanged)]).await;
        assert_eq!(copy.told, 0);
        let pause = |evses, refresh| pause_after(evses, Duration::from_secs(refresh)).as_secs();
        assert_eq!(
            [pause(0, 2), pause(200, 2), pause(400, 2), pause(usize::MAX, 2), pause(400, 60)],
            [2, 2, 4, 10, 60]
        );
    }

    #[tokio::test]
    async fn an_offer_without_end_is_not_kept() {
        let stage = Stage::new();
        let many = [("1", 1), ("2", 1), ("3", 1), ("4", 1)];
        let (points, copy) = stage.after([Ok(page(7, None, &many, Some("4")))]).await;
        assert_eq!((points, copy.is_reachable), (vec![], false));
        // Nor one that comes in endless pages.
        let endless = ["1", "2", "3"].map(|next| page(7, None, &[], Some(next)));
        let (points, copy) = stage.after(endless.map(Ok)).await;
        assert_eq!((points, copy.is_reachable), (vec![], false));
        let circle = [page(7, None, &[("1", 1)], Some("1")), page(7, None, &[("1", 1)], Some("1"))];
        let (points, copy) = stage.after(circle.map(Ok)).await;
        assert_eq!((points, copy.is_reachable), (vec![], false));
    }
}
