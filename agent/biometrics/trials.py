"""A roster's own people as strangers and as themselves: every search that a calibration is made of.

A stranger is a person who is taken out of the roster, with one of their references as the probe. Their own row is out of every cohort too,
exactly, as it would be had they never enrolled. For a genuine search one reference of a person is held back as the probe and the others
make the row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.biometrics.comparison import distance_table
from agent.biometrics.normalisation import BLOCK_ELEMENTS
from agent.biometrics.template import F32, Metric, comparable

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Trials:
    """Searches, one for each row.

    Attributes:
        people: size of the roster that was searched.
        person: (n,), whose picture the probe is, as a number of the given people.
        score: (n,): best score; of a genuine search the person's own.
        other: (n,): who else was the nearest, as such a number.
        found: (n,): whether the score's person would be taken wherever the threshold lies below: they are first, and ahead by the margin.
    """

    people: int
    person: Indices
    score: F64
    other: Indices
    found: npt.NDArray[np.bool_]

    @property
    def effective(self) -> F64:
        """The score that has to reach a threshold; -inf where nobody would be taken at any."""
        return np.where(self.found, self.score, -np.inf)

    def weights(self) -> F64:
        """Every person counts once, however many pictures they have."""
        return np.asarray(1.0 / np.bincount(self.person)[self.person])


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """References to search with and in. references: (m, d), as `comparable` makes them; owner: (m,), ascending."""

    references: F32
    owner: Indices
    metric: Metric

    @property
    def count(self) -> int:
        return int(self.owner[-1]) + 1 if len(self.owner) else 0

    def drawn(self, chosen: Indices) -> "People":
        """Some of the people, renumbered in their order."""
        place = np.full(self.count, -1)
        place[np.sort(chosen)] = np.arange(len(chosen))
        kept = place[self.owner] >= 0
        return People(self.references[kept], place[self.owner[kept]], self.metric)

    def rows(self) -> F32:
        """One row for each person: the mean of their references, as a gallery has it."""
        return comparable((self.sums() / np.bincount(self.owner)[:, None]).astype(np.float32), self.metric)

    def sums(self) -> F64:
        """The sum of each person's references."""
        first = np.concatenate([[0], np.cumsum(np.bincount(self.owner))[:-1]])
        return np.asarray(np.add.reduceat(self.references, first, axis=0, dtype=np.float64))


def people_of(references: Sequence[F32], metric: Metric) -> People:
    """references: (n, d) of each person, n >= 1."""
    owner = np.repeat(np.arange(len(references)), [len(each) for each in references])
    return People(comparable(np.concatenate(references), metric), owner, metric)


Did = Callable[[int], None]
"""Told, from time to time, of how many comparisons were made."""


def _unsaid(_comparisons: int) -> None: ...


def stranger_trials(people: People, *, k: int, margin: float, probes: Indices | None = None, did: Did = _unsaid) -> Trials:
    """Search with each reference (of `probes`, else all) in a roster from which its person is missing. k: cohort size; 0: plain scores."""
    table = people.rows()
    near = _nearest(table, people.metric, k + 1) if k else None
    chosen = np.arange(len(people.owner)) if probes is None else probes
    best, other, found = [], [], []
    for block in _blocks(chosen, len(table)):
        owner = people.owner[block]
        apart = distance_table(people.references[block], table, metric=people.metric)
        apart[np.arange(len(block)), owner] = np.inf
        halves = None if near is None else _halves_without(near, distance_table(table[owner], table, metric=people.metric), k)
        scores = _scores(apart, halves, k)
        first, second = _two_best(scores)
        best.append(first)
        other.append(scores.argmax(axis=1))
        found.append(first - second >= margin)
        did(apart.size)
    return Trials(len(table) - 1, people.owner[chosen], np.concatenate(best), np.concatenate(other), np.concatenate(found))


def genuine_trials(people: People, *, k: int, margin: float, probes: Indices | None = None, did: Did = _unsaid) -> Trials:
    """Search with each reference (of `probes`, else all) of whoever has several, the others making the person's row.

    Nobody with one reference takes part.
    """
    table, sums = people.rows(), people.sums()
    times = np.bincount(people.owner)
    chosen = np.flatnonzero(times[people.owner] > 1) if probes is None else probes[times[people.owner[probes]] > 1]
    near = _nearest(table, people.metric, k).mean(axis=1, dtype=np.float64) / 2 if k else None
    own_scores, other, found = [np.empty(0)], [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.bool_)]
    for block in _blocks(chosen, len(table)):
        owner, held_back, here = people.owner[block], people.references[block], np.arange(len(block))
        others = comparable(((sums[owner] - held_back) / (times[owner] - 1)[:, None]).astype(np.float32), people.metric)
        apart = distance_table(held_back, table, metric=people.metric)
        apart[here, owner] = _rowwise(held_back, others, people.metric)
        halves = None
        if near is not None:
            of_others = distance_table(others, table, metric=people.metric)
            of_others[here, owner] = np.inf
            halves = np.tile(near, (len(block), 1))
            halves[here, owner] = np.partition(of_others, k - 1, axis=1)[:, :k].mean(axis=1, dtype=np.float64) / 2
        scores = _scores(apart, halves, k)
        own = scores[here, owner].copy()
        scores[here, owner] = -np.inf
        own_scores.append(own)
        other.append(scores.argmax(axis=1))
        found.append(own - scores.max(axis=1) >= margin)
        did(apart.size)
    return Trials(len(table), people.owner[chosen], np.concatenate(own_scores), np.concatenate(other), np.concatenate(found))


def _rowwise(rows: F32, others: F32, metric: Metric) -> F64:
    """Distance of each row to the row of the same number."""
    one, two = rows.astype(np.float64), others.astype(np.float64)
    return np.asarray(np.linalg.norm(one - two, axis=1) if metric is Metric.EUCLIDEAN else 1 - (one * two).sum(axis=1))


def _blocks(chosen: Indices, people: int) -> Iterator[Indices]:
    step = max(1, BLOCK_ELEMENTS // max(people, 1))
    return (chosen[start : start + step] for start in range(0, len(chosen), step))


def _nearest(table: F32, metric: Metric, count: int) -> F32:
    """The `count` smallest distances of each row to other rows, ascending."""
    found = []
    for block in _blocks(np.arange(len(table)), len(table)):
        apart = distance_table(table[block], table, metric=metric)
        apart[np.arange(len(block)), block] = np.inf
        found.append(np.sort(np.partition(apart, count - 1, axis=1)[:, :count], axis=1))
    return np.concatenate(found)


def _halves_without(near: F32, apart: F32, k: int) -> F64:
    """Cohort halves (b, n) of all rows once one person is gone. near: (n, k + 1); apart: (b, n), how far the missing one is from each."""
    nearest = near[:, :k].sum(axis=1, dtype=np.float64)
    last = near[:, k].astype(np.float64)
    return np.asarray(np.where(apart <= near[:, k - 1], nearest + last - apart, nearest) / (2 * k))


def _scores(apart: F32, halves: F64 | None, k: int) -> F64:
    """Scores (b, n) of probes; apart: (b, n), inf where somebody is missing. As normalisation.normalised, for many probes at once."""
    if halves is None:
        return -apart.astype(np.float64)
    near = np.sort(np.partition(apart, k, axis=1)[:, : k + 1], axis=1).astype(np.float64)
    total, last, inner = near[:, :k].sum(axis=1)[:, None], near[:, k][:, None], near[:, k - 1][:, None]
    cohort = np.where(apart <= inner, total - np.where(np.isfinite(apart), apart, 0) + last, total) / (2 * k)
    return np.asarray(cohort + halves - apart)


def _two_best(scores: F64) -> tuple[F64, F64]:
    if scores.shape[1] == 1:
        return scores[:, 0], np.full(len(scores), -np.inf)
    two = np.partition(scores, scores.shape[1] - 2, axis=1)[:, -2:].copy()  # else the whole table lives as long as its two columns
    return two[:, 1], two[:, 0]
