"""What puts a direction in or out of service, what is shown, and what is told only when it is news."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.core import controller
from agent.core import inputs as i
from agent.core.effects import Believe, MarkDelivered, Prompt, ShowPrompt
from agent.core.events import EventType
from agent.core.identity import Direction, GrantNumber, TrackId
from agent.core.known import LastKnown
from agent.core.lane import HIGHEST_GRANT
from agent.core.moment import ClockQuality
from tests.core.inputs import member
from tests.core.play import BEGIN_S, CONNECTED, EPOCH, ROSTER, RULES, UP, Play, connected, events, person, types

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT


def closed(lane: Play) -> dict[str, list[str]]:
    """The reasons for each direction, by the state's picture."""
    service = controller.snapshot(lane.state)["service"]
    return {direction: [r["reason"] for r in side["reasons"]] for direction, side in service.items()}


def test_a_lane_starts_out_of_service_and_opens_when_all_parts_have_reported() -> None:
    lane = Play(up=())
    missing = "barrier,camera,recognition,roster_none"
    started, *rest = events(lane.last)
    assert (started.type, started.data) == (EventType.AGENT_STARTED, {"version": "0.1.0", "simulation": False, "pad": "required"})
    assert [(e.data["direction"], e.data["reasons"]) for e in rest] == [("entry", missing), ("exit", missing)]
    assert ShowPrompt(ENTRY, Prompt.OUT_OF_SERVICE) in lane.last
    for given in UP[:-1]:
        assert EventType.SERVICE_OPENED not in types(lane.hears(given))
    effects = lane.hears(CONNECTED)
    assert [e.data["direction"] for e in events(effects, EventType.SERVICE_OPENED)] == ["entry", "exit"]
    assert ShowPrompt(ENTRY, Prompt.IDLE) in effects


def test_why_recognition_fails_is_told_in_its_own_words_also_where_it_never_worked() -> None:
    lane = Play(up=())
    effects = lane.hears(i.RecognitionReported(ready=False, detail="no pack"))
    told = events(effects, EventType.SERVICE_CLOSED)
    assert [(e.data["direction"], e.data["detail"]) for e in told] == [("entry", "no pack"), ("exit", "no pack")]
    assert EventType.SERVICE_CLOSED not in types(lane.hears(i.RecognitionReported(ready=False, detail="no pack")))


# What is lost -> the reasons for entry and for the way out.
LOSSES: dict[str, tuple[i.Input, list[str], list[str]]] = {
    "entry camera": (i.CameraReported("entry", ENTRY, i.CameraCondition.FROZEN), ["camera"], []),
    "exit camera": (i.CameraReported("exit", EXIT, i.CameraCondition.ABSENT), [], ["camera"]),
    "recognition": (i.RecognitionReported(ready=False, detail="pack"), ["recognition"], ["recognition"]),
    "roster expired": (replace(ROSTER, expires_s=BEGIN_S), ["roster_expired"], []),
    "barrier": (i.BarrierLost("unplugged"), ["barrier"], ["barrier"]),
    "controller's fault": (i.BarrierFaulted("beam_stuck", active=True), ["barrier_fault"], []),
    "journal": (i.JournalReported(ready=False, commit_ms=0.0, detail="disk full"), ["journal"], ["journal"]),
    "slow commit": (i.JournalReported(ready=True, commit_ms=50.1), ["journal_slow"], []),
    "lock-down": (i.LockDownSet(on=True, by="ops", reason=""), ["lock_down"], []),
    "emulator": (connected(kind=i.ControllerKind.EMULATOR), ["emulator"], ["emulator"]),
    "grant numbers": (connected(highest_grant=GrantNumber(HIGHEST_GRANT)), ["grant_numbers"], ["grant_numbers"]),
    "broker": (i.UplinkReported(connected=False), [], []),
}


@pytest.mark.parametrize("what", LOSSES)
def test_each_loss_closes_what_needs_it_and_its_end_opens_it_again(what: str) -> None:
    lost, entry, exit_ = LOSSES[what]
    lane = Play()
    effects = lane.hears(lost)
    assert closed(lane) == {"entry": entry, "exit": exit_}
    wanted = [(d, ",".join(reasons)) for d, reasons in (("entry", entry), ("exit", exit_)) if reasons]
    assert [(e.data["direction"], e.data["reasons"]) for e in events(effects, EventType.SERVICE_CLOSED)] == wanted
    assert EventType.SERVICE_CLOSED not in types(lane.hears(lost)), "told once"
    if what == "grant numbers":
        return  # for good
    effects = lane.hears(
        *UP,
        i.BarrierFaulted("beam_stuck", active=False),
        i.JournalReported(ready=True, commit_ms=1.0),
        i.LockDownSet(on=False, by="ops", reason=""),
    )
    lane.waits(10_000)
    assert closed(lane) == {"entry": [], "exit": []}
    opened = [e.data["direction"] for e in events(lane.all, EventType.SERVICE_OPENED)][2:]
    assert opened == [d for d, _ in wanted]


def test_the_words_of_the_part_that_failed_are_in_the_event() -> None:
    lane = Play()
    effects = lane.hears(i.CameraReported("entry", ENTRY, i.CameraCondition.FROZEN, "same frame for 2 s"))
    assert [e.data["detail"] for e in events(effects, EventType.SERVICE_CLOSED)] == ["entry: frozen, same frame for 2 s"]
    effects = lane.hears(i.BarrierLost("unplugged"))
    assert [(e.data["reasons"], e.data["detail"]) for e in events(effects, EventType.SERVICE_CLOSED)] == [
        ("barrier,camera", "unplugged"),
        ("barrier", "unplugged"),
    ]


def test_a_roster_of_any_age_lets_people_out_and_no_roster_does_not() -> None:
    assert closed(Play(up=[g for g in UP if g is not ROSTER])) == {"entry": ["roster_none"], "exit": ["roster_none"]}


def test_a_refused_roster_says_why_there_is_none() -> None:
    lane = Play(up=())
    lane.hears(i.RosterRefused("tampered", "targets.json: bad digest"))
    reasons = controller.snapshot(lane.state)["service"]["entry"]["reasons"]
    assert {"reason": "roster_none", "detail": "tampered: targets.json: bad digest"} in reasons


def test_a_refused_roster_leaves_the_one_in_force_and_is_recorded_once() -> None:
    lane = Play()
    refused = i.RosterRefused("rollback", "version 6 is below 7")
    assert types(lane.hears(refused)) == [EventType.ROSTER_REFUSED]
    assert lane.hears(refused) == ()
    assert lane.grants().grant == 1


def test_an_unknown_clock_closes_entry_only() -> None:
    assert closed(Play(quality=ClockQuality.UNKNOWN)) == {"entry": ["clock"], "exit": []}


def test_an_expiry_is_noticed_without_any_input_but_time() -> None:
    lane = Play(up=[*UP, replace(ROSTER, expires_s=BEGIN_S + 60)])
    assert types(lane.waits(59_999)) == []
    assert [e.data["reasons"] for e in events(lane.waits(1), EventType.SERVICE_CLOSED)] == ["roster_expired"]


def test_a_stale_roster_is_a_warning_once_and_nothing_is_closed() -> None:
    lane = Play(up=[*UP, replace(ROSTER, stale_after_s=BEGIN_S + 60)])
    assert [e.data["version"] for e in events(lane.waits(60_000), EventType.ROSTER_STALE)] == [7]
    assert types(lane.waits(60_000)) == []
    assert controller.snapshot(lane.state)["roster"]["stale"] is True
    assert closed(lane) == {"entry": [], "exit": []}


def test_a_lane_with_one_camera_serves_one_direction() -> None:
    lane = Play(rules=replace(RULES, cameras=RULES.cameras[:1]))
    assert closed(lane) == {"entry": []}
    assert lane.shows(person(), direction=EXIT) == ()


@pytest.mark.parametrize(("required", "shown"), [(True, "required"), (False, "off")])
def test_pad_off_closes_nothing_and_is_shown_in_the_first_event_and_the_snapshot(*, required: bool, shown: str) -> None:
    lane = Play(rules=replace(RULES, pad_required=required))
    assert closed(lane) == {"entry": [], "exit": []}
    assert controller.snapshot(lane.state)["pad"] == shown
    (started,) = events(lane.all, EventType.AGENT_STARTED)
    assert started.data["pad"] == shown


def test_an_emulator_is_welcome_in_a_simulation() -> None:
    lane = Play(rules=replace(RULES, simulation=True), up=[*UP, connected(kind=i.ControllerKind.EMULATOR)])
    assert closed(lane) == {"entry": [], "exit": []}


# --- slow commits ---------------------------------------------------------------------------------------------------------------------

SLOW = i.JournalReported(ready=True, commit_ms=80.0)
QUICK = i.JournalReported(ready=True, commit_ms=1.0)


def test_entry_opens_by_itself_after_a_slow_commit_and_closes_longer_if_it_is_slow_again() -> None:
    lane = Play()
    for hold_ms in (10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 320_000):
        lane.hears(SLOW)
        assert EventType.SERVICE_OPENED not in types(lane.waits(hold_ms - 1))
        assert EventType.SERVICE_OPENED in types(lane.waits(1))
    lane.hears(QUICK, SLOW)
    assert EventType.SERVICE_OPENED in types(lane.waits(10_000)), "a quick commit in service ends the row"


def test_a_commit_exactly_on_the_budget_is_in_time() -> None:
    lane = Play()
    lane.hears(i.JournalReported(ready=True, commit_ms=50.0))
    assert closed(lane) == {"entry": [], "exit": []}


# --- prompts -----------------------------------------------------------------------------------------------------------------------------


def prompts(effects: Any) -> list[Prompt]:
    return [e.prompt for e in effects if isinstance(e, ShowPrompt)]


def test_guidance_is_shown_once_and_fades() -> None:
    lane = Play()
    sample = i.SampleRefused("entry", ENTRY, TrackId(1), lane.now_ns, i.SampleFault.TOO_FAR)
    assert prompts(lane.hears(sample)) == [Prompt.COME_CLOSER]
    assert lane.hears(sample, after_ms=500) == ()
    assert prompts(lane.waits(1_499)) == []
    assert prompts(lane.waits(1)) == [Prompt.IDLE]


@pytest.mark.parametrize("fault", i.SampleFault)
def test_every_fault_of_a_sample_has_a_prompt(fault: i.SampleFault) -> None:
    lane = Play()
    lane.hears(i.SampleRefused("entry", ENTRY, TrackId(1), lane.now_ns, fault))
    assert (prompts(lane.last) == []) is (fault is i.SampleFault.OUTSIDE_LANE)


def test_a_denial_is_shown_until_it_fades_and_guidance_does_not_replace_it() -> None:
    lane = Play()
    assert prompts(lane.shows(person(member(rules=())))) == [Prompt.DENIED]
    lane.hears(i.SampleRefused("entry", ENTRY, TrackId(2), lane.now_ns, i.SampleFault.BLUR))
    assert prompts(lane.last) == []
    assert prompts(lane.waits(3_000)) == [Prompt.IDLE]


def test_go_is_shown_while_the_way_is_free_and_only_on_that_side() -> None:
    lane = Play()
    grant = lane.grants().grant
    assert prompts(lane.last) == [], "not before the controller has released"
    assert lane.hears(i.ReleaseAccepted(grant)) == (ShowPrompt(ENTRY, Prompt.GO),)
    lane.hears(i.PassageStarted(grant, ENTRY))
    assert ShowPrompt(ENTRY, Prompt.IDLE) in lane.hears(i.PassageCompleted(grant, ENTRY, 11))


def test_who_is_let_through_still_sees_go_when_the_direction_closes_behind_them() -> None:
    lane = Play()
    lane.hears(i.ReleaseAccepted(lane.grants().grant))
    assert prompts(lane.hears(SLOW)) == []
    assert closed(lane)["entry"] == ["journal_slow"]
    assert prompts(lane.hears(i.PassageCompleted(GrantNumber(1), ENTRY, 11))) == [Prompt.OUT_OF_SERVICE]


# --- news only, and passing things on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (i.CameraReported("entry", ENTRY, i.CameraCondition.DARK, "grey level 4"), EventType.CAMERA_CONDITION),
        (i.UplinkReported(connected=True, detail="broker"), EventType.UPLINK_CHANGED),
        (i.BarrierFaulted("tamper", active=True), EventType.BARRIER_FAULT),
    ],
)
def test_a_part_that_repeats_itself_is_recorded_once(given: i.Input, kind: EventType) -> None:
    lane = Play()
    assert kind in types(lane.hears(given))
    assert kind not in types(lane.hears(given))


def test_a_silent_control_socket_is_an_alarm_and_moves_nothing() -> None:
    lane = Play()
    before = closed(lane)
    (said,) = events(lane.hears(i.ControlSocketSilent("thread gate-control-socket has not turned for 5 s")), EventType.STAFF_UNHEARD)
    assert (said.data, closed(lane)) == ({"detail": "thread gate-control-socket has not turned for 5 s"}, before)


def test_a_fault_that_was_never_raised_does_not_end() -> None:
    assert types(Play().hears(i.BarrierFaulted("tamper", active=False))) == []


def test_a_lost_link_forgets_the_faults_because_a_new_one_tells_them_anew() -> None:
    lane = Play()
    lane.hears(i.BarrierFaulted("tamper", active=True), i.BarrierLost("unplugged"), CONNECTED)
    assert closed(lane) == {"entry": [], "exit": []}


def test_a_camera_that_is_not_ours_says_nothing() -> None:
    assert Play().hears(i.CameraReported("elsewhere", ENTRY, i.CameraCondition.FROZEN)) == ()


def test_an_acknowledgement_is_passed_on_to_the_journal() -> None:
    assert Play().hears(i.EventsAcknowledged(EPOCH, 12, "ab" * 32)) == (MarkDelivered(EPOCH, 12, "ab" * 32),)


def test_the_loss_of_the_broker_stops_nobody() -> None:
    lane = Play()
    lane.hears(i.UplinkReported(connected=True), i.UplinkReported(connected=False))
    assert lane.passes() == 1


def test_a_belief_is_told_on_every_change_of_phase_and_only_then() -> None:
    lane = Play()
    lane.passes()
    believed = [str(e.phase) for e in lane.all if isinstance(e, Believe)]
    assert believed == ["unready", "secured", "released", "passing", "secured"]


def test_the_snapshot_is_json_and_names_nobody() -> None:
    lane = Play(known=LastKnown(highest_grant=GrantNumber(3)))
    lane.grants()
    text = json.dumps(controller.snapshot(lane.state))
    assert "ada" not in text
    picture = json.loads(text)
    assert (picture["phase"], picture["grant"], picture["counts"]["granted"]) == ("released", 4, 1)
