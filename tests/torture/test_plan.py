"""The same seed draws the same faults, and a short run has some of each kind."""

import itertools

from torture import faults, plan
from torture.__main__ import QUICK_FAULTS

NAMES = [f"empresa-{letter}" for letter in "abcde"]


def drawn(seed, count=200):
    """The first faults of a seed."""
    return list(itertools.islice(plan.faults(seed, NAMES), count))


def test_a_seed_decides_everything():
    """Kinds, victims, pauses and durations."""
    assert drawn(7) == drawn(7) != drawn(8)


def test_a_quick_run_has_every_kind():
    """Whatever the seed."""
    for seed in range(50):
        assert {fault.kind for fault in drawn(seed, QUICK_FAULTS)} == set(plan.KINDS)


def test_every_kind_has_something_that_does_it():
    """A kind that nobody knows would fail in the middle of a long run."""
    for fault in drawn(1):
        assert faults.run(None, fault) is not None
        assert faults.occupies(fault) <= {*NAMES, "broker", *(f"clock of {name}" for name in NAMES)}
