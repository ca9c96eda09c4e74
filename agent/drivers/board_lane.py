"""What a bought board's outputs and contacts mean for the lane. Pure: the board's events and time in, the core's inputs and pulses out.

The board knows neither grants nor passages. So this keeps the window after a release, lets one person through for each grant number, and
takes the turnstile's contacts for what they are: a passage contact closes for a moment once somebody has walked through that way, and
the fire contact is closed while there is no fire.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from agent.core.effects import ReleaseBarrier
from agent.core.identity import NO_GRANT, Direction, GrantNumber
from agent.core.inputs import (
    BarrierAlarm,
    BarrierAlarmed,
    BarrierConnected,
    BarrierFaulted,
    BarrierInput,
    BarrierLost,
    CancelTooLate,
    ControllerKind,
    EmergencyCleared,
    EmergencyRaised,
    GrantOutcome,
    PassageCompleted,
    PassageStarted,
    ReleaseAccepted,
    ReleaseEnd,
    ReleaseEnded,
    ReleaseRefused,
)
from agent.core.moment import NS_PER_MS, NS_PER_S
from firmware_bridge.board import (
    BoardEvent,
    BoardFaulted,
    BoardOffline,
    BoardOnline,
    InputsRead,
    PulseRefused,
    PulseTaken,
    PulseUnknown,
)

# From starting in the window's last moment to the contact behind the turnstile; the core waits 2 s more than the window.
WALK_NS: Final = 3 * NS_PER_S // 2
BOUNCE_NS: Final = 300 * NS_PER_MS  # a contact that closes again within this is the same passage: nobody walks as close behind another
STUCK_NS: Final = 10 * NS_PER_S  # a passage contact closes for a moment; one that stays closed tells of nobody any more
CLEAR_NS: Final = 2 * NS_PER_S  # how long the fire contact must be closed again: a loose wire chatters

_log = logging.getLogger("gate.barrier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What is wired to the board; numbers count from 0.

    Attributes:
        outputs: which output releases a direction; a direction without one cannot be released.
        passed: which input's contact tells of a passage; a direction without one has none.
        emergency: the input of the fire contact, normally closed; None: not wired here.
    """

    outputs: Mapping[Direction, int]
    passed: Mapping[Direction, int]
    emergency: int | None

    @property
    def inputs(self) -> int:
        """How many inputs have to be read."""
        return max((*self.passed.values(), -1 if self.emergency is None else self.emergency), default=-1) + 1


@dataclass(frozen=True, slots=True)
class Open:
    """The one release that is under way.

    Attributes:
        ends_ns: when it is over; None until the board has taken the pulse, or may have.
        taken_back: a cancel came before that.
    """

    order: ReleaseBarrier
    ends_ns: int | None = None
    taken_back: bool = False


@dataclass(slots=True)
class _Contact:
    """One passage contact."""

    direction: Direction
    closed: bool
    since_ns: int
    passed_ns: int | None = None  # the last passage that it told of
    stuck: bool = False


@dataclass(slots=True)
class _Up:
    """What lives as long as the board answers."""

    identity: BoardOnline
    contacts: dict[int, _Contact] = field(default_factory=dict)
    ready: bool = False  # the core knows it


class BoardLane:
    """One lane behind one board.

    Args:
        highest: the highest grant number that may have been written before: that of the journal, which holds each grant before its
            release. Nothing up to it is written again.
    """

    def __init__(self, wiring: Wiring, *, highest: GrantNumber, kind: ControllerKind, pulse: Callable[[ReleaseBarrier], None]) -> None:
        self._wiring = wiring
        self._highest = highest
        self._kind = kind
        self._pulse = pulse
        self._up: _Up | None = None
        self._open: Open | None = None
        self._spent: Open | None = None  # used, and its window not over: whoever follows now came on no grant of their own
        self._emergency = False  # told
        self._normal_since_ns: int | None = None  # the fire contact is closed again

    # --- what the core orders -----------------------------------------------------------------------------------------------------

    def release(self, order: ReleaseBarrier) -> tuple[BarrierInput, ...]:
        """Have the pulse written, once for each grant number ever."""
        problem = self._why_not(order)
        if problem is not None:
            return (ReleaseRefused(order.grant, problem),)
        self._highest, self._open, self._spent = order.grant, Open(order), None
        self._pulse(order)
        return ()

    def _why_not(self, order: ReleaseBarrier) -> str | None:
        if self._up is None or not self._up.ready:
            return "not_armed"
        if self._emergency:
            return "emergency"
        if order.grant <= self._highest:
            return "grant_used"
        if self._open is not None:
            return "busy"
        return None if order.direction in self._wiring.outputs else "no_output"

    def cancel(self, grant: GrantNumber) -> tuple[BarrierInput, ...]:
        """No board takes a pulse back. A grant that was never written is used up, so that it never will be."""
        if self._open is not None and self._open.order.grant == grant:
            if self._open.ends_ns is not None:
                return (CancelTooLate(grant),)
            self._open = replace(self._open, taken_back=True)
            return ()
        if grant <= self._highest:
            return ()  # its end was told
        self._highest = grant
        return (ReleaseEnded(grant, ReleaseEnd.CANCELLED),)

    # --- what the board tells -----------------------------------------------------------------------------------------------------

    def hear(self, event: BoardEvent, now_ns: int) -> tuple[BarrierInput, ...]:  # noqa: PLR0911  one row for each kind of event
        match event:
            case BoardOnline():
                self._up = _Up(event)
                return self._connect() if self._wiring.inputs == 0 else ()
            case BoardOffline(reason):
                return self._lose(reason)
            case BoardFaulted(fault, active):
                return (BarrierFaulted(fault, active),)
            case InputsRead(closed):
                return self._read(closed, now_ns)
            case PulseTaken(token):
                return self._taken(token, now_ns)
            case PulseUnknown(token, reason):
                _log.warning("grant %d: nobody knows whether the board has switched: %s", token, reason)
                return self._taken(token, now_ns)
            case PulseRefused(token, reason):
                return self._refused(token, reason)
            case _:
                assert_never(event)

    def _lose(self, reason: str) -> tuple[BarrierInput, ...]:
        self._up, self._open, self._spent, self._normal_since_ns = None, None, None, None
        return (BarrierLost(reason),)

    def _connect(self) -> tuple[BarrierInput, ...]:
        if self._up is None:
            return ()
        self._up.ready = True
        connected = BarrierConnected(
            controller=self._up.identity.identity,
            firmware=self._up.identity.firmware,
            kind=self._kind,
            authenticated=self._up.identity.authenticated,
            highest_grant=self._highest,
            last_outcome=GrantOutcome.NONE if self._highest == NO_GRANT else GrantOutcome.UNKNOWN,
            passage_counter=None,
            emergency=self._emergency,
        )
        return (connected,)

    def _taken(self, token: int, now_ns: int) -> tuple[BarrierInput, ...]:
        """The window begins: from here on somebody may pass."""
        if self._open is None or self._open.order.grant != token:
            return ()
        order = self._open.order
        self._open = replace(self._open, ends_ns=now_ns + order.window_ms * NS_PER_MS + self._walk_ns(order.direction))
        accepted = ReleaseAccepted(order.grant)
        return (accepted, CancelTooLate(order.grant)) if self._open.taken_back else (accepted,)

    def _walk_ns(self, direction: Direction) -> int:
        return WALK_NS if direction in self._wiring.passed else 0

    def _refused(self, token: int, reason: str) -> tuple[BarrierInput, ...]:
        if self._open is None or self._open.order.grant != token:
            return ()
        _log.warning("grant %d was not released: %s", token, reason)
        taken_back, self._open = self._open.taken_back, None
        if taken_back:  # the core waits for the end of its cancel, and perhaps no longer for the release's answer
            return (ReleaseEnded(GrantNumber(token), ReleaseEnd.CANCELLED),)
        return (ReleaseRefused(GrantNumber(token), "board_refused"),)

    # --- contacts -------------------------------------------------------------------------------------------------------------------

    def _read(self, closed: tuple[bool, ...], now_ns: int) -> tuple[BarrierInput, ...]:
        up = self._up
        if up is None:
            return ()
        if len(closed) < self._wiring.inputs:
            self._up = None
            return (BarrierLost(f"the board has {len(closed)} inputs, and [board] names number {self._wiring.inputs - 1}, counted from 0"),)
        told = self._read_emergency(closed, now_ns)
        if not up.ready:
            up.contacts = {number: _Contact(way, closed[number], now_ns) for way, number in self._wiring.passed.items()}
            return (*self._connect(), *(one for one in told if isinstance(one, EmergencyCleared)))
        return (*told, *(one for number, contact in up.contacts.items() for one in self._contact(contact, closed[number], now_ns)))

    def _read_emergency(self, closed: tuple[bool, ...], now_ns: int) -> tuple[BarrierInput, ...]:
        if self._wiring.emergency is None:
            return ()
        if not closed[self._wiring.emergency]:
            self._normal_since_ns = None
            if self._emergency:
                return ()
            self._emergency, self._open, self._spent = True, None, None
            return (EmergencyRaised(),)
        if not self._emergency:
            return ()
        self._normal_since_ns = self._normal_since_ns or now_ns
        if now_ns < self._normal_since_ns + CLEAR_NS:
            return ()
        self._emergency = False
        return (EmergencyCleared(),)

    def _contact(self, contact: _Contact, closed: bool, now_ns: int) -> tuple[BarrierInput, ...]:
        name = f"passed_{contact.direction}_stays_closed"
        if closed is contact.closed:
            if not closed or contact.stuck or now_ns < contact.since_ns + STUCK_NS:
                return ()
            contact.stuck = True
            return (BarrierFaulted(name, active=True),)
        mended = (BarrierFaulted(name, active=False),) if contact.stuck else ()
        bounce = contact.passed_ns is not None and now_ns < contact.passed_ns + BOUNCE_NS
        contact.closed, contact.since_ns, contact.stuck = closed, now_ns, False
        if not closed or bounce:
            return mended
        contact.passed_ns = now_ns
        return self._passed(contact.direction, now_ns)

    def _passed(self, direction: Direction, now_ns: int) -> tuple[BarrierInput, ...]:
        """Somebody has walked through: on the open grant, or on none."""
        if self._open is not None and self._open.order.direction is direction:
            grant = self._open.order.grant
            self._open, self._spent = None, self._open
            return (PassageStarted(grant, direction), PassageCompleted(grant, direction, None))
        passed = PassageCompleted(NO_GRANT, direction, None)
        if self._emergency:
            return (passed,)
        if self._spent is not None and self._spent.order.direction is direction and now_ns < (self._spent.ends_ns or 0):
            return (BarrierAlarmed(BarrierAlarm.TAILGATING, self._spent.order.grant), passed)
        if direction is Direction.ENTRY:
            return (BarrierAlarmed(BarrierAlarm.FORCED_OPEN, NO_GRANT), passed)
        return (passed,)  # the exit button is the turnstile's own: whoever used it comes out unannounced

    # --- time -----------------------------------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> tuple[BarrierInput, ...]:
        """The window is over and no contact has closed; or there is none that could."""
        if self._open is None or self._open.ends_ns is None or now_ns < self._open.ends_ns:
            return ()
        order, self._open = self._open.order, None
        seen = order.direction in self._wiring.passed
        return (ReleaseEnded(order.grant, ReleaseEnd.WINDOW_PASSED if seen else ReleaseEnd.UNSEEN),)

    def next_deadline_ns(self) -> int | None:
        return None if self._open is None else self._open.ends_ns
