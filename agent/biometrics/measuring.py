"""Measuring a roster on its own people: everybody searched as a stranger and as themselves, and the tail fitted, each person drawn anew."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.calibration import MIN_COHORT, PEOPLE_PER_COHORT_MEMBER, cohort_for
from agent.biometrics.errors import CalibrationError
from agent.biometrics.measurement import Measurement, Targets
from agent.biometrics.tail import DECLINE, GROWTH, Tail
from agent.biometrics.tail_fit import Searches, fit, goodness, growth_of, start_of
from agent.biometrics.trials import People, Trials, genuine_trials, stranger_trials

F64 = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

PEOPLE_MIN: Final = 100
"""Fewer people say too little of one stranger in a hundred; the pack's default threshold serves them."""

PAIRS_MAX: Final = 300_000_000
"""Comparisons of a picture with a row that are made, of strangers and of rightful people each; above it their pictures are sampled.
15,000 people with one picture: all."""

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

FIT_COST: Final = 20
"""Comparisons that take as long as what a refit does with one search; for the progress alone."""

PERCENT: Final = 100

Progress = Callable[[int, int], None]
"""Told how many hundredths are done, and PERCENT."""


class _Work:
    """How far a measurement is, of the comparisons that it makes."""

    def __init__(self, progress: Progress, *, total: int) -> None:
        self._progress = progress
        self._total = max(total, 1)
        self._done = 0
        progress(0, PERCENT)

    def did(self, comparisons: int) -> None:
        before, self._done = self._done, self._done + comparisons
        now = min(PERCENT * self._done // self._total, PERCENT)
        if now != PERCENT * before // self._total:
            self._progress(now, PERCENT)


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
    several = np.flatnonzero(np.bincount(people.owner)[people.owner] > 1)
    probes = _sampled(np.arange(len(people.owner)), people.count, pairs_max, random)
    held_back = _sampled(several, people.count, pairs_max, random)
    rosters = tuple(_smaller_rosters(people, pairs_max, random))
    searches = len(probes) + sum(len(roster.probes) for roster in rosters)
    compared = (len(probes) + len(held_back)) * people.count + sum(len(roster.probes) * roster.people.count for roster in rosters)
    work = _Work(progress, total=compared + REPEATS * FIT_COST * searches)
    k = cohort_for(people.count)
    strangers = stranger_trials(people, k=k, margin=margin, probes=probes, did=work.did)
    genuine = genuine_trials(people, k=k, margin=margin, probes=held_back, did=work.did)
    smaller = [
        (
            roster.chosen,
            stranger_trials(roster.people, k=cohort_for(roster.people.count), margin=margin, probes=roster.probes, did=work.did),
        )
        for roster in rosters
    ]
    even = np.ones(people.count)
    tail = _fitted(strangers, smaller, even)
    drawn = []
    for _ in range(REPEATS):
        times = np.bincount(random.integers(people.count, size=people.count), minlength=people.count).astype(np.float64)
        with suppress(CalibrationError):  # a drawing that left too few in the tail says nothing
            drawn.append((_fitted(strangers, smaller, times), genuine.weights() * times[genuine.person]))
        work.did(FIT_COST * searches)
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
        sampled=len(probes) < len(people.owner),
        tail=tail,
        goodness=goodness(_searches(strangers, even), tail, simulations=SIMULATIONS, seed=seed),
        drawn=tuple(drawn),
    )


def _sampled(pictures: Indices, people: int, pairs_max: int, random: np.random.Generator) -> Indices:
    """The pictures that search, where all would make more than `pairs_max` comparisons."""
    wanted = max(pairs_max // people, PEOPLE_MIN)
    return pictures if len(pictures) <= wanted else np.sort(random.choice(pictures, size=wanted, replace=False))


@dataclass(frozen=True, slots=True, eq=False)
class _Roster:
    """A smaller roster of the same people: who they are, their references, and which of those search. Its cohort is smaller too."""

    chosen: Indices
    people: People
    probes: Indices


def _smaller_rosters(people: People, pairs_max: int, random: np.random.Generator) -> Iterator[_Roster]:
    for part in PARTS:
        if people.count // part < SMALLEST:
            continue
        for _ in range(DRAWS * part):
            chosen = np.sort(random.permutation(people.count)[: people.count // part])
            fewer = people.drawn(chosen)
            yield _Roster(chosen, fewer, _sampled(np.arange(len(fewer.owner)), fewer.count, pairs_max // (DRAWS * part), random))


def _searches(trials: Trials, times: F64) -> Searches:
    """times: how often each person was drawn."""
    return Searches(trials.person, trials.score, trials.found, trials.weights() * times[trials.person])


def _fitted(strangers: Trials, smaller: Sequence[tuple[Indices, Trials]], times: F64) -> Tail:
    whole = _searches(strangers, times)
    scores = np.array([start_of(whole, share) for share in GROWTH_SHARES])
    parts = [(chosen, trials, _searches(trials, times[chosen])) for chosen, trials in smaller]
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
