"""The command that run.sh starts."""

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

from . import plan, sabotage
from .load import Load
from .report import Report
from .runner import FAULTS_PER_LIFE, Failure, Life, Tally
from .stage import Stage

QUICK_FAULTS = 60
_CARS = 5
_APPS = 8


def main():
    """Runs until all faults have struck or the promise is broken; the exit status says which."""
    options = _options()
    signal.signal(signal.SIGTERM, _interrupt)
    names = [f"empresa-{chr(ord('a') + number)}" for number in range(options.companies)]
    report = Report(options, names)
    tally = Tally()
    try:
        if not _finds_sabotage(options, names, report):
            print("torture: a company's disk was emptied and the checker has not noticed", file=sys.stderr)
            return 1
        _live(options, names, tally, report)
    except KeyboardInterrupt:
        report.finish(tally, "interrupted")
        return 130
    except Failure as failure:
        for name, count in failure.counts.items():
            tally.found[name] += count
        report.failed(tally, failure)
        return 1
    report.finish(tally, "held")
    return 0


def _live(options, names, tally, report):
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    drawn = plan.faults(options.seed, names)
    number = 0
    while tally.struck < options.faults and time.monotonic() < deadline:
        number += 1
        folder = options.logs / f"life-{number}"
        report.begins(number, folder)
        stage = Stage(options.program, folder, options.seed + number, names, _ground(options), _CARS)
        load = life = None
        try:
            stage.start()
            load = Load(stage, options.seed + number, _APPS, _CARS).start()
            life = Life(stage, load, random.Random(f"checks-{options.seed}-{number}"), tally, report)
            life.run(drawn, min(FAULTS_PER_LIFE, options.faults - tally.struck), deadline)
            load.stop()
        finally:
            stage.journal.flush()
            tally.take(stage.journal.lines, life and life.snapshot)
            stage.close()
        stage.discard()


def _finds_sabotage(options, names, report):
    report.begins("sabotage", options.logs / "sabotage")
    stage = Stage(options.program, options.logs / "sabotage", options.seed, names, _ground(options), _CARS)
    try:
        found = sabotage.is_found(stage.start(), options.seed, report)
    finally:
        stage.close()
    stage.discard()
    if found:
        report.say("a company's disk was emptied on purpose, and the check failed as it must")
    return found


def _ground(options):
    if options.ground == "namespaces":
        from .namespaces import Namespaces

        return Namespaces()
    from .loopback import Loopback

    return Loopback()


def _options():
    parser = argparse.ArgumentParser(prog="tests/torture/run.sh", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000, help="how many must strike (1000)")
    parser.add_argument("--seed", type=int, help="repeats the faults of a run")
    parser.add_argument("--for", dest="minutes", type=float, help="end after so many MINUTES")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FAULTS} faults, some of each kind")
    parser.add_argument("--companies", type=int, default=5, help="3 to 20 (5)")
    parser.add_argument("--result", type=_path, help="also write the figures to FILE.json and FILE.md")
    parser.add_argument("--document", type=_path, help="also put the table between the marks of this Markdown FILE")
    parser.add_argument("--ground", choices=["namespaces", "loopback"], required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not 3 <= options.companies <= 20:
        parser.error("--companies: 3 to 20")
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1 << 32)
    if options.quick:
        options.faults = QUICK_FAULTS
    options.program = Path(os.environ["RECARGA_BIN"]).resolve()
    options.logs = Path(os.environ["TORTURE_LOGS"]).resolve()
    return options


def _path(text):
    # As whoever started run.sh means it, which has gone to its own folder since.
    return Path(os.environ.get("OLDPWD", "."), text)


def _interrupt(_signal, _frame):
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
