//! Tokens of single cars: in the configuration itself, or in a file of lines `car-id token` that may change while the
//! node runs.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use recarga_reservation::VehicleId;

use super::Secret;
use super::secret::is_secret;

/// The largest file that is read: some hundred thousand cars.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A car and what it presents.
pub type VehicleToken = (VehicleId, Secret);

/// As configured.
#[derive(Clone, Debug, Default)]
pub struct VehicleTokens {
    /// Those of the configuration itself.
    pub inline: Vec<VehicleToken>,
    /// Where there are more.
    pub file: Option<PathBuf>,
}

impl VehicleTokens {
    /// Whether a call for a car needs that car's token.
    pub fn are_required(&self) -> bool {
        !self.inline.is_empty() || self.file.is_some()
    }

    /// Whether others than its owner can read the file.
    pub fn is_open_to_others(&self) -> bool {
        let mode = self.file.as_ref().and_then(|path| fs::metadata(path).ok()).map(|file| file.mode());
        mode.is_some_and(|mode| mode & 0o007 != 0)
    }
}

/// Reads a file, whose tokens must not be those of other cars in `inline`. A car may have several tokens, so that the old one still opens until the car has the new one.
///
/// # Errors
/// A line that says where and what, and never a token.
pub fn read(path: &Path, inline: &[VehicleToken]) -> Result<Vec<VehicleToken>, String> {
    let named = |reason: String| format!("{}: {reason}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| named(error.to_string()))?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| named(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(named(format!("longer than {FILE_BYTES_MAX} bytes; remove cars that are gone")));
    }
    let tokens = parse(&text).map_err(named)?;
    check_shared(inline.iter().chain(&tokens)).map_err(named)?;
    Ok(tokens)
}

fn parse(text: &str) -> Result<Vec<VehicleToken>, String> {
    let mut tokens: Vec<VehicleToken> = Vec::new();
    for (line, number) in text.lines().zip(1u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (Some(car), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err(format!("line {number}: write the car's id, a space, and its token"));
        };
        let car = VehicleId::new(car).map_err(|error| format!("line {number}: the car's id: {error}"))?;
        if !is_secret(token) {
            return Err(format!("line {number}: the token of {car}: at least 8 printable ASCII characters"));
        }
        tokens.push((car, Secret::from(token)));
    }
    check_shared(&tokens)?;
    Ok(tokens)
}

/// Reads what the configuration says, and checks it against the `other` secrets of it, each with its name.
pub(super) fn check(
    table: BTreeMap<String, Secret>,
    file: Option<PathBuf>,
    others: &[(String, &Secret)],
    problems: &mut Vec<String>,
) -> VehicleTokens {
    const FIELD: &str = "operator.vehicle_tokens";
    let mut inline = Vec::new();
    for (car, token) in table {
        if !is_secret(token.expose()) {
            problems.push(format!("{FIELD}.{car}: at least 8 printable ASCII characters without spaces"));
        }
        match VehicleId::new(&car) {
            Ok(car) => inline.push((car, token)),
            Err(error) => problems.push(format!("{FIELD}: \"{car}\": {error}")),
        }
    }
    let mut all = inline.clone();
    match file.as_deref().map(|path| read(path, &[])).transpose() {
        Ok(more) => all.extend(more.unwrap_or_default()),
        Err(reason) => problems.push(format!("{FIELD}_file: {reason}")),
    }
    if let Err(reason) = check_shared(&all) {
        problems.push(format!("{FIELD}: {reason}"));
    }
    for (car, token) in &all {
        if let Some((field, _)) = others.iter().find(|(_, other)| *other == token) {
            problems
                .push(format!("{FIELD}: {car} has the same token as {field}; callers are told apart by it"));
        }
    }
    VehicleTokens { inline, file }
}

fn check_shared<'a>(tokens: impl IntoIterator<Item = &'a VehicleToken>) -> Result<(), String> {
    let mut holders: HashMap<&str, &VehicleId> = HashMap::new();
    for (car, token) in tokens {
        match holders.insert(token.expose(), car) {
            Some(other) if other != car => {
                return Err(format!("{other} and {car} have the same token; cars are told apart by it"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_car_and_its_token_in_each_line() {
        let tokens =
            parse("# cars\n\ncarro-1 secret-one\r\n  carro-2\tsecret-two\ncarro-1 secret-new\n").unwrap();
        let read: Vec<_> = tokens.iter().map(|(car, token)| (car.as_str(), token.expose())).collect();
        assert_eq!(read, [("carro-1", "secret-one"), ("carro-2", "secret-two"), ("carro-1", "secret-new")]);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named_and_its_token_is_not_shown() {
        for (text, expected) in [
            ("carro-1", "line 1: write the car's id"),
            ("ok-car password-1\ncarro-1 password-2 more", "line 2: write the car's id"),
            ("carro 1 password-1", "line 1: write the car's id"),
            ("carro/1 password-1", "line 1: the car's id"),
            ("carro-1 passwor", "line 1: the token of carro-1"),
            ("carro-1 passwörd-1", "line 1: the token of carro-1"),
            ("carro-1 password-1\ncarro-2 password-1", "carro-1 and carro-2 have the same token"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
            assert!(!error.contains("passw"), "{error}");
        }
    }
}
