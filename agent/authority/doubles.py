"""Who among the people enrolled has the face of a new one: one person under two names, or a look-alike.

Of many people a distance says little: of 867, every second resembled somebody by it. So from MIN_PEOPLE_FOR_COHORT people on what counts
is the score that a gate would give, normalised by everybody else as the cohort: five pairs of 374,000 reached the pack's threshold then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from agent.biometrics.calibration import MIN_PEOPLE_FOR_COHORT, PackDefaults, cohort_for
from agent.biometrics.comparison import distance_table
from agent.biometrics.template import F32, Metric

ONE_FACE: Final = 0.75
"""Distance of two people's means, over the pack's plain threshold, up to which they are taken for one person, of few people. Measured on
867 people with up to three pictures each: two pairs were nearer, one of them really one man under two names; of people whose pictures
were parted in two, nine in ten were (docs/adr/0014). The threshold itself would refuse one person in eight of so many."""

LOOKALIKE: Final = 1.0
"""Distance, over the pack's plain threshold, up to which two of few people are named: a gate would take one for the other."""

ONE_FACE_SCORE: Final = 1.3
"""Score of two people's means, over the pack's threshold of normalised scores, from which they are taken for one person. Measured on 867
people, of both packs the man under two names alone was above; of people whose pictures were parted in two halves of three, 94 % and 99 %
were, of halves of two 79 % and 99 % (docs/adr/0014). From the threshold itself on they are named as look-alikes."""

NEAREST: Final = 8
"""People whose score is computed, the nearest: each costs a comparison with everybody."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Somebody with nearly the same face.

    Attributes:
        distance: of the means of the references.
        score: normalised; None of few people, where none is made.
        is_one: so near that it is one person under two names, unless an operator says that they are two.
    """

    person: str
    distance: float
    score: float | None
    is_one: bool

    @property
    def figures(self) -> str:
        return f"distance {self.distance:.2f}" if self.score is None else f"score {self.score:.2f}, distance {self.distance:.2f}"


class KnownFaces:
    """Everybody who is enrolled, by the mean of their references. Not for two threads."""

    def __init__(self, means: Iterable[tuple[str, F32]], *, metric: Metric, defaults: PackDefaults) -> None:
        self._metric = metric
        self._defaults = defaults
        self._names: list[str] = []
        self._row: dict[str, int] = {}
        self._table = np.empty((0, 0), dtype=np.float32)
        for name, mean in means:
            self.put(name, mean)

    def mean(self, name: str) -> F32 | None:
        """Of a person who is enrolled."""
        row = self._row.get(name)
        return None if row is None else self._table[row]

    def put(self, name: str, mean: F32) -> None:
        """A person is enrolled, or enrolled again."""
        row = self._row.setdefault(name, len(self._names))
        if row == len(self._names):
            self._names.append(name)
        if row >= len(self._table):  # room for twice as many: everybody is not copied for each new person
            grown = np.zeros((max(2 * row, 64), len(mean)), dtype=np.float32)
            if row:
                grown[:row] = self._table[:row]
            self._table = grown
        self._table[row] = mean

    def distance(self, one: F32, other: F32) -> float:
        """Of two means."""
        return float(distance_table(one[None, :], other[None, :], metric=self._metric)[0, 0])

    def alike(self, name: str, mean: F32) -> tuple[Alike, ...]:
        """Other people whose face is nearly the same, the most alike first."""
        people = len(self._names)
        if not people:
            return ()
        apart = self._apart(mean)
        if name in self._row:
            apart[self._row[name]] = np.inf
        near = np.argsort(apart, kind="stable")[:NEAREST]
        near = near[np.isfinite(apart[near])]
        if people - (name in self._row) < MIN_PEOPLE_FOR_COHORT:
            limit = self._defaults.threshold_plain
            pairs = [(row, float(apart[row])) for row in near.tolist()]
            return tuple(Alike(self._names[row], d, None, d <= ONE_FACE * limit) for row, d in pairs if d <= LOOKALIKE * limit)
        threshold = -self._defaults.threshold_normalised
        scored = [(row, self._score(apart, row, without=self._row.get(name))) for row in near.tolist()]
        found = [
            Alike(self._names[row], float(apart[row]), score, score >= ONE_FACE_SCORE * threshold)
            for row, score in scored
            if score >= threshold
        ]
        return tuple(sorted(found, key=lambda each: -(each.score or 0.0)))

    def _apart(self, mean: F32) -> F32:
        """How far everybody is from a mean."""
        apart: F32 = distance_table(mean[None, :], self._table[: len(self._names)], metric=self._metric)[0]
        return apart

    def _score(self, apart: F32, row: int, *, without: int | None) -> float:
        """The score of a new mean and the person of a row: half of each one's mean distance to their cohort, minus their distance."""
        cohort = min(cohort_for(len(self._names)), self._defaults.cohort_size)
        to_new, to_row = apart.copy(), self._apart(self._table[row])
        to_new[row] = to_row[row] = np.inf  # nobody is in a cohort of their own pair
        if without is not None:
            to_row[without] = np.inf
        halves = (np.partition(each, cohort - 1)[:cohort].mean(dtype=np.float64) / 2 for each in (to_new, to_row))
        return float(sum(halves)) - float(apart[row])
