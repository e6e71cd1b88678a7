"""A plain HTTP client, and curl for the tests that want a client which nobody here wrote."""

import http.client
import json
import ssl
import subprocess
import urllib.parse


class Unanswered(Exception):
    """No complete answer: the request may have taken effect or not."""


class Answer:
    """A complete HTTP answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def json(self):
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def kind(self):
        """The `tipo` of a problem; nothing for a success."""
        return self.json.get("tipo") if self.status >= 400 else None

    def __repr__(self):
        return f"{self.status} {self.body[:600].decode('utf-8', 'replace')}"


_trusted = None


def trust(authorities):
    """From now on https:// is spoken with whoever has a certificate of these."""
    global _trusted
    _trusted = ssl.create_default_context(cafile=authorities)


def call(method, url, body=None, token=None, headers=None, timeout=12.0):
    """Sends one request on a connection of its own."""
    parts = urllib.parse.urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = dict(headers or {})
    if token is not None:
        sent.setdefault("Authorization", f"Bearer {token}")
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=_trusted)
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, path or "/", body=body, headers=sent)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())
    except (OSError, http.client.HTTPException) as error:
        raise Unanswered(f"{method} {url}: {error!r}") from error
    finally:
        connection.close()


def curl(method, url, body=None, token=None, headers=None, seconds=12):
    """The same by the program `curl`."""
    command = ["curl", "--silent", "--show-error", "--include", "--http1.1", "--max-time", str(seconds)]
    command += ["--request", method, url]
    for name, value in (headers or {}).items():
        command += ["--header", f"{name}: {value}"]
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
    if body is not None:
        command += ["--header", "Content-Type: application/json", "--data-binary", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise Unanswered(f"curl exit status {done.returncode}: {done.stderr.decode()}")
    raw = done.stdout
    while True:  # a "100 Continue" precedes the answer
        head, _, raw = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status != 100:
            break
    return Answer(status, [line.split(": ", 1) for line in lines[1:] if ": " in line], raw)
