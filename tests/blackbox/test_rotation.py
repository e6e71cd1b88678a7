"""Tokens renewed while everybody runs: without a moment in which somebody is locked out, and never by half a file."""

import collections
import os
import signal

import pytest

from harness.federation import peer_token
from harness.load import Load
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"
TAKEN_OVER = "the configuration was read again"
REFUSED = "the configuration cannot be used"
# A slow machine is not to be taken for a company that is locked out.
PATIENT = {"peer_answer_seconds_max": 6, "decide_seconds_max": 7}


@pytest.fixture
def running(make_stage):
    """Three companies that know each other by tokens of their files."""
    return make_stage(limits=PATIENT)


def rewrite(company, *changes, whole=True):
    """Changes texts of its configuration, as an editor does that replaces the file, or one that writes into it."""
    text = company.config.read_text()
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    if not whole:
        company.config.write_text(text)
        return
    fresh = company.config.with_name("config.new")
    fresh.write_text(text)
    os.replace(fresh, company.config)


def after(company, said, act, seconds=15):
    """Does something, and waits until the company says something that many times more: what it says in between."""
    before = company.process.last_output()
    act()
    until(lambda: company.process.last_output().count(said) > before.count(said), f"{company.name}: {said}", seconds)
    return company.process.last_output()[len(before):]


def unauthenticated(company):
    """How many requests it has answered with 401."""
    return sum(count for name, count in company.metrics().items()
               if name.startswith("recarga_http_requests_total") and 'status="401"' in name)


def watch_refusals(stage):
    """Counts from now on why trips are refused."""
    kinds, book = collections.Counter(), stage.client.book

    def watched(*arguments, **options):
        told = book(*arguments, **options)
        if told.outcome == "refused":
            kinds[told.answer.kind] += 1
        return told

    stage.client.book = watched
    return kinds


def test_two_companies_rotate_their_token_while_trips_are_booked(running, seed):
    """B accepts both, A presents the new one, B drops the old one: nobody is refused; in another order somebody would be."""
    stage, federation = running, running.federation
    a, b = federation.a, federation.b
    old, new = peer_token(A, B), "renewed-token-of-a-for-b"
    kinds = watch_refusals(stage)
    load = Load(stage, seed, rest=4).start()
    load.until(asked=10, confirmed=2, seconds=30)
    steps = [
        (b, (f'accepts = "{old}"', f'accepts = ["{new}", "{old}"]'), f"peers.{A}.accepts"),
        (a, (f'token = "{old}"', f'token = "{new}"'), f"peers.{B}.token"),
        (b, (f'accepts = ["{new}", "{old}"]', f'accepts = "{new}"'), f"peers.{A}.accepts"),
    ]
    for company, change, field in steps:
        said = after(company, TAKEN_OVER, lambda company=company, change=change: rewrite(company, change))
        assert field in said and "changes only with a restart" not in said, said
        load.until(asked=load.asked + 15, confirmed=load.confirmed + 2, seconds=60)
    load.stop()
    load.check()
    assert kinds["empresa-inacessivel"] == 0, kinds
    assert [unauthenticated(company) for company in federation] == [0, 0, 0]
    told = stage.client.insist(lambda request=federation.trip(A, B): stage.client.book(request))
    assert told.outcome == "confirmed", told
    unknown = "/transacoes/empresa-a." + "0" * 32 + ".1.1." + "0" * 32
    assert b.call("GET", unknown, token=old).status == 401
    assert b.call("GET", unknown, token=new).status != 401
    # The other order locks A out, and this test sees it.
    after(b, TAKEN_OVER, lambda: rewrite(b, (f'accepts = "{new}"', 'accepts = "nobody-presents-this"')))
    told = stage.client.book(federation.trip(A, B))
    assert told.outcome == "refused" and kinds["empresa-inacessivel"] == 1, told
    assert unauthenticated(b) > 1
    after(b, TAKEN_OVER, lambda: rewrite(b, ("nobody-presents-this", new)))
    stage.settle(20)
    for company in federation:
        output = company.process.output()
        assert not any(secret in output for secret in (old, new, "nobody-presents-this")), company.name


def test_operators_and_drivers_get_new_tokens_and_errors_change_nothing(running):
    """At a change, or at SIGHUP; a file that cannot be used leaves all as it was, and says what is wrong with it."""
    stage, a = running, running.federation.a
    old, new, apps = a.operator_token, "renewed-operator-of-a", "token-of-the-drivers-app"

    def opened(token):
        return a.call("GET", "/auditoria", token=token).status == 200

    both = (f'operator_token = "{old}"', f'operator_token = ["{new}", "{old}"]\ndriver_tokens = ["{apps}"]')
    said = after(a, TAKEN_OVER, lambda: rewrite(a, both, whole=False))
    assert "operator.operator_token, operator.driver_tokens" in said, said
    assert opened(old) and opened(new)
    request = stage.federation.trip(A)
    assert a.call("POST", "/viagens", request).status == 401, "drivers need a token from now on"
    assert a.call("POST", "/viagens", request, token=apps).status == 201
    # What is wrong anywhere in the file is said once, and nothing of the file counts.
    good = a.config.read_text()
    for change, told in [
        ((f'["{new}", "{old}"]', '"hush"'), "operator.operator_token: at least 8 printable"),
        ((f'["{new}", "{old}"]', '["hush-hush-1", "hush-hush-2", "hush-hush-3", "hush-hush-4"]'), "a list of at most 3"),
        ((f'["{new}", "{old}"]', '["hush-hush", "hush-hush"]'), "operator.operator_token: a token stands twice"),
        ((f'["{new}", "{old}"]', '"${file:absent}"'), "operator.operator_token: cannot read"),
        ((f'operator_token = ["{new}", "{old}"]', "operator_token = [hush-hush"), "line "),
        ((f'["{new}", "{old}"]', '"hush-hush"\nunknown = 1'), "unknown"),
    ]:
        said = after(a, REFUSED, lambda change=change: rewrite(a, change))
        assert told in said and "hush" not in said and said.count(REFUSED) == 1, said
        assert opened(old) and opened(new), told
        a.config.write_text(good)
        until(lambda: a.process.last_output().endswith("\n") and TAKEN_OVER in a.process.last_output().rsplit(REFUSED, 1)[1],
              "the good file to be read again", 10)
    # What else differs is named, and stays as it was.
    change = [(f'["{new}", "{old}"]', f'"{new}"'), ('name = "Company A"', 'name = "Another"')]
    said = after(a, TAKEN_OVER, lambda: rewrite(a, *change))
    assert "changes only with a restart" in said and "operator.name" in said, said
    assert opened(new) and not opened(old)
    # At once, and unchanged.
    said = after(a, TAKEN_OVER, lambda: a.process.signal(signal.SIGHUP), seconds=5)
    assert a.process.is_running and opened(new) and "its tokens are the same" in said and "renewed" not in said, said
    assert not any(secret in a.process.output() for secret in (old, new, apps))


def test_a_token_in_a_file_of_its_own_is_renewed_with_that_file(running):
    """As Kubernetes and systemd hand secrets out: the configuration stays as it is, the file changes."""
    a = running.federation.a
    secrets = a.folder / "secrets"
    secrets.mkdir()
    (secrets / "operator").write_text("first-in-a-file\n")
    after(a, TAKEN_OVER, lambda: rewrite(a, (f'"{a.operator_token}"', '"${file:secrets/operator}"')))
    assert a.call("GET", "/auditoria", token="first-in-a-file").status == 200
    assert a.call("GET", "/auditoria", token=a.operator_token).status == 401

    def renew():
        (secrets / "new").write_text("second-in-a-file\n")
        os.replace(secrets / "new", secrets / "operator")

    after(a, TAKEN_OVER, renew)
    assert a.call("GET", "/auditoria", token="second-in-a-file").status == 200
    assert a.call("GET", "/auditoria", token="first-in-a-file").status == 401
    # A file that is gone takes nothing away, and is found when it is back.
    said = after(a, REFUSED, (secrets / "operator").unlink)
    assert "operator.operator_token: cannot read" in said and "secrets/operator" in said, said
    assert a.call("GET", "/auditoria", token="second-in-a-file").status == 200
    after(a, TAKEN_OVER, lambda: (secrets / "operator").write_text("third-in-a-file"))
    assert a.call("GET", "/auditoria", token="third-in-a-file").status == 200
    a.operator_token = "third-in-a-file"
    running.settle()
    assert "-in-a-file" not in a.process.output()
