"""`recarga doctor`: names what is wrong with a running node and what it stands on, and nothing where all is well."""

import json
import os
import subprocess

from harness.postgres import Postgres
from harness.waiting import until

A, B, C = "empresa-a", "empresa-b", "empresa-c"


def examined(program, company, *arguments):
    """(exit status, what it says, the findings)."""
    command = [program, "doctor", "--config", company.config]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60)
    read = subprocess.run([*command, "--json", *arguments], capture_output=True, text=True, timeout=60)
    assert text.returncode == read.returncode, (text, read)
    return read.returncode, text.stdout + text.stderr, json.loads(read.stdout)


def troubles(findings):
    """What is not well: {what: verdict}."""
    return {one["what"]: one["verdict"] for one in findings if one["verdict"] != "ok"}


def test_it_names_what_is_wrong_and_what_to_do(make_stage, program):
    """All is well; then a company is gone, an outcome is owed, the disk is closed, and at last the node itself is gone."""
    stage = make_stage(broker=True)
    federation = stage.federation
    until(lambda: federation.a.metric("broker_connected") == 1, "the broker to be connected", 10)
    status, text, findings = examined(program, federation.a)
    assert troubles(findings).keys() <= {"flush of the disk", "free space"}, text
    assert {one["what"] for one in findings} >= {"node", "clock", "company", "free space", "open files", "flush of the disk"}
    # It answered, and is gone when it shall hear of the outcome.
    federation.network.on("confirm", A, target=B, phase="request", action=federation.b.kill)
    told = federation.a.call("POST", "/viagens", federation.trip(A, B))
    assert told.status == 201, told
    until(lambda: federation.a.metric("trips_owing") == 1, "the outcome to be owed", 10)
    status, text, findings = examined(program, federation.a)
    assert status == 1 and troubles(findings)["company"] == "fail" and troubles(findings)["figures"] == "warn", text
    assert f"{B}:" in text and "ask its operator" in text and "not acknowledged: 1" in text, text
    (federation.a.data / "recarga.poisoned").write_text("for the test")
    status, text, findings = examined(program, federation.a)
    assert troubles(findings)["data folder"] == "fail" and "delete that file" in text, text
    (federation.a.data / "recarga.poisoned").unlink()
    federation.b.start()
    stage.settle(20)
    federation.a.process.stop()
    status, text, findings = examined(program, federation.a)
    assert status == 1 and troubles(findings)["node"] == "fail" and "recarga serve" in text, text
    assert not [name for name in os.listdir(federation.a.data) if "probe" in name], "it takes with it what it made"


def test_a_record_in_postgres_needs_no_data_folder(make_stage, program, request):
    """The folder is made with the first archive: that it is missing is no trouble, and no disk is measured."""
    stage = make_stage(start=False)
    federation = stage.federation
    postgres = Postgres(federation.folder / "postgres.txt")
    request.addfinalizer(postgres.end)
    postgres.start()
    federation.a.write_config(store=postgres.database("empresa_a"), data_dir=str(federation.folder / "not-made-yet"))
    federation.start()
    status, text, findings = examined(program, federation.a)
    assert {one["what"]: one["verdict"] for one in findings}["data folder"] == "ok", text
    assert "flush of the disk" not in text and not [one for one in findings if one["verdict"] == "fail"], text
    assert status in (0, 3), text
