//! A PostgreSQL server of a test's own: in a temporary folder, on a port of its own, gone with the value.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use postgres::{Client, NoTls};

/// A server, and how many databases were made in it.
pub struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    server: Child,
    databases: AtomicU32,
}

impl Cluster {
    /// Starts a server.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("recarga-postgres-").tempdir().unwrap();
        // It refuses to run as root, so root's tests give it the folder and another user.
        let user = (std::fs::metadata("/proc/self").unwrap().uid() == 0).then(nobody);
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let mut init = command("initdb", folder.path(), user);
        init.args([
            "--auth",
            "trust",
            "--username",
            "recarga",
            "--encoding",
            "UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
        ]);
        let made = init.arg(&data).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = command("postgres", folder.path(), user);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path()).args(["-p", &port.to_string()]);
        server.args(["-c", "listen_addresses=127.0.0.1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().unwrap();
        let cluster = Self { folder, port, server, databases: AtomicU32::new(0) };
        let mut tries = 0;
        while Client::connect(&cluster.url("postgres"), NoTls).is_err() {
            tries += 1;
            assert!(tries < 400, "PostgreSQL does not come up in {:?}", cluster.folder);
            std::thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("company_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.client("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.url(&name)
    }

    /// A connection that is nobody else's, to the database at an address.
    pub fn look_into(url: &str) -> Client {
        Client::connect(url, NoTls).unwrap()
    }

    fn client(&self, database: &str) -> Client {
        Self::look_into(&self.url(database))
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://recarga:not-told@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGKILL leaves shared memory behind; SIGQUIT is what it calls an immediate stop.
        let _ = Command::new("kill").args(["-QUIT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

fn command(name: &str, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(programs().join(name));
    command.current_dir(folder).env("TZ", "UTC");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

// The newest that Debian's packages have put there.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    folders.sort();
    folders.pop().expect("PostgreSQL's programs are in /usr/lib/postgresql/*/bin: run scripts/setup")
}

fn nobody() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("nobody:")).expect("there is a user nobody");
    let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
    (fields.next().unwrap(), fields.next().unwrap())
}
