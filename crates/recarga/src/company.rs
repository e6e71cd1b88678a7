//! A company's node as a child process: for commands that need a whole federation on this machine.

use std::fs::File;
use std::net::TcpListener;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use hyper::Method;
use recarga_node::config::Config;
use recarga_reservation::OperatorId;
use recarga_wire::decode;
use recarga_wire::health::HealthAnswer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;

/// How often a node that starts is asked whether it is ready.
const READY_EVERY: Duration = Duration::from_millis(20);
/// How long a node may take to finish what is under way; it gives up its own waiting before that.
const STOP_MAX: Duration = Duration::from_secs(40);
/// How much of a log is quoted when a node did not start.
const LOG_LINES_QUOTED: usize = 5;

/// What the unit and the image that are shipped set, too, for the allocator: memory that a node has once needed it will need
/// again.
const KEEPS_MEMORY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");
/// In how many threads a node runs its tasks.
const THREADS: &str = "TOKIO_WORKER_THREADS";

/// A `recarga serve` process. Dropping it kills the process.
#[derive(Debug)]
pub struct Company {
    id: OperatorId,
    url: String,
    data_dir: PathBuf,
    log: PathBuf,
    pid: u32,
    child: Child,
}

impl Company {
    /// Starts `program serve --config config`, one of so many `nodes` that share this machine; its log grows in `folder`.
    /// `environment` is added to this process's own, and is what the configuration's `${NAME}` are read from. Must be
    /// called within a runtime.
    ///
    /// # Errors
    /// The configuration cannot be used, or the program cannot be run.
    pub fn start(
        program: &Path,
        config: &Path,
        folder: &Path,
        nodes: usize,
        environment: &[(&str, &str)],
    ) -> Result<Company> {
        let read = read_config(config, environment)?;
        let log = folder.join(format!("{}.log", read.operator));
        let lines = File::options().create(true).append(true).open(&log);
        let lines = lines.with_context(|| format!("cannot write {}", log.display()))?;
        // A thread with nothing to do looks for something where another node could work.
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (processors / nodes.max(1)).max(1).to_string();
        let settings = [KEEPS_MEMORY, (THREADS, threads.as_str())].into_iter();
        let child = Command::new(program)
            .args(["serve", "--stop-with-parent", "--config"])
            .arg(config)
            .envs(settings.filter(|(name, _)| std::env::var_os(name).is_none()))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(lines.try_clone().context("cannot share the log file")?)
            .stderr(lines)
            // Ctrl-C is for the command that started it, which stops its companies in its own order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let pid = child.id().context("the process has ended already")?;
        let url = format!("http://{}", read.listen);
        Ok(Company { id: read.operator, url, data_dir: read.data_dir, log, pid, child })
    }

    /// Which company it is.
    pub fn id(&self) -> &OperatorId {
        &self.id
    }

    /// Where it listens, as in `http://127.0.0.1:8001`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its database is.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it takes requests.
    ///
    /// # Errors
    /// It ended, or it is not ready in time; the end of its log is quoted.
    pub async fn wait_ready(&mut self, patience: Duration) -> Result<()> {
        let client = Client::new(&self.url, None)?.with_patience(Duration::from_secs(1));
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.id, self.end_of_log());
            }
            if let Ok(answer) = client.send(Method::GET, "/saude", Vec::new()).await
                && answer.status == 200
                && decode::<HealthAnswer>(&answer.body).is_ok_and(|health| health.empresa == self.id)
            {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready after {patience:?}:\n{}", self.id, self.end_of_log());
            }
            sleep(READY_EVERY).await;
        }
    }

    /// Freezes it (SIGSTOP), as a machine that hangs.
    ///
    /// # Errors
    /// There is no such process any longer.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// There is no such process any longer.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to finish what is under way (SIGTERM) and waits; kills it if it takes too long. A process that has
    /// ended before is no error.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.try_wait()? {
            return Ok(status);
        }
        // It may end at this very moment, which is what is wanted.
        let _ = self.signal(Signal::TERM);
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => status.with_context(|| format!("cannot wait for {}", self.id)),
            Err(_) => self.kill().await,
        }
    }

    /// Kills it (SIGKILL), as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        let _ = self.child.start_kill();
        self.child.wait().await.with_context(|| format!("cannot wait for {}", self.id))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.id))
    }

    // Until it has been waited for, its id is nobody else's.
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.id))
    }

    fn end_of_log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(LOG_LINES_QUOTED)..].join("\n");
        format!("{end}\n(all of it is in {})", self.log.display())
    }
}

/// Ports of 127.0.0.1 that nobody listens on, all different.
///
/// # Errors
/// There are none.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held at the same time, so that none is found twice.
    let held: std::io::Result<Vec<TcpListener>> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect();
    let held = held.context("no free port on 127.0.0.1")?;
    held.iter().map(|one| Ok(one.local_addr().context("no free port on 127.0.0.1")?.port())).collect()
}

fn read_config(path: &Path, environment: &[(&str, &str)]) -> Result<Config> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| anyhow!("cannot read {name}: {error}"))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let lookup = |wanted: &str| {
        let given = environment.iter().find(|(name, _)| *name == wanted);
        given.map(|(_, value)| (*value).to_owned()).or_else(|| std::env::var(wanted).ok())
    };
    Ok(Config::parse(&text, &name, folder, &lookup)?)
}
