"""How often strangers reach a score, continued beyond what was seen: a generalised Pareto tail of the best score of a whole search.

What is fitted is the best score of each stranger's search, not the score of each pair: a few people resemble many, so pairs of one probe
are not independent, and a figure made of pairs would be wrong by as much as they are alike (docs/adr/0014). How it is fitted: tail_fit.py.

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

from agent.biometrics.errors import CalibrationError

FAMILY: Final = "generalised-pareto"

SHAPE: Final = (0.0, 0.45)
"""Least and greatest shape. Below 0 a tail has an end, beyond which no stranger would ever come: a sample cannot prove that, so it is not
believed. Above 0.5 the fit by weighted moments has no meaning."""

GROWTH: Final = (0.5, 1.0)
"""Least and greatest growth. 1 is independence, and the most cautious; less than a half was never seen and is not believed."""

DECLINE: Final = (0.0, 1.0)
"""Least and greatest decline. 0 keeps the threshold of the roster that was measured, and is the most cautious."""

SEARCHES: Final = (1.0, 100.0)

ATTEMPT_SEARCHES: Final = 1.2
"""Independent searches that one attempt counts as. Probes of one track are nearly the same probe: tracks of moving, blurred and relit
frames gave 1.2 times the rate of a single picture (0.8 to 1.8), with the rule of three frames fused and the margin (docs/adr/0014)."""

_LENGTH: Final = 8
EXPONENTIAL: Final = 1e-9  # a shape nearer to 0 is 0


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
        return self.share * (exp(-beyond) if self.shape < EXPONENTIAL else (1 + self.shape * beyond) ** (-1 / self.shape))

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
        beyond = -log(part) if self.shape < EXPONENTIAL else (part**-self.shape - 1) / self.shape
        return self.start + self.scale * beyond

    def _grown(self, people: int) -> float:
        return float(self.searches * (people / self.people) ** (self.growth if people > self.people else self.decline))
