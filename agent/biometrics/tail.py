"""How often strangers reach a score, continued beyond what was seen: a generalised Pareto tail of the best score of a whole search.

What is fitted is the best score of each stranger's search, not the score of each pair: a few people resemble many, so pairs of one probe
are not independent, and a figure made of pairs would be wrong by as much as they are alike (docs/adr/0014).

    rate(t; N) = 1 - exp(searches * (N / people)^g * ln(1 - share * P(t)))        P(t) = (1 + shape (t - start) / scale)^(-1 / shape)

An attempt is several probes of one track; they count as `searches` independent ones. `people` is the size of the roster that was
searched, `share` the part of searches above `start`. g is `growth` for a larger roster and `decline` for a smaller one: 1 if people were
independent. Both are measured on smaller rosters drawn from the same people, and each is the cautious one on its side: growth without
the margin's help, decline with it.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from math import exp, expm1, isfinite, log, log1p
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.errors import CalibrationError

F64 = npt.NDArray[np.float64]

FAMILY: Final = "generalised-pareto"

TAIL_SHARE: Final = (0.05, 0.1)
TAIL_PEOPLE: Final = 40
"""Part of the searches that is fitted: as many as TAIL_PEOPLE people make, a twentieth to a tenth. Of few people a twentieth leaves too few
to fit; of many a tenth reaches into the body, which bends the tail (docs/adr/0014)."""

SHAPE: Final = (0.0, 0.45)
"""Least and greatest shape. Below 0 a tail has an end, beyond which no stranger would ever come: a sample cannot prove that, so it is not
believed. Above 0.5 the fit by weighted moments has no meaning."""

GROWTH: Final = (0.5, 1.0)
"""Least and greatest growth. 1 is independence, and the most cautious; less than a half was never seen and is not believed."""

DECLINE: Final = (0.0, 1.0)
"""Least and greatest decline. 0 keeps the threshold of the roster that was measured, and is the most cautious."""

EXCEEDANCES_MIN: Final = 10
"""Fewer searches above the start are no tail."""

SEARCHES: Final = (1.0, 100.0)

ATTEMPT_SEARCHES: Final = 1.2
"""Independent searches that one attempt counts as. Probes of one track are nearly the same probe: tracks of moving, blurred and relit
frames gave 1.2 times the rate of a single picture (0.8 to 1.8), with the rule of three frames fused and the margin (docs/adr/0014)."""

_LENGTH: Final = 8
_EXPONENTIAL: Final = 1e-9  # a shape nearer to 0 is 0


@dataclass(frozen=True, slots=True)
class Tail:
    """A fitted tail.

    Attributes:
        people: size of the searched roster.
        share: part of strangers' searches whose best score is above start, 0..1.
        start, scale: on the score.
        shape: 0 is exponential.
        growth, decline: exponents of the roster's size, above `people` and below.
        searches: independent searches that an attempt counts as.
    """

    people: float
    share: float
    start: float
    scale: float
    shape: float
    growth: float
    decline: float
    searches: float

    def __post_init__(self) -> None:
        figures = astuple(self)
        fits = (
            self.people >= 1
            and 0 < self.share < 1
            and self.scale > 0
            and SHAPE[0] <= self.shape <= SHAPE[1]
            and DECLINE[0] <= self.decline <= DECLINE[1]
            and SEARCHES[0] <= self.searches <= SEARCHES[1]
            and GROWTH[0] <= self.growth <= GROWTH[1]
        )
        if not (all(isfinite(f) for f in figures) and fits):
            raise CalibrationError(
                f"the tail {figures} is none: people from 1, share within 0 and 1, a finite start, a scale above 0, "
                f"a shape from {SHAPE[0]} to {SHAPE[1]}, a growth from {GROWTH[0]} to {GROWTH[1]} a decline from {DECLINE[0]} to "
                f"{DECLINE[1]} and searches from {SEARCHES[0]} to {SEARCHES[1]} are possible; calibrate again"
            )

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Tail":
        """The tail that `astuple` took apart. Raises CalibrationError: it is none."""
        if len(figures) != _LENGTH:
            raise CalibrationError(f"the tail has {len(figures)} figures; {_LENGTH} make one")
        return cls(*figures)

    def figures(self) -> tuple[float, ...]:
        """What `of` takes."""
        return astuple(self)

    def searched(self, threshold: float) -> float:
        """Returns the part of strangers' single searches, in the roster that was measured, that find somebody; below `start`: there."""
        beyond = max(threshold - self.start, 0.0) / self.scale
        return self.share * (exp(-beyond) if self.shape < _EXPONENTIAL else (1 + self.shape * beyond) ** (-1 / self.shape))

    def rate(self, threshold: float, *, people: int) -> float:
        """Returns the part of attempts of strangers that find somebody at a threshold among so many people; below `start`: there."""
        if people < 1:
            return 0.0
        return -expm1(self._grown(people) * log1p(-self.searched(threshold)))

    def threshold(self, rate: float, *, people: int) -> float:
        """Returns the least score that keeps attempts of strangers to `rate`. Never below `start`: nothing is known there."""
        if not 0 < rate < 1:
            raise CalibrationError(f"a target FPIR of {rate} is none; it lies within 0 and 1, for example 0.01")
        if people < 1:
            return self.start
        part = -expm1(log1p(-rate) / self._grown(people)) / self.share
        if part >= 1:
            return self.start
        beyond = -log(part) if self.shape < _EXPONENTIAL else (part**-self.shape - 1) / self.shape
        return self.start + self.scale * beyond

    def _grown(self, people: int) -> float:
        return float(self.searches * (people / self.people) ** (self.growth if people > self.people else self.decline))


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Strangers' searches, (n,) each: whose picture, the best score, whether its person leads by the margin, how much the search counts."""

    person: npt.NDArray[np.intp]
    score: F64
    found: npt.NDArray[np.bool_]
    weight: F64

    def rates(self, thresholds: F64) -> F64:
        """The part of strangers who find somebody at each threshold."""
        effective = np.where(self.found, self.score, -np.inf)
        return np.asarray(np.array([float(self.weight @ (effective >= t)) for t in thresholds]) / self.weight.sum())


def fit(
    searches: Searches, *, people: int, growth: float = GROWTH[1], decline: float = DECLINE[0], attempt: float = ATTEMPT_SEARCHES
) -> Tail:
    """Fit the tail of strangers' searches in a roster of `people`.

    The start is a quantile of all best scores; what is fitted are those above it whose person leads by the margin.

    By probability weighted moments (Hosking and Wallis 1987): closed form, steady with few hundred values, where likelihood is not.

    Raises:
        CalibrationError: too few different scores.
    """
    start, above, excess, parts, _ = _excess(searches)
    if len(excess) < EXCEEDANCES_MIN or excess[-1] <= 0:
        raise CalibrationError(
            f"only {len(excess)} strangers' searches lie in the tail, of at least {EXCEEDANCES_MIN} that are needed: enrol more people"
        )
    scale, shape = _pareto(excess, parts)
    return Tail(people=people, share=above, start=start, scale=scale, shape=shape, growth=growth, decline=decline, searches=attempt)


def start_of(searches: Searches, share: float) -> float:
    """The score that a part `share` of best scores is above."""
    order = np.argsort(-searches.score, kind="stable")
    upper = np.cumsum(searches.weight[order]) / searches.weight.sum()
    return float(searches.score[order[min(int(np.searchsorted(upper, share)), len(order) - 1)]])


def _excess(searches: Searches) -> tuple[float, float, F64, F64, int]:
    """The start of the tail, the part above it, and by how much, ascending, with weights that sum to 1; as how many people they count."""
    people = len(np.unique(searches.person[searches.weight > 0]))
    start = start_of(searches, float(np.clip(TAIL_PEOPLE / max(people, 1), *TAIL_SHARE)))
    chosen = np.flatnonzero(searches.found & (searches.score > start))
    chosen = chosen[np.argsort(searches.score[chosen], kind="stable")]
    weight = searches.weight[chosen]
    above = float(weight.sum())
    parts = weight / (above or 1.0)
    of_people = np.bincount(searches.person[chosen], parts)
    count = round(1 / max(float(of_people @ of_people), 1e-9)) if len(chosen) else 0
    return start, above / float(searches.weight.sum()), searches.score[chosen] - start, parts, count


def _pareto(excess: F64, parts: F64) -> tuple[float, float]:
    """Scale and shape of a generalised Pareto law; excess ascending, parts its weights."""
    mean = float(excess @ parts)
    below = np.cumsum(parts) - parts / 2
    lower = float((excess * parts) @ (1 - below))  # E[x (1 - F(x))]
    shape = 2 - mean / (mean - 2 * lower) if mean > 2 * lower else SHAPE[1]
    shape = min(max(shape, SHAPE[0]), SHAPE[1])
    return mean * (1 - shape), shape  # the mean of the law is scale / (1 - shape)


def growth_of(rates: Sequence[tuple[int, F64]]) -> float | None:
    """Returns the growth from how often strangers reached the same scores in rosters of several sizes: (people, rates at each score).

    The slope of ln(-ln(1 - rate)) over ln(people), by least squares. None where too little was seen to say.
    """
    table = np.array([rate for _, rate in rates])
    usable = ((table > 0) & (table < 1)).all(axis=0)
    if len(rates) < 2 or not usable.any():  # noqa: PLR2004  a slope needs two
        return None
    sizes = np.log([float(people) for people, _ in rates])
    heights = np.log(-np.log1p(-table[:, usable])).mean(axis=1)
    apart = sizes - sizes.mean()
    if not apart.any():
        return None
    return float(apart @ heights / (apart @ apart))


def goodness(searches: Searches, tail: Tail, *, simulations: int, seed: int) -> float:
    """Returns how probable a worse fit would be if the tail were right, 0..1 (Anderson-Darling; its law by simulation, fitted each time).

    A small value, such as below 0.05, says that the tail does not describe the scores.
    """
    _, _, excess, parts, count = _excess(searches)
    seen = _distance(excess, parts, scale=tail.scale, shape=tail.shape) * count
    even = np.full(count, 1 / count)
    random = np.random.default_rng(seed)
    worse = 0
    for _ in range(simulations):
        chance = random.random(count)
        beyond = -np.log(chance) if tail.shape < _EXPONENTIAL else (chance**-tail.shape - 1) / tail.shape
        drawn = np.sort(beyond * tail.scale)
        scale, shape = _pareto(drawn, even)
        worse += _distance(drawn, even, scale=scale, shape=shape) * count >= seen
    return (worse + 1) / (simulations + 1)


def _distance(excess: F64, parts: F64, *, scale: float, shape: float) -> float:
    """Anderson and Darling's distance of weighted values, ascending, from a law, for each value."""
    beyond = excess / scale
    upper = np.exp(-beyond) if shape < _EXPONENTIAL else (1 + shape * beyond) ** (-1 / shape)
    upper = np.clip(upper, 1e-12, 1 - 1e-12)
    below = np.cumsum(parts) - parts / 2
    return float(-1 - (parts * (2 * below * np.log1p(-upper) + 2 * (1 - below) * np.log(upper))).sum())
