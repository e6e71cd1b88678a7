"""SIGKILL at exact points of the protocol, and at random moments under load: afterwards every trip is whole and
nobody was told a lie."""

import dataclasses
import random
import time

import pytest

from harness.client import PASSING
from harness.load import Load
from harness.proxy import Verdict
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"

BROKER = "mosquitto"


@dataclasses.dataclass(frozen=True)
class Point:
    """Whom to kill, when: `operation` is what the driver does, the rest says which message triggers the kill.

    `phase` "request": before the target has the message. "response": after the target has answered. `verdict` is what
    becomes of the message whose sender and receiver may both still live.
    """

    name: str
    operation: str  # book, cancel, change
    kind: str
    phase: str
    victims: tuple
    source: str = A
    target: str | None = None
    nth: int = 1
    verdict: Verdict = Verdict.PASS


def _participant_points(name):
    """The life of a participant, from the first message of a trip to the last."""
    letter = name[-1]
    cut = Verdict.CUT
    return [
        Point(f"book-{letter}-before-it-has-the-hold", "book", "hold", "request", (name,), target=name),
        Point(f"book-{letter}-voted-but-not-heard", "book", "hold", "response", (name,), target=name, verdict=cut),
        Point(f"book-{letter}-between-vote-and-confirm", "book", "hold", "response", (name,), target=name),
        Point(f"book-{letter}-before-it-has-the-confirm", "book", "confirm", "request", (name,), target=name),
        Point(f"book-{letter}-confirmed-but-not-heard", "book", "confirm", "response", (name,), target=name,
              verdict=cut),
        Point(f"book-{letter}-after-its-acknowledgement", "book", "confirm", "response", (name,), target=name),
        Point(f"cancel-{letter}-before-it-has-the-release", "cancel", "release", "request", (name,), target=name),
        Point(f"cancel-{letter}-released-but-not-heard", "cancel", "release", "response", (name,), target=name,
              verdict=cut),
        Point(f"change-{letter}-voted-but-not-heard", "change", "hold", "response", (name,), target=name,
              verdict=cut),
        Point(f"change-{letter}-between-vote-and-confirm", "change", "hold", "response", (name,), target=name),
        Point(f"change-{letter}-before-it-has-the-confirm", "change", "confirm", "request", (name,), target=name),
        Point(f"change-{letter}-swapped-but-not-heard", "change", "confirm", "response", (name,), target=name,
              verdict=cut),
    ]


POINTS = [
    *_participant_points(B),
    *_participant_points(C),
    # The coordinator.
    Point("book-a-before-any-hold-is-out", "book", "hold", "request", (A,), verdict=Verdict.CUT),
    Point("book-a-when-one-hold-is-out", "book", "hold", "request", (A,), nth=2, verdict=Verdict.CUT),
    Point("book-a-before-the-first-vote", "book", "hold", "response", (A,)),
    Point("book-a-before-the-last-vote", "book", "hold", "response", (A,), nth=2),
    Point("book-a-decided-before-its-answer", "book", "book", "response", (A,), source="client",
          verdict=Verdict.CUT),
    Point("book-a-after-its-answer", "book", "book", "response", (A,), source="client"),
    Point("book-a-before-the-first-confirm", "book", "confirm", "request", (A,), verdict=Verdict.CUT),
    Point("book-a-first-confirm-is-out", "book", "confirm", "request", (A,)),
    Point("book-a-before-the-first-acknowledgement", "book", "confirm", "response", (A,)),
    Point("book-a-before-the-second-confirm", "book", "confirm", "request", (A,), nth=2, verdict=Verdict.CUT),
    Point("book-a-before-the-second-acknowledgement", "book", "confirm", "response", (A,), nth=2),
    Point("cancel-a-before-its-answer", "cancel", "drop", "response", (A,), source="client", verdict=Verdict.CUT),
    Point("cancel-a-before-the-first-release", "cancel", "release", "request", (A,), verdict=Verdict.CUT),
    Point("cancel-a-first-release-acknowledged", "cancel", "release", "response", (A,)),
    Point("cancel-a-second-release-acknowledged", "cancel", "release", "response", (A,), nth=2),
    Point("change-a-before-the-first-vote", "change", "hold", "response", (A,)),
    Point("change-a-before-the-last-vote", "change", "hold", "response", (A,), nth=2),
    Point("change-a-decided-before-its-answer", "change", "change", "response", (A,), source="client",
          verdict=Verdict.CUT),
    Point("change-a-before-the-first-confirm", "change", "confirm", "request", (A,), verdict=Verdict.CUT),
    Point("change-a-before-the-second-confirm", "change", "confirm", "request", (A,), nth=2, verdict=Verdict.CUT),
    # More than one at once.
    Point("book-a-and-b-when-b-has-voted", "book", "hold", "response", (A, B), target=B),
    Point("book-b-and-c-when-c-has-voted", "book", "hold", "response", (B, C), target=C),
    Point("book-a-and-c-before-c-has-the-confirm", "book", "confirm", "request", (A, C), target=C),
    Point("book-all-when-b-is-confirmed", "book", "confirm", "response", (A, B, C), target=B),
    Point("cancel-a-and-b-when-b-is-released", "cancel", "release", "response", (A, B), target=B),
    Point("change-all-when-c-has-voted", "change", "hold", "response", (A, B, C), target=C),
]


def test_there_are_enough_points():
    """At least 30 kills, each at another point."""
    assert len({(p.operation, p.kind, p.phase, p.victims, p.source, p.target, p.nth, p.verdict) for p in POINTS}) >= 30
    assert len({point.name for point in POINTS}) == len(POINTS)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_killed_at(stage, point):
    """Kill, start again, ask again with the same request id: one truth, everywhere."""
    driver = Driver(stage, point.operation)

    def strike(_exchange):
        for victim in point.victims:
            stage.federation[victim].kill()
        return point.verdict

    rule = stage.federation.network.on(
        point.kind, point.source, point.target, phase=point.phase, nth=point.nth, action=strike
    )
    told = driver.act()
    until(rule.done.is_set, f"the kill point ({rule})", 5)
    driver.check_truth_after(told)


@pytest.mark.parametrize("operation", ["book", "cancel", "change"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_coordinator_killed_at_the_flush_of_its_decision(stage, operation, moment):
    """The record of the decision is the point of no return: killed just before it and just after it."""
    driver = Driver(stage, operation)
    disk = stage.federation.a.disk
    if operation == "cancel":
        _arm(disk, moment)
    else:
        # The votes are not recorded by the coordinator: after the last one its next flush is the decision.
        stage.federation.network.on("hold", A, phase="response", nth=2, action=lambda _: _arm(disk, moment))
    told = driver.act()
    assert told.outcome == "unknown", told
    until(lambda: not stage.federation.a.process.is_running, "the coordinator to die at its flush", 5)
    driver.check_truth_after(told)


@pytest.mark.parametrize("company", ["b", "c"])
@pytest.mark.parametrize("kind", ["hold", "confirm", "release"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_participant_killed_at_the_flush_of(stage, company, kind, moment):
    """The vote, the confirmation and the release of a participant: killed just before and just after the flush."""
    victim = stage.federation[f"empresa-{company}"]
    driver = Driver(stage, "cancel" if kind == "release" else "book")
    stage.federation.network.on(kind, A, victim.name, action=lambda _: _arm(victim.disk, moment))
    told = driver.act()
    until(lambda: not victim.process.is_running, f"{victim.name} to die at its flush", 5)
    driver.check_truth_after(told)


def test_participant_killed_while_it_asks_for_the_outcome(stage):
    """In doubt, asking, killed, in doubt again: the outcome is found all the same."""
    federation = stage.federation
    driver = Driver(stage, "book")
    federation.network.on("confirm", A, B, action=Verdict.CUT, repeated=True)
    first = federation.network.on("inquire", B, A, action=federation.b.kill)
    told = driver.act()
    assert told.outcome == "confirmed", told
    until(first.done.is_set, "b to ask", 5)
    second = federation.network.on("inquire", B, A, phase="response", action=federation.b.kill)
    federation.b.start(wait=False)
    until(second.done.is_set, "b to ask again", 5)
    driver.check_truth_after(told)


def test_coordinator_killed_while_it_is_asked(stage):
    """A question without an answer is asked again."""
    federation = stage.federation
    driver = Driver(stage, "book")
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    rule = federation.network.on("inquire", target=A, action=federation.a.kill)
    told = driver.act()
    assert told.outcome == "confirmed", told
    until(rule.done.is_set, "a company to ask", 5)
    driver.check_truth_after(told)


def test_killed_again_while_it_recovers(stage):
    """Killed at the first message after each of five restarts."""
    federation = stage.federation
    driver = Driver(stage, "book")
    rule = federation.network.on("confirm", A, action=federation.a.kill)
    told = driver.act()
    for _ in range(5):
        until(rule.done.is_set, "the coordinator to deliver", 5)
        rule = federation.network.on("confirm", A, phase="response", action=federation.a.kill)
        federation.a.start(wait=False)
    until(lambda: rule.done.is_set() or federation.a.process.is_running, "the last start", 5)
    driver.check_truth_after(told)


def test_random_kills_under_load(stage, seed):
    """REST and MQTT trips over few EVSEs while companies and the broker die at moments that the seed draws."""
    federation, broker = stage.federation, stage.broker
    chance = random.Random(seed)
    load = Load(stage, seed, rest=4, cars=4).start()
    killed = []
    try:
        for round_number in range(16):
            time.sleep(chance.uniform(0.05, 0.6))
            victims = chance.sample(list(federation), chance.choice([1, 1, 1, 2]))
            for victim in victims:
                victim.kill()
                killed.append(victim.name)
            if round_number % 4 == 3:
                broker.restart()
            time.sleep(chance.uniform(0.0, 0.4))
            for victim in victims:
                victim.start()
    finally:
        federation.heal()
        load.stop()
    load.check()
    assert len(killed) >= 16
    stage.settle(seconds=15)


class Driver:
    """One trip and what its driver does with it."""

    def __init__(self, stage, operation):
        self.stage = stage
        self.operation = operation
        self.request = stage.federation.trip()
        self.trip = None
        self.new = None
        if operation == "book":
            return
        told = stage.client.insist(lambda: stage.client.book(self.request), passing=PASSING)
        assert told.outcome == "confirmed", told
        stage.settle()
        self.trip = told.trip
        if operation == "change":
            stops = [self.request["paradas"][0], stage.federation.stop_at(B), stage.federation.stop_at(C)]
            self.new = stage.federation.request(stops, vehicle=self.request["veiculo"]["veiculo_id"])

    def act(self):
        """One attempt, through the network."""
        return self._attempt(through=True)

    def check_truth_after(self, told):
        """Heals, asks again, and holds the answers against each other and against every company's memory."""
        federation = self.stage.federation
        federation.heal()
        # What the kill left behind may be in the way for a moment.
        final = self.stage.client.insist(self._attempt, passing=PASSING)
        if told.outcome == "confirmed":
            assert final.outcome == "confirmed" and final.trip == told.trip, (told, final)
        expected = "cancelled" if self.operation == "cancel" else "confirmed"
        assert final.outcome == expected, f"first {told}, then {final}"
        self.stage.settle()

    def _attempt(self, through=False):
        client = self.stage.client
        if self.operation == "book":
            return client.book(self.request, through=through)
        if self.operation == "cancel":
            return client.cancel(self.trip, self.request, through=through)
        return client.change(self.trip, self.new, through=through)


def _arm(disk, moment):
    if moment == "before":
        disk.kill_before()
    else:
        disk.kill_after()
