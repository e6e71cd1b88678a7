//! The brokers between cars and node, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use recarga_mqtt::link::{Link, LinkOptions, Qos};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// What the company, and the crowd on its behalf, logs in with.
pub const PASSWORD: &str = "bench-mqtt";

const READY_MAX: Duration = Duration::from_secs(10);
const DROPPED: &str = "$SYS/broker/publish/messages/dropped";

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Eclipse Mosquitto, which must be installed.
    Mosquitto,
    /// The one inside this program, as `recarga broker` runs it.
    Embedded,
}

/// A broker's process; it is killed when this is dropped.
pub struct Broker {
    pub kind: Kind,
    pub address: SocketAddr,
    pub pid: u32,
    child: Child,
    // What it says that it has dropped, where it says so.
    dropped: Option<(Link, Arc<AtomicU64>)>,
}

impl Broker {
    /// Starts it. The embedded one reads the companies that may log in from `config`. `behind`: it yields to others.
    ///
    /// # Errors
    /// It cannot be run, or does not listen.
    pub async fn start(
        kind: Kind,
        address: SocketAddr,
        mosquitto: &Path,
        behind: bool,
        folder: &Path,
        company: &str,
        config: &Path,
    ) -> Result<Broker> {
        let command = |program: &Path| match behind {
            true => {
                let mut command = Command::new("nice");
                command.args(["-n", &super::BEHIND.to_string()]).arg(program);
                command
            }
            false => Command::new(program),
        };
        let mut command = match kind {
            Kind::Mosquitto => {
                let mut command = command(mosquitto);
                command.arg("-c").arg(write_config(address, folder, company)?);
                command
            }
            Kind::Embedded => {
                let program = std::env::current_exe().context("cannot find this program's own file")?;
                let mut command = command(&program);
                command.args(["broker", "--listen", &address.to_string()]).arg(config);
                command
            }
        };
        let log = std::fs::File::create(folder.join(format!("{kind:?}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().with_context(|| match kind {
            Kind::Mosquitto => format!(
                "cannot run {}; install the package mosquitto, or choose --broker embedded",
                mosquitto.display()
            ),
            Kind::Embedded => "cannot run the broker".to_owned(),
        })?;
        let pid = child.id().context("the broker has ended already")?;
        let mut broker = Broker { kind, address, pid, child, dropped: None };
        broker.wait_ready().await?;
        if kind == Kind::Mosquitto {
            broker.dropped = Some(listen(address, company)?);
        }
        Ok(broker)
    }

    /// Messages that it says it has dropped since its start; none if it does not say.
    pub fn dropped(&self) -> Option<u64> {
        self.dropped.as_ref().map(|(_, dropped)| dropped.load(Ordering::Relaxed))
    }

    /// Ends it.
    ///
    /// # Errors
    /// It had ended before, which spoils what was measured.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the broker ({:?}) ended by itself: {status}", self.kind);
        }
        self.child.kill().await.context("cannot stop the broker")
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_MAX;
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the broker ({:?}) ended at once: {status}", self.kind);
            }
            if Instant::now() > deadline {
                bail!("the broker ({:?}) does not listen on {}", self.kind, self.address);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

// As docs/operations.md has it, but for the passwords: whoever names a user is believed.
fn write_config(address: SocketAddr, folder: &Path, company: &str) -> Result<PathBuf> {
    let (config, acl) = (folder.join("mosquitto.conf"), folder.join("mosquitto.acl"));
    let rules = format!(
        "user {company}\ntopic readwrite veiculo/#\ntopic readwrite servidor/{company}/#\ntopic read $SYS/#\n\
         pattern write veiculo/%u/status\npattern write veiculo/%u/requisicao\npattern read veiculo/%u/resposta\n"
    );
    let text = format!(
        "listener {} {}\nallow_anonymous true\nacl_file {}\nmax_queued_messages 100000\n\
         max_inflight_messages 1000\nset_tcp_nodelay true\nsys_interval 1\nuser root\n",
        address.port(),
        address.ip(),
        acl.display()
    );
    std::fs::write(&acl, rules).with_context(|| format!("cannot write {}", acl.display()))?;
    std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    Ok(config)
}

fn listen(address: SocketAddr, company: &str) -> Result<(Link, Arc<AtomicU64>)> {
    let (link, mut incoming) = Link::open(LinkOptions {
        username: Some(company.to_owned()),
        password: Some(PASSWORD.to_owned()),
        subscriptions: vec![(DROPPED.to_owned(), Qos::AtMostOnce)],
        clean_start: true,
        ..LinkOptions::new(format!("mqtt://{address}"), format!("{company}-bench"))
    })?;
    let told = Arc::new(AtomicU64::new(0));
    let seen = told.clone();
    tokio::spawn(async move {
        while let Some(message) = incoming.recv().await {
            let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse().ok());
            seen.store(number.unwrap_or_default(), Ordering::Relaxed);
            message.ack.done();
        }
    });
    Ok((link, told))
}
