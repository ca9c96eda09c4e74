"""The lane between two moments, and how a grant is closed in the journal.

Every access.granted in the journal is closed by exactly one passage.made, passage.not_made, passage.unconfirmed or release.refused.
While the outcome is unknown (the link is down, the agent was killed) the grant stays open, and the controller's own memory closes it.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from agent.core import antipassback
from agent.core.access import Grant
from agent.core.antipassback import Passages
from agent.core.effects import Effect, Phase, Record
from agent.core.events import Event, EventType, Value
from agent.core.identity import NO_GRANT, Direction, GrantNumber, PersonId, TrackId
from agent.core.inputs import GrantOutcome
from agent.core.moment import NS_PER_MS
from agent.core.orders import StaffRelease
from agent.core.rules import Now

HIGHEST_GRANT = 2**64 - 1  # u64 on the wire


class Link(StrEnum):
    """Whether the controller can be reached."""

    UNKNOWN = "unknown"  # nothing was heard since the start
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Pending:
    """The grant that owns the lane until its outcome is recorded.

    Attributes:
        person: None where staff let somebody through.
        track: whose face was granted; None after a restart and for staff, when nobody can be watched.
        decided_at_ns: monotonic; None after a restart.
        accepted: the controller has said that it released.
        cancelled: a cancel was sent and recorded.
        doubt: why the granted person may not be the one who passes.
        started_at_ns: monotonic time at which the passage was reported as started.
    """

    grant: GrantNumber
    person: PersonId | None
    direction: Direction
    camera: str | None = None
    track: TrackId | None = None
    decided_at_ns: int | None = None
    accepted: bool = False
    cancelled: bool = False
    doubt: str | None = None
    started_at_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane.

    Attributes:
        deadline_ns: monotonic; until when the phase may last (passage.py sets it on entering).
        gone_ns: monotonic; from when the released person counts as gone.
        last_grant: highest grant number ever used, by this journal or the controller.
        passage_counter: the controller's count of passages as last recorded; None where none was, or a board keeps none.
    """

    phase: Phase = Phase.UNREADY
    link: Link = Link.UNKNOWN
    pending: Pending | None = None
    deadline_ns: int | None = None
    gone_ns: int | None = None
    last_grant: GrantNumber = NO_GRANT
    passage_counter: int | None = None
    passages: Passages = field(default_factory=Passages)


@dataclass(frozen=True, slots=True)
class AccessGranted:
    """What evidence and access rules came to. This and StaffGranted are the only things that release a barrier.

    Attributes:
        comparison: the fields of access.granted that tell what was compared.
    """

    grant: Grant
    camera: str
    track: TrackId
    comparison: dict[str, Value]


@dataclass(frozen=True, slots=True)
class StaffGranted:
    """An order of staff that staff.py has agreed to.

    Attributes:
        expires_at_ns: monotonic; the release is refused from then on.
    """

    number: GrantNumber
    order: StaffRelease
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did.

    Attributes:
        ok: False: it was not for this lane or grant; the cell's other phase is taken.
    """

    lane: Lane
    effects: tuple[Effect, ...] = ()
    ok: bool = True


def nothing(lane: Lane, _given: object, _now: Now) -> Done:
    """The action of a cell in which a signal changes nothing."""
    return Done(lane)


def next_grant(lane: Lane) -> GrantNumber | None:
    """The number above all that were ever used; None when they are used up."""
    return GrantNumber(lane.last_grant + 1) if lane.last_grant < HIGHEST_GRANT else None


def record(kind: EventType, now: Now, /, **data: Value) -> Record:
    return Record(Event(kind, now.moment, data))


def late_ms(happened_ns: int | None, now: Now) -> int:
    """How long the controller has kept an event before it was recorded."""
    return 0 if happened_ns is None else max(0, now.ns - happened_ns) // NS_PER_MS


def is_ours(lane: Lane, grant: GrantNumber) -> bool:
    return lane.pending is not None and lane.pending.grant == grant


# --- how a grant is closed --------------------------------------------------------------------------------------------------------------


def close_passed(lane: Lane, direction: Direction, now: Now) -> Done:
    """The controller counted a passage on the open grant; who it was is certain unless there is a doubt, or staff let them through."""
    pending = lane.pending
    if pending is None:
        return Done(lane, ok=False)
    closed = replace(lane, pending=None)
    doubt = pending.doubt or (None if direction is pending.direction else "direction")
    if doubt is not None:
        return Done(closed, (unconfirmed(lane, direction, doubt, now),))
    person = pending.person
    passages = lane.passages if person is None else antipassback.confirm(lane.passages, person, direction, now_ns=now.ns)
    since_grant_ms = None if pending.decided_at_ns is None else (now.ns - pending.decided_at_ns) // NS_PER_MS
    made = record(
        EventType.PASSAGE_MADE,
        now,
        grant=pending.grant,
        person=pending.person,
        direction=direction,
        passage_counter=lane.passage_counter,
        since_grant_ms=since_grant_ms,
    )
    return Done(replace(closed, passages=passages), (made,))


def cancelled(pending: Pending, reason: str, now: Now) -> tuple[Record, ...]:
    """The record that the grant is taken back; none where it already was."""
    if pending.cancelled:
        return ()
    return (record(EventType.GRANT_CANCELLED, now, grant=pending.grant, person=pending.person, reason=reason),)


def not_made(pending: Pending, cause: str, now: Now) -> Record:
    return record(
        EventType.PASSAGE_NOT_MADE, now, grant=pending.grant, person=pending.person, direction=pending.direction, cause=str(cause)
    )


def unconfirmed(lane: Lane, direction: Direction, reason: str, now: Now) -> Record:
    """Somebody passed, or may have, on the open grant, and who is not certain."""
    pending = lane.pending
    return record(
        EventType.PASSAGE_UNCONFIRMED,
        now,
        grant=NO_GRANT if pending is None else pending.grant,
        person=None if pending is None else pending.person,
        direction=direction,
        reason=reason,
        passage_counter=lane.passage_counter,
    )


def count_gap(expected: int | None, counted: int | None, grant: GrantNumber, outcome: GrantOutcome, now: Now) -> tuple[Record, ...]:
    """The audit event where the controller counted other passages than this journal; nothing where there are no two counts to compare."""
    if expected is None or counted is None or expected == counted:
        return ()
    return (record(EventType.PASSAGE_GAP, now, expected=expected, counted=counted, grant=grant, outcome=outcome),)
