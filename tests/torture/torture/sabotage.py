"""Breaks the promise on purpose, with real processes: a run that says "nothing wrong" means something only if this is
found."""

import random
import shutil

from harness.waiting import until

from .journal import CONFIRMED
from .load import Load
from .runner import Failure, Life, Tally

_ENOUGH = 20


def is_found(stage, seed, report):
    """Empties the folder of a company that holds reservations, and says whether the next check fails for it."""
    load = Load(stage, seed, apps=4, cars=2).start()
    life = Life(stage, load, random.Random(seed), Tally(), report)

    def confirmed():
        return [line for line in stage.journal.lines if line.outcome == CONFIRMED]

    until(lambda: len(confirmed()) >= _ENOUGH, f"{_ENOUGH} trips to be confirmed", 60)
    life.check()
    load.pause()
    until(load.is_resting, "clients to rest", 60)
    victim = max(stage.federation, key=lambda company: _held(life.snapshot.branches[company.name]))
    victim.kill()
    shutil.rmtree(victim.data)
    victim.start()
    try:
        life.check()
    except Failure as failure:
        return failure.counts.get("lost", 0) > 0
    finally:
        load.stop()
    return False


def _held(branches):
    return sum(branch["estado"] == "confirmada" for branch in branches.values())
