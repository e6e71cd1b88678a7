"""Prepared holds in doubt: they outlive their time limit, are resolved by whoever knows, and only where nobody will
ever know are they released at the window's start plus grace."""

import datetime
import json
import time

from harness import audit
from harness.federation import instant, now
from harness.proxy import Verdict, replay
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


def test_a_hold_outlives_its_time_limit_while_the_coordinator_is_down(stage):
    """Prepared, the limit passes: still held, not bookable by others; resolved when the coordinator is back."""
    federation = stage.federation
    request, session = _leave_in_doubt(stage)
    held = next(op for op in federation.network.seen("hold", A, B, session)[0].operations if op.session == session)
    limit = time.monotonic() + held.body["validade_s"]
    until(lambda: time.monotonic() > limit + 0.5, "the time limit of the hold to pass", held.body["validade_s"] + 2)
    for company in (federation.b, federation.c):
        assert _branch(company, session)["estado"] == "preparada"
        assert company.metric("in_doubt") == 1
        assert company.metric("inquiries") >= 2
    other = federation.request([request["paradas"][1]])
    told = stage.client.book(other, B)
    assert told.outcome == "refused" and told.answer.kind == "ponto-retido", told
    assert told.answer.headers["retry-after"]
    federation.a.start()
    snapshot = stage.settle()
    assert "confirmada" not in snapshot.states(session).values()
    assert stage.client.book(other, B).outcome == "confirmed"
    # The driver repeats the request: an attempt of its own, which now finds the window taken.
    final = stage.client.book(request)
    assert final.outcome == "refused" and final.answer.kind == "ponto-reservado", final
    stage.settle()


def test_a_hold_in_doubt_survives_its_own_companys_restart(stage):
    """The vote was durable, so it binds after a SIGKILL, too."""
    federation = stage.federation
    request, session = _leave_in_doubt(stage)
    for company in (federation.b, federation.c):
        company.restart()
        assert _branch(company, session)["estado"] == "preparada"
        told = stage.client.book(federation.request([request["paradas"][1]]), B)
        assert told.outcome == "refused" and told.answer.kind == "ponto-retido", told
    federation.a.start()
    stage.settle()


def test_another_participant_that_knows_of_the_commit_is_enough(stage):
    """The coordinator is gone for good; B was confirmed, so C learns the outcome from B."""
    federation = stage.federation
    federation.network.on("confirm", A, C, action=Verdict.CUT, repeated=True)
    acknowledged = federation.network.on("confirm", A, B, phase="response", action=federation.a.kill)
    told = stage.client.book(federation.trip())
    until(acknowledged.done.is_set, "b to confirm", 5)
    session = federation.network.seen("confirm", A, B)[-1].operations[-1].session
    until(lambda: _branch(federation.c, session)["estado"] == "confirmada", "c to learn from b", 8)
    assert not federation.a.process.is_running
    federation.network.forget_rules()
    assert told.outcome in ("confirmed", "unknown"), told
    stage.settle()


def test_another_participant_that_never_voted_is_enough(stage):
    """The coordinator is gone for good before it asked B: B has not voted, never will, and says so."""
    federation = stage.federation
    federation.network.on("hold", A, B, action=Verdict.MUTE)
    voted = federation.network.on("hold", A, C, phase="response", action=federation.a.kill)
    told = stage.client.book(federation.trip())
    assert told.outcome == "unknown", told
    until(voted.done.is_set, "c to vote", 5)
    hold = federation.network.seen("hold", A, B)[-1]
    session = federation.network.seen("hold", A, C)[-1].operations[-1].session
    until(lambda: _branch(federation.c, session)["estado"] == "abortada", "c to learn from b", 8)
    # The word is binding: the hold that comes late is refused.
    assert _branch(federation.b, session)["causa"] == "consultada"
    late = replay(hold, federation.b.url)
    assert (late.status, late.kind) == (409, "sessao-encerrada"), late
    stage.settle()


def test_an_answer_from_another_database_is_not_believed(stage):
    """The coordinator lost its disk: it must not be taken at its word that nothing was committed."""
    federation = stage.federation
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed"
    session = told.answer.json["sessao"]
    federation.a.kill()
    kept = federation.a.folder / "kept"
    federation.a.data.rename(kept)
    federation.a.start()
    before = {one.name: one.metric("inquiries") for one in (federation.b, federation.c)}
    until(lambda: all(federation[name].metric("inquiries") > before[name] + 1 for name in before), "questions", 8)
    for company in (federation.b, federation.c):
        assert _branch(company, session)["estado"] == "preparada"
    federation.a.kill()
    federation.a.data.rename(federation.a.folder / "empty")
    kept.rename(federation.a.data)
    federation.a.start()
    snapshot = stage.settle()
    assert set(snapshot.states(session).values()) == {"confirmada"}


def test_a_participant_that_lost_its_disk_is_not_believed(stage):
    """B voted yes and lost its disk, the coordinator committed and died: C must not be told that B never voted."""
    federation = stage.federation
    # The coordinator has heard from which database B speaks.
    assert stage.client.book(federation.trip()).outcome == "confirmed"
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed"
    session = told.answer.json["sessao"]
    federation.a.kill()
    federation.b.kill()
    kept = federation.b.folder / "kept"
    federation.b.data.rename(kept)
    federation.b.start()
    asked = federation.c.metric("inquiries")
    until(lambda: federation.c.metric("inquiries") > asked + 1, "questions", 12)
    until(lambda: "it is not believed" in federation.c.process.output(), "the doubt about b's answer", 5)
    assert _branch(federation.c, session)["estado"] == "preparada"
    federation.b.kill()
    federation.b.data.rename(federation.b.folder / "emptied")
    kept.rename(federation.b.data)
    federation.b.start()
    federation.a.start()
    snapshot = stage.settle()
    assert set(snapshot.states(session).values()) == {"confirmada"}


def test_heuristic_release_at_the_windows_start_plus_grace(make_stage):
    """Nobody knows and the car stands at the charger: released, logged, counted, shown, and reported as mixed."""
    stage = make_stage(limits={"grace_seconds": 1})
    federation = stage.federation
    start = now() + datetime.timedelta(seconds=4)
    soon = (instant(start), instant(start + datetime.timedelta(minutes=20)))
    later = federation.window()
    stops = [federation.stop_at(B, window=soon), federation.stop_at(A, window=later)]
    request = federation.request(stops)
    federation.network.on("confirm", A, B, action=Verdict.CUT, repeated=True)
    federation.network.on("inquire", B, action=Verdict.CUT, repeated=True)
    told = stage.client.book(request)
    assert told.outcome == "confirmed", told
    session = told.answer.json["sessao"]
    federation.a.kill()
    assert _branch(federation.b, session)["estado"] == "preparada"
    until(lambda: _branch(federation.b, session)["estado"] == "abortada", "the heuristic release", 15)
    assert now() >= start, "released before its window began"
    branch = _branch(federation.b, session)
    assert branch["causa"] == "heuristica" and branch["reservas"], branch
    assert federation.b.metric("heuristic_releases") == 1
    assert "prepared hold released without an outcome" in federation.b.process.output()
    assert session in federation.b.process.output()
    # Somebody else can charge now.
    other = federation.request([federation.stop_at(B, window=soon)])
    free = stage.client.book(other, B)
    assert free.outcome == "confirmed", free

    federation.network.forget_rules()
    late = federation.network.on("confirm", A, B, phase="response")
    federation.a.start()
    until(late.done.is_set, "the late confirm", 10)
    exchange = federation.network.seen("confirm", A, B, session)[-1]
    assert (exchange.status, json.loads(exchange.answer)["tipo"]) == (409, "liberada-por-heuristica")
    until(lambda: federation.a.metric("mixed_outcomes") == 1, "the mixed outcome to be counted", 5)
    trip = federation.a.call("GET", f"/viagens/{told.trip}").json
    assert trip["estado"] == "mista"
    assert {stop["empresa"]: stop["estado"] for stop in trip["paradas"]} == {A: "confirmada", B: "perdida"}
    assert "MIXED OUTCOME" in federation.a.process.output()
    snapshot = stage.settle()
    assert snapshot.trips[session]["perdidas"] == [B]
    # It stays known over restarts, and the rest of the trip can be given up.
    federation.a.restart()
    federation.b.restart()
    assert federation.a.call("GET", f"/viagens/{told.trip}").json["estado"] == "mista"
    assert _branch(federation.b, session)["causa"] == "heuristica"
    assert stage.client.cancel(told.trip, request).outcome == "cancelled"
    stage.settle()


def test_a_long_outage_is_over_soon_after_it_ends(stage):
    """However long the coordinator was away: ten seconds after its return nothing is in doubt."""
    federation = stage.federation
    _, session = _leave_in_doubt(stage)
    down = time.monotonic()
    # The pauses between questions grow: after this long the next question could be far away.
    until(lambda: time.monotonic() - down > 21, "a long outage", 25, pause=0.5)
    assert _branch(federation.b, session)["estado"] == "preparada"
    federation.a.start()
    stage.settle(seconds=10)


def _leave_in_doubt(stage):
    """B and C have voted for a trip whose coordinator dies before it can decide. Returns (request, session)."""
    federation = stage.federation
    rule = federation.network.on("hold", A, phase="response", nth=2, action=federation.a.kill)
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "unknown", told
    until(rule.done.is_set, "both votes", 5)
    session = federation.network.seen("hold", A, B)[-1].operations[-1].session
    return request, session


def _branch(company, session):
    return audit.pages(company)[0].get(session)
