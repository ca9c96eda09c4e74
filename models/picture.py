"""Pictures made smaller: halvings, pyramid levels and crops for the networks. uint8 (h, w, 3) in, float32 (n, 3, h, w) out."""

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ImageError

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

SIDE_MAX_PX = 16384
"""Largest side of a picture; beyond it OpenCV's fixed-point warps overflow."""


def checked(image: U8) -> U8:
    """Returns the picture unchanged.

    Raises:
        ImageError: not uint8 of shape (height, width, 3), empty, or too large.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:  # noqa: PLR2004
        raise ImageError(
            f"a picture of type {image.dtype} and shape {image.shape} was given; it must be uint8 of (height, width, 3) in BGR"
        )
    if not 0 < min(image.shape[:2]) <= max(image.shape[:2]) <= SIDE_MAX_PX:
        raise ImageError(f"a picture of {image.shape[1]}x{image.shape[0]} was given; each side must be 1 to {SIDE_MAX_PX} pixels")
    return image


def resized(image: U8, *, width: int, height: int) -> U8:
    """Returns the picture at another size, bilinear; at exactly half the size that is the average of 2x2 pixels."""
    # OpenCV's types say "any integer"; out is what went in.
    return cast("U8", cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))


class Halvings:
    """A picture and its halves, made when first asked for. Each half is a 2x2 average, so that shrinking does not alias."""

    def __init__(self, image: U8) -> None:
        self._levels = [checked(image)]

    def for_scale(self, scale: float) -> tuple[U8, int]:
        """Returns the smallest halving that is still at least as large as the picture times `scale`, and how often it was halved."""
        halved = 0
        while scale <= 0.5 ** (halved + 1) and min(self._level(halved).shape[:2]) > 1:
            halved += 1
        return self._level(halved), halved

    def _level(self, halved: int) -> U8:
        while len(self._levels) <= halved:
            last = self._levels[-1]
            even = last[: last.shape[0] & ~1, : last.shape[1] & ~1]  # an odd last row or column has no partner
            self._levels.append(resized(even, width=even.shape[1] // 2, height=even.shape[0] // 2))
        return self._levels[halved]


@lru_cache(maxsize=64)
def pyramid(height: int, width: int, *, first: float, factor: float, least_px: int) -> tuple[tuple[int, int], ...]:
    """Returns (width, height) of each level: the first at scale `first`, each next `factor` smaller, none with a side below `least_px`."""
    levels = []
    scale = first
    while round(min(height, width) * scale) >= least_px:
        levels.append((round(width * scale), round(height * scale)))
        scale *= factor
    return tuple(levels)


def planes(pictures: U8) -> F32:
    """Returns (n, h, w, 3) uint8 as (n, 3, h, w) float32."""
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32)


def crops(halvings: Halvings, squares: F32, side_px: int) -> F32:
    """Returns each square of the picture as (n, 3, side_px, side_px); black where it reaches outside. squares: (n, 4)."""
    out = np.empty((len(squares), side_px, side_px, 3), dtype=np.uint8)
    for square, crop in zip(squares.tolist(), out, strict=True):
        x0, y0, x1, _ = square
        scale = side_px / max(x1 - x0, 1.0)
        source, halved = halvings.for_scale(scale)
        zoom = scale * 2.0**halved
        shrink = 0.5**halved
        # A pixel's centre lies at +0.5 in both pictures.
        matrix = np.array([[zoom, 0, 0.5 * zoom - 0.5 - zoom * x0 * shrink], [0, zoom, 0.5 * zoom - 0.5 - zoom * y0 * shrink]])
        cv2.warpAffine(source, matrix, (side_px, side_px), dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return planes(out)
