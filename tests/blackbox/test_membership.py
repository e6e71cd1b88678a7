"""A company joins a federation and leaves it while the others run: by `recarga federation`, and a roll that spreads by itself."""

import json
import shutil
import subprocess
import threading

import pytest

from harness.waiting import until

A, B, C, D = NAMES = ("empresa-a", "empresa-b", "empresa-c", "empresa-d")


class Authority:
    """The person who signs: a folder, and the program."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder / "federation"
        told = self.run("init", "--name", "Nordeste")
        self.key = told.split('authority = "')[1].split('"')[0]

    def run(self, *arguments, status=0, dir=True):
        """One command; returns what it says."""
        place = ["--dir", self.folder] if dir else []
        done = subprocess.run([self.program, "federation", *arguments, *place], capture_output=True, text=True, timeout=30)
        assert done.returncode == status, (arguments, done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr

    @property
    def roll(self):
        """The file."""
        return self.folder / "roll.json"

    def give_to(self, company):
        """The roll as it is now."""
        shutil.copy(self.roll, company.folder / "roll.new")
        (company.folder / "roll.new").rename(company.folder / "roll.json")


@pytest.fixture
def founded(make_stage, program, logs, request):
    """A federation of three with a roll; the fourth has its key and its configuration, and is not started."""
    stage = make_stage(start=False, names=NAMES)
    federation = stage.federation
    authority = Authority(program, federation.folder)
    keys = {}
    for company in federation:
        keys[company.name] = authority.run("key", "--out", company.folder / "own.key", dir=False).strip()
        table = {"members": "roll.json", "authority": authority.key, "key_file": "own.key"}
        company.write_config(limits={"members_refresh_seconds": 1, "offer_refresh_millis": 200}, peers=[],
                             tables={"federation": table})
    for name in (A, B, C):
        authority.run("add", name, "--url", federation[name].url, "--key", keys[name])
    for name in (A, B, C):
        authority.give_to(federation[name])
        federation[name].start(wait=False)
    for name in (A, B, C):
        federation[name].wait_ready()
    return stage, authority, keys


def fellows(company):
    """Whom a company knows: {name: standing}."""
    return {one["empresa"]: one["estado"] for one in company.call("GET", "/federacao").json["empresas"]}


def offers(company):
    """Whose offers a company knows freshly."""
    known = company.call("GET", "/rede").json["empresas"]
    return {one["empresa"] for one in known if one["estado"] == "atual"}


def free(company, name):
    """States of the EVSEs of another company, asked there."""
    return {point["estado"] for point in company.federation[name].call("GET", "/disponibilidade").json["pontos"]}


def test_a_company_joins_and_leaves_while_the_others_run(founded):
    """Nobody is restarted, trips go on all the time, and no stop is lost."""
    stage, authority, keys = founded
    federation = stage.federation
    going_on, failures = threading.Event(), []

    def book_all_the_time():
        while not going_on.is_set():
            told = stage.client.insist(lambda request=federation.trip(A, B, C): stage.client.book(request))
            if told.outcome != "confirmed":
                failures.append(told)

    booking = threading.Thread(target=book_all_the_time)
    booking.start()
    try:
        # It joins: one of the others is told, and the newcomer.
        authority.run("add", D, "--url", federation[D].url, "--key", keys[D])
        authority.give_to(federation[B])
        authority.give_to(federation[D])
        federation[D].start()
        for company in federation:
            until(lambda company=company: set(fellows(company)) == set(NAMES) - {company.name},
                  f"{company.name} to know everybody", 15)
            until(lambda company=company: offers(company) == set(NAMES), f"{company.name} to know all offers", 15)
        assert json.loads((federation[A].folder / "roll.json").read_text())["conteudo"].count('"versao":5') == 1
        # In both directions.
        with_newcomer = federation.trip(A, D, C)
        assert stage.client.insist(lambda: stage.client.book(with_newcomer)).outcome == "confirmed"
        by_newcomer = federation.trip(B, D)
        told = stage.client.insist(lambda: stage.client.book(by_newcomer, company=D))
        assert told.outcome == "confirmed", told
        # It leaves: what is reserved stays, nothing new is taken.
        authority.run("leave", D)
        authority.give_to(federation[C])
        for company in federation:
            if company.name != D:
                until(lambda company=company: fellows(company)[D] == "saindo", f"{company.name} to know it", 15)
        until(lambda: federation[D].call("GET", "/federacao").json["estado"] == "saindo", "the leaver to know it", 15)
        assert free(federation[A], D) == {"inoperante"}
        refused = federation.a.call("POST", "/viagens", federation.trip(A, D))
        assert (refused.status, refused.kind) == (409, "ponto-inoperante"), refused
        refused = federation[D].call("POST", "/viagens", federation.trip(A, B))
        assert (refused.status, refused.kind) == (409, "acao-impossivel") and D not in refused.json["detail"], refused
        again = federation[D].call("POST", "/viagens", by_newcomer)
        assert again.json["viagem_id"] == told.trip, "a repeat of what was booked before is no new trip"
        # It may not go as long as somebody waits for it, nor over a restart.
        assert "has not seen through" in authority.run("remove", D, status=1)
        status = authority.run("status", "--url", federation[D].url, status=3, dir=False)
        assert "is leaving" in status and "reservations 2" in status and "trips 1" in status, status
        federation[D].restart()
        assert free(federation[A], D) == {"inoperante"}
        for trip, request, company in [(told.trip, by_newcomer, D), (None, with_newcomer, A)]:
            trip = trip or federation[A].call("POST", "/viagens", request).json["viagem_id"]
            assert stage.client.cancel(trip, request, company=company).outcome == "cancelled"
        until(lambda: subprocess.run([authority.program, "federation", "status", "--url", federation[D].url],
                                     capture_output=True).returncode == 0, "nothing to be seen through", 15)
        authority.run("remove", D)
        authority.give_to(federation[A])
        for company in (federation[A], federation[B], federation[C]):
            until(lambda company=company: D not in fellows(company), f"{company.name} to forget it", 15)
        refused = federation.a.call("POST", "/viagens", federation.trip(A, D))
        assert (refused.status, refused.kind) == (422, "empresa-desconhecida"), refused
        until(lambda: D not in offers(federation[B]), "its offer to be gone", 15)
    finally:
        going_on.set()
        booking.join()
    assert failures == []
    until(lambda: federation[D].call("GET", "/federacao").json["estado"] in ("saindo", "fora"), "the leaver to be out", 15)
    # Of all four, the one that has left included.
    configs = [argument for company in federation for argument in ("--config", company.config)]
    audit = subprocess.run([authority.program, "audit", *configs], capture_output=True, text=True, timeout=60)
    assert audit.returncode == 0 and "The audit holds" in audit.stdout, audit.stdout + audit.stderr


def test_only_what_the_authority_has_signed_is_believed(founded, program, tmp_path):
    """Forged, older, foreign and broken rolls change nothing; a stranger with a key of its own is nobody."""
    stage, authority, keys = founded
    federation = stage.federation
    company = federation[A]
    good = authority.roll.read_bytes()
    before = company.call("GET", "/federacao/lista").json
    stranger = Authority(program, tmp_path)
    stranger.run("add", A, "--url", federation[A].url, "--key", keys[A])
    for _ in range(9):
        stranger.run("leave", A)
        stranger.run("add", A, "--url", federation[A].url, "--key", keys[A])
    signed = json.loads(good)
    forged = {**signed, "conteudo": signed["conteudo"].replace('"versao":4', '"versao":400')}
    older = json.loads(good)
    for text in [b"", b"{", b"[]", stranger.roll.read_bytes(), json.dumps(forged).encode(), b"\xff" * 100]:
        (company.folder / "roll.json").write_bytes(text)
        until(lambda: "roll" in company.process.last_output(), "the roll to be looked at", 5)
        told = stage.client.insist(lambda request=federation.trip(A, B, C): stage.client.book(request))
        assert told.outcome == "confirmed", told
        assert company.call("GET", "/federacao/lista").json == before, text
    # The later one is taken from another company and mends the file.
    authority.run("add", B, "--url", federation[B].url + "/", "--key", keys[B])
    authority.run("leave", C)
    authority.give_to(federation[B])
    until(lambda: fellows(company)[C] == "saindo", "the roll to come from another company", 15)
    assert json.loads((company.folder / "roll.json").read_text()) == json.loads(authority.roll.read_text())
    (company.folder / "roll.json").write_text(json.dumps(older))
    until(lambda: json.loads((company.folder / "roll.json").read_text()) and fellows(company)[C] == "saindo", "it to stay", 5)
    # Whoever is not on the roll is refused whatever it shows.
    answer = company.call("POST", "/confirmar-reserva", {"sessao": "x"}, token="0" * 64)
    assert answer.status == 401, answer


def test_a_roll_that_cannot_be_written_is_followed_nevertheless(founded):
    """Else the node would go on with companies that the others have put out; it is written as soon as that works."""
    stage, authority, keys = founded
    company = stage.federation[A]
    before = (company.folder / "roll.json").read_bytes()
    # Nobody can write there, root neither: where the new file is made there is a folder.
    (company.folder / "roll.json.new").mkdir()
    authority.run("leave", C)
    authority.give_to(stage.federation[B])
    until(lambda: fellows(company)[C] == "saindo", "the later roll to hold", 15)
    assert (company.folder / "roll.json").read_bytes() == before
    assert "let the node's user write in the file's folder" in company.process.last_output()
    (company.folder / "roll.json.new").rmdir()
    later = json.loads(authority.roll.read_text())
    until(lambda: json.loads((company.folder / "roll.json").read_text()) == later, "it to be written", 15)


def test_the_command_names_what_is_wrong(program, tmp_path):
    """And makes nothing that would have to be thrown away."""
    authority = Authority(program, tmp_path)
    key = authority.run("key", "--out", tmp_path / "a.key", dir=False).strip()
    assert (tmp_path / "a.key").stat().st_mode & 0o077 == 0 and (authority.folder / "authority.key").stat().st_mode & 0o077 == 0
    assert "is not replaced" in authority.run("key", "--out", tmp_path / "a.key", status=1, dir=False)
    assert "is not replaced" in authority.run("init", "--name", "Outra", status=1)
    assert "64 hexadecimal" in authority.run("add", A, "--url", "http://10.0.0.1:1", "--key", "abc", status=2)
    assert "http://HOST:PORT" in authority.run("add", A, "--url", "10.0.0.1", "--key", key, status=1)
    authority.run("add", A, "--url", "http://10.0.0.1:1", "--key", key)
    assert "already" in authority.run("add", A, "--url", "http://10.0.0.1:1", "--key", key)
    assert "the key of empresa-a" in authority.run("add", B, "--url", "http://10.0.0.2:1", "--key", key, status=1)
    assert "those that are: empresa-a" in authority.run("leave", B, status=1)
    assert "--force" in authority.run("remove", A, status=1)
    authority.run("remove", A, "--force")
    shown = authority.run("show", authority.roll, dir=False)
    assert "Nordeste, version 3" in shown and "signed by the key beside it" in shown, shown
