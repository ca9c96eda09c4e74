"""Error rates with their intervals, and curves of them. A rate without its interval says nothing of how much was seen."""

from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

Z95: Final = 1.959964
"""Two-sided 95 % point of the normal law."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A part of trials, with the interval that holds the true rate in 95 of 100 such measurements."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{percent(self.value)} ({percent(self.low)} to {percent(self.high)})"


def percent(part: float) -> str:
    """A rate as people read it: two significant figures."""
    return f"{float(f'{100 * part:.2g}'):.6g} %"


def wilson(events: float, of: float) -> Rate:
    """The rate of `events` in `of` independent trials, with Wilson's interval, which stays honest where no event was seen."""
    if of <= 0:
        return Rate(0.0, 0.0, 1.0)
    part, z2 = events / of, Z95**2
    middle = (part + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * sqrt(part * (1 - part) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Rate(part, max(middle - half, 0.0), min(middle + half, 1.0))


def spread(value: float, drawn: F64) -> Rate:
    """A rate with the interval that drawing the people anew gives (percentiles of the bootstrap)."""
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Rate(value, min(low, value), max(high, value))


def wider(one: Rate, other: Rate) -> Rate:
    """Two intervals of one rate as the one that holds both: drawing anew says nothing where no event was seen."""
    return Rate(one.value, min(one.low, other.low), max(one.high, other.high))


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Both error rates at each threshold, ascending: (n,) each. A detection error trade-off."""

    threshold: F64
    false_positive: F64
    false_negative: F64

    def miss_at(self, rate: float) -> tuple[float, float]:
        """The least threshold at which false positives are at most `rate`, and the false negatives there."""
        place = int(np.argmax(self.false_positive <= rate))
        return float(self.threshold[place]), float(self.false_negative[place])


def curve(genuine: F64, impostor: F64, *, genuine_weights: F64 | None = None, impostor_weights: F64 | None = None) -> Curve:
    """The trade-off of two sets of scores (higher is more alike; -inf: never taken). The last threshold is above every impostor."""
    finite = impostor[np.isfinite(impostor)]
    every = np.unique(np.concatenate([finite, genuine[np.isfinite(genuine)]]))
    top = np.nextafter(finite.max(), np.inf) if len(finite) else 0.0
    thresholds = np.unique(np.append(every, top))
    return Curve(
        thresholds,
        _at_least(impostor, impostor_weights, thresholds),
        1 - _at_least(genuine, genuine_weights, thresholds),
    )


def _at_least(scores: F64, weights: F64 | None, thresholds: F64) -> F64:
    """The part of scores that reach each threshold."""
    if not len(scores):
        return np.zeros(len(thresholds))
    order = np.argsort(scores, kind="stable")
    weight = np.ones(len(scores)) if weights is None else weights[order]
    below = np.concatenate([[0.0], np.cumsum(weight)])
    return np.asarray(np.clip(1 - below[np.searchsorted(scores[order], thresholds, side="left")] / below[-1], 0.0, 1.0))
