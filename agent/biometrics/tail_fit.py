"""Fitting the tail of strangers' scores (tail.Tail) to the searches of a roster's own people.

What lies above a high start decides, as a generalised Pareto law by probability weighted moments (Hosking and Wallis 1987): closed form,
steady with few hundred values, where likelihood is not. Few people have few searches up there: of 100 people ten, and a rate a tenth of
theirs, continued from ten, was wrong by a factor of two in a quarter of rosters. The other ninety say something too. The best score of a
search is the greatest of many, and its body follows the law of such, Gumbel's; what that law says of the tail counts as BODY_PEOPLE more
people there. It is not right to the last tenth, so where many lie in the tail they outvote it, and where the tail is clearly heavier than
the body explains, as with many doubles in a roster, it is not asked. Measured: docs/adr/0014.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, expm1, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from agent.biometrics.errors import CalibrationError
from agent.biometrics.tail import ATTEMPT_SEARCHES, DECLINE, EXPONENTIAL, GROWTH, SHAPE, Tail

F64 = npt.NDArray[np.float64]

FIT_MIN: Final = 0.01
"""Goodness of fit below which a tail does not describe its scores: a right one is called wrong once in a hundred measurements."""

TAIL_SHARE: Final = (0.05, 0.1)
TAIL_PEOPLE: Final = 40
"""Part of the searches that is fitted: as many as TAIL_PEOPLE people make, a twentieth to a tenth. Of few people a twentieth leaves too few
to fit; of many a tenth reaches into the body, which bends the tail (docs/adr/0014)."""

EXCEEDANCES_MIN: Final = 5
"""Fewer searches above the start are no tail. A hundred people of one picture each have ten, less those whose person does not lead."""

BODY_PEOPLE: Final = 40
"""People in the tail that the body's law counts as. One over the square of how far that law's scale was from the tail's own, in rosters
with so many people in the tail that chance says little: 10 % to 25 % (docs/adr/0014)."""

HEAVIER: Final = 2.0
"""Standard errors by which a tail may be heavier than the body says before the body is not asked."""

EULER: Final = 0.5772156649
"""Mean of the standard Gumbel law."""


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

    Raises:
        CalibrationError: too few different scores.
    """
    top = _top(searches)
    if len(top.excess) < EXCEEDANCES_MIN or top.excess[-1] <= 0:
        raise CalibrationError(
            f"only {len(top.excess)} strangers' searches lie in the tail, of at least {EXCEEDANCES_MIN} that are needed: enrol more people"
        )
    above, scale, shape = _joined(top, _body(searches))
    return Tail(
        people=people, share=above * top.led, start=top.start, scale=scale, shape=shape, growth=growth, decline=decline, searches=attempt
    )


def start_of(searches: Searches, share: float) -> float:
    """The score that a part `share` of best scores is above."""
    order = np.argsort(-searches.score, kind="stable")
    upper = np.cumsum(searches.weight[order]) / searches.weight.sum()
    return float(searches.score[order[min(int(np.searchsorted(upper, share)), len(order) - 1)]])


@dataclass(frozen=True, slots=True, eq=False)
class _Top:
    """The highest searches.

    Attributes:
        above: part of all searches whose best score is above `start`.
        led: part of those whose person leads by the margin.
        excess: by how much the latter are above it, ascending; parts: their weights, which sum to 1.
        people: as how many people they count.
    """

    start: float
    above: float
    led: float
    excess: F64
    parts: F64
    people: int


def _top(searches: Searches) -> _Top:
    people = len(np.unique(searches.person[searches.weight > 0]))
    start = start_of(searches, float(np.clip(TAIL_PEOPLE / max(people, 1), *TAIL_SHARE)))
    high = searches.score > start
    chosen = np.flatnonzero(searches.found & high)
    chosen = chosen[np.argsort(searches.score[chosen], kind="stable")]
    weight = searches.weight[chosen]
    above, leading = float(searches.weight @ high), float(weight.sum())
    parts = weight / (leading or 1.0)
    of_people = np.bincount(searches.person[chosen], parts)
    count = round(1 / max(float(of_people @ of_people), 1e-9)) if len(chosen) else 0
    return _Top(start, above / float(searches.weight.sum()), leading / (above or 1.0), searches.score[chosen] - start, parts, count)


@dataclass(frozen=True, slots=True)
class _Body:
    """A Gumbel law: how the greatest of many values falls."""

    mode: float
    scale: float

    def above(self, score: float) -> float:
        """The part of searches above a score."""
        return -expm1(-exp(-(score - self.mode) / self.scale))


def _body(searches: Searches) -> _Body:
    """The law of all best scores, by their first two weighted moments."""
    order = np.argsort(searches.score, kind="stable")
    score, part = searches.score[order], searches.weight[order] / searches.weight.sum()
    mean = float(score @ part)
    scale = (2 * float((score * part) @ (np.cumsum(part) - part / 2)) - mean) / log(2)
    return _Body(mean - EULER * scale, scale)


def _joined(top: _Top, body: _Body) -> tuple[float, float, float]:
    """The part above the start, scale and shape: of the tail's own people, and of the body as so many more."""
    scale, shape = _pareto(top.excess, top.parts)
    said = body.above(top.start)
    others = _asked(top, body)
    of_tail = top.people / (top.people + others)
    joined = of_tail * shape  # a Gumbel law ends in an exponential one, of shape 0
    mean = scale / (1 - shape)
    above = exp(of_tail * log(top.above) + (1 - of_tail) * log(said)) if others else top.above
    return above, of_tail * mean * (1 - joined) + (1 - of_tail) * body.scale, joined


def _asked(top: _Top, body: _Body) -> int:
    """As how many people in the tail the body counts: none, where the tail is heavier than the body says by more than chance."""
    mean, said = float(top.excess @ top.parts), body.above(top.start)
    if body.scale <= 0 or said <= 0:
        return 0
    heavier = max(log(mean / body.scale), log(top.above / said))
    return BODY_PEOPLE if heavier <= HEAVIER * sqrt(1 / top.people + 1 / BODY_PEOPLE) else 0


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

    Below FIT_MIN the tail does not describe the scores.
    """
    top = _top(searches)
    of_tail = top.people / (top.people + _asked(top, _body(searches)))
    seen = _distance(top.excess, top.parts, scale=tail.scale, shape=tail.shape) * top.people
    even = np.full(top.people, 1 / top.people)
    random = np.random.default_rng(seed)
    worse = 0
    for _ in range(simulations):
        chance = random.random(top.people)
        beyond = -np.log(chance) if tail.shape < EXPONENTIAL else (chance**-tail.shape - 1) / tail.shape
        drawn = np.sort(beyond * tail.scale)
        scale, shape = _pareto(drawn, even)
        scale, shape = of_tail * scale + (1 - of_tail) * tail.scale, of_tail * shape + (1 - of_tail) * tail.shape
        worse += _distance(drawn, even, scale=scale, shape=shape) * top.people >= seen
    return (worse + 1) / (simulations + 1)


def _distance(excess: F64, parts: F64, *, scale: float, shape: float) -> float:
    """Anderson and Darling's distance of weighted values, ascending, from a law, for each value."""
    beyond = excess / scale
    upper = np.exp(-beyond) if shape < EXPONENTIAL else (1 + shape * beyond) ** (-1 / shape)
    upper = np.clip(upper, 1e-12, 1 - 1e-12)
    below = np.cumsum(parts) - parts / 2
    return float(-1 - (parts * (2 * below * np.log1p(-upper) + 2 * (1 - below) * np.log(upper))).sum())
