//! `recarga audit log`: everything that a company has recorded, and whether that is still what stands in its log.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use recarga_node::audit_log::{Verified, read};

/// Print a company's audit log, or prove that nothing in it was changed or left out.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga audit log --verify audit-log                     says how many lines there are, and the last one's hash
  recarga audit log --verify --knows 5f0c... audit-log     as well, that a hash which was noted before is one of theirs
  recarga audit log audit-log | jq 'select(.table == \"branches\") | .row'

Each line has `number`, `at` (milliseconds since 1970, UTC), `kind` (open, start, record, stop), of a record `table`, `key` and
`row` as it stands in the database (null: removed), and `hash`. Every line is checked before it is printed. Whoever can write
the files can write all of them anew: note the hash elsewhere now and then, and ask with --knows whether it still stands.

Exit status: 0 nothing was changed, 1 something was, or a file cannot be read, 2 wrong arguments.")]
pub struct Arguments {
    /// The folder in operator.audit_log.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// Print no lines, only what they come to.
    #[arg(long)]
    verify: bool,

    /// A hash that must be in the log.
    #[arg(long, value_name = "64 DIGITS")]
    knows: Option<String>,
}

/// Reads, and prints or judges.
///
/// # Errors
/// A file cannot be read, or is not what was written.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let known = arguments.knows.as_deref();
    let Verified { lines, head, is_known } = read(&arguments.folder, known, |line| {
        if !arguments.verify {
            say!("{line}");
        }
    })?;
    if let Some(hash) = known
        && !is_known
    {
        bail!("no line has the hash {hash}: lines are missing at the end, or the log was written anew");
    }
    if arguments.verify {
        match head {
            Some((number, hash)) => {
                say!("{lines} lines, nothing changed or left out; number {number} has the hash {hash}")
            }
            None => say!("no lines yet"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
