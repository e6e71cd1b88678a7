//! `recarga backup`: a copy of a running node's record.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use recarga_node::store::copy::{self, Head};
use recarga_wire::instant;
use tokio::time::timeout;

use crate::client::Client;
use crate::progress::Progress;

/// Longest silence of a node in the middle of a copy.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Copy the record of a running node into a file, all as it stands at one moment, while trips go on.
///
/// The file appears under its name only once it is whole, checked and durable; an earlier one of that name is replaced.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga backup --config empresa-a.toml --to /backup/empresa-a-$(date +%F).copy
  recarga backup --url https://10.0.0.1:8001 --ca authority.pem --to empresa-a.copy

The token of --url may stand in RECARGA_OPERATOR_TOKEN. The file has what cars have booked: keep it as you keep the record.
`recarga restore` puts it back. The archive (data_dir/archive) is not in it: copy its files as they are.

Exit status: 0 copied, 1 not possible, 2 wrong arguments.")]
pub struct Arguments {
    /// Where the copy is to be.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,

    /// The node's configuration: address and operator's token are taken from there.
    #[arg(long, value_name = "FILE", env = "RECARGA_CONFIG")]
    config: Option<PathBuf>,

    /// Where the node is, in place of --config.
    #[arg(long)]
    url: Option<String>,

    /// The operator's token, with --url.
    #[arg(long, env = "RECARGA_OPERATOR_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Copies.
///
/// # Errors
/// The node does not answer or refuses, what it sends is not whole, or the disk refuses.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { to, config, url, token } = arguments;
    let client = Client::chosen(url.as_deref(), token.as_deref(), config.as_deref())?;
    let partial = PathBuf::from([to.as_os_str(), &OsString::from(".part")].into_iter().collect::<OsString>());
    let copied = crate::runtime()?.block_on(fetch(&client, &partial)).and_then(|()| finish(&partial, to));
    let head = copied.inspect_err(|_| {
        // It may not even have been begun.
        let _ = fs::remove_file(&partial);
    })?;
    let Head { operator, boot, made, rows } = head;
    say!("{}: {rows} rows of {operator}, database {}, {}", to.display(), boot.store, instant::format(made));
    Ok(ExitCode::SUCCESS)
}

async fn fetch(client: &Client, partial: &Path) -> Result<()> {
    let mut body = client.open("/copia").await?;
    let refused = || format!("cannot write {}", partial.display());
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(partial).with_context(refused)?;
    let cut_off = || format!("{}: the copy was cut off; is the node running?", client.url());
    let mut progress = Progress::new("copied");
    while let Some(frame) = timeout(SILENCE_MAX, body.frame()).await.with_context(cut_off)? {
        let Ok(piece) = frame.with_context(cut_off)?.into_data() else { continue };
        file.write_all(&piece).with_context(refused)?;
        progress.note(piece.iter().filter(|byte| **byte == b'\n').count());
    }
    file.sync_all().with_context(refused)
}

// Whatever happened on the way and on the disk: what is kept is what can be put back.
fn finish(partial: &Path, to: &Path) -> Result<Head> {
    let file = File::open(partial).with_context(|| format!("cannot read {}", partial.display()))?;
    let head = copy::read(&mut BufReader::new(file), None, &mut |_| Ok(()));
    let head = head.context("what the node sent cannot be used, and was not kept")?;
    let named = fs::rename(partial, to).and_then(|()| {
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    });
    named.with_context(|| format!("cannot write {}", to.display()))?;
    Ok(head)
}
