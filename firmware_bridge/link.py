"""The host's end of the link, sans-I/O: bytes and time in, events and bytes out. It opens no port, draws no nonce, reads no clock.

The owner's turn is always the same: `receive` what came in, give orders, then `tick`, write what it returns, and wait until
`next_deadline_ns` or until there are bytes or orders.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from firmware_bridge.clock_map import ClockMap
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.framing import Frame, FrameReader
from firmware_bridge.greeting import HostSettings, hello, read_reply, why_not
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
from firmware_bridge.limits import HEARTBEAT_MS, LEASE_MS, MAX_FRAME_BYTES
from firmware_bridge.messages import (
    UNTAGGED,
    Arm,
    ArmAck,
    Cancel,
    CancelAck,
    Disarm,
    EventAck,
    Fact,
    Health,
    Heartbeat,
    HeartbeatAck,
    Hello,
    HelloRefused,
    HostMessage,
    Indicate,
    Message,
    NoSession,
    NumberedEvent,
    Refused,
    Release,
    ReleaseAck,
    State,
    StateRequest,
)
from firmware_bridge.session import Session, read_open, seal_open
from firmware_bridge.vocabulary import Belief, Direction, Lamp, Refusal, Sender, Switch, Tone

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_HELLO_REPLY: Final = 0x81
_BITS_PER_BYTE: Final = 10  # 8N1
_HELLO_RETRY_NS: Final = 300 * _NS_PER_MS
_HELLO_PATIENCE_NS: Final = 3_000 * _NS_PER_MS  # longer than the lease, for which another host's session may keep us out
_SILENCE_NS: Final = LEASE_MS * _NS_PER_MS  # after this the controller has given our lease up as well
_HEARTBEAT_NS: Final = HEARTBEAT_MS * _NS_PER_MS
_LEAST_RETRY_NS: Final = 50 * _NS_PER_MS
_ECHO_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Turn:
    """What a tick brings: events for the owner, and bytes that are to be written now."""

    events: tuple[HostEvent, ...]
    data: bytes


@dataclass(slots=True)
class _Repeated:
    """An order that is written again until it is answered."""

    order: HostMessage
    due_ns: int
    expires_ns: int | None = None
    written: bool = False


@dataclass(slots=True)
class _Greeting:
    hello: Hello
    due_ns: int
    gives_up_ns: int
    other_key: bool = False


@dataclass(slots=True)
class _Up:
    """All that lives as long as one session."""

    session: Session
    boot_count: int
    heard_ns: int
    heartbeat_due_ns: int
    clock: ClockMap = field(default_factory=ClockMap)
    state: State | None = None
    orders: dict[str, _Repeated] = field(default_factory=dict)
    once: list[HostMessage] = field(default_factory=list)
    echo: int = 0
    echoed_ns: dict[int, int] = field(default_factory=dict)


class HostLink:
    """One host, one controller. Orders are kept until `tick` writes them, so their time is judged at the moment of writing."""

    def __init__(self, settings: HostSettings) -> None:
        self._settings = settings
        wire_ns = 2 * MAX_FRAME_BYTES * _BITS_PER_BYTE * _NS_PER_S // settings.baud
        self._retry_ns = max(_LEAST_RETRY_NS, wire_ns)
        self._reader = FrameReader()
        self._greeting: _Greeting | None = None
        self._up: _Up | None = None
        self._belief, self._believed_grant, self._fresh_until_ns = Belief.SECURED, 0, 0
        self._events_of: tuple[bytes, int] | None = None  # controller and boot that the event numbers belong to
        self._delivered = 0
        self._acknowledged = 0
        self._news: list[HostEvent] = []  # told with the next tick
        self.round_trip_ns: int | None = None  # of the last heartbeat

    # --- what the owner asks ------------------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self._up is not None

    def next_deadline_ns(self) -> int | None:
        """When `tick` has something to do at the latest; None: nothing until bytes or orders come."""
        if self._greeting is not None:
            return min(self._greeting.due_ns, self._greeting.gives_up_ns)
        if self._up is None:
            return 0 if self._news else None
        times = [self._up.heard_ns + _SILENCE_NS, *(o.due_ns for o in self._up.orders.values())]
        if self._up.heartbeat_due_ns < self._fresh_until_ns:
            times.append(self._up.heartbeat_due_ns)
        if self._up.once or self._news:
            times.append(0)
        return min(times)

    # --- orders -------------------------------------------------------------------------------------------------------------------

    def connect(self, nonce: bytes, now_ns: int) -> None:
        """Begin with HELLO. Whatever session there was is over."""
        self._drop_orders("the link is being set up again")
        self._up = None
        self._greeting = _Greeting(hello(self._settings, nonce), now_ns, now_ns + _HELLO_PATIENCE_NS)

    def hang_up(self, reason: str) -> None:
        """The port is gone: no session any more."""
        self._lose(reason)
        self._reader = FrameReader()

    def believe(self, belief: Belief, *, grant_number: int, fresh_until_ns: int) -> None:
        """What the next heartbeats say, and until when they may be sent: the life sign of whoever holds the belief."""
        self._belief, self._believed_grant, self._fresh_until_ns = belief, grant_number, fresh_until_ns

    def read_state(self, now_ns: int) -> None:
        """Ask for the STATE; the answer comes as StateRead."""
        self._repeat("state", StateRequest(), now_ns)

    def arm(self, now_ns: int) -> None:
        """Permit releases, on the ground of the state that was read last.

        Raises:
            MessageError: no state was read in this session.
        """
        if self._up is None or self._up.state is None:
            raise MessageError("ARM before the controller's STATE was read in this session; wait for StateRead")
        self._repeat("arm", Arm(self._up.state.revision), now_ns)

    def disarm(self) -> None:
        if self._up is not None:
            self._up.orders.pop("arm", None)
            self._up.once.append(Disarm())

    def release(self, *, grant_number: int, direction: Direction, window_ms: int, pulse_ms: int, expires_ns: int, now_ns: int) -> None:
        """Let one person through; not after `expires_ns`. Repeated until answered or expired."""
        order = Release(grant_number, direction, window_ms, pulse_ms, 0)
        if self._up is None:
            self._news.append(ReleaseNotSent(grant_number, "no session with the controller"))
            return
        self._up.orders[f"release {grant_number}"] = _Repeated(order, now_ns, expires_ns)

    def cancel(self, grant_number: int, now_ns: int) -> None:
        """Take a release back, whether it has been sent or not. Repeated until answered."""
        if self._up is not None:
            self._up.orders.pop(f"release {grant_number}", None)
        self._repeat(f"cancel {grant_number}", Cancel(grant_number), now_ns)

    def indicate(self, *, lamp: Lamp, tone: Tone, duration_ms: int) -> None:
        """Show and sound once; a controller without the capability answers NotDone."""
        if self._up is not None:
            self._up.once.append(Indicate(lamp, tone, duration_ms))

    def acknowledge(self, event_number: int) -> None:
        """This event and all before it are safe: the controller may forget them."""
        self._acknowledged = max(self._acknowledged, event_number)
        self._send_acknowledgement()

    def _send_acknowledgement(self) -> None:
        if self._up is not None:
            self._up.once = [m for m in self._up.once if not isinstance(m, EventAck)]
            self._up.once.append(EventAck(self._acknowledged))

    def _repeat(self, name: str, order: HostMessage, now_ns: int) -> None:
        if self._up is not None:
            self._up.orders[name] = _Repeated(order, now_ns)

    # --- time: what is due is written -----------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> Turn:
        """Everything that is due now. The bytes are to be written at once: expiry was judged for this moment."""
        out = bytearray()
        if self._greeting is not None:
            self._tick_greeting(self._greeting, now_ns, out)
        if self._up is not None and now_ns >= self._up.heard_ns + _SILENCE_NS:
            self._lose(f"the controller has been silent for {_SILENCE_NS // _NS_PER_MS} ms")
        if self._up is not None:
            self._tick_session(self._up, now_ns, out)
        news, self._news = tuple(self._news), []
        return Turn(news, bytes(out))

    def _tick_greeting(self, greeting: _Greeting, now_ns: int, out: bytearray) -> None:
        if now_ns >= greeting.gives_up_ns:
            if greeting.other_key:
                self._lose("the controller answers HELLO under another key; compare the key of the gate with that of the controller")
            else:
                self._lose(f"no answer to HELLO within {_HELLO_PATIENCE_NS // _NS_PER_MS} ms; check cable, power and baud rate")
        elif now_ns >= greeting.due_ns:
            greeting.due_ns = now_ns + _HELLO_RETRY_NS
            out += seal_open(greeting.hello)

    def _tick_session(self, up: _Up, now_ns: int, out: bytearray) -> None:
        for name, repeated in list(up.orders.items()):
            if repeated.expires_ns is not None and now_ns >= repeated.expires_ns:
                del up.orders[name]
                self._expire(repeated, now_ns)
            elif now_ns >= repeated.due_ns:
                repeated.due_ns, repeated.written = now_ns + self._retry_ns, True
                out += up.session.seal(_timed(repeated, up.clock))
        for name, repeated in list(up.orders.items()):  # a cancel that an expiry has just brought
            if not repeated.written:
                repeated.due_ns, repeated.written = now_ns + self._retry_ns, True
                out += up.session.seal(up.orders[name].order)
        once, up.once = up.once, []
        for message in once:
            out += up.session.seal(message)
        if up.heartbeat_due_ns <= now_ns < self._fresh_until_ns:
            up.heartbeat_due_ns = now_ns + _HEARTBEAT_NS
            up.echo = (up.echo + 1) % _ECHO_WRAP
            up.echoed_ns = {up.echo: now_ns}
            out += up.session.seal(Heartbeat(up.echo, self._belief, self._believed_grant))

    def _expire(self, repeated: _Repeated, now_ns: int) -> None:
        if not isinstance(repeated.order, Release):
            return
        grant = repeated.order.grant_number
        if repeated.written:
            self._news.append(ReleaseUnanswered(grant))
            self.cancel(grant, now_ns)
        else:
            self._news.append(ReleaseNotSent(grant, "its time had passed before it could be written"))

    # --- bytes ----------------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> tuple[HostEvent, ...]:
        """What the bytes bring. Any bytes give events; a bad frame is FrameRefused and changes nothing."""
        events: list[HostEvent] = []
        for frame in self._reader.feed(data):
            taken = frame if isinstance(frame, Rejected) else self._take(frame, now_ns)
            events += [FrameRefused(taken)] if isinstance(taken, Rejected) else taken
        return tuple(events)

    def _take(self, frame: Frame, now_ns: int) -> list[HostEvent] | Rejected:
        if frame.type in UNTAGGED:
            message = read_open(frame, receiver=Sender.HOST)
            return message if isinstance(message, Rejected) else self._hear_open(message)
        if self._greeting is not None:
            return self._hear_reply(self._greeting, frame, now_ns)
        if self._up is None:
            return Rejected(Reject.NO_SESSION, f"type 0x{frame.type:02x} while no session is wanted")
        if frame.type == _HELLO_REPLY:
            return Rejected(Reject.UNEXPECTED, "HELLO_REPLY in the middle of a session")
        message = self._up.session.open(frame)
        if isinstance(message, Rejected):
            return message
        self._up.heard_ns = now_ns
        return self._hear(self._up, message, now_ns)

    def _hear_open(self, message: Message) -> list[HostEvent] | Rejected:
        match message:
            case HelloRefused() if self._greeting is not None and message.host_nonce == self._greeting.hello.host_nonce:
                self._greeting = None
                spoken = f"it speaks versions {message.min_version} to {message.max_version}"
                return [LinkRefused(f"the controller refuses this host: {message.reason.name}; {spoken}")]
            case NoSession() if self._up is not None and message.boot_count != self._up.boot_count:
                self._lose("the controller has restarted")
                return []
            case NoSession():
                return []
            case _:
                return Rejected(Reject.UNEXPECTED, f"{type(message).__name__} that answers nothing of ours")

    def _hear_reply(self, greeting: _Greeting, frame: Frame, now_ns: int) -> list[HostEvent] | Rejected:
        if frame.type != _HELLO_REPLY:
            return Rejected(Reject.NO_SESSION, f"type 0x{frame.type:02x} before the answer to HELLO")
        found = read_reply(self._settings, greeting.hello, frame)
        if isinstance(found, Rejected):
            greeting.other_key |= found.reason is Reject.WRONG_MAC
            return found
        session, reply = found
        self._greeting = None
        problem = why_not(self._settings, reply)
        if problem is not None:
            return [LinkRefused(problem)]
        self._up = _Up(session, reply.boot_count, heard_ns=now_ns, heartbeat_due_ns=now_ns)
        self._up.clock.learn(reply.controller_time_ms, now_ns)
        if self._events_of != (reply.controller_id, reply.boot_count):
            self._events_of = (reply.controller_id, reply.boot_count)
            self._delivered = self._acknowledged = reply.oldest_event - 1
        self.read_state(now_ns)
        return [Connected(reply, keyed=self._settings.key is not None)]

    def _hear(self, up: _Up, message: Message, now_ns: int) -> list[HostEvent] | Rejected:
        match message:
            case State():
                up.clock.learn(message.controller_time_ms, now_ns)
                up.state = message
                up.orders.pop("state", None)
                return [StateRead(message)]
            case HeartbeatAck():
                up.clock.learn(message.controller_time_ms, now_ns)
                sent_ns = up.echoed_ns.pop(message.echo, None)
                if sent_ns is not None:
                    self.round_trip_ns = now_ns - sent_ns
                return []
            case ReleaseAck():
                pending = up.orders.pop(f"release {message.grant_number}", None)
                return [ReleaseAnswered(message)] if pending is not None else []
            case CancelAck():
                pending = up.orders.pop(f"cancel {message.grant_number}", None)
                return [CancelAnswered(message)] if pending is not None else []
            case ArmAck():
                return self._hear_arm(up, message, now_ns)
            case Health():
                up.clock.learn(message.controller_time_ms, now_ns)
                return [HealthRead(message)]
            case Refused():
                return [NotDone(message)]
            case NumberedEvent():
                return self._hear_event(up, message)
            case _:
                return Rejected(Reject.UNEXPECTED, f"{type(message).__name__} in the middle of a session")

    def _hear_arm(self, up: _Up, message: ArmAck, now_ns: int) -> list[HostEvent]:
        if up.orders.pop("arm", None) is None:
            return []
        if message.refusal is Refusal.NONE:
            if up.state is not None:
                up.state = replace(up.state, armed=Switch.ON)
            return [Armed()]
        if message.refusal is Refusal.STALE_STATE:
            self.read_state(now_ns)
        return [ArmRefused(message.refusal)]

    def _hear_event(self, up: _Up, event: Fact) -> list[HostEvent]:
        number, events = event.event_number, list[HostEvent]()
        if number <= self._delivered:
            if number <= self._acknowledged:
                self._send_acknowledgement()  # ours was lost
            return events
        missing = event.oldest_event - self._delivered - 1
        if missing > 0:
            events.append(EventsLost(missing))
            self._delivered = event.oldest_event - 1
        if number == self._delivered + 1:  # a gap else: the controller goes back to the oldest that is not acknowledged
            self._delivered = number
            events.append(Happened(event, up.clock.host_ns(event.happened_ms)))
        return events

    def _lose(self, reason: str) -> None:
        if self._greeting is None and self._up is None:
            return
        self._drop_orders(reason)
        self._greeting = self._up = None
        self._news.append(Lost(reason))

    def _drop_orders(self, reason: str) -> None:
        """What was never written is known to be without effect; what was written is settled by the state after reconnecting."""
        for repeated in self._up.orders.values() if self._up is not None else ():
            if isinstance(repeated.order, Release) and not repeated.written:
                self._news.append(ReleaseNotSent(repeated.order.grant_number, reason))


def _timed(repeated: _Repeated, clock: ClockMap) -> HostMessage:
    """A release with its deadline in the controller's time, from the newest readings; any other order as it is."""
    if isinstance(repeated.order, Release) and repeated.expires_ns is not None:
        return replace(repeated.order, not_after_ms=clock.earliest_ms(repeated.expires_ns))
    return repeated.order
