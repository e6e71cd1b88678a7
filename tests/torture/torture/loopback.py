"""The same faults on the loopback interface, where namespaces are refused: the harness's proxies lose messages."""

import time

from harness import ground
from harness.proxy import Verdict

_SLOW_SECONDS = 0.4


class Loopback(ground.Loopback):
    """Messages, rather than packets, are lost: a connection stays silent."""

    kind = "loopback with proxies"

    def __init__(self):
        super().__init__()
        self._rules = {}

    def cut(self, source, target):
        """Neither a request nor an answer of `source` arrives at `target`."""
        requests = self.network.on(None, source, target, action=Verdict.MUTE, repeated=True)
        answers = self.network.on(None, target, source, phase="response", action=Verdict.MUTE, repeated=True)
        self._rules.setdefault(("cut", source, target), []).append((requests, answers))

    def mend(self, source, target):
        """Undoes one `cut`."""
        self._undo("cut", source, target)

    def slow(self, name):
        """What `name` asks of others is late."""
        rule = self.network.on(None, name, action=lambda _: time.sleep(_SLOW_SECONDS), repeated=True)
        self._rules.setdefault(("slow", name), []).append((rule,))

    def quicken(self, name):
        """Undoes one `slow`."""
        self._undo("slow", name)

    def heal(self):
        """Every message arrives, and at once."""
        super().heal()
        self._rules.clear()

    def _undo(self, *what):
        for rule in self._rules[what].pop():
            self.network.drop(rule)
