"""Free TCP ports on the loopback interface."""

import os
import random
import socket
import threading

_taken = set()
_lock = threading.Lock()
# Tests that run side by side do not see each other's ports: each worker has its own share.
_WORKERS = 8
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# Below the ports that the system hands to outgoing connections, so that a restarted process finds its own free.
_FIRST, _LAST = 18000, 30000


def free_port():
    """A port that nothing listens on and that no other caller of these tests has got."""
    with _lock:
        for _ in range(1000):
            port = random.SystemRandom().randrange(_FIRST + _worker, _LAST, _WORKERS)
            if port in _taken:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _taken.add(port)
            return port
    raise RuntimeError("no free port on the loopback interface")
