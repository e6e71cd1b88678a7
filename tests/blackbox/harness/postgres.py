"""A PostgreSQL server of a test's own, in a temporary folder and on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .ports import free_port
from .process import Program
from .waiting import until


def _programs():
    """The newest version that Debian's packages have put there."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "PostgreSQL's programs are in /usr/lib/postgresql/*/bin: run scripts/setup"
    return found[-1].parent


class Postgres:
    """The server: started, stopped at once as by a power cut, and started again."""

    def __init__(self, log):
        self._programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="recarga-postgres-"))
        self.port = free_port()
        # It refuses to run as root, so root's tests give it the folder and another user.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        data = self.folder / "data"
        init = [self._programs / "initdb", "--auth", "trust", "--username", "recarga", "--encoding", "UTF8", "--no-locale",
                "--no-sync", "-D", data]
        subprocess.run(init, check=True, capture_output=True, cwd=self.folder, preexec_fn=self._become)
        command = [self._programs / "postgres", "-D", data, "-k", self.folder, "-p", self.port,
                   "-c", "listen_addresses=127.0.0.1"]
        self.process = Program(command, log, before_start=self._become)

    def _become(self):
        if self._user:
            os.setgid(self._user.pw_gid)
            os.setuid(self._user.pw_uid)
        os.chdir(self.folder)

    def start(self):
        """Starts it and waits until it answers."""
        self.process.start()
        until(lambda: self.query("SELECT 1") == "1", "PostgreSQL to answer", 20)
        return self

    def secure(self, certificate, key):
        """From now on it takes nobody without TLS and a password; psql finds its way by itself."""
        data = self.folder / "data"
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copyfile(source, data / name)
            os.chmod(data / name, 0o600)
            if self._user:
                os.chown(data / name, self._user.pw_uid, self._user.pw_gid)
        self.query("ALTER USER recarga PASSWORD 'never-shown'")
        self.query("ALTER SYSTEM SET ssl = on")
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\nhost all all all reject\n")
        self.query("SELECT pg_reload_conf()")
        until(lambda: self.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t", "TLS at PostgreSQL", 10)

    def crash(self):
        """As a power cut leaves it: nothing is written down, nobody is told."""
        self.process.signal(signal.SIGQUIT)
        self.process.wait()

    def database(self, name):
        """The address of a new database."""
        self.query(f"CREATE DATABASE {name}")
        return f"postgres://recarga:never-shown@127.0.0.1:{self.port}/{name}"

    def query(self, text, database="postgres"):
        """What psql prints, without decoration; nothing if the server is away."""
        command = [self._programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "recarga", "-XAtq", database,
                   "-c", text]
        environment = {**os.environ, "PGPASSWORD": "never-shown"}
        return subprocess.run(command, capture_output=True, text=True, timeout=20, env=environment).stdout.strip()

    def end(self):
        """Everything is gone."""
        self.process.end()
        shutil.rmtree(self.folder, ignore_errors=True)
