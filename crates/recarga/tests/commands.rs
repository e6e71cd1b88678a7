//! The commands for drivers and operators against three real nodes: what they print and what they end with.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_recarga");

/// Three nodes, killed when dropped.
struct Federation {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    children: Vec<Child>,
}

impl Federation {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held: Vec<TcpListener> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|one| one.local_addr().unwrap().port()).collect();
        drop(held);
        let mut all = Federation { folder, ports, children: vec![] };
        for company in 0..3 {
            let path = all.path(company, "toml");
            std::fs::write(&path, all.configuration(company)).unwrap();
            let log = File::create(all.path(company, "log")).unwrap();
            let mut serve = Command::new(PROGRAM);
            serve.args(["serve", "--config"]).arg(path).stderr(log);
            all.children.push(serve.spawn().unwrap());
        }
        for company in 0..3 {
            let ready = (0..100).any(|_| {
                std::thread::sleep(Duration::from_millis(50));
                run(&["health", "--url", &all.url(company)]).status.success()
            });
            assert!(ready, "{}", std::fs::read_to_string(all.path(company, "log")).unwrap());
        }
        all
    }

    fn configuration(&self, own: usize) -> String {
        let (id, url) = (name(own), |company: usize| format!("http://127.0.0.1:{}", self.ports[company]));
        let mut text = format!(
            "[operator]\nid = \"{id}\"\nname = \"{id}\"\nlisten = \"127.0.0.1:{}\"\ndata_dir = {:?}\n\
             operator_token = \"operator-of-{id}\"\n[[locations]]\nid = \"L\"\nname = \"L\"\ncity = \"Recife\"\n\
             state = \"PE\"\nlatitude = -8.0\nlongitude = -34.9\ntime_zone = \"America/Recife\"\n\
             tariff = {{ price_kwh = 2.0 }}\n\
             evses = [{{ id = \"{id}-1\", connectors = [{{ id = \"1\", plug = \"CHADEMO\", power_kw = 50 }}] }}]\n",
            self.ports[own],
            self.path(own, "data")
        );
        for other in (0..3).filter(|other| *other != own) {
            text += &format!(
                "[[peers]]\nid = \"{}\"\nurl = \"{}\"\ntoken = \"token-{own}-{other}\"\naccepts = \"token-{other}-{own}\"\n",
                name(other),
                url(other)
            );
        }
        text
    }

    fn path(&self, company: usize, extension: &str) -> PathBuf {
        Path::new(self.folder.path()).join(format!("{}.{extension}", name(company)))
    }

    fn url(&self, company: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[company])
    }

    fn trip(&self, arguments: &[&str]) -> Output {
        let url = self.url(0);
        let mut all = vec!["trip", "--node", &url];
        all.extend(arguments);
        run(&all)
    }

    fn kill(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.kill();
    }
}

fn name(company: usize) -> String {
    format!("empresa-{}", ["a", "b", "c"][company])
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    for name in ["RECARGA_TOKEN", "RECARGA_NODE", "RECARGA_OPERATOR_TOKEN"] {
        command.env_remove(name);
    }
    command.args(arguments).output().unwrap()
}

fn expect(output: &Output, status: i32, parts: &[&str]) {
    let text =
        format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{text}");
    for part in parts {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
}

#[test]
fn a_trip_is_booked_changed_cancelled_and_audited() {
    let mut all = Federation::start();
    let book = ["book", "--vehicle", "carro-1", "--plug", "CHADEMO", "--request", "p1", "--patience", "2s"];
    let stops = ["--stop", "empresa-a/empresa-a-1@+2h/40m", "--stop", "empresa-b/empresa-b-1@+4h..+5h"];
    expect(&all.trip(&[&book[..], &stops].concat()), 0, &["confirmed", "empresa-b-1", "request p1", "UTC"]);
    let listed = all.trip(&["list", "--vehicle", "carro-1", "--json"]);
    expect(&listed, 0, &["\"viagem_id\""]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let trip = listed["viagens"][0]["viagem_id"].as_str().unwrap().to_owned();
    expect(&all.trip(&["show", &trip]), 0, &["carro-1", "coordinated by empresa-a"]);

    let other = ["book", "--vehicle", "carro-2", "--stop", "empresa-c/empresa-c-1@+1h/30m"];
    let taken = ["--stop", "empresa-a/empresa-a-1@+2h10m/40m"];
    let refused = all.trip(&[&other[..], &taken].concat());
    expect(&refused, 1, &["ponto-reservado", "stop: 2", "field: paradas[1].janela_inicio", "free instead"]);
    expect(&all.trip(&["show", "unknown"]), 1, &["nao-encontrado"]);
    expect(&all.trip(&["list", "--vehicle", "carro-2"]), 1, &["no trips"]);
    expect(&all.trip(&["book", "--vehicle", "carro-2", "--stop", "empresa-a@+2h"]), 2, &["no /"]);
    expect(&all.trip(&["book", "--vehicle", "carro 2", "--stop", "x"]), 2, &["--vehicle"]);

    // The confirmations of the booking must have been acknowledged before it can be changed.
    let audit = audit_of_nodes(&all);
    expect(&audit, 0, &["Audit of 3 companies", "1 confirmed with 2 stops", "The audit holds"]);
    let change = ["change", &trip, "--vehicle", "carro-1", "--stop", "empresa-c/empresa-c-1@+6h/1h"];
    expect(&all.trip(&change), 0, &["confirmed", "empresa-c-1"]);
    expect(&audit_of_nodes(&all), 0, &["1 confirmed with 1 stop, 0 cancelled, 1 changed", "The audit holds"]);
    expect(&all.trip(&["cancel", &trip]), 0, &["cancelled", "released"]);
    expect(&audit_of_nodes(&all), 0, &["0 confirmed with 0 stops, 1 cancelled, 1 changed"]);

    let folders: Vec<String> = (0..3).map(|one| all.path(one, "data").display().to_string()).collect();
    expect(&run(&["audit", &folders[0]]), 1, &["in use by another process"]);
    all.kill();
    expect(&run(&["audit", &folders[0], &folders[1]]), 0, &["not examined: empresa-c", "what was examined"]);
    expect(&run(&["audit", &folders[0], &folders[0]]), 1, &["two sources speak for empresa-a"]);
    let json = run(&["audit", "--json", &folders[0], &folders[1], &folders[2]]);
    expect(&json, 0, &["\"trips_cancelled\": 1", "\"findings\": []"]);
    expect(&all.trip(&["show", &trip]), 1, &["is the node running?"]);
    expect(&run(&["audit", "--url", &all.url(0)]), 1, &["write one --token for each --url"]);
}

fn audit_of_nodes(all: &Federation) -> Output {
    let pairs: Vec<String> = (0..3)
        .flat_map(|one| {
            ["--url".into(), all.url(one), "--token".into(), format!("operator-of-{}", name(one))]
        })
        .collect();
    let arguments: Vec<&str> = ["audit"].into_iter().chain(pairs.iter().map(String::as_str)).collect();
    run(&arguments)
}

#[test]
fn the_archive_is_printed_by_day() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let history = |more: &[&str]| run(&[&["history", "--data", data], more].concat());
    assert_eq!(printed(&history(&[])), "", "there is no archive yet");
    // 2026-01-31 23:00 and 2026-02-01 00:00 UTC, the first one twice.
    let line = |ended: i64, key: &str, row: i64| {
        format!("{{\"ended\":{ended},\"table\":\"trips\",\"key\":\"{key}\",\"row\":{row}}}\n")
    };
    let archive = folder.path().join("archive");
    std::fs::create_dir(&archive).unwrap();
    let (old, new) = (line(1_769_900_400_000, "a", 1), line(1_769_900_400_000, "a", 2));
    let february = line(1_769_904_000_000, "b", 3);
    std::fs::write(archive.join("2026-01.jsonl"), format!("{old}{{\"end\n{new}")).unwrap();
    std::fs::write(archive.join("2026-02.jsonl"), &february).unwrap();
    assert_eq!(printed(&history(&[])), format!("{new}{february}"));
    assert_eq!(printed(&history(&["--until", "2026-02-01"])), new);
    assert_eq!(printed(&history(&["--since", "2026-02-01"])), february);
    expect(&history(&[]), 0, &["or damaged: 1"]);
    expect(&history(&["--since", "today"]), 2, &["write one as 2026-01-31"]);
    expect(&run(&["history", "--data", "/absent"]), 1, &["is it the data folder?"]);
}

#[test]
fn wrong_arguments_are_named_before_anything_starts() {
    for (arguments, parts) in [
        (&["demo", "--cars", "0"][..], &["--cars", "1..=5000"][..]),
        (&["demo", "--cars", "-1"], &["--cars", "1..=5000"]),
        (&["demo", "--speed", "0"], &["--speed", "from 1 to 100000"]),
        (&["plan", "--battery", "-5"], &["--battery", "from 0 to 100"]),
        (&["plan", "--reserve", "-5%"], &["--reserve", "from 0 to 100"]),
        (&["restore", "--config", "a.toml"], &["--from", "--in-place"]),
        (&["restore", "--config", "a.toml", "--in-place", "--from", "b"], &["cannot be used with"]),
    ] {
        expect(&run(arguments), 2, parts);
    }
}

#[test]
fn a_port_in_use_is_said_once() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("a.toml");
    let text = "[operator]\nid = \"a\"\nname = \"A\"\nlisten = \"127.0.0.1:0\"\ndata_dir = \"d\"\n[mqtt]\n\
                url = \"mqtt://127.0.0.1:1\"\nusername = \"a\"\npassword = \"hush-hush\"\n";
    std::fs::write(&config, text).unwrap();
    let address = held.local_addr().unwrap().to_string();
    let output = run(&["broker", "--listen", &address, config.to_str().unwrap()]);
    expect(&output, 1, &["cannot listen on", &address]);
    let said = String::from_utf8_lossy(&output.stderr).to_string();
    assert_eq!(said.matches("os error").count(), 1, "{said}");
}

#[test]
fn who_reads_only_the_beginning_of_completions_is_no_reason_to_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(PROGRAM).args(["completions", "bash"]).stdout(writer).output().unwrap();
    expect(&output, 0, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

// A service or a container has no USER.
#[test]
fn who_decides_is_known_by_number_where_there_is_no_name() {
    let mut force = Command::new(PROGRAM);
    let transaction = format!("empresa-a.{0}.1.1.{0}", "0".repeat(32));
    let _ = force.env_remove("USER").args(["in-doubt", "force", &transaction, "abort", "--reason", "r"]);
    // Nobody answers there: that is found out after the arguments were taken.
    let output = force.args(["--url", "http://127.0.0.1:1", "--token", "operators-token"]).output().unwrap();
    expect(&output, 1, &["127.0.0.1:1"]);
}

fn printed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_benchmark_measures_audits_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let output = run(&["bench", "trips", "--clients", "2", "--quick", "--json", "--data", &data]);
    expect(&output, 0, &["\"audit_holds\": true", "\"failed\": 0", "\"refused\": 0"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let level = &report["levels"][0];
    assert!(level["trips_per_second"].as_f64().unwrap() > 0.0, "{level}");
    assert!(level["flushes_per_trip"].as_f64().unwrap() > 0.0, "{level}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
