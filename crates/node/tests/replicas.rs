//! What replicas of a company say to one another, and what nobody else can say to them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use hyper_util::client::legacy::connect::HttpConnector;
use recarga_node::replicas::{Desk, Front, FrontLimits, Letter, PassedOn};
use recarga_node::server::Certified;
use recarga_node::store::postgres::Leader;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

const SECRET: &str = "of-this-leader";
const STRANGER: &str = "203.0.113.7:4711";

fn front(answer_millis: u64) -> Arc<Front<HttpConnector>> {
    let (answer_max, finish_max) = (Duration::from_millis(answer_millis), Duration::from_secs(5));
    Front::new(HttpConnector::new(), FrontLimits { body_max: 1024, answer_max, finish_max })
}

// As the server hands it over.
fn asked(path: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let mut request = Request::post(path).body(Body::from(body.to_owned())).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    request.extensions_mut().insert(ConnectInfo::<SocketAddr>(STRANGER.parse().unwrap()));
    request.extensions_mut().insert(Certified(Some(Arc::from(&b"a certificate"[..]))));
    request
}

async fn answer(router: Router, request: Request) -> (StatusCode, String) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    (status, String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap())
}

// Says who asked, and what.
async fn echo(request: Request) -> String {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap().0;
    let certificate = request.extensions().get::<Certified>().unwrap().0.clone().unwrap_or_default();
    let certificate = String::from_utf8(certificate.to_vec()).unwrap();
    let ours = request.headers().keys().filter(|name| name.as_str().starts_with("recarga-replica")).count();
    let path = request.uri().to_string();
    let body = to_bytes(request.into_body(), 10_000).await.unwrap();
    format!("{address} {certificate} {ours} {path} {}", String::from_utf8_lossy(&body))
}

// A replica that leads, where others reach it.
async fn leader(letters: mpsc::Sender<PassedOn>) -> (Arc<Front<HttpConnector>>, Leader) {
    let (front, listener) = (front(1000), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = front.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    let desk = Desk { router: Router::new().fallback(echo), letters, secret: SECRET.into() };
    let leading = front.clone();
    tokio::spawn(async move { leading.lead(desk, std::future::pending()).await });
    tokio::task::yield_now().await;
    (front, Leader { url, secret: SECRET.to_owned() })
}

fn letter() -> Letter {
    let (response_topic, correlation) = (Some("veiculo/c/outra".to_owned()), Some(vec![0, 255]));
    Letter {
        topic: "veiculo/c/requisicao".to_owned(),
        payload: b"\xff{}".to_vec(),
        response_topic,
        correlation,
        trace: None,
    }
}

#[tokio::test]
async fn what_is_passed_on_comes_from_whom_it_came_and_what_a_stranger_claims_is_thrown_away() {
    let (letters, _taken) = mpsc::channel(1);
    let (leading, leader) = leader(letters).await;
    let follower = front(1000);
    follower.follow(leader);
    let lies = [("recarga-replica-address", "127.0.0.1:1"), ("recarga-replica-certificate", "6d65")];
    let expected = format!("{STRANGER} a certificate 0 /viagens?a=b {{}}");
    for front in [&leading, &follower] {
        let told = answer(front.router(), asked("/viagens?a=b", &lies, "{}")).await;
        assert_eq!(told, (StatusCode::OK, expected.clone()), "whoever asks has no say in who he is");
        let door = answer(front.router(), asked("/replica/pedido", &lies, "{}")).await;
        assert_eq!(door.0, StatusCode::NOT_FOUND, "letters come from replicas");
        for secret in ["", "another", "of-this-leader-"] {
            let guess = [("recarga-replica", secret), ("recarga-replica-address", "127.0.0.1:1")];
            for path in ["/viagens", "/replica/pedido"] {
                let told = answer(front.router(), asked(path, &guess, "{}")).await;
                assert_eq!(told, (StatusCode::MISDIRECTED_REQUEST, String::new()), "{path}");
            }
        }
    }
    // With the secret it must say who.
    for named in [&[][..], &[("recarga-replica-address", "nowhere")], &lies[1..]] {
        let headers = [&[("recarga-replica", SECRET)], named].concat();
        assert_eq!(
            answer(leading.router(), asked("/viagens", &headers, "")).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    let long = "x".repeat(1025);
    let (status, problem) = answer(follower.router(), asked("/viagens", &[], &long)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
}

#[tokio::test]
async fn a_letter_is_handed_over_when_it_is_safe_and_not_before() {
    let (letters, mut taken) = mpsc::channel::<PassedOn>(1);
    let (_leading, leader) = leader(letters).await;
    let follower = front(3000);
    follower.follow(leader);
    let handing = tokio::spawn(async move { follower.hand_over(&letter()).await });
    let (first, dropped) = taken.recv().await.unwrap();
    assert_eq!(first, letter(), "bytes that are no text, too");
    // The leader could not record it: it is passed on once more.
    drop(dropped);
    let (again, safe) = taken.recv().await.unwrap();
    assert_eq!(again, letter());
    assert!(!handing.is_finished());
    safe.send(()).unwrap();
    assert!(handing.await.unwrap());
    assert!(!front(50).hand_over(&letter()).await, "nobody leads");
}

#[tokio::test]
async fn a_request_that_met_a_leaders_end_goes_to_the_next_one() {
    let (letters, _taken) = mpsc::channel(1);
    let (_leading, next) = leader(letters).await;
    let follower = front(5000);
    // It takes the connection and says nothing, as one that stands still.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    follower.follow(Leader { url, secret: SECRET.to_owned() });
    let router = follower.router();
    let asking = tokio::spawn(async move { answer(router, asked("/viagens", &[], "{}")).await });
    let _connection = silent.accept().await.unwrap();
    follower.follow(next.clone());
    assert_eq!(asking.await.unwrap().0, StatusCode::OK);
    // One that is gone, and one that leads no longer, are tried until there is another.
    for (url, secret) in [("http://127.0.0.1:9", SECRET), (next.url.as_str(), "of-the-one-before")] {
        follower.follow(Leader { url: url.to_owned(), secret: secret.to_owned() });
        let router = follower.router();
        let asking = tokio::spawn(async move { answer(router, asked("/viagens", &[], "{}")).await });
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(!asking.is_finished());
        follower.follow(next.clone());
        assert_eq!(asking.await.unwrap().0, StatusCode::OK, "{url}");
    }
    let (status, problem) = answer(front(50).router(), asked("/viagens", &[], "{}")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.contains("indisponivel") && problem.contains("nenhuma réplica"), "{problem}");
}

#[tokio::test]
async fn a_leader_that_stops_answers_what_it_has_begun_and_leaves_the_rest_to_the_next() {
    let front = front(3000);
    let (begun, mut has_begun) = mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
    let slow = Router::new().fallback(move |_: HeaderMap| {
        let begun = begun.clone();
        async move {
            let (go, gone) = tokio::sync::oneshot::channel();
            begun.send(go).await.unwrap();
            gone.await.unwrap();
            "done".into_response()
        }
    });
    let (letters, _taken) = mpsc::channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let leading = front.clone();
    let desk = Desk { router: slow, letters, secret: SECRET.into() };
    let leading = tokio::spawn(async move { leading.lead(desk, async { drop(stopped.await) }).await });
    tokio::task::yield_now().await;
    let router = front.router();
    let early = tokio::spawn(async move { answer(router, asked("/viagens", &[], "{}")).await });
    let go = has_begun.recv().await.unwrap();
    stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let router = front.router();
    let late = tokio::spawn(async move { answer(router, asked("/viagens", &[], "late")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!leading.is_finished() && !late.is_finished());
    go.send(()).unwrap();
    assert_eq!(early.await.unwrap(), (StatusCode::OK, "done".to_owned()));
    leading.await.unwrap();
    let (letters, _taken) = mpsc::channel(1);
    let (_next, leader) = self::leader(letters).await;
    front.follow(leader);
    let (status, told) = late.await.unwrap();
    assert!(status == StatusCode::OK && told.ends_with("late"), "{told}");
}
