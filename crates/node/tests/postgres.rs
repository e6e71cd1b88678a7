//! The record in PostgreSQL: the contract, and what only a server of its own can do wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/postgres.rs"]
mod cluster;
#[path = "support/records.rs"]
mod records;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use cluster::Cluster;
use recarga_node::store::postgres::{Address, Leader, PostgresRestoration, PostgresStore};
use recarga_node::store::{Record, Store, StoreError};
use recarga_reservation::{Branch, Fact, Hold, Stop, StoreId, TimeWindow};
use records::{at, hold, operator, put_back, sorted, suite, transaction};
use tokio_util::sync::CancellationToken;

// One server for all: each test has a database.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

fn at_url(url: &str) -> Address {
    Address::new(url, None).unwrap()
}

fn open(url: &str) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&at_url(url), &operator("empresa-a"), Box::new(|_| {}))
}

fn refused(url: &str, name: &str) -> String {
    let opened = Address::new(url, None).and_then(|address| {
        let opened = PostgresStore::open(&address, &operator(name), Box::new(|_| {}));
        opened.map_err(|error| error.to_string())
    });
    let error = opened.err().expect("must be refused");
    assert!(!error.contains("not-told"), "a secret is shown: {error}");
    error
}

#[test]
fn postgres_keeps_the_contract() {
    let url = cluster().database();
    suite(&|| Box::new(open(&url).unwrap()));
}

#[test]
fn a_copy_is_put_back_into_postgres() {
    let url = cluster().database();
    put_back(
        &|boot| Ok(Box::new(PostgresRestoration::begin(&at_url(&url), &operator("empresa-a"), boot)?)),
        &|| Box::new(open(&url).unwrap()),
    );
    let windows = Cluster::look_into(&url).query_one("SELECT count(*) FROM recarga_windows", &[]).unwrap();
    assert!(windows.get::<_, i64>(0) > 0, "PostgreSQL knows what is reserved");
    // And one that pg_restore has put back gets another identity.
    let renewed = open(&url).unwrap().renew(StoreId(2)).unwrap();
    let started = open(&url).unwrap().boot(StoreId(3)).unwrap();
    assert_eq!((started.store, started.epoch), (StoreId(2), renewed.epoch + 1));
    let fresh = open(&cluster().database()).unwrap().renew(StoreId(2)).unwrap_err().to_string();
    assert!(fresh.contains("never been started"), "{fresh}");
}

#[test]
fn it_says_why_a_database_cannot_be_used() {
    let url = cluster().database();
    let held = open(&url).unwrap();
    assert!(refused(&url, "empresa-a").contains("in use by another process"));
    drop(held);
    assert!(refused(&url, "empresa-b").contains("the database of empresa-a, not of empresa-b"));
    let mut hand = Cluster::look_into(&url);
    let mut set = |key: &str, value: Option<&str>| {
        match value {
            Some(value) => hand.execute("UPDATE recarga_meta SET value = $2 WHERE key = $1", &[&key, &value]),
            None => hand.execute("DELETE FROM recarga_meta WHERE key = $1", &[&key]),
        }
        .unwrap();
    };
    set("format", Some("99"));
    assert!(refused(&url, "empresa-a").contains("has format 99, and this program reads up to 2"));
    set("format", None);
    assert!(refused(&url, "empresa-a").contains("no format number"));
    for wrong in [
        url.replace("/company_", "/absent_"),
        url.replace("127.0.0.1:", "127.0.0.1:1"),
        "postgres://recarga:not-told@127.0.0.1:1/x".to_owned(),
        "postgres://recarga:not-told@127.0.0.1:port/x".to_owned(),
    ] {
        refused(&wrong, "empresa-a");
    }
}

#[test]
fn half_an_identity_is_none_and_an_epoch_is_never_used_twice() {
    for (key, value) in [("epoch", Some(u64::MAX.to_string())), ("epoch", None), ("store", None)] {
        let url = cluster().database();
        open(&url).unwrap().boot(StoreId(1)).unwrap();
        let mut hand = Cluster::look_into(&url);
        match value {
            Some(value) => hand.execute("UPDATE recarga_meta SET value = $2 WHERE key = $1", &[&key, &value]),
            None => hand.execute("DELETE FROM recarga_meta WHERE key = $1", &[&key]),
        }
        .unwrap();
        let error = open(&url).unwrap().boot(StoreId(2)).expect_err("must be noticed");
        assert!(error.to_string().contains("damaged"), "{key}: {error}");
    }
}

fn reserved(counter: u64, evse: &str, from: i64, until: i64) -> Record {
    let window = TimeWindow::new(at(from), at(until)).unwrap();
    let stops = vec![Stop { number: 0, evse: evse.parse().unwrap(), window }];
    let hold = Arc::new(Hold { stops, ..(*hold(counter)).clone() });
    Record::Fact(Fact::Branch(transaction(counter), Branch::Confirmed { hold }))
}

// The rules never let it come to this; if they did, PostgreSQL would not.
#[test]
fn no_evse_is_reserved_twice_whatever_the_rules_say() {
    let url = cluster().database();
    let mut store = open(&url).unwrap();
    store.boot(StoreId(1)).unwrap();
    // They touch, or are elsewhere; and what takes the place of another one may overlap it within one step.
    store
        .append(&[reserved(1, "A-1", 0, 10), reserved(2, "A-1", 10, 20), reserved(3, "A-2", 5, 15)])
        .unwrap();
    let released = Record::Fact(Fact::Branch(transaction(1), Branch::Released { hold: hold(1) }));
    store.append(&[reserved(4, "A-1", 2, 8), released]).unwrap();
    let before = sorted(store.load().unwrap());
    let both = [reserved(5, "A-3", 0, 1), reserved(6, "A-1", 19, 21)];
    let error = store.append(&both).expect_err("A-1 is taken until 20").to_string();
    assert!(error.contains("reserved twice at the same time"), "{error}");
    drop(store);
    assert_eq!(sorted(open(&url).unwrap().load().unwrap()), before, "all or none of a call");
}

#[test]
fn who_is_no_longer_the_one_that_has_it_open_writes_nothing() {
    let url = cluster().database();
    let mut first = open(&url).unwrap();
    first.boot(StoreId(1)).unwrap();
    first.append(&[reserved(1, "A-1", 0, 10)]).unwrap();
    let mut hand = Cluster::look_into(&url);
    // As behind a pool that hands connections around: the lock is gone, the connection is not.
    hand.execute("UPDATE recarga_meta SET value = '2' WHERE key = 'epoch'", &[]).unwrap();
    let error = first.append(&[reserved(2, "A-2", 0, 10)]).expect_err("another has started").to_string();
    assert!(error.contains("another process has started"), "{error}");
    // The connection is cut: whether the last write arrived is for the next start to see.
    let mut second = {
        drop(first);
        open(&url).unwrap()
    };
    second.boot(StoreId(9)).unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    hand.execute(cut, &[]).unwrap();
    assert!(second.append(&[reserved(3, "A-3", 0, 10)]).is_err());
    assert!(second.append(&[reserved(4, "A-4", 0, 10)]).is_err(), "nor after that");
    drop(second);
    let mut third = open(&url).unwrap();
    let boot = third.boot(StoreId(9)).unwrap();
    assert_eq!((boot.store, boot.epoch), (StoreId(1), 4));
    assert_eq!(third.load().unwrap(), [reserved(1, "A-1", 0, 10)]);
}

#[test]
fn a_connection_that_is_lost_while_nothing_is_written_is_told_of() {
    let url = cluster().database();
    let (lost, is_lost) = channel();
    let on_lost = Box::new(move |error: &StoreError| lost.send(error.to_string()).unwrap());
    let _idle = PostgresStore::open(&at_url(&url), &operator("empresa-a"), on_lost).unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    Cluster::look_into(&url).execute(cut, &[]).unwrap();
    is_lost.recv_timeout(Duration::from_secs(10)).expect("to be told");
}

// A replica: who leads as it is told, and the store once it leads itself.
struct Replica {
    told: Receiver<Leader>,
    leads: Receiver<Result<Option<PostgresStore>, StoreError>>,
    stop: CancellationToken,
}

fn replica(url: &str, name: &str) -> Replica {
    let ((tell, told), (lead, leads), stop) = (channel(), channel(), CancellationToken::new());
    let candidate = Leader { url: format!("http://{name}:1"), secret: name.to_owned() };
    let (url, stopped) = (url.to_owned(), stop.clone());
    thread::spawn(move || {
        let on_leader = Box::new(move |leader| {
            let _ = tell.send(leader);
        });
        let (company, is_stopping) = (operator("empresa-a"), Box::new(move || stopped.is_cancelled()));
        let leading = PostgresStore::stand_by(
            &at_url(&url),
            &company,
            candidate,
            on_leader,
            is_stopping,
            Box::new(|_| {}),
        );
        let _ = lead.send(leading);
    });
    Replica { told, leads, stop }
}

#[test]
fn one_replica_leads_at_a_time_and_the_next_one_at_once() {
    let (url, patience) = (cluster().database(), Duration::from_secs(10));
    let first = replica(&url, "first");
    let mut leads = first.leads.recv_timeout(patience).unwrap().unwrap().expect("nobody else is there");
    leads.boot(StoreId(1)).unwrap();
    leads.append(&[reserved(1, "A-1", 0, 10)]).unwrap();
    let (second, third) = (replica(&url, "second"), replica(&url, "third"));
    for follower in [&second, &third] {
        let leader = follower.told.recv_timeout(patience).unwrap();
        assert_eq!((leader.url.as_str(), leader.secret.as_str()), ("http://first:1", "first"));
    }
    // Longer than PostgreSQL bears silence: it says something by itself.
    thread::sleep(Duration::from_secs(5));
    leads.append(&[reserved(2, "A-2", 0, 10)]).unwrap();
    assert!(second.leads.try_recv().is_err() && third.leads.try_recv().is_err(), "one at a time");
    third.stop.cancel();
    assert!(third.leads.recv_timeout(patience).unwrap().unwrap().is_none(), "it was told to stop");
    // The machine of the first is gone, or it stands still: PostgreSQL ends its connection.
    Cluster::look_into(&url)
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            &[],
        )
        .unwrap();
    let mut next = second.leads.recv_timeout(patience).unwrap().unwrap().expect("it leads");
    let boot = next.boot(StoreId(9)).unwrap();
    assert_eq!((boot.store, boot.epoch), (StoreId(1), 2));
    assert!(leads.append(&[reserved(3, "A-3", 0, 10)]).is_err(), "it leads no longer");
    assert_eq!(next.load().unwrap().len(), 2);
}

#[test]
fn a_row_that_is_filed_under_another_name_or_of_no_kind_is_noticed() {
    let url = cluster().database();
    let mut store = open(&url).unwrap();
    store.boot(StoreId(1)).unwrap();
    store.append(&[reserved(3, "A-1", 0, 10)]).unwrap();
    let mut hand = Cluster::look_into(&url);
    let other = transaction(77).to_string();
    let update = "UPDATE recarga_rows SET key = $1";
    hand.execute(update, &[&other]).unwrap();
    let error = store.load().expect_err("must be noticed").to_string();
    assert!(error.contains(&other) && error.contains("damaged"), "{error}");
    hand.execute("UPDATE recarga_rows SET kind = 300", &[]).unwrap();
    assert!(store.load().expect_err("must be noticed").to_string().contains("no kind that is known"));
}
