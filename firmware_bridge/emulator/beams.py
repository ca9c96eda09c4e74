"""Who went through which way, from two beams that stand in the line of the leaf (PROTOCOL.md section 9).

A body breaks one beam, then both, then only the other, then none. Which broke first and which cleared last tells the way.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from firmware_bridge.vocabulary import Direction, Inputs

_BOTH = Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT


class Step(Enum):
    """What one change of the beams means."""

    NOTHING = auto()
    BETWEEN = auto()  # for the first time both beams of this traverse have been broken
    PASSED = auto()
    RETURNED = auto()  # gone out on the side of coming in, after both had been broken
    TOUCHED = auto()  # gone out on the side of coming in; the second beam was never broken


@dataclass(frozen=True, slots=True)
class Traverse:
    """A body in the beams.

    Attributes:
        heading: the way it would pass: away from the beam that broke first.
        both: whether both beams have been broken since it came.
        followers: how often the near beam broke again while the far one was still broken: somebody close behind.
    """

    heading: Direction
    broken: Inputs
    both: bool
    followers: int = 0


def near(heading: Direction) -> Inputs:
    """The beam that a person walking this way breaks first."""
    return Inputs.BEAM_ENTRY if heading is Direction.ENTRY else Inputs.BEAM_EXIT


def begin(broken: Inputs, *, tie: Direction) -> Traverse:
    """A traverse begins with the first broken beam. `tie` is the heading where both broke in the same sample."""
    heading = {Inputs.BEAM_ENTRY: Direction.ENTRY, Inputs.BEAM_EXIT: Direction.EXIT}.get(broken, tie)
    return Traverse(heading, broken, both=False)


def follow(traverse: Traverse, broken: Inputs) -> tuple[Traverse, Step]:
    """The beams changed to `broken` (none: the traverse ends with this step)."""
    entered, far = near(traverse.heading), _BOTH & ~near(traverse.heading)
    both = traverse.both or broken == _BOTH or bool(broken & far)
    if not broken:
        back = Step.RETURNED if both else Step.TOUCHED
        # Last seen at the far beam, or at both: a tie counts as gone through.
        return traverse, back if traverse.broken == entered else Step.PASSED
    follower = traverse.both and bool(broken & entered) and not traverse.broken & entered and bool(traverse.broken & far)
    step = Step.BETWEEN if both and not traverse.both else Step.NOTHING
    return replace(traverse, broken=broken, both=both, followers=traverse.followers + follower), step
