"""Two versions of the program in one federation: the last release, here called old, and this one, called new."""

import collections
import json
import os
import random
import secrets
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.client import PASSING
from harness.collector import Collector
from harness.load import Load
from harness.proxy import Verdict
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
HEADER = "recarga-versao"


@pytest.fixture(scope="session")
def old():
    """The program of the last release."""
    path = os.environ.get("RECARGA_OLD_BIN")
    assert path, "RECARGA_OLD_BIN is not set; use tests/versions/run.sh"
    return Path(path).resolve()


@pytest.fixture
def make_mixed(make_stage, old):
    """Makes federations in which these companies run the old program, and all others the new one."""

    def make(*names, traces=None, **options):
        stage = make_stage(start=False, **options)
        for name in names:
            stage.federation[name].use(old)
        for company in stage.federation:
            if traces and company.name not in names:
                company.write_config(stage.broker, tables={"traces": {"url": traces.url, "share": 0.0}})
        stage.federation.start()
        return stage

    return make


@pytest.fixture
def collector():
    """A collector of traces that is there for one test."""
    one = Collector()
    yield one
    one.close()


def replace(company, program):
    """SIGTERM, and another program on the same record."""
    assert company.process.stop(40) == 0, company.process.last_output()
    company.use(program)
    company.start()


def said(company):
    """Which version of the messages it says that it reads."""
    return int(company.call("GET", "/saude").headers.get(HEADER, "1"))


def book(stage, company=A):
    """A trip through all companies that is confirmed, coordinated by this one."""
    request = stage.federation.trip(A, B, C)
    told = stage.client.insist(lambda: stage.client.book(request, company), passing=PASSING)
    assert told.outcome == "confirmed", told
    return request, told.trip


def test_the_programs_differ(make_mixed):
    """Or nothing here would mean anything: the new one reads later messages, and says so."""
    federation = make_mixed(B, C).federation
    assert said(federation.a) > said(federation.b) == said(federation.c)


def test_doctor_tells_of_an_older_company_as_information(make_mixed, program):
    """It is no trouble: what it cannot read is not sent to it."""
    federation = make_mixed(C).federation
    command = [program, "doctor", "--config", federation.a.config, "--json"]
    findings = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout)
    seen = [one["seen"] for one in findings if one["what"] == "company" and one["verdict"] == "ok"]
    of_b, of_c = sorted(seen)
    assert of_b.startswith(B) and f"messages {said(federation.b)}, as here" in of_b, of_b
    assert of_c.startswith(C) and f"messages {said(federation.c)}, older than {said(federation.a)} here" in of_c, of_c


@pytest.mark.parametrize("olds", [(B,), (A, C)], ids=["one-is-old", "one-is-new"])
def test_random_kills_under_load(make_mixed, seed, olds):
    """REST and MQTT trips through coordinators of both versions, while companies of both die at moments that the seed draws."""
    stage = make_mixed(*olds, broker=True)
    federation, chance = stage.federation, random.Random(seed)
    load = Load(stage, seed, rest=4, cars=2).start()
    try:
        for _ in range(12):
            time.sleep(chance.uniform(0.05, 0.6))
            victims = chance.sample(list(federation), chance.choice([1, 1, 2]))
            for victim in victims:
                victim.kill()
            time.sleep(chance.uniform(0.0, 0.4))
            for victim in victims:
                victim.start()
        asked = load.asked
        load.until(asked + 10)
    finally:
        federation.heal()
        load.stop()
    load.check()
    snapshot = stage.settle(seconds=20)
    coordinators = {trip["sessao"].rsplit(".", 4)[0] for trip in snapshot.trips.values()}
    assert coordinators == {A, B, C}, "each of them coordinated trips"
    assert len({said(company) for company in federation}) == 2


@pytest.mark.parametrize("coordinator", [A, C], ids=["the-new-one-coordinates", "the-old-one-coordinates"])
@pytest.mark.parametrize("kind", ["hold", "confirm"])
def test_killed_between_vote_and_confirm(make_mixed, coordinator, kind):
    """A company of the one version dies when it has voted, or has confirmed, for a coordinator of the other."""
    stage = make_mixed(C)
    federation = stage.federation
    victim = federation[C if coordinator == A else A]
    rule = federation.network.on(
        kind, coordinator, victim.name, phase="response", action=lambda _: victim.kill() or Verdict.CUT
    )
    request = federation.trip(A, B, C)
    stage.client.book(request, coordinator)
    until(rule.done.is_set, f"the kill point ({rule})", 5)
    federation.heal()
    told = stage.client.insist(lambda: stage.client.book(request, coordinator), passing=PASSING)
    assert told.outcome == "confirmed", told
    stage.settle()
    told = stage.client.insist(lambda: stage.client.cancel(told.trip, request, coordinator), passing=PASSING)
    assert told.outcome == "cancelled", told
    stage.settle()


def test_traces_are_switched_on_before_all_companies_know_of_them(make_mixed, collector):
    """The new companies trace and the old one does not: trips through all of them book, traces between the new ones are
    whole, and the old one is never sent what it has not said that it reads."""
    stage = make_mixed(C, traces=collector)
    federation = stage.federation

    def booked(number):
        trace, span = secrets.token_hex(16), secrets.token_hex(8)
        request = federation.trip(A, B, C, evse=number % 8 + 1)
        headers = {"traceparent": f"00-{trace}-{span}-01"}
        return federation.a.call("POST", "/viagens", request, headers=headers), trace, span

    # Many at once, so that their messages travel together.
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(booked, range(128)))
    for answer, trace, span in answers:
        assert answer.status == 201, answer
        check_whole(collector, trace, span)
    stage.settle()
    batches = {name: [one for one in sent(federation, name) if one.path == "/lote"] for name in (B, C)}
    assert len(batches[B]) >= 3 and len(batches[C]) >= 3, "nothing travelled together"
    assert any("rastros" in json.loads(one.body) for one in batches[B]), "the new one is told"
    assert not any("rastros" in json.loads(one.body) for one in batches[C]), "the old one is not"
    # The rest of the messages, and what comes the other way, goes on as ever.
    assert {one.status for one in sent(federation, C) if one.path == "/lote"} == {200}
    for coordinator in (A, B, C):
        request, trip = book(stage, coordinator)
        assert stage.client.cancel(trip, request, coordinator).outcome == "cancelled"
    stage.settle()


def sent(federation, target):
    """What A has sent to another company."""
    journal = list(federation.network.journal)
    return [one for one in journal if (one.source, one.target) == (A, target)]


def check_whole(collector, trace, span):
    """All that A and B did for a trip, each step within the one that led to it; of C what A asked it."""
    whole = collections.Counter([
        (A, "trip", ""), (A, "attempt", ""),
        (A, "hold", A), (A, "hold", A), (A, "hold", B), (A, "hold", C), (B, "hold", A),
        (A, "confirm", B), (A, "confirm", C), (B, "confirm", A),
    ])

    def steps():
        return collections.Counter((one.company, one.name, one.says.get("recarga.peer", "")) for one in collector.spans(trace))

    until(lambda: not whole - steps(), lambda: f"all of {trace}; missing: {whole - steps()}", 15)
    # Where the machine is slow, a company asks before it is told, and is told twice.
    assert {name for _, name, _ in steps() - whole} <= {"confirm", "inquire"}, steps()
    spans = collector.spans(trace)
    by_id = {one.id: one for one in spans}
    for one in spans:
        assert one.parent == span if one.name == "trip" else one.parent in by_id, (one, spans)


def test_a_rolling_upgrade_under_load_loses_nothing(make_mixed, program, seed):
    """All old; one after another gets the new program on its record while drivers go on."""
    stage = make_mixed(A, B, C, broker=True)
    federation = stage.federation
    before = [book(stage, coordinator) for coordinator in (A, B, C)]
    load = Load(stage, seed, rest=4, cars=2).start()
    try:
        for company in federation:
            load.until(load.asked + 15)
            replace(company, program)
            assert said(company) == said(federation.a) > 1
        load.until(load.asked + 15)
    finally:
        federation.heal()
        load.stop()
    load.check()
    stage.settle(seconds=20)
    # What the old programs promised the new ones keep, and undo if they are asked.
    for (request, trip), coordinator in zip(before, (A, B, C)):
        assert stage.client.book(request, coordinator).trip == trip
        assert stage.client.cancel(trip, request, coordinator).outcome == "cancelled"
    stage.settle()


def test_what_the_old_program_owed_the_new_one_sees_through(make_mixed, program):
    """The upgrade meets an outcome that is not delivered, and a company that waits for it."""
    stage = make_mixed(A, B, C)
    federation = stage.federation
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    federation.network.on("inquire", target=A, action=Verdict.CUT, repeated=True)
    book(stage)
    until(lambda: federation.b.metric("in_doubt") == 1, "the outcome to be missed", 5)
    assert federation.a.metric("trips_owing") == 1
    for company in (federation.b, federation.a):
        replace(company, program)
    assert federation.b.metric("in_doubt") == 1, "still nobody could tell it"
    stage.settle()


def test_going_back_to_the_old_program(make_mixed, program, old):
    """It works as long as the record's format is the same; else the old program refuses, touches nothing, and says why."""
    stage = make_mixed(A)
    federation = stage.federation
    first, _ = book(stage)
    replace(federation.a, program)
    request, trip = book(stage)
    assert federation.a.process.stop(40) == 0
    federation.a.use(old)
    federation.a.start(wait=False)
    if is_refused(federation.a):
        text = federation.a.process.last_output()
        assert federation.a.process.wait() == 1 and "has format" in text and "use a newer program" in text, text
        federation.a.use(program)
        federation.a.start()
    for one in (first, request):
        assert stage.client.book(one).outcome == "confirmed"
    assert stage.client.cancel(trip, request).outcome == "cancelled"
    book(stage)
    stage.settle()


def is_refused(company):
    """Whether the program refuses to start; waits until that can be told."""
    try:
        company.wait_ready()
    except AssertionError:
        if company.process.is_running:
            raise
        return True
    return False
