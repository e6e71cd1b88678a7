"""A network of our own: a bridge, and for every company and the broker a namespace with an address on it.

The runner itself lives in a namespace of its own (run.sh sees to that), so that nothing here touches the machine's
network, and the kernel takes all of it away with the runner's last process."""

import subprocess

from harness.ground import Place

_BRIDGE = "bridge"
_NETWORK = "10.77.0"
_PORT = 8000
# So slow that a vote takes longer than a company's patience now and then.
_SLOW = ["tbf", "rate", "48kbit", "burst", "1600", "latency", "3s"]


class Namespaces:
    """Everybody has an address; packets can be dropped in one direction or in both."""

    kind = "network namespaces"

    def __init__(self):
        self._addresses = {}
        self._links = {}
        self._dropped = []
        self._slow = []
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{_NETWORK}.1/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")

    def place(self, name):
        """A namespace with an address."""
        number = 10 + len(self._addresses)
        address = self._addresses[name] = f"{_NETWORK}.{number}"
        outside = self._links[name] = f"v{number}"
        _ip("netns", "add", name)
        _ip("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", outside, "master", _BRIDGE, "up")
        _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return Place(address, _PORT, _inside(name))

    def link(self, _source, _target, place):
        """Nothing stands between two companies but the network."""
        return f"http://{place.address}"

    def cut(self, source, target):
        """Nothing from `source` arrives at `target`."""
        self._dropped.append((source, target))
        self._drop("-A", source, target)

    def mend(self, source, target):
        """Undoes one `cut`."""
        self._dropped.remove((source, target))
        self._drop("-D", source, target)

    def slow(self, name):
        """What `name` sends trickles."""
        self._slow.append(name)
        if self._slow.count(name) == 1:
            _run("tc", "-n", name, "qdisc", "add", "dev", "eth0", "root", *_SLOW)

    def quicken(self, name):
        """Undoes one `slow`."""
        self._slow.remove(name)
        if name not in self._slow:
            _run("tc", "-n", name, "qdisc", "del", "dev", "eth0", "root")

    def heal(self):
        """Every packet arrives, and at once."""
        for source, target in list(self._dropped):
            self.mend(source, target)
        for name in list(self._slow):
            self.quicken(name)

    def close(self):
        """Takes everything away."""
        for name, outside in self._links.items():
            # The kernel clears a namespace some time after its name is gone; whoever comes next needs the link's name at once.
            _ip("link", "delete", outside)
            _ip("netns", "delete", name)
        _ip("link", "delete", _BRIDGE)

    def _drop(self, verb, source, target):
        rule = ["INPUT", "-s", self._addresses[source], "-j", "DROP"]
        _run(*_inside(target), "iptables", "-w", verb, *rule)


def _inside(name):
    # Unlike `ip netns exec` it leaves the mounts alone; both become the program, with the same process id.
    return ["nsenter", f"--net=/run/netns/{name}"]


def _ip(*arguments):
    _run("ip", *arguments)


def _run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(command)}`: {done.stderr.strip()}")
