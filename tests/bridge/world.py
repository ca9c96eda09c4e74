"""Two real ends and the lane between them, in simulated time: nothing of the code under test is replaced."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from firmware_bridge.emulator.controller import Controller, LogLine, Output, PowerOn
from firmware_bridge.emulator.faults import FaultyWire, WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import Happened, HostEvent, StateRead
from firmware_bridge.link import HostLink
from firmware_bridge.messages import NumberedEvent
from firmware_bridge.vocabulary import Belief, Direction, Drive, Inputs, Kind, Phase

KEY = bytes(range(32))
HOST_ID = b"gate-001"
MS = 1_000_000
BOTH = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT
NONE = Inputs(0)
WAYS = Drive.ENTRY | Drive.EXIT
T = TypeVar("T", bound=HostEvent)
E = TypeVar("E", bound=NumberedEvent)


def host_settings(*, key: bytes | None = KEY, host_id: bytes = HOST_ID, kind: Kind = Kind.EMULATOR) -> HostSettings:
    return HostSettings(key=key, host_id=host_id, accepted_kinds=frozenset({kind}), link_inside_cabinet=key is None)


class Peer:
    """Whose controller a world has unless it says otherwise; set by a fixture for tests that run against each."""

    machine: ClassVar[PowerOn] = Controller


@dataclass
class World:
    """Host and controller joined by two wires. The controller's clock starts where the test wants it, wrap included."""

    fault: WireFault = WireFault.NONE
    seed: int = 0
    rate: float = 0.3
    settings: ControllerSettings = field(default_factory=lambda: ControllerSettings(key=KEY))
    host_settings: HostSettings = field(default_factory=host_settings)
    controller_offset_ms: int = 0
    store: Store | None = field(default_factory=Store)
    host_alive: bool = True
    acknowledges: bool = True
    machine: PowerOn | None = None  # None: Peer.machine
    belief: Belief | None = None  # None: what a host that hears everything at once would believe

    def __post_init__(self) -> None:
        self.now_ms = 1_000
        self.random = random.Random(self.seed)
        self.to_controller = FaultyWire(self.fault, seed=self.seed, rate=self.rate)
        self.to_host = FaultyWire(self.fault, seed=self.seed + 1, rate=self.rate)
        self.inputs = NONE
        self.drive = Drive(0)
        self.watch: Callable[[Output], None] = lambda _output: None
        self.log: list[LogLine] = []
        self.events: list[HostEvent] = []
        self.written: list[bytes] = []  # by every host so far, session after session
        self.link = HostLink(self.host_settings)
        self.start_controller()

    # --- controller ---------------------------------------------------------------------------------------------------------

    @property
    def controller_ms(self) -> int:
        return self.now_ms + self.controller_offset_ms

    def start_controller(self) -> None:
        """Power on, or a reboot: the inputs are as they are, the lasting store as it was last kept."""
        power_on = self.machine or Peer.machine
        self.controller = power_on(self.settings, self.store, inputs=self.inputs, now_ms=self.controller_ms)
        self._apply(self.controller.tick(self.controller_ms))

    def _apply(self, output: Output) -> None:
        if output.store is not None:
            self.store = output.store
        self.drive = output.drive
        self.log += output.log
        self.to_host.put(output.data, self.now_ms)
        self.watch(output)

    def sense(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self._apply(self.controller.sense(inputs, self.controller_ms))
        self.pump()

    def press(self, inputs: Inputs) -> None:
        """An input on and off again, at once."""
        self.sense(self.inputs | inputs)
        self.sense(self.inputs & ~inputs)

    def beams(self, beams: Inputs) -> None:
        self.sense((self.inputs & ~BOTH) | beams)

    def walk(self, direction: Direction = Direction.ENTRY, *, step_ms: int = 150) -> None:
        """One person through the beams."""
        near, far = (Inputs.BEAM_ENTRY, Inputs.BEAM_EXIT) if direction is Direction.ENTRY else (Inputs.BEAM_EXIT, Inputs.BEAM_ENTRY)
        for beams in (near, BOTH, far, NONE):
            self.beams(beams)
            self.run(step_ms)

    def inject(self, wire: bytes) -> None:
        """Bytes that the host did not send."""
        self._apply(self.controller.receive(wire, self.controller_ms))

    # --- host ---------------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return self.now_ms * MS

    def restart_host(self) -> None:
        self.link = HostLink(self.host_settings)

    def connect(self) -> None:
        self.link.connect(self.random.randbytes(16), self.now_ns)
        self.pump()

    def arm(self, *, limit_ms: int = 5_000) -> "World":
        """As a right host: HELLO, STATE, events, ARM, with as many tries as the wire needs."""
        end = self.now_ms + limit_ms
        while self.now_ms < end:
            if not self.link.up and self.link.next_deadline_ns() is None:
                self.connect()
            self.run(10)
            if self.link.caught_up and not self.controller.armed:
                self.link.arm(self.now_ns)
            elif self.link.up and self.link.caught_up and self.controller.armed:
                return self
        raise AssertionError(f"not armed within {limit_ms} ms ({self.fault}, seed {self.seed}); {self.log[-3:]} {self.events[-3:]}")

    def release(self, grant: int, direction: Direction = Direction.ENTRY, *, window_ms: int = 5_000, within_ms: int = 1_000) -> None:
        expires_ns = self.now_ns + within_ms * MS
        self.link.release(
            grant_number=grant, direction=direction, window_ms=window_ms, pulse_ms=500, expires_ns=expires_ns, now_ns=self.now_ns
        )
        self.pump()

    def cancel(self, grant: int) -> None:
        self.link.cancel(grant, self.now_ns)
        self.pump()

    def seen(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def happened(self, kind: type[E]) -> list[E]:
        """Events of this kind that the host was told of."""
        return [event.event for event in self.seen(Happened) if isinstance(event.event, kind)]

    def logged(self, kind: str) -> list[LogLine]:
        return [line for line in self.log if line.kind == kind]

    def openings(self) -> list[int]:
        """Grant numbers on which the controller itself says that it opened, each time."""
        return [int(line.fields["grant_number"]) for line in self.logged("release") if line.fields["result"] == "ACCEPTED"]

    def passed(self) -> list[int]:
        return [int(line.fields["grant_number"]) for line in self.logged("passage_completed") if line.fields["grant_number"]]

    # --- time ---------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Bytes to and fro until both sides are quiet at this moment."""
        for _ in range(50):
            arrived = self.to_controller.take(self.now_ms)
            if arrived:
                self._apply(self.controller.receive(arrived, self.controller_ms))
            heard = self._host_turn() if self.host_alive else False
            if not arrived and not heard:
                return

    def _host_turn(self) -> bool:
        data = self.to_host.take(self.now_ms)
        events = list(self.link.receive(data, self.now_ns))
        belief, grant = self._right_belief() if self.belief is None else (self.belief, 0)
        self.link.believe(belief, grant_number=grant, fresh_until_ns=self.now_ns + 1_000 * MS)
        turn = self.link.tick(self.now_ns)
        events += turn.events
        for event in events:
            if isinstance(event, Happened) and self.acknowledges:
                self.link.acknowledge(event.event.event_number)
        self.events += [event for event in events if not isinstance(event, StateRead)]
        self.to_controller.put(turn.data, self.now_ms)
        if turn.data:
            self.written.append(turn.data)
        return bool(data or turn.data)

    def _right_belief(self) -> tuple[Belief, int]:
        if self.controller.phase in (Phase.EMERGENCY, Phase.AWAITING_RESET):
            return Belief.EMERGENCY, 0
        return (Belief.RELEASED, self.controller.grant) if self.controller.grant else (Belief.SECURED, 0)

    def run(self, ms: int) -> None:
        """Let time pass: 1 ms a step while bytes are on their way, else straight to the next deadline."""
        end = self.now_ms + ms
        while self.now_ms < end:
            self.now_ms = min(end, max(self.now_ms + 1, self._next_ms()))
            self._apply(self.controller.tick(self.controller_ms))
            self.pump()

    def _next_ms(self) -> int:
        due = [self.now_ms + self.controller.next_deadline_ms(), self.to_controller.next_ms(), self.to_host.next_ms()]
        link_ns = self.link.next_deadline_ns() if self.host_alive else None
        due.append(None if link_ns is None else -(-link_ns // MS))
        return min(d for d in due if d is not None)

    def until(self, condition: Callable[[], object], *, limit_ms: int) -> None:
        end = self.now_ms + limit_ms
        while not condition():
            if self.now_ms >= end:
                raise AssertionError(f"not within {limit_ms} ms ({self.fault}, seed {self.seed}); {self.log[-3:]} {self.events[-3:]}")
            self.run(1)
