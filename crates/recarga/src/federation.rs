//! `recarga federation`: who belongs to a federation, for the person who decides that.

mod files;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use recarga_federation::{Authority, CompanyKey, Fellow, PublicKey, Roll};
use recarga_node::clock::{Clock, SystemClock};
use recarga_reservation::{OperatorId, Timestamp};
use recarga_wire::decode;
use recarga_wire::federation::{FederationAnswer, Pending, Standing};

use crate::client::Client;
use crate::files::write_secret;
use files::{AUTHORITY_KEY, ROLL};

/// Say who belongs to a federation: a roll that companies follow while they run.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga federation init --name Brasil --dir federation      its authority's key, and an empty roll
  recarga federation key --out empresa-d.key                  a company's key; prints the public one
  recarga federation add empresa-d --url http://10.0.0.4:8001 --key 6d5b... --dir federation
  recarga federation leave empresa-d --dir federation         it takes nothing new from now on
  recarga federation status --url http://10.0.0.4:8001        what it still has to see through
  recarga federation remove empresa-d --dir federation        once that is nothing
  recarga federation show federation/roll.json

Each change signs a new version of the roll, federation/roll.json. Copy it to one company, over the file that its
configuration names in federation.members: it finds it within a second, and the others within
limits.members_refresh_seconds. Nobody has to be restarted.

Exit status: 0 done, 1 not, 2 wrong arguments, 3 (status) something is still to be seen through.")]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Begin a federation: a key for its authority, and a roll with nobody on it.
    #[command(after_help = "Example:\n  recarga federation init --name Brasil --dir federation")]
    Init {
        /// What it is called: companies refuse the roll of another one.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Make a company's key, and print what others may know of it. The company runs this itself.
    #[command(after_help = "Example:\n  recarga federation key --out empresa-d.key")]
    Key {
        /// The file to make; nobody but its owner can read it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Put a company on the roll, or change its address or key.
    #[command(after_help = "\
Examples:
  recarga federation add empresa-d --url http://10.0.0.4:8001 --key \"$(recarga federation key --out empresa-d.key)\"
  recarga federation add empresa-d --url https://d.example:8001 --key 6d5b... --dir federation")]
    Add {
        /// Who.
        company: OperatorId,
        /// Where its node is, as in http://10.0.0.4:8001.
        #[arg(long)]
        url: String,
        /// Its public key, as `recarga federation key` printed it.
        #[arg(long, value_name = "64 DIGITS")]
        key: PublicKey,
        #[command(flatten)]
        place: Place,
    },
    /// Say that a company is leaving: it keeps what is reserved, and takes nothing new.
    #[command(after_help = "Example:\n  recarga federation leave empresa-d --dir federation")]
    Leave {
        /// Who.
        company: OperatorId,
        #[command(flatten)]
        place: Place,
    },
    /// Take a company off the roll. Its node is asked first whether it has seen through what it promised.
    #[command(after_help = "\
Examples:
  recarga federation remove empresa-d --dir federation
  recarga federation remove empresa-d --dir federation --force         it is gone for good and answers nobody")]
    Remove {
        /// Who.
        company: OperatorId,
        /// Whatever its node says, and also if it does not answer: others may wait for it for ever.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Print a roll, checked if the authority's key is beside it.
    #[command(after_help = "Example:\n  recarga federation show federation/roll.json")]
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Ask a node who belongs to its federation and, if it is leaving, what it still has to see through.
    #[command(after_help = "\
Examples:
  recarga federation status --url http://10.0.0.4:8001
  until recarga federation status --url http://10.0.0.4:8001; do sleep 60; done

Exit status: 0 nothing is left, 1 the node cannot be asked, 2 wrong arguments, 3 something is still to be seen through.")]
    Status {
        /// Where it is.
        #[arg(long, default_value = "http://127.0.0.1:8001")]
        url: String,
    },
}

#[derive(clap::Args)]
struct Place {
    /// The folder with the authority's key and the roll.
    #[arg(long, value_name = "FOLDER", default_value = "federation")]
    dir: PathBuf,
}

/// Does one thing.
///
/// # Errors
/// It cannot be done.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Command::Init { name, place } => init(&name, &place),
        Command::Key { out } => key(&out),
        Command::Add { company, url, key, place } => change(&place, |roll| add(roll, company, url, key)),
        Command::Leave { company, place } => change(&place, |roll| {
            on_roll(roll, &company)?.is_leaving = true;
            Ok(format!("{company} is leaving"))
        }),
        Command::Remove { company, force, place } => change(&place, |roll| remove(roll, &company, force)),
        Command::Show { file } => show(&file),
        Command::Status { url } => status(&url),
    }
}

fn init(name: &str, place: &Place) -> Result<ExitCode> {
    let authority = Authority::new(files::random()?);
    let roll = Roll { federation: name.to_owned(), version: 1, issued: now(), companies: Default::default() };
    let signed = roll.sign(&authority).map_err(|error| anyhow::anyhow!("--name: {error}"))?;
    std::fs::create_dir_all(&place.dir).with_context(|| format!("cannot make {}", place.dir.display()))?;
    write_secret(&place.dir.join(AUTHORITY_KEY), &authority.expose())?;
    files::write_roll(&place.dir.join(ROLL), &signed)?;
    say!("The federation \"{name}\" has nobody on its roll yet: {}", place.dir.join(ROLL).display());
    say!("Keep {} safe: whoever has it says who belongs.", place.dir.join(AUTHORITY_KEY).display());
    say!("In every company's configuration:\n");
    say!("[federation]\nmembers   = \"roll.json\"\nauthority = \"{}\"", authority.public());
    say!("key_file  = \"{{company}}.key\"");
    Ok(ExitCode::SUCCESS)
}

fn key(out: &std::path::Path) -> Result<ExitCode> {
    let key = CompanyKey::new(files::random()?);
    write_secret(out, &key.expose())?;
    say!("{}", key.public());
    eprintln!("recarga: {} is made; tell the federation's authority the digits above", out.display());
    Ok(ExitCode::SUCCESS)
}

fn change(place: &Place, change: impl FnOnce(&mut Roll) -> Result<String>) -> Result<ExitCode> {
    let authority = files::read_authority(&place.dir.join(AUTHORITY_KEY))?;
    let file = place.dir.join(ROLL);
    let mut roll = files::read_roll(&file, Some(&authority.public()))?;
    let before = roll.clone();
    let done = change(&mut roll)?;
    if roll == before {
        say!("{done} already; the roll stays as it is");
        return Ok(ExitCode::SUCCESS);
    }
    roll.version += 1;
    roll.issued = now();
    files::write_roll(&file, &roll.sign(&authority)?)?;
    say!("{done}: {} has version {} now; copy it to one of the companies", file.display(), roll.version);
    Ok(ExitCode::SUCCESS)
}

fn add(roll: &mut Roll, company: OperatorId, url: String, key: PublicKey) -> Result<String> {
    let taken = roll.companies.iter().find(|(other, fellow)| **other != company && fellow.key == key);
    if let Some((other, _)) = taken {
        bail!("--key: that is the key of {other}; every company has its own");
    }
    let url = url.trim_end_matches('/').to_owned();
    let done = format!("{company} is on the roll");
    roll.companies.insert(company, Fellow { url, key, is_leaving: false });
    Ok(done)
}

fn remove(roll: &mut Roll, company: &OperatorId, force: bool) -> Result<String> {
    let url = on_roll(roll, company)?.url.clone();
    if !force {
        let answer = ask(&url).with_context(|| {
            format!(
                "{company} does not say whether others still wait for it; --force removes it all the same"
            )
        })?;
        ensure!(
            answer.estado != Standing::Ativa,
            "{company} still takes new trips; say `recarga federation leave {company}` first, and wait until it knows"
        );
        let pending = answer.pendencias.as_ref();
        let pending =
            pending.with_context(|| format!("{company} does not say what it has to see through"))?;
        ensure!(
            pending.is_nothing(),
            "{company} has not seen through what it promised ({}); --force removes it all the same",
            tell(pending)
        );
    }
    roll.companies.remove(company);
    Ok(format!("{company} is off the roll"))
}

fn show(file: &std::path::Path) -> Result<ExitCode> {
    let beside = file.with_file_name(AUTHORITY_KEY);
    let authority = files::read_authority(&beside).ok().map(|authority| authority.public());
    let roll = files::read_roll(file, authority.as_ref())?;
    let signed = if authority.is_some() { "signed by the key beside it" } else { "signature not checked" };
    say!("{}, version {} of {} ({signed})", roll.federation, roll.version, time(roll.issued));
    for (company, fellow) in &roll.companies {
        let leaving = if fellow.is_leaving { "  leaving" } else { "" };
        say!("  {company}  {}  {}{leaving}", fellow.url, fellow.key);
    }
    Ok(ExitCode::SUCCESS)
}

fn status(url: &str) -> Result<ExitCode> {
    let answer = ask(url)?;
    let named = answer.federacao.as_deref().unwrap_or("no federation with a roll");
    let version = answer.versao.map_or(String::new(), |version| format!(", version {version}"));
    say!("{}: {} in {named}{version}", answer.empresa, standing(answer.estado));
    for fellow in &answer.empresas {
        say!("  {}  {}  {}", fellow.empresa, fellow.url, standing(fellow.estado));
    }
    let Some(pending) = &answer.pendencias else { return Ok(ExitCode::SUCCESS) };
    say!("to be seen through: {}", tell(pending));
    Ok(if pending.is_nothing() { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn ask(url: &str) -> Result<FederationAnswer> {
    let client = Client::new(url, None)?.with_patience(std::time::Duration::from_secs(5));
    let answer = crate::runtime()?.block_on(client.send(Method::GET, "/federacao", Vec::new()))?;
    ensure!(answer.status == 200, "{url} answers with status {}", answer.status);
    decode(&answer.body).map_err(|problem| anyhow::anyhow!("cannot read the answer of {url}: {problem}"))
}

fn on_roll<'a>(roll: &'a mut Roll, company: &OperatorId) -> Result<&'a mut Fellow> {
    let known: Vec<_> = roll.companies.keys().map(OperatorId::to_string).collect();
    let known = known.join(", ");
    roll.companies
        .get_mut(company)
        .with_context(|| format!("{company} is not on the roll; those that are: {known}"))
}

fn tell(pending: &Pending) -> String {
    if pending.is_nothing() {
        return "nothing".to_owned();
    }
    let until = pending.ate.map_or(String::new(), |until| format!(", until {}", time(until)));
    format!(
        "reservations {}, holds without an outcome {}, trips {}, outcomes to deliver {}{until}",
        pending.reservas, pending.em_duvida, pending.viagens, pending.entregas
    )
}

fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Ativa => "stays",
        Standing::Saindo => "is leaving",
        Standing::Fora => "is not on the roll",
    }
}

fn time(at: Timestamp) -> String {
    recarga_wire::instant::format(at)
}

fn now() -> Timestamp {
    SystemClock::new().now().utc
}
