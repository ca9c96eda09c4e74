"""A lane without its cameras in simulated time: real core, journal, control loop, dialogue, link and controller; drawn faults between them.

Half a minute of a lane takes a tenth of a second, so what a wire, a plug, a restart and people can do together is tried thousands of times.
Nothing of the code under test is replaced but the clock, the port and the thread that owns it.
"""

import json
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent.core import controller
from agent.core.effects import BarrierCommand, CancelRelease
from agent.core.identity import PersonId, TrackId
from agent.core.inputs import BarrierConnected, Input, LockDownSet, StopRequested, TrackLost
from agent.core.moment import Moment
from agent.drivers.barrier_dialogue import BarrierDialogue
from agent.drivers.journal import SqliteJournal
from agent.mailbox import Mailbox
from agent.runtime import Observers, Runtime, World
from firmware_bridge.emulator.controller import Output, PowerOn
from firmware_bridge.emulator.faults import FaultyWire, WireFault
from firmware_bridge.emulator.person import Behaviour, Pace, Person
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.greeting import HostSettings
from firmware_bridge.vocabulary import Drive, Inputs, Kind, Phase
from tests.runtime.lane import ADA, IN_SERVICE, NOW, RULES, probe
from tests.sim.oracle import Line, Row, problems

KEY = bytes(range(1, 33))
MS = 1_000_000
BEAMS = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT
REOPEN_MS = 250
HELD_LIMIT_MS = 30_000  # whoever has pressed is out by then: an exit window, a gap and a restart of the controller fit in several times
WEDGED_LIMIT_MS = 60_000  # after the last fault somebody gets in by then
_RULES = replace(RULES, anti_passback=False, cool_down_ms=200)


class _Nobody:
    """No centre, no cameras, no trust file."""

    def wake(self) -> None: ...
    def watch(self, track: TrackId | None) -> None: ...
    def set_lock_down(self, *, on: bool) -> None: ...


class Host:
    """One life of the agent's half, from its start to its stop or its kill. Implements `agent.ports.Clock` and `Barrier`."""

    def __init__(self, file: Path, *, name: str, kind: Kind, draw: random.Random, now_ms: int) -> None:
        self.now_ms = now_ms
        self._draw = draw
        self._orders: deque[BarrierCommand] = deque()
        self._idle = False
        self._reopen_ms: int | None = now_ms
        self.open = False
        self.mailbox = Mailbox()
        settings = HostSettings(
            key=KEY, host_id=name.encode().ljust(8, b"-")[:8], accepted_kinds=frozenset({kind}), link_inside_cabinet=False
        )
        self.dialogue = BarrierDialogue(settings, post=self.mailbox.post)
        self.journal = SqliteJournal(file, site="site", gate="gate", simulation=True, clock=self)
        state, effects = controller.start(_RULES, self.journal.last_known(), self.now())
        nobody = _Nobody()
        world = World(clock=self, journal=self.journal, barrier=self, uplink=nobody, watcher=nobody, lock_downs=nobody)
        self.runtime = Runtime(take=self._take, world=world, observers=Observers(), state=state)
        self.runtime._carry_out(effects)
        self._turned_ms = now_ms
        for one in IN_SERVICE:
            if not isinstance(one, BarrierConnected):  # that the dialogue says itself
                self.mailbox.post(one)
        self._control()

    def now(self) -> Moment:
        now_ns = self.now_ms * MS
        return replace(NOW, monotonic_ns=now_ns, wall_ns=NOW.wall_ns + now_ns)

    def submit(self, command: BarrierCommand) -> None:
        self._orders.append(command)

    def _take(self, _wait_s: float) -> Input | None:
        given = self.mailbox.take(0)
        self._idle = given is None
        return given

    def post(self, given: Input) -> None:
        self.mailbox.post(given)

    def _control(self) -> None:
        """Turn the control loop until it has nothing more to do at this moment."""
        self._idle = False
        while not self._idle:
            self.runtime.turn()
        self._turned_ms = self.now_ms

    def turn(self, data: bytes, now_ms: int, *, plugged: bool) -> bytes | None:
        """One turn of both threads: what is to be written, or None where the port was closed."""
        self.now_ms = now_ms
        if plugged and not self.open and self._reopen_ms is not None and now_ms >= self._reopen_ms:
            self.open = True
            self.dialogue.greet(self._draw.randbytes(16), now_ms * MS)
        elif not plugged and self.open:
            self.dialogue.port_lost("unplugged", now_ms * MS)
            self._close()
        if self.open and data:
            self.dialogue.receive(data, now_ms * MS)
        self._control()
        while self._orders:
            self.dialogue.order(self._orders.popleft(), now_ms * MS)
        written = self.dialogue.turn(now_ms * MS, control_fresh_ns=self._turned_ms * MS)
        if not self.open:
            return b""
        if self.dialogue.hang_up is not None:
            self._close()
            return None
        return written

    def _close(self) -> None:
        self.open, self._reopen_ms = False, self.now_ms + REOPEN_MS

    def next_ms(self) -> int:
        due = [self._turned_ms + 250]
        link_ns, core_ns = self.dialogue.next_deadline_ns(), controller.next_deadline_ns(self.runtime.state)
        due += [-(-t // MS) for t in (link_ns, core_ns) if t is not None]
        due += [self._reopen_ms] if not self.open and self._reopen_ms is not None else []
        return min(due)

    def part(self) -> bytes:
        """Stopped in an orderly way: as the driver does it, a cancel that came with the stop goes before the last word."""
        self.post(StopRequested("the sequence says so"))
        self._control()
        for order in self._orders:
            if isinstance(order, CancelRelease):
                self.dialogue.order(order, self.now_ms * MS)
        return self.dialogue.part(self.now_ms * MS) if self.open else b""


@dataclass
class FaultyLane:
    """One lane and what happens to it, all drawn from one seed."""

    folder: Path
    seed: int
    machine: PowerOn
    kind: Kind = Kind.EMULATOR
    log: list[Line] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # seen while it ran, beside what the oracle reads afterwards
    did: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = random.Random(f"lane:{self.seed}")
        self.now_ms = NOW.monotonic_ns // MS
        self._offset_ms = self.draw.choice((0, (1 << 32) - self.now_ms - self.draw.randint(0, 20_000)))  # near the wrap of its clock
        self._settings = ControllerSettings(key=KEY, leaf_travel_ms=30, minimum_gap_ms=20, kind=self.kind)
        self._person = Person(Behaviour.WALKS, Pace(self.draw.randint(20, 900), self.draw.randint(20, 200)))
        self._by_hand = Inputs(0)
        self._let_go: list[tuple[int, Inputs]] = []
        self._store: Store | None = Store()
        self._drive = Drive(0)
        self._mute_until_ms = self._unplugged_until_ms = 0
        self._heard: list[bytes] = []
        self._people = 0
        self._lives = 0
        self._back_ms: int | None = None
        self._intruder: BarrierDialogue | None = None
        self._wires(WireFault.NONE, 0)
        self._power_on()
        self.host: Host | None = self._start_host()

    # --- the parts --------------------------------------------------------------------------------------------------------------------

    def _wires(self, fault: WireFault, rate: float) -> None:
        self._to_controller = FaultyWire(fault, seed=self.draw.getrandbits(32), rate=rate)
        self._to_host = FaultyWire(fault, seed=self.draw.getrandbits(32), rate=rate)

    @property
    def _controller_ms(self) -> int:
        return self.now_ms + self._offset_ms

    @property
    def _inputs(self) -> Inputs:
        return self._by_hand | self._person.beams

    def _power_on(self) -> None:
        self._drive = Drive(0)
        self._controller = self.machine(self._settings, self._store, inputs=self._inputs, now_ms=self._controller_ms)
        self._apply(self._controller.tick(self._controller_ms))

    def _apply(self, output: Output) -> None:
        if output.store is not None:
            self._store = output.store
        lost = self._drive & (Drive.ENTRY | Drive.EXIT) & ~output.drive
        if lost and self._inputs & BEAMS == BEAMS:
            self.wrong.append(f"{self.now_ms}: the way {lost!r} was closed on somebody who stands between the beams")
        self._drive = output.drive
        self._person.see(output.drive, self.now_ms)
        self.log += [{"t_ns": self.now_ms * MS, "kind": line.kind, **line.fields} for line in output.log]
        if self.now_ms >= self._mute_until_ms:
            self._to_host.put(output.data, self.now_ms)

    def _sense(self) -> None:
        self._apply(self._controller.sense(self._inputs, self._controller_ms))

    def _start_host(self) -> Host:
        self._lives += 1
        return Host(self.folder / "journal.db", name="gate-1", kind=self.kind, draw=self.draw, now_ms=self.now_ms)

    def _end_host(self, *, killed: bool) -> None:
        if self.host is None:
            return
        if not killed:
            self._to_controller.put(self.host.part(), self.now_ms)
        self.host.journal.close()
        self.host = None

    # --- time -------------------------------------------------------------------------------------------------------------------------

    def run(self, ms: int) -> None:
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, max(self.now_ms + 1, self._next_ms()))
            self._turn()

    def until(self, holds: Callable[[], object], *, limit_ms: int) -> bool:
        end = self.now_ms + limit_ms
        while not holds() and self.now_ms < end:
            self.run(20)
        return bool(holds())

    def _next_ms(self) -> int:
        due = [self.now_ms + self._controller.next_deadline_ms(), self._to_controller.next_ms(), self._to_host.next_ms()]
        due += [self._person.next_ms(), self._back_ms, *(at for at, _ in self._let_go)]
        due += [None if self.host is None else self.host.next_ms()]
        return min(t for t in due if t is not None)

    def _turn(self) -> None:
        if self._back_ms is not None and self.now_ms >= self._back_ms:
            self._back_ms, self.host = None, self._start_host()
        data, muted = self._to_controller.take(self.now_ms), self.now_ms < self._mute_until_ms
        self._apply(
            self._controller.receive(data, self._controller_ms) if data and not muted else self._controller.tick(self._controller_ms)
        )
        over = [inputs for at, inputs in self._let_go if at <= self.now_ms]
        self._let_go = [(at, inputs) for at, inputs in self._let_go if at > self.now_ms]
        for inputs in over:
            self._by_hand &= ~inputs
        if self._person.step(self.now_ms) or over:
            self._sense()
        heard = self._to_host.take(self.now_ms)
        self._turn_intruder(heard)
        if self.host is None:
            return
        plugged = self.now_ms >= self._unplugged_until_ms
        written = self.host.turn(heard if plugged else b"", self.now_ms, plugged=plugged)
        if written and plugged:
            self._heard.append(written)
            self._to_controller.put(written, self.now_ms)

    def _turn_intruder(self, heard: bytes) -> None:
        if self._intruder is not None:
            self._intruder.receive(heard, self.now_ms * MS)
            if self._intruder.hang_up is not None:
                self._intruder = None
                return
            self._to_controller.put(self._intruder.turn(self.now_ms * MS, control_fresh_ns=self.now_ms * MS), self.now_ms)

    # --- what may happen ----------------------------------------------------------------------------------------------------------------

    def come(self) -> None:
        """One more person whom the recogniser knows stands before the entry."""
        if self.host is not None:
            self._people += 1
            person = replace(ADA, person=PersonId(f"person-{self._people}"))
            self.host.now_ms = self.now_ms
            self.host.post(probe(self.host.now(), track=self._people, person=person))

    def step_back(self) -> None:
        """The person who came last is out of the camera's view."""
        if self.host is not None and self._people:
            self.host.post(TrackLost("in", TrackId(self._people), self.now_ms * MS))

    def press(self, inputs: Inputs, ms: int = 100) -> None:
        self._by_hand |= inputs
        self._let_go.append((self.now_ms + ms, inputs))
        self._sense()

    def let_out(self) -> None:
        """Whoever presses gets out in time, whatever state host and wire are in."""
        self._person.behaviour = Behaviour.WALKS
        before = self._controller.store.passages_exit

        def out() -> bool:
            return self._controller.store.passages_exit > before or bool(self._drive & Drive.EXIT and self._emergency)

        end = self.now_ms + HELD_LIMIT_MS
        while not out() and self.now_ms < end:
            if self._person.next_ms() is None and self._person.beams:
                self.leave()  # who stood there goes on, so that the next may
            self.press(Inputs.REQUEST_TO_EXIT)
            self.until(out, limit_ms=3_000)
        if not out():
            self.wrong.append(f"{self.now_ms}: somebody pressed the button for {HELD_LIMIT_MS} ms and was held ({self._controller.phase})")

    @property
    def _emergency(self) -> bool:
        return self._controller.phase in (Phase.EMERGENCY, Phase.AWAITING_RESET)

    def happen(self) -> None:
        """One thing, drawn."""
        name = self.draw.choices(tuple(HAPPENINGS), weights=[weight for weight, _ in HAPPENINGS.values()])[0]
        self.did.append(f"{self.now_ms}: {name}")
        HAPPENINGS[name][1](self)

    def behave(self) -> None:
        self._person.behaviour = self.draw.choice(tuple(Behaviour))

    def leave(self) -> None:
        self._person.leave()
        self._sense()

    def strike(self) -> None:
        self._wires(self.draw.choice(tuple(WireFault)), self.draw.uniform(0.02, 0.6))

    def silence(self) -> None:
        self._mute_until_ms = self.now_ms + self.draw.randint(50, 6_000)

    def unplug(self) -> None:
        self.unplug_for(self.draw.randint(1, 4_000))

    def unplug_for(self, ms: int) -> None:
        """The host's plug; what was on its way is gone."""
        self._unplugged_until_ms = self.now_ms + ms
        self._wires(WireFault.NONE, 0)

    def reboot(self) -> None:
        self._power_on()

    def restart(self, *, killed: bool) -> None:
        self.stop_for(self.draw.randint(1, 4_000) if self.host is not None else 0, killed=killed)

    def stop_for(self, ms: int, *, killed: bool = False) -> None:
        if self.host is not None:
            self._end_host(killed=killed)
            self._back_ms = self.now_ms + ms

    def replay(self) -> None:
        """Somebody who tapped the line plays some of it back, in any order."""
        for piece in self.draw.sample(self._heard, min(len(self._heard), 40)):
            self._to_controller.put(piece, self.now_ms)

    def babble(self) -> None:
        self._to_controller.put(self.draw.randbytes(self.draw.randint(1, 300)), self.now_ms)
        self._to_host.put(self.draw.randbytes(self.draw.randint(1, 300)), self.now_ms)

    def intrude(self) -> None:
        """A second host on the same wire, with the right key."""
        settings = HostSettings(key=KEY, host_id=b"gate-2--", accepted_kinds=frozenset({self.kind}), link_inside_cabinet=False)
        self._intruder = BarrierDialogue(settings, post=lambda _: None)
        self._intruder.greet(self.draw.randbytes(16), self.now_ms * MS)

    def leave_alone(self) -> None:
        """The second host is gone."""
        self._intruder = None

    def fire(self) -> None:
        self.press(Inputs.FIRE, self.draw.randint(100, 3_000))

    def reset_key(self) -> None:
        self.press(Inputs.RESET_KEY)

    def tamper(self) -> None:
        self.press(Inputs.TAMPER, self.draw.randint(100, 2_000))

    def lock_down(self) -> None:
        if self.host is not None:
            self.host.post(LockDownSet(on=self.draw.random() < 0.5, by="staff", reason="drawn"))

    # --- the whole ----------------------------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """No fault any more, and somebody on site has turned the key."""
        self._wires(WireFault.NONE, 0)
        self._mute_until_ms = self._unplugged_until_ms = 0
        self._intruder = None
        self._person.leave()
        self._person.behaviour = Behaviour.WALKS
        self._by_hand, self._let_go = Inputs(0), []
        self._sense()
        if self.host is None and self._back_ms is None:
            self._back_ms = self.now_ms
        self.run(3_000)
        if self._emergency:
            self.press(Inputs.RESET_KEY)
        if self.host is not None:
            self.host.post(LockDownSet(on=False, by="staff", reason="the sequence is over"))

    def let_in(self) -> None:
        """The lane works: people come until one has passed."""
        before = self._controller.store.passages_entry
        end = self.now_ms + WEDGED_LIMIT_MS
        while self._controller.store.passages_entry == before and self.now_ms < end:
            self.come()
            self.run(2_000)
        if self._controller.store.passages_entry == before:
            self.wrong.append(f"{self.now_ms}: the lane is wedged: nobody got in for {WEDGED_LIMIT_MS} ms after the last fault")

    def play(self, happenings: int) -> list[str]:
        """The whole sequence, and everything that was wrong in it."""
        self.run(self.draw.randint(0, 2_000))
        for _ in range(happenings):
            self.happen()
            self.run(self.draw.choice((1, 20, 100, 400, 1_500)))
        self.calm()
        self.let_out()
        self.let_in()
        self.close()
        return self.problems()

    def close(self) -> None:
        self.run(12_000)  # the longest window and its end
        self._end_host(killed=False)

    def problems(self) -> list[str]:
        """All that was wrong so far; whoever came in last, after the last fault, is in the journal as what he is."""
        said = rows(self.folder / "journal.db")
        ends = [row["type"] for row in said if row["type"].startswith("passage.") and row["data"]["fields"].get("grant")]
        last = [] if ends[-1:] == ["passage.made"] else [f"the last passage is in the journal as {ends[-1:]}"]
        return [*self.wrong, *problems(self.log, said), *last]


def rows(file: Path) -> list[Row]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reader:
        return [json.loads(body) for (body,) in reader.execute("SELECT body FROM event ORDER BY seq")]


HAPPENINGS: Mapping[str, tuple[int, Callable[[FaultyLane], Any]]] = MappingProxyType(
    {
        "a person comes": (12, FaultyLane.come),
        "the person steps back": (3, FaultyLane.step_back),
        "people behave otherwise": (5, FaultyLane.behave),
        "whoever stands there leaves": (2, FaultyLane.leave),
        "somebody wants out": (3, FaultyLane.let_out),
        "the wire is struck": (6, FaultyLane.strike),
        "the controller falls silent": (2, FaultyLane.silence),
        "the cable is pulled": (2, FaultyLane.unplug),
        "the controller restarts": (3, FaultyLane.reboot),
        "the host is killed": (3, lambda lane: lane.restart(killed=True)),
        "the host is stopped": (2, lambda lane: lane.restart(killed=False)),
        "the line is played back": (2, FaultyLane.replay),
        "noise": (2, FaultyLane.babble),
        "a second host": (2, FaultyLane.intrude),
        "fire": (1, FaultyLane.fire),
        "somebody turns the key": (2, FaultyLane.reset_key),
        "the cabinet is opened": (1, FaultyLane.tamper),
        "lock-down": (1, FaultyLane.lock_down),
    }
)
