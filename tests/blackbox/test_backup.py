"""A copy is made of a running node, the node loses everything, and the copy is put back: what it knew is there, and what
it has forgotten splits nobody else's part of a trip."""

import itertools
import json
import os
import shutil
import signal
import subprocess

from harness import audit
from harness.load import Load
from harness.postgres import Postgres
from harness.proxy import Verdict
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
FILE, RESTORING = "recarga.redb", "recarga.redb.restoring"


def recarga(program, *arguments):
    """(exit status, all that it says)."""
    command = [str(part) for part in (program, *arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def backup(program, company, file):
    """Copies its record; it must work."""
    status, text = recarga(program, "backup", "--config", company.config, "--to", file)
    assert status == 0 and company.name in text, text
    assert not list(file.parent.glob("*.part")), "it takes with it what it made"


def restore(program, company, *arguments):
    """(exit status, what it says)."""
    return recarga(program, "restore", "--config", company.config, *arguments)


def lose(company):
    """SIGKILL, and everything is gone."""
    company.kill()
    shutil.rmtree(company.data)


def booked(stage, *companies, at=A):
    """A trip that is confirmed everywhere: (request, what its driver was told)."""
    request = stage.federation.trip(*companies)
    told = stage.client.insist(lambda: stage.client.book(request, at))
    assert told.outcome == "confirmed", told
    return request, told


def session(told):
    """Of a trip."""
    return told.answer.json["sessao"]


def findings(program, federation):
    """What the audit of all companies finds: (kind, companies, transaction)."""
    configs = [part for company in federation for part in ("--config", company.config)]
    _, text = recarga(program, "audit", "--json", "--settle", "0s", *configs)
    return {(one["kind"], *one["companies"], *one["transactions"]) for one in json.loads(text)["findings"]}


def states(federation, name):
    """company -> state of the session there."""
    return audit.take(federation).states(name)


def test_a_copy_made_under_load_is_consistent_and_whole(make_stage, program, seed, tmp_path):
    """While many book and cancel: no copy has half of a step, and all that was told before is in it."""
    stage = make_stage()
    federation = stage.federation
    kept = [session(booked(stage)[1]) for _ in range(3)]
    load = Load(stage, seed, rest=4).start()
    for number in range(3):
        load.until(asked=load.asked + 5, seconds=30)
        file = tmp_path / f"{number}.copy"
        backup(program, federation.a, file)
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        assert lines[0]["rows"] == len(lines) - 2 and lines[0]["operator"] == A, lines[0]
        rows = {(one["table"], one["key"]): one["row"] for one in lines[1:-1]}
        assert all(rows["trips", one]["stage"] == "settled" for one in kept)
        for (table, key), row in rows.items():
            # A commit and the company's own part are one write, and so is a cancellation.
            here = table == "trips" and any(stop["operator"] == A for stop in row["stops"])
            if here and row["stage"] in ("committed", "settled", "cancelled"):
                expected = "released" if row["stage"] == "cancelled" else "confirmed"
                assert rows["branches", key]["state"] == expected, (row, rows.get(("branches", key)))
        assert file.stat().st_mode & 0o077 == 0, "nobody else reads what cars have booked"
    load.stop()
    load.check()
    stage.settle()


def test_a_coordinator_put_back_splits_nothing(make_stage, program, tmp_path):
    """It knows what the copy has, refuses to say anything of what came after it, and people are told of that."""
    stage = make_stage()
    federation, client = stage.federation, stage.client
    known, told = booked(stage)
    given_up, undone = booked(stage)
    stage.settle()
    federation.network.on("confirm", A, B, action=Verdict.CUT, repeated=True)
    _, owed = booked(stage)
    file = tmp_path / "a.copy"
    backup(program, federation.a, file)
    # After the copy: one trip that all have heard of, and one of which nobody but the coordinator knows the outcome.
    federation.network.forget_rules()
    until(lambda: federation.a.metric("trips_owing") == 0, "b to hear of its trip", 5)
    _, after = booked(stage)
    until(lambda: set(states(federation, session(after)).values()) == {"confirmada"}, "all to be confirmed", 5)
    assert client.cancel(undone.trip, given_up).outcome == "cancelled"
    until(lambda: set(states(federation, session(undone)).values()) == {"liberada"}, "all to be released", 5)
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    federation.network.on("inquire", action=Verdict.CUT, repeated=True)
    _, unheard = booked(stage)
    before = federation.a.health()["deposito"]
    lose(federation.a)
    status, text = restore(program, federation.a, "--from", file)
    assert status == 0 and "recarga in-doubt list" in text, text
    federation.network.forget_rules()
    federation.a.start()
    assert federation.a.health()["deposito"] != before

    # What it knew: also that it still owes a word.
    assert states(federation, session(told)) == {A: "confirmada", B: "confirmada", C: "confirmada"}
    assert client.book(known).trip == told.trip
    until(lambda: federation.a.metric("trips_owing") == 0, "what the copy owes to be heard", 5)
    assert states(federation, session(owed)) == {A: "confirmada", B: "confirmada", C: "confirmada"}
    # What it has forgotten: nobody gives anything up.
    asked = {one.name: one.metric("inquiries") for one in (federation.b, federation.c)}
    until(lambda: all(federation[name].metric("inquiries") > asked[name] + 1 for name in asked), "questions", 12)
    assert states(federation, session(unheard)) == {B: "preparada", C: "preparada"}
    assert states(federation, session(after)) == {B: "confirmada", C: "confirmada"}
    status, text = recarga(program, "in-doubt", "list", "--config", federation.b.config)
    assert status == 3 and session(unheard) in text and session(after) not in text, text
    found = findings(program, federation)
    assert ("split", A, session(after)) in found, found
    assert {("in_doubt", B, session(unheard)), ("in_doubt", C, session(unheard))} <= found, found
    assert not [one for one in found if session(told) in one or session(owed) in one], found
    # What was given up after the copy is valid again here alone, until it is given up again.
    assert {("committed_but_released", one, session(undone)) for one in (B, C)} <= found, found
    assert federation.a.as_operator("DELETE", f"/viagens/{undone.trip}").status == 200
    until(lambda: federation.a.metric("trips_owing") == 0, "the cancellation to be heard", 5)
    assert set(states(federation, session(undone)).values()) == {"liberada"}
    assert not [one for one in findings(program, federation) if session(undone) in one]
    # New trips as ever, and what is in doubt is for the operators to end.
    assert client.insist(lambda: client.book(federation.trip())).outcome == "confirmed"
    for company in (federation.b, federation.c):
        status, text = recarga(program, "in-doubt", "force", session(unheard), "abort", "--by", "Ana", "--reason",
                               "empresa-a has lost it", "--config", company.config)
        assert status == 0, text


def test_a_participant_put_back_is_not_believed_about_what_it_forgot(make_stage, program, tmp_path):
    """B voted yes after the copy, the coordinator died: C must not hear from B that it never voted."""
    stage = make_stage()
    federation = stage.federation
    _, told = booked(stage)
    stage.settle()
    federation.network.on("confirm", A, B, action=Verdict.CUT, repeated=True)
    federation.network.on("inquire", B, action=Verdict.CUT, repeated=True)
    _, voted = booked(stage)
    file = tmp_path / "b.copy"
    backup(program, federation.b, file)
    assert audit.pages(federation.b)[0][session(voted)]["estado"] == "preparada"
    federation.network.forget_rules()
    _, after = booked(stage)
    until(lambda: set(states(federation, session(after)).values()) == {"confirmada"}, "all to be confirmed", 5)
    federation.network.on("confirm", A, action=Verdict.CUT, repeated=True)
    _, unheard = booked(stage)
    federation.a.kill()
    lose(federation.b)
    status, text = restore(program, federation.b, "--from", file)
    assert status == 0, text
    federation.b.start()
    # What it has voted for it asks about, and believes who knows of the commit.
    until(lambda: audit.pages(federation.b)[0][session(voted)]["estado"] == "confirmada", "b to learn from c", 8)
    asked = federation.c.metric("inquiries")
    until(lambda: federation.c.metric("inquiries") > asked + 1, "questions", 12)
    until(lambda: "it is not believed" in federation.c.process.output(), "the doubt about b's answer", 5)
    assert audit.pages(federation.c)[0][session(unheard)]["estado"] == "preparada"
    federation.network.forget_rules()
    federation.a.start()
    until(lambda: audit.pages(federation.c)[0][session(unheard)]["estado"] == "confirmada", "the coordinator's word", 8)
    assert states(federation, session(told)) == {A: "confirmada", B: "confirmada", C: "confirmada"}
    found = findings(program, federation)
    assert ("committed_but_missing", B, session(after)) in found, found
    # A driver who gives up such a trip gives it up everywhere.
    cancelled = federation.a.call("DELETE", f"/viagens/{after.trip}")
    assert cancelled.status == 200, cancelled
    until(lambda: states(federation, session(after)) == {A: "liberada", C: "liberada"}, "all to be released", 5)


def test_what_cannot_be_put_back_is_refused_and_changes_nothing(make_stage, program, tmp_path):
    """Damaged, cut off, another company's, of a newer program, where there is a record, and without a token."""
    stage = make_stage()
    federation = stage.federation
    booked(stage)
    file = tmp_path / "a.copy"
    backup(program, federation.a, file)
    whole = file.read_bytes()
    status, text = restore(program, federation.a, "--from", file)
    assert status == 1 and "has a record already" in text, text
    federation.a.kill()
    status, text = restore(program, federation.a, "--from", file)
    assert status == 1 and "has a record already" in text, text
    federation.a.data.rename(federation.a.folder / "kept")
    middle = len(whole) // 2
    for content, told in [
        (whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:], "damaged"),
        (whole[:-20], "cut off"),
        (whole[: whole.index(b"\n") + 1], "cut off"),
        (whole.replace(b'"recarga_copy":1', b'"recarga_copy":99', 1), "has format 99"),
        (b"", "no copy"),
    ]:
        file.write_bytes(content)
        status, text = restore(program, federation.a, "--from", file)
        assert status == 1 and told in text and "nothing was changed" in text, text
        assert not federation.a.data.exists()
    backup(program, federation.b, file)
    status, text = restore(program, federation.a, "--from", file)
    assert status == 1 and f"the record of {B}, not of {A}" in text and not federation.a.data.exists(), text
    # And what cannot be copied.
    for arguments, told in [
        (("--config", federation.a.config), "is the node running"),
        (("--url", federation.b.url), "nao-autenticado"),
        (("--url", federation.b.url, "--token", "none-of-ours"), "nao-autenticado"),
    ]:
        status, text = recarga(program, "backup", "--to", tmp_path / "none.copy", *arguments)
        assert status == 1 and told in text, text
        assert not list(tmp_path.glob("none.copy*"))
    (federation.a.folder / "kept").rename(federation.a.data)
    federation.a.start()
    stage.settle()


def test_killed_while_it_is_put_back_leaves_nothing_or_all(make_stage, program, tmp_path):
    """At every flush, before it and after it: no node starts on half of a record, and it is put back in the end."""
    stage = make_stage()
    company = stage.federation.a
    _, told = booked(stage, A)
    file = tmp_path / "a.copy"
    backup(program, company, file)
    lose(company)
    command = [program, "restore", "--config", company.config, "--from", file]
    seen = []
    for flush in itertools.count(1):
        for order in (company.disk.kill_before, company.disk.kill_after):
            order(flush)
            done = subprocess.run(command, capture_output=True, text=True, timeout=60,
                                  env={**os.environ, **company.disk.environment})
            company.disk.behave()
            if done.returncode == 0:
                break
            assert done.returncode == -signal.SIGKILL, done
            there = set(os.listdir(company.data))
            assert there in ({RESTORING}, {FILE}), there
            if there not in seen:
                seen.append(there)
                company.process.start()
                if RESTORING in there:
                    assert company.process.wait(10) == 1
                    assert "do it again" in company.process.last_output(), company.process.last_output()
                else:
                    company.wait_ready()
                    assert audit.pages(company)[0][session(told)]["estado"] == "confirmada"
            if FILE in there:
                lose(company)
        if done.returncode == 0:
            break
    assert flush > 2 and {RESTORING} in seen, (flush, seen)
    company.start()
    assert audit.pages(company)[0][session(told)]["estado"] == "confirmada"


def test_from_a_folder_into_postgres_and_back(make_stage, program, request, tmp_path):
    """The same copy for both; and a database that pg_restore has put back gets another identity."""
    stage = make_stage(start=False)
    federation = stage.federation
    postgres = Postgres(federation.folder / "postgres.txt")
    request.addfinalizer(postgres.end)
    postgres.start()
    federation.start()
    _, told = booked(stage)
    stage.settle()
    file = tmp_path / "a.copy"
    backup(program, federation.a, file)
    lose(federation.a)
    federation.a.write_config(store=postgres.database("empresa_a"))
    status, text = restore(program, federation.a, "--from", file)
    assert status == 0, text
    federation.a.start()
    assert postgres.query("SELECT count(*) FROM recarga_windows", "empresa_a") == "1"
    stage.settle()
    _, later = booked(stage)
    stage.settle()
    backup(program, federation.a, file)
    before = federation.a.health()["deposito"]
    federation.a.process.stop()
    status, text = restore(program, federation.a, "--from", file)
    assert status == 1 and "has a record already" in text, text
    status, text = restore(program, federation.a, "--in-place")
    assert status == 0, text
    federation.a.start()
    assert federation.a.health()["deposito"] != before
    stage.settle()
    federation.a.process.stop()
    federation.a.write_config()
    status, text = restore(program, federation.a, "--from", file)
    assert status == 0, text
    federation.a.start()
    for one in (told, later):
        assert set(states(federation, session(one)).values()) == {"confirmada"}
    stage.settle()
