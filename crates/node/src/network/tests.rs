//! The copy of another company's offer, from scripted answers.

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
    async fn page(&self, query: &AvailabilityQuery, tag: Option<&str>) -> Result<CatalogueAnswer, PeerError> {
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

#[tokio::test(start_paused = true)]
async fn who_answers_no_question_for_long_is_silent_whether_it_is_needed_or_not() {
    let stage = Stage::new();
    let gone = || Err(PeerError::Unreachable("gone".into()));
    let silent = || stage.network.silent(vec![]).into_iter().collect::<Vec<_>>();
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(silent(), [], "it has never been asked");
    stage.after([gone()]).await;
    tokio::time::advance(Duration::from_secs(10)).await;
    stage.after([gone()]).await;
    assert_eq!(silent(), [], "it may just be started again");
    for _ in 0..60 {
        tokio::time::advance(Duration::from_secs(10)).await;
        stage.after([gone()]).await;
        assert_eq!(silent(), std::slice::from_ref(&stage.operator), "and it stays so");
    }
    assert_eq!(stage.network.silent(vec![stage.operator.clone()]).len(), 1, "it counts once");
    stage.after([Ok(page(7, None, &[("1", 10)], None))]).await;
    assert_eq!(silent(), []);
    // What is too long to be kept was answered nevertheless.
    let many = [("1", 1), ("2", 1), ("3", 1), ("4", 1)];
    stage.after([Ok(page(8, None, &many, None))]).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(silent(), []);
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
