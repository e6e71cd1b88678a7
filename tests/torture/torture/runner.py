"""Runs faults against a federation and checks it again and again."""

import json
import subprocess
import threading
import time

from harness import audit, http
from harness.waiting import TooLate, until

from . import faults, plan
from .checker import judge

# A new federation after so many faults, so that a check does not take longer and longer.
FAULTS_PER_LIFE = 200
_CHECK_AFTER = (10, 25)
_AT_ONCE_MAX = 4
_STEP_SECONDS = 0.02
_REST_SECONDS_MAX = 60
_BUSY = ("in_doubt", "soft_holds", "trips_waiting", "trips_owing", "answers_owed")
# What a company may log as an error, because its disk was made to fail.
_EXPECTED_ERRORS = (
    "the record cannot be written",
    "cannot record; nothing is answered",
    "the marker recarga.poisoned is left without the reason",
)


class Failure(AssertionError):
    """The promise was not kept, or a process did not behave."""

    def __init__(self, text, counts=None):
        super().__init__(text)
        self.counts = counts or {}


class Tally:
    """What a run came to."""

    def __init__(self):
        self.faults = dict.fromkeys(plan.KINDS, 0)
        self.missed = 0
        self.checks = 0
        self.doubt_seconds_max = 0.0
        self.doubts_max = 0
        self.rest_seconds_max = 0.0
        self.requests = self.told_confirmed = self.told_refused = self.told_cancelled = self.trips_held = 0
        self.found = {"split": 0, "lost": 0, "double_booked": 0, "two_outcomes": 0}

    @property
    def struck(self):
        """How many faults happened."""
        return sum(self.faults.values())

    def take(self, lines, snapshot):
        """Adds the figures of a life that is over."""
        self.requests += len({line.key for line in lines if line.outcome == "asked" and line.action != "cancel"})
        for outcome in ("confirmed", "refused", "cancelled"):
            keys = {(line.key, line.trip) for line in lines if line.outcome == outcome}
            name = f"told_{outcome}"
            setattr(self, name, getattr(self, name) + len(keys))
        if snapshot is not None:
            self.trips_held += sum(trip["estado"] == "confirmada" for trip in snapshot.trips.values())


class Doubts:
    """Watches how many holds are in doubt: a run in which none ever was has tested nothing."""

    def __init__(self, federation):
        self.most = 0
        self._federation = federation
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self):
        """Watches no longer."""
        self._stopping.set()
        self._thread.join()

    def _watch(self):
        while not self._stopping.wait(0.2):
            self.most = max(self.most, sum(map(_in_doubt, self._federation)))


def _in_doubt(company):
    try:
        return int(company.metrics(timeout=0.3).get("recarga_in_doubt", 0))
    except http.Unanswered:
        return 0


class Life:
    """One federation under its load, from its start to its last check."""

    def __init__(self, stage, load, chance, tally, report):
        self.stage = stage
        self.load = load
        self.tally = tally
        self.snapshot = None
        self._chance = chance
        self._report = report
        self._active = {}  # generator -> fault
        self._doubts = Doubts(stage.federation)
        self._read = {company.name: 0 for company in stage.federation}  # how far its log was looked at

    def run(self, drawn, count, deadline):
        """Faults until `count` have struck or the time is over, with a check after every few."""
        next_check = self._until_check()
        struck_before = self.tally.struck
        while self.tally.struck - struck_before < count and time.monotonic() < deadline:
            fault = next(drawn)
            self._wait(fault.pause)
            self._wait_for_room(fault)
            self._report.fault(fault)
            self._active[faults.run(self.stage, fault)] = fault
            self._step()
            next_check -= 1
            if next_check == 0:
                self._wait(min(fault.seconds, 1.0))
                self.check()
                next_check = self._until_check()
        self.check()
        self._doubts.stop()

    def check(self):
        """Heals everything, waits until nothing is under way, and holds all stories against each other."""
        self.load.pause()
        self.tally.doubts_max = max(self.tally.doubts_max, self._doubts.most)
        self.stage.is_healing = True
        end = time.monotonic() + _REST_SECONDS_MAX
        while self._active:
            self._step()
            time.sleep(_STEP_SECONDS)
            if time.monotonic() > end:
                raise Failure(f"faults do not end: {list(map(str, self._active.values()))}")
        self.stage.ground.heal()
        self._wait_for_rest()
        self._judge()
        self.tally.checks += 1
        self._report.checked(self.tally)
        self.stage.is_healing = False
        self.load.resume()

    def _until_check(self):
        return self._chance.randint(*_CHECK_AFTER)

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._step()
            time.sleep(_STEP_SECONDS)

    def _wait_for_room(self, fault):
        wanted = faults.occupies(fault)

        def is_free():
            taken = set().union(*map(faults.occupies, self._active.values()))
            return len(self._active) < _AT_ONCE_MAX and not wanted & taken

        while not is_free():
            self._step()
            time.sleep(_STEP_SECONDS)

    def _step(self):
        """Every fault that is under way goes one step on."""
        for generator, fault in list(self._active.items()):
            try:
                next(generator)
            except StopIteration:
                del self._active[generator]
                self.tally.faults[fault.kind] += 1
            except faults.Missed:
                del self._active[generator]
                self.tally.missed += 1
            except faults.Broken as broken:
                raise Failure(f"{fault}: {broken}") from broken
        self._check_processes()
        if self.load.problems:
            raise Failure("a client met what it cannot explain:\n" + "\n".join(self.load.problems[:5]))

    def _check_processes(self):
        """A process that ends although no fault ended it has failed."""
        taken = set().union(*map(faults.occupies, self._active.values()))
        for company in self.stage.federation:
            if company.name not in taken and not company.process.is_running:
                status = company.process.wait()
                tail = "\n".join(company.process.last_output().splitlines()[-20:])
                raise Failure(f"{company.name} ended by itself with status {status}:\n{tail}")

    def _wait_for_rest(self):
        healed = time.monotonic()
        last = {}

        def busy():
            for company in self.stage.federation:
                try:
                    figures = company.metrics()
                except http.Unanswered as error:
                    yield f"{company.name}: {error}"
                    continue
                for name in _BUSY:
                    if figures.get(f"recarga_{name}", 0):
                        yield f"{company.name}: {name} is {figures[f'recarga_{name}']:g}"

        def at_rest():
            last["busy"] = list(busy())
            if any("in_doubt" in one for one in last["busy"]):
                self.tally.doubt_seconds_max = max(self.tally.doubt_seconds_max, time.monotonic() - healed)
            self._check_processes()
            return not last["busy"] and self.load.is_resting()

        try:
            until(at_rest, lambda: f"rest; {last['busy'] + self.load.unfinished()}", _REST_SECONDS_MAX, pause=0.05)
        except TooLate as late:
            raise Failure(f"not settled after healing: {late}") from None
        self.tally.rest_seconds_max = max(self.tally.rest_seconds_max, time.monotonic() - healed)

    def _judge(self):
        self._look_for_leaks()
        verdict = judge(self.stage.journal.lines, self.snapshot)
        if not verdict.holds:
            raise Failure(f"{verdict.counts}\n{verdict}", verdict.counts)
        self._run_audit()
        self._check_logs()

    def _look_for_leaks(self):
        """What is offered as free is what nobody holds.

        A hold that a fault has held up may arrive now, or between the two looks; it is in doubt, and goes by itself. A leak
        stays.
        """
        last = {}

        def nothing_leaks():
            self.snapshot = audit.take(self.stage.federation)
            branches = [branch for known in self.snapshot.branches.values() for branch in known.values()]
            if any(branch["estado"] == "preparada" for branch in branches):
                last["leak"] = "what is in doubt again to be resolved"
                return False
            try:
                audit.check_availability(self.stage.federation, self.snapshot)
            except AssertionError as error:
                last["leak"] = error
                return False
            return True

        try:
            until(nothing_leaks, lambda: last["leak"], _REST_SECONDS_MAX, pause=0.2)
        except TooLate as late:
            raise Failure(f"what is offered as free is not what nobody holds: {late}") from None

    def _run_audit(self):
        """The program's own opinion."""
        command = [self.stage.federation.program, "audit", "--json"]
        for company in self.stage.federation:
            command += ["--config", company.config]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"`recarga audit` exits with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
        json.loads(done.stdout)

    def _check_logs(self):
        """No company has logged an error or a panic that no fault explains."""
        for company in self.stage.federation:
            with open(company.process.log, "rb") as log:
                log.seek(self._read[company.name])
                fresh = log.read()
            self._read[company.name] += len(fresh)
            for line in fresh.decode("utf-8", "replace").splitlines():
                is_error = " ERROR " in line or "panicked" in line
                if is_error and not any(expected in line for expected in _EXPECTED_ERRORS):
                    raise Failure(f"{company.name} has logged: {line}")
