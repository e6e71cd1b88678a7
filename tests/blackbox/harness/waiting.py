"""Waiting for something with a deadline: no test asserts that a moment is long enough."""

import time


class TooLate(AssertionError):
    """What was waited for did not come."""


def until(condition, what, seconds=10.0, pause=0.02):
    """Polls `condition` until it returns something true, and returns that.

    `what` completes the sentence "waited N s for ..."; it may be a callable for a message made at the end.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = what() if callable(what) else what
            raise TooLate(f"waited {seconds:g} s for {text}")
        time.sleep(pause)
