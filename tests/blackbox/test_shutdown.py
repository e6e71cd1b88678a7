"""SIGTERM: takes nothing new, finishes what is under way, ends with status 0."""

import http.client
import signal
import socket
import threading
import time

import pytest

from harness import http as rest
from harness.car import Car
from harness.load import Load
from harness.proxy import Verdict
from harness.waiting import TooLate, until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
BROKER = "mosquitto"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_trip_under_way_is_finished(stage, number):
    """The signal comes while votes are being collected: the driver gets the answer, the companies their confirm."""
    federation = stage.federation
    a = federation.a

    def terminate(_exchange):
        a.process.signal(number)
        until(lambda: _refuses_connections(a), "the listener to close", 5)

    federation.network.on("hold", A, B, action=terminate)
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed", told
    assert a.process.wait(15) == 0
    session = told.answer.json["sessao"]
    assert federation.network.seen("confirm", A, session=session), "what is owed can be delivered before it ends"
    a.start()
    stage.settle()


def test_a_vote_under_way_is_finished(stage):
    """A participant that is told to stop has the vote written and told, and hears the outcome after its restart."""
    federation = stage.federation
    federation.network.on("hold", A, B, action=lambda _: federation.b.disk.stall())
    told = []
    asking = threading.Thread(target=lambda: told.append(stage.client.book(federation.trip())))
    asking.start()
    until(lambda: federation.b.metric("in_doubt") == 1, "the vote in memory", 5)
    federation.b.process.signal(signal.SIGTERM)
    federation.b.disk.behave()
    assert federation.b.process.wait(15) == 0
    asking.join()
    assert told[0].outcome in ("confirmed", "refused")
    stage.settle()


def test_shutdown_under_load(stage, seed):
    """Whoever sent a request is answered or was never let in; nobody is cut off from a trip that was booked."""
    federation = stage.federation
    a = federation.a
    tried, lock, stopping = [], threading.Lock(), threading.Event()

    def drive():
        while not stopping.is_set():
            with lock:
                request = federation.trip()
                stage.history.asked(request)
            try:
                answer = rest.call("POST", f"{a.url}/viagens", request)
            except rest.Unanswered as error:
                answer = error
            with lock:
                tried.append((request, answer))

    threads = [threading.Thread(target=drive) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(tried) > 40, "some load", 10)
    status = a.process.stop()
    stopping.set()
    for thread in threads:
        thread.join()
    assert status == 0
    a.start()
    booked = 0
    for request, answer in tried:
        car, key = request["veiculo"]["veiculo_id"], request["requisicao_id"]
        trips = a.call("GET", f"/viagens?veiculo_id={car}&requisicao_id={key}").json["viagens"]
        if isinstance(answer, rest.Unanswered):
            assert not trips, f"booked, but its client was cut off: {answer}"
        elif answer.status == 201:
            booked += 1
            assert [trip["viagem_id"] for trip in trips] == [answer.json["viagem_id"]]
        else:
            assert answer.status in (409, 503), answer
            assert not trips
    assert booked > 20
    stage.settle()


def test_cars_are_answered_over_a_shutdown(stage, seed):
    """Rolling restarts by SIGTERM under REST and MQTT load: every request has one outcome."""
    load = Load(stage, seed, rest=3, cars=3).start()
    statuses = []
    try:
        for company in stage.federation:
            load.until(10 * len(statuses) + 1)
            statuses.append(company.process.stop(30))
            company.start()
        load.until(30, 5)
    finally:
        stage.federation.heal()
        load.stop()
    load.check()
    assert statuses == [0, 0, 0]
    stage.settle()


def test_open_connections_do_not_hold_it_up(stage):
    """A watcher of /eventos, an idle connection, half a head, and a client that never reads."""
    a = stage.federation.a
    watcher = http.client.HTTPConnection("127.0.0.1", a.port, timeout=20)
    watcher.request("GET", "/eventos")
    stream = watcher.getresponse()
    idle = socket.create_connection(("127.0.0.1", a.port))
    half = socket.create_connection(("127.0.0.1", a.port))
    half.sendall(b"GET /saude HTTP/1.1\r\n")
    kept = http.client.HTTPConnection("127.0.0.1", a.port, timeout=20)
    kept.request("GET", "/saude")
    kept.getresponse().read()
    started = time.monotonic()
    assert a.process.stop(20) == 0
    assert time.monotonic() - started < 9, "container engines kill after ten seconds"
    stream.read()  # it ends, and does not fail
    for connection in (watcher, kept):
        connection.close()
    for connection in (idle, half):
        connection.close()


def test_a_silent_peer_does_not_hold_it_up(stage):
    """What is owed to a company that does not answer stays owed."""
    federation = stage.federation
    federation.network.on("confirm", A, B, action=Verdict.MUTE, repeated=True)
    told = stage.client.book(federation.trip())
    assert told.outcome == "confirmed"
    started = time.monotonic()
    assert federation.a.process.stop(20) == 0
    assert time.monotonic() - started < 9, "container engines kill after ten seconds"
    snapshot = stage.settle()
    assert set(snapshot.states(told.answer.json["sessao"]).values()) == {"confirmada"}


def test_health_says_that_it_is_stopping_or_nothing_at_all(stage):
    """A load balancer must not send new requests to it."""
    federation = stage.federation
    a = federation.a
    seen = []

    def terminate(_exchange):
        a.process.signal(signal.SIGTERM)
        try:
            until(lambda: seen.append(_status(a)) or seen[-1] != 200, "it not to be ready", 5)
        except TooLate:
            pass

    federation.network.on("hold", A, B, action=terminate)
    stage.client.book(federation.trip())
    assert seen and seen[-1] in (503, None), seen
    assert a.process.wait(15) == 0
    stage.settle()


def test_a_request_by_mqtt_while_it_stops_is_answered_later(stage):
    """The broker keeps it, the next run takes it."""
    federation = stage.federation
    car = Car(stage.broker, stage.history).start()
    assert federation.a.process.stop() == 0
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    federation.a.start()
    assert car.answer_to(request, seconds=15)["estado"] == "confirmada"
    car.stop()
    stage.settle()


def _refuses_connections(company):
    try:
        socket.create_connection(("127.0.0.1", company.port), timeout=1).close()
        return False
    except OSError:
        return True


def _status(company):
    try:
        return company.call("GET", "/saude", timeout=2).status
    except rest.Unanswered:
        return None
