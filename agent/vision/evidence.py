"""The templates of one track: which belong together, which are fused into the probe, when another face has taken the place. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from agent.biometrics.comparison import exact_distances
from agent.biometrics.template import Metric, comparable, fuse
from agent.vision.frame import F32

REPLACED_AFTER = 2
"""Templates in a row that are unlike the track's own before another face is taken to stand there: one may be a blink or a blur."""


class Verdict(Enum):
    """What a new template means for its track."""

    SAME = auto()
    DOUBTED = auto()  # unlike the track's own; not fused
    REPLACED = auto()  # unlike them several times in a row: another face


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The last good templates of one track, newest last.

    Attributes:
        templates: at most as many as are fused; all of one face.
        doubts: how many templates in a row were unlike them.
        skipped: frames since the last template was made.
        eye_px: pixels between the eyes of the newest template's face.
        pad_scores: of the newest frames, 0 (attack) to 1 (bona fide), newest last; see pad.py.
    """

    templates: tuple[F32, ...] = ()
    doubts: int = 0
    skipped: int = 0
    eye_px: float = 0.0
    pad_scores: tuple[float, ...] = ()

    def probe(self, metric: Metric) -> F32:
        """The fused template (d,)."""
        return fuse(np.stack(self.templates), metric)


Judge = Callable[[Evidence, F32, float], tuple[Evidence, Verdict]]
"""`judged` with the figures of a pack: evidence, template, pixels between the eyes."""


def judged(evidence: Evidence, template: F32, *, metric: Metric, unlike: float, most: int, eye_px: float = 0.0) -> tuple[Evidence, Verdict]:
    """Returns the evidence with one more template (d,), and what it means.

    unlike: distance from the fused template at which a new one is not of the same face; most: templates kept.
    After REPLACED the evidence holds the new face's template alone.
    """
    if evidence.templates:
        new = comparable(template[None], metric)
        if exact_distances(new, evidence.probe(metric), metric=metric)[0] > unlike:
            doubts = evidence.doubts + 1
            if doubts >= REPLACED_AFTER:
                return Evidence((template,), eye_px=eye_px), Verdict.REPLACED
            return replace(evidence, doubts=doubts, skipped=0), Verdict.DOUBTED
    return Evidence((*evidence.templates, template)[-most:], eye_px=eye_px, pad_scores=evidence.pad_scores), Verdict.SAME
