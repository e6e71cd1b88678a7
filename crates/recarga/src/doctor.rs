//! `recarga doctor`: looks at a running node and at what it stands on, and says what to do.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Method;
use recarga_node::clock::{Clock, SystemClock};
use recarga_node::config::Config;
use recarga_node::tls::{Identity, days_left};
use recarga_reservation::OperatorId;
use recarga_tls::{TlsError, provider};
use recarga_wire::decode;
use recarga_wire::federation::FederationAnswer;
use recarga_wire::health::{CheckState, HealthAnswer};
use recarga_wire::version::Version;
use serde::Serialize;

use crate::bench::disk::measure_sync;
use crate::client::{Answer, Client, local_url};

/// A flush that takes longer makes every trip slow; one that takes much longer makes it fail.
const FLUSH_SLOW_MILLIS: f64 = 20.0;
const FLUSH_MEASURED: Duration = Duration::from_millis(500);
/// Clocks further apart make windows seem past, or far ahead.
const CLOCK_WARNING_SECONDS: i64 = 2;
const CLOCK_FAILURE_SECONDS: i64 = 30;
const FREE_WARNING_BYTES: u64 = 2 << 30;
const FREE_FAILURE_BYTES: u64 = 256 << 20;
const CERTIFICATE_WARNING_DAYS: i64 = 30;
const FRESH_CERTIFICATE: &str =
    "make a fresh one (recarga certs issue, or your authority); the node takes it over while it runs";
const MAKE_ROOM: &str = "make room: a full disk stops the node with status 74";
const NOT_FOUND: &str =
    "run this as the node's user, from where the node was started; data_dir is relative to that";
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// Look at a running node and at what it stands on, and say what to do.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  recarga doctor --config empresa-a.toml
  recarga doctor --config empresa-a.toml --json | jq '.[] | select(.verdict != \"ok\")'

To be run on the node's machine, best as its user. It changes nothing but a file that it makes in data_dir to see how
fast the disk is, and removes again; with operator.store, where no record lies in data_dir, not even that.

Exit status: 0 all is well, 1 something is not, 2 wrong arguments, 3 something should be looked at.")]
pub struct Arguments {
    /// The company's configuration.
    #[arg(long, short, value_name = "FILE", env = "RECARGA_CONFIG")]
    config: PathBuf,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<&'static str>,
}

/// Looks at everything.
///
/// # Errors
/// The configuration cannot be read.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let config = Config::read(&arguments.config)?;
    let mut findings = Findings::default();
    for warning in config.warnings() {
        findings.add("configuration", Verdict::Warn, warning, None);
    }
    look_at_machine(&config, &mut findings);
    crate::runtime()?.block_on(look_at_nodes(&config, &mut findings))?;
    let worst = findings.0.iter().map(|one| one.verdict).max().unwrap_or(Verdict::Ok);
    if arguments.json {
        say!("{}", serde_json::to_string_pretty(&findings.0).context("cannot write JSON")?);
    } else {
        findings.0.iter().for_each(print);
    }
    Ok(match worst {
        Verdict::Ok => ExitCode::SUCCESS,
        Verdict::Warn => ExitCode::from(3),
        Verdict::Fail => ExitCode::FAILURE,
    })
}

fn print(finding: &Finding) {
    let verdict = match finding.verdict {
        Verdict::Ok => "ok  ",
        Verdict::Warn => "WARN",
        Verdict::Fail => "FAIL",
    };
    say!("{verdict}  {}: {}", finding.what, finding.seen);
    if let Some(cure) = finding.cure.filter(|_| finding.verdict != Verdict::Ok) {
        say!("      {cure}");
    }
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        what: &'static str,
        verdict: Verdict,
        seen: impl Into<String>,
        cure: Option<&'static str>,
    ) {
        self.0.push(Finding { what, verdict, seen: seen.into(), cure });
    }

    fn ok(&mut self, what: &'static str, seen: impl Into<String>) {
        self.add(what, Verdict::Ok, seen, None);
    }

    fn warn(&mut self, what: &'static str, seen: impl Into<String>, cure: &'static str) {
        self.add(what, Verdict::Warn, seen, Some(cure));
    }

    fn fail(&mut self, what: &'static str, seen: impl Into<String>, cure: &'static str) {
        self.add(what, Verdict::Fail, seen, Some(cure));
    }
}

fn look_at_machine(config: &Config, findings: &mut Findings) {
    match config.store {
        None => look_at_disk(&config.data_dir, findings),
        Some(_) => look_at_archive(&config.data_dir, findings),
    }
    let wanted = config.limits.connections_max as u64 + 256;
    match rlimit::getrlimit(rlimit::Resource::NOFILE) {
        Ok((_, most)) if most < wanted => findings.warn(
            "open files",
            format!("this user may have {most}, and limits.connections_max asks for {wanted}"),
            "raise LimitNOFILE of the service (or ulimit -Hn), or lower limits.connections_max",
        ),
        Ok((_, most)) => findings.ok("open files", format!("up to {most}")),
        Err(error) => findings.warn("open files", error.to_string(), "see ulimit -Hn"),
    }
    let clock = SystemClock::new();
    if let Some(tls) = &config.tls {
        let read = Identity::read(tls, &config.operator);
        look_at_certificate("certificate", read.map(|identity| identity.days_left(&clock)), findings);
    }
    // Whether the broker is reached with it is one of the node's own checks.
    if let Some(own) = config.mqtt.as_ref().and_then(|mqtt| mqtt.tls.as_ref()?.own.as_ref()) {
        let read = own.read(&provider());
        let days = read.map(|pair| days_left(pair.not_after, &clock));
        look_at_certificate("certificate for the broker", days, findings);
    }
}

// So many days it is good, if anybody can count them.
fn look_at_certificate(what: &'static str, days: Result<Option<i64>, TlsError>, findings: &mut Findings) {
    match days {
        Err(error) => findings.fail(what, error.to_string(), FRESH_CERTIFICATE),
        Ok(Some(days)) if days < 0 => findings.fail(what, "it has expired", FRESH_CERTIFICATE),
        Ok(Some(days)) if days < CERTIFICATE_WARNING_DAYS => {
            findings.warn(what, format!("good for {days} days more"), FRESH_CERTIFICATE);
        }
        Ok(days) => findings.ok(what, format!("good for {} days more", days.unwrap_or_default())),
    }
}

// Where the record lies.
fn look_at_disk(folder: &Path, findings: &mut Findings) {
    match rustix::fs::statvfs(folder) {
        Err(error) => findings.fail("data folder", format!("{}: {error}", folder.display()), NOT_FOUND),
        Ok(about) => look_at_room(folder, &about, MAKE_ROOM, findings),
    }
    if folder.join("recarga.poisoned").exists() {
        findings.fail(
            "data folder",
            "an earlier run could not write and left recarga.poisoned",
            "check the disk, then delete that file: docs/operations.md, \"When the disk refuses a write\"",
        );
    }
    match measure_sync(folder, FLUSH_MEASURED) {
        Ok(rate) => {
            let millis = rate.p50_us / 1000.0;
            let seen = format!("{millis:.2} ms in the median");
            match millis > FLUSH_SLOW_MILLIS {
                true => findings.warn(
                    "flush of the disk",
                    seen,
                    "a trip waits for two of them: use a disk with a cache that survives power cuts",
                ),
                false => findings.ok("flush of the disk", seen),
            }
        }
        Err(error) => {
            findings.fail("flush of the disk", format!("{error:#}"), cure_of_writing(&error));
        }
    }
}

// With the record in PostgreSQL the folder has the archive only, and is made when something is archived first.
fn look_at_archive(folder: &Path, findings: &mut Findings) {
    match rustix::fs::statvfs(folder) {
        Err(rustix::io::Errno::NOENT) => {
            let seen = format!("{} is not there yet; it is made for the archive", folder.display());
            findings.ok("data folder", seen);
        }
        Err(error) => findings.fail("data folder", format!("{}: {error}", folder.display()), NOT_FOUND),
        Ok(about) => look_at_room(
            folder,
            &about,
            "make room: while the archive cannot be written nothing is forgotten, and the database grows",
            findings,
        ),
    }
}

fn look_at_room(folder: &Path, about: &rustix::fs::StatVfs, cure: &'static str, findings: &mut Findings) {
    let free = about.f_bavail * about.f_frsize;
    let seen = format!("{} MiB free in {}", free >> 20, folder.display());
    match (free < FREE_FAILURE_BYTES, free < FREE_WARNING_BYTES) {
        (true, _) => findings.fail("free space", seen, cure),
        (_, true) => findings.warn("free space", seen, cure),
        _ => findings.ok("free space", seen),
    }
}

// What to do depends on why nothing could be written.
fn cure_of_writing(error: &anyhow::Error) -> &'static str {
    use std::io::ErrorKind::{
        FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    let cause = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    match cause {
        Some(StorageFull | QuotaExceeded | FileTooLarge) => MAKE_ROOM,
        Some(PermissionDenied) => "run this as the node's user",
        Some(std::io::ErrorKind::NotFound) => NOT_FOUND,
        Some(ReadOnlyFilesystem) => "the file system was mounted read-only, or became so: see dmesg",
        _ => "check the disk (dmesg, SMART): a refused write stops the node with status 74",
    }
}

async fn look_at_nodes(config: &Config, findings: &mut Findings) -> Result<()> {
    let own = local_url(config);
    match ask(config, &own, "/saude").await {
        Err(error) => {
            findings.fail("node", format!("{error:#}"), "start it: recarga serve, or look at its log")
        }
        Ok(answer) => {
            look_at_health(&answer, findings);
            match ask(config, &own, "/metrics").await {
                Ok(metrics) => look_at_metrics(&String::from_utf8_lossy(&metrics.body), findings),
                Err(error) => findings.warn("figures", format!("{error:#}"), "look at its log"),
            }
        }
    }
    // As the node knows them now, those on the federation's roll among them; without the node as they are configured.
    let configured = || config.peers.iter().map(|peer| (peer.id.clone(), peer.url.clone())).collect();
    let known = ask(config, &own, "/federacao").await.ok();
    let known = known.and_then(|answer| decode::<FederationAnswer>(&answer.body).ok());
    let others: Vec<_> = match known {
        Some(known) => known.empresas.into_iter().map(|fellow| (fellow.empresa, fellow.url)).collect(),
        None => configured(),
    };
    for (company, url) in others {
        look_at_company(config, &company, &url, findings).await;
    }
    Ok(())
}

async fn look_at_company(config: &Config, company: &OperatorId, url: &str, findings: &mut Findings) {
    let seen = ask(config, url, "/saude").await;
    let health = seen.and_then(|answer| {
        let health: HealthAnswer =
            decode(&answer.body).map_err(|problem| anyhow::anyhow!("no Recarga node answers: {problem}"))?;
        Ok((answer, health))
    });
    match health {
        Err(error) => findings.fail(
            "company",
            format!("{company}: {error:#}"),
            "ask its operator, and check its address and what is between you",
        ),
        Ok((_, health)) if health.empresa != *company => findings.fail(
            "company",
            format!("at {url} is {}, not {company}", health.empresa),
            "correct its address: peers[].url, or the roll",
        ),
        Ok((answer, health)) => {
            let reads = describe(answer.version);
            findings.ok("company", format!("{company} answers, version {}, {reads}", health.versao));
            look_at_clock(company.as_str(), &answer, findings);
        }
    }
}

// Another version is no trouble: who is later speaks as the other one can read.
fn describe(theirs: Version) -> String {
    let own = Version::OWN;
    match theirs.cmp(&own) {
        Ordering::Less => {
            format!("messages {theirs}, older than {own} here: what it cannot read is not sent to it")
        }
        Ordering::Equal => format!("messages {own}, as here"),
        Ordering::Greater => {
            format!("messages {theirs}, later than {own} here: it speaks as this company can read")
        }
    }
}

async fn ask(config: &Config, url: &str, path: &str) -> Result<Answer> {
    let authorities = config.tls.as_ref().map(|tls| tls.authorities.as_path());
    let client = Client::trusting(url, None, authorities)?.with_patience(ANSWER_MAX);
    client.send(Method::GET, path, Vec::new()).await
}

fn look_at_health(answer: &Answer, findings: &mut Findings) {
    let health: HealthAnswer = match decode(&answer.body) {
        Ok(health) => health,
        Err(problem) => {
            return findings.fail(
                "node",
                format!("what answers there is no Recarga node: {problem}"),
                "is another program using operator.listen?",
            );
        }
    };
    let seen = format!("{} {:?}, version {}", health.empresa, health.estado, health.versao);
    match answer.status {
        200 => findings.ok("node", seen),
        _ => findings.fail("node", seen, "it takes no requests: look at its log"),
    }
    for (name, check) in health.verificacoes.iter().filter(|(_, check)| check.estado != CheckState::Ok) {
        let detail = check.detalhe.as_deref().unwrap_or("failed");
        findings.warn("the node's own checks", format!("{name}: {detail}"), "its log says more");
    }
}

fn look_at_clock(company: &str, answer: &Answer, findings: &mut Findings) {
    let parsed = answer.date.as_deref().and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let Some(theirs) = parsed else {
        return findings.warn(
            "clock",
            format!("{company} does not say what time it is"),
            "nothing to be done here",
        );
    };
    let apart = (SystemClock::new().now().utc.as_millis() / 1000 - theirs.timestamp().as_second()).abs();
    let seen = format!("{apart} s apart from {company}");
    let cure = "let both machines follow a time server (timedatectl): windows are judged by the clock";
    match (apart > CLOCK_FAILURE_SECONDS, apart > CLOCK_WARNING_SECONDS) {
        (true, _) => findings.fail("clock", seen, cure),
        (_, true) => findings.warn("clock", seen, cure),
        _ => findings.ok("clock", seen),
    }
}

fn look_at_metrics(text: &str, findings: &mut Findings) {
    let figure = |name: &str| -> f64 {
        let named = text.lines().filter(|line| line.split([' ', '{']).next() == Some(name));
        named.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    let watched = [
        (
            "recarga_heuristic_releases_total",
            "holds released without an outcome since the start",
            "a driver may have lost a stop: call them; the log of level ERROR names the transaction",
        ),
        (
            "recarga_mixed_outcomes_total",
            "mixed outcomes since the start",
            "run recarga audit over all companies",
        ),
        (
            "recarga_alarms_total",
            "messages that cannot be since the start",
            "run recarga audit over all companies",
        ),
        ("recarga_in_doubt", "holds without an outcome", "a coordinator is silent: they wait for it"),
        (
            "recarga_trips_owing",
            "trips that a company has not acknowledged",
            "that company is silent: it is repeated",
        ),
        ("recarga_answers_owed", "answers that the broker does not have", "check the broker"),
        ("recarga_archive_failures_total", "failures to archive", "make room for the archive, see the log"),
    ];
    for (name, what, cure) in watched {
        let count = figure(name);
        match count > 0.0 {
            true => findings.warn("figures", format!("{what}: {count}"), cure),
            false => findings.ok("figures", format!("{what}: none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(look: impl Fn(&Path, &mut Findings), folder: &Path) -> Vec<(&'static str, Verdict)> {
        let mut findings = Findings::default();
        look(folder, &mut findings);
        // How much room there is and how fast the disk is belongs to the machine.
        let machine = ["free space", "flush of the disk"];
        let of_folder = findings.0.iter().filter(|one| !machine.contains(&one.what));
        of_folder.map(|one| (one.what, one.verdict)).collect()
    }

    #[test]
    fn a_record_in_postgresql_needs_no_folder_and_no_fast_disk() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("data");
        assert_eq!(seen(look_at_archive, &missing), [("data folder", Verdict::Ok)]);
        assert_eq!(seen(look_at_disk, &missing), [("data folder", Verdict::Fail)]);
        let mut findings = Findings::default();
        look_at_archive(folder.path(), &mut findings);
        assert!(findings.0.iter().all(|one| one.what == "free space"), "{findings:?}");
        std::fs::write(&missing, "no folder").unwrap();
        assert_eq!(seen(look_at_archive, &missing.join("data")), [("data folder", Verdict::Fail)]);
    }

    #[test]
    fn the_cure_is_that_of_the_trouble() {
        let cure = |kind: std::io::ErrorKind| {
            let error = Err::<(), _>(std::io::Error::from(kind)).context("cannot preallocate");
            cure_of_writing(&error.unwrap_err())
        };
        assert_eq!(cure(std::io::ErrorKind::StorageFull), MAKE_ROOM);
        assert_eq!(cure(std::io::ErrorKind::NotFound), NOT_FOUND);
        assert!(cure(std::io::ErrorKind::PermissionDenied).contains("user"));
        assert!(cure(std::io::ErrorKind::Other).contains("dmesg"));
    }
}
