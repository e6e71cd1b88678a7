//! `recarga plan` from outside: a problem whose answer is known by hand, every way in which there is none, and files that
//! are wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::{Command, Output};

use serde_json::{Value, json};

/// 300 km at 60 km/h with 0.2 kWh/km: 60 kWh, of which 50 are there and 5 should be left. So 15 kWh are missing, which
/// take 15 minutes at 60 kW.
fn problem() -> Value {
    json!({
        "departure": "2026-12-01T08:00:00-03:00",
        "origin": {"lat": -8.05, "lon": -34.88}, "destination": {"lat": -12.97, "lon": -38.5},
        "vehicle": {
            "usable_kwh": 60, "soc_kwh": 50, "reserve_kwh": 5, "consumption_kwh_per_km": 0.2, "speed_kmh": 60,
            "plugs": ["IEC_62196_T2_COMBO"], "charge_curve": [[0, 60], [60, 60]]
        },
        "stops_max": 3, "setup_minutes": 5, "objective": {"price_weight": 0, "stop_minutes": 0},
        "stations": [station("s1", "empresa-a", 2.0), station("s2", "empresa-b", 1.0)],
        "legs_km": [[0, 200, 200, 300], [200, 0, 10, 100], [200, 10, 0, 110], [300, 100, 110, 0]]
    })
}

fn station(id: &str, operator: &str, price_kwh: f64) -> Value {
    json!({
        "id": id, "operator": operator, "lat": -9.6, "lon": -35.7,
        "connectors": [{
            "id": "c1", "plug": "IEC_62196_T2_COMBO", "kw": 60, "price_kwh": price_kwh,
            "free": [["2026-12-01T14:30:00Z", "2026-12-01T18:00:00Z"]]
        }]
    })
}

// Runs the program; the second argument changes the problem.
fn run(change: impl FnOnce(&mut Value)) -> Output {
    let mut problem = problem();
    change(&mut problem);
    run_on(&problem.to_string())
}

fn run_on(text: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_recarga"));
    program.args(["plan", "--json", "--problem"]).arg(file.path()).output().unwrap()
}

fn answer(change: impl FnOnce(&mut Value)) -> Value {
    let output = run(change);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_plan_is_what_arithmetic_says() {
    let answer = answer(|_| {});
    assert_eq!(answer["feasible"], true);
    assert_eq!(answer["arrival"], "2026-12-01T16:30:00Z", "{answer}");
    for (field, value) in [("driving_minutes", 300.0), ("charging_minutes", 15.0), ("waiting_minutes", 10.0)]
    {
        assert!((answer[field].as_f64().unwrap() - value).abs() < 1e-6, "{field}: {answer}");
    }
    assert_eq!(answer["price"].as_f64(), Some(30.0));
    let stop = &answer["stops"][0];
    assert_eq!((stop["station"].as_str(), stop["connector"].as_str()), (Some("s1"), Some("c1")));
    assert_eq!(stop["arrive"], "2026-12-01T14:20:00Z");
    assert_eq!(
        (&stop["start"], &stop["end"]),
        (&json!("2026-12-01T14:30:00Z"), &json!("2026-12-01T14:50:00Z"))
    );
    assert_eq!((stop["arrive_kwh"].as_f64(), stop["leave_kwh"].as_f64()), (Some(10.0), Some(25.0)));
    assert_eq!(answer["stops"].as_array().unwrap().len(), 1);
}

#[test]
fn wishes_change_the_plan() {
    let stations = |answer: &Value| answer["stops"][0]["station"].as_str().unwrap().to_owned();
    let cheap = answer(|problem| problem["objective"]["price_weight"] = json!(10));
    assert_eq!(stations(&cheap), "s2");
    // Charging begins at 11:35 local time.
    let at_noon = |from: &'static str, to: &'static str| {
        stations(&answer(|problem| {
            problem["objective"]["price_weight"] = json!(10);
            problem["stations"][0]["utc_offset_minutes"] = json!(-180);
            problem["stations"][0]["connectors"][0]["price_bands"] = json!([[from, to, 0.5]]);
        }))
    };
    assert_eq!((at_noon("11:00", "12:00"), at_noon("17:00", "11:00")), ("s1".into(), "s2".into()));
    let without = answer(|problem| problem["excluded_operators"] = json!(["empresa-a"]));
    assert_eq!(stations(&without), "s2");
    let via = answer(|problem| {
        problem["via"] = json!([{"lat": -9, "lon": -35}]);
        for row in problem["legs_km"].as_array_mut().unwrap() {
            row.as_array_mut().unwrap().push(json!(100));
        }
        problem["legs_km"].as_array_mut().unwrap().push(json!([100, 100, 100, 150, 0]));
    });
    assert_eq!(via["driving_minutes"].as_f64(), Some(300.0));
}

/// A change, and words of the reason.
type Dead = (fn(&mut Value), &'static str);

#[test]
fn why_there_is_no_plan_is_said_by_name() {
    let cases: [Dead; 6] = [
        (|problem| problem["vehicle"]["plugs"] = json!(["CHADEMO"]), "CHADEMO"),
        (|problem| problem["legs_km"][1][3] = json!(280), "after s1"),
        (|problem| problem["vehicle"]["soc_kwh"] = json!(40), "after the origin"),
        (|problem| problem["stops_max"] = json!(0), "takes 1 stops"),
        (|problem| problem["vehicle"]["soc_kwh"] = json!(4), "less than the reserve"),
        (|problem| problem["departure"] = json!("2026-12-01T18:00:00Z"), "no free window"),
    ];
    for (change, words) in cases {
        let answer = answer(|problem| {
            problem["legs_km"][2][3] = json!(if words.starts_with("after") { 280 } else { 110 });
            change(problem);
        });
        assert_eq!(answer["feasible"], false, "{answer}");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{words}: {answer}");
    }
}

#[test]
fn wrong_files_are_refused_with_the_field_and_the_cure() {
    let connector = "/stations/0/connectors/0";
    let cases = [
        ("/departure", json!("2026-12-01"), "departure: \"2026-12-01\" is no instant"),
        ("/origin/lat", json!(-91), "latitude"),
        ("/vehicle/soc_kwh", json!(61), "vehicle.soc_kwh"),
        ("/vehicle/usable_kwh", json!(-1), "vehicle.usable_kwh"),
        ("/vehicle/reserve_kwh", json!(60), "vehicle.reserve_kwh"),
        ("/vehicle/plugs", json!([]), "vehicle.plugs"),
        ("/vehicle/plugs", json!(["CCS"]), "vehicle.plugs[0]: \"CCS\""),
        ("/vehicle/charge_curve", json!([[30, 60], [0, 60]]), "vehicle.charge_curve"),
        ("/vehicle/speed_kmh", json!(0), "speed_kmh"),
        ("/vehicle/consumption_kwh_per_km", json!(-0.1), "consumption_kwh_per_km"),
        ("/stops_max", json!(13), "stops_max"),
        ("/stops_max", json!(-1), "stops_max"),
        ("/setup_minutes", json!(-5), "setup_minutes"),
        ("/objective/price_weight", json!(-1), "objective.price_weight"),
        ("/objective/prize", json!(1), "objective.prize: unknown field"),
        ("/legs_km/2/0", json!(20_001), "legs_km[2][0]: 20001"),
        ("/legs_km/1", json!([1, 2]), "legs_km[1]: 2 distances for 4 places"),
        ("/legs_km", json!([[0]]), "legs_km: 1 rows for 4 places"),
        (&format!("{connector}/kw"), json!(0), "stations.connectors.kw"),
        (&format!("{connector}/plug"), json!(null), "stations[0].connectors[0].plug"),
        (&format!("{connector}/price_kwh"), json!(-1), "stations.connectors.price_kwh"),
        (
            &format!("{connector}/price_bands"),
            json!([["18:00", "24:00", 1.0]]),
            "stations[0].connectors[0].price_bands[0]",
        ),
        (
            &format!("{connector}/free/0/1"),
            json!("2026-12-01T14:30:00Z"),
            "stations[0].connectors[0].free[0]",
        ),
        (
            &format!("{connector}/charge_minutes"),
            json!([[0, 0], [50, 1]]),
            "stations[0].connectors[0].charge_minutes",
        ),
    ];
    for (pointer, value, message) in cases {
        let output = run(|problem| {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            match problem.pointer_mut(parent).unwrap() {
                Value::Array(all) => all[key.parse::<usize>().unwrap()] = value,
                Value::Object(all) => drop(all.insert(key.to_owned(), value)),
                other => panic!("{other}"),
            }
        });
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{pointer}: {error}");
        assert!(error.contains(message) && error.lines().count() == 1, "{pointer}: {error}");
        assert!(output.stdout.is_empty());
    }
    for text in
        ["", "[]", "{}", "{", "null", &"[".repeat(10_000), &problem().to_string().replace("0.2", "1e999")]
    {
        assert_eq!(run_on(text).status.code(), Some(2), "{text:.50}");
    }
}
