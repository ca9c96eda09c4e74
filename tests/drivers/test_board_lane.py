"""What a bought board's outputs and contacts mean. No board and no time: events and nanoseconds are passed in."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.effects import ReleaseBarrier
from agent.core.identity import NO_GRANT, Direction, GrantNumber
from agent.core.inputs import (
    BarrierAlarm,
    BarrierAlarmed,
    BarrierConnected,
    BarrierFaulted,
    BarrierInput,
    BarrierLost,
    CancelTooLate,
    ControllerKind,
    EmergencyCleared,
    EmergencyRaised,
    GrantOutcome,
    PassageCompleted,
    PassageStarted,
    ReleaseAccepted,
    ReleaseEnd,
    ReleaseEnded,
    ReleaseRefused,
)
from agent.drivers.board_lane import BoardLane, Wiring
from firmware_bridge.board import BoardEvent, BoardFaulted, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown

ENTRY, EXIT = Direction.ENTRY, Direction.EXIT
MS = 1_000_000
ONLINE = BoardOnline("board", "1", authenticated=False)
WIRED = Wiring(outputs={ENTRY: 0, EXIT: 1}, passed={ENTRY: 0, EXIT: 1}, emergency=2)
UNSEEN = Wiring(outputs={ENTRY: 0}, passed={}, emergency=None)
SEVEN = GrantNumber(7)
PASSED = (PassageStarted(SEVEN, ENTRY), PassageCompleted(SEVEN, ENTRY, None))
FORCED = (BarrierAlarmed(BarrierAlarm.FORCED_OPEN, NO_GRANT), PassageCompleted(NO_GRANT, ENTRY, None))


@dataclass
class Lane:
    """A lane, the pulses it asked for, and a clock that is set."""

    wiring: Wiring = WIRED
    highest: int = 6
    online: bool = True
    pulses: list[ReleaseBarrier] = field(default_factory=list)
    now_ms: int = 0

    def __post_init__(self) -> None:
        self.lane = BoardLane(self.wiring, highest=GrantNumber(self.highest), kind=ControllerKind.HARDWARE, pulse=self.pulses.append)
        if self.online:
            self.hear(ONLINE)
            self.contacts()

    def hear(self, event: BoardEvent, *, after_ms: int = 10) -> tuple[BarrierInput, ...]:
        self.now_ms += after_ms
        return self.lane.hear(event, self.now_ms * MS)

    def contacts(self, *, entry: bool = False, exit_: bool = False, normal: bool = True, after_ms: int = 10) -> tuple[BarrierInput, ...]:
        return self.hear(InputsRead((entry, exit_, normal)), after_ms=after_ms)

    def passes(self, way: Direction = ENTRY, *, after_ms: int = 10) -> tuple[BarrierInput, ...]:
        """The contact closes, and opens again."""
        told = self.contacts(entry=way is ENTRY, exit_=way is EXIT, after_ms=after_ms)
        assert self.contacts() == ()
        return told

    def release(self, grant: int = 7, way: Direction = ENTRY) -> tuple[BarrierInput, ...]:
        return self.lane.release(ReleaseBarrier(GrantNumber(grant), way, 5000, self.now_ms * MS + 1000 * MS))

    def tick(self, *, after_ms: int) -> tuple[BarrierInput, ...]:
        self.now_ms += after_ms
        return self.lane.tick(self.now_ms * MS)


@pytest.fixture
def lane() -> Lane:
    return Lane()


@pytest.fixture
def released(lane: Lane) -> Lane:
    assert lane.release() == ()
    assert lane.hear(PulseTaken(7)) == (ReleaseAccepted(SEVEN),)
    return lane


# --- connecting -------------------------------------------------------------------------------------------------------------------


def test_a_board_is_connected_once_its_contacts_were_read() -> None:
    lane = Lane(online=False)
    assert lane.hear(ONLINE) == ()
    (connected,) = lane.contacts(entry=True)
    assert connected == BarrierConnected("board", "1", ControllerKind.HARDWARE, False, GrantNumber(6), GrantOutcome.UNKNOWN, None, False)
    assert lane.contacts(entry=True) == (), "a contact that is closed already tells of nobody"


def test_a_board_without_contacts_is_connected_at_once_and_a_new_journal_has_no_outcome() -> None:
    (connected,) = Lane(UNSEEN, highest=0, online=False).hear(ONLINE)
    assert isinstance(connected, BarrierConnected)
    assert (connected.last_outcome, connected.passage_counter) == (GrantOutcome.NONE, None)


def test_a_board_with_fewer_inputs_than_are_wired_is_not_used() -> None:
    lane = Lane(online=False)
    lane.hear(ONLINE)
    assert lane.hear(InputsRead((False, False))) == (BarrierLost("the board has 2 inputs, and [board] names number 2, counted from 0"),)
    assert lane.release() == (ReleaseRefused(SEVEN, "not_armed"),)


# --- a release --------------------------------------------------------------------------------------------------------------------


def test_somebody_who_passes_within_the_window_passes_on_the_grant(released: Lane) -> None:
    assert released.passes(after_ms=2000) == PASSED
    assert released.tick(after_ms=60_000) == ()


def test_nobody_passed_where_the_contact_stays_open_until_the_window_and_the_walk_are_over(released: Lane) -> None:
    assert released.tick(after_ms=6499) == ()
    assert released.tick(after_ms=1) == (ReleaseEnded(SEVEN, ReleaseEnd.WINDOW_PASSED),)


def test_without_a_contact_nobody_can_say_whether_somebody_passed() -> None:
    lane = Lane(UNSEEN)
    lane.release()
    lane.hear(PulseUnknown(7, "a plain relay confirms nothing"))
    assert lane.tick(after_ms=4999) == ()
    assert lane.tick(after_ms=1) == (ReleaseEnded(SEVEN, ReleaseEnd.UNSEEN),)


def test_a_pulse_that_may_have_switched_opens_the_window(lane: Lane) -> None:
    lane.release()
    assert lane.hear(PulseUnknown(7, "no answer")) == (ReleaseAccepted(SEVEN),)
    assert lane.passes() == PASSED


def test_a_refused_pulse_ends_the_release(lane: Lane) -> None:
    lane.release()
    assert lane.hear(PulseRefused(7, "too late")) == (ReleaseRefused(SEVEN, "board_refused"),)
    assert lane.passes() == FORCED


@pytest.mark.parametrize("grant", [1, 6])
def test_no_number_up_to_the_journals_highest_is_written_again(lane: Lane, grant: int) -> None:
    assert lane.release(grant) == (ReleaseRefused(GrantNumber(grant), "grant_used"),)
    assert lane.pulses == []


def test_a_grant_opens_once_whatever_became_of_it(released: Lane) -> None:
    released.passes()
    assert released.release() == (ReleaseRefused(SEVEN, "grant_used"),)
    assert len(released.pulses) == 1


def test_a_second_release_waits_for_the_first(released: Lane) -> None:
    assert released.release(8) == (ReleaseRefused(GrantNumber(8), "busy"),)


def test_a_direction_without_an_output_is_not_released() -> None:
    assert Lane(UNSEEN).release(way=EXIT) == (ReleaseRefused(SEVEN, "no_output"),)


# --- a cancel -----------------------------------------------------------------------------------------------------------------------


def test_a_pulse_that_was_given_cannot_be_taken_back(released: Lane) -> None:
    assert released.lane.cancel(SEVEN) == (CancelTooLate(SEVEN),)
    assert released.passes() == PASSED


def test_a_cancel_that_comes_before_the_boards_word_is_answered_with_it(lane: Lane) -> None:
    lane.release()
    assert lane.lane.cancel(SEVEN) == ()
    assert lane.hear(PulseTaken(7)) == (ReleaseAccepted(SEVEN), CancelTooLate(SEVEN))


def test_a_pulse_that_is_refused_after_its_cancel_ends_as_cancelled(lane: Lane) -> None:
    lane.release()
    lane.lane.cancel(SEVEN)
    assert lane.hear(PulseRefused(7, "too late")) == (ReleaseEnded(SEVEN, ReleaseEnd.CANCELLED),)


def test_a_grant_that_was_cancelled_before_it_was_ordered_is_never_written(lane: Lane) -> None:
    assert lane.lane.cancel(SEVEN) == (ReleaseEnded(SEVEN, ReleaseEnd.CANCELLED),)
    assert lane.release() == (ReleaseRefused(SEVEN, "grant_used"),)
    assert lane.pulses == []


# --- contacts without a release -------------------------------------------------------------------------------------------------


def test_an_entry_without_a_release_is_forced(lane: Lane) -> None:
    assert lane.passes() == FORCED


def test_a_way_out_without_a_release_is_the_exit_buttons(lane: Lane) -> None:
    assert lane.passes(EXIT) == (PassageCompleted(NO_GRANT, EXIT, None),)


def test_a_second_person_in_the_window_came_on_no_grant_of_their_own(released: Lane) -> None:
    released.passes()
    tailgating = (BarrierAlarmed(BarrierAlarm.TAILGATING, SEVEN), PassageCompleted(NO_GRANT, ENTRY, None))
    assert released.passes(after_ms=800) == tailgating
    assert released.passes(after_ms=6500) == FORCED


def test_a_passage_the_other_way_does_not_use_the_grant(released: Lane) -> None:
    assert released.passes(EXIT) == (PassageCompleted(NO_GRANT, EXIT, None),)
    assert released.passes() == PASSED


def test_a_contact_that_bounces_is_one_passage(released: Lane) -> None:
    assert released.passes() == PASSED
    assert released.passes(after_ms=100) == ()


def test_a_contact_that_stays_closed_is_a_fault_until_it_opens(lane: Lane) -> None:
    lane.contacts(entry=True)
    assert lane.contacts(entry=True, after_ms=9_999) == ()
    assert lane.contacts(entry=True) == (BarrierFaulted("passed_entry_stays_closed", active=True),)
    assert lane.contacts(entry=True, after_ms=60_000) == ()
    assert lane.contacts() == (BarrierFaulted("passed_entry_stays_closed", active=False),)


# --- fire -----------------------------------------------------------------------------------------------------------------------------


def test_an_open_fire_contact_is_an_emergency_and_ends_two_seconds_after_it_closed(released: Lane) -> None:
    assert released.contacts(normal=False) == (EmergencyRaised(),)
    assert released.release(8) == (ReleaseRefused(GrantNumber(8), "emergency"),)
    assert released.contacts(normal=False) == ()
    assert released.contacts(after_ms=50) == ()
    assert released.contacts(normal=False, after_ms=1900) == (), "a loose wire chatters"
    assert released.contacts(after_ms=50) == ()
    assert released.contacts(after_ms=1999) == ()
    assert released.contacts(after_ms=1) == (EmergencyCleared(),)
    assert released.tick(after_ms=60_000) == ()


def test_whoever_walks_out_in_an_emergency_is_no_alarm(lane: Lane) -> None:
    lane.contacts(normal=False)
    assert lane.contacts(entry=True, normal=False) == (PassageCompleted(NO_GRANT, ENTRY, None),)


def test_an_emergency_that_begins_unseen_is_told_with_the_connection() -> None:
    lane = Lane(online=False)
    lane.hear(ONLINE)
    (connected,) = lane.contacts(normal=False)
    assert isinstance(connected, BarrierConnected)
    assert connected.emergency


def test_an_emergency_over_a_lost_line_still_needs_two_seconds_of_calm(lane: Lane) -> None:
    lane.contacts(normal=False)
    lane.contacts()
    lane.hear(BoardOffline("cable"), after_ms=60_000)
    lane.hear(ONLINE)
    (connected,) = lane.contacts()
    assert isinstance(connected, BarrierConnected)
    assert connected.emergency
    assert lane.contacts(after_ms=2000) == (EmergencyCleared(),)


# --- loss -----------------------------------------------------------------------------------------------------------------------------


def test_a_lost_board_releases_nobody_and_its_open_release_is_unknown_when_it_is_back(released: Lane) -> None:
    assert released.hear(BoardOffline("cable")) == (BarrierLost("cable"),)
    assert released.release(8) == (ReleaseRefused(GrantNumber(8), "not_armed"),)
    released.hear(ONLINE)
    (connected,) = released.contacts(entry=True)
    assert isinstance(connected, BarrierConnected)
    assert (connected.highest_grant, connected.last_outcome) == (SEVEN, GrantOutcome.UNKNOWN)
    assert released.tick(after_ms=60_000) == ()


def test_a_fault_of_the_board_is_passed_on(lane: Lane) -> None:
    assert lane.hear(BoardFaulted("output_0_stays_on", active=True)) == (BarrierFaulted("output_0_stays_on", active=True),)


# --- any life ---------------------------------------------------------------------------------------------------------------------------

tokens = st.integers(0, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("release"), tokens),
        st.tuples(st.just("cancel"), tokens),
        st.tuples(st.just("tick"), st.integers(0, 8000)),
        st.tuples(
            st.just("hear"),
            st.one_of(
                st.just(ONLINE),
                st.just(BoardOffline("cable")),
                st.builds(PulseTaken, tokens),
                st.builds(PulseUnknown, tokens, st.just("")),
                st.builds(PulseRefused, tokens, st.just("")),
                st.builds(InputsRead, st.tuples(st.booleans(), st.booleans(), st.booleans())),
            ),
        ),
    ),
    max_size=60,
)


@given(steps=steps, highest=st.integers(0, 5))
def test_in_any_life_a_number_is_written_once_and_ends_at_most_once(steps: list[tuple[str, object]], highest: int) -> None:
    lane = Lane(highest=highest)
    told: list[BarrierInput] = []
    for kind, what in steps:
        match kind, what:
            case "release", int(grant):
                told += lane.release(grant)
            case "cancel", int(grant):
                told += lane.lane.cancel(GrantNumber(grant))
            case "tick", int(ms):
                told += lane.tick(after_ms=ms)
            case _, event:
                told += lane.hear(event)  # type: ignore[arg-type]
    written = [order.grant for order in lane.pulses]
    assert written == sorted(set(written))
    assert all(grant > highest for grant in written)
    ended = [one.grant for one in told if isinstance(one, PassageCompleted | ReleaseEnded) and one.grant != NO_GRANT]
    assert len(ended) == len(set(ended))
    assert {one.grant for one in told if isinstance(one, PassageStarted)} <= set(written)
