//! Journeys whose stops the company finds: with whatever all companies have free, all or nothing, and again if refused.

use serde_json::{Value, json};

use crate::support::bodies::{CCS2, at, hold, with};
use crate::support::cars::{Cars, broker};
use crate::support::http::Call;
use crate::support::stranger::Stranger;
use crate::support::{Plan, STRANGER, TestNode, eventually, start_one, start_with};

// What changes at the others is not heard of again in the test: so copies can be behind.
const SELDOM: &str = "offer_refresh_millis = 600000";

// From Recife with little in the battery: only the stations in Recife are in reach.
pub fn journey() -> Value {
    json!({"origem": "Recife", "destino": "maceio, al", "bateria_pct": 30, "modelo": "byd-dolphin", "saida": at(0)})
}

pub fn booking(request: &str, change: &[(&str, Value)]) -> Value {
    let mut body = journey();
    body["requisicao_id"] = json!(request);
    body["veiculo"] = json!({"veiculo_id": "carro-1"});
    change.iter().for_each(|(field, value)| body[*field] = value.clone());
    body
}

pub fn own_car(change: &[(&str, Value)]) -> Value {
    let mut car = json!({"nome": "Meu carro", "bateria_kwh": 44.9, "potencia_cc_kw": 60, "potencia_ca_kw": 6.6,
        "plugues": [CCS2, "IEC_62196_T2"], "autonomia_km": 340, "ciclo": "WLTP", "massa_kg": 1405, "area_arrasto_m2": 0.69,
        "curva": [[0, 50], [8, 60], [60, 57], [80, 35], [90, 20], [100, 6]]});
    change.iter().for_each(|(field, value)| car[*field] = value.clone());
    car
}

pub async fn companies() -> Vec<TestNode> {
    let nodes =
        start_with(&["empresa-a", "empresa-b"], |_| Plan { limits: SELDOM.into(), ..Plan::default() }).await;
    for node in &nodes {
        knows(node, &["empresa-a", "empresa-b"]).await;
    }
    nodes
}

async fn knows(node: &TestNode, companies: &[&str]) {
    eventually("the offers", || async {
        let offers = node.get("/rede").await;
        let offers = offers["empresas"].as_array().unwrap().clone();
        let known =
            |company: &&str| offers.iter().any(|one| one["empresa"] == **company && one["estado"] == "atual");
        companies.iter().all(known).then_some(())
    })
    .await;
}

// A charger of the stranger's in Recife, with something of its own.
fn charger(id: &str, change: Value) -> Value {
    let mut point = json!({"ponto_id": id, "estacao_id": id, "nome": "", "cidade": "", "uf": "PE", "latitude": -8.06,
        "longitude": -34.87, "fuso": "UTC", "preco_kwh": 1.0, "taxa_ativacao": 0.0, "estado": "disponivel",
        "conectores": [{"conector_id": "1", "plugue": CCS2, "potencia_kw": 60}],
        "livres": [{"inicio": at(-60), "fim": at(1400)}]});
    change.as_object().unwrap().iter().for_each(|(field, value)| point[field] = value.clone());
    point
}

// A node that knows what the stranger offers.
async fn beside(points: Value) -> (TestNode, Stranger) {
    let script = move |call: &str, _: &Value| match call {
        "GET /disponibilidade" => (200, json!({"empresa": STRANGER, "revisao": 1, "pontos": points})),
        _ => (404, Value::Null),
    };
    let stranger = Stranger::start(script).await;
    let plan = Plan { limits: SELDOM.into(), stranger_url: stranger.url.clone(), ..Plan::default() };
    let node = start_one(plan).await;
    knows(&node, &["empresa-a", STRANGER]).await;
    (node, stranger)
}

// Somebody has an EVSE for the whole day.
async fn take(node: &TestNode, number: u32, evse: &str) {
    node.as_stranger(Call::post("/reserva-temporaria", &hold(number, evse, -120, 600))).await.expect(201);
}

fn stops(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let stops = answer["paradas"].as_array().unwrap().iter();
    stops.map(|stop| (text(&stop["empresa"]), text(&stop["ponto_id"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journey_is_planned_over_all_companies_and_nothing_is_reserved() {
    let nodes = companies().await;
    let body = with(&journey(), "alternativas", Some(json!(2)));
    let answer = nodes[0].send(Call::post("/viagens/planejar", &body)).await.expect(200);
    let best = &answer["roteiros"][0];
    assert_eq!(
        (&best["origem"]["nome"], &best["destino"]["nome"]),
        (&json!("Recife, PE"), &json!("Maceió, AL"))
    );
    assert_eq!((&best["partida"], best["paradas"].as_array().unwrap().len()), (&json!(at(0)), 1), "{best}");
    let stop = &best["paradas"][0];
    assert_eq!(
        (&stop["cidade"], &stop["potencia_kw"]),
        (&json!("Recife"), &json!(60.0)),
        "what the car takes"
    );
    let number = |value: &Value| value.as_f64().unwrap();
    assert!(number(&stop["chegada_pct"]) < 30.0 && number(&stop["saida_pct"]) > number(&stop["chegada_pct"]));
    assert!((10.0..11.5).contains(&number(&best["chegada_pct"])), "no more than needed: {best}");
    assert!((200.0..280.0).contains(&number(&best["distancia_km"])));
    let price = 1.9 * number(&stop["energia_kwh"]);
    assert!((number(&best["preco"]) - price).abs() < 0.02, "{price} {best}");
    assert!(stop["janela_inicio"].as_str() >= stop["chegada"].as_str());
    assert!(stop["janela_fim"].as_str() > stop["saida"].as_str(), "with a buffer");
    // The other company's station is another plan, and could take the place of the stop.
    assert_eq!(answer["roteiros"].as_array().unwrap().len(), 2, "{answer}");
    assert_ne!(answer["roteiros"][1]["paradas"][0]["empresa"], stop["empresa"]);
    assert_eq!(stop["alternativas"].as_array().unwrap().len(), 1);
    let backup = stop["alternativas"][0]["ponto_id"].as_str().unwrap();
    assert!(backup.ends_with("-4"), "the fast one: {backup}");
    let fresh = answer["ofertas"].as_array().unwrap().iter().map(|one| &one["estado"]);
    assert_eq!(fresh.collect::<Vec<_>>(), ["atual", "atual", "desconhecida"]);
    for node in &nodes {
        assert_eq!(node.audit().await, (vec![], vec![]), "nothing is reserved");
    }
    // Preferences, via points and places in degrees are followed.
    for company in ["empresa-a", "empresa-b"] {
        let mut body = journey();
        body["preferir_empresas"] = json!([company]);
        let answer = nodes[1].send(Call::post("/viagens/planejar", &body)).await.expect(200);
        assert_eq!(stops(&answer["roteiros"][0])[0].0, company);
        body["preferir_empresas"] = json!([]);
        body["evitar_empresas"] = json!([company]);
        body["origem"] = json!("-8.05,-34.88");
        body["via"] = json!(["Palmares"]);
        let answer = nodes[1].send(Call::post("/viagens/planejar", &body)).await.expect(200);
        assert_ne!(stops(&answer["roteiros"][0])[0].0, company);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journey_is_booked_at_once_and_a_repeat_gets_the_same_answer() {
    let nodes = companies().await;
    let body = booking("p", &[]);
    let booked = nodes[0].send(Call::post("/viagens", &body)).await.expect(201);
    assert_eq!(booked["estado"], "confirmada");
    let itinerary = &booked["roteiro"];
    assert_eq!(stops(itinerary), stops(&booked), "what is told is what is reserved");
    assert_eq!(itinerary["paradas"][0]["janela_inicio"], booked["paradas"][0]["janela_inicio"]);
    // Reserved where it says, for as long as it says.
    let (company, evse) = stops(&booked).remove(0);
    let node = nodes.iter().find(|node| node.name == company).unwrap();
    let path = format!("/disponibilidade?ponto_id={evse}&de={}&ate={}", at(-60), at(600));
    let free = node.get(&path).await["pontos"][0]["livres"].clone();
    assert_eq!(free[0]["fim"], booked["paradas"][0]["janela_inicio"], "{free}");
    assert_eq!(free[1]["inicio"], booked["paradas"][0]["janela_fim"], "{free}");
    let same = nodes[0].send(Call::post("/viagens", &body)).await.expect(201);
    assert_eq!(same["viagem_id"], booked["viagem_id"]);
    assert_eq!(same["roteiro"], booked["roteiro"]);
    let shown = nodes[0].get(&format!("/viagens/{}", booked["viagem_id"].as_str().unwrap())).await;
    assert_eq!(shown["roteiro"], booked["roteiro"]);
    // The same words in another order are the same wish; another place is not.
    let other = booking("p", &[("destino", json!("Aracaju"))]);
    nodes[0].send(Call::post("/viagens", &other)).await.expect_problem(409, "requisicao-divergente");
    // Another car gets another charger, as this one is taken.
    let second = booking("q", &[("veiculo", json!({"veiculo_id": "carro-2"}))]);
    let second = nodes[0].send(Call::post("/viagens", &second)).await.expect(201);
    assert_ne!(stops(&second), stops(&booked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_stop_is_planned_anew() {
    let nodes = companies().await;
    // Of which the other company's copy knows nothing.
    take(&nodes[1], 1, "B-4").await;
    let wish = |request: &str| booking(request, &[("preferir_empresas", json!(["empresa-b"]))]);
    let planned = nodes[0]
        .send(Call::post(
            "/viagens/planejar",
            &with(&journey(), "preferir_empresas", Some(json!(["empresa-b"]))),
        ))
        .await;
    assert_eq!(stops(&planned.expect(200)["roteiros"][0]), [("empresa-b".into(), "B-4".into())]);
    let booked = nodes[0].send(Call::post("/viagens", &wish("p"))).await.expect(201);
    assert_eq!(stops(&booked), [("empresa-a".to_owned(), "A-4".to_owned())], "the next best, all at once");
    // Where nothing else is free, the reason is told, and nothing is held.
    nodes[0]
        .send(Call::delete(&format!("/viagens/{}", booked["viagem_id"].as_str().unwrap())))
        .await
        .expect(200);
    take(&nodes[0], 2, "A-4").await;
    let fast = json!({"veiculo_id": "carro-9", "plugue": CCS2});
    let refused = nodes[0].send(Call::post("/viagens", &booking("q", &[("veiculo", fast)])));
    let problem = refused.await.expect_problem(409, "sem-roteiro");
    assert_eq!(problem["campo"], "espera_max_min", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("minutos em Recife"), "{problem}");
    assert!(nodes[0].audit().await.0.iter().all(|branch| branch["veiculo_id"] != "carro-9"));
    // Whoever has the time says so.
    let patient =
        [("veiculo", json!({"veiculo_id": "carro-9", "plugue": CCS2})), ("espera_max_min", json!(1000))];
    let booked = nodes[0].send(Call::post("/viagens", &booking("r", &patient))).await.expect(201);
    assert!(booked["roteiro"]["espera_min"].as_f64().unwrap() > 500.0, "{booked}");
}

/// It was told of a stop that it had never chosen, and what was free there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_outrun_each_time_is_told_so_and_gets_it_with_a_new_request() {
    let points = json!(["X-1", "X-2", "X-3", "X-4", "X-5"].map(|id| charger(id, json!({}))));
    let script = move |call: &str, body: &Value| match call {
        "GET /disponibilidade" => (200, json!({"empresa": STRANGER, "revisao": 1, "pontos": points})),
        "POST /lote" => {
            let results = body["operacoes"].as_array().unwrap().iter().map(|one| match &one["operacao"] {
                hold if hold == "reserva-temporaria" => {
                    json!({"status": 409, "corpo": {"tipo": "ponto-reservado",
                    "voto": "nao", "parada": 0, "livres": [{"inicio": at(600), "fim": at(700)}]}})
                }
                _ => json!({"status": 404, "corpo": {}}),
            });
            (200, json!({"resultados": results.collect::<Vec<_>>()}))
        }
        _ => (409, json!({"tipo": "ponto-reservado", "voto": "nao", "parada": 0})),
    };
    let stranger = Stranger::start(script).await;
    let limits = format!("{SELDOM}\nproposals_max = 4");
    let plan = Plan { limits, stranger_url: stranger.url.clone(), ..Plan::default() };
    let node = start_one(plan).await;
    knows(&node, &["empresa-a", STRANGER]).await;
    let only = |id: &str| booking(id, &[("evitar_empresas", json!(["empresa-a"]))]);
    let refused = node.send(Call::post("/viagens", &only("p"))).await.expect_problem(409, "ponto-reservado");
    let detail = refused["detail"].as_str().unwrap();
    for part in ["muitos pediram ao mesmo tempo", "um pedido novo pode dar certo", "Ponto já reservado"] {
        assert!(detail.contains(part), "{detail}");
    }
    for field in ["campo", "parada", "livres"] {
        assert_eq!(refused[field], Value::Null, "of a stop that nobody chose: {refused}");
    }
    node.send(Call::post("/viagens", &booking("q", &[]))).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_that_is_gone_is_planned_around() {
    let mut nodes = companies().await;
    let (b, a) = (nodes.remove(1), nodes.remove(0));
    b.stop().await;
    // Its last offer is still known, and tried first.
    let body = booking("p", &[("preferir_empresas", json!(["empresa-b"]))]);
    let booked = a.send(Call::post("/viagens", &body)).await.expect(201);
    assert_eq!(stops(&booked), [("empresa-a".to_owned(), "A-4".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_company_offers_spoils_nobodys_plan() {
    let points = json!([
        charger("X-1", json!({"preco_kwh": 1e300, "taxa_ativacao": -1e300})),
        charger("X-2", json!({"conectores": [{"conector_id": "1", "plugue": CCS2, "potencia_kw": -5}]})),
        charger("X-3", json!({"latitude": 91.0})),
        charger("X-4", json!({"conectores": [], "livres": []})),
    ]);
    let (node, _stranger) = beside(points).await;
    for preference in ["mais_rapida", "mais_barata", "menos_paradas"] {
        let body = with(&journey(), "preferencia", Some(json!(preference)));
        let answer = node.send(Call::post("/viagens/planejar", &body)).await.expect(200);
        assert_eq!(answer["roteiros"][0]["paradas"][0]["empresa"], "empresa-a", "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_asks_for_a_journey_and_one_company_answers() {
    let broker = broker(0).await;
    let plan = |_: &str| Plan { broker: Some(broker.url()), limits: SELDOM.into(), ..Plan::default() };
    let nodes = start_with(&["empresa-a", "empresa-b"], plan).await;
    for node in &nodes {
        knows(node, &["empresa-a", "empresa-b"]).await;
        eventually("connected", || async {
            (node.figure("recarga_broker_connected").await == 1).then_some(())
        })
        .await;
    }
    let mut cars = Cars::connect(&broker.url()).await;
    for (number, servidor) in [(1, None), (2, Some("empresa-b")), (3, Some("empresa-a"))] {
        let car = format!("carro-{number}");
        let mut body = booking("p", &[("veiculo", json!({"veiculo_id": car}))]);
        body["saida"] = json!(at(i64::from(number) * 100));
        body["servidor"] = json!(servidor);
        cars.ask(&car, body.to_string()).await;
        let answer = cars.answer(&car).await;
        // Whoever is a company of the network may be the home of a car; nobody runs the stranger.
        let home = servidor.is_some() || answer["servidor"] != STRANGER;
        assert!(home && answer["estado"] == "confirmada", "{answer}");
        assert_eq!(stops(&answer), stops(&answer["roteiro"]));
        assert!(servidor.is_none_or(|name| answer["servidor"] == name), "{answer}");
        assert!(cars.silence(&car).await, "answered once");
        cars.ask(&car, body.to_string()).await;
        assert_eq!(cars.answer(&car).await, answer, "a repeat gets the same answer");
    }
    let lost = booking("p", &[("veiculo", json!({"veiculo_id": "carro-4"})), ("origem", json!("Resife"))]);
    let lost = with(&lost, "servidor", Some(json!("empresa-a")));
    cars.ask("carro-4", lost.to_string()).await;
    let refused = cars.answer("carro-4").await;
    assert_eq!((&refused["estado"], &refused["motivo"]["campo"]), (&json!("recusada"), &json!("origem")));
    let chademo = json!({"veiculo_id": "carro-5", "plugue": "CHADEMO"});
    cars.ask("carro-5", booking("p", &[("veiculo", chademo), ("servidor", json!("empresa-a"))]).to_string())
        .await;
    let refused = cars.answer("carro-5").await;
    let motive = &refused["motivo"];
    assert_eq!(
        (&motive["tipo"], &motive["campo"]),
        (&json!("plugue-incompativel"), &json!("veiculo.plugue"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_charges_up_high_has_come_up_there() {
    // One in Recife, and one 120 km inland on a plateau that is as far from the destination: without it nobody comes home.
    let mut charged = Vec::new();
    for (low, high) in
        [(json!(null), json!(null)), (json!(5), json!(null)), (json!(5), json!(840)), (json!(5), json!(1e6))]
    {
        let up_there = json!({"latitude": -8.28, "longitude": -35.97, "altitude_m": high});
        let points = json!([charger("X-1", json!({"altitude_m": low})), charger("X-2", up_there)]);
        let (node, _stranger) = beside(points).await;
        let mut body = with(&journey(), "destino", Some(json!("Arcoverde")));
        body["evitar_empresas"] = json!(["empresa-a"]);
        body["bateria_pct"] = json!(20);
        let answer = node.send(Call::post("/viagens/planejar", &body)).await.expect(200);
        let stops = answer["roteiros"][0]["paradas"].as_array().unwrap();
        let energy: f64 = stops.iter().map(|stop| stop["energia_kwh"].as_f64().unwrap()).sum();
        charged.push((stops.len(), energy));
    }
    let [flat, half, hilly, absurd] = charged[..] else { unreachable!("four of them") };
    assert!(flat.0 == 2, "{charged:?}");
    assert!(half == flat && absurd == flat, "a height alone, or one that is none, is no hill: {charged:?}");
    let climb = hilly.1 - flat.1;
    assert!((3.5..5.5).contains(&climb), "835 m are some 4.4 kWh for this car: {climb}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_by_time_of_day_are_told_and_counted() {
    // Cheap for an hour from now on, and otherwise dear.
    let clock = |minutes: i64| at(minutes)[11..16].to_owned();
    let soon = json!([{"inicio": clock(-1), "fim": clock(90), "preco_kwh": 0.5}]);
    let later = json!([{"inicio": clock(90), "fim": clock(-1), "preco_kwh": 0.5}]);
    for (bands, chosen) in [(soon, "X-1"), (later, "X-2")] {
        let changing = json!({"preco_kwh": 1.8, "taxa_ociosidade_min": 0.8, "faixas": bands});
        let points = json!([charger("X-1", changing), charger("X-2", json!({}))]);
        let (node, _stranger) = beside(points).await;
        let mut body = with(&journey(), "preferencia", Some(json!("mais_barata")));
        body["espera_max_min"] = json!(60);
        let answer = node.send(Call::post("/viagens/planejar", &body)).await.expect(200);
        let stop = &answer["roteiros"][0]["paradas"][0];
        assert_eq!(stop["ponto_id"], chosen, "{answer}");
        let price = if chosen == "X-1" { 0.5 } else { 1.0 };
        let due = stop["energia_kwh"].as_f64().unwrap() * price;
        assert!((stop["preco"].as_f64().unwrap() - due).abs() < 0.02, "{stop}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_car_of_ones_own_is_planned_for_like_any_other() {
    let nodes = companies().await;
    let plan = async |car: Value| {
        let mut body = with(&journey(), "modelo", None);
        body["carro"] = car;
        nodes[0].send(Call::post("/viagens/planejar", &body)).await
    };
    let known = nodes[0].send(Call::post("/viagens/planejar", &journey())).await.expect(200);
    let own = plan(own_car(&[])).await.expect(200);
    assert_eq!(own["roteiros"][0]["modelo"], "Meu carro");
    assert_eq!(
        own["roteiros"][0]["paradas"], known["roteiros"][0]["paradas"],
        "the same figures, the same plan"
    );
    for (field, value, cure) in [
        ("bateria_kwh", json!(1), "5 a 500"),
        ("bateria_kwh", json!(null), ""),
        ("plugues", json!([]), "plugues"),
        ("plugues", json!(["CCS2"]), ""),
        ("ciclo", json!("NEDC"), "WLTP"),
        ("autonomia_km", json!(0), "50 a 2000"),
        ("massa_kg", json!(-1), "200 a 10000"),
        ("area_arrasto_m2", json!(99), "0.1 a 10"),
        ("curva", json!([]), "1 a 101"),
        ("curva", json!([[50, 60], [10, 60]]), "crescendo"),
        ("curva", json!([[0, 0]]), "kW"),
        ("nome", json!(""), "letras"),
        ("cor", json!("azul"), ""),
    ] {
        let problem = plan(own_car(&[(field, value.clone())])).await;
        assert_eq!(problem.status, 422, "{field} = {value}: {}", problem.text());
        let (told, at) = (problem.json(), format!("carro.{field}"));
        assert!(told["campo"].as_str().unwrap().starts_with(&at), "{field} = {value}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(cure), "{field} = {value}: {told}");
    }
    // One that goes nowhere.
    let problem = plan(own_car(&[("bateria_kwh", json!(500)), ("autonomia_km", json!(50))])).await;
    assert_eq!(problem.json()["campo"], "carro.autonomia_km", "{}", problem.text());
    let without = with(&journey(), "modelo", None);
    let problem = nodes[0].send(Call::post("/viagens/planejar", &without)).await;
    assert_eq!(problem.expect_problem(422, "campo-ausente")["campo"], "modelo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_station_is_a_place_and_cold_takes_from_the_battery() {
    let nodes = companies().await;
    let plan = async |field: &str, value: Value| {
        let body = with(&journey(), field, Some(value));
        nodes[0].send(Call::post("/viagens/planejar", &body)).await
    };
    let from = plan("origem", json!("empresa-b/B-REC")).await.expect(200)["roteiros"][0]["origem"].clone();
    let bare = plan("origem", json!("B-REC")).await.expect(200)["roteiros"][0]["origem"].clone();
    assert_eq!(from, bare);
    assert_eq!((&from["nome"], &from["latitude"]), (&json!("Marco Zero, PE"), &json!(-8.06)), "{from}");
    plan("origem", json!("empresa-a/B-REC")).await.expect_problem(422, "campo-invalido");
    let energy = async |celsius: f64| {
        let answer = plan("temperatura_c", json!(celsius)).await.expect(200);
        answer["roteiros"][0]["paradas"][0]["energia_kwh"].as_f64().unwrap()
    };
    assert!(energy(15.0).await > energy(21.0).await);
}
