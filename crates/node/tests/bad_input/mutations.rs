//! Good requests, spoilt at random: whatever comes out, the node answers in time, never with a 5xx, and a refusal is
//! always a problem document. A failure prints its seed.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::Bench;
use crate::support::bodies::{about, hold, trip, with};
use crate::support::http::Call;
use crate::support::{STRANGER, token};

const ROUNDS: u64 = 2500;
/// Slowest answer; wait-die waits 20 ms, and the machine may be busy.
const SLOWEST: Duration = Duration::from_secs(5);

// Any of the calls that carry a body or change something.
fn good(rng: &mut Rng) -> Call {
    let number = rng.u32(0..40);
    let from = i64::from(rng.u32(0..30)) * 30;
    let (car, request) = (format!("carro-{number}"), format!("pedido-{}", rng.u32(0..200)));
    let evse = *rng.choice(&["A-1", "A-2", "A-4"]).unwrap();
    let stops = [("empresa-a", evse, from, from + 30), ("empresa-b", "B-1", from + 30, from + 60)];
    let trip = trip(&request, &car, &stops[..rng.usize(1..3)]);
    let hold = hold(number, evse, from, from + 30);
    let hold = with(&hold, "tipo", Some(json!(rng.choice(["preparada", "provisoria"]).unwrap())));
    let operations = json!({"operacoes": [
        {"operacao": "reserva-temporaria", "corpo": hold},
        {"operacao": "confirmar-reserva", "corpo": about(number)},
        {"operacao": "consultar-transacao", "corpo": {"sessao": about(number)["sessao"]}},
        {"operacao": "cancelar-reserva", "corpo": about(number)},
    ]});
    let viagem = format!("/viagens/{:032x}", rng.u128(..));
    let session = about(number)["sessao"].as_str().unwrap().to_owned();
    let company = token(STRANGER, "empresa-a");
    match rng.u8(0..9) {
        0 | 1 => Call::post("/viagens", &trip),
        2 => Call::put(&viagem, &trip),
        3 => Call::delete(&viagem),
        4 => Call::post("/reserva-temporaria", &hold).token(&company),
        5 => Call::post("/confirmar-reserva", &about(number)).token(&company),
        6 => Call::delete("/cancelar-reserva").json(&about(number)).token(&company),
        7 => Call::delete(&format!("/cancelar-reserva?sessao={session}")).token(&company),
        _ => Call::post("/lote", &operations).token(&company),
    }
}

fn spoil(rng: &mut Rng, mut call: Call) -> Call {
    for _ in 0..rng.u32(1..4) {
        match rng.u8(0..10) {
            0..4 => call.body = spoil_value(rng, &call.body),
            4..7 => spoil_bytes(rng, &mut call.body),
            7 => call.body.truncate(rng.usize(0..=call.body.len())),
            8 => call.path = spoil_path(rng, &call.path),
            _ => call = spoil_header(rng, call),
        }
    }
    call
}

fn spoil_bytes(rng: &mut Rng, body: &mut Vec<u8>) {
    if body.is_empty() {
        return body.extend((0..rng.usize(0..20)).map(|_| rng.u8(..)));
    }
    let place = rng.usize(0..body.len());
    match rng.u8(0..4) {
        0 => body[place] ^= 1 << rng.u8(0..8),
        1 => body[place] = rng.u8(..),
        2 => body.insert(place, *rng.choice(b"{}[]\",:0-eE.\\\0\xff").unwrap()),
        _ => {
            let end = rng.usize(place..=body.len());
            let piece = body[place..end].to_vec();
            body.splice(place..place, piece);
        }
    }
}

// Another value in the place of one of the values, at any depth.
fn spoil_value(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    replace_one(rng, &mut value);
    value.to_string().into_bytes()
}

fn replace_one(rng: &mut Rng, value: &mut Value) {
    let deeper = rng.u8(0..4) > 0;
    match value {
        Value::Object(object) if deeper && !object.is_empty() => {
            let key = object.keys().nth(rng.usize(0..object.len())).unwrap().clone();
            if rng.u8(0..8) == 0 {
                object.remove(&key);
            } else {
                replace_one(rng, &mut object[&key]);
            }
        }
        Value::Array(list) if deeper && !list.is_empty() => {
            let index = rng.usize(0..list.len());
            replace_one(rng, &mut list[index]);
        }
        _ => *value = another(rng, value.take()),
    }
}

fn another(rng: &mut Rng, value: Value) -> Value {
    match rng.u8(0..12) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(rng.i64(..)),
        3 => json!(rng.f64() * 1e300),
        4 => json!(""),
        5 => json!("\u{0}\u{fffd}🚗".repeat(rng.usize(0..30))),
        6 => json!([]),
        7 => json!({}),
        8 => json!([value]),
        9 => json!({"a": value}),
        10 => json!("9999-12-31T23:59:59Z"),
        _ => json!("0000-01-01T00:00:00-25:59"),
    }
}

fn spoil_path(rng: &mut Rng, path: &str) -> String {
    let pieces = ["%00", "%FF", "%2F", "?", "&", "=", "..", "%", "a", "/", "+", "%C3%A9"];
    let mut path = path.to_owned();
    for _ in 0..rng.usize(1..4) {
        path.insert_str(rng.usize(1..=path.len()), rng.choice(pieces).unwrap());
    }
    path
}

fn spoil_header(rng: &mut Rng, call: Call) -> Call {
    let bytes: Vec<u8> = (0..rng.usize(0..12)).map(|_| rng.u8(0x20..0x7f)).collect();
    let name = rng.choice(["content-type", "authorization", "idempotency-key", "if-none-match", "accept"]);
    call.header(name.unwrap(), &bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoilt_requests_are_refused_in_time() {
    let bench = Bench::start().await;
    let mut refused = 0;
    for seed in 0..ROUNDS {
        let mut rng = Rng::with_seed(seed);
        let call = good(&mut rng);
        let call = spoil(&mut rng, call);
        let what =
            format!("seed {seed}: {} {} {:?}", call.method, call.path, String::from_utf8_lossy(&call.body));
        let (answer, took) = crate::support::timed(bench.node().send(call)).await;
        assert!(answer.status < 500, "{what}: {}", answer.text());
        assert!(took < SLOWEST, "{what}: {took:?}");
        if answer.status >= 400 {
            refused += 1;
            let checked = bench.check_answer(&answer).await;
            assert!(checked.is_ok(), "{what}: {checked:?}: {}", answer.text());
        }
    }
    assert!(refused > ROUNDS / 3 && refused < ROUNDS, "{refused}: neither all good nor all bad");
    // What it holds still makes sense: every trip is all or nothing, and the node goes on.
    bench.node().get("/saude").await;
    whole(&bench).await;
}

// Every stop of every trip that this company committed is confirmed by its company, and nothing else is.
async fn whole(bench: &Bench) {
    let owing = || async { (bench.node().figure("recarga_trips_owing").await == 0).then_some(()) };
    crate::support::eventually("every trip is settled", owing).await;
    let (_, trips) = bench.node().audit().await;
    assert!(!trips.is_empty(), "some requests stayed good");
    for node in &bench.nodes {
        let (branches, _) = node.audit().await;
        for trip in &trips {
            let stops = trip["paradas"].as_array().unwrap();
            let here = stops.iter().filter(|stop| stop["empresa"] == node.name.as_str()).count();
            let branch = branches.iter().find(|branch| branch["sessao"] == trip["sessao"]);
            let held = branch.map_or(0, |branch| branch["reservas"].as_array().unwrap().len());
            assert_eq!(held, here, "{}: {trip}", node.name);
            let confirmed = branch.is_none_or(|branch| branch["estado"] == "confirmada");
            assert!(confirmed || trip["estado"] != "confirmada", "{}: {trip}", node.name);
        }
    }
}
