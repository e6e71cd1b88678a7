//! `"${NAME}"`, `"${NAME:-default}"` and `"${file:path}"` inside the texts of a configuration.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::stamp::Stamp;

/// The longest file that stands for a text.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Where texts are taken from.
pub struct Sources<'a> {
    /// The value of a variable.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// From where files are found.
    pub folder: &'a Path,
    /// Those that were read, as they looked before.
    pub files: Vec<(PathBuf, Option<Stamp>)>,
}

impl Sources<'_> {
    /// Substitutes in every text of the table.
    ///
    /// # Errors
    /// A line that names the field: an unset variable without a default, a file that cannot be read, or an unfinished
    /// `${`. What stands in a file is not shown.
    pub fn substitute(&mut self, table: &mut toml::Table) -> Result<(), String> {
        for (key, value) in table.iter_mut() {
            self.substitute_value(value).map_err(|(path, reason)| format!("{key}{path}: {reason}"))?;
        }
        Ok(())
    }

    fn substitute_value(&mut self, value: &mut toml::Value) -> Result<(), (String, String)> {
        match value {
            toml::Value::String(text) if text.contains("${") => {
                *text = self.expand(text).map_err(|reason| (String::new(), reason))?;
            }
            toml::Value::Array(values) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.substitute_value(value)
                        .map_err(|(path, reason)| (format!("[{index}]{path}"), reason))?;
                }
            }
            toml::Value::Table(table) => {
                for (key, value) in table.iter_mut() {
                    self.substitute_value(value)
                        .map_err(|(path, reason)| (format!(".{key}{path}"), reason))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    // What was filled in is not looked at again: a `${` in a secret is a part of it.
    fn expand(&mut self, text: &str) -> Result<String, String> {
        let mut expanded = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            expanded.push_str(before);
            if let Some(path) = after.strip_prefix("file:") {
                let (path, behind) = self.path(path)?;
                expanded.push_str(&self.read(&path)?);
                rest = behind;
                continue;
            }
            let (inside, behind) = after.split_once('}').ok_or("\"${\" without \"}\"")?;
            expanded.push_str(&self.variable(inside)?);
            rest = behind;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    // A path may begin with a variable: `${file:${CREDENTIALS_DIRECTORY}/token}`.
    fn path<'t>(&self, text: &'t str) -> Result<(String, &'t str), String> {
        let unfinished = "\"${file:\" without \"}\"";
        match text.strip_prefix("${") {
            Some(text) => {
                let (inside, text) = text.split_once('}').ok_or(unfinished)?;
                let (path, behind) = text.split_once('}').ok_or(unfinished)?;
                Ok((self.variable(inside)? + path, behind))
            }
            None => {
                let (path, behind) = text.split_once('}').ok_or(unfinished)?;
                Ok((path.to_owned(), behind))
            }
        }
    }

    fn variable(&self, inside: &str) -> Result<String, String> {
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let value = (self.environment)(name).filter(|value| !value.is_empty());
        value
            .or(default.map(str::to_owned))
            .ok_or_else(|| format!("the environment variable {name} is not set"))
    }

    // The end of the last line is none of it.
    fn read(&mut self, path: &str) -> Result<String, String> {
        let file = self.folder.join(path);
        self.files.push((file.clone(), Stamp::of(&file)));
        let mut text = String::new();
        let read = File::open(&file)
            .and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        if read as u64 > FILE_BYTES_MAX {
            return Err(format!("{} is longer than {FILE_BYTES_MAX} bytes", file.display()));
        }
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(format!("{} is empty", file.display())),
            text => Ok(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substitute(
        text: &str,
        folder: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(toml::Table, Vec<PathBuf>), String> {
        let mut table: toml::Table = text.parse().unwrap();
        let mut sources = Sources { environment, folder, files: Vec::new() };
        sources.substitute(&mut table)?;
        Ok((table, sources.files.into_iter().map(|(file, _)| file).collect()))
    }

    #[test]
    fn texts_are_filled_in_wherever_they_stand() {
        let text = "a = \"${X}-${Y:-why}\"\nb = [{ c = \"${X:-no}\" }]\nd = 1";
        let (table, files) =
            substitute(text, Path::new("."), &|name| (name == "X").then(|| "ex".to_owned())).unwrap();
        assert_eq!(table["a"].as_str(), Some("ex-why"));
        assert_eq!(table["b"][0]["c"].as_str(), Some("ex"));
        assert!(files.is_empty());
    }

    #[test]
    fn a_file_stands_for_a_text_without_the_end_of_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("secrets")).unwrap();
        std::fs::write(folder.path().join("secrets/one"), "first ${X}\r\n\n").unwrap();
        std::fs::write(folder.path().join("two"), "second").unwrap();
        let text = "a = \"<${file:secrets/one}|${file:two}>${X}\"\nb = \"${file:${FOLDER}/two}!\"";
        let here = folder.path().display().to_string();
        let environment = |name: &str| match name {
            "X" => Some("ex".to_owned()),
            "FOLDER" => Some(here.clone()),
            _ => None,
        };
        let (table, files) = substitute(text, folder.path(), &environment).unwrap();
        assert_eq!(table["a"].as_str(), Some("<first ${X}|second>ex"), "a secret is taken as it is");
        assert_eq!(table["b"].as_str(), Some("second!"));
        assert_eq!(files, ["secrets/one", "two", "two"].map(|name| folder.path().join(name)));
    }

    #[test]
    fn what_is_missing_is_named_with_its_field() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        std::fs::write(folder.path().join("bytes"), b"hush-hush\xff").unwrap();
        std::fs::write(folder.path().join("long"), "hush-hush".repeat(10_000)).unwrap();
        for (text, expected) in [
            ("${NOT_SET}", "peers[0].token: the environment variable NOT_SET is not set"),
            ("${X", "peers[0].token: \"${\" without"),
            ("${file:absent}", "peers[0].token: cannot read "),
            ("${file:empty}", "peers[0].token: "),
            ("${file:bytes}", "peers[0].token: cannot read "),
            ("${file:long}", "peers[0].token: "),
            ("${file:${NOT_SET}/a}", "peers[0].token: the environment variable NOT_SET is not set"),
            ("${file:${X:-a}/a", "peers[0].token: \"${file:\" without"),
            ("${file:a", "peers[0].token: \"${file:\" without"),
        ] {
            let error = substitute(&format!("[[peers]]\ntoken = \"{text}\""), folder.path(), &|_| None);
            let error = error.unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
            for name in ["absent", "empty", "bytes", "long"].into_iter().filter(|name| text.contains(name)) {
                assert!(error.contains(&format!("/{name}")), "names the file: {error}");
            }
        }
    }
}
