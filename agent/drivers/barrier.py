"""The barrier thread: owns the serial port and the host's end of the link, and carries the core's orders to the controller.

It blocks on the port and on its queue together. Heartbeats go out only while the control loop is fresh, so a control loop that hangs
lets the controller's lease run out. A port that is absent, pulled out, wrong or silent is tried again for ever, at most every 5 s.
"""

import contextlib
import hashlib
import logging
import queue
import secrets
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, assert_never

from agent.core.effects import BarrierCommand, Believe, CancelRelease, Phase, ReleaseBarrier, ShowPrompt
from agent.core.identity import GrantNumber
from agent.core.inputs import BarrierFaulted, BarrierInput, BarrierLost, EmergencyCleared, EmergencyRaised, ReleaseRefused
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.drivers import barrier_words as words
from agent.drivers.barrier_lamp import LampOrders
from agent.errors import UsageError
from agent.ports import Post
from firmware_bridge import messages, vocabulary
from firmware_bridge.errors import BridgeError, PortError, PortLostError
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import (
    Armed,
    ArmRefused,
    CancelAnswered,
    Connected,
    EventsLost,
    FrameRefused,
    Happened,
    HealthRead,
    HostEvent,
    LinkRefused,
    Lost,
    NotDone,
    ReleaseAnswered,
    ReleaseNotSent,
    ReleaseUnanswered,
    StateRead,
)
from firmware_bridge.limits import NONCE_BYTES
from firmware_bridge.link import HostLink
from firmware_bridge.transport import SerialTransport
from firmware_bridge.wake import Bell

PULSE_MS: Final = 500  # contact time for a mechanism that takes pulses; drives want at least 100 ms, the controller allows 1 s
CONTROL_FRESH_NS: Final = NS_PER_S  # a control loop that has not turned for this long is not spoken for; it turns every 250 ms
LEAST_BACK_OFF_NS: Final = NS_PER_S // 4
MOST_BACK_OFF_NS: Final = 5 * NS_PER_S
ARM_AGAIN_NS: Final = NS_PER_S // 2
IDLE_TURN_NS: Final = NS_PER_S // 4  # longest wait: the thread stays fresh for the watchdog

_log = logging.getLogger("gate.barrier")


@dataclass(frozen=True, slots=True)
class BarrierPort:
    """Where the controller is and who we are to it.

    Attributes:
        key: the link's key, 32 bytes; None with `link_inside_cabinet` only.
        host_name: names this gate, the same after a restart.
        simulation: only then an emulated controller is accepted, and no other.
    """

    port: str
    baud: int
    key: bytes | None
    link_inside_cabinet: bool
    host_name: str
    simulation: bool


def read_key(file: Path) -> bytes:
    """The link's key from a file of 64 hexadecimal digits.

    Raises:
        UsageError: unreadable, or no such key.
    """
    try:
        return bytes.fromhex(file.read_text(encoding="ascii").strip())
    except OSError as error:
        raise UsageError(f"{file}: the controller's key cannot be read ({error.strerror}); see barrier.key_file") from error
    except ValueError as error:
        raise UsageError(f"{file}: is no key; it must be 64 hexadecimal digits and nothing else") from error


class SerialBarrier:
    """Implements `agent.ports.Barrier` and `Stoppable`.

    Args:
        post: leaves an input for the control thread.
        control_fresh_ns: monotonic time of the control loop's last turn.

    Raises:
        UsageError: a key that is none, or none where one is needed.
    """

    name = "gate-barrier"

    def __init__(self, where: BarrierPort, *, post: Post, control_fresh_ns: Callable[[], int]) -> None:
        self._where = where
        self._post = post
        self._control_fresh_ns = control_fresh_ns
        simulated = frozenset({vocabulary.Kind.EMULATOR, vocabulary.Kind.REFERENCE_ON_PC})
        try:
            settings = HostSettings(
                key=where.key,
                host_id=hashlib.sha256(where.host_name.encode()).digest()[:8],
                accepted_kinds=simulated if where.simulation else frozenset({vocabulary.Kind.REAL}),
                link_inside_cabinet=where.link_inside_cabinet,
                baud=where.baud,
            )
        except BridgeError as error:
            raise UsageError(f"barrier: {error}") from error
        self._link = HostLink(settings)
        self._lamp = LampOrders(self._link)
        self._transport: SerialTransport | None = None
        self._orders: queue.SimpleQueue[BarrierCommand] = queue.SimpleQueue()
        self._bell = Bell()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._fresh_ns = time.monotonic_ns()
        self._open_due_ns = 0
        self._back_off_ns = LEAST_BACK_OFF_NS
        self._arm_due_ns: int | None = None
        self._hello: Connected | None = None
        self._connected_told = False
        self._ready = False  # armed, and the core knows it
        self._emergency_told = False
        self._lost_told: str | None = None
        self._phase = Phase.UNREADY
        self._grant = 0  # ours, under way
        self._unanswered: set[int] = set()
        self.health: messages.Health | None = None  # newest; read by the control socket
        self.frames_refused = 0

    # --- life -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._bell.ring()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        if ended:
            self._bell.close()
        return ended

    def fresh_ns(self) -> int:
        return self._fresh_ns

    def submit(self, command: BarrierCommand) -> None:
        self._orders.put(command)
        self._bell.ring()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._turn()
            self._part()
        except Exception as error:  # noqa: BLE001  the top of the thread: say it and end; the watchdog sees that it is not fresh
            _log.exception("the barrier thread ends")
            self._post(BarrierLost(f"the barrier thread has failed: {error}"))
        finally:
            if self._transport is not None:
                self._transport.close()

    # --- one turn ---------------------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        self._fresh_ns = now_ns = time.monotonic_ns()
        if self._transport is None and now_ns >= self._open_due_ns:
            self._open(now_ns)
        try:
            self._take_orders()
            self._read()
            self._write()
            self._wait()
        except PortLostError as error:
            self._link.hang_up(str(error))
            self._hear(tuple(e for e in self._link.tick(time.monotonic_ns()).events if not isinstance(e, Lost)))
            self._drop_port(str(error))

    def _open(self, now_ns: int) -> None:
        try:
            self._transport = SerialTransport(self._where.port, baud=self._where.baud)
        except PortError as error:
            self._drop_port(str(error))
            return
        self._link.connect(secrets.token_bytes(NONCE_BYTES), now_ns)

    def _drop_port(self, detail: str) -> None:
        """Close, say why, and try again later."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._arm_due_ns = None
        self._lose(detail)
        self._open_due_ns = time.monotonic_ns() + self._back_off_ns
        self._back_off_ns = min(2 * self._back_off_ns, MOST_BACK_OFF_NS)

    def _take_orders(self) -> None:
        self._bell.hush()
        while True:
            try:
                command = self._orders.get_nowait()
            except queue.Empty:
                return
            self._obey(command)

    def _obey(self, command: BarrierCommand) -> None:
        now_ns = time.monotonic_ns()
        match command:
            case ReleaseBarrier() if not self._ready:
                self._post(ReleaseRefused(command.grant, "not_armed"))
            case ReleaseBarrier():
                self._grant, self._phase = command.grant, Phase.RELEASED
                self._link.release(
                    grant_number=command.grant,
                    direction=words.DIRECTIONS[command.direction],
                    window_ms=command.window_ms,
                    pulse_ms=PULSE_MS,
                    expires_ns=command.expires_at_ns,
                    now_ns=now_ns,
                )
            case CancelRelease(grant):
                self._link.cancel(grant, now_ns)
            case Believe(phase):
                self._phase = phase
            case ShowPrompt(direction, prompt):
                self._lamp.prompt(direction, prompt)
            case _:
                assert_never(command)

    def _read(self) -> None:
        if self._transport is None:
            return
        data = self._transport.read()
        if data:
            self._hear(self._link.receive(data, time.monotonic_ns()))

    def _write(self) -> None:
        """Let the link write what is due. It judges each release's time at this very moment."""
        believed = words.BELIEFS[self._phase]
        grant = self._grant if believed in (vocabulary.Belief.RELEASED, vocabulary.Belief.PASSING) else 0
        self._link.believe(believed, grant_number=grant, fresh_until_ns=self._control_fresh_ns() + CONTROL_FRESH_NS)
        now_ns = time.monotonic_ns()
        if self._arm_due_ns is not None and now_ns >= self._arm_due_ns:
            self._arm_due_ns = None
            self._link.read_state(now_ns)
        turn = self._link.tick(time.monotonic_ns())
        if turn.data and self._transport is not None:
            self._transport.write(turn.data)
        self._hear(turn.events)

    def _wait(self) -> None:
        now_ns = time.monotonic_ns()
        due = [now_ns + IDLE_TURN_NS, self._link.next_deadline_ns(), self._arm_due_ns]
        due += [self._open_due_ns] if self._transport is None else []
        wait_ns = max(0, min(t for t in due if t is not None) - now_ns)
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if self._transport is not None:
            poll.register(self._transport.fileno(), select.POLLIN)
        poll.poll(-(-wait_ns // NS_PER_MS))  # rounded up: a turn too early would spin

    def _part(self) -> None:
        """Leave the controller at rest rather than let its lease run out; a cancel that came with the stop goes first."""
        while not self._orders.empty():
            command = self._orders.get_nowait()
            if isinstance(command, CancelRelease):
                self._link.cancel(command.grant, time.monotonic_ns())
        self._link.disarm()
        data = self._link.tick(time.monotonic_ns()).data
        if self._transport is not None and data:
            with contextlib.suppress(PortLostError):
                self._transport.write(data)

    # --- what the link tells ----------------------------------------------------------------------------------------------------

    def _hear(self, events: tuple[HostEvent, ...]) -> None:
        for event in events:
            self._hear_one(event)

    def _hear_one(self, event: HostEvent) -> None:  # noqa: C901, PLR0912  one row for each kind of event
        match event:
            case Connected():
                self._hello = event
            case StateRead():
                self._judge()
            case Armed():
                self._armed()
            case ArmRefused(refusal):
                self._not_armed(refusal)
            case LinkRefused(reason) | Lost(reason):
                self._drop_port(reason)
            case ReleaseAnswered(ack):
                self._answered(words.answered(ack))
            case ReleaseNotSent(grant, reason):
                _log.warning("release %d was not sent: %s", grant, reason)
                self._answered(ReleaseRefused(GrantNumber(grant), "not_sent"))
            case ReleaseUnanswered(grant):
                self._unanswered.add(grant)
            case CancelAnswered(ack):
                unanswered = ack.grant_number in self._unanswered
                self._unanswered.discard(ack.grant_number)
                self._post_all(words.cancelled(ack, unanswered=unanswered))
            case Happened():
                self._happened(event)
            case EventsLost(count):
                self._post(BarrierFaulted(f"events_lost_{count}", active=True))
            case HealthRead(health):
                self.health = health
            case FrameRefused(rejected):
                self.frames_refused += 1
                _log.info("frame refused: %s (%s)", rejected.reason, rejected.detail)
            case NotDone(answer):
                _log.warning("the controller does not do 0x%02x: %s", answer.type, answer.refusal.name)
            case _:
                assert_never(event)

    def _answered(self, answer: BarrierInput) -> None:
        if isinstance(answer, ReleaseRefused) and answer.grant == self._grant:
            self._grant = 0
        self._post(answer)

    def _post_all(self, inputs: tuple[BarrierInput, ...]) -> None:
        for one in inputs:
            self._post(one)

    def _happened(self, event: Happened) -> None:
        inputs = words.happened(event.event)
        if isinstance(event.event, messages.PassageCompleted | messages.ReleaseEnded) and event.event.grant_number == self._grant:
            self._grant = 0
        self._emergency_told |= any(isinstance(one, EmergencyRaised) for one in inputs)
        self._post_all(inputs)
        self._link.acknowledge(event.event.event_number)
        self._judge()

    def _judge(self) -> None:
        """Arm when the lane is at rest and every event before is told; a release that an earlier session left open is taken back first."""
        state = self._link.state
        if state is None or not self._link.caught_up:
            return
        if state.phase in words.EMERGENCY_PHASES:
            self._ready, self._emergency_told = False, True
            self._lamp.lost()
            self._tell_connected(state)
            return
        if state.armed is vocabulary.Switch.ON:
            return
        if self._ready:
            self._lose(f"the controller has withdrawn its permission ({state.faults.name or 'no fault'})")
        if state.phase is vocabulary.Phase.SECURED:
            self._link.arm(time.monotonic_ns())
        elif state.phase is vocabulary.Phase.RELEASED and state.grant_number:
            self._link.cancel(state.grant_number, time.monotonic_ns())

    def _armed(self) -> None:
        state = self._link.state
        if state is None:
            return
        self._back_off_ns, self._ready = LEAST_BACK_OFF_NS, True
        self._lamp.armed(self._hello.hello.capabilities if self._hello is not None else vocabulary.Capability(0))
        self._tell_connected(state)
        if self._emergency_told:
            self._emergency_told = False
            self._post(EmergencyCleared())

    def _not_armed(self, refusal: vocabulary.Refusal) -> None:
        self._arm_due_ns = time.monotonic_ns() + ARM_AGAIN_NS
        if refusal not in (vocabulary.Refusal.STALE_STATE, vocabulary.Refusal.NO_LEASE):  # those pass by themselves
            self._lose(f"the controller does not arm: {refusal.name.lower()}")

    def _tell_connected(self, state: messages.State) -> None:
        if self._connected_told or self._hello is None:
            return
        self._connected_told, self._lost_told = True, None
        self._post(words.connected(self._hello.hello, state, keyed=self._hello.keyed))

    def _lose(self, detail: str) -> None:
        """Tell the core once that there is no barrier to release, and why; again only when the reason changes."""
        self._ready, self._grant = False, 0
        self._lamp.lost()
        if self._connected_told or detail != self._lost_told:
            self._connected_told, self._lost_told = False, detail
            self._post(BarrierLost(detail))
