"""What all tests share: the program, the seed, the folder for logs, and federations made to measure."""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness.audit import settle  # noqa: E402
from harness.broker import Broker, EmbeddedBroker  # noqa: E402
from harness.broker_tls import TlsBroker  # noqa: E402
from harness.car import Car  # noqa: E402
from harness.client import Client  # noqa: E402
from harness.federation import NAMES, Federation  # noqa: E402
from harness.history import History  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
_kills = 0


def pytest_configure(config):
    """Draws the seed once, so that every line of output can name it."""
    text = os.environ.get("BLACKBOX_SEED")
    config.blackbox_seed = int(text) if text else random.SystemRandom().randrange(1 << 32)
    # Tests may run side by side in processes of their own, with one seed for all.
    os.environ["BLACKBOX_SEED"] = str(config.blackbox_seed)
    config.blackbox_logs = Path(os.environ.get("BLACKBOX_LOGS", REPOSITORY / "target" / "blackbox"))


def pytest_report_header(config):
    """Says at the top what is needed to run the same again."""
    return f"BLACKBOX_SEED={config.blackbox_seed}  logs: {config.blackbox_logs}"


def pytest_terminal_summary(terminalreporter, config):
    """And at the bottom."""
    command = os.environ.get("BLACKBOX_COMMAND", "tests/blackbox/run.sh")
    terminalreporter.write_line(
        f"{_kills} SIGKILLs; to repeat: BLACKBOX_SEED={config.blackbox_seed} {command}"
    )


def pytest_sessionfinish(session):
    """A process that is one of several tells the first one what it has counted."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["kills"] = _kills


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """And that one adds it up."""
    global _kills
    _kills += 0 if error else node.workeroutput["kills"]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure names the seed and the folder with the logs of every process."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    if report.failed:
        folder = getattr(item, "blackbox_folder", item.config.blackbox_logs)
        text = f"BLACKBOX_SEED={item.config.blackbox_seed}\nlogs of every process: {folder}"
        report.sections.append(("to reproduce", text))


@pytest.fixture(scope="session")
def program():
    """The program under test: a copy, so that a build in the meantime does not change it under our feet."""
    path = os.environ.get("RECARGA_BIN")
    assert path, "RECARGA_BIN is not set; use run.sh"
    return Path(path).resolve()


@pytest.fixture(scope="session")
def seed(request):
    """From which all chance in the tests comes."""
    return request.config.blackbox_seed


@pytest.fixture(scope="session")
def logs(request):
    """Where every test has a folder of its own."""
    folder = request.config.blackbox_logs
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Stage:
    """A federation with its clients and their history, and a broker if one is wanted."""

    def __init__(self, federation, broker=None):
        self.federation = federation
        self.broker = broker
        self.history = History()
        self.client = Client(federation, self.history)

    def settle(self, seconds=10.0):
        """Heals everything, waits for rest, and checks it against what clients were told."""
        self.federation.heal()
        return settle(self.federation, self.history, seconds)

    def close(self):
        """Everything is gone."""
        global _kills
        self.federation.close()
        _kills += self.federation.kills
        if self.broker:
            self.broker.process.end()
            _kills += self.broker.process.kills


def _build(program, folder, seed, kind, limits, names=NAMES):
    """A federation that is not started yet, with a broker of this kind ("mosquitto", "mosquitto-tls", "embedded" or none)
    that is."""
    broker = None
    if kind == "mosquitto":
        broker = Broker(folder / "broker")
    elif kind == "mosquitto-tls":
        broker = TlsBroker(folder / "broker", program, names)
    elif kind == "embedded":
        configs = [folder / name / "config.toml" for name in names]
        broker = EmbeddedBroker(folder / "broker", program, configs)
    stage = Stage(Federation(program, folder, seed, broker, limits, names), broker)
    if broker:
        broker.start()
    return stage


@pytest.fixture
def make_stage(request, program, logs, seed):
    """Makes stages for one test: `make_stage(broker=True, limits={...}, start=True)`."""
    stages = []
    folder = logs / request.node.name.replace("/", "_")
    request.node.blackbox_folder = folder

    def make(broker=False, limits=None, start=True, names=NAMES):
        home = folder / str(len(stages)) if stages else folder
        if home.exists():
            shutil.rmtree(home)
        home.mkdir(parents=True)
        stage = _build(program, home, seed, "mosquitto" if broker else None, limits, names)
        stages.append(stage)
        if start:
            stage.federation.start()
        return stage

    yield make
    for stage in stages:
        stage.close()


class _Shared:
    """One stage for all tests of a module; a test that fails leaves a fresh one to the next."""

    def __init__(self, make):
        self._make = make
        self._stage = None
        self._count = 0
        self.folder = None

    def get(self):
        if self._stage is None:
            self._count += 1
            self._stage, self.folder = self._make(self._count)
        return self._stage

    def drop(self):
        if self._stage is not None:
            self._stage.close()
            self._stage = None


@pytest.fixture(scope="module")
def _shared(request, program, logs, seed):
    module = request.module

    def make(count):
        folder = logs / f"{module.__name__}-{count}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        stage = _build(program, folder, seed, getattr(module, "BROKER", None), getattr(module, "LIMITS", None))
        stage.federation.start()
        return stage, folder

    shared = _Shared(make)
    yield shared
    shared.drop()


@pytest.fixture
def stage(request, _shared):
    """The module's stage, healed and at rest, with all companies running. `BROKER` and `LIMITS` of the module say
    what it is like."""
    stage = _shared.get()
    request.node.blackbox_folder = _shared.folder
    stage.federation.heal()
    yield stage
    report = getattr(request.node, "report_call", None)
    if report is None or report.failed:
        _shared.drop()


@pytest.fixture
def cars(stage):
    """Makes connected cars, through one door of the broker if it has several, and says goodbye for them at the end."""
    made = []

    def make(version=5, by="certificate", **options):
        broker = getattr(stage.broker, "doors", {}).get(by, stage.broker)
        car = Car(broker, stage.history, version, **options).start()
        made.append(car)
        return car

    yield make
    for car in made:
        car.stop()
