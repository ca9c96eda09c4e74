"""Brings a face to the place where the embedder wants it: least-squares similarity transform (Umeyama 1991) of five landmarks, one warp."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ImageError
from models.picture import F32, U8, Halvings

F64 = NDArray[np.float64]

SPREAD_MIN_PX2 = 1.0
"""Least summed squared distance of landmarks from their middle; below it all points are one and no transform exists."""


def similarity(landmarks: F32, template: F32) -> F64:
    """Returns (n, 2, 3): for each face the rotation, scale and shift that bring its landmarks nearest to the template.

    landmarks: (n, k, 2); template: (k, 2). In the plane Umeyama's solution needs no decomposition, and never mirrors.

    Raises:
        ImageError: a face's landmarks are all one point, or not finite.
    """
    points, goal = landmarks.astype(np.float64), template.astype(np.float64)
    middle, goal_middle = points.mean(axis=1, keepdims=True), goal.mean(axis=0)
    p, q = points - middle, goal - goal_middle
    spread = (p**2).sum(axis=(1, 2))
    if not np.all(spread >= SPREAD_MIN_PX2) or not np.isfinite(spread).all():
        raise ImageError(f"landmarks {landmarks.tolist()} do not span a face; they must be finite and not one point")
    cosine = (p * q).sum(axis=(1, 2)) / spread
    sine = (p[..., 0] * q[:, 1] - p[..., 1] * q[:, 0]).sum(axis=1) / spread
    turn = np.stack([np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)], axis=1)
    shift = goal_middle - np.einsum("nij,nj->ni", turn, middle[:, 0])
    return np.concatenate([turn, shift[:, :, None]], axis=2)


def chips(image: U8, landmarks: F32, *, template: F32, chip_px: int) -> U8:
    """Returns (n, chip_px, chip_px, 3) RGB: each face brought to the template; black where the picture ends.

    image: uint8 (h, w, 3) BGR; landmarks: (n, 5, 2) pixels; template: (5, 2) pixels of the chip, with pixel centres at whole numbers.
    A face more than twice as large as on the chip is taken from a halved picture, so that it does not alias.
    """
    halvings = Halvings(image)
    out = np.empty((len(landmarks), chip_px, chip_px, 3), dtype=np.uint8)
    if len(landmarks) == 0:
        return out
    for matrix, chip in zip(similarity(landmarks, template), out, strict=True):
        source, halved = halvings.for_scale(float(np.hypot(matrix[0, 0], matrix[1, 0])))
        # Pixel u of a picture halved k times has its centre at 2^k u + (2^k - 1) / 2 of the whole one.
        times = 2.0**halved
        on_source = np.concatenate(
            [matrix[:, :2] * times, matrix[:, 2:] + matrix[:, :2].sum(axis=1, keepdims=True) * (times - 1) / 2], axis=1
        )
        cv2.warpAffine(source, on_source, (chip_px, chip_px), dst=chip, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        cv2.cvtColor(chip, cv2.COLOR_BGR2RGB, dst=chip)
    return out
