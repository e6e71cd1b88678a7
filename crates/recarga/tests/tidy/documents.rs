//! Documents against what they describe.

use std::path::{Component, Path, PathBuf};

use crate::rules::Complaints;

/// Relative links of a page lead to files that exist, and to headings that exist.
pub fn check_links(
    page: &str,
    text: &str,
    pages: &[(String, String)],
    exists: &dyn Fn(&Path) -> bool,
) -> Complaints {
    let folder = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut complaints = Vec::new();
    for target in links(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
        let file = if path.is_empty() { PathBuf::from(page) } else { clean(&folder.join(path)) };
        if !exists(&file) {
            complaints.push(format!("{page}: the link `{target}` leads nowhere"));
            continue;
        }
        let other = pages.iter().find(|(name, _)| Path::new(name) == file);
        if let Some((_, other)) = other.filter(|_| !heading.is_empty())
            && !headings(other).contains(&heading.to_owned())
        {
            complaints.push(format!("{page}: the link `{target}` leads to no heading"));
        }
    }
    complaints
}

// Outside of code: `[text](target)`.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, behind)) = after.split_once(')') else { break };
            links.push(target.trim().to_owned());
            rest = behind;
        }
    }
    links
}

fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

// As GitHub makes anchors of headings.
fn headings(text: &str) -> Vec<String> {
    let titles = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
        kept.map(|one| if one == ' ' { '-' } else { one }).collect()
    };
    titles.map(anchor).collect()
}

fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = cleaned.pop(),
            Component::CurDir => {}
            other => cleaned.push(other),
        }
    }
    cleaned
}

/// The changelog has a section for the version.
pub fn check_changelog(changelog: &str, version: &str) -> Complaints {
    if changelog.lines().any(|line| line.starts_with(&format!("## [{version}]"))) {
        return vec![];
    }
    vec![format!("CHANGELOG.md has no section `## [{version}]`")]
}

/// Every limit of the configuration stands in the handbook with its default.
pub fn check_limits(config: &str, handbook: &str) -> Complaints {
    let defaults = config.split("impl Default for Limits").nth(1).unwrap_or("");
    let defaults = defaults.split("\n}\n").next().unwrap_or("");
    let pairs = defaults.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
    let mut complaints = Vec::new();
    let mut count = 0;
    for (name, value) in pairs {
        count += 1;
        let value: u64 =
            value.replace('_', "").split(" * ").filter_map(|one| one.parse::<u64>().ok()).product();
        let row = format!("| `limits.{name}` | {value} |");
        if !handbook.contains(&row) {
            complaints.push(format!("docs/operations.md has no row `{row}`"));
        }
    }
    complaints.extend((count < 10).then(|| "the defaults of the limits are not found".to_owned()));
    complaints
}

/// Every figure for Prometheus stands in the handbook.
pub fn check_metrics(metrics: &str, handbook: &str) -> Complaints {
    let registered =
        metrics.split("fn register").nth(1).unwrap_or("").split("\n    }\n").next().unwrap_or("");
    let mut names: Vec<&str> = Vec::new();
    for part in registered.split(['(', ',']).map(str::trim) {
        let name = part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        names.extend(name.filter(|name| name.bytes().all(|one| one.is_ascii_lowercase() || one == b'_')));
    }
    let missing = names.iter().filter(|name| !handbook.contains(&format!("`recarga_{name}")));
    let mut complaints: Complaints =
        missing.map(|name| format!("docs/operations.md does not explain `recarga_{name}`")).collect();
    complaints.extend((names.len() < 10).then(|| "the names of the metrics are not found".to_owned()));
    complaints
}

/// Every kind of problem stands in the contract with its status.
pub fn check_problems(catalogue: &str, contract: &str) -> Complaints {
    let entries = catalogue.split("\ncatalogue! {").nth(1).unwrap_or("").split("\n}\n").next().unwrap_or("");
    let heads = entries.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let mut complaints = Vec::new();
    let mut count = 0;
    for head in heads {
        let words: Vec<&str> = head.split_whitespace().collect();
        let [_, code, status] = words.as_slice() else { continue };
        count += 1;
        let row = format!("| `{}` | {status} |", code.trim_matches('"'));
        if !contract.contains(&row) {
            complaints.push(format!("docs/wire.md has no row `{row}`"));
        }
    }
    complaints.extend((count < 10).then(|| "the catalogue of problems is not found".to_owned()));
    complaints
}

/// Every route stands in the contract.
pub fn check_routes(api: &str, contract: &str) -> Complaints {
    let routes: Vec<(String, String)> = api
        .split("#[utoipa::path(")
        .skip(1)
        .filter_map(|rest| {
            let (method, rest) = rest.split_once(',')?;
            let path = rest.split_once("path = \"")?.1.split('"').next()?;
            Some((method.trim().to_uppercase(), path.to_owned()))
        })
        .collect();
    let missing = routes.iter().filter(|(method, path)| !contract.contains(&format!("`{method} {path}`")));
    let mut complaints: Complaints =
        missing.map(|(method, path)| format!("docs/wire.md does not explain `{method} {path}`")).collect();
    complaints.extend((routes.len() < 10).then(|| "the routes are not found".to_owned()));
    complaints
}
