"""Runs every system in turn, round after round, and writes what came of it."""

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import disk, report
from .systems import Postgres, Python, Recarga

SYSTEMS = [Recarga, Postgres, Python]


def main():
    """The exit status is 0 if everything was measured and every system has really booked."""
    options = _options()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    folder = Path(tempfile.mkdtemp(prefix="recarga-bench-", dir=os.environ.get("BENCH_DATA", "/var/tmp")))
    folder.chmod(0o755)
    systems = [make(folder) for make in SYSTEMS]
    try:
        for system in systems:
            print(f"bench: starting {system.title}", flush=True)
            system.start()
        results = _measure(options, systems, folder)
        for system in systems:
            system.check()
            print(f"bench: {system.title} has booked what it says, and refuses a window twice", flush=True)
    finally:
        for system in systems:
            system.stop()
        shutil.rmtree(folder, ignore_errors=True)
    text = report.tables(results, options, systems)
    print(text)
    if options.document:
        report.put_into(options.document, text, results, systems)
        print(f"bench: written to {options.document}")
    return 0


def _measure(options, systems, folder):
    # results[clients][round][system.key] = level; "disk" is the disk alone, just before.
    results = {clients: [{} for _ in range(options.rounds)] for clients in options.clients}
    steps = [(number, clients) for number in range(options.rounds) for clients in options.clients]
    begun = time.monotonic()
    for step, (number, clients) in enumerate(steps):
        row = results[clients][number]
        row["disk"] = disk.measure(folder)
        # Nobody is always the first.
        turn = step % len(systems)
        for system in systems[turn:] + systems[:turn]:
            row[system.key] = system.measure(clients, options.seconds)
        passed = time.monotonic() - begun
        left = passed / (step + 1) * (len(steps) - step - 1)
        figures = ", ".join(f"{system.title} {row[system.key]['trips_per_second']:.0f}" for system in systems)
        print(f"{passed:5.0f} s  round {number + 1}/{options.rounds}, {clients:>3} clients: {figures} trips/s; about {left:.0f} s left", flush=True)
    return results


def _options():
    parser = argparse.ArgumentParser(prog="bench/run.sh", description=__doc__)
    parser.add_argument("--clients", type=_counts, default=[1, 16, 64, 256], help="how many book at the same time (1,16,64,256)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--seconds", type=int, default=6, help="how long each time, after a second that does not count (6)")
    parser.add_argument("--quick", action="store_true", help="two rounds of 2 seconds, two minutes in all")
    parser.add_argument("--document", type=_path, help="put the tables between the marks of this Markdown FILE, and plots beside it")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    return options


def _counts(text):
    return [int(part) for part in text.split(",")]


def _path(text):
    return Path(os.environ.get("BENCH_FROM", "."), text)


if __name__ == "__main__":
    sys.exit(main())
