"""A company whose record is in PostgreSQL, among others with their own databases: killed, cut off from it, and refused by it."""

import random
import time

import pytest

from harness import http
from harness.load import Load
from harness.postgres import Postgres
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
