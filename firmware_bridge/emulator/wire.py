"""The controller's end of the link: HELLO, the session, and events that are repeated until the host has them."""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from firmware_bridge.codec import encode
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.errors import Reject, Rejected
from firmware_bridge.framing import Frame, FrameReader
from firmware_bridge.limits import EVENT_QUEUE, EVENT_RESEND_MS, EVENT_WINDOW, NO_SESSION_MS, PROTOCOL_VERSION
from firmware_bridge.mac import check_key, derived_nonce, session_key
from firmware_bridge.messages import ControllerMessage, EventAck, Fact, Hello, HelloRefused, HelloReply, HostMessage, NoSession
from firmware_bridge.session import Session, read_open, seal_open, why_not_mine
from firmware_bridge.ticks import reached, wrap
from firmware_bridge.vocabulary import HelloRefusal, Sender

_HELLO: Final = 0x01
_LINE_FAULTS: Final = frozenset({Reject.TOO_LONG, Reject.COBS, Reject.TOO_SHORT, Reject.CHECKSUM})


@dataclass(frozen=True, slots=True)
class Greeting:
    """A HELLO that fits, waiting for the HELLO_REPLY that the controller fills in."""

    hello: Hello
    nonce: bytes


@dataclass(frozen=True, slots=True)
class _Link:
    session: Session
    hello: Hello
    reply: bytes


Arrival = HostMessage | Greeting | Rejected


class Wire:
    """Frames in, messages out; replies and events in, bytes out (`out`).

    A HELLO prepares a new session, but the one in force stays until the first right message under the new one: so neither a
    recorded HELLO nor noise can end a session.
    """

    def __init__(self, settings: ControllerSettings, *, boot_count: int) -> None:
        self._mode, self._key = check_key(settings.key)
        self._boot_count = boot_count
        self._hellos = 0
        self._reader = FrameReader()
        self._current: _Link | None = None
        self._pending: _Link | None = None
        self._events: deque[Fact] = deque()
        self._in_flight = 0
        self._next_event = 1
        self._resend_due: int | None = None
        self._no_session_due: int | None = None
        self.out = bytearray()
        self.good_frames = 0
        self.checksum_errors = 0
        self.refused_frames = 0
        self.dropped_events = 0

    @property
    def in_session(self) -> bool:
        return self._current is not None

    @property
    def oldest_event(self) -> int:
        return self._events[0].event_number if self._events else self._next_event

    @property
    def newest_event(self) -> int:
        return self._next_event - 1

    def deadlines(self) -> tuple[int | None, ...]:
        return (self._resend_due,)

    # --- in -----------------------------------------------------------------------------------------------------------------------

    def frames(self, data: bytes) -> tuple[Frame | Rejected, ...]:
        """The bytes cut into frames. `take` each, and carry it out, before the next."""
        return self._reader.feed(data)

    def take(self, frame: Frame | Rejected, *, now_ms: int, lease_lives: bool) -> tuple[Arrival, bool]:
        """What a frame brings, and whether it begins a session. `lease_lives`: another host would cut a lease short."""
        arrival, begins = (frame, False) if isinstance(frame, Rejected) else self._take(frame, now_ms, lease_lives=lease_lives)
        self._tally(arrival)
        if isinstance(arrival, EventAck):
            self._acknowledged(arrival.event_number, now_ms)
        return arrival, begins

    def _tally(self, arrival: Arrival) -> None:
        if not isinstance(arrival, Rejected):
            self.good_frames += 1
        elif arrival.reason in _LINE_FAULTS:
            self.checksum_errors += 1
        else:
            self.refused_frames += 1

    def _take(self, frame: Frame, now_ms: int, *, lease_lives: bool) -> tuple[Arrival, bool]:
        if frame.type == _HELLO:
            return self._greet(frame, lease_lives=lease_lives), False
        misfit = why_not_mine(frame, receiver=Sender.CONTROLLER)
        if misfit is not None:
            return misfit, False  # an echo of ours, too: answering it could go on for ever
        refusal = Rejected(Reject.NO_SESSION, f"type 0x{frame.type:02x} before any HELLO")
        if self._current is not None:
            found = self._current.session.open(frame)
            if not isinstance(found, Rejected):
                return _host(found), False
            refusal = found
        if self._pending is not None and refusal.reason in (Reject.WRONG_MAC, Reject.NO_SESSION):
            found = self._pending.session.open(frame)
            if not isinstance(found, Rejected):
                self._current, self._pending = self._pending, None
                self._in_flight, self._resend_due = 0, wrap(now_ms)  # this host may know none of the events yet
                return _host(found), True
            refusal = found
        elif self._current is None:
            self._say_no_session(now_ms)
        return refusal, False

    def _greet(self, frame: Frame, *, lease_lives: bool) -> Arrival:
        hello = read_open(frame, receiver=Sender.CONTROLLER)
        if isinstance(hello, Rejected):
            return hello
        if not isinstance(hello, Hello):
            return Rejected(Reject.UNEXPECTED, f"{type(hello).__name__} without a session")
        for link in (self._pending, self._current):
            if link is not None and link.hello == hello:  # the same HELLO again: the same answer, and nothing changes
                self.out += link.reply
                return Rejected(Reject.UNEXPECTED, "a HELLO that was answered before; the same answer went out again")
        refusal = self._why_not(hello, lease_lives=lease_lives)
        if refusal is not None:
            self.out += seal_open(HelloRefused(refusal, PROTOCOL_VERSION, PROTOCOL_VERSION, hello.host_nonce))
            return Rejected(Reject.UNEXPECTED, f"HELLO refused: {refusal.name}")
        self._hellos += 1
        return Greeting(hello, derived_nonce(self._key, boot_count=self._boot_count, hello_count=self._hellos))

    def _why_not(self, hello: Hello, *, lease_lives: bool) -> HelloRefusal | None:
        if not hello.min_version <= PROTOCOL_VERSION <= hello.max_version:
            return HelloRefusal.VERSION
        if hello.link_mode is not self._mode:
            return HelloRefusal.LINK_MODE
        if lease_lives and self._current is not None and self._current.hello.host_id != hello.host_id:
            return HelloRefusal.OTHER_HOST
        return None

    # --- out ----------------------------------------------------------------------------------------------------------------------

    def answer_hello(self, greeting: Greeting, reply: HelloReply) -> None:
        key = session_key(self._key, hello_payload=encode(greeting.hello), controller_nonce=greeting.nonce)
        session = Session(key, me=Sender.CONTROLLER)
        self._pending = _Link(session, greeting.hello, session.seal_reply(reply))
        self.out += self._pending.reply

    def announce_boot(self) -> None:
        """A host that still believes in the session before the restart need not wait for its own patience to end."""
        self.out += seal_open(NoSession(self._boot_count))

    def _say_no_session(self, now_ms: int) -> None:
        if self._no_session_due is None:
            self._no_session_due = wrap(now_ms + NO_SESSION_MS)
            self.announce_boot()

    def send(self, message: ControllerMessage) -> None:
        """To the host in session; without one it is dropped."""
        if self._current is not None and self._current.session.spent:
            self._current = None  # its numbers are used up
        if self._current is not None:
            self.out += self._current.session.seal(message)

    # --- events -------------------------------------------------------------------------------------------------------------------

    def report(self, fact: Fact, now_ms: int) -> bool:
        """Number an event and keep it until a host has it.

        False: the queue was full and gave up its oldest. The passage counters stay exact.
        """
        full = len(self._events) == EVENT_QUEUE
        if full:
            self._events.popleft()
            self._in_flight = max(0, self._in_flight - 1)
            self.dropped_events += 1
        self._events.append(replace(fact, event_number=self._next_event))
        self._next_event += 1
        self._send_fresh(now_ms)
        return not full

    def advance(self, now_ms: int) -> None:
        if reached(now_ms, self._no_session_due):
            self._no_session_due = None
        if reached(now_ms, self._resend_due):
            self._in_flight = 0  # go back to the oldest
            self._resend_due = None
            self._send_fresh(now_ms)

    def _send_fresh(self, now_ms: int) -> None:
        if self._current is None:
            return
        while self._in_flight < min(len(self._events), EVENT_WINDOW):
            self.send(replace(self._events[self._in_flight], oldest_event=self.oldest_event))
            self._in_flight += 1
            self._resend_due = wrap(now_ms + EVENT_RESEND_MS)

    def _acknowledged(self, number: int, now_ms: int) -> None:
        while self._events and self._events[0].event_number <= number:
            self._events.popleft()
            self._in_flight = max(0, self._in_flight - 1)
        self._resend_due = wrap(now_ms + EVENT_RESEND_MS) if self._in_flight else None
        self._send_fresh(now_ms)


def _host(message: object) -> Arrival:
    """A message of a session, as one that a host may send; the direction was checked when it was opened."""
    if isinstance(message, HostMessage):
        return message
    return Rejected(Reject.WRONG_DIRECTION, f"{type(message).__name__} is none of the host's")
