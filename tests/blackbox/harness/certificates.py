"""An authority and certificates, made as an operator would make them."""

import ssl
import subprocess
from pathlib import Path


class Certificates:
    """An authority in a folder, by the program's own command."""

    def __init__(self, recarga, folder):
        self.recarga, self.folder = recarga, Path(folder)
        self.make("init")

    @property
    def authority(self):
        """The file with its certificate."""
        return self.folder / "authority.pem"

    def make(self, *arguments):
        """One command of `recarga certs`."""
        command = [self.recarga, "certs", *arguments, "--dir", self.folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)

    def context(self, name=None, tls_max=None):
        """A client's side of TLS: one that has this name's certificate, or none."""
        context = ssl.create_default_context(cafile=self.authority)
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        if tls_max:
            context.maximum_version = tls_max
        return context
