"""Runs tests that have lanes of their own beside each other, before pytest comes to them: most of their time is waiting.

A module asks for it with `pytestmark = pytest.mark.alongside`; it concerns those of its tests that take `new_lane` and are not slow. Each
still passes or fails under its own name. What such a test may take: new_lane, town, took, tmp_path and its parameters.
"""

import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sim.town import Town

AT_ONCE = 3  # lanes of threads; two cores have time for them, and for the test that pytest itself runs meanwhile


def may_run_ahead(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("alongside") is not None and item.get_closest_marker("slow") is None
    return marked and isinstance(item, pytest.Function) and "new_lane" in inspect.signature(item.function).parameters


class Alongside:
    """The tests that were begun.

    Args:
        body: runs one test's function with its arguments, given the test, the town and a folder of its own.
    """

    def __init__(self, items: Sequence[pytest.Function], *, town: Town, folder: Path, body: Callable[..., None]) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alongside")
        self._begun: dict[str, Future[None]] = {}
        for number, item in enumerate(items, start=1):
            place = folder / str(number)
            place.mkdir()
            self._begun[item.nodeid] = self._pool.submit(body, item, town, place)

    def outcome(self, item: pytest.Item) -> None:
        """Wait for it; raises what it raised."""
        self._begun[item.nodeid].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
