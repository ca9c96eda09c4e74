"""A rim around a portrait: what a passport crop lacks and a frame of a lane has."""

from typing import Final

import cv2
import numpy as np

from agent.vision.frame import U8

RIM: Final = 0.25
"""Width of the rim, in the picture's longer side."""


def rim_px(image: U8) -> int:
    return round(RIM * float(max(image.shape[:2])))


def framed(image: U8) -> U8:
    """The picture with its edge continued: a passport crop ends at the hair, where the detector and the aligned chip still look."""
    rim = rim_px(image)
    return np.asarray(cv2.copyMakeBorder(image, rim, rim, rim, rim, cv2.BORDER_REPLICATE), dtype=np.uint8)
