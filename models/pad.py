"""Presentation attack detection: the port, and the two MiniFASNets (Silent-Face-Anti-Spoofing, Minivision 2020).

Two small networks look at a face with less and with more of what surrounds it: a sheet's edge, a hand, a screen's frame are seen there.
Each tells three classes apart; the score is the mean of what both give the class "live".
"""

from typing import Protocol

import numpy as np

from models.errors import ImageError
from models.picture import F32, U8, checked, planes, resized
from models.session import Session

INPUT_PX = 80

LIVE = 1
"""Which of the three classes is a live face; 0 is a flat picture, 2 a mask."""


class Pad(Protocol):
    """Tells a face in front of the camera from a picture or a screen. Its score is logged apart from the match and never mixed with it."""

    def score(self, image: U8, boxes: F32) -> F32:
        """Returns one score a box, 0 (attack) to 1 (bona fide); not a number for a box without a side, in which nothing is to be seen.

        image: (h, w, 3) BGR, the whole frame, because the surroundings of a face count; boxes: (n, 4) x0, y0, x1, y1 in pixels.

        Raises:
            ImageError: another type or shape of picture or boxes.
            GraphFailedError: a network fails on them.
        """
        ...


class MiniFasnet:
    """Both networks. Not for use by two threads at a time."""

    def __init__(self, *, near: Session, far: Session, near_crop: float, far_crop: float) -> None:
        """near_crop, far_crop: side of what each network sees over the side of the face's box."""
        self._looks = ((near, near_crop), (far, far_crop))

    def score(self, image: U8, boxes: F32) -> F32:
        checked(image)
        if boxes.ndim != 2 or boxes.shape[1] != 4:  # noqa: PLR2004
            raise ImageError(f"boxes of shape {boxes.shape} were given; they must be (n, 4): x0, y0, x1, y1")
        scores = np.full(len(boxes), np.nan, dtype=np.float32)
        seen = np.flatnonzero(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1))
        if len(seen) == 0:
            return scores
        scores[seen] = 0
        for session, crop in self._looks:
            pictures = np.stack([_look(image, boxes[each], crop) for each in seen])
            scores[seen] += _softmax(session.run(planes(pictures)))[:, LIVE] / np.float32(len(self._looks))
        return scores


def surroundings(box: F32, *, crop: float, width: int, height: int) -> tuple[int, int, int, int]:
    """Returns x0, y0, x1, y1 of what is looked at: the box times `crop` about its centre, shrunk and moved until it lies in the picture.

    It is what the networks learned from: they have never seen a black rim. box: (4,) with sides of a pixel or more; x1, y1 just outside.
    """
    x0, y0, x1, y1 = (float(each) for each in box)
    wide, high = x1 - x0, y1 - y0
    times = min(crop, (width - 1) / wide, (height - 1) / high)
    half_wide, half_high = wide * times / 2, high * times / 2
    centre_x = min(max((x0 + x1) / 2, half_wide), width - 1 - half_wide)
    centre_y = min(max((y0 + y1) / 2, half_high), height - 1 - half_high)
    left, top = int(max(centre_x - half_wide, 0)), int(max(centre_y - half_high, 0))
    return left, top, min(int(centre_x + half_wide) + 1, width), min(int(centre_y + half_high) + 1, height)


def _look(image: U8, box: F32, crop: float) -> U8:
    # Shrunk in one step, although that aliases: so were the pictures that the networks learned from, and texture is what they look at.
    x0, y0, x1, y1 = surroundings(box, crop=crop, width=image.shape[1], height=image.shape[0])
    return resized(image[y0:y1, x0:x1], width=INPUT_PX, height=INPUT_PX)


def _softmax(logits: F32) -> F32:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: F32 = raised / raised.sum(axis=1, keepdims=True)
    return shares
