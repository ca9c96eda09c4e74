"""Killed or cut off in the middle: the controller's memory makes the journal whole."""

import pytest

from agent.core import inputs as i
from agent.core.effects import Believe, CancelRelease, Phase
from agent.core.events import EventType
from agent.core.identity import Direction, GrantNumber, PersonId, TrackId
from agent.core.inputs import GrantOutcome
from agent.core.known import LastKnown, OpenGrant
from tests.core.inputs import member
from tests.core.play import UP, Play, connected, events, person, types

FIVE = GrantNumber(5)
LEFT_OPEN = LastKnown(highest_grant=FIVE, open_grant=OpenGrant(FIVE, PersonId("ada"), Direction.ENTRY), passage_counter=10)


def restarted(
    outcome: GrantOutcome, *, highest: int = 5, counter: int | None = 10, emergency: bool = False, known: LastKnown = LEFT_OPEN
) -> Play:
    """Killed with an open grant, started again, and the controller has just been read."""
    lane = Play(known=known, up=UP[:-1])
    lane.hears(connected(highest_grant=GrantNumber(highest), last_outcome=outcome, passage_counter=counter, emergency=emergency))
    return lane


def story(lane: Play) -> list[tuple[EventType, str]]:
    """What the last step says of grants and passages."""
    told = (EventType.BARRIER_CONNECTED, EventType.SERVICE_OPENED, EventType.SERVICE_CLOSED)
    return [(e.type, str(e.data.get("cause", e.data.get("reason", "")))) for e in events(lane.last) if e.type not in told]


def test_killed_between_commit_and_release_nobody_passed() -> None:
    lane = restarted(GrantOutcome.PASSED, highest=4)
    assert story(lane) == [(EventType.PASSAGE_NOT_MADE, "reconciled")]
    assert CancelRelease(FIVE) in lane.last, "a release that is still on its way must not arrive now"
    assert lane.phase is Phase.SECURED
    assert lane.grants().grant == 6


@pytest.mark.parametrize("outcome", [GrantOutcome.NOT_PASSED, GrantOutcome.CANCELLED, GrantOutcome.NONE])
def test_killed_after_the_release_and_nobody_passed(outcome: GrantOutcome) -> None:
    lane = restarted(outcome)
    assert story(lane) == [(EventType.PASSAGE_NOT_MADE, "reconciled")]
    assert lane.phase is Phase.SECURED


def test_a_controller_that_lost_power_while_released_does_not_know_whether_somebody_passed() -> None:
    lane = restarted(GrantOutcome.INTERRUPTED)
    unconfirmed = {"grant": 5, "person": "ada", "direction": "entry", "reason": "power_lost", "passage_counter": 10}
    assert [e.data for e in events(lane.last, EventType.PASSAGE_UNCONFIRMED)] == [unconfirmed]
    assert (lane.phase, story(lane)) == (Phase.SECURED, [(EventType.PASSAGE_UNCONFIRMED, "power_lost")])
    assert lane.grants().grant == 6, "an entry that nobody saw does not count for anti-passback"


@pytest.mark.parametrize(
    ("highest", "told"), [(4, (EventType.PASSAGE_NOT_MADE, "reconciled")), (5, (EventType.PASSAGE_UNCONFIRMED, "unknown_outcome"))]
)
def test_a_board_without_a_memory_closes_a_grant_that_may_have_been_written_as_unconfirmed(
    highest: int, told: tuple[EventType, str]
) -> None:
    lane = restarted(GrantOutcome.UNKNOWN, highest=highest, counter=None)
    assert (lane.phase, story(lane)) == (Phase.SECURED, [told])


def test_a_passage_under_way_when_the_controller_lost_power_is_unconfirmed() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(GrantNumber(1)), i.PassageStarted(GrantNumber(1), Direction.ENTRY), i.BarrierLost("no power"))
    lane.hears(connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.INTERRUPTED))
    assert (lane.phase, story(lane)) == (Phase.SECURED, [(EventType.PASSAGE_UNCONFIRMED, "power_lost")])


def test_power_lost_on_a_grant_that_was_closed_before_says_nothing_again() -> None:
    lane = restarted(GrantOutcome.INTERRUPTED, known=LastKnown(highest_grant=FIVE, passage_counter=10))
    assert story(lane) == []


def test_killed_between_release_and_passage_and_the_person_passed() -> None:
    lane = restarted(GrantOutcome.PASSED, counter=11)
    made = {"grant": 5, "person": "ada", "direction": "entry", "passage_counter": 11, "since_grant_ms": None}
    assert [e.data for e in events(lane.last, EventType.PASSAGE_MADE)] == [made]
    assert story(lane) == [(EventType.PASSAGE_MADE, "")]
    denied = events(lane.shows(person()), EventType.ACCESS_DENIED)
    assert [e.data["reason"] for e in denied] == ["anti_passback"], "the reconciled passage is a confirmed one"


def test_killed_while_the_release_is_open_it_is_taken_back() -> None:
    lane = restarted(GrantOutcome.OPEN)
    assert story(lane) == [(EventType.GRANT_CANCELLED, "barrier_lost")]
    assert CancelRelease(FIVE) in lane.last
    assert lane.phase is Phase.CANCELLING
    assert types(lane.hears(i.ReleaseEnded(FIVE, i.ReleaseEnd.CANCELLED)))[0] is EventType.PASSAGE_NOT_MADE


def test_killed_while_somebody_passes_the_passage_is_awaited() -> None:
    lane = restarted(GrantOutcome.PASSING)
    assert story(lane) == []
    assert lane.phase is Phase.PASSING
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(FIVE, Direction.ENTRY, 11)))


def test_nothing_is_said_of_the_open_grant_before_the_controller_was_read() -> None:
    lane = Play(known=LEFT_OPEN, up=UP[:-1])
    assert not {EventType.PASSAGE_MADE, EventType.PASSAGE_NOT_MADE, EventType.PASSAGE_UNCONFIRMED} & set(types(lane.all))


@pytest.mark.parametrize(
    ("counter", "told"), [(10, (EventType.PASSAGE_NOT_MADE, "reconciled")), (12, (EventType.PASSAGE_UNCONFIRMED, "unknown_outcome"))]
)
def test_a_controller_that_has_gone_on_is_asked_only_for_its_count(counter: int, told: tuple[EventType, str]) -> None:
    lane = restarted(GrantOutcome.PASSED, highest=8, counter=counter)
    assert story(lane)[-1] == told
    assert lane.grants().grant == 9


def test_passages_while_nobody_looked_are_a_gap() -> None:
    lane = restarted(GrantOutcome.PASSED, counter=14)
    gap = {"expected": 11, "counted": 14, "grant": 5, "outcome": "passed"}
    assert [e.data for e in events(lane.last, EventType.PASSAGE_GAP)] == [gap]
    assert story(lane)[1] == (EventType.PASSAGE_MADE, "")


def test_a_gap_needs_no_open_grant() -> None:
    lane = restarted(GrantOutcome.PASSED, counter=12, known=LastKnown(highest_grant=FIVE, passage_counter=10))
    assert [e.data["counted"] for e in events(lane.last, EventType.PASSAGE_GAP)] == [12]


def test_a_count_that_went_back_is_a_gap_too() -> None:
    lane = restarted(GrantOutcome.NONE, highest=0, counter=0, known=LastKnown(highest_grant=FIVE, passage_counter=10))
    assert [e.data["counted"] for e in events(lane.last, EventType.PASSAGE_GAP)] == [0]


def test_a_new_journal_has_no_count_to_compare() -> None:
    assert story(restarted(GrantOutcome.PASSED, counter=4711, known=LastKnown())) == []


def test_read_in_emergency_an_unused_release_is_over_and_a_used_one_made() -> None:
    assert story(restarted(GrantOutcome.OPEN, emergency=True)) == [
        (EventType.EMERGENCY_RAISED, ""),
        (EventType.GRANT_CANCELLED, "emergency"),
        (EventType.PASSAGE_NOT_MADE, "emergency"),
    ]
    lane = restarted(GrantOutcome.PASSED, counter=11, emergency=True)
    assert story(lane) == [(EventType.PASSAGE_MADE, ""), (EventType.EMERGENCY_RAISED, "")]
    assert lane.phase is Phase.EMERGENCY


# --- the link is lost while running -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(), (i.ReleaseAccepted(GrantNumber(1)),), (i.PassageStarted(GrantNumber(1), Direction.ENTRY),)])
def test_a_lost_link_leaves_the_outcome_open_until_the_controller_is_read(before: tuple[i.Input, ...]) -> None:
    lane = Play()
    lane.grants()
    lane.hears(*before)
    effects = lane.hears(i.BarrierLost("unplugged"))
    assert types(effects)[0] is EventType.BARRIER_LOST
    assert Believe(Phase.UNREADY) in effects
    assert lane.state.lane.pending is not None
    assert lane.hears(i.BarrierLost("unplugged")) == (), "told once for each loss"
    lane.hears(connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.PASSED, passage_counter=11))
    assert story(lane) == [(EventType.PASSAGE_MADE, "")]


def test_a_link_that_came_back_while_the_release_was_open_takes_it_back_and_the_truth_decides() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.BarrierLost("glitch"), connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.OPEN))
    lane.hears(i.CancelTooLate(GrantNumber(1)))
    assert lane.phase is Phase.PASSING
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(GrantNumber(1), Direction.ENTRY, 11)))


def test_a_doubt_survives_a_lost_link() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.SubjectReplaced("entry", TrackId(1), lane.now_ns), i.BarrierLost("glitch"))
    lane.hears(connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.PASSED, passage_counter=11))
    assert story(lane) == [(EventType.PASSAGE_UNCONFIRMED, "subject_replaced")]


def test_a_controller_that_was_read_again_without_a_loss_is_reconciled_the_same_way() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(GrantNumber(1), Direction.ENTRY))
    lane.hears(connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.PASSING))
    assert (lane.phase, story(lane)) == (Phase.PASSING, [])
    lane.hears(connected(highest_grant=GrantNumber(1), last_outcome=GrantOutcome.NOT_PASSED))
    assert (lane.phase, story(lane)) == (Phase.SECURED, [(EventType.PASSAGE_NOT_MADE, "reconciled")])


def test_a_release_of_a_grant_that_this_journal_does_not_know_is_taken_back() -> None:
    lane = Play()
    lane.hears(connected(highest_grant=GrantNumber(9), last_outcome=GrantOutcome.OPEN))
    assert CancelRelease(GrantNumber(9)) in lane.last
    assert lane.phase is Phase.CANCELLING
    lane.hears(i.ReleaseEnded(GrantNumber(9), i.ReleaseEnd.CANCELLED))
    assert lane.phase is Phase.SECURED
    assert lane.grants(record=member("bo")).grant == 10
