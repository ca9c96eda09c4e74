"""The lane as a whole against any sequence of inputs, sane or not. What must hold after every step is in ledger.py."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agent.core import inputs as i
from agent.core import orders as o
from agent.core.effects import Phase
from agent.core.identity import Direction, GrantNumber, PersonId, TrackId
from agent.core.inputs import GrantOutcome, Input
from agent.core.known import LastKnown, OpenGrant
from agent.core.moment import ClockQuality
from tests.core.inputs import ALL_KINDS, INPUTS, MS, an_input, member
from tests.core.ledger import Ledger
from tests.core.play import UP, connected, person, probe

FIVE = GrantNumber(5)
KNOWN = LastKnown(highest_grant=GrantNumber(4), passage_counter=10)
LEFT_OPEN = replace(KNOWN, highest_grant=FIVE, open_grant=OpenGrant(FIVE, PersonId("ada"), Direction.ENTRY))
waits_ms = st.sampled_from([0, 0, 0, 1, 40, 200, 700, 1_000, 2_000, 5_000, 9_000, 31_000, 5 * 3_600_000])


def in_service(known: LastKnown = KNOWN) -> Ledger:
    lane = Ledger(known=known)
    for part in UP:
        lane.hear(part)
    return lane


def after(*said: Input) -> Ledger:
    """Somebody was released, and then this was said."""
    lane = in_service()
    lane.hear(probe(lane.now_ns, person()))
    for one in said:
        lane.hear(one)
    return lane


SUBJECT_REPLACED = i.SubjectReplaced("entry", TrackId(1), 0)
STARTED = i.PassageStarted(FIVE, Direction.ENTRY)
LOST = i.BarrierLost("unplugged")
# Every kind of state that a lane can be in, by the shortest way there.
PLACES: dict[str, tuple[Phase, Callable[[], Ledger]]] = {
    "started": (Phase.UNREADY, Ledger),
    "started with an open grant": (Phase.UNREADY, lambda: Ledger(known=LEFT_OPEN)),
    "secured": (Phase.SECURED, in_service),
    "released": (Phase.RELEASED, after),
    "accepted": (Phase.RELEASED, lambda: after(i.ReleaseAccepted(FIVE))),
    "subject gone": (Phase.RELEASED, lambda: after(i.TrackLost("entry", TrackId(1), 2**60))),
    "cancelling": (Phase.CANCELLING, lambda: after(SUBJECT_REPLACED)),
    "cancelling for nobody": (Phase.CANCELLING, lambda: _read(in_service(), GrantOutcome.OPEN)),
    "passing": (Phase.PASSING, lambda: after(STARTED)),
    "passing in doubt": (Phase.PASSING, lambda: after(SUBJECT_REPLACED, i.CancelTooLate(FIVE))),
    "passing for nobody": (Phase.PASSING, lambda: _read(in_service(), GrantOutcome.PASSING)),
    "lost while released": (Phase.UNREADY, lambda: after(LOST)),
    "lost while passing": (Phase.UNREADY, lambda: after(STARTED, LOST)),
    "overdue": (Phase.UNREADY, lambda: _overdue(after(STARTED))),
    "emergency": (Phase.EMERGENCY, lambda: after(i.EmergencyRaised())),
    "emergency while passing": (Phase.EMERGENCY, lambda: after(STARTED, i.EmergencyRaised())),
    "emergency without a link": (Phase.EMERGENCY, lambda: after(LOST, i.EmergencyRaised())),
    "stopped": (Phase.CANCELLING, lambda: after(i.StopRequested("test"))),
}


def _read(lane: Ledger, outcome: GrantOutcome) -> Ledger:
    lane.hear(connected(highest_grant=GrantNumber(9), last_outcome=outcome))
    return lane


def _overdue(lane: Ledger) -> Ledger:
    lane.at_ms += 30_000
    lane.hear(i.Tick())
    return lane


def test_the_places_are_where_they_say_and_cover_every_phase() -> None:
    assert {name: build().state.lane.phase for name, (_, build) in PLACES.items()} == {name: phase for name, (phase, _) in PLACES.items()}
    assert {phase for phase, _ in PLACES.values()} == set(Phase)


@pytest.mark.parametrize("place", PLACES)
@settings(max_examples=25)
@given(data=st.data(), wait_ms=waits_ms)
def test_any_input_is_defined_wherever_the_lane_is(place: str, data: st.DataObject, wait_ms: int) -> None:
    lane = PLACES[place][1]()
    lane.at_ms += wait_ms
    for kind in data.draw(st.permutations(ALL_KINDS))[:6]:
        lane.hear(data.draw(INPUTS[kind](lane.now_ns)))
    lane.wait_for_the_deadline()


class AnyLane(RuleBasedStateMachine):
    """Days in the life of a lane: mostly plausible, with broken parts among them, so that it comes far."""

    @initialize(
        known=st.sampled_from([KNOWN, LEFT_OPEN, replace(KNOWN, lock_down=True), replace(KNOWN, highest_grant=GrantNumber(2**64 - 3))])
    )
    def begin(self, known: LastKnown) -> None:
        self.lane = Ledger(known=known)
        for part in UP[:-1]:
            self.lane.hear(part)
        self._is_read(GrantOutcome.NOT_PASSED)

    def _is_read(self, outcome: GrantOutcome) -> None:
        core = self.lane.state.lane
        counter = (core.passage_counter or 0) + (outcome is GrantOutcome.PASSED)
        highest = min(core.last_grant, 2**64 - 1)
        self.lane.hear(connected(highest_grant=GrantNumber(highest), last_outcome=outcome, passage_counter=counter))

    @rule(wait_ms=waits_ms, data=st.data())
    def anything(self, wait_ms: int, data: st.DataObject) -> None:
        self.lane.at_ms += wait_ms
        self.lane.hear(data.draw(an_input(self.lane.now_ns).filter(lambda one: not isinstance(one, i.StopRequested))))

    @rule(wait_ms=waits_ms, who=st.sampled_from(["ada", "bo"]), direction=st.sampled_from(Direction), track=st.integers(1, 3))
    def somebody_shows_their_face(self, wait_ms: int, who: str, direction: Direction, track: int) -> None:
        self.lane.at_ms += wait_ms
        self.lane.hear(probe(self.lane.now_ns, person(member(who)), direction=direction, track=TrackId(track)))

    @precondition(lambda self: self.lane.state.lane.phase in (Phase.UNREADY, Phase.EMERGENCY))
    @rule(outcome=st.sampled_from(GrantOutcome))
    def the_controller_is_read(self, outcome: GrantOutcome) -> None:
        self._is_read(outcome)

    @precondition(lambda self: self.lane.state.lane.pending is not None)
    @rule(wait_ms=waits_ms, which=st.integers(0, 6))
    def the_controller_speaks_of_the_open_grant(self, wait_ms: int, which: int) -> None:
        self.lane.at_ms += wait_ms
        core = self.lane.state.lane
        grant, direction, counter = core.pending.grant, core.pending.direction, (core.passage_counter or 0) + 1
        said = (
            i.ReleaseAccepted(grant),
            i.ReleaseRefused(grant, "busy"),
            i.PassageStarted(grant, direction),
            i.PassageCompleted(grant, direction, counter),
            i.PassageCompleted(grant, direction.opposite, counter),
            i.ReleaseEnded(grant, i.ReleaseEnd.WINDOW_PASSED),
            i.CancelTooLate(grant),
        )
        self.lane.hear(said[which])

    @precondition(lambda self: self.lane.state.lane.pending is not None and self.lane.state.lane.pending.track is not None)
    @rule(wait_ms=waits_ms, replaced=st.booleans())
    def the_released_person_moves(self, wait_ms: int, *, replaced: bool) -> None:
        self.lane.at_ms += wait_ms
        pending, kind = self.lane.state.lane.pending, i.SubjectReplaced if replaced else i.TrackLost
        self.lane.hear(kind(pending.camera, pending.track, self.lane.now_ns - 40 * MS))

    @rule(quality=st.sampled_from(ClockQuality))
    def the_clock_changes(self, quality: ClockQuality) -> None:
        self.lane.quality = quality
        self.lane.hear(i.Tick())

    @rule()
    def the_next_deadline_comes(self) -> None:
        self.lane.wait_for_the_deadline()


AnyLane.TestCase.settings = settings(max_examples=50, stateful_step_count=50)
TestAnyLane = AnyLane.TestCase


# --- long walks -------------------------------------------------------------------------------------------------------------------------


def walk(seed: int, steps: int) -> dict[str, int]:
    """A seeded day of plausible people before a controller that now and then fails; how often each phase was reached."""
    dice, lane = random.Random(seed), in_service(LastKnown())
    reached: dict[str, int] = {}
    for _ in range(steps):
        lane.at_ms += dice.choice([1, 40, 66, 66, 300, 700, 2_000, 5_000])
        lane.hear(_next(dice, lane))
        reached[lane.state.lane.phase] = reached.get(lane.state.lane.phase, 0) + 1
    return reached


def _next(dice: random.Random, lane: Ledger) -> Input:
    core, now_ns = lane.state.lane, lane.now_ns
    direction, track = dice.choice(list(Direction)), TrackId(dice.randrange(1, 5))
    last = GrantNumber(max(1, core.last_grant))
    counter = (core.passage_counter or 0) + 1
    ours = (
        i.ReleaseAccepted(last),
        i.PassageStarted(last, direction),
        i.PassageCompleted(last, direction, counter),
        i.ReleaseEnded(last, dice.choice(list(i.ReleaseEnd))),
        i.CancelTooLate(last),
        i.ReleaseRefused(last, "busy"),
        i.TrackLost(str(direction), track, now_ns - 40 * MS),
        i.SubjectReplaced(str(direction), track, now_ns - 40 * MS),
    )
    rare = (
        i.BarrierLost("glitch"),
        connected(highest_grant=last, last_outcome=dice.choice(list(GrantOutcome)), passage_counter=counter - 1),
        i.EmergencyRaised(),
        i.EmergencyCleared(),
        i.JournalReported(ready=dice.random() < 0.5, commit_ms=dice.choice([1.0, 80.0])),
        i.LockDownSet(on=dice.random() < 0.2, by="ops", reason=""),
        o.StaffRelease(
            staff="ops",
            key="k",
            user="root",
            direction=direction,
            reason="drill",
            request=str(now_ns),
            expires_at_ns=now_ns + dice.choice([-1, 20_000 * MS]),
        ),
        i.PassageCompleted(GrantNumber(0), direction, counter),
        i.RequestToExitUsed(),
    )
    repairs = (
        connected(highest_grant=last, last_outcome=GrantOutcome.NOT_PASSED, passage_counter=counter - 1),
        i.JournalReported(ready=True, commit_ms=1.0),
        *UP[:-1],
    )
    faces = probe(now_ns, person(member(dice.choice(["ada", "bo", "cy"]))), direction=direction, track=track)
    return dice.choice((faces, faces, faces, *dice.choices(ours, k=4), dice.choice(repairs), dice.choice(rare)))


def test_a_long_walk_keeps_every_promise() -> None:
    assert set(walk(seed=1, steps=1_500)) == set(Phase)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_many_long_walks_keep_every_promise(seed: int) -> None:
    assert set(walk(seed, steps=10_000)) == set(Phase)
