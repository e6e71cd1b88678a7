//! What a company knows of the offers of all.

use serde_json::{Value, json};

use crate::support::bodies::{about, at, hold};
use crate::support::http::Call;
use crate::support::{Plan, STRANGER, TestNode, eventually, start_one, start_with};

const QUICK: &str = "offer_refresh_millis = 20";

async fn changed_after(node: &TestNode, revision: &Value) -> (Value, Vec<Value>, Value) {
    let path = format!("/disponibilidade?de={}&ate={}&alterados_desde={revision}", at(0), at(600));
    let page = node.get(&path).await;
    let ids = page["pontos"].as_array().unwrap().iter().map(|point| point["ponto_id"].clone()).collect();
    (page["alterados_desde"].clone(), ids, page["revisao"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_can_be_asked_for() {
    let node = start_one(Plan::default()).await;
    let start = node.get("/disponibilidade").await["revisao"].clone();
    assert_eq!(changed_after(&node, &start).await, (start.clone(), vec![], start.clone()));
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-4", 0, 60))).await.expect(201);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(2, "A-1", 0, 60))).await.expect(201);
    let (since, changed, held) = changed_after(&node, &start).await;
    assert_eq!((since, changed), (start.clone(), vec![json!("A-1"), json!("A-4")]));
    // A confirmation leaves what is free as it is; a release does not.
    node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
    assert_eq!(changed_after(&node, &held).await, (held.clone(), vec![], held.clone()));
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(2))).await.expect(200);
    assert_eq!(changed_after(&node, &held).await.1, [json!("A-1")]);
    // A number that this run never gave: everything, without a word on what changed.
    for unknown in ["0", "1", "18446744073709551615"] {
        let (since, ids, _) = changed_after(&node, &unknown.parse().unwrap()).await;
        assert_eq!((since, ids.len()), (Value::Null, 4), "{unknown}");
    }
    // In pages, and with another filter.
    let page = node.get(&format!("/disponibilidade?alterados_desde={start}&limite=1")).await;
    assert_eq!((&page["pontos"][0]["ponto_id"], &page["proximo"]), (&json!("A-1"), &json!("A-1")));
    let page = node.get(&format!("/disponibilidade?alterados_desde={start}&limite=1&cursor=A-1")).await;
    assert_eq!((&page["pontos"][0]["ponto_id"], &page["proximo"]), (&json!("A-4"), &Value::Null));
    let page = node.get(&format!("/disponibilidade?alterados_desde={start}&uf=PE")).await;
    assert_eq!(page["pontos"].as_array().unwrap().len(), 1);
}

async fn offer(node: &TestNode, of: &str) -> Value {
    let answer = node.get("/rede").await;
    let all = answer["empresas"].as_array().unwrap();
    all.iter().find(|one| one["empresa"] == of).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_company_knows_what_the_others_offer_also_when_one_is_gone() {
    let mut nodes =
        start_with(&["empresa-a", "empresa-b"], |_| Plan { limits: QUICK.into(), ..Plan::default() }).await;
    let (b, a) = (nodes.remove(1), nodes.remove(0));
    let known = |wanted: &'static str, points: u64| {
        let a = &a;
        eventually(wanted, move || async move {
            let offer = offer(a, "empresa-b").await;
            (offer["estado"] == wanted && offer["pontos"] == points).then_some(offer)
        })
    };
    let before = known("atual", 4).await;
    let revision = |offer: &Value| offer["revisao"].as_u64().unwrap();
    // Only what has changed travels; the copy follows.
    b.as_stranger(Call::post("/reserva-temporaria", &hold(1, "B-1", 0, 60))).await.expect(201);
    eventually("the change", || async {
        (revision(&offer(&a, "empresa-b").await) > revision(&before)).then_some(())
    })
    .await;
    assert_eq!(offer(&a, STRANGER).await["estado"], "desconhecida");
    eventually("its own", || async { (offer(&a, "empresa-a").await["estado"] == "atual").then_some(()) })
        .await;
    b.stop().await;
    let gone = known("inacessivel", 4).await;
    assert!(gone["vista_em"].is_string() && gone["conhecida_ate"].is_string(), "{gone}");
}
