//! What companies of different versions say to each other, and what they leave out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use futures_util::future::join_all;
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use recarga_node::peer::http::{HttpPeer, HttpPeerOptions};
use recarga_node::peer::{Message, Peer as _, Reply};
use recarga_node::tokens::Tokens;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::bodies::{about, session};
use crate::support::http::Call;
use crate::support::stranger::{done, problem};
use crate::support::{Plan, STRANGER, connector, listen, start_one};

/// Sent at the same moment, so that all but the first travel together.
const MESSAGES: u32 = 20;
const HEADER: &str = "Recarga-Versao";

/// A company whose program can be replaced by one of another version.
#[derive(Default)]
struct Company {
    // What its answers say that it reads, if anything.
    says: Mutex<Option<&'static str>>,
    // Whether it is an older program, which refuses the whole of a batch for a field that it does not know.
    is_old: AtomicBool,
    // Every batch, with the number that came with it.
    batches: Mutex<Vec<(String, Value)>>,
    came: Notify,
}

impl Company {
    async fn start() -> (Arc<Self>, HttpPeer<HttpConnector>) {
        let company = Arc::<Self>::default();
        let listener = listen().await;
        let options = HttpPeerOptions {
            operator: STRANGER.parse().unwrap(),
            url: format!("http://{}", listener.local_addr().unwrap()),
            token: Tokens::new(vec!["a-token-of-a-test".into()]),
            answer_max: Duration::from_secs(5),
        };
        let there = company.clone();
        let router = Router::new().fallback(move |request: Request| {
            let there = there.clone();
            async move { there.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        (company, HttpPeer::new(options, connector()))
    }

    // From now on its answers say this, and it understands as much.
    fn becomes(&self, says: Option<&'static str>, is_old: bool) {
        *self.says.lock().unwrap() = says;
        self.is_old.store(is_old, Ordering::Relaxed);
        self.batches.lock().unwrap().clear();
    }

    async fn answer(&self, request: Request) -> Response {
        let said = request.headers().get(HEADER).map_or("", |said| said.to_str().unwrap()).to_owned();
        let is_batch = request.uri().path() == "/lote";
        let body: Value =
            serde_json::from_slice(&to_bytes(request.into_body(), 1 << 20).await.unwrap()).unwrap();
        let (status, answer) = match is_batch {
            false => {
                self.batch_has_come().await;
                done(&body, "confirmada")
            }
            true => {
                self.batches.lock().unwrap().push((said, body.clone()));
                self.came.notify_waiters();
                self.answer_batch(&body)
            }
        };
        let response = Response::builder().status(status);
        let response = match *self.says.lock().unwrap() {
            Some(number) => response.header(HEADER, number),
            None => response,
        };
        response.body(Body::from(answer.to_string())).unwrap()
    }

    // A single message is answered after that, so that the batch is written before the answer is heard.
    async fn batch_has_come(&self) {
        loop {
            let coming = self.came.notified();
            if !self.batches.lock().unwrap().is_empty() {
                return;
            }
            coming.await;
        }
    }

    fn answer_batch(&self, body: &Value) -> (u16, Value) {
        if self.is_old.load(Ordering::Relaxed) && body.get("rastros").is_some() {
            return problem(422, "campo-desconhecido");
        }
        let answers = body["operacoes"].as_array().unwrap().iter().map(|operation| {
            let (status, corpo) = done(&operation["corpo"], "confirmada");
            json!({"status": status, "corpo": corpo})
        });
        (200, json!({"resultados": answers.collect::<Vec<_>>()}))
    }

    // For each batch whether it had traces.
    fn traced(&self) -> Vec<bool> {
        let batches = self.batches.lock().unwrap();
        assert!(!batches.is_empty(), "messages of one moment travel together");
        batches.iter().map(|(_, body)| body.get("rastros").is_some()).collect()
    }
}

// Many messages about trips that are traced; each must be answered.
async fn confirm_many(peer: &HttpPeer<HttpConnector>) {
    let (trace, span) = (TraceId::from(7), SpanId::from(7));
    let sampled = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE);
    let context = Context::new().with_remote_span_context(sampled);
    let sent = (1..=MESSAGES).map(|number| {
        let message = Message::Confirm(session(number).parse().unwrap());
        peer.send(message).with_context(context.clone())
    });
    for reply in join_all(sent).await {
        assert_eq!(reply, Ok(Reply::Done));
    }
}

#[tokio::test]
async fn traces_are_sent_only_to_who_has_just_said_that_it_reads_them() {
    let (company, peer) = Company::start().await;
    // Who has never said anything, has said the first number, or something that is none, is sent nothing new.
    for says in [None, Some("1"), Some("dois"), Some("0")] {
        company.becomes(says, true);
        confirm_many(&peer).await;
        confirm_many(&peer).await;
        assert!(!company.traced().contains(&true), "{says:?}: {:?}", company.traced());
    }
    // Who says the number, or a later one, gets them, with the first batch after its answer at the latest.
    for says in ["2", "3", "4294967295"] {
        company.becomes(Some("1"), true);
        confirm_many(&peer).await;
        company.becomes(Some(says), false);
        confirm_many(&peer).await;
        company.becomes(Some(says), false);
        confirm_many(&peer).await;
        assert!(!company.traced().contains(&false), "{says}: {:?}", company.traced());
        let batches = company.batches.lock().unwrap();
        let (said, first) = &batches[0];
        let traces = first["rastros"].as_array().unwrap();
        assert!(traces.iter().all(Value::is_string) && !traces.is_empty(), "{first}");
        assert_eq!(said, "2", "requests say what this program reads, too");
    }
}

#[tokio::test]
async fn a_company_that_goes_back_to_an_older_program_misses_nothing() {
    let (company, peer) = Company::start().await;
    company.becomes(Some("2"), false);
    confirm_many(&peer).await;
    company.becomes(Some("2"), false);
    confirm_many(&peer).await;
    assert!(company.traced().contains(&true));
    for says in [None, Some("1")] {
        company.becomes(Some("2"), false);
        confirm_many(&peer).await;
        // What it is sent before it has said anything it refuses, and is sent again as it can read it.
        company.becomes(says, true);
        confirm_many(&peer).await;
        assert_eq!(company.traced(), [true, false], "{says:?}");
        company.becomes(says, true);
        confirm_many(&peer).await;
        assert!(!company.traced().contains(&true), "{says:?}: {:?}", company.traced());
    }
    // And forward again.
    company.becomes(Some("2"), false);
    confirm_many(&peer).await;
    confirm_many(&peer).await;
    assert_eq!(company.traced().last(), Some(&true));
}

#[tokio::test]
async fn every_answer_says_what_this_program_reads() {
    let node = start_one(Plan::default()).await;
    let calls = [
        (Call::get("/saude"), 200),
        (Call::get("/nada"), 404),
        (Call::get("/disponibilidade?limite=0"), 422),
        (Call::delete("/saude"), 405),
        (Call::get("/auditoria"), 401),
        (Call::get("/saude").token("nobody-knows-this-token"), 401),
    ];
    for (call, status) in calls {
        let what = call.path.clone();
        let answer = node.send(call).await;
        assert_eq!((answer.status, answer.header(HEADER)), (status, "2"), "{what}");
    }
    // And nobody has to say anything, or could say too much: a later program speaks as this one can read.
    for said in ["", "1", "2", "99", "nonsense"] {
        let abort = Call::delete("/cancelar-reserva").json(&about(1)).header(HEADER, said.as_bytes());
        assert_eq!(node.as_stranger(abort).await.status, 200, "{said:?}");
    }
}
