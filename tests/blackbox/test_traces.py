"""One trip, one trace through all companies: whoever books brings it along, and a collector sees every step."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness.car import Car
from harness.collector import Collector
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


@pytest.fixture
def collector():
    """A collector that is there for one test."""
    one = Collector()
    yield one
    one.close()


@pytest.fixture
def traced(make_stage, collector):
    """A federation that sends traces of `share` of its trips."""

    def make(share=0.0, url=None, broker=False):
        stage = make_stage(broker=broker, start=False)
        for company in stage.federation:
            company.write_config(stage.broker, tables={"traces": {"url": url or collector.url, "share": share}})
        stage.federation.start()
        return stage

    return make


def traceparent(sampled=True):
    """Somebody's context: (header, trace, span)."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace}-{span}-{'01' if sampled else '00'}", trace, span


def steps(spans):
    """Who did what: (company, step, with whom)."""
    return sorted((span.company, span.name, span.says.get("recarga.peer", "")) for span in spans)


WHOLE = sorted([
    (A, "trip", ""), (A, "attempt", ""),
    (A, "hold", A), (A, "hold", A), (A, "hold", B), (A, "hold", C), (B, "hold", A), (C, "hold", A),
    (A, "confirm", B), (A, "confirm", C), (B, "confirm", A), (C, "confirm", A),
])


def check_whole(collector, trace, span):
    """The trace has every step of a trip over three companies, each within the one that led to it."""
    spans = until(
        lambda: (found := collector.spans(trace)) and len(found) >= len(WHOLE) and found, f"all of {trace}", 15
    )
    assert steps(spans) == WHOLE, spans
    by_id = {one.id: one for one in spans}
    trip = next(one for one in spans if one.name == "trip")
    assert trip.parent == span and trip.says["recarga.trip"] and not trip.failed, trip
    for one in spans:
        if one is not trip:
            assert one.parent in by_id, (one, spans)
    attempt = next(one for one in spans if one.name == "attempt")
    assert {one.says["recarga.transaction"] for one in spans if one is not trip} == {attempt.says["recarga.transaction"]}
    # What a company did is within what it was asked.
    for there in (one for one in spans if one.company in (B, C)):
        asked = by_id[there.parent]
        assert (asked.company, asked.name, asked.says["recarga.peer"]) == (A, there.name, there.company), (there, asked)
        assert there.took <= asked.took + 0.05, (there.took, asked.took)


def test_a_trip_can_be_followed_through_all_companies(traced, collector):
    """Also of many that are booked at once, whose messages travel together."""
    stage = traced()
    federation = stage.federation

    def book(number):
        header, trace, span = traceparent()
        request = federation.trip(A, B, C, evse=number % 4 + 1)
        answer = federation.a.call("POST", "/viagens", request, headers={"traceparent": header})
        return answer, trace, span

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(book, range(4)))
    for answer, trace, span in answers:
        assert answer.status == 201, answer
        check_whole(collector, trace, span)
    stage.settle()


def test_a_car_brings_its_trace_by_mqtt(traced, collector):
    """As a user property of MQTT 5."""
    stage = traced(broker=True)
    car = Car(stage.broker, stage.history, 5).start()
    header, trace, span = traceparent()
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("app", "teste"), ("traceparent", header)]
    request = stage.federation.trip(A, B, C, vehicle=car.name)
    car.ask(request, properties=properties)
    assert car.answer_to(request)["estado"] == "confirmada"
    check_whole(collector, trace, span)
    car.stop()
    stage.settle()


def test_a_refusal_says_where_and_why(traced, collector):
    """The company that said no says so in the trace, and the others are told to let go."""
    stage = traced()
    federation = stage.federation
    first = federation.trip(A, B, C)
    assert federation.a.call("POST", "/viagens", first).status == 201
    header, trace, _ = traceparent()
    second = {**federation.request(first["paradas"]), "requisicao_id": federation.fresh_id()}
    refused = federation.a.call("POST", "/viagens", second, headers={"traceparent": header})
    assert refused.status == 409, refused

    def told():
        spans = collector.spans(trace)
        trips = [one for one in spans if one.name == "trip"]
        return trips and any(one.name == "abort" for one in spans) and spans

    spans = until(told, "the refusal in the trace", 15)
    assert any("refused" in (one.failed or "") for one in spans if one.name == "trip"), spans
    assert any("recarga.refusal" in one.says for one in spans), spans


def test_only_a_share_is_traced_and_nobody_waits_for_the_collector(traced, collector):
    """Without a caller's word the share decides, a caller's no is a no, and a collector that is gone is no reason to wait."""
    stage = traced(share=0.0)
    assert stage.federation.a.call("POST", "/viagens", stage.federation.trip(A, B, C)).status == 201
    header, trace, _ = traceparent(sampled=False)
    for value in (header, "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
        request = stage.federation.trip(A, B, C)
        assert stage.federation.a.call("POST", "/viagens", request, headers={"traceparent": value}).status == 201
    for company in stage.federation:
        company.process.stop()
    assert collector.spans() == []
    gone = traced(share=1.0, url="http://127.0.0.1:9")
    for _ in range(5):
        assert gone.federation.a.call("POST", "/viagens", gone.federation.trip(A, B, C), timeout=5).status == 201
    gone.settle()
    for company in gone.federation:
        company.process.stop()
