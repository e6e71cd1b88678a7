"""Processes of our own: started, found ready, and ended by their id."""

import os
import signal
import socket
import subprocess
import time

READY_SECONDS = 60


def free_port():
    """A port that nobody uses at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command, log, environment=None, user=None):
    """A process whose output goes to a file."""
    with open(log, "wb") as out:
        environment = {**os.environ, **(environment or {})}
        return subprocess.Popen(command, stdout=out, stderr=out, env=environment, user=user, group=user, extra_groups=[] if user else None)


def wait_for_port(port, process, log):
    """Until somebody listens there."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing listens on port {port}; see {log}:\n{_end_of(log)}")


def stop(process, how=signal.SIGTERM):
    """Ends it in an orderly way, or by force."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(command, **options):
    """What it prints; an error says all of it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"`{' '.join(map(str, command))}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _end_of(log):
    return log.read_text(errors="replace")[-2000:]
