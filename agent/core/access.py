"""May this person pass here, this way, now? An ordered tuple of rules; the first that has a reason to deny decides.

What each rule means for the way out. Nobody is trapped: the exit button needs no face, and who came in here may go back out here. By
face, the way out is refused only where the face is not identified (quality, attack, no candidate, ambiguous, PAD), where the exit
itself is out of service, and by the area rule to somebody who came from elsewhere and has no access level that leads on. A closed
lane, lock-down, an expired roster, an unknown clock, validity, suspension, schedules and anti-passback bar entry only: a known
person who leaves is better than an unknown one who pressed the button.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent.core import antipassback
from agent.core.antipassback import Passages
from agent.core.evidence import Finding
from agent.core.identity import AccessRecord, AccessRule, Direction, GrantNumber, Interval, PersonId, PersonStatus
from agent.core.inputs import RosterLoaded
from agent.core.moment import ClockQuality, Moment
from agent.core.reasons import DenyReason
from agent.core.rules import GRANT_LIFE_NS, Now, Rules

_DAY_MIN = 1440
_DAYS = 7
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


@dataclass(frozen=True, slots=True)
class Grant:
    """Let this person through, once.

    Attributes:
        expires_at_ns: monotonic; one second after the newest frame of the probe was captured.
    """

    number: GrantNumber
    person: PersonId
    direction: Direction
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class Deny:
    reason: DenyReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The lane at the moment of decision.

    Attributes:
        in_service: whether nothing that this direction needs is missing (health.py).
        next_grant: the number that a grant would get; None when all numbers are used up, or the lane is not free to release.
    """

    now: Now
    lock_down: bool
    roster: RosterLoaded | None
    in_service: bool
    passages: Passages
    next_grant: GrantNumber | None


def decide(finding: Finding, context: Context) -> Grant | Deny:
    """The end of an attempt: a grant with a number, or a denial with its reason."""
    for rule in RULES:
        reason = rule(finding, context)
        if reason is not None:
            return Deny(reason)
    if finding.record is None or finding.attempt.probe is None or context.next_grant is None:
        return Deny(DenyReason.OUT_OF_SERVICE)
    expires_at_ns = finding.attempt.probe.captured_at_ns + GRANT_LIFE_NS
    return Grant(context.next_grant, finding.record.person, finding.attempt.direction, expires_at_ns)


# --- the lane -------------------------------------------------------------------------------------------------------------------------


def _lane_closed(finding: Finding, context: Context) -> DenyReason | None:
    return DenyReason.LANE_CLOSED if _is_entry(finding) and context.now.rules.closed else None


def _lock_down(finding: Finding, context: Context) -> DenyReason | None:
    return DenyReason.LOCK_DOWN if _is_entry(finding) and context.lock_down else None


def _roster_expired(finding: Finding, context: Context) -> DenyReason | None:
    """An unknown clock cannot say so; it has its own reason."""
    expired = context.roster is not None and has_expired(context.roster, context.now.moment)
    return DenyReason.ROSTER_EXPIRED if _is_entry(finding) and expired else None


def _clock_unknown(finding: Finding, context: Context) -> DenyReason | None:
    unknown = context.now.moment.quality is ClockQuality.UNKNOWN
    return DenyReason.CLOCK_UNKNOWN if _is_entry(finding) and unknown else None


def _out_of_service(_: Finding, context: Context) -> DenyReason | None:
    return None if context.in_service else DenyReason.OUT_OF_SERVICE


# --- the evidence ---------------------------------------------------------------------------------------------------------------------


def _not_identified(finding: Finding, _: Context) -> DenyReason | None:
    """Quality, presentation attack, no candidate, ambiguous, PAD inconclusive: evidence.py says which."""
    return finding.shortfall


# --- the person -----------------------------------------------------------------------------------------------------------------------


def _not_yet_valid(finding: Finding, context: Context) -> DenyReason | None:
    early = any(context.now.moment.wall_s < record.not_before_s for record in _entering(finding))
    return DenyReason.NOT_YET_VALID if early else None


def _lapsed(finding: Finding, context: Context) -> DenyReason | None:
    late = any(context.now.moment.wall_s >= record.not_after_s for record in _entering(finding))
    return DenyReason.LAPSED if late else None


def _suspended(finding: Finding, _: Context) -> DenyReason | None:
    """Anything but active: a status that this version does not know opens nothing."""
    return DenyReason.SUSPENDED if any(record.status is not PersonStatus.ACTIVE for record in _entering(finding)) else None


def _schedule(finding: Finding, context: Context) -> DenyReason | None:
    """Some level leads this way, but none does now."""
    for record in _entering(finding):
        levels = list(_levels(record, Direction.ENTRY, context.now.rules))
        if levels and not any(is_open(level, context.now.moment.wall_s) for level in levels):
            return DenyReason.SCHEDULE
    return None


def _area(finding: Finding, context: Context) -> DenyReason | None:
    """No access level leads this way. Who came in here may always go back the same way."""
    direction, record = finding.attempt.direction, finding.record
    if record is None or any(_levels(record, direction, context.now.rules)):
        return None
    goes_back = direction is Direction.EXIT and _last_direction(record, context) is Direction.ENTRY
    return None if goes_back else DenyReason.AREA


def _anti_passback(finding: Finding, context: Context) -> DenyReason | None:
    inside = any(_last_direction(record, context) is Direction.ENTRY for record in _entering(finding))
    return DenyReason.ANTI_PASSBACK if inside and context.now.rules.anti_passback else None


RULES: tuple[Callable[[Finding, Context], DenyReason | None], ...] = (
    _lane_closed,
    _lock_down,
    _roster_expired,
    _clock_unknown,
    _out_of_service,
    _not_identified,
    _not_yet_valid,
    _lapsed,
    _suspended,
    _schedule,
    _area,
    _anti_passback,
)


def has_expired(roster: RosterLoaded, moment: Moment) -> bool:
    return moment.wall_s >= roster.expires_s


def is_open(level: AccessRule, wall_s: int) -> bool:
    """Whether one of the level's weekly intervals holds at this wall time."""
    days, minute = divmod(wall_s // 60 + level.utc_offset_minutes, _DAY_MIN)
    today = (days + _EPOCH_WEEKDAY) % _DAYS
    yesterday = (today - 1) % _DAYS
    return any(_covers(i, today, minute) or _covers(i, yesterday, minute + _DAY_MIN) for i in level.schedule)


def _covers(interval: Interval, weekday: int, minute: int) -> bool:
    return bool(interval.weekdays >> weekday & 1) and interval.start_minute <= minute < interval.end_minute


def _is_entry(finding: Finding) -> bool:
    return finding.attempt.direction is Direction.ENTRY


def _entering(finding: Finding) -> Iterator[AccessRecord]:
    """The identified person, if they want to come in: rules that read it never bar the way out."""
    if finding.record is not None and _is_entry(finding):
        yield finding.record


def _levels(record: AccessRecord, direction: Direction, rules: Rules) -> Iterator[AccessRule]:
    """The access levels that lead through this lane in this direction, at any time."""
    way = (rules.outside, rules.inside) if direction is Direction.ENTRY else (rules.inside, rules.outside)
    return (level for level in record.rules if (level.origin, level.destination) == way)


def _last_direction(record: AccessRecord, context: Context) -> Direction | None:
    rules = context.now.rules
    return antipassback.last_direction(context.passages, record.person, now_ns=context.now.ns, reset_min=rules.anti_passback_reset_min)
