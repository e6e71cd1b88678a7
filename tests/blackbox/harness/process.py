"""A child process whose output goes to a file and which is only ever signalled by its own id."""

import os
import signal
import subprocess

from .waiting import until


class Program:
    """One program that can be started and ended many times; its log is appended to."""

    def __init__(self, command, log, environment=None, before_start=None):
        self.command = [str(part) for part in command]
        self.log = log
        self.environment = environment or {}
        self.before_start = before_start
        self.kills = 0
        self._child = None

    @property
    def pid(self):
        """The id of the running child."""
        return self._child.pid

    @property
    def is_running(self):
        """Whether the child is alive."""
        return self._child is not None and self._child.poll() is None

    def start(self):
        """Starts the child; it may not be running already."""
        assert not self.is_running, f"{self.command[0]} is running already"
        self._count()
        with open(self.log, "ab") as log:
            log.write(b"--- start\n")
            log.flush()
            self._child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                preexec_fn=self.before_start,
            )

    def signal(self, number):
        """Sends a signal to the child, if it is still there."""
        if self.is_running:
            self._child.send_signal(number)

    def kill(self):
        """SIGKILL, and waits until the child is gone."""
        if self.is_running:
            self._child.kill()
        self._child.wait()

    def freeze(self):
        """SIGSTOP, and waits until the child is stopped."""
        self.signal(signal.SIGSTOP)
        until(lambda: self._state() in "Tt", f"process {self.pid} to stop", 5)

    def thaw(self):
        """SIGCONT."""
        self.signal(signal.SIGCONT)

    def wait(self, seconds=10):
        """Waits for the child to end by itself and returns its exit status (negative: the signal)."""
        until(lambda: not self.is_running, f"`{' '.join(self.command)}` to end", seconds)
        return self._child.returncode

    def stop(self, seconds=15):
        """SIGTERM, waits, and returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def end(self):
        """Whatever state it is in, the child is gone afterwards."""
        self._count()
        if self.is_running:
            self._child.kill()
            self._child.wait()
        self._child = None

    def output(self):
        """Everything that the child has printed, over all its starts."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def last_output(self):
        """What the child has printed since its last start."""
        return self.output().rsplit("--- start\n", 1)[-1]

    def _count(self):
        # However it came to its SIGKILL: by us, or by its own disk.
        if self._child is not None and self._child.poll() == -signal.SIGKILL:
            self.kills += 1

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]
