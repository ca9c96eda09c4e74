"""A template: the numbers that a model makes of one aligned face. Distances between them are what a comparison score is made of."""

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from agent.biometrics.errors import TemplateError

F32 = npt.NDArray[np.float32]


class Metric(StrEnum):
    """How far two templates of a pack are apart; the pack's manifest names it."""

    EUCLIDEAN = "euclidean"  # of the raw templates
    COSINE = "cosine"  # 1 - cosine of the angle between them, 0..2


def comparable(templates: F32, metric: Metric) -> F32:
    """Returns templates (n, d) as they are compared: contiguous float32, for the cosine of unit length.

    Raises:
        TemplateError: not a table of numbers, not finite, or null where a direction is needed.
    """
    table = np.ascontiguousarray(templates, dtype=np.float32)
    if table.ndim != 2:  # noqa: PLR2004  a table
        raise TemplateError(f"templates have the shape {table.shape}; (n, d) is expected")
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise TemplateError(f"template {row} of {len(table)} holds a value that is not finite; make it again from its picture")
    if metric is Metric.EUCLIDEAN:
        return table
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise TemplateError(f"template {int(np.argmin(lengths))} of {len(table)} is null: it has no direction to compare; make it again")
    return np.asarray(table / lengths, dtype=np.float32)


def fuse(templates: F32, metric: Metric) -> F32:
    """Returns the mean (d,) of several templates (n, d) of one face, as a template to compare. Why the mean: docs/adr/0009.

    Raises:
        TemplateError: as `comparable`, or no template at all.
    """
    table = comparable(templates, metric)
    if not len(table):
        raise TemplateError("no template to fuse; at least one is needed")
    fused: F32 = comparable(table.mean(axis=0, keepdims=True), metric)[0]
    return fused
