//! What tidy means. Each check takes texts and returns complaints, so that it can be tried on planted ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

pub const FILE_LINES_MAX: usize = 500;
pub const FUNCTION_LINES_MAX: usize = 70;
const EXCUSE_LINES: usize = 12;

/// Files that may be longer for now, and how long at most: only ever to be lowered.
pub const LONGER_FOR_NOW: [(&str, usize); 0] = [];

pub type Complaints = Vec<String>;

pub fn check_lengths(source: &Source, longer: &[(&str, usize)]) -> Complaints {
    let mut complaints = Vec::new();
    let lines = source.text.lines().count();
    let allowance = longer.iter().find(|(path, _)| *path == source.path);
    let most = allowance.map_or(FILE_LINES_MAX, |(_, most)| *most);
    if lines > most {
        complaints.push(format!("{}: {lines} lines; split it, at most {most}", source.path));
    }
    if allowance.is_some() && lines <= FILE_LINES_MAX {
        complaints.push(format!("{}: short enough now; remove it from LONGER_FOR_NOW", source.path));
    }
    for function in source.functions() {
        if function.lines > FUNCTION_LINES_MAX {
            complaints.push(format!(
                "{}:{}: `{}` has {} lines; at most {FUNCTION_LINES_MAX}",
                source.path, function.first_line, function.name, function.lines
            ));
        }
    }
    complaints
}

/// Nothing unfinished, nothing switched off, nothing left over from debugging.
pub fn check_leftovers(source: &Source) -> Complaints {
    const FORBIDDEN: [&str; 5] = ["todo!", "unimplemented!", "dbg!", "#[ignore", "#![ignore"];
    let mut complaints = Vec::new();
    for (number, line) in (1..).zip(source.code.lines()) {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            complaints.push(format!("{}:{number}: `{word}`", source.path));
        }
    }
    complaints
}

/// No `unwrap()` and no `expect()` in what ships, unless the reason stands a few lines above.
pub fn check_unwraps(source: &Source) -> Complaints {
    if source.is_test() {
        return vec![];
    }
    let lines: Vec<&str> = source.shipped().lines().collect();
    let mut complaints = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let excused = || {
            let above: String = lines[at.saturating_sub(EXCUSE_LINES)..=at].concat();
            above.replace(' ', "").contains("expect(clippy::")
        };
        if [".unwrap()", ".expect("].iter().any(|call| line.contains(call)) && !excused() {
            complaints.push(format!(
                "{}:{}: unwrap or expect; return the error, or give the reason in `#[expect(clippy::...)]`",
                source.path,
                at + 1
            ));
        }
    }
    complaints
}

/// Portuguese names are made in the crate of the wire only; elsewhere its fields are merely filled in.
pub fn check_language(source: &Source) -> Complaints {
    const PORTUGUESE: [&str; 40] = [
        "adiar",
        "agora",
        "aguardar",
        "bateria",
        "cancelar",
        "carro",
        "carros",
        "chave",
        "conector",
        "confirmar",
        "coordenador",
        "decidir",
        "deposito",
        "disponibilidade",
        "empresa",
        "empresas",
        "enviar",
        "erro",
        "estacao",
        "estado",
        "instante",
        "janela",
        "livre",
        "livres",
        "mensagem",
        "motivo",
        "parada",
        "paradas",
        "pedido",
        "ponto",
        "pontos",
        "requisicao",
        "reserva",
        "resposta",
        "servidor",
        "sessao",
        "veiculo",
        "veiculos",
        "viagem",
        "viagens",
    ];
    if source.path.starts_with("crates/wire/") {
        return vec![];
    }
    let mut complaints = Vec::new();
    for (line, name) in source.definitions() {
        if let Some(word) = parts(&name).into_iter().find(|part| PORTUGUESE.contains(&part.as_str())) {
            complaints.push(format!("{}:{line}: `{name}`: \"{word}\" belongs to crates/wire", source.path));
        }
    }
    complaints
}

// `reservaTemporaria`, `reserva_temporaria` and `RESERVA` all have the part `reserva`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = '_';
    for one in name.chars() {
        if one == '_' || (one.is_uppercase() && before.is_lowercase()) {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut().filter(|_| one != '_') {
            part.extend(one.to_lowercase());
        }
        before = one;
    }
    parts
}

/// A row of one of the two tables of ARCHITECTURE.md: for each column, what stands in backquotes.
pub type Row = Vec<Vec<String>>;

/// The table after a marker. The row of titles and the line below it are left out.
pub fn table(document: &str, marker: &str) -> Vec<Row> {
    let after = document.split_once(marker).map_or("", |(_, after)| after);
    let lines = after.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.trim_matches('|').split('|').map(quoted).collect()).collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// A crate and its row: folder, what it is, libraries, words that it never says.
pub fn check_crate(row: &Row, manifest: &str, sources: &[&Source]) -> Complaints {
    let [folder, _, libraries, never] = row.as_slice() else {
        return vec![format!("ARCHITECTURE.md: a row of the crates has {} columns, not 4", row.len())];
    };
    let folder = folder.concat();
    let mut complaints = Vec::new();
    let written: BTreeSet<String> = libraries.iter().cloned().collect();
    let real: BTreeSet<String> = dependencies(manifest).into_iter().collect();
    for more in real.difference(&written) {
        complaints
            .push(format!("{folder}/Cargo.toml depends on `{more}`, of which ARCHITECTURE.md knows nothing"));
    }
    for less in written.difference(&real) {
        complaints.push(format!("ARCHITECTURE.md: {folder} does not depend on `{less}`"));
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        complaints.push(format!("{folder}/Cargo.toml: `[lints] workspace = true` is missing"));
    }
    complaints.extend(sources.iter().flat_map(|source| check_never(source, never)));
    complaints
}

/// The names under `[dependencies]`.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or("");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let lines = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_alphabetic()));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

/// Words that a room never says.
pub fn check_never(source: &Source, never: &[String]) -> Complaints {
    let said = source.words().into_iter().filter(|(_, word)| never.contains(word));
    said.map(|(line, word)| format!("{}:{line}: `{word}` has no place in this room", source.path)).collect()
}

/// A file of a crate with rooms, against the row of its room: name, what it does, rooms that it may use, words that
/// it never says.
pub fn check_room(source: &Source, crate_folder: &str, rooms: &BTreeMap<String, Row>) -> Complaints {
    let inside = source.path.strip_prefix(crate_folder).unwrap_or(&source.path);
    let modules: Vec<&str> = inside.trim_start_matches("/src/").trim_end_matches(".rs").split('/').collect();
    let room = modules.first().copied().unwrap_or_default();
    if room == "lib" {
        return vec![];
    }
    let Some([_, _, allowed, never]) = rooms.get(room).map(Vec::as_slice) else {
        return vec![format!("{}: ARCHITECTURE.md has no room `{room}` with 4 columns", source.path)];
    };
    let mut complaints = check_never(source, never);
    for mention in source.mentions() {
        let Some(path) = resolve(&mention.segments, &modules) else { continue };
        let Some(other) = path.first().filter(|other| **other != room && rooms.contains_key(**other)) else {
            continue;
        };
        let is_allowed = |entry: &String| path.starts_with(&entry.split("::").collect::<Vec<_>>());
        if !allowed.iter().any(is_allowed) {
            complaints.push(format!(
                "{}:{}: `{}` uses `{other}`, which ARCHITECTURE.md does not allow to `{room}`",
                source.path,
                mention.line,
                mention.segments.join("::")
            ));
        }
    }
    complaints
}

// From the root of the crate; none for paths that lead elsewhere.
fn resolve<'a>(segments: &'a [String], modules: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut rest = segments.iter().map(String::as_str).peekable();
    let mut path: Vec<&str> = match rest.peek().copied()? {
        "crate" => vec![],
        "self" => modules.to_vec(),
        "super" => modules[..modules.len().saturating_sub(1)].to_vec(),
        _ => return None,
    };
    rest.next();
    while rest.next_if_eq(&"super").is_some() {
        path.pop();
    }
    path.extend(rest);
    Some(path)
}

/// A room of the table that has no file.
pub fn check_rooms_exist(
    rooms: &BTreeMap<String, Row>,
    sources: &[&Source],
    crate_folder: &str,
) -> Complaints {
    let exists = |room: &String| {
        let file = format!("{crate_folder}/src/{room}.rs");
        sources.iter().any(|source| source.path == file)
    };
    let missing = rooms.keys().filter(|room| !exists(room));
    missing.map(|room| format!("ARCHITECTURE.md: the room `{room}` is not there any more")).collect()
}
