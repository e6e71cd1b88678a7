"""Free TCP ports on the loopback interface."""

import random
import socket
import threading

_taken = set()
_lock = threading.Lock()
# Below the ports that the system hands to outgoing connections, so that a restarted process finds its own free.
_FIRST, _LAST = 18000, 30000


def free_port():
    """A port that nothing listens on and that no other caller of this process has got."""
    with _lock:
        for _ in range(1000):
            port = random.SystemRandom().randrange(_FIRST, _LAST)
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
