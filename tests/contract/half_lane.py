"""A lane without its cameras: real core, journal, control loop, driver, wire and controller. What the recogniser would say is posted."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.core import controller
from agent.core.identity import PersonId, TrackId
from agent.core.inputs import BarrierConnected, StopRequested
from agent.core.moment import Moment
from agent.drivers.barrier import BarrierPort, SerialBarrier
from agent.drivers.journal import SqliteJournal
from agent.mailbox import Mailbox
from agent.runtime import Observers, Runtime, World
from firmware_bridge.emulator.controller import Controller, PowerOn
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.person import Behaviour, Pace
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.shell import BoardSettings, Emulator
from tests.runtime.lane import ADA, IN_SERVICE, NOW, RULES, probe
from tests.sim.oracle import problems

KEY = hashlib.sha256(b"of no gate").digest()
LIMIT_S = 40.0  # far above what any step takes on a busy machine
_RULES = replace(RULES, anti_passback=False, cool_down_ms=200)


class RunningClock:
    """Monotonic as it is; the wall clock goes on from the moment of the tests' roster."""

    def now(self) -> Moment:
        now_ns = time.monotonic_ns()
        return replace(NOW, monotonic_ns=now_ns, wall_ns=NOW.wall_ns + now_ns - _BEGUN_NS)


_BEGUN_NS = time.monotonic_ns()


class _Nobody:
    """No centre, no cameras, no trust file."""

    def wake(self) -> None: ...
    def watch(self, track: TrackId | None) -> None: ...
    def set_lock_down(self, *, on: bool) -> None: ...


@dataclass
class Host:
    """One life of the agent's half: from start to stop, or to a kill."""

    folder: Path
    port: Path
    name: str = "site/gate-1"

    def __post_init__(self) -> None:
        self.mailbox = Mailbox()
        clock, nobody = RunningClock(), _Nobody()
        self.journal = SqliteJournal(self.folder / "journal.db", site="site", gate="gate", simulation=True, clock=clock)
        state, effects = controller.start(_RULES, self.journal.last_known(), clock.now())
        where = BarrierPort(str(self.port), 115_200, KEY, link_inside_cabinet=False, host_name=self.name, simulation=True)
        self.driver = SerialBarrier(where, post=self.mailbox.post, control_fresh_ns=lambda: self.runtime.fresh_ns())  # noqa: PLW0108
        world = World(clock=clock, journal=self.journal, barrier=self.driver, uplink=nobody, watcher=nobody, lock_downs=nobody)
        self.runtime = Runtime(take=self.mailbox.take, world=world, observers=Observers(), state=state)
        self._thread = threading.Thread(target=self.runtime.run, args=(effects,), name="half-lane", daemon=True)
        self._thread.start()
        self.driver.start()
        for one in IN_SERVICE:
            if not isinstance(one, BarrierConnected):  # that the driver says itself
                self.mailbox.post(one)

    def stop(self, *, killed: bool = False) -> None:
        """`killed`: without a last word to the controller."""
        if killed:
            self.driver._part = lambda: None  # type: ignore[method-assign]
        self.driver.stop()
        assert self.driver.join(5)
        self.mailbox.post(StopRequested("the test is over"))
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.journal.close()


@dataclass
class HalfLane:
    """The lane, its controller and a folder. `fault` strikes both directions of the wire."""

    folder: Path
    machine: PowerOn = Controller
    settings: ControllerSettings = field(default_factory=lambda: ControllerSettings(key=KEY, leaf_travel_ms=30, minimum_gap_ms=20))
    fault: WireFault = WireFault.NONE
    seed: int = 1
    behaviour: Behaviour = Behaviour.WALKS

    def __post_init__(self) -> None:
        self.port = self.folder / "controller"
        board = BoardSettings(
            self.port,
            self.folder / "store",
            self.folder / "log",
            self.behaviour,
            Pace(40, 40),
            fault=self.fault,
            fault_rate=0.1,
            seed=self.seed,
        )
        self.emulator = Emulator(self.settings, board, power_on=self.machine)
        self.emulator.start()
        self.people = 0
        self.host: Host | None = Host(self.folder, self.port)

    # --- what may be done to it -----------------------------------------------------------------------------------------------------

    def come(self) -> None:
        """One more person whom the recogniser knows stands before the entry."""
        self.people += 1
        person = replace(ADA, person=PersonId(f"person-{self.people}"))
        assert self.host is not None
        self.host.mailbox.post(probe(RunningClock().now(), track=self.people, person=person))

    def tell(self, **command: Any) -> dict[str, Any]:
        return self.emulator.do(command)

    def restart_host(self, *, killed: bool) -> None:
        assert self.host is not None
        self.host.stop(killed=killed)
        self.host = Host(self.folder, self.port)

    def close(self) -> None:
        if self.host is not None:
            self.host.stop()
        self.host = None
        self.emulator.stop()

    # --- what it says -----------------------------------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(f"file:{self.folder / 'journal.db'}?mode=ro", uri=True)) as reader:
            return [json.loads(body) for (body,) in reader.execute("SELECT body FROM event ORDER BY seq")]

    def log(self, kind: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.folder / "log").read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if kind is None or line["kind"] == kind]

    def said(self, kind: str) -> int:
        return sum(row["type"] == kind for row in self.rows())

    def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + LIMIT_S
        while not holds():
            tail = [(row["type"], row["data"]["fields"]) for row in self.rows()[-6:]]
            assert time.monotonic() < end, f"not within {LIMIT_S:.0f} s: {what} (fault {self.fault}, seed {self.seed}); journal: {tail}"
            time.sleep(0.02)

    # --- what must hold whatever happened ---------------------------------------------------------------------------------------------

    def let_in(self) -> None:
        """Send people until one has passed: the lane works."""
        made = self.said("passage.made")
        end = time.monotonic() + LIMIT_S
        while self.said("passage.made") == made:
            assert time.monotonic() < end, f"nobody gets in any more (fault {self.fault}, seed {self.seed}): {self.rows()[-6:]}"
            self.come()
            before = len(self.rows())
            give_up = time.monotonic() + 2
            while len(self.rows()) == before and time.monotonic() < give_up:
                time.sleep(0.02)
            time.sleep(0.3)  # as people come, not as frames do

    def let_out(self) -> None:
        """Whoever presses gets out, whatever state host and wire are in."""
        counted = self.tell(state=True)["passages_exit"]
        self.tell(press="request_to_exit")
        self.until(lambda: self.tell(state=True)["passages_exit"] > counted, "somebody who pressed the button is out")

    def judge(self) -> None:
        """Journal and the controller's own log agree, nothing opened that should not, and the lane is shut."""
        self.until(lambda: self.tell(state=True)["phase"] == "SECURED", "the lane is at rest")
        end = time.monotonic() + LIMIT_S
        while found := problems(self.log(), self.rows()):
            assert time.monotonic() < end, f"journal and controller disagree (fault {self.fault}, seed {self.seed}): {found}"
            time.sleep(0.02)
        assert self.tell(state=True)["drive"] == []
