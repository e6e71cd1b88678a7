//! A client that can send any bytes.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Call {
    pub fn new(method: &str, path: &str) -> Self {
        let method = method.parse().expect("a method");
        Self { method, path: path.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    pub fn put(path: &str, body: &Value) -> Self {
        Self::new("PUT", path).json(body)
    }

    pub fn delete(path: &str) -> Self {
        Self::new("DELETE", path)
    }

    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string().into_bytes())
    }

    /// A body that says it is JSON.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), b"application/json")
    }

    pub fn untyped(mut self) -> Self {
        self.headers.remove(CONTENT_TYPE);
        self
    }

    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        let name: HeaderName = name.parse().expect("a header's name");
        self.headers.insert(name, HeaderValue::from_bytes(value).expect("a header's value"));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), format!("Bearer {token}").as_bytes())
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("status {}, no JSON ({error}): {}", self.status, self.text()),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The `tipo` of a problem.
    pub fn tipo(&self) -> String {
        self.json()["tipo"].as_str().unwrap_or_default().to_owned()
    }

    /// The body, if the status is this.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// Fails unless it is this refusal.
    pub fn expect_problem(&self, status: u16, tipo: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["tipo"], tipo, "{problem}");
        problem
    }
}

/// The connections to one node.
#[derive(Clone)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

impl Http {
    pub fn new(url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build(super::connector());
        Self { client, url: url.to_owned() }
    }

    pub async fn send(&self, call: Call) -> Result<Answer, String> {
        let response = self.open(call).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok(Answer { status, headers, body })
    }

    /// The response as soon as its head is there.
    pub async fn open(&self, call: Call) -> Result<Response<Incoming>, String> {
        let uri = format!("{}{}", self.url, call.path);
        let mut request = Request::new(Full::new(Bytes::from(call.body)));
        *request.uri_mut() = uri.parse().map_err(|error| format!("{uri:?} is no URL: {error}"))?;
        (*request.method_mut(), *request.headers_mut()) = (call.method, call.headers);
        self.client.request(request).await.map_err(|error| format!("{error:?}"))
    }
}

/// Sends these bytes, whatever they are, and returns what comes back until the server closes.
pub async fn raw(url: &str, bytes: &[u8]) -> Vec<u8> {
    let address = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = Vec::new();
    // The server may refuse and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = soon("the end of a connection", stream.read_to_end(&mut answer)).await;
    answer
}
