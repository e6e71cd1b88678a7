"""The companies, their broker, their clocks and the journal of their clients: one life of a federation."""

import glob
import shutil
from pathlib import Path

from harness.broker import Broker
from harness.federation import Federation

from .journal import Journal

_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"
_CACHE_SECONDS = 1


class Clock:
    """What a company's wall clock is off by; its monotonic clock runs on."""

    def __init__(self, file):
        self._file = Path(file)
        self.set(0)

    @property
    def environment(self):
        """For the process whose clock it is."""
        return {
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": str(_CACHE_SECONDS),
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds):
        """Jumps; the process sees it within a second."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n", encoding="ascii")
        fresh.replace(self._file)


class Stage:
    """Everything that a run needs, started; `close` ends all of it."""

    def __init__(self, program, folder, seed, names, ground, cars):
        self.folder = Path(folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True)
        self.ground = ground
        self.is_healing = False  # faults that are under way end at once
        self.journal = Journal(self.folder / "journal.jsonl")
        self.broker = Broker(self.folder / "mosquitto", cars, names, ground.place("broker"))
        self.federation = Federation(program, self.folder, seed, self.broker, names=names, ground=ground)
        self.clocks = {}
        library = faketime()
        for company in self.federation:
            clock = self.clocks[company.name] = Clock(company.folder / "clock")
            environment = company.process.environment
            environment.update(clock.environment)
            environment["LD_PRELOAD"] += f":{library}"
            environment["RECARGA_LOG"] = "info"

    def start(self):
        """The broker, then every company."""
        self.broker.start()
        self.federation.start()
        return self

    def close(self):
        """Everything is gone; logs and data stay."""
        for company in self.federation:
            company.process.end()
        self.broker.process.end()
        self.journal.close()
        self.ground.close()

    def discard(self):
        """Nothing was wrong: nobody needs logs and data."""
        shutil.rmtree(self.folder)


def faketime():
    """Where Debian has put the library that shifts a process's clock."""
    found = glob.glob(_FAKETIME)
    assert found, "libfaketime is not installed; run.sh installs it"
    return found[0]
