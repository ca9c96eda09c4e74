"""One town for the session, lanes that are ended and judged with their test, and how long each recovery took."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.sim import town as towns
from tests.sim.lane_process import Lane
from tests.sim.town import Town

NewLane = Callable[..., Lane]

_recoveries: list[tuple[str, float]] = []


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    missing = towns.missing()
    if missing:
        pytest.skip(f"no whole lane without models and portraits: {missing}")
    return towns.found(tmp_path_factory.mktemp("town"))


@pytest.fixture
def new_lane(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewLane]:
    """Makes lanes (the arguments are Lane's); whatever a test did to one, it must come out right by controller's log and journal."""
    folder = tmp_path_factory.mktemp("lane")  # a short path: it holds sockets
    numbers = itertools.count(1)
    lanes: list[Lane] = []
    with ExitStack() as stack:

        def new(**options: object) -> Lane:
            lane = stack.enter_context(Lane(town, folder / f"lane-{next(numbers)}", **options))  # type: ignore[arg-type]
            lanes.append(lane)
            return lane

        yield new
        for lane in lanes:
            lane.judge(finished=False)


@pytest.fixture
def took() -> Callable[[str, float], None]:
    """Notes how long a recovery took, in seconds, for the end of the run."""
    return lambda what, seconds: _recoveries.append((what, seconds))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _recoveries:
        terminalreporter.section("seconds from the mending of a fault to what is said")
        for what, seconds in _recoveries:
            terminalreporter.write_line(f"{seconds:7.2f}  {what}")
