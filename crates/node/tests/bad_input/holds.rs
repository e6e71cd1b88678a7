//! Between companies: `/reserva-temporaria`, `/confirmar-reserva`, `/cancelar-reserva`, `/transacoes`, `/lote`.

use serde_json::{Value, json};

use crate::fields::{CANCEL, CONFIRM, HOLD, all_bad};
use crate::support::bodies::{about, at, from_now, hold, session, session_of, with};
use crate::support::http::Call;
use crate::support::{STRANGER, token};
use crate::{Bench, Row, company, operator, row};

const HOLD_PATH: &str = "/reserva-temporaria";

fn good() -> Value {
    hold(900, "A-1", 0, 60)
}

// A refused hold is a vote, and its session is over: each row has a session of its own.
fn fresh(rows: Vec<(&'static str, Value, u16, &'static str, &'static str)>) -> Vec<Row> {
    let numbered = (1000..).zip(rows);
    let numbered = numbered.map(|(number, (what, mut body, status, tipo, campo))| {
        if body["sessao"] == good()["sessao"] {
            body["sessao"] = json!(session(number));
        }
        row(what, company(Call::post(HOLD_PATH, &body)), status, tipo, campo)
    });
    numbered.collect()
}

fn two_stops(first: (i64, i64), second: (i64, i64)) -> Value {
    let stop = |number: u16, evse: &str, (from, to): (i64, i64)| json!({"parada": number, "ponto_id": evse, "janela_inicio": at(from), "janela_fim": at(to)});
    with(&good(), "reservas", Some(json!([stop(0, "A-1", first), stop(1, "A-2", second)])))
}

fn change(campo: &str, value: Value) -> Value {
    with(&good(), campo, Some(value))
}

fn window(from: String, to: String) -> Value {
    with(&change("reservas[0].janela_inicio", json!(from)), "reservas[0].janela_fim", Some(json!(to)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_a_hold() {
    let bench = Bench::start().await;
    let with_all = with(&good(), "substitui", Some(json!(session(1))));
    let bad = all_bad(&with_all, HOLD).into_iter();
    let call = |body: &Value| company(Call::post(HOLD_PATH, body));
    bench
        .refuses(bad.map(|(what, body, tipo, campo)| row(what, call(&body), 422, tipo, &campo)).collect())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_of_confirm_and_cancel() {
    let bench = Bench::start().await;
    let mut rows = Vec::new();
    for (method, path, fields) in
        [("POST", "/confirmar-reserva", CONFIRM), ("DELETE", "/cancelar-reserva", CANCEL)]
    {
        for (what, body, tipo, campo) in all_bad(&about(1), fields) {
            rows.push(row(what, company(Call::new(method, path).json(&body)), 422, tipo, &campo));
        }
    }
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_hold_asks_for() {
    let many = |count: u16| {
        let stop = |n: u16| {
            let from = i64::from(n) * 60;
            json!({"parada": n, "ponto_id": "A-1", "janela_inicio": at(from), "janela_fim": at(from + 60)})
        };
        change("reservas", (0..count).map(stop).collect())
    };
    let companies: Vec<String> = (0..33).map(|n| format!("empresa-{n}")).collect();
    let start = "reservas[0].janela_inicio";
    let end = "reservas[0].janela_fim";
    let twice = with(&two_stops((0, 60), (60, 120)), "reservas[1].parada", Some(json!(0)));
    let other_session = change("sessao", json!(session_of("empresa-b", 1)));
    let stale = change("substitui", json!(session(4)));
    let bench = Bench::start().await;
    #[rustfmt::skip]
    let rows = fresh(vec![
        ("reversed window", window(at(60), at(0)), 422, "janela-invertida", end),
        ("empty window", window(at(60), at(60)), 422, "janela-invertida", end),
        ("window in the past", window(from_now(-120), from_now(-60)), 422, "janela-no-passado", start),
        ("window of the year 0", window("0000-01-01T00:00:00Z".into(), at(0)), 422, "janela-no-passado", start),
        ("window longer than 12 hours", window(at(0), at(721)), 422, "janela-longa-demais", end),
        ("window until the year 9999", window(at(0), "9999-12-30T00:00:00Z".into()), 422, "janela-longa-demais", end),
        ("window 91 days ahead", window(at(91 * 1440), at(91 * 1440 + 60)), 422, "janela-distante-demais", start),
        ("unknown EVSE", change("reservas[0].ponto_id", json!("A-99")), 422, "ponto-desconhecido", "reservas[0].ponto_id"),
        ("EVSE of another company", change("reservas[0].ponto_id", json!("B-1")), 422, "ponto-desconhecido", "reservas[0].ponto_id"),
        ("EVSE without the plug", change("reservas[0].ponto_id", json!("A-3")), 422, "plugue-incompativel", "reservas[0].ponto_id"),
        ("plug that no EVSE has", change("veiculo.plugue", json!("CHADEMO")), 422, "plugue-incompativel", "reservas[0].ponto_id"),
        ("no stops", change("reservas", json!([])), 422, "paradas-demais", "reservas"),
        ("17 stops", many(17), 422, "paradas-demais", "reservas"),
        ("two stops at the same time", two_stops((0, 60), (59, 120)), 422, "paradas-sobrepostas", "reservas[1].janela_inicio"),
        ("a stop twice", twice, 422, "campo-invalido", "reservas[1].parada"),
        ("no companies", change("participantes", json!([])), 422, "campo-invalido", "participantes"),
        ("33 companies", change("participantes", json!(companies)), 422, "campo-invalido", "participantes"),
        ("another coordinator than the session's", change("coordenador", json!("empresa-b")), 422, "campo-invalido", "coordenador"),
        ("a session of another company", with(&other_session, "coordenador", Some(json!("empresa-b"))), 403, "nao-permitido", ""),
        ("replaces what is not here", stale, 409, "reserva-desatualizada", "substitui"),
    ]);
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_out_of_order() {
    let bench = Bench::start().await;
    let node = bench.node();
    node.as_stranger(Call::post(HOLD_PATH, &hold(1, "A-1", 0, 60))).await.expect(201);
    node.as_stranger(Call::post("/confirmar-reserva", &about(1))).await.expect(200);
    node.as_stranger(Call::delete("/cancelar-reserva").json(&about(2))).await.expect(200);
    let post = |path: &str, body: &Value| company(Call::post(path, body));
    let cancel = |body: &Value| company(Call::delete("/cancelar-reserva").json(body));
    let reason = |number: u32, reason: &str| with(&about(number), "motivo", Some(json!(reason)));
    let same_request = with(&hold(3, "A-2", 0, 60), "requisicao_id", Some(json!("pedido-1")));
    let same_request = with(&same_request, "veiculo.veiculo_id", Some(json!("carro-1")));
    #[rustfmt::skip]
    let rows = vec![
        row("the same session, another window", post(HOLD_PATH, &hold(1, "A-1", 0, 61)), 409, "sessao-divergente", "sessao"),
        row("the same session, another car", post(HOLD_PATH, &with(&hold(1, "A-1", 0, 60), "veiculo.veiculo_id", Some(json!("z")))), 409, "sessao-divergente", "sessao"),
        row("a window that is reserved", post(HOLD_PATH, &hold(4, "A-1", 30, 90)), 409, "ponto-reservado", "reservas[0].janela_inicio"),
        row("the same request again", post(HOLD_PATH, &same_request), 409, "ponto-retido", ""),
        row("a session that is over", post(HOLD_PATH, &hold(2, "A-2", 0, 60)), 409, "sessao-encerrada", "sessao"),
        row("confirm of what was never prepared", post("/confirmar-reserva", &about(5)), 409, "sessao-desconhecida", ""),
        row("confirm of what was cancelled", post("/confirmar-reserva", &about(2)), 409, "sessao-desconhecida", ""),
        row("abort of what is confirmed", cancel(&about(1)), 409, "sessao-confirmada", ""),
        row("release of what was aborted", cancel(&reason(2, "viagem-cancelada")), 409, "sessao-desconhecida", ""),
        row("confirm for another company", post("/confirmar-reserva", &json!({"sessao": session_of("empresa-b", 1)})), 403, "nao-permitido", ""),
        row("cancel for another company", cancel(&json!({"sessao": session_of("empresa-b", 1)})), 403, "nao-permitido", ""),
        row("a question about this company's own session that it never made",
            company(Call::get(&format!("/transacoes/{}", session_of("empresa-a", 1)))), 403, "nao-permitido", ""),
        row("a stranger's question about a session of others", Call::get(&format!("/transacoes/{}", session(1)))
            .token(&token("empresa-c", "empresa-a")), 401, "nao-autenticado", "Authorization"),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_by_parameters() {
    let bench = Bench::start().await;
    let cancel = |query: &str| company(Call::delete(&format!("/cancelar-reserva{query}")));
    let sessao = session(1);
    #[rustfmt::skip]
    let rows = vec![
        row("neither body nor parameters", cancel(""), 400, "corpo-invalido", ""),
        row("no session", cancel("?motivo=aborto"), 422, "campo-ausente", "sessao"),
        row("an empty session", cancel("?sessao="), 422, "campo-invalido", "sessao"),
        row("no session but a word", cancel("?sessao=%FF%00"), 422, "campo-invalido", "sessao"),
        row("an unknown parameter", cancel(&format!("?sessao={sessao}&x=1")), 422, "campo-desconhecido", "x"),
        row("the session twice", cancel(&format!("?sessao={sessao}&sessao={sessao}")), 422, "campo-invalido", "sessao"),
        row("an unknown reason", cancel(&format!("?sessao={sessao}&motivo=tanto-faz")), 422, "campo-invalido", "motivo"),
        row("another coordinator", cancel(&format!("?sessao={sessao}&coordenador=empresa-b")), 422, "campo-invalido", "coordenador"),
        row("one session in the parameters, another in the body",
            cancel(&format!("?sessao={}", session(2))).json(&about(1)), 422, "campo-invalido", "sessao"),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_companies_may_speak_for_sessions() {
    let bench = Bench::start_with(|_| crate::Plan {
        operator: "driver_tokens = [\"driver-token\"]".to_owned(),
        ..crate::Plan::default()
    })
    .await;
    let inquiry = format!("/transacoes/{}", session(1));
    let calls = [
        Call::post(HOLD_PATH, &good()),
        Call::post("/confirmar-reserva", &about(1)),
        Call::delete("/cancelar-reserva").json(&about(1)),
        Call::get(&inquiry),
        Call::post("/lote", &json!({"operacoes": []})),
    ];
    let unknown = "Authorization";
    let mut rows = Vec::new();
    for call in calls {
        let with_header = |value: &[u8]| call.clone().header("authorization", value);
        #[rustfmt::skip]
        rows.extend([
            row("no token", call.clone(), 401, "nao-autenticado", unknown),
            row("an unknown token", call.clone().token("token-nobody"), 401, "nao-autenticado", unknown),
            row("an empty token", with_header(b"Bearer "), 401, "nao-autenticado", unknown),
            row("a token in capital letters", call.clone().token("TOKEN-EMPRESA-X-EMPRESA-A"), 401, "nao-autenticado", unknown),
            row("the token in the other direction", call.clone().token(&token("empresa-a", STRANGER)), 401, "nao-autenticado", unknown),
            row("another scheme", with_header(b"Basic dG9rZW4="), 401, "nao-autenticado", unknown),
            row("bytes that are no text", with_header(b"Bearer \xff\xfe"), 401, "nao-autenticado", unknown),
            row("an operator's token", operator(call.clone()), 403, "nao-permitido", ""),
            row("a driver's token", call.clone().token("driver-token"), 403, "nao-permitido", ""),
        ]);
    }
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches() {
    let bench = Bench::start().await;
    let batch = |operations: Value| company(Call::post("/lote", &json!({"operacoes": operations})));
    let one = json!({"operacao": "consultar-transacao", "corpo": {"sessao": session(1)}});
    let bytes = |body: Vec<u8>| company(Call::new("POST", "/lote").bytes(body));
    let deep = [b"{\"operacoes\":[{\"operacao\":\"x\",\"corpo\":".to_vec(), b"[".repeat(50_000)].concat();
    #[rustfmt::skip]
    let rows = vec![
        row("empty", batch(json!([])), 422, "campo-invalido", "operacoes"),
        row("257 operations", batch(json!(vec![one.clone(); 257])), 422, "campo-invalido", "operacoes"),
        row("no list", batch(json!(one)), 422, "campo-invalido", "operacoes"),
        row("missing", company(Call::post("/lote", &json!({}))), 422, "campo-ausente", "operacoes"),
        row("an unknown field", company(Call::post("/lote", &json!({"operacoes": [], "x": 1}))), 422, "campo-desconhecido", "x"),
        row("no operation but a text", batch(json!([one, "x"])), 422, "campo-invalido", "operacoes[1]"),
        row("an operation without a name", batch(json!([one, {"corpo": {}}])), 422, "campo-ausente", "operacoes[1].operacao"),
        row("an operation without a body", batch(json!([{"operacao": "consultar-transacao"}])), 422, "campo-ausente", "operacoes[0].corpo"),
        row("an operation with more", batch(json!([{"operacao": "x", "corpo": {}, "x": 1}])), 422, "campo-desconhecido", "operacoes[0].x"),
        row("an operation's name is a number", batch(json!([{"operacao": 1, "corpo": {}}])), 422, "campo-invalido", "operacoes[0].operacao"),
        row("a mebibyte and one byte", bytes(vec![b' '; 1024 * 1024 + 1]), 413, "corpo-grande-demais", ""),
        row("deeply nested", bytes(deep), 400, "corpo-invalido", ""),
        row("no JSON", bytes(b"operacoes".to_vec()), 400, "corpo-invalido", ""),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_operation_among_good_ones_is_one_problem() {
    let bench = Bench::start().await;
    let reversed = window(at(60), at(0));
    let operations = json!([
        {"operacao": "reserva-temporaria", "corpo": hold(1, "A-1", 0, 60)},
        {"operacao": "reserva-temporaria", "corpo": reversed},
        {"operacao": "reservar", "corpo": {}},
        {"operacao": "confirmar-reserva", "corpo": []},
        {"operacao": "consultar-transacao", "corpo": {"sessao": 1}},
        {"operacao": "cancelar-reserva", "corpo": about(2)},
        {"operacao": "confirmar-reserva", "corpo": about(3)},
    ]);
    let answer = bench.node().as_stranger(Call::post("/lote", &json!({"operacoes": operations}))).await;
    let results = answer.expect(200)["resultados"].as_array().unwrap().clone();
    let expected = [
        (201, "", ""),
        (422, "janela-invertida", "reservas[0].janela_fim"),
        (422, "campo-invalido", "operacao"),
        (400, "corpo-invalido", ""),
        (422, "campo-invalido", "sessao"),
        (200, "", ""),
        (409, "sessao-desconhecida", ""),
    ];
    assert_eq!(results.len(), expected.len());
    for (index, (result, (status, tipo, campo))) in results.iter().zip(expected).enumerate() {
        let what = format!("operation {index}");
        assert_eq!(result["status"], status, "{what}: {result}");
        if status >= 400 {
            let problem = &result["corpo"];
            crate::check_problem(problem).unwrap();
            assert_eq!(problem["tipo"], tipo, "{what}: {problem}");
            assert_eq!(problem["campo"].as_str().unwrap_or(""), campo, "{what}: {problem}");
        }
    }
    assert_eq!(bench.node().branch(&session(1)).await.as_deref(), Some("preparada"));
}
