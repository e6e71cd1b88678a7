"""Messages between companies are lost, delayed, repeated and reordered; the trip stays one thing."""

import json
import threading

import pytest

from harness.audit import pages
from harness.client import PASSING
from harness.proxy import Verdict, replay
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


@pytest.mark.parametrize("verdict", [Verdict.CUT, Verdict.MUTE], ids=["cut", "silence"])
@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_lost_hold_refuses_the_trip_and_leaves_nothing(stage, phase, verdict):
    """The vote is not heard: the trip is refused, whatever the company has voted."""
    federation = stage.federation
    federation.network.on("hold", A, B, phase=phase, action=verdict)
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "refused" and told.answer.kind == "empresa-inacessivel", told
    assert told.answer.json["empresa"] == B
    stage.settle()
    # The same request again is a new attempt, and nothing is in its way.
    assert stage.client.insist(lambda: stage.client.book(request), passing=PASSING).outcome == "confirmed"
    stage.settle()


@pytest.mark.parametrize("verdict", [Verdict.CUT, Verdict.MUTE], ids=["cut", "silence"])
@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_lost_confirm_is_repeated(stage, phase, verdict):
    """The driver was told, so the company will be told too."""
    federation = stage.federation
    for nth in range(1, 4):
        federation.network.on("confirm", A, B, phase=phase, nth=nth, action=verdict)
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "confirmed", told
    snapshot = stage.settle()
    assert set(snapshot.states(told.answer.json["sessao"]).values()) == {"confirmada"}


@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_lost_abort_is_found_out_by_asking(stage, phase):
    """C votes no, the abort to B is lost: B asks and gives the window back."""
    federation = stage.federation
    obstacle = federation.trip(C)
    assert stage.client.book(obstacle, C).outcome == "confirmed"
    federation.network.on("abort", A, B, phase=phase, action=Verdict.CUT, repeated=True)
    request = federation.request([federation.stop_at(A), federation.stop_at(B), obstacle["paradas"][0]])
    request["paradas"].sort(key=lambda stop: stop["janela_inicio"])
    told = stage.client.book(request)
    assert told.outcome == "refused" and told.answer.kind == "ponto-reservado", told
    if phase == "request":
        until(lambda: federation.network.seen("inquire", B, A), "b to ask", 5)
    stage.settle()


@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_lost_release_is_repeated(stage, phase):
    """The driver was told that the trip is cancelled, so every company will be told too."""
    federation = stage.federation
    request = federation.trip()
    told = stage.client.book(request)
    stage.settle()
    for nth in range(1, 3):
        federation.network.on("release", A, C, phase=phase, nth=nth, action=Verdict.CUT)
    assert stage.client.cancel(told.trip, request).outcome == "cancelled"
    snapshot = stage.settle()
    assert set(snapshot.states(told.answer.json["sessao"]).values()) == {"liberada"}


@pytest.mark.parametrize("phase", ["request", "response"])
def test_a_lost_question_is_asked_again(stage, phase):
    """Confirms do not come through, nor what others could tell, nor the first questions to the coordinator."""
    federation = stage.federation
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    federation.network.on("inquire", B, C, action=Verdict.CUT, repeated=True)
    lost = [
        federation.network.on("inquire", B, A, phase=phase, nth=nth, action=Verdict.CUT) for nth in (1, 2)
    ]
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed", told
    until(lambda: all(rule.done.is_set() for rule in lost), "two questions", 8)
    session = told.answer.json["sessao"]
    until(
        lambda: _state(federation.b, session) == "confirmada",
        "b to learn the outcome by asking, as no confirm comes through", 8,
    )
    stage.settle()


@pytest.mark.parametrize("kind", ["hold", "confirm", "release", "abort", "inquire"])
def test_a_repeated_message_changes_nothing(stage, kind):
    """Every message of a kind arrives twice."""
    federation = stage.federation
    federation.network.on(kind, action=Verdict.TWICE, repeated=True)
    if kind == "inquire":
        # Somebody has to be in doubt for a question to be asked.
        for nth in (1, 2):
            federation.network.on("confirm", A, nth=nth, action=Verdict.CUT)
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "confirmed", told
    if kind == "abort":
        other = federation.trip()
        other["paradas"][2] = request["paradas"][2]
        other["paradas"].sort(key=lambda stop: stop["janela_inicio"])
        assert stage.client.book(other).outcome == "refused"
    stage.settle()
    assert stage.client.cancel(told.trip, request).outcome == "cancelled"
    stage.settle()


def test_an_abort_that_overtakes_its_hold_wins(stage):
    """The abort arrives first and leaves a tombstone; the late hold is refused, also when it is repeated."""
    federation = stage.federation
    late = []
    federation.network.on("hold", A, B, action=lambda exchange: late.append(exchange) or Verdict.MUTE)
    aborted = federation.network.on("abort", A, B, phase="response")
    told = stage.client.book(federation.trip())
    assert told.outcome == "refused", told
    until(aborted.done.is_set, "the abort", 5)
    for _ in range(3):
        answer = replay(late[0], federation.b.url)
        assert (answer.status, answer.kind, answer.json["voto"]) == (409, "sessao-encerrada", "nao"), answer
    stage.settle()


def test_a_hold_that_is_delayed_past_the_limit_does_not_make_a_trip(stage):
    """The vote comes when the decision has been made."""
    federation = stage.federation
    release = threading.Event()
    late = federation.network.on("hold", A, C, action=lambda _: release.wait(10) and None)
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "refused" and told.answer.kind == "empresa-inacessivel", told
    release.set()
    until(late.done.is_set, "the late hold", 5)
    stage.settle()


def test_old_messages_come_back_in_any_order(stage):
    """The network kept a copy of everything and delivers it again, shuffled, long after: nothing moves."""
    federation = stage.federation
    kept_from = len(federation.network.journal)
    kept = federation.trip()
    keeping = stage.client.book(kept)
    dropped = federation.trip()
    dropping = stage.client.book(dropped)
    stage.settle()
    stage.client.cancel(dropping.trip, dropped)
    moved = federation.trip()
    moving = stage.client.book(moved)
    stage.settle()
    new = federation.trip(vehicle=moved["veiculo"]["veiculo_id"])
    changed = stage.client.change(moving.trip, new)
    assert changed.outcome == "confirmed", changed
    refused = federation.request(sorted([federation.stop_at(B), new["paradas"][2]], key=_start))
    assert stage.client.book(refused).outcome == "refused"
    before = stage.settle()
    copies = [
        one
        for one in federation.network.journal[kept_from:]
        if one.source != "client" and any(op.kind in ("hold", "confirm", "abort", "release") for op in one.operations)
    ]
    assert len(copies) >= 10
    for _ in range(3):
        federation.random.shuffle(copies)
        for exchange in copies:
            answer = replay(exchange, federation[exchange.target].url)
            assert answer.status < 500, answer
    after = stage.settle()
    for session in before.sessions():
        assert before.states(session) == after.states(session), session
    assert keeping.outcome == "confirmed"


def test_a_repeated_hold_gets_the_same_body(stage):
    """The vote of a repeat is the vote of the first; only a time limit that a confirmed hold no longer has may differ."""
    federation = stage.federation
    told = stage.client.book(federation.trip())
    session = told.answer.json["sessao"]
    first = next(one for one in federation.network.seen("hold", A, B, session))
    original = json.loads(first.answer)
    if "resultados" in original:
        original = original["resultados"][0]["corpo"]
    repeat = replay(first, federation.b.url)
    body = repeat.json["resultados"][0]["corpo"] if "resultados" in repeat.json else repeat.json
    assert body["voto"] == original["voto"] == "sim"
    assert body["reservas"] == original["reservas"]
    assert repeat.status in (200, 201), repeat
    stage.settle()


def test_everything_goes_wrong_a_little(stage):
    """Every message has one chance in five to be lost, repeated or cut; thirty trips, then peace."""
    federation, chance = stage.federation, stage.federation.random
    lock = threading.Lock()

    def misfortune(_exchange):
        with lock:
            draw = chance.random()
        if draw < 0.07:
            return Verdict.CUT
        if draw < 0.10:
            return Verdict.MUTE
        if draw < 0.20:
            return Verdict.TWICE
        return Verdict.PASS

    for name in (A, B, C):
        for phase in ("request", "response"):
            federation.network.on(None, name, phase=phase, action=misfortune, repeated=True)
    requests = [(federation.trip(*order), order[0]) for order in [(A, B, C), (B, C, A), (C, A, B)] * 10]
    booked = []

    def drive(request, company):
        told = stage.client.book(request, company)
        if told.outcome == "confirmed":
            with lock:
                booked.append((told, request, company))

    threads = [threading.Thread(target=drive, args=one) for one in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for told, request, company in booked[::3]:
        stage.client.cancel(told.trip, request, company)
    assert booked
    stage.settle(seconds=15)



def _state(company, session):
    return pages(company)[0].get(session, {}).get("estado")


def _start(stop):
    return stop["janela_inicio"]


def test_a_company_that_is_gone_counts_until_it_is_back(stage):
    """Whether anybody books there or not: who alerts on the figure hears of an hour's silence, too."""
    federation = stage.federation

    def known():
        health = federation.a.call("GET", "/saude").json
        return federation.a.metric("peers_unreachable"), B in health["verificacoes"], health["estado"]

    until(lambda: known() == (0, False, "pronto"), "all to be well", 10)
    federation.b.kill()
    until(lambda: known() == (1, True, "degradado"), "the silence to be noticed", 40)
    federation.b.start()
    until(lambda: known() == (0, False, "pronto"), "it to answer again", 20)
    stage.settle()
