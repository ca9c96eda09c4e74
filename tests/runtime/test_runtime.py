"""The control loop with the real core and a real journal: committed before released, nothing recorded is lost."""

import json
import sqlite3
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.core import controller
from agent.core.effects import BarrierCommand, ReleaseBarrier
from agent.core.events import Event
from agent.core.identity import TrackId
from agent.core.inputs import EventsAcknowledged, Input, LockDownSet, StopRequested
from agent.core.known import LastKnown
from agent.core.moment import Moment
from agent.drivers.journal import SqliteJournal
from agent.errors import GateError, JournalError
from agent.ports import Committed, Journal
from agent.runtime import RETRY_NS, Observers, Runtime, World
from tests.runtime.lane import IN_SERVICE, NOW, RULES, later, probe


@dataclass
class Stage:
    """The world around a runtime: a clock that stands still, a real journal that can be made to fail, and what was sent out."""

    journal: Journal
    now: Moment = NOW
    letters: deque[Input] = field(default_factory=deque)
    sent: list[BarrierCommand] = field(default_factory=list)
    rows_when_sent: list[int] = field(default_factory=list)
    failing: str | None = None
    warned: list[str] = field(default_factory=list)
    wakes: int = 0

    def take(self, _timeout_s: float) -> Input | None:
        return self.letters.popleft() if self.letters else None

    def commit(self, events: Sequence[Event]) -> Committed:
        if self.failing is not None:
            raise JournalError(self.failing)
        return self.journal.commit(events)

    def mark_delivered(self, *, epoch: str, seq: int, head: str) -> None:
        self.journal.mark_delivered(epoch=epoch, seq=seq, head=head)

    def last_known(self) -> LastKnown:
        return self.journal.last_known()

    def submit(self, command: BarrierCommand) -> None:
        self.rows_when_sent.append(len(rows(self.journal)))
        self.sent.append(command)

    def wake(self) -> None:
        self.wakes += 1

    def watch(self, track: TrackId | None) -> None:
        pass

    def set_lock_down(self, *, on: bool) -> None:
        raise GateError(f"trust.db cannot be written ({on})")


class StoodClock:
    def __init__(self, stage: Stage | None = None) -> None:
        self.stage = stage

    def now(self) -> Moment:
        return NOW if self.stage is None else self.stage.now


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(SqliteJournal(tmp_path / "journal.db", site="site", gate="gate", simulation=True, clock=StoodClock()))


@pytest.fixture
def runtime(stage: Stage) -> Runtime:
    state, effects = controller.start(RULES, stage.last_known(), NOW)
    world = World(clock=StoodClock(stage), journal=stage, barrier=stage, uplink=stage, watcher=stage, lock_downs=stage)
    made = Runtime(take=stage.take, world=world, observers=Observers(warned=stage.warned.append), state=state)
    made._carry_out(effects)
    feed(made, stage, *IN_SERVICE)
    return made


def feed(runtime: Runtime, stage: Stage, *letters: Input) -> None:
    """Give inputs and turn until all of them, and what they led to, are done."""
    stage.letters.extend(letters)
    while stage.letters or runtime._follow_up:
        runtime.turn()


def rows(journal: Journal) -> list[str]:
    assert isinstance(journal, SqliteJournal)
    with sqlite3.connect(f"file:{journal.path}?mode=ro", uri=True) as reader:
        found = [json.loads(row[1])["type"] for row in reader.execute("SELECT * FROM event ORDER BY seq")]
    reader.close()
    return found


def releases(stage: Stage) -> list[ReleaseBarrier]:
    return [command for command in stage.sent if isinstance(command, ReleaseBarrier)]


def test_a_grant_is_in_the_journal_before_the_barrier_is_told(runtime: Runtime, stage: Stage) -> None:
    feed(runtime, stage, probe())
    (release,) = releases(stage)
    at_release = stage.rows_when_sent[stage.sent.index(release)]
    assert rows(stage.journal)[:at_release][-1] == "access.granted"
    assert runtime.state.lane.pending is not None
    assert runtime.state.lane.pending.grant == release.grant


def test_no_release_goes_out_when_the_commit_fails_and_the_lane_closes(runtime: Runtime, stage: Stage) -> None:
    stage.failing = "disk full"
    feed(runtime, stage, probe())
    assert releases(stage) == []
    service = controller.snapshot(runtime.state)["service"]["entry"]
    assert not service["open"]
    assert "disk full" in [reason["detail"] for reason in service["reasons"]]


def test_what_the_journal_could_not_take_is_written_in_order_when_it_can(runtime: Runtime, stage: Stage) -> None:
    before = rows(stage.journal)
    stage.failing = "disk full"
    feed(runtime, stage, probe())
    assert rows(stage.journal) == before
    stage.failing = None
    stage.now = later(stage.now, RETRY_NS // 1_000_000)
    runtime.turn()
    written = rows(stage.journal)[len(before) :]
    assert written[0] == "access.granted"
    assert "grant.cancelled" in written
    assert "service.closed" in written
    assert releases(stage) == []


def test_a_failing_journal_is_tried_again_once_a_second_and_not_in_a_busy_loop(runtime: Runtime, stage: Stage) -> None:
    stage.failing = "disk full"
    feed(runtime, stage, probe())
    tries = 0

    def count(_events: Sequence[Event]) -> Committed:
        nonlocal tries
        tries += 1
        raise JournalError("disk full")

    stage.commit = count  # type: ignore[method-assign]
    for _ in range(10):
        runtime.turn()
    assert tries == 0
    stage.now = later(stage.now, RETRY_NS // 1_000_000)
    feed(runtime, stage)
    runtime.turn()
    assert tries == 1


def test_the_lane_is_back_in_service_when_the_journal_is(runtime: Runtime, stage: Stage) -> None:
    stage.failing = "disk full"
    feed(runtime, stage, probe())
    stage.failing = None
    for _ in range(40):
        stage.now = later(stage.now, 1000)
        runtime.turn()
        feed(runtime, stage)
    assert controller.snapshot(runtime.state)["service"]["entry"]["open"]
    feed(runtime, stage, probe(stage.now, track=2))
    assert len(releases(stage)) == 1


def test_a_disputed_acknowledgement_is_recorded_once_and_prunes_nothing(runtime: Runtime, stage: Stage) -> None:
    assert isinstance(stage.journal, SqliteJournal)
    wrong = EventsAcknowledged(stage.journal.epoch, 1, "0" * 64)
    feed(runtime, stage, wrong, wrong, wrong)
    assert rows(stage.journal).count("journal.disputed") == 1
    assert len(stage.warned) == 3


def test_a_lock_down_acts_though_it_could_not_be_stored_and_says_so(runtime: Runtime, stage: Stage) -> None:
    feed(runtime, stage, LockDownSet(on=True, by="root", reason="drill"), probe())
    assert releases(stage) == []
    assert any("could not be stored" in sentence for sentence in stage.warned)


def test_a_commit_wakes_the_uplink(runtime: Runtime, stage: Stage) -> None:
    woken = stage.wakes
    feed(runtime, stage, probe())
    assert stage.wakes > woken


def test_nobody_who_looks_on_delays_a_release(runtime: Runtime, stage: Stage) -> None:
    seen: list[int] = []
    runtime._observers = Observers(committed=lambda _events, _done: seen.append(len(releases(stage))))
    feed(runtime, stage, probe())
    assert seen[0] == 1


def test_stop_ends_the_loop_after_its_record(runtime: Runtime, stage: Stage) -> None:
    stage.letters.append(StopRequested("test"))
    runtime.run()
    assert rows(stage.journal)[-1] == "agent.stopped"
