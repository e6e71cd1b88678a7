"""Mosquitto over TLS exactly as it is shipped, with nothing changed but where things are and which companies there are."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .broker import BrokerProcess, program
from .certificates import Certificates
from .federation import NAMES
from .ground import Place
from .process import Program

REPOSITORY = Path(__file__).resolve().parents[3]
SHIPPED = REPOSITORY / "deploy" / "mosquitto"
PASSWORD = "password-of-{}"
# The first cars are for `recarga vehicles`, which chooses its own names.
SIMULATED = 5


class Door:
    """One listener: how a client gets in, and a car's or company's harness treats it as a broker."""

    def __init__(self, broker, by):
        self.broker, self.by = broker, by
        self.place = Place()
        self.port = self.place.port
        self.url = f"mqtts://{self.place.address}"

    def car(self):
        """The name of a car that nobody has used yet."""
        return self.broker.car()

    def admit(self, client, name):
        """What a client shows to be let in under this name."""
        client.tls_set_context(self.broker.certificates.context(name if self.by == "certificate" else None))
        if self.by == "password":
            client.username_pw_set(name, PASSWORD.format(name))


class TlsBroker(BrokerProcess):
    """The shipped broker: a door for certificates, which is the one that the companies use, and one for passwords."""

    name = "mosquitto over TLS"

    def __init__(self, folder, recarga, names=NAMES, cars=40):
        self.folder = Path(folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        names_of_cars = [f"carro-{number:04}" for number in range(1, cars + 1)]
        self._free = names_of_cars[SIMULATED:]
        self.certificates = Certificates(recarga, self.folder / "certs")
        self.certificates.make("car", *names_of_cars)
        for name in ("broker", *names):
            self.certificates.make("issue", name, "--host", "127.0.0.1")
            # What each company believes is a file of its own, which can be changed without anybody else noticing.
            shutil.copy(self.certificates.authority, self.believed_by(name))
        self.doors = {by: Door(self, by) for by in ("certificate", "password")}
        self.place, self.port = self.doors["certificate"].place, self.doors["certificate"].port
        self.admit, self.url = self.doors["certificate"].admit, self.doors["certificate"].url
        self._write_files([*names, *names_of_cars])
        config = self.folder / "mosquitto-tls.conf"
        self.process = Program([*self.place.prefix, program(), "-c", config], self.folder / "log.txt")

    def believed_by(self, name):
        """The file with the authorities that a company believes."""
        return self.folder / f"believed-by-{name}.pem"

    def settings(self, name):
        """What stands in a company's configuration."""
        own = self.certificates.folder / name
        return {"url": self.url, "ca": str(self.believed_by(name)), "certificate": f"{own}.pem", "key": f"{own}.key"}

    def reload(self):
        """What an operator does after changing files."""
        self.process.signal(signal.SIGHUP)

    @property
    def acl(self):
        """The access rules."""
        return self.folder / "acl"

    def _write_files(self, names):
        shutil.copy(SHIPPED / "acl", self.acl)
        passwords = self.folder / "passwords"
        passwords.write_text("".join(f"{name}:{PASSWORD.format(name)}\n" for name in names), encoding="ascii")
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, capture_output=True)
        for file in (self.acl, passwords):
            file.chmod(0o600)
        text = (SHIPPED / "mosquitto-tls.conf").read_text(encoding="ascii")
        for before, after in (
            ("listener 8883 0.0.0.0", f"listener {self.port} {self.place.host}"),
            ("listener 8884 0.0.0.0", f"listener {self.doors['password'].port} {self.place.host}"),
            ("/etc/mosquitto/", f"{self.folder}/"),
            ("/var/lib/mosquitto/", f"{self.folder}/"),
        ):
            assert before in text, f"mosquitto-tls.conf does not say {before} any more"
            text = text.replace(before, after)
        # Started by root it would change to a user who cannot read here.
        text += "user root\n" if os.geteuid() == 0 else ""
        (self.folder / "mosquitto-tls.conf").write_text(text, encoding="ascii")


def shipped_settings(file):
    """The settings of a shipped configuration, without comments and without what belongs to one listener."""
    of_a_listener = "listener|certfile|keyfile|cafile|tls_version|require_certificate|use_\\w+"
    lines = (SHIPPED / file).read_text(encoding="ascii").splitlines()
    return {line for line in lines if line and not re.match(rf"#|({of_a_listener})\b", line)}
