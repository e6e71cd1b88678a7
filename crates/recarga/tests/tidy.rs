//! Style is a test: the tables of ARCHITECTURE.md against the code, lengths, leftovers, and documents against what
//! they describe. Every check is also tried on planted text, in `tidy/planted.rs`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rules::{Complaints, Row};
use source::Source;

const NODE: &str = "crates/node";

#[test]
fn files_and_functions_are_short() {
    let sources = rust_files();
    report(sources.iter().flat_map(|one| rules::check_lengths(one, &rules::LONGER_FOR_NOW)).collect());
}

#[test]
fn nothing_is_left_over() {
    report(rust_files().iter().flat_map(rules::check_leftovers).collect());
}

#[test]
fn nothing_unwraps() {
    report(rust_files().iter().flat_map(rules::check_unwraps).collect());
}

#[test]
fn portuguese_names_are_made_in_the_wire_only() {
    report(rust_files().iter().flat_map(rules::check_language).collect());
}

#[test]
fn crates_are_as_the_architecture_says() {
    let (sources, rows) = (rust_files(), rules::table(&read("ARCHITECTURE.md"), "<!-- tidy: crates -->"));
    let mut written: Vec<String> = rows.iter().map(|row| row[0].concat()).collect();
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let real = folders.map(|folder| format!("crates/{}", folder.unwrap().file_name().to_string_lossy()));
    let mut real: Vec<String> = real.collect();
    written.sort();
    real.sort();
    assert_eq!(written, real, "the crates of ARCHITECTURE.md and the folders in crates/");
    let mut complaints = Complaints::new();
    for row in &rows {
        let folder = row[0].concat();
        let shipped = format!("{folder}/src/");
        let own: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(&shipped)).collect();
        complaints.extend(rules::check_crate(row, &read(&format!("{folder}/Cargo.toml")), &own));
    }
    report(complaints);
}

#[test]
fn rooms_of_the_node_are_as_the_architecture_says() {
    let sources = rust_files();
    let shipped = format!("{NODE}/src/");
    let own: Vec<&Source> = sources.iter().filter(|source| source.path.starts_with(&shipped)).collect();
    let rooms = rooms(&read("ARCHITECTURE.md"));
    assert!(rooms.len() > 10, "the table of rooms is not found: {} rows", rooms.len());
    let mut complaints = rules::check_rooms_exist(&rooms, &own, NODE);
    complaints.extend(own.iter().flat_map(|source| rules::check_room(source, NODE, &rooms)));
    report(complaints);
}

#[test]
fn links_lead_somewhere() {
    let pages: Vec<(String, String)> =
        paths(".md").into_iter().map(|path| (path.clone(), read(&path))).collect();
    assert!(pages.len() > 5, "where are the documents?");
    let exists = |path: &Path| root().join(path).exists();
    report(
        pages.iter().flat_map(|(path, text)| documents::check_links(path, text, &pages, &exists)).collect(),
    );
}

#[test]
fn the_changelog_has_this_version() {
    report(documents::check_changelog(&read("CHANGELOG.md"), env!("CARGO_PKG_VERSION")));
}

#[test]
fn documents_keep_up_with_the_code() {
    let mut complaints =
        documents::check_limits(&read("crates/node/src/config/limits.rs"), &read("docs/operations.md"));
    complaints
        .extend(documents::check_metrics(&read("crates/node/src/metrics.rs"), &read("docs/operations.md")));
    complaints
        .extend(documents::check_problems(&read("crates/wire/src/problem/kind.rs"), &read("docs/wire.md")));
    let api = paths(".rs").into_iter().filter(|path| path.starts_with("crates/node/src/api/"));
    let api: String = api.map(|path| read(&path)).collect();
    complaints.extend(documents::check_routes(&api, &read("docs/wire.md")));
    report(complaints);
}

/// The rooms of the node, by name.
pub fn rooms(architecture: &str) -> BTreeMap<String, Row> {
    let rows = rules::table(architecture, "<!-- tidy: rooms of crates/node -->");
    rows.into_iter().map(|row| (row[0].concat(), row)).collect()
}

fn report(complaints: Complaints) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files() -> Vec<Source> {
    let files: Vec<Source> = paths(".rs").iter().map(|path| Source::new(path, &read(path))).collect();
    assert!(files.len() > 50, "where is the code?");
    files
}

// Relative to the repository, in order; what is built, fetched or hidden is left out.
fn paths(ending: &str) -> Vec<String> {
    const SKIPPED: [&str; 4] = ["target", "node_modules", "data", "dist"];
    let root = root();
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(ending) {
                found.push(entry.path().strip_prefix(&root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
