"""The broker's doors for cars in the open, with the files that are shipped: who gets in, what is his there, and what is
nobody else's."""

import json
import shutil
import ssl
import subprocess

import paho.mqtt.client as mqtt
import pytest

from harness.broker_tls import REPOSITORY, SIMULATED, shipped_settings
from harness.car import Listener, status_of
from harness.certificates import Certificates
from harness.federation import NAMES
from harness.process import Program
from harness.waiting import until

A = "empresa-a"
BROKER = "mosquitto-tls"
DOORS = pytest.mark.parametrize("by", ["certificate", "password"])


@pytest.fixture
def others(stage):
    """Makes clients that want to hear what is not theirs."""
    made = []

    def make(by, topics, **options):
        listener = Listener(stage.broker.doors[by], stage.broker.car(), topics, **options)
        made.append(listener)
        return listener

    yield make
    for listener in made:
        listener.stop()


def booked(federation, car):
    """A car's trip, booked."""
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    answer = car.answer_to(request)
    assert answer["estado"] == "confirmada" and answer["veiculo_id"] == car.name, answer
    return answer


def refusal_of(door, context=None, login=None):
    """Why a client is not let in; it claims to be a car in every way that costs nothing."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "carro-0001", protocol=mqtt.MQTTv5)
    told = []
    client.on_connect = lambda _client, _userdata, _flags, reason, _properties: told.append(reason)
    if context:
        client.tls_set_context(context)
    if login:
        client.username_pw_set(*login)
    try:
        client.connect(door.place.host, door.port)
        while client.loop(timeout=1) == mqtt.MQTT_ERR_SUCCESS and not told:
            pass
    except (ssl.SSLError, ConnectionError) as error:
        return str(error)
    finally:
        client.disconnect()
    if told:
        assert told[0].is_failure, "it was let in"
        return str(told[0])
    return "closed"


@DOORS
@pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])
def test_a_trip_is_booked_over_tls(stage, cars, by, version):
    """Companies by certificate, cars by either."""
    booked(stage.federation, cars(version, by))
    stage.settle()


def test_simulated_cars_have_certificates(stage, program):
    """`recarga vehicles` as an operator would start it against this broker; what they ask for are the demo's stations."""
    broker = stage.broker
    command = [program, "vehicles", "--broker", broker.url, "--cars", str(SIMULATED), "--speed", "20000", "--plain", "--for", "20s"]
    command += [part for name in NAMES for part in ("--network", REPOSITORY / "networks" / "demo" / f"{name}.toml")]
    known = [*command, "--ca", broker.certificates.authority]

    def refused(arguments):
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
        return done.stderr if done.returncode == 1 else f"not refused: {done}"

    assert "--ca FILE" in refused(command)
    assert "carro-0001.pem" in refused([*known, "--certificates", broker.folder])
    assert "are for a broker at mqtts://" in refused([*(part if part != broker.url else "mqtt://127.0.0.1:1" for part in known), "--certificates", broker.folder])

    def asked():
        return sum(company.metric('mqtt_messages{message="request"}') for company in stage.federation)

    before = asked()
    process = Program([*known, "--certificates", broker.certificates.folder], broker.folder / "cars.txt")
    process.start()
    try:
        until(lambda: asked() > before, "a car to ask", 15)
        assert process.stop() == 0, process.last_output()
    finally:
        process.end()
    stage.settle()


@DOORS
def test_a_car_reaches_its_own_topics_only(stage, cars, others, by):
    """Neither to hear nor to speak, not by wildcards, not by a shared subscription, and not by a last will."""
    federation, broker = stage.federation, stage.broker
    car = cars()
    answers, status = f"veiculo/{car.name}/resposta", f"veiculo/{car.name}/status"
    topics = [answers, "#", "veiculo/+/resposta", f"$share/any/{answers}", "veiculo/+/requisicao", "servidor/#", "$SYS/#"]
    spy = others(by, topics).start()
    willing = others(by, [f"veiculo/{spy.name}/x"], will=(status, json.dumps(status_of(car.name, "offline")), 1, True)).start()
    willing.vanish()
    until(lambda: f"Client {willing.name} closed its connection" in broker.process.last_output(), "the last will's turn", 5)
    spy.publish(status, json.dumps(status_of(car.name, "dirigindo")))
    for topic in (answers, f"veiculo/{car.name}/requisicao", f"servidor/{A}/resposta"):
        spy.publish(topic, json.dumps(federation.trip(vehicle=car.name)))
    booked(federation, car)
    # What is its own works all the time, and whatever was forged before would have arrived by then.
    own = federation.trip(vehicle=spy.name)
    spy.publish(f"veiculo/{spy.name}/requisicao", json.dumps(own))
    spy.publish(f"veiculo/{spy.name}/status", json.dumps(status_of(spy.name, "dirigindo")))
    until(lambda: spy.received(f"veiculo/{spy.name}/resposta"), "the spy's own answer", 5)
    until(lambda: federation.a.call("GET", f"/veiculos/{spy.name}").status == 200, "the spy's own status", 5)
    assert {topic for topic, _, _ in spy.messages} == {f"veiculo/{spy.name}/resposta"}
    assert {answer["requisicao_id"] for answer in spy.received()} == {own["requisicao_id"]}
    assert len(car.answers) == 1, "nothing was asked or answered for it"
    assert federation.a.call("GET", f"/veiculos/{car.name}").status == 404, "nothing was said of it"
    stage.settle()


@DOORS
@pytest.mark.parametrize("target", ["certificate", "password"])
def test_no_car_disconnects_another(stage, cars, others, by, target):
    """Who connects under another's client id is a client under his own name."""
    car = cars(by=target)
    lost = []
    car.client.on_disconnect = lambda *_: lost.append(True)
    thief = others(by, [f"veiculo/{car.name}/resposta"], client_id=car.name).start()
    booked(stage.federation, car)
    assert not lost and car.client.is_connected() and thief.client.is_connected()
    # The session of one who is away is nobody else's, either: his answer waits for him.
    federation, request = stage.federation, stage.federation.trip(vehicle=car.name)
    federation.a.kill()
    car.ask(request)
    car.stop()
    again = others(by, [f"veiculo/{car.name}/resposta"], client_id=car.name).start()
    federation.a.start()
    until(lambda: federation.a.metric("answers_owed") == 0 and federation.a.metric('trips{outcome="booked"}') > 0,
          "the answer to be at the broker", 10)
    back = cars(by=target, name=car.name)
    until(lambda: back.answers_to(request["requisicao_id"]), "the answer that waited", 5)
    assert not thief.messages and not again.messages
    assert "closing old connection" not in stage.broker.process.last_output()
    stage.settle()


def test_strangers_stay_outside(stage, cars):
    """No certificate, another authority's, an older TLS, none at all, a wrong password; and a car that is there stays."""
    broker = stage.broker
    car = cars(name="carro-0001")
    by_certificate, by_password = broker.doors["certificate"], broker.doors["password"]
    certificates = broker.certificates
    other = Certificates(stage.federation.program, broker.folder / "other")
    other.make("car", "carro-0001")
    forged = certificates.context()
    forged.load_cert_chain(other.folder / "carro-0001.pem", other.folder / "carro-0001.key")
    assert refusal_of(by_certificate, certificates.context())
    assert refusal_of(by_certificate, certificates.context(), login=("carro-0001", "password-of-carro-0001"))
    assert refusal_of(by_certificate, forged)
    assert refusal_of(by_certificate)
    assert refusal_of(by_password)
    assert "Not authorized" in refusal_of(by_password, certificates.context("carro-0002")), "no password"
    assert "Not authorized" in refusal_of(by_password, certificates.context(), login=("carro-0001", "password-of-carro-0002"))
    for door, name in ((by_certificate, "carro-0001"), (by_password, None)):
        older = certificates.context(name, tls_max=ssl.TLSVersion.TLSv1_2)
        assert "PROTOCOL_VERSION" in refusal_of(door, older), "nothing older than TLS 1.3"
    # A client that believes somebody else does not speak with this broker.
    assert "CERTIFICATE_VERIFY_FAILED" in refusal_of(by_certificate, other.context("carro-0001"))
    # A car cannot pass for a broker, whatever it is called; the broker can.
    for name, seen in (("carro-0002", "unsuitable certificate purpose"), ("broker", "believed")):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificates.folder / f"{name}.pem", certificates.folder / f"{name}.key")
        assert handshake(server, certificates.context("carro-0001")) == seen
    booked(stage.federation, car)
    stage.settle()


def handshake(server, client):
    """What a client says about a server's certificate, whatever name it is in."""
    client.check_hostname = False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, serving, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
    return "believed"


def test_a_node_follows_its_files_and_refuses_a_broker_of_another_authority(stage, cars):
    """It says so in its log, and comes back by itself when the files are good again."""
    federation, broker = stage.federation, stage.broker
    node, believed = federation.a, broker.believed_by(A)
    other = Certificates(federation.program, broker.folder / "another")
    shutil.copy(other.authority, believed)
    broker.restart()
    until(lambda: f"authorities: {believed}): invalid peer certificate: " in node.process.last_output(),
          "the node to refuse the broker", 10)
    assert node.metric("broker_connected") == 0
    shutil.copy(broker.certificates.authority, believed)
    broker.certificates.make("issue", A, "--host", "127.0.0.1", "--force", "--days", "9")
    until(lambda: node.metric("broker_connected") == 1, "the node to be back", 15)
    seen = subprocess.run([federation.program, "doctor", "--config", node.config], capture_output=True, text=True, timeout=60)
    assert "certificate for the broker: good for 8 days more" in seen.stdout, seen.stdout + seen.stderr
    booked(federation, cars())
    stage.settle()


def test_a_car_is_shut_out(stage, cars):
    """As operations.md says: two lines and a signal, and its certificate opens nothing."""
    federation, broker = stage.federation, stage.broker
    car, other = cars(), cars()
    booked(federation, car)
    rules = broker.acl.read_text()
    broker.acl.write_text(f"user {car.name}\ntopic deny veiculo/{car.name}/#\n\n{rules}")
    before = broker.process.log.read_text().count("Reloading config")
    broker.reload()
    until(lambda: broker.process.log.read_text().count("Reloading config") > before, "the rules to be read", 5)
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    booked(federation, other)
    assert not car.answers_to(request["requisicao_id"])
    trips = federation.a.as_operator("GET", f"/viagens?veiculo_id={car.name}").json["viagens"]
    assert len(trips) == 1, "nobody heard it ask"
    broker.acl.write_text(rules)
    broker.reload()
    stage.settle()


def test_both_shipped_configurations_keep_their_word():
    """What one knows about bursts, kills and limits, the other knows too."""
    def settings(file):
        return {line for line in shipped_settings(file) if not line.startswith(("password_file", "connection_messages"))}

    assert settings("mosquitto.conf") == settings("mosquitto-tls.conf")
    assert "autosave_on_changes true" in settings("mosquitto-tls.conf")
