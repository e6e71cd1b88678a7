//! `"${NAME}"` and `"${NAME:-default}"` inside the texts of a configuration.

/// Substitutes in every text of the table.
///
/// # Errors
/// A line that names the field: an unset variable without a default, or an unfinished `${`.
pub fn substitute(
    table: &mut toml::Table,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    for (key, value) in table.iter_mut() {
        substitute_value(value, environment).map_err(|(path, reason)| format!("{key}{path}: {reason}"))?;
    }
    Ok(())
}

fn substitute_value(
    value: &mut toml::Value,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(), (String, String)> {
    match value {
        toml::Value::String(text) if text.contains("${") => {
            *text = expand(text, environment).map_err(|reason| (String::new(), reason))?;
        }
        toml::Value::Array(values) => {
            for (index, value) in values.iter_mut().enumerate() {
                substitute_value(value, environment)
                    .map_err(|(path, reason)| (format!("[{index}]{path}"), reason))?;
            }
        }
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                substitute_value(value, environment)
                    .map_err(|(path, reason)| (format!(".{key}{path}"), reason))?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (inside, behind) = after.split_once('}').ok_or("\"${\" without \"}\"")?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        match (environment(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => expanded.push_str(&value),
            (None, Some(default)) => expanded.push_str(default),
            (None, None) => return Err(format!("the environment variable {name} is not set")),
        }
        rest = behind;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_in_wherever_they_stand() {
        let mut table: toml::Table =
            "a = \"${X}-${Y:-why}\"\nb = [{ c = \"${X:-no}\" }]\nd = 1".parse().unwrap();
        substitute(&mut table, &|name| (name == "X").then(|| "ex".to_owned())).unwrap();
        assert_eq!(table["a"].as_str(), Some("ex-why"));
        assert_eq!(table["b"][0]["c"].as_str(), Some("ex"));
    }

    #[test]
    fn what_is_missing_is_named_with_its_field() {
        let mut table: toml::Table = "[[peers]]\ntoken = \"${NOT_SET}\"".parse().unwrap();
        let error = substitute(&mut table, &|_| None).unwrap_err();
        assert_eq!(error, "peers[0].token: the environment variable NOT_SET is not set");
        let mut table: toml::Table = "a = \"${X\"".parse().unwrap();
        assert!(substitute(&mut table, &|_| None).unwrap_err().starts_with("a: "));
    }
}
