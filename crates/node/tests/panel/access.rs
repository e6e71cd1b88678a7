//! Who may read what is the operator's. Every caller with a token is tried in `authorisation`.

use serde_json::json;

use crate::support::http::Call;
use crate::support::{OPERATOR, Plan, start_one};

const READS: [&str; 6] = [
    "/painel/reservas",
    "/painel/numeros",
    "/painel/viagens",
    "/painel/sessoes",
    "/painel/estacoes",
    "/painel/saude",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_the_machine_itself_may_read_and_nobody_may_write() {
    let node = start_one(Plan { has_operator: false, ..Plan::default() }).await;
    let config = node.get("/painel/config").await;
    assert_eq!((&config["modo"], &config["acesso"]), (&json!("empresa"), &json!("leitura")), "{config}");
    for path in READS {
        node.get(path).await;
        // A proxy on this machine speaks for somebody else, and a name that leads here is somebody else's page.
        for (name, value) in [
            ("x-forwarded-for", "10.1.2.3"),
            ("forwarded", "for=10.1.2.3"),
            ("via", "1.1 proxy"),
            ("host", "rebound.example:8001"),
        ] {
            let asked = Call::get(path).header(name, value.as_bytes());
            node.send(asked).await.expect_problem(401, "nao-autenticado");
        }
        // Whoever presents a token means to be known.
        node.send(Call::get(path).token(OPERATOR)).await.expect_problem(401, "nao-autenticado");
    }
    let proxied = Call::get("/painel/config").header("x-forwarded-for", b"10.1.2.3");
    assert_eq!(node.send(proxied).await.expect(200)["acesso"], "nenhum");
    let body = json!({"estado": "inoperante"});
    node.send(Call::put("/pontos/A-1/estado", &body)).await.expect_problem(401, "nao-autenticado");
    node.send(Call::get("/auditoria")).await.expect_problem(401, "nao-autenticado");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_a_token_it_is_needed_everywhere() {
    let more =
        "[panel]\ntile_url = \"https://tiles.example.org/{z}/{x}/{y}.png\"\ntile_attribution = \"thanks\"";
    let node = start_one(Plan { more: more.to_owned(), ..Plan::default() }).await;
    let config = node.get("/painel/config").await;
    assert_eq!((&config["acesso"], &config["empresa"]), (&json!("nenhum"), &json!("empresa-a")), "{config}");
    assert_eq!(config["mapa"]["atribuicao"], "thanks");
    let root = node.send(Call::get("/")).await;
    let policy = root.header("content-security-policy");
    assert!(policy.contains("img-src 'self' data: https://tiles.example.org;"), "{policy}");
    let config = node.send(Call::get("/painel/config").token(OPERATOR)).await.expect(200);
    assert_eq!(config["acesso"], "operador");
    for path in READS {
        node.send(Call::get(path)).await.expect_problem(401, "nao-autenticado");
        node.send(Call::get(path).token(OPERATOR)).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_parameters_are_named() {
    let node = start_one(Plan::default()).await;
    for (path, field) in [
        ("/painel/reservas?limite=201", "limite"),
        ("/painel/reservas?limite=0", "limite"),
        ("/painel/reservas?de=ontem", "de"),
        ("/painel/reservas?ponto_id=%2F", "ponto_id"),
        ("/painel/numeros?ate=2000-01-01T00:00:00Z", "ate"),
        ("/painel/numeros?de=2026-01-02T00:00:00Z&ate=2026-01-01T00:00:00Z", "ate"),
        ("/painel/viagens?cursor=nada", "cursor"),
        ("/painel/viagens?veiculo_id=%20", "veiculo_id"),
        ("/painel/sessoes?limite=x", "limite"),
        ("/painel/sessoes/nada", "sessao"),
        ("/painel/estacoes?cursor=a", "cursor"),
        ("/painel/estacoes/a/%20", "estacao_id"),
        ("/painel/estacoes/%FF/b", "empresa"),
        ("/painel/viagens?x=1", "x"),
        // What is known elsewhere and not used here, too: an answer to less than was asked for would seem to be all.
        ("/painel/viagens?ponto_id=A-1", "ponto_id"),
        ("/painel/viagens?de=2026-01-01T00:00:00Z", "de"),
        ("/painel/sessoes?veiculo_id=carro-1", "veiculo_id"),
        ("/painel/sessoes?cursor=a", "cursor"),
        ("/painel/numeros?veiculo_id=carro-1", "veiculo_id"),
        ("/painel/numeros?limite=1", "limite"),
        ("/painel/reservas?veiculo_id=carro-1", "veiculo_id"),
        ("/painel/estacoes?ponto_id=A-1", "ponto_id"),
    ] {
        let answer = node.send(Call::get(path).token(OPERATOR)).await;
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert_eq!(answer.json()["campo"], field, "{path}: {}", answer.text());
    }
    let unknown = format!("/painel/sessoes/{}", crate::support::bodies::session(77));
    node.send(Call::get(&unknown).token(OPERATOR)).await.expect_problem(404, "nao-encontrado");
    let station = Call::get("/painel/estacoes/empresa-z/nada").token(OPERATOR);
    node.send(station).await.expect_problem(404, "nao-encontrado");
}
