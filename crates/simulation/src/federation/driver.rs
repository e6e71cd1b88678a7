//! A driver: asks for trips, insists until answered, cancels and changes some of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use recarga_reservation::Timestamp;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::federation::clock::{BEGINNING, between};
use crate::federation::history::{History, Told};
use crate::federation::network::{Connector, PORT, client};
use crate::federation::settings::Settings;

const HOUR: Duration = Duration::from_secs(3600);
/// How long a driver waits for an answer: longer than a node takes to say that it is not decided yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers after which the same request is sent again.
const NOT_FINAL: [&str; 6] = [
    "em-andamento",
    "indisponivel",
    "erro-interno",
    "tempo-esgotado",
    "viagem-em-alteracao",
    "muitas-requisicoes",
];

/// One driver with one car.
pub struct Driver {
    car: String,
    settings: Arc<Settings>,
    history: History,
    /// Whether it is late: no new trips.
    closing: Arc<AtomicBool>,
    rng: Rng,
    client: Client<Connector, Full<Bytes>>,
}

// A trip that was confirmed: the request that it answers, its name, and who coordinates it.
struct Booked {
    request: String,
    trip: String,
    coordinator: usize,
}

enum Answer {
    // Sent, and nothing is known of what it did.
    Unknown,
    // Another company coordinates the request.
    Elsewhere(usize),
    Final { status: u16, body: Value },
}

impl Driver {
    /// The driver of a number.
    pub fn new(number: usize, settings: Arc<Settings>, history: History, closing: Arc<AtomicBool>) -> Self {
        Self {
            car: format!("carro-{number}"),
            rng: Rng::with_seed(settings.seed ^ ((number as u64 + 1) << 20)),
            client: client(),
            settings,
            history,
            closing,
        }
    }

    /// Asks for all its trips, one after the other.
    pub async fn drive(mut self) {
        for number in 0..self.settings.trips {
            sleep(between(&mut self.rng, 0, 800)).await;
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            let id = format!("{}-{number}", self.car);
            let Some(booked) = self.book(&id).await else { continue };
            sleep(between(&mut self.rng, 0, 600)).await;
            match self.rng.u8(0..10) {
                0..3 => self.cancel(booked).await,
                3..5 => self.change_often(booked).await,
                _ => {}
            }
        }
    }

    async fn book(&mut self, id: &str) -> Option<Booked> {
        let body = self.wish(id);
        let mut company = self.rng.usize(0..self.settings.companies);
        loop {
            self.history.request(id, |request| request.sent += 1);
            match self.send(Method::POST, company, "/viagens", Some(&body)).await {
                Answer::Final { status: 200 | 201, body } => return self.booked(id, company, &body),
                Answer::Final { body, .. } => {
                    let kind = body["tipo"].as_str().unwrap_or_default();
                    self.history.told(id, Told::Refused(kind.to_owned()));
                    return None;
                }
                Answer::Elsewhere(other) => {
                    company = other;
                    sleep(between(&mut self.rng, 50, 700)).await;
                    continue;
                }
                Answer::Unknown => sleep(between(&mut self.rng, 50, 700)).await,
            }
            if self.rng.u8(0..6) == 0 {
                company = self.rng.usize(0..self.settings.companies);
            }
        }
    }

    fn booked(&self, id: &str, coordinator: usize, answer: &Value) -> Option<Booked> {
        let trip = answer["viagem_id"].as_str().unwrap_or_default().to_owned();
        let state = answer["estado"].as_str().unwrap_or_default();
        if state != "confirmada" {
            self.history.violated(format!("{id} is answered with success and the state `{state}`"));
            return None;
        }
        self.history.told(id, Told::Confirmed(trip.clone()));
        Some(Booked { request: id.to_owned(), trip, coordinator })
    }

    async fn cancel(&mut self, booked: Booked) {
        let path = format!("/viagens/{}", booked.trip);
        self.history.request(&booked.request, |request| request.meddled = true);
        loop {
            match self.send(Method::DELETE, booked.coordinator, &path, None).await {
                Answer::Final { status: 200, body } if body["estado"] == "cancelada" => {
                    self.history.note(format_args!("{} is told that it is cancelled", booked.request));
                    return self.history.request(&booked.request, |request| request.cancelled = true);
                }
                Answer::Final { status, body } => {
                    let what = format!("{} cannot be cancelled: {status} {body}", booked.request);
                    return self.history.violated(what);
                }
                Answer::Unknown | Answer::Elsewhere(_) => sleep(between(&mut self.rng, 50, 700)).await,
            }
        }
    }

    async fn change_often(&mut self, booked: Booked) {
        let mut current = Some(booked);
        for _ in 0..self.rng.u8(1..=3) {
            let Some(booked) = current.take() else { return };
            current = self.change(booked).await;
            sleep(between(&mut self.rng, 0, 600)).await;
        }
    }

    // The trip as it is now, unless the change was refused.
    async fn change(&mut self, booked: Booked) -> Option<Booked> {
        let (path, id) = (format!("/viagens/{}", booked.trip), format!("{}-nova", booked.request));
        let body = self.wish(&id);
        self.history.request(&booked.request, |request| request.meddled = true);
        loop {
            self.history.request(&id, |request| request.sent += 1);
            match self.send(Method::PUT, booked.coordinator, &path, Some(&body)).await {
                Answer::Final { status: 200, body } => {
                    let changed = self.booked(&id, booked.coordinator, &body)?;
                    self.history.request(&booked.request, |request| request.changed_by = Some(id.clone()));
                    return Some(changed);
                }
                Answer::Final { status: 404, .. } => {
                    self.history.violated(format!("{} is not known any more", booked.request));
                    return None;
                }
                Answer::Final { body, .. } => {
                    let kind = body["tipo"].as_str().unwrap_or_default().to_owned();
                    self.history.told(&id, Told::Refused(kind));
                    return None;
                }
                Answer::Unknown | Answer::Elsewhere(_) => sleep(between(&mut self.rng, 50, 700)).await,
            }
        }
    }

    // Stops at a few companies, each in one of few windows, one after the other.
    fn wish(&mut self, id: &str) -> Value {
        let rng = &mut self.rng;
        let mut companies: Vec<usize> = (0..self.settings.companies).collect();
        rng.shuffle(&mut companies);
        companies.truncate(rng.usize(1..=4));
        let stops = companies.into_iter().enumerate().map(|(place, company)| {
            let slot = u32::try_from(rng.i64(0..self.settings.slots)).unwrap_or_default();
            // Far enough ahead that no jump of a clock brings it into the past.
            let hours = 48 + 24 * u32::try_from(place).unwrap_or_default() + slot;
            let start = BEGINNING + HOUR * hours;
            let evse = Settings::evse(company, rng.usize(0..self.settings.evses));
            json!({"empresa": Settings::name(company), "ponto_id": evse,
                "janela_inicio": instant(start), "janela_fim": instant(start + HOUR)})
        });
        let stops: Vec<Value> = stops.collect();
        json!({"requisicao_id": id, "veiculo": {"veiculo_id": self.car}, "paradas": stops})
    }

    async fn send(&mut self, method: Method, company: usize, path: &str, body: Option<&Value>) -> Answer {
        let hangs_up = self.settings.hang_ups && self.rng.u8(0..8) == 0;
        let patience = if hangs_up { between(&mut self.rng, 2, 60) } else { PATIENCE };
        let uri = format!("http://{}:{PORT}{path}", Settings::name(company));
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)));
        let Ok(request) = request else { return Answer::Unknown };
        self.history.note(format_args!("{} asks {}: {path}", self.car, Settings::name(company)));
        let answered = timeout(patience, async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice::<Value>(&body).ok()?))
        });
        let answered = answered.await;
        if let Ok(Some((status, body))) = &answered {
            self.history.note(format_args!("{} is answered {status} {}", self.car, body["tipo"]));
        }
        match answered {
            Ok(Some((_, body))) if NOT_FINAL.iter().any(|kind| body["tipo"] == *kind) => Answer::Unknown,
            Ok(Some((_, body))) if body["tipo"] == "requisicao-em-outra-empresa" => {
                let named = (0..self.settings.companies).find(|&one| body["empresa"] == Settings::name(one));
                named.map_or(Answer::Unknown, Answer::Elsewhere)
            }
            Ok(Some((status, body))) => Answer::Final { status, body },
            Ok(None) | Err(_) => {
                self.history.note(format_args!("{} has no answer", self.car));
                Answer::Unknown
            }
        }
    }
}

fn instant(at: Timestamp) -> String {
    recarga_wire::instant::format(at)
}
