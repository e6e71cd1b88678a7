//! How a configuration was written, and what of it has changed since.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

use super::stamp::Stamp;

/// What a configuration was read from.
#[derive(Clone, Default)]
pub struct Written {
    /// The file itself; none if it was a text.
    pub file: Option<PathBuf>,
    /// That file and those whose content stands for a text in it, as they looked before they were read.
    pub stamps: Vec<(PathBuf, Option<Stamp>)>,
    // What it says, but for the tokens that are renewed while the node runs.
    fixed: Table,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what it says: there are passwords in it.
        f.debug_struct("Written").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Written {
    pub(super) fn new(mut table: Table, files: Vec<(PathBuf, Option<Stamp>)>) -> Self {
        if let Some(Value::Table(operator)) = table.get_mut("operator") {
            operator.remove("operator_token");
            operator.remove("driver_tokens");
        }
        // By their names, as their order means nothing.
        if let Some(Value::Array(peers)) = table.remove("peers") {
            let named = peers.into_iter().filter_map(|peer| match peer {
                Value::Table(mut peer) => {
                    peer.remove("token");
                    peer.remove("accepts");
                    Some((peer.get("id")?.as_str()?.to_owned(), Value::Table(peer)))
                }
                _ => None,
            });
            table.insert("peers".to_owned(), Value::Table(named.collect()));
        }
        Self { file: None, stamps: files, fixed: table }
    }

    /// The fields that are others in `now`, but for the tokens that are renewed while the node runs.
    pub fn differences(&self, now: &Written) -> Vec<String> {
        let mut found = Vec::new();
        differences(&self.fixed, &now.fixed, "", &mut found);
        found
    }
}

fn differences(before: &Table, now: &Table, within: &str, found: &mut Vec<String>) {
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    for key in keys {
        let path = format!("{within}{key}");
        match (before.get(key), now.get(key)) {
            (Some(Value::Table(before)), Some(Value::Table(now))) => {
                differences(before, now, &format!("{path}."), found);
            }
            (before, now) if before != now => found.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"
        operator = { id = "a", operator_token = "one", driver_tokens = ["two"], listen = "here" }
        limits = { body = 1, heads = 2 }
        peers = [{ id = "b", url = "there", token = "three", accepts = "four" }, { id = "c", url = "far" }]
        locations = [{ id = "L" }]
    "#;

    #[test]
    fn what_differs_is_named_and_tokens_are_left_out() {
        let written = |text: &str| Written::new(text.parse().unwrap(), Vec::new());
        let differences = |changes: &[(&str, &str)]| {
            let text = changes.iter().fold(BEFORE.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
            written(BEFORE).differences(&written(&text))
        };
        let tokens =
            [("\"one\"", "[\"x\", \"y\"]"), ("[\"two\"]", "[]"), ("\"three\"", "\"z\""), ("\"four\"", "[]")];
        assert_eq!(differences(&tokens), [""; 0]);
        assert_eq!(
            differences(&[("heads = 2", "heads = 3"), ("\"here\"", "\"elsewhere\"")]),
            ["limits.heads", "operator.listen"]
        );
        assert_eq!(differences(&[(", { id = \"c\", url = \"far\" }", "")]), ["peers.c"]);
        assert_eq!(
            differences(&[("\"there\"", "\"gone\""), ("\"L\"", "\"M\"")]),
            ["locations", "peers.b.url"]
        );
        assert_eq!(differences(&[("limits = { body = 1, heads = 2 }", "")]), ["limits"]);
    }
}
