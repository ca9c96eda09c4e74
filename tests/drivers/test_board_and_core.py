"""The core behind a bought board, in simulated time: whatever board, people, cable and power do, each grant opens once and ends once."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from agent.core import inputs as i
from agent.core.effects import CancelRelease, Effect, Phase, ReleaseBarrier
from agent.core.events import EventType
from agent.core.identity import NO_GRANT, Direction, GrantNumber, PersonId, TrackId
from agent.core.inputs import BarrierInput, ControllerKind
from agent.core.known import LastKnown, OpenGrant
from agent.drivers.board_lane import BoardLane, Wiring
from firmware_bridge.board import BoardEvent, BoardOffline, BoardOnline, InputsRead, PulseRefused, PulseTaken, PulseUnknown
from tests.core.inputs import member
from tests.core.ledger import ENDS
from tests.core.play import RULES, UP, Play, events, person

WIRED = Wiring(outputs={Direction.ENTRY: 0, Direction.EXIT: 1}, passed={Direction.ENTRY: 0, Direction.EXIT: 1}, emergency=2)
LIVES = 12
STEPS = 60
CALM_MS = 40_000  # longer than any limit of the core


class Life:
    """One life of a lane: the core, what a board means to it, and a board, a cable and people as the dice will have them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.play = Play(replace(RULES, anti_passback=False), up=UP[:-1])
        self.waiting: list[ReleaseBarrier] = []  # pulses that the board has not answered
        self.opened: Counter[int] = Counter()
        self.walked = 0
        self.told: list[BarrierInput] = []
        self.online = False
        self.normal = True
        self.lane = self._new_lane(NO_GRANT)
        self.plug()

    def _new_lane(self, highest: GrantNumber) -> BoardLane:
        return BoardLane(WIRED, highest=highest, kind=ControllerKind.HARDWARE, pulse=self.waiting.append)

    # --- between the parts --------------------------------------------------------------------------------------------------------

    def carry(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case ReleaseBarrier():
                    self.tell(self.lane.release(effect))
                case CancelRelease(grant):
                    self.tell(self.lane.cancel(grant))
                case _:
                    pass

    def tell(self, inputs: tuple[BarrierInput, ...]) -> None:
        self.told += inputs
        for one in inputs:
            self.carry(self.play.hears(one))

    def board(self, event: BoardEvent) -> None:
        self.tell(self.lane.hear(event, self.play.now_ns))

    def contacts(self, way: Direction | None = None) -> None:
        if self.online:
            self.board(InputsRead((way is Direction.ENTRY, way is Direction.EXIT, self.normal)))

    # --- what may happen ----------------------------------------------------------------------------------------------------------

    def wait(self, ms: int) -> None:
        for _ in range(0, ms, 250):
            self.carry(self.play.waits(250))
            self.tell(self.lane.tick(self.play.now_ns))
            self.contacts()

    def come(self) -> None:
        name = f"person-{self.play.at_ms}"
        track = TrackId(int(self.play.at_ms) + 1)
        self.carry(self.play.shows(person(member(name)), direction=self.dice.choice(list(Direction)), track=track))

    def answer(self) -> None:
        """The board takes a pulse, perhaps without saying so, or says no."""
        if not self.waiting or not self.online:
            return
        grant = self.waiting.pop(0).grant
        match self.dice.randrange(4):
            case 0 | 1:
                self.opened[grant] += 1
                self.board(PulseTaken(grant))
            case 2:
                self.opened[grant] += self.dice.randrange(2)
                self.board(PulseUnknown(grant, "no answer"))
            case _:
                self.board(PulseRefused(grant, "no"))

    def walk(self) -> None:
        self.wait(500)
        if self.online:
            self.walked += 1
            self.contacts(self.dice.choice([Direction.ENTRY, Direction.ENTRY, Direction.EXIT]))
            self.wait(250)

    def plug(self) -> None:
        if not self.online:
            self.online = True
            self.board(BoardOnline("board", "1", authenticated=False))
            self.contacts()

    def unplug(self) -> None:
        if self.online:
            for order in self.waiting:  # the driver's board tells the end of each pulse first
                self.opened[order.grant] += self.dice.randrange(2)
                self.board(PulseUnknown(order.grant, "the line was lost"))
            self.waiting.clear()
            self.online = False
            self.board(BoardOffline("cable"))

    def fire(self) -> None:
        self.normal = not self.normal
        self.contacts()

    def forget_face(self) -> None:
        pending = self.play.state.lane.pending
        if pending is not None and pending.track is not None:
            seen = self.dice.choice([i.TrackLost, i.SubjectReplaced])
            self.carry(self.play.hears(seen(str(pending.camera), pending.track, self.play.now_ns)))

    def kill(self) -> None:
        """kill -9: what is not in the journal is forgotten, and pulses that were on their way may have been taken."""
        for order in self.waiting:
            self.opened[order.grant] += self.dice.randrange(2)
        self.waiting.clear()
        rows, self.online = events(self.play.all), False
        before = list(self.play.all)
        grants = [event for event in rows if event.type is EventType.ACCESS_GRANTED]
        ended = {event.data["grant"] for event in rows if event.type in ENDS}
        left = [event for event in grants if event.data["grant"] not in ended]
        highest = GrantNumber(max((int(str(event.data["grant"])) for event in grants), default=0))
        known = None if not left else OpenGrant(highest, PersonId(str(left[-1].data["person"])), Direction(str(left[-1].data["direction"])))
        self.play.reboots(*UP[:-1], known=LastKnown(highest_grant=highest, open_grant=known))
        self.play.all[:0] = before
        self.lane = self._new_lane(highest)
        self.plug()

    def live(self) -> None:
        acts = (self.come, self.come, self.come, self.answer, self.answer, self.answer, self.walk, self.walk, self.plug, self.forget_face)
        seldom = (self.unplug, self.fire, self.kill)
        for _ in range(STEPS):
            self.dice.choice(seldom if self.dice.random() < 0.1 else acts)()
            self.wait(self.dice.choice([0, 250, 1000, 3000, 8000]))

    def calm(self) -> None:
        self.normal = True
        self.plug()
        while self.waiting:
            self.answer()
        self.wait(CALM_MS)


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(LIVES, 20 * LIVES, LIVES))])
def test_in_any_life_each_grant_opens_once_and_ends_once(first: int) -> None:
    seen: Counter[EventType] = Counter()
    for seed in range(first, first + LIVES):
        life = Life(seed)
        life.live()
        life.calm()
        rows = events(life.play.all)
        granted = [row.data["grant"] for row in rows if row.type is EventType.ACCESS_GRANTED]
        ends = Counter(row.data["grant"] for row in rows if row.type in ENDS)
        assert granted == sorted(set(granted)), f"seed {seed}: a number came again"
        assert ends == Counter(granted), f"seed {seed}: each grant ends once"
        assert max(life.opened.values(), default=0) <= 1, f"seed {seed}: a grant opened twice"
        assert {grant for grant, times in life.opened.items() if times} <= set(granted), f"seed {seed}: opened without a grant"
        assert life.play.phase is Phase.SECURED, f"seed {seed}: the lane is free again"
        assert sum(isinstance(one, i.PassageCompleted) for one in life.told) == life.walked, f"seed {seed}: who walked is told once"
        unused = {row.data["grant"] for row in rows if row.type is EventType.PASSAGE_NOT_MADE and row.data["cause"] == "reconciled"}
        assert not [grant for grant in unused if life.opened[int(str(grant))]], f"seed {seed}: not made is not claimed of what nobody saw"
        kinds = Counter(row.type for row in rows)
        assert kinds[EventType.PASSAGE_MADE] <= life.walked, f"seed {seed}: nobody is claimed to have passed who did not"
        assert kinds[EventType.PASSAGE_GAP] == 0, f"seed {seed}: a board counts nothing"
        seen += kinds
    wanted = (*ENDS, EventType.PASSAGE_UNGRANTED, EventType.BARRIER_ALARM, EventType.EMERGENCY_CLEARED, EventType.GRANT_CANCELLED)
    assert [kind for kind in wanted if not seen[kind]] == [], "the dice came to everything that matters"
