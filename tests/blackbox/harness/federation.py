"""Companies as processes, three unless told otherwise, with a breakable network between them."""

import datetime
import itertools
import json
import random
import shutil
import uuid
from pathlib import Path

from . import http
from .disk import Disk, build_shim
from .ground import Loopback
from .process import Program
from .waiting import until

NAMES = ("empresa-a", "empresa-b", "empresa-c")
PLUG = "IEC_62196_T2_COMBO"
EVSES = 24

# Short, so that what takes minutes in production takes moments here; but longer than a busy disk takes for a flush.
LIMITS = {
    "inquire_after_millis": 300,
    "decide_seconds_max": 3,
    "peer_answer_seconds_max": 2,
    "client_requests_per_second_max": 0,
    "peer_requests_per_second_max": 0,
    # Every stop gets a window of its own, and there are many; so do a few cars get many trips.
    "ahead_days_max": 3650,
    "vehicle_open_trips_max": 0,
    "vehicle_booked_hours_max": 0,
}


def instant(moment):
    """RFC 3339, whole seconds, UTC."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now():
    """The present, in UTC."""
    return datetime.datetime.now(datetime.UTC)


def peer_token(source, target):
    """What `source` presents to `target`."""
    return f"token-of-{source}-for-{target}"


class Company:
    """One company: its configuration, its process and its address."""

    def __init__(self, federation, name, folder, program):
        self.federation = federation
        self.name = name
        self.place = federation.ground.place(name)
        self.port = self.place.port
        self.url = f"http://{self.place.address}"
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "config.toml"
        self.operator_token = f"operator-of-{name}"
        self.disk = Disk(federation.shim, folder / "disk-orders")
        environment = {"RECARGA_LOG": "info,recarga_node=debug", "NO_COLOR": "1", **self.disk.environment}
        self.process = Program(self._command(program), folder / "log.txt", environment)

    def evse(self, number=1):
        """The id of its nth EVSE, from 1."""
        return f"{self.name[-1].upper()}-{number}"

    def write_config(self, broker=None, limits=None, peers=None, tables=None, login=None, **operator):
        """Writes the TOML file that the process reads at its start."""
        lines = ["[operator]"]
        fields = {
            "id": self.name,
            "name": f"Company {self.name[-1].upper()}",
            "listen": self.place.address,
            "data_dir": str(self.data),
            "operator_token": self.operator_token,
            **operator,
        }
        lines += [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
        if broker is not None:
            settings = broker.settings(login or self.name)
            lines += ["[mqtt]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
        for peer in self.federation.names if peers is None else peers:
            if peer == self.name:
                continue
            url = self.federation.link_url(self.name, peer)
            lines += ["[[peers]]", f'id = "{peer}"', f'url = "{url}"']
            lines += [f'token = "{peer_token(self.name, peer)}"', f'accepts = "{peer_token(peer, self.name)}"']
        for table, entries in (tables or {}).items():
            lines.append(f"[{table}]")
            lines += [f"{name} = {json.dumps(value)}" for name, value in entries.items()]
        lines.append("[limits]")
        lines += [f"{name} = {value}" for name, value in {**LIMITS, **(limits or {})}.items()]
        lines += [
            "[[locations]]",
            f'id = "{self.name[-1].upper()}-01"',
            'name = "Posto"',
            'city = "Salvador"',
            'state = "BA"',
            "latitude = -12.98",
            "longitude = -38.46",
            'time_zone = "America/Bahia"',
            "tariff = { price_kwh = 2.1, activation_fee = 2.0 }",
            "evses = [",
        ]
        for number in range(1, EVSES + 1):
            connector = f'{{ id = "1", plug = "{PLUG}", power_kw = 60 }}'
            lines.append(f'  {{ id = "{self.evse(number)}", connectors = [{connector}] }},')
        lines.append("]")
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def use(self, program):
        """From its next start on it runs this program, as of another version."""
        self.process.command = self._command(program)

    def _command(self, program):
        return [str(part) for part in (*self.place.prefix, program, "serve", "--config", self.config)]

    def start(self, wait=True):
        """Starts the process and, unless told otherwise, waits until it takes requests."""
        self.disk.behave()
        self.process.start()
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=15):
        """Waits until it takes requests."""

        def ready():
            if not self.process.is_running:
                raise AssertionError(f"{self.name} ended:\n{self.process.last_output()}")
            try:
                return self.call("GET", "/saude", timeout=1).status == 200
            except http.Unanswered:
                return False

        until(ready, f"{self.name} to be ready", seconds)

    def kill(self, _exchange=None):
        """SIGKILL; can be used as an action of a network rule."""
        self.process.kill()

    def ensure_running(self):
        """Starts it again if it is gone."""
        self.process.thaw()
        if not self.process.is_running:
            self.start()

    def restart(self):
        """SIGKILL and start."""
        self.kill()
        self.start()

    def call(self, method, path, body=None, **options):
        """A request straight to the process, not through the network."""
        return http.call(method, self.url + path, body, **options)

    def as_peer(self, peer, method, path, body=None, **options):
        """A request with the token of another company."""
        return self.call(method, path, body, token=peer_token(peer, self.name), **options)

    def as_operator(self, method, path, **options):
        """A request with the operator's token."""
        return self.call(method, path, token=self.operator_token, **options)

    def health(self):
        """What it says of itself."""
        return self.call("GET", "/saude").json

    def metrics(self, **options):
        """Every figure by its name, labels included."""
        text = self.call("GET", "/metrics", **options).body.decode()
        figures = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                figures[name] = float(value)
        return figures

    def metric(self, name):
        """One figure, a counter or a gauge, labels and all; 0 where it was never counted."""
        figures = self.metrics()
        bare, brace, labels = f"recarga_{name}".partition("{")
        return figures.get(bare + brace + labels, figures.get(f"{bare}_total{brace}{labels}", 0.0))


class Federation:
    """Companies that know each other through the links of their ground."""

    def __init__(self, program, folder, seed, broker=None, limits=None, names=NAMES, ground=None):
        self.folder = Path(folder)
        self.program = program
        self.broker = broker
        self.limits = dict(limits or {})
        self.random = random.Random(seed)
        self.names = tuple(names)
        self.ground = ground or Loopback()
        self.network = getattr(self.ground, "network", None)
        self.shim = build_shim(self.folder.parent)
        self._slots = itertools.count()
        self._base = (now() + datetime.timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
        self._links = {}
        self.companies = {}
        for name in self.names:
            home = self.folder / name
            if home.exists():
                shutil.rmtree(home)
            home.mkdir(parents=True)
            self.companies[name] = Company(self, name, home, program)
        self.a, self.b, self.c = list(self.companies.values())[:3]
        for company in self:
            for source in ("client", *self.names):
                if source != company.name:
                    self._links[source, company.name] = self.ground.link(source, company.name, company.place)
        for company in self:
            company.write_config(broker, self.limits)

    def __iter__(self):
        return iter(self.companies.values())

    def __getitem__(self, name):
        return self.companies[name]

    def link_url(self, source, target):
        """The address under which `source` reaches `target`; the source may be "client"."""
        return self._links[source, target]

    def start(self):
        """Starts every company."""
        for company in self:
            company.start(wait=False)
        for company in self:
            company.wait_ready()
        return self

    def heal(self):
        """The network behaves, and every company runs."""
        self.ground.heal()
        for company in self:
            company.disk.behave()
        for company in self:
            company.ensure_running()
        for company in self:
            company.wait_ready()

    def close(self):
        """Everything is gone."""
        for company in self:
            company.process.end()
        self.ground.close()

    @property
    def kills(self):
        """How many SIGKILLs its companies took."""
        return sum(company.process.kills for company in self)

    # -- requests -------------------------------------------------------------------------------------------------

    def window(self, minutes=20):
        """A window that no other caller gets: the next in a row."""
        start = self._base + datetime.timedelta(minutes=30 * next(self._slots))
        return instant(start), instant(start + datetime.timedelta(minutes=minutes))

    def stop_at(self, company, evse=1, window=None):
        """One stop of a request for a trip."""
        start, end = window or self.window()
        name = company if isinstance(company, str) else company.name
        return {
            "empresa": name,
            "ponto_id": self[name].evse(evse),
            "janela_inicio": start,
            "janela_fim": end,
        }

    def trip(self, *companies, vehicle=None, evse=1):
        """A fresh request for a trip with a stop at each company, in this order; all three without arguments."""
        stops = [self.stop_at(company, evse) for company in companies or self]
        return self.request(stops, vehicle)

    def request(self, stops, vehicle=None):
        """A fresh request for a trip with these stops."""
        return {
            "requisicao_id": self.fresh_id(),
            "veiculo": {"veiculo_id": vehicle or f"carro-{self.fresh_id()[:8]}", "plugue": PLUG},
            "paradas": stops,
        }

    def fresh_id(self):
        """An id that is never used twice and that the seed determines."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
