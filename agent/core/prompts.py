"""What the person in each direction is shown: out of service, go, or guidance that fades."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.core.effects import Phase, Prompt
from agent.core.health import Lacks
from agent.core.identity import Direction
from agent.core.inputs import SampleFault
from agent.core.lane import Lane
from agent.core.moment import NS_PER_MS

GUIDANCE_NS = 1_500 * NS_PER_MS  # long enough to read one sign; renewed by each further sample
DENIED_NS = 3_000 * NS_PER_MS  # so that somebody who looks down for a moment still sees it

GUIDANCE: Mapping[SampleFault, Prompt] = {
    SampleFault.TOO_FAR: Prompt.COME_CLOSER,
    SampleFault.TOO_CLOSE: Prompt.STEP_BACK,
    SampleFault.POSE: Prompt.LOOK_AHEAD,
    SampleFault.BLUR: Prompt.HOLD_STILL,
    SampleFault.DARK: Prompt.LOOK_AHEAD,
    SampleFault.BRIGHT: Prompt.LOOK_AHEAD,
    SampleFault.SEVERAL_FACES: Prompt.ONE_PERSON,
    SampleFault.OUTSIDE_LANE: Prompt.IDLE,
}


@dataclass(frozen=True, slots=True)
class Guidance:
    """One direction's fading prompt.

    Attributes:
        firm: a decision, which guidance does not replace while it lasts.
    """

    prompt: Prompt
    until_ns: int
    firm: bool = False


def guide(before: Guidance | None, fault: SampleFault, now_ns: int) -> Guidance | None:
    """A sample could not be compared: say what to do."""
    if before is not None and before.firm:
        return before
    return Guidance(GUIDANCE[fault], now_ns + GUIDANCE_NS)


def fade(guidance: Guidance | None, now_ns: int) -> Guidance | None:
    return None if guidance is None or now_ns >= guidance.until_ns else guidance


def prompt_for(direction: Direction, lane: Lane, lacks: Lacks, guidance: Guidance | None) -> Prompt:
    """What is shown now. In an emergency the way out says go, and nobody is invited in."""
    if lane.phase is Phase.EMERGENCY:
        return Prompt.GO if direction is Direction.EXIT else Prompt.OUT_OF_SERVICE
    pending = lane.pending
    if pending is not None and pending.direction is direction and pending.accepted and lane.phase in (Phase.RELEASED, Phase.PASSING):
        return Prompt.GO  # also if the direction has just gone out of service: this person was let through
    if lacks:
        return Prompt.OUT_OF_SERVICE
    return Prompt.IDLE if guidance is None else guidance.prompt
