"""What each direction needs in order to be in service, and what the parts last said of themselves.

Entry closes rather than open on doubt. The way out by face needs less: its own camera, recognition, a roster of any age, the
controller, and a journal that takes rows. The broker is never needed. Where something is missing the exit button still works.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.core.access import has_expired
from agent.core.effects import Phase
from agent.core.identity import Direction
from agent.core.inputs import (
    BarrierConnected,
    BarrierFaulted,
    BarrierLost,
    CameraCondition,
    CameraReported,
    ControllerKind,
    Input,
    JournalReported,
    LockDownSet,
    RecognitionReported,
    RosterLoaded,
    RosterRefused,
    UplinkReported,
)
from agent.core.lane import Lane, next_grant
from agent.core.moment import NS_PER_S, ClockQuality
from agent.core.rules import Now

SLOW_HOLD_NS = 10 * NS_PER_S  # entry stays closed this long after a commit over the budget; doubled when the next one follows
SLOW_DOUBLINGS = 5  # to 320 s at most: a disk that is slow for good makes few events, one that recovers is used again within minutes
MOST_FAULTS = 16  # names kept; a controller has six


class Lack(StrEnum):
    """What is missing. The order is that of importance: the first one's own words are the event's detail."""

    LOCK_DOWN = "lock_down"
    LANE_CLOSED = "lane_closed"
    EMULATOR = "emulator"  # an emulated controller outside a simulation
    BARRIER = "barrier"  # no controller that was read and armed
    BARRIER_FAULT = "barrier_fault"
    GRANT_NUMBERS = "grant_numbers"  # all 2^64 - 1 are used, or the controller says so
    JOURNAL = "journal"  # it takes no rows
    JOURNAL_SLOW = "journal_slow"
    CAMERA = "camera"
    RECOGNITION = "recognition"
    ROSTER_NONE = "roster_none"
    ROSTER_EXPIRED = "roster_expired"
    CLOCK = "clock"


Lacks = tuple[tuple[Lack, str], ...]  # with the words of the part that failed


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """Attributes: condition: None until the camera has reported."""

    name: str
    direction: Direction
    condition: CameraCondition | None = None
    detail: str = "has not reported yet"


@dataclass(frozen=True, slots=True)
class Health:
    """What the parts last said.

    Attributes:
        slow_until_ns: monotonic; entry is closed until then because a commit took too long. None: it is not.
        slow_in_row: holds that followed one another without a commit within the budget between them.
        stale_warned: version of the roster of which it was recorded that it is stale.
        uplink: None until it has reported.
    """

    cameras: tuple[CameraHealth, ...]
    lock_down: bool
    recognition_ready: bool = False
    recognition_detail: str = "has not reported yet"
    roster: RosterLoaded | None = None
    roster_refused: RosterRefused | None = None
    stale_warned: int | None = None
    barrier_detail: str = "the controller has not answered yet"
    emulated: bool = False
    faults: tuple[str, ...] = ()
    journal_ready: bool = True
    journal_detail: str = ""
    slow_until_ns: int | None = None
    slow_in_row: int = 0
    commit_ms: float = 0.0
    uplink: bool | None = None


def take(health: Health, given: Input, now: Now) -> Health:  # noqa: C901, PLR0911  one case for each kind of input
    """What one input says about the health of a part; most say nothing."""
    match given:
        case CameraReported(camera, _, condition, detail):
            cameras = tuple(replace(c, condition=condition, detail=detail) if c.name == camera else c for c in health.cameras)
            return replace(health, cameras=cameras)
        case RecognitionReported(ready, detail):
            return replace(health, recognition_ready=ready, recognition_detail=detail)
        case RosterLoaded():
            return replace(health, roster=given, roster_refused=None)
        case RosterRefused():
            return replace(health, roster_refused=given)
        case BarrierConnected(kind=kind):
            return replace(
                health,
                emulated=kind is ControllerKind.EMULATOR,
                barrier_detail="the controller's word on a release or a passage is overdue: look into the lane",
            )
        case BarrierLost(detail):
            return replace(health, barrier_detail=detail, faults=())  # a new link tells its faults anew
        case BarrierFaulted(fault, active, _):
            others = tuple(f for f in health.faults if f != fault)
            return replace(health, faults=(*others, fault)[-MOST_FAULTS:] if active else others)
        case JournalReported():
            return _after_commit(health, given, now)
        case UplinkReported(connected, _):
            return replace(health, uplink=connected)
        case LockDownSet(on, _, _):
            return replace(health, lock_down=on)
        case _:
            return health


def turn(health: Health, now: Now) -> Health:
    """Time passes: a hold after slow commits ends."""
    if health.slow_until_ns is not None and now.ns >= health.slow_until_ns:
        return replace(health, slow_until_ns=None)
    return health


def _after_commit(health: Health, given: JournalReported, now: Now) -> Health:
    """A slow commit closes entry for a while, and that it is open again is itself a row whose commit is measured."""
    health = replace(health, journal_ready=given.ready, journal_detail=given.detail, commit_ms=given.commit_ms)
    if not given.ready:
        return health
    if given.commit_ms > now.rules.commit_budget_ms:
        holds = health.slow_in_row + (health.slow_until_ns is None)
        hold_ns = SLOW_HOLD_NS << min(holds - 1, SLOW_DOUBLINGS)
        return replace(health, slow_until_ns=now.ns + hold_ns, slow_in_row=holds)
    if health.slow_until_ns is None:
        return replace(health, slow_in_row=0)
    return health


def is_stale(health: Health, now: Now) -> bool:
    """Usable, but older than it should be; an unknown clock cannot say so."""
    known = now.moment.quality is not ClockQuality.UNKNOWN
    return health.roster is not None and known and now.moment.wall_s >= health.roster.stale_after_s


def lacks(direction: Direction, health: Health, lane: Lane, now: Now) -> Lacks:
    """What the direction is missing; empty: it is in service."""
    found = dict(_for_any(direction, health, lane, now))
    if direction is Direction.ENTRY:
        found |= dict(_for_entry(health, now))
    return tuple((lack, found[lack]) for lack in Lack if lack in found)


def _for_any(direction: Direction, health: Health, lane: Lane, now: Now) -> Iterator[tuple[Lack, str]]:
    if health.emulated and not now.rules.simulation:
        yield Lack.EMULATOR, "the controller is an emulator, which is for simulations only"
    if lane.phase is Phase.UNREADY:
        yield Lack.BARRIER, health.barrier_detail
    if next_grant(lane) is None:
        yield Lack.GRANT_NUMBERS, f"the highest grant number is {lane.last_grant}; the controller's store must be renewed"
    if not health.journal_ready:
        yield Lack.JOURNAL, health.journal_detail
    camera = next((c for c in health.cameras if c.direction is direction), None)
    if camera is None or camera.condition is not CameraCondition.OK:
        yield Lack.CAMERA, "none is configured" if camera is None else f"{camera.name}: {_words(camera.condition, camera.detail)}"
    if not health.recognition_ready:
        yield Lack.RECOGNITION, health.recognition_detail
    if health.roster is None:
        refused = health.roster_refused
        yield Lack.ROSTER_NONE, "none was loaded yet" if refused is None else f"{refused.reason}: {refused.detail}"


def _for_entry(health: Health, now: Now) -> Iterator[tuple[Lack, str]]:
    if health.lock_down:
        yield Lack.LOCK_DOWN, "entry is locked down"
    if now.rules.closed:
        yield Lack.LANE_CLOSED, "the configuration closes this lane for entry"
    if health.faults:
        yield Lack.BARRIER_FAULT, ", ".join(health.faults)
    if health.slow_until_ns is not None:
        yield Lack.JOURNAL_SLOW, f"a commit took longer than {now.rules.commit_budget_ms:g} ms; the last one {health.commit_ms:g} ms"
    if health.roster is not None and has_expired(health.roster, now.moment):
        yield Lack.ROSTER_EXPIRED, f"version {health.roster.version} is good until {health.roster.expires_s} s since 1970"
    if now.moment.quality is ClockQuality.UNKNOWN:
        yield Lack.CLOCK, "the wall clock is not known to be right"


def _words(condition: CameraCondition | None, detail: str) -> str:
    return ", ".join(word for word in (condition, detail) if word)
