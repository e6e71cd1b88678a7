//! Cities of Brazil by name, with or without accents.

use std::fmt;
use std::sync::LazyLock;

use recarga_planning::Position;
use thiserror::Error;

/// Names offered where one is not known.
const SUGGESTIONS: usize = 3;

/// A city.
#[derive(Clone, Debug, PartialEq)]
pub struct City {
    /// With its accents.
    pub name: String,
    /// Federative unit, two letters.
    pub state: String,
    /// Its centre, to about a kilometre.
    pub position: Position,
}

impl fmt::Display for City {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.name, self.state)
    }
}

/// A text that is no place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoPlace {
    /// Nothing is called so.
    #[error("no city is called so")]
    Unknown {
        /// What is called much alike.
        alike: Vec<String>,
    },
    /// Two numbers, but not degrees.
    #[error("not degrees of latitude (-90 to 90) and longitude (-180 to 180)")]
    NotDegrees,
}

/// Every city that is known.
pub fn all() -> &'static [City] {
    static CITIES: LazyLock<Vec<City>> =
        LazyLock::new(|| include_str!("../data/cities.tsv").lines().filter_map(read_row).collect());
    &CITIES
}

/// A city by its name, such as `Recife`, `sao paulo`, `Valença, BA` or `Valença - BA`; or a position in degrees, such
/// as `-8.05,-34.88`, which is its own name.
///
/// # Errors
/// Nothing is called so.
pub fn find(text: &str) -> Result<City, NoPlace> {
    if let Some(position) = read_position(text) {
        return position.map(|position| City { name: name_of(position), state: String::new(), position });
    }
    let wanted = plain(text);
    let is_it = |city: &&City| {
        let name = plain(&city.name);
        wanted == name || wanted == format!("{name} {}", city.state.to_lowercase())
    };
    all().iter().find(is_it).cloned().ok_or_else(|| NoPlace::Unknown { alike: alike(&wanted) })
}

fn name_of(position: Position) -> String {
    let Position { latitude, longitude } = position;
    format!("{latitude:.4},{longitude:.4}")
}

fn read_row(line: &str) -> Option<City> {
    let mut fields = line.split('\t');
    Some(City {
        name: fields.next()?.to_owned(),
        state: fields.next()?.to_owned(),
        position: Position {
            latitude: fields.next()?.parse().ok()?,
            longitude: fields.next()?.parse().ok()?,
        },
    })
}

// Some if it is meant as numbers.
fn read_position(text: &str) -> Option<Result<Position, NoPlace>> {
    let (latitude, longitude) = text.split_once(',')?;
    let (latitude, longitude) = (latitude.trim().parse().ok()?, longitude.trim().parse().ok()?);
    let is_one = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
    Some(if is_one { Ok(Position { latitude, longitude }) } else { Err(NoPlace::NotDegrees) })
}

// Small letters without accents, words parted by one space.
fn plain(text: &str) -> String {
    let letter = |letter: char| match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    };
    let lower = text.to_lowercase();
    // An apostrophe parts no word, and combining accents (text in NFD) are dropped.
    let kept = lower.chars().filter(|one| !matches!(one, '\'' | '’' | '\u{300}'..='\u{36f}'));
    let spaced: String = kept.map(letter).map(|one| if one.is_alphanumeric() { one } else { ' ' }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn alike(wanted: &str) -> Vec<String> {
    // A long text is no misspelt city; the distance would be long to find, too.
    if wanted.is_empty() || wanted.chars().count() > 60 {
        return Vec::new();
    }
    let mut near: Vec<(usize, String)> = all()
        .iter()
        .map(|city| (edits(wanted, &plain(&city.name)), city.to_string()))
        .filter(|(edits, _)| *edits <= 2 + wanted.chars().count() / 4)
        .collect();
    near.sort();
    near.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

// How many letters must be put in, left out or changed to make one of the other.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cities_are_found_however_they_are_written() {
        for (text, name, state) in [
            ("Recife", "Recife", "PE"),
            ("são paulo", "São Paulo", "SP"),
            ("SAO PAULO", "São Paulo", "SP"),
            ("  Feira   de Santana ", "Feira de Santana", "BA"),
            ("Vitória, ES", "Vitória", "ES"),
            ("vitoria - es", "Vitória", "ES"),
            ("Brasi\u{301}lia", "Brasília", "DF"),
            ("Santana do Livramento", "Sant'Ana do Livramento", "RS"),
            ("ji parana", "Ji-Paraná", "RO"),
        ] {
            let city = find(text).unwrap();
            assert_eq!((city.name.as_str(), city.state.as_str()), (name, state), "{text}");
        }
        let place = find("-8.05, -34.88").unwrap();
        assert_eq!((place.position.latitude, place.position.longitude), (-8.05, -34.88));
        assert_eq!(place.name, "-8.0500,-34.8800");
    }

    #[test]
    fn what_is_no_place_is_told_with_what_is_alike() {
        let Err(NoPlace::Unknown { alike }) = find("Resife") else { panic!("it is none") };
        assert_eq!(alike.first().map(String::as_str), Some("Recife, PE"));
        for text in ["", "🚗", "Recife, SP", "12", "x,y", &"a".repeat(10_000)] {
            assert!(matches!(find(text), Err(NoPlace::Unknown { .. })), "{text:.20}");
        }
        for text in ["91,0", "0,-181", "nan,0", "inf,0", "1e999,3"] {
            assert!(find(text).is_err(), "{text}");
        }
        assert_eq!(find("91,0"), Err(NoPlace::NotDegrees));
    }

    #[test]
    fn the_table_is_whole_and_has_every_capital() {
        let rows = include_str!("../data/cities.tsv").lines().count();
        assert_eq!(all().len(), rows, "every row is read");
        let states: std::collections::BTreeSet<_> = all().iter().map(|city| &city.state).collect();
        assert_eq!(states.len(), 27);
        for (at, city) in all().iter().enumerate() {
            assert!(!all()[..at].iter().any(|other| plain(&other.name) == plain(&city.name)), "{city}");
            let Position { latitude, longitude } = city.position;
            assert!((-34.0..=5.5).contains(&latitude) && (-74.0..=-34.0).contains(&longitude), "{city}");
        }
    }

    // Reads public data where it lies beside the project; it is no part of it.
    #[test]
    fn the_table_agrees_with_public_data() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        let Ok(table) = std::fs::read_to_string(folder.join("kelvins_municipios.csv")) else {
            eprintln!("SKIPPED: no ../shared/data/kelvins_municipios.csv to compare with");
            return;
        };
        for city in all() {
            let near = table.lines().skip(1).any(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                let degrees = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
                fields.get(1).is_some_and(|name| plain(name) == plain(&city.name))
                    && degrees(2).is_some_and(|latitude| (latitude - city.position.latitude).abs() < 0.06)
                    && degrees(3).is_some_and(|longitude| (longitude - city.position.longitude).abs() < 0.06)
            });
            assert!(near, "{city} is not where public data has it");
        }
    }
}
