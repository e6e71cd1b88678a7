//! From bytes to messages, and from what is wrong with the bytes to problems that name the field and the cure.

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeOwned};
use serde_json::error::Category;
use serde_path_to_error::{Segment, Track};

use crate::fields;
use crate::problem::{Problem, ProblemKind};
use crate::text::shown;

/// Reads a message: one JSON object. The caller bounds the length, to [`BODY_LENGTH_MAX`](crate::BODY_LENGTH_MAX)
/// where a driver or a company may write it.
///
/// # Errors
/// A [`Problem`] with the path of the first thing that is wrong, and how to write it.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    // Keeping the path costs an allocation for each key, so it is looked for only once something is wrong.
    read(bytes).map_or_else(|| read_with_path(bytes), Ok)
}

/// Reads a query string, the part of a URL after `?`, without it.
///
/// # Errors
/// As [`decode`].
pub fn decode_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let mut track = Track::new();
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    let message = T::deserialize(serde_path_to_error::Deserializer::new(pairs, &mut track));
    message.map_err(|error| explain_data(&error.to_string(), path(&track.path())))
}

fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Option<T> {
    // All of it: of what nobody reads, the JSON reader would let pass what is no text.
    let text = std::str::from_utf8(bytes).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let message = fields::object::deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(message)
}

#[cold]
fn read_with_path<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Problem> {
    if let Err(error) = std::str::from_utf8(bytes) {
        let detail = format!("o byte {} não é UTF-8; envie o texto em UTF-8", error.valid_up_to());
        return Err(Problem::new(ProblemKind::MalformedBody, detail));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let message = match fields::object::deserialize(tracked) {
        Ok(message) => message,
        Err(error) => return Err(explain_value(bytes, &error, path(&track.path()))),
    };
    json.end().map_err(|error| explain(&error, String::new()))?;
    Ok(message)
}

// A value that cannot be what is asked for ends some readers as if the JSON were broken.
fn explain_value(bytes: &[u8], error: &serde_json::Error, path: String) -> Problem {
    let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    let what = error.to_string();
    let is_of_form = ["expected value", "trailing characters"].iter().any(|form| what.starts_with(form));
    if is_of_form && !path.is_empty() && is_json() {
        return invalid("o valor não tem a forma esperada neste campo; veja em /docs o que cabe aqui", &path);
    }
    explain(error, path)
}

fn explain(error: &serde_json::Error, path: String) -> Problem {
    let text = error.to_string();
    // The library appends where; that place is told apart from what.
    let what = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    match error.classify() {
        Category::Data => explain_data(what, path),
        _ if what == "number out of range" => invalid("o número é grande demais", &path),
        _ => {
            let (line, column) = (error.line(), error.column());
            let detail = format!("{} na linha {line}, coluna {column}", syntax(what));
            Problem::new(ProblemKind::MalformedBody, detail)
        }
    }
}

fn syntax(what: &str) -> &'static str {
    match what {
        "EOF while parsing a value" => "falta um valor: o texto acaba",
        _ if what.starts_with("EOF") => "o texto acaba antes do fim do JSON",
        "trailing characters" => "sobram caracteres depois do fim do JSON",
        "trailing comma" => "sobra uma vírgula",
        "expected `:`" => "falta `:` depois do nome do campo",
        "expected `,` or `}`" => "falta `,` ou `}`",
        "expected `,` or `]`" => "falta `,` ou `]`",
        "key must be a string" => "o nome de um campo deve estar entre aspas",
        "invalid escape" => "há uma sequência `\\` inválida em um texto",
        "recursion limit exceeded" => "há listas ou objetos aninhados demais",
        _ if what.starts_with("control character") => "há um caractere de controle em um texto",
        _ => "o JSON está malformado",
    }
}

// The messages are those of serde's derived readers, which carry nothing else; the tests below hold them.
fn explain_data(what: &str, mut path: String) -> Problem {
    if let Some(name) = what.strip_prefix("missing field ").and_then(first_quoted) {
        join(&mut path, name);
        let detail = format!("falta o campo `{name}`; acrescente-o");
        return Problem::new(ProblemKind::MissingField, detail).at(path);
    }
    if let Some(rest) = what.strip_prefix("unknown field `") {
        let (name, accepted) = split_choices(rest);
        if !path.ends_with(name) {
            join(&mut path, name);
        }
        let detail = format!("o campo `{}` não existe aqui; os campos são: {accepted}", shown(name));
        return Problem::new(ProblemKind::UnknownField, detail).at(shown(&path));
    }
    let detail = if let Some(rest) = what.strip_prefix("unknown variant `") {
        let (name, accepted) = split_choices(rest);
        Cow::Owned(format!("o valor `{}` não existe aqui; use um de: {accepted}", shown(name)))
    } else if let Some((got, wanted)) =
        what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: ")).and_then(split_expected)
    {
        Cow::Owned(format!("veio {}, mas se espera {}", received(got), expected(wanted)))
    } else if let Some((got, wanted)) = what.strip_prefix("invalid length ").and_then(split_expected) {
        Cow::Owned(format!("a lista tem {got} valores, mas se espera {}", expected(wanted)))
    } else if let Some(name) = what.strip_prefix("duplicate field ").and_then(first_quoted) {
        if !path.ends_with(name) {
            join(&mut path, name);
        }
        Cow::Borrowed("o campo aparece duas vezes; deixe um só")
    } else {
        Cow::Owned(what.to_owned())
    };
    invalid(detail, &path)
}

// Of a field, or of the whole body.
fn invalid(detail: impl Into<Cow<'static, str>>, path: &str) -> Problem {
    match path {
        "" => Problem::new(ProblemKind::MalformedBody, detail),
        path => Problem::new(ProblemKind::InvalidField, detail).at(shown(path)),
    }
}

fn path(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => join(&mut text, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

fn join(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

fn first_quoted(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.split('`').next()
}

// "name`, expected one of `a`, `b`": the name comes from outside and may itself contain anything.
fn split_choices(text: &str) -> (&str, String) {
    let end = text.rfind("`, expected ").or_else(|| text.rfind("`, there are no "));
    let (name, rest) = end.map_or((text, ""), |end| text.split_at(end));
    let choices = rest.trim_start_matches("`, expected ").trim_start_matches("one of ");
    (name, choices.replace(" or ", ", ").replace('`', ""))
}

// "string "a, expected b", expected X": the last one separates.
fn split_expected(text: &str) -> Option<(&str, &str)> {
    let end = text.rfind(", expected ")?;
    Some((&text[..end], &text[end + ", expected ".len()..]))
}

fn received(got: &str) -> Cow<'_, str> {
    for (english, portuguese) in [
        ("string ", "o texto "),
        ("integer ", "o número "),
        ("floating point ", "o número "),
        ("boolean ", "o valor "),
    ] {
        if let Some(value) = got.strip_prefix(english) {
            return Cow::Owned(format!("{portuguese}{}", shown(value)));
        }
    }
    match got {
        "null" => Cow::Borrowed("null"),
        "map" => Cow::Borrowed("um objeto"),
        "sequence" => Cow::Borrowed("uma lista"),
        other => shown(other),
    }
}

fn expected(wanted: &str) -> Cow<'_, str> {
    let of_size = wanted.strip_prefix("a tuple of size ").or(wanted.strip_prefix("an array of length "));
    if let Some(size) = of_size {
        return Cow::Owned(format!("uma lista de {size} valores"));
    }
    Cow::Borrowed(match wanted {
        "u8" | "u16" | "u32" | "u64" | "usize" => "um número inteiro, zero ou maior",
        "i64" | "i32" => "um número inteiro",
        "f64" | "f32" => "um número",
        "a string" | "a borrowed string" => "um texto",
        "a boolean" => "true ou false",
        "a sequence" => "uma lista",
        "a map" => "um objeto JSON",
        other if other.starts_with("struct ") => "um objeto JSON",
        other => other,
    })
}
