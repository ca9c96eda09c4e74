"""The line to the controller while no agent runs: this tool alone has the port, and asks with the gate's own key.

It never acknowledges an event: what the controller has to tell stays in the controller until the agent is there to record it.
"""

import contextlib
import hashlib
import secrets
import select
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.barrier_key import read_barrier_key
from agent.config import Config
from agent.core.moment import NS_PER_MS, NS_PER_S
from agent.errors import GateError, UsageError
from agent.plan import is_pseudo_terminal
from firmware_bridge import vocabulary
from firmware_bridge.codec import encode, type_byte
from firmware_bridge.errors import BridgeError, PortError, PortLostError
from firmware_bridge.framing import Frame, encode_frame
from firmware_bridge.greeting import HostSettings
from firmware_bridge.host_events import Connected, EventsLost, FrameRefused, Happened, HealthRead, HostEvent, LinkRefused, Lost, StateRead
from firmware_bridge.limits import NONCE_BYTES, TAG_BYTES
from firmware_bridge.link import HostLink
from firmware_bridge.messages import Fact, Health, Message, State, StateRequest
from firmware_bridge.transport import SerialTransport

BITS_PER_BYTE: Final = 10  # 8N1
ANSWER_NS: Final = 2 * NS_PER_S  # after this the controller is silent; its own lease is as long
AGAIN_NS: Final = NS_PER_S  # between two tries to open a port that went away


class LineError(GateError):
    """The controller cannot be asked; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of the controller. at_s: seconds since 1970, as this machine's clock has it."""

    at_s: float
    fact: Fact


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One question for the STATE and its answer.

    Attributes:
        writes: how often the question was written; more than once: a frame was lost.
    """

    ns: int
    writes: int


class Line:
    """One controller at one port. Used by one thread; `turn` until what was wanted has come.

    Attributes:
        trouble: why there is no session; empty while there is one.
    """

    def __init__(self, config: Config, *, simulation: bool) -> None:
        self.config = config
        self.port, self.baud = config.barrier.port, config.barrier.baud
        if is_pseudo_terminal(self.port) and not simulation:
            raise UsageError(f"{self.port} is a pseudo-terminal; an emulated controller is asked only with --simulation")
        self._link = HostLink(_settings(config, simulation=simulation))
        self._transport: SerialTransport | None = None
        self._open_due_ns = 0
        self._writes = 0
        self.connected: Connected | None = None
        self.health: Health | None = None
        self.events: list[Heard] = []
        self.events_lost = 0
        self.frames_refused = 0
        self.sessions_lost = 0
        self.trouble = "no answer yet"

    def __enter__(self) -> Self:
        """Raises PortError: no such port, another program has it, or this user may not open it."""
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave the controller at rest: nothing stays armed."""
        if self._transport is not None:
            self._link.disarm()
            with contextlib.suppress(PortLostError):
                self._transport.write(self._link.tick(time.monotonic_ns()).data)
            self._transport.close()

    @property
    def link(self) -> HostLink:
        return self._link

    @property
    def state(self) -> State | None:
        return self._link.state

    @property
    def waiting_events(self) -> int | None:
        """How many events the controller keeps for the agent."""
        if self.state is None or self.connected is None:
            return None
        return max(0, self.state.newest_event - self.connected.hello.oldest_event + 1)

    def _open(self) -> None:
        self._transport = SerialTransport(self.port, baud=self.baud)
        self._link.connect(secrets.token_bytes(NONCE_BYTES), time.monotonic_ns())

    # --- turns ----------------------------------------------------------------------------------------------------------------

    def turn(self, until_ns: int) -> tuple[HostEvent, ...]:
        """Write what is due, wait for bytes until `until_ns` at most, and tell what they bring. A port that went away is opened again."""
        if self._transport is None and time.monotonic_ns() >= self._open_due_ns:
            try:
                self._open()
            except PortError as error:
                return self._close(str(error))
        try:
            events = self._exchange(self._transport, until_ns)
        except PortLostError as error:
            self._link.hang_up(str(error))
            return (*self._noted(self._link.tick(time.monotonic_ns()).events), *self._close(str(error)))
        return self._noted(events)

    def _exchange(self, transport: SerialTransport | None, until_ns: int) -> tuple[HostEvent, ...]:
        turn = self._link.tick(time.monotonic_ns())
        deadline_ns = min(until_ns, self._link.next_deadline_ns() or until_ns)
        if transport is None:
            _wait(None, min(deadline_ns, self._open_due_ns))
            return turn.events
        if turn.data:
            self._writes += 1
            transport.write(turn.data)
        if turn.events:
            return turn.events
        _wait(transport.fileno(), deadline_ns)
        return self._link.receive(transport.read(), time.monotonic_ns())

    def _close(self, why: str) -> tuple[HostEvent, ...]:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        self._open_due_ns = time.monotonic_ns() + AGAIN_NS
        self.trouble = why
        return ()

    def _noted(self, events: tuple[HostEvent, ...]) -> tuple[HostEvent, ...]:
        for event in events:
            match event:
                case Connected():
                    self.connected = event
                case StateRead():
                    self.trouble = ""
                case HealthRead(health):
                    self.health = health
                case Happened(fact, happened_ns):
                    age_s = (time.monotonic_ns() - happened_ns) / NS_PER_S
                    self.events.append(Heard(time.time() - age_s, fact))
                case EventsLost(count):
                    self.events_lost += count
                case FrameRefused():
                    self.frames_refused += 1
                case Lost(reason) | LinkRefused(reason):
                    self.sessions_lost += self.connected is not None and not self.trouble
                    self._close(reason)
                case _:
                    pass
        return events

    # --- questions ------------------------------------------------------------------------------------------------------------

    def greet(self) -> State:
        """Wait for the session and the first STATE.

        Raises:
            LineError: nothing answers, it has another key, or one side will not work with the other.
        """
        while self.state is None:
            for event in self.turn(time.monotonic_ns() + ANSWER_NS):
                if isinstance(event, Lost | LinkRefused):
                    raise LineError(f"{self.port}: {event.reason}")
            if self._transport is None:
                raise LineError(self.trouble)
        return self.state

    def ask(self) -> RoundTrip | None:
        """Ask for the STATE once; None: no answer came, or there is no session."""
        if not self._link.up:
            self.turn(time.monotonic_ns() + 50 * NS_PER_MS)
            return None
        begun_ns, self._writes = time.monotonic_ns(), 0
        self._link.read_state(begun_ns)
        while (now_ns := time.monotonic_ns()) < begun_ns + ANSWER_NS and self._link.up:
            if any(isinstance(event, StateRead) for event in self.turn(now_ns + ANSWER_NS)):
                return RoundTrip(time.monotonic_ns() - begun_ns, self._writes)
        return None

    def run_until(self, until_ns: int) -> None:
        """Listen."""
        while time.monotonic_ns() < until_ns:
            self.turn(until_ns)


def wire_bytes(message: Message) -> int:
    """On the wire, with frame and MAC; a MAC of zeros has the same length but for the bytes that stuffing adds."""
    return len(encode_frame(Frame(type_byte(message), 1, encode(message) + b"\1" * TAG_BYTES)))


def exchange_wire_ns(state: State, baud: int) -> int:
    """How long the bytes of one question and its answer take at this speed."""
    return (wire_bytes(StateRequest()) + wire_bytes(state)) * BITS_PER_BYTE * NS_PER_S // baud


def _settings(config: Config, *, simulation: bool) -> HostSettings:
    """As the agent's own driver has them, so that the controller takes this tool for its host."""
    barrier = config.barrier
    kinds = {vocabulary.Kind.EMULATOR, vocabulary.Kind.REFERENCE_ON_PC} if simulation else {vocabulary.Kind.REAL}
    try:
        return HostSettings(
            key=read_barrier_key(barrier.kind, Path(barrier.key_file)) if barrier.key_file else None,
            host_id=hashlib.sha256(f"{config.gate.site}/{config.gate.gate}".encode()).digest()[:8],
            accepted_kinds=frozenset(kinds),
            link_inside_cabinet=barrier.link_inside_cabinet,
            baud=barrier.baud,
        )
    except BridgeError as error:
        raise UsageError(f"barrier: {error}") from error


def _wait(descriptor: int | None, until_ns: int) -> None:
    poll = select.poll()
    if descriptor is not None:
        poll.register(descriptor, select.POLLIN)
    poll.poll(max(0, -(-(until_ns - time.monotonic_ns()) // NS_PER_MS)))
