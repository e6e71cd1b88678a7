//! For drivers and apps: `/viagens`.

use serde_json::{Value, json};

use crate::fields::{TRIP, all_bad};
use crate::support::bodies::{at, from_now, trip, with};
use crate::support::http::{Call, raw};
use crate::support::{Plan, STRANGER, eventually, token};
use crate::{Bench, Row, row};

fn good() -> Value {
    trip("pedido-1", "carro-1", &[("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 120, 180)])
}

fn post(body: &Value) -> Call {
    Call::post("/viagens", body)
}

fn change(campo: &str, value: Value) -> Call {
    post(&with(&good(), campo, Some(value)))
}

fn window(from: String, to: String) -> Call {
    let body = with(&good(), "paradas[1].janela_inicio", Some(json!(from)));
    post(&with(&body, "paradas[1].janela_fim", Some(json!(to))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_trip() {
    let bench = Bench::start().await;
    let rows = |call: fn(&Value) -> Call| {
        let bad = all_bad(&good(), TRIP).into_iter();
        bad.map(move |(what, body, tipo, campo)| row(what, call(&body), 422, tipo, &campo)).collect()
    };
    bench.refuses(rows(post)).await;
    bench.refuses(rows(|body| Call::put("/viagens/0123456789abcdef", body))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trip_asks_for() {
    let stops = |count: i64| {
        let stops: Vec<_> = (0..count).map(|n| ("empresa-a", "A-1", 60 * n, 60 * n + 60)).collect();
        post(&trip("pedido-1", "carro-1", &stops))
    };
    let overlap = trip("r", "c", &[("empresa-a", "A-1", 0, 60), ("empresa-b", "B-1", 59, 90)]);
    let no_plug = with(&good(), "veiculo.plugue", Some(json!("CHADEMO")));
    let start = "paradas[1].janela_inicio";
    let end = "paradas[1].janela_fim";
    let evse = "paradas[1].ponto_id";
    let other = |value: &str| change("paradas[1].ponto_id", json!(value));
    let bench = Bench::start().await;
    #[rustfmt::skip]
    let rows = vec![
        row("no request id", post(&with(&good(), "requisicao_id", None)), 422, "campo-ausente", "requisicao_id"),
        row("reversed window", window(at(180), at(120)), 422, "janela-invertida", end),
        row("empty window", window(at(120), at(120)), 422, "janela-invertida", end),
        row("window in the past, at the other company", window(from_now(-120), from_now(-60)), 422, "janela-no-passado", start),
        row("window of the year 0", window("0000-01-01T00:00:00Z".into(), "0000-01-01T01:00:00Z".into()), 422, "janela-no-passado", start),
        row("window longer than 12 hours", window(at(120), at(841)), 422, "janela-longa-demais", end),
        row("window until the year 9999", window(at(120), "9999-12-30T00:00:00Z".into()), 422, "janela-longa-demais", end),
        row("window 91 days ahead", window(at(91 * 1440), at(91 * 1440 + 60)), 422, "janela-distante-demais", start),
        row("window of the year 9999", window("9999-12-29T00:00:00Z".into(), "9999-12-29T01:00:00Z".into()), 422, "janela-distante-demais", start),
        row("unknown EVSE here", change("paradas[0].ponto_id", json!("A-99")), 422, "ponto-desconhecido", "paradas[0].ponto_id"),
        row("unknown EVSE at the other company", other("B-99"), 422, "ponto-desconhecido", evse),
        row("EVSE of another company", other("A-1"), 422, "ponto-desconhecido", evse),
        row("EVSE without the plug at the other company", other("B-3"), 422, "plugue-incompativel", evse),
        row("plug that no EVSE has", post(&no_plug), 422, "plugue-incompativel", "paradas[0].ponto_id"),
        row("unknown company", change("paradas[1].empresa", json!("empresa-z")), 422, "empresa-desconhecida", "paradas[1].empresa"),
        row("company with a capital letter", change("paradas[0].empresa", json!("Empresa-a")), 422, "empresa-desconhecida", "paradas[0].empresa"),
        row("no stops", stops(0), 422, "paradas-demais", "paradas"),
        row("17 stops", stops(17), 422, "paradas-demais", "paradas"),
        row("two stops at the same time", post(&overlap), 422, "paradas-sobrepostas", "paradas[1].janela_inicio"),
        row("the same stop twice", post(&trip("r", "c", &[("empresa-a", "A-1", 0, 60); 2])), 422, "paradas-sobrepostas", "paradas[1].janela_inicio"),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_key_in_the_header() {
    let bench = Bench::start().await;
    let key = |value: &[u8]| post(&good()).header("idempotency-key", value);
    let header = "Idempotency-Key";
    #[rustfmt::skip]
    let rows = vec![
        row("another than in the body", key(b"pedido-2"), 422, "campo-invalido", "requisicao_id"),
        row("another in quotes", key(b"\"pedido-2\""), 422, "campo-invalido", "requisicao_id"),
        row("empty", key(b""), 422, "campo-invalido", header),
        row("one quote", key(b"\"pedido-1"), 422, "campo-invalido", header),
        row("bad characters", key(b"a/b"), 422, "campo-invalido", header),
        row("too long", key("x".repeat(65).as_bytes()), 422, "campo-invalido", header),
        row("bytes that are no text", key(b"\xff\xfe"), 422, "campo-invalido", header),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_no_trip() {
    let bench = Bench::start().await;
    let bytes = |body: &[u8]| Call::new("POST", "/viagens").bytes(body);
    let typed = |kind: &[u8]| post(&good()).header("content-type", kind);
    let text = good().to_string();
    let large = [text.as_bytes(), &vec![b' '; 64 * 1024]].concat();
    let deep_field = [b"{\"veiculo\":".to_vec(), b"{\"a\":".repeat(10_000)].concat();
    let doubled = text.replacen('{', "{\"requisicao_id\":\"x\",", 1);
    let latin = [b"{\"requisicao_id\":\"a\xe7\xe3o\",".as_slice(), &text.as_bytes()[1..]].concat();
    let huge = text.replace("\"carro-1\"", "1e999");
    let escape = text.replace("carro-1", "\\ud800");
    let (body, malformed, field) = ("", "corpo-invalido", "campo-invalido");
    #[rustfmt::skip]
    let rows = vec![
        row("no body", bytes(b""), 400, malformed, body),
        row("spaces", bytes(b"   "), 400, malformed, body),
        row("no JSON", bytes(b"quero ir a Maceio"), 400, malformed, body),
        row("cut off", bytes(&text.as_bytes()[..text.len() - 1]), 400, malformed, body),
        row("more after the end", bytes(format!("{text}{text}").as_bytes()), 400, malformed, body),
        row("a comma too much", bytes(text.replacen("}]", "},]", 1).as_bytes()), 400, malformed, body),
        row("single quotes", bytes(text.replace('"', "'").as_bytes()), 400, malformed, body),
        row("NaN", bytes(text.replace("\"carro-1\"", "NaN").as_bytes()), 400, malformed, body),
        row("Infinity", bytes(text.replace("\"carro-1\"", "-Infinity").as_bytes()), 400, malformed, body),
        row("a number beyond all limits", bytes(huge.as_bytes()), 422, field, "veiculo.veiculo_id"),
        row("half a surrogate", bytes(escape.as_bytes()), 400, malformed, body),
        row("a comment", bytes(format!("/* */{text}").as_bytes()), 400, malformed, body),
        row("a byte order mark", bytes(format!("\u{feff}{text}").as_bytes()), 400, malformed, body),
        row("no UTF-8", bytes(&latin), 400, malformed, body),
        row("UTF-16", bytes(&text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()), 400, malformed, body),
        row("a list", bytes(b"[]"), 400, malformed, body),
        row("a text", bytes(b"\"a\""), 400, malformed, body),
        row("null", bytes(b"null"), 400, malformed, body),
        row("a number", bytes(b"-0.0"), 400, malformed, body),
        row("a list of the values in order", bytes(b"[\"r\",{\"veiculo_id\":\"c\"},[]]"), 400, malformed, body),
        row("an empty object", bytes(b"{}"), 422, "campo-ausente", "veiculo"),
        row("a field twice", bytes(doubled.as_bytes()), 422, field, "requisicao_id"),
        row("lists nested deeply", bytes(&b"[".repeat(60_000)), 400, malformed, body),
        row("objects nested deeply", bytes(&deep_field), 422, "campo-desconhecido", "veiculo.a"),
        row("64 KiB and more", bytes(&large), 413, "corpo-grande-demais", body),
        row("ten times the limit", bytes(&vec![b' '; 640 * 1024]), 413, "corpo-grande-demais", body),
        row("a form", typed(b"application/x-www-form-urlencoded"), 415, "tipo-de-midia", "Content-Type"),
        row("a plain text", typed(b"text/plain"), 415, "tipo-de-midia", "Content-Type"),
        row("no type", post(&good()).untyped(), 415, "tipo-de-midia", "Content-Type"),
        row("an empty type", typed(b""), 415, "tipo-de-midia", "Content-Type"),
        row("a type that is no text", typed(b"\xff"), 415, "tipo-de-midia", "Content-Type"),
        row("a type that only looks like it", typed(b"application/jsonp"), 415, "tipo-de-midia", "Content-Type"),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_has_the_same_limits() {
    let bench = Bench::start().await;
    let head = "POST /viagens HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n";
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000)).repeat(5);
    let answer = raw(&bench.node().url, format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("corpo-grande-demais"), "{answer}");

    let answer = raw(&bench.node().url, format!("{head}ZZ\r\nnonsense\r\n").as_bytes()).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("corpo-invalido"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_body_that_is_not_read_the_connection_ends_and_says_so() {
    // Otherwise a client would send its next request into a connection that is about to be closed.
    let bench = Bench::start().await;
    let large = Call::new("POST", "/viagens").bytes(vec![b' '; 1024 * 1024]);
    let typed = post(&good()).header("content-type", b"text/plain");
    for (call, status) in [(large, 413), (typed, 415)] {
        let answer = bench.node().send(call).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["connection"], "close", "{status}");
        bench.node().get("/saude").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_request_id_with_another_body() {
    let bench = Bench::start().await;
    let booked = bench.node().send(post(&good())).await.expect(201);
    let path = format!("/viagens/{}", booked["viagem_id"].as_str().unwrap());
    settled(&bench, &path).await;
    let id = "requisicao_id";
    let differs = "requisicao-divergente";
    let other_plug = with(&good(), "veiculo.plugue", Some(json!("IEC_62196_T2")));
    let another = trip("pedido-2", "carro-2", &[("empresa-a", "A-1", 30, 90)]);
    let put = |body: &Value| Call::put(&path, body);
    let elsewhere = "/viagens/ffffffffffffffffffffffffffffffff";
    #[rustfmt::skip]
    let rows: Vec<Row> = vec![
        row("other stops", change("paradas[1].ponto_id", json!("B-2")), 409, differs, id),
        row("fewer stops", post(&with(&good(), "paradas[1]", None)), 409, differs, id),
        row("another plug", post(&other_plug), 409, differs, id),
        row("a change with the id of the booking", put(&with(&good(), "paradas[1]", None)), 409, differs, id),
        row("a reserved window", post(&another), 409, "ponto-reservado", "paradas[0].janela_inicio"),
        row("a change to a reserved window", Call::put(elsewhere, &another), 404, "nao-encontrado", ""),
        row("a change of a trip that does not exist, as this one was booked", Call::put(elsewhere, &good()), 409, differs, id),
    ];
    bench.refuses(rows).await;
}

async fn settled(bench: &Bench, path: &str) {
    eventually("every company has confirmed", || async {
        let trip = bench.node().get(path).await;
        let stops = trip["paradas"].as_array().unwrap().clone();
        stops.iter().all(|stop| stop["estado"] == "confirmada").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trips_that_are_not_there() {
    let bench = Bench::start().await;
    let id = "ffffffffffffffffffffffffffffffff";
    let mut rows = Vec::new();
    for method in ["GET", "PUT", "DELETE"] {
        let call = |id: &str| {
            let call = Call::new(method, &format!("/viagens/{id}"));
            if method == "PUT" { call.json(&good()) } else { call }
        };
        let (not_found, bad) = ("nao-encontrado", "campo-invalido");
        #[rustfmt::skip]
        rows.extend([
            row("unknown", call(id), 404, not_found, ""),
            row("no id", call(""), 404, not_found, ""),
            row("two ids", call("a/b"), 404, not_found, ""),
            row("a slash inside", call("a%2Fb"), 422, bad, "id"),
            row("no UTF-8", call("%FF%FE"), 422, bad, "id"),
            row("a zero byte", call("%00"), 422, bad, "id"),
            row("half an escape", call("abc%2"), 422, bad, "id"),
            row("dots", call("..%2F..%2Fetc%2Fpasswd"), 422, bad, "id"),
            row("too long", call(&"a".repeat(65)), 422, bad, "id"),
            row("very long", call(&"a".repeat(20_000)), 422, bad, "id"),
        ]);
    }
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drivers_need_a_token_where_one_is_configured() {
    let operator = "driver_tokens = [\"driver-token\"]";
    let bench = Bench::start_with(|_| Plan { operator: operator.to_owned(), ..Plan::default() }).await;
    let id = "/viagens/0123456789abcdef";
    let calls = [
        post(&good()),
        Call::get("/viagens?veiculo_id=carro-1"),
        Call::get(id),
        Call::put(id, &good()),
        Call::delete(id),
        Call::get("/veiculos"),
        Call::get("/veiculos/carro-1"),
        Call::get("/eventos"),
    ];
    let mut rows = Vec::new();
    for call in calls {
        let company = call.clone().token(&token(STRANGER, "empresa-a"));
        rows.extend([
            row("no token", call.clone(), 401, "nao-autenticado", "Authorization"),
            row("an unknown token", call.token("driver-tokem"), 401, "nao-autenticado", "Authorization"),
            row("a company's token", company, 403, "nao-permitido", ""),
        ]);
    }
    bench.refuses(rows).await;
    bench.node().send(post(&good()).token("driver-token")).await.expect(201);
}
