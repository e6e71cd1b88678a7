"""A company's process stops without dying (SIGSTOP): the others do not wait for ever, and nothing leaks."""

import threading
import time

from harness.federation import LIMITS
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


def test_a_frozen_participant_refuses_the_trip_in_time(stage):
    """Refused within the limit for a decision, with the company's name; nothing is left when it wakes."""
    federation = stage.federation
    federation.c.process.freeze()
    request = federation.trip()
    started = time.monotonic()
    told = stage.client.book(request)
    took = time.monotonic() - started
    assert told.outcome == "refused" and told.answer.kind == "empresa-inacessivel", told
    assert told.answer.json["empresa"] == C and told.answer.json["campo"] == "paradas[2].empresa"
    # The rest is the patience of a slow machine.
    assert took < LIMITS["decide_seconds_max"] + 4, f"took {took:.1f} s"
    federation.c.process.thaw()
    stage.settle()
    assert stage.client.book(federation.trip()).outcome == "confirmed"
    stage.settle()


def test_a_participant_frozen_after_its_vote_is_told_when_it_wakes(stage):
    """The driver is told at once; the confirm waits for the company."""
    federation = stage.federation
    frozen = federation.network.on("confirm", A, B, action=lambda _: federation.b.process.freeze())
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed", told
    until(frozen.done.is_set, "the confirm", 5)
    session = told.answer.json["sessao"]
    trip = federation.a.call("GET", f"/viagens/{told.trip}").json
    assert trip["estado"] == "confirmada"
    assert {stop["empresa"]: stop["estado"] for stop in trip["paradas"]}[B] == "a_confirmar"
    federation.b.process.thaw()
    snapshot = stage.settle()
    assert set(snapshot.states(session).values()) == {"confirmada"}


def test_a_coordinator_frozen_before_its_decision(stage):
    """The votes are in, the coordinator sleeps past its limit, wakes, and must not commit too late."""
    federation = stage.federation
    # From inside the network's own thread: the last vote never reaches a running coordinator.
    rule = federation.network.on(
        "hold", A, phase="response", nth=2, action=lambda _: federation.a.process.freeze()
    )
    request, told = federation.trip(), []
    asking = threading.Thread(target=lambda: told.append(stage.client.book(request, timeout=30)))
    asking.start()
    until(rule.done.is_set, "both votes", 5)
    # The participants are in doubt and ask a company that is silent; longer than the decision may take.
    until(lambda: all(one.metric("inquiries") >= 2 for one in (federation.b, federation.c)), "questions", 8)
    for company in (federation.b, federation.c):
        assert company.metric("in_doubt") >= 1, "a prepared hold may not be given up in silence"
    until(_after(LIMITS["decide_seconds_max"] + 0.5), "the limit of the decision to pass", 10)
    federation.a.process.thaw()
    asking.join()
    assert told[0].outcome == "refused", told
    stage.settle()


def test_a_coordinator_frozen_after_its_decision(stage):
    """Committed, answered, frozen: the others find the outcome when it wakes."""
    federation = stage.federation
    rule = federation.network.on("confirm", A, action=lambda _: federation.a.process.freeze())
    request, told = federation.trip(), []
    asking = threading.Thread(target=lambda: told.append(stage.client.book(request, timeout=30)))
    asking.start()
    until(rule.done.is_set, "the first confirm", 5)
    until(
        lambda: any(one.metric("inquiries") >= 1 for one in (federation.b, federation.c)),
        "a company in doubt to ask", 8,
    )
    federation.a.process.thaw()
    asking.join()
    assert told[0].outcome == "confirmed", told
    stage.settle()


def _after(seconds):
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline
