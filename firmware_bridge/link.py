"""The host's end of the link, sans-I/O: bytes and time in, events and bytes out. It opens no port, draws no nonce, reads no clock.

The owner's turn is always the same: `receive` what came in, give orders, then `tick`, write what it returns, and wait until
`next_deadline_ns` or until there are bytes or orders.
"""

from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from firmware_bridge.clock_map import ClockMap
from firmware_bridge.codec import UNTAGGED
from firmware_bridge.errors import MessageError, Reject, Rejected
from firmware_bridge.event_order import EventOrder
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
    StateRead,
)
from firmware_bridge.limits import HEARTBEAT_MS, LEASE_MS, MAX_FRAME_BYTES
from firmware_bridge.messages import (
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
from firmware_bridge.orders import Orders, cancel_name, release_name
from firmware_bridge.session import Session, read_open, seal_open
from firmware_bridge.vocabulary import Belief, Direction, HelloRefusal, Lamp, Phase, Refusal, Sender, Switch, Tone

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_HELLO_REPLY: Final = 0x81
_BITS_PER_BYTE: Final = 10  # 8N1
_HELLO_RETRY_NS: Final = 300 * _NS_PER_MS
_HELLO_PATIENCE_NS: Final = 3_000 * _NS_PER_MS  # longer than the lease, for which another host's session may keep us out
_SILENCE_NS: Final = LEASE_MS * _NS_PER_MS  # after this the controller has given our lease up as well
_HEARTBEAT_NS: Final = HEARTBEAT_MS * _NS_PER_MS
_DOUBT_NS: Final = 750 * _NS_PER_MS  # how long a heartbeat waits for the answer to a release; with its interval half a lease
_LEAST_RETRY_NS: Final = 50 * _NS_PER_MS
_ECHO_WRAP: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Turn:
    """What a tick brings: events for the owner, and bytes that are to be written now."""

    events: tuple[HostEvent, ...]
    data: bytes


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
    orders: Orders
    clock: ClockMap = field(default_factory=ClockMap)
    state: State | None = None
    echo: int = 0
    echo_sent_ns: int | None = None


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
        self._order = EventOrder()
        self._news: list[HostEvent] = []  # told with the next tick
        self.round_trip_ns: int | None = None  # of the last heartbeat

    # --- what the owner asks ------------------------------------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self._up is not None

    @property
    def state(self) -> State | None:
        """The STATE that was read last in this session."""
        return self._up.state if self._up is not None else None

    @property
    def caught_up(self) -> bool:
        """Whether a state was read and every event before it has been told: then it is time to ARM."""
        return self.state is not None and self._order.delivered >= self.state.newest_event

    def next_deadline_ns(self) -> int | None:
        """When `tick` has something to do at the latest; None: nothing until bytes or orders come."""
        if self._greeting is not None:
            return min(self._greeting.due_ns, self._greeting.gives_up_ns)
        if self._up is None:
            return 0 if self._news else None
        times = [self._up.heard_ns + _SILENCE_NS, *self._up.orders.deadlines(hold_releases=_is_closing(self._up))]
        if _heartbeat_due_ns(self._up) < self._fresh_until_ns:
            times.append(_heartbeat_due_ns(self._up))
        if self._news:
            times.append(0)
        return min(times)

    # --- orders -------------------------------------------------------------------------------------------------------------------

    def connect(self, nonce: bytes, now_ns: int) -> None:
        """Begin with HELLO. Whatever session there was is over."""
        self._end_session("the link is being set up again")
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
            self._up.orders.answered("arm")
            self._up.orders.once(Disarm())

    def release(self, *, grant_number: int, direction: Direction, window_ms: int, pulse_ms: int, expires_ns: int, now_ns: int) -> None:
        """Let one person through; not after `expires_ns`. Repeated until answered or expired."""
        order = Release(grant_number, direction, window_ms, pulse_ms, 0)
        if self._up is None:
            self._news.append(ReleaseNotSent(grant_number, "no session with the controller"))
            return
        self._up.orders.repeat(release_name(grant_number), order, now_ns=now_ns, expires_ns=expires_ns)

    def cancel(self, grant_number: int, now_ns: int) -> None:
        """Take a release back, whether it has been sent or not. Repeated until answered."""
        if self._up is not None:
            self._up.orders.answered(release_name(grant_number))
        self._repeat(cancel_name(grant_number), Cancel(grant_number), now_ns)

    def indicate(self, *, lamp: Lamp, tone: Tone, duration_ms: int) -> None:
        """Show and sound once; a controller without the capability answers NotDone."""
        if self._up is not None:
            self._up.orders.once(Indicate(lamp, tone, duration_ms))

    def acknowledge(self, event_number: int) -> None:
        """This event and all before it are safe: the controller may forget them."""
        self._order.acknowledge(event_number)
        self._send_acknowledgement()

    def _send_acknowledgement(self) -> None:
        if self._up is not None:
            self._up.orders.once(EventAck(self._order.acknowledged))

    def _repeat(self, name: str, order: HostMessage, now_ns: int) -> None:
        if self._up is not None:
            self._up.orders.repeat(name, order, now_ns=now_ns)

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
        data, events = up.orders.write(up.session, up.clock, now_ns=now_ns, hold_releases=_is_closing(up))
        out += data
        self._news += events
        if _heartbeat_due_ns(up) <= now_ns < self._fresh_until_ns:
            up.heartbeat_due_ns = now_ns + _HEARTBEAT_NS
            up.echo = (up.echo + 1) % _ECHO_WRAP
            up.echo_sent_ns = now_ns
            out += up.session.seal(Heartbeat(up.echo, self._belief, self._believed_grant))

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
                return [LinkRefused(f"the controller refuses this host: {message.reason.name}; {_why_refused(message, self._settings)}")]
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
        self._up = _Up(session, reply.boot_count, heard_ns=now_ns, heartbeat_due_ns=now_ns, orders=Orders(self._retry_ns))
        self._up.clock.learn(reply.controller_time_ms, now_ns)
        self._order.begin(reply)
        self.read_state(now_ns)
        return [Connected(reply, keyed=self._settings.key is not None)]

    def _hear(self, up: _Up, message: Message, now_ns: int) -> list[HostEvent] | Rejected:  # noqa: C901  one flat list of answers
        events: list[HostEvent] = []
        match message:
            case State():
                up.clock.learn(message.controller_time_ms, now_ns)
                up.state = message
                up.orders.answered("state")
                events.append(StateRead(message))
            case HeartbeatAck():
                up.clock.learn(message.controller_time_ms, now_ns)
                if message.echo == up.echo and up.echo_sent_ns is not None:
                    self.round_trip_ns, up.echo_sent_ns = now_ns - up.echo_sent_ns, None
                if up.state is not None and (message.phase, message.armed) != (up.state.phase, up.state.armed):
                    self.read_state(now_ns)  # a STATE was lost on the way
            case Health():
                up.clock.learn(message.controller_time_ms, now_ns)
                events.append(HealthRead(message))
            case ReleaseAck() if up.orders.answered(release_name(message.grant_number)):
                events.append(ReleaseAnswered(message))
            case CancelAck() if up.orders.answered(cancel_name(message.grant_number)):
                events.append(CancelAnswered(message))
            case ArmAck() if up.orders.answered("arm"):
                events.append(self._hear_arm(up, message, now_ns))
            case ReleaseAck() | CancelAck() | ArmAck():
                pass  # a second answer to an order that was repeated
            case Refused():
                events.append(NotDone(message))
            case NumberedEvent():
                events += self._hear_event(up, message)
            case _:
                return Rejected(Reject.UNEXPECTED, f"{type(message).__name__} in the middle of a session")
        return events

    def _hear_arm(self, up: _Up, message: ArmAck, now_ns: int) -> HostEvent:
        if message.refusal is Refusal.NONE:
            if up.state is not None:
                up.state = replace(up.state, armed=Switch.ON)
            return Armed()
        if message.refusal is Refusal.STALE_STATE:
            self.read_state(now_ns)
        return ArmRefused(message.refusal)

    def _hear_event(self, up: _Up, event: Fact) -> list[HostEvent]:
        heard, events = self._order.hear(event), list[HostEvent]()
        if heard.acknowledge_again:
            self._send_acknowledgement()
        if heard.lost:
            events.append(EventsLost(heard.lost))
        if heard.event is not None:
            events.append(Happened(heard.event, up.clock.host_ns(heard.event.happened_ms)))
        return events

    def _lose(self, reason: str) -> None:
        if self._greeting is None and self._up is None:
            return
        self._end_session(reason)
        self._greeting = None
        self._news.append(Lost(reason))

    def _end_session(self, reason: str) -> None:
        if self._up is not None:
            self._news += self._up.orders.drop(reason)
        self._up = None


def _why_refused(message: HelloRefused, settings: HostSettings) -> str:
    match message.reason:
        case HelloRefusal.VERSION:
            return f"it speaks versions {message.min_version} to {message.max_version}"
        case HelloRefusal.LINK_MODE if settings.key is not None:
            return "this gate has a key and the controller has none; give it the gate's key"
        case HelloRefusal.LINK_MODE:
            return "the controller has a key and this gate has none; give the gate the controller's key"
        case HelloRefusal.OTHER_HOST:
            return "another host is in charge of it; it is free two seconds after that one's last heartbeat"
        case _:
            assert_never(message.reason)


def _heartbeat_due_ns(up: _Up) -> int:
    """A heartbeat states what is known. Between RELEASE and its answer nothing is, so it waits a little rather than guess."""
    return up.heartbeat_due_ns + (_DOUBT_NS if up.orders.awaits_release else 0)


def _is_closing(up: _Up) -> bool:
    return up.state is not None and up.state.phase is Phase.CLOSING
