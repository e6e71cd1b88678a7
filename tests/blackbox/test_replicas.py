"""Three processes of one company over one database: killed, frozen and replaced while cars book trips."""

import random
import threading
import time

import pytest

from harness import http
from harness.federation import peer_token
from harness.load import Load
from harness.postgres import Postgres
from harness.replicas import Replicas
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
STORE_LOST = 75
# From a leader's end until another one answers, as the issue asks; a busy machine has to keep to it, too.
TAKEOVER_MAX = 5.0


@pytest.fixture
def replicated(make_stage, request):
    """A federation whose first company is three processes."""
    stage = make_stage(broker=True, start=False)
    federation = stage.federation
    postgres = Postgres(federation.folder / "postgres.txt")
    request.addfinalizer(postgres.end)
    postgres.start()
    replicas = Replicas(federation.a, postgres, broker=stage.broker)
    federation.start()
    replicas.wait_for_leader(15)
    return stage, replicas


def test_killed_in_turn_under_load(replicated, seed):
    """Whichever process dies, no trip is lost or split, and another one leads within seconds."""
    stage, replicas = replicated
    chance = random.Random(seed)
    load = Load(stage, seed, rest=4, cars=4).start()
    took = []
    for round_number in range(6):
        load.until(asked=load.asked + 10, seconds=30)
        time.sleep(chance.random() / 4)
        leader = replicas.leader()
        # Mostly the one that leads; now and then one that only passes requests on.
        number = leader if round_number % 3 != 2 else (leader + 1) % 3
        replicas.programs[number].kill()
        if number == leader:
            took.append(replicas.wait_for_leader(20, other_than=leader))
        replicas.programs[number].start()
    load.stop()
    stage.settle(30)
    load.check()
    print(f"another one led after {', '.join(f'{seconds:.2f}' for seconds in took)} s")
    assert max(took) <= TAKEOVER_MAX, took


def test_one_that_stands_still_is_followed_by_another(replicated):
    """A frozen leader keeps its connections; the database gives its place away, and it ends when it finds out."""
    stage, replicas = replicated
    federation, client = stage.federation, stage.client
    before = federation.trip(A, B, C)
    assert client.insist(lambda: client.book(before)).outcome == "confirmed"
    leader = replicas.leader()
    replicas.programs[leader].freeze()
    took = replicas.wait_for_leader(20, other_than=leader)
    print(f"another one led after {took:.2f} s")
    assert took <= TAKEOVER_MAX, took
    after = federation.trip(A, B, C)
    assert client.insist(lambda: client.book(after), seconds=30).outcome == "confirmed"
    # What it knows is old, and it must not speak.
    replicas.programs[leader].thaw()
    assert replicas.programs[leader].wait(20) == STORE_LOST
    replicas.programs[leader].start()
    for request in (before, after):
        again = client.insist(lambda request=request: client.book(request))
        assert again.outcome == "confirmed", again
    stage.settle(20)


def test_one_that_is_cut_off_from_the_database_says_nothing(replicated):
    """It has nothing to write, so that no write tells it: another one leads already, and it must not say that all is done."""
    stage, replicas = replicated
    leader = replicas.leader()
    time.sleep(1.5)  # what it owed is written
    replicas.relays[leader].fall_silent()
    took = replicas.wait_for_leader(20, other_than=leader)
    unheard = {"sessao": f"{B}.{'0' * 32}.1.1.{'0' * 32}", "motivo": "viagem-cancelada"}
    token = peer_token(B, A)
    assert http.call("DELETE", f"http://127.0.0.1:{replicas.ports[(leader + 1) % 3]}/cancelar-reserva", unheard, token).status == 200
    try:
        said = http.call("DELETE", f"http://127.0.0.1:{replicas.ports[leader]}/cancelar-reserva", unheard, token, timeout=20)
        assert said.status == 503, said
    except http.Unanswered:
        pass  # it has ended
    print(f"another one led after {took:.2f} s")
    assert replicas.programs[leader].wait(20) == STORE_LOST
    replicas.relays[leader].speak_again()
    replicas.programs[leader].start()
    request = stage.federation.trip(A, B, C)
    assert stage.client.insist(lambda: stage.client.book(request)).outcome == "confirmed"
    stage.settle(20)


def test_replaced_one_by_one_without_a_trip_that_fails(replicated):
    """SIGTERM to each of them, as for a new version: every single request is answered, and none has to be repeated."""
    stage, replicas = replicated
    federation, client = stage.federation, stage.client
    done, told, problems = threading.Event(), [], []
    lock = threading.Lock()

    def drive(company):
        while not done.is_set():
            with lock:
                request = federation.trip(company, B, C)
            answer = client.book(request, A)
            told.append(answer.outcome)
            if answer.outcome != "confirmed":
                problems.append(answer)

    drivers = [threading.Thread(target=drive, args=(A,)) for _ in range(4)]
    for driver in drivers:
        driver.start()
    for program in [*replicas.programs, replicas.programs[replicas.leader()]]:
        count = len(told)
        until(lambda count=count: len(told) >= count + 8, "trips to be booked", 30)
        assert program.stop(25) == 0, program.last_output()
        program.start()
        until(lambda program=program: "standing by" in program.last_output(), "it to be there again", 10)
        time.sleep(0.3)
    done.set()
    for driver in drivers:
        driver.join()
    assert not problems, problems[:5]
    assert len(told) >= 40
    stage.settle(20)
