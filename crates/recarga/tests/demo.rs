//! The demo's page against the real program: companies are killed, frozen and cut off through it, trips stay whole, and
//! nobody but this machine's own page can do it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take that must happen.
const SOON: Duration = Duration::from_secs(40);

struct Demo {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

/// A port, and two after it, that nobody listens on.
fn free_ports() -> u16 {
    for first in (18_100..18_199).step_by(4) {
        let held: std::io::Result<Vec<TcpListener>> =
            (first..first + 4).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if held.is_ok() {
            return first;
        }
    }
    panic!("no free ports");
}

impl Demo {
    fn start() -> Self {
        let first = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_recarga"))
            .args(["demo", "--plain", "--cars", "3", "--speed", "2000", "--panel-port", "0", "--data"])
            .arg(folder.path())
            .args(["--company-port", &first.to_string(), "--mqtt-port", &(first + 3).to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "the demo ended before it printed the link");
            if let Some(url) = line.trim().strip_prefix("panel: http://") {
                break url.trim_end_matches('/').to_owned();
            }
        };
        Self { child, address, _output: output, _folder: folder }
    }

    /// Status and body.
    fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("host:")) {
            head += &format!("host: {}\r\n", self.address);
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        (status, if is_chunked { unchunk(body) } else { body.to_owned() })
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, &[], "");
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn act(&self, company: &str, action: &str) -> (u16, Value) {
        let path = format!("/demo/empresas/{company}/{action}");
        let (status, body) = self.send("POST", &path, &["x-recarga-painel: 1"], "");
        (status, serde_json::from_str(&body).unwrap())
    }

    fn company(&self, place: usize) -> Value {
        self.get("/demo/empresas")["empresas"][place].clone()
    }

    fn book(&self, through: &str, number: u32) -> (u16, Value) {
        let hour = |hour: u32| format!("{}T{hour:02}:00:00Z", tomorrow());
        let stop = |company: &str, evse: &str, at: u32| json!({"empresa": company, "ponto_id": evse, "janela_inicio": hour(at), "janela_fim": hour(at + 1)});
        let body = json!({"requisicao_id": format!("p-{number}"), "veiculo": {"veiculo_id": format!("teste-{number}")},
            "paradas": [stop("empresa-a", "A-REC-01-4", number), stop("empresa-b", "B-MCZ-01-1", number + 2)]});
        let path = format!("/empresas/{through}/viagens");
        let (status, answer) = self.send("POST", &path, &["x-recarga-painel: 1"], &body.to_string());
        (status, serde_json::from_str(&answer).unwrap())
    }

    fn until(&self, what: &str, mut check: impl FnMut() -> bool) {
        let deadline = Instant::now() + SOON;
        while !check() {
            assert!(Instant::now() < deadline, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unchunk(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        whole.push_str(&rest[..length]);
        text = rest[length..].trim_start_matches("\r\n");
        if length == 0 {
            break;
        }
    }
    whole
}

// 80 days ahead, where the demo's cars do not book.
fn tomorrow() -> String {
    let day = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date();
    day.checked_add(jiff::Span::new().days(80)).unwrap().to_string()
}

#[test]
fn companies_are_killed_frozen_and_cut_off_and_every_trip_stays_whole() {
    let demo = Demo::start();
    assert_eq!(demo.get("/painel/config")["modo"], "demo");
    assert_eq!(demo.send("GET", "/", &[], "").0, 200);
    assert_eq!(demo.company(1)["estado"], "no_ar");

    // Each company's own API, as its operator.
    assert_eq!(demo.get("/empresas/empresa-b/painel/config")["acesso"], "operador");
    assert_eq!(demo.get("/empresas/empresa-b/painel/saude")["empresa"], "empresa-b");
    let (status, booked) = demo.book("empresa-a", 1);
    assert_eq!(status, 201, "{booked}");
    // Nothing that the API refuses: the operator is no company.
    let mark = ["x-recarga-painel: 1"];
    assert_eq!(demo.send("POST", "/empresas/empresa-a/confirmar-reserva", &mark, "{}").0, 403);
    let wrong = ["authorization: Bearer nonsense"];
    assert_eq!(demo.send("GET", "/empresas/empresa-a/painel/saude", &wrong, "").0, 401);

    refuses_what_is_not_its_own(&demo);

    // Killed: it stays so until it is started, and what it had promised is read from its disk.
    let (status, company) = demo.act("empresa-b", "parar");
    assert_eq!((status, &company["estado"], company.get("processo")), (200, &json!("parada"), None));
    assert_eq!(demo.act("empresa-b", "parar").0, 409);
    assert_eq!(demo.act("empresa-b", "congelar").0, 409);
    assert_eq!(demo.send("GET", "/empresas/empresa-b/saude", &[], "").0, 503);
    let (status, refused) = demo.book("empresa-a", 2);
    assert_eq!((status, &refused["tipo"]), (409, &json!("empresa-inacessivel")), "{refused}");
    demo.until("an audit with the stopped company", || {
        let audit = demo.get("/demo/auditoria");
        audit["nao_examinadas"] == json!([]) && audit["contagens"]["trips_confirmed"].as_u64() >= Some(1)
    });
    assert_eq!(demo.act("empresa-b", "iniciar").0, 200);
    demo.until("its return", || demo.company(1)["estado"] == "no_ar");

    // Cut off: it answers its own drivers, and no other company.
    assert_eq!(demo.act("empresa-b", "isolar").1["isolada"], true);
    let (status, refused) = demo.book("empresa-a", 3);
    assert_eq!((status, &refused["tipo"]), (409, &json!("empresa-inacessivel")), "{refused}");
    assert_eq!(demo.get("/empresas/empresa-b/saude")["empresa"], "empresa-b");
    assert_eq!(demo.act("empresa-b", "religar").1["isolada"], false);
    demo.until("a trip with it", || demo.book("empresa-a", 4).0 == 201);

    // Frozen: nobody can read it.
    assert_eq!(demo.act("empresa-c", "congelar").1["estado"], "congelada");
    demo.until("an audit without it", || {
        demo.get("/demo/auditoria")["nao_examinadas"] == json!(["empresa-c"])
    });
    assert_eq!(demo.act("empresa-c", "descongelar").1["estado"], "no_ar");

    demo.until("a sound audit of everything", || {
        let audit = demo.get("/demo/auditoria");
        assert!(audit["veredito"] != "violada" && audit["veredito"] != "mista", "{audit}");
        audit["veredito"] == "integra" && audit["nao_examinadas"] == json!([])
    });
}

fn refuses_what_is_not_its_own(demo: &Demo) {
    let port = demo.address.rsplit_once(':').unwrap().1;
    let refused = |method: &str, path: &str, headers: &[&str]| {
        let (status, body) = demo.send(method, path, headers, "");
        assert_eq!(status, 403, "{method} {path} {headers:?}: {body}");
    };
    let kill = "/demo/empresas/empresa-a/parar";
    refused("POST", kill, &[]);
    refused("POST", kill, &["x-recarga-painel: 1", "origin: http://evil.example"]);
    refused("POST", kill, &["x-recarga-painel: 1", "sec-fetch-site: cross-site"]);
    refused("GET", "/empresas/empresa-a/auditoria", &["sec-fetch-site: cross-site"]);
    refused("GET", "/", &[&format!("host: evil.example:{port}")]);
    refused("DELETE", "/empresas/empresa-a/viagens/x", &[]);
    let mark = ["x-recarga-painel: 1"];
    assert_eq!(demo.send("POST", "/demo/empresas/empresa-z/parar", &mark, "").0, 404);
    assert_eq!(demo.send("POST", "/demo/empresas/empresa-a/explodir", &mark, "").0, 404);
    assert_eq!(demo.send("GET", "/empresas/empresa-z/saude", &[], "").0, 404);
    assert_eq!(demo.send("GET", "/empresas/..%2Fempresa-a/saude", &[], "").0, 404);
    assert_eq!(demo.company(0)["estado"], "no_ar", "nothing was done");
}
