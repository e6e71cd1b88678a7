"""Draws faults from a seed: the same seed and names give the same faults in the same order with the same pauses."""

import random
from dataclasses import dataclass, field

# How often each kind is drawn, in parts of the sum.
WEIGHTS = {
    "kill": 20,
    "kill-at-flush": 16,
    "kill-everyone": 2,
    "partition": 14,
    "one-way-partition": 12,
    "freeze": 11,
    "clock-jump": 8,
    "disk-error": 6,
    "disk-full": 6,
    "slow-link": 5,
    "broker-kill": 4,
    "broker-freeze": 4,
}
KINDS = tuple(WEIGHTS)
_PAUSE_SECONDS = 0.5
_AT_ONCE = 0.3
_SHORT, _LONG = (0.3, 2.5), (2.5, 8.0)
_TWO_HOURS = 7200


@dataclass(frozen=True)
class Fault:
    """One fault: what, to whom, how long after the one before, and for how long."""

    kind: str
    victims: tuple
    pause: float
    seconds: float
    detail: dict = field(default_factory=dict)

    def __str__(self):
        extra = "".join(f" {name}={value}" for name, value in self.detail.items())
        return f"{self.kind} {','.join(self.victims)} for {self.seconds:.2f} s{extra}"


def faults(seed, names):
    """Faults without end. The first are one of each kind, in an order that the seed decides."""
    chance = random.Random(f"faults-{seed}")
    first = chance.sample(KINDS, len(KINDS))
    while True:
        kind = first.pop() if first else chance.choices(KINDS, WEIGHTS.values())[0]
        pause = 0.0 if chance.random() < _AT_ONCE else chance.expovariate(1 / _PAUSE_SECONDS)
        # Most are over before anybody's patience is; some outlast all of it.
        seconds = chance.uniform(*(_LONG if chance.random() < 0.2 else _SHORT))
        yield Fault(kind, _victims(kind, chance, names), pause, seconds, _detail(kind, chance))


def _victims(kind, chance, names):
    if kind == "kill-everyone":
        return tuple(names)
    if kind == "kill":
        return tuple(chance.sample(names, chance.choice([1, 1, 1, 2])))
    if kind == "partition":
        # One side of the cut; the other is the rest.
        return tuple(chance.sample(names, chance.randint(1, len(names) // 2)))
    if kind == "one-way-partition":
        return tuple(chance.sample(names, 2))
    if kind.startswith("broker"):
        return ("broker",)
    return (chance.choice(names),)


def _detail(kind, chance):
    if kind == "kill-at-flush":
        return {"moment": chance.choice(["before", "after"]), "nth": chance.randint(1, 8)}
    if kind == "disk-full":
        return {"nth": chance.randint(1, 20)}
    if kind == "clock-jump":
        return {"by": chance.choice([-1, 1]) * _TWO_HOURS}
    return {}
