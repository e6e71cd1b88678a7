//! Cities of Brazil by name, with or without accents.

use std::collections::HashMap;
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
    /// Several are called so.
    #[error("several cities are called so")]
    Ambiguous {
        /// All of them, with their states.
        choices: Vec<String>,
    },
    /// Two numbers, but not degrees.
    #[error("not degrees of latitude (-90 to 90) and longitude (-180 to 180)")]
    NotDegrees,
}

/// Every city that is known: those of more than 15,000 people, and smaller ones at highways. The first of each state
/// is its capital. (Where from: `docs/decisions/cities.md`.)
pub fn all() -> &'static [City] {
    static CITIES: LazyLock<Vec<City>> =
        LazyLock::new(|| include_str!("../data/cities.tsv").lines().filter_map(read_row).collect());
    &CITIES
}

/// A city by its name, such as `Recife`, `sao paulo`, `Valença, BA` or `Valença - BA`; or a position in degrees, such
/// as `-8.05,-34.88`, which is its own name. Where several have a name, that of a capital is meant.
///
/// # Errors
/// Nothing is called so, or several cities are.
pub fn find(text: &str) -> Result<City, NoPlace> {
    if let Some(position) = read_position(text) {
        return position.map(|position| City { name: name_of(position), state: String::new(), position });
    }
    let wanted = plain(text);
    let found: Vec<&City> = index().get(&wanted).into_iter().flatten().map(|at| &all()[*at]).collect();
    match found.as_slice() {
        [] => Err(NoPlace::Unknown { alike: alike(&wanted) }),
        [city] => Ok((*city).clone()),
        several => {
            let capital = several.iter().find(|city| is_capital(city));
            let choices = || several.iter().map(ToString::to_string).collect();
            capital.map(|city| (*city).clone()).ok_or_else(|| NoPlace::Ambiguous { choices: choices() })
        }
    }
}

// By name, and by name and state.
fn index() -> &'static HashMap<String, Vec<usize>> {
    static INDEX: LazyLock<HashMap<String, Vec<usize>>> = LazyLock::new(|| {
        let mut index: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, city) in all().iter().enumerate() {
            let name = plain(&city.name);
            index.entry(format!("{name} {}", city.state.to_lowercase())).or_default().push(at);
            index.entry(name).or_default().push(at);
        }
        index
    });
    &INDEX
}

fn is_capital(city: &City) -> bool {
    all().iter().find(|other| other.state == city.state) == Some(city)
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
            ("cascavel, ce", "Cascavel", "CE"),
            ("Cascavel/PR", "Cascavel", "PR"),
            ("Palmas", "Palmas", "TO"),
            ("Palmas, PR", "Palmas", "PR"),
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
    fn of_namesakes_the_driver_chooses() {
        for (text, some) in
            [("Cascavel", "Cascavel, CE"), ("valenca", "Valença, RJ"), ("Itabaiana", "Itabaiana, PB")]
        {
            let Err(NoPlace::Ambiguous { choices }) = find(text) else { panic!("{text} is not one place") };
            assert!(choices.len() >= 2 && choices.iter().any(|choice| choice == some), "{choices:?}");
            for choice in &choices {
                assert_eq!(find(choice).unwrap().to_string(), *choice);
            }
        }
    }

    #[test]
    fn the_table_is_whole_and_has_every_capital() {
        let rows = include_str!("../data/cities.tsv").lines().count();
        assert_eq!(all().len(), rows, "every row is read");
        let states: std::collections::BTreeSet<_> = all().iter().map(|city| &city.state).collect();
        assert_eq!(states.len(), 27);
        assert_eq!(all().iter().filter(|city| is_capital(city)).count(), 27);
        for capital in ["Recife, PE", "Salvador, BA", "Palmas, TO", "Brasília, DF", "Campo Grande, MS"] {
            assert!(is_capital(&find(capital).unwrap()), "{capital}");
        }
        for (at, city) in all().iter().enumerate() {
            let is_same = |other: &City| other.state == city.state && plain(&other.name) == plain(&city.name);
            assert!(!all()[..at].iter().any(is_same), "{city}");
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
        let public: Vec<(String, f64, f64)> = table
            .lines()
            .skip(1)
            .filter_map(|line| {
                let fields: Vec<&str> = line.split(',').collect();
                Some((plain(fields.get(1)?), fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
            })
            .collect();
        for city in all() {
            let (name, Position { latitude, longitude }) = (plain(&city.name), city.position);
            let is_near = |(public, at_latitude, at_longitude): &(String, f64, f64)| {
                *public == name
                    && (latitude - at_latitude).abs() < 0.08
                    && (longitude - at_longitude).abs() < 0.08
            };
            assert!(public.iter().any(is_near), "{city} is not where public data has it");
        }
    }
}
