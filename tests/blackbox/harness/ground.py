"""Where the companies of a federation live and how they reach each other: here on the loopback interface, each through
a proxy for every other. Another ground has the same methods."""

from .ports import free_port
from .proxy import Network


class Place:
    """An address, and what a command must begin with to run there."""

    def __init__(self, host="127.0.0.1", port=None, prefix=()):
        self.host = host
        self.port = port or free_port()
        self.prefix = list(prefix)

    @property
    def address(self):
        """As in a URL."""
        return f"{self.host}:{self.port}"


class Loopback:
    """Everybody on 127.0.0.1; proxies between them can break."""

    def __init__(self):
        self.network = Network()

    def place(self, _name):
        """A place for a company or a broker."""
        return Place()

    def link(self, source, target, place):
        """The URL under which `source` reaches the company `target`, who lives at `place`."""
        return self.network.link(source, target, place.port)

    def heal(self):
        """Every message arrives."""
        self.network.forget_rules()

    def close(self):
        """No more connections."""
        self.network.close()
