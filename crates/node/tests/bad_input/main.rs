//! Whatever is wrong with a request: one problem document that names the field and the cure, and nothing half-done.
//!
//! A row is a request and the refusal that it must meet. Rows about single fields are made from the tables of fields
//! in `fields`; what concerns a whole request stands row by row in `holds`, `trips`, `queries` and `mqtt`. To add a
//! row, add a line there: [`Bench::refuses`] checks all that is true of every refusal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

#[path = "../support/mod.rs"]
mod support;

mod fields;
mod holds;
mod mqtt;
mod mutations;
mod queries;
mod trips;

use std::collections::HashSet;
use std::sync::Mutex;

use recarga_wire::ProblemKind;
use serde_json::Value;

use support::http::{Answer, Call};
use support::{OPERATOR, Plan, STRANGER, TestNode, eventually, start_with, token};

/// A request and the refusal that it must meet.
struct Row {
    what: String,
    call: Call,
    status: u16,
    tipo: &'static str,
    campo: Option<String>,
}

/// `campo` is empty where a refusal concerns no field.
fn row(what: impl Into<String>, call: Call, status: u16, tipo: &'static str, campo: &str) -> Row {
    let campo = (!campo.is_empty()).then(|| campo.to_owned());
    Row { what: what.into(), call, status, tipo, campo }
}

/// Two companies; `empresa-a` is asked.
struct Bench {
    nodes: Vec<TestNode>,
    // The kinds of problem whose page was seen.
    explained: Mutex<HashSet<String>>,
}

impl Bench {
    async fn start() -> Self {
        // What a window may be is asked here, not what a car may have.
        let limits = "vehicle_booked_hours_max = 0".to_owned();
        Self::start_with(|_| Plan { limits: limits.clone(), ..Plan::default() }).await
    }

    async fn start_with(plan: impl Fn(&str) -> Plan) -> Self {
        let nodes = start_with(&["empresa-a", "empresa-b"], plan).await;
        Self { nodes, explained: Mutex::default() }
    }

    fn node(&self) -> &TestNode {
        &self.nodes[0]
    }

    /// Sends every row and checks the refusal, and that nothing has changed by it. Says all that is wrong at once.
    async fn refuses(&self, rows: Vec<Row>) {
        assert!(!rows.is_empty());
        let (count, mut wrong) = (rows.len(), Vec::new());
        let before = self.snapshot().await;
        for row in rows {
            let path: String = row.call.path.chars().take(120).collect();
            let what = format!("{}: {} {path}", row.what, row.call.method);
            if let Err(reason) = self.check(row).await {
                wrong.push(format!("{what}: {reason}"));
            }
            self.unchanged(&what, &before).await;
        }
        assert!(wrong.is_empty(), "{} of {count} rows:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn check(&self, row: Row) -> Result<(), String> {
        let answer = self.node().send(row.call).await;
        let shown = format!("{} {}", answer.status, answer.text());
        ensure(answer.status == row.status, || format!("not {}: {shown}", row.status))?;
        self.check_answer(&answer).await.map_err(|reason| format!("{reason}: {shown}"))?;
        let problem = answer.json();
        ensure(problem["tipo"] == row.tipo, || format!("not {}: {shown}", row.tipo))?;
        let campo = problem["campo"].as_str();
        ensure(campo == row.campo.as_deref(), || format!("campo is not {:?}: {shown}", row.campo))
    }

    /// What is true of every refusal by REST.
    async fn check_answer(&self, answer: &Answer) -> Result<(), String> {
        let media_type = answer.header("content-type");
        ensure(media_type == "application/problem+json", || format!("the type is {media_type:?}"))?;
        // What was sent may be repeated, but not at any length.
        ensure(answer.body.len() <= 2_000, || format!("{} bytes", answer.body.len()))?;
        let problem = answer.json();
        check_problem(&problem)?;
        ensure(problem["status"] == answer.status, || "another status inside".to_owned())?;
        match answer.status {
            401 => ensure(answer.header("www-authenticate") == "Bearer", || "no challenge".to_owned())?,
            405 => ensure(!answer.header("allow").is_empty(), || "no Allow".to_owned())?,
            _ => {}
        }
        let page = problem["type"].as_str().unwrap();
        if self.explained.lock().unwrap().insert(page.to_owned()) {
            let answer = self.node().send(Call::get(page)).await;
            let is_page = answer.status == 200 && answer.header("content-type").starts_with("text/html");
            let explains = answer.text().contains(problem["title"].as_str().unwrap());
            ensure(is_page && explains, || format!("no page at {page}"))?;
        }
        Ok(())
    }

    /// What the two companies hold, have committed and offer. Tombstones do not count: they hold nothing.
    async fn snapshot(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for node in &self.nodes {
            let (mut branches, trips) = node.audit().await;
            branches.retain(|branch| branch["estado"] != "abortada");
            let offer = node.get(period()).await;
            let figures = node.figures(&["recarga_in_doubt", "recarga_trips_waiting"]).await;
            all.push(serde_json::json!([branches, trips, offer["pontos"], figures]));
        }
        all
    }

    /// Nothing half-done is left. What another company held for a refused trip goes a moment later.
    async fn unchanged(&self, what: &str, before: &[Value]) {
        let what = format!("nothing half-done after {what}");
        eventually(&what, || async { (self.snapshot().await == before).then_some(()) }).await;
    }
}

/// All the time in which the rows could leave anything.
fn period() -> &'static str {
    static PATH: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    PATH.get_or_init(|| {
        format!("/disponibilidade?de={}&ate={}", support::bodies::from_now(0), support::bodies::at(48 * 60))
    })
}

/// What is true of every problem, whichever way it comes.
fn check_problem(problem: &Value) -> Result<(), String> {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    let tipo = text("tipo");
    let kind = ProblemKind::from_code(tipo).ok_or_else(|| format!("not in the catalogue: {tipo:?}"))?;
    ensure(text("type") == format!("/problemas/{tipo}"), || "another type".to_owned())?;
    ensure(text("title") == kind.title(), || "another title".to_owned())?;
    ensure(problem["status"] == kind.status(), || "another status".to_owned())?;
    let detail = text("detail");
    ensure(detail.len() > 10, || "says nothing".to_owned())?;
    // What the libraries say is in English; nothing of it may reach a driver.
    let english = ["expected", "invalid", "missing", "unknown", "duplicate", "error", "failed", " at line "];
    let said = english.iter().find(|word| detail.to_lowercase().contains(**word));
    ensure(said.is_none(), || format!("in English ({said:?})"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// A token that opens what the request needs.
fn company(call: Call) -> Call {
    call.token(&token(STRANGER, "empresa-a"))
}

fn operator(call: Call) -> Call {
    call.token(OPERATOR)
}
