//! The tables in PostgreSQL, how they came to be, and what a database says of itself.

use std::collections::HashMap;

use postgres::GenericClient;
use recarga_reservation::OperatorId;

use super::Session;
use super::leading::{Leader, is_no_table};
use crate::store::{Boot, StoreError};

/// Of whoever has the database open; nobody else's in a database that is a company's own.
pub const LOCK: i64 = 0x5265_6361_7267_6101;

/// Each of them once, in order, never changed again. The number of the last one is the format.
const MIGRATIONS: &[&str] = &[
    // 1: what a company remembers, in the shape of store/rows.rs, and every window that is reserved. The latter follows
    // from the former; it is there so that PostgreSQL, too, refuses what must never be.
    "CREATE TABLE recarga_rows (
         kind smallint NOT NULL,
         key text NOT NULL,
         value text NOT NULL,
         PRIMARY KEY (kind, key)
     );
     CREATE EXTENSION IF NOT EXISTS btree_gist;
     CREATE TABLE recarga_windows (
         evse text NOT NULL,
         period int8range NOT NULL,
         transaction text NOT NULL,
         CONSTRAINT recarga_reserved_once EXCLUDE USING gist (evse WITH =, period WITH &&)
             DEFERRABLE INITIALLY DEFERRED
     );
     CREATE INDEX recarga_windows_transaction ON recarga_windows (transaction);",
    // 2: which of several replicas leads, and how it knows the others.
    "CREATE TABLE recarga_leader (
         sole boolean PRIMARY KEY DEFAULT true CHECK (sole),
         url text NOT NULL,
         secret text NOT NULL
     );",
];

/// Everything of one append: $1 the epoch; $2 to $4 rows; $5, $6 rows that go; $7 transactions whose windows are given
/// back; $8 to $11 windows that are reserved. The division fails if the epoch is another one by now, and with it all.
pub const APPEND: &str = "
    WITH written AS (
        INSERT INTO recarga_rows (kind, key, value)
        SELECT * FROM unnest($2::smallint[], $3::text[], $4::text[])
        ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value
    ), gone AS (
        DELETE FROM recarga_rows USING unnest($5::smallint[], $6::text[]) AS old (kind, key)
        WHERE recarga_rows.kind = old.kind AND recarga_rows.key = old.key
    ), freed AS (
        DELETE FROM recarga_windows WHERE transaction = ANY ($7::text[])
    ), taken AS (
        INSERT INTO recarga_windows (evse, period, transaction)
        SELECT evse, int8range(starts, ends), transaction
        FROM unnest($8::text[], $9::bigint[], $10::bigint[], $11::text[]) AS new (evse, starts, ends, transaction)
    )
    SELECT 1 / count(*) FROM recarga_meta WHERE key = 'epoch' AND value = $1";

/// Makes what is missing, in one transaction; refuses a database of a newer program or of another company.
pub fn migrate(session: &mut Session, operator: &OperatorId) -> Result<(), StoreError> {
    let path = session.name.clone();
    let Session { client, name, .. } = session;
    let failed = |error: postgres::Error| super::io(name, &error);
    let mut transaction = client.transaction().map_err(failed)?;
    // That a table is there already is no news.
    transaction.batch_execute("SET LOCAL client_min_messages = warning").map_err(failed)?;
    let made = "CREATE TABLE IF NOT EXISTS recarga_meta (key text PRIMARY KEY, value text NOT NULL)";
    transaction.batch_execute(made).map_err(failed)?;
    let rows = transaction.query("SELECT key, value FROM recarga_meta", &[]).map_err(failed)?;
    let meta: HashMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known = MIGRATIONS.len();
    let found = match meta.get("format") {
        None if meta.is_empty() => 0,
        None => return Err(StoreError::Unreadable { path, reason: "it has no format number".to_owned() }),
        Some(text) => text.parse::<usize>().map_err(|error| StoreError::Unreadable {
            path: path.clone(),
            reason: format!("its format number is none: {error}"),
        })?,
    };
    if found > known {
        let (found, known) = (u32::try_from(found).unwrap_or(u32::MAX), known as u32);
        return Err(StoreError::TooNew { path, found, known });
    }
    match meta.get("operator") {
        Some(owner) if *owner != operator.as_str() => {
            let (found, expected) = (owner.clone(), operator.to_string());
            return Err(StoreError::OtherOperator { path, found, expected });
        }
        Some(_) => {}
        None if found == 0 => {
            let insert = "INSERT INTO recarga_meta (key, value) VALUES ('operator', $1)";
            transaction.execute(insert, &[&operator.as_str()]).map_err(failed)?;
        }
        None => return Err(StoreError::Unreadable { path, reason: "it names no company".to_owned() }),
    }
    for migration in MIGRATIONS.iter().skip(found) {
        transaction.batch_execute(migration).map_err(failed)?;
    }
    if found < known {
        transaction.execute(SET, &[&"format", &known.to_string()]).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

const SET: &str = "INSERT INTO recarga_meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// Which start was the last one; none if there was none.
pub fn boot(session: &mut Session) -> Result<Option<Boot>, StoreError> {
    let query = "SELECT key, value FROM recarga_meta WHERE key IN ('store', 'epoch')";
    let rows = session.client.query(query, &[]).map_err(|error| session.failed(&error))?;
    let meta: HashMap<String, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    match (meta.get("store"), meta.get("epoch")) {
        (Some(store), Some(epoch)) => Ok(Some(Boot {
            store: store.parse().map_err(|error| session.unreadable(error))?,
            epoch: epoch.parse().map_err(|error| session.unreadable(error))?,
        })),
        (None, None) => Ok(None),
        // They are written together. With a new identity the old reservations would be nobody's.
        _ => Err(session.unreadable("it has half an identity")),
    }
}

/// Records a start.
pub fn set_boot(session: &mut Session, boot: Boot) -> Result<(), StoreError> {
    let Session { client, name, .. } = session;
    let failed = |error: postgres::Error| super::io(name, &error);
    let mut transaction = client.transaction().map_err(failed)?;
    set_identity(&mut transaction, boot).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Records who leads.
pub fn set_leader(session: &mut Session, leader: &Leader) -> Result<(), StoreError> {
    let set = "INSERT INTO recarga_leader (url, secret) VALUES ($1, $2)
        ON CONFLICT (sole) DO UPDATE SET url = excluded.url, secret = excluded.secret";
    let written = session.client.execute(set, &[&leader.url, &leader.secret]);
    written.map(drop).map_err(|error| session.failed(&error))
}

/// Who leads, or did last; none if nobody ever did.
pub fn leader(session: &mut Session) -> Result<Option<Leader>, StoreError> {
    match session.client.query_opt("SELECT url, secret FROM recarga_leader", &[]) {
        Ok(row) => Ok(row.map(|row| Leader { url: row.get(0), secret: row.get(1) })),
        Err(error) if is_no_table(&error) => Ok(None),
        Err(error) => Err(session.failed(&error)),
    }
}

/// Writes which database this is, in the transaction of the caller's.
pub fn set_identity(client: &mut impl GenericClient, boot: Boot) -> Result<(), postgres::Error> {
    for (key, value) in [("store", boot.store.to_string()), ("epoch", boot.epoch.to_string())] {
        client.execute(SET, &[&key, &value])?;
    }
    Ok(())
}
