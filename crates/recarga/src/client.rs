//! A small HTTP client for the program's own commands.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use hyper::{Method, Request, Response};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use recarga_node::config::Config;
use recarga_node::tls::anonymous_connector;
use recarga_wire::version::{self, Version};
use recarga_wire::{Problem, decode};
use serde::de::DeserializeOwned;

// Named on the command line, for all nodes that are asked and brokers that are used.
static AUTHORITIES: OnceLock<PathBuf> = OnceLock::new();

/// From now on nodes at `https://` and brokers at `mqtts://` are believed whose certificates are signed by one of these.
pub fn trust(authorities: Option<&Path>) {
    if let Some(file) = authorities {
        // The first word holds; there is one only.
        let _ = AUTHORITIES.set(file.to_owned());
    }
}

/// The file with them.
pub fn authorities() -> Option<&'static Path> {
    AUTHORITIES.get().map(PathBuf::as_path)
}

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Speaks to one node.
#[derive(Clone)]
pub struct Client {
    http: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: String,
    token: Option<String>,
    patience: Duration,
}

/// What a node answered.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The whole body.
    pub body: Bytes,
    /// What time it was there, as the header says it.
    pub date: Option<String>,
    /// Which version of the messages it reads, as the header says it.
    pub version: Version,
}

impl Client {
    /// A client of the node at `url`, as in `http://127.0.0.1:8001`.
    ///
    /// # Errors
    /// The URL is not understood.
    pub fn new(url: &str, token: Option<String>) -> Result<Self> {
        Self::trusting(url, token, authorities())
    }

    /// As [`Client::new`], with the authorities of a node at `https://`.
    ///
    /// # Errors
    /// The URL is not understood, or the file cannot be used.
    pub fn trusting(url: &str, token: Option<String>, authorities: Option<&Path>) -> Result<Self> {
        let url = url.trim_end_matches('/');
        let uri: hyper::Uri = url.parse().with_context(|| format!("\"{url}\" is no URL"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            bail!("\"{url}\" is not understood; write http://HOST:PORT or https://HOST:PORT");
        }
        if uri.scheme_str() == Some("https") && authorities.is_none() {
            bail!("{url}: name the file with its authority's certificate: --ca FILE");
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(3)));
        connector.enforce_http(false);
        let connector = anonymous_connector(connector, authorities)?;
        let http = HyperClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, url: url.to_owned(), token, patience: Duration::from_secs(20) })
    }

    /// A client of a company's own node on this machine, with its operator's token. `path` is its configuration's.
    ///
    /// # Errors
    /// The company has no such token.
    pub fn of_operator(config: &Config, path: &Path) -> Result<Self> {
        let Some(token) = config.operator_tokens.first() else {
            bail!(
                "{}: operator.operator_token is missing; without it what is the operator's is closed",
                path.display()
            );
        };
        let authorities = config.tls.as_ref().map(|tls| tls.authorities.as_path());
        Self::trusting(&local_url(config), Some(token.expose().to_owned()), authorities)
    }

    /// A client of the node that a command's arguments name, for what needs the operator's token: by address and token,
    /// or by the node's configuration.
    ///
    /// # Errors
    /// They name none, or as [`Client::new`] and [`Client::of_operator`].
    pub fn chosen(url: Option<&str>, token: Option<&str>, config: Option<&Path>) -> Result<Self> {
        match (url, config) {
            (Some(url), _) => Client::new(url, token.map(str::to_owned)),
            (None, Some(path)) => Client::of_operator(&Config::read(path)?, path),
            (None, None) => bail!("which node? write --config FILE, or --url URL --token TOKEN"),
        }
    }

    /// Waits at most this long for an answer.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where the node is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// The node cannot be reached or does not answer in time.
    pub async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer> {
        let request = self.request(method, path, body)?;
        let answered = tokio::time::timeout(self.patience, async {
            let response = self.http.request(request).await?;
            Answer::read(response).await
        });
        let unreachable = || self.unreachable();
        answered.await.with_context(unreachable)?.with_context(unreachable)
    }

    /// Asks for what may be too long for memory: the body of a successful answer is yet to be read.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn open(&self, path: &str) -> Result<Incoming> {
        let request = self.request(Method::GET, path, vec![])?;
        let answered = tokio::time::timeout(self.patience, self.http.request(request)).await;
        let response = answered.with_context(|| self.unreachable())?.with_context(|| self.unreachable())?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let refused = tokio::time::timeout(self.patience, Answer::read(response)).await;
        bail!(refused.with_context(|| self.unreachable())??.refusal())
    }

    fn request(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::new(Bytes::from(body))).context("cannot build the request")
    }

    fn unreachable(&self) -> String {
        format!("{} does not answer; is the node running?", self.url)
    }

    /// Sends a request and reads a successful answer.
    ///
    /// # Errors
    /// As [`Client::send`]; else what the node's problem document says.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Vec<u8>) -> Result<T> {
        let answer = self.send(method, path, body).await?;
        answer.into_message()
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Result<Self> {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let date = header(DATE.as_str()).map(str::to_owned);
        let version = Version::said(header(version::HEADER));
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok(Self { status, body, date, version })
    }

    /// The message, if it is a success.
    ///
    /// # Errors
    /// What the problem document says.
    pub fn into_message<T: DeserializeOwned>(self) -> Result<T> {
        if (200..300).contains(&self.status) {
            return decode(&self.body)
                .map_err(|problem| anyhow::anyhow!("cannot read the answer: {problem}"));
        }
        bail!(self.refusal())
    }

    fn refusal(&self) -> String {
        match decode::<Problem>(&self.body) {
            Ok(problem) => describe(&problem),
            Err(_) => format!("status {} without an explanation; is this a Recarga node?", self.status),
        }
    }
}

/// Where a company's own node is reached on this machine.
pub fn local_url(config: &Config) -> String {
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// A problem for people: the title, the detail, and which field.
pub fn describe(problem: &Problem) -> String {
    let mut text = format!("{} ({}): {}", problem.kind.title(), problem.kind.code(), problem.detail);
    if let Some(field) = &problem.field {
        text.push_str(&format!(" [{field}]"));
    }
    text
}
