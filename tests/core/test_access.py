"""The access rules: each reason is reached, in its order, and the way out stays open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import inputs as i
from agent.core.access import RULES as ACCESS_RULES
from agent.core.access import is_open
from agent.core.effects import ReleaseBarrier
from agent.core.events import EventType
from agent.core.identity import AccessRecord, AccessRule, Area, Direction, Interval, PersonStatus, TrackId
from agent.core.known import LastKnown
from agent.core.moment import ClockQuality
from agent.core.reasons import REASONS, DenyReason, markdown
from tests.core.inputs import ALL_WEEK, BOTH_WAYS, access_rules, member
from tests.core.play import BEGIN_S, ROSTER, RULES, UP, Play, events, person

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
LATER = BEGIN_S + 60
IN_ONLY = BOTH_WAYS[:1]
NIGHT = tuple(replace(rule, schedule=(Interval(0b111_1111, 0, 60),)) for rule in BOTH_WAYS)
NEVER = tuple(replace(rule, schedule=()) for rule in BOTH_WAYS)
INSIDE = LastKnown(last_passage={member().person: ENTRY})
LOCKED = LastKnown(lock_down=True)
ATTACK = {"pad": i.Pad(i.PadVerdict.ATTACK, 0.1)}
TWINS = (person(), person(member("bo"), score=8.9))


def decided(direction: Direction, *candidates: Any, lane: Play | None = None, **other: Any) -> DenyReason | None:
    """What becomes of an attempt: None is a grant."""
    lane = lane or Play()
    lane.shows(*candidates, direction=direction, **other)
    if not any(isinstance(e, ReleaseBarrier) for e in lane.last) and not events(lane.last, EventType.ACCESS_DENIED):
        lane.waits(5_000)
    denied = [DenyReason(e.data["reason"]) for e in events(lane.all, EventType.ACCESS_DENIED)]
    released = [e for e in lane.all if isinstance(e, ReleaseBarrier)]
    assert len(denied) + len(released) == 1
    return denied[0] if denied else None


def with_roster(**other: Any) -> Play:
    return Play(up=[*UP, replace(ROSTER, **other)])


CASES: dict[DenyReason, Any] = {
    DenyReason.LANE_CLOSED: lambda d: decided(d, person(), lane=Play(rules=replace(RULES, closed=True))),
    DenyReason.LOCK_DOWN: lambda d: decided(d, person(), lane=Play(known=LOCKED)),
    DenyReason.ROSTER_EXPIRED: lambda d: decided(d, person(), lane=with_roster(expires_s=BEGIN_S)),
    DenyReason.CLOCK_UNKNOWN: lambda d: decided(d, person(), lane=Play(quality=ClockQuality.UNKNOWN)),
    DenyReason.OUT_OF_SERVICE: lambda d: decided(d, person(), lane=Play(up=[*UP, i.CameraReported(d, d, i.CameraCondition.FROZEN)])),
    DenyReason.QUALITY: lambda d: decided(d, person(), frames=1),
    DenyReason.PRESENTATION_ATTACK: lambda d: decided(d, person(), **ATTACK),
    DenyReason.NO_CANDIDATE: lambda d: decided(d, person(score=4.9)),
    DenyReason.AMBIGUOUS: lambda d: decided(d, *TWINS),
    DenyReason.PAD_INCONCLUSIVE: lambda d: decided(d, person(), pad=i.Pad(i.PadVerdict.INCONCLUSIVE)),
    DenyReason.NOT_YET_VALID: lambda d: decided(d, person(member(not_before_s=BEGIN_S + 1))),
    DenyReason.LAPSED: lambda d: decided(d, person(member(not_after_s=BEGIN_S))),
    DenyReason.SUSPENDED: lambda d: decided(d, person(member(status=PersonStatus.SUSPENDED))),
    DenyReason.SCHEDULE: lambda d: decided(d, person(member(rules=NIGHT))),
    DenyReason.AREA: lambda d: decided(d, person(member(rules=()))),
    DenyReason.ANTI_PASSBACK: lambda d: decided(d, person(), lane=Play(known=INSIDE)),
}


def test_every_reason_has_a_case_and_a_meaning() -> None:
    assert list(CASES) == list(DenyReason) == list(REASONS)
    assert all(f"| `{reason}` | {spec.meaning} |" in markdown() for reason, spec in REASONS.items())


@pytest.mark.parametrize("reason", DenyReason)
def test_each_reason_denies_entry(reason: DenyReason) -> None:
    assert CASES[reason](ENTRY) is reason


@pytest.mark.parametrize("reason", DenyReason)
def test_the_way_out_is_denied_only_where_the_table_of_reasons_says_so(reason: DenyReason) -> None:
    assert CASES[reason](EXIT) is (reason if REASONS[reason].bars_exit else None)


def test_somebody_whom_nothing_bars_is_granted_both_ways() -> None:
    assert [decided(ENTRY, person()), decided(EXIT, person())] == [None, None]


def test_at_most_one_rule_stands_for_each_place_of_the_order() -> None:
    assert len(ACCESS_RULES) == len(set(ACCESS_RULES)) == 12


@pytest.mark.parametrize("case", [{"not_before_s": BEGIN_S}, {"not_after_s": LATER}])
def test_validity_includes_its_beginning_and_excludes_its_end(case: dict[str, int]) -> None:
    assert decided(ENTRY, person(member(**case))) is None


def test_the_first_reason_in_the_order_is_the_one_recorded() -> None:
    everything = member(status=PersonStatus.SUSPENDED, not_before_s=LATER, not_after_s=0, rules=())
    assert decided(ENTRY, person(everything)) is DenyReason.NOT_YET_VALID
    assert decided(ENTRY, person(everything), lane=Play(known=LOCKED, rules=replace(RULES, closed=True))) is DenyReason.LANE_CLOSED
    assert decided(ENTRY, lane=Play(known=LOCKED)) is DenyReason.LOCK_DOWN


def test_nobody_is_trapped_whatever_is_wrong_with_their_rights() -> None:
    """Suspended, lapsed, never scheduled, on an expired roster, in a lock-down with an unknown clock; but they came in here."""
    worst = member(status=PersonStatus.SUSPENDED, not_after_s=0, rules=())
    lane = Play(
        rules=replace(RULES, closed=True),
        known=LastKnown(last_passage={worst.person: ENTRY}, lock_down=True),
        up=[*UP, replace(ROSTER, expires_s=0)],
        quality=ClockQuality.UNKNOWN,
    )
    assert decided(EXIT, person(worst), lane=lane) is None


def test_who_came_from_elsewhere_goes_on_only_with_an_access_level_that_leads_there() -> None:
    assert decided(EXIT, person(member(rules=IN_ONLY))) is DenyReason.AREA
    assert decided(EXIT, person(member(rules=IN_ONLY)), lane=Play(known=INSIDE)) is None
    assert decided(EXIT, person(member(rules=BOTH_WAYS[1:]))) is None


def test_only_the_way_back_is_open_to_who_came_in_here() -> None:
    lane = Play(rules=replace(RULES, anti_passback=False), known=INSIDE)
    assert decided(ENTRY, person(member(rules=())), lane=lane) is DenyReason.AREA


@pytest.mark.parametrize("rules", [(replace(BOTH_WAYS[0], destination=Area("park-b")),), (replace(BOTH_WAYS[0], origin=Area("park-b")),)])
def test_an_access_level_of_another_lane_opens_nothing_here(rules: tuple[AccessRule, ...]) -> None:
    assert decided(ENTRY, person(member(rules=rules))) is DenyReason.AREA


def test_the_schedule_of_entry_is_that_of_the_entry_levels() -> None:
    assert decided(ENTRY, person(member(rules=(NIGHT[0], BOTH_WAYS[1])))) is DenyReason.SCHEDULE
    assert decided(ENTRY, person(member(rules=(NIGHT[0], BOTH_WAYS[0])))) is None, "one open level is enough"
    assert decided(ENTRY, person(member(rules=NEVER))) is DenyReason.SCHEDULE


def test_an_unknown_clock_denies_entry_even_to_somebody_without_limits() -> None:
    assert decided(ENTRY, person(), lane=Play(quality=ClockQuality.UNKNOWN)) is DenyReason.CLOCK_UNKNOWN
    assert decided(ENTRY, person(), lane=Play(quality=ClockQuality.HELD)) is None
    assert decided(EXIT, person(), lane=Play(quality=ClockQuality.UNKNOWN)) is None


def test_no_roster_grants_nobody() -> None:
    for direction in Direction:
        lane = Play(up=[given for given in UP if given is not ROSTER])
        assert lane.shows(person(), direction=direction) == ()


@given(
    records=st.builds(
        AccessRecord,
        person=st.just(member().person),
        status=st.sampled_from(PersonStatus),
        not_before_s=st.integers(BEGIN_S - 2, BEGIN_S + 2),
        not_after_s=st.integers(BEGIN_S - 2, BEGIN_S + 2),
        rules=st.lists(access_rules, max_size=3).map(tuple),
    ),
    direction=st.sampled_from(Direction),
)
def test_who_is_granted_had_the_right_by_an_oracle(records: AccessRecord, direction: Direction) -> None:
    way = (Area("park-a"), Area("bridge")) if direction is ENTRY else (Area("bridge"), Area("park-a"))
    levels = [level for level in records.rules if (level.origin, level.destination) == way]
    right = bool(levels)
    if direction is ENTRY:
        right = any(_walk_the_week(level, BEGIN_S) for level in levels) and records.not_before_s <= BEGIN_S < records.not_after_s
        right = right and records.status is PersonStatus.ACTIVE
    assert (decided(direction, person(records)) is None) is right


# --- schedules ---------------------------------------------------------------------------------------------------------------------------


def _walk_the_week(level: AccessRule, wall_s: int) -> bool:
    """The same question by dates: does one of the last two days' intervals hold at this local time?"""
    local = datetime.fromtimestamp(wall_s, UTC).replace(tzinfo=None) + timedelta(minutes=level.utc_offset_minutes)
    for days_ago in (0, 1):
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)
        for interval in level.schedule:
            begins, ends = midnight + timedelta(minutes=interval.start_minute), midnight + timedelta(minutes=interval.end_minute)
            if interval.weekdays & (1 << midnight.weekday()) and begins <= local < ends:
                return True
    return False


@given(level=access_rules, wall_s=st.integers(0, 4_102_444_800))
def test_a_schedule_holds_as_the_calendar_says(level: AccessRule, wall_s: int) -> None:
    assert is_open(level, wall_s) is _walk_the_week(level, wall_s)


MONDAY, SUNDAY = 0b000_0001, 0b100_0000
HONG_KONG = 480


def at(text: str) -> int:
    """A local time in Hong Kong as seconds since 1970."""
    return int(datetime.fromisoformat(text + "+08:00").timestamp())


@pytest.mark.parametrize(
    ("interval", "local", "expected"),
    [
        (Interval(MONDAY, 540, 1080), "2025-11-24T08:59:59", False),
        (Interval(MONDAY, 540, 1080), "2025-11-24T09:00:00", True),
        (Interval(MONDAY, 540, 1080), "2025-11-24T17:59:59", True),
        (Interval(MONDAY, 540, 1080), "2025-11-24T18:00:00", False),
        (Interval(MONDAY, 540, 1080), "2025-11-25T12:00:00", False),
        (Interval(SUNDAY, 1320, 1800), "2025-11-23T23:00:00", True),
        (Interval(SUNDAY, 1320, 1800), "2025-11-24T05:59:59", True),
        (Interval(SUNDAY, 1320, 1800), "2025-11-24T06:00:00", False),
        (Interval(MONDAY, 1320, 1800), "2025-11-24T05:00:00", False),
    ],
)
def test_a_schedule_is_local_and_may_run_past_midnight(interval: Interval, local: str, *, expected: bool) -> None:
    level = AccessRule(Area("park-a"), Area("bridge"), (interval,), HONG_KONG)
    assert is_open(level, at(local)) is expected


# --- anti-passback ---------------------------------------------------------------------------------------------------------------------


def test_a_second_entry_without_an_exit_between_is_denied() -> None:
    lane = Play()
    lane.passes(ENTRY)
    assert [e.data["reason"] for e in events(lane.shows(person(), track=TrackId(2)), EventType.ACCESS_DENIED)] == ["anti_passback"]
    lane.passes(EXIT, track=TrackId(3))
    lane.passes(ENTRY, track=TrackId(4))


def test_anti_passback_counts_passages_and_not_matches() -> None:
    lane = Play()
    grant = lane.grants().grant
    lane.hears(i.ReleaseEnded(grant, i.ReleaseEnd.WINDOW_PASSED))
    assert lane.grants(track=TrackId(2)).grant == 2


def test_leaving_twice_is_never_denied() -> None:
    lane = Play()
    lane.passes(EXIT)
    lane.passes(EXIT, track=TrackId(2))


def test_anti_passback_can_be_off() -> None:
    lane = Play(rules=replace(RULES, anti_passback=False))
    lane.passes(ENTRY)
    lane.passes(ENTRY, track=TrackId(2))


@pytest.mark.parametrize(("minutes", "expected"), [(239.9, DenyReason.ANTI_PASSBACK), (240.1, None)])
def test_a_passage_is_forgotten_after_the_reset_time(minutes: float, expected: DenyReason | None) -> None:
    lane = Play()
    lane.passes(ENTRY)
    lane.waits(minutes * 60_000)
    lane.all.clear()
    assert decided(ENTRY, person(), lane=lane, track=TrackId(2)) is expected


def test_after_an_emergency_everybody_may_enter_again() -> None:
    lane = Play()
    lane.passes(ENTRY)
    lane.hears(i.EmergencyRaised(), i.EmergencyCleared())
    assert lane.grants(track=TrackId(2)).grant == 2


def test_all_the_week_is_all_the_week() -> None:
    level = AccessRule(Area("a"), Area("b"), ALL_WEEK, 0)
    assert all(is_open(level, s) for s in range(BEGIN_S, BEGIN_S + 8 * 86_400, 3_599))
