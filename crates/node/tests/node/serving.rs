//! What is shown: what is free, what happens, how the node is.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::booking::{path_of, session_of};
use crate::support::bodies::{about, at, from_now, hold, session_of as session_of_company, trip};
use crate::support::http::{Call, Http};
use crate::support::{Plan, STRANGER, TestNode, eventually, soon, start_one, token};

async fn ids(node: &TestNode, query: &str) -> Vec<String> {
    let mut both = Vec::new();
    for path in ["/disponibilidade", "/pontos"] {
        let page = node.get(&format!("{path}?{query}")).await;
        let points = page["pontos"].as_array().unwrap().iter();
        both.push(points.map(|point| point["ponto_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(both[0], both[1], "{query}: both lists find the same");
    both.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn availability_finds_what_is_asked_for() {
    let node = start_one(Plan::default()).await;
    for (query, expected) in [
        ("", vec!["A-1", "A-2", "A-3", "A-4"]),
        ("uf=BA", vec!["A-1", "A-2"]),
        ("uf=RS", vec![]),
        ("plugue=IEC_62196_T2", vec!["A-2", "A-3"]),
        ("plugue=CHADEMO", vec![]),
        ("potencia_min_kw=100", vec!["A-2", "A-4"]),
        ("potencia_min_kw=100&plugue=IEC_62196_T2", vec![]),
        ("potencia_min_kw=22&plugue=IEC_62196_T2&uf=PE", vec!["A-3"]),
        ("ponto_id=A-3", vec!["A-3"]),
        ("ponto_id=A-99", vec![]),
        ("lat=-12.97&lon=-38.5", vec!["A-1", "A-2"]),
        ("lat=-8&lon=-35&raio_km=30", vec!["A-3", "A-4"]),
        ("lat=-8&lon=-35&raio_km=5", vec![]),
        ("lat=0&lon=0&raio_km=20000", vec!["A-1", "A-2", "A-3", "A-4"]),
        ("uf=&plugue=&ponto_id=", vec!["A-1", "A-2", "A-3", "A-4"]),
    ] {
        assert_eq!(ids(&node, query).await, expected, "{query}");
    }
    let point = node.get("/disponibilidade?ponto_id=A-2").await["pontos"][0].clone();
    assert_eq!((&point["nome"], &point["cidade"]), (&json!("Porto da Barra"), &json!("Salvador")));
    assert_eq!((&point["preco_kwh"], &point["taxa_ativacao"]), (&json!(2.1), &json!(2.0)));
    assert_eq!(
        point["conectores"][1],
        json!({"conector_id": "2", "plugue": "IEC_62196_T2", "potencia_kw": 22.0})
    );
    assert_eq!((&point["fuso"], &point["estado"]), (&json!("America/Bahia"), &json!("disponivel")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let node = start_one(Plan::default()).await;
    for (path, size, count) in [("/disponibilidade", 1, 4), ("/disponibilidade", 3, 2), ("/pontos", 2, 2)] {
        let (mut found, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = node.get(&format!("{path}?limite={size}{cursor}")).await;
            pages += 1;
            found.extend(page["pontos"].as_array().unwrap().iter().map(|point| point["ponto_id"].clone()));
            match page["proximo"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(
            (Value::from(found), pages),
            (json!(["A-1", "A-2", "A-3", "A-4"]), count),
            "{path} {size}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_windows_are_what_nobody_holds() {
    let node = start_one(Plan::default()).await;
    let path = format!("/disponibilidade?ponto_id=A-1&de={}&ate={}", at(0), at(600));
    let free = |spans: &[(i64, i64)]| {
        let span = |(from, to): &(i64, i64)| json!({"inicio": at(*from), "fim": at(*to)});
        Value::from(spans.iter().map(span).collect::<Vec<_>>())
    };
    let now_free = || async { node.get(&path).await["pontos"][0]["livres"].clone() };
    assert_eq!(now_free().await, free(&[(0, 600)]));
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", -30, 60))).await.expect(201);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(2, "A-1", 100, 160))).await.expect(201);
    node.send(Call::post("/viagens", &trip("p", "carro-9", &[("empresa-a", "A-1", 160, 200)])))
        .await
        .expect(201);
    assert_eq!(now_free().await, free(&[(60, 100), (200, 600)]));
    node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(2))).await.expect(200);
    assert_eq!(now_free().await, free(&[(60, 160), (200, 600)]));
    // Without a period: the next day, from this minute on.
    let point = node.get("/disponibilidade?ponto_id=A-2").await["pontos"][0].clone();
    assert!(point["livres"][0]["inicio"].as_str().unwrap() <= &*from_now(1), "{point}");
    // What is held now shows as such.
    let mut now = hold(3, "A-2", 0, 60);
    now["reservas"][0]["janela_inicio"] = json!(from_now(0));
    now["reservas"][0]["janela_fim"] = json!(from_now(60));
    node.as_stranger(Call::post("/reserva-temporaria", &now)).await.expect(201);
    assert_eq!(node.get("/disponibilidade?ponto_id=A-2").await["pontos"][0]["estado"], "reservado");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_offer_moves_no_body() {
    let node = start_one(Plan::default()).await;
    let path = format!("/disponibilidade?de={}&ate={}", at(0), at(600));
    for path in [path.as_str(), "/pontos"] {
        let first = node.send(Call::get(path)).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let answer = node.send(Call::get(path).header("if-none-match", known.as_bytes())).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
            assert_eq!(answer.header("etag"), tag);
        }
        let answer = node.send(Call::get(path).header("if-none-match", b"\"x\"")).await;
        assert_eq!((answer.status, &answer.body), (200, &first.body));
    }
    let get = Call::get(&path);
    let before = node.send(get.clone()).await;
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 60))).await.expect(201);
    let tag = before.header("etag").to_owned();
    let after = node.send(get.header("if-none-match", tag.as_bytes())).await;
    assert_ne!(after.header("etag"), tag);
    let revision = |body: Value| body["revisao"].as_u64().unwrap();
    assert!(revision(after.expect(200)) > revision(before.json()));
}

/// What comes by `/eventos`.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    async fn open(node: &TestNode) -> Self {
        let response = Http::new(&node.url).open(Call::get("/eventos")).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    // The data of the next event of a name.
    async fn next(&mut self, name: &str) -> Value {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
                };
                let (found, data, id) = (field("event:"), field("data:"), field("id:"));
                self.text = rest.to_owned();
                if found == name {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!((data["evento"].as_str(), data["id"].to_string()), (Some(name), id));
                    return data["dados"].clone();
                }
            }
            let frame = soon(name, self.body.frame()).await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_tell_what_happens() {
    let node = start_one(Plan::default()).await;
    let mut events = Stream::open(&node).await;
    let stops = [("empresa-a", "A-1", 0, 60)];
    let booked = node.send(Call::post("/viagens", &trip("p", "carro-1", &stops))).await.expect(201);
    let told = events.next("viagem").await;
    assert_eq!((&told["viagem_id"], &told["estado"]), (&booked["viagem_id"], &json!("confirmada")));
    node.send(Call::post("/viagens", &trip("q", "carro-2", &stops))).await.expect(409);
    let told = events.next("viagem-recusada").await;
    assert_eq!((&told["requisicao_id"], &told["motivo"]["tipo"]), (&json!("q"), &json!("ponto-reservado")));
    node.send(Call::delete(&path_of(&booked))).await.expect(200);
    assert_eq!(events.next("viagem").await["estado"], "cancelada");
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-1", 0, 60))).await.expect(201);
    let told = events.next("reserva").await;
    assert_eq!((&told["estado"], &told["pontos"]), (&json!("preparada"), &json!(["A-1"])), "{told}");
    assert_ne!(told["sessao"], session_of(&booked));
    // Whoever watches does not keep the node from stopping.
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_figures_say_how_it_is() {
    let node = start_one(Plan::default()).await;
    let health = node.get("/saude").await;
    assert_eq!((&health["estado"], &health["empresa"]), (&json!("pronto"), &json!("empresa-a")));
    assert_eq!(health["verificacoes"]["armazenamento"]["estado"], "ok");
    assert!(health["verificacoes"]["mqtt"].is_null(), "no broker is configured: {health}");

    node.send(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-a", "A-1", 0, 60)])))
        .await
        .expect(201);
    node.send(Call::post("/viagens", &trip("q", "carro-2", &[("empresa-a", "A-1", 0, 60)])))
        .await
        .expect(409);
    node.send(Call::get("/nada")).await.expect(404);
    node.as_stranger(Call::post("/reserva-temporaria", &hold(1, "A-2", 0, 60))).await.expect(201);
    let answer = node.send(Call::get("/metrics")).await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.text().ends_with("# EOF\n"));
    for (line, value) in [
        ("recarga_trips_total{outcome=\"booked\"}", 1),
        ("recarga_trips_total{outcome=\"refused\"}", 1),
        ("recarga_refusals_total{reason=\"booked\"}", 1),
        ("recarga_trip_decision_seconds_count", 2),
        ("recarga_in_doubt", 1),
        ("recarga_soft_holds", 0),
        ("recarga_http_requests_total{route=\"/viagens\",status=\"201\"}", 1),
        ("recarga_http_requests_total{route=\"none\",status=\"404\"}", 1),
        ("recarga_broker_connected", 0),
    ] {
        assert_eq!(node.figure(line).await, value, "{line}");
    }
    assert!(node.figure("recarga_flushes").await >= 2);
    assert!(node.figure("recarga_durable_records").await >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_said_and_stops_nothing() {
    let broker = Some("mqtt://127.0.0.1:1".to_owned());
    let node = start_one(Plan { broker, ..Plan::default() }).await;
    let health = node.get("/saude").await;
    assert_eq!(health["estado"], "degradado", "{health}");
    assert_eq!(health["verificacoes"]["mqtt"]["estado"], "falha", "{health}");
    node.send(Call::post("/viagens", &trip("p", "carro-1", &[("empresa-a", "A-1", 0, 60)])))
        .await
        .expect(201);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_explains_itself() {
    let node = start_one(Plan::default()).await;
    let document = node.get("/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/disponibilidade",
        "/pontos",
        "/reserva-temporaria",
        "/confirmar-reserva",
        "/cancelar-reserva",
        "/transacoes/{sessao}",
        "/lote",
        "/viagens",
        "/viagens/{id}",
        "/veiculos",
        "/veiculos/{id}",
        "/eventos",
        "/saude",
        "/metrics",
        "/auditoria",
        "/copia",
        "/problemas/{tipo}",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    assert!(node.send(Call::get("/docs/")).await.text().contains("swagger"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_has_both_ways_to_book() {
    let node = start_one(Plan::default()).await;
    let document = node.get("/openapi.json").await;
    let schema =
        &document["paths"]["/viagens"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    assert_eq!(schema["oneOf"], json!([of("TripBody"), of("JourneyTripBody")]), "{schema}");
    let journey = &document["components"]["schemas"]["JourneyTripBody"];
    // As documented, and nothing else, is taken.
    let given = json!({"requisicao_id": "j", "veiculo": {"veiculo_id": "carro-1"}, "origem": "Recife",
        "destino": "Salvador", "bateria_pct": 80, "modelo": "byd-dolphin-plus"});
    for name in journey["required"].as_array().unwrap() {
        assert!(given.get(name.as_str().unwrap()).is_some(), "{name} is said to be required");
    }
    for name in given.as_object().unwrap().keys() {
        assert!(journey["properties"].get(name).is_some(), "{name} is not described");
    }
    let status = node.send(Call::post("/viagens", &given)).await.status;
    assert!([201, 409].contains(&status), "{status}");
    assert_eq!(journey["additionalProperties"], false);
    for name in ["servidor", "expira_em", "paradas"] {
        assert!(journey["properties"].get(name).is_none(), "{name} is refused, and described");
    }
    // And what is answered besides.
    let tag = node.send(Call::get("/pontos")).await.header("etag").to_owned();
    let session = session_of_company("empresa-a", 77);
    for (path, operation, call) in [
        ("/pontos", "get", Call::get("/pontos").header("if-none-match", tag.as_bytes())),
        ("/pontos", "get", Call::get("/pontos?limite=0")),
        (
            "/transacoes/{sessao}",
            "get",
            Call::get(&format!("/transacoes/{session}")).token(&token(STRANGER, "empresa-a")),
        ),
    ] {
        let status = node.send(call).await.status;
        assert!([304, 403, 422].contains(&status), "{path}: {status}");
        let listed = &document["paths"][path][operation]["responses"];
        assert!(listed.get(status.to_string()).is_some(), "{path}: {status} is not described");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_head_is_cut_off_and_keeps_nobody_out() {
    let node =
        start_one(Plan { limits: "head_seconds_max = 1\nconnections_max = 8".into(), ..Plan::default() })
            .await;
    let address = node.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /saude HTTP/1.1\r\nhost: a\r\n").await.unwrap();
        slow.push(stream);
    }
    // All places are taken; the ninth waits until the slow ones are cut off.
    node.get("/saude").await;
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    }
    eventually("it is served as ever", || async { Some(node.get("/saude").await) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_served_so_that_nobody_can_turn_it_against_its_reader() {
    let node = start_one(Plan::default()).await;
    let root = node.send(Call::get("/")).await;
    assert_eq!((root.status, root.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(root.header("x-content-type-options"), "nosniff");
    assert_eq!(root.header("referrer-policy"), "no-referrer");
    assert_eq!(root.header("cache-control"), "no-cache");
    let policy = root.header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    for path in ["/assets/nothing.js", "/assets/../Cargo.toml", "/index.html.gz/"] {
        node.send(Call::get(path)).await.expect_problem(404, "nao-encontrado");
    }
    node.send(Call::new("POST", "/icon.svg")).await.expect_problem(404, "nao-encontrado");
}
