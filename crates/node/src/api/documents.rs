//! What explains itself: the OpenAPI document, the page to read and try it, and a page for every problem.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{Html, Redirect};
use axum::routing::get;
use recarga_wire::{Problem, ProblemKind};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

use super::Fault;
use crate::app::Node;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Recarga",
        description = "Reserva atômica de viagens de carros elétricos: todas as paradas, em todas as empresas, ou \
            nenhuma. Instantes em RFC 3339, UTC; janelas meio abertas `[janela_inicio, janela_fim)`; energia em kWh, \
            potência em kW, distância em km, dinheiro em reais. Recusas e erros são problemas (RFC 9457)."
    ),
    tags(
        (name = "aberto", description = "Para qualquer um"),
        (name = "motoristas", description = "Para motoristas e aplicativos"),
        (name = "empresas", description = "Entre empresas, com token: os quatro passos da reserva atômica"),
        (name = "operação", description = "Para quem opera o servidor"),
    )
)]
struct Document;

/// The document before the routes are added.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Adds what only a running node knows.
pub fn finish(document: &mut utoipa::openapi::OpenApi, node: &Node) {
    document.info.title = format!("Recarga: {}", node.name);
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let token = |description: &str| {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        SecurityScheme::Http(bearer)
    };
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("empresa", token("O token que esta empresa combinou com a outra."));
    components.add_security_scheme("operador", token("O token do operador desta empresa."));
}

/// The document, and the pages to read.
pub fn pages(document: utoipa::openapi::OpenApi) -> Router<Arc<Node>> {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", document))
}

/// O que um problema significa e como resolvê-lo, para pessoas.
#[utoipa::path(get, path = "/problemas/{tipo}", tag = "aberto",
    params(("tipo" = String, Path, description = "O `tipo` de um problema")),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = Problem)))]
pub async fn problem(Path(code): Path<String>) -> Result<Html<String>, Fault> {
    let Some(kind) = ProblemKind::from_code(&code) else {
        return Err(Problem::of(ProblemKind::NotFound).into());
    };
    let (title, status, explanation, cure) = (kind.title(), kind.status(), kind.explanation(), kind.cure());
    Ok(Html(format!(
        "<!doctype html>\n<html lang=\"pt-BR\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <body style=\"font: 1.1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem\">\n\
         <h1>{title}</h1>\n<p><code>{code}</code>, HTTP {status}</p>\n\
         <p>{explanation}</p>\n<h2>O que fazer</h2>\n<p>{cure}</p>\n\
         <p><a href=\"/docs\">Todas as operações</a></p>\n</body>\n</html>\n"
    )))
}
