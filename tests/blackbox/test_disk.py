"""The disk stalls, fails or is full: nothing is told that is not durable, and the process stops rather than guess."""

import datetime
import http.client
import json
import resource
import signal
import threading
import time

import pytest

from harness import audit
from harness.client import PASSING
from harness.federation import EVSES, instant, now
from harness.history import key_of
from harness.http import Answer
from harness.proxy import replay
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
EXIT_CANNOT_WRITE = 74
MARKER = "recarga.poisoned"


def test_no_decision_leaves_before_it_is_durable(stage):
    """While the coordinator's disk stalls, neither the driver nor any company hears of the commit."""
    federation = stage.federation
    federation.network.on("hold", A, phase="response", nth=2, action=lambda _: federation.a.disk.stall())
    answers = []
    asking = threading.Thread(target=lambda: answers.append(stage.client.book(federation.trip())))
    asking.start()
    until(lambda: federation.a.metric("trips_owing") == 1, "the decision in memory", 5)
    # Longer than three rounds of whatever repeats what is owed.
    until(_after(1.8), "the stall to last", 4)
    leaked = federation.network.seen("confirm", A)
    told = list(answers)
    federation.a.disk.behave()
    asking.join()
    assert not told, f"the driver was told {told} while the decision was not durable"
    assert answers[0].outcome == "confirmed", answers
    stage.settle()
    assert not leaked, f"sent while the decision was not durable: {leaked}"


def test_no_outcome_is_told_before_it_is_durable(stage):
    """The same for a company that asks: not "confirmada" while the decision could still be lost."""
    federation = stage.federation
    federation.network.on("hold", A, phase="response", nth=2, action=lambda _: federation.a.disk.stall())
    asked_before = len(federation.network.seen("inquire", target=A))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(stage.client.book(federation.trip())))
    asking.start()
    until(lambda: len(federation.network.seen("inquire", target=A)) > asked_before + 1, "two questions", 5)
    until(_after(0.5), "an answer that must not come", 2)
    told = [one for one in federation.network.seen("inquire", target=A)[asked_before:] if b'"confirmada"' in
            (one.answer or b"")]
    federation.a.disk.behave()
    asking.join()
    assert not told, told
    stage.settle()


def test_no_cancellation_leaves_before_it_is_durable(stage):
    """A trip is given up at other companies only once the coordinator cannot forget that it was."""
    federation = stage.federation
    request = federation.trip()
    booked = stage.client.book(request)
    stage.settle()
    federation.a.disk.stall()
    answers = []
    asking = threading.Thread(target=lambda: answers.append(stage.client.cancel(booked.trip, request)))
    asking.start()
    until(lambda: federation.a.metric("trips_owing") == 1, "the cancellation in memory", 5)
    until(_after(1.8), "the stall to last", 4)
    leaked = federation.network.seen("release", A, session=booked.answer.json["sessao"])
    told = list(answers)
    federation.a.disk.behave()
    asking.join()
    assert not told and answers[0].outcome == "cancelled", (told, answers)
    stage.settle()
    assert not leaked, f"sent while the cancellation was not durable: {leaked}"


def test_no_vote_leaves_before_it_is_durable(stage):
    """While a participant's disk stalls it has not voted: the trip is refused in time."""
    federation = stage.federation
    federation.network.on("hold", A, B, action=lambda _: federation.b.disk.stall())
    told = stage.client.book(federation.trip())
    assert told.outcome == "refused" and told.answer.kind == "empresa-inacessivel", told
    session = federation.network.seen("hold", A, B)[-1].operations[-1].session
    # Asked again, and asked for the outcome: nothing that rests on the vote may be said either.
    hold = federation.network.seen("hold", A, B)[-1]
    repeated = []
    again = threading.Thread(target=lambda: repeated.append(replay(hold, federation.b.url)))
    again.start()
    again.join(0.7)  # longer than a vote would take
    assert not repeated or repeated[0].status >= 400, repeated
    federation.b.disk.behave()
    again.join()
    stage.settle()
    assert audit.pages(federation.b)[0][session]["estado"] == "abortada"


@pytest.mark.parametrize("operation", ["book", "cancel"])
def test_who_is_answered_before_the_disk_is_not_told_that_nothing_happened(make_stage, operation):
    """The server's patience ends before the flush: the outcome is open, and the answer must say so."""
    stage = make_stage(limits={"decide_seconds_max": 2, "request_seconds_max": 5})
    federation = stage.federation
    request = federation.trip()
    if operation == "book":
        federation.network.on("hold", A, phase="response", nth=2, action=lambda _: federation.a.disk.stall())
        answer = _post_slowly(federation.a, "/viagens", request, seconds=2)
    else:
        booked = stage.client.book(request)
        stage.settle()
        federation.a.disk.stall()
        answer = federation.a.call("DELETE", f"/viagens/{booked.trip}", timeout=20)
    stage.history.asked(request)
    federation.a.disk.behave()
    snapshot = stage.settle()
    states = {branch["estado"] for _, branch in snapshot.of_request(*key_of(request))}
    assert states == {"confirmada" if operation == "book" else "liberada"}
    assert answer.kind in ("em-andamento", "indisponivel"), answer
    detail = answer.json["detail"].lower()
    assert "nada foi" not in detail, f"it was done ({states}), but the answer was {answer}"


def test_a_failed_flush_stops_the_process_until_a_person_has_looked(stage):
    """Exit status 74, a marker, and no start before the marker is deleted."""
    federation = stage.federation
    federation.network.on("hold", A, B, action=lambda _: federation.b.disk.fail())
    told = stage.client.book(federation.trip())
    assert told.outcome == "refused", told
    assert federation.b.process.wait(5) == EXIT_CANNOT_WRITE
    _check_refuses_to_start(federation.b)
    federation.b.start()
    stage.settle()
    assert stage.client.book(federation.trip()).outcome == "confirmed"
    stage.settle()


def test_a_coordinator_that_cannot_write_promises_nothing(stage):
    """The flush of the decision fails: no answer that says more than is known, and afterwards one truth."""
    federation = stage.federation
    federation.network.on("hold", A, phase="response", nth=2, action=lambda _: federation.a.disk.fail())
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "unknown", told
    assert federation.a.process.wait(5) == EXIT_CANNOT_WRITE
    _check_refuses_to_start(federation.a)
    federation.a.start()
    assert stage.client.insist(lambda: stage.client.book(request), passing=PASSING).outcome == "confirmed"
    stage.settle()


def test_a_full_disk_stops_the_process(make_stage):
    """The database may not grow: the write that needs more room ends the process; what was told stays true."""
    stage = make_stage(start=False)
    federation = stage.federation
    federation.a.start()
    federation.a.process.stop()
    size = (federation.a.data / "recarga.redb").stat().st_size

    def no_growth():
        # Ignored, so that the write fails as it does on a full disk; by default the signal would kill.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    federation.a.process.before_start = no_growth
    # Its log shares the limit with the database.
    federation.a.process.environment["RECARGA_LOG"] = "error"
    federation.a.start()
    start = now() + datetime.timedelta(days=3)
    for number in range(3000):
        # Sixteen stops fill the file sooner; the windows are short, as the calendar ends in 90 days.
        evse, row = number % EVSES + 1, number // EVSES
        moments = [start + datetime.timedelta(minutes=20 * row + place) for place in range(17)]
        windows = [(instant(first), instant(last)) for first, last in zip(moments, moments[1:])]
        stops = [federation.stop_at(A, evse, window) for window in windows]
        told = stage.client.book(federation.request(stops), A)
        if told.outcome == "unknown":
            break
        assert told.outcome == "confirmed", told
    assert federation.a.process.wait(5) == EXIT_CANNOT_WRITE
    federation.a.process.before_start = None
    _check_refuses_to_start(federation.a)
    federation.a.start()
    federation.b.start()
    federation.c.start()
    stage.settle()


def test_a_disk_without_room_for_the_reason_leaves_a_marker_nevertheless(stage):
    """The marker is empty: the log does not say that there is none, and the next start says what it can."""
    federation = stage.federation
    federation.network.on("hold", A, B, action=lambda _: federation.b.disk.fill())
    told = stage.client.book(federation.trip())
    assert told.outcome == "refused", told
    assert federation.b.process.wait(5) == EXIT_CANNOT_WRITE
    assert (federation.b.data / MARKER).read_text() == ""
    said = federation.b.process.last_output()
    assert "cannot leave a marker" not in said and "left without the reason" in said, said
    complaint = _check_refuses_to_start(federation.b)
    assert "()" not in complaint and "disk full" in complaint, complaint
    federation.b.start()
    stage.settle()


def _post_slowly(company, path, body, seconds):
    """Sends the head at once and the body some time later."""
    data = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", company.port, timeout=20)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    until(_after(seconds), "a slow client", seconds + 2)
    connection.send(data)
    response = connection.getresponse()
    answer = Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


def _check_refuses_to_start(company):
    marker = company.data / MARKER
    assert marker.exists()
    company.disk.behave()
    company.process.start()
    assert company.process.wait(10) == 1
    complaint = [line for line in company.process.last_output().strip().splitlines() if " WARN " not in line]
    assert len(complaint) == 1 and str(marker) in complaint[0], complaint
    marker.unlink()
    return complaint[0]


def _after(seconds):
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() >= deadline
