"""Two real ends and the lane between them, in simulated time: nothing of the code under test is replaced."""

import random
from dataclasses import dataclass, field

from firmware_bridge.emulator.controller import Controller, LogLine
from firmware_bridge.emulator.faults import FaultyWire, WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import HostEvent
from firmware_bridge.link import HostLink
from firmware_bridge.vocabulary import Belief, Direction, Drive, Inputs, Kind, Phase

KEY = bytes(range(32))
MS = 1_000_000
BOTH = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT


@dataclass
class World:
    """Host and controller joined by two wires. The controller's clock starts where the test wants it, wrap included."""

    fault: WireFault = WireFault.NONE
    seed: int = 0
    rate: float = 0.3
    settings: ControllerSettings = field(default_factory=lambda: ControllerSettings(key=KEY))
    host_settings: HostSettings = field(
        default_factory=lambda: HostSettings(key=KEY, host_id=b"gate-001", accepted_kinds=frozenset({Kind.EMULATOR}))
    )
    controller_offset_ms: int = 0
    store: Store | None = field(default_factory=Store)
    host_alive: bool = True
    obeys: bool = True  # believe and acknowledge as a right host does

    def __post_init__(self) -> None:
        self.now_ms = 1_000
        self.random = random.Random(self.seed)
        self.to_controller = FaultyWire(self.fault, seed=self.seed, rate=self.rate)
        self.to_host = FaultyWire(self.fault, seed=self.seed + 1, rate=self.rate)
        self.inputs = Inputs(0)
        self.drive = Drive(0)
        self.drives: list[tuple[int, Drive, Inputs]] = []
        self.log: list[LogLine] = []
        self.events: list[HostEvent] = []
        self.written: list[bytes] = []
        self.link = HostLink(self.host_settings)
        self.believed = (Belief.SECURED, 0)
        self.start_controller()

    # --- controller ---------------------------------------------------------------------------------------------------------

    @property
    def controller_ms(self) -> int:
        return self.now_ms + self.controller_offset_ms

    def start_controller(self) -> None:
        """Power on, or a reboot: the inputs are as they are, the lasting store as it was last kept."""
        self.controller = Controller(self.settings, self.store, inputs=self.inputs, now_ms=self.controller_ms)
        self._apply(self.controller.tick(self.controller_ms))

    def _apply(self, output: object) -> None:
        if output.store is not None:  # type: ignore[attr-defined]
            self.store = output.store  # type: ignore[attr-defined]
        self.drive = output.drive  # type: ignore[attr-defined]
        self.drives.append((self.now_ms, self.drive, self.inputs))
        self.log += output.log  # type: ignore[attr-defined]
        self.to_host.put(output.data, self.now_ms)  # type: ignore[attr-defined]

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
        for beams in (near, BOTH, far, Inputs(0)):
            self.beams(beams)
            self.run(step_ms)

    # --- host ---------------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return self.now_ms * MS

    def restart_host(self) -> None:
        self.link = HostLink(self.host_settings)

    def connect(self) -> None:
        self.link.connect(self.random.randbytes(16), self.now_ns)
        self.pump()

    def arm(self, *, limit_ms: int = 5_000) -> None:
        """Connect if needed, read the state, arm; fails the test if it does not come about in time."""
        self.link.hang_up("again")
        self.connect()
        self.until(lambda: self.link.up and self.controller.next_deadline_ms() >= 0 and bool(self.seen("StateRead")), limit_ms)
        self.run(20)
        self.link.arm(self.now_ns)
        self.until(lambda: self.controller.armed, limit_ms)

    def release(self, grant: int, direction: Direction = Direction.ENTRY, *, window_ms: int = 5_000, within_ms: int = 1_000) -> None:
        self.link.release(
            grant_number=grant,
            direction=direction,
            window_ms=window_ms,
            pulse_ms=500,
            expires_ns=self.now_ns + within_ms * MS,
            now_ns=self.now_ns,
        )
        self.believed = (Belief.RELEASED, grant)
        self.pump()

    def seen(self, name: str) -> list[HostEvent]:
        return [event for event in self.events if type(event).__name__ == name]

    def happened(self, name: str) -> list[object]:
        """Controller events of this type that the host was told of."""
        return [e.event for e in self.events if type(e).__name__ == "Happened" and type(e.event).__name__ == name]  # type: ignore[union-attr]

    def logged(self, kind: str) -> list[LogLine]:
        return [line for line in self.log if line.kind == kind]

    # --- time ---------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Bytes to and fro until both sides are quiet at this moment."""
        for _ in range(50):
            arrived = self.to_controller.take(self.now_ms)
            if arrived:
                self._apply(self.controller.receive(arrived, self.controller_ms))
            quiet = not arrived
            if self.host_alive:
                quiet &= not self._host_turn()
            if quiet:
                return

    def _host_turn(self) -> bool:
        data = self.to_host.take(self.now_ms)
        events = list(self.link.receive(data, self.now_ns))
        if self.obeys:
            self._believe_rightly()
        turn = self.link.tick(self.now_ns)
        events += turn.events
        for event in events:
            if type(event).__name__ == "Happened" and self.obeys:
                self.link.acknowledge(event.event.event_number)  # type: ignore[union-attr]
        self.events += events
        if turn.data:
            self.written.append(turn.data)
        self.to_controller.put(turn.data, self.now_ms)
        return bool(data or turn.data)

    def _believe_rightly(self) -> None:
        """As a host that hears everything at once would: from the controller's own phase."""
        grant = self.controller._lane.opening.grant if self.controller._lane.opening else 0
        belief = Belief.EMERGENCY if self.controller.phase in (Phase.EMERGENCY, Phase.AWAITING_RESET) else self.believed[0]
        self.believed = (belief if grant or belief is Belief.EMERGENCY else Belief.SECURED, grant)
        self.link.believe(self.believed[0], grant_number=grant, fresh_until_ns=self.now_ns + 1_000 * MS)

    def run(self, ms: int) -> None:
        """Let time pass, 1 ms a step."""
        for _ in range(ms):
            self.now_ms += 1
            self._apply(self.controller.tick(self.controller_ms))
            self.pump()

    def until(self, condition: object, limit_ms: int) -> None:
        for _ in range(limit_ms):
            if condition():  # type: ignore[operator]
                return
            self.run(1)
        raise AssertionError(f"not within {limit_ms} ms (fault {self.fault}, seed {self.seed}); last: {self.log[-3:]} {self.events[-3:]}")
