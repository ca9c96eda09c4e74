"""Are a camera's frames fit to decide on? Frozen, dark and covered pictures are told from live ones. Pure: frames and times in."""

import numpy as np

from agent.core.inputs import CameraCondition
from agent.core.moment import NS_PER_S
from agent.vision.frame import U8, Frame

FROZEN_AFTER_NS = NS_PER_S
"""Equal frames for this long: a driver that repeats its last one. A sensor's noise makes every frame differ."""

DARK_MEAN = 16.0
"""Mean grey level below which nobody can be seen: the lens is covered, or the light is out."""

COVERED_SPREAD = 5.0
"""Standard deviation of the grey levels below which there is nothing but a surface in front of the lens; noise alone has 2 to 4."""

STEADY_NS = NS_PER_S // 3
"""A condition is reported once it has held so long, so that one odd frame takes no lane out of service. Frames are judged at once."""

STRIDE = 8
"""Every eighth row and column is enough to judge light by."""


class FrameWatch:
    """Judges the frames of one opened source, in order."""

    def __init__(self) -> None:
        self._last: U8 | None = None
        self._changed_ns = 0
        self._found: CameraCondition | None = None
        self._found_since_ns = 0
        self.condition: CameraCondition | None = None  # what is to be reported; None until a condition has held for STEADY_NS

    def judge(self, frame: Frame) -> bool:
        """Whether a decision may rest on the frame; `condition` follows. A frame equal to the one before is never fit: it is not new."""
        same = self._last is not None and np.array_equal(self._last, frame.image)
        if not same:
            self._changed_ns = frame.captured_at_ns
        self._last = frame.image
        if same and frame.captured_at_ns - self._changed_ns >= FROZEN_AFTER_NS:
            self.condition = CameraCondition.FROZEN  # it has held for a second already
            self._found = CameraCondition.FROZEN
            return False
        if not same:
            self._note(_light(frame.image), frame.captured_at_ns)
        return not same and self._found is CameraCondition.OK

    def _note(self, found: CameraCondition, now_ns: int) -> None:
        if found is not self._found:
            self._found, self._found_since_ns = found, now_ns
        first_fit = self.condition is None and found is CameraCondition.OK
        if first_fit or now_ns - self._found_since_ns >= STEADY_NS:
            self.condition = found


def _light(image: U8) -> CameraCondition:
    grey = image[::STRIDE, ::STRIDE].mean(axis=2)
    return CameraCondition.DARK if grey.mean() < DARK_MEAN or grey.std() < COVERED_SPREAD else CameraCondition.OK
