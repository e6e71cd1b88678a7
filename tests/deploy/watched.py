"""A real Prometheus watches a demo federation: every question of the dashboard and of the alerts must have an answer."""

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
# Nothing of the kind happens in a demo that goes well.
SILENT = {"recarga_refusals_total"}


def free_ports(count):
    """Ports that are free now, in a row."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            first = one.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as one:
                    one.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue


def questions():
    """Every expression: (where, expression)."""
    dashboard = json.loads((DEPLOY / "grafana/recarga.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expr = target["expr"].replace('=~"$company"', '=~".*"').replace("$__rate_interval", "10s")
            yield panel["title"], expr
    rules = (DEPLOY / "prometheus/rules.yml").read_text()
    yield from (("rules.yml", name) for name in sorted(set(re.findall(r"recarga_[a-z_]+", rules))))


def ask(port, expr):
    """The answer of Prometheus: a list of series."""
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expr})
    with urllib.request.urlopen(url, timeout=10) as answer:
        told = json.load(answer)
    assert told["status"] == "success", (expr, told)
    return told["data"]["result"]


def main():
    """Starts both, asks, and ends both."""
    ports = free_ports(6)
    companies, broker, prometheus = ports, ports + 4, ports + 5
    with tempfile.TemporaryDirectory() as folder:
        config = (DEPLOY / "prometheus/prometheus.yml").read_text()
        for number in range(3):
            config = config.replace(f"127.0.0.1:{8001 + number}", f"127.0.0.1:{companies + number}")
        config = config.replace("interval: 15s", "interval: 1s").replace("rules.yml", str(DEPLOY / "prometheus/rules.yml"))
        (Path(folder) / "prometheus.yml").write_text(config)
        command = [sys.argv[1], "demo", "--plain", "--cars", "30", "--speed", "2000", "--panel-port", "0",
                   "--company-port", str(companies), "--mqtt-port", str(broker)]
        demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watcher = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{prometheus}", "--log.level=error"])
        try:
            check(prometheus, demo)
        finally:
            watcher.terminate()
            demo.send_signal(signal.SIGINT)
            watcher.wait(30)
            demo.wait(60)


def check(port, demo):
    """Waits for everything to be known, and names what is not."""
    deadline = time.monotonic() + 60
    unanswered = list(questions())
    assert len(unanswered) > 25, "where are the questions?"
    count = len(unanswered)
    while unanswered and time.monotonic() < deadline:
        assert demo.poll() is None, "the demo has ended"
        time.sleep(2)
        try:
            unanswered = [one for one in unanswered if not ask(port, one[1])]
        except OSError:
            continue
    silent = [one for one in unanswered if any(name in one[1] for name in SILENT)]
    missing = [one for one in unanswered if one not in silent]
    assert not missing, f"nothing is known of: {missing}"
    assert len(ask(port, 'up{job="recarga"} == 1')) == 3
    print(f"{count} questions of the dashboard and the alerts; {len(silent)} of them about what did not happen")


main()
