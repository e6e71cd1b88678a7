"""A company whose record is in PostgreSQL, among others with their own databases: killed, cut off from it, and refused by it."""

import random
import socket
import subprocess
import threading
import time

import pytest

from harness import http
from harness.certificates import Certificates
from harness.load import Load
from harness.postgres import Postgres
from harness.relay import Relay
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
STORE_LOST = 75


@pytest.fixture
def in_postgres(make_stage, request):
    """A federation whose first two companies have databases on one server."""
    stage = make_stage(start=False)
    federation = stage.federation
    postgres = Postgres(federation.folder / "postgres.txt")
    request.addfinalizer(postgres.end)
    postgres.start()
    for company in (federation.a, federation.b):
        company.write_config(store=postgres.database(company.name.replace("-", "_")))
    federation.start()
    return stage, postgres


def reserved(postgres, company):
    """How many windows PostgreSQL itself knows to be reserved."""
    return int(postgres.query("SELECT count(*) FROM recarga_windows", company.name.replace("-", "_")))


def test_trips_stand_in_postgres_and_survive_its_crash(in_postgres):
    """What was told is there after both have died, and the address's secret is nowhere."""
    stage, postgres = in_postgres
    federation = stage.federation
    trips = [federation.trip(A, B, C) for _ in range(5)]
    for request in trips:
        assert stage.client.insist(lambda request=request: stage.client.book(request)).outcome == "confirmed"
    until(lambda: reserved(postgres, federation.b) == 5, "every window to be known to PostgreSQL", 10)
    postgres.crash()
    # They find out when they have something to write, and end: nobody knows what became of that write.
    unknown = {"sessao": "empresa-a." + "0" * 32 + ".1.1." + "0" * 32, "motivo": "aborto"}
    for write in [lambda: federation.a.call("POST", "/viagens", federation.trip(A, B, C)),
                  lambda: federation.b.as_peer(A, "DELETE", "/cancelar-reserva", unknown)]:
        try:
            write()
        except http.Unanswered:
            pass  # it ended before it could say anything
    assert federation.b.process.wait(20) == STORE_LOST
    federation.a.process.end()
    postgres.start()
    for company in (federation.a, federation.b):
        company.start()
    for request in trips:
        again = stage.client.insist(lambda request=request: stage.client.book(request))
        assert again.outcome == "confirmed", again
    assert reserved(postgres, federation.b) >= 5
    stage.settle(20)
    for company in federation:
        assert "never-shown" not in company.process.output(), company.name


def test_killed_at_random_under_load_with_its_database(in_postgres, seed):
    """The node, or PostgreSQL below it, dies again and again while trips are booked, changed hands and cancelled."""
    stage, postgres = in_postgres
    federation = stage.federation
    chance = random.Random(seed)
    load = Load(stage, seed, rest=4).start()
    for round_number in range(6):
        load.until(asked=load.asked + 10, seconds=30)
        time.sleep(chance.random() / 4)
        if round_number % 3 == 2:
            postgres.crash()
            for company in (federation.a, federation.b):
                until(lambda company=company: not company.process.is_running, f"{company.name} to notice", 30)
            postgres.start()
            for company in (federation.a, federation.b):
                company.start()
        else:
            chance.choice([federation.a, federation.b]).restart()
    load.stop()
    stage.settle(30)
    for company in (federation.a, federation.b):
        name = company.name.replace("-", "_")
        rows = "SELECT count(*) FROM recarga_rows WHERE kind = 0 AND value::json->>'state' = 'confirmed'"
        windows = "SELECT count(DISTINCT transaction) FROM recarga_windows"
        assert postgres.query(rows, name) == postgres.query(windows, name) != "", company.name


def test_a_database_that_takes_everything_and_answers_nothing(in_postgres):
    """Nothing tells the node that the connection is dead: it ends, and nobody is told what was not written."""
    stage, postgres = in_postgres
    federation = stage.federation
    relay = Relay(postgres.port)
    federation.b.process.stop()
    federation.b.write_config(store=f"postgres://recarga:never-shown@127.0.0.1:{relay.port}/empresa_b")
    federation.b.start()
    unheard = {"sessao": f"{A}.{'0' * 32}.1.1.{'0' * 32}", "motivo": "viagem-cancelada"}
    assert federation.b.as_peer(A, "DELETE", "/cancelar-reserva", unheard).status == 200
    # At once, so that it is no idle connection that is found to be dead.
    relay.fall_silent()
    begun = time.monotonic()
    try:
        said = federation.b.as_peer(A, "DELETE", "/cancelar-reserva", unheard, timeout=40)
        assert said.status == 503, said
    except http.Unanswered:
        pass  # it has ended
    assert federation.b.process.wait(40) == STORE_LOST
    print(f"it ended after {time.monotonic() - begun:.1f} s")
    relay.speak_again()
    federation.b.start()
    request = federation.trip(A, B, C)
    assert stage.client.insist(lambda: stage.client.book(request)).outcome == "confirmed"
    stage.settle(20)
    relay.close()


def test_what_cannot_be_used_is_named(in_postgres):
    """Somebody else's database, one in use, and a server that is not there: one line each, and no start."""
    stage, postgres = in_postgres
    federation = stage.federation
    store = postgres.database("other")
    for address, told in [
        (f"postgres://recarga:never-shown@127.0.0.1:{postgres.port}/empresa_b", "in use by another process"),
        (f"postgres://recarga:never-shown@127.0.0.1:{postgres.port}/absent", "does not exist"),
        ("postgres://recarga:never-shown@127.0.0.1:1/any", "refused"),
        ("mysql://localhost/any", "operator.store"),
    ]:
        federation.c.process.stop()
        federation.c.write_config(store=address)
        federation.c.process.start()
        assert federation.c.process.wait(20) == 1, told
        said = federation.c.process.last_output()
        assert told in said and "never-shown" not in said, said
        federation.c.write_config(store=store)
        federation.c.start()
    federation.b.process.stop()
    federation.c.process.stop()
    federation.c.write_config(store=f"postgres://recarga:never-shown@127.0.0.1:{postgres.port}/empresa_b")
    federation.c.process.start()
    assert federation.c.process.wait(20) == 1
    assert "the database of empresa-b, not of empresa-c" in federation.c.process.last_output()
    federation.c.write_config(store=store)
    federation.b.start()
    federation.c.start()


SSL_REQUEST = (8).to_bytes(4) + (80877103).to_bytes(4)


class Listener:
    """Somebody who waits where PostgreSQL should be, says that there is no TLS, and keeps what he is told."""

    def __init__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.heard = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        connection, _ = self._server.accept()
        with connection:
            self.heard += connection.recv(1024)
            connection.sendall(b"N")
            while more := connection.recv(1024):
                self.heard += more

    def end(self):
        """All that he was told."""
        self._thread.join(10)
        self._server.close()
        return self.heard


def test_over_tls_the_server_is_verified(make_stage, program, request):
    """The record, a replica that waits to lead and a backup reach it over TLS; nobody else is told the password."""
    stage = make_stage(start=False)
    federation = stage.federation
    certificates = Certificates(program, federation.folder / "certs")
    certificates.make("issue", "database", "--host", "127.0.0.1")
    elsewhere = Certificates(program, federation.folder / "elsewhere")
    postgres = Postgres(federation.folder / "postgres.txt")
    request.addfinalizer(postgres.end)
    postgres.start()
    stores = {company.name: postgres.database(company.name.replace("-", "_")) for company in federation}
    # Before it has TLS, it is told nothing; nor is anybody else who waits there.
    listener = Listener()

    def refused(store, authority, told):
        company = federation.a
        company.write_config(store=store, store_ca=str(authority))
        company.process.start()
        assert company.process.wait(20) == 1, told
        said = company.process.last_output()
        assert told in said and "never-shown" not in said, said

    over_tls = stores[A] + "?sslmode=require"
    refused(over_tls, certificates.authority, "does not support TLS")
    refused(f"postgres://recarga:never-shown@127.0.0.1:{listener.port}/any?sslmode=require", certificates.authority,
            "the server needs ssl = on")
    assert listener.end() == SSL_REQUEST
    postgres.secure(certificates.folder / "database.pem", certificates.folder / "database.key")
    refused(over_tls, elsewhere.authority, "certificate")
    refused(over_tls.replace("127.0.0.1", "localhost"), certificates.authority, "certificate")
    refused(stores[A], certificates.authority, "operator.store_ca: without TLS")
    refused(over_tls, federation.folder / "absent.pem", "operator.store_ca: ")
    for company in federation:
        tables = {"replica": {"name": "r1", "url": company.url}} if company is federation.b else None
        company.write_config(store=stores[company.name] + "?sslmode=require", store_ca=str(certificates.authority), tables=tables)
    federation.start()
    trips = [federation.trip(A, B, C) for _ in range(3)]
    for trip in trips:
        assert stage.client.insist(lambda trip=trip: stage.client.book(trip)).outcome == "confirmed"
    secured = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'recarga'"
    assert postgres.query(f"SELECT count(*) >= 3 AND bool_and(ssl) AND bool_and(version = 'TLSv1.3') {secured}") == "t"
    copy = federation.folder / "b.copy"
    backup = subprocess.run([program, "backup", "--config", federation.b.config, "--to", copy], capture_output=True, text=True)
    assert backup.returncode == 0, backup
    federation.b.restart()
    for trip in trips:
        assert stage.client.insist(lambda trip=trip: stage.client.book(trip)).outcome == "confirmed"
    stage.settle(20)
    for company in federation:
        assert "never-shown" not in company.process.output(), company.name
