"""The lane as a whole against any sequence of inputs, sane or not: what must hold after every single step."""

import dataclasses
import json
import pickle
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core import controller
from agent.core import inputs as i
from agent.core.effects import Believe, Phase, Record, ReleaseBarrier, Stop, WatchSubject
from agent.core.events import Event, EventType
from agent.core.evidence import MOST_ATTEMPTS
from agent.core.identity import Direction, GrantNumber, PersonId
from agent.core.inputs import EmergencyRaised
from agent.core.known import LastKnown, OpenGrant
from agent.core.lane import Link
from agent.core.moment import ClockQuality, Moment
from tests.core.inputs import MS, an_input, member
from tests.core.play import RULES, UP, moment, person, probe

ENDS = {EventType.PASSAGE_MADE, EventType.PASSAGE_NOT_MADE, EventType.PASSAGE_UNCONFIRMED, EventType.RELEASE_REFUSED}
waits_ms = st.sampled_from([0, 0, 0, 1, 40, 200, 700, 1_000, 2_000, 5_000, 9_000, 31_000, 5 * 3_600_000])


class AnyLane(RuleBasedStateMachine):
    """A lane that hears anything, with the journal's and the controller's view of it kept beside."""

    def __init__(self) -> None:
        super().__init__()
        self.at_ms = 0
        self.quality = ClockQuality.SYNCHRONISED
        self.released: list[int] = []
        self.open: set[int] = set()
        self.closed: set[int] = set()
        self.believed: Phase | None = None
        self.watched: Any = None
        self.lock_down = False
        self.stopped = False

    @initialize(
        up=st.booleans(),
        simulation=st.booleans(),
        pad_required=st.booleans(),
        highest=st.sampled_from([0, 3, 2**64 - 2, 2**64 - 1]),
        left_open=st.booleans(),
        lock_down=st.sampled_from([False, False, True]),
    )
    def begin(self, *, up: bool, simulation: bool, pad_required: bool, highest: int, left_open: bool, lock_down: bool) -> None:
        self.rules = dataclasses.replace(RULES, simulation=simulation, pad_required=pad_required or not simulation)
        grant = GrantNumber(highest)
        left = OpenGrant(grant, PersonId("ada"), Direction.ENTRY) if left_open and highest else None
        known = LastKnown(highest_grant=grant, open_grant=left, passage_counter=10, lock_down=lock_down)
        self.open = {left.grant} if left else set()
        self.lock_down, self.highest = lock_down, highest
        self.state, effects = controller.start(self.rules, known, self.moment())
        self.check(None, effects)
        if up:
            for given in UP:
                self.hear(given)

    def moment(self) -> Moment:
        return moment(self.at_ms, quality=self.quality)

    # --- what can happen ----------------------------------------------------------------------------------------------------------

    @rule(wait_ms=waits_ms, data=st.data())
    def anything(self, wait_ms: int, data: st.DataObject) -> None:
        self.at_ms += wait_ms
        self.hear(data.draw(an_input(self.moment().monotonic_ns)))

    @rule(wait_ms=waits_ms, who=st.sampled_from(["ada", "bo"]), direction=st.sampled_from(Direction), track=st.integers(1, 3))
    def somebody_shows_their_face(self, wait_ms: int, who: str, direction: Direction, track: int) -> None:
        self.at_ms += wait_ms
        self.hear(probe(self.moment().monotonic_ns, person(member(who)), direction=direction, track=track))

    @precondition(lambda self: self.state.lane.pending is not None)
    @rule(wait_ms=waits_ms, data=st.data())
    def the_controller_speaks_of_the_open_grant(self, wait_ms: int, data: st.DataObject) -> None:
        self.at_ms += wait_ms
        pending = self.state.lane.pending
        counter = (self.state.lane.passage_counter or 0) + 1
        self.hear(
            data.draw(
                st.sampled_from(
                    [
                        i.ReleaseAccepted(pending.grant),
                        i.ReleaseRefused(pending.grant, "busy"),
                        i.PassageStarted(pending.grant, pending.direction),
                        i.PassageCompleted(pending.grant, pending.direction, counter),
                        i.PassageCompleted(pending.grant, pending.direction.opposite, counter),
                        i.ReleaseEnded(pending.grant, i.ReleaseEnd.WINDOW_PASSED),
                        i.CancelTooLate(pending.grant),
                    ]
                )
            )
        )

    @precondition(lambda self: self.state.lane.pending is not None and self.state.lane.pending.track is not None)
    @rule(wait_ms=waits_ms, replaced=st.booleans())
    def the_released_person_moves(self, wait_ms: int, *, replaced: bool) -> None:
        self.at_ms += wait_ms
        pending, kind = self.state.lane.pending, i.SubjectReplaced if replaced else i.TrackLost
        self.hear(kind(pending.camera, pending.track, self.moment().monotonic_ns - 40 * MS))

    @rule(quality=st.sampled_from(ClockQuality))
    def the_clock_changes(self, quality: ClockQuality) -> None:
        self.quality = quality
        self.hear(i.Tick())

    @rule()
    def the_next_deadline_comes(self) -> None:
        deadline_ns = controller.next_deadline_ns(self.state)
        if deadline_ns is not None:
            self.at_ms += max(0, -(-(deadline_ns - self.moment().monotonic_ns) // MS))
        self.hear(i.Tick())
        later_ns = controller.next_deadline_ns(self.state)
        assert later_ns is None or later_ns > self.moment().monotonic_ns

    # --- what must hold -----------------------------------------------------------------------------------------------------------

    def hear(self, given: i.Input) -> None:
        before, now = self.state, self.moment()
        after = controller.step(before, given, now)
        again = controller.step(pickle.loads(pickle.dumps(before)), given, now)
        assert repr(again) == repr(after)
        emergency, emergency_effects = controller.step(before, EmergencyRaised(), now)
        assert emergency.lane.phase is Phase.EMERGENCY
        assert before.lane.phase is Phase.EMERGENCY or Believe(Phase.EMERGENCY) in emergency_effects
        if isinstance(given, i.LockDownSet):
            self.lock_down = given.on
        self.state = after[0]
        self.check(given, after[1])

    def check(self, given: i.Input | None, effects: tuple[Any, ...]) -> None:
        place = [isinstance(effect, Record) for effect in effects]
        assert place == sorted(place, reverse=True), "records come first"
        granted_here = set()
        for effect in effects:
            match effect:
                case Record(event):
                    json.dumps(dict(event.data))
                    self.note(event, granted_here)
                case ReleaseBarrier():
                    self.check_release(effect, granted_here)
                case Believe(phase):
                    self.believed = phase
                case WatchSubject(track):
                    self.watched = track
                case Stop():
                    assert effect is effects[-1]
                    self.stopped = True
                case _:
                    pass
        assert granted_here == {e.grant for e in effects if isinstance(e, ReleaseBarrier)}
        if not isinstance(given, i.ProbeCompared):
            assert not granted_here

    def note(self, event: Event, granted_here: set[int]) -> None:
        if event.type is EventType.ACCESS_GRANTED:
            granted_here.add(event.data["grant"])
            assert event.data["expires_at_ns"] <= event.data["captured_at_ns"] + 1_000 * MS
            assert not self.open
            self.open.add(event.data["grant"])
        if event.type in ENDS:
            assert event.data["grant"] in self.open, "closed without being open, or twice"
            self.open.remove(event.data["grant"])
            self.closed.add(event.data["grant"])

    def check_release(self, effect: ReleaseBarrier, granted_here: set[int]) -> None:
        assert effect.grant in granted_here
        assert effect.grant > max([self.highest, *self.released])
        assert effect.grant < 2**64
        assert self.moment().monotonic_ns < effect.expires_at_ns <= self.moment().monotonic_ns + 1_000 * MS
        assert not self.stopped
        if effect.direction is Direction.ENTRY:
            assert not self.lock_down
            assert self.quality is not ClockQuality.UNKNOWN
        self.released.append(effect.grant)

    @invariant()
    def the_open_grant_is_the_pending_one(self) -> None:
        if hasattr(self, "state"):
            pending = self.state.lane.pending
            assert self.open == (set() if pending is None else {pending.grant})

    @invariant()
    def phase_and_link_and_grant_agree(self) -> None:
        if hasattr(self, "state"):
            lane = self.state.lane
            assert self.believed is lane.phase
            assert self.watched == (lane.pending.track if lane.phase is Phase.RELEASED else None)
            assert lane.phase is not Phase.SECURED or lane.pending is None
            assert lane.phase is not Phase.RELEASED or lane.pending is not None
            assert lane.phase in (Phase.UNREADY, Phase.EMERGENCY) or lane.link is Link.UP
            assert (lane.deadline_ns is not None) == (lane.phase in (Phase.RELEASED, Phase.CANCELLING, Phase.PASSING))

    @invariant()
    def the_state_stays_small_and_can_be_told(self) -> None:
        if hasattr(self, "state"):
            assert len(self.state.attempts) <= MOST_ATTEMPTS
            json.dumps(controller.snapshot(self.state))


AnyLane.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnyLane = AnyLane.TestCase
