//! What routing services are asked, and what they answer.

use std::fmt::Write;

use recarga_planning::{Position, Road};
use serde::{Deserialize, Serialize};

/// Whose interface a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `GET /table/v1/driving/...` (<https://project-osrm.org/docs/v5.24.0/api/#table-service>).
    Osrm,
    /// `POST /sources_to_targets` (<https://valhalla.github.io/valhalla/api/matrix/api-reference/>).
    Valhalla,
}

/// A request, to be sent below the service's address.
#[derive(Debug, PartialEq)]
pub struct Question {
    /// Path and query.
    pub path: String,
    /// To be posted, if there is one.
    pub body: Option<Vec<u8>>,
}

#[derive(Deserialize)]
struct OsrmAnswer {
    // Metres and seconds; none where there is no road.
    distances: Vec<Vec<Option<f64>>>,
    durations: Vec<Vec<Option<f64>>>,
}

#[derive(Serialize)]
struct ValhallaQuestion {
    sources: Vec<ValhallaPlace>,
    targets: Vec<ValhallaPlace>,
    costing: &'static str,
    units: &'static str,
}

#[derive(Serialize)]
struct ValhallaPlace {
    lat: f64,
    lon: f64,
}

#[derive(Deserialize)]
struct ValhallaAnswer {
    sources_to_targets: Vec<Vec<ValhallaRoad>>,
}

// Kilometres and seconds.
#[derive(Deserialize)]
struct ValhallaRoad {
    distance: Option<f64>,
    time: Option<f64>,
}

impl Dialect {
    /// Asks for the roads from each of some places to each of others.
    pub fn ask(self, from: &[Position], to: &[Position]) -> Question {
        match self {
            Dialect::Osrm => Question { path: osrm_path(from, to), body: None },
            Dialect::Valhalla => {
                let places = |places: &[Position]| {
                    let place = |one: &Position| ValhallaPlace { lat: one.latitude, lon: one.longitude };
                    places.iter().map(place).collect()
                };
                let question = ValhallaQuestion {
                    sources: places(from),
                    targets: places(to),
                    costing: "auto",
                    units: "kilometers",
                };
                // Numbers and constant texts can always be written.
                let body = serde_json::to_vec(&question).unwrap_or_default();
                Question { path: "/sources_to_targets".to_owned(), body: Some(body) }
            }
        }
    }

    /// The roads, a row for each of the first places.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub fn read(self, answer: &[u8], rows: usize, columns: usize) -> Result<Vec<Vec<Road>>, String> {
        let roads = match self {
            Dialect::Osrm => {
                let answer: OsrmAnswer = parse(answer)?;
                let durations = answer.durations.into_iter();
                let row = |(distances, durations): (Vec<Option<f64>>, Vec<Option<f64>>)| {
                    if distances.len() != durations.len() {
                        return Vec::new();
                    }
                    let pairs = distances.into_iter().zip(durations);
                    pairs.map(|(metres, seconds)| road(metres.map(|m| m / 1000.0), seconds)).collect()
                };
                answer.distances.into_iter().zip(durations).map(row).collect::<Vec<Vec<Road>>>()
            }
            Dialect::Valhalla => {
                let answer: ValhallaAnswer = parse(answer)?;
                let row =
                    |row: Vec<ValhallaRoad>| row.iter().map(|one| road(one.distance, one.time)).collect();
                answer.sources_to_targets.into_iter().map(row).collect()
            }
        };
        match roads.len() == rows && roads.iter().all(|row| row.len() == columns) {
            true => Ok(roads),
            false => Err(format!("the answer is no table of {rows} rows and {columns} columns")),
        }
    }
}

fn osrm_path(from: &[Position], to: &[Position]) -> String {
    let mut path = "/table/v1/driving/".to_owned();
    for (number, place) in from.iter().chain(to).enumerate() {
        let separator = if number == 0 { "" } else { ";" };
        // A text takes whatever is written.
        let _ = write!(path, "{separator}{:.5},{:.5}", place.longitude, place.latitude);
    }
    let list = |numbers: std::ops::Range<usize>| {
        numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(";")
    };
    let (sources, destinations) = (list(0..from.len()), list(from.len()..from.len() + to.len()));
    let _ = write!(
        path,
        "?sources={sources}&destinations={destinations}&annotations=distance,duration&generate_hints=false"
    );
    path
}

fn parse<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(answer).map_err(|error| format!("not understood: {error}"))
}

fn road(km: Option<f64>, seconds: Option<f64>) -> Road {
    match (km, seconds) {
        (Some(km), Some(seconds)) => {
            let (km, minutes) = (km as f32, (seconds / 60.0) as f32);
            let is_one = |number: f32| (0.0..=100_000.0).contains(&number);
            // Whatever else it means, nobody can drive it.
            if is_one(km) && is_one(minutes) { Road::Known { km, minutes } } else { Road::Nowhere }
        }
        _ => Road::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIFE: Position = Position { latitude: -8.05, longitude: -34.88 };
    const MACEIO: Position = Position { latitude: -9.6658, longitude: -35.7353 };

    #[test]
    fn both_are_asked_as_they_want_to_be() {
        let osrm = Dialect::Osrm.ask(&[RECIFE], &[MACEIO, RECIFE]);
        let path = "/table/v1/driving/-34.88000,-8.05000;-35.73530,-9.66580;-34.88000,-8.05000\
                    ?sources=0&destinations=1;2&annotations=distance,duration&generate_hints=false";
        assert_eq!(osrm, Question { path: path.into(), body: None });
        let valhalla = Dialect::Valhalla.ask(&[RECIFE], &[MACEIO]);
        assert_eq!(valhalla.path, "/sources_to_targets");
        let body: serde_json::Value = serde_json::from_slice(&valhalla.body.unwrap()).unwrap();
        let expected = serde_json::json!({"sources": [{"lat": -8.05, "lon": -34.88}],
            "targets": [{"lat": -9.6658, "lon": -35.7353}], "costing": "auto", "units": "kilometers"});
        assert_eq!(body, expected);
    }

    #[test]
    fn both_are_understood() {
        let known = Road::Known { km: 256.5, minutes: 210.0 };
        let osrm = br#"{"code":"Ok","sources":[],"destinations":[],
            "distances":[[256500.0,null]],"durations":[[12600.0,null]]}"#;
        assert_eq!(Dialect::Osrm.read(osrm, 1, 2), Ok(vec![vec![known, Road::Nowhere]]));
        let valhalla = br#"{"units":"kilometers","sources_to_targets":[[
            {"distance":256.5,"time":12600,"to_index":0,"from_index":0},
            {"distance":null,"time":null,"to_index":1,"from_index":0}]]}"#;
        assert_eq!(Dialect::Valhalla.read(valhalla, 1, 2), Ok(vec![vec![known, Road::Nowhere]]));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for dialect in [Dialect::Osrm, Dialect::Valhalla] {
            for answer in [
                &b""[..],
                b"{}",
                b"[]",
                br#"{"distances":[[1.0]],"durations":[[1.0,2.0]],"sources_to_targets":[[]]}"#,
                br#"{"distances":[],"durations":[],"sources_to_targets":[]}"#,
                br#"{"distances":[[1,2],[3,4]],"durations":[[1,2],[3,4]],"sources_to_targets":[[{}]]}"#,
            ] {
                assert!(dialect.read(answer, 1, 2).is_err(), "{}", String::from_utf8_lossy(answer));
            }
        }
        let odd = br#"{"distances":[[-1.0,1e300]],"durations":[[1.0,1.0]]}"#;
        assert_eq!(Dialect::Osrm.read(odd, 1, 2), Ok(vec![vec![Road::Nowhere; 2]]));
    }
}
