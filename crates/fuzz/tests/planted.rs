//! Every property can fail: for each a reader that breaks it, made of good parts, and found among mutations.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use recarga_fuzz::run::Finding;
use recarga_fuzz::targets::properties::{message, round_trip, stops, text_value, verdict};
use recarga_fuzz::targets::replies::believed;
use recarga_fuzz::targets::requests::ask_and_check;
use recarga_fuzz::targets::stored::damage::damaged;
use recarga_fuzz::targets::stored::disk::Disk;
use recarga_fuzz::targets::stored::open;
use recarga_fuzz::{Form, Target, Verdict, corpus};
use recarga_node::store::StoreError;
use recarga_reservation::TimeWindow;
use recarga_wire::session::{ConfirmRequest, SessionAnswer};
use recarga_wire::trip::TripBody;
use recarga_wire::vehicle::VehicleStatus;
use recarga_wire::{Problem, ProblemKind, decode, encode, instant};

/// As many as each target gets in every test run.
const MUTATIONS: u64 = 2_000;
const MUTATIONS_SLOW: u64 = 500;

// Finds it, and says what was found.
fn found(corpus: &str, form: Form, mutations: u64, read: fn(&[u8]) -> Result<Verdict, String>) -> String {
    let kept = corpus::of(corpus).unwrap();
    let target = Target { name: "planted", form, read };
    for kept in &kept {
        if let Err(finding) = target.try_on(&kept.bytes) {
            println!("{corpus}: {} by itself: {}", kept.path.display(), finding.what);
            return finding.what;
        }
    }
    let finding = (0..mutations).find_map(|seed| Some((seed, target.try_seed(&kept, seed).err()?)));
    let (seed, Finding { what, .. }) = finding.expect("the planted defect is not found");
    println!("{corpus}: seed {seed}: {what}");
    what
}

fn seen<T>(value: Option<T>) -> Verdict {
    if value.is_some() { Verdict::Accepted } else { Verdict::Refused }
}

#[test]
fn a_panic() {
    let what = found("hold-request", Form::Json, MUTATIONS, |bytes| {
        let value = serde_json::from_slice::<serde_json::Value>(bytes).unwrap_or_default();
        let stops = value["reservas"].as_array().cloned().unwrap_or_else(|| vec![0.into()]);
        Ok(if stops[0].is_object() { Verdict::Accepted } else { Verdict::Refused })
    });
    assert!(what.starts_with("panics"), "{what}");
}

#[test]
fn a_writer_that_forgets_a_field() {
    let what = found("confirm-request", Form::Json, MUTATIONS, |bytes| {
        let write =
            |request: &ConfirmRequest| encode(&ConfirmRequest { coordenador: None, ..request.clone() });
        round_trip(bytes, |bytes| decode::<ConfirmRequest>(bytes), write).map(seen)
    });
    assert!(what.starts_with("was"), "{what}");
}

#[test]
fn a_writer_that_writes_what_its_reader_refuses() {
    let what = found("vehicle-status", Form::Json, MUTATIONS, |bytes| {
        let write = |status: &VehicleStatus| {
            let text = String::from_utf8(encode(status)).unwrap();
            text.replace(":0.0", ":-0.1").into_bytes()
        };
        round_trip(bytes, |bytes| decode::<VehicleStatus>(bytes), write).map(seen)
    });
    assert!(what.contains("refused when read again"), "{what}");
}

#[test]
fn a_text_that_comes_back_as_another() {
    // As it was before: beyond the last instant that can be written, the last one was.
    #[derive(Debug, PartialEq)]
    struct Seconds(i64);
    impl std::str::FromStr for Seconds {
        type Err = String;
        fn from_str(text: &str) -> Result<Self, String> {
            instant::parse(text).map(|at| Seconds(at.as_millis())).map_err(|reason| reason.to_string())
        }
    }
    impl std::fmt::Display for Seconds {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let whole = self.0.div_euclid(1000) * 1000;
            f.write_str(&instant::format(recarga_reservation::Timestamp::from_millis(whole)))
        }
    }
    let what = found("instant", Form::Text, MUTATIONS, |bytes| {
        text_value::<Seconds>(std::str::from_utf8(bytes).unwrap_or_default())
    });
    assert!(what.contains("something else"), "{what}");
}

#[test]
fn a_refusal_that_names_no_field() {
    let what = found("session-answer", Form::Json, MUTATIONS, |bytes| {
        let read = decode::<SessionAnswer>(bytes).map_err(|problem| Problem { field: None, ..problem });
        verdict(read).map(seen)
    });
    assert!(what.starts_with("no field is named"), "{what}");
}

#[test]
fn a_refusal_that_blames_the_server() {
    let what = found("session-answer", Form::Json, MUTATIONS, |bytes| {
        verdict(decode::<SessionAnswer>(bytes).map_err(|_| Problem::of(ProblemKind::Internal))).map(seen)
    });
    assert!(what.starts_with("status 500"), "{what}");
}

#[test]
fn a_refusal_as_long_as_what_was_sent() {
    let what = found("session-answer", Form::Json, MUTATIONS, |bytes| {
        let sent = String::from_utf8_lossy(bytes).into_owned();
        verdict(decode::<SessionAnswer>(bytes).map_err(|problem| Problem::new(problem.kind, sent).at("x")))
            .map(seen)
    });
    assert!(what.contains("bytes to a bad input"), "{what}");
}

#[test]
fn a_limit_that_is_not_kept() {
    let what = found("trip-request", Form::Json, MUTATIONS, |bytes| {
        // Reads the body and leaves out the checks between its stops.
        let Some(body) = message::<TripBody>(bytes)? else { return Ok(Verdict::Refused) };
        let windows =
            body.paradas.iter().filter_map(|one| TimeWindow::new(one.janela_inicio, one.janela_fim).ok());
        stops(&windows.collect::<Vec<_>>())?;
        Ok(Verdict::Accepted)
    });
    assert!(what.contains("stops") || what.contains("overlaps"), "{what}");
}

#[test]
fn an_answer_that_is_believed_whoever_gives_it() {
    let what = found("peer-reply", Form::Json, MUTATIONS, |bytes| match decode::<SessionAnswer>(bytes) {
        // Nobody looks whose answer it is.
        Ok(_) => believed(200, bytes).map(|()| Verdict::Accepted),
        Err(_) => Ok(Verdict::Refused),
    });
    assert!(what.starts_with("an answer about something else"), "{what}");
    assert!(believed(409, b"{}").is_err(), "a refusal is no success");
}

#[test]
fn a_database_that_is_taken_for_a_new_one() {
    let what = found("damaged-database", Form::Bytes, MUTATIONS_SLOW, |bytes| {
        damaged(bytes, |disk| {
            let read = |disk: Disk| {
                use recarga_node::store::Store;
                open(&disk)?.load()
            };
            // What cannot be read is thrown away.
            read(disk.clone()).or_else(|_: StoreError| Ok(vec![]))
        })
    });
    assert!(what.contains("without a complaint"), "{what}");
}

#[test]
fn a_database_whose_checksums_nobody_verifies() {
    let what = found("damaged-database", Form::Bytes, MUTATIONS_SLOW, |bytes| {
        damaged(bytes, |disk| {
            let unreadable =
                |reason: &str| StoreError::Unreadable { path: "disk".into(), reason: reason.into() };
            // Opened without a look at the pages, and closed: now they are as they ought to be.
            let opened = std::panic::catch_unwind(|| {
                let database = redb::Database::builder().create_with_backend(disk.clone()).map_err(|_| ())?;
                let transaction = database.begin_write().map_err(|_| ())?;
                rewrite(&transaction).map_err(|_| ())?;
                transaction.commit().map_err(|_| ())
            });
            if !matches!(opened, Ok(Ok(()))) {
                return Err(unreadable("it cannot be opened"));
            }
            let load = || {
                use recarga_node::store::Store;
                open(disk)?.load()
            };
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(load)).unwrap_or(Err(unreadable("a panic")))
        })
    });
    assert!(what.contains("without a complaint"), "{what}");
}

// Every row is written again as it was read, and gets a good checksum by it.
fn rewrite(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    use redb::ReadableTable;
    for name in ["branches", "trips", "letters"] {
        let mut table = transaction.open_table(redb::TableDefinition::<&str, &[u8]>::new(name))?;
        let rows =
            table.iter()?.map(|row| row.map(|(key, value)| (key.value().to_owned(), value.value().to_vec())));
        for (key, value) in rows.collect::<Result<Vec<_>, _>>()? {
            table.remove(key.as_str())?;
            table.insert(key.as_str(), value.as_slice())?;
        }
    }
    Ok(())
}

// One request to a node that is wrong: it knows the audit, by which the harness looks at it, and one page.
fn planted_node(page: fn() -> (StatusCode, &'static str, &'static str)) -> Result<Verdict, String> {
    let audit =
        r#"{"empresa":"empresa-a","deposito":"00000000000000000000000000000007","ramos":[],"viagens":[]}"#;
    let answer = move || async move {
        let (status, kind, body) = page();
        (status, [(CONTENT_TYPE, kind)], body)
    };
    let router =
        Router::new().route("/auditoria", get(move || async move { audit })).route("/saude", get(answer));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(ask_and_check(&router, b"GET /saude"))
}

#[test]
fn a_node_that_fails_or_refuses_without_a_problem() {
    const PROBLEM: &str = "application/problem+json";
    let wrong = |page| planted_node(page).expect_err("the planted answer is not found");
    let failed =
        wrong(|| (StatusCode::INTERNAL_SERVER_ERROR, PROBLEM, r#"{"tipo":"erro-interno","status":500}"#));
    assert!(failed.starts_with("status 500"), "{failed}");
    let plain = wrong(|| (StatusCode::NOT_FOUND, "text/plain", "not here"));
    assert!(plain.starts_with("a refusal of type"), "{plain}");
    let another = wrong(|| (StatusCode::CONFLICT, PROBLEM, r#"{"tipo":"nao-encontrado","status":404}"#));
    assert!(another.starts_with("status 409 with a problem of 404"), "{another}");
    let nameless =
        wrong(|| (StatusCode::UNPROCESSABLE_ENTITY, PROBLEM, r#"{"tipo":"campo-invalido","status":422}"#));
    assert!(nameless.starts_with("no field"), "{nameless}");
    let unread = wrong(|| (StatusCode::OK, "application/json", r#"{"estado":"pronto"}"#));
    assert!(unread.starts_with("a success that nobody can read"), "{unread}");
}

#[test]
fn a_node_that_holds_what_it_refused() {
    use std::sync::atomic::{AtomicU8, Ordering};
    static ASKED: AtomicU8 = AtomicU8::new(0);
    // Another database at every look stands for whatever may have changed.
    let audit = || async {
        let look = ASKED.fetch_add(1, Ordering::SeqCst);
        format!(r#"{{"empresa":"empresa-a","deposito":"{look:032x}","ramos":[],"viagens":[]}}"#)
    };
    let refusal = || async {
        let body = encode(&Problem::of(ProblemKind::NotFound));
        (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/problem+json")], body)
    };
    let router = Router::new().route("/auditoria", get(audit)).fallback(refusal);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let wrong = runtime.block_on(ask_and_check(&router, b"GET /nothing")).expect_err("it is not found");
    assert!(wrong.starts_with("a refused request has left something"), "{wrong}");
}
