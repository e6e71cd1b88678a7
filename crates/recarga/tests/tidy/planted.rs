//! Each check finds what is wrong, and leaves alone what is not.

use std::collections::BTreeMap;
use std::path::Path;

use crate::documents;
use crate::rules::{self, Complaints};
use crate::source::{Source, blank};

fn node(file: &str, code: &str) -> Source {
    Source::new(&format!("crates/node/src/{file}"), code)
}

fn finds(complaints: &Complaints, what: &str) {
    assert!(complaints.iter().any(|one| one.contains(what)), "{what:?} is not among {complaints:?}");
}

fn nothing(complaints: &Complaints) {
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a // b\n/* c /* d */ e */ f \"g \\\" h\" 'i' '\\'' r#\"j \" k\"# b\"l\" &'m n b'o' \"\n\" p";
    let code = blank(text);
    let words: Vec<&str> =
        code.split(|one: char| !one.is_alphanumeric()).filter(|one| !one.is_empty()).collect();
    assert_eq!(words, ["a", "f", "m", "n", "p"]);
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn long_files_and_functions_are_found() {
    let long = "// line\n".repeat(rules::FILE_LINES_MAX + 1);
    finds(&rules::check_lengths(&node("a.rs", &long), &[]), "501 lines");
    nothing(&rules::check_lengths(&node("a.rs", &long), &[("crates/node/src/a.rs", 600)]));
    finds(
        &rules::check_lengths(&node("a.rs", "fn a() {}\n"), &[("crates/node/src/a.rs", 600)]),
        "short enough",
    );
    let body = "    a();\n".repeat(rules::FUNCTION_LINES_MAX - 1);
    let code = format!("fn short(a: [u8; 4]) {{\n}}\n\nfn long() -> impl Fn() {{\n{body}}}\n");
    let complaints = rules::check_lengths(&node("a.rs", &code), &[]);
    finds(&complaints, ":4: `long` has 71 lines");
    assert_eq!(complaints.len(), 1);
}

#[test]
fn leftovers_are_found() {
    for (code, what) in [
        ("fn a() { todo!() }", "todo!"),
        ("fn a() { unimplemented!(\"later\") }", "unimplemented!"),
        ("fn a() { dbg!(1); }", "dbg!"),
        ("#[ignore]\n#[test]\nfn a() {}", "#[ignore"),
    ] {
        finds(&rules::check_leftovers(&node("a.rs", code)), what);
    }
    nothing(&rules::check_leftovers(&node("a.rs", "// todo!\nconst A: &str = \"dbg!\";")));
}

#[test]
fn unwraps_are_found_in_what_ships_only() {
    finds(&rules::check_unwraps(&node("a.rs", "fn a() {\n    b().unwrap();\n}")), ":2:");
    finds(&rules::check_unwraps(&node("a.rs", "fn a() { b().expect(\"b\"); }")), ":1:");
    let excused = "#[expect(clippy::expect_used, reason = \"b\")]\nlet a = b().expect(\"b\");";
    nothing(&rules::check_unwraps(&node("a.rs", excused)));
    nothing(&rules::check_unwraps(&node("a.rs", "fn a() { b().unwrap_or(0); }")));
    nothing(&rules::check_unwraps(&node(
        "a.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests { fn a() { b().unwrap(); } }",
    )));
    nothing(&rules::check_unwraps(&Source::new("crates/node/tests/a.rs", "fn a() { b().unwrap(); }")));
}

#[test]
fn portuguese_names_are_found_outside_the_wire() {
    for code in [
        "pub fn confirmar_reserva() {}",
        "struct ReservaTemporaria;",
        "struct A { pub veiculo_id: u8 }",
        "mod viagem;",
    ] {
        finds(&rules::check_language(&node("a.rs", code)), "belongs to crates/wire");
        nothing(&rules::check_language(&Source::new("crates/wire/src/a.rs", code)));
    }
    nothing(&rules::check_language(&node(
        "a.rs",
        "fn a() { let estado = 1; B { estado } }\nfn tomorrow() {}",
    )));
}

#[test]
fn strange_dependencies_and_words_are_found() {
    let table = "<!-- here -->\n\n| crate | what | libraries | never |\n|---|---|---|---|\n\
        | `crates/a` | the rules | `thiserror` `serde` | `tokio` |\n\nText";
    let rows = rules::table(table, "<!-- here -->");
    assert_eq!(rows.len(), 1);
    let well = "[lints]\nworkspace = true\n\n[dependencies]\nserde = \"1\"\nthiserror.workspace = true\n\n\
        [dev-dependencies]\nproptest = \"1\"\n";
    let silent = Source::new("crates/a/src/lib.rs", "// tokio\nuse std::fmt;");
    nothing(&rules::check_crate(&rows[0], well, &[&silent]));
    finds(&rules::check_crate(&rows[0], &well.replace("serde =", "rand ="), &[]), "depends on `rand`");
    finds(
        &rules::check_crate(&rows[0], &well.replace("serde =", "rand ="), &[]),
        "does not depend on `serde`",
    );
    finds(
        &rules::check_crate(&rows[0], &well.replace("[lints]", "[lint]"), &[]),
        "`[lints] workspace = true`",
    );
    let loud = Source::new("crates/a/src/lib.rs", "\nasync fn a() { tokio::spawn(b()); }");
    finds(&rules::check_crate(&rows[0], well, &[&loud]), "crates/a/src/lib.rs:2: `tokio`");
}

#[test]
fn a_room_that_reaches_too_far_is_found() {
    let table = "<!-- tidy: rooms of crates/node -->\n| room | what | may use | never |\n|---|---|---|---|\n\
        | `api` | in and out | `coordinator` `peer::Message` | `Calendar` |\n\
        | `coordinator` | trips | `store` `peer` | `axum` |\n\
        | `store` | facts | | `Company` |\n| `peer` | others | | |\n";
    let rooms = crate::rooms(table);
    let check = |file: &str, code: &str| rules::check_room(&node(file, code), "crates/node", &rooms);
    nothing(&check("api.rs", "use crate::coordinator::Answer;\nuse crate::peer::Message;\nmod trips;"));
    nothing(&check(
        "api/trips.rs",
        "use super::Fault;\nuse super::access::Caller;\nuse crate::{coordinator::A, api};",
    ));
    for reach in [
        "use crate::store::Store;",
        "use crate::{coordinator::Answer, store};",
        "use crate::peer::{Message, Peer};",
        "use super::super::store::Store;",
        "fn a() { crate::store::open(); }",
        "use {crate::coordinator::{A, B as C}, crate::store::D};",
    ] {
        finds(&check("api/trips.rs", reach), "does not allow to `api`");
    }
    finds(&check("api.rs", "use super::store::Store;"), "does not allow to `api`");
    finds(&check("store.rs", "use crate::coordinator::Coordinator;"), "does not allow to `store`");
    finds(&check("store/redb.rs", "fn a(company: Company) {}"), "`Company` has no place");
    finds(&check("coordinator.rs", "use axum::Router;"), "`axum` has no place");
    finds(&check("attic.rs", "fn a() {}"), "no room `attic`");
    nothing(&check("store.rs", "#[cfg(test)]\nmod tests { use crate::coordinator::Coordinator; }"));
    nothing(&check("store/tests.rs", "use crate::coordinator::Coordinator;"));
    let store = node("store.rs", "");
    finds(&rules::check_rooms_exist(&rooms, &[&store], "crates/node"), "`api` is not there");
}

#[test]
fn dead_links_are_found() {
    let pages = [("docs/a.md".to_owned(), "# Some `code`, and more\n".to_owned())];
    let exists = |path: &Path| path == Path::new("docs/a.md") || path == Path::new("README.md");
    let check = |text: &str| documents::check_links("docs/b.md", text, &pages, &exists);
    nothing(&check("[x](a.md) [y](../README.md) [z](https://example.org/q) [h](a.md#some-code-and-more)"));
    nothing(&check("```\n[x](nowhere.md)\n```"));
    finds(&check("[x](nowhere.md)"), "leads nowhere");
    finds(&check("[x](a.md) and [y](../gone)"), "`../gone` leads nowhere");
    finds(&check("[x](a.md#other)"), "no heading");
}

#[test]
fn documents_that_fall_behind_are_found() {
    finds(&documents::check_changelog("## [0.0.9]\n", "0.1.0"), "0.1.0");
    nothing(&documents::check_changelog("## [0.1.0] - 2026-01-01\n", "0.1.0"));
    let limits: String = (0..10).map(|index| format!("            limit_{index}: 64 * 1_024,\n")).collect();
    let config = format!("impl Default for Limits {{\n    fn default() -> Self {{\n{limits}    }}\n}}\n");
    let handbook: String = (0..10).map(|index| format!("| `limits.limit_{index}` | 65536 | |\n")).collect();
    nothing(&documents::check_limits(&config, &handbook));
    finds(&documents::check_limits(&config, &handbook.replace("limit_3", "limit_x")), "limit_3");
    finds(&documents::check_limits("", ""), "not found");
    let metrics: String =
        (0..10).map(|index| format!("(\"m_{}\", \"Help me\", x)", "x".repeat(index + 1))).collect();
    let metrics = format!("fn register() {{\n{metrics}\n    }}\n");
    finds(&documents::check_metrics(&metrics, "`recarga_m_xx`"), "`recarga_m_xxx`");
    let problems: String =
        (0..10).map(|index| format!("    Kind \"kind-{index}\" 409\n        \"Title\"\n")).collect();
    let catalogue = format!("\ncatalogue! {{\n{problems}}}\n");
    finds(&documents::check_problems(&catalogue, "| `kind-1` | 409 |"), "| `kind-2` | 409 |");
    let route = "#[utoipa::path(get, path = \"/a\", tag)]\n#[utoipa::path(put, path = \"/a/{id}\")]";
    let complaints = documents::check_routes(&route.repeat(5), "`GET /a`");
    finds(&complaints, "`PUT /a/{id}`");
    assert_eq!(complaints.len(), 5, "{complaints:?}");
    let rooms: BTreeMap<String, rules::Row> = crate::rooms("no table");
    assert!(rooms.is_empty());
}
