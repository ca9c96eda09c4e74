"""What a roster's own people say of a threshold: rates of strangers and of rightful people, the fitted tail, and the largest roster.

Everything here is a value of numbers; who the people are is not known. How much each figure would move had other people been enrolled is
found by drawing the people anew (bootstrap over people, not over pairs: the pairs of one person are not independent).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.errors import CalibrationError
from agent.biometrics.rates import Rate, spread, wilson
from agent.biometrics.tail import Tail
from agent.biometrics.trials import Trials

F64 = npt.NDArray[np.float64]

EXTRAPOLATION: Final = 20
"""A roster at most so many times as large as the one that was measured is spoken for. The tail is fitted where one search in ten lies, and
a few hundred people show one in some hundreds; twenty times more people ask for a rate twenty times rarer (docs/adr/0014)."""

PEOPLE_MAX: Final = 200_000  # as a roster's format allows

GROUP_MIN: Final = 10  # people; a smaller group says nothing


@dataclass(frozen=True, slots=True)
class Targets:
    """What a site wants. fpir: strangers who find somebody; fnir: rightful people who are not found; each of one attempt."""

    fpir: float
    fnir: float

    def __post_init__(self) -> None:
        for name, rate in (("fpir", self.fpir), ("fnir", self.fnir)):
            if not 0 < rate < 1:
                raise CalibrationError(f"the target --{name} is {rate}; a rate lies within 0 and 1, for example 0.01 for one in a hundred")


@dataclass(frozen=True, slots=True)
class Row:
    """What is predicted for one size of roster."""

    people: int
    threshold: float
    fpir: Rate
    fnir: Rate
    measured: bool  # not larger than the roster that was measured
    supported: bool  # not larger than the measurement may speak for


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Rates of the people of one group at the operating threshold. fnir: None where nobody has two pictures."""

    group: str
    people: int
    fpir: Rate
    fnir: Rate | None


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """The searches of a calibration and what was fitted to them.

    Attributes:
        drawn: tail and weights of the genuine searches for each drawing of the people anew.
        goodness: see tail.goodness.
    """

    people: int
    references: int
    k: int
    margin: float
    targets: Targets
    strangers: Trials
    genuine: Trials
    sampled: bool
    tail: Tail
    goodness: float
    drawn: tuple[tuple[Tail, F64], ...]

    def threshold(self, people: int) -> float:
        """The least score that keeps strangers to the target in a roster of so many people."""
        return self.tail.threshold(self.targets.fpir, people=people)

    def missed(self, threshold: float) -> float:
        """The part of rightful people who are not found at a threshold, without its interval."""
        return _missed(self.genuine, self.genuine.weights(), threshold)

    def seen(self, threshold: float) -> float:
        """The part of strangers' single searches that found somebody at a threshold: counted, where the tail predicts."""
        weights = self.strangers.weights()
        return float(weights @ (self.strangers.effective >= threshold)) / float(weights.sum())

    def fnir(self, threshold: float) -> Rate:
        """The part of rightful people who are not found at a threshold."""
        value = _missed(self.genuine, self.genuine.weights(), threshold)
        return spread(value, np.array([_missed(self.genuine, weights, threshold) for _, weights in self.drawn]))

    def fpir(self, threshold: float, people: int) -> Rate:
        """The part of strangers' attempts that find somebody at a threshold."""
        drawn = np.array([tail.rate(threshold, people=people) for tail, _ in self.drawn])
        return spread(self.tail.rate(threshold, people=people), drawn)

    def row(self, people: int) -> Row:
        threshold = self.threshold(people)
        return Row(
            people=people,
            threshold=threshold,
            fpir=self.fpir(threshold, people),
            fnir=self.fnir(threshold),
            measured=people <= self.people,
            supported=people <= self.reach,
        )

    @property
    def reach(self) -> int:
        """The largest roster that these people may speak for."""
        return min(EXTRAPOLATION * self.people, PEOPLE_MAX)

    def n_max(self) -> int:
        """The largest roster at which both targets hold; 0 where they hold at none."""
        weights = self.genuine.weights()
        return self._largest(lambda n: _missed(self.genuine, weights, self.threshold(n)))

    def n_max_interval(self) -> tuple[int, int]:
        """How far the largest roster moves as the people are drawn anew: 2.5 % and 97.5 % of the drawings."""
        found = []
        for tail, weights in self.drawn:
            found.append(self._largest(_MissesOf(self.genuine, weights, tail, self.targets.fpir)))
        low, high = np.quantile(found, [0.025, 0.975], method="nearest").tolist()
        return int(low), int(high)

    def _largest(self, missed: Callable[[int], float]) -> int:
        """By bisection: the threshold rises with the roster, and misses with the threshold."""
        low, high = 0, self.reach + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if missed(middle) <= self.targets.fnir else (low, middle)
        return low

    def groups(self, named: Sequence[str | None]) -> tuple[GroupRates, ...]:
        """Rates of each group of at least GROUP_MIN people, the worst first. named: the group of each person."""
        threshold = self.threshold(self.people)
        found = [self._group(group, members, threshold) for group, members in _members(named).items() if len(members) >= GROUP_MIN]
        return tuple(sorted(found, key=lambda each: (-each.fpir.value, -(each.fnir.value if each.fnir else 0.0))))

    def _group(self, group: str, members: npt.NDArray[np.intp], threshold: float) -> GroupRates:
        strangers, genuine = np.isin(self.strangers.person, members), np.isin(self.genuine.person, members)
        searched, known = len(np.unique(self.strangers.person[strangers])), len(np.unique(self.genuine.person[genuine]))
        weights = self.strangers.weights()[strangers]
        taken = float(weights @ (self.strangers.effective[strangers] >= threshold))
        missed = float(self.genuine.weights()[genuine] @ (self.genuine.effective[genuine] < threshold))
        return GroupRates(group, len(members), wilson(taken, searched), wilson(missed, known) if known else None)


@dataclass(frozen=True, slots=True, eq=False)
class _MissesOf:
    genuine: Trials
    weights: F64
    tail: Tail
    fpir: float

    def __call__(self, people: int) -> float:
        return _missed(self.genuine, self.weights, self.tail.threshold(self.fpir, people=people))


def _missed(genuine: Trials, weights: F64, threshold: float) -> float:
    total = float(weights.sum())
    return float(weights @ (genuine.effective < threshold)) / total if total else 1.0


def _members(named: Sequence[str | None]) -> Mapping[str, npt.NDArray[np.intp]]:
    groups = sorted({group for group in named if group is not None})
    return {group: np.array([i for i, each in enumerate(named) if each == group]) for group in groups}
