//! A company that answers as the test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::{STRANGER, eventually};

/// What it answers to a call by method and path, such as `POST /reserva-temporaria`, and a body.
pub type Script = dyn Fn(&str, &Value) -> (u16, Value) + Send + Sync;

/// The company's server.
pub struct Stranger {
    /// `http://127.0.0.1:port`.
    pub url: String,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Stranger {
    /// Starts to listen.
    pub async fn start(script: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let listener = super::listen().await;
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let heard: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (remembered, script): (_, Arc<Script>) = (heard.clone(), Arc::new(script));
        let answer = move |request: Request| {
            let (heard, script) = (remembered.clone(), script.clone());
            async move {
                let call = format!("{} {}", request.method(), request.uri().path());
                let body = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                let (status, body) = play(&*script, &heard, call, body);
                let status = StatusCode::from_u16(status).expect("a status");
                Response::builder().status(status).body(Body::from(body.to_string())).expect("a response")
            }
        };
        let router = Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, heard }
    }

    /// How often it was called so.
    pub fn heard(&self, call: &str) -> usize {
        let heard = self.heard.lock().expect("nobody panics with it");
        heard.iter().filter(|(one, _)| one.starts_with(call)).count()
    }

    /// Waits until it has been called so, and returns the body.
    pub async fn until_heard(&self, call: &str) -> Value {
        eventually(call, || async {
            let heard = self.heard.lock().expect("nobody panics with it");
            heard.iter().find(|(one, _)| one.starts_with(call)).map(|(_, body)| body.clone())
        })
        .await
    }
}

fn play(script: &Script, heard: &Mutex<Vec<(String, Value)>>, call: String, body: Value) -> (u16, Value) {
    if call == "POST /lote" {
        let operations = body["operacoes"].as_array().expect("a batch").iter();
        let results: Vec<Value> = operations
            .map(|operation| {
                let call = match operation["operacao"].as_str().expect("a name") {
                    "reserva-temporaria" => "POST /reserva-temporaria".to_owned(),
                    "confirmar-reserva" => "POST /confirmar-reserva".to_owned(),
                    "cancelar-reserva" => "DELETE /cancelar-reserva".to_owned(),
                    _ => format!("GET /transacoes/{}", operation["corpo"]["sessao"].as_str().expect("one")),
                };
                let (status, corpo) = play(script, heard, call, operation["corpo"].clone());
                json!({"status": status, "corpo": corpo})
            })
            .collect();
        return (200, json!({"resultados": results}));
    }
    let answer = script(&call, &body);
    heard.lock().expect("nobody panics with it").push((call, body));
    answer
}

/// A vote yes to a request to hold.
pub fn yes(body: &Value) -> (u16, Value) {
    let answer = json!({
        "sessao": body["sessao"], "voto": "sim", "empresa": STRANGER, "deposito": format!("{:032x}", 7),
        "expira_em": super::bodies::at(0), "reservas": [],
    });
    (201, answer)
}

/// Confirmed or cancelled.
pub fn done(body: &Value, state: &str) -> (u16, Value) {
    (200, json!({"sessao": body["sessao"], "estado": state, "empresa": STRANGER}))
}

/// The answer to a question about a session, from a database.
pub fn outcome(call: &str, state: &str, store: u128) -> (u16, Value) {
    let session = call.rsplit('/').next().expect("a path");
    let deposito = format!("{store:032x}");
    (200, json!({"sessao": session, "estado": state, "empresa": STRANGER, "deposito": deposito}))
}

/// A refusal.
pub fn problem(status: u16, tipo: &str) -> (u16, Value) {
    (status, json!({"tipo": tipo, "status": status, "title": "Teste", "detail": "Teste"}))
}
