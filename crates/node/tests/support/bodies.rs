//! Good bodies, and small changes to them.

use std::time::Duration;

use recarga_wire::instant;
use serde_json::{Value, json};

use super::{STRANGER, began};

pub const CCS2: &str = "IEC_62196_T2_COMBO";

/// An instant so many minutes after tomorrow's beginning of the test.
pub fn at(minutes: i64) -> String {
    from_now(24 * 60 + minutes)
}

/// An instant so many minutes after the test's beginning; before it, if negative.
pub fn from_now(minutes: i64) -> String {
    let distance = Duration::from_secs(60 * minutes.unsigned_abs());
    let whole = recarga_reservation::Timestamp::from_millis(began().as_millis() / 1000 * 1000);
    instant::format(if minutes < 0 { whole - distance } else { whole + distance })
}

/// A stop: company, EVSE, and from when until when in minutes.
pub type At<'a> = (&'a str, &'a str, i64, i64);

/// `POST /viagens`.
pub fn trip(request: &str, vehicle: &str, stops: &[At<'_>]) -> Value {
    let stop = |(company, evse, from, to): &At<'_>| json!({"empresa": company, "ponto_id": evse, "janela_inicio": at(*from), "janela_fim": at(*to)});
    json!({
        "requisicao_id": request,
        "veiculo": {"veiculo_id": vehicle, "plugue": CCS2},
        "paradas": stops.iter().map(stop).collect::<Vec<_>>(),
    })
}

/// A session that a company might have made.
pub fn session_of(company: &str, number: u32) -> String {
    format!("{company}.{:032x}.1.{number}.{:032x}", 7, u64::from(number) * 99_991)
}

/// A session of the [`STRANGER`].
pub fn session(number: u32) -> String {
    session_of(STRANGER, number)
}

/// `POST /reserva-temporaria` from the [`STRANGER`], for one window of one EVSE.
pub fn hold(number: u32, evse: &str, from: i64, to: i64) -> Value {
    json!({
        "sessao": session(number),
        "coordenador": STRANGER,
        "requisicao_id": format!("pedido-{number}"),
        "participantes": [STRANGER, "empresa-a", "empresa-b"],
        "depositos": [{"empresa": STRANGER, "deposito": "0000000000000000000000000000000b"}],
        "tipo": "preparada",
        "validade_s": 30,
        "prioridade": from_now(0),
        "veiculo": {"veiculo_id": format!("carro-{number}"), "plugue": CCS2},
        "reservas": [
            {"parada": 0, "ponto_id": evse, "janela_inicio": at(from), "janela_fim": at(to)},
        ],
    })
}

/// `POST /confirmar-reserva` and `DELETE /cancelar-reserva` from the [`STRANGER`].
pub fn about(number: u32) -> Value {
    json!({"sessao": session(number), "coordenador": STRANGER})
}

/// The body with one member or element replaced, added or, with `None`, removed. The path is as in `campo`.
pub fn with(body: &Value, path: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let path = path.replace('[', ".[");
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", &path));
    let mut place = &mut body;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        place = match index(step) {
            Some(index) => &mut place[index],
            None => &mut place[step],
        };
    }
    match (index(last), value) {
        (Some(index), Some(value)) => place[index] = value,
        (None, Some(value)) => place[last] = value,
        (Some(index), None) => drop(place.as_array_mut().expect("a list").remove(index)),
        (None, None) => drop(place.as_object_mut().expect("an object").remove(last).expect("it is there")),
    }
    body
}

fn index(step: &str) -> Option<usize> {
    step.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
