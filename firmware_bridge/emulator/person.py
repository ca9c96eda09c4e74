"""A scripted person in the lane: breaks the beams in order when a way opens. Pure: outputs and time in, inputs out."""

from dataclasses import dataclass
from enum import StrEnum

from firmware_bridge.vocabulary import Direction, Drive, Inputs


class Behaviour(StrEnum):
    NOBODY = "nobody"
    WALKS = "walks"  # through the released way
    TURNS_BACK = "turns-back"  # comes between the beams and goes back
    TOUCHES = "touches"  # breaks the first beam only
    STANDS = "stands"  # comes between the beams and stays until told otherwise
    TAILGATES = "tailgates"  # walks with somebody close behind
    COMES_AGAINST = "comes-against"  # walks through the other way
    IGNORES = "ignores"  # stays in front until the window has passed


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a walk, ms: from the opening to the first beam, and between two changes of the beams (a second for one body)."""

    reaction_ms: int = 400
    step_ms: int = 150


_NONE = Inputs(0)
_BOTH = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT


def script(behaviour: Behaviour, direction: Direction) -> tuple[Inputs, ...]:
    """The states of the two beams, one step apart."""
    entry = direction is Direction.ENTRY
    near, far = (Inputs.BEAM_ENTRY, Inputs.BEAM_EXIT) if entry else (Inputs.BEAM_EXIT, Inputs.BEAM_ENTRY)
    return {
        Behaviour.NOBODY: (),
        Behaviour.IGNORES: (),
        Behaviour.WALKS: (near, _BOTH, far, _NONE),
        Behaviour.TURNS_BACK: (near, _BOTH, near, _NONE),
        Behaviour.TOUCHES: (near, _NONE),
        Behaviour.STANDS: (near, _BOTH),
        Behaviour.TAILGATES: (near, _BOTH, far, _BOTH, far, _NONE),
        Behaviour.COMES_AGAINST: (far, _BOTH, near, _NONE),
    }[behaviour]


class Person:
    """Walks each time a way opens that was closed. What it breaks is laid over the beams that were set by hand."""

    def __init__(self, behaviour: Behaviour, pace: Pace) -> None:
        self.behaviour = behaviour
        self._pace = pace
        self._steps: list[tuple[int, Inputs]] = []
        self._free = Drive(0)
        self.beams = _NONE

    def see(self, drive: Drive, now_ms: int) -> None:
        """The outputs as they are now."""
        ways = drive & (Drive.ENTRY | Drive.EXIT)
        opened, self._free = ways & ~self._free, ways
        if not opened or self._steps or self.beams:
            return
        direction = Direction.ENTRY if opened & Drive.ENTRY else Direction.EXIT
        start_ms = now_ms + self._pace.reaction_ms
        beams = script(self.behaviour, direction)
        self._steps = [(start_ms + i * self._pace.step_ms, inputs) for i, inputs in enumerate(beams)]

    def leave(self) -> None:
        """Whoever stands in the beams is gone."""
        self._steps, self.beams = [], _NONE

    def next_ms(self) -> int | None:
        return self._steps[0][0] if self._steps else None

    def step(self, now_ms: int) -> bool:
        """Take one step if it is due; whether the beams changed."""
        if not self._steps or now_ms < self._steps[0][0]:
            return False
        _, self.beams = self._steps.pop(0)
        return True
