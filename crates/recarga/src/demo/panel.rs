//! The demo's page: the page of every company, all companies' APIs below it, and what can be done to them. Only for
//! this machine, and not for pages from elsewhere that a browser on this machine may show.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{any, get, post};
use futures_util::stream;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use recarga_node::api::Fault;
use recarga_node::server::{self, ServerLimits};
use recarga_panel::Page;
use recarga_wire::demo::{DemoAction, DemoAudit, DemoCompanies, DemoState};
use recarga_wire::panel::{ConfigAnswer, Mode};
use recarga_wire::{Message, Problem, ProblemKind};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::federation::Federation;

/// What every request that changes something carries: a page from elsewhere cannot send it.
const MARK: &str = "x-recarga-painel";
/// How long a company may take to begin an answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Who may watch at a time.
const WATCHERS_MAX: usize = 64;
const LIMITS: ServerLimits = ServerLimits {
    connections_max: 512,
    head_max: Duration::from_secs(10),
    write_max: Duration::from_secs(30),
    shutdown_max: Duration::from_secs(2),
};
/// What concerns one connection only, and what tells a company about the browser instead of the operator.
const NOT_HANDED_ON: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "cookie",
    "origin",
    MARK,
];

struct Panel {
    federation: Arc<Mutex<Federation>>,
    companies: watch::Receiver<DemoCompanies>,
    audit: watch::Receiver<DemoAudit>,
    // The operators' tokens, by company.
    tokens: Vec<(String, HeaderValue)>,
    http: HyperClient<HttpConnector, Body>,
    page: Page,
    port: u16,
    watchers: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Serves until `stop`.
///
/// # Errors
/// A token cannot stand in a header.
pub async fn serve(
    listener: TcpListener,
    federation: Arc<Mutex<Federation>>,
    audit: watch::Receiver<DemoAudit>,
    stop: CancellationToken,
) -> Result<()> {
    let port = listener.local_addr().context("the panel has no address")?.port();
    let (companies, tokens) = {
        let federation = federation.lock().await;
        let token = |config: &recarga_node::config::Config| {
            let token = config.operator_tokens.first()?;
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
            value.set_sensitive(true);
            Some((config.operator.to_string(), value))
        };
        (federation.follow(), federation.configs().filter_map(token).collect())
    };
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(2)));
    let panel = Arc::new(Panel {
        federation,
        companies,
        audit,
        tokens,
        http: HyperClient::builder(TokioExecutor::new()).build(connector),
        page: Page::new(None),
        port,
        watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        stop: stop.clone(),
    });
    let router = Router::new()
        .route("/painel/config", get(config))
        .route("/demo/empresas", get(list))
        .route("/demo/empresas/{id}/{action}", post(act))
        .route("/demo/auditoria", get(verdict))
        .route("/demo/eventos", get(follow))
        .route("/empresas/{id}", any(hand_on))
        .route("/empresas/{id}/", any(hand_on))
        .route("/empresas/{id}/{*path}", any(hand_on))
        .fallback(page)
        .layer(from_fn_with_state(panel.clone(), guard))
        .with_state(panel);
    server::serve(listener, router, LIMITS, stop.cancelled_owned()).await;
    Ok(())
}

async fn guard(
    State(panel): State<Arc<Panel>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match objection(panel.port, address, request.method(), request.uri().path(), request.headers()) {
        Some(refused) => refuse(Problem::new(ProblemKind::Forbidden, refused)),
        None => next.run(request).await,
    }
}

// A name that was made to lead here is somebody else's, and so is a page that a browser says is from elsewhere.
fn objection(
    port: u16,
    address: SocketAddr,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Option<&'static str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default().to_ascii_lowercase();
    let names = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    if !address.ip().to_canonical().is_loopback() || !names.contains(&host) {
        return Some(
            "a demonstração só atende esta máquina, por http://127.0.0.1 ou http://localhost e a porta dela",
        );
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    // A link from elsewhere may lead to the page, and to nothing else.
    let is_page = is_read && matches!(path, "/" | "/index.html");
    let site = text(HeaderName::from_static("sec-fetch-site")).unwrap_or("none");
    if !is_page && !matches!(site, "none" | "same-origin") {
        return Some("a demonstração não atende páginas de outros sítios");
    }
    let origin = text(header::ORIGIN);
    let is_from_here = origin.is_none_or(|origin| origin.eq_ignore_ascii_case(&format!("http://{host}")));
    let may_write = headers.contains_key(MARK) && is_from_here;
    if !is_read && !may_write {
        return Some("falta o cabeçalho X-Recarga-Painel, que só a página da demonstração envia");
    }
    None
}

async fn page(State(panel): State<Arc<Panel>>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let file = is_read.then(|| panel.page.answer(request.uri().path(), request.headers())).flatten();
    file.unwrap_or_else(|| refuse(Problem::of(ProblemKind::NotFound)))
}

async fn config() -> Response {
    let versao = env!("CARGO_PKG_VERSION").to_owned();
    let answer =
        ConfigAnswer { modo: Mode::Demo, versao, empresa: None, nome: None, acesso: None, mapa: None };
    json(&answer)
}

async fn list(State(panel): State<Arc<Panel>>) -> Response {
    let companies = panel.companies.borrow().clone();
    json(&companies)
}

async fn verdict(State(panel): State<Arc<Panel>>) -> Response {
    let audit = panel.audit.borrow().clone();
    json(&audit)
}

async fn act(State(panel): State<Arc<Panel>>, Path((id, action)): Path<(String, String)>) -> Response {
    let Some(action) = DemoAction::from_word(&action) else {
        return refuse(Problem::of(ProblemKind::NotFound));
    };
    let mut federation = panel.federation.lock().await;
    if federation.find(&id).is_none() {
        return refuse(Problem::of(ProblemKind::NotFound));
    }
    match federation.act(&id, action).await {
        Ok(Ok(company)) => json(&company),
        Ok(Err(why)) => refuse(Problem::new(ProblemKind::NotNow, why)),
        Err(error) => refuse(Problem::new(ProblemKind::Internal, format!("{error:#}"))),
    }
}

async fn follow(State(panel): State<Arc<Panel>>) -> Response {
    let Ok(place) = panel.watchers.clone().try_acquire_owned() else {
        return refuse(Problem::of(ProblemKind::TooManyRequests));
    };
    let (mut companies, mut audit) = (panel.companies.clone(), panel.audit.clone());
    companies.mark_changed();
    audit.mark_changed();
    let watching = Watching { companies, audit, stop: panel.stop.clone(), _place: place };
    let told = stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((Ok::<_, Infallible>(event), watching))
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

struct Watching {
    companies: watch::Receiver<DemoCompanies>,
    audit: watch::Receiver<DemoAudit>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Watching {
    async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            changed = self.companies.changed() => {
                changed.ok()?;
                event("empresas", &*self.companies.borrow_and_update())
            }
            changed = self.audit.changed() => {
                changed.ok()?;
                event("auditoria", &*self.audit.borrow_and_update())
            }
        }
    }
}

fn event<M: Message>(name: &str, message: &M) -> Option<Event> {
    Some(Event::default().event(name).data(String::from_utf8(recarga_wire::encode(message)).ok()?))
}

// A company's own API, as its operator unless the page says who calls.
async fn hand_on(State(panel): State<Arc<Panel>>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let rest = path.strip_prefix("/empresas/").unwrap_or_default();
    let (id, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let company = panel.companies.borrow().empresas.iter().find(|one| one.id.as_str() == id).cloned();
    let Some(company) = company else { return refuse(Problem::of(ProblemKind::NotFound)) };
    if company.estado != DemoState::NoAr {
        return refuse(away(id));
    }
    let slash = if rest.starts_with('/') { "" } else { "/" };
    let Ok(uri) = format!("{}{slash}{rest}", company.url).parse::<Uri>() else {
        return refuse(Problem::of(ProblemKind::NotFound));
    };
    strip(request.headers_mut());
    if let Some((_, token)) = panel.tokens.iter().find(|(company, _)| company == id) {
        request.headers_mut().entry(header::AUTHORIZATION).or_insert_with(|| token.clone());
    }
    *request.uri_mut() = uri;
    match timeout(ANSWER_MAX, panel.http.request(request)).await {
        Ok(Ok(answer)) => {
            let mut answer = answer.map(Body::new);
            strip(answer.headers_mut());
            answer
        }
        _ => refuse(away(id)),
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in NOT_HANDED_ON {
        headers.remove(name);
    }
}

fn away(id: &str) -> Problem {
    let detail = format!("{id} não responde: está parada, congelada ou iniciando");
    Problem::new(ProblemKind::Unavailable, detail)
}

fn json<M: Message>(message: &M) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (kind, recarga_wire::encode(message)).into_response()
}

fn refuse(problem: Problem) -> Response {
    Fault::from(problem).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_its_own_page_are_served() {
        let is_served = |from: &str, method: Method, path: &str, headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            let headers = HeaderMap::from_iter(headers);
            objection(8000, from.parse().unwrap(), &method, path, &headers).is_none()
        };
        let (here, host) = ("127.0.0.1:5", ("host", "127.0.0.1:8000"));
        let (mark, act) = ((MARK, "1"), "/demo/empresas/empresa-a/parar");
        assert!(is_served(here, Method::GET, "/", &[host]));
        assert!(is_served(here, Method::GET, "/demo/empresas", &[("host", "LOCALHOST:8000")]));
        assert!(is_served(here, Method::POST, act, &[host, mark, ("origin", "http://127.0.0.1:8000")]));
        assert!(is_served(here, Method::POST, act, &[host, mark, ("sec-fetch-site", "same-origin")]));
        assert!(is_served(here, Method::GET, "/", &[host, ("sec-fetch-site", "cross-site")]), "a link");
        // From elsewhere, by another name, or at another port.
        assert!(!is_served("10.0.0.1:5", Method::GET, "/", &[host]));
        for name in ["evil.example:8000", "127.0.0.1", "127.0.0.1:8001", "127.0.0.1:8000.evil.example"] {
            assert!(!is_served(here, Method::GET, "/", &[("host", name)]), "{name}");
        }
        assert!(!is_served(here, Method::GET, "/", &[]));
        // By a page from elsewhere.
        let elsewhere = ("sec-fetch-site", "cross-site");
        assert!(!is_served(here, Method::GET, "/empresas/empresa-a/auditoria", &[host, elsewhere]));
        assert!(!is_served(here, Method::POST, act, &[host]), "without the mark");
        assert!(!is_served(here, Method::POST, act, &[host, mark, elsewhere]));
        assert!(!is_served(here, Method::POST, act, &[host, mark, ("origin", "http://evil.example")]));
        assert!(!is_served(here, Method::POST, act, &[host, mark, ("origin", "null")]));
        assert!(!is_served(here, Method::POST, "/", &[host, elsewhere]));
    }
}
