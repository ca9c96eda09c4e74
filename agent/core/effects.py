"""What the core asks of the world, as values. The runtime commits every Record of a step before it carries out any other effect."""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.events import Event
from agent.core.identity import Direction, GrantNumber, TrackId


class Phase(StrEnum):
    """Where the lane stands in the life of one passage; the table is in passage.py."""

    UNREADY = "unready"  # no controller that was read and armed
    SECURED = "secured"
    RELEASED = "released"  # a release was sent; nobody has started to pass
    CANCELLING = "cancelling"  # a cancel was sent; the controller has not said which came first
    PASSING = "passing"
    EMERGENCY = "emergency"  # free passage, by the controller's own inputs


class Prompt(StrEnum):
    """What the person in the lane is told, by lamp, tone or a sign."""

    IDLE = "idle"
    COME_CLOSER = "come_closer"
    STEP_BACK = "step_back"
    LOOK_AHEAD = "look_ahead"
    HOLD_STILL = "hold_still"
    ONE_PERSON = "one_person"
    GO = "go"
    DENIED = "denied"
    SEE_STAFF = "see_staff"
    OUT_OF_SERVICE = "out_of_service"


@dataclass(frozen=True, slots=True)
class Record:
    """Write this event to the journal; durable before anything else of the step is done."""

    event: Event


@dataclass(frozen=True, slots=True)
class ReleaseBarrier:
    """Let one person through. Sent only if every Record of the same step is durable and `expires_at_ns` has not come.

    Attributes:
        window_ms: how long the barrier stays released while nobody passes; the controller clamps it to 10 s.
        expires_at_ns: monotonic; after it the release is neither written nor repeated, and the controller refuses it.
    """

    grant: GrantNumber
    direction: Direction
    window_ms: int
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class CancelRelease:
    grant: GrantNumber


@dataclass(frozen=True, slots=True)
class Believe:
    """What the host believes of the lane; the heartbeat carries it to the controller."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class WatchSubject:
    """Keep watching this track until the passage starts (None: nobody is released)."""

    track: TrackId | None


@dataclass(frozen=True, slots=True)
class ShowPrompt:
    direction: Direction
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class MarkDelivered:
    """The consumer has these rows: the journal may prune them one day."""

    epoch: str
    seq: int
    head: str


@dataclass(frozen=True, slots=True)
class StoreLockDown:
    """Make a lock-down survive a restart."""

    on: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave the loop; everything before it in the list is done first."""


BarrierCommand = ReleaseBarrier | CancelRelease | Believe | ShowPrompt
Effect = Record | BarrierCommand | WatchSubject | MarkDelivered | StoreLockDown | Stop
