"""What a roster's own people say of a threshold: rates of strangers and of rightful people, the fitted tail, and the largest roster.

Everything here is a value of numbers; who the people are is not known. How much each figure would move had other people been enrolled is
found by drawing the people anew (bootstrap over people, not over pairs: the pairs of one person are not independent).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.calibration import MIN_COHORT, PEOPLE_PER_COHORT_MEMBER, cohort_for
from agent.biometrics.errors import CalibrationError
from agent.biometrics.rates import Rate, spread, wilson
from agent.biometrics.tail import DECLINE, GROWTH, Tail
from agent.biometrics.tail_fit import Searches, fit, goodness, growth_of, start_of
from agent.biometrics.trials import People, Trials, genuine_trials, stranger_trials

F64 = npt.NDArray[np.float64]

PEOPLE_MIN: Final = 100
"""Fewer people say too little of one stranger in a hundred; the pack's default threshold serves them."""

PAIRS_MAX: Final = 300_000_000
"""Comparisons of a stranger's picture with a row that are made; above it the strangers are sampled. 15,000 people with one picture: all."""

EXTRAPOLATION: Final = 20
"""A roster at most so many times as large as the one that was measured is spoken for. The tail is fitted where one search in ten lies, and
a few hundred people show one in some hundreds; twenty times more people ask for a rate twenty times rarer (docs/adr/0014)."""

PEOPLE_MAX: Final = 200_000  # as a roster's format allows

REPEATS: Final = 200
"""Times that the people are drawn anew."""

SIMULATIONS: Final = 500
"""Samples that the goodness of fit is compared with."""

PARTS: Final = (4, 2)
"""Smaller rosters that show how rates grow with size: a quarter and a half of the people, each several times."""
DRAWS: Final = 2  # for each part: so many times its divisor
SMALLEST: Final = MIN_COHORT * PEOPLE_PER_COHORT_MEMBER
"""People of the smallest roster that is drawn: in a smaller one the cohort would be another part of the roster, and scores not the same."""

GROWTH_SHARES: Final = (0.1, 0.05, 0.02)
"""Rates of the whole roster at whose scores the growth is measured."""

GROUP_MIN: Final = 10  # people; a smaller group says nothing

Progress = Callable[[int, int], None]


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


def measure(people: People, *, margin: float, targets: Targets, seed: int, progress: Progress, pairs_max: int = PAIRS_MAX) -> Measurement:
    """Search with everybody as a stranger and as themselves, and fit the tail.

    Raises:
        CalibrationError: too few people, nobody with two references, or too few different scores.
    """
    if people.count < PEOPLE_MIN:
        raise CalibrationError(
            f"{people.count} people are too few to measure on; at least {PEOPLE_MIN} are needed; until then the pack's default serves"
        )
    if not (np.bincount(people.owner) > 1).any():
        raise CalibrationError("nobody has two references, so nothing says how often a rightful person is missed; enrol more pictures")
    random = np.random.default_rng(seed)
    probes = _sampled(people, pairs_max, random)
    steps = 2 + len(PARTS) + REPEATS
    progress(0, steps)
    k = cohort_for(people.count)
    strangers = stranger_trials(people, k=k, margin=margin, probes=probes)
    progress(1, steps)
    genuine = genuine_trials(people, k=k, margin=margin)
    progress(2, steps)
    smaller = []
    for number, part in enumerate(PARTS):
        if people.count // part < SMALLEST:
            continue
        smaller.append(tuple(_drawn_rosters(people, part, margin=margin, random=random, pairs_max=pairs_max // (DRAWS * part))))
        progress(3 + number, steps)
    even = np.ones(people.count)
    tail = _fitted(strangers, smaller, even)
    drawn = []
    for number in range(REPEATS):
        times = np.bincount(random.integers(people.count, size=people.count), minlength=people.count).astype(np.float64)
        with suppress(CalibrationError):  # a drawing that left too few in the tail says nothing
            drawn.append((_fitted(strangers, smaller, times), genuine.weights() * times[genuine.person]))
        progress(3 + len(PARTS) + number, steps)
    if len(drawn) < REPEATS // 2:
        raise CalibrationError(
            f"{people.count} people leave too few searches in the tail to say how sure it is; enrol more people or pictures"
        )
    return Measurement(
        people=people.count,
        references=len(people.owner),
        k=k,
        margin=margin,
        targets=targets,
        strangers=strangers,
        genuine=genuine,
        sampled=probes is not None,
        tail=tail,
        goodness=goodness(_searches(strangers, even), tail, simulations=SIMULATIONS, seed=seed),
        drawn=tuple(drawn),
    )


def _sampled(people: People, pairs_max: int, random: np.random.Generator) -> npt.NDArray[np.intp] | None:
    """Which references search as strangers', where all would be too many; None: all."""
    wanted = max(pairs_max // people.count, PEOPLE_MIN)
    if len(people.owner) <= wanted:
        return None
    return np.sort(random.choice(len(people.owner), size=wanted, replace=False))


def _drawn_rosters(
    people: People, part: int, *, margin: float, random: np.random.Generator, pairs_max: int
) -> Iterator[tuple[npt.NDArray[np.intp], Trials]]:
    """Smaller rosters of the same people: who they are, and their strangers' searches. The cohort shrinks with the roster."""
    for _ in range(DRAWS * part):
        chosen = np.sort(random.permutation(people.count)[: people.count // part])
        fewer = people.drawn(chosen)
        probes = _sampled(fewer, pairs_max, random)
        yield chosen, stranger_trials(fewer, k=cohort_for(fewer.count), margin=margin, probes=probes)


def _searches(trials: Trials, times: F64) -> Searches:
    """times: how often each person was drawn."""
    return Searches(trials.person, trials.score, trials.found, trials.weights() * times[trials.person])


def _fitted(strangers: Trials, smaller: Sequence[Sequence[tuple[npt.NDArray[np.intp], Trials]]], times: F64) -> Tail:
    whole = _searches(strangers, times)
    scores = np.array([start_of(whole, share) for share in GROWTH_SHARES])
    parts = [(chosen, trials, _searches(trials, times[chosen])) for draws in smaller for chosen, trials in draws]
    sizes = sorted({trials.people for _, trials, _ in parts})

    def slope(*, margin: bool) -> float | None:
        def rates(searches: Searches) -> F64:
            return (searches if margin else replace(searches, found=np.ones_like(searches.found))).rates(scores)

        rows = [(size, np.mean([rates(s) for _, t, s in parts if t.people == size], axis=0)) for size in sizes]
        return growth_of([*rows, (strangers.people, rates(whole))])

    growth, decline = slope(margin=False), slope(margin=True)
    return fit(
        whole,
        people=strangers.people,
        growth=float(np.clip(GROWTH[1] if growth is None else growth, *GROWTH)),
        decline=float(np.clip(DECLINE[0] if decline is None else decline, *DECLINE)),
    )
