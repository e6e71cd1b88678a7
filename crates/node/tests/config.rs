//! Configurations: the demo's are good, and whatever is wrong with one is said with its field, never with a secret.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use recarga_node::config::{Config, Limits, Secret};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks/demo")
}

fn text() -> String {
    std::fs::read_to_string(demo().join("empresa-a.toml")).unwrap()
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "a.toml", &demo(), &|_| None).map_err(|error| error.to_string())
}

// The message about the demo's configuration with one thing changed.
fn error(from: &str, to: &str) -> String {
    let text = text();
    assert!(text.contains(from), "the demo has no {from:?} any more");
    match parse(&text.replacen(from, to, 1)) {
        Ok(_) => panic!("{to:?} is taken for {from:?}"),
        Err(error) => error,
    }
}

fn with_limit(line: &str) -> Result<Config, String> {
    parse(&text().replacen("[limits]\n", &format!("[limits]\n{line}\n"), 1))
}

#[test]
fn the_demo_is_a_federation() {
    let names = ["empresa-a", "empresa-b", "empresa-c"];
    let read = |name: &&str| Config::read(&demo().join(format!("{name}.toml"))).unwrap();
    let configs: Vec<Config> = names.iter().map(read).collect();
    for config in &configs {
        assert!(config.warnings().is_empty(), "{:?}", config.warnings());
        for peer in &config.peers {
            // The same two secrets stand, swapped, in the other's file.
            let other = configs.iter().find(|other| other.operator == peer.id).unwrap();
            let back = other.peers.iter().find(|back| back.id == config.operator).unwrap();
            assert_eq!(
                (&[peer.token.clone()][..], &peer.accepts[..]),
                (&back.accepts[..], &[back.token.clone()][..])
            );
            assert_eq!(peer.url, format!("http://{}", other.listen));
        }
        assert_eq!(config.peers.len(), 2);
    }
    let stations = || configs.iter().flat_map(|config| &config.stations);
    assert!(stations().map(|station| station.evses.len()).sum::<usize>() >= 120);
    let states: std::collections::BTreeSet<_> = stations().map(|station| &station.state).collect();
    assert!(states.len() >= 8, "{states:?}");
}

#[test]
fn the_environment_fills_in() {
    let environment = |name: &str| match name {
        "RECARGA_LISTEN" => Some("0.0.0.0:9000".to_owned()),
        "RECARGA_OPERATOR_TOKEN" => Some("another-secret".to_owned()),
        _ => None,
    };
    let config = Config::parse(&text(), "a.toml", &demo(), &environment).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.operator_tokens[0].expose(), "another-secret");
    // Open to others with the tokens of the public demo: that must be said.
    let warnings = config.warnings().join("\n");
    assert!(warnings.contains("driver_tokens") && warnings.contains("demo"), "{warnings}");
    assert!(!warnings.contains("another-secret"));
}

#[test]
fn a_roll_that_could_not_be_written_is_warned_about() {
    let authority = recarga_federation::Authority::new([1; 32]).public();
    let key = recarga_federation::CompanyKey::new([2; 32]);
    let warnings = |members: &str| {
        let table = format!(
            "[federation]\nmembers = \"{members}\"\nauthority = \"{authority}\"\nkey = \"{}\"\n",
            key.expose()
        );
        parse(&format!("{table}{}", text())).unwrap().warnings()
    };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    assert_eq!(warnings(&format!("{place}/roll.json")), Vec::<String>::new());
    let missing = warnings(&format!("{place}/missing/roll.json"));
    assert!(
        missing[0].contains("federation.members") && missing[0].contains("cannot be written"),
        "{missing:?}"
    );
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    for (table, place) in [
        ("[operator]", "operator"),
        ("[mqtt]", "mqtt"),
        ("[[peers]]", "peers[0]"),
        ("[[locations]]", "locations[0]"),
    ] {
        let message = error(table, &format!("{table}\ncolour = \"red\""));
        assert!(message.contains(place) && message.contains("colour"), "{message}");
    }
    let nested = [("{ price_kwh", "{ colour = 1, price_kwh"), ("{ id = \"1\"", "{ colour = 1, id = \"1\"")];
    for (from, to) in nested {
        let message = error(from, to);
        assert!(message.contains("locations[0]") && message.contains("colour"), "{message}");
    }
    for line in ["colour = 1", "body_bytes = 1024"] {
        let message = with_limit(line).unwrap_err();
        assert!(message.contains("limits") && message.contains("unknown field"), "{message}");
    }
    let message = parse(&format!("colour = 1\n{}", text())).unwrap_err();
    assert!(message.contains("colour"), "{message}");
}

#[test]
fn missing_and_mistyped_keys_are_named() {
    for (from, to, place, what) in [
        ("id             = \"empresa-a\"", "", "operator", "`id`"),
        ("name           = \"Jangada Recargas\"", "", "operator", "`name`"),
        ("[operator]", "[operador]", "operador", "unknown field"),
        ("latitude  =  -8.0900", "", "locations[0]", "`latitude`"),
        ("latitude  =  -8.0900", "latitude = \"south\"", "locations[0].latitude", "string"),
        ("power_kw = 150", "power_kw = true", "locations[0].evses[0].connectors[0].power_kw", "boolean"),
        ("name           = \"Jangada Recargas\"", "name = 5", "operator.name", "integer"),
    ] {
        let message = error(from, to);
        assert!(message.starts_with("a.toml: "), "{message}");
        assert!(message.contains(place) && message.contains(what), "{to}: {message}");
    }
}

#[test]
fn every_problem_names_its_field() {
    for (from, to, field) in [
        ("id             = \"empresa-a\"", "id = \"empresa a\"", "operator.id"),
        ("${RECARGA_LISTEN:-127.0.0.1:8001}", "localhost", "operator.listen"),
        ("${RECARGA_OPERATOR_TOKEN:-demo-operator-a}", "short", "operator.operator_token"),
        ("${RECARGA_MQTT_URL:-mqtt://127.0.0.1:1883}", "tcp://127.0.0.1:1883", "mqtt.url"),
        ("${RECARGA_URL_EMPRESA_B:-http://127.0.0.1:8002}", "http://127.0.0.1:8002/api", "peers[0].url"),
        ("${RECARGA_URL_EMPRESA_B:-http://127.0.0.1:8002}", "https://127.0.0.1:8002", "peers[0].url"),
        ("${RECARGA_TOKEN_A_TO_B:-demo-a-to-b}", "with a space", "peers[0].token"),
        ("${RECARGA_TOKEN_C_TO_A:-demo-c-to-a}", "demo-b-to-a", "peers[1].accepts"),
        ("id      = \"empresa-c\"", "id = \"empresa-b\"", "peers[1].id"),
        ("id      = \"empresa-b\"", "id = \"empresa-a\"", "peers[0].id"),
        ("id        = \"A-REC-01\"", "id = \"A/REC\"", "locations[0].id"),
        ("latitude  =  -8.0900", "latitude = -98.0", "locations[0].latitude"),
        ("longitude = -34.9150", "longitude = nan", "locations[0].longitude"),
        ("latitude  =  -8.0900", "altitude_m = 9001\nlatitude = -8.09", "locations[0].altitude_m"),
        ("state     = \"PE\"", "state = \"Pernambuco\"", "locations[0].state"),
        ("time_zone = \"America/Recife\"", "time_zone = \"Recife\"", "locations[0].time_zone"),
        ("price_kwh = 2.15", "price_kwh = -2.15", "locations[0].tariff.price_kwh"),
        ("activation_fee = 2.00", "activation_fee = inf", "locations[0].tariff.activation_fee"),
        ("activation_fee = 2.00", "idle_fee_minute = -1", "locations[0].tariff.idle_fee_minute"),
        (
            "activation_fee = 2.00",
            "bands = [{ from = \"25:00\", to = \"06:00\", price_kwh = 1 }]",
            "locations[0].tariff.bands[0].from",
        ),
        (
            "activation_fee = 2.00",
            "bands = [{ from = \"22:00\", to = \"06:00\", price_kwh = -1 }]",
            "locations[0].tariff.bands[0].price_kwh",
        ),
        ("id = \"A-REC-01-1\"", "id = \"A-REC-01-2\"", "locations[0].evses[1].id"),
        ("plug = \"IEC_62196_T2_COMBO\"", "plug = \"CCS2\"", "locations[0].evses[0].connectors[0].plug"),
        ("power_kw = 150", "power_kw = 0", "locations[0].evses[0].connectors[0].power_kw"),
        ("{ id = \"2\", plug", "{ id = \"1\", plug", "locations[0].evses[0].connectors[1].id"),
    ] {
        let message = error(from, to);
        assert!(message.contains(&format!("  - {field}: ")), "{to}: {message}");
    }
    // All that is wrong is said at once.
    let text = text()
        .replace("latitude  =  -8.0900", "latitude = 91")
        .replace("state     = \"PE\"", "state = \"pe\"");
    let message = parse(&text).unwrap_err();
    assert!(message.contains("locations[0].latitude") && message.contains("locations[0].state"), "{message}");
    let message = error("[operator]", "location_files = [\"absent.toml\"]\n[operator]");
    assert!(message.contains("location_files[0]") && message.contains("absent.toml"), "{message}");
    let message = error("name           = \"Jangada Recargas\"", "name = \"${NOT_SET_ANYWHERE}\"");
    assert!(message.contains("operator.name") && message.contains("NOT_SET_ANYWHERE"), "{message}");
    let absent = Config::read(&demo().join("absent.toml")).unwrap_err().to_string();
    assert!(absent.contains("absent.toml"), "{absent}");
}

#[test]
fn every_limit_has_limits() {
    let (small, large) = (["0"], ["9223372036854775807", "1000000000000"]);
    for name in [
        "body_bytes_max",
        "connections_max",
        "head_seconds_max",
        "request_seconds_max",
        "decide_seconds_max",
        "peer_answer_seconds_max",
        "window_hours_max",
        "ahead_days_max",
        "soft_hold_seconds_max",
        "undecided_evse_hours_max",
        "inquire_after_millis",
        "tombstone_hours",
        "history_days",
        "offer_days",
        "offer_evses_max",
    ] {
        for value in small.iter().chain(&large) {
            let message = with_limit(&format!("{name} = {value}")).unwrap_err();
            assert!(message.contains(&format!("limits.{name}: {value} is too ")), "{message}");
        }
        for value in ["-1", "1.5", "\"1\"", "true"] {
            let message = with_limit(&format!("{name} = {value}")).unwrap_err();
            assert!(message.contains(&format!("limits.{name}")), "{message}");
        }
    }
    let message = with_limit("grace_seconds = 9223372036854775807").unwrap_err();
    assert!(message.contains("limits.grace_seconds"), "{message}");
    for (name, value) in [("undecided_holds_max", "4294967296"), ("client_requests_per_second_max", "-5")] {
        let message = with_limit(&format!("{name} = {value}")).unwrap_err();
        assert!(message.contains(&format!("limits.{name}")), "{message}");
    }
    // A tombstone that goes too soon would let a late yes in; a request that ends before the decision could not tell.
    assert!(with_limit("tombstone_hours = 23").unwrap_err().contains("limits.tombstone_hours"));
    let message = with_limit("decide_seconds_max = 20").unwrap_err();
    assert!(message.contains("limits.request_seconds_max: 15 is too small; at least 41"), "{message}");
    // Some may be switched off.
    let limits = with_limit("archive_days = 0\nhistory_days = 10").unwrap().limits;
    assert_eq!((limits.archive(), limits.history().as_secs()), (None, 10 * 24 * 3600));
    let archive = with_limit("archive_days = 1\nhistory_days = 10").unwrap().limits.archive();
    assert_eq!(archive.map(|keep| keep.as_secs()), Some(11 * 24 * 3600));
    assert!(with_limit("archive_days = 36601").unwrap_err().contains("limits.archive_days"));
    let config = with_limit("decide_seconds_max = 7\nwindow_hours_max = 3").unwrap();
    assert_eq!((config.limits.decide_seconds_max, config.limits.window_hours_max), (7, 3));
    assert_eq!(config.limits.body_bytes_max, Limits::default().body_bytes_max);
    let _ = config.limits.hold_limits();
}

#[test]
fn secrets_are_never_printed() {
    let secrets =
        ["demo-operator-a", "demo-mqtt-a", "demo-a-to-b", "demo-b-to-a", "demo-a-to-c", "demo-c-to-a"];
    let config =
        parse(&text().replacen("[operator]", "[operator]\ndriver_tokens = [\"drivers-secret\"]", 1)).unwrap();
    let shown = format!("{config:?} {config:#?}");
    for secret in secrets.iter().chain(&["drivers-secret"]) {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert!(shown.contains("***") && shown.contains("Jangada Recargas"));
    // Neither when what stands there is wrong: too short, no text, unfinished, or in a URL.
    for (from, to, secret) in [
        ("${RECARGA_TOKEN_A_TO_B:-demo-a-to-b}", "hush hush", "hush hush"),
        ("\"${RECARGA_TOKEN_A_TO_B:-demo-a-to-b}\"", "20261201", "20261201"),
        ("\"${RECARGA_TOKEN_A_TO_B:-demo-a-to-b}\"", "hush-hush", "hush-hush"),
        ("\"${RECARGA_OPERATOR_TOKEN:-demo-operator-a}\"", "\"hush-hush", "hush-hush"),
        ("\"${RECARGA_OPERATOR_TOKEN:-demo-operator-a}\"", "[[\"hush-hush\"]]", "hush-hush"),
        ("${RECARGA_MQTT_PASSWORD:-demo-mqtt-a}", "${HUSH", "hush-hush"),
        ("${RECARGA_MQTT_URL:-mqtt://127.0.0.1:1883}", "mqtt://me:hush-hush@broker:1883", "hush-hush"),
        ("${RECARGA_URL_EMPRESA_B:-http://127.0.0.1:8002}", "http://hush-hush@b:8002", "hush-hush"),
        ("${RECARGA_TOKEN_C_TO_A:-demo-c-to-a}", "demo-b-to-a", "demo-b-to-a"),
    ] {
        let message = error(from, to);
        assert!(!message.contains(secret), "{message}");
    }
    let message = error("\"${RECARGA_OPERATOR_TOKEN:-demo-operator-a}\"", "\"hush-hush");
    assert!(message.contains("line 17, column "), "still says where: {message}");
}

#[test]
fn an_old_and_a_new_token_stand_side_by_side() {
    let from = "\"${RECARGA_TOKEN_B_TO_A:-demo-b-to-a}\"";
    let config = parse(&text().replace(from, "[\"the-new-one\", \"the-old-one\"]")).unwrap();
    let accepts: Vec<_> = config.peers[0].accepts.iter().map(Secret::expose).collect();
    assert_eq!(accepts, ["the-new-one", "the-old-one"]);
    for (to, expected) in [
        ("[]", "peers[0].accepts: write one token, or a list of at most 3"),
        ("[\"hush-1-1\", \"hush-2-2\", \"hush-3-3\", \"hush-4-4\"]", "peers[0].accepts: write one token, or"),
        ("[\"hush-1-1\", \"hush-1-1\"]", "peers[0].accepts: a token stands twice"),
        ("[\"hush-1-1\", \"hush\"]", "peers[0].accepts: at least 8"),
        ("[\"hush-1-1\", \"demo-c-to-a\"]", "peers[1].accepts: the same as peers[0].accepts"),
        ("[\"hush-1-1\", 7]", "peers[0].accepts: not a text, nor a list"),
    ] {
        let message = error(from, to);
        assert!(message.contains(expected), "{to}: {message}");
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn tls_to_the_broker_is_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["broker".to_owned()]).unwrap();
    for (file, text) in [
        ("own.pem", made.cert.pem()),
        ("own.key", made.signing_key.serialize_pem()),
        ("password", "hush-hush\n".to_owned()),
    ] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let parse = |lines: &str| {
        let (before, after) = text().split_once("[mqtt]").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (_, after) = after.split_once("[[peers]]").unwrap();
        let text = format!("{before}[mqtt]\n{lines}\n[[peers]]{after}");
        Config::parse(&text, "a.toml", folder.path(), &|_| None).map_err(|error| error.to_string())
    };
    let secure = "url = \"mqtts://broker:8883\"\nca = \"own.pem\"\n";
    let mqtt = parse(&format!("{secure}certificate = \"own.pem\"\nkey = \"own.key\"")).unwrap().mqtt.unwrap();
    let own = mqtt.tls.and_then(|tls| tls.own).unwrap();
    assert_eq!((own.key, mqtt.username), (folder.path().join("own.key"), None));
    let by_password = format!("{secure}username = \"empresa-a\"\npassword = \"${{file:password}}\"");
    let mqtt = parse(&by_password).unwrap().mqtt.unwrap();
    assert_eq!(
        mqtt.password.as_ref().map(|password| password.expose()),
        Some("hush-hush"),
        "without the end of the line"
    );
    assert!(!format!("{mqtt:?}").contains("hush-hush"));
    let plain = "url = \"mqtt://broker:1883\"";
    for (lines, field, cure) in [
        ("url = \"mqtts://broker:8883\"".to_owned(), "mqtt.ca", "who sign the broker's"),
        ("url = \"mqtts://broker\"\nca = \"own.pem\"".to_owned(), "mqtt.url", "mqtts://HOST:PORT"),
        (format!("{plain}\nca = \"own.pem\""), "mqtt.ca", "write mqtts://"),
        (
            format!("{plain}\ncertificate = \"own.pem\"\nkey = \"own.key\""),
            "mqtt.certificate",
            "write mqtts://",
        ),
        (format!("{secure}certificate = \"own.pem\""), "mqtt.key", "name that file"),
        (format!("{secure}key = \"own.key\""), "mqtt.certificate", "name that file"),
        (secure.replace("own.pem", "absent.pem"), "mqtt.ca", "absent.pem: "),
        (secure.replace("own.pem", "own.key"), "mqtt.ca", "recarga certs"),
        (
            format!("{secure}certificate = \"absent.pem\"\nkey = \"own.key\""),
            "mqtt.certificate",
            "absent.pem: ",
        ),
        (format!("{secure}certificate = \"own.pem\"\nkey = \"own.pem\""), "mqtt.key", "own.pem: "),
        (format!("{plain}\npassword = \"hush-hush\""), "mqtt.username", "needs a user name"),
    ] {
        let message = parse(&lines).unwrap_err();
        assert!(message.contains(&format!("  - {field}: ")) && message.contains(cure), "{lines}: {message}");
        assert!(!message.contains("hush-hush"), "{message}");
    }
}
