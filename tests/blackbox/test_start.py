"""What can be wrong at the start: one clear line and an exit status, or recovery where it can recover by itself."""

import socket

import pytest

from harness import http
from harness.broker import Broker
from harness.car import Car
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


@pytest.fixture
def lone(make_stage):
    """A federation of which nobody is started."""
    return make_stage(start=False)


def test_a_port_in_use(lone):
    """Another program has the port."""
    a = lone.federation.a
    with socket.create_server(("127.0.0.1", a.port)):
        _fails(a, str(a.port), "cannot listen")
    a.start()


@pytest.mark.parametrize("content", [b"not a database at all\n" * 400, b"SQLite format 3\0" + b"\0" * 8000, b"x"],
                         ids=["text", "sqlite", "one-byte"])
def test_a_foreign_database_file(lone, content):
    """A file that is something else is not overwritten."""
    a = lone.federation.a
    a.data.mkdir()
    file = a.data / "recarga.redb"
    file.write_bytes(content)
    _fails(a, str(file))
    assert file.read_bytes() == content


@pytest.mark.parametrize("damage", ["cut-in-half", "header-overwritten", "middle-overwritten"])
def test_a_damaged_database_file(lone, damage):
    """It says so and stops, or it can tell that nothing is lost; it never runs on half a memory."""
    stage, federation = lone, lone.federation
    federation.start()
    requests = [federation.trip() for _ in range(20)]
    for request in requests:
        assert stage.client.book(request).outcome == "confirmed"
    stage.settle()
    a = federation.a
    a.process.stop()
    file = a.data / "recarga.redb"
    content = bytearray(file.read_bytes())
    if damage == "cut-in-half":
        del content[len(content) // 2:]
    elif damage == "header-overwritten":
        content[0:512] = b"\xa5" * 512
    else:
        # Everything but the header and the first page.
        content[8192:] = b"\xa5" * (len(content) - 8192)
    file.write_bytes(content)
    _fails(a, str(file))


def test_the_database_of_another_company(lone):
    """Folders mixed up: each company's database knows whose it is."""
    federation = lone.federation
    federation.a.start()
    federation.a.process.stop()
    federation.a.data.rename(federation.b.data)
    _fails(federation.b, A, B, str(federation.b.data))


def test_a_second_process_on_the_same_folder(lone):
    """Two processes may not share a memory."""
    federation = lone.federation
    federation.a.start()
    federation.b.write_config(id=A, data_dir=str(federation.a.data), peers=[])
    _fails(federation.b, "in use by another process", str(federation.a.data))
    assert federation.a.call("GET", "/saude").status == 200


@pytest.mark.parametrize("text, field", [
    ("[operator]\nid = 1\n", "operator.id"),
    ("surprise = true\n", "surprise"),
    ('[operator]\nid = "empresa-a"\nname = "${NO_SUCH_VARIABLE}"\n', "NO_SUCH_VARIABLE"),
    ("this is no TOML", ""),
], ids=["wrong-type", "unknown-key", "unset-variable", "no-toml"])
def test_a_configuration_that_cannot_be_used(lone, text, field):
    """The file and the field are named."""
    a = lone.federation.a
    a.config.write_text(text, encoding="utf-8")
    a.process.start()
    assert a.process.wait(10) == 1
    output = a.process.last_output()
    assert str(a.config) in output and field in output and "panicked" not in output, output


def test_a_broker_that_comes_later(make_stage):
    """REST works without the broker; cars are served as soon as there is one."""
    stage = make_stage(start=False)
    federation = stage.federation
    broker = stage.broker = Broker(federation.folder / "mosquitto")
    for company in federation:
        company.write_config(broker)
    federation.start()
    health = federation.a.health()
    assert health["estado"] == "degradado" and health["verificacoes"]["mqtt"]["estado"] == "falha", health
    assert stage.client.book(federation.trip()).outcome == "confirmed"
    broker.start()
    until(lambda: federation.a.health()["estado"] == "pronto", "a to reach the broker", 20)
    until(lambda: all(company.metric("broker_connected") for company in federation), "all to reach it", 20)
    car = Car(broker, stage.history).start()
    request = federation.trip(vehicle=car.name)
    car.ask(request)
    assert car.answer_to(request)["estado"] == "confirmada"
    car.stop()
    stage.settle()


def test_peers_that_come_later(lone):
    """A company alone is a company: it books its own EVSEs, and refuses what needs the others."""
    stage, federation = lone, lone.federation
    federation.a.start()
    assert stage.client.book(federation.trip(A)).outcome == "confirmed"
    request = federation.trip()
    told = stage.client.book(request)
    assert told.outcome == "refused" and told.answer.kind == "empresa-inacessivel", told
    federation.b.start()
    federation.c.start()

    def booked():
        told = stage.client.book(request)
        return told if told.outcome == "confirmed" else None

    until(booked, "the trip to go through", 10)
    stage.settle()


def test_it_says_what_it_is_doing_while_it_starts(lone):
    """`recarga health` is what a container asks."""
    a = lone.federation.a
    with pytest.raises(http.Unanswered):
        a.call("GET", "/saude")
    a.start()
    health = a.health()
    assert health["estado"] == "pronto" and health["empresa"] == A
    assert health["verificacoes"]["armazenamento"]["estado"] == "ok"


def _fails(company, *parts):
    """It ends with status 1 and one line that names these parts."""
    company.process.start()
    status = company.process.wait(15)
    complaint = company.process.last_output().strip().splitlines()
    complaint = [line for line in complaint if " WARN " not in line and " INFO " not in line]
    assert status == 1, (status, complaint)
    assert len(complaint) == 1, complaint
    for part in parts:
        assert part in complaint[0], (part, complaint)
