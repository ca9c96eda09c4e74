"""One town for the session, lanes that are ended and judged with their test, and how long each recovery took."""

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sim import town as towns
from tests.sim.lane_process import Lane
from tests.sim.scene import NOBODY
from tests.sim.town import Town

NewLane = Callable[..., Lane]
Took = Callable[[str, float], None]

WALK = ("--reaction-ms", "700", "--step-ms", "300")  # slow enough to strike in each of its parts

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


@pytest.fixture(scope="module")
def open_lane(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """One lane for a module's faults that strike while it runs; `lane` hands it out in service, and with nobody before its camera."""
    with Lane(town, tmp_path_factory.mktemp("lane"), settings={"lane": {"anti_passback": "off"}}, pace=WALK) as lane:
        yield lane.start()


@pytest.fixture
def lane(open_lane: Lane) -> Iterator[Lane]:
    open_lane.come("entry", NOBODY)
    if open_lane.agent is None or open_lane.agent.exit_code is not None:  # a test before this one failed half way
        open_lane.start_agent()
    if open_lane.controller is None:
        open_lane.start_controller()
    open_lane.until(open_lane.is_whole_again, "in service")
    open_lane.forget()
    yield open_lane
    open_lane.judge(finished=False)


@pytest.fixture
def took() -> Took:
    """Notes how long a recovery took, in seconds, for the end of the run."""
    return lambda what, seconds: _recoveries.append((what, seconds))


@pytest.fixture(scope="session", autouse=True)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]] | None]:
    """The demo, begun with the first test of this folder if test_demo.py is asked for: half a minute of it is nothing but its own time."""
    if towns.missing() or not any(item.path.name == "test_demo.py" for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "agent.diagnostics.demo", "--json", "--into", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield folder, process
        process.terminate()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo's tests come last: they wait for it."""
    items.sort(key=lambda item: item.path.name == "test_demo.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _recoveries:
        terminalreporter.section("seconds from the mending of a fault to what is said")
        for what, seconds in _recoveries:
            terminalreporter.write_line(f"{seconds:7.2f}  {what}")
