//! `recarga in-doubt`: what a running node does not know the outcome of, and the operator's decision where nobody knows.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use hyper::Method;
use recarga_reservation::TransactionId;
use recarga_wire::doubt::{Doubtful, DoubtsAnswer, ForceBody, ForcedDecision, ForcedView, Word};
use recarga_wire::{encode, instant};

use crate::client::Client;

/// Look at what is in doubt at a running node, and end a doubt that nobody else can end.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga in-doubt list --config empresa-b.toml
  recarga in-doubt force empresa-a.7ac1...4981064 abort --reason \"empresa-a closed for good\" --config empresa-b.toml

Exit status: 0 nothing is in doubt, or it was forced; 1 not possible; 2 wrong arguments; 3 something is in doubt.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// The node's configuration: address and operator's token are taken from there.
    #[arg(long, global = true, value_name = "FILE", env = "RECARGA_CONFIG")]
    config: Option<PathBuf>,

    /// Where the node is, in place of --config.
    #[arg(long, global = true)]
    url: Option<String>,

    /// The operator's token, with --url.
    #[arg(long, global = true, env = "RECARGA_OPERATOR_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Print the node's answer as it is, JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show what is in doubt, since when, what each company of it says now, and all that was ever forced.
    #[command(after_help = "\
Examples:
  recarga in-doubt list --config empresa-b.toml
  recarga in-doubt list --url http://127.0.0.1:8002 --json     with the operator's token in RECARGA_OPERATOR_TOKEN

Exit status: 0 nothing is in doubt, 1 the node cannot be asked, 2 wrong arguments, 3 something is in doubt.")]
    List,
    /// Give up what is held for a transaction, without knowing its outcome. A person answers for it.
    ///
    /// The node asks every company once more; if one of them knows, it is believed and nothing is forced.
    #[command(after_help = "\
Examples:
  recarga in-doubt force empresa-a.7ac1...4981064 abort --reason \"empresa-a closed for good\" --config empresa-b.toml
  recarga in-doubt force empresa-a.7ac1...4981064 abort --reason \"agreed by telephone\" --by ana --config empresa-b.toml

Exit status: 0 forced, 1 not possible, 2 wrong arguments.")]
    Force {
        /// The transaction, as `list` shows it.
        transaction: TransactionId,
        /// What to decide.
        decision: Decision,
        /// Why; it is kept for good.
        #[arg(long)]
        reason: String,
        /// Who decides; by default the user of this terminal, by name or else by number.
        #[arg(long, env = "USER", hide_env_values = true)]
        by: Option<String>,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Decision {
    /// Give the windows back.
    Abort,
    /// Not possible: what is held stays held for the car until its window has begun anyway, and a commit cannot be
    /// guessed without breaking what others were promised.
    Commit,
}

/// Asks the node.
///
/// # Errors
/// It does not answer, or refuses.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments { url, token, config, .. } = &arguments;
    let client = Client::chosen(url.as_deref(), token.as_deref(), config.as_deref())?;
    let runtime = crate::runtime()?;
    match arguments.command {
        Command::List => {
            let answer: DoubtsAnswer = runtime.block_on(client.call(Method::GET, "/em-duvida", vec![]))?;
            if arguments.json {
                say!("{}", String::from_utf8_lossy(&encode(&answer)));
            } else {
                print(&answer);
            }
            Ok(ExitCode::from(if answer.quantas == 0 { 0 } else { 3 }))
        }
        Command::Force { decision: Decision::Commit, .. } => {
            bail!(
                "a commit cannot be forced: the window is held for the car as it is, until it has begun and the grace \
                 is over; only `abort` gives it up"
            )
        }
        Command::Force { transaction, decision: Decision::Abort, reason, by } => {
            let por = by.filter(|by| !by.trim().is_empty()).unwrap_or_else(own_uid);
            let body = encode(&ForceBody { decisao: ForcedDecision::Abortar, por, motivo: reason });
            let path = format!("/em-duvida/{transaction}/forcar");
            let forced: ForcedView = runtime.block_on(client.call(Method::POST, &path, body))?;
            if arguments.json {
                say!("{}", String::from_utf8_lossy(&encode(&forced)));
            } else {
                say!("given up: {transaction}");
                say!(
                    "If its coordinator committed it, the trip now lacks a stop: `recarga in-doubt list` will say so."
                );
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

// Services and containers have a user and no name for it.
fn own_uid() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

fn print(answer: &DoubtsAnswer) {
    say!("{}: {} in doubt", answer.empresa, answer.quantas);
    for doubt in &answer.sessoes {
        print_doubt(doubt);
    }
    if answer.quantas > answer.sessoes.len() {
        say!("  and {} more", answer.quantas - answer.sessoes.len());
    }
    if !answer.forcadas.is_empty() {
        say!("forced:");
    }
    for forced in &answer.forcadas {
        say!("  {}", forced.sessao);
        say!("    {}", line(forced));
    }
}

fn print_doubt(doubt: &Doubtful) {
    say!("  {}", doubt.sessao);
    say!(
        "    coordinator {}, asked {}, in doubt here for {:.0} s, car {}",
        doubt.coordenador,
        instant::format(doubt.pedida_em),
        doubt.idade_s,
        doubt.veiculo_id
    );
    for stop in &doubt.reservas {
        let (start, end) = (instant::format(stop.janela_inicio), instant::format(stop.janela_fim));
        say!("    holds {} {start}..{end}", stop.ponto_id);
    }
    for word in &doubt.respostas {
        let is_believed = match (word.resposta, word.vale) {
            (Word::SemResposta | Word::EmDuvida, _) | (_, true) => "",
            (_, false) => " (from another database than the one that would know: not believed)",
        };
        say!("    {}: {}{is_believed}", word.empresa, words(word.resposta));
    }
}

/// A forced decision in one line.
pub fn line(forced: &ForcedView) -> String {
    let turned_out = match (forced.resultado, forced.mista) {
        (_, true) => "; the coordinator COMMITTED: a mixed outcome, call the driver",
        (Some(_), false) => "; the coordinator aborted, too",
        (None, false) => "; what the coordinator decided is not known",
    };
    format!(
        "aborted by {} at {}: {}{turned_out}",
        forced.por,
        instant::format(forced.instante),
        forced.motivo
    )
}

fn words(word: Word) -> &'static str {
    match word {
        Word::Confirmada => "committed",
        Word::Abortada => "aborted",
        Word::Pendente => "is about to decide",
        Word::EmDuvida => "does not know, either",
        Word::SemResposta => "does not answer",
    }
}
