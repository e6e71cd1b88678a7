//! What explains itself: the OpenAPI document, the page to read and try it, and a page for every problem.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use recarga_wire::{Problem, ProblemKind};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response as Described, Responses, Schema};
use utoipa_swagger_ui::SwaggerUi;

use super::access::Access;
use super::{Fault, PROBLEM_MEDIA_TYPE, Segment};
use crate::app::Node;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Recarga",
        description = "Atomic booking of electric-car trips: all stops, at all companies, or none. Times are RFC \
            3339 in UTC; windows are half-open, `[janela_inicio, janela_fim)`; energy in kWh, power in kW, distance \
            in km, money in BRL. Refusals and errors are problem documents (RFC 9457)."
    ),
    tags(
        (name = "open", description = "For anyone"),
        (name = "drivers", description = "For drivers and apps"),
        (name = "companies", description = "Between companies, with a token: the steps of the atomic reservation"),
        (name = "panel", description = "For the page in the browser: what the operator sees"),
        (name = "operation", description = "For whoever runs the node"),
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
    components.add_security_scheme("empresa", token("The token that the two companies have agreed on."));
    components.add_security_scheme("operador", token("The token of this company's operator."));
    if let Some(RefOr::T(Schema::Object(status))) = components.schemas.get_mut("VehicleStatus") {
        // Unknown fields are refused where cars send it; where it is shown, it stands among other fields.
        status.additional_properties = None;
    }
    components.add_security_scheme("motorista", token("A token of drivers' apps."));
    components.add_security_scheme("carro", token("The token of the car that the request is about."));
    for (name, path) in &mut document.paths.paths {
        let operations = [&mut path.get, &mut path.put, &mut path.post, &mut path.delete];
        for operation in operations.into_iter().flatten() {
            if operation.tags.iter().flatten().any(|tag| tag == "drivers") {
                operation.security = demanded(name, &node.access);
            }
            describe_problems(&mut operation.responses);
        }
    }
}

// Any of these tokens opens what drivers call; none where it is open to everybody.
fn demanded(path: &str, access: &Access) -> Option<Vec<SecurityRequirement>> {
    let holders: &[&str] = match (path, access.knows_drivers(), access.cars().are_known()) {
        (_, false, _) => return None,
        // About a car, which speaks for itself where it can.
        ("/viagens" | "/viagens/{id}", _, true) => &["carro", "operador"],
        ("/viagens/planejar" | "/veiculos/{id}", _, true) => &["motorista", "carro", "operador"],
        _ => &["motorista", "operador"],
    };
    let requirement = |holder: &&str| SecurityRequirement::new::<_, [&str; 0], &str>(*holder, []);
    Some(holders.iter().map(requirement).collect())
}

// Every operation answers what goes wrong with a problem document, also where its own list names no such status.
fn describe_problems(responses: &mut Responses) {
    for response in responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = |content: &RefOr<Content>| match content {
            RefOr::T(content) => matches!(&content.schema, Some(RefOr::Ref(schema))
                if schema.ref_location.ends_with("/Problem")),
            RefOr::Ref(_) => false,
        };
        let content = std::mem::take(&mut response.content);
        response.content = content
            .into_iter()
            .map(|(kind, content)| match is_problem(&content) {
                true => (PROBLEM_MEDIA_TYPE.to_owned(), content),
                false => (kind, content),
            })
            .collect();
    }
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    let any = Described::builder()
        .description("A problem document: `tipo` says which, `detail` the cure.")
        .content(PROBLEM_MEDIA_TYPE, problem)
        .build();
    responses.responses.entry("default".to_owned()).or_insert(RefOr::T(any));
}

/// The document, and the pages to read.
pub fn pages(document: utoipa::openapi::OpenApi) -> Router<Arc<Node>> {
    let reader: Router<Arc<Node>> = SwaggerUi::new("/docs").url("/openapi.json", document).into();
    Router::new().merge(reader.layer(map_response(explain_missing)))
}

// The reader of the documentation answers a file that it does not have with a bare status.
async fn explain_missing(response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return Fault::from(Problem::of(ProblemKind::NotFound)).into_response();
    }
    response
}

/// What a problem means and how to solve it, for people, in Portuguese.
#[utoipa::path(get, path = "/problemas/{tipo}", tag = "open",
    params(("tipo" = String, Path, description = "The `tipo` of a problem")),
    responses((status = 200, content_type = "text/html", body = String), (status = 404, body = Problem)))]
pub async fn problem(Segment(code): Segment) -> Result<Html<String>, Fault> {
    let Some(kind) = ProblemKind::from_code(&code) else {
        return Err(Problem::of(ProblemKind::NotFound).into());
    };
    let (title, status) = (kind.title(), kind.status());
    let (explanation, cure) = (with_code(kind.explanation()), with_code(kind.cure()));
    Ok(Html(format!(
        "<!doctype html>\n<html lang=\"pt-BR\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <body style=\"font: 1.1rem/1.5 system-ui; max-width: 40rem; margin: 3rem auto; padding: 0 1rem\">\n\
         <h1>{title}</h1>\n<p><code>{code}</code>, HTTP {status}</p>\n\
         <p>{explanation}</p>\n<h2>O que fazer</h2>\n<p>{cure}</p>\n\
         <p><a href=\"/docs\">Todas as operações</a></p>\n</body>\n</html>\n"
    )))
}

// Names between backticks are shown as code; the texts are the catalogue's own, so nothing needs escaping.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(place, part)| (place, part.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")))
        .map(|(place, part)| if place % 2 == 0 { part } else { format!("<code>{part}</code>") })
        .collect()
}
