"""The controller alone is safe: HOUSE section 6, rule by rule, with a real host's end of the link.

Every test runs against the emulator and against the reference firmware: one set of rules, two implementations.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from firmware_bridge import codec
from firmware_bridge.emulator.controller import Output
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.errors import MessageError, Rejected
from firmware_bridge.framing import FrameReader
from firmware_bridge.greeting import hello, read_reply
from firmware_bridge.host_events import (
    Armed,
    ArmRefused,
    CancelAnswered,
    Connected,
    Happened,
    HealthRead,
    LinkRefused,
    Lost,
    NotDone,
    ReleaseAnswered,
)
from firmware_bridge.limits import EVENT_QUEUE, LEASE_MS, MAX_WINDOW_MS
from firmware_bridge.messages import (
    Arm,
    CancelAck,
    EmergencyChanged,
    FaultChanged,
    ForcedOpen,
    HeldOpen,
    NoSession,
    PassageCompleted,
    PassageStarted,
    Release,
    ReleaseEnded,
    RequestToExit,
    ReversePassage,
    State,
    StateRequest,
    Tailgating,
    Tamper,
)
from firmware_bridge.session import Session, seal_open
from firmware_bridge.vocabulary import (
    Belief,
    CancelResult,
    Cause,
    Direction,
    Drive,
    Emergency,
    EndReason,
    FailMode,
    Fault,
    Faults,
    Inputs,
    Lamp,
    Mechanics,
    Outcome,
    Phase,
    Refusal,
    ReleaseResult,
    Sender,
    Switch,
    Tone,
)
from tests.bridge.firmware import Firmware, load
from tests.bridge.world import BOTH, KEY, NONE, WAYS, Peer, World, host_settings

NEAR, FAR = Inputs.BEAM_ENTRY, Inputs.BEAM_EXIT


@pytest.fixture(params=["emulator", "firmware"], autouse=True)
def peer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "firmware":
        monkeypatch.setattr(Peer, "machine", partial(Firmware, load(request.getfixturevalue("library"))))


def heartbeats(world: World, number: int) -> None:
    """Let so many pass. In a session where nothing else happens the host writes nothing but heartbeats."""
    before = len(world.written)
    world.until(lambda: len(world.written) == before + number, limit_ms=250 * (number + 2))


def settings(**changes: object) -> ControllerSettings:
    return replace(ControllerSettings(key=KEY), **changes)  # type: ignore[arg-type]


def refusal_of(world: World) -> Refusal:
    return world.seen(ReleaseAnswered)[-1].ack.refusal


# --- the ordinary passage -----------------------------------------------------------------------------------------------------


def test_a_granted_person_passes_and_is_counted() -> None:
    world = World().arm()
    world.release(1)
    assert world.drive == Drive.ENTRY | Drive.PULSE_ENTRY
    world.walk()
    assert [type(e.event) for e in world.events if hasattr(e, "event")] == [PassageStarted, PassageCompleted]
    (completed,) = world.happened(PassageCompleted)
    assert (completed.grant_number, completed.direction, completed.cause, completed.passages) == (1, Direction.ENTRY, Cause.GRANT, 1)
    assert world.controller.phase is Phase.CLOSING
    world.run(1_000)
    assert (world.controller.phase, world.drive) == (Phase.SECURED, Drive(0))


def test_the_lane_closes_behind_one_person_before_its_window_is_over() -> None:
    world = World().arm()
    world.release(1, window_ms=10_000)
    world.walk()
    assert not world.drive & WAYS


# --- rule 1: the controller bounds every release itself -------------------------------------------------------------------------


def test_a_window_beyond_ten_seconds_is_cut() -> None:
    world = World().arm()
    world.release(1, window_ms=60_000)
    (answer,) = world.seen(ReleaseAnswered)
    assert answer.ack.window_ms == MAX_WINDOW_MS
    opened = world.now_ms
    world.until(lambda: not world.drive & WAYS, limit_ms=20_000)
    assert world.now_ms - opened == MAX_WINDOW_MS
    assert [e.reason for e in world.happened(ReleaseEnded)] == [EndReason.WINDOW_PASSED]


@pytest.mark.parametrize(("asked_ms", "given_ms"), [(65_535, 1_000), (1_000, 1_000), (500, 500), (1, 100)])
def test_a_pulse_is_timed_and_cut_in_the_device(asked_ms: int, given_ms: int) -> None:
    world = World().arm()
    world.link.release(
        grant_number=1,
        direction=Direction.EXIT,
        window_ms=5_000,
        pulse_ms=asked_ms,
        expires_ns=world.now_ns + 10**9,
        now_ns=world.now_ns,
    )
    world.pump()
    opened = world.now_ms
    assert world.drive & Drive.PULSE_EXIT
    world.until(lambda: not world.drive & Drive.PULSE_EXIT, limit_ms=5_000)
    assert world.now_ms - opened == given_ms


def test_a_pulse_begins_with_the_release_and_ends_with_it_at_the_latest() -> None:
    world = World().arm()
    drives: list[Drive] = []
    world.watch = lambda output: drives.append(output.drive)
    world.inject(sealed_release(world, 1))
    assert drives[0] == Drive.ENTRY | Drive.PULSE_ENTRY  # in the step that says yes, before it is said
    world.walk(step_ms=20)
    assert world.passed() == [1]
    assert not world.drive & Drive.PULSE_ENTRY


def test_a_pulse_ends_by_its_time_while_somebody_stands_in_the_beams() -> None:
    world = World().arm()
    world.release(1)
    world.beams(NEAR)
    world.run(499)
    assert world.drive == Drive.ENTRY | Drive.PULSE_ENTRY
    world.run(1)
    assert world.drive == Drive.ENTRY


def test_a_window_too_short_to_use_is_refused() -> None:
    world = World().arm()
    world.release(1, window_ms=499)
    assert refusal_of(world) is Refusal.BAD_VALUE


@pytest.mark.parametrize("before_wrap_ms", [1, 500, 3_000, 9_999])
def test_a_window_across_the_wrap_of_the_clock_has_its_full_length_and_no_more(before_wrap_ms: int) -> None:
    world = World(controller_offset_ms=2**32 - 1_000 - before_wrap_ms - 3_000).arm()
    assert world.controller_ms < 2**32 - before_wrap_ms
    world.run(2**32 - before_wrap_ms - world.controller_ms)
    world.release(1, window_ms=10_000)
    opened = world.now_ms
    world.until(lambda: not world.drive & WAYS, limit_ms=20_000)
    assert world.now_ms - opened == 10_000


def test_more_releases_in_a_minute_than_the_lane_can_do_are_refused() -> None:
    world = World(settings=settings(releases_per_minute=3, leaf_travel_ms=0, minimum_gap_ms=1)).arm()
    started = world.now_ms
    for grant in (1, 2, 3, 4):
        world.release(grant, window_ms=500)
        world.run(600)
    assert (world.openings(), refusal_of(world)) == ([1, 2, 3], Refusal.TOO_MANY)
    world.run(60_000 - (world.now_ms - started))
    world.release(5)
    assert world.openings() == [1, 2, 3, 5]


# --- rule 2: one passage per grant number ---------------------------------------------------------------------------------------


def sealed_release(world: World, grant: int, *, ahead_ms: int = 500) -> bytes:
    """A RELEASE from the host's own session, outside its queue."""
    up = world.link._up
    assert up is not None
    return up.session.seal(Release(grant, Direction.ENTRY, 5_000, 500, (world.controller_ms + ahead_ms) % 2**32))


def test_a_repeated_release_is_acknowledged_and_does_nothing() -> None:
    world = World().arm()
    world.release(1)
    world.walk()
    world.run(1_000)
    world.inject(sealed_release(world, 1))
    assert world.logged("release")[-1].fields["result"] == ReleaseResult.DUPLICATE.name
    assert world.logged("release")[-1].fields["outcome"] == Outcome.PASSED.name
    assert (world.drive, world.openings()) == (Drive(0), [1])


def test_a_lower_grant_number_is_refused() -> None:
    world = World().arm()
    world.release(7, window_ms=500)
    world.run(2_000)
    world.release(6)
    assert (refusal_of(world), world.openings()) == (Refusal.GRANT_USED, [7])


def test_grant_number_zero_is_none() -> None:
    world = World().arm()
    world.release(0)
    assert refusal_of(world) is Refusal.BAD_VALUE
    assert world.store is not None
    assert world.store.last_grant == 0


def test_a_used_number_stays_used_over_reconnect_and_reboot() -> None:
    world = World().arm()
    world.release(9)
    world.walk()
    world.restart_host()
    world.connect()
    world.arm()
    world.inject(sealed_release(world, 9))
    world.start_controller()
    world.run(3_000)
    world.arm()
    world.inject(sealed_release(world, 9))
    assert [line.fields["result"] for line in world.logged("release")] == ["ACCEPTED", "DUPLICATE", "DUPLICATE"]


def test_the_number_is_kept_before_anything_moves() -> None:
    """Each step hands over store and drive together; the board keeps first. Here: never a way open on a grant that is not kept."""
    world = World().arm()
    kept: list[tuple[int, bool]] = []
    world.watch = lambda output: kept.append((world.store.last_grant if world.store else -1, bool(output.drive & WAYS)))
    world.release(5)
    assert (5, True) in kept
    assert all(grant == 5 for grant, is_open in kept if is_open)


def test_a_refused_number_is_used_up_and_its_answer_never_changes() -> None:
    world = World().arm()
    world.release(1)
    world.release(2)
    assert refusal_of(world) is Refusal.BUSY
    world.walk()
    world.run(2_000)
    world.inject(sealed_release(world, 2))
    assert (world.logged("release")[-1].fields["result"], world.logged("release")[-1].fields["refusal"]) == ("DUPLICATE", "BUSY")
    assert world.drive == Drive(0)


def test_a_late_release_is_refused() -> None:
    world = World().arm()
    world.inject(sealed_release(world, 1, ahead_ms=0))
    world.inject(sealed_release(world, 2, ahead_ms=-1))
    assert [line.fields["refusal"] for line in world.logged("release")] == ["NONE", "LATE"]


@pytest.mark.parametrize("offset", [2**32 - 1_000 - 3, 2**32 - 1_000 - 100])
def test_a_late_release_is_refused_across_the_wrap(offset: int) -> None:
    world = World(controller_offset_ms=offset)
    world.arm()
    world.inject(sealed_release(world, 1, ahead_ms=-1))
    world.inject(sealed_release(world, 2, ahead_ms=500))
    assert [line.fields["refusal"] for line in world.logged("release")] == ["LATE", "NONE"]


def test_a_deadline_too_far_ahead_is_a_mistake() -> None:
    world = World().arm()
    world.inject(sealed_release(world, 1, ahead_ms=10_001))
    assert world.logged("release")[-1].fields["refusal"] == Refusal.NOT_AFTER_TOO_FAR.name


# --- CANCEL ---------------------------------------------------------------------------------------------------------------------


def test_a_cancel_closes_an_unused_release() -> None:
    world = World().arm()
    world.release(1)
    world.cancel(1)
    assert world.seen(CancelAnswered) == [CancelAnswered(CancelAck(1, CancelResult.CANCELLED))]
    assert [e.reason for e in world.happened(ReleaseEnded)] == [EndReason.CANCELLED]
    assert not world.drive & WAYS


def test_a_cancel_while_somebody_is_between_the_beams_is_too_late_and_closes_on_nobody() -> None:
    world = World().arm()
    world.release(1)
    world.beams(BOTH)
    world.cancel(1)
    assert world.seen(CancelAnswered)[-1].ack.result is CancelResult.TOO_LATE
    assert world.drive & WAYS
    world.beams(FAR)
    world.beams(NONE)
    assert world.passed() == [1]


def test_who_goes_back_after_a_late_cancel_finds_it_closed() -> None:
    world = World().arm()
    world.release(1)
    world.beams(NEAR)
    world.cancel(1)
    world.beams(NONE)
    assert [e.reason for e in world.happened(ReleaseEnded)] == [EndReason.CANCELLED]
    assert not world.drive & WAYS


def test_a_cancel_that_overtakes_its_release_uses_the_number_up() -> None:
    world = World().arm()
    world.cancel(4)
    assert world.seen(CancelAnswered)[-1].ack.result is CancelResult.NEVER_RELEASED
    world.inject(sealed_release(world, 4))
    assert (world.openings(), world.drive) == ([], Drive(0))
    assert world.logged("release")[-1].fields["refusal"] == Refusal.CANCELLED.name


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_repeated_cancel_gets_the_same_answer(number: int) -> None:
    world = World().arm()
    world.release(1)
    if number == 1:
        world.cancel(1)
    if number == 2:
        world.walk()
        world.cancel(1)
    if number == 3:
        world.cancel(2)
    again = 2 if number == 3 else 1
    world.cancel(again)
    first, second = (event.ack for event in world.seen(CancelAnswered))
    assert first == second


# --- rule 3: lease and belief; nobody is shut in or struck ------------------------------------------------------------------------


def test_a_lost_lease_ends_permission_and_raises_a_fault() -> None:
    world = World().arm()
    world.host_alive = False
    world.run(LEASE_MS + 1)
    assert not world.controller.armed
    assert [line.fields["fault"] for line in world.logged("fault_changed")] == [Fault.LEASE_LOST.name]
    world.host_alive = True
    world.arm()
    assert [e.active for e in world.happened(FaultChanged) if e.fault is Fault.LEASE_LOST] == [Switch.ON, Switch.OFF]


def test_the_lease_holds_exactly_two_seconds() -> None:
    world = World().arm()
    heartbeats(world, 1)
    world.host_alive = False
    world.run(LEASE_MS - 1)
    assert world.controller.armed
    world.run(1)
    assert not world.controller.armed


def test_an_unused_release_ends_with_the_lease_because_nobody_could_cancel_it() -> None:
    world = World().arm()
    world.release(1, window_ms=10_000)
    world.host_alive = False
    world.run(LEASE_MS + 1)
    assert [line.fields["reason"] for line in world.logged("release_ended")] == [EndReason.LEASE_LOST.name]
    assert not world.drive & WAYS


def test_a_passage_under_way_finishes_after_the_lease_is_lost() -> None:
    world = World().arm()
    world.release(1)
    world.beams(BOTH)
    world.host_alive = False
    world.run(30_000)
    assert world.drive & Drive.ENTRY
    world.beams(FAR)
    world.beams(NONE)
    assert world.passed() == [1]


def test_a_belief_that_is_wrong_three_times_costs_the_permission() -> None:
    world = World().arm()
    world.belief = Belief.EMERGENCY
    world.run(760)
    assert not world.controller.armed
    assert world.logged("fault_changed")[-1].fields["fault"] == Fault.BELIEF_WRONG.name


def test_a_host_that_does_not_know_of_its_own_release_loses_the_permission() -> None:
    world = World().arm()
    world.release(1, window_ms=10_000)
    world.belief = Belief.SECURED
    world.run(1_000)
    assert not world.controller.armed
    world.belief = None
    world.until(lambda: bool(world.happened(ReleaseEnded)), limit_ms=12_000)


def test_a_belief_that_is_wrong_twice_and_then_right_costs_nothing() -> None:
    world = World().arm()
    for _ in range(5):
        world.belief = Belief.EMERGENCY
        heartbeats(world, 2)
        world.belief = None
        heartbeats(world, 1)
    assert world.controller.armed


def test_no_leaf_closes_on_a_broken_beam_when_the_window_passes() -> None:
    world = World().arm()
    world.release(1, window_ms=1_000)
    world.beams(NEAR)
    world.run(5_000)
    assert world.drive & Drive.ENTRY
    world.beams(NONE)
    world.run(1)
    assert not world.drive & WAYS


def test_the_end_of_an_emergency_closes_on_nobody() -> None:
    world = World().arm()
    world.sense(Inputs.FIRE)
    world.sense(Inputs.FIRE | BOTH)
    world.sense(BOTH)
    world.press(Inputs.RESET_KEY)
    world.run(20_000)
    assert world.drive & WAYS == WAYS
    world.beams(NONE)
    assert not world.drive & WAYS


def test_a_closing_leaf_opens_again_for_whoever_steps_in() -> None:
    world = World(settings=settings(leaf_travel_ms=400)).arm()
    world.release(1)
    world.walk(step_ms=1)
    world.run(200)
    assert world.controller.phase is Phase.CLOSING
    world.beams(NEAR)
    assert world.drive & Drive.ENTRY
    world.beams(NONE)
    world.run(1_000)
    assert (world.drive, world.controller.phase) == (Drive(0), Phase.SECURED)


def test_a_closed_leaf_does_not_open_for_whoever_touches_a_beam() -> None:
    world = World().arm()
    for beams in (NEAR, BOTH, NEAR, NONE, FAR, BOTH, FAR, NONE):
        world.beams(beams)
        world.run(500)
        assert world.drive == Drive(0)


def test_whoever_stands_between_can_go_back_even_after_everything_was_withdrawn() -> None:
    world = World().arm()
    world.release(1, window_ms=1_000)
    world.beams(NEAR)
    world.beams(BOTH)
    world.host_alive = False
    world.run(60_000)
    assert world.drive & Drive.ENTRY
    world.beams(NEAR)
    assert world.drive & Drive.ENTRY
    world.beams(NONE)
    assert world.logged("release_ended")[-1].fields["reason"] == EndReason.TURNED_BACK.name


@pytest.mark.parametrize("leaf_travel_ms", [0, 400])
def test_a_reboot_with_somebody_between_keeps_the_way_open_until_they_are_out(leaf_travel_ms: int) -> None:
    world = World(settings=settings(leaf_travel_ms=leaf_travel_ms)).arm()
    world.release(1)
    world.beams(BOTH)
    world.start_controller()
    assert world.drive & WAYS == Drive.ENTRY
    world.run(5_000)
    assert world.drive & WAYS == Drive.ENTRY
    world.beams(NEAR)
    world.beams(NONE)
    world.run(1)
    assert not world.drive & WAYS


def test_a_reboot_with_somebody_at_a_closed_leaf_opens_nothing() -> None:
    world = World().arm()
    world.beams(BOTH)
    world.start_controller()
    assert world.drive == Drive(0)


# --- rule 4: request to exit and emergency need no host ---------------------------------------------------------------------------


def test_a_request_to_exit_needs_no_host() -> None:
    world = World(host_alive=False)
    world.press(Inputs.REQUEST_TO_EXIT)
    assert world.drive & Drive.EXIT
    assert not world.drive & Drive.ENTRY
    world.walk(Direction.EXIT)
    world.run(1_000)
    assert (world.drive, world.controller.store.passages_exit) == (Drive(0), 1)


def test_a_request_to_exit_during_an_entry_is_served_as_soon_as_the_lane_is_free() -> None:
    world = World().arm()
    world.release(1, window_ms=10_000)
    world.press(Inputs.REQUEST_TO_EXIT)
    assert not world.drive & Drive.EXIT
    world.walk()
    world.until(lambda: bool(world.drive & Drive.EXIT), limit_ms=1_000)


def test_a_request_to_exit_is_told_to_the_host_and_counted_without_a_grant() -> None:
    world = World().arm()
    world.press(Inputs.REQUEST_TO_EXIT)
    world.walk(Direction.EXIT)
    assert len(world.happened(RequestToExit)) == 1
    (completed,) = world.happened(PassageCompleted)
    assert (completed.grant_number, completed.cause) == (0, Cause.REQUEST_TO_EXIT)


def test_the_host_cannot_cancel_a_request_to_exit() -> None:
    world = World().arm()
    world.press(Inputs.REQUEST_TO_EXIT)
    world.cancel(0)
    assert world.drive & Drive.EXIT


def test_a_request_to_exit_works_with_a_damaged_store_and_a_stuck_beam() -> None:
    world = World(store=None, host_alive=False)
    world.beams(NEAR)
    world.run(70_000)
    world.press(Inputs.REQUEST_TO_EXIT)
    assert world.drive & Drive.EXIT


@pytest.mark.parametrize("before", ["armed", "released", "passing", "closing", "no host"])
def test_an_emergency_frees_both_ways_at_once(before: str) -> None:
    world = World()
    if before != "no host":
        world.arm()
    if before in ("released", "passing", "closing"):
        world.release(1)
    if before == "passing":
        world.beams(NEAR)
    if before == "closing":
        world.walk(step_ms=1)
    world.sense(world.inputs | Inputs.FIRE)
    assert world.drive & WAYS == WAYS
    world.sense(world.inputs & ~Inputs.FIRE)
    world.run(100_000)
    assert world.drive & WAYS == WAYS


def test_after_an_emergency_only_a_person_on_site_ends_it_and_the_host_arms_after_that() -> None:
    world = World().arm()
    world.sense(Inputs.FIRE)
    world.sense(NONE)
    assert world.controller.phase is Phase.AWAITING_RESET
    world.link.read_state(world.now_ns)
    world.pump()
    world.link.arm(world.now_ns)
    world.pump()
    assert world.seen(ArmRefused)[-1].refusal is Refusal.EMERGENCY
    world.press(Inputs.RESET_KEY)
    assert (world.controller.phase, world.controller.armed) == (Phase.CLOSING, False)
    world.run(1_000)
    world.arm()
    assert [e.emergency for e in world.happened(EmergencyChanged)] == [Emergency.ON, Emergency.CLEARED, Emergency.RESET]


def test_the_reset_key_does_nothing_while_the_fire_input_is_on() -> None:
    world = World()
    world.sense(Inputs.FIRE)
    world.sense(Inputs.FIRE | Inputs.RESET_KEY)
    world.sense(Inputs.FIRE)
    assert (world.controller.phase, world.drive & WAYS) == (Phase.EMERGENCY, WAYS)


def test_an_emergency_outlives_a_power_cut() -> None:
    world = World()
    world.sense(Inputs.FIRE)
    world.sense(NONE)
    world.start_controller()
    assert (world.controller.phase, world.drive & WAYS) == (Phase.AWAITING_RESET, WAYS)


def test_a_passage_that_an_emergency_meets_under_way_keeps_its_grant() -> None:
    world = World().arm()
    world.release(1)
    world.beams(BOTH)
    world.sense(world.inputs | Inputs.FIRE)
    world.beams(FAR)
    world.beams(NONE)
    assert world.passed() == [1]


# --- rule 5: rest position, and nothing without ARM --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "leave", "rest"),
    [
        (FailMode.SECURE, FailMode.SECURE, Drive(0)),
        (FailMode.SECURE, FailMode.FREE, Drive.EXIT),
        (FailMode.FREE, FailMode.SECURE, Drive.ENTRY),
        (FailMode.FREE, FailMode.FREE, WAYS),
    ],
)
def test_each_direction_rests_in_its_own_fail_mode(entry: FailMode, leave: FailMode, rest: Drive) -> None:
    world = World(settings=settings(fail_entry=entry, fail_exit=leave))
    assert world.drive == rest
    world.arm()
    world.run(1_000)
    assert world.drive == Drive(0)
    world.host_alive = False
    world.run(LEASE_MS + 1)
    assert world.drive == rest


def test_a_passage_in_a_direction_that_rests_free_is_counted_as_such() -> None:
    world = World(settings=settings(fail_exit=FailMode.FREE), host_alive=False)
    world.walk(Direction.EXIT)
    assert world.logged("passage_completed")[-1].fields["cause"] == Cause.REST_FREE.name
    world.walk(Direction.ENTRY)
    assert world.logged("reverse_passage")[-1].fields["direction"] == Direction.ENTRY.name


def test_nothing_is_released_without_arm() -> None:
    world = World()
    world.connect()
    world.run(500)
    world.inject(sealed_release(world, 1))
    assert (world.logged("release")[-1].fields["refusal"], world.drive) == (Refusal.NOT_ARMED.name, Drive(0))


def test_arm_on_an_older_state_is_refused() -> None:
    world = World()
    world.connect()
    world.run(300)
    world.link.arm(world.now_ns)
    world.inputs |= Inputs.TAMPER
    world._apply(world.controller.sense(world.inputs, world.controller_ms))  # the STATE is on its way when ARM is written
    world.pump()
    assert [e.refusal for e in world.seen(ArmRefused)] == [Refusal.STALE_STATE]
    world.arm()


def test_arm_without_a_heartbeat_is_refused() -> None:
    world = World().arm()
    world.host_alive = False
    world.run(LEASE_MS)
    up = world.link._up
    assert up is not None
    world.inject(up.session.seal(Arm(0)))
    assert world.logged("arm")[-1].fields["refusal"] == Refusal.NO_LEASE.name


def test_another_session_has_to_arm_again() -> None:
    world = World().arm()
    world.restart_host()
    world.connect()
    assert not world.controller.armed


def test_disarm_takes_effect_at_once() -> None:
    world = World().arm()
    world.link.disarm()
    world.pump()
    assert not world.controller.armed


# --- rule 6: the passage counter ----------------------------------------------------------------------------------------------------


def test_the_counters_survive_power_loss() -> None:
    world = World().arm()
    world.release(1)
    world.walk()
    world.press(Inputs.REQUEST_TO_EXIT)
    world.run(700)
    world.walk(Direction.EXIT)
    world.start_controller()
    store = world.controller.store
    assert (store.passages_entry, store.passages_exit, store.last_grant, store.last_outcome) == (1, 1, 1, Outcome.PASSED)


def test_power_lost_in_the_middle_of_a_release_is_remembered_as_interrupted() -> None:
    world = World().arm()
    world.release(1)
    world.start_controller()
    assert (world.controller.store.last_outcome, world.drive & WAYS) == (Outcome.INTERRUPTED, Drive(0))


def test_a_damaged_store_takes_no_release_and_keeps_nothing() -> None:
    world = World(store=None)
    world.connect()
    world.run(300)
    world.link.arm(world.now_ns)
    world.pump()
    assert world.seen(ArmRefused)[-1].refusal is Refusal.FAULT
    world.inject(sealed_release(world, 1))
    assert (world.logged("release")[-1].fields["refusal"], world.drive) == (Refusal.FAULT.name, Drive(0))
    assert world.store is None


# --- rule 8: the MAC, and no keyless link by accident -------------------------------------------------------------------------------


def test_a_keyless_link_needs_both_sides() -> None:
    said = {None: "the controller has a key and this gate has none", KEY: "this gate has a key and the controller has none"}
    for mine, theirs in ((None, KEY), (KEY, None)):
        world = World(settings=ControllerSettings(key=theirs), host_settings=host_settings(key=mine))
        world.connect()
        assert f"LINK_MODE; {said[mine]}" in world.seen(LinkRefused)[-1].reason
    world = World(settings=ControllerSettings(key=None), host_settings=host_settings(key=None))
    world.arm()


def test_another_key_is_never_armed() -> None:
    world = World(host_settings=host_settings(key=bytes(range(1, 33))))
    world.connect()
    world.run(4_000)
    assert "another key" in world.seen(Lost)[-1].reason
    assert world.logged("session") == []


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(32)])
def test_a_key_that_is_none_is_not_taken(key: bytes) -> None:
    with pytest.raises(MessageError, match="key"):
        ControllerSettings(key=key)
    with pytest.raises(MessageError, match="key"):
        host_settings(key=key)


# --- sensors ---------------------------------------------------------------------------------------------------------------------------


def test_whoever_passes_a_closed_leaf_forced_it() -> None:
    world = World().arm()
    world.walk()
    assert [(e.direction, e.passages) for e in world.happened(ForcedOpen)] == [(Direction.ENTRY, 1)]


def test_a_second_person_close_behind_is_tailgating() -> None:
    world = World().arm()
    world.release(1)
    for beams in (NEAR, BOTH, FAR, BOTH, FAR, NONE):
        world.beams(beams)
        world.run(100)
    assert [(e.grant_number, e.passages) for e in world.happened(PassageCompleted)] == [(1, 1)]
    assert [(e.grant_number, e.passages) for e in world.happened(Tailgating)] == [(1, 2)]


def test_a_second_person_in_the_closing_leaf_is_tailgating() -> None:
    world = World().arm()
    world.release(1)
    world.walk(step_ms=50)
    world.walk(step_ms=50)
    assert [(e.grant_number, e.passages) for e in world.happened(Tailgating)] == [(1, 2)]


def test_a_person_from_the_other_side_ends_the_release_without_its_passage() -> None:
    world = World().arm()
    world.release(1)
    world.walk(Direction.EXIT)
    assert [(e.grant_number, e.direction) for e in world.happened(ReversePassage)] == [(1, Direction.EXIT)]
    assert [e.reason for e in world.happened(ReleaseEnded)] == [EndReason.REVERSE_PASSAGE]
    assert world.passed() == []
    world.walk(Direction.ENTRY, step_ms=1)
    assert world.passed() == []


def test_who_turns_back_between_the_beams_ends_the_release() -> None:
    world = World().arm()
    world.release(1)
    for beams in (NEAR, BOTH, NEAR, NONE):
        world.beams(beams)
    assert [e.reason for e in world.happened(ReleaseEnded)] == [EndReason.TURNED_BACK]
    assert len(world.happened(PassageStarted)) == 1
    world.walk(step_ms=1)
    assert world.passed() == []


def test_who_only_touches_the_first_beam_keeps_the_release() -> None:
    world = World().arm()
    world.release(1)
    world.beams(NEAR)
    world.beams(NONE)
    assert world.happened(PassageStarted) == []
    world.walk()
    assert world.passed() == [1]


def test_a_body_that_stays_is_held_open_until_it_goes() -> None:
    world = World(settings=settings(held_open_ms=2_000)).arm()
    world.release(1)
    world.beams(BOTH)
    world.run(2_500)
    assert [e.held for e in world.happened(HeldOpen)] == [Switch.ON]
    world.beams(NEAR)
    world.beams(NONE)
    assert [e.held for e in world.happened(HeldOpen)] == [Switch.ON, Switch.OFF]


def test_a_beam_that_stays_broken_stops_host_releases_and_heals() -> None:
    world = World(settings=settings(beam_stuck_ms=5_000)).arm()
    world.beams(NEAR)
    world.run(5_001)
    world.release(1)
    assert refusal_of(world) is Refusal.FAULT
    world.beams(NONE)
    world.release(2)
    assert world.openings() == [2]


@pytest.mark.parametrize("beams", [FAR, BOTH])
def test_a_release_into_an_occupied_lane_is_refused(beams: Inputs) -> None:
    world = World().arm()
    world.beams(beams)
    world.release(1)
    assert refusal_of(world) is Refusal.LANE_OCCUPIED


def test_a_release_for_somebody_who_stands_at_the_first_beam_is_taken() -> None:
    world = World().arm()
    world.beams(NEAR)
    world.release(1)
    world.beams(BOTH)
    world.beams(FAR)
    world.beams(NONE)
    assert world.passed() == [1]


def test_tamper_is_told_and_is_a_fault_while_it_lasts() -> None:
    world = World().arm()
    world.sense(Inputs.TAMPER)
    world.sense(NONE)
    assert [e.open for e in world.happened(Tamper)] == [Switch.ON, Switch.OFF]


@pytest.mark.parametrize("already", [False, True])
def test_an_open_cabinet_is_both_an_event_and_a_fault_and_stops_no_release(already: bool) -> None:
    world = World()
    if already:
        world.inputs = Inputs.TAMPER
        world.start_controller()
    world.arm()
    before = state_of(world).revision
    if not already:
        world.sense(Inputs.TAMPER)
        assert state_of(world).revision == before + 1
    told = [event.event for event in world.seen(Happened)]
    (tamper,) = [n for n, event in enumerate(told) if isinstance(event, Tamper)]
    fault = told[tamper + 1]
    assert isinstance(fault, FaultChanged)
    assert (fault.fault, fault.active, state_of(world).faults) == (Fault.TAMPER, Switch.ON, Faults.TAMPER)
    world.release(1)
    assert world.openings() == [1]


# --- faults: what raises and what clears each (PROTOCOL.md section 7.9) ---------------------------------------------------------------


def state_of(world: World) -> State:
    assert world.link.state is not None
    return world.link.state


def faults_of(world: World) -> Faults:
    world.link.read_state(world.now_ns)
    world.pump()
    return state_of(world).faults


def lose_the_lease(world: World) -> None:
    world.host_alive = False
    world.run(LEASE_MS + 1)
    world.host_alive = True
    world.run(10)


def believe_wrongly(world: World) -> None:
    world.belief = Belief.EMERGENCY
    world.run(1_000)
    world.belief = None


def drop_events(world: World) -> None:
    world.acknowledges = False
    for _ in range(EVENT_QUEUE + 1):
        world.press(Inputs.REQUEST_TO_EXIT)
        world.run(10)
    world.acknowledges = True


@pytest.mark.parametrize(
    ("fault", "bring_about", "remains"),
    [(Fault.LEASE_LOST, lose_the_lease, False), (Fault.BELIEF_WRONG, believe_wrongly, False), (Fault.EVENTS_DROPPED, drop_events, True)],
)
def test_a_fault_of_the_host_is_cleared_by_the_arm_that_arms(fault: Fault, bring_about: Callable[[World], None], remains: bool) -> None:
    world = World().arm()
    bring_about(world)
    assert (faults_of(world), world.controller.armed) == (fault.bit, remains)
    if remains:
        world.until(lambda: world.link.caught_up, limit_ms=20_000)
        world.link.arm(world.now_ns)  # armed already: nothing changes
        world.pump()
        assert faults_of(world) == fault.bit
        world.link.disarm()
        world.run(10_000)  # the way out is shut again
    world.arm()
    assert faults_of(world) == Faults(0)


def test_a_stuck_beam_is_a_fault_until_both_beams_are_clear() -> None:
    world = World(settings=settings(beam_stuck_ms=5_000)).arm()
    for beams in (NEAR, BOTH):
        world.beams(beams)
        world.run(2_500)
    assert faults_of(world) == Faults.BEAM_STUCK
    world.beams(FAR)
    assert faults_of(world) == Faults.BEAM_STUCK
    world.beams(NONE)
    assert faults_of(world) == Faults(0)
    assert world.controller.armed


def test_a_damaged_store_is_a_fault_that_no_order_clears() -> None:
    world = World(store=None)
    world.connect()
    world.run(300)
    world.link.arm(world.now_ns)
    world.pump()
    assert (faults_of(world), world.controller.armed) == (Faults.STORE_DAMAGED, False)


def test_the_protocol_says_of_each_fault_what_raises_and_what_clears_it() -> None:
    text = Path(codec.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8").split("### 7.9")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| \d ", line)]
    assert [row[0].strip() for row in rows] == [f"{fault.value} {fault.name.lower().replace('_', ' ')}" for fault in Fault]
    assert all(cell.strip() for row in rows for cell in row)


def test_entry_and_exit_are_never_released_together() -> None:
    world = World().arm()
    world.release(1, Direction.ENTRY)
    world.release(2, Direction.EXIT)
    assert refusal_of(world) is Refusal.BUSY
    assert world.drive & WAYS == Drive.ENTRY


def test_a_release_waits_for_the_leaf_and_the_minimum_gap() -> None:
    world = World(settings=settings(leaf_travel_ms=300, minimum_gap_ms=200)).arm()
    world.release(1)
    world.walk(step_ms=1)
    world.release(2)
    assert world.openings() == [1]  # the host holds it back, within its time
    world.run(600)
    assert world.openings() == [1, 2]


@pytest.mark.parametrize(("after_ms", "refusal"), [(100, Refusal.BUSY), (400, Refusal.MINIMUM_GAP)])
def test_a_release_too_soon_is_refused(after_ms: int, refusal: Refusal) -> None:
    world = World(settings=settings(leaf_travel_ms=300, minimum_gap_ms=200)).arm()
    world.release(1)
    for beams in (NEAR, BOTH, FAR, NONE):
        world.beams(beams)
    world.run(after_ms)
    world.inject(sealed_release(world, 2))
    assert world.logged("release")[-1].fields["refusal"] == refusal.name


# --- lamp and tone ---------------------------------------------------------------------------------------------------------------------

DARK = (Lamp.OFF, Tone.OFF)


def lit(duration_ms: int = 0) -> World:
    world = World().arm()
    world.link.indicate(lamp=Lamp.GO, tone=Tone.GRANTED, duration_ms=duration_ms)
    world.pump()
    assert world.controller.shown == (Lamp.GO, Tone.GRANTED)
    return world


def test_a_lamp_goes_out_after_its_time() -> None:
    world = lit(500)
    world.run(499)
    assert world.controller.shown == (Lamp.GO, Tone.GRANTED)
    world.run(1)
    assert world.controller.shown == DARK
    assert [line.fields["lamp"] for line in world.logged("indicate")] == ["GO", "OFF"]


def test_a_lamp_without_a_time_stays_until_the_next_order() -> None:
    world = lit()
    world.run(60_000)
    assert world.controller.shown == (Lamp.GO, Tone.GRANTED)
    world.link.indicate(lamp=Lamp.STOP, tone=Tone.DENIED, duration_ms=0)
    world.pump()
    assert world.controller.shown == (Lamp.STOP, Tone.DENIED)


def test_a_lamp_goes_out_with_the_lease_of_its_host() -> None:
    world = lit()
    world.host_alive = False
    world.run(LEASE_MS + 1)
    assert world.controller.shown == DARK


def test_a_lamp_of_an_earlier_session_goes_out() -> None:
    world = lit()
    world.restart_host()
    world.connect()
    world.run(10)
    assert world.controller.shown == DARK


def test_no_lamp_says_go_or_stop_in_an_emergency() -> None:
    world = lit()
    world.sense(Inputs.FIRE)
    assert world.controller.shown == DARK
    world.link.indicate(lamp=Lamp.STOP, tone=Tone.ALARM, duration_ms=0)
    world.pump()
    (answer,) = world.seen(NotDone)
    assert (answer.answer.type, answer.answer.refusal) == (0x08, Refusal.EMERGENCY)
    assert world.controller.shown == DARK


def test_two_doors_are_not_built_and_not_pretended() -> None:
    with pytest.raises(MessageError, match="TWO_DOORS"):
        ControllerSettings(key=KEY, mechanics=Mechanics.TWO_DOORS)


def test_health_comes_once_a_second_and_counts() -> None:
    world = World().arm()
    before = len(world.seen(HealthRead))
    world.inject(b"\0\x05\x01\x01\0")
    world.inject(sealed_release(world, 1)[:-1] + b"\0")
    world.run(10_000)
    healths = world.seen(HealthRead)[before:]
    assert len(healths) == 10
    last = healths[-1].health
    assert (last.checksum_errors, last.missed_heartbeats, last.boot_count) == (1, 0, 1)
    assert 10 <= last.uptime_s <= 12


def test_missed_heartbeats_are_counted() -> None:
    world = World().arm()
    world.host_alive = False
    world.run(1_000)
    world.host_alive = True
    world.run(2_000)
    assert world.seen(HealthRead)[-1].health.missed_heartbeats == 3


def test_events_beyond_the_queue_are_counted_as_lost_and_the_counters_stay_exact() -> None:
    world = World(host_alive=False)
    for _ in range(100):
        world.walk(step_ms=1)
    assert world.logged("fault_changed")[-1].fields["fault"] == Fault.EVENTS_DROPPED.name
    world.host_alive = True
    world.arm()
    assert world.controller.store == replace(Store(), boot_count=1, passages_entry=100)
    numbers = [e.event_number for e in world.happened(ForcedOpen)]
    assert numbers == sorted(set(numbers))
    assert max(e.passages for e in world.happened(ForcedOpen)) == 100
    assert world.seen(Armed)


def test_the_hello_of_another_host_does_not_end_a_live_session() -> None:
    world = World().arm()
    world.inject(seal_open(hello(host_settings(host_id=b"intruder"), bytes(16))))
    assert world.logged("frame_refused")[-1].fields["reason"] == "unexpected"
    assert world.controller.armed


def greeted(world: World, nonce: bytes) -> Session:
    """The session of a HELLO that nobody has used yet."""
    written: list[bytes] = []
    world.watch = lambda output: written.append(output.data)
    asked = hello(world.host_settings, nonce)
    world.inject(seal_open(asked))
    frames = [frame for frame in FrameReader().feed(b"".join(written)) if not isinstance(frame, Rejected)]
    (found,) = [read_reply(world.host_settings, asked, frame) for frame in frames]
    assert not isinstance(found, Rejected)
    return found[0]


@pytest.mark.parametrize("in_force", [False, True])
def test_another_hello_takes_the_place_of_the_one_that_is_pending_and_ends_no_session(in_force: bool) -> None:
    world = World().arm() if in_force else World()
    sessions = len(world.logged("session"))
    first, second = greeted(world, bytes(16)), greeted(world, b"\1" * 16)
    world.inject(first.seal(StateRequest()))
    assert world.logged("frame_refused")[-1].fields["reason"] == "wrong mac"
    assert (len(world.logged("session")), world.controller.armed) == (sessions, in_force)
    world.inject(second.seal(StateRequest()))
    assert (len(world.logged("session")), world.controller.armed) == (sessions + 1, False)


def test_that_there_is_no_session_is_said_once_at_the_start_and_then_only_when_asked() -> None:
    machine = Peer.machine(settings(), Store(), inputs=NONE, now_ms=0)
    no_session = seal_open(NoSession(1))

    def said(*outputs: Output) -> int:
        return b"".join(output.data for output in outputs).count(no_session)

    assert said(*(machine.tick(now_ms) for now_ms in range(0, 5_000, 10))) == 1
    stranger = Session(bytes(32), me=Sender.HOST)
    assert [said(machine.receive(stranger.seal(StateRequest()), now_ms)) for now_ms in (5_000, 5_249, 5_250)] == [1, 0, 1]
    machine = Peer.machine(settings(), Store(), inputs=NONE, now_ms=0)
    assert said(machine.tick(0), machine.receive(stranger.seal(StateRequest()), 1)) == 2  # the one at the start holds no answer back


def test_a_release_forged_without_the_key_opens_nothing() -> None:
    world = World().arm()
    stranger = Session(bytes(32), me=Sender.HOST)
    stranger._sent = 1_000
    world.inject(stranger.seal(Release(1, Direction.ENTRY, 5_000, 500, world.controller_ms + 500)))
    assert world.logged("frame_refused")[-1].fields["reason"] == "wrong mac"
    assert not world.drive


def test_a_recorded_message_of_this_very_session_changes_nothing() -> None:
    world = World().arm()
    world.link.disarm()
    world.pump()
    recorded = world.written[-1]
    world.arm()
    world.inject(recorded)
    assert world.logged("frame_refused")[-1].fields["reason"] == "stale sequence"
    assert world.controller.armed


def test_a_session_of_another_boot_has_another_key() -> None:
    world = World()
    replies = []
    for _ in range(2):
        world.restart_host()
        world.link.connect(bytes(range(16)), world.now_ns)  # the same nonce of the host both times
        world.pump()
        replies.append(world.seen(Connected)[-1].hello.controller_nonce)
        world.start_controller()
    assert replies[0] != replies[1]


@pytest.mark.parametrize("name", ["exit_window_ms", "leaf_travel_ms", "releases_per_minute", "held_open_ms"])
def test_a_setting_beyond_its_limits_is_refused_by_name(name: str) -> None:
    with pytest.raises(MessageError, match=f"{name} is 1000000; it must be"):
        settings(**{name: 1_000_000})
