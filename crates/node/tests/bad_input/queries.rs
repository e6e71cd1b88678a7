//! Everything that is only asked for, and everything that is not there.

use crate::support::bodies::{at, session};
use crate::support::http::{Call, raw};
use crate::support::{STRANGER, token};
use crate::{Bench, company, operator, row};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_availability() {
    let bench = Bench::start().await;
    let (bad, missing) = ("campo-invalido", "campo-ausente");
    let reversed = format!("de={}&ate={}", at(60), at(0));
    let empty = format!("de={0}&ate={0}", at(60));
    #[rustfmt::skip]
    let queries: Vec<(&str, &str, &str, &str)> = vec![
        ("no instant", "de=amanha", bad, "de"),
        ("no offset", "de=2030-12-01T14:00:00", bad, "de"),
        ("an offset whose + is a space", "ate=2030-12-01T14:00:00+03:00", bad, "ate"),
        ("no such day", "ate=2030-02-30T00:00:00Z", bad, "ate"),
        ("reversed", &reversed, "janela-invertida", "ate"),
        ("empty", &empty, "janela-invertida", "ate"),
        ("a state in small letters", "uf=ba", bad, "uf"),
        ("a state's name", "uf=Bahia", bad, "uf"),
        ("an unknown plug", "plugue=CCS2", bad, "plugue"),
        ("power as a text", "potencia_min_kw=muita", bad, "potencia_min_kw"),
        ("power below zero", "potencia_min_kw=-1", bad, "potencia_min_kw"),
        ("power that is no number", "potencia_min_kw=NaN", bad, "potencia_min_kw"),
        ("power without limit", "potencia_min_kw=inf", bad, "potencia_min_kw"),
        ("power beyond all limits", "potencia_min_kw=1e999", bad, "potencia_min_kw"),
        ("a decimal comma", "potencia_min_kw=22,5", bad, "potencia_min_kw"),
        ("a bad EVSE", "ponto_id=a/b", bad, "ponto_id"),
        ("latitude alone", "lat=-12", missing, "lon"),
        ("longitude alone", "lon=-38", missing, "lat"),
        ("radius alone", "raio_km=10", missing, "lat"),
        ("latitude beyond the pole", "lat=-90.1&lon=0", bad, "lat"),
        ("longitude beyond the edge", "lat=0&lon=180.1", bad, "lon"),
        ("latitude that is no number", "lat=nan&lon=0", bad, "lat"),
        ("no radius", "lat=0&lon=0&raio_km=0", bad, "raio_km"),
        ("a radius beyond the earth", "lat=0&lon=0&raio_km=1e9", bad, "raio_km"),
        ("no points", "limite=0", bad, "limite"),
        ("too many points", "limite=501", bad, "limite"),
        ("points below zero", "limite=-1", bad, "limite"),
        ("half a point", "limite=1.5", bad, "limite"),
        ("a limit beyond 64 bits", "limite=99999999999999999999", bad, "limite"),
        ("a parameter twice", "uf=BA&uf=PE", bad, "uf"),
        ("an unknown parameter", "cidade=Salvador", "campo-desconhecido", "cidade"),
        ("an unknown parameter of no text", "%FF%FE=1", "campo-desconhecido", "\u{fffd}\u{fffd}"),
    ];
    // Points have no times, so there the end of a period alone says nothing wrong.
    let over = Call::get("/disponibilidade?ate=2020-01-01T00:00:00Z");
    let mut rows = vec![row("over before it begins", over, 422, "janela-invertida", "ate")];
    for path in ["/disponibilidade", "/pontos"] {
        for (what, query, tipo, campo) in &queries {
            rows.push(row(*what, Call::get(&format!("{path}?{query}")), 422, tipo, campo));
        }
    }
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_the_other_lists() {
    let bench = Bench::start().await;
    let (bad, missing, unknown) = ("campo-invalido", "campo-ausente", "campo-desconhecido");
    let audit = |query: &str| operator(Call::get(&format!("/auditoria?{query}")));
    let long = format!("cursor={}", "a".repeat(10_000));
    #[rustfmt::skip]
    let rows = vec![
        row("no car", Call::get("/viagens"), 422, missing, "veiculo_id"),
        row("an empty car", Call::get("/viagens?veiculo_id="), 422, bad, "veiculo_id"),
        row("a bad car", Call::get("/viagens?veiculo_id=%2B"), 422, bad, "veiculo_id"),
        row("a bad request", Call::get("/viagens?veiculo_id=a&requisicao_id=%20"), 422, bad, "requisicao_id"),
        row("an unknown parameter", Call::get("/viagens?veiculo_id=a&carro=b"), 422, unknown, "carro"),
        row("a car twice", Call::get("/viagens?veiculo_id=a&veiculo_id=b"), 422, bad, "veiculo_id"),
        row("an unknown parameter of cars", Call::get("/veiculos?limite=1"), 422, unknown, "limite"),
        row("a cursor twice", Call::get("/veiculos?cursor=a&cursor=b"), 422, bad, "cursor"),
        row("a car that is not known", Call::get("/veiculos/carro-1"), 404, "nao-encontrado", ""),
        row("a bad car's name", Call::get("/veiculos/a%2Fb"), 422, bad, "id"),
        row("a car's name that is no text", Call::get("/veiculos/%C3%28"), 422, bad, "id"),
        row("audit: a bad cursor", audit("cursor=abc"), 422, bad, "cursor"),
        row("audit: an empty cursor", audit("cursor="), 422, bad, "cursor"),
        row("audit: a cursor that begins with no letter", audit("cursor=%C3%A9"), 422, bad, "cursor"),
        row("audit: a very long cursor", audit(&long), 422, bad, "cursor"),
        row("audit: an unknown parameter", audit("pagina=2"), 422, unknown, "pagina"),
        row("audit without a token", Call::get("/auditoria"), 401, "nao-autenticado", "Authorization"),
        row("audit by a company", company(Call::get("/auditoria")), 403, "nao-permitido", ""),
        row("a problem that is none", Call::get("/problemas/tudo-bem"), 404, "nao-encontrado", ""),
        row("a problem that is no text", Call::get("/problemas/%FF"), 422, bad, "tipo"),
        row("a question about no session", company(Call::get("/transacoes/abc")), 422, bad, "sessao"),
        row("a question that is no text", company(Call::get("/transacoes/%FF")), 422, bad, "sessao"),
        row("a question that is very long", company(Call::get(&format!("/transacoes/{}", "1.".repeat(10_000)))), 422, bad, "sessao"),
        row("a question without a token", Call::get(&format!("/transacoes/{}", session(1))), 401, "nao-autenticado", "Authorization"),
    ];
    bench.refuses(rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods() {
    let bench = Bench::start().await;
    let (not_found, not_allowed) = ("nao-encontrado", "metodo-nao-permitido");
    #[rustfmt::skip]
    let mut rows = vec![
        row("nothing there", Call::get("/viagem"), 404, not_found, ""),
        row("a slash too much", Call::get("/disponibilidade/"), 404, not_found, ""),
        row("two slashes", Call::get("//disponibilidade"), 404, not_found, ""),
        row("capital letters", Call::get("/Disponibilidade"), 404, not_found, ""),
        row("upwards", Call::get("/docs/../../etc/passwd"), 404, not_found, ""),
        row("no such page of the documentation", Call::get("/docs/nada.js"), 404, not_found, ""),
        row("no UTF-8", Call::get("/%FF"), 404, not_found, ""),
        row("very long", Call::get(&format!("/{}", "a".repeat(60_000))), 404, not_found, ""),
        row("a made-up method on nothing", Call::new("DANCE", "/nada"), 404, not_found, ""),
        row("a bad token for nothing", Call::get("/nada").token("token-nobody"), 401, "nao-autenticado", "Authorization"),
    ];
    let paths = [
        ("/disponibilidade", "POST"),
        ("/pontos", "DELETE"),
        ("/reserva-temporaria", "GET"),
        ("/confirmar-reserva", "PUT"),
        ("/cancelar-reserva", "POST"),
        ("/transacoes/x", "DELETE"),
        ("/lote", "GET"),
        ("/viagens", "DELETE"),
        ("/viagens/x", "POST"),
        ("/viagens/x", "PATCH"),
        ("/veiculos", "POST"),
        ("/veiculos/x", "PUT"),
        ("/eventos", "POST"),
        ("/saude", "DELETE"),
        ("/metrics", "POST"),
        ("/auditoria", "DELETE"),
        ("/problemas/x", "POST"),
        ("/openapi.json", "POST"),
        ("/docs/", "DELETE"),
        ("/", "POST"),
        ("/viagens", "OPTIONS"),
        ("/viagens", "TRACE"),
        ("/viagens", "DANCE"),
    ];
    for (path, method) in paths {
        rows.push(row("another method", Call::new(method, path), 405, not_allowed, ""));
    }
    let endless = "GET".repeat(1_000);
    rows.push(row("a method without end", Call::new(&endless, "/viagens"), 405, not_allowed, ""));
    bench.refuses(rows).await;
}

/// What is no HTTP is refused by the library below, with a status of its own and without a problem document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_http_is_refused_and_harms_nobody() {
    let bench = Bench::start().await;
    let before = bench.snapshot().await;
    let token = token(STRANGER, "empresa-a");
    let head = |line: &str| format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n").into_bytes();
    let many = |count: usize| "x: y\r\n".repeat(count).into_bytes();
    let end = b"\r\n".to_vec();
    #[rustfmt::skip]
    let requests: Vec<(&str, Vec<u8>)> = vec![
        ("noise", b"\x00\xff\xfe\x01\r\n\r\n".to_vec()),
        ("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a version of its own", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("a byte that no path has", [head("GET /\x7f\x01"), end.clone()].concat()),
        ("a path beyond 64 KiB", [head(&format!("GET /{}", "a".repeat(70_000))), end.clone()].concat()),
        ("too many headers", [head("GET /saude"), many(500), end.clone()].concat()),
        ("headers beyond 64 KiB", [head("GET /saude"), format!("x: {}\r\n", "y".repeat(700_000)).into_bytes(), end.clone()].concat()),
        ("two lengths", [head("POST /viagens"), b"content-length: 1\r\ncontent-length: 2\r\n\r\n{}".to_vec()].concat()),
        ("a length below zero", [head("POST /viagens"), b"content-length: -1\r\n\r\n{}".to_vec()].concat()),
        ("a length and chunks", [head("POST /viagens"), b"content-length: 5\r\ntransfer-encoding: gzip\r\n\r\n{}".to_vec()].concat()),
    ];
    for (what, bytes) in requests {
        let answer = String::from_utf8_lossy(&raw(&bench.node().url, &bytes).await).into_owned();
        let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(refused || answer.is_empty(), "{what}: {answer}");
    }
    let forms = ["OPTIONS *", "CONNECT a:1", "GET http://a/nada", "HEAD /nada"];
    for form in forms {
        let request = [head(form), format!("authorization: Bearer {token}\r\n\r\n").into_bytes()].concat();
        let answer = String::from_utf8_lossy(&raw(&bench.node().url, &request).await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{form}: {answer}");
        assert!(answer.contains("application/problem+json"), "{form}: {answer}");
    }
    bench.unchanged("noise", &before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_problem_has_its_page() {
    let bench = Bench::start().await;
    for kind in recarga_wire::ProblemKind::ALL {
        let answer = bench.node().send(Call::get(&format!("/problemas/{}", kind.code()))).await;
        assert_eq!(answer.status, 200, "{kind}");
        let page = answer.text().replace("<code>", "`").replace("</code>", "`");
        for text in [kind.title(), kind.explanation(), kind.cure()] {
            assert!(page.contains(&text.replace('<', "&lt;").replace('>', "&gt;")), "{kind}: {text}");
        }
    }
}
