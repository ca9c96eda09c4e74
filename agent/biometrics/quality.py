"""Is a sample fit to be compared? Figures that an installer can act on, and the first fault against the configured bounds."""

from dataclasses import dataclass
from math import hypot

import numpy as np
import numpy.typing as npt

from agent.core.inputs import SampleFault, SampleQuality

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

FACE_ROWS, FACE_COLUMNS = (0.2, 0.9), (0.2, 0.8)
"""Part of an aligned chip that is face, not hair or background: from the brow to below the mouth, from temple to temple. Light behind a
person would else make a dark face look well lit, and a sharp wall a blurred face sharp."""

NEARLY_BLACK, NEARLY_WHITE = 2, 253
"""Grey levels at which a pixel counts as clipped: compressed video seldom keeps 0 and 255 themselves."""

TEMPLE, FOREHEAD, CHIN = 0.5, 0.7, 0.8
"""How far a face reaches beyond its landmarks, in eye distances: beyond the outer landmark, above the eyes, below the mouth."""

LEFT_EYE, RIGHT_EYE, NOSE = 0, 1, 2
"""Rows of the five landmarks; 3 and 4 are the corners of the mouth. Left and right as seen in the picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a sample needs; the keys of the configuration's [recognition] say the same in words."""

    min_eye_distance_px: float
    max_yaw: float
    min_blur: float
    min_brightness: float
    max_brightness: float
    max_clipped: float


def measure(landmarks: F32, chip: U8) -> SampleQuality:
    """Returns the figures of one sample. landmarks: (5, 2) pixels of the frame; chip: (h, w) grey levels of the aligned chip.

    A head that leans to the shoulder is no fault: alignment turns it upright, and yaw is measured along the line of the eyes.
    """
    left, right, nose = landmarks[LEFT_EYE].tolist(), landmarks[RIGHT_EYE].tolist(), landmarks[NOSE].tolist()
    along = (right[0] - left[0], right[1] - left[1])
    eyes = max(hypot(*along), 1e-6)
    off = (nose[0] - (left[0] + right[0]) / 2, nose[1] - (left[1] + right[1]) / 2)
    height, width = chip.shape
    face = chip[
        int(FACE_ROWS[0] * height) : int(FACE_ROWS[1] * height),
        int(FACE_COLUMNS[0] * width) : int(FACE_COLUMNS[1] * width),
    ]
    levels = np.bincount(face.ravel(), minlength=256)
    return SampleQuality(
        eye_distance_px=eyes,
        yaw=(off[0] * along[0] + off[1] * along[1]) / eyes**2,
        blur=_laplacian_variance(face),
        brightness=float(levels @ np.arange(256)) / face.size,
        clipped=float(levels[: NEARLY_BLACK + 1].sum() + levels[NEARLY_WHITE:].sum()) / face.size,
    )


def _laplacian_variance(grey: U8) -> float:
    wide = grey.astype(np.int16)
    second = 4 * wide[1:-1, 1:-1]
    second -= wide[:-2, 1:-1]
    second -= wide[2:, 1:-1]
    second -= wide[1:-1, :-2]
    second -= wide[1:-1, 2:]
    return float(second.var(dtype=np.float32))


def fault(quality: SampleQuality, *, landmarks: F32, frame_size: tuple[int, int], bounds: Bounds) -> SampleFault | None:
    """Returns the first thing wrong with a sample, in the order in which a person can mend it: place, pose, light, motion.

    landmarks: (5, 2) pixels; frame_size: width and height of the frame, pixels.
    """
    clipped = quality.clipped > bounds.max_clipped
    bright = quality.brightness > (bounds.min_brightness + bounds.max_brightness) / 2
    rows = (
        (SampleFault.TOO_FAR, quality.eye_distance_px < bounds.min_eye_distance_px),
        (SampleFault.TOO_CLOSE, _is_cut_off(landmarks, frame_size, quality.eye_distance_px)),
        (SampleFault.POSE, abs(quality.yaw) > bounds.max_yaw),
        (SampleFault.DARK, quality.brightness < bounds.min_brightness or (clipped and not bright)),
        (SampleFault.BRIGHT, quality.brightness > bounds.max_brightness or (clipped and bright)),
        (SampleFault.BLUR, quality.blur < bounds.min_blur),
    )
    return next((found for found, is_so in rows if is_so), None)


def _is_cut_off(landmarks: F32, frame_size: tuple[int, int], eye_distance_px: float) -> bool:
    (x0, y0), (x1, y1) = landmarks.min(axis=0).tolist(), landmarks.max(axis=0).tolist()
    width, height = frame_size
    side, top, bottom = TEMPLE * eye_distance_px, FOREHEAD * eye_distance_px, CHIN * eye_distance_px
    return bool(x0 - side < 0 or y0 - top < 0 or x1 + side > width or y1 + bottom > height)
