"""Normalisation of scores by a cohort: a distance counts by how near probe and reference are to other people (docs/adr/0009).

    score = half(probe) + half(reference) - distance
    half(x) = half the mean of the k smallest distances of x to other people

The roster itself is the cohort. A reference's half is computed once, when the gallery is built; a probe's half falls out of its search,
with the candidate's own row left out. Where the probe is of somebody unknown, or of somebody who resembles many, the score drops.
"""

from typing import assert_never

import numpy as np
import numpy.typing as npt

from agent.biometrics.comparison import squared_norms
from agent.biometrics.template import F32, Metric

BLOCK_ELEMENTS = 2_000_000
"""Distances that are held at once while a gallery is built: 8 MB, which stays in the cache and does not grow with the roster squared."""

GROUP = 64
"""Distances of which only the smallest is looked at when the k smallest of many are wanted."""


def smallest(values: F32, count: int) -> npt.NDArray[np.intp]:
    """Returns the places of the `count` smallest values, in no order. Exact: the count-th smallest of the groups' minima is a bound."""
    groups = len(values) // GROUP
    if groups < 2 * count:
        return np.argpartition(values, count - 1)[:count]
    minima = values[: groups * GROUP].reshape(GROUP, groups).min(axis=0)
    near = np.flatnonzero(values <= np.partition(minima, count - 1)[count - 1])
    return near[np.argpartition(values[near], count - 1)[:count]]


def reference_halves(table: F32, *, metric: Metric, k: int) -> F32:
    """Returns the cohort half (n,) of each row of `table` (n, d), one for each person; k <= n - 1. Holds BLOCK_ELEMENTS, not n squared."""
    n = len(table)
    halves = np.empty(n, dtype=np.float32)
    norms = squared_norms(table)
    step = max(1, BLOCK_ELEMENTS // n)
    for start in range(0, n, step):
        here = slice(start, start + step)
        # What orders like the distance is enough to choose the nearest: two passes over the block instead of five.
        block = -table[here] @ table.T
        if metric is Metric.EUCLIDEAN:
            block += norms / 2
        np.fill_diagonal(block[:, start:], np.inf)  # nobody is in their own cohort
        nearest = np.partition(block, k - 1, axis=1)[:, :k]
        match metric:
            case Metric.EUCLIDEAN:
                apart = np.sqrt(np.maximum(2 * nearest + norms[here, None], 0))
            case Metric.COSINE:
                apart = 1 + nearest
            case _:
                assert_never(metric)
        halves[here] = apart.mean(axis=1, dtype=np.float64) / 2
    return halves


def normalised(distances: F32, halves: F32, *, k: int) -> F32:
    """Returns the score (n,) of each person for one probe. distances, halves: (n,), one for each person; k <= n - 1.

    The probe's cohort for person i is its k nearest people other than i: for those outside its k nearest the k nearest, for those inside
    the k + 1 nearest without i.
    """
    near = smallest(distances, k + 1)
    near = near[np.argsort(distances[near], kind="stable")]
    inner, last = near[:k], np.float64(distances[near[k]])
    total = distances[inner].sum(dtype=np.float64)
    scores = halves - distances
    scores += np.float32(total / (2 * k))
    scores[inner] += ((last - distances[inner]) / (2 * k)).astype(np.float32)
    return scores
