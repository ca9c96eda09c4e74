"""Staff at the cabinet let somebody through: what is agreed to, what is denied and why, and that it is recorded before it is released."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.core import controller
from agent.core import inputs as i
from agent.core import orders as o
from agent.core.antipassback import Passages
from agent.core.effects import CancelRelease, Effect, Phase, Record, ReleaseBarrier
from agent.core.events import EventType
from agent.core.identity import Direction, GrantNumber, PersonId
from agent.core.known import LastKnown, OpenGrant
from agent.core.moment import ClockQuality
from agent.core.orders import StaffDenial
from agent.core.staff import MEANINGS
from tests.core.inputs import MS
from tests.core.play import RULES, UP, Play, connected, events, person, types

ONE = GrantNumber(1)
WORDS = {"staff": "li", "user": "root", "reason": "a wheelchair", "request": "ab12"}


def order(lane: Play, direction: Direction = Direction.ENTRY, *, for_ms: int = 20_000) -> o.StaffRelease:
    return o.StaffRelease(**WORDS, key="00ff", direction=direction, expires_at_ns=lane.now_ns + for_ms * MS)


def denials(effects: tuple[Effect, ...]) -> list[Any]:
    return [event.data["denial"] for event in events(effects, EventType.STAFF_DENIED)]


@pytest.mark.parametrize("direction", Direction)
def test_an_order_is_recorded_with_who_and_why_before_it_is_released(direction: Direction) -> None:
    lane = Play()
    effects = lane.hears(order(lane, direction))
    expires_at_ns = lane.now_ns + 1_000 * MS
    granted = {"grant": 1, "key": "00ff", "direction": "entry", "expires_at_ns": expires_at_ns} | WORDS | {"direction": direction}
    assert isinstance(effects[0], Record)
    assert [dict(event.data) for event in events(effects, EventType.STAFF_GRANTED)] == [granted]
    assert [e for e in effects if isinstance(e, ReleaseBarrier)] == [ReleaseBarrier(ONE, direction, 5_000, expires_at_ns)]
    assert lane.phase is Phase.RELEASED


def test_the_passage_of_staff_is_made_and_names_nobody() -> None:
    lane = Play()
    lane.hears(order(lane), i.ReleaseAccepted(ONE), i.PassageStarted(ONE, Direction.ENTRY))
    made = events(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11)), EventType.PASSAGE_MADE)
    assert [(e.data["grant"], e.data["person"]) for e in made] == [(1, None)]
    assert (lane.phase, lane.state.lane.passages) == (Phase.SECURED, Passages())
    assert controller.snapshot(lane.state)["grant"] is None


def test_anti_passback_knows_nothing_of_somebody_whom_staff_let_in() -> None:
    lane = Play()
    lane.hears(order(lane), i.ReleaseAccepted(ONE), i.PassageCompleted(ONE, Direction.ENTRY, 11))
    assert lane.grants().grant == 2


def test_an_order_needs_neither_camera_nor_roster_nor_clock() -> None:
    lane = Play(up=UP[-1:], quality=ClockQuality.UNKNOWN)
    assert types(lane.hears(order(lane))) == [EventType.STAFF_GRANTED]


def test_an_order_ends_an_attempt_before_the_camera() -> None:
    lane = Play()
    lane.shows(person(), frames=1)
    lane.hears(order(lane))
    assert lane.state.attempts == ()
    assert types(lane.shows(person())) == [], "one grant owns the lane"


def _emulated() -> Play:
    return Play(up=(*UP[:-1], connected(kind=i.ControllerKind.EMULATOR)))


def _said(*given: i.Input) -> Callable[[], Play]:
    def lane() -> Play:
        play = Play()
        play.hears(*given)
        return play

    return lane


def _released() -> Play:
    lane = Play()
    lane.grants()
    return lane


DENIED: dict[StaffDenial, Callable[[], Play]] = {
    StaffDenial.STOPPING: _said(i.StopRequested("test")),
    StaffDenial.LANE_CLOSED: lambda: Play(rules=replace(RULES, closed=True)),
    StaffDenial.LOCK_DOWN: _said(i.LockDownSet(on=True, by="ops", reason="drill")),
    StaffDenial.EMULATOR: _emulated,
    StaffDenial.EMERGENCY: _said(i.EmergencyRaised()),
    StaffDenial.BARRIER: _said(i.BarrierLost("unplugged")),
    StaffDenial.BUSY: _released,
    StaffDenial.GRANT_NUMBERS: lambda: Play(up=(*UP[:-1], connected(highest_grant=GrantNumber(2**64 - 1)))),
    StaffDenial.JOURNAL: _said(i.JournalReported(ready=False, commit_ms=0.0, detail="the disk is full")),
}
ENTRY_ONLY = {StaffDenial.LANE_CLOSED, StaffDenial.LOCK_DOWN}


@pytest.mark.parametrize("denial", DENIED)
def test_an_order_is_denied_with_its_reason_and_releases_nothing(denial: StaffDenial) -> None:
    lane = DENIED[denial]()
    before = lane.state.lane
    effects = lane.hears(order(lane))
    assert denials(effects) == [denial]
    assert not [e for e in effects if isinstance(e, ReleaseBarrier)]
    assert lane.state.lane == before


@pytest.mark.parametrize("denial", sorted(ENTRY_ONLY))
def test_what_closes_entry_does_not_close_the_way_out_to_staff(denial: StaffDenial) -> None:
    lane = DENIED[denial]()
    assert types(lane.hears(order(lane, Direction.EXIT))) == [EventType.STAFF_GRANTED]


def test_an_order_is_worth_nothing_once_its_time_is_over() -> None:
    lane = Play()
    assert denials(lane.hears(order(lane, for_ms=0))) == [StaffDenial.EXPIRED]
    given = order(lane, for_ms=200)
    lane.hears(given)
    assert next(e for e in lane.last if isinstance(e, ReleaseBarrier)).expires_at_ns == given.expires_at_ns, (
        "the order's own time, if sooner"
    )


def test_an_order_that_was_not_believed_is_recorded_and_nothing_else() -> None:
    lane = Play()
    before = lane.state
    refused = o.StaffRefused(**WORDS, direction=Direction.EXIT, denial=StaffDenial.WRONG_SIGNATURE)
    assert denials(lane.hears(refused)) == [StaffDenial.WRONG_SIGNATURE]
    assert lane.state == before


def test_a_lock_down_takes_back_an_entry_of_staff_that_nobody_began() -> None:
    lane = Play()
    lane.hears(order(lane))
    effects = lane.hears(i.LockDownSet(on=True, by="ops", reason="drill"))
    assert CancelRelease(ONE) in effects
    assert EventType.GRANT_CANCELLED in types(effects)


def test_killed_between_record_and_release_the_order_is_closed_as_not_made() -> None:
    lane = Play(known=LastKnown(highest_grant=ONE, open_grant=OpenGrant(ONE, None, Direction.ENTRY), passage_counter=10))
    ended = [e.data for e in events(lane.all, EventType.PASSAGE_NOT_MADE)]
    assert ended == [{"grant": 1, "person": None, "direction": "entry", "cause": "reconciled"}]
    assert CancelRelease(ONE) in lane.all, "a release that is still on its way must not arrive now"


def test_numbers_that_somebody_else_used_are_said_once() -> None:
    lane = Play(known=LastKnown(highest_grant=GrantNumber(4), passage_counter=10), up=UP[:-1])
    gaps = events(lane.hears(connected(highest_grant=GrantNumber(6))), EventType.GRANT_GAP)
    assert [e.data for e in gaps] == [{"expected": 4, "found": 6}]
    assert EventType.GRANT_GAP not in types(lane.hears(i.BarrierLost("glitch"), connected(highest_grant=GrantNumber(6))))
    assert lane.grants().grant == 7


def test_the_very_first_number_of_a_controller_is_missed_too() -> None:
    lane = Play(known=LastKnown(passage_counter=0), up=UP[:-1])
    assert EventType.GRANT_GAP in types(lane.hears(connected(highest_grant=ONE, passage_counter=0)))


def test_a_new_journal_has_no_number_to_compare() -> None:
    lane = Play(up=UP[:-1])
    assert EventType.GRANT_GAP not in types(lane.hears(connected(highest_grant=GrantNumber(6))))


def test_the_journals_own_open_grant_is_no_gap() -> None:
    known = LastKnown(
        highest_grant=GrantNumber(4), open_grant=OpenGrant(GrantNumber(5), PersonId("ada"), Direction.ENTRY), passage_counter=10
    )
    lane = Play(known=known, up=UP[:-1])
    assert EventType.GRANT_GAP not in types(lane.hears(connected(highest_grant=GrantNumber(5))))


def test_every_denial_says_what_it_means() -> None:
    assert list(MEANINGS) == list(StaffDenial)
