//! The control room in the browser, built into the program: its files as HTTP responses, with all that keeps a page
//! from being turned against whoever reads it. The page itself lives in `web/`; `make web` builds it.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The page that stands where none was built in.
const MISSING: &str = include_str!("missing.html");
/// Files under this folder have a hash of what they hold in their names.
const HASHED: &str = "assets/";
const INDEX: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Files;

/// The page, ready to be served.
#[derive(Clone, Debug)]
pub struct Page {
    policy: HeaderValue,
}

impl Page {
    /// A page that shows pictures of maps from `tiles`, as in `https://tiles.example.org`; none but its own otherwise.
    pub fn new(tiles: Option<&str>) -> Self {
        let text = policy(tiles);
        // What cannot stand in a header allows nothing more.
        let policy = HeaderValue::from_str(&text).or_else(|_| HeaderValue::from_str(&policy(None)));
        Self { policy: policy.unwrap_or(HeaderValue::from_static("default-src 'none'")) }
    }

    /// Whether the page was there when the program was built.
    pub fn is_built_in() -> bool {
        Files::get(INDEX).is_some()
    }

    /// What is served of the page: paths from the root, beginning with `/`.
    pub fn paths() -> impl Iterator<Item = String> {
        let files = Files::iter().filter(|path| !path.ends_with(".gz") && path != INDEX);
        files.map(|path| format!("/{path}")).chain(["/".to_owned()])
    }

    /// The file at a path from the root, as `/` or `/assets/index-D9KLE197.js`. None if the page has no such file.
    pub fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response> {
        let name = match path.trim_start_matches('/') {
            "" => INDEX,
            name => name,
        };
        let mut response = match Files::get(name) {
            Some(file) => serve(name, file, headers),
            None if name == INDEX => ([(CONTENT_TYPE, "text/html; charset=utf-8")], MISSING).into_response(),
            None => return None,
        };
        let headers = response.headers_mut();
        let cached = match name.starts_with(HASHED) {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        };
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cached));
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        let opener = HeaderName::from_static("cross-origin-opener-policy");
        headers.insert(opener, HeaderValue::from_static("same-origin"));
        Some(response)
    }
}

fn policy(tiles: Option<&str>) -> String {
    let tiles = tiles.map_or(String::new(), |tiles| format!(" {tiles}"));
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{tiles}; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

fn serve(name: &str, plain: EmbeddedFile, asked: &HeaderMap) -> Response {
    let compressed = Files::get(&format!("{name}.gz"));
    // A picture that is compressed already would only grow.
    let compressed = compressed.filter(|file| file.data.len() < plain.data.len() && takes_gzip(asked));
    let (file, is_compressed) = match compressed {
        Some(file) => (file, true),
        None => (plain, false),
    };
    let digest = file.metadata.sha256_hash();
    let tag = digest[..16].iter().fold(String::from("\""), |tag, byte| format!("{tag}{byte:02x}")) + "\"";
    let mut response = match knows(asked, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(file.data.into_owned()).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn takes_gzip(asked: &HeaderMap) -> bool {
    let offered = asked.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|one| {
        let (name, quality) = one.split_once(';').unwrap_or((one, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| quality.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn knows(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.trim_start_matches("W/") == tag
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_root_is_always_there_and_nothing_else_that_is_not() {
        let page = Page::new(None);
        let root = page.answer("/", &HeaderMap::new()).expect("a page");
        assert_eq!(root.status(), StatusCode::OK);
        assert_eq!(root.headers()[CACHE_CONTROL], "no-cache");
        assert_eq!(root.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        for path in ["/nada.js", "/../Cargo.toml", "/assets/", "/assets/%2e%2e/index.html"] {
            assert!(page.answer(path, &HeaderMap::new()).is_none(), "{path}");
        }
    }

    #[test]
    fn every_file_is_served_and_what_a_browser_has_is_not_sent_again() {
        let page = Page::new(None);
        for path in Page::paths() {
            let first = page.answer(&path, &headers(ACCEPT_ENCODING, "br, gzip")).expect("a file");
            assert_eq!(first.status(), StatusCode::OK, "{path}");
            assert_eq!(first.headers()[CACHE_CONTROL] == "no-cache", !path.starts_with("/assets/"), "{path}");
            let Some(tag) = first.headers().get(ETAG) else {
                assert!(!Page::is_built_in(), "{path} has no tag");
                continue;
            };
            let mut asked = headers(ACCEPT_ENCODING, "br, gzip");
            asked.insert(IF_NONE_MATCH, tag.clone());
            let second = page.answer(&path, &asked).expect("a file");
            assert_eq!(second.status(), StatusCode::NOT_MODIFIED, "{path}");
            // Another representation has another tag.
            let plain = page.answer(&path, &HeaderMap::new()).expect("a file");
            let same = first.headers().get(CONTENT_ENCODING).is_none();
            assert_eq!(plain.headers()[ETAG] == tag, same, "{path}");
        }
    }

    #[test]
    fn only_the_operators_tiles_are_let_in() {
        let policy = |tiles| Page::new(tiles).policy.to_str().unwrap_or_default().to_owned();
        assert!(policy(None).contains("img-src 'self' data:;"), "{}", policy(None));
        assert!(policy(Some("https://tiles.example.org")).contains("data: https://tiles.example.org;"));
        assert!(policy(Some("https://bad\n.example")).contains("img-src 'self' data:;"), "no second header");
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, takes) in [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false)] {
            let asked = HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().expect("a header"))]);
            assert_eq!(takes_gzip(&asked), takes, "{value}");
        }
    }
}
