"""MQTT brokers as processes of our own, on ports of our own: Mosquitto 2 with the settings under which it keeps its word,
and the one that the program brings along."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from .federation import NAMES
from .ground import Place
from .process import Program
from .waiting import until

PASSWORD = "password-of-everyone"
MONITOR = "monitor"

_SETTINGS = """\
listener {port} {host}
{user}
allow_anonymous false
use_username_as_clientid true
password_file {folder}/passwords
acl_file {folder}/acl
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 100000
max_inflight_messages 1000
persistent_client_expiration 7d
set_tcp_nodelay true
log_dest stderr
"""

# A company's own login, and those of its replicas: with one between them they would push each other out.
_LOGINS = ("", "-r1", "-r2", "-r3")
_COMPANY_RULES = """\
user {name}{login}
topic read veiculo/+/requisicao
topic read veiculo/+/status
topic write veiculo/+/resposta
topic readwrite servidor/{name}/#
"""

_CAR_RULES = f"""\
user {MONITOR}
topic readwrite #
pattern write veiculo/%u/status
pattern write veiculo/%u/requisicao
pattern read veiculo/%u/resposta
"""


def program():
    """Where Mosquitto is; Debian puts it beside the administrator's programs."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    assert found, "mosquitto is not installed; run.sh installs it"
    return found


class BrokerProcess:
    """A broker that can be killed and started again."""

    name = None
    password = PASSWORD

    def car(self):
        """The name of a car that nobody has used yet."""
        return self._free.pop(0)

    def settings(self, name):
        """What stands in a company's configuration."""
        return {"url": self.url, "username": name, "password": self.password}

    def admit(self, client, name):
        """What a client shows to be let in under this name."""
        client.username_pw_set(name, self.password)

    def start(self):
        """Starts it and waits until it takes connections."""
        self.process.start()
        until(self._listens, f"{self.name} to listen", 10)
        return self

    def kill(self):
        """SIGKILL."""
        self.process.kill()

    def restart(self):
        """SIGKILL and start."""
        self.kill()
        self.start()

    def _listens(self):
        assert self.process.is_running, self.process.last_output()
        try:
            socket.create_connection((self.place.host, self.port), timeout=1).close()
        except OSError:
            return False
        return True


class EmbeddedBroker(BrokerProcess):
    """`recarga broker` for the companies whose configurations will be there when it starts."""

    name = "the embedded broker"

    def __init__(self, folder, program, configs, cars=200):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.place = Place()
        self.port = self.place.port
        self.url = f"mqtt://{self.place.address}"
        self._free = [f"carro-{number:04}" for number in range(cars)]
        command = [program, "broker", "--listen", self.place.address, *configs]
        self.process = Program(command, self.folder / "log.txt")


class Broker(BrokerProcess):
    """Mosquitto."""

    name = "mosquitto"

    def __init__(self, folder, cars=200, names=NAMES, place=None):
        self.folder = Path(folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        self.place = place or Place()
        self.port = self.place.port
        self.url = f"mqtt://{self.place.address}"
        self.names = tuple(names)
        self.cars = [f"carro-{number:04}" for number in range(cars)]
        self._free = list(self.cars)
        self._write_files()
        config = self.folder / "mosquitto.conf"
        self.process = Program([*self.place.prefix, program(), "-c", config], self.folder / "log.txt")

    def _write_files(self):
        passwords = self.folder / "passwords"
        names = [*(name + login for name in self.names for login in _LOGINS), MONITOR, *self.cars]
        passwords.write_text("".join(f"{name}:{PASSWORD}\n" for name in names), encoding="ascii")
        passwords.chmod(0o600)
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
        acl = self.folder / "acl"
        rules = [_COMPANY_RULES.format(name=name, login=login) for name in self.names for login in _LOGINS]
        acl.write_text("".join(rules) + _CAR_RULES, encoding="ascii")
        acl.chmod(0o600)
        # Started by root it would change to a user who cannot write here.
        user = "user root" if os.geteuid() == 0 else ""
        settings = _SETTINGS.format(port=self.port, host=self.place.host, folder=self.folder, user=user)
        (self.folder / "mosquitto.conf").write_text(settings, encoding="ascii")
