"""Arithmetic on boxes, vectorised. A box is x0, y0, x1, y1 in pixels, x1 and y1 just outside."""

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


def suppress(boxes: F32, scores: F32, *, overlap_max: float, of_smaller: bool = False) -> I64:
    """Returns the indices of the boxes that stay, best score first: each drops the later ones that overlap it by more than `overlap_max`.

    boxes: (n, 4); scores: (n,). Overlap is intersection over union, or over the smaller box where `of_smaller`.
    """
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:  # noqa: PLR2004  nothing to compare
        return order
    x0, y0, x1, y1 = np.ascontiguousarray(boxes[order].T)
    area = (x1 - x0) * (y1 - y0)
    shared = _common(x0, x1, x0, x1) * _common(y0, y1, y0, y1)
    whole = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    clashes = shared > overlap_max * whole
    stays = np.ones(len(order), dtype=bool)
    for row in range(len(order) - 1):
        if stays[row]:
            stays[row + 1 :] &= ~clashes[row, row + 1 :]
    kept: I64 = order[stays]
    return kept


def _common(low: F32, high: F32, others_low: F32, others_high: F32) -> F32:
    """Returns (n, m): the length that each span has in common with each other one. low, high: (n,); the others: (m,)."""
    length = np.minimum(high[:, None], others_high)
    length -= np.maximum(low[:, None], others_low)
    return np.maximum(length, 0, out=length)


def overlaps(boxes: F32, others: F32) -> F32:
    """Returns (n, m): intersection over union of each box with each other one. boxes: (n, 4); others: (m, 4)."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = np.ascontiguousarray(boxes.T), np.ascontiguousarray(others.T)
    shared = _common(x0, x1, u0, u1) * _common(y0, y1, v0, v1)
    area = ((x1 - x0) * (y1 - y0))[:, None] + (u1 - u0) * (v1 - v0) - shared
    shares: F32 = shared / np.maximum(area, np.finfo(np.float32).tiny)
    return shares


def shifted(boxes: F32, offsets: F32) -> F32:
    """Returns boxes moved by a network's offsets. boxes, offsets: (n, 4); an offset is in parts of its box's width or height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    moved: F32 = boxes + offsets * np.concatenate([sides, sides], axis=1)
    return moved


def squared(boxes: F32) -> F32:
    """Returns squares about the same centres, as wide as the box's longer side. boxes: (n, 4)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)
