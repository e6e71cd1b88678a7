//! What the page is told.

use serde_json::{Value, json};

use crate::support::bodies::{at, hold, session, trip};
use crate::support::http::Call;
use crate::support::{OPERATOR, Plan, TestNode, eventually, start, start_one};

async fn read(node: &TestNode, path: &str) -> Value {
    node.send(Call::get(path).token(OPERATOR)).await.expect(200)
}

fn tomorrow(path: &str) -> String {
    format!("{path}?de={}&ate={}", at(0), at(240))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calendar_tells_holds_from_reservations_and_hides_others_drivers() {
    let node = start_one(Plan::default()).await;
    let stops = [("empresa-a", "A-1", 0, 60)];
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 60, 90))).await.expect(201);
    let calendar = read(&node, &tomorrow("/painel/reservas")).await;
    let points = calendar["pontos"].as_array().unwrap();
    let ids: Vec<&Value> = points.iter().map(|point| &point["ponto_id"]).collect();
    assert_eq!(ids, ["A-1", "A-2", "A-3", "A-4"], "{calendar}");
    let windows = points[0]["janelas"].as_array().unwrap();
    assert_eq!(windows.len(), 2, "{calendar}");
    assert_eq!(windows[0]["estado"], "confirmada");
    assert_eq!((&windows[0]["sessao"], &windows[0]["veiculo_id"]), (&booked["sessao"], &json!("carro-1")));
    assert_eq!(
        (&windows[1]["estado"], &windows[1]["coordenador"]),
        (&json!("preparada"), &json!("empresa-x"))
    );
    assert!(windows[1].get("veiculo_id").is_none(), "another company's driver: {calendar}");
    assert_eq!(windows[1]["sessao"], session(1));
    // In pages, and of one EVSE.
    let first = read(&node, &format!("{}&limite=3", tomorrow("/painel/reservas"))).await;
    assert_eq!((first["pontos"].as_array().unwrap().len(), &first["proximo"]), (3, &json!("A-3")));
    let last = read(&node, &format!("{}&cursor=A-3", tomorrow("/painel/reservas"))).await;
    assert_eq!((last["pontos"].as_array().unwrap().len(), &last["proximo"]), (1, &Value::Null));
    let one = read(&node, &format!("{}&ponto_id=A-4", tomorrow("/painel/reservas"))).await;
    assert_eq!(one["pontos"][0]["ponto_id"], "A-4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_those_of_the_calendar() {
    let node = start_one(Plan::default()).await;
    let stops = [("empresa-a", "A-1", -30, 30), ("empresa-a", "A-2", 60, 120)];
    node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    node.send(Call::post("/viagens", &trip("q", "carro-2", &stops[..1]))).await.expect(409);
    let numbers = read(&node, &tomorrow("/painel/numeros")).await;
    assert_eq!(numbers["pontos"], 4);
    assert_eq!(numbers["reservas"], json!({"confirmada": 2, "preparada": 0, "provisoria": 0}));
    assert_eq!(numbers["reservado_min"], 90.0, "half of the first is before the period: {numbers}");
    assert_eq!(numbers["utilizacao_pct"], 100.0 * 90.0 / (4.0 * 240.0));
    // A-2 alone begins in the period: 2 BRL, and an hour at 120 kW for 2.10 BRL per kWh.
    assert_eq!(numbers["receita_teto_brl"], 2.0 + 2.1 * 120.0);
    assert_eq!(
        (&numbers["receita_prevista_brl"], &numbers["reservas_com_previsao"]),
        (&json!(0.0), &json!(0))
    );
    let parts: f64 =
        numbers["faixas"].as_array().unwrap().iter().map(|one| one["reservado_min"].as_f64().unwrap()).sum();
    assert!((parts - 90.0).abs() < 1e-9, "{numbers}");
    assert_eq!(numbers["viagens"], json!({"reservadas": 1, "recusadas": 1, "canceladas": 0}));
    // Refusals are of now, and the period is tomorrow's.
    assert_eq!(numbers["recusas"]["por_motivo"], json!([]));
    let today = read(&node, "/painel/numeros").await;
    assert_eq!(today["recusas"]["por_motivo"], json!([{"tipo": "ponto-reservado", "quantas": 1}]), "{today}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trip_is_told_step_by_step_by_each_company() {
    let nodes = start(&["empresa-a", "empresa-b"]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    let stops = [("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 90, 120)];
    let booked = a.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    let session = booked["sessao"].as_str().unwrap();
    b.until_branch(session, "confirmada").await;
    let path = format!("/painel/sessoes/{session}");
    let steps = |story: &Value| -> Vec<(String, String)> {
        let step = |step: &Value| {
            let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
            (text("evento"), text("empresa"))
        };
        story["historia"].as_array().unwrap().iter().map(step).collect()
    };
    let here = eventually("the acknowledgement", || async {
        let story = read(a, &path).await;
        let is_there = |(event, _): &(String, String)| event == "confirmacao_reconhecida";
        steps(&story).iter().any(is_there).then_some(story)
    })
    .await;
    let seen = steps(&here);
    let place = |event: &str, company: &str| {
        let found = seen.iter().position(|step| *step == (event.to_owned(), company.to_owned()));
        found.unwrap_or_else(|| panic!("{event} {company} is not in {seen:?}"))
    };
    let order = [
        place("iniciada", ""),
        place("pedido_enviado", "empresa-b"),
        place("voto_recebido", "empresa-b"),
        place("decidida", ""),
        place("confirmacao_enviada", "empresa-b"),
        place("confirmacao_reconhecida", "empresa-b"),
    ];
    assert!(order.is_sorted(), "{seen:?}");
    assert!(place("retida", "empresa-a") < place("decidida", ""), "its own part takes the same path");
    let times: Vec<u64> =
        here["historia"].as_array().unwrap().iter().map(|step| step["us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] == 0, "{times:?}");
    assert_eq!(
        (&here["ramo"]["estado"], &here["viagem"]["estado"]),
        (&json!("confirmada"), &json!("confirmada"))
    );
    assert_eq!(here["ramo"]["veiculo_id"], "carro-1");
    let there = read(b, &path).await;
    assert_eq!(steps(&there)[0], ("retida".to_owned(), "empresa-a".to_owned()));
    assert_eq!(there["ramo"]["estado"], "confirmada");
    for hidden in ["veiculo_id", "requisicao_id"] {
        assert!(there["ramo"].get(hidden).is_none(), "{hidden} of another company's driver: {there}");
    }
    assert!(there.get("viagem").is_none());
    let list = read(b, "/painel/sessoes").await;
    assert_eq!(list["sessoes"][0]["sessao"], session);
    assert_eq!(list["sessoes"][0]["estado"], "confirmada");
    assert!(list["sessoes"][0].get("veiculo_id").is_none(), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_trips_come_latest_first_and_in_pages() {
    let node = start_one(Plan::default()).await;
    for number in 0..5 {
        let car = format!("carro-{}", number % 2);
        let body = trip(&format!("p{number}"), &car, &[("empresa-a", "A-1", number * 60, number * 60 + 30)]);
        node.send(Call::post("/viagens", &body)).await.expect(201);
    }
    let requests = |page: &Value| -> Vec<String> {
        let trips = page["viagens"].as_array().unwrap();
        trips.iter().map(|trip| trip["requisicao_id"].as_str().unwrap().to_owned()).collect()
    };
    let first = read(&node, "/painel/viagens?limite=3").await;
    assert_eq!(requests(&first), ["p4", "p3", "p2"]);
    let next = first["proximo"].as_str().unwrap();
    let second = read(&node, &format!("/painel/viagens?limite=3&cursor={next}")).await;
    assert_eq!((requests(&second), &second["proximo"]), (vec!["p1".into(), "p0".into()], &Value::Null));
    let of_one = read(&node, "/painel/viagens?veiculo_id=carro-1").await;
    assert_eq!(requests(&of_one), ["p3", "p1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stations_of_all_companies_and_what_is_free_of_them() {
    let plan = |_: &str| Plan { limits: "offer_refresh_millis = 50".into(), ..Plan::default() };
    let nodes = crate::support::start_with(&["empresa-a", "empresa-b"], plan).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    b.send(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-b", "B-1", 0, 60)]))).await.expect(201);
    let path = format!("/painel/estacoes?de={}&ate={}", at(0), at(30));
    let stations = eventually("both offers, and the reservation", || async {
        let page = read(a, &path).await;
        let stations = page["estacoes"].as_array().unwrap().clone();
        let free = stations
            .iter()
            .find(|one| one["estacao_id"] == "B-SSA")
            .map(|one| one["pontos"][0]["livre"].clone());
        (stations.len() == 4 && free == Some(json!(false))).then_some(page)
    })
    .await;
    let names: Vec<&Value> =
        stations["estacoes"].as_array().unwrap().iter().map(|station| &station["estacao_id"]).collect();
    assert_eq!(names, ["A-REC", "A-SSA", "B-REC", "B-SSA"]);
    assert_eq!(stations["estacoes"][3]["pontos"][1]["livre"], true, "B-2 is free: {stations}");
    assert_eq!(stations["estacoes"][3]["pontos"][1]["potencia_kw"], 120.0);
    let first = read(a, &format!("{path}&limite=3")).await;
    assert_eq!(
        (&first["proximo"], first["estacoes"].as_array().unwrap().len()),
        (&json!("empresa-b/B-REC"), 3)
    );
    let rest = read(a, &format!("{path}&cursor=empresa-b/B-REC")).await;
    assert_eq!(rest["estacoes"][0]["estacao_id"], "B-SSA");
    let tag = a.send(Call::get(&path).token(OPERATOR)).await.header("etag").to_owned();
    let again = Call::get(&path).token(OPERATOR).header("if-none-match", tag.as_bytes());
    assert_eq!(a.send(again).await.status, 304);
    let one = read(a, "/painel/estacoes/empresa-b/B-SSA").await;
    assert_eq!((&one["atual"], &one["pontos"][0]["ponto_id"]), (&json!(true), &json!("B-1")));
    assert!(one["pontos"][0]["livres"].as_array().unwrap().len() >= 2, "around the reservation: {one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_what_is_in_doubt_and_who_does_not_answer() {
    let node = start_one(Plan::default()).await;
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 60))).await.expect(201);
    let stops = [("empresa-a", "A-2", 0, 60), ("empresa-b", "B-1", 90, 120)];
    node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(409);
    node.send(Call::post("/viagens", &trip("q", "carro-1", &stops[..1]))).await.expect(201);
    let health = read(&node, "/painel/saude").await;
    assert_eq!(health["em_duvida"]["quantas"], 1, "{health}");
    assert_eq!(health["em_duvida"]["sessoes"][0]["coordenador"], "empresa-x");
    let peers = health["parceiras"].as_array().unwrap();
    let peer = peers.iter().find(|peer| peer["empresa"] == "empresa-b").unwrap();
    assert_eq!(peer["acessivel"], false, "nobody runs it: {health}");
    assert!(
        health["viagens"]["amostras"].as_u64() >= Some(1) && health["viagens"]["p99_ms"].is_f64(),
        "{health}"
    );
    assert!(health["gravacoes"]["amostras"].as_u64() >= Some(1), "{health}");
    assert_eq!(health["mqtt"]["configurado"], false);
}
