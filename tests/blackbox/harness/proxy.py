"""The network between companies: a proxy for every ordered pair, which sees each message and can lose it, delay it,
repeat it, or do anything else at exactly that moment."""

import enum
import json
import select
import socket
import threading
import time

from . import http
from .ports import free_port

_PEER_OPERATIONS = {
    "reserva-temporaria": "hold",
    "confirmar-reserva": "confirm",
    "cancelar-reserva": "cancel",
    "consultar-transacao": "inquire",
}


class Verdict(enum.Enum):
    """What becomes of a message after a rule has looked at it."""

    PASS = "it goes on"
    CUT = "it is lost and the connection with it"
    MUTE = "it is lost and the connection stays silent"
    TWICE = "a request goes on twice; the second answer is told"


class Operation:
    """One thing that is asked for: alone in its request, or one of a batch."""

    def __init__(self, kind, body):
        self.kind = kind
        self.body = body

    @property
    def session(self):
        """The session it is about."""
        return self.body.get("sessao")

    @property
    def vehicle(self):
        """The car of a hold."""
        return self.body.get("veiculo", {}).get("veiculo_id")


class Exchange:
    """One HTTP request and its answer, on the way from `source` to `target`."""

    def __init__(self, source, target, method, path, head, body):
        self.source = source
        self.target = target
        self.method = method
        self.path = path
        self.head = head
        self.body = body
        self.at = time.monotonic()
        self.operations = _operations(method, path, body)
        self.status = None
        self.answer = None

    def header(self, name):
        """The value of a header of the request."""
        wanted = name.lower() + ":"
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            if line.lower().startswith(wanted):
                return line.split(":", 1)[1].strip()
        return None

    def has(self, kind):
        """Whether one of its operations is of this kind."""
        return any(operation.kind == kind for operation in self.operations)

    def __repr__(self):
        asked = ", ".join(f"{one.kind} {one.session or ''}".strip() for one in self.operations)
        return f"{self.source}->{self.target} {self.method} {self.path} [{asked}] {self.status}"


class Rule:
    """What to do when a message of a kind passes."""

    def __init__(self, kind, source, target, phase, nth, action, when, repeated):
        self.kind, self.source, self.target, self.phase = kind, source, target, phase
        self.nth, self.action, self.when, self.repeated = nth, action, when, repeated
        self.seen = 0
        self.done = threading.Event()

    def matches(self, exchange, phase):
        """Whether it is about this message."""
        return (
            phase == self.phase
            and self.source in (None, exchange.source)
            and self.target in (None, exchange.target)
            and (self.kind is None or exchange.has(self.kind))
            and (self.when is None or self.when(exchange))
        )

    def __repr__(self):
        return f"{self.kind} {self.phase} #{self.nth} {self.source or '*'}->{self.target or '*'}"


class Network:
    """All proxies of a federation."""

    def __init__(self):
        self.journal = []
        self._rules = []
        self._links = {}
        self._lock = threading.Lock()
        self._closed = False

    def link(self, source, target, target_port):
        """A new address under which `source` reaches `target`."""
        port = free_port()
        listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self._links[source, target] = listener
        worker = threading.Thread(target=self._accept, args=(listener, source, target, target_port), daemon=True)
        worker.start()
        return f"http://127.0.0.1:{port}"

    def on(self, kind, source=None, target=None, *, phase="request", nth=1, action=Verdict.PASS, when=None,
           repeated=False):
        """Arms a rule: `action` at the `nth` message of `kind`; at every one if `repeated`.

        `phase` is "request" (before the target has it) or "response" (after the target has answered, before the
        source has it). `action` is a [`Verdict`], or a callable that takes the exchange and may return one.
        """
        rule = Rule(kind, source, target, phase, nth, action, when, repeated)
        with self._lock:
            self._rules.append(rule)
        return rule

    def forget_rules(self):
        """Disarms everything: the network is healed."""
        with self._lock:
            self._rules.clear()

    def drop(self, rule):
        """Disarms one rule."""
        with self._lock:
            if rule in self._rules:
                self._rules.remove(rule)

    def seen(self, kind, source=None, target=None, session=None):
        """The exchanges so far that carried an operation of `kind`."""
        with self._lock:
            journal = list(self.journal)
        return [
            one
            for one in journal
            if source in (None, one.source)
            and target in (None, one.target)
            and any(op.kind == kind and session in (None, op.session) for op in one.operations)
        ]

    def close(self):
        """No more connections."""
        self._closed = True
        for listener in self._links.values():
            listener.close()

    def _judge(self, exchange, phase):
        rule = self._due(exchange, phase)
        if rule is None:
            return Verdict.PASS
        verdict = rule.action
        try:
            if callable(verdict):
                verdict = rule.action(exchange) or Verdict.PASS
        finally:
            rule.done.set()
        return verdict

    def _due(self, exchange, phase):
        """The first rule that is to act on this message; all that match have seen it."""
        with self._lock:
            matching = [rule for rule in self._rules if rule.matches(exchange, phase)]
            for rule in matching:
                rule.seen += 1
            due = [rule for rule in matching if rule.repeated or rule.seen == rule.nth]
            for rule in due:
                if not rule.repeated:
                    self._rules.remove(rule)
        return due[0] if due else None

    def _accept(self, listener, source, target, target_port):
        while not self._closed:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve = threading.Thread(
                target=self._serve, args=(connection, source, target, target_port), daemon=True
            )
            serve.start()

    def _serve(self, client, source, target, target_port):
        upstream = None
        try:
            upstream = socket.create_connection(("127.0.0.1", target_port), timeout=5)
            upstream.settimeout(None)
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near, far = _Stream(client), _Stream(upstream)
            while self._exchange(near, far, source, target):
                pass
        except OSError:
            pass
        finally:
            for end in (client, upstream):
                if end is not None:
                    end.close()

    def _exchange(self, near, far, source, target):
        if not near.wait_unless_closed(far):
            return False
        message = near.read_message()
        if message is None:
            return False
        head, body = message
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        exchange = Exchange(source, target, method, path, head, body)
        with self._lock:
            self.journal.append(exchange)
        verdict = self._judge(exchange, "request")
        if verdict is Verdict.CUT:
            return False
        if verdict is Verdict.MUTE:
            near.wait_for_end()
            return False
        for _ in range(2 if verdict is Verdict.TWICE else 1):
            far.send(head + body)
            if not far.wait_unless_closed(near):
                return False
            message = far.read_message()
            if message is None:
                return False
        head, body = message
        exchange.status, exchange.answer = int(head.split(b" ", 2)[1]), body
        verdict = self._judge(exchange, "response")
        if verdict is Verdict.CUT:
            return False
        if verdict is Verdict.MUTE:
            near.wait_for_end()
            return False
        near.send(head + body)
        return b"connection: close" not in head.lower()


def replay(exchange, target_url):
    """Sends a request that was seen once more, as if the network had kept a copy."""
    headers = {"Authorization": exchange.header("authorization")}
    return http.call(exchange.method, target_url + exchange.path, exchange.body or None, headers=headers)


class _Stream:
    """One side of a connection: HTTP/1.1 messages with a length, or in chunks."""

    def __init__(self, sock):
        self._sock = sock
        self._buffer = b""

    def send(self, data):
        self._sock.sendall(data)

    def wait_unless_closed(self, other):
        """True once something can be read here; false if the other side ends first."""
        if self._buffer:
            return True
        while True:
            ready, _, _ = select.select([self._sock, other._sock], [], [])
            if self._sock in ready:
                return True
            # The other side never speaks out of turn: it has ended.
            return False

    def wait_for_end(self):
        """Waits until this side gives up."""
        while self._sock.recv(65536):
            pass

    def read_message(self):
        """A head and a body as they came; nothing at the end of the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        head, self._buffer = head + b"\r\n\r\n", rest
        fields = dict(
            line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line
        )
        if fields.get(b"transfer-encoding", b"").strip() == b"chunked":
            return self._read_until(head, b"0\r\n\r\n")
        length = int(fields.get(b"content-length", b"0"))
        while len(self._buffer) < length:
            if not self._more():
                return None
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return head, body

    def _read_until(self, head, end):
        while end not in self._buffer:
            if not self._more():
                return None
        body, _, self._buffer = self._buffer.partition(end)
        return head, body + end

    def _more(self):
        data = self._sock.recv(65536)
        self._buffer += data
        return bool(data)


def _operations(method, path, body):
    name = path.split("?", 1)[0].strip("/")
    document = _json(body)
    if name == "lote":
        raw = document.get("operacoes", [])
        return [_peer_operation(one.get("operacao"), one.get("corpo", {})) for one in raw]
    if name.startswith("transacoes/"):
        return [Operation("inquire", {"sessao": name.split("/", 1)[1]})]
    if name in _PEER_OPERATIONS:
        return [_peer_operation(name, document)]
    if name == "viagens" and method == "POST":
        return [Operation("book", document)]
    if name.startswith("viagens/"):
        return [Operation({"PUT": "change", "DELETE": "drop"}.get(method, "show"), document)]
    return [Operation("other", document)]


def _peer_operation(name, body):
    kind = _PEER_OPERATIONS.get(name, "other")
    if kind == "cancel":
        kind = "release" if body.get("motivo") == "viagem-cancelada" else "abort"
    return Operation(kind, body)


def _json(body):
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
