"""Whether a person's pictures show one person, and which of them are one shot. Measured on 833 people with two press pictures and more.

A reference that two people share lets both through, so pictures must hang together: each is linked with those nearer than LINKED, and
whoever reaches another over any number of links is of one group with it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.biometrics.comparison import distance_table
from agent.biometrics.template import F32, Metric, comparable

LINKED: Final = 1.1
"""Distance of two pictures, over the pack's plain threshold, up to which they are linked: docs/adr/0014, One folder, one person. Two
strangers are as near once in 6,000 pairs; a gate's own threshold, 1.0, would refuse every sixth person with three press pictures."""

SAME_SHOT: Final = 0.27
"""Distance, over the pack's plain threshold, up to which two pictures are one shot. Of a cosine, which grows as the square, its root. A
picture saved again, resized, cut, turned or relit is at 0.0 to 0.27; of 5,468 pairs of one person three are as near, and are one shot."""

_NAMED: Final = 4  # pictures of a group, in a sentence


@dataclass(frozen=True, slots=True)
class Group:
    """Pictures that hang together, by file."""

    files: tuple[str, ...]

    def __str__(self) -> str:
        more = len(self.files) - _NAMED
        return ", ".join(self.files[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def same_shots(templates: Mapping[str, F32], *, metric: Metric, threshold: float) -> dict[str, str]:
    """Files that show the same shot as an earlier one, with that one. They say nothing new, and make a person look easier to know."""
    limit = SAME_SHOT if metric is Metric.EUCLIDEAN else SAME_SHOT**2
    names, apart = list(templates), distances(templates, metric=metric)
    found: dict[str, str] = {}
    for number, name in enumerate(names):
        earlier = (other for place, other in enumerate(names[:number]) if other not in found and apart[number, place] <= limit * threshold)
        first = next(earlier, None)
        if first is not None:
            found[name] = first
    return found


def groups(templates: Mapping[str, F32], *, metric: Metric, threshold: float, same: Iterable[str] = ()) -> tuple[Group, ...]:
    """The groups of pictures, the largest first. same: files of which somebody has said that they show one person."""
    names, said = list(templates), set(same)
    linked = distances(templates, metric=metric) <= LINKED * threshold
    of = list(range(len(names)))  # each picture's group
    for row, name in enumerate(names):
        for other in range(row):
            if of[row] != of[other] and (linked[row, other] or {name, names[other]} <= said):
                joined, gone = of[other], of[row]
                of = [joined if each == gone else each for each in of]
    found = (Group(tuple(name for name, number in zip(names, of, strict=True) if number == each)) for each in dict.fromkeys(of))
    return tuple(sorted(found, key=lambda group: -len(group.files)))


def is_one_person(found: Sequence[Group]) -> bool:
    """Whether one group is the person: more than half of all pictures, and no two of the others hang together."""
    alone = all(len(group.files) == 1 for group in found[1:])
    return not found or (alone and 2 * len(found[0].files) > sum(len(group.files) for group in found))


def distances(templates: Mapping[str, F32], *, metric: Metric) -> F32:
    """Of every two pictures (n, n)."""
    if not templates:
        return np.empty((0, 0), dtype=np.float32)
    table = comparable(np.stack(list(templates.values())), metric)
    return distance_table(table, table, metric=metric)
