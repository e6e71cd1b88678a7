"""A company's audit log: whole after kills under load, and false once somebody has changed a digit."""

import json
import subprocess

from harness.load import Load


def run(program, *arguments):
    """One `recarga audit log`."""
    command = [program, "audit", "log", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_log_tells_what_was_recorded_and_whether_it_was_changed(make_stage, program, seed):
    """Killed in the middle of its work, it is continued; what drivers were told stands in it."""
    stage = make_stage(start=False)
    federation = stage.federation
    company, folder = federation.a, federation.a.folder / "audit-log"
    company.write_config(limits=federation.limits, audit_log=str(folder))
    federation.start()
    load = Load(stage, seed, rest=4).start()
    for _ in range(4):
        load.until(asked=load.asked + 15, seconds=30)
        company.restart()
    load.stop()
    trip = federation.trip("empresa-a", "empresa-b")
    booked = stage.client.insist(lambda: stage.client.book(trip))
    stage.settle(20)

    proved = run(program, "--verify", folder)
    assert proved.returncode == 0 and "nothing changed or left out" in proved.stdout, proved
    told = run(program, folder)
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert sum(line["kind"] == "start" for line in lines) == 5
    assert booked.trip in told.stdout, "the trip that was told is in the log"
    assert run(program, "--verify", "--knows", lines[-1]["hash"], folder).returncode == 0

    # It goes on beside the node, and a hash that was noted stays known.
    assert stage.client.insist(lambda: stage.client.cancel(booked.trip, trip)).outcome == "cancelled"
    assert run(program, "--verify", "--knows", lines[-1]["hash"], folder).returncode == 0

    company.process.stop()
    file = sorted(folder.glob("*.jsonl"))[0]
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace('"kind":"start"', '"kind":"other"', 1), encoding="utf-8")
    caught = run(program, "--verify", folder)
    assert caught.returncode == 1 and "line 2" in caught.stderr, caught
    # Lines that are missing at the end leave no gap; the noted hash tells.
    file.write_text("".join(whole.splitlines(keepends=True)[:10]), encoding="utf-8")
    assert run(program, "--verify", folder).returncode == 0
    missed = run(program, "--verify", "--knows", lines[-1]["hash"], folder)
    assert missed.returncode == 1 and "missing at the end" in missed.stderr, missed
    file.write_text(whole, encoding="utf-8")
    company.start()
    stage.settle(20)
