"""The life of one passage: what the lane does, records and asks for, one sentence at a time."""

import pytest

from agent.core import inputs as i
from agent.core import passage
from agent.core.access import Grant
from agent.core.effects import Believe, CancelRelease, Phase, Prompt, Record, ReleaseBarrier, ShowPrompt, Stop, StoreLockDown, WatchSubject
from agent.core.events import EventType
from agent.core.identity import NO_GRANT, Direction, GrantNumber, TrackId
from agent.core.known import LastKnown
from agent.core.lane import AccessGranted
from agent.core.rules import Now
from tests.core.inputs import MS, member
from tests.core.play import UP, Play, connected, events, person, types

ONE = GrantNumber(1)


def test_a_recognised_person_is_recorded_before_they_are_released() -> None:
    lane = Play()
    effects = lane.shows(person())
    assert [type(e) for e in effects] == [Record, ReleaseBarrier, Believe, WatchSubject]
    assert types(effects) == [EventType.ACCESS_GRANTED]
    assert effects[1] == ReleaseBarrier(ONE, Direction.ENTRY, 5_000, lane.now_ns + 960 * MS)
    assert effects[2:] == (Believe(Phase.RELEASED), WatchSubject(TrackId(1)))


def test_a_passage_is_made() -> None:
    lane = Play()
    lane.grants()
    assert ShowPrompt(Direction.ENTRY, Prompt.GO) in lane.hears(i.ReleaseAccepted(ONE), after_ms=5)
    assert WatchSubject(None) in lane.hears(i.PassageStarted(ONE, Direction.ENTRY), after_ms=800)
    effects = lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11), after_ms=1_200)
    made = {"grant": 1, "person": "ada", "direction": "entry", "passage_counter": 11, "since_grant_ms": 2_005}
    assert [e.data for e in events(effects)] == [made]
    assert lane.phase is Phase.SECURED


def test_the_other_camera_waits_until_the_passage_has_ended() -> None:
    lane = Play()
    lane.grants()
    assert lane.shows(person(member("bo")), direction=Direction.EXIT, track=TrackId(2)) == ()
    lane.hears(i.ReleaseEnded(ONE, i.ReleaseEnd.WINDOW_PASSED))
    assert lane.grants(Direction.EXIT, member("bo"), track=TrackId(2)).grant == 2


def test_grant_numbers_go_on_above_everything_ever_used() -> None:
    lane = Play(known=LastKnown(highest_grant=GrantNumber(7)), up=(*UP[:-1], connected(highest_grant=GrantNumber(41))))
    assert lane.passes() == 42
    assert lane.passes(Direction.EXIT, track=TrackId(2)) == 43
    lane.hears(connected(highest_grant=GrantNumber(40), last_outcome=i.GrantOutcome.PASSED, passage_counter=12))
    assert lane.grants(track=TrackId(3)).grant == 44


def test_the_last_grant_number_is_used_and_then_none() -> None:
    lane = Play(known=LastKnown(highest_grant=GrantNumber(2**64 - 2)))
    assert lane.passes() == 2**64 - 1
    assert [e.data["reasons"] for e in events(lane.all, EventType.SERVICE_CLOSED)][-2:] == ["grant_numbers", "grant_numbers"]
    effects = lane.shows(person(), direction=Direction.EXIT, track=TrackId(2))
    assert [e.data["reason"] for e in events(effects, EventType.ACCESS_DENIED)] == ["out_of_service"]


# --- the subject ------------------------------------------------------------------------------------------------------------------


def test_a_granted_person_who_steps_back_is_cancelled() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), after_ms=5)
    assert lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns), after_ms=300) == ()
    assert lane.waits(399) == ()
    effects = lane.waits(1)
    assert [e.data["reason"] for e in events(effects, EventType.GRANT_CANCELLED)] == ["subject_gone"]
    assert CancelRelease(ONE) in effects
    assert lane.phase is Phase.CANCELLING
    effects = lane.hears(i.ReleaseEnded(ONE, i.ReleaseEnd.CANCELLED), after_ms=5)
    assert [e.data["cause"] for e in events(effects, EventType.PASSAGE_NOT_MADE)] == ["cancelled"]
    assert lane.phase is Phase.SECURED


def test_a_person_who_walks_on_out_of_the_view_passes() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), i.TrackLost("entry", TrackId(1), lane.now_ns))
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY), after_ms=699)
    assert CancelRelease(ONE) not in lane.waits(5_000)
    assert types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11))) == [EventType.PASSAGE_MADE]


def test_a_start_and_the_deadline_in_one_step_are_a_start() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), i.TrackLost("entry", TrackId(1), lane.now_ns))
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY), after_ms=900)
    assert lane.phase is Phase.PASSING


def test_another_face_in_the_lane_cancels_at_once() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.SubjectReplaced("entry", TrackId(1), lane.now_ns))
    assert [e.data["reason"] for e in events(effects)] == ["subject_replaced"]
    assert CancelRelease(ONE) in effects


@pytest.mark.parametrize("lost", [i.TrackLost("entry", TrackId(2), 0), i.TrackLost("exit", TrackId(1), 0)])
def test_another_track_that_is_lost_cancels_nothing(lost: i.TrackLost) -> None:
    lane = Play()
    lane.grants()
    lane.hears(lost)
    assert lane.waits(2_000) == ()


def test_a_cancel_that_came_too_late_leaves_an_unconfirmed_passage() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), i.SubjectReplaced("entry", TrackId(1), lane.now_ns))
    lane.hears(i.CancelTooLate(ONE))
    assert lane.phase is Phase.PASSING
    effects = lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11))
    unconfirmed = {"grant": 1, "person": "ada", "direction": "entry", "reason": "subject_replaced", "passage_counter": 11}
    assert [(e.type, e.data) for e in events(effects)] == [(EventType.PASSAGE_UNCONFIRMED, unconfirmed)]
    assert lane.grants(track=TrackId(2)).grant == 2, "an unconfirmed entry does not count for anti-passback"


def test_somebody_who_passes_after_the_subject_had_gone_is_unconfirmed() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), i.TrackLost("entry", TrackId(1), lane.now_ns))
    lane.waits(700)
    effects = lane.hears(i.CancelTooLate(ONE), i.PassageCompleted(ONE, Direction.ENTRY, 11))
    assert [(e.type, e.data["reason"]) for e in events(effects)] == [(EventType.PASSAGE_UNCONFIRMED, "subject_gone")]


def test_a_loss_stamped_in_the_future_gives_no_more_time() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns + 60_000 * MS))
    assert CancelRelease(ONE) in lane.waits(700)


def test_a_deadline_is_seen_after_any_input_and_not_on_a_tick_alone() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.TrackLost("entry", TrackId(1), lane.now_ns))
    assert CancelRelease(ONE) in lane.hears(i.UplinkReported(connected=True), after_ms=700)


def test_a_grant_is_recorded_as_cancelled_once() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.SubjectReplaced("entry", TrackId(1), lane.now_ns), i.EmergencyRaised(), i.ReleaseEnded(ONE, i.ReleaseEnd.CANCELLED))
    assert [e.data["reason"] for e in events(lane.all, EventType.GRANT_CANCELLED)] == ["subject_replaced"]
    assert [e.data["cause"] for e in events(lane.all, EventType.PASSAGE_NOT_MADE)] == ["emergency"]


@pytest.mark.parametrize(("number", "life_ms"), [(0, 1_000), (2, 1_000), (1, 0), (1, -1)])
def test_a_grant_with_another_number_or_past_its_time_releases_nothing(number: int, life_ms: int) -> None:
    lane = Play()
    grant = Grant(GrantNumber(number), member().person, Direction.ENTRY, lane.now_ns + life_ms * MS)
    after, effects = passage.advance(lane.state.lane, AccessGranted(grant, "entry", TrackId(1), {}), Now(lane.rules, lane.moment()))
    assert (after, effects) == (lane.state.lane, ())


@pytest.mark.parametrize(
    ("seen_ms_ago", "expected"), [(10, EventType.PASSAGE_MADE), (20, EventType.PASSAGE_UNCONFIRMED), (30, EventType.PASSAGE_UNCONFIRMED)]
)
def test_a_replacement_seen_before_the_start_but_heard_after_it_is_a_doubt(seen_ms_ago: int, expected: EventType) -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY), after_ms=500)
    lane.waits(20)
    lane.hears(i.SubjectReplaced("entry", TrackId(1), lane.now_ns - seen_ms_ago * MS))
    assert types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11))) == [expected]


def test_a_passage_the_other_way_on_a_grant_is_unconfirmed() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.PassageStarted(ONE, Direction.EXIT), i.PassageCompleted(ONE, Direction.EXIT, 11))
    assert [(e.type, e.data["reason"]) for e in events(effects)] == [(EventType.PASSAGE_UNCONFIRMED, "direction")]


@pytest.mark.parametrize(
    ("condition", "cancels"), [(i.CameraCondition.FROZEN, True), (i.CameraCondition.ABSENT, True), (i.CameraCondition.ENDED, False)]
)
def test_a_camera_that_fails_while_it_watches_the_subject_is_as_good_as_gone(condition: i.CameraCondition, *, cancels: bool) -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.CameraReported("entry", Direction.ENTRY, condition))
    assert (CancelRelease(ONE) in lane.waits(700)) is cancels


# --- what the controller says -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", i.ReleaseEnd)
def test_a_release_that_ends_without_a_passage_frees_the_lane(cause: i.ReleaseEnd) -> None:
    for before in ([], [i.ReleaseAccepted(ONE)], [i.PassageStarted(ONE, Direction.ENTRY)]):
        lane = Play()
        lane.grants()
        lane.hears(*before)
        effects = lane.hears(i.ReleaseEnded(ONE, cause))
        unseen = cause is i.ReleaseEnd.UNSEEN
        expected = (EventType.PASSAGE_UNCONFIRMED, "reason") if unseen else (EventType.PASSAGE_NOT_MADE, "cause")
        assert [(e.type, e.data[expected[1]]) for e in events(effects)] == [(expected[0], cause)]
        assert lane.phase is Phase.SECURED


def test_passages_that_a_board_sees_but_does_not_count_are_each_recorded_and_leave_no_gap() -> None:
    lane = Play()
    lane.hears(connected(passage_counter=None))
    assert events(lane.last, EventType.PASSAGE_GAP) == []
    for _ in range(2):
        effects = lane.hears(i.PassageCompleted(NO_GRANT, Direction.EXIT, None))
        assert [(e.type, e.data["passage_counter"]) for e in events(effects)] == [(EventType.PASSAGE_UNGRANTED, None)]
    lane.grants()
    effects = lane.hears(i.PassageStarted(ONE, Direction.ENTRY), i.PassageCompleted(ONE, Direction.ENTRY, None))
    assert [e.type for e in events(effects)] == [EventType.PASSAGE_MADE]


def test_a_refused_release_frees_the_lane_and_is_cancelled_for_safety() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.ReleaseRefused(ONE, "busy"))
    assert [(e.type, e.data["reason"]) for e in events(effects)] == [(EventType.RELEASE_REFUSED, "busy")]
    assert CancelRelease(ONE) in effects
    assert lane.phase is Phase.SECURED


def test_after_a_failed_release_the_same_track_rests_and_then_may_ask_again() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseRefused(ONE, "busy"))
    assert lane.shows(person(), after_ms=1_999) == ()
    lane.waits(1)
    assert lane.grants().grant == 2


@pytest.mark.parametrize(
    "late",
    [
        i.ReleaseRefused(ONE, "busy"),
        i.ReleaseEnded(ONE, i.ReleaseEnd.CANCELLED),
        i.CancelTooLate(ONE),
        i.PassageStarted(ONE, Direction.ENTRY),
        i.PassageCompleted(ONE, Direction.ENTRY, 11),
    ],
)
def test_what_is_said_twice_of_a_closed_grant_changes_nothing(late: i.Input) -> None:
    lane = Play()
    lane.passes()
    before = lane.state.lane
    assert lane.hears(late) == ()
    assert lane.state.lane == before


def test_an_accepted_release_that_is_not_ours_is_taken_back() -> None:
    lane = Play()
    assert lane.hears(i.ReleaseAccepted(GrantNumber(9))) == (CancelRelease(GrantNumber(9)),)
    lane.grants()
    assert lane.hears(i.ReleaseAccepted(GrantNumber(9))) == (CancelRelease(GrantNumber(9)),)
    assert lane.phase is Phase.RELEASED


@pytest.mark.parametrize("grant", [NO_GRANT, GrantNumber(9)])
def test_a_passage_that_is_not_ours_is_recorded_and_ours_goes_on(grant: GrantNumber) -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(grant, Direction.EXIT))
    assert lane.phase is Phase.RELEASED
    effects = lane.hears(i.PassageCompleted(grant, Direction.EXIT, 11))
    ungranted = {"grant": grant, "direction": "exit", "passage_counter": 11, "phase": "released", "late_ms": 0}
    assert [e.data for e in events(effects, EventType.PASSAGE_UNGRANTED)] == [ungranted]
    assert types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 12))) == [EventType.PASSAGE_MADE]


def test_the_exit_button_is_recorded_and_not_asked_about() -> None:
    lane = Play()
    assert types(lane.hears(i.RequestToExitUsed())) == [EventType.REQUEST_TO_EXIT]
    lane.hears(i.PassageStarted(NO_GRANT, Direction.EXIT))
    assert types(lane.hears(i.PassageCompleted(NO_GRANT, Direction.EXIT, 11))) == [EventType.PASSAGE_UNGRANTED]
    assert lane.phase is Phase.SECURED


def test_a_count_that_jumps_is_an_audit_event() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 13))
    assert [e.data for e in events(effects, EventType.PASSAGE_GAP)] == [{"expected": 11, "counted": 13, "grant": 1, "outcome": "passed"}]
    assert types(effects) == [EventType.PASSAGE_GAP, EventType.PASSAGE_MADE]


@pytest.mark.parametrize("alarm", i.BarrierAlarm)
def test_an_alarm_is_recorded_with_its_grant(alarm: i.BarrierAlarm) -> None:
    assert [e.data for e in events(Play().hears(i.BarrierAlarmed(alarm, ONE)))] == [{"alarm": alarm, "grant": 1, "late_ms": 0}]


# --- a silent controller --------------------------------------------------------------------------------------------------------------


def test_a_silent_controller_is_cancelled_then_not_believed_and_the_grant_stays_open() -> None:
    lane = Play()
    lane.grants()
    assert CancelRelease(ONE) not in lane.waits(7_999)
    effects = lane.waits(1)
    assert [e.data["reason"] for e in events(effects, EventType.GRANT_CANCELLED)] == ["no_answer"]
    assert Believe(Phase.UNREADY) in lane.waits(2_000)
    assert lane.state.lane.pending is not None
    denied = events(lane.shows(person(member("bo")), track=TrackId(2)), EventType.ACCESS_DENIED)
    assert [e.data["reason"] for e in denied] == ["out_of_service"]


def test_a_passage_that_never_ends_puts_the_lane_out_of_service_until_the_word_comes() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY))
    assert types(lane.waits(29_999)) == []
    assert [e.data["reasons"] for e in events(lane.waits(1), EventType.SERVICE_CLOSED)] == ["barrier", "barrier"]
    effects = lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11))
    assert EventType.PASSAGE_MADE in types(effects)
    assert lane.phase is Phase.SECURED


def test_a_late_word_over_a_lost_link_closes_the_grant_but_not_the_question() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.BarrierLost("unplugged"))
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11)))
    assert lane.phase is Phase.UNREADY


# --- emergency, lock-down, journal, stop ------------------------------------------------------------------------------------------------


def test_an_emergency_cancels_a_release_that_nobody_used() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.EmergencyRaised())
    assert types(effects)[0] is EventType.EMERGENCY_RAISED
    assert Believe(Phase.EMERGENCY) in effects
    effects += lane.hears(i.ReleaseEnded(ONE, i.ReleaseEnd.CANCELLED))
    assert types(effects)[-2:] == [EventType.GRANT_CANCELLED, EventType.PASSAGE_NOT_MADE]
    assert not any(isinstance(e, CancelRelease) for e in effects), "nothing is sent that could close a door"
    assert lane.hears(i.EmergencyRaised()) == ()


def test_who_had_broken_the_first_beam_when_the_emergency_came_passes_on_the_grant() -> None:
    """The controller says that a passage begins once both beams are broken, but it ends no release with somebody in one of them."""
    lane = Play()
    lane.grants()
    lane.hears(i.EmergencyRaised(), i.PassageStarted(ONE, Direction.ENTRY))
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11)))
    assert EventType.PASSAGE_NOT_MADE not in types(lane.all)


def test_what_the_controller_kept_for_an_agent_to_come_says_how_late_it_is() -> None:
    lane = Play()
    ago = lane.now_ns - 6_000 * MS
    lane.hears(i.EmergencyRaised(ago), i.RequestToExitUsed(ago), i.BarrierFaulted("tamper", active=True, happened_ns=ago))
    kinds = (EventType.EMERGENCY_RAISED, EventType.REQUEST_TO_EXIT, EventType.BARRIER_FAULT)
    assert [e.data["late_ms"] for kind in kinds for e in events(lane.all, kind)] == [6_000] * 3


def test_a_passage_under_way_goes_on_through_an_emergency() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY), i.EmergencyRaised())
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11)))
    assert lane.phase is Phase.EMERGENCY


def test_a_passage_that_the_emergency_swallowed_is_unconfirmed() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.PassageStarted(ONE, Direction.ENTRY), i.EmergencyRaised())
    effects = lane.hears(i.EmergencyCleared())
    assert [e.data["reason"] for e in events(effects, EventType.PASSAGE_UNCONFIRMED)] == ["emergency"]
    assert lane.phase is Phase.SECURED


def test_no_face_is_weighed_in_an_emergency_and_the_exit_says_go() -> None:
    lane = Play()
    effects = lane.hears(i.EmergencyRaised())
    assert ShowPrompt(Direction.EXIT, Prompt.GO) in effects
    assert ShowPrompt(Direction.ENTRY, Prompt.OUT_OF_SERVICE) in effects
    assert lane.shows(person()) == ()
    lane.hears(i.EmergencyCleared())
    assert lane.grants().grant == 1


def test_passages_in_an_emergency_are_counted_without_a_gap() -> None:
    lane = Play()
    lane.hears(i.EmergencyRaised())
    for counter in (11, 12):
        effects = lane.hears(i.PassageCompleted(NO_GRANT, Direction.EXIT, counter))
        assert [e.data["phase"] for e in events(effects)] == ["emergency"]


def test_a_controller_in_emergency_is_an_emergency_at_once() -> None:
    lane = Play()
    effects = lane.hears(connected(emergency=True))
    assert EventType.EMERGENCY_RAISED in types(effects)
    assert lane.phase is Phase.EMERGENCY
    lane.hears(connected())
    assert lane.phase is Phase.SECURED
    assert types(lane.hears(i.EmergencyCleared())) == [EventType.EMERGENCY_CLEARED], "told by the driver once the lane is armed again"


def test_a_lock_down_stops_entry_and_nothing_else() -> None:
    lane = Play()
    on = i.LockDownSet(on=True, by="ops", reason="drill")
    effects = lane.hears(on)
    assert [e.data for e in events(effects, EventType.LOCK_DOWN)] == [{"on": True, "by": "ops", "reason": "drill"}]
    assert StoreLockDown(on=True) in effects
    denied = events(lane.shows(person()), EventType.ACCESS_DENIED)
    assert [e.data["reason"] for e in denied] == ["lock_down"]
    lane.passes(Direction.EXIT, track=TrackId(2))
    assert types(lane.hears(i.RequestToExitUsed())) == [EventType.REQUEST_TO_EXIT]
    assert EventType.EMERGENCY_RAISED in types(lane.hears(i.EmergencyRaised()))
    lane.hears(i.EmergencyCleared())
    assert EventType.SERVICE_OPENED in types(lane.hears(i.LockDownSet(on=False, by="ops", reason="over")))
    lane.waits(2_000)
    assert lane.grants(track=TrackId(3)).direction is Direction.ENTRY


def test_a_lock_down_takes_back_an_entry_that_nobody_began_and_lets_the_others_be() -> None:
    on = i.LockDownSet(on=True, by="ops", reason="")
    lane = Play()
    lane.grants()
    assert CancelRelease(ONE) in lane.hears(on)
    for direction, before in ((Direction.EXIT, ()), (Direction.ENTRY, (i.PassageStarted(ONE, Direction.ENTRY),))):
        lane = Play()
        lane.grants(direction)
        lane.hears(*before)
        assert CancelRelease(ONE) not in lane.hears(on)
        assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(ONE, direction, 11)))


def test_a_lock_down_survives_a_restart() -> None:
    lane = Play(known=LastKnown(lock_down=True))
    assert [e.data["reason"] for e in events(lane.shows(person()), EventType.ACCESS_DENIED)] == ["lock_down"]


FULL = i.JournalReported(ready=False, commit_ms=0.0, detail="disk full")


def test_a_grant_that_could_not_be_recorded_is_withdrawn_and_its_number_is_not_used_again() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(FULL)
    assert CancelRelease(ONE) in effects
    assert types(effects)[:2] == [EventType.GRANT_CANCELLED, EventType.PASSAGE_NOT_MADE]
    assert [(e.data["direction"], e.data["reasons"]) for e in events(effects, EventType.SERVICE_CLOSED)] == [
        ("entry", "journal"),
        ("exit", "journal"),
    ]
    assert lane.phase is Phase.SECURED
    lane.hears(i.JournalReported(ready=True, commit_ms=1.0))
    lane.waits(2_000)
    assert lane.grants().grant == 2


def test_a_release_that_was_accepted_outlives_a_later_failure_of_the_journal() -> None:
    lane = Play()
    lane.grants()
    lane.hears(i.ReleaseAccepted(ONE), FULL)
    assert lane.phase is Phase.RELEASED
    assert EventType.PASSAGE_MADE in types(lane.hears(i.PassageCompleted(ONE, Direction.ENTRY, 11)))


def test_a_journal_that_stays_broken_is_told_of_once() -> None:
    lane = Play()
    lane.hears(FULL)
    assert [lane.hears(FULL) for _ in range(3)] == [(), (), ()]


def test_a_stop_takes_back_the_open_release_and_leaves_its_end_to_the_next_start() -> None:
    lane = Play()
    lane.grants()
    effects = lane.hears(i.StopRequested("SIGTERM"))
    assert types(effects) == [EventType.GRANT_CANCELLED, EventType.AGENT_STOPPED]
    assert CancelRelease(ONE) in effects
    assert effects[-1] == Stop()
    assert lane.state.lane.pending is not None


def test_after_a_stop_nobody_is_granted() -> None:
    lane = Play()
    lane.hears(i.StopRequested("SIGTERM"))
    assert lane.shows(person()) == ()
