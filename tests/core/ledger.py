"""A lane with the journal's, the controller's and the camera's view of it kept beside, and everything that must hold after any step."""

import json
import pickle
from typing import Any

from agent.core import controller
from agent.core import inputs as i
from agent.core import orders as o
from agent.core.controller import Rules
from agent.core.effects import Believe, Effect, Phase, Record, ReleaseBarrier, Stop, WatchSubject
from agent.core.events import Event, EventType
from agent.core.evidence import MOST_ATTEMPTS
from agent.core.identity import Direction, TrackId
from agent.core.known import LastKnown
from agent.core.lane import Link
from agent.core.moment import ClockQuality, Moment
from tests.core.inputs import MS
from tests.core.play import RULES, moment

ENDS = {EventType.PASSAGE_MADE, EventType.PASSAGE_NOT_MADE, EventType.PASSAGE_UNCONFIRMED, EventType.RELEASE_REFUSED}
TIMED = {Phase.RELEASED, Phase.CANCELLING, Phase.PASSING}


class Ledger:
    """Steps a lane and checks each step."""

    def __init__(self, rules: Rules = RULES, known: LastKnown | None = None) -> None:
        known = known or LastKnown()
        self.at_ms = 0.0
        self.quality = ClockQuality.SYNCHRONISED
        self.highest = known.highest_grant
        self.open = {known.open_grant.grant} if known.open_grant else set()
        self.lock_down = known.lock_down
        self.believed: Phase | None = None
        self.watched: TrackId | None = None
        self.stopped = False
        self.state, effects = controller.start(rules, known, self.moment())
        self._check(None, effects)

    def moment(self) -> Moment:
        return moment(self.at_ms, quality=self.quality)

    @property
    def now_ns(self) -> int:
        return self.moment().monotonic_ns

    def hear(self, given: i.Input) -> tuple[Effect, ...]:
        before, now = self.state, self.moment()
        self.state, effects = controller.step(before, given, now)
        again = controller.step(pickle.loads(pickle.dumps(before)), given, now)
        assert repr(again) == repr((self.state, effects)), "the same inputs give the same outputs"
        emergency, told = controller.step(before, i.EmergencyRaised(), now)
        assert emergency.lane.phase is Phase.EMERGENCY
        assert before.lane.phase is Phase.EMERGENCY or Believe(Phase.EMERGENCY) in told
        self.lock_down = given.on if isinstance(given, i.LockDownSet) else self.lock_down
        self._check(given, effects)
        return effects

    def wait_for_the_deadline(self) -> None:
        deadline_ns = controller.next_deadline_ns(self.state)
        if deadline_ns is not None:
            self.at_ms += max(0, deadline_ns - self.now_ns) / MS
        self.hear(i.Tick())
        later_ns = controller.next_deadline_ns(self.state)
        assert later_ns is None or later_ns > self.now_ns, "a deadline that has come is not named again"

    # --- what must hold -----------------------------------------------------------------------------------------------------------

    def _check(self, given: i.Input | None, effects: tuple[Effect, ...]) -> None:
        records = [isinstance(effect, Record) for effect in effects]
        assert records == sorted(records, reverse=True), "records come first"
        granted: set[Any] = set()
        for effect in effects:
            match effect:
                case Record(event):
                    self._note(event, granted)
                case ReleaseBarrier():
                    self._check_release(effect, granted)
                    by_staff_or_out = isinstance(given, o.StaffRelease) or effect.direction is Direction.EXIT
                    assert by_staff_or_out or self.quality is not ClockQuality.UNKNOWN
                case Believe(phase):
                    self.believed = phase
                case WatchSubject(track):
                    self.watched = track
                case Stop():
                    assert effect is effects[-1]
                    self.stopped = True
                case _:
                    pass
        assert granted == {e.grant for e in effects if isinstance(e, ReleaseBarrier)}, "no grant is recorded without its release"
        assert not granted or isinstance(given, i.ProbeCompared | o.StaffRelease), "only a fresh probe grants, or an order of staff"
        self._check_state()

    def _note(self, event: Event, granted: set[Any]) -> None:
        json.dumps(dict(event.data))
        grant = event.data.get("grant")
        if event.type is EventType.ACCESS_GRANTED:
            assert self.open == set()
            granted.add(grant)
            self.open.add(grant)
            assert event.data["expires_at_ns"] == event.data["captured_at_ns"] + 1_000 * MS
        if event.type is EventType.STAFF_GRANTED:
            assert self.open == set()
            granted.add(grant)
            self.open.add(grant)
        if event.type in ENDS:
            assert grant in self.open, "closed without being open, or twice"
            self.open.remove(grant)

    def _check_release(self, effect: ReleaseBarrier, granted: set[Any]) -> None:
        assert effect.grant in granted, "recorded before released"
        assert self.highest < effect.grant < 2**64, "a number is used once"
        self.highest = effect.grant
        assert self.now_ns < effect.expires_at_ns <= self.now_ns + 1_000 * MS
        assert not self.stopped
        assert effect.direction is Direction.EXIT or not self.lock_down

    def _check_state(self) -> None:
        lane = self.state.lane
        assert self.open == (set() if lane.pending is None else {lane.pending.grant})
        assert self.believed is lane.phase
        assert self.watched == (lane.pending.track if lane.pending and lane.phase is Phase.RELEASED else None)
        assert lane.phase is not Phase.SECURED or lane.pending is None
        assert lane.phase is not Phase.RELEASED or lane.pending is not None
        assert lane.phase in (Phase.UNREADY, Phase.EMERGENCY) or lane.link is Link.UP
        assert (lane.deadline_ns is not None) == (lane.phase in TIMED)
        assert len(self.state.attempts) <= MOST_ATTEMPTS
        json.dumps(controller.snapshot(self.state))
