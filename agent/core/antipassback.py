"""Anti-passback: nobody enters twice without leaving. It counts confirmed passages of this gate, not matches, and never bars the way out.

A passage is forgotten after the reset time: people also leave by another gate or by the exit button, where no face is seen. It is
also forgotten when an emergency opens the lane, for then everybody may have left. After a restart the reset time begins anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.core.identity import Direction, PersonId
from agent.core.moment import NS_PER_S

MOST_PEOPLE = 20_000  # remembered; a lane passes about 30 people a minute, so 7,200 in the default four hours
_NS_PER_MIN = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class LastPassage:
    """A person's last confirmed passage of this gate.

    Attributes:
        at_ns: monotonic time of the passage; of the start for one that the journal knew from before.
    """

    direction: Direction
    at_ns: int


@dataclass(frozen=True, slots=True)
class Passages:
    """The last confirmed passage of each person, the one longest ago first. Never changed in place."""

    last: Mapping[PersonId, LastPassage] = field(default_factory=dict)


def known(last_passage: Mapping[PersonId, Direction] | None, *, now_ns: int) -> Passages:
    """What the journal knows from before this start."""
    people = list((last_passage or {}).items())[-MOST_PEOPLE:]
    return Passages({person: LastPassage(direction, now_ns) for person, direction in people})


def confirm(passages: Passages, person: PersonId, direction: Direction, *, now_ns: int) -> Passages:
    """The sensors saw this person pass."""
    last = dict(passages.last)
    last.pop(person, None)
    last[person] = LastPassage(direction, now_ns)
    if len(last) > MOST_PEOPLE:
        del last[next(iter(last))]
    return Passages(last)


def last_direction(passages: Passages, person: PersonId, *, now_ns: int, reset_min: int) -> Direction | None:
    """Which way the person last went through this gate; None where that is not known or too long ago."""
    last = passages.last.get(person)
    if last is None or now_ns - last.at_ns >= reset_min * _NS_PER_MIN:
        return None
    return last.direction
