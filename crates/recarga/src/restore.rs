//! `recarga restore`: puts a copy of a record back, as another database than the one that was lost.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::Config;
use recarga_node::store::copy::{self, CopyError, Head};
use recarga_node::store::postgres::{PostgresRestoration, PostgresStore};
use recarga_node::store::redb::{RedbRestoration, RedbStore};
use recarga_node::store::{Boot, Record, Restoration, StoreError};
use recarga_reservation::{OperatorId, StoreId};
use recarga_wire::instant;

use crate::progress::Progress;

/// Records that are written together.
const TOGETHER: usize = 8192;

/// Put a copy of a company's record back where there is none: all of it, or nothing.
///
/// What was put back has forgotten what came after the copy. So it gets another identity than the database that was lost,
/// and other companies believe nothing that it presumes of the time before.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("record").required(true).args(["from", "in_place"]))]
#[command(after_help = "\
Examples:
  recarga restore --config empresa-a.toml --from /backup/empresa-a.copy
  recarga restore --config empresa-a.toml --in-place        after pg_restore, or a copy of data_dir, put the record back

The copy may come from a folder and go into PostgreSQL, or the other way round. The node must not run. What to do then is
printed, and explained in docs/operations.md, \"Backup and restore\".

Exit status: 0 put back, 1 not possible, and nothing was changed, 2 wrong arguments.")]
pub struct Arguments {
    /// The company's configuration.
    #[arg(long, short, value_name = "FILE", env = "RECARGA_CONFIG")]
    config: PathBuf,

    /// The copy that `recarga backup` has made.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    /// The record is an old one already, put back by other means: only give it another identity.
    #[arg(long)]
    in_place: bool,
}

/// Puts it back.
///
/// # Errors
/// The copy cannot be used, there is a record already, or the disk or PostgreSQL refuses.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let config = Config::read(&arguments.config)?;
    let fresh_id = StoreId(SystemClock::new().nonce());
    match &arguments.from {
        Some(from) => {
            let named = || format!("{}: nothing was changed", from.display());
            let head = put_back(&config, from, fresh_id).with_context(named)?;
            let (rows, operator) = (head.rows, &head.operator);
            say!("Put back: {rows} rows of {operator}, as of {}.", instant::format(head.made));
        }
        None => {
            renew(&config, fresh_id)?;
            say!("The record of {} has another identity.", config.operator);
        }
    }
    say_what_to_do(&arguments.config, fresh_id);
    Ok(ExitCode::SUCCESS)
}

fn put_back(config: &Config, from: &Path, fresh_id: StoreId) -> Result<Head> {
    let mut progress = Progress::new("checked");
    let head = read(from, &config.operator, &mut |_| {
        progress.note(1);
        Ok(())
    })?;
    let boot = head.boot.put_back(fresh_id).context("it says that it has had its last start")?;
    let mut restoration = begin(config, boot)?;
    let (mut records, mut progress) = (Vec::with_capacity(TOGETHER), Progress::new("put back"));
    read(from, &config.operator, &mut |record| {
        records.push(record);
        if records.len() < TOGETHER {
            return Ok(());
        }
        progress.note(records.len());
        restoration.take(&std::mem::take(&mut records))
    })?;
    restoration.take(&records)?;
    restoration.finish()?;
    Ok(head)
}

fn read(
    from: &Path,
    operator: &OperatorId,
    take: &mut dyn FnMut(Record) -> Result<(), StoreError>,
) -> Result<Head, CopyError> {
    copy::read(&mut BufReader::new(File::open(from)?), Some(operator), take)
}

fn begin(config: &Config, boot: Boot) -> Result<Box<dyn Restoration>, StoreError> {
    Ok(match &config.store {
        Some(address) => Box::new(PostgresRestoration::begin(address, &config.operator, boot)?),
        None => Box::new(RedbRestoration::begin(&config.data_dir, &config.operator, boot)?),
    })
}

fn renew(config: &Config, fresh_id: StoreId) -> Result<Boot, StoreError> {
    match &config.store {
        Some(address) => PostgresStore::open(address, &config.operator, Box::new(|_| {}))?.renew(fresh_id),
        None => RedbStore::open_existing(&config.data_dir, &config.operator)?.renew(fresh_id),
    }
}

fn say_what_to_do(config: &Path, store: StoreId) {
    let config = config.display();
    say!(
        "\
It speaks as database {store} from now on. What came after the copy is forgotten here; other companies keep what
they hold for it. Now:
  1. recarga serve --config {config}
  2. recarga audit with every company of the federation: what it calls \"committed, but unknown\" or \"reserved at some
     companies only\" at this company was booked after the copy. Its windows are free here: take these EVSEs out of
     service, or call the drivers, before somebody else books them.
  3. recarga in-doubt list, at every company: what waits for a word that only the lost record had.
docs/operations.md, \"Backup and restore\", says what to do with what they find."
    );
}
