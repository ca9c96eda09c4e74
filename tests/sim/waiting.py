"""Waiting on a condition with a deadline, instead of sleeping."""

import time
from collections.abc import Callable

LOOK_AGAIN_S = 0.01


def wait_for(condition: Callable[[], object], *, within_s: float = 10.0, what: str = "") -> None:
    """Return as soon as the condition holds; fail the test when it does not within the time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(LOOK_AGAIN_S)
