"""The systems that are measured. Each starts once, is measured in many short rounds, and is checked at the end."""

import datetime
import json
import os
import pwd
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from .processes import free_port, output_of, start, stop, wait_for_port

NAMES = ["empresa-a", "empresa-b", "empresa-c"]
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/release/recarga"
# Rounds do not meet each other's windows: no round books more than so many days.
DAYS_PER_ROUND = 20


class _Http:
    """Three companies that speak the protocol over HTTP; `recarga bench trips` books."""

    def __init__(self, folder):
        self.folder = folder / self.key
        self.folder.mkdir()
        self._ports = [free_port() for _ in NAMES]
        self._urls = [f"http://127.0.0.1:{port}" for port in self._ports]
        self._processes = []
        self._round = 0

    def start(self):
        """All three, ready."""
        for number in range(len(NAMES)):
            log = self.folder / f"{NAMES[number]}.log"
            process = self._start(number, log)
            self._processes.append(process)
            wait_for_port(self._ports[number], process, log)

    def measure(self, clients, seconds):
        """One round."""
        self._round += 1
        command = [PROGRAM, "bench", "trips", "--json", "--target", ",".join(self._urls)]
        command += ["--clients", clients, "--seconds", seconds, "--first-day", 1 + DAYS_PER_ROUND * (self._round - 1)]
        command += ["--process", ",".join(str(process.pid) for process in self._processes)]
        # It ends with 1 if a trip has failed, which is a figure too.
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if not done.stdout.startswith("{"):
            raise RuntimeError(f"{self.title}: {done.stdout}{done.stderr}")
        level = json.loads(done.stdout)["levels"][0]
        if level["refused"] or not level["trips"]:
            raise RuntimeError(f"{self.title}: {level['trips']} booked, {level['refused']} refused: {level['first_error']}")
        return level

    def check(self):
        """It has really booked: the same windows are refused a second time."""
        trip = {
            "requisicao_id": "a-second-time",
            "veiculo": {"veiculo_id": "bench-check"},
            "paradas": [{"empresa": name, **self._first_window(place)} for place, name in enumerate(NAMES)],
        }
        statuses = []
        for number in (1, 2):
            body = json.dumps(trip | {"requisicao_id": f"check-{number}"}).encode()
            request = urllib.request.Request(f"{self._urls[0]}/viagens", body, {"content-type": "application/json"})
            try:
                statuses.append(urllib.request.urlopen(request, timeout=30).status)
            except urllib.error.HTTPError as refusal:
                statuses.append(refusal.code)
        if statuses != [201, 409]:
            raise RuntimeError(f"{self.title}: the same windows, asked for twice, were answered with {statuses}")

    def stop(self):
        """All three."""
        for process in self._processes:
            stop(process)

    @staticmethod
    def _first_window(place):
        # Before every round's first day.
        start = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(hours=1 + place)
        end = start + datetime.timedelta(minutes=20)
        form = "%Y-%m-%dT%H:%M:%SZ"
        return {"ponto_id": "L0-0", "janela_inicio": start.strftime(form), "janela_fim": end.strftime(form)}


class Recarga(_Http):
    """Three nodes as they ship."""

    key, title = "recarga", "Recarga"

    def _start(self, number, log):
        path = self.folder / f"{NAMES[number]}.toml"
        path.write_text(self._configuration(number))
        # The first as in the unit and the image that are shipped, the second as docs/operations.md advises for nodes
        # that share a machine.
        threads = max(1, os.cpu_count() // len(NAMES))
        settings = {"MIMALLOC_PURGE_DELAY": "-1", "TOKIO_WORKER_THREADS": str(threads)}
        return start([PROGRAM, "serve", "--config", path], log, {**settings, **os.environ})

    def check(self):
        """Also by the audit over all three databases."""
        super().check()
        nodes = [part for name in NAMES for part in ("--config", str(self.folder / f"{name}.toml"))]
        output_of([str(PROGRAM), "audit", *nodes])

    def _configuration(self, own):
        lines = [
            "[operator]",
            f'id = "{NAMES[own]}"',
            f'name = "{NAMES[own]}"',
            f'listen = "127.0.0.1:{self._ports[own]}"',
            f'data_dir = "{self.folder / NAMES[own]}"',
            'operator_token = "bench-operator"',
            "[limits]",
            "client_requests_per_second_max = 0",
            "peer_requests_per_second_max = 0",
            "ahead_days_max = 3650",
        ]
        for other, name in enumerate(NAMES):
            if other != own:
                lines += ["[[peers]]", f'id = "{name}"', f'url = "{self._urls[other]}"']
                lines += [f'token = "bench-{own}-to-{other}"', f'accepts = "bench-{other}-to-{own}"']
        connector = '{ id = "1", plug = "IEC_62196_T2_COMBO", power_kw = 60 }'
        for place in range(40):
            lines += ["[[locations]]", f'id = "L{place}"', f'name = "Bench {place}"', 'city = "Salvador"', 'state = "BA"']
            lines += ["latitude = -12.97", "longitude = -38.5", 'time_zone = "America/Bahia"', "tariff = { price_kwh = 2.0 }"]
            evses = ", ".join(f'{{ id = "L{place}-{evse}", connectors = [{connector}] }}' for evse in range(10))
            lines.append(f"evses = [{evses}]")
        return "\n".join(lines) + "\n"


class Python(_Http):
    """Three FastAPI services with SQLite (bench/python/company.py)."""

    key, title = "python", "FastAPI and SQLite"

    def _start(self, number, log):
        peers = {name: url for name, url in zip(NAMES, self._urls) if name != NAMES[number]}
        environment = {
            "NAME": NAMES[number],
            "PORT": str(self._ports[number]),
            "PEERS": json.dumps(peers),
            "DATABASE": str(self.folder / f"{NAMES[number]}.sqlite"),
        }
        return start([sys.executable, ROOT / "bench/python/company.py"], log, environment)


class Postgres:
    """Four clusters; `recarga-bench` books."""

    key, title = "postgres", "PostgreSQL two-phase commit"
    _settings = [
        "fsync=on",
        "synchronous_commit=on",
        "max_prepared_transactions=1200",
        "max_connections=320",
        "shared_buffers=128MB",
        "max_wal_size=4GB",
        "checkpoint_timeout=30min",
        "listen_addresses=127.0.0.1",
    ]

    def __init__(self, folder):
        self.folder = folder / self.key
        self.folder.mkdir()
        self._bin = Path(os.environ["BENCH_POSTGRES"])
        # The server refuses to run as root.
        self._user = None
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            self._user = owner.pw_uid
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._ports = [free_port() for _ in range(4)]
        self._processes = []

    def start(self):
        """Three companies and a coordinator."""
        for number, port in enumerate(self._ports):
            data, log = self.folder / f"cluster-{number}", self.folder / f"cluster-{number}.log"
            who = {} if self._user is None else {"user": self._user, "group": self._user, "extra_groups": []}
            command = [self._bin / "initdb", "-D", data, "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-locale"]
            output_of([str(part) for part in command], cwd=self.folder, **who)
            settings = [part for setting in self._settings for part in ("-c", setting)]
            command = [self._bin / "postgres", "-D", data, "-p", str(port), "-k", str(self.folder), *settings]
            process = start(command, log, user=self._user)
            self._processes.append(process)
            wait_for_port(port, process, log)
        self._client("--prepare")

    def measure(self, clients, seconds):
        """One round."""
        processes = ",".join(str(process.pid) for process in self._processes)
        return json.loads(self._client("--clients", clients, "--seconds", seconds, "--process", processes))

    def check(self):
        """Every decision has its three windows, and the same window is refused a second time."""
        reserved, expected = map(int, self._client("--count").split())
        if reserved != expected or reserved == 0:
            raise RuntimeError(f"{self.title}: {reserved} windows for decisions that need {expected}")
        again = "INSERT INTO reservation SELECT 'again', evse, during FROM reservation LIMIT 1"
        command = [self._bin / "psql", "-h", "127.0.0.1", "-p", str(self._ports[0]), "-U", "bench", "postgres", "-c", again]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "exclusion constraint" not in done.stderr:
            raise RuntimeError(f"{self.title}: the same window was given twice: {done.stdout}{done.stderr}")

    def stop(self):
        """All four, without waiting for their clients."""
        for process in self._processes:
            stop(process, signal.SIGINT)

    def _client(self, *arguments):
        *companies, coordinator = [f"postgres://bench@127.0.0.1:{port}/postgres" for port in self._ports]
        command = [ROOT / "target/release/recarga-bench", "--coordinator", coordinator]
        command += [part for company in companies for part in ("--company", company)]
        return output_of([str(part) for part in [*command, *arguments]])
