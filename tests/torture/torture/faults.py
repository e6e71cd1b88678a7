"""What each kind of fault does, and how it is undone. A fault is a generator that is stepped until it ends: it yields
while it waits, so that several can be under way at once."""

import time

from harness import http
from harness.process import Program

MARKER = "recarga.poisoned"
EXIT_CANNOT_WRITE = 74
# For a flush or a write to come by; the load makes several a second at each company.
_STRIKE_SECONDS = 8
_LAST_WRITE_SECONDS = 0.5
_START_SECONDS = 30


class Missed(Exception):
    """The fault was armed, but what it waited for did not happen: it does not count."""


class Broken(AssertionError):
    """A process did not do what the documentation says it does."""


def run(stage, fault):
    """The generator for a fault."""
    return _KINDS[fault.kind](stage, fault)


def occupies(fault):
    """What no other fault may touch meanwhile: the processes that it ends or stops, a clock. Networks are shared."""
    if fault.kind in ("partition", "one-way-partition", "slow-link"):
        return set()
    if fault.kind == "clock-jump":
        return {f"clock of {name}" for name in fault.victims}
    return set(fault.victims)


def _kill(stage, fault):
    companies = [stage.federation[name] for name in fault.victims]
    for company in companies:
        company.kill()
    yield from _pass(stage, fault.seconds)
    for company in companies:
        company.start(wait=False)
    for company in companies:
        yield from _ready(company)


def _kill_at_flush(stage, fault):
    company = stage.federation[fault.victims[0]]
    arm = company.disk.kill_before if fault.detail["moment"] == "before" else company.disk.kill_after
    arm(fault.detail["nth"])
    yield from _death(stage, company)
    yield from _pass(stage, fault.seconds)
    company.start(wait=False)
    yield from _ready(company)


def _disk_error(stage, fault):
    company = stage.federation[fault.victims[0]]
    company.disk.fail()
    yield from _refuse_to_write(stage, company, fault)


def _disk_full(stage, fault):
    company = stage.federation[fault.victims[0]]
    company.disk.fill(fault.detail["nth"])
    yield from _refuse_to_write(stage, company, fault)


def _refuse_to_write(stage, company, fault):
    """The process stops; it refuses to start; the operator mends the disk, deletes the marker and starts it."""
    yield from _death(stage, company)
    status = company.process.wait()
    if status != EXIT_CANNOT_WRITE:
        raise Broken(f"{company.name}: exit status {status} after the disk refused a write\n{_tail(company)}")
    marker = company.data / MARKER
    if not marker.exists():
        raise Broken(f"{company.name}: no {MARKER} after the disk refused a write")
    yield from _pass(stage, fault.seconds)
    company.start(wait=False)
    yield from _until(lambda: not company.process.is_running, _START_SECONDS,
                      f"{company.name} to refuse to start beside {MARKER}")
    if company.process.wait() != 1 or not marker.exists():
        raise Broken(f"{company.name}: did not refuse to start beside {MARKER}\n{_tail(company)}")
    marker.unlink()
    company.start(wait=False)
    yield from _ready(company)


def _freeze(stage, fault):
    process = stage.federation[fault.victims[0]].process
    process.freeze()
    yield from _pass(stage, fault.seconds)
    process.thaw()


def _partition(stage, fault):
    rest = [name for name in stage.federation.names if name not in fault.victims]
    pairs = [(one, other) for one in fault.victims for other in rest]
    yield from _cut(stage, fault, pairs + [(other, one) for one, other in pairs])


def _one_way(stage, fault):
    yield from _cut(stage, fault, [fault.victims])


def _cut(stage, fault, directions):
    for source, target in directions:
        stage.ground.cut(source, target)
    yield from _pass(stage, fault.seconds)
    for source, target in directions:
        stage.ground.mend(source, target)


def _slow_link(stage, fault):
    stage.ground.slow(fault.victims[0])
    yield from _pass(stage, fault.seconds)
    stage.ground.quicken(fault.victims[0])


def _clock_jump(stage, fault):
    # It jumps, runs on wrongly, and is put right: the jump back is part of the fault.
    clock = stage.clocks[fault.victims[0]]
    clock.set(fault.detail["by"])
    yield from _pass(stage, 1 + fault.seconds)
    clock.set(0)


def _broker_kill(stage, fault):
    stage.broker.kill()
    yield from _pass(stage, fault.seconds)
    stage.broker.start()


def _broker_freeze(stage, fault):
    process: Program = stage.broker.process
    process.freeze()
    yield from _pass(stage, fault.seconds)
    process.thaw()


_KINDS = {
    "kill": _kill,
    "kill-at-flush": _kill_at_flush,
    "kill-everyone": _kill,
    "partition": _partition,
    "one-way-partition": _one_way,
    "freeze": _freeze,
    "clock-jump": _clock_jump,
    "disk-error": _disk_error,
    "disk-full": _disk_full,
    "slow-link": _slow_link,
    "broker-kill": _broker_kill,
    "broker-freeze": _broker_freeze,
}


def _pass(stage, seconds):
    """Time passes, unless everything is to be healed."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stage.is_healing:
        yield


def _until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            raise Broken(f"waited {seconds} s for {what}")
        yield


def _death(stage, company):
    """The armed company dies at its next writes; if it has none to make, the fault is taken back."""
    end = time.monotonic() + _STRIKE_SECONDS
    while company.process.is_running and time.monotonic() < end and not stage.is_healing:
        yield
    company.disk.behave()
    # A write that had read its orders already is over by then.
    end = time.monotonic() + _LAST_WRITE_SECONDS
    while company.process.is_running and time.monotonic() < end:
        yield
    if company.process.is_running:
        raise Missed()


def _ready(company):
    def ready():
        if not company.process.is_running:
            raise Broken(f"{company.name} ended at its start:\n{_tail(company)}")
        try:
            return company.call("GET", "/saude", timeout=0.3).status == 200
        except http.Unanswered:
            return False

    yield from _until(ready, _START_SECONDS, f"{company.name} to be ready")


def _tail(company):
    return "\n".join(company.process.last_output().splitlines()[-15:])
