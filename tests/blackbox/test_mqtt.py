"""Cars over MQTT 3.1.1 and 5, through Mosquitto: asked, answered, repeated, cancelled, and all of it while processes
die. `test_mqtt_embedded.py` has those again that the program's own broker must pass.
"""

import datetime
import json
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness.broker import MONITOR
from harness.car import Listener
from harness.client import PASSING
from harness.federation import instant, now
from harness.load import Load
from harness.proxy import Verdict
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
BROKER = "mosquitto"
VERSIONS = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])


@pytest.fixture
def monitor(stage):
    """Hears everything; an operator's tool."""
    listener = Listener(stage.broker, MONITOR, ["veiculo/+/resposta", "servidor/+/resposta"], persistent=False).start()
    yield listener
    listener.stop()


@VERSIONS
def test_a_car_books_and_cancels(stage, cars, monitor, version):
    """The same answer under both names; a repeat gets it again; then the whole trip is given up."""
    federation = stage.federation
    car = cars(version)
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    answer = car.answer_to(request)
    assert answer["estado"] == "confirmada" and answer["servidor"] == A and answer["veiculo_id"] == car.name
    assert [stop["empresa"] for stop in answer["paradas"]] == [A, B, C]
    snapshot = stage.settle()
    assert answer["viagem_id"] in {trip["viagem_id"] for trip in snapshot.trips.values()}

    def published(topic):
        return [one for one in monitor.received(topic) if one.get("requisicao_id") == request["requisicao_id"]]

    until(lambda: published(f"servidor/{A}/resposta"), "the answer under the company's name", 5)
    assert published(f"servidor/{A}/resposta") == [answer]
    assert not published(f"servidor/{B}/resposta") and not published(f"servidor/{C}/resposta")

    car.ask(request)
    assert car.answer_to(request, nth=2) == answer
    cancel = {"requisicao_id": federation.fresh_id(), "cancelar": answer["viagem_id"], "servidor": A}
    for nth in (1, 2):
        car.ask(cancel)
        gone = car.answer_to(cancel, nth=nth)
        assert gone["estado"] == "cancelada" and gone["viagem_id"] == answer["viagem_id"], gone
    stage.history.told(request, "cancelled", answer["viagem_id"])
    stage.settle()


@VERSIONS
def test_the_first_stops_company_coordinates_unless_another_is_named(stage, cars, version):
    """Exactly one node answers."""
    federation = stage.federation
    car = cars(version)
    by_first = federation.trip("empresa-c", "empresa-a", vehicle=car.name)
    by_name = federation.trip("empresa-c", "empresa-a", vehicle=car.name)
    car.ask(by_first)
    car.ask(by_name, servidor=B)
    assert car.answer_to(by_first)["servidor"] == C
    assert car.answer_to(by_name)["servidor"] == B
    stage.settle()
    assert len(car.answers) == 2


def test_a_company_that_nobody_runs_is_answered_by_the_first(stage, cars):
    """So that the car is not left waiting."""
    federation = stage.federation
    car = cars()
    named = federation.trip(vehicle=car.name)
    car.ask(named, servidor="empresa-x")
    answer = car.answer_to(named)
    assert answer["estado"] == "recusada" and answer["servidor"] == A
    assert answer["motivo"]["tipo"] == "empresa-desconhecida" and answer["motivo"]["campo"] == "servidor"
    stops = federation.trip(vehicle=car.name)
    stops["paradas"][0]["empresa"] = "empresa-x"
    car.ask(stops)
    assert car.answer_to(stops)["motivo"]["campo"] == "paradas[0].empresa"
    stage.settle()
    assert len(car.answers) == 2


@VERSIONS
def test_a_refusal_says_why_and_stays_the_same(stage, cars, version):
    """A taken window, asked twice; the answer does not change when the window becomes free."""
    federation = stage.federation
    car = cars(version)
    taken = federation.trip(B)
    booked = stage.client.book(taken, B)
    request = federation.request([taken["paradas"][0]], vehicle=car.name)
    car.ask(request)
    answer = car.answer_to(request)
    assert answer["estado"] == "recusada" and answer["motivo"]["tipo"] == "ponto-reservado", answer
    assert answer["motivo"]["livres"] and answer["motivo"]["parada"] == 0
    assert stage.client.cancel(booked.trip, taken, B).outcome == "cancelled"
    car.ask(request)
    assert car.answer_to(request, nth=2) == answer
    stage.settle()


@VERSIONS
def test_malformed_requests_are_refused_with_a_reason(stage, cars, version):
    """Each one answered once, by one company, naming the field; nothing crashes and nothing is held."""
    federation = stage.federation
    car = cars(version)

    def request(**changes):
        return {**federation.trip(vehicle=car.name), **changes}

    stop = federation.stop_at(A)
    reversed_window = {**stop, "janela_inicio": stop["janela_fim"], "janela_fim": stop["janela_inicio"]}
    past = instant(now() - datetime.timedelta(days=1)), instant(now() - datetime.timedelta(hours=23))
    cases = [
        (request(surpresa=1), "campo-desconhecido", "surpresa"),
        (request(paradas=[]), "paradas-demais", "paradas"),
        (request(paradas=[stop] * 17), "paradas-demais", "paradas"),
        (request(paradas="nenhuma"), "campo-invalido", "paradas"),
        (request(paradas=[reversed_window]), "janela-invertida", "paradas[0].janela_fim"),
        (request(paradas=[federation.stop_at(A, window=past)]), "janela-no-passado", "paradas[0].janela_inicio"),
        (request(paradas=[stop, stop]), "paradas-sobrepostas", "paradas[1].janela_inicio"),
        (request(paradas=[{**stop, "ponto_id": "A-999"}]), "ponto-desconhecido", "paradas[0].ponto_id"),
        (request(veiculo={"veiculo_id": "outro-carro"}), "campo-invalido", "veiculo.veiculo_id"),
        (request(veiculo={"veiculo_id": car.name, "plugue": "CHADEMO"}), "plugue-incompativel", "paradas[0].ponto_id"),
        (request(expira_em="ontem"), "campo-invalido", "expira_em"),
        (request(expira_em="2020-01-01T00:00:00Z"), "expirada", "expira_em"),
        (request(cancelar="viagem"), "campo-invalido", "paradas"),
        ({"requisicao_id": federation.fresh_id()}, "campo-ausente", "veiculo"),
        ({"requisicao_id": federation.fresh_id(), "cancelar": "viagem-x"}, "campo-ausente", "servidor"),
        ({"requisicao_id": federation.fresh_id(), "cancelar": "viagem-x", "servidor": A}, "nao-encontrado", "cancelar"),
    ]
    for body, kind, field in cases:
        car.publish(f"veiculo/{car.name}/requisicao", json.dumps(body))
        answer = car.answer_to({"requisicao_id": body["requisicao_id"]})
        assert answer["estado"] == "recusada" and answer["veiculo_id"] == car.name, answer
        assert (answer["motivo"]["tipo"], answer["motivo"].get("campo")) == (kind, field), answer
    # Not even the id can be read.
    unreadable = [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"requisicao_id": 7}', b'{"requisicao_id": "a/b"}']
    for number, payload in enumerate(unreadable, 1):
        car.publish(f"veiculo/{car.name}/requisicao", payload)
        nameless = until(
            lambda count=number: [one for one in car.answers if "requisicao_id" not in one][count - 1:],
            f"an answer to {payload!r}", 5,
        )
        assert nameless[0]["estado"] == "recusada" and nameless[0]["motivo"]["tipo"], nameless
    large = {**request(), "veiculo": {"veiculo_id": "x" * 70_000}}
    car.publish(f"veiculo/{car.name}/requisicao", json.dumps(large))
    answer = car.answer_to({"requisicao_id": large["requisicao_id"]})
    assert answer["motivo"]["tipo"] == "corpo-grande-demais", answer
    stage.settle()
    assert len(car.answers) == len(cases) + len(unreadable) + 1
    assert stage.federation.a.metric('mqtt_messages{message="malformed_request"}') > 0


@VERSIONS
def test_the_same_id_for_something_else_is_refused(stage, cars, version):
    """And the first trip stays what it is."""
    federation = stage.federation
    car = cars(version)
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    first = car.answer_to(request)
    other = {**request, "paradas": federation.trip()["paradas"]}
    car.publish(f"veiculo/{car.name}/requisicao", json.dumps(other))
    answer = until(lambda: car.answers_to(request["requisicao_id"])[1:], "a second answer", 5)[0]
    assert answer["estado"] == "recusada" and answer["motivo"]["tipo"] == "requisicao-divergente", answer
    car.ask(request)
    again = until(lambda: car.answers_to(request["requisicao_id"])[2:], "a third answer", 5)[0]
    assert again == first
    stage.settle()


def test_the_same_request_in_other_bytes_is_a_repeat(stage, cars):
    """JSON has no order of keys and no white space that matters: a retry by another library is the same request."""
    federation = stage.federation
    car = cars()
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    first = car.answer_to(request)
    car.publish(f"veiculo/{car.name}/requisicao", json.dumps(dict(reversed(request.items())), indent=1))
    again = until(lambda: car.answers_to(request["requisicao_id"])[1:], "a second answer", 5)[0]
    assert again == first
    stage.settle()


@VERSIONS
def test_a_repeat_right_after_the_answer_is_answered(stage, cars, version):
    """However soon it comes: the answer before may still be on its way under the company's name."""
    federation = stage.federation
    car = cars(version)
    request = federation.trip(vehicle=car.name)
    topic, body = f"veiculo/{car.name}/requisicao", json.dumps(request)
    # From within the client's own thread, as soon as an answer is there.
    hear = car.client.on_message

    def hear_and_repeat(client, userdata, message):
        hear(client, userdata, message)
        client.publish(topic, body, qos=1)

    car.client.on_message = hear_and_repeat
    car.ask(request)
    until(lambda: len(car.answers) >= 30, lambda: f"30 answers to 30 requests; {len(car.answers)} came", 8)
    car.client.on_message = hear
    car.note(request)
    stage.settle()


def test_rest_and_mqtt_are_one_service(stage, cars):
    """A car that asks by MQTT and then by REST with the same id gets one trip."""
    federation = stage.federation
    car = cars()
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    answer = car.answer_to(request)
    told = stage.client.book(request)
    assert told.outcome == "confirmed" and told.trip == answer["viagem_id"]
    stage.settle()


def test_response_topic_and_correlation_data(stage, cars):
    """MQTT 5's own way to match an answer; only topics of the car itself are used."""
    federation = stage.federation
    car = cars(5)
    own = Listener(stage.broker, MONITOR, [f"veiculo/{car.name}/#", "servidor/#", "alheio"], persistent=False).start()
    request = federation.trip(vehicle=car.name)
    stage.history.asked(request)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = f"veiculo/{car.name}/resposta"
    properties.CorrelationData = b"\x01\x02-mine"
    car.publish(f"veiculo/{car.name}/requisicao", json.dumps(request), properties=properties)
    assert car.answer_to(request)["estado"] == "confirmada"
    assert [props.CorrelationData for _, _, props in car.messages] == [b"\x01\x02-mine"]
    forged = federation.trip(vehicle=car.name)
    properties.ResponseTopic = f"servidor/{A}/resposta/../../alheio"
    car.publish(f"veiculo/{car.name}/requisicao", json.dumps(forged), properties=properties)
    stage.history.asked(forged)
    assert car.answer_to(forged)["estado"] == "confirmada"
    stage.settle()
    topics = {topic for topic, _, _ in own.messages}
    own.stop()
    assert topics <= {f"veiculo/{car.name}/requisicao", f"veiculo/{car.name}/resposta", f"servidor/{A}/resposta"}


@VERSIONS
def test_status_and_last_will(stage, cars, version):
    """The last known status is served; a car that vanishes is offline, and its trip stays."""
    federation = stage.federation
    car = cars(version, will=True)
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    assert car.answer_to(request)["estado"] == "confirmada"

    def state_is(wanted):
        answers = [company.call("GET", f"/veiculos/{car.name}") for company in federation]
        return all(one.status == 200 and one.json["estado"] == wanted for one in answers)

    # Status is QoS 0: a car repeats it.
    until(lambda: car.status() or state_is("dirigindo"), "every company to know the car", 5, pause=0.1)
    listed = federation.a.call("GET", "/veiculos").json["veiculos"]
    assert car.name in {one["veiculo_id"] for one in listed}
    car.vanish()
    until(lambda: state_is("offline"), "the last will", 30)
    snapshot = stage.settle()
    assert stage.client.book(request).outcome == "confirmed"
    assert snapshot.of_request(car.name, request["requisicao_id"])


def test_a_car_that_was_away_finds_its_answer(stage, cars):
    """The broker keeps it in the car's persistent session."""
    federation = stage.federation
    for version in (4, 5):
        car = cars(version)
        request = federation.trip(vehicle=car.name)
        arrived = federation.network.on("hold", A, B, action=lambda _, car=car: car.stop())
        car.ask(request)
        until(arrived.done.is_set, "the hold", 5)
        stage.settle()
        back = cars(version, name=car.name)
        assert back.answer_to(request)["estado"] == "confirmada"


@VERSIONS
def test_the_node_dies_between_request_and_answer(stage, cars, version):
    """Its votes are out; it comes back and answers without being asked again."""
    federation = stage.federation
    car = cars(version)
    request = federation.trip(vehicle=car.name)
    died = federation.network.on("hold", A, phase="response", action=federation.a.kill)
    car.ask(request)
    until(died.done.is_set, "the node to die", 5)
    federation.a.start()
    answer = car.answer_to(request, seconds=15)
    snapshot = stage.settle()
    live = snapshot.of_request(car.name, request["requisicao_id"])
    assert bool(answer["estado"] == "confirmada") == any(b["estado"] == "confirmada" for _, b in live)


@pytest.mark.parametrize("flush", ["request", "decision", "answer"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_node_dies_at_a_flush_of_a_cars_request(stage, cars, flush, moment):
    """The inbox, the decision and the outbox: killed just before and just after each becomes durable."""
    federation = stage.federation
    disk = federation.a.disk
    car = cars()
    request = federation.trip(vehicle=car.name)

    def arm(_exchange=None):
        (disk.kill_before if moment == "before" else disk.kill_after)()

    if flush == "request":
        arm()
    elif flush == "decision":
        federation.network.on("hold", A, phase="response", nth=2, action=arm)
    else:
        federation.network.on("confirm", A, phase="response", nth=2, action=arm)
    car.ask(request)
    until(lambda: not federation.a.process.is_running, "the node to die", 5)
    federation.network.forget_rules()
    federation.a.start()
    answer = car.answer_to(request, seconds=15)
    final = stage.client.insist(lambda: stage.client.book(request), passing=PASSING)
    # By REST a refused request may be tried again; a confirmed one is the same trip for ever.
    if answer["estado"] == "confirmada":
        assert final.trip == answer["viagem_id"]
    stage.settle()


def test_a_request_that_waited_while_the_node_was_down(stage, cars):
    """Nobody lost it, and one that has expired meanwhile is refused instead of run late."""
    federation = stage.federation
    car = cars()
    federation.a.kill()
    request, late = federation.trip(vehicle=car.name), federation.trip(vehicle=car.name)
    expires = now() + datetime.timedelta(seconds=1)
    car.ask(request)
    car.ask(late, expira_em=instant(expires))
    until(lambda: now() > expires, "the request to expire", 5)
    federation.a.start()
    assert car.answer_to(request, seconds=15)["estado"] == "confirmada"
    refused = car.answer_to(late)
    assert refused["estado"] == "recusada" and refused["motivo"]["tipo"] == "expirada", refused
    stage.settle()


def test_an_answer_is_owed_until_the_broker_has_it(stage, cars):
    """The broker is away when the trip is decided; the car is told once it is back."""
    federation, broker = stage.federation, stage.broker
    car = cars()
    request = federation.trip(vehicle=car.name)
    decided = federation.network.on("confirm", A, phase="response", nth=2)
    federation.network.on("hold", A, phase="response", nth=2, action=lambda _: broker.kill())
    car.ask(request)
    until(decided.done.is_set, "the trip to be decided", 5)
    until(lambda: federation.a.metric("answers_owed") == 1, "the answer to be owed", 5)
    broker.start()
    assert car.answer_to(request, seconds=20)["estado"] == "confirmada"
    until(lambda: federation.a.metric("answers_owed") == 0, "nothing to be owed", 10)
    stage.settle()


def test_the_broker_dies_under_load(stage, seed):
    """Killed and started again and again: every request is answered, and with one outcome."""
    load = Load(stage, seed, rest=1, cars=6).start()
    try:
        for _ in range(4):
            load.until(load.asked + 8)
            stage.broker.restart()
        load.until(40)
    finally:
        load.stop()
    load.check()
    for company in stage.federation:
        until(lambda company=company: company.metric("answers_owed") == 0, "every answer to be delivered", 15)
    stage.settle()


def test_a_car_hears_only_its_own_answers(stage, cars):
    """Mosquitto's access list: another car's topic stays silent, and a forged answer goes nowhere."""
    federation = stage.federation
    car = cars()
    spy_name = stage.broker.car()
    topics = [f"veiculo/{car.name}/resposta", "veiculo/#", "servidor/#", f"veiculo/{spy_name}/resposta"]
    spy = Listener(stage.broker, spy_name, topics).start()
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    assert car.answer_to(request)["estado"] == "confirmada"
    spy.publish(f"veiculo/{car.name}/resposta", json.dumps({"requisicao_id": "forged"}))
    spy.publish(f"veiculo/{car.name}/requisicao", json.dumps(federation.trip(vehicle=car.name)))
    # What the spy may do still works, so it is connected; its own answer arrives and nothing else.
    own = federation.trip(vehicle=spy_name)
    spy.publish(f"veiculo/{spy_name}/requisicao", json.dumps(own))
    until(spy.received, "the spy's own answer", 5)
    assert {topic for topic, _, _ in spy.messages} == {f"veiculo/{spy_name}/resposta"}
    spy.stop()
    stage.settle()
    assert len(car.answers) == 1


def test_a_silent_peer_does_not_keep_a_car_waiting(stage, cars):
    """Refused within the limit of the decision, as by REST."""
    federation = stage.federation
    car = cars()
    request = federation.trip(vehicle=car.name)
    federation.network.on("hold", A, C, action=Verdict.MUTE)
    started = time.monotonic()
    car.ask(request)
    answer = car.answer_to(request)
    assert answer["estado"] == "recusada" and answer["motivo"]["tipo"] == "empresa-inacessivel", answer
    assert time.monotonic() - started < 6
    stage.settle()

