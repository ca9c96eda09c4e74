"""What an evaluation hands to its reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.biometrics.rates import Curve


@dataclass(frozen=True, slots=True)
class WorstCase:
    """One mistake, or what came nearest to one. files: the picture, and what it was compared with."""

    words: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An evaluation.

    Attributes:
        title: what was evaluated.
        facts: name and value of each figure, in words.
        values: the line of JSON.
        curve: the detection error trade-off; None where one side has no trial.
        axes: names of its false positives and false negatives.
        at: false positives and negatives at the threshold.
        worst: mistakes first.
        failures: why a file gave no template.
        note: what has to be known to read the figures.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    values: Mapping[str, object]
    failures: Mapping[Path, str]
    curve: Curve | None = field(default=None, repr=False)
    axes: tuple[str, str] = ("FMR", "FNMR")
    at: tuple[float, float] | None = None
    worst: Sequence[WorstCase] = ()
    note: str = ""
