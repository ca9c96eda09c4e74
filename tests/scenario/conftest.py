"""One town for the session, lanes that are ended and judged with their test, and how long each recovery took."""

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.scenario.alongside import Alongside, may_run_ahead
from tests.sim import town as towns
from tests.sim.lane_process import Lane
from tests.sim.scene import NOBODY
from tests.sim.town import Town

NewLane = Callable[..., Lane]
Took = Callable[[str, float], None]

WALK = ("--reaction-ms", "700", "--step-ms", "300")  # slow enough to strike in each of its parts

_recoveries: list[tuple[str, float]] = []
_ALONGSIDE = pytest.StashKey[Alongside]()


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    missing = towns.missing()
    if missing:
        pytest.skip(f"no whole lane without models and portraits: {missing}")
    return towns.found(tmp_path_factory.mktemp("town"))


@pytest.fixture
def new_lane(town: Town, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewLane]:
    """Makes lanes (the arguments are Lane's); whatever a test did to one, it must come out right by controller's log and journal."""
    with lanes_in(town, tmp_path_factory.mktemp("lane")) as new:  # a short path: it holds sockets
        yield new


@contextmanager
def lanes_in(town: Town, folder: Path) -> Iterator[NewLane]:
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
    return _note


def _note(what: str, seconds: float) -> None:
    _recoveries.append((what, seconds))


# --- tests beside each other ----------------------------------------------------------------------------------------------------------


def _body(item: pytest.Function, town: Town, folder: Path) -> None:
    """One test in a thread, with what its fixtures would have given it."""
    tmp_path = folder / "tmp"
    tmp_path.mkdir()
    with lanes_in(town, folder) as new_lane:
        given = {"new_lane": new_lane, "town": town, "took": _note, "tmp_path": tmp_path}
        given |= item.callspec.params if hasattr(item, "callspec") else {}
        item.function(**{name: given[name] for name in inspect.signature(item.function).parameters})


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not may_run_ahead(pyfuncitem):
        return None
    stash = pyfuncitem.session.stash
    if _ALONGSIDE not in stash:
        items = [item for item in pyfuncitem.session.items if isinstance(item, pytest.Function) and may_run_ahead(item)]
        folder = pyfuncitem.funcargs["tmp_path_factory"].mktemp("beside")
        stash[_ALONGSIDE] = Alongside(items, town=pyfuncitem.funcargs["town"], folder=folder, body=_body)
    stash[_ALONGSIDE].outcome(pyfuncitem)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _ALONGSIDE in session.stash:
        session.stash[_ALONGSIDE].close()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alongside: its tests with lanes of their own run beside each other (tests/scenario/alongside.py)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The demo comes last, when nothing runs beside it: its scene goes by the clock."""
    items.sort(key=lambda item: item.path.name == "test_demo.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _recoveries:
        terminalreporter.section("seconds from the mending of a fault to what is said")
        for what, seconds in _recoveries:
            terminalreporter.write_line(f"{seconds:7.2f}  {what}")
